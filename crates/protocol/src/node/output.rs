//! What the acts of steps answer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::smtp::{ChangedAnswer, SentMessage, TriedStage};
use crate::{CallError, ContentHash, MailAddress, NodeName, Reference};

/// Output of [`super::StepAction::SourceFetch`].
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

/// Output of [`super::StepAction::FrontendCheck`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendChecked {
    /// HTTP status of the page.
    pub status: u16,
    /// How long it took until it answered, in milliseconds.
    pub took_ms: u64,
}

/// Output of [`super::StepAction::BalancerDrain`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Whether it gets no requests now; false for the only node that takes them.
    pub drained: bool,
}

/// Output of [`super::StepAction::PackageBuild`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageBuilt {
    /// Of the file.
    pub package: ContentHash,
    /// Bytes of the file.
    pub size: u64,
    /// Files in it.
    pub files: u64,
}

/// Output of [`super::StepAction::PackageTake`]: what fetching and building would have answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageTaken {
    /// Where the package comes from.
    pub source: SourceFetched,
    /// The package.
    pub built: PackageBuilt,
}

/// Output of [`super::StepAction::MaintenanceOn`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceBefore {
    /// Whether the page was up already.
    pub was_on: bool,
}

/// Output of [`super::StepAction::DatabaseMarker`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Whether the live database took it; otherwise only what was archived before can be reached.
    pub committed: bool,
    /// WAL location of the marker.
    pub lsn: Option<String>,
    /// The segment that is archived now.
    pub segment: Option<String>,
}

/// Output of [`super::StepAction::DatabaseWatch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseWatched {
    /// The moment: what is restored to it is the database as the update found it.
    pub at: Timestamp,
}

/// Output of [`super::StepAction::DatabaseSchema`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaSeen {
    /// Digest of everything that defines the schema.
    pub schema: ContentHash,
}

/// Output of [`super::StepAction::DatabaseReplay`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// WAL location of the end.
    pub lsn: String,
    /// Time of the last transaction replayed.
    pub last_transaction_at: Option<Timestamp>,
    /// The timeline replayed.
    pub timeline: u32,
}

/// Output of [`super::StepAction::DatabaseAccept`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The timeline it made.
    pub timeline: u32,
}

/// Output of [`super::StepAction::DatabaseSwap`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swapped {
    /// The timeline that was left.
    pub from_timeline: u32,
    /// The timeline that is live now.
    pub to_timeline: u32,
    /// When.
    pub at: Timestamp,
}

/// Output of [`super::StepAction::MailTry`]: what was found out. That a check fails is no failure of the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MailChecked {
    /// The stages that went well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<TriedStage>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<CallError>,
}

/// Output of [`super::StepAction::MailReady`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailReady {
    /// The sender that the relays take.
    pub from: MailAddress,
}

/// Output of [`super::StepAction::MailSend`]. That nobody takes the message is no failure of the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailSent {
    /// A mail node took it.
    Taken {
        /// Postfix's id of it.
        queue_id: String,
        /// How long that took, in milliseconds.
        took_ms: u64,
    },
    /// Nobody did.
    Failed(CallError),
}

/// Output of [`super::StepAction::MailTell`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MailTold {
    /// Mail nodes on which it holds.
    pub told: Vec<NodeName>,
    /// What holds on the first of them.
    pub holds: Option<ChangedAnswer>,
    /// Those on which nobody knows that it does.
    pub not_told: Vec<MailNotTold>,
}

/// A mail node that may not know yet what holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailNotTold {
    /// Which.
    pub node: NodeName,
    /// Why.
    pub why: CallError,
}

/// Output of [`super::StepAction::MailFollow`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MailFollowed {
    /// What became of those messages that this node took.
    pub messages: Vec<SentMessage>,
}
