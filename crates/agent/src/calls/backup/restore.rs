//! `backup:restore`: back to a moment, to a recovery point, or back from a restore.
//!
//! Everything is built beside the live environment: the base backup, the replay to the target, the look, the
//! acceptance. Only then the maintenance page goes up, and `database:swap` exchanges the folders, the one step that
//! is not undone but finished. What was live is kept for the undo, which is the same exchange again.

mod steps;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::backup::{CodeVersion, RestoreParams, RestoreScope, RestoreTarget};
use orocloud_protocol::node::{AsideCopy, AsideOrigin, ReplayTarget};
use orocloud_protocol::{CallError, CallId, ContentHash, PointName};
use serde::Serialize;

use super::facts::Facts;
use crate::operations::hash;
use crate::operations::plan::OperationPlan;
use crate::points::RestoreRecord;
use crate::rules::base_choice::choose;
use steps::Steps;

/// What is brought back, decided.
#[derive(Clone, Debug, PartialEq)]
struct Decision {
    /// The database, unless the code alone is wanted.
    database: Option<AsideCopy>,
    /// The moment it goes to; absent for an undo.
    to: Option<Timestamp>,
    /// The code to switch to, where it differs from what runs.
    code: Option<CodeVersion>,
    /// The media.
    media: Option<Media>,
    /// For an undo: what that restore brought back.
    scope: RestoreScope,
    /// Sentences for a person.
    summary: Vec<String>,
    /// What will be lost.
    loses: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Media {
    /// restic's snapshot id.
    Snapshot(String),
    /// What a restore replaced.
    Kept(CallId),
}

/// Free names for recovery points of this operation: before, and after.
#[derive(Clone, Debug)]
pub struct Names {
    /// Of the safety point.
    pub before: PointName,
    /// Of the point that follows.
    pub after: PointName,
}

/// Room that a copy needs beside its own size.
const SPARE_BYTES: u64 = 256 * 1024 * 1024;

/// Builds the plan, or refuses.
pub fn plan(
    params: &RestoreParams,
    facts: &Facts<'_>,
    releases: &Unpacked,
    names: &Names,
) -> Result<OperationPlan, CallError> {
    check_options(params)?;
    let decision = decide(params, facts)?;
    if decision.database.is_some() {
        check_room(&decision, facts)?;
    }
    if let Some(code) = &decision.code {
        releases.check(code, facts)?;
    }
    let steps = Steps { params, facts, decision: &decision, names };
    let (groups, point_of_no_return) = if params.preview { steps.preview() } else { steps.restore() };
    let digest = digest(facts, params, &decision)?;
    Ok(OperationPlan {
        groups,
        point_of_no_return,
        undone_until: 0,
        cancelled_until: 0,
        summary: decision.summary.clone(),
        loses: if params.preview { Vec::new() } else { decision.loses.clone() },
        destructive: !params.preview,
        digest,
    })
}

fn check_options(params: &RestoreParams) -> Result<(), CallError> {
    let undo = matches!(params.target, RestoreTarget::Undo(_));
    if undo && (params.timeline.is_some() || params.scope != RestoreScope::default() || params.media) {
        return Err(CallError::usage(
            "an undo brings back all that its restore replaced, and takes no other options",
        ));
    }
    if undo && params.preview {
        return Err(CallError::usage("an undo has no preview: it brings back what was live, as it was")
            .hint("see what would happen by adding --dry-run"));
    }
    if params.preview && params.scope == RestoreScope::Code {
        return Err(CallError::usage(
            "a preview looks into the database, so --code-only leaves it nothing to do",
        ));
    }
    Ok(())
}

fn decide(params: &RestoreParams, facts: &Facts<'_>) -> Result<Decision, CallError> {
    match &params.target {
        RestoreTarget::Undo(operation) => decide_undo(*operation, facts),
        RestoreTarget::Point(name) => {
            let found = facts.known.points.iter().find(|record| record.point.name == *name);
            let record = found.or_else(|| {
                let mut minute = facts
                    .known
                    .points
                    .iter()
                    .filter(|record| record.point.name.as_str().starts_with(name.as_str()));
                minute.next().filter(|_| minute.next().is_none())
            });
            let point = &record
                .ok_or_else(|| {
                    CallError::new(
                        orocloud_protocol::ErrorKind::NotFound,
                        format!("there is no recovery point {name}"),
                    )
                    .hint("see what there is: orocloud-cli backup:list")
                })?
                .point;
            if !facts.info.backups.iter().any(|backup| backup.set == point.database.set) {
                return Err(CallError::failed(format!(
                    "the database backup {} of recovery point {} is gone from the repository",
                    point.database.set, point.name
                ))
                .hint("see what can be restored: orocloud-cli backup:window"));
            }
            let origin = AsideOrigin::Backup {
                set: point.database.set.clone(),
                timeline: point.database.timeline,
                target: ReplayTarget::Immediate,
            };
            let media = point.media.as_ref().map(|media| media.snapshot.clone());
            let what = format!("recovery point {} of {}", point.name, shown(point.at));
            finish_decision(params, facts, origin, point.at, &what, point.code.as_ref(), media)
        }
        RestoreTarget::Time(moment) => {
            let branches = facts.branches();
            let choice = choose(*moment, params.timeline, &facts.info, &branches, facts.now)
                .map_err(|no| no.into_error(*moment, "orocloud-cli backup:restore"))?;
            let line = branches.line_of(choice.timeline);
            let code = facts.known.code_at(choice.moment, &line);
            let media = facts
                .known
                .points
                .iter()
                .rev()
                .filter(|record| line.contains(&record.point.database.timeline))
                .find(|record| record.point.at <= choice.moment && record.point.media.is_some())
                .and_then(|record| record.point.media.as_ref())
                .map(|media| media.snapshot.clone());
            let mut what = shown(choice.moment);
            if facts.info.timeline != Some(choice.timeline) {
                what.push_str(&format!(", on timeline {}", choice.timeline));
            }
            let origin = AsideOrigin::Backup {
                set: choice.set,
                timeline: choice.timeline,
                target: ReplayTarget::Time(choice.moment),
            };
            finish_decision(params, facts, origin, choice.moment, &what, code, media)
        }
    }
}

fn finish_decision(
    params: &RestoreParams,
    facts: &Facts<'_>,
    origin: AsideOrigin,
    moment: Timestamp,
    what: &str,
    code_then: Option<&CodeVersion>,
    snapshot: Option<String>,
) -> Result<Decision, CallError> {
    let environment = &facts.environment.name;
    let mut summary = Vec::new();
    let mut loses = Vec::new();
    let database = (params.scope != RestoreScope::Code).then(|| {
        if let AsideOrigin::Backup { set, .. } = &origin {
            summary.push(format!("database: {what} → {environment}, from backup {set} and the archived WAL"));
        }
        let ago = lasting(facts.now.duration_since(moment));
        loses.push(format!("everything written to the database since {} ({ago})", shown(moment)));
        AsideCopy { name: copy_name(facts, &origin), origin: origin.clone() }
    });
    let now = facts.known.code.as_ref();
    let code = match (params.scope, code_then) {
        (RestoreScope::Database, _) | (_, None) => None,
        (_, Some(then)) if now.map(|now| &now.release) == Some(&then.release) => None,
        (_, Some(then)) => Some(then.clone()),
    };
    match (&code, now) {
        (Some(code), now) => summary.push(format!(
            "code: {} ({}) → {environment}, in place of {}",
            code.reference,
            code.release,
            now.map_or("none".to_owned(), |now| format!("{} ({})", now.reference, now.release))
        )),
        (None, Some(now)) => summary.push(format!("code: stays {} ({})", now.reference, now.release)),
        (None, None) => {}
    }
    if params.scope == RestoreScope::Code && code.is_none() {
        return Err(match code_then {
            Some(then) => CallError::refused(format!("the code of {what} is what runs: {}", then.reference)),
            None => CallError::refused(format!("no recovery point tells which code ran at {what}")),
        }
        .hint("see what there is: orocloud-cli backup:list -v"));
    }
    let media = match (params.media, snapshot) {
        (false, _) => None,
        (true, Some(snapshot)) => {
            summary.push(format!("media: snapshot {snapshot} → {environment}"));
            loses.push(format!("media files that were added or changed since {}", shown(moment)));
            Some(Media::Snapshot(snapshot))
        }
        (true, None) => {
            return Err(CallError::refused(format!("there is no snapshot of the media at or before {what}"))
                .hint("leave out --media, or see what there is: orocloud-cli backup:list -v"));
        }
    };
    Ok(Decision { database, to: Some(moment), code, media, scope: params.scope, summary, loses })
}

fn decide_undo(operation: CallId, facts: &Facts<'_>) -> Result<Decision, CallError> {
    let record: &RestoreRecord =
        facts.known.restores.iter().find(|record| record.restore.operation == operation).ok_or_else(
            || {
                CallError::new(
                    orocloud_protocol::ErrorKind::NotFound,
                    format!("operation {operation} is no restore that could be undone"),
                )
                .hint("see past restores: orocloud-cli backup:window")
            },
        )?;
    let swapped = record.restore.to_timeline > 0;
    if swapped && !facts.keeps(operation) {
        return Err(CallError::refused(format!(
            "what the restore {operation} replaced is no longer kept: it was undone, or its time is over"
        ))
        .hint("restore a moment instead: orocloud-cli backup:restore --to=TIME"));
    }
    let environment = &facts.environment.name;
    let at = shown(record.restore.at);
    let mut summary = Vec::new();
    let mut loses = Vec::new();
    let database = swapped.then(|| {
        summary.push(format!("database: what was live until {at} → {environment}"));
        let ago = lasting(facts.now.duration_since(record.restore.at));
        loses.push(format!("everything written to the database since {at} ({ago})"));
        let origin = AsideOrigin::Kept { operation };
        AsideCopy { name: copy_name(facts, &origin), origin }
    });
    let code = record.code_before.clone().filter(|before| {
        record.code_after.as_ref() != Some(before) && facts.known.code.as_ref() != Some(before)
    });
    if let Some(code) = &code {
        summary.push(format!("code: {} ({}) → {environment}", code.reference, code.release));
    }
    let media = record.media.then(|| {
        summary.push(format!("media: what was there until {at} → {environment}"));
        loses.push(format!("media files that were added or changed since {at}"));
        Media::Kept(operation)
    });
    Ok(Decision { database, to: None, code, media, scope: record.scope, summary, loses })
}

fn check_room(decision: &Decision, facts: &Facts<'_>) -> Result<(), CallError> {
    let info = &facts.info;
    if !info.obstacles.is_empty() {
        let error = CallError::refused(format!(
            "the database of {} cannot be restored beside the live one",
            facts.environment.name
        ));
        return Err(info.obstacles.iter().fold(error, CallError::because));
    }
    let Some(AsideCopy { name, origin: AsideOrigin::Backup { .. } }) = &decision.database else {
        return Ok(());
    };
    let needed = info.data_bytes.saturating_add(SPARE_BYTES);
    if !info.copies.contains(name) && info.free_bytes < needed {
        return Err(CallError::refused(format!(
            "a copy of the database needs {} MB, and {} has {} MB free",
            needed / 1_000_000,
            facts.places.db,
            info.free_bytes / 1_000_000
        ))
        .hint("make room there; what restores have replaced is shown by: orocloud-cli backup:window"));
    }
    Ok(())
}

/// Which releases are unpacked on which web node; a node that did not answer is left out.
#[derive(Clone, Debug, Default)]
pub struct Unpacked(pub Vec<(orocloud_protocol::NodeName, Vec<orocloud_protocol::ReleaseName>)>);

impl Unpacked {
    fn check(&self, code: &CodeVersion, facts: &Facts<'_>) -> Result<(), CallError> {
        for web in &facts.places.code {
            let there = self.0.iter().find(|(node, _)| node == web).map(|(_, releases)| releases);
            match there {
                Some(releases) if releases.contains(&code.release) => {}
                Some(_) => {
                    return Err(CallError::refused(format!(
                        "release {} ({}) is not on {web} any more",
                        code.release, code.reference
                    ))
                    .hint("bring back the database alone by adding --database-only"));
                }
                None => {
                    return Err(CallError::new(
                        orocloud_protocol::ErrorKind::Unreachable,
                        format!("{web} does not tell its releases"),
                    )
                    .hint("see what is wrong with it: orocloud-cli status"));
                }
            }
        }
        Ok(())
    }
}

/// Names a copy by all that makes it what it is, so that the restore after a preview finds it again.
fn copy_name(facts: &Facts<'_>, origin: &AsideOrigin) -> ContentHash {
    let text = format!("{} {origin:?}", facts.environment.name);
    hash(blake3::hash(text.as_bytes()))
}

/// Of what the caller agrees to: not of sizes and durations, which change while one reads.
fn digest(facts: &Facts<'_>, params: &RestoreParams, decision: &Decision) -> Result<ContentHash, CallError> {
    #[derive(Serialize)]
    struct Agreed<'a> {
        environment: &'a orocloud_protocol::EnvironmentName,
        target: &'a RestoreTarget,
        timeline: Option<u32>,
        scope: RestoreScope,
        media: bool,
        database: Option<&'a AsideCopy>,
        code: Option<&'a CodeVersion>,
    }
    let agreed = Agreed {
        environment: &facts.environment.name,
        target: &params.target,
        timeline: params.timeline,
        scope: params.scope,
        media: params.media,
        database: decision.database.as_ref(),
        code: decision.code.as_ref(),
    };
    let text = serde_json::to_vec(&agreed).map_err(|error| CallError::internal(error.to_string()))?;
    Ok(hash(blake3::hash(&text)))
}

/// In UTC, without a fraction where there is none.
fn shown(at: Timestamp) -> String {
    let zoned = at.to_zoned(TimeZone::UTC);
    let format =
        if at.subsec_nanosecond() == 0 { "%Y-%m-%d %H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S%.3f UTC" };
    zoned.strftime(format).to_string()
}

/// `12 min`, `3 h 5 min`, `2 d 4 h`.
fn lasting(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86400, seconds % 86400 / 3600, seconds % 3600 / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
