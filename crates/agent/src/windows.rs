//! Maintenance windows of this environment: the planned ones of environment.toml, and those that were announced, which
//! are kept in maint's state.

mod command;
mod message;
mod near;
pub mod outbox;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use orocloud_protocol::window::{Window, WindowKind};
use orocloud_protocol::{CallError, EnvironmentName};
use serde::{Deserialize, Serialize};

use crate::environment::Agent;

pub use command::main;
pub use near::Near;

/// The newest format of the file that this build reads.
const FORMAT: u32 = 2;

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

/// A version of a window, and who is to be told of it by mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Notice {
    window: Announced,
    recipients: Vec<String>,
}

/// The file. A window and the word that it is to be told are written in one piece.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    windows: Vec<Announced>,
    #[serde(default)]
    notices: Vec<Notice>,
}

fn path(state: &Path) -> PathBuf {
    state.join("windows.json")
}

/// The announced windows.
pub fn announced(state: &Path) -> Result<Vec<Announced>, CallError> {
    kept(state).map(|kept| kept.windows)
}

/// What is to be told by mail, and was, in the order in which it came about.
fn notices(state: &Path) -> Result<Vec<Notice>, CallError> {
    kept(state).map(|kept| kept.notices)
}

fn kept(state: &Path) -> Result<Kept, CallError> {
    let path = path(state);
    let cannot = |why: &dyn std::fmt::Display| {
        CallError::failed("the announced maintenance windows cannot be read")
            .because(why)
            .hint(format!("look at the file on the maintenance node: {}", path.display()))
    };
    match orocloud_durable::read_json::<Kept>(&path).map_err(|error| cannot(&error))? {
        None => Ok(Kept { format: FORMAT, windows: Vec::new(), notices: Vec::new() }),
        Some(kept) if kept.format > FORMAT => {
            Err(cannot(&format!("its format is {}, this agent reads {FORMAT}", kept.format)))
        }
        Some(kept) => Ok(kept),
    }
}

/// Changes the announced windows; others who do so wait. `recipients` are to be told of every version that comes about.
fn change<T>(
    state: &Path,
    recipients: &[String],
    change: impl FnOnce(&mut Vec<Announced>) -> Result<T, CallError>,
) -> Result<T, CallError> {
    let cannot =
        |error: std::io::Error| CallError::failed("the maintenance windows cannot be written").because(error);
    let lock = lock(&state.join("windows.lock")).map_err(cannot)?;
    lock.lock().map_err(cannot)?;
    let Kept { mut windows, mut notices, .. } = kept(state)?;
    let before = windows.clone();
    let result = change(&mut windows)?;
    if !recipients.is_empty() {
        let news = windows.iter().filter(|window| !before.contains(window));
        notices.extend(news.map(|window| Notice { window: window.clone(), recipients: recipients.to_vec() }));
    }
    // What the agent's own account reads when it is not who announces.
    orocloud_durable::write_json(&path(state), &Kept { format: FORMAT, windows, notices }, 0o644)
        .map_err(cannot)?;
    crate::operations::failpoint("window", "written");
    Ok(result)
}

/// Opened to read alone: another account may have made it.
fn lock(path: &Path) -> std::io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path)
        }
        file => file,
    }
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
