//! `maintenance:on|off|status` and `emergency:on|off`; and the page as a part of other operations.

use jiff::Timestamp;
use orocloud_protocol::maintenance::{
    EmergencyOff, EmergencyOffParams, EmergencyOn, MaintenancePage, ModeAnswer, NodePage, Off, OffParams, On,
    OnParams, PageOrder, StatusAnswer, StatusParams,
};
use orocloud_protocol::node::{PageChange, ServiceHolder, StepAction};
use orocloud_protocol::operation::OperationSummary;
use orocloud_protocol::{CallError, CallId, NodeName, NodeRole, OperationOptions};

use super::backup::point::step;
use super::status::ask_all;
use super::{Context, Done, OperationCall, quoted, service};
use crate::environment::Agent;
use crate::maintenance_mode::{PageFile, until};
use crate::operations::plan::{OnLoss, OperationPlan, Step};
use crate::releases;
use crate::server::DaemonRef;
use crate::withheld::Withheld;

/// Puts up the page for an operation, and waits until no request of the application is in flight.
pub fn page_up(maint: &NodeName, webs: &[NodeName], comment: &str, duration: Option<u64>) -> Vec<Vec<Step>> {
    let action = || StepAction::MaintenanceOn { comment: Some(comment.to_owned()), duration };
    everywhere("maintenance:on", maint, webs, action)
}

/// Takes down what [`page_up`] of this or an earlier operation has put up; a person's page stays.
pub fn page_down(maint: &NodeName, webs: &[NodeName]) -> Vec<Vec<Step>> {
    everywhere("maintenance:off", maint, webs, || StepAction::MaintenanceRestore {})
}

/// What holds in the environment: whoever brings a node back gives it that.
pub fn holds(config: &Agent) -> Result<MaintenancePage, CallError> {
    PageFile::record(&config.state).read()
}

/// On maint, which remembers it for nodes that are away, and then on every web node. One that is out of reach is left
/// behind: nobody has to wait for it.
fn everywhere(
    name: &str,
    maint: &NodeName,
    webs: &[NodeName],
    action: impl Fn() -> StepAction,
) -> Vec<Vec<Step>> {
    let others = webs.iter().filter(|web| *web != maint);
    let others = others.map(|web| step(name, web, action()).on_loss(OnLoss::Leave)).collect();
    vec![vec![step(name, maint, action())], others]
}

/// The web nodes that take part. One that is kept out of the load balancer is given the page that holds before it is
/// let back.
fn webs(config: &Agent) -> Result<Vec<NodeName>, CallError> {
    let withheld = Withheld::new(&config.state).all()?;
    let webs = config.environment.with_role(NodeRole::Web).map(|node| &node.name);
    Ok(webs.filter(|node| !withheld.contains_key(*node)).cloned().collect())
}

/// The order of whoever calls. Asking again for what is ordered already changes nobody's words unless new ones come.
fn order(
    params: &OnParams,
    by: &str,
    operation: CallId,
    before: Option<PageOrder>,
    emergency: bool,
    now: Timestamp,
) -> Result<PageOrder, CallError> {
    if params.duration.is_some() && params.comment.is_none() {
        return Err(CallError::usage("a downtime with a duration needs a comment")
            .hint("say why: --downtime-comment=\"new hardware\""));
    }
    let until = params.duration.map(|seconds| until(now, seconds));
    let new = PageOrder {
        by: by.to_owned(),
        operation: Some(operation),
        since: now,
        until,
        comment: params.comment.as_ref().map(|comment| comment.as_str().to_owned()),
        emergency,
    };
    Ok(match before {
        Some(before) if new.until.is_none() && new.comment.is_none() && before.operation.is_some() => {
            PageOrder { emergency: before.emergency && emergency, ..before }
        }
        // The page is up since then, whoever gives the reason now.
        Some(before) => PageOrder { since: before.since, ..new },
        None => new,
    })
}

fn options_typed(params: &OnParams) -> String {
    let mut typed = String::new();
    if let Some(seconds) = params.duration {
        typed.push_str(&format!(" --downtime-duration={seconds}s"));
    }
    if let Some(comment) = &params.comment {
        typed.push_str(&format!(" --downtime-comment={}", quoted(comment.as_str())));
    }
    typed
}

fn plan(mut groups: Vec<Vec<Step>>, point_of_no_return: usize, summary: String) -> OperationPlan {
    groups.retain(|group| !group.is_empty());
    OperationPlan::losing_nothing(groups, point_of_no_return, vec![summary])
}

fn page_on(context: &Context, params: &OnParams, emergency: bool) -> Result<PageChange, CallError> {
    let before = holds(context.config())?.ordered;
    let by = &context.caller.key_id;
    let order = order(params, by, context.call, before, emergency, Timestamp::now())?;
    Ok(if emergency { PageChange::Emergency(order) } else { PageChange::Maintenance(order) })
}

impl OperationCall for On {
    fn options(params: &OnParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &OnParams) -> String {
        format!("maintenance:on{}", options_typed(params))
    }

    async fn plan(context: &Context, params: &OnParams) -> Result<OperationPlan, CallError> {
        let config = context.config();
        let change = page_on(context, params, false)?;
        let webs = webs(config)?;
        let page = || StepAction::MaintenanceOrder(change.clone());
        let mut groups = everywhere("maintenance:on", &config.node, &webs, page);
        groups.extend(service::stopping(&config.environment, ServiceHolder::Maintenance));
        let end = groups.len();
        let name = &config.environment.name;
        Ok(plan(groups, end, format!("the maintenance page of {name} goes up on {}", list(&webs))))
    }

    fn answer(daemon: &DaemonRef, _done: &Done<'_, OnParams>) -> Result<ModeAnswer, CallError> {
        answer(&daemon.node.config)
    }
}

impl OperationCall for Off {
    fn options(params: &OffParams) -> &OperationOptions {
        &params.options
    }

    fn command(_params: &OffParams) -> String {
        "maintenance:off".to_owned()
    }

    async fn plan(context: &Context, _params: &OffParams) -> Result<OperationPlan, CallError> {
        let config = context.config();
        let webs = webs(config)?;
        // Nobody who needs the page can be at work: whoever does holds the code.
        let page = || StepAction::MaintenanceOrder(PageChange::Down { all: true });
        let mut groups = everywhere("maintenance:off", &config.node, &webs, page);
        groups.extend(service::starting(&config.environment, ServiceHolder::Maintenance));
        if let Some(version) = releases::recorded(&config.state)? {
            let check = || StepAction::FrontendCheck { release: version.release.clone() };
            groups.extend(everywhere("frontend:check", &config.node, &webs, check));
        }
        let name = &config.environment.name;
        let summary = format!("the maintenance page of {name} goes down on {}", list(&webs));
        // A node that does not serve the application then brings the page back everywhere.
        Ok(plan(groups, 1, summary))
    }

    fn answer(daemon: &DaemonRef, _done: &Done<'_, OffParams>) -> Result<ModeAnswer, CallError> {
        answer(&daemon.node.config)
    }
}

impl OperationCall for EmergencyOn {
    fn options(params: &OnParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &OnParams) -> String {
        format!("emergency:on{}", options_typed(params))
    }

    async fn plan(context: &Context, params: &OnParams) -> Result<OperationPlan, CallError> {
        let config = context.config();
        let change = page_on(context, params, true)?;
        let name = &config.environment.name;
        let summary = format!("the maintenance page of {name} goes up, and nothing else is touched");
        emergency(config, "emergency:on", &change, summary)
    }

    fn answer(daemon: &DaemonRef, _done: &Done<'_, OnParams>) -> Result<ModeAnswer, CallError> {
        answer(&daemon.node.config)
    }
}

impl OperationCall for EmergencyOff {
    fn options(params: &EmergencyOffParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &EmergencyOffParams) -> String {
        if params.force { "emergency:off --force".to_owned() } else { "emergency:off".to_owned() }
    }

    async fn plan(context: &Context, params: &EmergencyOffParams) -> Result<OperationPlan, CallError> {
        let config = context.config();
        if let Some(need) = holds(config)?.needed {
            let running = context.daemon.operations.unended();
            let operation = running.iter().find(|running| running.id == need.operation);
            if let Some(operation) = operation
                && !params.force
            {
                let OperationSummary { id, command, .. } = operation;
                return Err(CallError::refused(format!(
                    "the page is up because {command} needs it, which still runs: {id}"
                ))
                .hint(format!("see what it does: orocloud-cli log:view {id} --follow"))
                .hint(
                    "show visitors what is being changed all the same: orocloud-cli emergency:off --force",
                ));
            }
        }
        let name = &config.environment.name;
        let summary = format!("the maintenance page of {name} goes down, and nothing else is touched");
        emergency(config, "emergency:off", &PageChange::Down { all: true }, summary)
    }

    fn answer(daemon: &DaemonRef, _done: &Done<'_, EmergencyOffParams>) -> Result<ModeAnswer, CallError> {
        answer(&daemon.node.config)
    }
}

/// What can be done is done, on every node that can be reached: a node in trouble is no reason to undo it elsewhere.
fn emergency(
    config: &Agent,
    name: &str,
    change: &PageChange,
    summary: String,
) -> Result<OperationPlan, CallError> {
    let page = || StepAction::MaintenanceOrder(change.clone());
    Ok(plan(everywhere(name, &config.node, &webs(config)?, page), 0, summary))
}

fn answer(config: &Agent) -> Result<ModeAnswer, CallError> {
    let page = holds(config)?;
    Ok(ModeAnswer { on: page.is_up(), page, nodes: webs(config)? })
}

/// `maintenance.status`
pub async fn status(context: &Context, _params: StatusParams) -> Result<StatusAnswer, CallError> {
    let config = context.config();
    let page = holds(config)?;
    let webs: Vec<NodeName> =
        config.environment.with_role(NodeRole::Web).map(|node| node.name.clone()).collect();
    let answers = ask_all(context, &webs, false).await;
    let nodes = answers
        .into_iter()
        .map(|(node, answer)| NodePage { node, on: answer.ok().and_then(|answer| answer.maintenance) })
        .collect();
    Ok(StatusAnswer { on: page.is_up(), page, nodes })
}

fn list(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_keeps_the_words_that_were_given() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let later: Timestamp = "2026-11-24T11:00:00Z".parse().unwrap();
        let call = |number| CallId::from_parts(1_700_000_000_000, number);
        let given = OnParams {
            duration: Some(3600),
            comment: Some("new disks".parse().unwrap()),
            options: OperationOptions::default(),
        };
        let silent = OnParams::default();
        let first = order(&given, "otto", call(1), None, false, now).unwrap();
        assert_eq!((first.until, first.comment.as_deref()), (Some(later), Some("new disks")));

        let again = order(&silent, "ann", call(2), Some(first.clone()), false, later).unwrap();
        assert_eq!(again, first, "nothing new was said");
        let new = order(&given, "ann", call(2), Some(first.clone()), false, later).unwrap();
        assert_eq!((new.by.as_str(), new.since), ("ann", now), "the page is up since then");

        let alarm = order(&silent, "otto", call(1), None, true, now).unwrap();
        let more = order(&silent, "ann", call(2), Some(alarm.clone()), false, later).unwrap();
        assert!(alarm.emergency && !more.emergency, "the services stop too now");
        let less = order(&silent, "ann", call(2), Some(first), true, later).unwrap();
        assert!(!less.emergency, "the services are stopped already");

        let by_hand = PageOrder { operation: None, ..alarm };
        let known = order(&silent, "ann", call(2), Some(by_hand), false, later).unwrap();
        assert_eq!((known.by.as_str(), known.since), ("ann", now));

        let reasonless = OnParams { comment: None, ..given };
        let error = order(&reasonless, "otto", call(1), None, false, now).unwrap_err();
        assert_eq!(error.kind, orocloud_protocol::ErrorKind::Usage);
    }

    #[test]
    fn the_command_is_shown_as_it_was_typed() {
        let params = OnParams {
            duration: Some(5400),
            comment: Some("it's time".parse().unwrap()),
            options: OperationOptions::default(),
        };
        assert_eq!(
            On::command(&params),
            r"maintenance:on --downtime-duration=5400s --downtime-comment='it'\''s time'"
        );
    }
}
