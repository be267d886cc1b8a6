//! Logs of the environment (`log.tail`, `log.sources`) and of operations (`log.list`, `log.view`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::operation::OperationSummary;
use crate::{Call, CallId, Kind, NodeName, Page, Role, SourceName};

/// Entries of logs of all nodes merged by time; each is a `log` event, what is missing a `gap` event.
pub enum Tail {}

impl Call for Tail {
    const METHOD: &'static str = "log.tail";
    const KIND: Kind = Kind::Stream;
    const ROLE: Role = Role::Viewer;
    type Params = TailParams;
    type Answer = TailAnswer;
}

/// Which entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TailParams {
    /// Which logs; empty means all.
    #[serde(default)]
    pub sources: Vec<SourceName>,
    /// On which nodes; empty means all that have them.
    #[serde(default)]
    pub nodes: Vec<NodeName>,
    /// How many of the last entries of history, over all nodes; absent: 10, or all since `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Only entries at or after this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only entries before this moment; then it does not follow beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only entries that match this regular expression (syntax of Rust's `regex`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grep: Option<String>,
    /// Only entries of this level or a worse one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Go on with what is written from now on.
    pub follow: bool,
    /// End, well, with the first followed or past entry that matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_match: Option<String>,
    /// Continue behind the entry that had this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_cursor: Option<String>,
    /// Entries may come many at once, as `log-block` events; where that is not possible they come as ever.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub packed: bool,
}

/// Severity, the least first (RFC 5424 without the rarely used ends, as Monolog names them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
}

/// How a tail ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailAnswer {
    /// Entries sent.
    pub entries: u64,
    /// Whether `until_match` was seen.
    pub matched: bool,
    /// Continues behind the last entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Which logs there are.
pub enum Sources {}

impl Call for Sources {
    const METHOD: &'static str = "log.sources";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = SourcesParams;
    type Answer = SourcesAnswer;
}

/// `log.sources` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcesParams {}

/// The logs there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesAnswer {
    /// By source, then node.
    pub items: Vec<LogSource>,
    /// Nodes that did not answer.
    #[serde(default)]
    pub away: Vec<NodeName>,
}

/// One log on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSource {
    /// Its name.
    pub source: SourceName,
    /// The node.
    pub node: NodeName,
    /// Bytes in all its present files.
    pub bytes: u64,
    /// Last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
}

/// Operations, newest first.
pub enum List {}

impl Call for List {
    const METHOD: &'static str = "log.list";
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

/// A page of operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// Newest first.
    pub items: Vec<OperationSummary>,
    /// On all pages.
    pub total: u64,
}

/// The events of one operation, as they were sent when it ran.
pub enum View {}

impl Call for View {
    const METHOD: &'static str = "log.view";
    const KIND: Kind = Kind::Stream;
    const ROLE: Role = Role::Viewer;
    type Params = ViewParams;
    type Answer = OperationSummary;
}

/// Which operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewParams {
    /// Its id.
    pub operation: CallId,
    /// Go on until it ends.
    #[serde(default)]
    pub follow: bool,
    /// Only events after this one.
    #[serde(default)]
    pub after_seq: u64,
}
