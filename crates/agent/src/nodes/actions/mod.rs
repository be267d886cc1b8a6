//! What a node does for a step of an operation. One file a topic; each has `act`, `undo` and `probe`.

use orocloud_protocol::CallError;
use orocloud_protocol::CallId;
use orocloud_protocol::node::{Phase, StepAction, StepAnswer};
use tokio_util::sync::CancellationToken;

use crate::nodes::NodeRef;
use crate::operations::EventSink;
use crate::operations::plan::Outputs;

/// What an action has at hand.
pub struct ActionContext<'a> {
    /// This node.
    pub node: &'a NodeRef,
    /// On maint: how to reach the others.
    pub coordinator: Option<&'a dyn SendPackage>,
    /// The operation.
    pub operation: CallId,
    /// The step's name.
    pub step: &'a str,
    /// What earlier steps answered.
    pub outputs: &'a Outputs,
    /// For output, progress and notes; step and node are filled in by the receiver when left out.
    pub events: EventSink,
    /// Set when the operation is cancelled: end the program, clean up, answer.
    pub cancel: CancellationToken,
}

/// The coordinator's way to send a package to a node.
pub trait SendPackage: Send + Sync {
    /// Sends the file; the node checks its hash.
    fn send<'a>(
        &'a self,
        to: &'a orocloud_protocol::NodeName,
        package: &'a orocloud_protocol::node::PackageReceiveParams,
        file: &'a std::path::Path,
        events: &'a EventSink,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), CallError>> + Send + 'a>>;
}

/// Acts, undoes or probes one step on this node.
pub async fn run(
    _context: &ActionContext<'_>,
    _phase: Phase,
    _action: &StepAction,
) -> Result<StepAnswer, CallError> {
    Err(CallError::internal("this agent knows no steps yet"))
}
