//! `mail.whitelist` of the application's orocloud.yaml: the mail nodes follow the release that is served.

use std::time::{Duration, Instant};

use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::node::StepAction;
use orocloud_protocol::{CallError, ErrorKind, Lock, MailDomain, NodeName, NodeRole, Resource, node};

use crate::nodes::executor::act;
use crate::releases;
use crate::server::DaemonRef;

/// How often somebody looks whether an operation has ended, which may have brought another release.
const LOOK: Duration = Duration::from_secs(2);

/// How long after a failure the next attempt follows, longer each time.
const AGAIN: Duration = Duration::from_secs(10);

/// No pause between attempts is longer. An attempt keeps releases from coming, so one that fails each time must leave room.
const LONGEST: Duration = Duration::from_secs(120);

/// How long a mail node may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What the release says that every node is to serve: by the first web node that has it. One that was left behind may serve
/// another.
pub async fn listed(daemon: &DaemonRef) -> Result<Option<Vec<MailDomain>>, CallError> {
    let config = &daemon.node.config;
    let Some(CodeVersion { release, .. }) = releases::recorded(&config.state)? else { return Ok(None) };
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

/// Looks once in the beginning, and whenever operations have ended.
pub async fn watch(daemon: DaemonRef) {
    let config = &daemon.node.config;
    let nodes: Vec<NodeName> =
        config.environment.with_role(NodeRole::Mail).map(|node| node.name.clone()).collect();
    if config.maint.is_none() || nodes.is_empty() {
        return;
    }
    let (mut wanted, mut followed, mut told) = (true, None, String::new());
    let (mut again, mut not_before) = (AGAIN, Instant::now());
    loop {
        // An operation may begin and end between two looks: then its release alone tells of it.
        let release = releases::recorded(&config.state).ok().flatten().map(|version| version.release);
        if !daemon.operations.unended().is_empty() {
            (wanted, again, not_before) = (true, AGAIN, Instant::now());
        } else if (wanted || release != followed) && Instant::now() >= not_before {
            match follow(&daemon, &nodes).await {
                Ok(()) => (wanted, followed, told, again) = (false, release, String::new(), AGAIN),
                Err(error) => {
                    let text = format!("mail.whitelist of orocloud.yaml is not followed: {error}");
                    if text != told {
                        crate::log::line(&text);
                    }
                    told = text;
                    not_before = Instant::now() + again;
                    again = (again * 2).min(LONGEST);
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Has the mail nodes do what the release says, where they do something else; tells of the first one that did not.
async fn follow(daemon: &DaemonRef, nodes: &[NodeName]) -> Result<(), CallError> {
    let Some(served) = releases::recorded(&daemon.node.config.state)? else { return Ok(()) };
    let listed = listed(daemon).await?;
    let mut fault = None;
    for name in nodes {
        // One that is lost keeps none of the others from it.
        if let Err(error) = follow_on(daemon, name, &served, &listed).await {
            fault.get_or_insert(error);
        }
    }
    fault.map_or(Ok(()), Err)
}

async fn follow_on(
    daemon: &DaemonRef,
    name: &NodeName,
    served: &CodeVersion,
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
    let _held = daemon.operations.hold(what, &[Lock::shared(Resource::Code)]).ok_or_else(busy)?;
    if releases::recorded(&daemon.node.config.state)?.as_ref() != Some(served) {
        return Err(busy());
    }
    let action = StepAction::MailHold { whitelist: listed.clone(), beside: false };
    act(&daemon.nodes, name, "mail:hold", action, LIMIT).await?;
    crate::log::line(format!("{name} follows mail.whitelist of release {}", served.release));
    Ok(())
}
