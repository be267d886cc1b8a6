//! Which releases stay on the nodes, and to which one a rollback goes.

use orocloud_protocol::ReleaseName;

use crate::releases::Entry;

/// How many good releases are kept; those that failed do not count.
pub const KEPT: usize = 5;

/// Releases that stay once `current` is served in place of `previous`: both of them, and the newest that proved good,
/// [`KEPT`] in all.
pub fn kept(history: &[Entry], current: &ReleaseName, previous: Option<&ReleaseName>) -> Vec<ReleaseName> {
    let mut kept = vec![current.clone()];
    kept.extend(previous.filter(|previous| *previous != current).cloned());
    for entry in newest_first(history) {
        if kept.len() >= KEPT {
            break;
        }
        if !kept.contains(&entry.version.release) {
            kept.push(entry.version.release.clone());
        }
    }
    kept
}

/// Where a rollback goes that names no release: to the one that proved good last, other than what is served.
pub fn last_good<'a>(history: &'a [Entry], current: &ReleaseName) -> Option<&'a Entry> {
    newest_first(history).into_iter().find(|entry| entry.version.release != *current)
}

fn newest_first(history: &[Entry]) -> Vec<&Entry> {
    let mut good: Vec<&Entry> = history.iter().filter(|entry| entry.accepted_at.is_some()).collect();
    good.sort_by_key(|entry| std::cmp::Reverse(entry.accepted_at));
    good
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use orocloud_protocol::CallId;
    use orocloud_protocol::backup::CodeVersion;

    use super::*;

    fn name(number: u32) -> ReleaseName {
        format!("202611241032{number:02}").parse().unwrap()
    }

    /// Releases by number; one that proved good has the hour in which it did.
    fn history(of: &[(u32, Option<i64>)]) -> Vec<Entry> {
        of.iter()
            .map(|(number, accepted)| {
                let version = CodeVersion {
                    release: name(*number),
                    reference: "1.0.0".parse().unwrap(),
                    commit: String::new(),
                    package: "a".repeat(64).parse().unwrap(),
                };
                let mut entry = Entry::new(version, CallId::from_parts(1, 1), "dora", Timestamp::UNIX_EPOCH);
                entry.accepted_at = accepted.map(|hour| Timestamp::from_second(hour * 3600).unwrap());
                entry
            })
            .collect()
    }

    #[test]
    fn five_good_ones_stay_and_failed_ones_do_not_count() {
        let kept = |of: &[(u32, Option<i64>)], current, previous: Option<u32>| {
            let previous = previous.map(name);
            kept(&history(of), &name(current), previous.as_ref())
                .iter()
                .map(|kept| kept.as_str()[12..].parse::<u32>().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(kept(&[], 1, None), [1]);
        // One good and five failed ones: the good one stays.
        let failed = [(1, Some(1)), (2, None), (3, None), (4, None), (5, None), (6, None)];
        assert_eq!(kept(&failed, 7, Some(1)), [7, 1]);
        let good: Vec<_> = (1..=8).map(|number| (number, Some(i64::from(number)))).collect();
        assert_eq!(kept(&good, 9, Some(8)), [9, 8, 7, 6, 5]);
        // After a rollback to an old one, that is the previous one.
        assert_eq!(kept(&good, 9, Some(2)), [9, 2, 8, 7, 6]);
        assert_eq!(kept(&good, 8, Some(8)), [8, 7, 6, 5, 4]);
    }

    #[test]
    fn a_rollback_goes_to_what_proved_good_last() {
        let history = history(&[(1, Some(1)), (2, Some(9)), (3, None), (4, Some(4))]);
        assert_eq!(last_good(&history, &name(4)).unwrap().version.release, name(2));
        assert_eq!(last_good(&history, &name(2)).unwrap().version.release, name(4));
        assert_eq!(last_good(&history[..1], &name(1)), None);
    }
}
