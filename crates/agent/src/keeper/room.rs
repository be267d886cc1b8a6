//! Whether a disk has the room that is about to be taken of it.

use std::path::Path;

use orocloud_protocol::{CallError, NodeName};

use crate::engines::postgres::Room;
use crate::environment::Database;
use crate::rules::wal::DEFAULT_SEGMENT_SIZE;

/// What is left free on the file system beyond the size of the copy itself, for the WAL that is replayed.
const SPARE_BYTES: u64 = 256 * 1024 * 1024;

/// What a server takes of its disk at once: it falls where it cannot make its next segment.
const GOING_ON: u64 = 2 * DEFAULT_SEGMENT_SIZE;

/// Refuses where the live server would fall for want of room.
pub(super) fn room_to_go_on(free: u64, node: &NodeName, wal: &Path) -> Result<(), CallError> {
    if free >= GOING_ON {
        return Ok(());
    }
    Err(CallError::failed(format!(
        "no space left for the database on {node}: {} MB free at {}, and closing a segment takes up to {} MB",
        free / 1_000_000,
        wal.display(),
        GOING_ON / 1_000_000
    ))
    .hint(format!("make room on {node}: orocloud-cli status shows its disks")))
}

/// Refuses when the copy would fill the file system.
pub(super) fn enough_room(room: &Room, config: &Database) -> Result<(), CallError> {
    let needed = room.data_bytes.saturating_add(SPARE_BYTES);
    if room.free_bytes >= needed {
        return Ok(());
    }
    let parent = config.data.parent().unwrap_or(Path::new("/"));
    Err(CallError::refused(format!(
        "a copy of the database needs {} MB, and {} has {} MB free",
        needed / 1_000_000,
        parent.display(),
        room.free_bytes / 1_000_000
    ))
    .hint("make room there, for instance by letting an undo go: what is kept is listed by orocloud-cli backup:window"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn too_little_room_is_named_with_its_numbers() {
        let config = Database {
            service: String::new(),
            data: "/data/main".into(),
            bin: PathBuf::new(),
            socket_dir: PathBuf::new(),
            port: 0,
            superuser: String::new(),
            name: String::new(),
            pgbackrest_config: PathBuf::new(),
            stanza: String::new(),
            process_max: 1,
        };
        let room = Room { data_bytes: 1_000_000_000, free_bytes: 500_000_000, obstacles: Vec::new() };
        let wal = Path::new("/data/main/pg_wal");
        let node = "db1".parse().unwrap();
        assert!(room_to_go_on(40_000_000, &node, wal).is_ok());
        let error = room_to_go_on(9_999_999, &node, wal).unwrap_err();
        assert!(error.message.contains("on db1: 9 MB free at /data/main/pg_wal"), "{error}");
        let error = enough_room(&room, &config).unwrap_err();
        assert!(error.message.contains("needs 1268 MB, and /data has 500 MB free"), "{error}");
        assert!(enough_room(&Room { free_bytes: 2_000_000_000, ..room }, &config).is_ok());
    }
}
