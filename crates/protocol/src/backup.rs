//! Recovery points and what can be restored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Call, CallId, ContentHash, Kind, Label, Lock, OperationOptions, Page, PointName, Reference, ReleaseName,
    Resource, Role,
};

/// A moment the environment can be restored to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// `YYYY-MM-DD-HHMM` in UTC.
    pub name: PointName,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The moment it stands for: when the database backup had ended.
    pub at: Timestamp,
    /// Why it was taken: `command`, `schedule`, `deploy`, `before-restore`, `after-restore`.
    pub reason: String,
    /// The database.
    pub database: DatabaseBackup,
    /// Media, as a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaSnapshot>,
    /// The code that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeVersion>,
    /// When the rule of retention lets it go; absent: not before a newer one replaces it in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last restored as a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
}

/// The database's part of a recovery point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseBackup {
    /// The engine's name for it: pgBackRest's backup label, like `20261124-102500F`.
    pub set: String,
    /// `full`, `diff` or `incr`.
    pub kind: String,
    /// PostgreSQL's timeline.
    pub timeline: u32,
    /// WAL location at which the backup is consistent.
    pub stop_lsn: String,
    /// Start of the copy.
    pub started_at: Timestamp,
    /// End of the copy; no earlier moment can be restored from it.
    pub stopped_at: Timestamp,
    /// Size of the database, in bytes.
    pub size: u64,
    /// Size of what this backup added to the repository, in bytes.
    pub stored: u64,
}

/// The media's part of a recovery point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaSnapshot {
    /// restic's snapshot id.
    pub snapshot: String,
    /// Files in it.
    pub files: u64,
    /// Bytes in it.
    pub size: u64,
}

/// Which code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeVersion {
    /// The release on the nodes.
    pub release: ReleaseName,
    /// What was asked for.
    pub reference: Reference,
    /// The commit it meant.
    pub commit: String,
    /// The package it was unpacked from.
    pub package: ContentHash,
}

/// Takes a recovery point now.
pub enum Create {}

impl Call for Create {
    const METHOD: &'static str = "backup.create";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = CreateParams;
    type Answer = RecoveryPoint;

    fn locks(_: &CreateParams) -> Vec<Lock> {
        vec![Lock::shared(Resource::Data), Lock::exclusive(Resource::Backups)]
    }
}

/// What `backup.create` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateParams {
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Keep it at least this many seconds, whatever the rule of retention says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_for: Option<u64>,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// The recovery points, newest first.
pub enum List {}

impl Call for List {
    const METHOD: &'static str = "backup.list";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = ListParams;
    type Answer = ListAnswer;
}

/// Which part of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Which page.
    #[serde(default)]
    pub page: Page,
}

/// A page of recovery points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// Newest first.
    pub items: Vec<RecoveryPoint>,
    /// On all pages.
    pub total: u64,
}

/// From when to when can be restored.
pub enum Window {}

impl Call for Window {
    const METHOD: &'static str = "backup.window";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = WindowParams;
    type Answer = WindowAnswer;
}

/// `backup.window` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowParams {}

/// What can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowAnswer {
    /// The agent's clock.
    pub now: Timestamp,
    /// The earliest moment on any branch; absent without a backup.
    pub earliest: Option<Timestamp>,
    /// The newest moment whose WAL is archived; the live database reaches further.
    pub latest: Option<Timestamp>,
    /// Timeline of the live database; absent when it cannot be read.
    pub timeline: Option<u32>,
    /// Stretches that can be restored, oldest first; what lies between two of one timeline is a gap.
    pub stretches: Vec<Stretch>,
    /// Recovery points, oldest first.
    pub points: Vec<PointOnWindow>,
    /// Past restores, oldest first.
    pub restores: Vec<PastRestore>,
}

/// An unbroken stretch of restorable time on one timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// PostgreSQL's timeline.
    pub timeline: u32,
    /// First restorable moment.
    pub from: Timestamp,
    /// Last restorable moment.
    pub until: Timestamp,
    /// Whether the live database goes on from here; otherwise a restore abandoned this branch.
    pub live: bool,
}

/// A recovery point as `backup:window` marks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointOnWindow {
    /// Its name.
    pub name: PointName,
    /// Its moment.
    pub at: Timestamp,
    /// Its label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Its timeline.
    pub timeline: u32,
}

/// A restore that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRestore {
    /// Which operation.
    pub operation: CallId,
    /// When it swapped.
    pub at: Timestamp,
    /// To which moment; absent for an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// The timeline it left.
    pub from_timeline: u32,
    /// The timeline it made.
    pub to_timeline: u32,
    /// Until when `backup:restore --undo=OPERATION` works; absent when it no longer does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_until: Option<Timestamp>,
}

/// Brings the environment back to a moment.
pub enum Restore {}

impl Call for Restore {
    const METHOD: &'static str = "backup.restore";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Operator;
    type Params = RestoreParams;
    type Answer = RestoreAnswer;

    fn locks(params: &RestoreParams) -> Vec<Lock> {
        if params.preview {
            return vec![Lock::shared(Resource::Data), Lock::exclusive(Resource::Backups)];
        }
        vec![
            Lock::exclusive(Resource::Code),
            Lock::exclusive(Resource::Data),
            Lock::exclusive(Resource::Backups),
        ]
    }
}

/// What a restore goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreTarget {
    /// A recovery point.
    Point(PointName),
    /// A moment: the last transaction committed at or before it is the last one kept.
    Time(Timestamp),
    /// What was there before that restore.
    Undo(CallId),
}

/// Which parts are brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreScope {
    /// Database and code.
    #[default]
    DatabaseAndCode,
    /// Database alone.
    Database,
    /// Code alone.
    Code,
}

/// What `backup.restore` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreParams {
    /// Where to.
    pub target: RestoreTarget,
    /// Which branch of history, when the moment lies on several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
    /// Which parts.
    #[serde(default)]
    pub scope: RestoreScope,
    /// Media too.
    #[serde(default)]
    pub media: bool,
    /// Restore aside, look, show, and end; what was restored is used again by the restore that follows.
    #[serde(default)]
    pub preview: bool,
    /// Keep what is replaced this many seconds, for the undo; default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_old: Option<u64>,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// What a restore did, or a preview found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreAnswer {
    /// The moment that was restored; absent for an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_to: Option<Timestamp>,
    /// Time of the last transaction that is kept, from the log of the replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transaction_at: Option<Timestamp>,
    /// WAL location of the end of the replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn: Option<String>,
    /// The base backup that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Rows per table, then and now.
    pub tables: Vec<TableRows>,
    /// The timeline the database is on now; absent in a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
    /// Code that was brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeVersion>,
    /// The recovery point taken before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_point: Option<PointName>,
    /// The command that undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_until: Option<Timestamp>,
    /// How long the shop showed the maintenance page, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_ms: Option<u64>,
}

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRows {
    /// `database.schema.table`, without what is the application's database and `public`.
    pub table: String,
    /// In the live database; absent when the table is not there, or nothing could be read.
    pub now: Option<u64>,
    /// At the target; absent when the table is not there, or its rows could not be counted.
    pub then: Option<u64>,
    /// Whether a number is absent although the table may well be there: it is locked, or nothing could be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
}
