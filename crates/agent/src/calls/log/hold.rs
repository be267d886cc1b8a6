//! Puts what comes from several nodes in order, by holding each entry back for a moment.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// How long an entry waits for earlier ones of other nodes. Whoever is silent holds nobody longer.
pub const HOLD: Duration = Duration::from_millis(20);

/// A time further ahead than this is a wrong clock.
const AHEAD: SignedDuration = SignedDuration::from_secs(1);

/// Time, node, place in what the node sent.
type Key = (Timestamp, usize, u64);

/// Entries that wait. Those of one stream (a file of a node) never overtake each other, whatever times they have:
/// a cursor stands behind all of them.
#[derive(Debug)]
pub struct HoldBack<T> {
    waiting: BinaryHeap<Reverse<Waiting<T>>>,
    arrived: VecDeque<(Instant, Key)>,
    /// Given out before their own moment had come.
    early: BTreeSet<u64>,
    release: Option<Key>,
    last: BTreeMap<(usize, u32), Timestamp>,
    /// Nothing of the node comes before this any more.
    floor: BTreeMap<usize, Timestamp>,
    count: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    key: Key,
    item: T,
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Waiting<T> {}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> Default for HoldBack<T> {
    fn default() -> Self {
        Self {
            waiting: BinaryHeap::new(),
            arrived: VecDeque::new(),
            early: BTreeSet::new(),
            release: None,
            last: BTreeMap::new(),
            floor: BTreeMap::new(),
            count: 0,
        }
    }
}

impl<T> HoldBack<T> {
    /// Takes in an entry that came now from a stream of a node.
    pub fn push(
        &mut self,
        now: Instant,
        clock: Timestamp,
        node: usize,
        stream: u32,
        time: Timestamp,
        item: T,
    ) {
        let latest = clock.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        let floor = self.floor.get(&node).copied().unwrap_or(Timestamp::MIN);
        let last = self.last.entry((node, stream)).or_insert(Timestamp::MIN);
        *last = time.min(latest).max(*last).max(floor);
        let key = (*last, node, self.count);
        self.wait(now, key, item);
    }

    /// Takes in something about a node: it stays behind everything that came from there before it, and in front of
    /// what comes later.
    pub fn push_mark(&mut self, now: Instant, node: usize, item: T) {
        let last = self.last.range((node, 0)..=(node, u32::MAX)).map(|(_, time)| *time).max();
        let floor = self.floor.entry(node).or_insert(Timestamp::MIN);
        *floor = last.unwrap_or(*floor).max(*floor);
        let key = (*floor, node, self.count);
        self.wait(now, key, item);
    }

    fn wait(&mut self, now: Instant, key: Key, item: T) {
        self.count += 1;
        self.arrived.push_back((now, key));
        self.waiting.push(Reverse(Waiting { key, item }));
    }

    /// The next entry whose moment has come, or that is before one whose moment has come.
    pub fn due(&mut self, now: Instant) -> Option<T> {
        while let Some((at, key)) = self.arrived.front().copied() {
            if self.early.remove(&key.2) {
                self.arrived.pop_front();
            } else if at + HOLD <= now {
                self.release = self.release.max(Some(key));
                self.arrived.pop_front();
                // It is given out below, and then not found here any more.
            } else {
                break;
            }
        }
        let release = self.release?;
        match self.waiting.peek() {
            Some(Reverse(first)) if first.key <= release => self.pop(),
            _ => {
                self.release = None;
                None
            }
        }
    }

    /// The next entry, whether or not its moment has come.
    pub fn pop(&mut self) -> Option<T> {
        let Reverse(first) = self.waiting.pop()?;
        // Arrivals are dropped in their order; what leaves before its turn is remembered until then.
        if self.arrived.front().is_some_and(|(_, key)| key.2 <= first.key.2) {
            self.early.insert(first.key.2);
        }
        Some(first.item)
    }

    /// When the next moment comes.
    pub fn next_due(&self) -> Option<Instant> {
        self.arrived.front().map(|(at, _)| *at + HOLD)
    }

    /// How many wait.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    #[test]
    fn what_comes_within_the_moment_is_put_in_order() {
        let begin = Instant::now();
        let after = |milliseconds| begin + Duration::from_millis(milliseconds);
        let clock = at(1000);
        let mut hold = HoldBack::default();
        hold.push(after(0), clock, 0, 0, at(5), "a5");
        hold.push(after(1), clock, 0, 1, at(9), "a9");
        hold.push(after(10), clock, 1, 0, at(3), "b3");
        hold.push(after(15), clock, 1, 0, at(7), "b7");
        assert_eq!(hold.due(after(19)), None);
        assert_eq!(hold.next_due(), Some(after(20)));
        assert_eq!(hold.due(after(20)), Some("b3"));
        assert_eq!(hold.due(after(20)), Some("a5"));
        assert_eq!(hold.due(after(20)), None);
        assert_eq!(hold.due(after(21)), Some("b7"));
        assert_eq!(hold.due(after(21)), Some("a9"));
        assert_eq!(hold.due(after(100)), None);
        assert_eq!((hold.next_due(), hold.len()), (None, 0));
    }

    #[test]
    fn a_wrong_clock_keeps_nothing_back_and_changes_no_order_within_a_stream() {
        let begin = Instant::now();
        let mut hold = HoldBack::default();
        hold.push(begin, at(1000), 0, 0, at(1_000_000), "future");
        hold.push(begin, at(1000), 0, 0, at(1001), "next");
        hold.push(begin, at(1000), 1, 0, at(1002), "other");
        let due: Vec<_> = std::iter::from_fn(|| hold.due(begin + HOLD)).collect();
        assert_eq!(due, ["other", "future", "next"]);
        // Two seconds later the stream is in order with others again.
        hold.push(begin, at(3000), 1, 0, at(2999), "b");
        hold.push(begin, at(3000), 0, 0, at(2998), "a");
        let due: Vec<_> = std::iter::from_fn(|| hold.due(begin + HOLD)).collect();
        assert_eq!(due, ["a", "b"]);
    }

    #[test]
    fn what_is_said_of_a_node_stays_between_its_entries() {
        let begin = Instant::now();
        let mut hold = HoldBack::default();
        hold.push(begin, at(1000), 0, 0, at(10), "before");
        hold.push_mark(begin, 0, "mark");
        hold.push(begin, at(1000), 0, 1, at(5), "after");
        hold.push(begin, at(1000), 1, 0, at(7), "other");
        hold.push_mark(begin, 2, "first of all");
        let due: Vec<_> = std::iter::from_fn(|| hold.due(begin + HOLD)).collect();
        assert_eq!(due, ["first of all", "other", "before", "mark", "after"]);
    }

    /// However entries of several streams arrive: all come out once, none is held longer than [`HOLD`], those of one
    /// stream keep their order, and those that waited at the same time are ordered by time and node.
    #[test]
    fn holds_for_any_arrivals() {
        let mut random = 99_u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let begin = Instant::now();
        for _ in 0..500 {
            let mut hold = HoldBack::default();
            let mut out = Vec::new();
            let mut now = 0;
            let mut clocks = [[0_u64; 2]; 3];
            let count = next(300);
            for number in 0..count {
                now += next(6);
                let instant = begin + Duration::from_millis(now);
                while let Some(item) = hold.due(instant) {
                    out.push((now, item));
                }
                let (node, stream) = (next(3) as usize, next(2) as usize);
                // Mostly on time, sometimes a little late, rarely out of order.
                let time = (100 + now).saturating_sub(next(25));
                let clock = &mut clocks[node][stream];
                *clock = time.max(*clock);
                let item = (now, *clock, node, stream, number);
                hold.push(instant, at(100 + now as i64), node, stream as u32, at(time as i64), item);
            }
            while let Some(due) = hold.next_due() {
                now = now.max((due - begin).as_millis() as u64);
                while let Some(item) = hold.due(due) {
                    out.push((now, item));
                }
            }
            assert_eq!((out.len() as u64, hold.len(), hold.early.len()), (count, 0, 0));
            for (place, (left, item)) in out.iter().enumerate() {
                assert!(left - item.0 <= HOLD.as_millis() as u64 + 5, "held too long");
                for (_, later) in &out[place + 1..] {
                    let same = (item.2, item.3) == (later.2, later.3);
                    assert!(!same || item.4 < later.4, "overtaken within a stream");
                    // Whoever came out later although earlier in time had not arrived by then.
                    let earlier = (later.1, later.2) < (item.1, item.2);
                    assert!(!earlier || later.0 >= *left, "{item:?} came before {later:?}");
                }
            }
        }
    }
}
