//! `status`.

use std::time::{Duration, Instant};

use clap::Parser;
use orocloud_protocol::status::{self, Health, StatusAnswer, StatusRow};

use super::{Context, Outcome, Run};
use crate::cli::FormatArgs;
use crate::connection::Signals;
use crate::output::table::{column, draw};
use crate::output::{Format, Style, escape};

/// Show what works and what does not, worst first
///
/// One line a part of the environment, each with the next command to type where there is one. Exit code 9 if
/// something is down.
///
/// Example: orocloud-cli status --watch
#[derive(Debug, Parser)]
pub struct Status {
    /// Look again every two seconds until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(2);

impl Run for Status {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        if !self.watch {
            let answer = context.query::<status::Status>(&status::StatusParams {})?;
            show(context, &answer, false)?;
            return Ok(if answer.health == Health::Down { 9 } else { 0 });
        }
        let mut signals = Signals::listen(Some(0).filter(|_| !context.is_shell()))?;
        loop {
            let next = Instant::now() + EVERY;
            let answer = context.query::<status::Status>(&status::StatusParams {})?;
            show(context, &answer, true)?;
            if signals.sleep_until(next)? {
                return Ok(0);
            }
        }
    }
}

fn show(context: &mut Context, answer: &StatusAnswer, again: bool) -> std::io::Result<()> {
    let ui = &mut context.ui;
    if ui.format == Format::Json {
        return if again { ui.json_line(answer) } else { ui.json(answer) };
    }
    if again && ui.is_seen() {
        // Home and clear: the board stays where it is.
        ui.line("\u{1b}[H\u{1b}[2J")?;
    }
    let columns = [
        column("PART", "part", |row: &StatusRow| row.part.clone()),
        column("NODE", "node", |row: &StatusRow| {
            row.node.as_ref().map(ToString::to_string).unwrap_or_default()
        }),
        column("STATE", "health", |row: &StatusRow| word(row.health).to_owned()),
        column("DETAIL", "detail", |row: &StatusRow| row.detail.clone()),
        column("NEXT", "next", |row: &StatusRow| row.next.clone().unwrap_or_default()),
    ];
    let board = draw(&answer.rows, &columns, ui.table_width());
    let style = match answer.health {
        Health::Ok => Style::Good,
        Health::Absent | Health::Warning => Style::Warning,
        Health::Down => Style::Error,
    };
    let health = ui.paint(style, word(answer.health));
    ui.line(&format!("{} ({}): {health}", escape::strip(answer.environment.as_str()), answer.kind.as_str()))?;
    ui.line(&board)
}

/// A state in a word.
fn word(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Absent => "not there",
        Health::Warning => "warning",
        Health::Down => "DOWN",
    }
}
