//! Durations as people type and read them.

use std::time::Duration;

const UNITS: &[(&str, u64)] =
    &[("ms", 1), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];

/// Reads `1d3h15m`, `90s`, `1h 30m` or a bare number of seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; expected one like 90s, 15m or 1d3h15m");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    if let Ok(seconds) = rest.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let (mut total, mut last) = (0u64, u64::MAX);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let (unit, milliseconds) = UNITS
            .iter()
            .find(|(unit, _)| {
                rest.strip_prefix(unit)
                    .is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphabetic()))
            })
            .ok_or_else(wrong)?;
        // Descending units, each once: `1m1h` is a slip, not a wish.
        if *milliseconds >= last {
            return Err(wrong());
        }
        last = *milliseconds;
        let part = number.checked_mul(*milliseconds).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = rest[unit.len()..].trim_start();
    }
    Ok(Duration::from_millis(total))
}

/// Shows how long a step took, as the documentation does: `5ms`, `59s 77ms`, `346s 741ms`.
pub fn took(milliseconds: u64) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    if seconds == 0 { format!("{rest}ms") } else { format!("{seconds}s {rest}ms") }
}

/// Shows a span in its two largest units: `2d 3h`, `15m 15s`, `8s`.
pub fn about(seconds: u64) -> String {
    let parts =
        [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let first = parts.iter().position(|(number, _)| *number > 0).unwrap_or(3);
    parts[first..]
        .iter()
        .take(2)
        .enumerate()
        .filter(|(place, (number, _))| *place == 0 || *number > 0)
        .map(|(_, (number, unit))| format!("{number}{unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("90s", 90),
            ("90", 90),
            ("1d3h15m", 98_100),
            ("1h 30m", 5400),
            ("15m", 900),
            ("2w", 1_209_600),
            ("0s", 0),
        ] {
            assert_eq!(parse(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        assert_eq!(parse("250ms").unwrap(), Duration::from_millis(250));
        for text in [
            "",
            "s",
            "1x",
            "1m1h",
            "1h1h",
            "-5s",
            "1.5h",
            "99999999999999999999d",
            "18446744073709551615w",
            "1hour",
            "m5",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown() {
        for (milliseconds, text) in [(5, "5ms"), (1020, "1s 20ms"), (346_741, "346s 741ms")] {
            assert_eq!(took(milliseconds), text);
        }
        for (seconds, text) in [(0, "0s"), (8, "8s"), (915, "15m 15s"), (183_600, "2d 3h"), (172_800, "2d")] {
            assert_eq!(about(seconds), text);
        }
    }
}
