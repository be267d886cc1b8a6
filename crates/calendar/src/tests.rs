//! Calendars, read by the pages of the RFC alone; readers of others read them end to end.

use orocloud_protocol::window::WindowKind;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn windows() -> Vec<Window> {
    let window = |uid: &str, kind, starts: &str, ends: &str| Window {
        uid: format!("{uid}@acme-prod1"),
        sequence: 0,
        kind,
        starts_at: at(starts),
        ends_at: at(ends),
        work: "updates".into(),
        interrupts: false,
        cancelled: false,
        changed_at: None,
        operations: Vec::new(),
    };
    let mut moved =
        window("announced-1", WindowKind::Security, "2026-11-25T22:00:00Z", "2026-11-25T23:00:00Z");
    moved.work = "OpenSSL; \u{1b}backslash \\, comma, and words enough to make this line longer than a line of a calendar may be, ґанок".into();
    moved.sequence = 2;
    moved.interrupts = true;
    moved.changed_at = Some(at("2026-11-24T10:00:00Z"));
    let mut cancelled =
        window("announced-2", WindowKind::Performance, "2026-11-27T00:00:00Z", "2026-11-27T01:00:00Z");
    cancelled.cancelled = true;
    cancelled.sequence = 1;
    let weekly = window("weekly-1", WindowKind::Planned, "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z");
    vec![weekly, moved, cancelled]
}

/// Puts folded lines together and takes properties apart: another reading of the same pages of the RFC.
fn properties(text: &str) -> Vec<(String, String)> {
    text.replace("\r\n ", "")
        .split_terminator("\r\n")
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect()
}

#[test]
fn a_calendar_is_what_the_rfc_says() {
    let text = calendar("acme-prod1", &windows(), at("2026-11-24T10:32:00Z"), &Method::Publish);
    assert!(text.ends_with("END:VCALENDAR\r\n"));
    assert!(text.split("\r\n").all(|line| line.len() <= WIDTH && !line.contains('\n')), "{text}");
    let all = properties(&text);
    let values = |name: &str| -> Vec<&str> {
        all.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("METHOD"), ["PUBLISH"]);
    assert_eq!(values("UID"), ["weekly-1@acme-prod1", "announced-1@acme-prod1", "announced-2@acme-prod1"]);
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

#[test]
fn an_invitation_names_who_invites_whom_and_what_is_called_off_cancels() {
    let method =
        Method::Invite { organizer: "ops@example.com", attendees: &["dora@example.com", "eve@example.com"] };
    for (window, expected) in windows().into_iter().zip(["REQUEST", "REQUEST", "CANCEL"]) {
        let all = properties(&calendar("acme-prod1", &[window], at("2026-11-24T10:32:00Z"), &method));
        let value = |name: &str| all.iter().filter(|(key, _)| key.split(';').next() == Some(name)).count();
        assert!(all.contains(&("METHOD".into(), expected.into())), "{all:?}");
        assert!(all.contains(&("ORGANIZER".into(), "mailto:ops@example.com".into())), "{all:?}");
        assert_eq!(value("ATTENDEE"), 2, "{all:?}");
        assert_eq!(value("SEQUENCE"), 1);
    }
}
