//! Maintenance windows of this environment: the planned ones of environment.toml, and those that were announced, which
//! are kept in maint's state.

mod command;

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::window::{Window, WindowKind};
use orocloud_protocol::{CallError, EnvironmentName};
use serde::{Deserialize, Serialize};

use crate::environment::Agent;

pub use command::main;

/// The newest format of the file that this build reads.
const FORMAT: u32 = 1;

/// An announced window, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Names it to `orocloud-agent window`.
    pub id: String,
    /// Counts changes.
    pub sequence: u32,
    /// For what.
    pub reason: WindowKind,
    /// Its begin.
    pub starts_at: Timestamp,
    /// Its end.
    pub ends_at: Timestamp,
    /// What is done.
    pub work: String,
    /// Whether the shop is interrupted.
    pub interrupts: bool,
    /// Whether it was called off.
    pub cancelled: bool,
    /// When it was announced or last changed.
    pub changed_at: Timestamp,
}

impl Announced {
    fn window(&self, environment: &EnvironmentName) -> Window {
        Window {
            uid: format!("announced-{}@{environment}", self.id),
            sequence: self.sequence,
            kind: self.reason,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            work: self.work.clone(),
            interrupts: self.interrupts,
            cancelled: self.cancelled,
            changed_at: Some(self.changed_at),
            operations: Vec::new(),
        }
    }
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    windows: Vec<Announced>,
}

fn path(state: &Path) -> PathBuf {
    state.join("windows.json")
}

/// The announced windows.
pub fn announced(state: &Path) -> Result<Vec<Announced>, CallError> {
    let path = path(state);
    let cannot = |why: &dyn std::fmt::Display| {
        CallError::failed("the announced maintenance windows cannot be read")
            .because(why)
            .hint(format!("look at the file on the maintenance node: {}", path.display()))
    };
    match orocloud_durable::read_json::<Kept>(&path).map_err(|error| cannot(&error))? {
        None => Ok(Vec::new()),
        Some(kept) if kept.format > FORMAT => {
            Err(cannot(&format!("its format is {}, this agent reads {FORMAT}", kept.format)))
        }
        Some(kept) => Ok(kept.windows),
    }
}

/// Changes the announced windows; others who do so wait.
fn change<T>(
    state: &Path,
    change: impl FnOnce(&mut Vec<Announced>) -> Result<T, CallError>,
) -> Result<T, CallError> {
    let cannot =
        |error: std::io::Error| CallError::failed("the maintenance windows cannot be written").because(error);
    let lock = File::create(state.join("windows.lock")).map_err(cannot)?;
    lock.lock().map_err(cannot)?;
    let mut windows = announced(state)?;
    let result = change(&mut windows)?;
    // What the agent's own account reads when it is not who announces.
    orocloud_durable::write_json(&path(state), &Kept { format: FORMAT, windows }, 0o644).map_err(cannot)?;
    Ok(result)
}

/// All windows that end after `from` and begin before `until`, the earliest first.
pub fn between(config: &Agent, from: Timestamp, until: Timestamp) -> Result<Vec<Window>, CallError> {
    let environment = &config.environment;
    let mut windows = Vec::new();
    for planned in &environment.windows {
        windows.extend(planned.between(environment.name.as_str(), from, until).map_err(|wrong| {
            CallError::failed("environment.toml has a wrong maintenance window").because(wrong)
        })?);
    }
    let announced = announced(&config.state)?;
    let announced = announced.iter().map(|announced| announced.window(&environment.name));
    windows.extend(announced.filter(|window| window.ends_at > from && window.starts_at < until));
    windows.sort_by(|a, b| (a.starts_at, &a.uid).cmp(&(b.starts_at, &b.uid)));
    Ok(windows)
}

/// So far ahead a window is looked for that something could run into.
pub const AHEAD: SignedDuration = SignedDuration::from_hours(48);
