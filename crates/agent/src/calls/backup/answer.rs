//! What operations on recovery points answer in the end, from what their steps answered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orocloud_protocol::backup::{RecoveryPoint, RestoreAnswer, RestoreParams, TableRows};
use orocloud_protocol::node::{AsideOrigin, ReplayTarget, Replayed, StepAction, Swapped};
use orocloud_protocol::{CallError, CallId};

use crate::operations::plan::{OperationPlan, Outputs, output};

/// Of `backup:create`.
pub fn created(outputs: &Outputs) -> Result<RecoveryPoint, CallError> {
    output(outputs, "backup:publish")
}

/// Of `backup:restore`.
pub fn restored(
    operation: CallId,
    params: &RestoreParams,
    plan: &OperationPlan,
    outputs: &Outputs,
    done_at: &BTreeMap<String, Timestamp>,
) -> Result<RestoreAnswer, CallError> {
    let optional = |step: &str| outputs.contains_key(step);
    let replayed: Option<Replayed> =
        optional("database:replay").then(|| output(outputs, "database:replay")).transpose()?;
    let swapped: Option<Swapped> =
        optional("database:swap").then(|| output(outputs, "database:swap")).transpose()?;
    let tables: Vec<TableRows> =
        optional("database:look").then(|| output(outputs, "database:look")).transpose()?.unwrap_or_default();
    let safety: Option<RecoveryPoint> =
        optional("safety:publish").then(|| output(outputs, "safety:publish")).transpose()?;
    let after: Option<RecoveryPoint> =
        optional("backup:publish").then(|| output(outputs, "backup:publish")).transpose()?;
    let actions = || plan.groups.iter().flatten().map(|step| &step.action);
    let origin = actions().find_map(|action| match action {
        StepAction::DatabaseRestoreAside(copy) | StepAction::DatabaseSwap { copy, .. } => Some(&copy.origin),
        _ => None,
    });
    let record = actions().find_map(|action| match action {
        StepAction::RestoreBegin { to, undo_until, code_now, .. } => {
            Some((*to, *undo_until, code_now.clone()))
        }
        _ => None,
    });
    let set = match origin {
        Some(AsideOrigin::Backup { set, .. }) => Some(set.clone()),
        _ => None,
    };
    let target = match origin {
        Some(AsideOrigin::Backup { target: ReplayTarget::Time(moment), .. }) => Some(*moment),
        _ => None,
    };
    let page = |step: &str| done_at.get(step).copied();
    let maintenance_ms = match (page("maintenance:on"), page("maintenance:off")) {
        (Some(on), Some(off)) => u64::try_from(off.duration_since(on).as_millis()).ok(),
        _ => None,
    };
    Ok(RestoreAnswer {
        restored_to: record.as_ref().map_or(target, |(to, _, _)| *to),
        last_transaction_at: replayed.as_ref().and_then(|replayed| replayed.last_transaction_at),
        lsn: replayed.map(|replayed| replayed.lsn),
        set,
        tables,
        timeline: swapped.as_ref().map(|swapped| swapped.to_timeline),
        code: record
            .as_ref()
            .and_then(|(_, _, code)| code.clone())
            .or_else(|| after.and_then(|point| point.code)),
        safety_point: safety.map(|point| point.name),
        undo: (!params.preview).then(|| format!("orocloud-cli backup:restore --undo={operation}")),
        undo_until: record.map(|(_, until, _)| until),
        maintenance_ms,
    })
}
