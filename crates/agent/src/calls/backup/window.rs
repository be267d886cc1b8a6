//! `backup:window`: from when to when can be restored.

use orocloud_protocol::backup::{PastRestore, PointOnWindow, WindowAnswer};

use super::facts::Facts;
use crate::rules::restorable::stretches;

/// The answer, from the facts.
pub fn answer(facts: &Facts<'_>) -> WindowAnswer {
    let branches = facts.branches();
    let stretches = stretches(&facts.info, &branches, facts.now);
    let latest = match facts.info.last_archived_at {
        // What is archived before the first backup can follow nothing.
        Some(archived) => {
            stretches.iter().filter(|stretch| stretch.live).map(|s| s.until.min(archived.max(s.from))).max()
        }
        None => stretches.iter().map(|stretch| stretch.until).max(),
    };
    WindowAnswer {
        now: facts.now,
        earliest: stretches.iter().map(|stretch| stretch.from).min(),
        latest,
        timeline: facts.info.timeline,
        points: facts
            .known
            .points
            .iter()
            .map(|record| PointOnWindow {
                name: record.point.name.clone(),
                at: record.point.at,
                label: record.point.label.clone(),
                timeline: record.point.database.timeline,
            })
            .collect(),
        restores: facts
            .known
            .past_restores()
            .into_iter()
            .map(|restore| {
                let kept = facts.keeps(restore.operation);
                let undo_until = restore.undo_until.filter(|until| kept && *until > facts.now);
                PastRestore { undo_until, ..restore }
            })
            .collect(),
        stretches,
    }
}
