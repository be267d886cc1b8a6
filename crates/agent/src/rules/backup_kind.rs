//! Whether the next database backup is full, differential or incremental.

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::backup::DatabaseBackup;

/// A full backup older than this is not built upon.
const FULL_EVERY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A differential backup older than this is not built upon: it bounds how many sets a restore reads.
const DIFFERENTIAL_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// `full` when there is none or the last one is too old, `diff` once a day, else `incr`.
pub fn next_kind(backups: &[DatabaseBackup], now: Timestamp) -> &'static str {
    let newest = |kinds: &[&str]| {
        backups.iter().filter(|backup| kinds.contains(&backup.kind.as_str())).map(|b| b.started_at).max()
    };
    let older_than = |at: Timestamp, limit| now.duration_since(at) > limit;
    match newest(&["full"]) {
        None => "full",
        Some(full) if older_than(full, FULL_EVERY) => "full",
        Some(_) => match newest(&["full", "diff"]) {
            Some(base) if older_than(base, DIFFERENTIAL_EVERY) => "diff",
            _ => "incr",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_full_a_week_and_one_differential_a_day() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let backup = |kind: &str, hours: i64| {
            let at = now - SignedDuration::from_hours(hours);
            DatabaseBackup {
                set: String::new(),
                kind: kind.into(),
                timeline: 1,
                stop_lsn: "0/1".into(),
                started_at: at,
                stopped_at: at,
                size: 0,
                stored: 0,
            }
        };
        for (backups, expected) in [
            (vec![], "full"),
            (vec![backup("full", 1)], "incr"),
            (vec![backup("full", 30)], "diff"),
            (vec![backup("full", 30), backup("incr", 2)], "diff"),
            (vec![backup("full", 30), backup("diff", 3)], "incr"),
            (vec![backup("full", 169), backup("diff", 3)], "full"),
        ] {
            assert_eq!(next_kind(&backups, now), expected, "{backups:?}");
        }
    }
}
