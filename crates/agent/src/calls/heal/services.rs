//! Services on a node that was away when an operation ended: what the operation was to start again is started, and what
//! still runs another release is restarted, as soon as nobody is at work and no maintenance page stands.

use std::time::Duration;

use orocloud_protocol::node::{ServiceHolder, StepAction};
use orocloud_protocol::service::{ServiceChange, ServiceInfo, ServiceKind};
use orocloud_protocol::{CallError, NodeName, ServiceName};
use tokio::time::Instant;

use super::{Turn, kept_out, status};
use crate::calls::maintenance;
use crate::calls::status::ask;
use crate::nodes::executor::act;
use crate::server::DaemonRef;

/// How long a node that does not answer is let alone.
const PAUSE: Duration = Duration::from_secs(5);

/// How long services may take to end and to start.
const LIMIT: Duration = Duration::from_secs(300);

/// Whether somebody has to look.
#[derive(Debug)]
pub(super) struct Due {
    /// An operation was at work since all services were seen as they should be; or nobody has looked yet.
    wanted: bool,
    next: Instant,
    told: Option<String>,
}

impl Due {
    pub(super) fn new() -> Self {
        Self { wanted: true, next: Instant::now(), told: None }
    }

    /// Looks, if there is a reason to. An operation that loses a node lasts longer than the time between two looks.
    pub(super) async fn look(&mut self, daemon: &DaemonRef) {
        if !daemon.operations.unended().is_empty() {
            self.wanted = true;
            return;
        }
        if !self.wanted || Instant::now() < self.next {
            return;
        }
        match all_are_right(daemon).await {
            Ok(right) => (self.wanted, self.told) = (!right, None),
            Err(error) => {
                let told = Some(format!("services cannot be brought to what holds: {error}"));
                if self.told != told {
                    told.iter().for_each(crate::log::line);
                }
                self.told = told;
            }
        }
        self.next = Instant::now() + PAUSE;
    }
}

/// What is to be done with the services of one node.
#[derive(Debug, Default, PartialEq, Eq)]
struct Todo {
    /// Kinds of which some are to be started.
    start: Vec<ServiceKind>,
    /// To be restarted.
    restart: Vec<ServiceName>,
}

fn todo(services: &[ServiceInfo]) -> Todo {
    let mut start: Vec<ServiceKind> =
        services.iter().filter(|service| service.held).map(|service| service.kind).collect();
    start.sort();
    start.dedup();
    let restart = services.iter().filter(|service| service.outdated && !service.held);
    Todo { start, restart: restart.map(|service| service.unit.clone()).collect() }
}

/// Makes them right; false when that has to wait.
async fn all_are_right(daemon: &DaemonRef) -> Result<bool, CallError> {
    let config = &daemon.node.config;
    // They are stopped as long as the page stands; whoever takes it down starts them.
    if maintenance::holds(config)?.is_up() {
        return Ok(false);
    }
    let kept_out = kept_out(daemon)?;
    let mut nodes: Vec<NodeName> =
        config.environment.services.iter().flat_map(|service| service.nodes.clone()).collect();
    nodes.sort();
    nodes.dedup();
    let mut right = !nodes.iter().any(|node| kept_out.contains_key(node));
    nodes.retain(|node| !kept_out.contains_key(node));
    for (node, answer) in ask(daemon, &nodes, false).await {
        match answer {
            Ok(answer) if todo(&answer.services) == Todo::default() => {}
            Ok(_) => right &= bring(daemon, &node).await?,
            // It is asked again: a node that is away may come back with anything.
            Err(_) => right = false,
        }
    }
    Ok(right)
}

async fn bring(daemon: &DaemonRef, node: &NodeName) -> Result<bool, CallError> {
    let what = format!("bring the services of {node} to what holds");
    let Some(_held) = Turn::Own.take(daemon, &what) else { return Ok(false) };
    // An operation may just have ended that put the page up, or stopped them.
    if maintenance::holds(&daemon.node.config)?.is_up() {
        return Ok(false);
    }
    let Todo { start, restart } = todo(&status(daemon, node).await?.services);
    if !restart.is_empty() {
        let units: Vec<&str> = restart.iter().map(ServiceName::as_str).collect();
        crate::log::line(format!("{} on {node} ran another release: restarting", units.join(", ")));
        let action = StepAction::ServicesChange { units: restart, to: ServiceChange::RestartRunning };
        act(&daemon.nodes, node, "service:restart", action, LIMIT).await?;
    }
    for kind in start {
        crate::log::line(format!("each {} on {node} that ran before is started again", kind.as_str()));
        let action = StepAction::ServicesStart { kind, holder: ServiceHolder::Maintenance };
        act(&daemon.nodes, node, "service:start", action, LIMIT).await?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::service::ServiceState;

    use super::*;

    #[test]
    fn what_is_held_is_started_and_what_is_old_is_restarted() {
        let service = |kind, unit: &str, held, outdated| ServiceInfo {
            kind,
            node: "job1".parse().unwrap(),
            unit: unit.parse().unwrap(),
            queue: None,
            state: ServiceState::Running,
            pid: None,
            detail: None,
            held,
            outdated,
        };
        use ServiceKind::{Consumer, Cron, Websocket};
        assert_eq!(todo(&[service(Cron, "cron", false, false)]), Todo::default());
        let services = [
            service(Consumer, "one", true, false),
            service(Consumer, "two", true, true),
            service(Cron, "cron", false, false),
            service(Websocket, "websocket", false, true),
        ];
        let expected = Todo { start: vec![Consumer], restart: vec!["websocket".parse().unwrap()] };
        assert_eq!(todo(&services), expected);
    }
}
