//! What a node is asked, and packages it takes in.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{PackageBuilt, Swapped};
use crate::log::LogSource;
use crate::queue::QueueInfo;
use crate::service::ServiceInfo;
use crate::smtp::{HistoryAnswer, QueueAnswer, ShowAnswer};
use crate::status::StatusRow;
use crate::{Call, CallId, ContentHash, Kind, MailDomain, ReleaseName, Role, SourceName};

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
    /// The application's services that the node is to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceInfo>,
    /// Installed software, as `name version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub software: Vec<String>,
}

/// The queues of messages, as the broker on this node tells them.
pub enum Queues {}

impl Call for Queues {
    const METHOD: &'static str = "node.queues";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Owner;
    type Params = QueuesParams;
    type Answer = QueuesAnswer;
}

/// `node.queues` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuesParams {}

/// All queues of the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuesAnswer {
    /// By virtual host and name.
    pub items: Vec<QueueInfo>,
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
    /// Folders that restores replaced and that are still kept.
    pub kept: Vec<KeptFolder>,
    /// Complete copies beside the live data, left by previews, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<ContentHash>,
}

/// What a restore replaced, as the note beside it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFolder {
    /// The restore.
    pub operation: CallId,
    /// What it did.
    pub swapped: Swapped,
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
    /// Time of the last commit in it; looked up only where a hole follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_at: Option<Timestamp>,
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
    /// As in `log.tail`. The cursor of a block holds all files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub packed: bool,
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

/// The relays and the rule for recipients, as the mail node keeps them.
pub enum Mail {}

impl Call for Mail {
    const METHOD: &'static str = "node.mail";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Owner;
    type Params = MailParams;
    type Answer = ShowAnswer;
}

/// `node.mail` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailParams {}

/// What waits in Postfix's queues on the mail node.
pub enum MailQueue {}

impl Call for MailQueue {
    const METHOD: &'static str = "node.mail-queue";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Owner;
    type Params = MailQueueParams;
    type Answer = QueueAnswer;
}

/// What `node.mail-queue` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailQueueParams {
    /// So many older ones are left out.
    pub skip: u64,
    /// At most so many, and never more than fit into a line.
    pub take: u64,
}

/// What became of the last messages on the mail node.
pub enum MailHistory {}

impl Call for MailHistory {
    const METHOD: &'static str = "node.mail-history";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Owner;
    type Params = MailHistoryParams;
    type Answer = HistoryAnswer;
}

/// What `node.mail-history` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailHistoryParams {
    /// As in [`crate::smtp::HistoryParams`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
    /// So many newer ones are left out.
    pub skip: u64,
    /// At most so many, and never more than fit into a line.
    pub take: u64,
}

/// What a release on a web node says of recipients: `mail.whitelist` in its orocloud.yaml.
pub enum MailListed {}

impl Call for MailListed {
    const METHOD: &'static str = "node.mail-listed";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Owner;
    type Params = MailListedParams;
    type Answer = MailListedAnswer;
}

/// What `node.mail-listed` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailListedParams {
    /// Which, served or not; it must be unpacked there.
    pub release: ReleaseName,
}

/// What it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailListedAnswer {
    /// The only domains; absent where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whitelist: Option<Vec<MailDomain>>,
}
