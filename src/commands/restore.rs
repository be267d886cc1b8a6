//! `backup:restore`: plan, look, ask, restore, and say how to undo it.

use std::time::Duration;

use clap::{ArgGroup, Parser};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use orocloud_protocol::backup::{self, RestoreAnswer, RestoreParams, RestoreScope, RestoreTarget, TableRows};
use orocloud_protocol::{Call, CallError, CallId, EnvironmentName, ErrorKind, PointName, log};

use super::call::{Context, Finished, Streamed, show_dry_run};
use super::{Outcome, Run, operation};
use crate::cli::{ConfirmArgs, FormatArgs, OperationArgs, duration, moment};
use crate::connection::Resume;
use crate::output::prompt::Answers;
use crate::output::table::{column, draw};
use crate::output::{Failure, Format, Style, Ui, escape};

/// Bring the environment back to a recovery point or to any second
///
/// Restores aside, replays up to the moment, shows the rows of each table then and now, asks, and swaps under the
/// maintenance page; what was there is kept for the undo, whose command is printed at the end. A recovery point is
/// taken first.
///
/// A moment needs an offset, `Z` or a zone: --to=2026-11-24T12:32:00+02:00, --to="2026-11-24 12:32 Europe/Kyiv".
/// In an environment of type prod its name is asked for; scripts give --force --confirm=NAME.
///
/// Examples: orocloud-cli backup:restore 2026-11-24-1025
///           orocloud-cli backup:restore --to=2026-11-24T10:31:59Z --preview
///           orocloud-cli backup:restore --undo=01JDFZ8T6G0000000000000000
#[derive(Debug, Parser)]
#[command(group = ArgGroup::new("target").required(true).args(["point", "to", "undo"]), verbatim_doc_comment)]
pub struct Restore {
    /// Recovery point, as backup:list shows it
    #[arg(value_name = "POINT")]
    point: Option<PointName>,
    /// Moment: what was committed at or before it is kept
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Bring back what was there before this restore
    #[arg(long, value_name = "OPERATION")]
    undo: Option<CallId>,
    /// Branch of history, when the moment lies on several; the error that asks for it names them
    #[arg(long, value_name = "NUMBER")]
    timeline: Option<u32>,
    /// Media too
    #[arg(long)]
    media: bool,
    /// The database alone, not the code
    #[arg(long, conflicts_with = "code_only")]
    database_only: bool,
    /// The code alone, not the database
    #[arg(long)]
    code_only: bool,
    /// Restore aside, show the rows of each table then and now, and end
    #[arg(long, conflicts_with_all = ["undo", "code_only"])]
    preview: bool,
    /// Keep what is replaced for so long, for the undo; default: the environment's, 48h
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    keep_old: Option<Duration>,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Restore {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let mut params = self.params(&mut context.ui)?;
        if self.operation.dry_run {
            params.options.dry_run = true;
            return show_dry_run::<backup::Restore>(context, &params);
        }
        if self.preview {
            return match context.operation::<backup::Restore>(&params, &self.operation)? {
                Finished::Detached => Ok(0),
                Finished::Answer(answer, took) => {
                    show_preview(&mut context.ui, &answer)?;
                    Ok(context.succeeded(took))
                }
            };
        }
        if let Some(id) = self.operation.operation_id
            && let Some(outcome) = attach(context, id)?
        {
            return Ok(outcome);
        }
        self.restore(context, params)
    }
}

impl Restore {
    fn params(&self, ui: &mut Ui) -> Result<RestoreParams, CallError> {
        let local = TimeZone::system();
        let target = match (&self.point, &self.to, self.undo) {
            (Some(point), _, _) => RestoreTarget::Point(point.clone()),
            (_, Some(text), _) => {
                let time = moment::parse("--to", text, &local)?;
                moment::past("--to", time, Timestamp::now(), &local)?;
                ui.note(&format!("To {}", moment::in_words(time, &local)));
                RestoreTarget::Time(time)
            }
            (_, _, Some(operation)) => RestoreTarget::Undo(operation),
            (None, None, None) => {
                return Err(CallError::usage("nothing says what to restore")
                    .hint("see the recovery points: orocloud-cli backup:list"));
            }
        };
        Ok(RestoreParams {
            target,
            timeline: self.timeline,
            scope: match (self.database_only, self.code_only) {
                (true, _) => RestoreScope::Database,
                (_, true) => RestoreScope::Code,
                _ => RestoreScope::DatabaseAndCode,
            },
            media: self.media,
            preview: self.preview,
            keep_old: self.keep_old.map(|keep| keep.as_secs()),
            options: self.operation.options(),
        })
    }

    fn restore(self, context: &mut Context, mut params: RestoreParams) -> Outcome {
        let mut planned = params.clone();
        planned.options.dry_run = true;
        let plan = context.plan::<backup::Restore>(&planned)?;
        let environment: EnvironmentName = context
            .environment()
            .ok_or_else(|| CallError::internal("the agent did not say which environment this is"))?;
        let answers = Answers { force: self.confirm.force, confirm: self.confirm.confirm.clone() };
        let looks = context.ui.can_ask()
            && !answers.force
            && !matches!(params.target, RestoreTarget::Undo(_))
            && params.scope != RestoreScope::Code;
        if looks {
            let mut preview = params.clone();
            preview.preview = true;
            // The announced id belongs to the restore; looking first is an operation of its own.
            let options =
                OperationArgs { operation_id: None, timeout: None, detach: false, ..self.operation.clone() };
            if let Finished::Answer(answer, _) = context.operation::<backup::Restore>(&preview, &options)? {
                show_preview(&mut context.ui, &answer)?;
            }
        }
        let is_prod = context.is_prod();
        let question = match params.target {
            RestoreTarget::Undo(_) => "Undo that restore?",
            _ => "Restore?",
        };
        params.options.confirmation =
            Some(context.ui.guard(question, &plan, &environment, is_prod, &answers)?);
        match context.operation::<backup::Restore>(&params, &self.operation)? {
            Finished::Detached => Ok(0),
            Finished::Answer(answer, took) => {
                show_restored(&mut context.ui, &answer)?;
                Ok(context.succeeded(took))
            }
        }
    }
}

/// An id that was given may name a restore that runs already, or has ended: its plan of then is not today's, so it is
/// followed instead of planned again. `None` when nobody knows the id.
fn attach(context: &mut Context, id: CallId) -> Result<Option<u8>, Failure> {
    let params = log::ViewParams { operation: id, follow: true, after_seq: 0 };
    let view =
        context.stream::<log::View>(&params, Resume::ViewSequence, 8, None, super::log::shown_as_it_runs());
    match view {
        Ok(Streamed::Answer(summary)) => {
            if summary.method != backup::Restore::METHOD {
                return Err(CallError::usage(format!("{id} is not a restore but: {}", summary.command))
                    .hint(
                        "leave --operation-id out, or make a new id for each command: orocloud-cli log:list",
                    )
                    .into());
            }
            let code = operation::outcome(context, &summary)?;
            // How to undo it is wanted as much by whoever attaches as by whoever began it.
            if let Some(result) = summary.result {
                let answer: RestoreAnswer = serde_json::from_value(result).map_err(|error| {
                    CallError::new(ErrorKind::ProtocolMismatch, format!("the answer of {id} cannot be read"))
                        .because(error)
                })?;
                show_restored(&mut context.ui, &answer)?;
            }
            Ok(Some(code))
        }
        Ok(Streamed::Interrupted | Streamed::TimedOut) => Ok(Some(8)),
        Err(Failure::Call(error)) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn show_preview(ui: &mut Ui, answer: &RestoreAnswer) -> std::io::Result<()> {
    if ui.format == Format::Json {
        return ui.json(answer);
    }
    show_rows(ui, &answer.tables)?;
    if let Some(last) = answer.last_transaction_at {
        ui.line(&format!("Last transaction kept: {}", moment::in_words(last, &TimeZone::system())))?;
    }
    Ok(())
}

fn show_rows(ui: &mut Ui, tables: &[TableRows]) -> std::io::Result<()> {
    let rows = |rows: Option<u64>| rows.map_or_else(String::new, |rows| rows.to_string());
    let columns = [
        column("TABLE", "table", |row: &TableRows| row.table.clone()),
        column("THEN", "then", move |row: &TableRows| rows(row.then)),
        column("NOW", "now", move |row: &TableRows| rows(row.now)),
        column("CHANGE", "change", |row: &TableRows| change(row)),
    ];
    let text = draw(tables, &columns, ui.table_width());
    ui.line(&text)
}

/// What a restore does to the number of rows.
fn change(row: &TableRows) -> String {
    match (row.now, row.then) {
        (Some(now), Some(then)) if then > now => format!("+{}", then - now),
        (Some(now), Some(then)) if then < now => format!("-{}", now - then),
        (Some(_), Some(_)) => "same".to_owned(),
        _ if row.uncounted => "unknown".to_owned(),
        (None, Some(_)) => "comes back".to_owned(),
        (Some(_), None) => "goes away".to_owned(),
        (None, None) => String::new(),
    }
}

fn show_restored(ui: &mut Ui, answer: &RestoreAnswer) -> std::io::Result<()> {
    if ui.format == Format::Json {
        return ui.json(answer);
    }
    let local = TimeZone::system();
    if !answer.tables.is_empty() {
        show_rows(ui, &answer.tables)?;
    }
    match answer.restored_to {
        Some(time) => ui.line(&format!("Restored to {}", moment::in_words(time, &local)))?,
        None => ui.line("Undone: what was there before is back")?,
    }
    if let Some(last) = answer.last_transaction_at {
        ui.line(&format!("Last transaction kept: {}", moment::in_words(last, &local)))?;
    }
    if let Some(code) = &answer.code {
        ui.line(&format!("Code: {} (release {})", code.reference, code.release))?;
    }
    if let Some(point) = &answer.safety_point {
        ui.line(&format!("Recovery point taken before: {point}"))?;
    }
    if let Some(milliseconds) = answer.maintenance_ms {
        ui.line(&format!("Maintenance page: {}", duration::took(milliseconds)))?;
    }
    if let Some(undo) = &answer.undo {
        let until =
            answer.undo_until.map_or_else(String::new, |until| format!(" (until {})", moment::short(until)));
        ui.note(&format!("To undo it{until}:"));
        let undo = ui.paint(Style::Hint, &escape::strip(undo));
        ui.line(&undo)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Manner, Terminal};

    #[test]
    fn what_a_restore_did_is_told_with_its_undo() {
        let (mut ui, out, err) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        let rows = |table: &str, now, then| TableRows { table: table.into(), now, then, uncounted: false };
        let answer = RestoreAnswer {
            restored_to: Some("2026-11-24T10:31:59Z".parse().unwrap()),
            last_transaction_at: None,
            lsn: None,
            set: None,
            tables: vec![
                rows("orders", Some(0), Some(25)),
                rows("users", Some(3), Some(3)),
                rows("old", None, Some(1)),
                rows("new", Some(1), None),
                rows("less", Some(5), Some(2)),
                TableRows { uncounted: true, ..rows("locked", Some(3), None) },
            ],
            timeline: Some(2),
            code: None,
            safety_point: Some("2026-11-24-1033".parse().unwrap()),
            undo: Some("orocloud-cli backup:restore --undo=01JDFZ8T6G0000000000000000".into()),
            undo_until: None,
            maintenance_ms: Some(2_100),
        };
        show_restored(&mut ui, &answer).unwrap();
        let text = out.text();
        for line in [
            "| orders | 25   | 0   | +25        |",
            "| users  | 3    | 3   | same       |",
            "| old    | 1    | -   | comes back |",
            "| new    | -    | 1   | goes away  |",
            "| less   | 2    | 5   | -3         |",
            "| locked | -    | 3   | unknown    |",
            "Recovery point taken before: 2026-11-24-1033",
            "Maintenance page: 2s 100ms",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(text.ends_with("orocloud-cli backup:restore --undo=01JDFZ8T6G0000000000000000\n"));
        assert_eq!(err.text(), "To undo it:\n");
    }
}
