//! What a node does for a step of an operation. One file a topic; each step is a type with `act`, `undo` and
//! `probe`.

pub mod database;
pub mod media;
pub mod point;
mod prepare;

use orocloud_protocol::CallError;
use orocloud_protocol::CallId;
use orocloud_protocol::node::{Phase, Probe, StepAction, StepAnswer};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::environment::{Maint, Web};
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

impl<'a> ActionContext<'a> {
    /// This node's part of the configuration as maint; an error names the node that has none.
    pub fn maint(&self) -> Result<&'a Maint, CallError> {
        self.node.config.maint.as_ref().ok_or_else(|| self.lacks("maint"))
    }

    /// This node's part of the configuration as a web node; an error names the node that has none.
    pub fn web(&self) -> Result<&'a Web, CallError> {
        self.node.config.web.as_ref().ok_or_else(|| self.lacks("web"))
    }

    fn lacks(&self, section: &str) -> CallError {
        let node = &self.node.config.node;
        CallError::internal(format!("step {} needs [{section}] in agent.toml of {node}", self.step))
    }
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

/// One kind of step. After a crash the probe tells what happened, so it must be right whatever moment the act was
/// interrupted at; an undo finds nothing to do where the act did nothing, and both may be repeated.
pub trait Action: Sync {
    /// Does it; gives its output for later steps.
    fn act(&self, context: &ActionContext<'_>) -> impl Future<Output = Result<Value, CallError>> + Send;

    /// Takes it back.
    fn undo(&self, context: &ActionContext<'_>) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Looks whether it is done.
    fn probe(&self, context: &ActionContext<'_>) -> impl Future<Output = Result<Probe, CallError>> + Send;
}

/// Acts, undoes or probes one step on this node.
pub async fn run(
    context: &ActionContext<'_>,
    phase: Phase,
    action: &StepAction,
) -> Result<StepAnswer, CallError> {
    match action {
        StepAction::MediaSnapshot { .. } | StepAction::MediaRestore { .. } => {
            media::run(context, phase, action).await
        }
        StepAction::PointPublish { .. } | StepAction::RestoreRecord { .. } => {
            point::run(context, phase, action).await
        }
        StepAction::DatabasePrepare { .. }
        | StepAction::DatabaseMarker {}
        | StepAction::DatabaseBackup { .. }
        | StepAction::DatabaseRestoreAside(_)
        | StepAction::DatabaseReplay(_)
        | StepAction::DatabaseLook(_)
        | StepAction::DatabaseRest(_)
        | StepAction::DatabaseAccept(_)
        | StepAction::DatabaseSwap(_)
        | StepAction::DatabaseTidy { .. }
        | StepAction::DatabaseExpire { .. } => database::run(context, phase, action).await,
        StepAction::SourceFetch { .. }
        | StepAction::SourceBuild { .. }
        | StepAction::PackageBuild { .. }
        | StepAction::PackageSend { .. }
        | StepAction::ReleaseUnpack { .. }
        | StepAction::ConsoleRun { .. }
        | StepAction::CacheWarm { .. }
        | StepAction::ReleaseRecord { .. }
        | StepAction::ReleaseSwitch { .. }
        | StepAction::ReleasesTidy { .. }
        | StepAction::FrontendCheck { .. }
        | StepAction::MaintenanceOn { .. }
        | StepAction::MaintenanceRestore {} => {
            Err(CallError::internal(format!("this agent does not know step {} yet", context.step)))
        }
    }
}

/// One phase of one step.
pub async fn carry_out<A: Action>(
    action: &A,
    phase: Phase,
    context: &ActionContext<'_>,
) -> Result<StepAnswer, CallError> {
    match phase {
        Phase::Act => action.act(context).await.map(StepAnswer::Done),
        Phase::Undo => action.undo(context).await.map(|()| StepAnswer::Undone),
        Phase::Probe => action.probe(context).await.map(StepAnswer::Probed),
    }
}
