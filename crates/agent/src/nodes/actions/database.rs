//! Steps on the database node.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::node::{AsideCopy, Marker, Phase, Probe, StepAction, StepAnswer};
use orocloud_protocol::{CallError, PointName};
use serde::Serialize;
use serde_json::Value;

use super::ActionContext;
use crate::engines::pgbackrest::{BackupSet, PgBackRest};
use crate::environment::Database;
use crate::keeper::{Circumstances, Keeper};
use crate::operations::plan::output;

/// How long a copy that a preview left is kept for the restore that follows.
const COPY_KEPT: SignedDuration = SignedDuration::from_hours(4);

/// Acts, undoes or probes one of them.
pub async fn run(
    context: &ActionContext<'_>,
    phase: Phase,
    action: &StepAction,
) -> Result<StepAnswer, CallError> {
    let keeper = Keeper::of(context.node)?;
    let around =
        Circumstances { operation: context.operation, events: &context.events, cancel: &context.cancel };
    match action {
        StepAction::DatabasePrepare { extensions } => super::prepare::run(context, phase, extensions).await,
        StepAction::DatabaseMarker {} => match phase {
            Phase::Act => done(&keeper.marker().await?),
            // One marker more does no harm.
            Phase::Undo => Ok(StepAnswer::Undone),
            Phase::Probe => Ok(StepAnswer::Probed(Probe::NotDone)),
        },
        StepAction::DatabaseBackup { point, kind } => backup(context, phase, point, kind).await,
        StepAction::DatabaseRestoreAside(copy) => match phase {
            Phase::Act => {
                keeper.restore_aside(copy, &around).await?;
                Ok(StepAnswer::Done(Value::Null))
            }
            Phase::Undo => undone(keeper.discard(copy).await),
            Phase::Probe => keeper.probe_aside(copy).await.map(StepAnswer::Probed),
        },
        StepAction::DatabaseReplay(copy) => match phase {
            Phase::Act => {
                let marker = marker_of(context);
                done(&keeper.replay(copy, marker.as_deref(), &around).await?)
            }
            Phase::Undo => undone(keeper.rest(copy).await),
            Phase::Probe => keeper.probe_replay(copy).await.map(StepAnswer::Probed),
        },
        StepAction::DatabaseLook(copy) => match phase {
            Phase::Act => done(&keeper.look(copy, &around).await?),
            Phase::Undo => Ok(StepAnswer::Undone),
            Phase::Probe => Ok(StepAnswer::Probed(Probe::NotDone)),
        },
        StepAction::DatabaseRest(copy) => match phase {
            Phase::Act => {
                keeper.rest(copy).await?;
                Ok(StepAnswer::Done(Value::Null))
            }
            Phase::Undo => Ok(StepAnswer::Undone),
            Phase::Probe => Ok(StepAnswer::Probed(Probe::NotDone)),
        },
        StepAction::DatabaseAccept(copy) => match phase {
            Phase::Act => done(&keeper.accept(copy, &around).await?),
            // It is on a timeline of its own now, whose number another restore may take: of no use any more.
            Phase::Undo => undone(discard_accepted(&keeper, copy).await),
            Phase::Probe => keeper.probe_accept(copy).await.map(StepAnswer::Probed),
        },
        StepAction::DatabaseArchive {} => match phase {
            Phase::Act => {
                keeper.archive(&around).await?;
                Ok(StepAnswer::Done(Value::Null))
            }
            Phase::Undo => Ok(StepAnswer::Undone),
            Phase::Probe => Ok(StepAnswer::Probed(Probe::NotDone)),
        },
        StepAction::DatabaseSwap { copy, keep_until } => match phase {
            Phase::Act => done(&keeper.swap(copy, *keep_until, &around).await?),
            Phase::Undo => undone(keeper.swap_back(context.operation).await),
            Phase::Probe => keeper.probe_swap(context.operation).await.map(StepAnswer::Probed),
        },
        StepAction::DatabaseExpire { let_go, wal_since } => match phase {
            Phase::Act => {
                expire(context, let_go, *wal_since).await?;
                Ok(StepAnswer::Done(Value::Null))
            }
            Phase::Undo => Ok(StepAnswer::Undone),
            // May be repeated: what is gone is not found again.
            Phase::Probe => Ok(StepAnswer::Probed(Probe::NotDone)),
        },
        StepAction::DatabaseTidy {} => match phase {
            Phase::Act => {
                let now = Timestamp::now();
                let before = now.checked_sub(COPY_KEPT).unwrap_or(Timestamp::MIN);
                keeper.tidy(context.operation, now, before).await?;
                Ok(StepAnswer::Done(Value::Null))
            }
            Phase::Undo => Ok(StepAnswer::Undone),
            Phase::Probe => Ok(StepAnswer::Probed(Probe::NotDone)),
        },
        _ => Err(CallError::internal("not a step of the database node")),
    }
}

async fn discard_accepted(keeper: &Keeper<'_>, copy: &AsideCopy) -> Result<(), CallError> {
    match keeper.probe_accept(copy).await? {
        Probe::NotDone => Ok(()),
        Probe::Partial | Probe::Done(_) => keeper.discard(copy).await,
    }
}

/// Where the marker that was committed for this restore lies.
fn marker_of(context: &ActionContext<'_>) -> Option<String> {
    let marker: Marker = output(context.outputs, "database:marker").ok()?;
    marker.lsn
}

async fn backup(
    context: &ActionContext<'_>,
    phase: Phase,
    point: &PointName,
    kind: &str,
) -> Result<StepAnswer, CallError> {
    let engine = engine(context)?;
    let mark = format!("{}/{}/{point}", context.operation, context.step);
    let made = || async {
        let sets = engine.backups().await?;
        Ok::<_, CallError>(sets.into_iter().find(|set| set.mark.as_deref() == Some(mark.as_str())))
    };
    match phase {
        Phase::Act => {
            // A backup begins and ends by closing a segment.
            Keeper::of(context.node)?.has_room().await?;
            let label = engine.backup(kind, &mark, &context.events, &context.cancel).await?;
            match made().await? {
                Some(set) if set.damaged => Err(CallError::failed(format!(
                    "backup {label} holds pages of the database with wrong checksums"
                ))
                .hint("a disk of the database node may be failing: orocloud-cli status")),
                Some(set) => done(&set.backup),
                None => Err(CallError::failed(format!("backup {label} is not listed by pgbackrest info"))),
            }
        }
        Phase::Undo => {
            if let Some(set) = made().await? {
                engine.expire(&set.backup.set, &context.events).await?;
            }
            Ok(StepAnswer::Undone)
        }
        Phase::Probe => Ok(StepAnswer::Probed(match made().await? {
            Some(set) => Probe::Done(value(&set.backup)?),
            // What an interrupted backup left, the next one uses or removes.
            None => Probe::Partial,
        })),
    }
}

async fn expire(
    context: &ActionContext<'_>,
    let_go: &[String],
    wal_since: Timestamp,
) -> Result<(), CallError> {
    let engine = engine(context)?;
    let sets = engine.backups().await?;
    // Newest first: what builds upon another goes before it.
    for set in expendable(&sets, &let_go.iter().cloned().collect()).into_iter().rev() {
        engine.expire(&set, &context.events).await?;
    }
    engine.expire_wal(full_backups_since(&sets, wal_since), &context.events).await
}

/// Of the backups that were let go, those that no other one needs, oldest first. The newest one always stays.
fn expendable(sets: &[BackupSet], let_go: &BTreeSet<String>) -> Vec<String> {
    let needed: BTreeSet<&str> = sets
        .iter()
        .enumerate()
        .filter(|(index, set)| !let_go.contains(&set.backup.set) || index + 1 == sets.len())
        .flat_map(|(_, set)| std::iter::once(&set.backup.set).chain(&set.references))
        .map(String::as_str)
        .collect();
    sets.iter().map(|set| set.backup.set.clone()).filter(|set| !needed.contains(set.as_str())).collect()
}

/// How many full backups, counted from the newest, are needed to reach back to a moment.
fn full_backups_since(sets: &[BackupSet], moment: Timestamp) -> usize {
    let fulls: Vec<Timestamp> =
        sets.iter().filter(|set| set.backup.kind == "full").map(|set| set.backup.stopped_at).collect();
    let younger = fulls.iter().filter(|stopped| **stopped > moment).count();
    (younger + 1).min(fulls.len())
}

fn engine<'a>(context: &'a ActionContext<'_>) -> Result<PgBackRest<'a>, CallError> {
    let config: &Database =
        context.node.config.database.as_ref().ok_or_else(|| {
            CallError::failed(format!("node {} keeps no database", context.node.config.node))
        })?;
    Ok(PgBackRest::new(&context.node.processes, config))
}

fn value<T: Serialize>(of: &T) -> Result<Value, CallError> {
    serde_json::to_value(of).map_err(|error| CallError::internal(error.to_string()))
}

fn done<T: Serialize>(output: &T) -> Result<StepAnswer, CallError> {
    value(output).map(StepAnswer::Done)
}

fn undone(result: Result<(), CallError>) -> Result<StepAnswer, CallError> {
    result.map(|()| StepAnswer::Undone)
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::backup::DatabaseBackup;

    use super::*;

    fn set(label: &str, references: &[&str], stopped: &str) -> BackupSet {
        let at: Timestamp = stopped.parse().unwrap();
        BackupSet {
            backup: DatabaseBackup {
                set: label.into(),
                kind: if label.contains('_') { "incr" } else { "full" }.into(),
                timeline: 1,
                stop_lsn: "0/1".into(),
                started_at: at,
                stopped_at: at,
                size: 0,
                stored: 0,
            },
            references: references.iter().map(|r| (*r).to_owned()).collect(),
            damaged: false,
            mark: None,
        }
    }

    #[test]
    fn what_a_kept_backup_builds_upon_stays_and_so_does_the_newest() {
        let sets = [
            set("A", &[], "2026-11-01T00:00:00Z"),
            set("A_1", &["A"], "2026-11-01T01:00:00Z"),
            set("A_2", &["A", "A_1"], "2026-11-01T02:00:00Z"),
            set("B", &[], "2026-11-08T00:00:00Z"),
            set("B_1", &["B"], "2026-11-08T01:00:00Z"),
            set("C", &[], "2026-11-15T00:00:00Z"),
        ];
        let expendable =
            |let_go: &[&str]| expendable(&sets, &let_go.iter().map(|set| (*set).to_owned()).collect());
        assert_eq!(expendable(&["A", "A_2", "B", "B_1", "C"]), ["A_2", "B", "B_1"]);
        assert_eq!(expendable(&["A", "A_1", "B", "B_1"]), ["B", "B_1"]);
        assert_eq!(expendable(&["A", "A_1", "A_2", "B_1", "unheard-of"]), ["A", "A_1", "A_2", "B_1"]);
        // Nobody said anything of them: a lost manifest takes no backup along.
        assert_eq!(expendable(&[]), [""; 0]);
        let since = |moment: &str| full_backups_since(&sets, moment.parse().unwrap());
        // Every moment from the 9th on needs B and what follows; from the 20th on C alone.
        assert_eq!(since("2026-11-09T00:00:00Z"), 2);
        assert_eq!(since("2026-11-20T00:00:00Z"), 1);
        assert_eq!(since("2026-10-01T00:00:00Z"), 3);
        assert_eq!(full_backups_since(&[], "2026-10-01T00:00:00Z".parse().unwrap()), 0);
    }
}
