//! Windows as a calendar (RFC 5545). Every window is an event of its own, in UTC: no reader has to know a zone or a rule.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orocloud_protocol::window::{ListAnswer, Window};

use crate::output::escape;

/// A line of a calendar has at most so many bytes.
const WIDTH: usize = 75;

/// The calendar.
pub fn calendar(environment: &str, answer: &ListAnswer) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| fold(&mut text, &format!("{name}:{value}"));
    line("BEGIN", "VCALENDAR");
    line("VERSION", "2.0");
    line("PRODID", "-//OroCloud//orocloud-cli//EN");
    line("METHOD", "PUBLISH");
    line("X-WR-CALNAME", &escaped(&format!("Maintenance of {environment}")));
    for window in &answer.items {
        event(&mut line, environment, window, answer.now);
    }
    line("END", "VCALENDAR");
    text
}

fn event(line: &mut impl FnMut(&str, &str), environment: &str, window: &Window, now: Timestamp) {
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
    line("END", "VEVENT");
}

fn moment(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A value of type TEXT (RFC 5545, 3.3.11).
fn escaped(text: &str) -> String {
    escape::strip(text)
        .replace('\\', "\\\\")
        .replace(';', "\\;")
        .replace(',', "\\,")
        .replace("\r\n", "\\n")
        .replace(['\r', '\n'], "\\n")
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
mod tests {
    use super::*;
    use crate::commands::windows::tests::answer;

    /// Puts folded lines together and takes a property apart: another reading of the same pages of the RFC.
    fn properties(text: &str) -> Vec<(String, String)> {
        text.replace("\r\n ", "")
            .split_terminator("\r\n")
            .map(|line| {
                line.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_calendar_is_what_the_rfc_says() {
        let text = calendar("acme-prod1", &answer());
        assert!(text.ends_with("END:VCALENDAR\r\n"));
        assert!(text.split("\r\n").all(|line| line.len() <= WIDTH && !line.contains('\n')), "{text}");
        let all = properties(&text);
        let values = |name: &str| -> Vec<&str> {
            all.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(
            values("UID"),
            ["weekly-1@acme-prod1", "announced-1@acme-prod1", "announced-2@acme-prod1"]
        );
        assert_eq!(values("SEQUENCE"), ["0", "2", "1"]);
        assert_eq!(values("STATUS"), ["CONFIRMED", "CONFIRMED", "CANCELLED"]);
        assert_eq!(values("DTSTART")[1], "20261125T220000Z");
        assert_eq!(values("DTSTAMP")[1], "20261124T100000Z");
        assert!(
            values("DESCRIPTION")[1].starts_with("OpenSSL\\; backslash \\\\\\, comma\\, and words"),
            "{text}"
        );
        assert!(values("DESCRIPTION")[1].ends_with("ґанок\\nThe shop is interrupted."), "{text}");
        assert_eq!(values("BEGIN").len(), values("END").len());
    }
}
