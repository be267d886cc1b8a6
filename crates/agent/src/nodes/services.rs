//! The application's services on this node: how they are, and which of them were stopped by whom, so that exactly those
//! are started again. `state/services.json` outlives crashes and reboots.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use orocloud_protocol::service::{ServiceInfo, ServiceKind, ServiceState};
use orocloud_protocol::{CallError, CallId, ErrorKind, ServiceName};
use serde::{Deserialize, Serialize};

use super::NodeRef;
use crate::environment::Service;
use crate::service_manager::Activity;

/// The newest format that this build reads.
const FORMAT: u32 = 1;

/// Who has stopped a service that is to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// A person, by `maintenance:on`.
    Maintenance,
    /// An operation that runs, or has failed and left the page up.
    Operation(CallId),
}

/// A service that was stopped, and ran before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldService {
    /// The service.
    pub unit: ServiceName,
    /// Who starts it again.
    pub holder: Holder,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    format: u32,
    held: Vec<HeldService>,
}

/// The services of this node that were stopped and are to be started again.
#[derive(Clone, Debug)]
pub struct Held {
    file: PathBuf,
}

/// Only this process writes the file.
static WRITING: Mutex<()> = Mutex::new(());

impl Held {
    /// By the node's `state` folder.
    pub fn new(state: &Path) -> Self {
        Self { file: state.join("services.json") }
    }

    /// All of them.
    pub fn all(&self) -> Result<Vec<HeldService>, CallError> {
        let cannot = |why: &dyn std::fmt::Display| {
            CallError::failed(format!("{} cannot be read", self.file.display())).because(why)
        };
        match orocloud_durable::read_json::<Content>(&self.file).map_err(|error| cannot(&error))? {
            Some(content) if content.format > FORMAT => {
                Err(cannot(&format!("format is {}, this agent reads {FORMAT}", content.format)))
            }
            Some(content) => Ok(content.held),
            None => Ok(Vec::new()),
        }
    }

    /// Changes the list; gives what it was before.
    pub fn change(&self, change: impl FnOnce(&mut Vec<HeldService>)) -> Result<Vec<HeldService>, CallError> {
        let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.all()?;
        let mut held = before.clone();
        change(&mut held);
        if held != before {
            orocloud_durable::write_json(&self.file, &Content { format: FORMAT, held }, 0o644).map_err(
                |error| {
                    CallError::failed(format!("{} cannot be written", self.file.display())).because(error)
                },
            )?;
        }
        Ok(before)
    }
}

/// The application's services that this node is to have, by kind.
pub fn of_node(node: &NodeRef, kind: Option<ServiceKind>) -> impl Iterator<Item = &Service> {
    let name = &node.config.node;
    let here = move |service: &&Service| {
        service.nodes.contains(name) && kind.is_none_or(|kind| service.kind == kind)
    };
    node.config.environment.services.iter().filter(here)
}

/// How each of them is.
pub async fn states(node: &NodeRef) -> Vec<ServiceInfo> {
    let held = Held::new(&node.config.state).all().unwrap_or_default();
    let mut infos = Vec::new();
    for service in of_node(node, None) {
        let (state, pid, mut detail) = match node.services.state(service.unit.as_str()).await {
            Ok(found) => (as_told(found.activity), found.pid, found.detail),
            Err(error) => (ServiceState::Unknown, None, Some(error.to_string())),
        };
        let outdated = pid.is_some_and(|pid| is_outdated(node, pid));
        if outdated {
            detail = Some("it was started with another release".to_owned());
        }
        let held = held.iter().find(|held| held.unit == service.unit);
        if let Some(held) = held {
            detail = Some(match held.holder {
                Holder::Maintenance => "maintenance:off starts it again".to_owned(),
                Holder::Operation(id) => format!("operation {id} starts it again"),
            });
        }
        infos.push(ServiceInfo {
            kind: service.kind,
            node: node.config.node.clone(),
            unit: service.unit.clone(),
            queue: service.queue.clone(),
            state,
            pid,
            detail,
            held: held.is_some(),
            outdated,
        });
    }
    infos
}

/// What a process may be older than the link to the release that it runs: the clocks of both are coarse.
const SLACK: Duration = Duration::from_secs(1);

/// Whether a service was started before the release was switched, so that it still runs another one. What cannot be
/// found out is no reason to restart anything.
fn is_outdated(node: &NodeRef, pid: u32) -> bool {
    let Some(app) = &node.config.app else { return false };
    let changed = std::fs::symlink_metadata(app.current()).and_then(|link| link.modified()).ok();
    let since_change = changed.and_then(|at| at.elapsed().ok());
    matches!((age_of(pid), since_change), (Some(age), Some(since)) if age > since + SLACK)
}

/// How long ago a process was started.
fn age_of(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // In a container that is shown an uptime of its own nothing is older than that, so nothing is found out.
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let now = Duration::try_from_secs_f64(uptime.split_whitespace().next()?.parse().ok()?).ok()?;
    now.checked_sub(started(&stat)?)
}

/// The unit of `/proc`, the same on all machines (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// When a process was started, after the machine: field 22 of its `stat`, in ticks. The name before it may hold
/// anything.
fn started(stat: &str) -> Option<Duration> {
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    Some(Duration::from_millis(ticks.saturating_mul(1000) / TICKS_PER_SECOND))
}

fn as_told(activity: Activity) -> ServiceState {
    match activity {
        Activity::Running => ServiceState::Running,
        Activity::Starting => ServiceState::Starting,
        Activity::Stopped => ServiceState::Stopped,
        Activity::Failed => ServiceState::Failed,
    }
}

/// After a boot everything runs: what is held is stopped again, so that a node comes back in the state that holds.
pub async fn hold(node: NodeRef) {
    let held = match Held::new(&node.config.state).all() {
        Ok(held) => held,
        Err(error) => return crate::log::line(format!("services that are held stay as they are: {error}")),
    };
    for HeldService { unit, .. } in held {
        match node.services.stop(unit.as_str()).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => crate::log::line(format!("{unit} is to be stopped, but: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_process_is_read_whatever_its_name_is() {
        let stat = "4242 (a b) R (x) S 1 4242 4242 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 123456 10 20";
        assert_eq!(started(stat), Some(Duration::from_millis(1_234_560)));
        assert_eq!(started("4242 (php) S 1"), None);
        assert_eq!(started(""), None);
        let own = age_of(std::process::id()).unwrap();
        assert!(own < Duration::from_secs(24 * 3600), "{own:?}");
        assert_eq!(age_of(u32::MAX), None);
    }

    #[test]
    fn what_is_held_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let held = Held::new(folder.path());
        let one = HeldService { unit: "cron".parse().unwrap(), holder: Holder::Maintenance };
        let two = HeldService {
            unit: "consumer-mail".parse().unwrap(),
            holder: Holder::Operation(CallId::from_parts(1_700_000_000_000, 1)),
        };
        assert!(held.change(|all| all.extend([one.clone(), two.clone()])).unwrap().is_empty());
        assert_eq!(Held::new(folder.path()).all().unwrap(), [one.clone(), two.clone()]);
        assert_eq!(held.change(|all| all.retain(|held| *held != one)).unwrap(), [one, two.clone()]);
        assert_eq!(held.all().unwrap(), [two]);
        std::fs::write(&held.file, r#"{"format":2,"held":[]}"#).unwrap();
        assert!(held.all().unwrap_err().to_string().contains("format is 2"));
    }
}
