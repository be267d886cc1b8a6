//! What is known of releases: on maint the one that every node is to serve, on a node that has the application those that lie there.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::{CallError, CallId, ContentHash, ReleaseName};
use serde::{Deserialize, Serialize};

use crate::environment::App;

/// The newest format of `current-release.json` and `releases.json` that this build reads.
const FORMAT: u32 = 1;

/// How many releases the list remembers; far fewer are kept on the nodes.
const REMEMBERED: usize = 200;

/// `state/current-release.json` on maint.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    format: u32,
    /// The release to serve.
    current: Option<CodeVersion>,
    /// The one that was recorded before, for an undo.
    previous: Option<CodeVersion>,
}

/// `state/releases.json` on maint: what was switched to, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
struct History {
    format: u32,
    releases: Vec<Entry>,
}

/// A release that every node was, or was to be, switched to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub version: CodeVersion,
    /// The operation that brought it.
    pub operation: CallId,
    /// Key id of its caller.
    pub by: String,
    /// When it was brought.
    pub at: Timestamp,
    /// When it last proved good; never, for one that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    /// The schema of the database that it worked with then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<ContentHash>,
}

impl Entry {
    /// One that has yet to prove good.
    pub fn new(version: CodeVersion, operation: CallId, by: &str, at: Timestamp) -> Self {
        Self { version, operation, by: by.to_owned(), at, accepted_at: None, schema: None }
    }
}

fn file(state: &Path) -> PathBuf {
    state.join("current-release.json")
}

fn history_file(state: &Path) -> PathBuf {
    state.join("releases.json")
}

fn read(state: &Path) -> Result<Recorded, CallError> {
    let none = || Recorded { format: FORMAT, current: None, previous: None };
    load(&file(state), |recorded: &Recorded| recorded.format).map(|recorded| recorded.unwrap_or_else(none))
}

fn write(state: &Path, recorded: &Recorded) -> Result<(), CallError> {
    store(&file(state), recorded)
}

fn load<T: serde::de::DeserializeOwned>(
    path: &Path,
    format: impl Fn(&T) -> u32,
) -> Result<Option<T>, CallError> {
    let cannot = |error: &dyn std::fmt::Display| {
        CallError::failed(format!("{} cannot be read", path.display())).because(error)
    };
    match orocloud_durable::read_json::<T>(path).map_err(|error| cannot(&error))? {
        Some(found) if format(&found) > FORMAT => {
            Err(cannot(&format!("format is {}, this agent reads {FORMAT}", format(&found))))
        }
        found => Ok(found),
    }
}

fn store<T: Serialize>(path: &Path, value: &T) -> Result<(), CallError> {
    orocloud_durable::write_json(path, value, 0o644)
        .map_err(|error| CallError::failed(format!("{} cannot be written", path.display())).because(error))
}

/// Every release that was switched to, also such as failed, oldest first.
pub fn history(state: &Path) -> Result<Vec<Entry>, CallError> {
    let history: Option<History> = load(&history_file(state), |history: &History| history.format)?;
    Ok(history.unwrap_or_default().releases)
}

/// Adds a release to the list. Again for the same one changes nothing.
pub fn enter(state: &Path, entry: Entry) -> Result<(), CallError> {
    let mut releases = history(state)?;
    if releases.iter().any(|known| known.version.release == entry.version.release) {
        return Ok(());
    }
    releases.push(entry);
    let forgotten = releases.len().saturating_sub(REMEMBERED);
    releases.drain(..forgotten);
    store(&history_file(state), &History { format: FORMAT, releases })
}

/// Remembers that a release has proved good, and with which schema. One that is not in the list was brought before
/// there was one: nothing is known of it.
pub fn accept(
    state: &Path,
    release: &ReleaseName,
    schema: Option<ContentHash>,
    at: Timestamp,
) -> Result<(), CallError> {
    let mut releases = history(state)?;
    let Some(entry) = releases.iter_mut().find(|entry| entry.version.release == *release) else {
        return Ok(());
    };
    entry.accepted_at = Some(at);
    entry.schema = schema;
    store(&history_file(state), &History { format: FORMAT, releases })
}

/// The release that every web node is to serve, as recorded on maint; `None` before the first deployment.
pub fn recorded(state: &Path) -> Result<Option<CodeVersion>, CallError> {
    Ok(read(state)?.current)
}

/// Records the release that every web node is to serve. Again for the same one changes nothing.
pub fn record(state: &Path, version: &CodeVersion) -> Result<(), CallError> {
    let before = read(state)?.current;
    if before.as_ref() == Some(version) {
        return Ok(());
    }
    write(state, &Recorded { format: FORMAT, current: Some(version.clone()), previous: before })
}

/// Takes a record back, if it is this release's.
pub fn unrecord(state: &Path, release: &ReleaseName) -> Result<(), CallError> {
    let recorded = read(state)?;
    if recorded.current.as_ref().map(|version| &version.release) != Some(release) {
        return Ok(());
    }
    write(state, &Recorded { format: FORMAT, current: recorded.previous, previous: None })
}

/// The release that `www` points at; `None` when it is not there or points elsewhere.
pub fn live(app: &App) -> Option<ReleaseName> {
    let target = std::fs::read_link(app.current()).ok()?;
    let inside = app.app_root.join(&target);
    if inside.parent()? != app.releases() {
        return None;
    }
    target.file_name()?.to_str()?.parse().ok()
}

/// The releases that are unpacked, oldest first.
pub fn unpacked(app: &App) -> io::Result<Vec<ReleaseName>> {
    let mut names = Vec::new();
    match std::fs::read_dir(app.releases()) {
        Ok(entries) => {
            for entry in entries {
                if let Some(name) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                    names.push(name);
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    names.sort();
    Ok(names)
}

/// What an unpacked release says it is; `None` when it is not there whole.
pub fn described(app: &App, release: &ReleaseName) -> Result<Option<CodeVersion>, CallError> {
    let path = app.releases().join(release.as_str()).join("release.json");
    orocloud_durable::read_json(&path)
        .map_err(|error| CallError::failed(format!("{} cannot be read", path.display())).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(release: &str) -> CodeVersion {
        CodeVersion {
            release: release.parse().unwrap(),
            reference: "1.0.0".parse().unwrap(),
            commit: "c".repeat(40),
            package: "a".repeat(64).parse().unwrap(),
        }
    }

    #[test]
    fn a_record_is_taken_back_to_the_one_before_and_only_by_its_own_release() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        let (one, two) = (version("20261124103200"), version("20261124113200"));
        assert_eq!(recorded(state).unwrap(), None);
        unrecord(state, &one.release).unwrap();
        record(state, &one).unwrap();
        record(state, &two).unwrap();
        record(state, &two).unwrap();
        unrecord(state, &one.release).unwrap();
        assert_eq!(recorded(state).unwrap(), Some(two.clone()));
        unrecord(state, &two.release).unwrap();
        unrecord(state, &two.release).unwrap();
        assert_eq!(recorded(state).unwrap(), Some(one));
        assert_eq!(history(state).unwrap(), []);
        std::fs::write(file(state), r#"{"format":2,"current":null,"previous":null}"#).unwrap();
        assert!(recorded(state).unwrap_err().to_string().contains("format is 2"));
    }

    #[test]
    fn only_what_was_accepted_counts_as_good() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        let at: Timestamp = "2026-11-24T10:32:00Z".parse().unwrap();
        let entry =
            |release: &str| Entry::new(version(release), CallId::from_parts(1, 1), "dora (developer)", at);
        enter(state, entry("20261124103200")).unwrap();
        enter(state, entry("20261124103200")).unwrap();
        enter(state, entry("20261124113200")).unwrap();
        let schema: ContentHash = "b".repeat(64).parse().unwrap();
        accept(state, &"20261124103200".parse().unwrap(), Some(schema.clone()), at).unwrap();
        accept(state, &"20260101000000".parse().unwrap(), None, at).unwrap();
        let known = history(state).unwrap();
        let seen: Vec<_> = known.iter().map(|entry| (entry.accepted_at, entry.schema.clone())).collect();
        assert_eq!(seen, [(Some(at), Some(schema)), (None, None)]);
    }
}
