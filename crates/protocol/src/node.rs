//! Node calls: what the coordinator asks of the agents on the other nodes, and of itself as a node.
//!
//! An operation is a list of steps; a step is a [`StepAction`] on one node. Actions are data, so that a plan can
//! be kept in the journal and taken up again after a crash.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backup::RestoreScope;
use crate::log::LogSource;
use crate::status::StatusRow;
use crate::{
    Call, CallId, ContentHash, Kind, Label, NodeName, PointName, Reference, ReleaseName, Role, Secret,
    SourceName,
};

/// Runs, undoes or probes one step.
pub enum Step {}

impl Call for Step {
    const METHOD: &'static str = "node.step";
    const KIND: Kind = Kind::Stream;
    const ROLE: Role = Role::Owner;
    type Params = StepParams;
    type Answer = StepAnswer;
}

/// Which step, and what about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepParams {
    /// The operation it belongs to.
    pub operation: CallId,
    /// The step's name, for events.
    pub step: String,
    /// What is wanted.
    pub phase: Phase,
    /// What the step is.
    pub action: StepAction,
    /// What earlier steps answered, by their names; of steps on several nodes, the last one's.
    #[serde(default)]
    pub outputs: BTreeMap<String, Value>,
    /// Only attach to this very call if it still runs; never begin it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attach_only: bool,
}

/// The three things that can be done with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Do it. At most once, unless a probe said that it is not, or only partly, done.
    Act,
    /// Take it back. May be repeated, and finds nothing to do where the act did nothing.
    Undo,
    /// Look whether it is done. May be repeated, and changes nothing.
    Probe,
}

/// What a step answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepAnswer {
    /// The act is done; its output is there for later steps.
    Done(Value),
    /// The undo is done.
    Undone,
    /// What the probe saw.
    Probed(Probe),
}

/// Whether a step is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// Nothing of it.
    NotDone,
    /// Some of it; its act may be run again on top, or its undo.
    Partial,
    /// All of it, with the output that the act would have given.
    Done(Value),
}

/// What steps can be. The comment of each says what its output is; none means `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StepAction {
    // --- on maint -------------------------------------------------------------------------------------------
    /// Brings the local mirror up to date, resolves the reference and checks it out for the build. Output:
    /// [`SourceFetched`].
    SourceFetch {
        /// What was asked for.
        reference: Reference,
        /// The release it will become.
        release: ReleaseName,
    },
    /// Runs composer in the checkout, as `build`.
    SourceBuild {
        /// The release it will become.
        release: ReleaseName,
    },
    /// Makes one file of the built checkout. Output: [`PackageBuilt`].
    PackageBuild {
        /// The release it will become.
        release: ReleaseName,
    },
    /// Sends the release's package to a node, which checks its hash.
    PackageSend {
        /// The release.
        release: ReleaseName,
        /// The receiver.
        to: NodeName,
    },
    /// Remembers which release every node is to serve; a node that was away is brought to it. Its undo remembers
    /// the one before. Output: [`crate::backup::CodeVersion`].
    ReleaseRecord {
        /// The release.
        release: ReleaseName,
        /// What was asked for.
        reference: Reference,
    },
    /// Asks for the page until it answers; on maint through the load balancer, on a web node past it, where it
    /// must come from this release. Output: [`FrontendChecked`].
    FrontendCheck {
        /// What the page must come from.
        release: ReleaseName,
    },
    /// Takes a snapshot of the media. Output: [`crate::backup::MediaSnapshot`], or `null` where there are none.
    MediaSnapshot {
        /// The recovery point it belongs to.
        point: PointName,
    },
    /// Brings a snapshot of the media back beside them.
    MediaAside {
        /// restic's snapshot id.
        snapshot: String,
    },
    /// Exchanges the media for what [`StepAction::MediaAside`] of the same operation brought back, or for what an
    /// earlier restore replaced. What is replaced is kept beside under the operation's id.
    MediaSwap {
        /// The earlier restore.
        kept: Option<CallId>,
    },
    /// Writes the manifest that makes a recovery point visible, from the outputs of the steps of the same topic
    /// before it (`backup:publish` of `backup:database` and `backup:media`) and the release that is recorded,
    /// then lets go what the rule of retention no longer keeps. Output: [`crate::backup::RecoveryPoint`].
    PointPublish {
        /// Its name.
        point: PointName,
        /// A person's words.
        label: Option<Label>,
        /// Why it is taken.
        reason: String,
        /// Not to be let go before.
        keep_until: Option<Timestamp>,
    },
    /// Remembers a restore (or undo) that has swapped, for `backup:window` and `--undo`.
    RestoreRecord {
        /// To which moment; absent for an undo.
        to: Option<Timestamp>,
        /// Until when what was replaced is kept.
        undo_until: Timestamp,
        /// The code that ran before, and comes back with an undo.
        code_before: Option<crate::backup::CodeVersion>,
        /// The code that runs now, for every node; absent when it did not change.
        code_now: Option<crate::backup::CodeVersion>,
        /// The media that were there before are kept.
        media: bool,
        /// Parts that were brought back.
        scope: RestoreScope,
    },

    // --- on web ---------------------------------------------------------------------------------------------
    /// Unpacks the release from the package that was received, beside the current one.
    ReleaseUnpack {
        /// The release.
        release: ReleaseName,
    },
    /// Runs console commands of the release as `app`, once in the whole operation. Output: none.
    ConsoleRun {
        /// The release whose `bin/console` runs.
        release: ReleaseName,
        /// What runs.
        commands: ConsoleCommands,
    },
    /// Warms the caches of a release that is not live yet.
    CacheWarm {
        /// The release.
        release: ReleaseName,
    },
    /// Points `www` at the release and reloads what holds the old code. Its undo points it back.
    ReleaseSwitch {
        /// The release.
        release: ReleaseName,
        /// The one before; absent at the first deployment.
        previous: Option<ReleaseName>,
    },
    /// Removes releases beyond the number kept; never the current or the previous one. On maint: their checkouts.
    ReleasesTidy {
        /// Releases that stay.
        keep: Vec<ReleaseName>,
    },
    /// Puts up the maintenance page and waits until no request of the application is in flight. Its undo, and
    /// [`StepAction::MaintenanceRestore`], put back what was there before. Output: [`MaintenanceBefore`].
    MaintenanceOn {
        /// A person's words.
        comment: Option<String>,
    },
    /// Puts back the maintenance mode that stood before the operation.
    MaintenanceRestore {},

    // --- on db ----------------------------------------------------------------------------------------------
    /// Makes sure the application's database is there and empty, for the first deployment. Undo of a failed
    /// first deployment empties it again.
    DatabasePrepare {
        /// Extensions to create.
        extensions: Vec<String>,
    },
    /// Commits a marker transaction, switches the WAL and waits until it is archived. Output: [`Marker`].
    DatabaseMarker {},
    /// Takes a database backup. Output: [`crate::backup::DatabaseBackup`].
    DatabaseBackup {
        /// The recovery point it belongs to.
        point: PointName,
        /// `full`, `diff` or `incr`; a full one is taken where none can be built upon.
        kind: String,
    },
    /// Restores a base backup into a folder beside the live one, unless this very copy is there already.
    DatabaseRestoreAside(AsideCopy),
    /// Starts the copy on a private socket and replays to the target. Output: [`Replayed`].
    DatabaseReplay(AsideCopy),
    /// Counts rows in the copy and in the live database. Output: [`Vec<crate::backup::TableRows>`].
    DatabaseLook(AsideCopy),
    /// Stops the copy and leaves it for the restore that follows a preview.
    DatabaseRest(AsideCopy),
    /// Ends recovery of the copy on a timeline of its own and stops it, ready to be swapped in. Output:
    /// [`Accepted`].
    DatabaseAccept(AsideCopy),
    /// Stops the live database, exchanges the two folders, starts. What was live is kept under the operation's
    /// id. Output: [`Swapped`].
    DatabaseSwap(AsideCopy),
    /// Removes backups that no kept recovery point needs, and WAL that no promised moment needs.
    DatabaseExpire {
        /// Backup labels of the recovery points that stay; what they build upon stays with them, as does the
        /// backup that this operation made.
        keep: Vec<String>,
        /// From here on every moment is promised; of older backups only the state itself.
        wal_since: Timestamp,
    },
    /// Removes copies and kept folders that are no longer promised.
    DatabaseTidy {
        /// Restores whose replaced folder stays; the operation's own does in any case.
        keep: Vec<CallId>,
    },
}

/// A database folder beside the live one, and what it is to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsideCopy {
    /// Names the folder; the digest of base, timeline and target, so that a preview's copy is found again.
    pub name: ContentHash,
    /// Where it comes from.
    pub origin: AsideOrigin,
}

/// Where a folder beside the live one comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AsideOrigin {
    /// From a base backup and WAL.
    Backup {
        /// pgBackRest's backup label.
        set: String,
        /// PostgreSQL's timeline to follow.
        timeline: u32,
        /// Replay up to here.
        target: ReplayTarget,
    },
    /// What an earlier restore replaced, by that operation's id.
    Kept {
        /// The restore.
        operation: CallId,
    },
}

/// Where the replay stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReplayTarget {
    /// After the last transaction committed at or before this moment.
    Time(Timestamp),
    /// As soon as the backup is consistent: the state of a recovery point.
    Immediate,
}

/// Console commands, known before the operation or only once the code is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ConsoleCommands {
    /// `deployment.install_commands` of the release's orocloud.yaml, or `oro:install`, completed with these.
    Install {
        /// `--application-url`
        application_url: String,
        /// `--user-name`
        user_name: Option<String>,
        /// `--user-email`
        user_email: Option<String>,
        /// `--user-password`, given to the program by its environment.
        user_password: Option<Secret>,
    },
    /// `cache:clear`, after the database under a running release was replaced.
    CacheClear,
}

/// Output of [`StepAction::SourceFetch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFetched {
    /// What was asked for.
    pub reference: Reference,
    /// The commit that the reference meant.
    pub commit: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// PostgreSQL extensions that its orocloud.yaml asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub database_extensions: Vec<String>,
}

/// Output of [`StepAction::FrontendCheck`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendChecked {
    /// HTTP status of the page.
    pub status: u16,
    /// How long it took until it answered, in milliseconds.
    pub took_ms: u64,
}

/// Output of [`StepAction::PackageBuild`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageBuilt {
    /// Of the file.
    pub package: ContentHash,
    /// Bytes of the file.
    pub size: u64,
    /// Files in it.
    pub files: u64,
}

/// Output of [`StepAction::MaintenanceOn`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceBefore {
    /// Whether the page was up already.
    pub was_on: bool,
}

/// Output of [`StepAction::DatabaseMarker`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Whether the live database took it; otherwise only what was archived before can be reached.
    pub committed: bool,
    /// WAL location of the marker.
    pub lsn: Option<String>,
    /// The segment that is archived now.
    pub segment: Option<String>,
}

/// Output of [`StepAction::DatabaseReplay`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// WAL location of the end.
    pub lsn: String,
    /// Time of the last transaction replayed.
    pub last_transaction_at: Option<Timestamp>,
    /// The timeline replayed.
    pub timeline: u32,
}

/// Output of [`StepAction::DatabaseAccept`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The timeline it made.
    pub timeline: u32,
}

/// Output of [`StepAction::DatabaseSwap`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swapped {
    /// The timeline that was left.
    pub from_timeline: u32,
    /// The timeline that is live now.
    pub to_timeline: u32,
    /// When.
    pub at: Timestamp,
}

/// How the node and what runs on it are.
pub enum Status {}

impl Call for Status {
    const METHOD: &'static str = "node.status";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Owner;
    type Params = StatusParams;
    type Answer = StatusAnswer;
}

/// What `node.status` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusParams {
    /// Also the versions of installed software, which takes longer.
    #[serde(default)]
    pub software: bool,
}

/// How the node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// Version of its agent.
    pub agent_version: String,
    /// Its rows of the board.
    pub rows: Vec<StatusRow>,
    /// The release that `www` points at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseName>,
    /// Releases that are unpacked, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseName>,
    /// Whether the maintenance page is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<bool>,
    /// Installed software, as `name version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub software: Vec<String>,
}

/// What the database node knows of its timelines, its backups and its archive.
pub enum DatabaseInfo {}

impl Call for DatabaseInfo {
    const METHOD: &'static str = "node.database-info";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Owner;
    type Params = DatabaseInfoParams;
    type Answer = DatabaseInfoAnswer;
}

/// `node.database-info` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseInfoParams {}

/// What the database node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseInfoAnswer {
    /// Whether the live database answers.
    pub running: bool,
    /// Timeline in the live control file; absent when it cannot be read.
    pub timeline: Option<u32>,
    /// The newest archived segment of that timeline.
    pub last_archived: Option<String>,
    /// When it was archived.
    pub last_archived_at: Option<Timestamp>,
    /// Time of the last commit in the archive; looked up only when the live database does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_at: Option<Timestamp>,
    /// Tables in the application's database.
    pub tables: u64,
    /// Backups, oldest first.
    pub backups: Vec<crate::backup::DatabaseBackup>,
    /// How each timeline that is known began, by ascending number.
    pub histories: Vec<TimelineHistory>,
    /// Unbroken runs of archived segments, by timeline.
    pub archived: Vec<ArchivedRun>,
    /// What stands in the way of a restore beside the live data: one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<String>,
    /// Bytes free where copies are made.
    pub free_bytes: u64,
    /// Bytes of the live database folder.
    pub data_bytes: u64,
    /// Operations whose replaced folder is still kept.
    pub kept: Vec<CallId>,
    /// Complete copies beside the live data, left by previews, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<ContentHash>,
}

/// The ancestors of one timeline (a PostgreSQL timeline history file).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineHistory {
    /// The timeline.
    pub timeline: u32,
    /// Its ancestors, oldest first, each with the location at which it was left.
    pub ancestors: Vec<(u32, String)>,
}

/// Segments without a gap between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedRun {
    /// The timeline.
    pub timeline: u32,
    /// First segment's name.
    pub first: String,
    /// Last segment's name.
    pub last: String,
    /// When the last one was archived.
    pub last_at: Option<Timestamp>,
}

/// Which logs the node has.
pub enum LogSources {}

impl Call for LogSources {
    const METHOD: &'static str = "node.log-sources";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Owner;
    type Params = LogSourcesParams;
    type Answer = LogSourcesAnswer;
}

/// `node.log-sources` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSourcesParams {}

/// The node's logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSourcesAnswer {
    /// By source.
    pub items: Vec<LogSource>,
}

/// Entries of the node's own logs, as `log` and `gap` events. First comes an `item` of the form `{"cursor": "…"}`: where
/// it begins. The cursor of an entry is that of its own file alone; those of the item and of the answer hold all files.
pub enum LogTail {}

impl Call for LogTail {
    const METHOD: &'static str = "node.log-tail";
    const KIND: Kind = Kind::Stream;
    const ROLE: Role = Role::Owner;
    type Params = LogTailParams;
    type Answer = crate::log::TailAnswer;
}

/// Which entries of the node's own logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTailParams {
    /// Which logs; unknown ones are skipped.
    pub sources: Vec<SourceName>,
    /// As in `log.tail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// As in `log.tail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// As in `log.tail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// As in `log.tail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grep: Option<String>,
    /// As in `log.tail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<crate::log::Level>,
    /// As in `log.tail`.
    pub follow: bool,
    /// Continue behind these positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_cursor: Option<String>,
}

/// Takes in a package: after `ready`, frames (length as u32, big-endian, then bytes; length zero ends), then the
/// response.
pub enum PackageReceive {}

impl Call for PackageReceive {
    const METHOD: &'static str = "node.package-receive";
    const KIND: Kind = Kind::Stream;
    const ROLE: Role = Role::Owner;
    type Params = PackageReceiveParams;
    type Answer = PackageBuilt;
}

/// Which package comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageReceiveParams {
    /// The release that will be unpacked from it.
    pub release: ReleaseName,
    /// Its hash; other content is refused.
    pub package: ContentHash,
    /// Its length in bytes.
    pub size: u64,
    /// Files in it.
    pub files: u64,
}
