//! Which base backup a restore begins from, and which timeline it follows. Never left to the engine, whose own
//! choice looks at the time alone and so takes an abandoned branch for the present one.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::CallError;
use orocloud_protocol::backup::DatabaseBackup;
use orocloud_protocol::node::{ArchivedRun, DatabaseInfoAnswer};

use super::branches::{Branches, Place};
use super::wal::{DEFAULT_SEGMENT_SIZE, Lsn, Segment};

/// What a restore to a moment uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// pgBackRest's label of the base backup.
    pub set: String,
    /// The timeline to follow.
    pub timeline: u32,
    /// Where to stop; earlier than what was asked for where that lies in a hole of the branch.
    pub moment: Timestamp,
}

/// Why a moment cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoChoice {
    /// It has not come yet.
    Future {
        /// The agent's clock.
        now: Timestamp,
    },
    /// There is no backup at all.
    NoBackup,
    /// Before everything that is kept.
    BeforeFirst {
        /// The earliest moment.
        earliest: Timestamp,
    },
    /// While the first backup was being taken.
    InsideFirst {
        /// When that began.
        started: Timestamp,
        /// When it was complete: the earliest moment.
        stopped: Timestamp,
    },
    /// After the last archived WAL, and the live database cannot add to it.
    AfterLast {
        /// The last commit that is archived.
        last: Option<Timestamp>,
    },
    /// WAL is missing.
    Gap {
        /// The last moment before.
        from: Option<Timestamp>,
        /// The first moment after.
        until: Option<Timestamp>,
    },
    /// It lies on a branch that an earlier restore left.
    Abandoned {
        /// That branch.
        timeline: u32,
        /// The live branch.
        live: u32,
        /// On the live branch, the last moment before.
        before: Option<Timestamp>,
    },
    /// The named branch was left before it.
    AfterEnd {
        /// The branch.
        timeline: u32,
        /// When it was left.
        until: Timestamp,
    },
    /// No such timeline.
    UnknownTimeline {
        /// Those there are.
        known: Vec<u32>,
    },
}

impl NoChoice {
    /// As an error with a way out. `retry` is the command that was typed, without its target.
    pub fn into_error(self, moment: Timestamp, retry: &str) -> CallError {
        let try_at = |at: Timestamp| format!("restore to that moment: {retry} --to={at}");
        match self {
            Self::Future { now } => CallError::refused(format!("{moment} has not come yet: it is {now}"))
                .hint("see what can be restored: orocloud-cli backup:window"),
            Self::NoBackup => CallError::refused("there is no backup to restore from")
                .hint("take one: orocloud-cli backup:create"),
            Self::BeforeFirst { earliest } => CallError::refused(format!(
                "{moment} is before the first backup: nothing before {earliest} can be restored"
            ))
            .hint(try_at(earliest)),
            Self::InsideFirst { started, stopped } => CallError::refused(format!(
                "{moment} is inside the first backup, which was taken from {started} to {stopped}"
            ))
            .hint(try_at(stopped)),
            Self::AfterLast { last: Some(last) } => CallError::refused(format!(
                "the live database does not answer, and {moment} is after the last archived commit of {last}"
            ))
            .hint(try_at(last)),
            Self::AfterLast { last: None } => CallError::refused(format!(
                "the live database does not answer, and nothing is archived up to {moment}"
            ))
            .hint("see what can be restored: orocloud-cli backup:window"),
            Self::Gap { from, until } => {
                let shown =
                    |at: Option<Timestamp>| at.map_or("the beginning".to_owned(), |at| at.to_string());
                let error = CallError::refused(format!(
                    "{moment} cannot be reached: WAL is missing between {} and {}",
                    shown(from),
                    until.map_or("now".to_owned(), |at| at.to_string())
                ));
                match from {
                    Some(from) => error.hint(try_at(from)),
                    None => error,
                }
                .hint("see what can be restored: orocloud-cli backup:window")
            }
            Self::Abandoned { timeline, live, before } => {
                let error = CallError::refused(format!(
                    "{moment} lies on timeline {timeline}, a branch that an earlier restore left"
                ))
                .hint(format!("as it was then: {retry} --to={moment} --timeline={timeline}"));
                match before {
                    Some(before) => error.hint(format!(
                        "the live branch as of {before}, its last moment before: {retry} --to={moment} \
                         --timeline={live}"
                    )),
                    None => error,
                }
            }
            Self::AfterEnd { timeline, until } => CallError::refused(format!(
                "{moment} is not on timeline {timeline}, which was left at {until}"
            ))
            .hint(format!("its last moment: {retry} --to={until} --timeline={timeline}")),
            Self::UnknownTimeline { known } => {
                let known: Vec<String> = known.iter().map(u32::to_string).collect();
                CallError::usage(format!("there is no such timeline; there are {}", known.join(", ")))
                    .hint("see what can be restored: orocloud-cli backup:window")
            }
        }
    }
}

/// Chooses the base for a moment.
pub fn choose(
    moment: Timestamp,
    timeline: Option<u32>,
    info: &DatabaseInfoAnswer,
    branches: &Branches,
    now: Timestamp,
) -> Result<Choice, NoChoice> {
    if moment > now {
        return Err(NoChoice::Future { now });
    }
    if info.backups.is_empty() {
        return Err(NoChoice::NoBackup);
    }
    let known = || branches.all().iter().map(|branch| branch.timeline).collect();
    let (timeline, moment) = match branches.place(moment, timeline) {
        Place::On { timeline, moment } => (timeline, moment),
        Place::Abandoned { timeline, before_hole } => {
            return Err(NoChoice::Abandoned {
                timeline,
                live: branches.live.unwrap_or(timeline),
                before: before_hole,
            });
        }
        Place::AfterEnd { until } => {
            return Err(NoChoice::AfterEnd { timeline: timeline.unwrap_or_default(), until });
        }
        Place::Unknown => return Err(NoChoice::UnknownTimeline { known: known() }),
    };
    let reaches = reaches(timeline, info, branches);
    let mut usable: Vec<&Reach<'_>> =
        reaches.iter().filter(|reach| reach.backup.stopped_at <= moment).collect();
    usable.sort_by_key(|reach| reach.backup.stopped_at);
    // The newest needs the least replay.
    if let Some(reach) = usable.iter().rev().find(|reach| reach.until.is_none_or(|until| moment <= until)) {
        return Ok(Choice { set: reach.backup.set.clone(), timeline, moment });
    }
    if usable.is_empty() {
        let Some(first) = reaches.iter().map(|reach| reach.backup).min_by_key(|backup| backup.stopped_at)
        else {
            return Err(NoChoice::NoBackup);
        };
        return Err(if first.started_at <= moment {
            NoChoice::InsideFirst { started: first.started_at, stopped: first.stopped_at }
        } else {
            NoChoice::BeforeFirst { earliest: first.stopped_at }
        });
    }
    let from = usable.iter().filter_map(|reach| reach.until).max();
    let until = reaches.iter().map(|reach| reach.backup.stopped_at).filter(|stopped| *stopped > moment).min();
    if until.is_none() && !info.running && branches.live == Some(timeline) {
        return Err(NoChoice::AfterLast { last: info.last_commit_at.or(from) });
    }
    Err(NoChoice::Gap { from, until })
}

/// A backup that serves a timeline, and how far the archive carries it.
#[derive(Debug)]
pub struct Reach<'a> {
    /// The backup.
    pub backup: &'a DatabaseBackup,
    /// The last moment; absent when the live database goes on adding.
    pub until: Option<Timestamp>,
}

/// The backups that a timeline can be replayed from.
///
/// A backup serves a timeline if it was taken on it, or on an ancestor before that was left.
pub fn reaches<'a>(timeline: u32, info: &'a DatabaseInfoAnswer, branches: &Branches) -> Vec<Reach<'a>> {
    let line = branches.line_of(timeline);
    let end = branches.get(timeline).and_then(|branch| branch.until);
    info.backups
        .iter()
        .filter_map(|backup| {
            let depth = line.iter().position(|ancestor| *ancestor == backup.timeline)?;
            // The switch points that lie between the backup and the timeline, newest first.
            let mut switches = Vec::new();
            for pair in line[..=depth].windows(2) {
                switches.push((pair[1], switch_point(info, timeline, pair[0], pair[1])));
            }
            let stop = Lsn::from_str(&backup.stop_lsn).ok()?;
            if switches.iter().any(|(_, at)| at.is_some_and(|at| at < stop)) {
                return None;
            }
            let until = carried_until(info, backup.timeline, stop, &switches, timeline);
            let until = match until {
                // The live database can still archive what is written now.
                Carried::ToTheEnd if info.running && branches.live == Some(timeline) => None,
                Carried::ToTheEnd => end.or_else(|| end_of_archive(info, timeline, branches)),
                Carried::To(until) => Some(until.unwrap_or(backup.stopped_at)),
            };
            Some(Reach { backup, until })
        })
        .collect()
}

/// How far segments follow each other without a gap.
enum Carried {
    ToTheEnd,
    To(Option<Timestamp>),
}

fn carried_until(
    info: &DatabaseInfoAnswer,
    from_timeline: u32,
    from: Lsn,
    switches: &[(u32, Option<Lsn>)],
    to_timeline: u32,
) -> Carried {
    let mut at = Segment::at(from_timeline, from, DEFAULT_SEGMENT_SIZE);
    let mut switches = switches.iter().rev().peekable();
    loop {
        let runs = info.archived.iter().filter(|run| run.timeline == at.timeline);
        let run = runs.clone().find(|run| contains(run, at.number));
        match switches.next() {
            Some((_, switch)) => {
                let next = switches.peek().map_or(to_timeline, |(timeline, _)| *timeline);
                // The segment in which the timeline was left is found again, complete, as the first of the next.
                let last_needed = switch
                    .map(|switch| (switch.0 / DEFAULT_SEGMENT_SIZE).saturating_sub(1))
                    .unwrap_or(at.number);
                if last_needed >= at.number && !run.is_some_and(|run| contains(run, last_needed)) {
                    return Carried::To(run.and_then(end_before_hole));
                }
                at = Segment { timeline: next, number: last_needed + 1 };
            }
            None => {
                let newest = runs.clone().max_by_key(|run| run.last.clone());
                return match (run, newest) {
                    (Some(run), Some(newest)) if run.last == newest.last => Carried::ToTheEnd,
                    // Nothing of it is archived yet: what the live database still holds decides.
                    (None, None) => Carried::ToTheEnd,
                    (None, Some(newest))
                        if Segment::parse(&newest.last, DEFAULT_SEGMENT_SIZE)
                            .is_some_and(|last| last.number < at.number) =>
                    {
                        Carried::ToTheEnd
                    }
                    (run, _) => Carried::To(run.and_then(end_before_hole)),
                };
            }
        }
    }
}

/// The last moment that can be reached in front of a hole. When its last segment was archived tells too much: what was
/// committed meanwhile is in the hole already.
fn end_before_hole(run: &ArchivedRun) -> Option<Timestamp> {
    run.last_commit_at.or(run.last_at)
}

fn contains(run: &ArchivedRun, number: u64) -> bool {
    let of = |name: &str| Segment::parse(name, DEFAULT_SEGMENT_SIZE).map(|segment| segment.number);
    matches!((of(&run.first), of(&run.last)), (Some(first), Some(last)) if (first..=last).contains(&number))
}

/// Where `child` left `parent`, from the history of the youngest timeline that tells it.
fn switch_point(info: &DatabaseInfoAnswer, timeline: u32, child: u32, parent: u32) -> Option<Lsn> {
    [timeline, child].iter().find_map(|of| {
        info.histories
            .iter()
            .find(|history| history.timeline == *of)
            .and_then(|history| history.ancestors.iter().find(|(ancestor, _)| *ancestor == parent))
            .and_then(|(_, at)| Lsn::from_str(at).ok())
    })
}

fn end_of_archive(info: &DatabaseInfoAnswer, timeline: u32, branches: &Branches) -> Option<Timestamp> {
    let archived =
        info.archived.iter().filter(|run| run.timeline == timeline).filter_map(|run| run.last_at).max();
    match info.last_commit_at {
        Some(commit) if branches.live == Some(timeline) => Some(commit),
        _ => archived,
    }
}

/// pgBackRest tells whole seconds: the end of a backup is the next one.
pub fn rounded_up(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()?.checked_add(SignedDuration::from_secs(1)).ok()
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::backup::PastRestore;
    use orocloud_protocol::node::TimelineHistory;

    use super::*;
    use crate::rules::restorable::stretches;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-24T{time}Z").parse().unwrap()
    }

    fn backup(set: &str, timeline: u32, lsn: &str, started: &str, stopped: &str) -> DatabaseBackup {
        DatabaseBackup {
            set: set.into(),
            kind: "full".into(),
            timeline,
            stop_lsn: lsn.into(),
            started_at: at(started),
            stopped_at: at(stopped),
            size: 1,
            stored: 1,
        }
    }

    fn run(timeline: u32, first: u64, last: u64, last_at: &str) -> ArchivedRun {
        let name = |number| Segment { timeline, number }.name(DEFAULT_SEGMENT_SIZE);
        ArchivedRun {
            timeline,
            first: name(first),
            last: name(last),
            last_at: Some(at(last_at)),
            last_commit_at: None,
        }
    }

    /// One branch, two backups, no gap.
    fn plain() -> DatabaseInfoAnswer {
        DatabaseInfoAnswer {
            running: true,
            timeline: Some(1),
            last_archived: None,
            last_archived_at: Some(at("11:59:00")),
            last_commit_at: None,
            tables: 1,
            backups: vec![
                backup("A", 1, "0/5000000", "09:59:50", "10:00:00"),
                backup("B", 1, "0/10000000", "10:59:50", "11:00:00"),
            ],
            histories: vec![],
            archived: vec![run(1, 1, 20, "11:59:00")],
            obstacles: vec![],
            free_bytes: 0,
            data_bytes: 0,
            kept: vec![],
            copies: vec![],
        }
    }

    /// At 12:30 somebody went back to 11:30, and a backup followed.
    fn restored_once() -> (DatabaseInfoAnswer, Vec<PastRestore>) {
        let mut info = plain();
        info.timeline = Some(2);
        info.backups.push(backup("C", 2, "0/16000000", "12:31:00", "12:31:05"));
        info.archived = vec![run(1, 1, 24, "12:30:00"), run(2, 20, 22, "12:40:00")];
        info.histories = vec![TimelineHistory { timeline: 2, ancestors: vec![(1, "0/14500000".into())] }];
        let first = PastRestore {
            operation: orocloud_protocol::CallId::from_parts(1, 1),
            at: at("12:30:00"),
            to: Some(at("11:30:00")),
            from_timeline: 1,
            to_timeline: 2,
            undo_until: None,
        };
        (info, vec![first])
    }

    /// At 13:00 that was undone.
    fn undone() -> (DatabaseInfoAnswer, Vec<PastRestore>) {
        let (mut info, mut restores) = restored_once();
        info.timeline = Some(3);
        info.backups.push(backup("D", 3, "0/1B000000", "13:00:10", "13:00:12"));
        info.archived =
            vec![run(1, 1, 24, "12:30:00"), run(2, 20, 25, "13:00:00"), run(3, 25, 27, "13:30:00")];
        info.histories.push(TimelineHistory { timeline: 3, ancestors: vec![(1, "0/19000028".into())] });
        restores.push(PastRestore {
            operation: orocloud_protocol::CallId::from_parts(2, 2),
            at: at("13:00:00"),
            to: None,
            from_timeline: 2,
            to_timeline: 3,
            undo_until: None,
        });
        (info, restores)
    }

    #[derive(Debug, PartialEq)]
    enum Expected {
        Base(&'static str, u32, &'static str),
        No(NoChoice),
    }
    use Expected::{Base, No};

    fn check(
        info: &DatabaseInfoAnswer,
        restores: &[PastRestore],
        now: &str,
        cases: Vec<(&str, Option<u32>, Expected)>,
    ) {
        let branches = Branches::new(info, restores);
        for (moment, timeline, expected) in cases {
            let found = match choose(at(moment), timeline, info, &branches, at(now)) {
                Ok(choice) => match &expected {
                    Base(set, on, stop)
                        if choice == (Choice { set: (*set).into(), timeline: *on, moment: at(stop) }) =>
                    {
                        continue;
                    }
                    _ => format!("{choice:?}"),
                },
                Err(no) if No(no.clone()) == expected => continue,
                Err(no) => format!("{no:?}"),
            };
            panic!("{moment} on {timeline:?}: expected {expected:?}, found {found}");
        }
    }

    #[test]
    fn on_one_branch_the_newest_backup_before_the_moment_is_taken() {
        check(
            &plain(),
            &[],
            "12:00:00",
            vec![
                ("10:00:00", None, Base("A", 1, "10:00:00")),
                ("10:59:59", None, Base("A", 1, "10:59:59")),
                ("11:00:00", None, Base("B", 1, "11:00:00")),
                ("11:59:59", None, Base("B", 1, "11:59:59")),
                ("12:00:01", None, No(NoChoice::Future { now: at("12:00:00") })),
                ("09:00:00", None, No(NoChoice::BeforeFirst { earliest: at("10:00:00") })),
                (
                    "09:59:55",
                    None,
                    No(NoChoice::InsideFirst { started: at("09:59:50"), stopped: at("10:00:00") }),
                ),
                ("11:00:00", Some(7), No(NoChoice::UnknownTimeline { known: vec![1] })),
            ],
        );
        let empty = DatabaseInfoAnswer { backups: vec![], ..plain() };
        check(&empty, &[], "12:00:00", vec![("11:00:00", None, No(NoChoice::NoBackup))]);
    }

    #[test]
    fn what_an_earlier_restore_left_is_never_taken_for_the_present() {
        let (info, restores) = restored_once();
        check(
            &info,
            &restores,
            "13:00:00",
            vec![
                ("11:20:00", None, Base("B", 1, "11:20:00")),
                (
                    "12:00:00",
                    None,
                    No(NoChoice::Abandoned { timeline: 1, live: 2, before: Some(at("11:30:00")) }),
                ),
                ("12:00:00", Some(1), Base("B", 1, "12:00:00")),
                ("12:00:00", Some(2), Base("B", 1, "11:30:00")),
                // Before the first backup of the new branch: from one of the old branch, across the switch.
                ("12:30:30", None, Base("B", 2, "12:30:30")),
                ("12:45:00", None, Base("C", 2, "12:45:00")),
                ("12:45:00", Some(1), No(NoChoice::AfterEnd { timeline: 1, until: at("12:30:00") })),
            ],
        );
        let (info, restores) = undone();
        check(
            &info,
            &restores,
            "14:00:00",
            vec![
                ("12:00:00", None, Base("B", 1, "12:00:00")),
                (
                    "12:45:00",
                    None,
                    No(NoChoice::Abandoned { timeline: 2, live: 3, before: Some(at("12:30:00")) }),
                ),
                ("12:45:00", Some(2), Base("C", 2, "12:45:00")),
                ("13:30:00", None, Base("D", 3, "13:30:00")),
            ],
        );
    }

    #[test]
    fn a_backup_taken_after_the_switch_does_not_serve_the_new_branch() {
        let (mut info, restores) = restored_once();
        // Between the target and the restore: its contents are beyond the switch point.
        info.backups.insert(2, backup("X", 1, "0/15000000", "12:00:00", "12:00:05"));
        check(&info, &restores, "13:00:00", vec![("12:30:30", None, Base("B", 2, "12:30:30"))]);
    }

    #[test]
    fn missing_wal_is_found_and_named() {
        let mut info = plain();
        // B stops in segment 16; 12 is gone, so A reaches to 10:30 only.
        info.archived = vec![run(1, 1, 11, "10:31:00"), run(1, 13, 20, "11:59:00")];
        // Archived a little later than the last commit in it.
        info.archived[0].last_commit_at = Some(at("10:30:00"));
        check(
            &info,
            &[],
            "12:00:00",
            vec![
                ("10:20:00", None, Base("A", 1, "10:20:00")),
                (
                    "10:45:00",
                    None,
                    No(NoChoice::Gap { from: Some(at("10:30:00")), until: Some(at("11:00:00")) }),
                ),
                ("11:30:00", None, Base("B", 1, "11:30:00")),
            ],
        );
        let branches = Branches::new(&info, &[]);
        let found: Vec<_> =
            stretches(&info, &branches, at("12:00:00")).iter().map(|s| (s.from, s.until)).collect();
        assert_eq!(found, [(at("10:00:00"), at("10:30:00")), (at("11:00:00"), at("12:00:00"))]);
    }

    #[test]
    fn with_the_live_database_dead_the_last_archived_commit_is_offered() {
        let info = DatabaseInfoAnswer { running: false, last_commit_at: Some(at("11:58:30")), ..plain() };
        check(
            &info,
            &[],
            "12:00:00",
            vec![
                ("11:58:30", None, Base("B", 1, "11:58:30")),
                ("11:58:31", None, No(NoChoice::AfterLast { last: Some(at("11:58:30")) })),
            ],
        );
    }

    #[test]
    fn the_window_shows_every_branch_with_its_own_stretch() {
        let (info, restores) = undone();
        let branches = Branches::new(&info, &restores);
        let found: Vec<_> = stretches(&info, &branches, at("14:00:00"))
            .iter()
            .map(|s| (s.timeline, s.from, s.until, s.live))
            .collect();
        assert_eq!(
            found,
            [
                (1, at("10:00:00"), at("12:30:00"), false),
                (2, at("12:30:00"), at("13:00:00"), false),
                (3, at("13:00:00"), at("14:00:00"), true),
            ]
        );
    }

    #[test]
    fn every_refusal_says_what_to_type() {
        let error = NoChoice::Abandoned { timeline: 1, live: 2, before: Some(at("11:30:00")) }
            .into_error(at("12:00:00"), "orocloud-cli backup:restore");
        assert_eq!(error.kind, orocloud_protocol::ErrorKind::Refused);
        assert!(error.hints[0].ends_with("--to=2026-11-24T12:00:00Z --timeline=1"), "{:?}", error.hints);
        assert!(error.hints[1].ends_with("--timeline=2"), "{:?}", error.hints);
    }
}
