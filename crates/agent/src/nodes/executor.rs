//! Carries out steps on the nodes, and the logs' way to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::log::TailAnswer;
use orocloud_protocol::node::{
    LogSources, LogSourcesAnswer, LogSourcesParams, LogTail, LogTailParams, Mail, MailListed,
    MailListedParams, MailParams, PackageReceive, PackageReceiveParams, Phase, Step as StepCall, StepAction,
    StepAnswer, StepParams,
};
use orocloud_protocol::smtp::ShowAnswer;
use orocloud_protocol::{Call, CallError, CallId, ErrorKind, EventBody, NodeName, NodeRole};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::actions::{FromNode, OtherNodes};
use super::steps::says_not_running;
use super::transport::{CallFailure, Nodes, Reply, new_call_id};
use crate::calls::log::NodeLogs;
use crate::operations::EventSink;
use crate::operations::plan::{Executor, Step, StepFailure, StepRequest};
use crate::rules::whitelist::Named;
use crate::withheld::{Withheld, Withholding};

/// Carries out steps on the nodes.
#[derive(Debug)]
pub struct NodeExecutor {
    nodes: Nodes,
    /// The newest event that came of each attempt under way: one that is attached to again goes on behind it.
    seen: Mutex<HashMap<CallId, u64>>,
}

impl NodeExecutor {
    pub(crate) fn new(nodes: Nodes) -> Self {
        Self { nodes, seen: Mutex::default() }
    }

    fn seen(&self, call: CallId) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&call).copied().unwrap_or_default()
    }

    fn note(&self, call: CallId, seq: Option<u64>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seq {
            Some(seq) => drop(seen.insert(call, seq)),
            None => drop(seen.remove(&call)),
        }
    }

    async fn attempt(&self, request: &StepRequest<'_, StepAction>) -> Result<StepAnswer, CallFailure> {
        let params = StepParams {
            operation: request.operation,
            step: request.step.name.clone(),
            phase: request.phase,
            action: request.step.action.clone(),
            outputs: request.outputs.clone(),
            attach_only: request.attach_only,
        };
        let params = serde_json::to_value(params).map_err(|error| {
            CallFailure::NotSent(CallError::internal("a step cannot be sent").because(error))
        })?;
        let node = &request.step.node;
        let mut call =
            self.nodes.begin(node, request.call, StepCall::METHOD, params, self.seen(request.call)).await?;
        let mut told = false;
        loop {
            let reply = tokio::select! {
                reply = call.next() => reply?,
                () = request.cancel.cancelled(), if !told => {
                    told = true;
                    call.end().await?;
                    continue;
                }
            };
            match reply {
                Reply::Event(event) => {
                    self.note(request.call, Some(event.seq));
                    request.events.emit(event.body);
                }
                Reply::Answer(value) => {
                    return serde_json::from_value(value).map_err(|error| {
                        let text = format!("what {node} answers to a step cannot be read");
                        CallFailure::Answered(
                            CallError::new(ErrorKind::ProtocolMismatch, text).because(error),
                        )
                    });
                }
            }
        }
    }
}

impl Executor for NodeExecutor {
    type Action = StepAction;

    async fn run(&self, request: StepRequest<'_, StepAction>) -> Result<StepAnswer, StepFailure> {
        let outcome = self.attempt(&request).await;
        if !matches!(outcome, Err(CallFailure::Lost(_))) {
            self.note(request.call, None);
        }
        outcome.map_err(|failure| match failure {
            CallFailure::NotSent(error) => StepFailure::NotBegun(error),
            CallFailure::Lost(error) => StepFailure::Lost(error),
            CallFailure::Answered(error) if says_not_running(&error) => StepFailure::NotRunning,
            CallFailure::Answered(error) => match error.kind {
                // Refused at the door: nothing of it ran.
                ErrorKind::NotPermitted
                | ErrorKind::NotSignedIn
                | ErrorKind::ProtocolMismatch
                | ErrorKind::UnknownMethod
                | ErrorKind::Usage => StepFailure::NotBegun(error),
                ErrorKind::StillRunning => StepFailure::Lost(error),
                _ => StepFailure::Failed(error),
            },
        })
    }

    fn tries(&self, action: &StepAction) -> u32 {
        match action {
            // The customer's code runs in it: it fails again, or does its work twice.
            StepAction::SourceBuild { .. } | StepAction::ConsoleRun { .. } | StepAction::CacheWarm { .. } => {
                1
            }
            // It looks for as long as there is hope.
            StepAction::FrontendCheck { .. } => 1,
            _ => 3,
        }
    }

    fn can_be_put_off(&self, phase: Phase, step: &Step<StepAction>) -> bool {
        // A load balancer that is down sends to nobody, and the node is what it should be: it is let back later.
        matches!(
            (phase, &step.action),
            (Phase::Undo, StepAction::BalancerDrain { .. }) | (Phase::Act, StepAction::BalancerReturn { .. })
        )
    }

    fn put_off(
        &self,
        operation: CallId,
        step: &Step<StepAction>,
        why: &CallError,
    ) -> Result<String, CallError> {
        let (StepAction::BalancerDrain { node } | StepAction::BalancerReturn { node, .. }) = &step.action
        else {
            return Err(CallError::internal(format!("{} cannot be put off", step.name)));
        };
        let late = Withholding { since: Timestamp::now(), operation: Some(operation), why: why.to_string() };
        Withheld::new(&self.nodes.config().state).let_back_later(node, late)?;
        Ok(format!(
            "{node} gets no requests until {} sends to it again, which the agent sees to: {why}",
            step.node
        ))
    }

    async fn leave(
        &self,
        operation: CallId,
        step: &Step<StepAction>,
        why: &CallError,
    ) -> Result<(), CallError> {
        let (config, node) = (self.nodes.config(), &step.node);
        let withholding =
            Withholding { since: Timestamp::now(), operation: Some(operation), why: why.to_string() };
        Withheld::new(&config.state).add(node, withholding)?;
        withhold(&self.nodes, node).await
    }
}

/// Has every load balancer send nothing to a node, if it is one that they send to.
pub async fn withhold(nodes: &Nodes, node: &NodeName) -> Result<(), CallError> {
    const LIMIT: Duration = Duration::from_secs(30);
    let environment = &nodes.config().environment;
    if !environment.node(node).is_some_and(|node| node.roles.contains(&NodeRole::Web)) {
        return Ok(());
    }
    for balancer in environment.with_role(NodeRole::Lb) {
        let action = StepAction::BalancerWithhold { node: node.clone() };
        act(nodes, &balancer.name, "balancer:withhold", action, LIMIT).await?;
    }
    Ok(())
}

/// Acts on a node outside of any operation. Such an act may be repeated, and nothing undoes it.
pub async fn act(
    nodes: &Nodes,
    on: &NodeName,
    name: &str,
    action: StepAction,
    limit: Duration,
) -> Result<Value, CallError> {
    let id = new_call_id();
    let params = StepParams {
        operation: id,
        step: name.to_owned(),
        phase: Phase::Act,
        action,
        outputs: BTreeMap::new(),
        attach_only: false,
    };
    let params = serde_json::to_value(params)
        .map_err(|error| CallError::internal("a step cannot be sent").because(error))?;
    let acting = async {
        let mut call = nodes.begin(on, id, StepCall::METHOD, params, 0).await?;
        loop {
            if let Reply::Answer(value) = call.next().await? {
                return Ok(value);
            }
        }
    };
    let answer = tokio::time::timeout(limit, acting).await.unwrap_or_else(|_| {
        let text = format!("{on} did not end {name} within {} s", limit.as_secs());
        Err(CallError::new(ErrorKind::Unreachable, text))
    })?;
    match serde_json::from_value(answer) {
        Ok(StepAnswer::Done(value)) => Ok(value),
        _ => Err(CallError::internal(format!("{on} gave an answer of another phase to {name}"))),
    }
}

impl OtherNodes for Nodes {
    fn send<'a>(
        &'a self,
        to: &'a NodeName,
        package: &'a PackageReceiveParams,
        file: &'a std::path::Path,
        events: &'a EventSink,
    ) -> FromNode<'a, ()> {
        Box::pin(async move { self.send_file::<PackageReceive>(to, package, file, events).await.map(drop) })
    }

    fn mail_listed<'a>(&'a self, web: &'a NodeName, asked: MailListedParams) -> FromNode<'a, Named> {
        Box::pin(async move { Ok(self.call::<MailListed>(web, &asked).await?.whitelist) })
    }

    fn mail_holds<'a>(&'a self, mail: &'a NodeName) -> FromNode<'a, ShowAnswer> {
        Box::pin(self.call::<Mail>(mail, &MailParams {}))
    }

    fn act<'a>(
        &'a self,
        on: &'a NodeName,
        name: &'a str,
        action: StepAction,
        limit: Duration,
    ) -> FromNode<'a, Value> {
        Box::pin(async move {
            let begun = Instant::now();
            match act(self, on, name, action.clone(), limit).await {
                // A connection that was kept may have broken since; who has let us wait is not asked again.
                Err(error) if error.kind == ErrorKind::Unreachable && begun.elapsed() < limit => {
                    act(self, on, name, action, limit.saturating_sub(begun.elapsed())).await
                }
                outcome => outcome,
            }
        })
    }
}

impl Nodes {
    /// The way to the logs of all nodes.
    pub fn logs(&self) -> Arc<dyn NodeLogs> {
        Arc::new(self.clone())
    }
}

impl NodeLogs for Nodes {
    fn nodes(&self) -> Vec<NodeName> {
        self.names()
    }

    fn sources(&self, node: &NodeName) -> crate::calls::log::NodeCall<LogSourcesAnswer> {
        let (nodes, node) = (self.clone(), node.clone());
        Box::pin(async move { nodes.call::<LogSources>(&node, &LogSourcesParams {}).await })
    }

    fn tail(
        &self,
        node: &NodeName,
        params: LogTailParams,
        events: mpsc::Sender<EventBody>,
        end: CancellationToken,
    ) -> crate::calls::log::NodeCall<TailAnswer> {
        let (nodes, node) = (self.clone(), node.clone());
        Box::pin(async move { nodes.stream::<LogTail>(&node, &params, events, end).await })
    }
}
