//! `smtp:queue`: what waits, and what became of the last messages.

use clap::Parser;
use jiff::tz::TimeZone;
use orocloud_protocol::smtp::{self, PastMessage, QueuedMessage};

use super::tell_silent;
use crate::cli::{ListArgs, moment};
use crate::commands::{Context, Outcome, Run};
use crate::output::Format;
use crate::output::table::column;

/// List the messages that wait to leave, and why
///
/// With --history it lists what became of the last messages instead, the newest first, and which of them somebody may have
/// got more than once: a relay that ends after it has all of a message and before it says so leaves open whether it took
/// it, and the message is sent again (RFC 1047). MAYBE ALSO BY names such relays.
///
/// Example: orocloud-cli smtp:queue --history --doubtful
#[derive(Debug, Parser)]
pub struct Queue {
    /// What became of the last messages
    #[arg(long)]
    history: bool,
    /// Only messages that somebody may have got more than once
    #[arg(long, requires = "history")]
    doubtful: bool,
    #[command(flatten)]
    list: ListArgs,
}

impl Run for Queue {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.list.chosen();
        if self.history {
            return show_history(context, self.doubtful, self.list);
        }
        let answer = context.query::<smtp::Queue>(&smtp::QueueParams { page: self.list.page() })?;
        let local = TimeZone::system();
        context.ui.list(
            &answer,
            &answer.items,
            &[
                column("ID", "queue_id", |row: &QueuedMessage| row.queue_id.clone()),
                column("SINCE", "since", |row: &QueuedMessage| moment::in_words(row.since, &local)),
                column("FROM", "from", |row: &QueuedMessage| row.from.clone()),
                column("TO", "to", |row: &QueuedMessage| row.to.clone()),
                column("QUEUE", "queue", |row: &QueuedMessage| row.queue.clone()),
                column("REASON", "reason", |row: &QueuedMessage| row.reason.clone().unwrap_or_default()),
            ],
        )?;
        context.list_footer(answer.total, self.list);
        tell_silent(&mut context.ui, &answer.silent);
        Ok(0)
    }
}

fn show_history(context: &mut Context, doubtful: bool, list: ListArgs) -> Outcome {
    let answer = context.query::<smtp::History>(&smtp::HistoryParams { doubtful, page: list.page() })?;
    let local = TimeZone::system();
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    context.ui.list(
        &answer,
        &answer.items,
        &[
            column("ID", "queue_id", |row: &PastMessage| row.queue_id.clone()),
            column("WHEN", "at", |row: &PastMessage| moment::in_words(row.at, &local)),
            column("FROM", "from", |row: &PastMessage| or_empty(&row.from)),
            column("TO", "to", |row: &PastMessage| row.to.clone()),
            column("STATUS", "status", |row: &PastMessage| row.status.as_str().to_owned()),
            column("RELAY", "relay", |row: &PastMessage| or_empty(&row.relay)),
            column("SAID", "said", |row: &PastMessage| row.said.clone()),
            column("MAYBE ALSO BY", "maybe_taken_by", |row: &PastMessage| row.maybe_taken_by.join(", ")),
        ],
    )?;
    context.list_footer(answer.total, list);
    tell_silent(&mut context.ui, &answer.silent);
    if !doubtful && answer.doubtful > 0 && list.chosen() == Format::Table {
        context.ui.note(&format!(
            "Somebody may have got {} of them more than once; see: orocloud-cli smtp:queue --history --doubtful",
            answer.doubtful
        ));
    }
    Ok(0)
}
