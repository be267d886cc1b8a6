//! Node calls: what the coordinator asks of the agents on the other nodes, and of itself as a node.
//!
//! An operation is a list of steps; a step is a [`StepAction`] on one node. Actions are data, so that a plan can
//! be kept in the journal and taken up again after a crash.

mod action;
mod mail_dns;
mod output;
mod query;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Call, CallId, Kind, Role};

pub use action::*;
pub use mail_dns::*;
pub use output::*;
pub use query::*;

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
