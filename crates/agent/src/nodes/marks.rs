//! What a node remembers of the steps of an operation, so that a probe after a crash can tell what happened, and an
//! undo what was there before: `state/marks/OPERATION/NAME.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use orocloud_protocol::{CallError, CallId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How far a step came that cannot be looked at from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// Its act began.
    Begun,
    /// Its act is done.
    Done,
}

/// Longer than any operation takes.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// The marks of one operation on this node.
#[derive(Clone, Debug)]
pub struct Marks {
    all: PathBuf,
    folder: PathBuf,
}

impl Marks {
    /// By the node's `state` folder.
    pub fn new(state: &Path, operation: CallId) -> Self {
        let all = state.join("marks");
        Self { folder: all.join(operation.to_string()), all }
    }

    /// Remembers, synced.
    pub fn set<T: Serialize>(&self, name: &str, value: &T) -> Result<(), CallError> {
        let path = self.file(name);
        let write = || {
            if !self.folder.exists() {
                fs::create_dir_all(&self.folder)?;
                orocloud_durable::sync_parent(&self.folder)?;
                self.forget_old()?;
            }
            orocloud_durable::write_json(&path, value, 0o600)
        };
        write().map_err(|error| failed(&path, "written", &error))
    }

    /// Recalls; `None` when there is no such mark.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, CallError> {
        let path = self.file(name);
        orocloud_durable::read_json(&path).map_err(|error| failed(&path, "read", &error))
    }

    /// Forgets.
    pub fn clear(&self, name: &str) -> Result<(), CallError> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Ok(()) => orocloud_durable::sync_parent(&path).map_err(|error| failed(&path, "removed", &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&path, "removed", &error)),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        // A step `a:b` must not meet a mark that is called `a-b`.
        self.folder.join(format!("{}.json", name.replace(['/', ':'], ".")))
    }

    fn forget_old(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.all)? {
            let entry = entry?;
            let age = SystemTime::now().duration_since(entry.metadata()?.modified()?);
            if age.is_ok_and(|age| age > KEPT) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn failed(path: &Path, verb: &str, error: &io::Error) -> CallError {
    CallError::failed(format!("{} cannot be {verb}", path.display())).because(error)
}
