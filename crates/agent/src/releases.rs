//! What is known of releases: on maint the one that every node is to serve, on a node that has the application those that lie there.

use std::io;
use std::path::{Path, PathBuf};

use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::{CallError, ReleaseName};
use serde::{Deserialize, Serialize};

use crate::environment::App;

/// The newest format of `current-release.json` that this build reads.
const FORMAT: u32 = 1;

/// `state/current-release.json` on maint.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    format: u32,
    /// The release to serve.
    current: Option<CodeVersion>,
    /// The one that was recorded before, for an undo.
    previous: Option<CodeVersion>,
}

fn file(state: &Path) -> PathBuf {
    state.join("current-release.json")
}

fn read(state: &Path) -> Result<Recorded, CallError> {
    let path = file(state);
    let cannot = |error: &dyn std::fmt::Display| {
        CallError::failed(format!("{} cannot be read", path.display())).because(error)
    };
    match orocloud_durable::read_json::<Recorded>(&path).map_err(|error| cannot(&error))? {
        Some(recorded) if recorded.format > FORMAT => {
            Err(cannot(&format!("format is {}, this agent reads {FORMAT}", recorded.format)))
        }
        Some(recorded) => Ok(recorded),
        None => Ok(Recorded { format: FORMAT, current: None, previous: None }),
    }
}

fn write(state: &Path, recorded: &Recorded) -> Result<(), CallError> {
    let path = file(state);
    orocloud_durable::write_json(&path, recorded, 0o644)
        .map_err(|error| CallError::failed(format!("{} cannot be written", path.display())).because(error))
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
        std::fs::write(file(state), r#"{"format":2,"current":null,"previous":null}"#).unwrap();
        assert!(recorded(state).unwrap_err().to_string().contains("format is 2"));
    }
}
