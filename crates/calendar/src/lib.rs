//! Maintenance windows as calendars (RFC 5545): printed by the CLI, attached to mail by the agent.
//!
//! Every window is an event of its own, in UTC: no reader has to know a zone or a rule. Its id stays, its sequence counts
//! changes, and one that is called off is cancelled rather than left out, so that readers update what they have.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orocloud_protocol::window::Window;

/// A line of a calendar has at most so many bytes.
const WIDTH: usize = 75;

/// What a calendar is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// To be read or subscribed to.
    Publish,
    /// Sent by mail: an invitation, its change, or its cancellation (RFC 5546).
    Invite {
        /// Address of the sender.
        organizer: &'a str,
        /// Addresses of those who are told.
        attendees: &'a [&'a str],
    },
}

impl Method<'_> {
    /// The word for calendars and for the type of a part of a mail; an invitation to a window that was called off
    /// cancels it.
    pub fn name(&self, windows: &[Window]) -> &'static str {
        match self {
            Self::Publish => "PUBLISH",
            Self::Invite { .. } if windows.iter().all(|window| window.cancelled) => "CANCEL",
            Self::Invite { .. } => "REQUEST",
        }
    }
}

/// The calendar of these windows; planned ones are stamped with `now`.
pub fn calendar(environment: &str, windows: &[Window], now: Timestamp, method: &Method<'_>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| fold(&mut text, &format!("{name}:{value}"));
    line("BEGIN", "VCALENDAR");
    line("VERSION", "2.0");
    line("PRODID", "-//OroCloud//orocloud-cli//EN");
    line("METHOD", method.name(windows));
    if *method == Method::Publish {
        line("X-WR-CALNAME", &escaped(&format!("Maintenance of {environment}")));
    }
    for window in windows {
        event(&mut line, environment, window, now, method);
    }
    line("END", "VCALENDAR");
    text
}

fn event(
    line: &mut impl FnMut(&str, &str),
    environment: &str,
    window: &Window,
    now: Timestamp,
    method: &Method<'_>,
) {
    let shop = if window.interrupts { "The shop is interrupted." } else { "The shop stays up." };
    line("BEGIN", "VEVENT");
    line("UID", &escaped(&window.uid));
    line("SEQUENCE", &window.sequence.to_string());
    line("DTSTAMP", &moment(window.changed_at.unwrap_or(now)));
    line("DTSTART", &moment(window.starts_at));
    line("DTEND", &moment(window.ends_at));
    line("SUMMARY", &escaped(&format!("{environment}: maintenance ({})", window.kind.as_str())));
    line("DESCRIPTION", &escaped(&format!("{}\n{shop}", window.work)));
    line("STATUS", if window.cancelled { "CANCELLED" } else { "CONFIRMED" });
    line("TRANSP", if window.cancelled { "TRANSPARENT" } else { "OPAQUE" });
    if let Method::Invite { organizer, attendees } = method {
        line("ORGANIZER", &format!("mailto:{organizer}"));
        for attendee in *attendees {
            // Nobody has to answer.
            line(
                "ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=FALSE",
                &format!("mailto:{attendee}"),
            );
        }
    }
    line("END", "VEVENT");
}

fn moment(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A value of type TEXT (RFC 5545, 3.3.11), without what no text has.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace(';', "\\;")
        .replace(',', "\\,")
        .replace("\r\n", "\\n")
        .replace(['\r', '\n'], "\\n")
        .replace(char::is_control, "")
}

/// Ends a line, broken where it is too long; never inside a character.
fn fold(text: &mut String, line: &str) {
    let mut used = 0;
    for character in line.chars() {
        if used + character.len_utf8() > WIDTH {
            text.push_str("\r\n ");
            used = 1;
        }
        text.push(character);
        used += character.len_utf8();
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests;
