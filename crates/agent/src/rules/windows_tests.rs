//! Cases of recurrence and of changes of the clocks.

use super::*;

fn window(zone: &str, first: &str, rule: &str, minutes: u32) -> PlannedWindow {
    PlannedWindow {
        name: "updates".into(),
        rule: rule.into(),
        first: first.parse().unwrap(),
        zone: zone.into(),
        minutes,
        work: "updates".into(),
        interrupts: false,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Begin and end, without the year and the seconds.
fn shown(window: &Window) -> String {
    let short = |moment: Timestamp| moment.strftime("%m-%dT%H:%M").to_string();
    format!("{} {}", short(window.starts_at), short(window.ends_at))
}

fn windows(window: &PlannedWindow, from: &str, until: &str) -> Vec<String> {
    window.between("acme-prod1", at(from), at(until)).unwrap().iter().map(shown).collect()
}

/// Three zones, on both sides of the equator and one whose clocks change by half an hour, times both changes of a year,
/// times windows before, across and after each, and one whose begin the clocks skip or repeat. Begin and end in UTC are
/// what Python's zoneinfo and dateutil say.
#[test]
fn windows_keep_to_the_wall_clock_through_changes_of_the_clocks() {
    const KYIV: &str = "Europe/Kyiv";
    const NEW_YORK: &str = "America/New_York";
    const LORD_HOWE: &str = "Australia/Lord_Howe";
    for (zone, clocks, place, wall, minutes, expected) in [
        (KYIV, "forward", "before", "2026-03-28T02:30", 120, "03-28T00:30 03-28T02:30"),
        (KYIV, "forward", "across", "2026-03-29T02:30", 120, "03-29T00:30 03-29T02:30"),
        (KYIV, "forward", "skipped", "2026-03-29T03:30", 60, "03-29T01:30 03-29T02:30"),
        (KYIV, "forward", "after", "2026-03-30T02:30", 120, "03-29T23:30 03-30T01:30"),
        (KYIV, "back", "before", "2026-10-24T02:30", 120, "10-23T23:30 10-24T01:30"),
        (KYIV, "back", "across", "2026-10-25T02:30", 120, "10-24T23:30 10-25T01:30"),
        (KYIV, "back", "repeated", "2026-10-25T03:30", 60, "10-25T00:30 10-25T01:30"),
        (KYIV, "back", "after", "2026-10-26T02:30", 120, "10-26T00:30 10-26T02:30"),
        (NEW_YORK, "forward", "before", "2026-03-07T01:30", 120, "03-07T06:30 03-07T08:30"),
        (NEW_YORK, "forward", "across", "2026-03-08T01:30", 120, "03-08T06:30 03-08T08:30"),
        (NEW_YORK, "forward", "skipped", "2026-03-08T02:30", 60, "03-08T07:30 03-08T08:30"),
        (NEW_YORK, "forward", "after", "2026-03-09T01:30", 120, "03-09T05:30 03-09T07:30"),
        (NEW_YORK, "back", "before", "2026-10-31T00:30", 120, "10-31T04:30 10-31T06:30"),
        (NEW_YORK, "back", "across", "2026-11-01T00:30", 120, "11-01T04:30 11-01T06:30"),
        (NEW_YORK, "back", "repeated", "2026-11-01T01:30", 60, "11-01T05:30 11-01T06:30"),
        (NEW_YORK, "back", "after", "2026-11-02T00:30", 120, "11-02T05:30 11-02T07:30"),
        (LORD_HOWE, "forward", "before", "2026-10-03T01:45", 120, "10-02T15:15 10-02T17:15"),
        (LORD_HOWE, "forward", "across", "2026-10-04T01:45", 120, "10-03T15:15 10-03T17:15"),
        (LORD_HOWE, "forward", "skipped", "2026-10-04T02:15", 60, "10-03T15:45 10-03T16:45"),
        (LORD_HOWE, "forward", "after", "2026-10-05T01:45", 120, "10-04T14:45 10-04T16:45"),
        (LORD_HOWE, "back", "before", "2026-04-04T01:15", 120, "04-03T14:15 04-03T16:15"),
        (LORD_HOWE, "back", "across", "2026-04-05T01:15", 120, "04-04T14:15 04-04T16:15"),
        (LORD_HOWE, "back", "repeated", "2026-04-05T01:45", 60, "04-04T14:45 04-04T15:45"),
        (LORD_HOWE, "back", "after", "2026-04-06T01:15", 120, "04-05T14:45 04-05T16:45"),
    ] {
        // It has come every day for a week.
        let wall_begin: DateTime = wall.parse().unwrap();
        let first = wall_begin.checked_sub(7.days()).unwrap().to_string();
        let daily = window(zone, &first, "FREQ=DAILY", minutes);
        let found = daily.between("acme-prod1", at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z")).unwrap();
        let uid = format!("updates-{}@acme-prod1", wall_begin.strftime("%Y%m%dT%H%M%S"));
        let one: Vec<&Window> = found.iter().filter(|window| window.uid == uid).collect();
        assert_eq!(one.len(), 1, "{zone} {clocks} {place}");
        assert_eq!(shown(one[0]), expected, "{zone} {clocks} {place}");
    }
}

#[test]
fn rules_are_followed_to_their_end() {
    let (from, until) = ("2026-01-01T00:00Z", "2027-01-01T00:00Z");
    for (rule, count, last) in [
        ("FREQ=WEEKLY;BYDAY=SU;COUNT=3", 3, "01-18T02:00 "),
        ("FREQ=WEEKLY;BYDAY=SU;UNTIL=20260118T020000Z", 3, "01-18T02:00 "),
        ("FREQ=WEEKLY;BYDAY=SU;UNTIL=20260118T015959Z", 2, "01-11T02:00 "),
        ("FREQ=WEEKLY;BYDAY=SU;UNTIL=20260118", 3, "01-18T02:00 "),
        ("FREQ=MONTHLY;BYDAY=-1SU", 12, "12-27T02:00 "),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU", 26, "12-20T02:00 "),
        ("FREQ=YEARLY", 1, "01-04T02:00 "),
    ] {
        let found = windows(&window("UTC", "2026-01-04T02:00", rule, 60), from, until);
        assert_eq!(found.len(), count, "{rule}: {found:?}");
        assert!(found[count - 1].starts_with(last), "{rule}: {found:?}");
    }
    // One that has begun and not ended is still to be seen.
    let long = window("UTC", "2026-01-04T02:00", "FREQ=WEEKLY", 180);
    assert_eq!(windows(&long, "2026-01-04T04:59:59Z", "2026-01-05T00:00Z").len(), 1);
    assert_eq!(windows(&long, "2026-01-04T05:00Z", "2026-01-05T00:00Z").len(), 0);
}

#[test]
fn a_wrong_window_is_named_with_what_is_wrong() {
    let good = window("Europe/Kyiv", "2026-01-04T02:00", "FREQ=WEEKLY;BYDAY=SU", 60);
    good.check().unwrap();
    for (window, expected) in [
        (PlannedWindow { zone: "Europe/Nowhere".into(), ..good.clone() }, "no IANA time zone"),
        (PlannedWindow { rule: "WEEKLY".into(), ..good.clone() }, "is not valid"),
        (PlannedWindow { rule: "FREQ=SECONDLY".into(), ..good.clone() }, "none of DAILY"),
        (PlannedWindow { rule: "FREQ=DAILY\nRRULE:FREQ=DAILY".into(), ..good.clone() }, "blanks"),
        (PlannedWindow { rule: "FREQ=DAILY;UNTIL=tomorrow".into(), ..good.clone() }, "no time"),
        (PlannedWindow { minutes: 0, ..good.clone() }, "minutes"),
        (PlannedWindow { name: "A b".into(), ..good.clone() }, "name must be"),
        (PlannedWindow { work: "a\nb".into(), ..good.clone() }, "one line"),
    ] {
        let error = window.check().unwrap_err();
        assert!(error.contains(expected) && error.contains("[[window]]"), "{error}");
    }
}

#[test]
fn a_window_is_read_from_the_configuration() {
    let text = "name = \"updates\"\nrule = \"FREQ=WEEKLY;BYDAY=SU\"\nfirst = \"2026-01-04T02:00\"\n\
                zone = \"Europe/Kyiv\"\nminutes = 120\nwork = \"updates\"\n";
    let read: PlannedWindow = toml::from_str(text).unwrap();
    assert_eq!(read, window("Europe/Kyiv", "2026-01-04T02:00", "FREQ=WEEKLY;BYDAY=SU", 120));
    assert!(toml::from_str::<PlannedWindow>(&format!("{text}colour = \"red\"\n")).is_err());
}

#[test]
fn what_would_run_into_a_window_is_found() {
    let daily = window("UTC", "2026-01-04T02:00", "FREQ=DAILY", 60);
    let mut windows = daily.between("e", at("2026-01-04T00:00Z"), at("2026-01-06T00:00Z")).unwrap();
    let minutes = SignedDuration::from_mins;
    assert!(runs_into(&windows, at("2026-01-04T01:00Z"), minutes(59)).is_none());
    assert!(runs_into(&windows, at("2026-01-04T01:00Z"), minutes(60)).is_some());
    assert!(runs_into(&windows, at("2026-01-04T02:59Z"), minutes(1)).is_some(), "in the middle of it");
    assert!(runs_into(&windows, at("2026-01-04T03:00Z"), minutes(1)).is_none());
    windows[0].cancelled = true;
    assert!(runs_into(&windows, at("2026-01-04T02:30Z"), minutes(1)).is_none());
}
