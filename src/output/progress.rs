//! What an operation tells, as it is shown: lines for a log, bars for a person, JSON for a program.

use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use orocloud_protocol::{CallError, Event, EventBody, NodeName, NoteLevel, StepOutcome, Unit};

use super::{Format, Style, Ui, escape};
use crate::cli::duration;

/// A step that runs.
struct Active {
    step: String,
    node: NodeName,
    bar: Option<ProgressBar>,
    /// When progress was last told as a line.
    told: Option<Timestamp>,
}

/// Shows the events of one operation.
pub struct Progress {
    active: Vec<Active>,
    bars: bool,
    finished: bool,
}

/// How often progress becomes a line where no bar can be drawn, in seconds.
const LINE_EVERY: i64 = 10;

impl Progress {
    /// Starts showing; bars where a person looks.
    pub fn start(ui: &mut Ui) -> Self {
        let bars = ui.terminal.stderr && ui.format != Format::Json && !ui.manner.quiet;
        if bars {
            ui.bars = Some(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        }
        Self { active: Vec::new(), bars, finished: false }
    }

    /// Shows lines only.
    pub fn lines() -> Self {
        Self { active: Vec::new(), bars: false, finished: false }
    }

    /// Clears what moves; what was printed stays.
    pub fn finish(&mut self, ui: &mut Ui) {
        self.finished = true;
        for active in self.active.drain(..) {
            if let Some(bar) = active.bar {
                bar.finish_and_clear();
            }
        }
        if let Some(bars) = ui.bars.take() {
            let _ = bars.clear();
        }
    }

    /// Shows one event.
    pub fn event(&mut self, ui: &mut Ui, event: &Event) -> io::Result<()> {
        if ui.format == Format::Json {
            ui.err_json(event);
            return Ok(());
        }
        match &event.body {
            EventBody::Planned { steps, .. } => {
                if ui.verbosity() > 0 {
                    ui.note(&format!("{} steps", steps.len()));
                }
            }
            EventBody::Waiting { holders } => {
                ui.note("Waiting for a lock held by:");
                for holder in holders {
                    ui.note(&format!("  {}", escape::strip(holder)));
                }
            }
            EventBody::StepStarted { step, node, undo } => self.started(ui, step, node, *undo),
            EventBody::StepEnded { step, node, outcome, took_ms, error } => {
                self.ended(ui, step, node, *outcome, *took_ms, error.as_ref());
            }
            EventBody::Output { text, node, .. } => {
                if ui.verbosity() > 0 {
                    let prefix = node.as_ref().map_or_else(String::new, |node| format!("[{node}] "));
                    for line in escape::strip(text).lines() {
                        ui.note(&format!("{prefix}{line}"));
                    }
                }
            }
            EventBody::Progress { done, total, unit, step, node } => {
                self.progress(ui, event.at, (*done, *total, *unit), step.as_deref(), node.as_ref());
            }
            EventBody::Note { level: NoteLevel::Info, text } => ui.note(&escape::strip(text)),
            EventBody::Note { level: NoteLevel::Warning, text } => ui.warn(&escape::strip(text)),
            EventBody::Item { .. }
            | EventBody::Ready { .. }
            | EventBody::Log { .. }
            | EventBody::LogBlock { .. }
            | EventBody::Gap { .. }
            | EventBody::Unknown => {}
        }
        Ok(())
    }

    fn started(&mut self, ui: &mut Ui, step: &str, node: &NodeName, undo: bool) {
        let step = escape::strip(step);
        let verb = if undo { "Undoing" } else { "Executing" };
        let line = format!("➤ {verb} task {step} [{node}]");
        let bar = match (&ui.bars, self.bars) {
            (Some(bars), true) => {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner:.cyan} {msg} {elapsed}"));
                bar.set_message(format!("{step} [{node}]"));
                bar.enable_steady_tick(Duration::from_millis(100));
                Some(bar)
            }
            _ => None,
        };
        ui.note(&line);
        self.active.push(Active { step, node: node.clone(), bar, told: None });
    }

    fn ended(
        &mut self,
        ui: &mut Ui,
        step: &str,
        node: &NodeName,
        outcome: StepOutcome,
        took_ms: u64,
        error: Option<&CallError>,
    ) {
        let position = self.active.iter().position(|active| active.step == step && active.node == *node);
        // Only where nothing else can be meant the documented short form is clear.
        let is_the_last_line = position.is_some_and(|position| position + 1 == self.active.len());
        if let Some(active) = position.map(|position| self.active.remove(position))
            && let Some(bar) = active.bar
        {
            bar.finish_and_clear();
        }
        let which = if is_the_last_line && self.active.is_empty() {
            String::new()
        } else {
            format!(" {} [{node}]", escape::strip(step))
        };
        let took = duration::took(took_ms);
        let (mark, rest) = match outcome {
            StepOutcome::Done => ("✔ Ok", String::new()),
            StepOutcome::Skipped => ("✔ Ok", ", nothing to do".to_owned()),
            StepOutcome::Undone => ("✔ Undone", String::new()),
            StepOutcome::Failed => (
                "✘ Failed",
                error.map_or_else(String::new, |error| format!(": {}", escape::strip(&error.message))),
            ),
            StepOutcome::Unknown => ("✔ Ended", String::new()),
        };
        let style = if outcome == StepOutcome::Failed { Style::Error } else { Style::Good };
        let mark = ui.paint_err(style, mark);
        ui.note(&format!("{mark}{which} [{took}]{rest}"));
    }

    fn progress(
        &mut self,
        ui: &mut Ui,
        at: Timestamp,
        (done, total, unit): (u64, Option<u64>, Unit),
        step: Option<&str>,
        node: Option<&NodeName>,
    ) {
        let active = self.active.iter_mut().rev().find(|active| {
            step.is_none_or(|step| step == active.step) && node.is_none_or(|node| *node == active.node)
        });
        let Some(active) = active else { return };
        let how_far = amount(done, total, unit);
        if let Some(bar) = &active.bar {
            if let Some(total) = total {
                bar.set_style(style("{spinner:.cyan} {msg} {elapsed} [{bar:30}] {prefix}"));
                bar.set_length(total);
                bar.set_position(done.min(total));
            } else {
                bar.set_style(style("{spinner:.cyan} {msg} {elapsed} {prefix}"));
            }
            bar.set_prefix(how_far);
            return;
        }
        let due = active.told.is_none_or(|told| at.as_second() - told.as_second() >= LINE_EVERY);
        let first = active.told.is_none();
        if due {
            active.told = Some(at);
            // The first tells nothing that the step's own line does not.
            if !first {
                let line = format!("  {} [{}] {how_far}", active.step, active.node);
                ui.note(&line);
            }
        }
    }

    /// The line at the end of an operation that succeeded.
    pub fn succeeded(ui: &mut Ui, took: Duration) {
        if ui.format != Format::Json {
            let mark = ui.paint_err(Style::Good, "✔ Ok");
            let took = duration::took(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            ui.note(&format!("{mark} [{took}]"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.finished {
            for active in &self.active {
                if let Some(bar) = &active.bar {
                    bar.finish_and_clear();
                }
            }
            let _ = io::stderr().flush();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// How far something is, in words.
fn amount(done: u64, total: Option<u64>, unit: Unit) -> String {
    let number = |value: u64| match unit {
        Unit::Bytes => bytes(value),
        _ => value.to_string(),
    };
    let name = match unit {
        Unit::Files => " files",
        Unit::Rows => " rows",
        Unit::Percent => return format!("{done} %"),
        Unit::Bytes | Unit::Other => "",
    };
    match total {
        Some(total) if total > 0 => {
            format!("{} of {}{name}, {} %", number(done), number(total), done.min(total) * 100 / total)
        }
        _ => format!("{}{name}", number(done)),
    }
}

/// A size for people: `16.08 MB` as the documentation has it.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{size} B") } else { format!("{value:.2} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Manner, Terminal};
    use orocloud_protocol::OutputStream;

    fn event(seq: u64, second: i64, body: EventBody) -> Event {
        Event {
            call: "01JDFZ8T6G0000000000000000".parse().unwrap(),
            seq,
            at: Timestamp::from_second(second).unwrap(),
            body,
        }
    }

    fn started(step: &str, node: &str) -> EventBody {
        EventBody::StepStarted { step: step.into(), node: node.parse().unwrap(), undo: false }
    }

    fn ended(step: &str, node: &str, outcome: StepOutcome, error: Option<&str>) -> EventBody {
        EventBody::StepEnded {
            step: step.into(),
            node: node.parse().unwrap(),
            outcome,
            took_ms: 1020,
            error: error.map(CallError::failed),
        }
    }

    fn shown(verbosity: u8, format: Format) -> String {
        let manner = Manner { verbosity, ..Manner::default() };
        let (mut ui, out, err) = Ui::captured(Terminal::default(), manner, &[]);
        ui.format = format;
        let mut progress = Progress::start(&mut ui);
        let percent =
            |done| EventBody::Progress { done, total: Some(2000), unit: Unit::Bytes, step: None, node: None };
        for event in [
            event(1, 0, EventBody::Planned { command: "deploy".into(), steps: Vec::new() }),
            event(2, 0, EventBody::Waiting { holders: vec!["dora: backup:create since 10:00".into()] }),
            event(3, 1, started("code:fetch", "maint1")),
            event(4, 1, percent(100)),
            event(5, 5, percent(500)),
            event(6, 12, percent(1500)),
            event(
                7,
                13,
                EventBody::Output {
                    stream: OutputStream::Stdout,
                    text: "one\n\u{1b}[31mtwo\n".into(),
                    step: None,
                    node: Some("maint1".parse().unwrap()),
                },
            ),
            event(8, 14, ended("code:fetch", "maint1", StepOutcome::Done, None)),
            event(9, 14, started("release:unpack", "web1")),
            event(10, 14, started("release:unpack", "web2")),
            event(11, 15, ended("release:unpack", "web1", StepOutcome::Skipped, None)),
            event(12, 15, ended("release:unpack", "web2", StepOutcome::Failed, Some("disk full"))),
            event(13, 16, EventBody::Note { level: NoteLevel::Warning, text: "web2 is out".into() }),
            event(14, 16, EventBody::Unknown),
        ] {
            progress.event(&mut ui, &event).unwrap();
        }
        progress.finish(&mut ui);
        assert_eq!(out.text(), "");
        err.text()
    }

    #[test]
    fn lines_for_a_log() {
        assert_eq!(
            shown(0, Format::Table),
            "Waiting for a lock held by:\n  dora: backup:create since 10:00\n\
             ➤ Executing task code:fetch [maint1]\n  code:fetch [maint1] 1.50 kB of 2.00 kB, 75 %\n✔ Ok [1s 20ms]\n\
             ➤ Executing task release:unpack [web1]\n➤ Executing task release:unpack [web2]\n\
             ✔ Ok release:unpack [web1] [1s 20ms], nothing to do\n✘ Failed [1s 20ms]: disk full\n\
             warning: web2 is out\n"
        );
        assert!(shown(1, Format::Table).contains("[maint1] one\n[maint1] two\n"));
    }

    #[test]
    fn json_for_a_program() {
        let text = shown(0, Format::Json);
        assert_eq!(text.lines().count(), 14);
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["seq"].is_u64() && value["event"].is_string(), "{line}");
        }
    }

    #[test]
    fn sizes_are_for_people() {
        for (size, text) in
            [(0, "0 B"), (999, "999 B"), (16_080_000, "16.08 MB"), (u64::MAX, "18446744.07 TB")]
        {
            assert_eq!(bytes(size), text);
        }
    }
}
