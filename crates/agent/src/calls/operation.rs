//! `operation.list`, `operation.wait`, `operation.cancel`, and how a call becomes an operation.

use std::time::Duration;

use orocloud_protocol::operation::{
    CancelAnswer, CancelParams, ListAnswer, ListParams, OperationState, OperationSummary, WaitParams,
};
use orocloud_protocol::{CallError, CallId, EnvironmentType, ErrorKind, Event, Lock, Plan, Resource};
use serde_json::Value;

use super::{Context, OperationCall, heal};
use crate::operations::{EventSink, NewOperation, Wait};
use crate::server::{Caller, CallerKind, DaemonRef, EventStream};

/// `operation.list`
pub async fn list(context: &Context, _params: ListParams) -> Result<ListAnswer, CallError> {
    Ok(ListAnswer { items: context.daemon.operations.unended() })
}

/// `operation.wait`: ends as that operation ends.
pub async fn wait(
    context: &Context,
    params: WaitParams,
    events: &EventStream,
) -> Result<OperationSummary, CallError> {
    let operations = &context.daemon.operations;
    tokio::select! {
        summary = operations.wait(params.operation) => as_it_ended(summary?),
        () = events.end().cancelled() => Err(left(params.operation)),
    }
}

/// The answer of a call that watched an operation to its end.
pub(super) fn as_it_ended(summary: OperationSummary) -> Result<OperationSummary, CallError> {
    match summary.state {
        OperationState::Succeeded => Ok(summary),
        _ => Err(summary
            .error
            .unwrap_or_else(|| CallError::failed(format!("operation {} has not succeeded", summary.id)))),
    }
}

/// The watcher is gone, or wants no more.
pub(super) fn left(operation: CallId) -> CallError {
    CallError::new(
        ErrorKind::StillRunning,
        format!("nobody watches operation {operation} here any more; it goes on"),
    )
    .hint(format!("follow it with: orocloud-cli log:view --follow {operation}"))
}

/// `operation.cancel`
pub async fn cancel(context: &Context, params: CancelParams) -> Result<CancelAnswer, CallError> {
    let operations = &context.daemon.operations;
    if params.give_up {
        let operation = operations.give_up(params.operation, &context.caller).await?;
        return Ok(CancelAnswer { operation, cancelled: true });
    }
    let (operation, cancelled) = operations.cancel(params.operation, &context.caller)?;
    Ok(CancelAnswer { operation, cancelled })
}

/// Starts an operation or attaches to it, sends its events, and answers as it ends.
pub(super) async fn run<C: OperationCall>(
    context: &Context,
    params: C::Params,
    events: &EventStream,
) -> Result<Value, CallError>
where
    C::Params: 'static,
{
    if C::options(&params).dry_run {
        let plan = C::plan(context, &params).await?;
        let usual = context.daemon.operations.usual(C::METHOD);
        let mut steps = plan.planned_steps();
        for step in &mut steps {
            let took = usual.get(&(step.step.clone(), step.node.clone()));
            step.usual_ms = took.and_then(|took| u64::try_from(took.as_millis()).ok());
        }
        let shown = Plan {
            steps,
            summary: plan.summary,
            loses: plan.loses,
            destructive: plan.destructive,
            digest: plan.digest,
        };
        return serde_json::to_value(shown)
            .map_err(|error| CallError::internal("the plan cannot be sent").because(error));
    }
    let (sender, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    // Only the word that it waits comes this way, so little that nobody has to slow down.
    let told = EventSink::new(move |body| drop(sender.send(body)));
    let starting = start::<C>(context, params, told);
    tokio::pin!(starting);
    loop {
        tokio::select! {
            biased;
            Some(body) = waiting.recv() => {
                // Not of the journal: there is none yet, so it has the number of nothing.
                let event = Event { call: context.call, seq: 0, at: jiff::Timestamp::now(), body };
                let _ = events.forward(event).await;
            }
            started = &mut starting => break started?,
        }
    }
    follow(context, context.call, events).await
}

/// Begins an operation, or attaches to it.
async fn start<C: OperationCall>(
    context: &Context,
    params: C::Params,
    events: EventSink,
) -> Result<(), CallError>
where
    C::Params: 'static,
{
    let value = serde_json::to_value(&params)
        .map_err(|error| CallError::internal("the parameters cannot be kept").because(error))?;
    let options = C::options(&params);
    let environment = &context.config().environment;
    if context.caller.kind != CallerKind::Agent && !options.ignore_window {
        super::window::guard(context, C::METHOD, &C::locks(&params)).await?;
    }
    let new = NewOperation {
        id: context.call,
        method: C::METHOD.to_owned(),
        command: C::command(&params),
        caller: context.caller.key_id.clone(),
        key: context.caller.identity.clone(),
        params: value,
        locks: C::locks(&params),
        wait: match (context.caller.kind, options.wait_lock) {
            (CallerKind::Agent, _) => Wait::Forever,
            (_, Some(seconds)) => Wait::AtMost(Duration::from_secs(seconds)),
            (_, None) => Wait::No,
        },
        confirmation: options.confirmation.clone(),
        confirm_name: (environment.kind == EnvironmentType::Prod).then(|| environment.name.clone()),
        events,
    };
    let plan = async {
        if C::locks(&params).contains(&Lock::exclusive(Resource::Code)) {
            heal::before(&context.daemon).await;
        }
        C::plan(context, &params).await
    };
    context.daemon.operations.start(new, plan).await
}

async fn follow(context: &Context, id: CallId, events: &EventStream) -> Result<Value, CallError> {
    let mut watch = context.daemon.operations.follow(id, events.after_seq())?;
    loop {
        let event = tokio::select! {
            event = watch.next() => event?,
            () = events.end().cancelled() => return Err(left(id)),
        };
        match event {
            Some(event) => events.forward(event).await.map_err(|_| left(id))?,
            None => return watch.outcome(),
        }
    }
}

/// Starts an operation of the agent's own and waits for its end. It waits for its locks, it is never refused them.
pub async fn run_scheduled<C: OperationCall>(
    daemon: &DaemonRef,
    params: C::Params,
) -> Result<C::Answer, CallError>
where
    C::Params: 'static,
{
    let call = crate::nodes::transport::new_call_id();
    let context = Context { daemon: daemon.clone(), caller: Caller::agent(), call };
    start::<C>(&context, params, EventSink::none()).await?;
    let summary = as_it_ended(daemon.operations.wait(call).await?)?;
    serde_json::from_value(summary.result.unwrap_or_default())
        .map_err(|error| CallError::internal("the answer cannot be read").because(error))
}
