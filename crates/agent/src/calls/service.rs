//! `service:*`, and the services as a part of other operations.

use orocloud_protocol::node::{ServiceHolder, StepAction};
use orocloud_protocol::service::{
    ChangeParams, Restart, Selection, ServiceChange, ServiceInfo, ServiceKind, ServiceState, Start,
    StatusAnswer, StatusParams, Stop,
};
use orocloud_protocol::{CallError, ErrorKind, NodeName, OperationOptions, ServiceName};

use super::status::ask_all;
use super::{Context, Done, OperationCall, quoted};
use crate::environment::{Agent, Environment, Service};
use crate::operations::plan::{OnLoss, OperationPlan, Step};
use crate::server::DaemonRef;

/// Stops the services, kind after kind; what ran is remembered where it runs.
pub fn stopping(environment: &Environment, holder: ServiceHolder) -> Vec<Vec<Step>> {
    // A consumer that works on while its node is out of reach would write into what is being changed.
    each_kind(environment, "stop", OnLoss::Wait, |kind| StepAction::ServicesStop { kind, holder })
}

/// Starts those that [`stopping`] has stopped. One that does not start keeps nobody from the rest.
pub fn starting(environment: &Environment, holder: ServiceHolder) -> Vec<Vec<Step>> {
    each_kind(environment, "start", OnLoss::Fail, |kind| StepAction::ServicesStart { kind, holder })
}

/// Lets the services that run take up the release that is served now.
pub fn restarting(environment: &Environment) -> Vec<Vec<Step>> {
    changing(environment, "restart", ServiceChange::RestartRunning)
}

/// Starts all of them, for the first time.
pub fn first_start(environment: &Environment) -> Vec<Vec<Step>> {
    changing(environment, "start", ServiceChange::Start)
}

fn changing(environment: &Environment, verb: &str, to: ServiceChange) -> Vec<Vec<Step>> {
    let mut groups = Vec::new();
    for kind in ServiceKind::ALL {
        let mut group = Vec::new();
        for node in nodes_with(environment, kind) {
            let units = environment.services.iter().filter(|service| service.kind == kind);
            let units =
                units.filter(|service| service.nodes.contains(&node)).map(|service| service.unit.clone());
            let action = StepAction::ServicesChange { units: units.collect(), to };
            group.push(Step::new(name(verb, kind), &node, action).on_loss(OnLoss::Fail));
        }
        groups.push(group);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn each_kind(
    environment: &Environment,
    verb: &str,
    on_loss: OnLoss,
    action: impl Fn(ServiceKind) -> StepAction,
) -> Vec<Vec<Step>> {
    let steps = |kind| -> Vec<Step> {
        let nodes = nodes_with(environment, kind).into_iter();
        nodes.map(|node| Step::new(name(verb, kind), &node, action(kind)).on_loss(on_loss)).collect()
    };
    ServiceKind::ALL.map(steps).into_iter().filter(|group| !group.is_empty()).collect()
}

/// As the documentation calls the steps: `service:stop:consumer`.
fn name(verb: &str, kind: ServiceKind) -> String {
    format!("service:{verb}:{}", kind.as_str())
}

fn nodes_with(environment: &Environment, kind: ServiceKind) -> Vec<NodeName> {
    let with = |service: &&Service| service.kind == kind;
    let mut nodes: Vec<NodeName> =
        environment.services.iter().filter(with).flat_map(|service| service.nodes.clone()).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

/// What a selection means here.
fn chosen(
    environment: &Environment,
    which: &Selection,
) -> Result<Vec<(NodeName, ServiceKind, ServiceName)>, CallError> {
    let mut found = Vec::new();
    for service in &environment.services {
        if which.kind.is_some_and(|kind| kind != service.kind) {
            continue;
        }
        for node in &service.nodes {
            let wanted = which
                .queue_or_node
                .as_ref()
                .is_none_or(|word| service.queue.as_ref() == Some(word) || node.as_str() == word.as_str());
            if wanted {
                found.push((node.clone(), service.kind, service.unit.clone()));
            }
        }
    }
    if found.is_empty() {
        let what = match (&which.kind, &which.queue_or_node) {
            (Some(kind), Some(word)) => format!("no {} of {word}", kind.as_str()),
            (Some(kind), None) => format!("no {}", kind.as_str()),
            (None, Some(word)) => format!("no service of {word}"),
            (None, None) => "no service of the application".to_owned(),
        };
        return Err(CallError::new(ErrorKind::NotFound, format!("{} has {what}", environment.name))
            .hint("see what there is: orocloud-cli service:status"));
    }
    Ok(found)
}

/// `service.status`
pub async fn status(context: &Context, params: StatusParams) -> Result<StatusAnswer, CallError> {
    let environment = &context.config().environment;
    if environment.services.is_empty() && params.which == Selection::default() {
        return Ok(StatusAnswer { items: Vec::new() });
    }
    let wanted = chosen(environment, &params.which)?;
    let mut nodes: Vec<NodeName> = wanted.iter().map(|(node, _, _)| node.clone()).collect();
    nodes.sort();
    nodes.dedup();
    let answers = ask_all(context, &nodes, false).await;
    let mut items = Vec::new();
    for (node, kind, unit) in wanted {
        let answer = answers.iter().find(|(name, _)| *name == node).map(|(_, answer)| answer);
        let told = answer
            .and_then(|answer| answer.as_ref().ok())
            .and_then(|answer| answer.services.iter().find(|service| service.unit == unit));
        items.push(told.cloned().unwrap_or_else(|| {
            ServiceInfo {
                kind,
                queue: environment
                    .services
                    .iter()
                    .find(|service| service.unit == unit)
                    .and_then(|service| service.queue.clone()),
                unit,
                state: ServiceState::Unknown,
                pid: None,
                detail: Some(match answer {
                    Some(Err(error)) => error.to_string(),
                    _ => format!("{node} does not tell"),
                }),
                held: false,
                outdated: false,
                node,
            }
        }));
    }
    items.sort_by(|one, other| (one.kind, &one.node, &one.unit).cmp(&(other.kind, &other.node, &other.unit)));
    Ok(StatusAnswer { items })
}

fn plan(
    config: &Agent,
    params: &ChangeParams,
    verb: &str,
    to: ServiceChange,
) -> Result<OperationPlan, CallError> {
    let environment = &config.environment;
    let chosen = chosen(environment, &params.which)?;
    let mut groups = Vec::new();
    for kind in ServiceKind::ALL {
        let mut group = Vec::new();
        for node in nodes_with(environment, kind) {
            let units: Vec<ServiceName> = chosen
                .iter()
                .filter(|(at, what, _)| *at == node && *what == kind)
                .map(|(_, _, unit)| unit.clone())
                .collect();
            if !units.is_empty() {
                let action = StepAction::ServicesChange { units, to };
                group.push(Step::new(name(verb, kind), &node, action).on_loss(OnLoss::Fail));
            }
        }
        groups.push(group);
    }
    groups.retain(|group| !group.is_empty());
    let summary = chosen.iter().map(|(node, _, unit)| format!("{verb} {unit} on {node}")).collect();
    // What was done to one service is no reason to undo it when another one fails.
    Ok(OperationPlan::losing_nothing(groups, 0, summary))
}

fn command(verb: &str, params: &ChangeParams) -> String {
    let Selection { kind, queue_or_node } = &params.which;
    let kind = kind.map(|kind| format!(":{}", kind.as_str())).unwrap_or_default();
    let word = queue_or_node.as_ref().map(|word| format!(" {}", quoted(word.as_str()))).unwrap_or_default();
    format!("service:{verb}{kind}{word}")
}

macro_rules! changes {
    ($($call:ident: $verb:literal => $to:expr;)*) => {$(
        impl OperationCall for $call {
            fn options(params: &ChangeParams) -> &OperationOptions {
                &params.options
            }

            fn command(params: &ChangeParams) -> String {
                command($verb, params)
            }

            async fn plan(context: &Context, params: &ChangeParams) -> Result<OperationPlan, CallError> {
                plan(context.config(), params, $verb, $to)
            }

            fn answer(daemon: &DaemonRef, done: &Done<'_, ChangeParams>) -> Result<StatusAnswer, CallError> {
                answer(&daemon.node.config.environment, &done.params, $to)
            }
        }
    )*};
}

changes! {
    Start: "start" => ServiceChange::Start;
    Stop: "stop" => ServiceChange::Stop;
    Restart: "restart" => ServiceChange::Restart;
}

/// How they are once every step is done.
fn answer(
    environment: &Environment,
    params: &ChangeParams,
    to: ServiceChange,
) -> Result<StatusAnswer, CallError> {
    let state = if to == ServiceChange::Stop { ServiceState::Stopped } else { ServiceState::Running };
    let items = chosen(environment, &params.which)?.into_iter().map(|(node, kind, unit)| ServiceInfo {
        kind,
        node,
        queue: environment
            .services
            .iter()
            .find(|service| service.unit == unit)
            .and_then(|service| service.queue.clone()),
        unit,
        state,
        pid: None,
        detail: None,
        held: false,
        outdated: false,
    });
    Ok(StatusAnswer { items: items.collect() })
}
