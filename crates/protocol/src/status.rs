//! `status`: one board, worst row first.

use serde::{Deserialize, Serialize};

use crate::{Call, EnvironmentName, EnvironmentType, Kind, NodeName, Role};

/// What is there, what is not, and the next command.
pub enum Status {}

impl Call for Status {
    const METHOD: &'static str = "status";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = StatusParams;
    type Answer = StatusAnswer;
}

/// `status` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusParams {}

/// The board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// The environment.
    pub environment: EnvironmentName,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: EnvironmentType,
    /// The worst of all rows.
    pub health: Health,
    /// Worst first.
    pub rows: Vec<StatusRow>,
}

/// How well something is; the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Works.
    Ok,
    /// Not there yet, and need not be: no application deployed, no backup taken.
    Absent,
    /// Works, but somebody should look.
    Warning,
    /// Does not work.
    Down,
}

/// One part of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRow {
    /// What: `web`, `database`, `load balancer`, `backups`, `application`, `maintenance`, `operation`.
    pub part: String,
    /// Where; absent when it concerns the whole environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// How well.
    pub health: Health,
    /// A few words: versions, counts, ages.
    pub detail: String,
    /// The next command to type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
