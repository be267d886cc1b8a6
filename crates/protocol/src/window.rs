//! Maintenance windows: when the infrastructure is updated.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Call, CallId, Kind, Role};

/// Windows of a stretch of time, the earliest first.
pub enum List {}

impl Call for List {
    const METHOD: &'static str = "maintenance.windows";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = ListParams;
    type Answer = ListAnswer;
}

/// Which windows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Windows that end after this moment; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Windows that begin before this moment; absent: eight weeks after `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// The agent's clock.
    pub now: Timestamp,
    /// Begin of the stretch.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// The earliest first, cancelled ones among them.
    pub items: Vec<Window>,
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The same for as long as the window exists, also when it is moved.
    pub uid: String,
    /// Counts changes, from 0.
    pub sequence: u32,
    /// Planned, or announced and for what.
    pub kind: WindowKind,
    /// Its begin.
    pub starts_at: Timestamp,
    /// Its end.
    pub ends_at: Timestamp,
    /// What is done.
    pub work: String,
    /// Whether the shop is interrupted.
    pub interrupts: bool,
    /// Whether it was called off.
    pub cancelled: bool,
    /// When it was announced or last changed; absent for planned ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Operations that ran in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<RanInWindow>,
}

impl Window {
    /// Whether this moment lies in it.
    pub fn holds(&self, now: Timestamp) -> bool {
        !self.cancelled && self.starts_at <= now && now < self.ends_at
    }

    /// How long it is.
    pub fn length(&self) -> SignedDuration {
        self.ends_at.duration_since(self.starts_at)
    }
}

/// Where a window comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowKind {
    /// From the environment's configuration.
    Planned,
    /// Announced, for a security patch.
    Security,
    /// Announced, for performance.
    Performance,
    /// Announced, for something else.
    Other,
}

impl WindowKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Planned, Self::Security, Self::Performance, Self::Other];

    /// The word in tables and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Security => "security",
            Self::Performance => "performance",
            Self::Other => "other",
        }
    }
}

/// An operation that ran in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RanInWindow {
    /// Its id.
    pub id: CallId,
    /// The command as a person would type it.
    pub command: String,
}
