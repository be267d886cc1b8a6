//! The stretches of time that can be restored, for `backup:window`.

use jiff::Timestamp;
use orocloud_protocol::backup::Stretch;
use orocloud_protocol::node::DatabaseInfoAnswer;

use super::base_choice::reaches;
use super::branches::Branches;

/// Stretches, oldest first. The live one ends with the newest archived segment, or with now while it answers and
/// so can archive what it holds.
pub fn stretches(info: &DatabaseInfoAnswer, branches: &Branches, now: Timestamp) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = branches
        .all()
        .iter()
        .flat_map(|branch| {
            let begin = branch.from.unwrap_or(Timestamp::MIN);
            let end = branch.until.unwrap_or(now);
            let mut parts: Vec<(Timestamp, Timestamp)> = reaches(branch.timeline, info, branches)
                .into_iter()
                .map(|reach| (reach.backup.stopped_at.max(begin), reach.until.unwrap_or(end).min(end)))
                .filter(|(from, until)| from <= until)
                .collect();
            parts.sort_unstable();
            let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
            for (from, until) in parts {
                match joined.last_mut() {
                    Some(last) if from <= last.1 => last.1 = last.1.max(until),
                    _ => joined.push((from, until)),
                }
            }
            let live = branches.live == Some(branch.timeline);
            joined
                .into_iter()
                .map(move |(from, until)| Stretch { timeline: branch.timeline, from, until, live })
                .collect::<Vec<_>>()
        })
        .collect();
    all.sort_by_key(|stretch| (stretch.from, stretch.timeline));
    all
}
