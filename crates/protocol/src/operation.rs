//! Operations: which run, how they ended, waiting for them, ending them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Call, CallError, CallId, Kind, NodeName, Role};

/// One operation as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationSummary {
    /// Its id.
    pub id: CallId,
    /// The method, like `backup.restore`.
    pub method: String,
    /// The command as a person would type it, secrets redacted.
    pub command: String,
    /// Key id of the caller's certificate, or `local:ACCOUNT`, or `agent`.
    pub caller: String,
    /// Where it stands.
    pub state: OperationState,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// While it runs, the steps that it is at and on which nodes: `release:unpack on web1, web2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// A node that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<NodeName>,
    /// Why it does not go on by itself, a sentence each; it can be given up then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<String>,
    /// Its answer, once it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Waits for locks.
    Waiting,
    /// Runs.
    Running,
    /// Somebody cancelled it; it is being undone.
    Cancelling,
    /// Was interrupted by a crash and is being undone or finished.
    Recovering,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Was cancelled, and everything was undone.
    Cancelled,
    /// A state of a newer agent.
    #[serde(other)]
    Unknown,
}

impl OperationState {
    /// Whether nothing more will happen.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// The operations that have not ended.
pub enum List {}

impl Call for List {
    const METHOD: &'static str = "operation.list";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = ListParams;
    type Answer = ListAnswer;
}

/// `operation.list` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {}

/// What runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// Oldest first.
    pub items: Vec<OperationSummary>,
}

/// Waits for the end of an operation, without its events; ends as that operation ends.
pub enum Wait {}

impl Call for Wait {
    const METHOD: &'static str = "operation.wait";
    const KIND: Kind = Kind::Stream;
    const ROLE: Role = Role::Viewer;
    type Params = WaitParams;
    type Answer = OperationSummary;
}

/// What `operation.wait` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitParams {
    /// Which operation.
    pub operation: CallId,
}

/// Cancels an operation. Takes no lock. Its caller may, and who has the role that the operation needs.
pub enum Cancel {}

impl Call for Cancel {
    const METHOD: &'static str = "operation.cancel";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Developer;
    type Params = CancelParams;
    type Answer = CancelAnswer;
}

/// What `operation.cancel` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelParams {
    /// Which operation.
    pub operation: CallId,
    /// End one that does not go on by itself as it stands: nothing more is undone or finished, and its locks are free.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub give_up: bool,
}

/// What became of the wish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelAnswer {
    /// The operation as it stands now.
    pub operation: OperationSummary,
    /// Whether it will be undone, or is given up; false when it had ended, or is past its point of no return.
    pub cancelled: bool,
}
