//! `backup:create`: a recovery point now.

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::backup::{Create, CreateParams, RecoveryPoint};
use orocloud_protocol::{CallError, OperationOptions};

use super::facts::Facts;
use super::point::{PointOrder, tidying};
use crate::calls::{Context, Done, OperationCall, quoted};
use crate::operations::hash;
use crate::operations::plan::OperationPlan;
use crate::points::Points;
use crate::server::{CallerKind, DaemonRef};

impl OperationCall for Create {
    fn options(params: &CreateParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &CreateParams) -> String {
        let mut command = "backup:create".to_owned();
        if let Some(label) = &params.label {
            command.push_str(&format!(" --label={}", quoted(label.as_str())));
        }
        if let Some(seconds) = params.keep_for {
            command.push_str(&format!(" --keep-for={seconds}s"));
        }
        command
    }

    async fn plan(context: &Context, params: &CreateParams) -> Result<OperationPlan, CallError> {
        let facts = super::gather(context).await?;
        let reason = if context.caller.kind == CallerKind::Agent { "schedule" } else { "command" };
        let name = Points::new(&context.config().state).free_name(facts.now)?;
        plan(params, reason, name, &facts)
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, CreateParams>) -> Result<RecoveryPoint, CallError> {
        super::answer::created(done.outputs)
    }
}

fn plan(
    params: &CreateParams,
    reason: &str,
    name: orocloud_protocol::PointName,
    facts: &Facts<'_>,
) -> Result<OperationPlan, CallError> {
    if !facts.info.running {
        return Err(CallError::failed(format!(
            "the database on {} does not answer, so it cannot be backed up",
            facts.places.db
        ))
        .hint("see what is wrong with it: orocloud-cli status")
        .hint("or see what can be restored: orocloud-cli backup:window"));
    }
    let keep_until = params
        .keep_for
        .and_then(|seconds| i64::try_from(seconds).ok())
        .map(|seconds| facts.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX));
    let mut order = PointOrder::new("backup", reason, name, facts);
    order.label = params.label.clone();
    order.keep_until = keep_until;
    let mut groups = order.groups(&facts.places);
    // Once it is visible it is there: what is interrupted after that is finished.
    let point_of_no_return = groups.len();
    groups.push(tidying(facts));
    let code =
        facts.known.code.as_ref().map_or("no code".to_owned(), |code| format!("code {}", code.reference));
    let kind = match order.kind {
        "full" => "full",
        "diff" => "differential",
        _ => "incremental",
    };
    Ok(OperationPlan {
        groups,
        point_of_no_return,
        undone_until: 0,
        cancelled_until: 0,
        summary: vec![format!(
            "recovery point {} of {}: a {kind} backup of the database, the media, {code}",
            order.name, facts.environment.name
        )],
        loses: Vec::new(),
        destructive: false,
        digest: hash(blake3::hash(format!("create {}", facts.environment.name).as_bytes())),
    })
}
