//! Locations and segments of PostgreSQL's write-ahead log, as numbers.

use std::fmt;
use std::str::FromStr;

/// A location in the log (`pg_lsn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl FromStr for Lsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (high, low) = text.split_once('/')?;
            let part = |digits: &str| u32::from_str_radix(digits, 16).ok();
            Some(Self(u64::from(part(high)?) << 32 | u64::from(part(low)?)))
        };
        parse().ok_or_else(|| format!("`{text}` is no WAL location"))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// PostgreSQL's default size of a segment, in bytes.
pub const DEFAULT_SEGMENT_SIZE: u64 = 16 * 1024 * 1024;

/// One file of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// The timeline it was written on.
    pub timeline: u32,
    /// Its place in the log, counted in segments.
    pub number: u64,
}

impl Segment {
    /// The segment that holds a location.
    pub fn at(timeline: u32, lsn: Lsn, segment_size: u64) -> Self {
        Self { timeline, number: lsn.0 / segment_size.max(1) }
    }

    /// From the 24 hexadecimal digits of a file's name.
    pub fn parse(name: &str, segment_size: u64) -> Option<Self> {
        if name.len() != 24 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let part = |from: usize| u32::from_str_radix(&name[from..from + 8], 16).ok();
        let per_log = (1_u64 << 32) / segment_size.max(1);
        Some(Self { timeline: part(0)?, number: u64::from(part(8)?) * per_log + u64::from(part(16)?) })
    }

    /// The file's name.
    pub fn name(self, segment_size: u64) -> String {
        let per_log = ((1_u64 << 32) / segment_size.max(1)).max(1);
        format!("{:08X}{:08X}{:08X}", self.timeline, self.number / per_log, self.number % per_log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_and_names_are_read_and_written() {
        let lsn: Lsn = "16/B374D848".parse().unwrap();
        assert_eq!(lsn.to_string(), "16/B374D848");
        let segment = Segment::at(3, lsn, DEFAULT_SEGMENT_SIZE);
        assert_eq!(segment.name(DEFAULT_SEGMENT_SIZE), "0000000300000016000000B3");
        assert_eq!(Segment::parse("0000000300000016000000B3", DEFAULT_SEGMENT_SIZE), Some(segment));
        for bad in ["", "0/", "x/1", "1", "0/1FFFFFFFF"] {
            assert!(bad.parse::<Lsn>().is_err(), "{bad}");
        }
        assert_eq!(Segment::parse("00000003.history", DEFAULT_SEGMENT_SIZE), None);
        let last = Segment::parse("0000000100000000000000FF", DEFAULT_SEGMENT_SIZE).unwrap();
        let next = Segment { number: last.number + 1, ..last };
        assert_eq!(next.name(DEFAULT_SEGMENT_SIZE), "000000010000000100000000");
    }
}
