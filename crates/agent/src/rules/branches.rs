//! Which branch of history was live when: each restore leaves one and begins another.
//!
//! At any moment exactly one timeline was live. A moment is on the present branch if its timeline is, up to the
//! point where the present branch left it. A moment elsewhere exists too, on the branch that was abandoned; and
//! on the present branch there is then a hole, in which nothing was committed.

use jiff::Timestamp;
use orocloud_protocol::backup::PastRestore;
use orocloud_protocol::node::DatabaseInfoAnswer;

/// One timeline and the time in which it was the live one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// PostgreSQL's number.
    pub timeline: u32,
    /// When it became the live one; absent for the first.
    pub from: Option<Timestamp>,
    /// When it was left; absent for the live one.
    pub until: Option<Timestamp>,
    /// The timeline it came from, and the moment on it where it begins.
    pub parent: Option<(u32, Timestamp)>,
}

impl Branch {
    /// Whether it was the live one at this moment.
    pub fn was_live_at(&self, moment: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= moment) && self.until.is_none_or(|until| moment < until)
    }
}

/// All branches that ever were live, by ascending number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branches {
    branches: Vec<Branch>,
    /// The one that is live now.
    pub live: Option<u32>,
}

/// A moment, placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this timeline, at this moment, which is earlier than the one asked for when that lies in a hole.
    On {
        /// The timeline to follow.
        timeline: u32,
        /// The moment to stop at.
        moment: Timestamp,
    },
    /// Only on a branch that was left.
    Abandoned {
        /// The timeline that was live then.
        timeline: u32,
        /// On the branch that was asked about, the last moment before its hole.
        before_hole: Option<Timestamp>,
    },
    /// Behind the end of the branch that was asked about.
    AfterEnd {
        /// When it was left.
        until: Timestamp,
    },
    /// No such timeline.
    Unknown,
}

impl Branches {
    /// From the past restores and what the database node knows.
    pub fn new(info: &DatabaseInfoAnswer, restores: &[PastRestore]) -> Self {
        let mut numbers: Vec<u32> = info
            .backups
            .iter()
            .map(|backup| backup.timeline)
            .chain(restores.iter().flat_map(|restore| [restore.from_timeline, restore.to_timeline]))
            .chain(info.timeline)
            .collect();
        // Ancestors count, also when nothing else is left of them.
        for history in &info.histories {
            if numbers.contains(&history.timeline) {
                numbers.extend(history.ancestors.iter().map(|(ancestor, _)| *ancestor));
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        // The control file may be lost with the rest: then the last restore tells, or else the newest backup.
        let live = info
            .timeline
            .or_else(|| restores.iter().max_by_key(|restore| restore.at).map(|r| r.to_timeline))
            .or_else(|| info.backups.iter().max_by_key(|backup| backup.stopped_at).map(|b| b.timeline));
        let first = numbers.first().copied();
        let mut branches: Vec<Branch> = numbers
            .iter()
            .map(|&timeline| {
                let made = restores.iter().find(|restore| restore.to_timeline == timeline);
                let left = restores.iter().find(|restore| restore.from_timeline == timeline);
                let from = match made {
                    Some(restore) => Some(restore.at),
                    None if Some(timeline) == first => None,
                    // Promoted by somebody else, a failover for instance: its first trace is the best we have.
                    None => first_trace(info, timeline),
                };
                let until = match left {
                    Some(restore) => Some(restore.at),
                    None if Some(timeline) == live => None,
                    None => last_trace(info, timeline),
                };
                Branch { timeline, from, until, parent: None }
            })
            .collect();
        for index in 0..branches.len() {
            let timeline = branches[index].timeline;
            let made = restores.iter().find(|restore| restore.to_timeline == timeline);
            let by_history = info
                .histories
                .iter()
                .find(|history| history.timeline == timeline)
                .and_then(|history| history.ancestors.last())
                .map(|(parent, _)| *parent);
            let parent = by_history.or_else(|| made.filter(|r| r.to.is_some()).map(|r| r.from_timeline));
            branches[index].parent = parent.map(|parent| {
                let end = branches.iter().find(|b| b.timeline == parent).and_then(|b| b.until);
                let fork = match made {
                    Some(restore) => restore.to.or(end).unwrap_or(restore.at),
                    None => branches[index].from.or(end).unwrap_or(Timestamp::MIN),
                };
                (parent, fork)
            });
        }
        // A parent that was promoted away, not restored from, ends where its child begins.
        for index in 0..branches.len() {
            let timeline = branches[index].timeline;
            if branches[index].until.is_none() && Some(timeline) != live {
                branches[index].until = branches
                    .iter()
                    .filter(|b| b.parent.is_some_and(|(parent, _)| parent == timeline))
                    .filter_map(|b| b.from)
                    .min();
            }
        }
        Self { branches, live }
    }

    /// By ascending number.
    pub fn all(&self) -> &[Branch] {
        &self.branches
    }

    /// The branch of this number.
    pub fn get(&self, timeline: u32) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.timeline == timeline)
    }

    /// Where a moment lies, seen from one timeline, or from the live one.
    pub fn place(&self, moment: Timestamp, timeline: Option<u32>) -> Place {
        let Some(mut branch) = timeline.or(self.live).and_then(|timeline| self.get(timeline)) else {
            return Place::Unknown;
        };
        if let Some(until) = branch.until.filter(|until| *until < moment) {
            return Place::AfterEnd { until };
        }
        // The number of branches bounds the walk: a history that names itself ends it.
        for _ in 0..=self.branches.len() {
            if branch.from.is_none_or(|from| from <= moment) {
                return Place::On { timeline: branch.timeline, moment };
            }
            let Some((parent, fork)) = branch.parent else { break };
            let Some(parent) = self.get(parent) else { break };
            if fork < moment {
                return match timeline {
                    // Somebody named the branch: what it was in the hole is what it was before.
                    Some(_) => self.place(fork, Some(parent.timeline)),
                    None => match self.branches.iter().find(|b| b.was_live_at(moment)) {
                        Some(owner) if owner.timeline != branch.timeline => {
                            Place::Abandoned { timeline: owner.timeline, before_hole: Some(fork) }
                        }
                        _ => self.place(fork, Some(parent.timeline)),
                    },
                };
            }
            branch = parent;
        }
        // Before everything that is known of this branch; the choice of a base says so.
        Place::On { timeline: branch.timeline, moment }
    }

    /// The timeline itself and those it came from, newest first.
    pub fn line_of(&self, timeline: u32) -> Vec<u32> {
        let mut line = vec![timeline];
        while let Some((parent, _)) = line.last().and_then(|last| self.get(*last)).and_then(|b| b.parent) {
            if line.contains(&parent) {
                break;
            }
            line.push(parent);
        }
        line
    }
}

fn first_trace(info: &DatabaseInfoAnswer, timeline: u32) -> Option<Timestamp> {
    let backup = info.backups.iter().filter(|b| b.timeline == timeline).map(|b| b.started_at).min();
    let archived =
        info.archived.iter().filter(|run| run.timeline == timeline).filter_map(|run| run.last_at).min();
    [backup, archived].into_iter().flatten().min()
}

fn last_trace(info: &DatabaseInfoAnswer, timeline: u32) -> Option<Timestamp> {
    let backup = info.backups.iter().filter(|b| b.timeline == timeline).map(|b| b.stopped_at).max();
    let archived =
        info.archived.iter().filter(|run| run.timeline == timeline).filter_map(|run| run.last_at).max();
    [backup, archived].into_iter().flatten().max()
}
