//! `maintenance:windows`.

mod ical;

use clap::Parser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use orocloud_protocol::window::{self, ListAnswer, Window, WindowKind};

use super::{Context, Outcome, Run};
use crate::cli::{duration, moment};
use crate::output::table::{Column, column};
use crate::output::{Format, Ui, escape};

/// Show when the infrastructure is updated: planned and unplanned maintenance windows
///
/// The next eight weeks, in your local time and in UTC, with how long it is until each, what is done, and whether the shop
/// is interrupted. Windows that were are shown with what ran in them: -v. `--format=ical` prints a calendar to subscribe
/// with; moved and cancelled windows keep their ids.
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
            context.ui.line(ical::calendar(&environment, &answer).trim_end_matches('\n'))?;
        } else {
            show(&mut context.ui, &answer, &local)?;
        }
        Ok(0)
    }
}

fn show(ui: &mut Ui, answer: &ListAnswer, local: &TimeZone) -> std::io::Result<()> {
    if ui.format == Format::Table && answer.items.is_empty() {
        return ui.line(&format!(
            "No maintenance window between {} and {}",
            in_zone(answer.from, local),
            in_zone(answer.until, local)
        ));
    }
    if ui.format == Format::Table && ui.is_seen() {
        for line in weeks(answer, local) {
            ui.line(&line)?;
        }
        ui.line("")?;
    }
    let now = answer.now;
    let mut columns: Vec<Column<'_, Window>> = vec![
        column("BEGIN", "starts_at", |row: &Window| in_zone(row.starts_at, local)),
        column("END", "ends_at", |row: &Window| in_zone(row.ends_at, local)),
        column("UTC", "starts_at_utc", |row: &Window| row.starts_at.strftime("%Y-%m-%d %H:%M").to_string()),
        column("IN", "in", |row: &Window| countdown(row, now)),
        column("KIND", "kind", |row: &Window| row.kind.as_str().to_owned()),
        column("WORK", "work", |row: &Window| escape::strip(&row.work)),
        column("SHOP", "interrupts", |row: &Window| {
            if row.interrupts { "is interrupted" } else { "stays up" }.to_owned()
        }),
    ];
    if ui.verbosity() > 0 || ui.format == Format::Csv {
        columns.push(column("RAN IN IT", "operations", |row: &Window| {
            let ran = row.operations.iter().map(|ran| format!("{} {}", ran.id, escape::strip(&ran.command)));
            ran.collect::<Vec<_>>().join("\n")
        }));
        columns.push(column("ID", "uid", |row: &Window| escape::strip(&row.uid)));
    }
    ui.list(answer, &answer.items, &columns)?;
    if let Some(open) = answer.items.iter().find(|window| window.holds(now)) {
        ui.note(&format!("A maintenance window is open until {}.", in_zone(open.ends_at, local)));
    }
    Ok(())
}

fn in_zone(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %:z").to_string()
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
pub(super) mod tests {
    use super::*;
    use crate::output::{Manner, Terminal};

    pub(crate) fn answer() -> ListAnswer {
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
        let (mut ui, out, err) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        show(&mut ui, &answer(), &TimeZone::get("Europe/Kyiv").unwrap()).unwrap();
        let text = out.text();
        assert!(text.contains("Thu 2026-11-26 00:00 +02:00"), "{text}");
        assert!(text.contains("| 2026-11-25 22:00 |"), "{text}");
        assert!(text.contains("now, 28m left") && text.contains("1d 11h"), "{text}");
        assert!(text.contains("is interrupted") && text.contains("cancelled"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('▒'), "{text}");
        assert!(err.text().contains("open until Tue 2026-11-24 13:00 +02:00"), "{}", err.text());
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
