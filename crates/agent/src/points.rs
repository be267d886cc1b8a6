//! Manifests of recovery points, `state/points/NAME.json`, and of past restores, `state/restores/ULID.json`.
//!
//! A recovery point exists once its manifest does: the manifest is written last and removed first. There is no
//! index that could be wrong; a list reads the folder. A manifest that the rule of retention lets go moves to
//! `state/let-go` and stays there until its backup is gone: only backups that are named there are ever removed, so
//! that a lost manifest takes none along.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use orocloud_protocol::backup::{CodeVersion, PastRestore, RecoveryPoint, RestoreScope};
use orocloud_protocol::node::Swapped;
use orocloud_protocol::{CallError, CallId, PointName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The newest format of both manifests that this build reads.
const FORMAT: u32 = 1;

/// A recovery point as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointRecord {
    format: u32,
    /// What lists show.
    pub point: RecoveryPoint,
    /// Somebody asked to keep it so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until: Option<Timestamp>,
    /// The operation that made it.
    pub operation: CallId,
}

/// A restore that was done, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRecord {
    format: u32,
    /// What `backup:window` shows.
    pub restore: PastRestore,
    /// Written before the swap: when it swapped and to which timeline is not known yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
    /// Parts that were brought back.
    pub scope: RestoreScope,
    /// Whether the media were.
    pub media: bool,
    /// The code that ran before.
    pub code_before: Option<CodeVersion>,
    /// The code that ran after.
    pub code_after: Option<CodeVersion>,
}

impl PointRecord {
    /// A new one.
    pub fn new(point: RecoveryPoint, keep_until: Option<Timestamp>, operation: CallId) -> Self {
        Self { format: FORMAT, point, keep_until, operation }
    }
}

impl RestoreRecord {
    /// A new one.
    pub fn new(
        restore: PastRestore,
        scope: RestoreScope,
        media: bool,
        code_before: Option<CodeVersion>,
        code_after: Option<CodeVersion>,
    ) -> Self {
        Self { format: FORMAT, restore, begun: false, scope, media, code_before, code_after }
    }

    /// Completes one that was written before the swap.
    pub fn swapped(&mut self, swapped: &Swapped) {
        let Swapped { from_timeline, to_timeline, at } = *swapped;
        self.restore = PastRestore { from_timeline, to_timeline, at, ..self.restore };
        self.begun = false;
    }
}

/// The manifests below one state folder.
#[derive(Clone, Debug)]
pub struct Points {
    state: PathBuf,
}

impl Points {
    /// Below `state` of agent.toml.
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_owned() }
    }

    /// All recovery points, oldest first. A manifest that cannot be read is an error: a list without it would let
    /// its backups be taken for nobody's.
    pub fn all(&self) -> Result<Vec<PointRecord>, CallError> {
        let mut records: Vec<PointRecord> = self.read_all("points")?;
        records
            .sort_by(|one, other| (one.point.at, &one.point.name).cmp(&(other.point.at, &other.point.name)));
        Ok(records)
    }

    /// The recovery point of this name; `YYYY-MM-DD-HHMM` also finds the only one of that minute.
    pub fn find(&self, name: &PointName) -> Result<PointRecord, CallError> {
        let all = self.all()?;
        if let Some(record) = all.iter().find(|record| record.point.name == *name) {
            return Ok(record.clone());
        }
        let minute: Vec<&PointRecord> =
            all.iter().filter(|record| record.point.name.as_str().starts_with(name.as_str())).collect();
        if let [only] = minute[..] {
            return Ok(only.clone());
        }
        Err(CallError::new(
            orocloud_protocol::ErrorKind::NotFound,
            format!("there is no recovery point {name}"),
        )
        .hint("see what there is: orocloud-cli backup:list"))
    }

    /// Writes a manifest; from then on the point exists.
    pub fn publish(&self, record: &PointRecord) -> Result<(), CallError> {
        self.write("points", record.point.name.as_str(), record)
    }

    /// Lets a point go: from then on it does not exist, and its backup may be removed.
    pub fn let_go(&self, name: &PointName) -> Result<(), CallError> {
        let (from, to) = (self.path("points", name.as_str()), self.path("let-go", name.as_str()));
        std::fs::create_dir_all(self.state.join("let-go"))
            .and_then(|()| std::fs::rename(&from, &to))
            .and_then(|()| orocloud_durable::sync_parent(&to))
            .and_then(|()| orocloud_durable::sync_parent(&from))
            .map_err(|error| CallError::failed(format!("{} cannot be moved", from.display())).because(error))
    }

    /// Points that were let go and whose backups may still be there.
    pub fn all_let_go(&self) -> Result<Vec<PointRecord>, CallError> {
        self.read_all("let-go")
    }

    /// Forgets a point that was let go, once its backup is gone.
    pub fn forget(&self, name: &PointName) -> Result<(), CallError> {
        self.remove_from("let-go", name.as_str())
    }

    /// Takes a manifest away; from then on the point does not exist.
    pub fn remove(&self, name: &PointName) -> Result<(), CallError> {
        self.remove_from("points", name.as_str())
    }

    fn remove_from(&self, folder: &str, name: &str) -> Result<(), CallError> {
        let path = self.path(folder, name);
        let removed = match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.and_then(|()| orocloud_durable::sync_parent(&path)),
        };
        removed.map_err(|error| {
            CallError::failed(format!("{} cannot be removed", path.display())).because(error)
        })
    }

    /// The manifest of this very name.
    pub fn get(&self, name: &PointName) -> Result<Option<PointRecord>, CallError> {
        read(&self.path("points", name.as_str()))
    }

    /// All restores, oldest first.
    pub fn restores(&self) -> Result<Vec<RestoreRecord>, CallError> {
        let mut records: Vec<RestoreRecord> = self.read_all("restores")?;
        records.sort_by_key(|record| (record.restore.at, record.restore.operation));
        Ok(records)
    }

    /// One restore.
    pub fn restore(&self, operation: CallId) -> Result<Option<RestoreRecord>, CallError> {
        read(&self.path("restores", &operation.to_string()))
    }

    /// Remembers a restore.
    pub fn record_restore(&self, record: &RestoreRecord) -> Result<(), CallError> {
        self.write("restores", &record.restore.operation.to_string(), record)
    }

    /// Forgets a restore.
    pub fn forget_restore(&self, operation: CallId) -> Result<(), CallError> {
        self.remove_from("restores", &operation.to_string())
    }

    /// A name that no point has yet, for one that is taken now: with seconds when the minute is taken, and later
    /// seconds as long as those are.
    pub fn free_name(&self, now: Timestamp) -> Result<PointName, CallError> {
        let taken = |name: &PointName| self.path("points", name.as_str()).exists();
        let named = |at: Timestamp, format: &str| {
            at.strftime(format)
                .to_string()
                .parse::<PointName>()
                .map_err(|error| CallError::internal(error.to_string()))
        };
        let name = named(now, "%Y-%m-%d-%H%M")?;
        if !taken(&name) {
            return Ok(name);
        }
        let mut at = now;
        loop {
            let name = named(at, "%Y-%m-%d-%H%M%S")?;
            if !taken(&name) {
                return Ok(name);
            }
            at = at
                .checked_add(jiff::SignedDuration::from_secs(1))
                .map_err(|error| CallError::internal(error.to_string()))?;
        }
    }

    fn path(&self, folder: &str, name: &str) -> PathBuf {
        self.state.join(folder).join(format!("{name}.json"))
    }

    fn write<T: Serialize>(&self, folder: &str, name: &str, value: &T) -> Result<(), CallError> {
        let path = self.path(folder, name);
        std::fs::create_dir_all(self.state.join(folder))
            .and_then(|()| orocloud_durable::write_json(&path, value, 0o640))
            .map_err(|error| {
                CallError::failed(format!("{} cannot be written", path.display())).because(error)
            })
    }

    fn read_all<T: DeserializeOwned>(&self, folder: &str) -> Result<Vec<T>, CallError> {
        let folder = self.state.join(folder);
        let cannot = |error: io::Error| {
            CallError::failed(format!("{} cannot be read", folder.display())).because(error)
        };
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(cannot)?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.map_err(cannot)?.path();
            // Names that begin with a dot are files in the making.
            let made =
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| !name.starts_with('.'));
            if made && path.extension().is_some_and(|extension| extension == "json") {
                records.extend(read(&path)?);
            }
        }
        Ok(records)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, CallError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let cannot = |error: &dyn std::fmt::Display| {
        CallError::failed(format!("{} cannot be read", path.display())).because(error)
    };
    let content = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content.map_err(|error| cannot(&error))?,
    };
    let Format { format } = serde_json::from_slice(&content).map_err(|error| cannot(&error))?;
    if format > FORMAT {
        return Err(cannot(&format!("it has format {format}, this agent reads {FORMAT}")));
    }
    serde_json::from_slice(&content).map(Some).map_err(|error| cannot(&error))
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::backup::DatabaseBackup;

    use super::*;

    fn record(name: &str, at: &str) -> PointRecord {
        let at: Timestamp = at.parse().unwrap();
        let database = DatabaseBackup {
            set: "20261124-102500F".into(),
            kind: "full".into(),
            timeline: 1,
            stop_lsn: "0/1".into(),
            started_at: at,
            stopped_at: at,
            size: 0,
            stored: 0,
        };
        let point = RecoveryPoint {
            name: name.parse().unwrap(),
            label: None,
            at,
            reason: "command".into(),
            database,
            media: None,
            code: None,
            expires_at: None,
            verified_at: None,
        };
        PointRecord::new(point, None, CallId::from_parts(1, 1))
    }

    #[test]
    fn points_are_found_by_either_form_of_their_name_and_named_apart() {
        let folder = tempfile::tempdir().unwrap();
        let points = Points::new(folder.path());
        assert_eq!(points.all().unwrap(), []);
        let now: Timestamp = "2026-11-24T10:25:37Z".parse().unwrap();
        assert_eq!(points.free_name(now).unwrap().as_str(), "2026-11-24-1025");
        points.publish(&record("2026-11-24-1025", "2026-11-24T10:25:10Z")).unwrap();
        assert_eq!(points.free_name(now).unwrap().as_str(), "2026-11-24-102537");
        points.publish(&record("2026-11-24-102537", "2026-11-24T10:25:40Z")).unwrap();
        assert_eq!(points.free_name(now).unwrap().as_str(), "2026-11-24-102538");
        points.publish(&record("2026-11-24-093001", "2026-11-24T09:30:05Z")).unwrap();
        let names: Vec<_> = points.all().unwrap().into_iter().map(|r| r.point.name.to_string()).collect();
        assert_eq!(names, ["2026-11-24-093001", "2026-11-24-1025", "2026-11-24-102537"]);
        let find =
            |name: &str| points.find(&name.parse().unwrap()).map(|record| record.point.name.to_string());
        assert_eq!(find("2026-11-24-0930").unwrap(), "2026-11-24-093001");
        assert_eq!(find("2026-11-24-1025").unwrap(), "2026-11-24-1025");
        assert!(find("2026-11-24-1100").is_err());
        points.remove(&"2026-11-24-1025".parse().unwrap()).unwrap();
        points.remove(&"2026-11-24-1025".parse().unwrap()).unwrap();
        assert_eq!(find("2026-11-24-1025").unwrap(), "2026-11-24-102537");
    }

    #[test]
    fn what_is_let_go_is_remembered_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let points = Points::new(folder.path());
        let record = record("2026-11-24-1025", "2026-11-24T10:25:10Z");
        points.publish(&record).unwrap();
        assert_eq!(points.all_let_go().unwrap(), []);
        points.let_go(&record.point.name).unwrap();
        assert_eq!((points.all().unwrap(), points.all_let_go().unwrap()), (vec![], vec![record.clone()]));
        points.forget(&record.point.name).unwrap();
        points.forget(&record.point.name).unwrap();
        assert_eq!(points.all_let_go().unwrap(), []);
    }

    #[test]
    fn a_manifest_that_is_newer_or_half_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let points = Points::new(folder.path());
        points.publish(&record("2026-11-24-1025", "2026-11-24T10:25:10Z")).unwrap();
        let path = folder.path().join("points/2026-11-24-1025.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("\"format\": 1", "\"format\": 2", 1)).unwrap();
        let error = points.all().unwrap_err().to_string();
        assert!(error.contains("2026-11-24-1025.json") && error.contains("format 2"), "{error}");
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(points.all().is_err());
    }
}
