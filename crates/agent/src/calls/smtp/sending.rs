//! `smtp:test`: a message from every web node followed to the relay that takes it, or one relay tried.

use std::collections::BTreeMap;

use orocloud_protocol::node::{MailChecked, MailFollowed, MailSent, StepAction};
use orocloud_protocol::smtp::{SentMessage, Test, TestAnswer, TestParams};
use orocloud_protocol::{CallError, ErrorKind, MailAddress, NodeName, NodeRole, OperationOptions};
use serde_json::json;

use super::mail_nodes;
use crate::calls::{Context, Done, OperationCall, quoted};
use crate::nodes::mail::send_step;
use crate::operations::plan::{OperationPlan, Outputs, Step, output};
use crate::server::DaemonRef;

impl OperationCall for Test {
    fn options(params: &TestParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &TestParams) -> String {
        let mut typed = "smtp:test".to_owned();
        for (option, value) in [
            ("relay", params.relay.as_ref().map(ToString::to_string)),
            ("to", params.to.as_ref().map(ToString::to_string)),
            ("from", params.from.as_ref().map(ToString::to_string)),
        ] {
            if let Some(value) = value {
                typed.push_str(&format!(" --{option}={}", quoted(&value)));
            }
        }
        typed
    }

    async fn plan(context: &Context, params: &TestParams) -> Result<OperationPlan, CallError> {
        let nodes = mail_nodes(context)?;
        match (&params.relay, &params.to) {
            (Some(relay), to) => {
                let (from, to) = (params.from.clone(), to.clone());
                let action = StepAction::MailTry { relay: relay.clone(), candidate: false, from, to };
                // One stands for all: they have the same relays.
                let steps = nodes.iter().take(1).map(|node| Step::new("mail:try", node, action.clone()));
                let summary = format!("relay {relay} is tried, and nothing is sent");
                Ok(OperationPlan::losing_nothing(vec![steps.collect()], 1, vec![summary]))
            }
            (None, Some(to)) => {
                let environment = &context.config().environment;
                let webs: Vec<NodeName> =
                    environment.with_role(NodeRole::Web).map(|node| node.name.clone()).collect();
                if webs.is_empty() {
                    return Err(CallError::failed(format!(
                        "no node of {} has the role web",
                        environment.name
                    ))
                    .hint("see the nodes: orocloud-cli env:info"));
                }
                Ok(sending(&nodes, &webs, to, params.from.as_ref()))
            }
            (None, None) => Err(CallError::usage("neither a recipient nor a relay is given")
                .hint("orocloud-cli smtp:test --to=ann@example.com")
                .hint("orocloud-cli smtp:test --relay=main")),
        }
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, TestParams>) -> Result<TestAnswer, CallError> {
        if done.params.relay.is_some() {
            let MailChecked { tried, failed } = output(done.outputs, "mail:try")?;
            return failed.map_or(Ok(TestAnswer::Tried(tried)), Err);
        }
        let steps: Vec<&Step> = done.plan.groups.iter().flatten().collect();
        let of = |wanted: fn(&StepAction) -> bool| {
            steps.iter().filter(move |step| wanted(&step.action)).map(|step| &step.node)
        };
        let webs = of(|action| matches!(action, StepAction::MailSend { .. }));
        let nodes = of(|action| matches!(action, StepAction::MailFollow { .. }));
        judged(&messages(webs, nodes, done.outputs)).map(TestAnswer::Sent)
    }
}

/// Every web node sends one, at the same time; the mail nodes see where those go that went by them.
fn sending(
    nodes: &[NodeName],
    webs: &[NodeName],
    to: &MailAddress,
    from: Option<&MailAddress>,
) -> OperationPlan {
    let ready = StepAction::MailReady { from: from.cloned() };
    let ready = nodes.iter().map(|node| Step::new("mail:ready", node, ready.clone())).collect();
    // The others are tried also when one is away.
    let send = webs
        .iter()
        .map(|web| Step::new(send_step(web), web, StepAction::MailSend { to: to.clone() }).soft())
        .collect();
    let follow = StepAction::MailFollow { from: webs.to_vec() };
    let follow = nodes.iter().map(|node| Step::new(follow_step(node), node, follow.clone())).collect();
    let names: Vec<&str> = webs.iter().map(NodeName::as_str).collect();
    let summary = format!("one message is sent to {to} from each of {}", names.join(", "));
    OperationPlan::losing_nothing(vec![ready, send, follow], 3, vec![summary])
}

fn follow_step(node: &NodeName) -> String {
    format!("mail:follow:{node}")
}

/// What became of each message.
fn messages<'a>(
    webs: impl Iterator<Item = &'a NodeName>,
    nodes: impl Iterator<Item = &'a NodeName>,
    outputs: &Outputs,
) -> Vec<SentMessage> {
    let followed = nodes.filter_map(|node| output::<MailFollowed>(outputs, &follow_step(node)).ok());
    let mut ended: BTreeMap<NodeName, SentMessage> =
        followed.flat_map(|one| one.messages).map(|message| (message.node.clone(), message)).collect();
    let of_web = |web: &NodeName| {
        if let Some(message) = ended.remove(web) {
            return message;
        }
        let failed = match output(outputs, &send_step(web)) {
            Ok(MailSent::Failed(error)) => error,
            Ok(MailSent::Taken { queue_id, .. }) => CallError::new(
                ErrorKind::CheckFailed,
                format!("message {queue_id} was taken, but by no mail node of the environment"),
            ),
            Err(_) => CallError::new(ErrorKind::CheckFailed, format!("nothing was sent from {web}"))
                .hint("see whether it is there: orocloud-cli status"),
        };
        SentMessage { node: web.clone(), delivery: None, failed: Some(failed) }
    };
    webs.map(of_web).collect()
}

/// All of them arrive, or those that do not are named.
fn judged(messages: &[SentMessage]) -> Result<Vec<SentMessage>, CallError> {
    let failed: Vec<(&NodeName, &CallError)> = messages
        .iter()
        .filter_map(|message| message.failed.as_ref().map(|error| (&message.node, error)))
        .collect();
    if failed.is_empty() {
        return Ok(messages.to_vec());
    }
    let names: Vec<&str> = failed.iter().map(|(node, _)| node.as_str()).collect();
    let text = format!("mail from {} does not arrive", names.join(", "));
    let mut error = CallError::new(ErrorKind::CheckFailed, text);
    for (node, why) in failed {
        error = error.because(format!("{node}: {why}"));
        for hint in &why.hints {
            if !error.hints.contains(hint) {
                error = error.hint(hint);
            }
        }
    }
    Err(error.with_details(json!({ "sent": messages })))
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::smtp::{Delivery, Hops};

    use super::*;

    #[test]
    fn every_web_node_has_its_own_outcome() {
        let names = ["web1", "web2", "web3", "web4"].map(|name| name.parse::<NodeName>().unwrap());
        let mail = ["mail1", "mail2"].map(|name| name.parse::<NodeName>().unwrap());
        let delivered = |node: &NodeName, by: &NodeName| SentMessage {
            node: node.clone(),
            delivery: Some(Delivery {
                mail_node: by.clone(),
                queue_id: "4cPq".into(),
                relay: "r[127.0.0.1]:25".into(),
                said: "250 taken".into(),
                took_ms: 7,
                hops: Hops::default(),
            }),
            failed: None,
        };
        let taken = MailSent::Taken { queue_id: "4cPq".into(), took_ms: 7 };
        let refused = MailSent::Failed(
            CallError::new(ErrorKind::CheckFailed, "127.0.0.1:25 takes no mail from web3")
                .because("554 5.7.1 not this one")
                .hint("h"),
        );
        let mut outputs: Outputs = [&taken, &taken, &refused]
            .iter()
            .zip(&names)
            .map(|(sent, web)| (send_step(web), json!(sent)))
            .collect();
        for (node, messages) in [(&mail[0], vec![]), (&mail[1], vec![delivered(&names[0], &mail[1])])] {
            outputs.insert(follow_step(node), json!(MailFollowed { messages }));
        }
        let all = messages(names.iter(), mail.iter(), &outputs);
        assert_eq!(all[0], delivered(&names[0], &mail[1]));
        let error = judged(&all).unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::CheckFailed, "mail from web2, web3, web4 does not arrive")
        );
        for (cause, expected) in
            error.causes.iter().zip(["by no mail node", "554 5.7.1 not this one", "nothing was sent"])
        {
            assert!(cause.contains(expected), "{error}");
        }
        assert_eq!(error.details.unwrap()["sent"].as_array().unwrap().len(), 4);
        assert_eq!(judged(&all[..1]).unwrap().len(), 1);
    }
}
