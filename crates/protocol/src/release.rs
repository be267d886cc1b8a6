//! `release:*`: what the nodes keep, and the way back to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Call, CallId, Kind, Lock, NodeName, OperationOptions, Page, Reference, ReleaseName, Resource, Role,
};

/// The releases that there are, and that were.
pub enum List {}

impl Call for List {
    const METHOD: &'static str = "release.list";
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

/// A page of releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// Newest first.
    pub items: Vec<Release>,
    /// On all pages.
    pub total: u64,
    /// Web nodes that did not tell what they keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<NodeName>,
}

/// One release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its name on the nodes.
    pub release: ReleaseName,
    /// As asked for; not known of one that was never switched to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The commit it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it was brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Key id of whoever brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The operation that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<CallId>,
    /// When it last proved good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    /// How it stands.
    pub state: ReleaseState,
    /// Web nodes that keep it.
    pub nodes: Vec<NodeName>,
}

/// How a release stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseState {
    /// Every node is to serve it.
    Current,
    /// Good, and still on every web node: a rollback can go there.
    Kept,
    /// Good, but let go, at least on some web node.
    Gone,
    /// It never proved good.
    Failed,
    /// Another state, of a newer agent.
    #[serde(other)]
    Unknown,
}

impl ReleaseState {
    /// The word in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Kept => "kept",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Serves an earlier release again.
pub enum Rollback {}

impl Call for Rollback {
    const METHOD: &'static str = "release.rollback";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = RollbackParams;
    type Answer = RollbackAnswer;

    /// The database must stay as it is meanwhile, and no recovery point may name code that is about to change.
    fn locks(_: &RollbackParams) -> Vec<Lock> {
        vec![
            Lock::exclusive(Resource::Code),
            Lock::shared(Resource::Data),
            Lock::exclusive(Resource::Backups),
        ]
    }
}

/// What `release.rollback` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackParams {
    /// Where to; left out: the release that proved good last, other than the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseName>,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// What a rollback came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackAnswer {
    /// What is served now.
    pub release: ReleaseName,
    /// As it was asked for when it was brought.
    pub reference: Reference,
    /// The commit it is made of.
    pub commit: String,
    /// Where the shop answers.
    pub url: String,
    /// The command that undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}
