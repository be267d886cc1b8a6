//! Node calls: what the coordinator asks of this node.

use orocloud_protocol::node::{
    PackageBuilt, PackageReceiveParams, Phase, QueuesAnswer, StepAnswer, StepParams,
};
use orocloud_protocol::{CallError, ErrorKind};

use super::Context;
use crate::nodes::actions::{self, ActionContext};
use crate::operations::{around, failpoint};
use crate::package::{Receiver, Store};
use crate::server::{EventStream, Exchange};

/// `node.step`: acts, undoes or probes. It goes on when the coordinator is gone, and the same call attaches to it.
pub async fn step(
    context: &Context,
    params: StepParams,
    events: &EventStream,
) -> Result<StepAnswer, CallError> {
    let daemon = context.daemon.clone();
    let StepParams { operation, step, phase, action, outputs, attach_only } = params;
    let node = daemon.node.config.node.clone();
    let steps = daemon.steps.clone();
    let name = step.clone();
    let begin = move |sink, cancel| async move {
        let [intent, running, done] = match phase {
            Phase::Act => ["node-intent", "node-running", "node-done"],
            Phase::Undo => ["node-undo-intent", "node-undoing", "node-undone"],
            Phase::Probe => ["node-probe-intent", "node-probing", "node-probed"],
        };
        failpoint(&step, intent);
        let context = ActionContext {
            node: &daemon.node,
            coordinator: daemon.node.config.is_coordinator().then_some(&daemon.nodes as _),
            operation,
            step: &step,
            outputs: &outputs,
            events: sink,
            cancel,
        };
        let outcome = around(&step, running, actions::run(&context, phase, &action)).await;
        failpoint(&step, done);
        outcome.map_err(its_own)
    };
    steps.attend(events, attach_only, &node, &name, begin).await
}

/// Kinds that speak of the call itself never come out of an action: the coordinator would take them for "it did not
/// begin".
fn its_own(error: CallError) -> CallError {
    match error.kind {
        ErrorKind::Failed
        | ErrorKind::NotFound
        | ErrorKind::Refused
        | ErrorKind::Cancelled
        | ErrorKind::CheckFailed
        | ErrorKind::Internal => error,
        _ => CallError { kind: ErrorKind::Failed, ..error },
    }
}

/// `node.queues`
pub async fn queues(context: &Context) -> Result<QueuesAnswer, CallError> {
    let config = context.config();
    let queue = config
        .queue
        .as_ref()
        .ok_or_else(|| CallError::failed(format!("{} has no [queue] in its agent.toml", config.node)))?;
    Ok(QueuesAnswer { items: crate::engines::rabbitmq::queues(queue).await? })
}

/// `node.package-receive`: takes in a package unless it is here already.
pub async fn package_receive(
    context: &Context,
    params: PackageReceiveParams,
    exchange: &mut Exchange,
) -> Result<PackageBuilt, CallError> {
    let config = context.config();
    let release = params.release.clone();
    let built = PackageBuilt { package: params.package.clone(), size: params.size, files: params.files };
    let store = Store::open(&config.state).map_err(|error| {
        CallError::failed(format!("{} cannot take in the package of {release}", config.node)).because(error)
    })?;
    let folder = store.folder().display().to_string();
    let cannot = |error: std::io::Error| {
        CallError::failed(format!("{} cannot take in the package of {release}", config.node))
            .because(format!("{folder}: {error}"))
    };
    let Some(mut receiver) = Receiver::new(store, params).map_err(cannot)? else { return Ok(built) };
    let inlet = exchange.ready_to_receive().await?;
    let mut frame = Vec::new();
    while inlet.frame(&mut frame).await.map_err(cannot)? {
        // Writing a piece of a quarter megabyte is quick; the sync at the end is not.
        receiver.write(&frame).map_err(cannot)?;
    }
    let finishing = tokio::task::spawn_blocking(move || receiver.finish());
    finishing
        .await
        .map_err(|error| CallError::internal("taking in a package ended early").because(error))?
        .map_err(cannot)
}
