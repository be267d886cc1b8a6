//! `pgbackrest info --output=json`.

use jiff::Timestamp;
use orocloud_protocol::backup::DatabaseBackup;
use serde::Deserialize;

use crate::rules::base_choice::rounded_up;

/// One backup as pgBackRest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSet {
    /// What the wire knows of it.
    pub backup: DatabaseBackup,
    /// Backups that it goes with: those whose files it uses, and the one it was taken upon, though it may use none of
    /// that one's files.
    pub references: Vec<String>,
    /// Pages with wrong checksums were found in it.
    pub damaged: bool,
    /// What the agent marked it with.
    pub mark: Option<String>,
}

#[derive(Deserialize)]
struct Stanza {
    backup: Vec<Backup>,
}

#[derive(Deserialize)]
struct Backup {
    #[serde(default)]
    annotation: std::collections::BTreeMap<String, String>,
    archive: Archive,
    error: Option<bool>,
    info: Info,
    label: String,
    lsn: Option<Location>,
    prior: Option<String>,
    reference: Option<Vec<String>>,
    timestamp: Times,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Archive {
    start: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    repository: Repository,
    size: u64,
}

#[derive(Deserialize)]
struct Repository {
    delta: u64,
}

#[derive(Deserialize)]
struct Location {
    stop: String,
}

#[derive(Deserialize)]
struct Times {
    start: i64,
    stop: i64,
}

pub(super) fn parse(json: &[u8]) -> Result<Vec<BackupSet>, String> {
    let stanzas: Vec<Stanza> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let mut sets: Vec<BackupSet> = stanzas
        .into_iter()
        .flat_map(|stanza| stanza.backup)
        // Without WAL (taken with archiving off) there is nothing to follow it with.
        .filter_map(|mut backup| {
            let timeline = backup.archive.start.as_deref()?.get(..8)?;
            Some(BackupSet {
                backup: DatabaseBackup {
                    timeline: u32::from_str_radix(timeline, 16).ok()?,
                    set: backup.label,
                    kind: backup.kind,
                    stop_lsn: backup.lsn?.stop,
                    started_at: Timestamp::from_second(backup.timestamp.start).ok()?,
                    stopped_at: rounded_up(backup.timestamp.stop)?,
                    size: backup.info.size,
                    stored: backup.info.repository.delta,
                },
                mark: backup.annotation.remove(super::MARK),
                references: backup.reference.unwrap_or_default().into_iter().chain(backup.prior).collect(),
                damaged: backup.error.unwrap_or(false),
            })
        })
        .collect();
    sets.sort_by_key(|set| set.backup.stopped_at);
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = r#"[{"archive":[{"database":{"id":1,"repo-key":1},"id":"15-1","max":"000000010000000000000008","min":"000000010000000000000001"}],"backup":[{"archive":{"start":"000000010000000000000006","stop":"000000010000000000000006"},"backrest":{"format":5,"version":"2.45"},"database":{"id":1,"repo-key":1},"error":false,"info":{"delta":109353012,"repository":{"delta":7283312,"size":7283312},"size":109353012},"label":"20261124-164041F","lsn":{"start":"0/6000028","stop":"0/6000100"},"prior":null,"reference":null,"timestamp":{"start":1795538441,"stop":1795538446},"type":"full"},{"archive":{"start":"000000010000000000000007","stop":"000000010000000000000008"},"backrest":{"format":5,"version":"2.45"},"database":{"id":1,"repo-key":1},"error":false,"info":{"delta":8458,"repository":{"delta":464,"size":7283312},"size":109353012},"label":"20261124-164041F_20261124-164047I","lsn":{"start":"0/7000028","stop":"0/8000050"},"prior":"20261124-164041F","reference":["20261124-164041F"],"timestamp":{"start":1795538447,"stop":1795538448},"type":"incr"}],"cipher":"aes-256-cbc","db":[{"id":1,"repo-key":1,"system-id":7711778869517516544,"version":"15"}],"name":"t","repo":[{"cipher":"aes-256-cbc","key":1,"status":{"code":0,"message":"ok"}}],"status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}]"#;

    #[test]
    fn captured_output_is_read() {
        let sets = parse(CAPTURED.as_bytes()).unwrap();
        assert_eq!(sets.len(), 2);
        let last = &sets[1];
        assert_eq!(last.backup.set, "20261124-164041F_20261124-164047I");
        assert_eq!(last.backup.timeline, 1);
        assert_eq!(last.backup.stop_lsn, "0/8000050");
        assert_eq!(last.backup.stored, 464);
        assert_eq!(last.backup.stopped_at.as_second(), 1_795_538_449);
        assert_eq!(last.references, ["20261124-164041F"; 2]);
        // pgBackRest removes with a backup what was taken upon it, also where no file of it is used.
        let elsewhere = CAPTURED.replace(r#""reference":["20261124-164041F"]"#, r#""reference":[]"#);
        assert_eq!(parse(elsewhere.as_bytes()).unwrap()[1].references, ["20261124-164041F"]);
    }

    #[test]
    fn without_a_stanza_there_are_no_backups() {
        let json = r#"[{"archive":[],"backup":[],"cipher":"aes-256-cbc","db":[],"name":"nope","status":{"code":1,"message":"missing stanza path"}}]"#;
        assert_eq!(parse(json.as_bytes()), Ok(Vec::new()));
        assert_eq!(parse(b"[]"), Ok(Vec::new()));
    }

    #[test]
    fn output_that_is_cut_short_is_an_error() {
        for length in [0, 1, 100, CAPTURED.len() - 1] {
            assert!(parse(&CAPTURED.as_bytes()[..length]).is_err(), "{length}");
        }
    }
}
