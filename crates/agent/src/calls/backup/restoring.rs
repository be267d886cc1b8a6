//! `backup:restore` as a call: asks the nodes, and lets [`super::restore`] plan.

use jiff::SignedDuration;
use orocloud_protocol::backup::{Restore, RestoreAnswer, RestoreParams, RestoreScope, RestoreTarget};
use orocloud_protocol::node;
use orocloud_protocol::{CallError, OperationOptions, PointName};

use super::facts::Facts;
use super::restore::{Names, Unpacked, plan};
use crate::calls::{Context, Done, OperationCall, code};
use crate::operations::plan::OperationPlan;
use crate::points::Points;
use crate::server::DaemonRef;

impl OperationCall for Restore {
    fn options(params: &RestoreParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &RestoreParams) -> String {
        let mut command = match &params.target {
            RestoreTarget::Point(point) => format!("backup:restore {point}"),
            RestoreTarget::Time(moment) => format!("backup:restore --to={moment}"),
            RestoreTarget::Undo(operation) => format!("backup:restore --undo={operation}"),
        };
        if let Some(timeline) = params.timeline {
            command.push_str(&format!(" --timeline={timeline}"));
        }
        command.push_str(match params.scope {
            RestoreScope::DatabaseAndCode => "",
            RestoreScope::Database => " --database-only",
            RestoreScope::Code => " --code-only",
        });
        for (wanted, option) in [(params.media, " --media"), (params.preview, " --preview")] {
            command.push_str(if wanted { option } else { "" });
        }
        if let Some(seconds) = params.keep_old {
            command.push_str(&format!(" --keep-old={seconds}s"));
        }
        command
    }

    async fn plan(context: &Context, params: &RestoreParams) -> Result<OperationPlan, CallError> {
        let facts = super::gather(context).await?;
        let releases = unpacked(context, &facts).await;
        let names = names(context, &facts)?;
        code::can_be_told(context, plan(params, &facts, &releases, &names)?).await
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, RestoreParams>) -> Result<RestoreAnswer, CallError> {
        super::answer::restored(done.operation, &done.params, done.plan, done.outputs, done.done_at)
    }
}

async fn unpacked(context: &Context, facts: &Facts<'_>) -> Unpacked {
    let mut asked = tokio::task::JoinSet::new();
    for web in facts.places.code.iter().cloned() {
        let nodes = context.daemon.nodes.clone();
        asked.spawn(async move {
            let answer = nodes.call::<node::Status>(&web, &node::StatusParams::default()).await;
            answer.ok().map(|answer| (web, answer.releases))
        });
    }
    // A node that does not answer matters only where its release is to be switched; the plan says so then.
    Unpacked(asked.join_all().await.into_iter().flatten().collect())
}

/// A name for the recovery point before, and another for the one after.
fn names(context: &Context, facts: &Facts<'_>) -> Result<Names, CallError> {
    let points = Points::new(&context.config().state);
    let before = points.free_name(facts.now)?;
    let mut at = facts.now;
    loop {
        at = at
            .checked_add(SignedDuration::from_secs(1))
            .map_err(|error| CallError::internal(error.to_string()))?;
        let after: PointName = at
            .strftime("%Y-%m-%d-%H%M%S")
            .to_string()
            .parse()
            .map_err(|error: orocloud_protocol::InvalidName| CallError::internal(error.to_string()))?;
        if after != before && points.get(&after)?.is_none() {
            return Ok(Names { before, after });
        }
    }
}
