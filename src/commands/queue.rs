//! `queue:list`.

use clap::Parser;
use orocloud_protocol::QueueName;
use orocloud_protocol::queue::{self, QueueInfo};

use super::{Context, Outcome, Run};
use crate::cli::ListArgs;
use crate::output::progress::bytes;
use crate::output::table::column;

/// List the queues of messages: how much is in each, and who takes from it
///
/// The counts are those of the message broker, some seconds old.
#[derive(Debug, Parser)]
pub struct List {
    /// Only queues of this virtual host
    #[arg(value_name = "VHOST")]
    vhost: Option<QueueName>,
    /// Only queues whose names contain this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

impl Run for List {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.list.chosen();
        let params = queue::ListParams { vhost: self.vhost, filter: self.filter, page: self.list.page() };
        let answer = context.query::<queue::List>(&params)?;
        context.ui.list(
            &answer,
            &answer.items,
            &[
                column("VHOST", "vhost", |row: &QueueInfo| row.vhost.clone()),
                column("QUEUE", "name", |row: &QueueInfo| row.name.clone()),
                column("MESSAGES", "messages", |row: &QueueInfo| row.messages.to_string()),
                column("CONSUMERS", "consumers", |row: &QueueInfo| row.consumers.to_string()),
                column("MEMORY", "memory", |row: &QueueInfo| bytes(row.memory)),
            ],
        )?;
        context.list_footer(answer.total, self.list);
        Ok(0)
    }
}
