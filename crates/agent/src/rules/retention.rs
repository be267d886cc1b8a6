//! Which recovery points stay, for how long, and why.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use orocloud_protocol::PointName;

use crate::environment::Keep;

/// What the rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The recovery point.
    pub name: PointName,
    /// Its moment.
    pub at: Timestamp,
    /// Somebody asked to keep it so long.
    pub keep_until: Option<Timestamp>,
}

/// What becomes of a recovery point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The recovery point.
    pub name: PointName,
    /// Whether it stays.
    pub keep: bool,
    /// Why: `newest`, `asked`, `hourly`, `weekly`, `monthly`, or `expired`.
    pub reason: &'static str,
    /// When it goes; absent while it is the newest.
    pub expires_at: Option<Timestamp>,
}

/// The verdict on each, in the order given. Days and weeks are UTC's.
///
/// Every point is kept some days; the last of a Sunday some weeks; the last of the last Sunday of a month some
/// months; and the newest in any case.
pub fn retain(points: &[Candidate], keep: Keep, now: Timestamp) -> Vec<Verdict> {
    let newest =
        points.iter().max_by_key(|point| (point.at, point.name.clone())).map(|point| point.name.clone());
    let mut last_of_day: std::collections::BTreeMap<Date, (Timestamp, &PointName)> = Default::default();
    for point in points {
        let slot = last_of_day.entry(day(point.at)).or_insert((point.at, &point.name));
        if (point.at, &point.name) > *slot {
            *slot = (point.at, &point.name);
        }
    }
    let weekly: BTreeSet<&PointName> = last_of_day
        .iter()
        .filter(|(day, _)| day.weekday() == Weekday::Sunday)
        .map(|(_, (_, name))| *name)
        .collect();
    let monthly: BTreeSet<&PointName> =
        last_of_day.iter().filter(|(day, _)| is_last_sunday(**day)).map(|(_, (_, name))| *name).collect();
    points
        .iter()
        .map(|point| {
            let mut reasons: Vec<(Timestamp, &'static str)> =
                vec![(after(point.at, i64::from(keep.hourly_days).days()), "hourly")];
            if weekly.contains(&point.name) {
                reasons.push((after(point.at, (i64::from(keep.weekly_weeks) * 7).days()), "weekly"));
            }
            if monthly.contains(&point.name) {
                reasons.push((after(point.at, i64::from(keep.monthly_months).months()), "monthly"));
            }
            if let Some(until) = point.keep_until {
                reasons.push((until, "asked"));
            }
            // The first of those that reach furthest, so that equal ends name the plainer reason.
            let (expires_at, reason) = reasons
                .into_iter()
                .reduce(|best, next| if next.0 > best.0 { next } else { best })
                .unwrap_or((point.at, "expired"));
            if newest.as_ref() == Some(&point.name) {
                let reason = if expires_at > now { reason } else { "newest" };
                return Verdict { name: point.name.clone(), keep: true, reason, expires_at: None };
            }
            let keep = expires_at > now;
            let reason = if keep { reason } else { "expired" };
            Verdict { name: point.name.clone(), keep, reason, expires_at: Some(expires_at) }
        })
        .collect()
}

/// From when on every moment is promised: WAL before it is kept for the backups' own sake alone.
pub fn every_moment_since(keep: Keep, now: Timestamp) -> Timestamp {
    let days = i64::from(keep.hourly_days).days();
    now.to_zoned(TimeZone::UTC).checked_sub(days).map_or(Timestamp::MIN, |zoned| zoned.timestamp())
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn is_last_sunday(day: Date) -> bool {
    day.weekday() == Weekday::Sunday && day.day() > day.days_in_month() - 7
}

fn after(at: Timestamp, span: Span) -> Timestamp {
    at.to_zoned(TimeZone::UTC).checked_add(span).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at: &str, keep_until: Option<&str>) -> Candidate {
        let at: Timestamp = at.parse().unwrap();
        let name = at.strftime("%Y-%m-%d-%H%M").to_string().parse().unwrap();
        Candidate { name, at, keep_until: keep_until.map(|until| until.parse().unwrap()) }
    }

    /// The reason for each moment, with `now` at the end of 2026-11-24, a Tuesday.
    fn reasons(points: &[Candidate]) -> Vec<&'static str> {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        retain(points, Keep::default(), now).iter().map(|verdict| verdict.reason).collect()
    }

    #[test]
    fn each_point_is_kept_for_the_reason_that_reaches_furthest() {
        // Sundays: 2026-11-22, -15, -08, -01 and the last of October, -25.
        let points = [
            point("2026-11-24T11:00:00Z", None),
            point("2026-11-23T11:00:00Z", None),
            point("2026-11-17T12:30:00Z", None),
            point("2026-11-17T11:00:00Z", None),
            point("2026-11-17T10:00:00Z", Some("2026-12-01T00:00:00Z")),
            point("2026-11-08T23:00:00Z", None),
            point("2026-11-08T22:00:00Z", None),
            point("2026-10-25T23:00:00Z", None),
            point("2026-10-18T23:00:00Z", None),
            point("2025-11-30T23:00:00Z", None),
            point("2025-10-26T23:00:00Z", None),
        ];
        assert_eq!(
            reasons(&points),
            [
                "hourly", "hourly", "hourly", "expired", "asked", "weekly", "expired", "monthly", "expired",
                "monthly", "expired"
            ]
        );
    }

    #[test]
    fn the_newest_stays_however_old() {
        assert_eq!(reasons(&[point("2020-01-01T00:00:00Z", None)]), ["newest"]);
        assert_eq!(reasons(&[]), [""; 0]);
    }

    #[test]
    fn the_promise_of_every_moment_reaches_back_the_days_of_the_policy() {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        assert_eq!(every_moment_since(Keep::default(), now).to_string(), "2026-11-17T12:00:00Z");
    }
}
