//! What became of messages.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Call, Kind, NodeName, Role};

/// What became of messages lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// In the last hour.
    pub hour: Outcomes,
    /// In the last day.
    pub day: Outcomes,
}

/// How often each thing happened; a message counts once for each of its recipients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// A relay took it.
    pub sent: u64,
    /// It was for somebody whom mail does not reach.
    pub dropped: u64,
    /// It was refused for good.
    pub bounced: u64,
    /// Nobody took it for now: each attempt counts.
    pub deferred: u64,
}

impl std::ops::AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.bounced += other.bounced;
        self.deferred += other.deferred;
    }
}

/// What became of the last messages.
pub enum History {}

impl Call for History {
    const METHOD: &'static str = "smtp.history";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = HistoryParams;
    type Answer = HistoryAnswer;
}

/// What `smtp.history` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryParams {
    /// Only those that somebody may have got more than once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
    /// Which part of the list.
    #[serde(default)]
    pub page: crate::Page,
}

/// Messages, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryAnswer {
    /// Those of the page.
    pub items: Vec<PastMessage>,
    /// How many there are.
    pub total: u64,
    /// How many of all somebody may have got more than once.
    pub doubtful: u64,
    /// Mail nodes that did not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<NodeName>,
}

/// What became of a message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastMessage {
    /// Postfix's id of the message.
    pub queue_id: String,
    /// The `Message-ID` that its sender gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Who sent it; empty for a notice of Postfix itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// For whom.
    pub to: String,
    /// Who was asked last, as Postfix names it, `HOST[ADDRESS]:PORT`; absent when nobody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// What became of it.
    pub status: MailStatus,
    /// When.
    pub at: Timestamp,
    /// The last answer.
    pub said: String,
    /// How often it was tried.
    pub attempts: u64,
    /// Relays that were lost after they had all of the message and before they said so, `HOST[ADDRESS]`: if they did take
    /// it, its recipient gets it once more than was told (RFC 1047).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maybe_taken_by: Vec<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailStatus {
    /// A relay took it.
    Sent,
    /// It was for somebody whom mail does not reach.
    Dropped,
    /// It was refused for good.
    Bounced,
    /// It waits and is tried again.
    Deferred,
    /// A status of a newer agent.
    #[serde(other)]
    Unknown,
}

impl MailStatus {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Dropped => "dropped",
            Self::Bounced => "bounced",
            Self::Deferred => "deferred",
            Self::Unknown => "unknown",
        }
    }
}
