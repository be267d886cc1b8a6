//! `log:tail`, `log:sources`, `log:list`, `log:view`.

use std::io;

use clap::Parser;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use orocloud_protocol::log::{self, Level, LogSource};
use orocloud_protocol::operation::OperationSummary;
use orocloud_protocol::{CallError, CallId, Event, EventBody, NodeName, NoteLevel, SourceName, StepOutcome};

use super::call::{Streamed, still_running};
use super::entries::Entries;
use super::operation::{outcome, state};
use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, ListArgs, duration, moment};
use crate::connection::Resume;
use crate::output::progress::{Progress, bytes};
use crate::output::table::column;
use crate::output::{Format, Ui, escape};

/// Follow logs of all nodes, merged by time
///
/// Shows the last entries and goes on until Ctrl-C. Continues by itself after a lost connection; a gap and a node that
/// is away are marked on stderr. With --json each entry is a line of JSON.
///
/// Examples: orocloud-cli log:tail app nginx --lines=20
///           orocloud-cli log:tail app --since=15m --level=error --no-follow
///           orocloud-cli log:tail app --until-match='cache warmed'
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
pub struct Tail {
    /// Logs to show, as log:sources names them; none means all
    #[arg(value_name = "SOURCE")]
    sources: Vec<SourceName>,
    /// How many of the last entries to begin with; default: 10, or all since --since
    #[arg(long, value_name = "NUMBER")]
    lines: Option<u64>,
    /// Only entries from this moment on; a moment, or a time ago like 15m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only entries before this moment, and no following beyond it
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only from this node; may be given several times
    #[arg(long, value_name = "NODE")]
    node: Vec<NodeName>,
    /// Only entries that match this regular expression
    #[arg(long, value_name = "REGEX")]
    grep: Option<String>,
    /// Only entries of this level or a worse one: debug, info, notice, warning, error, critical
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level: Option<Level>,
    /// Show what there is and end
    #[arg(long)]
    no_follow: bool,
    /// End with exit code 0 as soon as an entry matches; exit code 1 when none did
    #[arg(long, value_name = "REGEX")]
    until_match: Option<String>,
    /// One line of JSON an entry
    #[arg(long)]
    json: bool,
}

fn level(text: &str) -> Result<Level, String> {
    serde_json::from_value(serde_json::Value::String(text.to_ascii_lowercase()))
        .map_err(|_| "expected debug, info, notice, warning, error or critical".to_owned())
}

/// A moment, or how long ago.
fn since(option: &str, text: &str, now: Timestamp) -> Result<Timestamp, CallError> {
    if let Ok(ago) = duration::parse(text)
        && let Ok(time) = now.checked_sub(ago)
    {
        return Ok(time);
    }
    moment::parse(option, text, &TimeZone::system())
}

impl Run for Tail {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = if self.json { Format::Json } else { Format::Table };
        let now = Timestamp::now();
        let at = |option, text: Option<&String>| text.map(|text| since(option, text, now)).transpose();
        let params = log::TailParams {
            sources: self.sources,
            nodes: self.node,
            lines: self.lines,
            since: at("--since", self.since.as_ref())?,
            until: at("--until", self.until.as_ref())?,
            grep: self.grep,
            level: self.level,
            follow: !self.no_follow && self.until.is_none(),
            until_match: self.until_match,
            after_cursor: None,
            // JSON has each entry with its cursor.
            packed: !self.json,
        };
        let wants_match = params.until_match.is_some();
        let mut entries = Entries::new();
        let show = move |ui: &mut Ui, event: &Event| show_entry(&mut entries, ui, event);
        match context.stream::<log::Tail>(&params, Resume::Cursor, 0, None, show)? {
            Streamed::Answer(answer) if wants_match && !answer.matched => {
                Err(CallError::failed("no entry matched --until-match")
                    .hint("look without it: orocloud-cli log:tail --no-follow --lines=100")
                    .into())
            }
            _ => Ok(0),
        }
    }
}

fn show_entry(entries: &mut Entries, ui: &mut Ui, event: &Event) -> io::Result<()> {
    match &event.body {
        EventBody::Log { source, node, time, line, .. } => {
            if ui.format == Format::Json {
                return ui.json_line(event);
            }
            entries.show(ui, (node.as_str(), source), *time, line)
        }
        EventBody::LogBlock { source, node, data, .. } => {
            entries.show_block(ui, (node.as_str(), source), data)
        }
        EventBody::Gap { source, node, lines, reason } => {
            if ui.format == Format::Json {
                return ui.json_line(event);
            }
            let what = match (reason.as_str(), lines) {
                ("away", _) => "the node is away".to_owned(),
                ("back", _) => "the node is back".to_owned(),
                ("rotated", _) => "the log was rotated while nobody followed it".to_owned(),
                ("truncated", _) => "the log was cut".to_owned(),
                (_, Some(lines)) => format!("{lines} lines left out"),
                _ => "lines are missing".to_owned(),
            };
            ui.note(&format!("--- {node} {source}: {what}"));
            Ok(())
        }
        EventBody::Note { level: NoteLevel::Warning, text } => {
            ui.warn(&escape::strip(text));
            Ok(())
        }
        EventBody::Note { text, .. } => {
            ui.note(&escape::strip(text));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// List the logs there are, on which nodes, how large
#[derive(Debug, Parser)]
pub struct Sources {
    #[command(flatten)]
    list: ListArgs,
}

impl Run for Sources {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.list.chosen();
        let mut answer = context.query::<log::Sources>(&log::SourcesParams {})?;
        let total = answer.items.len() as u64;
        answer.items = self.list.page().of(&answer.items);
        context.ui.list(
            &answer,
            &answer.items,
            &[
                column("SOURCE", "source", |row: &LogSource| row.source.to_string()),
                column("NODE", "node", |row: &LogSource| row.node.to_string()),
                column("SIZE", "bytes", |row: &LogSource| bytes(row.bytes)),
                column("CHANGED", "modified_at", |row: &LogSource| {
                    row.modified_at.map(moment::short).unwrap_or_default()
                }),
            ],
        )?;
        for node in &answer.away {
            context.ui.warn(&format!("{node} did not answer"));
        }
        context.list_footer(total, self.list);
        Ok(0)
    }
}

/// List operations: who did what, when, how it ended
///
/// Newest first. One operation's log: log:view OPERATION.
#[derive(Debug, Parser)]
pub struct List {
    #[command(flatten)]
    list: ListArgs,
}

impl Run for List {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.list.chosen();
        let answer = context.query::<log::List>(&log::ListParams { page: self.list.page() })?;
        context.ui.list(
            &answer,
            &answer.items,
            &[
                column("Date", "started_at", |row: &OperationSummary| moment::short(row.started_at)),
                column("User", "caller", |row: &OperationSummary| row.caller.clone()),
                column("Command", "command", |row: &OperationSummary| row.command.clone()),
                column("Result", "state", |row: &OperationSummary| state(row.state).to_owned()),
                column("Took", "took", took),
                column("Identifier", "id", |row: &OperationSummary| row.id.to_string()),
            ],
        )?;
        context.list_footer(answer.total, self.list);
        Ok(0)
    }
}

fn took(row: &OperationSummary) -> String {
    let Some(ended) = row.ended_at else { return String::new() };
    let seconds = ended.as_second().saturating_sub(row.started_at.as_second());
    match u64::try_from(seconds) {
        Ok(0) => "< 1s".to_owned(),
        Ok(seconds) => duration::about(seconds),
        Err(_) => String::new(),
    }
}

/// Show the log of one operation
///
/// Its command, its steps with their nodes and times, and what its programs printed. With --follow until it ends, and
/// with its exit code then; 8 when it was left running by Ctrl-C. With --format=json each event is a line of JSON.
#[derive(Debug, Parser)]
pub struct View {
    /// Id of the operation, as log:list shows it
    #[arg(value_name = "OPERATION")]
    operation: CallId,
    /// Go on until the operation ends
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for View {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let params = log::ViewParams { operation: self.operation, follow: self.follow, after_seq: 0 };
        match context.stream::<log::View>(&params, Resume::ViewSequence, 8, None, show_event)? {
            Streamed::Answer(summary) if self.follow => outcome(context, &summary),
            Streamed::Answer(_) => Ok(0),
            Streamed::Interrupted | Streamed::TimedOut if self.follow => {
                Err(still_running("left on Ctrl-C", self.operation).into())
            }
            Streamed::Interrupted | Streamed::TimedOut => Ok(0),
        }
    }
}

/// A line of an operation's log, as data on stdout.
fn show_event(ui: &mut Ui, event: &Event) -> io::Result<()> {
    if ui.format == Format::Json {
        return ui.json_line(event);
    }
    let text = match &event.body {
        EventBody::Planned { command, .. } => {
            let command = escape::strip(command);
            let program = if command.starts_with("orocloud-cli") { "" } else { "orocloud-cli " };
            return ui.line(&format!("$ {program}{command}"));
        }
        EventBody::Waiting { holders } => format!("Waiting for a lock held by: {}", holders.join("; ")),
        EventBody::StepStarted { step, node, undo } => {
            format!("➤ {} task {step} [{node}]", if *undo { "Undoing" } else { "Executing" })
        }
        EventBody::StepEnded { step, node, outcome, took_ms, error } => {
            let mark = match outcome {
                StepOutcome::Done => "✔ Ok",
                StepOutcome::Skipped => "✔ Nothing to do",
                StepOutcome::Undone => "✔ Undone",
                StepOutcome::Failed => "✘ Failed",
                StepOutcome::Unknown => "✔ Ended",
            };
            let why = error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            format!("{mark} {step} [{node}] [{}]{why}", duration::took(*took_ms))
        }
        EventBody::Output { text, node, .. } => {
            let prefix = node.as_ref().map_or_else(String::new, |node| format!("[{node}] "));
            return escape::strip(text).lines().try_for_each(|line| ui.line(&format!("{prefix}{line}")));
        }
        EventBody::Note { level: NoteLevel::Warning, text } => format!("warning: {text}"),
        EventBody::Note { text, .. } => text.clone(),
        EventBody::Progress { .. }
        | EventBody::Item { .. }
        | EventBody::Ready { .. }
        | EventBody::Log { .. }
        | EventBody::LogBlock { .. }
        | EventBody::Gap { .. }
        | EventBody::Unknown => return Ok(()),
    };
    ui.line(&format!("{} {}", moment::short(event.at), escape::strip(&text)))
}

/// Shows another operation's events as if it had been started here.
pub fn shown_as_it_runs() -> impl FnMut(&mut Ui, &Event) -> io::Result<()> + 'static {
    let mut progress = Progress::lines();
    move |ui, event| progress.event(ui, event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Manner, Terminal};

    fn event(body: EventBody) -> Event {
        Event {
            call: "01JDFZ8T6G0000000000000000".parse().unwrap(),
            seq: 1,
            at: "2026-11-24T10:32:00Z".parse().unwrap(),
            body,
        }
    }

    #[test]
    fn entries_are_lines_and_gaps_are_told_beside_them() {
        let entry = event(EventBody::Log {
            source: "app".into(),
            node: "web1".parse().unwrap(),
            time: "2026-11-24T10:32:00.123Z".parse().unwrap(),
            line: "first \u{1b}[31mred\nsecond".into(),
            cursor: "c".into(),
        });
        let gap = |reason: &str, lines| {
            event(EventBody::Gap {
                source: "app".into(),
                node: "web2".parse().unwrap(),
                lines,
                reason: reason.into(),
            })
        };
        let (mut ui, out, err) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        for event in [&entry, &gap("away", None), &gap("behind", Some(7))] {
            show_entry(&mut Entries::new(), &mut ui, event).unwrap();
        }
        let text = out.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with(".123 web1 app first red"), "{text}");
        assert!(lines[1].ends_with(".123 web1 app second"), "{text}");
        assert_eq!(err.text(), "--- web2 app: the node is away\n--- web2 app: 7 lines left out\n");

        let (mut ui, out, err) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        ui.format = Format::Json;
        show_entry(&mut Entries::new(), &mut ui, &entry).unwrap();
        show_entry(&mut Entries::new(), &mut ui, &gap("away", None)).unwrap();
        assert_eq!(err.text(), "");
        let values: Vec<serde_json::Value> =
            out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(values[0]["cursor"], "c");
        assert_eq!(values[1]["event"], "gap");
    }

    #[test]
    fn since_takes_a_moment_or_a_time_ago() {
        let now: Timestamp = "2026-11-24T10:32:00Z".parse().unwrap();
        assert_eq!(since("--since", "15m", now).unwrap().to_string(), "2026-11-24T10:17:00Z");
        assert_eq!(
            since("--since", "2026-11-24T10:00:00Z", now).unwrap().to_string(),
            "2026-11-24T10:00:00Z"
        );
        assert!(since("--since", "2026-11-24 10:00", now).is_err());
    }
}
