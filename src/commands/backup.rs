//! `backup:create`, `backup:list`, `backup:window`. `backup:restore` has a file of its own.

use std::time::Duration;

use clap::Parser;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use orocloud_protocol::Label;
use orocloud_protocol::backup::{self, PastRestore, PointOnWindow, RecoveryPoint, Stretch, WindowAnswer};

use super::call::carry_out;
use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, ListArgs, OperationArgs, duration, moment};
use crate::output::progress::bytes;
use crate::output::table::{Column, column, draw};
use crate::output::{Format, Style, Ui};

/// Take a recovery point now
///
/// Database, media and the record of the code, under one name. The environment takes one every hour by itself.
///
/// Example: orocloud-cli backup:create --label="before the import" --keep-for=30d
#[derive(Debug, Parser)]
pub struct Create {
    /// Words to find it again by: one line of at most 200 characters
    #[arg(long, value_name = "TEXT")]
    label: Option<Label>,
    /// Keep it at least so long, whatever the rule of retention says
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    keep_for: Option<Duration>,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Create {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let params = backup::CreateParams {
            label: self.label,
            keep_for: self.keep_for.map(|keep| keep.as_secs()),
            options: self.operation.options(),
        };
        carry_out::<backup::Create>(context, &params, &self.operation, |ui, point| {
            ui.line(&format!("Recovery point: {}", point.name))
        })
    }
}

/// List the recovery points, newest first
///
/// With -v also what each holds, its size, until when it is kept and when it was last verified.
#[derive(Debug, Parser)]
pub struct List {
    #[command(flatten)]
    list: ListArgs,
}

impl Run for List {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.list.chosen();
        let answer = context.query::<backup::List>(&backup::ListParams { page: self.list.page() })?;
        let long = context.ui.verbosity() > 0 || context.ui.format == Format::Csv;
        context.ui.list(&answer, &answer.items, &columns(long))?;
        if context.ui.format == Format::Table {
            // The one list whose footer the documentation shows in this shorter form.
            let environment = context.environment_label();
            context.ui.note(&format!("[{environment}] Total {} items.", answer.total));
        }
        Ok(0)
    }
}

fn columns<'a>(long: bool) -> Vec<Column<'a, RecoveryPoint>> {
    let mut columns = vec![
        column("DATE", "name", |row: &RecoveryPoint| row.name.to_string()),
        column("LABEL", "label", |row: &RecoveryPoint| {
            row.label.as_ref().map(ToString::to_string).unwrap_or_default()
        }),
    ];
    if long {
        columns.extend([
            column("WHY", "reason", |row: &RecoveryPoint| row.reason.clone()),
            column("TYPE", "kind", |row: &RecoveryPoint| row.database.kind.clone()),
            column("DATABASE", "size", |row: &RecoveryPoint| bytes(row.database.size)),
            column("STORED", "stored", |row: &RecoveryPoint| bytes(row.database.stored)),
            column("MEDIA", "media", |row: &RecoveryPoint| {
                row.media.as_ref().map(|media| bytes(media.size)).unwrap_or_default()
            }),
            column("CODE", "code", |row: &RecoveryPoint| {
                row.code.as_ref().map(|code| code.reference.to_string()).unwrap_or_default()
            }),
            column("EXPIRES", "expires_at", |row: &RecoveryPoint| {
                row.expires_at.map(moment::short).unwrap_or_default()
            }),
            column("VERIFIED", "verified_at", |row: &RecoveryPoint| {
                row.verified_at.map(moment::short).unwrap_or_default()
            }),
        ]);
    }
    columns
}

/// Show which moments can be restored to
///
/// The earliest and the latest one, gaps between them, recovery points and past restores; on a terminal also drawn as
/// one bar.
#[derive(Debug, Parser)]
pub struct Window {
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Window {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let answer = context.query::<backup::Window>(&backup::WindowParams {})?;
        show_window(&mut context.ui, &answer)?;
        Ok(0)
    }
}

fn show_window(ui: &mut Ui, answer: &WindowAnswer) -> std::io::Result<()> {
    if ui.format == Format::Json {
        return ui.json(answer);
    }
    let local = TimeZone::system();
    let (Some(earliest), Some(latest)) = (answer.earliest, answer.latest) else {
        ui.line("Nothing can be restored: there is no backup yet")?;
        ui.note("Take one: orocloud-cli backup:create");
        return Ok(());
    };
    if ui.is_seen() {
        for line in bar(answer, earliest, ui.width().min(120)) {
            ui.line(&line)?;
        }
        ui.line("")?;
    }
    ui.line(&format!("Earliest: {}", moment::in_words(earliest, &local)))?;
    let behind = answer.now.as_second().saturating_sub(latest.as_second());
    let behind = duration::about(u64::try_from(behind).unwrap_or(0));
    ui.line(&format!("Latest:   {}, {behind} ago", moment::in_words(latest, &local)))?;
    let gaps = gaps(&answer.stretches);
    for (from, until) in &gaps {
        let text = format!("Gap:      {} to {}", moment::short(*from), moment::short(*until));
        let text = ui.paint(Style::Warning, &text);
        ui.line(&text)?;
    }
    let abandoned: Vec<&Stretch> = answer.stretches.iter().filter(|stretch| !stretch.live).collect();
    if ui.verbosity() > 0 || !abandoned.is_empty() {
        let columns = [
            column("TIMELINE", "timeline", |row: &Stretch| row.timeline.to_string()),
            column("FROM", "from", |row: &Stretch| moment::short(row.from)),
            column("UNTIL", "until", |row: &Stretch| moment::short(row.until)),
            column("BRANCH", "live", |row: &Stretch| {
                if row.live { "live".to_owned() } else { "left by a restore".to_owned() }
            }),
        ];
        let text = draw(&answer.stretches, &columns, ui.table_width());
        ui.line(&text)?;
    }
    if !answer.restores.is_empty() {
        let columns = [
            column("RESTORED", "at", |row: &PastRestore| moment::short(row.at)),
            column("TO", "to", |row: &PastRestore| row.to.map_or_else(|| "undo".to_owned(), moment::short)),
            column("OPERATION", "operation", |row: &PastRestore| row.operation.to_string()),
            column("UNDO UNTIL", "undo_until", |row: &PastRestore| {
                row.undo_until.map(moment::short).unwrap_or_default()
            }),
        ];
        let text = draw(&answer.restores, &columns, ui.table_width());
        ui.line(&text)?;
    }
    let columns = [
        column("POINT", "name", |row: &PointOnWindow| row.name.to_string()),
        column("AT", "at", |row: &PointOnWindow| moment::short(row.at)),
        column("LABEL", "label", |row: &PointOnWindow| {
            row.label.as_ref().map(ToString::to_string).unwrap_or_default()
        }),
    ];
    // The newest are what one looks for; all of them stand in backup:list.
    let newest: Vec<PointOnWindow> = answer.points.iter().rev().take(10).cloned().collect();
    let text = draw(&newest, &columns, ui.table_width());
    ui.line(&text)
}

/// Moments between two stretches of one timeline that cannot be restored.
fn gaps(stretches: &[Stretch]) -> Vec<(Timestamp, Timestamp)> {
    let mut sorted: Vec<&Stretch> = stretches.iter().collect();
    sorted.sort_by_key(|stretch| (stretch.timeline, stretch.from));
    sorted
        .windows(2)
        .filter_map(|pair| match pair {
            [before, after] if before.timeline == after.timeline && before.until < after.from => {
                Some((before.until, after.from))
            }
            _ => None,
        })
        .collect()
}

/// The window as one bar, with marks under it and what they mean.
fn bar(answer: &WindowAnswer, earliest: Timestamp, width: usize) -> Vec<String> {
    let cells = width.saturating_sub(2).max(10);
    let start = earliest.as_millisecond();
    let span = (answer.now.as_millisecond() - start).max(1);
    let place = |time: Timestamp| {
        let offset = (time.as_millisecond() - start).clamp(0, span);
        usize::try_from(i128::from(offset) * (cells as i128 - 1) / i128::from(span)).unwrap_or(0)
    };
    let (mut line, mut marks) = (vec!['·'; cells], vec![' '; cells]);
    // The live branch last: where branches lie over each other, it is what a moment means.
    for live in [false, true] {
        for stretch in answer.stretches.iter().filter(|stretch| stretch.live == live) {
            let mark = if live { '█' } else { '░' };
            line[place(stretch.from)..=place(stretch.until).max(place(stretch.from))].fill(mark);
        }
    }
    for point in &answer.points {
        marks[place(point.at)] = '▲';
    }
    for restore in &answer.restores {
        marks[place(restore.at)] = 'R';
    }
    let (from, until) = (moment::short(earliest), moment::short(answer.now));
    let between = (cells + 2).saturating_sub(from.chars().count() + until.chars().count());
    let mut lines = vec![
        format!("{from}{}{until}", " ".repeat(between.max(1))),
        format!("[{}]", line.iter().collect::<String>()),
        format!(" {}", marks.iter().collect::<String>()).trim_end().to_owned(),
    ];
    let mut legend = vec!["█ can be restored", "▲ recovery point"];
    if line.contains(&'░') {
        legend.push("░ left by a restore, still there");
    }
    if line.contains(&'·') {
        legend.push("· cannot be restored");
    }
    if marks.contains(&'R') {
        legend.push("R restore");
    }
    lines.push(format!(" {}", legend.join("   ")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Manner, Terminal};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn stretch(timeline: u32, from: i64, until: i64, live: bool) -> Stretch {
        Stretch { timeline, from: at(from), until: at(until), live }
    }

    fn window() -> WindowAnswer {
        WindowAnswer {
            now: at(100),
            earliest: Some(at(0)),
            latest: Some(at(99)),
            timeline: Some(2),
            stretches: vec![stretch(1, 0, 30, true), stretch(1, 40, 60, false), stretch(2, 60, 99, true)],
            points: vec![PointOnWindow {
                name: "2026-11-24-1025".parse().unwrap(),
                at: at(20),
                label: Some("before".parse().unwrap()),
                timeline: 1,
            }],
            restores: vec![PastRestore {
                operation: "01JDFZ8T6G0000000000000000".parse().unwrap(),
                at: at(60),
                to: Some(at(30)),
                from_timeline: 1,
                to_timeline: 2,
                undo_until: None,
            }],
        }
    }

    #[test]
    fn the_window_is_one_bar() {
        let lines = bar(&window(), at(0), 52);
        assert_eq!(lines[1], "[███████████████····░░░░░░░░░░████████████████████·]");
        assert_eq!(lines[1].chars().count(), 52);
        assert_eq!(lines[2].find('▲').map(|byte| lines[2][..byte].chars().count()), Some(10));
        assert!(lines[2].ends_with('R'));
        assert_eq!(lines[0].chars().count(), 52);
        assert!(lines[3].contains("░ left by a restore") && lines[3].contains("· cannot"));
        // A window of no length, and one that is too narrow to draw, are drawn anyhow.
        let mut empty = window();
        empty.now = at(0);
        assert_eq!(bar(&empty, at(0), 0)[1].chars().count(), 12);
    }

    #[test]
    fn without_a_terminal_there_are_only_words() {
        let (mut ui, out, _) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        show_window(&mut ui, &window()).unwrap();
        let text = out.text();
        assert!(text.starts_with("Earliest: 1970-01-01T00:00:00Z"), "{text}");
        assert!(text.contains("Latest:   1970-01-01T01:39:00Z") && text.contains(", 1m ago"), "{text}");
        assert!(text.contains("Gap:      ") && text.contains("| 2026-11-24-1025 |"), "{text}");
        assert!(!text.contains('█'));

        let nothing = WindowAnswer { earliest: None, latest: None, ..window() };
        let (mut ui, out, err) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        show_window(&mut ui, &nothing).unwrap();
        assert!(out.text().contains("no backup yet") && err.text().contains("backup:create"));
    }
}
