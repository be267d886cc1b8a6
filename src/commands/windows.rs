//! `maintenance:windows`.

use clap::Parser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use orocloud_calendar::Method;
use orocloud_protocol::window::{self, ListAnswer, Window, WindowKind};
use serde::Serialize;

use super::{Context, Outcome, Run};
use crate::cli::{duration, moment};
use crate::output::table::{Column, column};
use crate::output::{Format, Ui, escape};

/// Show when the infrastructure is updated: planned and unplanned maintenance windows
///
/// The next eight weeks, in your local time and in UTC, with how long it is until each, what is done, and whether the shop
/// is interrupted. `--from` shows windows that were, with what ran in them; -v adds their ids. `--format=ical` prints a
/// calendar to subscribe with; moved and cancelled windows keep their ids.
///
/// Example: orocloud-cli maintenance:windows --format=ical > windows.ics
#[derive(Debug, Parser)]
pub struct Windows {
    /// Windows that end after this moment; default: now
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Windows that begin before this moment; default: eight weeks later
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// `table` for people, `json` or `csv` for scripts, `ical` for calendars
    #[arg(long, value_name = "FORMAT", default_value = "table", value_enum, hide_possible_values = true)]
    format: WindowFormat,
    /// The same as --format=json
    #[arg(long)]
    json: bool,
}

/// How windows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WindowFormat {
    /// For people.
    Table,
    /// The call's own answer.
    Json,
    /// For spreadsheets.
    Csv,
    /// RFC 5545.
    Ical,
}

impl Run for Windows {
    fn run(self, context: &mut Context) -> Outcome {
        let format = if self.json { WindowFormat::Json } else { self.format };
        context.ui.format = match format {
            WindowFormat::Json => Format::Json,
            WindowFormat::Csv => Format::Csv,
            WindowFormat::Table | WindowFormat::Ical => Format::Table,
        };
        let local = TimeZone::system();
        let moment = |option: &str, text: &Option<String>| {
            text.as_ref().map(|text| moment::parse(option, text, &local)).transpose()
        };
        let params = window::ListParams {
            from: moment("--from", &self.from)?,
            until: moment("--until", &self.until)?,
        };
        let answer = context.query::<window::List>(&params)?;
        if format == WindowFormat::Ical {
            let environment = context.environment_label();
            let mut windows = answer.items;
            for window in &mut windows {
                window.work = escape::strip(&window.work);
            }
            let calendar = orocloud_calendar::calendar(&environment, &windows, answer.now, &Method::Publish);
            context.ui.line(calendar.trim_end_matches('\n'))?;
        } else {
            show(&mut context.ui, answer, &local)?;
        }
        Ok(0)
    }
}

/// The call's answer, and what the reader's clock makes of it: JSON has everything that the table has.
#[derive(Serialize)]
struct Seen {
    now: Timestamp,
    from: Timestamp,
    until: Timestamp,
    items: Vec<SeenWindow>,
}

/// A window as a reader sees it.
#[derive(Serialize)]
struct SeenWindow {
    #[serde(flatten)]
    window: Window,
    /// Its begin in the reader's zone.
    starts_at_local: Zoned,
    /// Its end in the reader's zone.
    ends_at_local: Zoned,
    /// How long it is until then, or what became of it, in words.
    r#in: String,
    /// The same in seconds; below zero once it has begun.
    in_seconds: i64,
}

impl Seen {
    fn of(answer: ListAnswer, local: &TimeZone) -> Self {
        let ListAnswer { now, from, until, items } = answer;
        let items = items.into_iter().map(|window| SeenWindow {
            starts_at_local: window.starts_at.to_zoned(local.clone()),
            ends_at_local: window.ends_at.to_zoned(local.clone()),
            r#in: countdown(&window, now),
            in_seconds: window.starts_at.duration_since(now).as_secs(),
            window,
        });
        Self { now, from, until, items: items.collect() }
    }
}

fn show(ui: &mut Ui, answer: ListAnswer, local: &TimeZone) -> std::io::Result<()> {
    if ui.format == Format::Table && answer.items.is_empty() {
        return ui.line(&format!(
            "No maintenance window between {} and {}",
            in_zone(&answer.from.to_zoned(local.clone())),
            in_zone(&answer.until.to_zoned(local.clone()))
        ));
    }
    if ui.format == Format::Table && ui.is_seen() {
        for line in weeks(&answer, local) {
            ui.line(&line)?;
        }
        ui.line("")?;
    }
    let format = ui.format;
    let ran = answer.items.iter().any(|window| !window.operations.is_empty());
    let mut columns: Vec<Column<'_, SeenWindow>> = vec![
        column("BEGIN", "starts_at_local", |row: &SeenWindow| in_zone(&row.starts_at_local)),
        column("END", "ends_at_local", |row: &SeenWindow| in_zone(&row.ends_at_local)),
        column("UTC", "starts_at", move |row: &SeenWindow| match format {
            Format::Csv => row.window.starts_at.to_string(),
            Format::Table | Format::Json => row.window.starts_at.strftime("%Y-%m-%d %H:%M").to_string(),
        }),
        column("IN", "in", |row: &SeenWindow| row.r#in.clone()),
        column("KIND", "kind", |row: &SeenWindow| row.window.kind.as_str().to_owned()),
        column("WORK", "work", |row: &SeenWindow| escape::strip(&row.window.work)),
        column("SHOP", "interrupts", |row: &SeenWindow| {
            if row.window.interrupts { "is interrupted" } else { "stays up" }.to_owned()
        }),
    ];
    if ran || ui.verbosity() > 0 || ui.format == Format::Csv {
        columns.push(column("RAN IN IT", "operations", |row: &SeenWindow| {
            let ran = row.window.operations.iter();
            let ran = ran.map(|ran| format!("{} {}", ran.id, escape::strip(&ran.command)));
            ran.collect::<Vec<_>>().join("\n")
        }));
    }
    if ui.verbosity() > 0 || ui.format == Format::Csv {
        columns.push(column("ID", "uid", |row: &SeenWindow| escape::strip(&row.window.uid)));
    }
    let seen = Seen::of(answer, local);
    ui.list(&seen, &seen.items, &columns)
}

/// What is said whenever a window is open.
pub fn notice(window: &Window, local: &TimeZone) -> String {
    let shop = if window.interrupts { "; the shop is interrupted" } else { "" };
    let work = escape::strip(&window.work);
    format!(
        "A maintenance window is open until {}: {work}{shop}",
        in_zone(&window.ends_at.to_zoned(local.clone()))
    )
}

fn in_zone(moment: &Zoned) -> String {
    moment.strftime("%a %Y-%m-%d %H:%M %:z").to_string()
}

/// How long it is until a window, or what became of it.
fn countdown(window: &Window, now: Timestamp) -> String {
    let about = |duration: SignedDuration| duration::about(u64::try_from(duration.as_secs()).unwrap_or(0));
    if window.cancelled {
        "cancelled".to_owned()
    } else if window.ends_at <= now {
        "was".to_owned()
    } else if window.starts_at <= now {
        format!("now, {} left", about(window.ends_at.duration_since(now)))
    } else {
        about(window.starts_at.duration_since(now))
    }
}

/// So many weeks are drawn.
const WEEKS: usize = 9;
/// Hours of a cell.
const CELL: i64 = 3;

/// One line a week, on the wall clock of the reader.
fn weeks(answer: &ListAnswer, local: &TimeZone) -> Vec<String> {
    let begin = |day: jiff::civil::Date, hour: i64| {
        day.to_datetime(jiff::civil::Time::midnight())
            .checked_add(hour.hours())
            .ok()
            .and_then(|wall| wall.to_zoned(local.clone()).ok())
            .map(|zoned: Zoned| zoned.timestamp())
    };
    let first = answer.from.to_zoned(local.clone()).date();
    let mut monday = first.saturating_sub(i64::from(first.weekday().to_monday_zero_offset()).days());
    let mut lines = vec![
        format!(
            "        {}",
            ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].map(|day| format!("{day:<8}")).concat()
        )
        .trim_end()
        .to_owned(),
    ];
    for _ in 0..WEEKS {
        let mut cells = String::new();
        for cell in 0..(7 * 24 / CELL) {
            let (Some(from), Some(until)) = (begin(monday, cell * CELL), begin(monday, (cell + 1) * CELL))
            else {
                continue;
            };
            let in_it =
                |window: &&Window| !window.cancelled && window.starts_at < until && window.ends_at > from;
            cells.push(
                match answer
                    .items
                    .iter()
                    .filter(in_it)
                    .max_by_key(|window| (window.kind != WindowKind::Planned, window.interrupts))
                {
                    Some(window) if window.kind != WindowKind::Planned => '▲',
                    Some(window) if window.interrupts => '█',
                    Some(_) => '▒',
                    None if from <= answer.now && answer.now < until => '|',
                    None => '·',
                },
            );
        }
        lines.push(format!("{}  {cells}", monday.strftime("%e %b")));
        monday = monday.saturating_add(7.days());
        if begin(monday, 0).is_none_or(|next| next >= answer.until) {
            break;
        }
    }
    lines.push("        ▒ planned   █ planned, the shop is interrupted   ▲ unplanned   | now".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Manner, Terminal};

    fn answer() -> ListAnswer {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
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
        moved.work = "OpenSSL; \u{1b}[31mbackslash \\, comma, and words enough to make this line longer than a line of a calendar may be, ґанок".into();
        moved.sequence = 2;
        moved.interrupts = true;
        moved.changed_at = Some(at("2026-11-24T10:00:00Z"));
        let mut cancelled =
            window("announced-2", WindowKind::Performance, "2026-11-27T00:00:00Z", "2026-11-27T01:00:00Z");
        cancelled.cancelled = true;
        cancelled.sequence = 1;
        ListAnswer {
            now: at("2026-11-24T10:32:00Z"),
            from: at("2026-11-24T10:32:00Z"),
            until: at("2026-12-05T00:00:00Z"),
            items: vec![
                window("weekly-1", WindowKind::Planned, "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"),
                moved,
                cancelled,
            ],
        }
    }

    #[test]
    fn windows_are_shown_in_local_time_and_utc_with_a_countdown() {
        let (mut ui, out, _) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        show(&mut ui, answer(), &TimeZone::get("Europe/Kyiv").unwrap()).unwrap();
        let text = out.text();
        assert!(text.contains("Thu 2026-11-26 00:00 +02:00"), "{text}");
        assert!(text.contains("| 2026-11-25 22:00 |"), "{text}");
        assert!(text.contains("now, 28m left") && text.contains("1d 11h"), "{text}");
        assert!(text.contains("is interrupted") && text.contains("cancelled"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('▒'), "{text}");
        // JSON has whatever a cell has.
        let (mut ui, out, _) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        ui.format = Format::Json;
        show(&mut ui, answer(), &TimeZone::get("Europe/Kyiv").unwrap()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&out.text()).unwrap();
        let moved = &json["items"][1];
        assert_eq!(moved["starts_at_local"], "2026-11-26T00:00:00+02:00[Europe/Kyiv]", "{json}");
        assert_eq!(moved["ends_at_local"], "2026-11-26T01:00:00+02:00[Europe/Kyiv]", "{json}");
        assert_eq!((&moved["starts_at"], &moved["in"]), (&"2026-11-25T22:00:00Z".into(), &"1d 11h".into()));
        assert_eq!((&moved["in_seconds"], &moved["interrupts"]), (&127_680.into(), &true.into()), "{json}");
        assert_eq!((&moved["kind"], &moved["sequence"]), (&"security".into(), &2.into()), "{json}");
        let kyiv = TimeZone::get("Europe/Kyiv").unwrap();
        assert_eq!(
            notice(&answer().items[0], &kyiv),
            "A maintenance window is open until Tue 2026-11-24 13:00 +02:00: updates"
        );
    }

    /// The same windows as in the table of the agent's rules, as readers in their zone see them: three zones, both
    /// changes of the clocks, before, across and after. What is expected is what Python's zoneinfo says.
    #[test]
    fn readers_see_their_wall_clock_through_changes_of_the_clocks() {
        for (zone, starts_at, minutes, expected) in [
            (
                "Europe/Kyiv",
                "2026-03-28T00:30Z",
                120,
                "Sat 2026-03-28 02:30 +02:00 – Sat 2026-03-28 04:30 +02:00",
            ),
            (
                "Europe/Kyiv",
                "2026-03-29T00:30Z",
                120,
                "Sun 2026-03-29 02:30 +02:00 – Sun 2026-03-29 05:30 +03:00",
            ),
            (
                "Europe/Kyiv",
                "2026-03-29T01:30Z",
                60,
                "Sun 2026-03-29 04:30 +03:00 – Sun 2026-03-29 05:30 +03:00",
            ),
            (
                "Europe/Kyiv",
                "2026-03-29T23:30Z",
                120,
                "Mon 2026-03-30 02:30 +03:00 – Mon 2026-03-30 04:30 +03:00",
            ),
            (
                "Europe/Kyiv",
                "2026-10-23T23:30Z",
                120,
                "Sat 2026-10-24 02:30 +03:00 – Sat 2026-10-24 04:30 +03:00",
            ),
            (
                "Europe/Kyiv",
                "2026-10-24T23:30Z",
                120,
                "Sun 2026-10-25 02:30 +03:00 – Sun 2026-10-25 03:30 +02:00",
            ),
            (
                "Europe/Kyiv",
                "2026-10-25T00:30Z",
                60,
                "Sun 2026-10-25 03:30 +03:00 – Sun 2026-10-25 03:30 +02:00",
            ),
            (
                "Europe/Kyiv",
                "2026-10-26T00:30Z",
                120,
                "Mon 2026-10-26 02:30 +02:00 – Mon 2026-10-26 04:30 +02:00",
            ),
            (
                "America/New_York",
                "2026-03-07T06:30Z",
                120,
                "Sat 2026-03-07 01:30 -05:00 – Sat 2026-03-07 03:30 -05:00",
            ),
            (
                "America/New_York",
                "2026-03-08T06:30Z",
                120,
                "Sun 2026-03-08 01:30 -05:00 – Sun 2026-03-08 04:30 -04:00",
            ),
            (
                "America/New_York",
                "2026-03-08T07:30Z",
                60,
                "Sun 2026-03-08 03:30 -04:00 – Sun 2026-03-08 04:30 -04:00",
            ),
            (
                "America/New_York",
                "2026-03-09T05:30Z",
                120,
                "Mon 2026-03-09 01:30 -04:00 – Mon 2026-03-09 03:30 -04:00",
            ),
            (
                "America/New_York",
                "2026-10-31T04:30Z",
                120,
                "Sat 2026-10-31 00:30 -04:00 – Sat 2026-10-31 02:30 -04:00",
            ),
            (
                "America/New_York",
                "2026-11-01T04:30Z",
                120,
                "Sun 2026-11-01 00:30 -04:00 – Sun 2026-11-01 01:30 -05:00",
            ),
            (
                "America/New_York",
                "2026-11-01T05:30Z",
                60,
                "Sun 2026-11-01 01:30 -04:00 – Sun 2026-11-01 01:30 -05:00",
            ),
            (
                "America/New_York",
                "2026-11-02T05:30Z",
                120,
                "Mon 2026-11-02 00:30 -05:00 – Mon 2026-11-02 02:30 -05:00",
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-02T15:15Z",
                120,
                "Sat 2026-10-03 01:45 +10:30 – Sat 2026-10-03 03:45 +10:30",
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-03T15:15Z",
                120,
                "Sun 2026-10-04 01:45 +10:30 – Sun 2026-10-04 04:15 +11:00",
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-03T15:45Z",
                60,
                "Sun 2026-10-04 02:45 +11:00 – Sun 2026-10-04 03:45 +11:00",
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-04T14:45Z",
                120,
                "Mon 2026-10-05 01:45 +11:00 – Mon 2026-10-05 03:45 +11:00",
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-03T14:15Z",
                120,
                "Sat 2026-04-04 01:15 +11:00 – Sat 2026-04-04 03:15 +11:00",
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-04T14:15Z",
                120,
                "Sun 2026-04-05 01:15 +11:00 – Sun 2026-04-05 02:45 +10:30",
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-04T14:45Z",
                60,
                "Sun 2026-04-05 01:45 +11:00 – Sun 2026-04-05 02:15 +10:30",
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-05T14:45Z",
                120,
                "Mon 2026-04-06 01:15 +10:30 – Mon 2026-04-06 03:15 +10:30",
            ),
        ] {
            let (zone, starts_at) = (TimeZone::get(zone).unwrap(), starts_at.parse::<Timestamp>().unwrap());
            let mut answer = answer();
            answer.now = starts_at - SignedDuration::from_hours(48);
            answer.items.truncate(1);
            answer.items[0].starts_at = starts_at;
            answer.items[0].ends_at = starts_at + SignedDuration::from_mins(minutes);
            let (mut ui, out, _) = Ui::captured(Terminal::default(), Manner::default(), &[]);
            show(&mut ui, answer, &zone).unwrap();
            let row = out.text().lines().find(|line| line.contains("updates")).unwrap().to_owned();
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            assert_eq!(format!("{} – {}", cells[1], cells[2]), expected);
            assert_eq!(cells[3], starts_at.strftime("%Y-%m-%d %H:%M").to_string());
            assert_eq!(cells[4], "2d", "days have 24 hours in a countdown");
        }
    }

    #[test]
    fn the_weeks_are_drawn_on_the_readers_wall_clock() {
        let lines = weeks(&answer(), &TimeZone::get("Europe/Kyiv").unwrap());
        // From Monday 23rd; now and the window are in Tuesday's fifth cell, the unplanned one in Thursday's first.
        assert_eq!(
            lines[1],
            format!("23 Nov  {}", "············▒···········▲·······························".to_owned())
        );
        assert_eq!(lines.len(), 4, "{lines:#?}");
        assert!(lines[2].starts_with("30 Nov  ·"));
    }
}
