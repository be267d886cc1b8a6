//! Messages followed to whoever takes them.

use std::time::Duration;

use orocloud_protocol::node::{MailFollowed, MailReady, MailSent, Probe};
use orocloud_protocol::smtp::{Delivery, Hops, SentMessage};
use orocloud_protocol::{CallError, ErrorKind, MailAddress, NodeName};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::address;
use crate::engines::postfix::log::{self, Status};
use crate::nodes::actions::{Action, ActionContext};
use crate::nodes::mail::switch::cancelled;
use crate::nodes::mail::{Configurations, section, send_step};
use crate::operations::plan::output;

/// How long the relays may take, all of them one after the other.
const LIMIT: Duration = Duration::from_secs(120);

/// A message that Postfix took stands in its log by then, if it was this Postfix.
const SEEN: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(50);

/// The mark of where the log ended before anything was sent.
const PLACE: &str = "mail:place";

/// [`orocloud_protocol::node::StepAction::MailReady`]
pub struct Ready<'a> {
    pub from: Option<&'a MailAddress>,
}

impl Action for Ready<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let postfix = section(context.node)?;
        let desired = Configurations::new(postfix).desired()?;
        let kept = desired.by_priority().into_iter().find_map(|relay| relay.probe_from.as_ref());
        let from = self.from.or(kept).ok_or_else(|| {
            CallError::refused("no sender is known that the relays take")
                .hint("name one: orocloud-cli smtp:test --to=… --from=shop@example.com")
        })?;
        address(from)?;
        context.marks().set(PLACE, &log::end(&postfix.log))?;
        context.output(&MailReady { from: from.clone() })
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        context.marks().clear(PLACE)
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(Probe::NotDone)
    }
}

/// [`orocloud_protocol::node::StepAction::MailFollow`]
pub struct Follow<'a> {
    pub from: &'a [NodeName],
}

/// A message that is on its way.
#[derive(Clone, Debug)]
struct OnItsWay<'a> {
    node: &'a NodeName,
    queue_id: String,
    submitted_ms: u64,
    seen: bool,
}

impl Action for Follow<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let postfix = section(context.node)?;
        let here = &context.node.config.node;
        let mut followed = MailFollowed::default();
        let mut place = context.marks().get::<u64>(PLACE)?.unwrap_or_default();
        let begun = Instant::now();
        let mut open: Vec<OnItsWay<'_>> =
            self.from.iter().filter_map(|node| sent_by(context, node)).collect();
        while !open.is_empty() {
            let (said, behind) = log::piece(&postfix.log, place)
                .map_err(|error| context.io("Postfix's log cannot be read", &error))?;
            place = behind;
            followed.messages.extend(read(&said, &mut open, here));
            if begun.elapsed() > SEEN {
                // Another mail node took it.
                open.retain(|message| message.seen);
            }
            if begun.elapsed() > LIMIT {
                followed.messages.extend(open.drain(..).map(|message| {
                    let text =
                        format!("nobody has taken message {} within {} s", message.queue_id, LIMIT.as_secs());
                    let failed = CallError::new(ErrorKind::CheckFailed, text)
                        .hint("see what waits: orocloud-cli smtp:queue");
                    SentMessage { node: message.node.clone(), delivery: None, failed: Some(failed) }
                }));
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = context.cancel.cancelled() => return Err(cancelled()),
            }
        }
        context.output(&followed)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // What is sent cannot be taken back.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // It only reads.
        Ok(Probe::NotDone)
    }
}

/// The message of a web node, if somebody took it.
fn sent_by<'a>(context: &ActionContext<'_>, node: &'a NodeName) -> Option<OnItsWay<'a>> {
    match output(context.outputs, &send_step(node)) {
        Ok(MailSent::Taken { queue_id, took_ms }) => {
            Some(OnItsWay { node, queue_id, submitted_ms: took_ms, seen: false })
        }
        _ => None,
    }
}

/// Reads on in the log; gives those whose way has ended.
fn read(said: &str, open: &mut Vec<OnItsWay<'_>>, here: &NodeName) -> Vec<SentMessage> {
    let mut ended = Vec::new();
    for line in said.lines() {
        let Some(id) = log::queue_id(line) else { continue };
        let Some(at) = open.iter().position(|message| message.queue_id == id) else { continue };
        match log::attempt(line) {
            Some(attempt) => {
                let message = open.swap_remove(at);
                ended.push(judged(&message, &attempt, log::delays(line).unwrap_or_default(), here));
            }
            None => open[at].seen = true,
        }
    }
    ended
}

/// What an attempt says of the message.
fn judged(
    message: &OnItsWay<'_>,
    attempt: &log::Attempt<'_>,
    delays: [u64; 4],
    here: &NodeName,
) -> SentMessage {
    let (to, relay, said, queue_id) = (attempt.to, attempt.relay, attempt.said, &message.queue_id);
    let failed = |what: String| Err(CallError::new(ErrorKind::CheckFailed, what).because(said));
    let outcome = match attempt.status {
        // Postfix's own transport for what is dropped says that it "sent" it.
        Status::Sent if relay == "none" => failed(format!("mail to {to} is dropped"))
            .map_err(|error| error.hint("see who is reached: orocloud-cli smtp:whitelist show")),
        Status::Sent => {
            let [before, in_queue, connected_ms, sent_ms] = delays;
            let hops = Hops {
                submitted_ms: message.submitted_ms,
                queued_ms: before + in_queue,
                connected_ms,
                sent_ms,
            };
            Ok(Delivery {
                mail_node: here.clone(),
                queue_id: queue_id.clone(),
                relay: relay.to_owned(),
                said: said.to_owned(),
                took_ms: hops.total_ms(),
                hops,
            })
        }
        Status::Deferred => failed(format!("no relay takes message {queue_id} for {to} now; it waits"))
            .map_err(|error| {
                error
                    .hint("see what waits: orocloud-cli smtp:queue")
                    .hint("see the relays: orocloud-cli smtp:show")
            }),
        Status::Bounced => failed(format!("{relay} refuses message {queue_id} for {to}")),
    };
    let (delivery, failed) = match outcome {
        Ok(delivery) => (Some(delivery), None),
        Err(error) => (None, Some(error)),
    };
    SentMessage { node: message.node.clone(), delivery, failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_followed_by_its_own_id() {
        let [web1, web2, mail1] = ["web1", "web2", "mail1"].map(|name| name.parse::<NodeName>().unwrap());
        let on_its_way =
            |node, id: &str| OnItsWay { node, queue_id: id.to_owned(), submitted_ms: 5, seen: false };
        let head = "Nov 28 21:20:01 acme-prod1-mail1 postfix/";
        let line = |id: &str, relay: &str, status: &str| {
            format!(
                "{head}smtp[7]: {id}: to=<a@b.c>, relay={relay}, delay=1, delays=0.01/0.02/0.03/0.04, dsn=2.0.0, status={status} (words)\n"
            )
        };
        let relay = "r[127.18.1.10]:2525";
        let mut open = vec![on_its_way(&web1, "AAA"), on_its_way(&web2, "BBB")];
        let begun = format!("{head}cleanup[6]: BBB: message-id=<x>\n{}", line("CCC", relay, "sent"));
        assert!(read(&begun, &mut open, &mail1).is_empty());
        assert_eq!(open.iter().map(|message| message.seen).collect::<Vec<_>>(), [false, true]);
        let ended = read(&line("BBB", relay, "sent"), &mut open, &mail1);
        let delivery = ended[0].delivery.as_ref().unwrap();
        assert_eq!((&ended[0].node, &delivery.mail_node, delivery.took_ms), (&web2, &mail1, 105));
        let hops = Hops { submitted_ms: 5, queued_ms: 30, connected_ms: 30, sent_ms: 40 };
        assert_eq!((delivery.hops, open.len()), (hops, 1));
        for (relay, status, expected) in
            [("none", "sent", "is dropped"), (relay, "deferred", "it waits"), (relay, "bounced", "refuses")]
        {
            let mut open = vec![on_its_way(&web1, "AAA")];
            let ended = read(&line("AAA", relay, status), &mut open, &mail1);
            let error = ended[0].failed.as_ref().unwrap();
            assert!(error.message.contains(expected) && error.causes == ["words"], "{error}");
        }
    }
}
