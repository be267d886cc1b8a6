//! Points in time as people type them. Which moment is meant must never be a guess: a restore goes there.

use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};
use orocloud_protocol::CallError;

/// Formats in which a bare date and time are read.
const FORMS: &[&str] = &["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

/// Reads a moment with an offset, `Z` or a zone's name; `local` is the zone of this machine, for the two readings
/// that a bare time is answered with.
pub fn parse(option: &str, text: &str, local: &TimeZone) -> Result<Timestamp, CallError> {
    let text = text.trim();
    let wrong = || {
        CallError::usage(format!("{option}={text} is no point in time")).hint(format!(
            "write it with an offset, `Z` or a zone: {option}=2026-11-24T10:32:00Z or {option}=\"2026-11-24 12:32 Europe/Kyiv\""
        ))
    };
    if let Some(civil) = civil(text) {
        return Err(bare(option, text, civil, local));
    }
    if let Some((date_time, zone)) = text.rsplit_once(' ')
        && let Some(civil) = civil(date_time.trim())
        && zone.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        if matches!(zone, "Z" | "z" | "UTC" | "GMT") {
            return TimeZone::UTC.to_timestamp(civil).map_err(|_| wrong());
        }
        let zone = TimeZone::get(zone).map_err(|_| {
            CallError::usage(format!("{option}={text}: there is no time zone named {zone:?}")).hint(format!(
                "write a name like Europe/Kyiv, or an offset: {option}=2026-11-24T12:32:00+02:00"
            ))
        })?;
        return in_zone(option, text, civil, &zone);
    }
    // `2026-11-24 12:32 +02:00` and a missing `:SS` are what people type; the parser wants neither.
    let joined = match text.rsplit_once(' ') {
        Some((date_time, offset)) if offset.starts_with(['+', '-']) => format!("{date_time}{offset}"),
        _ => text.to_owned(),
    };
    if let Some(bracket) = joined.find('[') {
        return DateTimeParser::new().parse_zoned(&joined).map(|zoned: Zoned| zoned.timestamp()).map_err(
            |error| {
                wrong().because(format!("{error}")).because(format!("its zone is {}", &joined[bracket..]))
            },
        );
    }
    DateTimeParser::new().parse_timestamp(&joined).map_err(|_| wrong())
}

/// A date and time without zone.
fn civil(text: &str) -> Option<DateTime> {
    FORMS.iter().find_map(|form| DateTime::strptime(form, text).ok())
}

fn bare(option: &str, text: &str, civil: DateTime, local: &TimeZone) -> CallError {
    let mut error = CallError::usage(format!("{option}={text} does not say in which time zone"));
    let utc = TimeZone::UTC.to_timestamp(civil).ok();
    if let Some(utc) = utc {
        error = error.because(format!("in UTC it is {utc}"));
    }
    let here = local.to_ambiguous_zoned(civil);
    if let (false, Ok(here)) = (here.is_ambiguous(), here.clone().compatible()) {
        let offset = here.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        error = error.because(format!("in the zone of this machine it is {offset}"));
        error = error.hint(format!("if you mean your local time: {option}={offset}"));
    }
    match utc {
        Some(utc) => error.hint(format!("if you mean UTC: {option}={utc}")),
        None => error,
    }
}

fn in_zone(option: &str, text: &str, civil: DateTime, zone: &TimeZone) -> Result<Timestamp, CallError> {
    let ambiguous = zone.to_ambiguous_zoned(civil);
    let show = |zoned: &Zoned| zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let what = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => {
            return ambiguous.unambiguous().map(|zoned| zoned.timestamp()).map_err(|error| {
                CallError::usage(format!("{option}={text} is no point in time"))
                    .because(error)
                    .hint(format!("write it with an offset: {option}=2026-11-24T12:32:00+02:00"))
            });
        }
        AmbiguousOffset::Gap { .. } => "does not exist: the clocks are put forward over it",
        AmbiguousOffset::Fold { .. } => "happens twice: the clocks are put back over it",
    };
    let mut error = CallError::usage(format!("{option}={text} {what}"));
    for zoned in [ambiguous.clone().earlier(), ambiguous.later()].into_iter().flatten() {
        error = error.because(format!("it could be {}, that is {}", show(&zoned), zoned.timestamp()));
        error = error.hint(format!("if you mean that one: {option}={}", show(&zoned)));
    }
    Err(error)
}

/// The same moment in UTC and in local time, for a person to check.
pub fn in_words(moment: Timestamp, local: &TimeZone) -> String {
    let here = moment.to_zoned(local.clone());
    format!("{moment} ({})", here.strftime("%Y-%m-%d %H:%M:%S %:z %Z"))
}

/// Refuses what has not happened yet.
pub fn past(option: &str, moment: Timestamp, now: Timestamp, local: &TimeZone) -> Result<(), CallError> {
    if moment <= now {
        return Ok(());
    }
    Err(CallError::usage(format!("{option} lies in the future: {}", in_words(moment, local)))
        .because(format!("now it is {}", in_words(now, local)))
        .hint("see what can be restored: orocloud-cli backup:window"))
}

/// A moment in a table: local time, to the second.
pub fn short(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kyiv() -> TimeZone {
        TimeZone::get("Europe/Kyiv").unwrap()
    }

    #[test]
    fn moments_are_read() {
        for (text, moment) in [
            ("2026-11-24T10:32:00Z", "2026-11-24T10:32:00Z"),
            ("2026-11-24 10:32:00Z", "2026-11-24T10:32:00Z"),
            ("2026-11-24T10:32Z", "2026-11-24T10:32:00Z"),
            ("2026-11-24T12:32:00+02:00", "2026-11-24T10:32:00Z"),
            ("2026-11-24 12:32 +02:00", "2026-11-24T10:32:00Z"),
            ("2026-11-24 12:32:00 +0200", "2026-11-24T10:32:00Z"),
            ("2026-11-24 12:32 Europe/Kyiv", "2026-11-24T10:32:00Z"),
            ("2026-11-24 12:32:01.25 Europe/Kyiv", "2026-11-24T10:32:01.25Z"),
            ("2026-11-24T12:32:00+02:00[Europe/Kyiv]", "2026-11-24T10:32:00Z"),
            ("2026-11-24 10:32:00 UTC", "2026-11-24T10:32:00Z"),
            ("2026-11-24 10:32:00+00", "2026-11-24T10:32:00Z"),
        ] {
            assert_eq!(parse("--to", text, &kyiv()).unwrap().to_string(), moment, "{text}");
        }
    }

    #[test]
    fn what_could_be_two_moments_is_refused_with_both() {
        for (text, parts) in [
            ("2026-11-24 12:32", ["--to=2026-11-24T12:32:00+02:00", "--to=2026-11-24T12:32:00Z"]),
            ("2026-11-24T12:32:00", ["--to=2026-11-24T12:32:00+02:00", "--to=2026-11-24T12:32:00Z"]),
            // The clocks in Kyiv: put back from 4 to 3 on 25 October, put forward from 3 to 4 on 29 March.
            (
                "2026-10-25 03:30 Europe/Kyiv",
                ["--to=2026-10-25T03:30:00+03:00", "--to=2026-10-25T03:30:00+02:00"],
            ),
            (
                "2026-03-29 03:30 Europe/Kyiv",
                ["--to=2026-03-29T02:30:00+02:00", "--to=2026-03-29T04:30:00+03:00"],
            ),
        ] {
            let error = parse("--to", text, &kyiv()).unwrap_err();
            assert_eq!(error.kind.exit_code(), 2, "{text}");
            for part in parts {
                assert!(error.hints.iter().any(|hint| hint.ends_with(part)), "{text}: {error:?}");
            }
        }
    }

    #[test]
    fn nonsense_and_the_future_are_refused() {
        for text in [
            "",
            "now",
            "2026-13-01T00:00:00Z",
            "2026-11-24",
            "10:32",
            "2026-11-24 10:32 Middle/Earth",
            "2026-11-24T25:00:00Z",
        ] {
            let error = parse("--to", text, &kyiv()).unwrap_err();
            assert!(!error.hints.is_empty(), "{text}");
        }
        let now: Timestamp = "2026-11-24T10:32:00Z".parse().unwrap();
        past("--to", now, now, &kyiv()).unwrap();
        let later: Timestamp = "2026-11-24T10:32:01Z".parse().unwrap();
        let error = past("--to", later, now, &kyiv()).unwrap_err();
        assert!(error.to_string().contains("2026-11-24 12:32:01 +02:00 EET"), "{error}");
    }
}
