//! `mail.whitelist` of the application's orocloud.yaml: the mail nodes follow the release that is served.

use std::time::{Duration, Instant};

use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::node::{MailNotTold, MailTold, StepAction};
use orocloud_protocol::smtp::ChangedAnswer;
use orocloud_protocol::{CallError, ErrorKind, Lock, MailDomain, NodeName, NodeRole, Resource, node};

use crate::calls::Context;
use crate::calls::status::{Answers, ask};
use crate::nodes::executor::act;
use crate::nodes::mail::switch::LIMIT;
use crate::operations::plan::{OperationPlan, Step};
use crate::releases;
use crate::server::DaemonRef;

/// How often somebody looks whether an operation has ended, which may have brought another release.
const LOOK: Duration = Duration::from_secs(2);

/// How long after a failure the next attempt follows, longer each time.
const AGAIN: Duration = Duration::from_secs(10);

/// No pause between attempts is longer. An attempt keeps releases from coming, so one that fails each time must leave room.
const LONGEST: Duration = Duration::from_secs(120);

/// Held for as long as the mail nodes are told.
const NO_RELEASE_COMES: [Lock; 1] = [Lock::shared(Resource::Code)];

/// What the release says that every node is to serve: by the first web node that has it. One that was left behind may serve
/// another. Nothing where none is served.
pub async fn listed(daemon: &DaemonRef) -> Result<Option<Vec<MailDomain>>, CallError> {
    let config = &daemon.node.config;
    let Some(CodeVersion { release, .. }) = releases::recorded(&config.state)? else {
        let webs: Vec<_> = config.environment.with_role(NodeRole::Web).map(|web| web.name.clone()).collect();
        return nothing_is_served(&ask(daemon, &webs, false).await).map(|()| None);
    };
    let (asked, mut fault) = (node::MailListedParams { release }, None);
    for web in config.environment.with_role(NodeRole::Web) {
        match daemon.nodes.call::<node::MailListed>(&web.name, &asked).await {
            Ok(answer) => return Ok(answer.whitelist),
            Err(error) => drop(fault.get_or_insert(error)),
        }
    }
    Err(fault
        .unwrap_or_else(|| CallError::failed("there is no web node that says what its application wants")))
}

/// A first deployment that was undone leaves nothing recorded, and neither does a record that is lost: then nobody's list goes.
fn nothing_is_served(webs: &Answers) -> Result<(), CallError> {
    for (web, answer) in webs {
        if let Some(release) = &answer.as_ref().map_err(Clone::clone)?.release {
            let text = format!("{web} serves release {release}, and none is recorded as what is served");
            return Err(CallError::failed(text).hint("see what is wrong: orocloud-cli status"));
        }
    }
    Ok(())
}

/// The step that tells the mail nodes because somebody wants it now.
pub const TELL: &str = "mail:tell";

/// What is done when somebody wants it now: the same as by [`watch`], so that nothing waits for a mail node that is lost.
pub async fn plan(context: &Context, summary: String) -> Result<OperationPlan, CallError> {
    let action = StepAction::MailTell { whitelist: listed(&context.daemon).await? };
    let tell = Step::new(TELL, &context.config().node, action);
    // It goes on to what is served, whoever interrupts it.
    Ok(OperationPlan::losing_nothing(vec![vec![tell]], 0, vec![summary]))
}

/// Success only where all of them follow.
pub fn answer(told: MailTold) -> Result<ChangedAnswer, CallError> {
    let names = |nodes: &[NodeName]| nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    if told.not_told.is_empty() {
        return told.holds.ok_or_else(|| CallError::internal("there is a mail node"));
    }
    let away: Vec<NodeName> = told.not_told.iter().map(|one| one.node.clone()).collect();
    let away = names(&away);
    let mut error = CallError::failed(format!(
        "{away} may not know yet what mail.whitelist of the application's orocloud.yaml says"
    ));
    for MailNotTold { node, why } in told.not_told {
        error = error.because(format!("{node}: {why}"));
    }
    if !told.told.is_empty() {
        error = error.because(format!("it holds on {}", names(&told.told)));
    }
    let text =
        format!("the agent tells {away} as soon as it can; until then mail by {away} reaches whom it did");
    Err(error
        .because(text)
        .hint("see what is wrong: orocloud-cli status")
        .hint("see whom mail reaches: orocloud-cli smtp:whitelist show"))
}

/// When the next attempt is due: at once, and later with each that fails.
struct Pauses {
    not_before: Instant,
    next: Duration,
}

impl Pauses {
    fn new(now: Instant) -> Self {
        Self { not_before: now, next: AGAIN }
    }

    fn failed(&mut self, now: Instant) {
        self.not_before = now + self.next;
        self.next = (self.next * 2).min(LONGEST);
    }
}

/// Looks once in the beginning, and whenever operations have ended.
pub async fn watch(daemon: DaemonRef) {
    let config = &daemon.node.config;
    let nodes: Vec<NodeName> =
        config.environment.with_role(NodeRole::Mail).map(|node| node.name.clone()).collect();
    if config.maint.is_none() || nodes.is_empty() {
        return;
    }
    let (mut wanted, mut seen, mut told) = (true, 0, String::new());
    let mut pauses = Pauses::new(Instant::now());
    loop {
        // An operation may begin and end between two looks.
        let changes = daemon.operations.changes();
        (wanted, seen) = (wanted || changes != seen, changes);
        // Nobody waits for what brings no release: a backup takes long.
        if !daemon.operations.are_free(&NO_RELEASE_COMES) {
            (wanted, pauses) = (true, Pauses::new(Instant::now()));
        } else if wanted && Instant::now() >= pauses.not_before {
            match follow(&daemon, &nodes).await {
                Ok(()) => (wanted, told, pauses) = (false, String::new(), Pauses::new(Instant::now())),
                Err(error) => {
                    let text = format!("mail.whitelist of orocloud.yaml is not followed: {error}");
                    if text != told {
                        crate::log::line(&text);
                    }
                    told = text;
                    pauses.failed(Instant::now());
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Has the mail nodes do what the release says, where they do something else; tells of the first one that did not.
async fn follow(daemon: &DaemonRef, nodes: &[NodeName]) -> Result<(), CallError> {
    let served = releases::recorded(&daemon.node.config.state)?;
    let listed = listed(daemon).await?;
    let mut fault = None;
    for name in nodes {
        // One that is lost keeps none of the others from it.
        if let Err(error) = follow_on(daemon, name, served.as_ref(), &listed).await {
            fault.get_or_insert(error);
        }
    }
    fault.map_or(Ok(()), Err)
}

async fn follow_on(
    daemon: &DaemonRef,
    name: &NodeName,
    served: Option<&CodeVersion>,
    listed: &Option<Vec<MailDomain>>,
) -> Result<(), CallError> {
    let holds = daemon.nodes.call::<node::Mail>(name, &node::MailParams {}).await?;
    if holds.recipients.application == *listed && !holds.recipients.on_the_way {
        return Ok(());
    }
    // For as long as it takes no other release comes. As an operation it would wait for a mail node that is lost,
    // and nobody could bring a release meanwhile.
    let busy = || CallError::new(ErrorKind::Locked, "another operation has begun");
    let what = "mail.whitelist of orocloud.yaml is followed";
    let _held = daemon.operations.hold(what, &NO_RELEASE_COMES).ok_or_else(busy)?;
    if releases::recorded(&daemon.node.config.state)?.as_ref() != served {
        return Err(busy());
    }
    let action = StepAction::MailHold { whitelist: listed.clone(), beside: false };
    act(&daemon.nodes, name, "mail:hold", action, LIMIT).await?;
    crate::log::line(match served {
        Some(served) => format!("{name} follows mail.whitelist of release {}", served.release),
        None => format!("{name} follows no mail.whitelist: nothing is served"),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::smtp::Recipients;

    use super::*;

    #[test]
    fn it_is_no_success_while_a_mail_node_does_not_follow() {
        let [mail1, mail2, mail3] = ["mail1", "mail2", "mail3"].map(|name| name.parse::<NodeName>().unwrap());
        let recipients = Recipients { whitelist: None, application: None, all: true, on_the_way: false };
        let holds = ChangedAnswer { relays: Vec::new(), recipients };
        let not_told = |node: &NodeName| MailNotTold { node: node.clone(), why: CallError::failed("lost") };
        let all = MailTold { told: vec![mail1.clone()], holds: Some(holds.clone()), not_told: Vec::new() };
        assert_eq!(answer(all.clone()).unwrap(), holds);
        for (told, lost, said) in [
            (vec![&mail1], vec![&mail2, &mail3], "mail2: lost; mail3: lost; it holds on mail1"),
            (vec![], vec![&mail1], "mail1: lost"),
        ] {
            let (told, not_told) =
                (told.into_iter().cloned().collect(), lost.into_iter().map(not_told).collect());
            let error = answer(MailTold { told, not_told, ..all.clone() }).unwrap_err();
            let (last, before) = error.causes.split_last().unwrap();
            assert_eq!((error.kind, before.join("; ").as_str()), (ErrorKind::Failed, said));
            assert!(last.contains("the agent tells mail"), "{error}");
        }
    }

    #[test]
    fn without_a_record_nothing_is_served_only_where_every_web_node_says_so() {
        let status = |release: Option<&str>| {
            Ok(node::StatusAnswer {
                agent_version: "0".into(),
                rows: Vec::new(),
                release: release.map(|release| release.parse().unwrap()),
                releases: Vec::new(),
                maintenance: None,
                services: Vec::new(),
                software: Vec::new(),
            })
        };
        let check = |answers: [Result<node::StatusAnswer, CallError>; 2]| {
            let names = ["web1", "web2"].map(|name| name.parse::<NodeName>().unwrap());
            let answers: Answers = names.into_iter().zip(answers).collect();
            nothing_is_served(&answers).map_err(|error| error.message)
        };
        check([status(None), status(None)]).unwrap();
        assert_eq!(check([status(None), Err(CallError::failed("away"))]).unwrap_err(), "away");
        let error = check([status(None), status(Some("20261124103200"))]).unwrap_err();
        assert!(error.starts_with("web2 serves release 20261124103200"), "{error}");
    }

    #[test]
    fn pauses_between_attempts_grow_up_to_the_longest() {
        let now = Instant::now();
        let mut pauses = Pauses::new(now);
        assert_eq!(pauses.not_before, now);
        let seconds = [10, 20, 40, 80, 120, 120].map(|expected| {
            pauses.failed(now);
            (pauses.not_before.duration_since(now).as_secs(), expected)
        });
        assert!(seconds.iter().all(|(waited, expected)| waited == expected), "{seconds:?}");
    }
}
