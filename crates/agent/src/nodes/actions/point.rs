//! Manifests of recovery points and restores. On maint.

use jiff::Timestamp;
use orocloud_protocol::backup::{DatabaseBackup, MediaSnapshot, PastRestore, RecoveryPoint};
use orocloud_protocol::node::{Phase, Probe, StepAction, StepAnswer, Swapped};
use orocloud_protocol::{CallError, CallId, EventBody, NoteLevel, PointName};
use serde::Serialize;
use serde_json::Value;

use super::ActionContext;
use crate::engines::restic::Restic;
use crate::operations::plan::output;
use crate::points::{PointRecord, Points, RestoreRecord};
use crate::releases;
use crate::rules::retention::{Candidate, retain};

/// Acts, undoes or probes one of them.
pub async fn run(
    context: &ActionContext<'_>,
    phase: Phase,
    action: &StepAction,
) -> Result<StepAnswer, CallError> {
    let points = Points::new(&context.node.config.state);
    match action {
        StepAction::PointPublish { point, .. } => match phase {
            Phase::Act => publish(context, &points, action).await,
            Phase::Undo => {
                if own(context, &points, point)?.is_some() {
                    points.remove(point)?;
                }
                Ok(StepAnswer::Undone)
            }
            Phase::Probe => Ok(StepAnswer::Probed(match own(context, &points, point)? {
                Some(record) => Probe::Done(value(&record.point)?),
                None => Probe::NotDone,
            })),
        },
        StepAction::RestoreBegin { code_now, .. } => match phase {
            Phase::Act => begin(context, &points, action),
            Phase::Undo => {
                if let Some(code) = code_now {
                    releases::unrecord(&context.node.config.state, &code.release)?;
                }
                points.forget_restore(context.operation)?;
                Ok(StepAnswer::Undone)
            }
            // Again it writes the same.
            Phase::Probe => Ok(StepAnswer::Probed(Probe::Partial)),
        },
        StepAction::RestoreRecord {} => match phase {
            Phase::Act => record(context, &points),
            // What was begun forgets it.
            Phase::Undo => Ok(StepAnswer::Undone),
            Phase::Probe => Ok(StepAnswer::Probed(match points.restore(context.operation)? {
                Some(record) if !record.begun => Probe::Done(Value::Null),
                _ => Probe::NotDone,
            })),
        },
        _ => Err(CallError::internal("not a step of recovery points")),
    }
}

/// The manifest, if this operation wrote it.
fn own(
    context: &ActionContext<'_>,
    points: &Points,
    name: &PointName,
) -> Result<Option<PointRecord>, CallError> {
    Ok(points.get(name)?.filter(|record| record.operation == context.operation))
}

async fn publish(
    context: &ActionContext<'_>,
    points: &Points,
    action: &StepAction,
) -> Result<StepAnswer, CallError> {
    let StepAction::PointPublish { point, label, reason, keep_until, with_media, forget } = action else {
        return Err(CallError::internal("not a publication"));
    };
    // `safety:publish` takes what `safety:database` and `safety:media` made.
    let topic = context.step.split(':').next().unwrap_or(context.step);
    let database: DatabaseBackup = output(context.outputs, &format!("{topic}:database"))?;
    let media: Option<MediaSnapshot> = match context.outputs.get(&format!("{topic}:media")) {
        // Behind a point of no return the operation goes on without what failed; half a point would be found only
        // when it is needed.
        None if *with_media => {
            return Err(CallError::failed(format!(
                "recovery point {point} is not published: there is no snapshot of its media"
            ))
            .hint("see what went wrong with them, then take one: orocloud-cli backup:create"));
        }
        // Null where there were no media yet.
        None | Some(Value::Null) => None,
        Some(_) => Some(output(context.outputs, &format!("{topic}:media"))?),
    };
    let made = RecoveryPoint {
        name: point.clone(),
        label: label.clone(),
        at: database.stopped_at,
        reason: reason.clone(),
        database,
        media,
        code: releases::recorded(&context.node.config.state)?,
        expires_at: None,
        verified_at: None,
    };
    points.publish(&PointRecord::new(made.clone(), *keep_until, context.operation))?;
    // The point is there; that old ones stay a little longer does not make it fail.
    if let Err(error) = let_go(context, points, forget).await {
        let text = format!("old recovery points could not be removed: {error}");
        context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
    }
    value(&made).map(StepAnswer::Done)
}

/// Lets manifests go that the rule no longer keeps, and then their media snapshots. The database's backups go by a
/// step of a later operation, on the database node.
async fn let_go(context: &ActionContext<'_>, points: &Points, forget: &[PointName]) -> Result<(), CallError> {
    for name in forget {
        points.forget(name)?;
    }
    let records = points.all()?;
    let candidates: Vec<Candidate> = records.iter().map(candidate).collect();
    let keep = context.node.config.environment.backup.keep;
    let mut snapshots = Vec::new();
    for (record, verdict) in records.iter().zip(retain(&candidates, keep, Timestamp::now())) {
        if verdict.keep || record.operation == context.operation {
            continue;
        }
        points.let_go(&record.point.name)?;
        snapshots.extend(record.point.media.as_ref().map(|media| media.snapshot.clone()));
        let text = format!("recovery point {} has expired and is removed", record.point.name);
        context.events.emit(EventBody::Note { level: NoteLevel::Info, text });
    }
    let Some(maint) = &context.node.config.maint else { return Ok(()) };
    let now = Timestamp::now();
    let mut promised: Vec<CallId> = points
        .restores()?
        .into_iter()
        .filter(|record| record.restore.undo_until.is_some_and(|until| until > now))
        .map(|record| record.restore.operation)
        .collect();
    promised.push(context.operation);
    super::media::tidy(&context.node.processes, maint, &promised).await?;
    if !snapshots.is_empty() {
        let restic = Restic::new(&context.node.processes, maint);
        restic.forget(&snapshots).await?;
        restic.prune(&context.cancel).await?;
    }
    Ok(())
}

/// What the rule of retention looks at.
pub fn candidate(record: &PointRecord) -> Candidate {
    Candidate { name: record.point.name.clone(), at: record.point.at, keep_until: record.keep_until }
}

fn begin(context: &ActionContext<'_>, points: &Points, action: &StepAction) -> Result<StepAnswer, CallError> {
    let StepAction::RestoreBegin { to, undo_until, code_before, code_now, media, scope } = action else {
        return Err(CallError::internal("not the begin of a restore"));
    };
    let restore = PastRestore {
        operation: context.operation,
        at: Timestamp::now(),
        to: *to,
        from_timeline: 0,
        to_timeline: 0,
        undo_until: Some(*undo_until),
    };
    let code_after = code_now.clone().or_else(|| code_before.clone());
    let mut record = RestoreRecord::new(restore, *scope, *media, code_before.clone(), code_after);
    record.begun = true;
    points.record_restore(&record)?;
    if let Some(code) = code_now {
        releases::record(&context.node.config.state, code)?;
    }
    Ok(StepAnswer::Done(Value::Null))
}

fn record(context: &ActionContext<'_>, points: &Points) -> Result<StepAnswer, CallError> {
    let mut record = points
        .restore(context.operation)?
        .ok_or_else(|| CallError::internal("nothing was written down before the swap"))?;
    // The code alone was brought back: nothing was swapped.
    let swapped: Swapped = match context.outputs.get("database:swap") {
        Some(_) => output(context.outputs, "database:swap")?,
        None => Swapped { from_timeline: 0, to_timeline: 0, at: Timestamp::now() },
    };
    record.swapped(&swapped);
    points.record_restore(&record)?;
    Ok(StepAnswer::Done(Value::Null))
}

fn value<T: Serialize>(of: &T) -> Result<Value, CallError> {
    serde_json::to_value(of).map_err(|error| CallError::internal(error.to_string()))
}
