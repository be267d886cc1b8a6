//! The mail that tells technical contacts of one version of a window.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use orocloud_calendar::{Method, calendar};
use orocloud_protocol::EnvironmentName;

use super::Announced;

/// A message as it is sent, again and again the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// One for each window and sequence.
    pub id: String,
    /// With its headers.
    pub text: String,
}

/// Writes the message about this version of the window.
pub fn message(
    environment: &EnvironmentName,
    window: &Announced,
    from: &Mailbox,
    to: &[lettre::Address],
) -> Result<Written, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("the mail about window {}: {error}", window.id);
    let id = |sequence: u32| {
        format!("<{}.{sequence}@{environment}.{}>", window.id.to_lowercase(), from.email.domain())
    };
    let shown = window.window(environment);
    let addresses: Vec<String> = to.iter().map(ToString::to_string).collect();
    let attendees: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let sender = from.email.to_string();
    let method = Method::Invite { organizer: &sender, attendees: &attendees };
    let name = method.name(std::slice::from_ref(&shown));
    let events = calendar(environment.as_str(), &[shown], window.changed_at, &method);
    let kind = ContentType::parse(&format!("text/calendar; charset=utf-8; method={name}"))
        .map_err(|error| wrong(&error))?;

    let mut builder = Message::builder()
        .from(from.clone())
        .subject(subject(environment, window))
        .date(window.changed_at.into())
        .message_id(Some(id(window.sequence)))
        .raw_header(header("Auto-Submitted", "auto-generated").map_err(|error| wrong(&error))?);
    for address in to {
        builder = builder.to(Mailbox::new(None, address.clone()));
    }
    if window.sequence > 0 {
        builder = builder.in_reply_to(id(0)).references(id(0));
    }
    let body = MultiPart::mixed()
        .multipart(
            MultiPart::alternative()
                .singlepart(SinglePart::plain(text(environment, window)))
                .singlepart(SinglePart::builder().header(kind.clone()).body(events.clone())),
        )
        .singlepart(Attachment::new("maintenance.ics".to_owned()).body(events, kind));
    let message = builder.multipart(body).map_err(|error| wrong(&error))?;
    let text = String::from_utf8(message.formatted()).map_err(|error| wrong(&error))?;
    Ok(Written { id: id(window.sequence), text })
}

fn header(name: &str, value: &str) -> Result<HeaderValue, String> {
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| error.to_string())?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

/// Announced, changed, or called off.
fn what(window: &Announced) -> &'static str {
    match (window.cancelled, window.sequence) {
        (true, _) => "called off",
        (false, 0) => "announced",
        (false, _) => "changed",
    }
}

fn subject(environment: &EnvironmentName, window: &Announced) -> String {
    format!("[{environment}] Maintenance window {}: {}", what(window), moment(window.starts_at))
}

fn moment(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).strftime("%a %Y-%m-%d %H:%M UTC").to_string()
}

fn text(environment: &EnvironmentName, window: &Announced) -> String {
    let shop = if window.interrupts { "is interrupted" } else { "stays up" };
    format!(
        "A maintenance window of {environment} was {what}.\r\n\r\n  \
         begin   {begin}\r\n  \
         end     {end}\r\n  \
         reason  {reason}\r\n  \
         work    {work}\r\n  \
         shop    {shop}\r\n\r\n\
         The calendar that is attached shows it in your own time. All windows:\r\n\r\n  \
         orocloud-cli maintenance:windows --env={environment}\r\n",
        what = what(window),
        begin = moment(window.starts_at),
        end = moment(window.ends_at),
        reason = window.reason.as_str(),
        work = window.work,
    )
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::window::WindowKind;

    use super::*;

    #[test]
    fn each_version_has_one_message_and_one_id() {
        let environment: EnvironmentName = "acme-prod1".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut window = Announced {
            id: "01JDFZ8T6G0000000000000000".into(),
            sequence: 0,
            reason: WindowKind::Security,
            starts_at: at("2026-11-24T00:00:00Z"),
            ends_at: at("2026-11-24T01:00:00Z"),
            work: "OpenSSL, ґанок".into(),
            interrupts: true,
            cancelled: false,
            changed_at: at("2026-11-20T00:00:00Z"),
        };
        let from: Mailbox = "OroCloud <ops@example.com>".parse().unwrap();
        let to: Vec<lettre::Address> =
            vec!["dora@example.com".parse().unwrap(), "eve@example.com".parse().unwrap()];
        let first = message(&environment, &window, &from, &to).unwrap();
        assert_eq!(first.id, "<01jdfz8t6g0000000000000000.0@acme-prod1.example.com>");
        for line in [
            "Message-ID: <01jdfz8t6g0000000000000000.0@acme-prod1.example.com>",
            "To: dora@example.com, eve@example.com",
            "Date: Fri, 20 Nov 2026 00:00:00 +0000",
            "Subject: [acme-prod1] Maintenance window announced: Tue 2026-11-24 00:00 UTC",
        ] {
            assert!(first.text.contains(line), "{line} in {}", first.text);
        }
        assert_eq!(first.text.matches("method=REQUEST").count(), 2, "{}", first.text);
        assert!(first.text.is_ascii() && !first.text.contains("In-Reply-To"), "{}", first.text);
        window.sequence = 1;
        window.cancelled = true;
        let last = message(&environment, &window, &from, &to).unwrap();
        assert_ne!(last.id, first.id);
        assert!(last.text.contains(&format!("Message-ID: {}", last.id)), "{}", last.text);
        assert_eq!(last.text.matches("method=CANCEL").count(), 2, "{}", last.text);
        assert!(
            last.text.contains("called off") && last.text.contains(&format!("In-Reply-To: {}", first.id))
        );
    }
}
