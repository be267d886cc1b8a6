//! How long things usually take.

use std::collections::BTreeMap;
use std::time::Duration;

/// The median of what each took in several runs; of an even number the longer one of the two in the middle, since
/// nobody minds what is over sooner.
pub fn usual<K: Ord>(taken: impl IntoIterator<Item = (K, Duration)>) -> BTreeMap<K, Duration> {
    let mut all: BTreeMap<K, Vec<Duration>> = BTreeMap::new();
    for (what, took) in taken {
        all.entry(what).or_default().push(took);
    }
    all.into_iter()
        .filter_map(|(what, mut took)| {
            took.sort_unstable();
            Some((what, *took.get(took.len() / 2)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_run_does_not_make_it_slow() {
        for (seconds, expected) in
            [(vec![4], 4), (vec![1, 9], 9), (vec![2, 100, 3], 3), (vec![5, 1, 2, 90], 5)]
        {
            let taken = seconds.iter().map(|seconds| ("step", Duration::from_secs(*seconds)));
            assert_eq!(usual(taken)["step"], Duration::from_secs(expected), "{seconds:?}");
        }
        assert!(usual::<&str>([]).is_empty());
    }
}
