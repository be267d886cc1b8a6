//! The control file of a data folder, by `pg_controldata`.

use std::path::Path;

use orocloud_protocol::CallError;

use crate::environment::Database;
use crate::process::{Account, Processes, Program};

/// What a data folder says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Whether it runs, was stopped, or fell.
    pub state: ClusterState,
    /// Timeline of the latest checkpoint; of a running server the one before, shortly after a promotion.
    pub timeline: u32,
    /// The same for all copies of one cluster.
    pub system_identifier: String,
    /// `max_*` settings that a standby must not go below, by name.
    pub limits: Vec<(&'static str, u64)>,
}

/// `Database cluster state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// Was stopped well.
    ShutDown,
    /// Was stopped well while it was recovering.
    ShutDownInRecovery,
    /// Replays.
    InRecovery,
    /// Runs, or fell while it ran.
    InProduction,
    /// Something else.
    Other,
}

impl Control {
    /// Reads it, also while the server is dead.
    pub async fn read(processes: &Processes, config: &Database, data: &Path) -> Result<Self, CallError> {
        let program = Program::new(config.bin.join("pg_controldata"))
            .arg("-D")
            .arg(data)
            .env("LC_ALL", "C")
            .account(Account::Database);
        let finished = processes.output(program).await.map_err(|error| {
            CallError::from(error).context(format!("the control file of {} cannot be read", data.display()))
        })?;
        parse(&String::from_utf8_lossy(&finished.stdout)).map_err(|error| {
            CallError::failed(format!("the control file of {} cannot be read", data.display())).because(error)
        })
    }
}

const LIMITS: [(&str, &str); 5] = [
    ("max_connections setting", "max_connections"),
    ("max_worker_processes setting", "max_worker_processes"),
    ("max_wal_senders setting", "max_wal_senders"),
    ("max_prepared_xacts setting", "max_prepared_transactions"),
    ("max_locks_per_xact setting", "max_locks_per_transaction"),
];

fn parse(text: &str) -> Result<Control, String> {
    // It prints what a damaged file holds all the same, and ends well.
    if text.contains("Calculated CRC checksum does not match")
        || text.contains("possible byte ordering mismatch")
    {
        return Err("it is damaged".to_owned());
    }
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .map(str::trim)
            .ok_or_else(|| format!("it does not tell `{key}`"))
    };
    let number = |key: &str| value(key)?.parse::<u64>().map_err(|_| format!("`{key}` is no number"));
    Ok(Control {
        state: match value("Database cluster state")? {
            "shut down" => ClusterState::ShutDown,
            "shut down in recovery" => ClusterState::ShutDownInRecovery,
            "in archive recovery" | "in crash recovery" => ClusterState::InRecovery,
            "in production" => ClusterState::InProduction,
            _ => ClusterState::Other,
        },
        timeline: u32::try_from(number("Latest checkpoint's TimeLineID")?)
            .map_err(|error| error.to_string())?,
        system_identifier: value("Database system identifier")?.to_owned(),
        limits: LIMITS.iter().map(|(key, name)| Ok((*name, number(key)?))).collect::<Result<_, String>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = "\
pg_control version number:            1300
Database system identifier:           7711778869517516544
Database cluster state:               in production
Latest checkpoint's TimeLineID:       1
Latest checkpoint's PrevTimeLineID:   1
max_connections setting:              50
max_worker_processes setting:         8
max_wal_senders setting:              10
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
track_commit_timestamp setting:       off
";

    #[test]
    fn captured_output_is_read_and_short_output_is_not() {
        let control = parse(CAPTURED).unwrap();
        assert_eq!(control.state, ClusterState::InProduction);
        assert_eq!(control.timeline, 1);
        assert_eq!(control.limits[0], ("max_connections", 50));
        assert!(parse(&CAPTURED[..200]).is_err());
        assert!(parse("").is_err());
        let damaged =
            format!("WARNING: Calculated CRC checksum does not match value stored in file.\n{CAPTURED}");
        assert!(parse(&damaged).is_err());
    }
}
