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

/// Begins and ends, without the year and the seconds.
fn windows(window: &PlannedWindow, from: &str, until: &str) -> Vec<String> {
    let short = |moment: Timestamp| moment.strftime("%m-%dT%H:%M").to_string();
    window
        .between("acme-prod1", at(from), at(until))
        .unwrap()
        .iter()
        .map(|window| format!("{} {}", short(window.starts_at), short(window.ends_at)))
        .collect()
}

/// Three zones, on both sides of the equator and one whose clocks change by half an hour, times both changes of a
/// year; windows before, across and after each.
#[test]
fn windows_keep_to_the_wall_clock_through_changes_of_the_clocks() {
    const KYIV: &str = "Europe/Kyiv";
    const NEW_YORK: &str = "America/New_York";
    const LORD_HOWE: &str = "Australia/Lord_Howe";
    for (zone, first, minutes, from, until, expected) in [
        // Spring in Kyiv, 29 March: 03:00 becomes 04:00. The window at 02:30 runs across it, 90 minutes.
        (
            KYIV,
            "2026-03-28T02:30",
            90,
            "2026-03-28T00:00Z",
            "2026-03-31T00:00Z",
            &[
                "03-28T00:30 03-28T02:00",
                "03-29T00:30 03-29T02:00",
                "03-29T23:30 03-30T01:00",
                "03-30T23:30 03-31T01:00",
            ][..],
        ),
        // A begin that is skipped is as much later as the clocks skip.
        (
            KYIV,
            "2026-03-28T03:30",
            60,
            "2026-03-28T12:00Z",
            "2026-03-30T12:00Z",
            &["03-29T01:30 03-29T02:30", "03-30T00:30 03-30T01:30"],
        ),
        // Autumn, 25 October: 04:00 becomes 03:00. What is repeated begins the first time.
        (
            KYIV,
            "2026-10-24T03:30",
            120,
            "2026-10-24T00:00Z",
            "2026-10-26T12:00Z",
            &["10-24T00:30 10-24T02:30", "10-25T00:30 10-25T02:30", "10-26T01:30 10-26T03:30"],
        ),
        // 8 March and 1 November.
        (
            NEW_YORK,
            "2026-03-07T01:30",
            60,
            "2026-03-07T00:00Z",
            "2026-03-10T00:00Z",
            &["03-07T06:30 03-07T07:30", "03-08T06:30 03-08T07:30", "03-09T05:30 03-09T06:30"],
        ),
        (
            NEW_YORK,
            "2026-10-31T01:30",
            60,
            "2026-10-31T00:00Z",
            "2026-11-03T00:00Z",
            &["10-31T05:30 10-31T06:30", "11-01T05:30 11-01T06:30", "11-02T06:30 11-02T07:30"],
        ),
        // In the south clocks go back on 5 April and forward on 4 October, here by half an hour.
        (
            LORD_HOWE,
            "2026-04-04T01:45",
            30,
            "2026-04-03T00:00Z",
            "2026-04-06T00:00Z",
            &["04-03T14:45 04-03T15:15", "04-04T14:45 04-04T15:15", "04-05T15:15 04-05T15:45"],
        ),
        (
            LORD_HOWE,
            "2026-10-03T02:15",
            30,
            "2026-10-02T00:00Z",
            "2026-10-05T00:00Z",
            &["10-02T15:45 10-02T16:15", "10-03T15:45 10-03T16:15", "10-04T15:15 10-04T15:45"],
        ),
    ] {
        let window = window(zone, first, "FREQ=DAILY", minutes);
        assert_eq!(windows(&window, from, until), expected, "{zone} {first}");
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
