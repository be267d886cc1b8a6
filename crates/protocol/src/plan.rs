//! What an operation is going to do, and what the caller has seen of it.

use serde::{Deserialize, Serialize};

use crate::{ContentHash, EnvironmentName, NodeName};

/// One step as it is shown before it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// For instance `release:switch`.
    pub step: String,
    /// Where it runs.
    pub node: NodeName,
    /// From here on an interrupted operation is finished, not undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub point_of_no_return: bool,
    /// How long it usually takes, in milliseconds: the median of the last operations of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_ms: Option<u64>,
}

/// The answer to a call with `dry_run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps in their order.
    pub steps: Vec<PlannedStep>,
    /// Sentences for a person: from where, to where, what the target is.
    pub summary: Vec<String>,
    /// What will be lost; empty when nothing is.
    pub loses: Vec<String>,
    /// Whether it wants a confirmation, and in `prod` the environment's name.
    pub destructive: bool,
    /// Of the plan shown; goes back in the confirmation.
    pub digest: ContentHash,
}

/// That a person, or a script in their place, agreed to a plan they were shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The environment's name as it was typed; needed where the type is `prod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Digest of the plan that was shown.
    pub digest: ContentHash,
}

/// What every operation takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationOptions {
    /// Answer with the plan and change nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Wait this many seconds for locks instead of failing at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_lock: Option<u64>,
    /// Start although a maintenance window is near.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_window: bool,
    /// The answer to the question that a destructive operation asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
}
