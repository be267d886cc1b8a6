//! Windows that are open or near, at hand for every call.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::CallError;
use orocloud_protocol::window::Window;

use crate::environment::Agent;

/// So far ahead a window is looked for that something could run into.
const AHEAD: SignedDuration = SignedDuration::from_hours(48);

/// Rules are followed anew so often.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// Keeps what was found, for as long as nothing was announced.
#[derive(Debug, Default)]
pub struct Near {
    found: Mutex<Option<Found>>,
}

#[derive(Debug)]
struct Found {
    at: Timestamp,
    stamp: Option<Stamp>,
    windows: Vec<Window>,
}

/// Tells one content of windows.json from another: each is a file of its own.
type Stamp = (u64, u64, i64, i64);

impl Near {
    /// Windows that have not ended and begin within two days, the earliest first.
    pub fn all(&self, config: &Agent, now: Timestamp) -> Result<Vec<Window>, CallError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&super::path(&config.state));
        let fresh = found
            .as_ref()
            .filter(|found| found.stamp == stamp && found.at <= now && now.duration_since(found.at) < FRESH);
        let windows = match fresh {
            Some(found) => &found.windows,
            None => {
                let until = later(now, FRESH + AHEAD);
                let windows = super::between(config, now, until)?;
                &found.insert(Found { at: now, stamp, windows }).windows
            }
        };
        let until = later(now, AHEAD);
        Ok(windows.iter().filter(|one| one.ends_at > now && one.starts_at < until).cloned().collect())
    }

    /// Those that are open. Where they cannot be read, `status` says so.
    pub fn open(&self, config: &Agent, now: Timestamp) -> Vec<Window> {
        let mut windows = self.all(config, now).unwrap_or_default();
        windows.retain(|window| window.holds(now));
        windows
    }
}

fn later(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let of = std::fs::metadata(path).ok()?;
    Some((of.ino(), of.len(), of.mtime(), of.mtime_nsec()))
}
