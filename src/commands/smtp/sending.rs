//! `smtp:test`

use clap::Parser;
use orocloud_protocol::smtp::{self, SentMessage, TestAnswer};
use orocloud_protocol::{CallError, MailAddress, RelayName};

use super::show_stages;
use crate::cli::{FormatArgs, OperationArgs};
use crate::commands::call::carry_out;
use crate::commands::{Context, Outcome, Run};
use crate::output::table::{column, draw};
use crate::output::{Failure, Format, Ui};

/// Send one message from each web node and follow them to the relays that take them, or try one relay
///
/// Each web node sends one as its application would. Ends with exit code 9 when one of them arrives nowhere, and tells
/// from which node and in whose words. How long each hop took is shown: to the mail node, in its queue, until a relay had
/// answered, until that had the message. With --relay that relay is tried stage by stage and nothing is sent.
///
/// Example: orocloud-cli smtp:test --to=ann@example.com
#[derive(Debug, Parser)]
pub struct Test {
    /// Who gets the messages
    #[arg(long, value_name = "ADDRESS", required_unless_present = "relay")]
    to: Option<MailAddress>,
    /// The sender; default: the one the relay was tried with when it was set
    #[arg(long, value_name = "ADDRESS")]
    from: Option<MailAddress>,
    /// Only try this relay
    #[arg(long, value_name = "RELAY")]
    relay: Option<RelayName>,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Test {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let params = smtp::TestParams {
            to: self.to,
            from: self.from,
            relay: self.relay,
            options: self.operation.options(),
        };
        let outcome = carry_out::<smtp::Test>(context, &params, &self.operation, |ui, answer| match answer {
            TestAnswer::Tried(stages) => show_stages(ui, stages),
            TestAnswer::Sent(messages) => show_messages(ui, messages),
        });
        // Where one failed, what became of the others is there to be seen as well.
        if let Err(Failure::Call(error)) = &outcome
            && let Some(messages) = messages_of(error)
        {
            match context.ui.format {
                Format::Json => context.ui.json(&TestAnswer::Sent(messages))?,
                _ => show_messages(&mut context.ui, &messages)?,
            }
        }
        outcome
    }
}

/// The details of the error.
fn messages_of(error: &CallError) -> Option<Vec<SentMessage>> {
    serde_json::from_value(error.details.as_ref()?.get("sent")?.clone()).ok()
}

fn show_messages(ui: &mut Ui, messages: &[SentMessage]) -> std::io::Result<()> {
    let columns = [
        column("NODE", "node", |row: &SentMessage| row.node.to_string()),
        column("BY", "mail_node", |row: &SentMessage| {
            row.delivery.as_ref().map(|sent| sent.mail_node.to_string()).unwrap_or_default()
        }),
        column("ID", "queue_id", |row: &SentMessage| {
            row.delivery.as_ref().map(|sent| sent.queue_id.clone()).unwrap_or_default()
        }),
        column("TAKEN BY", "relay", |row: &SentMessage| {
            row.delivery.as_ref().map(|sent| sent.relay.clone()).unwrap_or_default()
        }),
        column("MS", "took_ms", |row: &SentMessage| {
            row.delivery.as_ref().map(|sent| sent.took_ms.to_string()).unwrap_or_default()
        }),
        column("HOP BY HOP", "hops", hops),
        column("SAID", "said", |row: &SentMessage| match (&row.delivery, &row.failed) {
            (Some(sent), _) => sent.said.clone(),
            (None, Some(failed)) => failed.to_string(),
            (None, None) => String::new(),
        }),
    ];
    let table = draw(messages, &columns, ui.table_width());
    ui.line(&table)
}

/// To the mail node, in its queue, until the relay answered, until it had the message.
fn hops(row: &SentMessage) -> String {
    row.delivery.as_ref().map_or_else(String::new, |sent| {
        let hops = sent.hops;
        let parts = [hops.submitted_ms, hops.queued_ms, hops.connected_ms, hops.sent_ms];
        parts.map(|part| part.to_string()).join(" + ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_needs_a_recipient_and_a_try_a_relay() {
        let parse = |line: &str| Test::try_parse_from(line.split(' '));
        assert!(parse("test").is_err());
        assert!(parse("test --relay=main").is_ok() && parse("test --to=a@b.example").is_ok());
        assert!(parse("test --to=nobody").is_err());
    }
}
