//! Which points are met, and what came of each.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::mortal::Planned;

const POINTS: [&str; 6] = ["intent", "running", "done", "node-intent", "node-running", "node-done"];
const UNDO_POINTS: [&str; 6] =
    ["undo-intent", "undoing", "undone", "node-undo-intent", "node-undoing", "node-undone"];

/// Something is wrong everywhere: further points would say the same.
const MOST_FAILED: usize = 10;

/// Undos that go with a part of the acts.
const UNDOS: usize = 2;

/// How much is walked.
#[derive(Clone, Copy, Debug)]
pub enum Share {
    /// Every point of every step.
    All,
    /// One act in so many, chosen by the seed, and some undos.
    OneIn(usize),
    /// So many.
    Some(usize),
}

impl Share {
    fn of(self, all: usize) -> usize {
        match self {
            Self::All => all,
            Self::OneIn(number) => all.div_ceil(number),
            Self::Some(some) => some.min(all),
        }
    }
}

/// Points to die at, one after the other, in one operation.
pub type Deaths = Vec<String>;

/// Chooses what CI walks: by default the same at every run.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Self {
        let seed = std::env::var("OROCLOUD_FAILPOINT_SEED").ok().and_then(|seed| seed.parse().ok());
        Self(seed.unwrap_or(20_261_128))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    /// A share of the points of these steps, in the order of the steps.
    fn points(&mut self, steps: &[String], kinds: &[&str], share: Share) -> Vec<String> {
        let mut points: Vec<String> =
            steps.iter().flat_map(|step| kinds.iter().map(move |kind| format!("{step}/{kind}"))).collect();
        // To look once more at what went wrong.
        if let Ok(only) = std::env::var("OROCLOUD_FAILPOINT_ONLY") {
            points.retain(|point| point.contains(&only));
            return points;
        }
        let wanted = share.of(points.len());
        while points.len() > wanted {
            points.remove(self.below(points.len()));
        }
        points
    }

    /// Acts to die in.
    pub fn acts(&mut self, planned: &Planned, share: Share) -> Vec<Deaths> {
        self.points(&planned.steps, &POINTS, share).into_iter().map(|point| vec![point]).collect()
    }

    /// Acts to die in, and undos.
    pub fn acts_and_undos(&mut self, planned: &Planned, share: Share) -> Vec<Deaths> {
        let mut all = self.acts(planned, share);
        let before = &planned.steps[..planned.before];
        let share = match share {
            Share::All => Share::All,
            Share::OneIn(_) => Share::Some(UNDOS),
            Share::Some(some) => Share::Some(some / 2),
        };
        let undos = self.points(before, &UNDO_POINTS, share);
        all.extend(undos.into_iter().map(|point| vec![planned.last_before(), point]));
        all
    }
}

/// What came of a walk to one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// Somebody died there.
    Yes,
    /// Somebody died, and what is left cannot be used for the next one.
    UsedUp,
    /// The act was faster.
    No,
}

/// Walks to one point after another in a place that is kept as long as it is good. One that fails is told at the end,
/// and what comes after it is tried in a new place.
pub fn walk<P, D: Debug>(what: &str, points: Vec<D>, start: impl Fn() -> P, to: impl Fn(&mut P, &D) -> Met) {
    let (begun, all) = (Instant::now(), points.len());
    let mut place = None;
    let (mut met, mut places, mut failed) = (0, 0, Vec::new());
    for point in &points {
        if failed.len() >= MOST_FAILED {
            break;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            to(
                place.get_or_insert_with(|| {
                    places += 1;
                    start()
                }),
                point,
            )
        }));
        met += usize::from(matches!(outcome, Ok(Met::Yes | Met::UsedUp)));
        if outcome.is_err() {
            failed.push(point);
        }
        if !matches!(outcome, Ok(Met::Yes | Met::No)) {
            place = None;
        }
    }
    let seconds = begun.elapsed().as_secs();
    eprintln!("{what}: {all} points, {met} met, {places} sandboxes, {seconds} s; failed: {failed:?}");
    assert!(failed.is_empty() && met > 0, "{what}: {met} of {all} met, failed: {failed:#?}");
}
