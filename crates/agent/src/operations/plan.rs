//! What an operation is going to do, as data that the journal keeps.

use std::collections::BTreeMap;

use orocloud_protocol::node::{Phase, StepAction};
use orocloud_protocol::{CallError, CallId, ContentHash, NodeName, PlannedStep};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The steps of an operation, generic over what a step is: [`StepAction`], or a fake in the runner's own tests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationPlan<A = StepAction> {
    /// Groups in their order; the steps of one group run side by side.
    pub groups: Vec<Vec<Step<A>>>,
    /// Index of the first group that is finished rather than undone when the operation is interrupted; the
    /// number of groups when everything can be undone.
    pub point_of_no_return: usize,
    /// Groups before this one, also behind the point of no return, are undone when one of them fails, though they are
    /// finished when they are interrupted. At the least the group at the point itself is among them.
    #[serde(default)]
    pub undone_until: usize,
    /// Up to this group it may be cancelled, where that is behind the point of no return.
    #[serde(default)]
    pub cancelled_until: usize,
    /// Sentences for a person: from where, to where.
    pub summary: Vec<String>,
    /// What will be lost.
    pub loses: Vec<String>,
    /// Whether it wants a confirmation.
    pub destructive: bool,
    /// Of what the caller agrees to.
    pub digest: ContentHash,
}

/// One step on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step<A = StepAction> {
    /// For instance `release:switch`.
    pub name: String,
    /// Where it runs.
    pub node: NodeName,
    /// What it does.
    pub action: A,
    /// Its failure is a warning: the operation goes on. So is a node out of reach.
    #[serde(default)]
    pub soft: bool,
    /// What happens when its node is out of reach.
    #[serde(default)]
    pub on_loss: OnLoss,
    /// Nodes that do it in place of its own once that was left behind. Only for steps whose undo is good on any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<NodeName>,
}

/// What happens when the node of a step is out of reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLoss {
    /// The operation waits for the node without end, its locks held, and says so. Only an act that never began, before
    /// the point of no return, fails at once: nothing has happened yet that would be worth waiting for.
    #[default]
    Wait,
    /// It counts as a failure of the step after a short while.
    Fail,
    /// After a short while the node is left behind: taken out of the load balancer, named, and passed over by further
    /// steps of this kind. The operation goes on, and in the end does not say success. Never all nodes of a group.
    Leave,
}

impl<A> Step<A> {
    /// A step that matters, and waits for its node.
    pub fn new(name: impl Into<String>, node: &NodeName, action: A) -> Self {
        let (name, node) = (name.into(), node.clone());
        Self { name, node, action, soft: false, on_loss: OnLoss::Wait, instead: Vec::new() }
    }

    /// The same, its failure being a warning.
    #[must_use]
    pub fn soft(self) -> Self {
        Self { soft: true, ..self }
    }

    /// The same, doing this when its node is out of reach.
    #[must_use]
    pub fn on_loss(self, on_loss: OnLoss) -> Self {
        Self { on_loss, ..self }
    }
}

impl<A> OperationPlan<A> {
    /// One that loses nothing, so that nobody has to agree to it.
    pub fn losing_nothing(
        groups: Vec<Vec<Step<A>>>,
        point_of_no_return: usize,
        summary: Vec<String>,
    ) -> Self {
        let digest = super::hash(blake3::hash(summary.join("\n").as_bytes()));
        Self {
            groups,
            point_of_no_return,
            undone_until: 0,
            cancelled_until: 0,
            summary,
            loses: Vec::new(),
            destructive: false,
            digest,
        }
    }

    /// Whether all is undone when this group fails.
    pub fn turns_back_at(&self, group: usize) -> bool {
        group <= self.point_of_no_return || group < self.undone_until
    }

    /// The group at whose beginning it is too late to cancel.
    pub fn cancelled_until(&self) -> usize {
        self.point_of_no_return.max(self.cancelled_until)
    }

    /// The steps as they are shown.
    pub fn planned_steps(&self) -> Vec<PlannedStep> {
        self.groups
            .iter()
            .enumerate()
            .flat_map(|(index, group)| {
                group.iter().map(move |step| PlannedStep {
                    step: step.name.clone(),
                    node: step.node.clone(),
                    point_of_no_return: index == self.point_of_no_return,
                    usual_ms: None,
                })
            })
            .collect()
    }
}

/// What the steps that are done have answered, by step name; of a group with one name, the last one's.
pub type Outputs = BTreeMap<String, Value>;

/// The output of a step that must have run.
pub fn output<T: serde::de::DeserializeOwned>(outputs: &Outputs, step: &str) -> Result<T, CallError> {
    let value = outputs.get(step).cloned().unwrap_or(Value::Null);
    serde_json::from_value(value)
        .map_err(|error| CallError::internal(format!("step {step} left no usable output: {error}")))
}

/// Who carries out steps: the nodes in an agent, a fake in the runner's tests.
pub trait Executor: Send + Sync + 'static {
    /// What a step is.
    type Action: Clone + Serialize + serde::de::DeserializeOwned + Send + Sync + 'static;

    /// Acts, undoes or probes. `call` is the id of this very attempt: the same id again attaches to it.
    fn run(
        &self,
        request: StepRequest<'_, Self::Action>,
    ) -> impl Future<Output = Result<orocloud_protocol::node::StepAnswer, StepFailure>> + Send;

    /// How often an act that fails behind the point of no return is tried.
    fn tries(&self, action: &Self::Action) -> u32;

    /// Whether somebody else does later what a step cannot do, or take back, because what it is about is down: an
    /// operation does not wait for that without end.
    fn can_be_put_off(&self, _phase: Phase, _step: &Step<Self::Action>) -> bool {
        false
    }

    /// Has that done as soon as it can be; says what that is.
    fn put_off(
        &self,
        _operation: CallId,
        step: &Step<Self::Action>,
        _why: &CallError,
    ) -> Result<String, CallError> {
        Err(CallError::internal(format!("{} cannot be put off", step.name)))
    }

    /// Leaves the step's node behind: takes it out of the load balancer until it is what it should be. May be asked
    /// again. As long as this fails, the node is waited for.
    fn leave(
        &self,
        operation: CallId,
        step: &Step<Self::Action>,
        why: &CallError,
    ) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// The failure of an act that waited for as long as it makes sense: trying it again at once would not help.
pub fn tried_enough(error: CallError) -> CallError {
    error.with_details(serde_json::json!({ "tried_enough": true }))
}

/// Whether an act is not to be tried again at once.
pub fn was_tried_enough(error: &CallError) -> bool {
    error.details.as_ref().and_then(|details| details.get("tried_enough")).is_some()
}

/// One attempt at a step.
pub struct StepRequest<'a, A> {
    /// Of this attempt.
    pub call: CallId,
    /// The operation.
    pub operation: CallId,
    /// The step.
    pub step: &'a Step<A>,
    /// What is wanted of it.
    pub phase: Phase,
    /// What earlier steps answered.
    pub outputs: &'a Outputs,
    /// Only wait for this very attempt if it still runs.
    pub attach_only: bool,
    /// Where its output and progress go.
    pub events: crate::operations::EventSink,
    /// Set when the operation is cancelled.
    pub cancel: tokio_util::sync::CancellationToken,
}

/// Why an attempt gave no answer.
#[derive(Debug)]
pub enum StepFailure {
    /// It failed; the node answered.
    Failed(CallError),
    /// The node could not be reached, or refused it at the door: it did not begin.
    NotBegun(CallError),
    /// The node was lost meanwhile: nobody knows whether it ran.
    Lost(CallError),
    /// With `attach_only`: no such attempt runs there.
    NotRunning,
}
