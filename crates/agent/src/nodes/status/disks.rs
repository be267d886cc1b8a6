//! File systems that run out of room.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use orocloud_protocol::status::{Health, StatusRow};

use crate::environment::Agent;

/// Less free room than this, in percent, is a warning, or worse.
const WARNING: u64 = 10;
const DOWN: u64 = 2;

/// A row for each file system of the node's that runs out.
pub fn rows(config: &Agent) -> Vec<StatusRow> {
    let mut systems = HashMap::new();
    for path in paths(config) {
        if let Ok(metadata) = std::fs::metadata(&path) {
            systems.entry(metadata.dev()).or_insert(path);
        }
    }
    let mut rows: Vec<StatusRow> = systems
        .into_values()
        .filter_map(|path| {
            let found = rustix::fs::statvfs(&path).ok()?;
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let (health, percent) = judge(found.f_bavail, found.f_blocks)?;
            Some(StatusRow {
                part: "disk".to_owned(),
                node: Some(config.node.clone()),
                health,
                detail: format!("{percent} % free ({} MB) at {}", free / 1_000_000, path.display()),
                next: config.maint.is_some().then(|| "orocloud-cli backup:list".to_owned()),
            })
        })
        .collect();
    rows.sort_by(|one, other| one.detail.cmp(&other.detail));
    rows
}

fn paths(config: &Agent) -> Vec<PathBuf> {
    let mut paths = vec![config.state.clone(), config.log.clone()];
    if let Some(maint) = &config.maint {
        paths.extend([maint.build.clone(), maint.media.clone(), maint.restic_repository.clone()]);
    }
    paths.extend(config.app.iter().map(|app| app.app_root.clone()));
    // The data folder itself is closed to the agent, its parent is on the same file system or says nothing.
    paths.extend(config.database.iter().filter_map(|database| database.data.parent().map(PathBuf::from)));
    paths
}

fn judge(free: u64, all: u64) -> Option<(Health, u64)> {
    let percent = free.saturating_mul(100).checked_div(all)?;
    match percent {
        percent if percent < DOWN => Some((Health::Down, percent)),
        percent if percent < WARNING => Some((Health::Warning, percent)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_system_is_worse_than_one_that_fills() {
        assert_eq!(judge(50, 100), None);
        assert_eq!(judge(9, 100), Some((Health::Warning, 9)));
        assert_eq!(judge(19, 1000), Some((Health::Down, 1)));
        assert_eq!(judge(0, 0), None);
    }
}
