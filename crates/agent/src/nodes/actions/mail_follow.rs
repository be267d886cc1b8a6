//! One message sent, and followed to whoever takes it.

use std::time::Duration;

use orocloud_protocol::node::{MailChecked, Probe};
use orocloud_protocol::smtp::Delivery;
use orocloud_protocol::{CallError, ErrorKind, MailAddress};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::mail::{address, cancelled};
use super::{Action, ActionContext};
use crate::engines::postfix::log::{self, Status};
use crate::engines::postfix::submission;
use crate::nodes::mail::{Configurations, section};

/// How long the relays may take, all of them one after the other.
const LIMIT: Duration = Duration::from_secs(120);

const PAUSE: Duration = Duration::from_millis(50);

/// [`orocloud_protocol::node::StepAction::MailTest`]
pub struct Test<'a> {
    pub to: &'a MailAddress,
    pub from: Option<&'a MailAddress>,
}

impl Action for Test<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let postfix = section(context.node)?;
        let desired = Configurations::new(postfix).desired()?;
        let kept = desired.by_priority().into_iter().find_map(|relay| relay.probe_from.as_ref());
        let from = self.from.or(kept).ok_or_else(|| {
            CallError::refused("no sender is known that the relays take")
                .hint("name one: orocloud-cli smtp:test --to=… --from=shop@example.com")
        })?;
        let config = &context.node.config;
        let hello = config.environment.full_name(&config.node);
        let message = submission::Message {
            id: context.operation.to_string(),
            environment: config.environment.name.to_string(),
            from: address(from)?,
            to: address(self.to)?,
        };
        let (place, began) = (log::end(&postfix.log), Instant::now());
        let queue_id = submission::send(postfix.listens, &hello, message)
            .await
            .map_err(|why| CallError::failed("Postfix did not take the message").because(why))?;
        loop {
            let said = log::since(&postfix.log, place)
                .map_err(|error| context.io("Postfix's log cannot be read", &error))?;
            let of_it = |attempt: &log::Attempt<'_>| attempt.queue_id == queue_id;
            if let Some(attempt) = said.lines().filter_map(log::attempt).find(of_it) {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                return context.output(&ended(&attempt, &queue_id, took_ms));
            }
            if began.elapsed() > LIMIT {
                let text = format!("nobody has taken message {queue_id} within {} s", LIMIT.as_secs());
                let failed = CallError::new(ErrorKind::CheckFailed, text)
                    .hint("see what waits: orocloud-cli smtp:queue");
                return context.output(&MailChecked { failed: Some(failed), ..MailChecked::default() });
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = context.cancel.cancelled() => return Err(cancelled()),
            }
        }
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // What is sent cannot be taken back.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // A second message does no harm, but nobody asked for it either.
        Ok(Probe::NotDone)
    }
}

/// What an attempt says of the message.
fn ended(attempt: &log::Attempt<'_>, queue_id: &str, took_ms: u64) -> MailChecked {
    let (to, relay, said) = (attempt.to, attempt.relay, attempt.said);
    let failed = |what: String| CallError::new(ErrorKind::CheckFailed, what).because(said);
    let failed = match attempt.status {
        // Postfix's own transport for what is dropped says that it "sent" it.
        Status::Sent if relay == "none" => failed(format!("mail to {to} is dropped"))
            .hint("see who is reached: orocloud-cli smtp:whitelist show"),
        Status::Sent => {
            let (queue_id, relay, said) = (queue_id.to_owned(), relay.to_owned(), said.to_owned());
            let sent = Delivery { queue_id, relay, said, took_ms };
            return MailChecked { sent: Some(sent), ..MailChecked::default() };
        }
        Status::Deferred => failed(format!("no relay takes message {queue_id} for {to} now; it waits"))
            .hint("see what waits: orocloud-cli smtp:queue")
            .hint("see the relays: orocloud-cli smtp:show"),
        Status::Bounced => failed(format!("{relay} refuses message {queue_id} for {to}")),
    };
    MailChecked { failed: Some(failed), ..MailChecked::default() }
}
