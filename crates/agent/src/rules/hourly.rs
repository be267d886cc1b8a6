//! When the agent takes a recovery point by itself.

use jiff::{SignedDuration, Timestamp};

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A recovery point is due.
    Now,
    /// Look again after this time.
    In(SignedDuration),
}

/// No longer than this is slept in one go: clocks jump, and machines sleep.
const LONGEST: SignedDuration = SignedDuration::from_secs(60);

const HOUR: i64 = 3600;

/// Every hour has one: due as soon as none was taken since the hour began, so also after an agent was away.
pub fn turn(newest: Option<Timestamp>, now: Timestamp) -> Turn {
    let into_hour = now.as_second().rem_euclid(HOUR);
    let began = now.as_second() - into_hour;
    match newest {
        Some(newest) if newest.as_second() >= began => {
            Turn::In(SignedDuration::from_secs(HOUR - into_hour).min(LONGEST))
        }
        _ => Turn::Now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_recovery_point_in_every_hour() {
        let at = |time: &str| format!("2026-11-24T{time}Z").parse::<Timestamp>().unwrap();
        let wait = |seconds| Turn::In(SignedDuration::from_secs(seconds));
        for (newest, now, expected) in [
            (None, "10:20:00", Turn::Now),
            (Some("10:20:00"), "10:30:00", wait(60)),
            (Some("10:20:00"), "10:59:50", wait(10)),
            (Some("10:20:00"), "11:00:00", Turn::Now),
            (Some("10:59:59"), "11:00:00", Turn::Now),
            (Some("11:00:04"), "11:00:05", wait(60)),
            // The clock went back.
            (Some("12:00:00"), "11:30:00", wait(60)),
        ] {
            assert_eq!(turn(newest.map(at), at(now)), expected, "{newest:?} {now}");
        }
    }
}
