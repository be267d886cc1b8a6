//! Finds places in large files without reading them through.

use std::io;

use jiff::Timestamp;

use super::chain::LogFile;
use super::entry::Source;
use super::time::{LOOK, Times};

/// So much is read at once; nothing is searched for more exactly than this.
pub const BLOCK: u64 = 256 * 1024;

/// What the first and last lines of a file say about all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Whether lines have times.
    pub timed: bool,
    /// The first one.
    pub first: Option<Timestamp>,
}

/// Looks at the first and the last block of an unpacked file, at the first of a packed one.
pub fn sample(file: &mut LogFile, size: Option<u64>, times: &mut Times) -> io::Result<Sample> {
    if let Some((_, time)) = entry_start(file, 0, BLOCK, times, true)? {
        return Ok(Sample { timed: true, first: time });
    }
    let timed = match size {
        Some(size) if size > BLOCK => entry_start(file, size - BLOCK, size, times, true)?.is_some(),
        _ => false,
    };
    Ok(Sample { timed, first: None })
}

/// The first entry that begins at or after `from` and before `to`, and its time. In a file whose lines have no times
/// every line begins an entry.
pub fn entry_start(
    file: &mut LogFile,
    from: u64,
    to: u64,
    times: &mut Times,
    timed: bool,
) -> io::Result<Option<(u64, Option<Timestamp>)>> {
    let mut buffer = vec![0; 64 * 1024];
    let mut at = from;
    // A line begins at `from` only behind a newline.
    let mut inside = from > 0;
    at -= u64::from(inside);
    while at < to {
        let mut filled = 0;
        while filled < LOOK.max(buffer.len() / 2) {
            match file.read(at + filled as u64, &mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(None);
        }
        let bytes = &buffer[..filled];
        let mut line = 0;
        loop {
            if inside {
                match memchr::memchr(b'\n', &bytes[line..]) {
                    Some(newline) => line += newline + 1,
                    None => {
                        line = filled;
                        break;
                    }
                }
                inside = false;
            }
            let start = at + line as u64;
            if start >= to {
                return Ok(None);
            }
            // The last lines of a buffer are looked at in the next one, unless this is the whole rest.
            if line > 0 && filled - line < LOOK && filled >= buffer.len() / 2 {
                break;
            }
            if line == filled {
                break;
            }
            let stamp = times.stamp(&bytes[line..]);
            if stamp.is_some() || !timed {
                return Ok(Some((start, stamp.map(|stamp| stamp.time))));
            }
            inside = true;
        }
        if line == 0 {
            return Ok(None);
        }
        at += line as u64;
    }
    Ok(None)
}

/// An entry start at or before the first entry of `from..to` that is at or after `time`, in an unpacked file whose times
/// grow. Where they do not quite, entries up to a block out of their order are still behind it.
pub fn lower_bound(
    file: &mut LogFile,
    from: u64,
    to: u64,
    time: Timestamp,
    times: &mut Times,
) -> io::Result<u64> {
    let (mut low, mut high) = (from, to);
    while high.saturating_sub(low) > BLOCK {
        let middle = low + (high - low) / 2;
        match entry_start(file, middle, high, times, true)? {
            Some((start, Some(found))) if found < time => low = start,
            _ => high = middle,
        }
    }
    let back = low.saturating_sub(BLOCK).max(from);
    if back == from {
        return Ok(from);
    }
    Ok(entry_start(file, back, to, times, true)?.map_or(from, |(start, _)| start))
}

/// An entry start behind all entries of `from..to` that are before `time`, as [`lower_bound`].
pub fn upper_bound(
    file: &mut LogFile,
    from: u64,
    to: u64,
    time: Timestamp,
    times: &mut Times,
) -> io::Result<u64> {
    let low = lower_bound(file, from, to, time, times)?;
    // It lies at most two blocks before the place, which is then left two behind.
    let ahead = low.saturating_add(5 * BLOCK);
    if ahead >= to {
        return Ok(to);
    }
    Ok(entry_start(file, ahead, to, times, true)?.map_or(to, |(start, _)| start))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use jiff::tz::TimeZone;

    use super::super::chain::Packing;
    use super::*;

    #[test]
    fn places_are_found_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut text = String::new();
        let mut starts = Vec::new();
        for second in 0..40_000_u64 {
            starts.push(text.len() as u64);
            let time = Timestamp::from_second(second as i64).unwrap();
            writeln!(text, "{time} entry {second}").unwrap();
            if second % 100 == 0 {
                writeln!(text, "#0 trace\n{}", "x".repeat((second / 10) as usize)).unwrap();
            }
        }
        std::fs::write(&path, &text).unwrap();
        let mut file = LogFile::open(&path, Packing::Plain).unwrap().unwrap();
        let mut times = Times::new(TimeZone::UTC, Timestamp::UNIX_EPOCH);
        let size = text.len() as u64;
        assert!(size > 6 * BLOCK);
        for from in [0, 1, 31, 32, 33, 700_000, size - 33, size - 3, size] {
            let expected = starts.iter().copied().find(|start| *start >= from);
            let found = entry_start(&mut file, from, size, &mut times, true).unwrap();
            assert_eq!(found.map(|(start, _)| start), expected, "{from}");
        }
        for second in [0, 1, 100, 20_000, 39_999, 50_000] {
            let time = Timestamp::from_second(second as i64).unwrap();
            let exact = starts.get(second).copied().unwrap_or(size);
            let low = lower_bound(&mut file, 0, size, time, &mut times).unwrap();
            assert!(low <= exact && exact - low <= 3 * BLOCK, "{second}: {low} {exact}");
            assert!(starts.contains(&low));
            let high = upper_bound(&mut file, 0, size, time, &mut times).unwrap();
            assert!(high >= exact && high - exact <= 6 * BLOCK, "{second}: {high} {exact}");
        }
        assert!(sample(&mut file, Some(size), &mut times).unwrap().timed);
    }
}
