//! `operation:list`, `operation:wait`, `operation:cancel`.

use std::time::Duration;

use clap::Parser;
use orocloud_protocol::operation::{self, OperationState, OperationSummary};
use orocloud_protocol::{CallError, CallId, ErrorKind};

use super::call::{Streamed, still_running};
use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, ListArgs, duration, moment};
use crate::connection::Resume;
use crate::output::table::column;
use crate::output::{Format, escape};

/// List the operations that run
///
/// What has ended stands in log:list.
#[derive(Debug, Parser)]
pub struct List {
    #[command(flatten)]
    list: ListArgs,
}

impl Run for List {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.list.chosen();
        let answer = context.query::<operation::List>(&operation::ListParams {})?;
        let items = self.list.page().of(&answer.items);
        let total = answer.items.len() as u64;
        context.ui.list(
            &serde_json::json!({ "items": items, "total": total }),
            &items,
            &[
                column("STARTED", "started_at", |row: &OperationSummary| moment::short(row.started_at)),
                column("USER", "caller", |row: &OperationSummary| row.caller.clone()),
                column("COMMAND", "command", |row: &OperationSummary| row.command.clone()),
                column("STATE", "state", |row: &OperationSummary| standing(row)),
                column("IDENTIFIER", "id", |row: &OperationSummary| row.id.to_string()),
            ],
        )?;
        context.list_footer(total, self.list);
        for row in items.iter().filter(|row| !row.stuck.is_empty()) {
            for why in &row.stuck {
                context.ui.note(&format!("{} waits: {}", row.id, escape::strip(why)));
            }
            context.ui.note(&format!("It goes on by itself, or is given up as it stands: orocloud-cli operation:cancel {} --give-up", row.id));
        }
        Ok(0)
    }
}

fn standing(row: &OperationSummary) -> String {
    let mut text = state(row.state).to_owned();
    if let Some(step) = &row.step {
        text.push_str(&format!(": {step}"));
    }
    if let Some(node) = &row.waiting_for {
        text.push_str(&format!(", waits for {node}"));
    } else if !row.stuck.is_empty() {
        text.push_str(", stuck");
    }
    text
}

/// A state in the documentation's words.
pub fn state(state: OperationState) -> &'static str {
    match state {
        OperationState::Waiting => "Waiting",
        OperationState::Running => "Running",
        OperationState::Cancelling => "Cancelling",
        OperationState::Recovering => "Recovering",
        OperationState::Succeeded => "Completed",
        OperationState::Failed => "Failed",
        OperationState::Cancelled => "Cancelled",
        OperationState::Unknown => "Unknown",
    }
}

/// Wait for the end of an operation and give its exit code
///
/// Without its output; log:view --follow shows that too. Exit code 8 when it still runs after --timeout or on Ctrl-C.
#[derive(Debug, Parser)]
pub struct Wait {
    /// Id of the operation, as operation:list or log:list shows it
    #[arg(value_name = "OPERATION")]
    operation: CallId,
    /// Stop waiting after this time, with exit code 8
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Wait {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let params = operation::WaitParams { operation: self.operation };
        match context.stream::<operation::Wait>(&params, Resume::Repeat, 8, self.timeout, |_, _| Ok(()))? {
            Streamed::Answer(summary) => {
                if context.ui.format == Format::Json {
                    context.ui.json(&summary)?;
                } else {
                    let command = escape::strip(&summary.command);
                    context.ui.line(&format!("{}: {command}", state(summary.state)))?;
                }
                outcome(context, &summary)
            }
            Streamed::Interrupted => Err(still_running("left on Ctrl-C", self.operation).into()),
            Streamed::TimedOut => Err(still_running("not ended in time", self.operation).into()),
        }
    }
}

/// The exit code of an operation that has ended, its error told.
pub fn outcome(context: &mut Context, summary: &OperationSummary) -> Outcome {
    match (summary.state, &summary.error) {
        (OperationState::Succeeded, _) => Ok(0),
        (_, Some(error)) => {
            context.ui.error(error);
            Ok(error.kind.exit_code())
        }
        (OperationState::Cancelled, None) => Ok(ErrorKind::Cancelled.exit_code()),
        (OperationState::Failed, None) => Ok(ErrorKind::Failed.exit_code()),
        _ => Ok(ErrorKind::StillRunning.exit_code()),
    }
}

/// Cancel an operation
///
/// In a step that can be interrupted at once, else before the next one; what was done is undone. Past its point of no
/// return an operation is finished instead: exit code 7. Takes no lock.
///
/// One that waits for a node, or whose undo fails, goes on by itself once it can. --give-up ends such a one as it stands:
/// nothing more is undone or finished, what is left is told, and its locks are free.
#[derive(Debug, Parser)]
pub struct Cancel {
    /// Id of the operation, as operation:list shows it
    #[arg(value_name = "OPERATION")]
    operation: CallId,
    /// End one that does not go on by itself as it stands
    #[arg(long)]
    give_up: bool,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Cancel {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let params = operation::CancelParams { operation: self.operation, give_up: self.give_up };
        let answer = context.query::<operation::Cancel>(&params)?;
        if self.give_up {
            return given_up(context, &answer);
        }
        let has_ended = answer.operation.state.has_ended();
        if context.ui.format == Format::Json {
            context.ui.json(&answer)?;
        } else if answer.cancelled {
            context.ui.line(&format!("Cancelling {}", self.operation))?;
            context
                .ui
                .note(&format!("See it being undone: orocloud-cli log:view --follow {}", self.operation));
        } else if has_ended {
            context.ui.line(&format!("Nothing to cancel: {}", state(answer.operation.state)))?;
        }
        if answer.cancelled || has_ended {
            return Ok(0);
        }
        let stuck = &answer.operation.stuck;
        let what = if stuck.is_empty() {
            "past its point of no return, or undone already"
        } else {
            "finished or undone once it can go on"
        };
        let error = CallError::refused(format!("too late to cancel, it is {what}: {}", self.operation));
        let error = stuck.iter().fold(error, CallError::because);
        let error = error.hint(format!("follow it: orocloud-cli log:view --follow {}", self.operation));
        Err(if stuck.is_empty() {
            error
        } else {
            let command = format!("orocloud-cli operation:cancel {} --give-up", self.operation);
            error.hint(format!("or leave everything as it stands: {command}"))
        }
        .into())
    }
}

/// What was left as it stands is what a person has to know.
fn given_up(context: &mut Context, answer: &operation::CancelAnswer) -> Outcome {
    let operation = &answer.operation;
    if context.ui.format == Format::Json {
        context.ui.json(answer)?;
        return Ok(0);
    }
    if operation.state.has_ended() {
        context.ui.line(&format!("Given up: {}", operation.id))?;
    } else {
        context.ui.line(&format!("Left as it is, its locks are free: {}", operation.id))?;
    }
    for cause in operation.error.iter().flat_map(|error| &error.causes) {
        context.ui.note(&escape::strip(cause));
    }
    Ok(0)
}
