//! Finds the time with which a line of a log begins. A line that has one begins an entry; one that has none goes on
//! with the entry before it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// How far into a line a time is looked for.
pub const LOOK: usize = 256;

/// Reads times; remembers the last offset of local times, since a lookup in the time zone costs more than all the
/// rest of a line.
#[derive(Clone, Debug)]
pub struct Times {
    zone: TimeZone,
    /// Fills in the year where a format leaves it out.
    now: Timestamp,
    cached: Option<(Civil, Vec<u8>, i32)>,
}

/// A time and the bytes it took, from the start of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The moment.
    pub time: Timestamp,
    /// What follows it begins here.
    pub length: usize,
}

/// A moment on a clock whose offset is not yet known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Times {
    /// Times without an offset are taken as local in `zone`.
    pub fn new(zone: TimeZone, now: Timestamp) -> Self {
        Self { zone, now, cached: None }
    }

    /// Sets the clock that fills in years.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// The time with which this line begins.
    pub fn stamp(&mut self, line: &[u8]) -> Option<Stamp> {
        let line = &line[..line.len().min(LOOK)];
        match *line.first()? {
            b'[' => {
                let stamp = self.at(&line[1..])?;
                let rest = &line[1 + stamp.length..];
                rest.starts_with(b"]").then_some(Stamp { length: stamp.length + 2, ..stamp })
            }
            b'0'..=b'9' => self.at(line).or_else(|| seconds(line)).or_else(|| self.access(line)),
            b'<' => self.syslog(line),
            b'{' => self.json(line),
            b' ' | b'\t' | b'#' | b'\n' => None,
            _ => self.month_first(line).or_else(|| self.access(line)),
        }
    }

    /// One of the forms that begin with a date.
    fn at(&mut self, text: &[u8]) -> Option<Stamp> {
        match (text.get(2)?, text.get(4)?) {
            (b'/' | b'-', _) => self.day_first(text),
            (_, b'-' | b'/') => self.year_first(text),
            _ => None,
        }
    }

    /// `2026-11-24T10:32:00.123456+00:00`, `2026-11-24 10:32:00.123 UTC`, `2026/11/24 10:32:00`.
    fn year_first(&mut self, text: &[u8]) -> Option<Stamp> {
        let separator = text[4];
        if text.len() < 19 || text[7] != separator || !matches!(text[10], b'T' | b't' | b' ') {
            return None;
        }
        let civil = Civil {
            year: i16::try_from(digits(&text[..4])?).ok()?,
            month: small(&text[5..7])?,
            day: small(&text[8..10])?,
            ..clock(&text[11..19])?
        };
        let (nanoseconds, length) = fraction(text, 19);
        // nginx writes no zone here, and what follows its time (`[error]`) must not be taken for one.
        if separator == b'/' {
            return self.local(civil, nanoseconds, b"", length);
        }
        self.zoned(civil, nanoseconds, text, length)
    }

    /// `24/Nov/2026:10:32:00 +0000`, `24-Nov-2026 10:32:00`, `24-Nov-2026 10:32:00 Europe/Kyiv`.
    fn day_first(&mut self, text: &[u8]) -> Option<Stamp> {
        if text.len() < 20 || text[6] != text[2] || !matches!(text[11], b':' | b' ') {
            return None;
        }
        let civil = Civil {
            year: i16::try_from(digits(&text[7..11])?).ok()?,
            month: month(&text[3..6])?,
            day: small(&text[..2])?,
            ..clock(&text[12..20])?
        };
        let (nanoseconds, length) = fraction(text, 20);
        self.zoned(civil, nanoseconds, text, length)
    }

    /// `Nov 24 10:32:00`, as syslog writes it: the year is the one that makes it the past.
    fn month_first(&mut self, text: &[u8]) -> Option<Stamp> {
        if text.len() < 15 || text[3] != b' ' || text[6] != b' ' {
            return None;
        }
        let day = if text[4] == b' ' { small(&text[5..6])? } else { small(&text[4..6])? };
        let year = self.now.to_zoned(self.zone.clone()).year();
        let civil = Civil { year, month: month(&text[..3])?, day, ..clock(&text[7..15])? };
        let stamp = self.local(civil, 0, b"", 15)?;
        if stamp.time.as_second() > self.now.as_second() + 86_400 {
            return self.local(Civil { year: year - 1, ..civil }, 0, b"", 15);
        }
        Some(stamp)
    }

    /// `10.0.0.1 - ann [24/Nov/2026:10:32:00 +0000] "GET / …`: the time stands behind the client.
    fn access(&mut self, line: &[u8]) -> Option<Stamp> {
        let bracket = memchr::memmem::find(line, b" [")? + 2;
        let inner = &line[bracket..];
        let stamp = if inner.get(2) == Some(&b'/') {
            self.day_first(inner)?
        } else if memchr::memmem::find(&line[..bracket], b" - ").is_some() && inner.get(4) == Some(&b'-') {
            self.year_first(inner)?
        } else {
            return None;
        };
        inner[stamp.length..]
            .starts_with(b"]")
            .then_some(Stamp { length: bracket + stamp.length + 1, ..stamp })
    }

    /// `<34>1 2026-11-24T10:32:00Z host …` and `<34>Nov 24 10:32:00 host …`.
    fn syslog(&mut self, line: &[u8]) -> Option<Stamp> {
        let mut begin = memchr::memchr(b'>', &line[..line.len().min(5)])? + 1;
        digits(&line[1..begin - 1])?;
        if line[begin..].starts_with(b"1 ") {
            begin += 2;
        }
        let rest = &line[begin..];
        let stamp = self.at(rest).or_else(|| self.month_first(rest))?;
        Some(Stamp { length: begin + stamp.length, ..stamp })
    }

    /// `{"time":"2026-11-24T10:32:00Z",…}`: only when it stands near the start.
    fn json(&mut self, line: &[u8]) -> Option<Stamp> {
        const KEYS: [&[u8]; 5] =
            [b"\"time\":\"", b"\"timestamp\":\"", b"\"@timestamp\":\"", b"\"datetime\":\"", b"\"ts\":\""];
        KEYS.iter().find_map(|key| {
            let begin = memchr::memmem::find(line, key)? + key.len();
            let stamp = self.at(&line[begin..])?;
            Some(Stamp { length: begin + stamp.length, ..stamp })
        })
    }

    /// Reads the zone at `length`, if there is one.
    fn zoned(&mut self, civil: Civil, nanoseconds: i32, text: &[u8], length: usize) -> Option<Stamp> {
        if let Some((offset, end)) = offset(text, length) {
            return civil.with_offset(offset, nanoseconds, end);
        }
        if text.get(length) == Some(&b' ') {
            let name = &text[length + 1..];
            if let Some((offset, end)) = offset(text, length + 1) {
                return civil.with_offset(offset, nanoseconds, end);
            }
            let end = name
                .iter()
                .position(|b| !(b.is_ascii_alphabetic() || matches!(b, b'/' | b'_')))
                .unwrap_or(name.len());
            let name = &name[..end];
            if matches!(name, b"UTC" | b"GMT") {
                return civil.with_offset(0, nanoseconds, length + 1 + end);
            }
            // An abbreviation like EET is that of the node; a full name (PHP writes it) says which.
            let is_zone = name.contains(&b'/')
                || ((3..=5).contains(&name.len()) && name.iter().all(u8::is_ascii_uppercase));
            // `2026-11-24 10:32:00 ERROR …` has no zone: a level is none.
            if is_zone && super::level::word(name).is_none() {
                return self.local(civil, nanoseconds, name, length + 1 + end);
            }
        }
        self.local(civil, nanoseconds, b"", length)
    }

    fn local(&mut self, civil: Civil, nanoseconds: i32, name: &[u8], length: usize) -> Option<Stamp> {
        let hour = Civil { minute: 0, second: 0, ..civil };
        // Offsets change at full quarters of an hour only, nearly always at full hours.
        let key = Civil { minute: civil.minute - civil.minute % 15, ..hour };
        if let Some((cached, cached_name, offset)) = &self.cached
            && *cached == key
            && cached_name == name
        {
            return civil.with_offset(*offset, nanoseconds, length);
        }
        let named = std::str::from_utf8(name)
            .ok()
            .filter(|name| name.contains('/'))
            .and_then(|name| TimeZone::get(name).ok());
        let zone = named.as_ref().unwrap_or(&self.zone);
        let datetime = DateTime::new(
            civil.year,
            i8::try_from(civil.month).ok()?,
            i8::try_from(civil.day).ok()?,
            i8::try_from(civil.hour).ok()?,
            i8::try_from(civil.minute).ok()?,
            0,
            0,
        )
        .ok()?;
        let offset = zone.to_zoned(datetime).ok()?.offset().seconds();
        self.cached = Some((key, name.to_owned(), offset));
        civil.with_offset(offset, nanoseconds, length)
    }
}

impl Civil {
    fn with_offset(self, offset: i32, nanoseconds: i32, length: usize) -> Option<Stamp> {
        const LENGTHS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        if self.hour > 23
            || self.minute > 59
            || self.second > 60
            || self.day == 0
            || self.day > *LENGTHS.get(usize::from(self.month).checked_sub(1)?)?
        {
            return None;
        }
        // Days since the epoch, with years that begin in March (Hinnant, "chrono-compatible low-level date algorithms").
        let month = i64::from(self.month);
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        let seconds = days * 86_400
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second.min(59))
            - i64::from(offset);
        Some(Stamp { time: Timestamp::new(seconds, nanoseconds).ok()?, length })
    }
}

/// `1795516320.123 …`, nginx's `$msec`.
fn seconds(line: &[u8]) -> Option<Stamp> {
    if line.len() < 15 || line[10] != b'.' || line[14] != b' ' {
        return None;
    }
    let whole = digits(&line[..10])?;
    let milliseconds = i32::try_from(digits(&line[11..14])?).ok()?;
    Some(Stamp { time: Timestamp::new(i64::from(whole), milliseconds * 1_000_000).ok()?, length: 14 })
}

fn digits(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| value.wrapping_mul(10).wrapping_add(u32::from(digit)))
    })
}

fn small(text: &[u8]) -> Option<u8> {
    digits(text).and_then(|value| u8::try_from(value).ok())
}

/// `10:32:00`; the date is left for the caller.
fn clock(text: &[u8]) -> Option<Civil> {
    if text[2] != b':' || text[5] != b':' {
        return None;
    }
    Some(Civil {
        year: 0,
        month: 0,
        day: 0,
        hour: small(&text[..2])?,
        minute: small(&text[3..5])?,
        second: small(&text[6..8])?,
    })
}

/// `.123456` or `,123` at this place, in nanoseconds, and what comes behind.
fn fraction(text: &[u8], at: usize) -> (i32, usize) {
    if !matches!(text.get(at), Some(b'.' | b',')) {
        return (0, at);
    }
    let mut end = at + 1;
    let (mut value, mut unit) = (0, 100_000_000);
    while let Some(digit) = text.get(end).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        value += i32::from(digit) * unit;
        unit /= 10;
        end += 1;
    }
    if end == at + 1 { (0, at) } else { (value, end) }
}

/// `Z`, `+02`, `+0200` or `+02:00` at this place, in seconds, and what comes behind.
fn offset(text: &[u8], at: usize) -> Option<(i32, usize)> {
    // nginx's access log puts a blank before it.
    let at = if text.get(at) == Some(&b' ') && matches!(text.get(at + 1), Some(b'+' | b'-')) {
        at + 1
    } else {
        at
    };
    let sign = match text.get(at)? {
        b'Z' | b'z' => return Some((0, at + 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = i32::from(small(text.get(at + 1..at + 3)?)?);
    let (minutes, end) = match text.get(at + 3) {
        Some(b':') => (small(text.get(at + 4..at + 6)?)?, at + 6),
        Some(byte) if byte.is_ascii_digit() => (small(text.get(at + 3..at + 5)?)?, at + 5),
        _ => (0, at + 3),
    };
    (hours < 24).then_some((sign * (hours * 3600 + i32::from(minutes) * 60), end))
}

fn month(text: &[u8]) -> Option<u8> {
    const NAMES: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    NAMES.iter().position(|name| *name == text).and_then(|at| u8::try_from(at + 1).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> Times {
        Times::new(TimeZone::get("Europe/Kyiv").unwrap(), "2026-11-24T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn every_form_is_read() {
        for (line, time, rest) in [
            (
                "[2026-11-24T10:32:00.123456+00:00] app.ERROR: x",
                "2026-11-24T10:32:00.123456Z",
                " app.ERROR: x",
            ),
            ("[2026-11-24 10:32:00] app.ERROR: x", "2026-11-24T08:32:00Z", " app.ERROR: x"),
            (
                "2026-11-24T10:32:00.250+02:00 10.0.0.1 \"GET /",
                "2026-11-24T08:32:00.25Z",
                " 10.0.0.1 \"GET /",
            ),
            ("10.0.0.1 - - [24/Nov/2026:10:32:00 +0000] \"GET", "2026-11-24T10:32:00Z", " \"GET"),
            ("shop:80 10.0.0.1 - ann [24/Nov/2026:10:32:00 -0130] x", "2026-11-24T12:02:00Z", " x"),
            ("::1 - - [2026-11-24T10:32:00Z] \"GET", "2026-11-24T10:32:00Z", " \"GET"),
            ("2026/11/24 10:32:00 [error] 7#7: x", "2026-11-24T08:32:00Z", " [error] 7#7: x"),
            ("[24-Nov-2026 10:32:00] NOTICE: x", "2026-11-24T08:32:00Z", " NOTICE: x"),
            ("[24-Nov-2026 10:32:00 UTC] PHP Warning:  x", "2026-11-24T10:32:00Z", " PHP Warning:  x"),
            ("[24-Nov-2026 10:32:00 Europe/Paris] x", "2026-11-24T09:32:00Z", " x"),
            ("2026-11-24 10:32:00.123 UTC [12] LOG:  x", "2026-11-24T10:32:00.123Z", " [12] LOG:  x"),
            ("2026-11-24 10:32:00.123 EET [12] LOG:  x", "2026-11-24T08:32:00.123Z", " [12] LOG:  x"),
            ("2026-11-24 10:32:00.123 +03 [12] LOG:  x", "2026-11-24T07:32:00.123Z", " [12] LOG:  x"),
            ("2026-11-24 10:32:00,123 ERROR x", "2026-11-24T08:32:00.123Z", " ERROR x"),
            ("2026-11-24T10:32:00Z web1 x", "2026-11-24T10:32:00Z", " web1 x"),
            ("<34>1 2026-11-24T10:32:00Z web1 x", "2026-11-24T10:32:00Z", " web1 x"),
            ("Nov 24 10:32:00 lb1 haproxy[1]: x", "2026-11-24T08:32:00Z", " lb1 haproxy[1]: x"),
            ("Dec  4 10:32:00 lb1 x", "2025-12-04T08:32:00Z", " lb1 x"),
            ("1795516320.123 10.0.0.1 x", "2026-11-24T10:32:00.123Z", " 10.0.0.1 x"),
            ("{\"level\":\"x\",\"time\":\"2026-11-24T10:32:00Z\"}", "2026-11-24T10:32:00Z", "\"}"),
        ] {
            let stamp = times().stamp(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(stamp.time, time.parse().unwrap(), "{line}");
            assert_eq!(&line[stamp.length..], rest, "{line}");
        }
    }

    #[test]
    fn what_goes_on_with_an_entry_has_no_time() {
        for line in [
            "",
            "\n",
            "#0 /opt/app/a.php(12): f('[24/Nov/2026:10:32:00 +0000]')",
            "  2026-11-24T10:32:00Z indented",
            "Stack trace:",
            "[object] (RuntimeException(code: 0): x at /a.php:1)",
            "[2026-11-24T10:32:00",
            "2026-13-24T10:32:00Z",
            "2026-11-32T10:32:00Z",
            "2026-11-24T25:32:00Z",
            "2026-11-24",
            "24/Nov/2026",
            "Nov 24",
            "1795516320.1",
            "script_filename = /opt/app/public/index.php",
            "\u{fffd}\u{fffd}",
            "{}",
            "<",
        ] {
            assert_eq!(times().stamp(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn any_bytes_at_all_are_survived() {
        let seed = b"[2026-11-24T10:32:00.123456+00:00] 24/Nov/2026:10:32:00 +0000] <34>1 Nov  4 10:32:00 {\"ts\":\"";
        let mut random = 7_u64;
        for _ in 0..200_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let from = (random >> 33) as usize % seed.len();
            let to = from + (random >> 13) as usize % (seed.len() - from + 1);
            let mut line = seed[from..to].to_vec();
            if let Some(byte) = line.get_mut((random >> 50) as usize % 8) {
                *byte = (random >> 41) as u8;
            }
            let _ = times().stamp(&line);
        }
    }

    #[test]
    fn local_times_follow_summer_and_winter() {
        let mut times = times();
        for (line, time) in [
            ("2026/10/25 02:59:59 x", "2026-10-24T23:59:59Z"),
            ("2026/10/25 04:00:00 x", "2026-10-25T02:00:00Z"),
            ("2026/07/01 12:00:00 x", "2026-07-01T09:00:00Z"),
        ] {
            assert_eq!(times.stamp(line.as_bytes()).unwrap().time, time.parse().unwrap(), "{line}");
        }
    }
}
