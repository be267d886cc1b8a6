//! Many entries of a log as bytes: what the data of a `log-block` event is before it is packed.
//!
//! For each entry: the microseconds since 1970, less those of the entry before it, as a zigzag number; the length of
//! its text in bytes; its text, without the last newline. Numbers are LEB128.

use jiff::Timestamp;

/// Entries being gathered.
#[derive(Debug, Default)]
pub struct Gatherer {
    bytes: Vec<u8>,
    last: i64,
    entries: u64,
}

impl Gatherer {
    /// Adds an entry.
    pub fn push(&mut self, time: Timestamp, text: &[u8]) {
        let time = time.as_microsecond();
        let ahead = time.wrapping_sub(self.last);
        self.last = time;
        number(&mut self.bytes, (ahead.wrapping_shl(1) ^ (ahead >> 63)).cast_unsigned());
        number(&mut self.bytes, text.len() as u64);
        self.bytes.extend_from_slice(text);
        self.entries += 1;
    }

    /// How many there are.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// What there is.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.last, self.entries) = (0, 0);
    }
}

/// The entries in these bytes; an error where they are no entries.
pub fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries { rest: bytes, last: 0 }
}

/// What [`entries`] gives.
#[derive(Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    last: i64,
}

impl<'a> Entries<'a> {
    fn read(&mut self) -> Option<(Timestamp, &'a [u8])> {
        let zigzag = take_number(&mut self.rest)?;
        let ahead = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
        self.last = self.last.wrapping_add(ahead);
        let length = usize::try_from(take_number(&mut self.rest)?).ok()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some((Timestamp::from_microsecond(self.last).ok()?, text))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(Timestamp, &'a [u8]), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.read();
        if entry.is_none() {
            // Nothing behind it can be read.
            self.rest = &[];
        }
        Some(entry.ok_or_else(|| "a block of entries is damaged".to_owned()))
    }
}

fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_as_they_went_in() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let all = [
            (at("2026-11-24T10:32:00.123456Z"), &b"first"[..]),
            (at("2026-11-24T10:32:00.123456Z"), b""),
            (at("1960-01-01T00:00:00Z"), b"before all\n#0 deep"),
            (at("9999-12-30T22:00:00Z"), &[b'x'; 70_000]),
            (Timestamp::MIN, b"\xff\0"),
        ];
        let mut gatherer = Gatherer::default();
        for _ in 0..2 {
            all.iter().for_each(|(time, text)| gatherer.push(*time, text));
            assert_eq!(gatherer.entries(), 5);
            let found: Vec<_> = entries(gatherer.bytes()).map(Result::unwrap).collect();
            assert_eq!(found, all);
            gatherer.clear();
        }
    }

    #[test]
    fn damage_is_said_once_and_ends_it() {
        let mut gatherer = Gatherer::default();
        gatherer.push(Timestamp::UNIX_EPOCH, b"whole");
        gatherer.push(Timestamp::UNIX_EPOCH, b"cut off");
        let bytes = gatherer.bytes();
        let found: Vec<_> = entries(&bytes[..bytes.len() - 1]).collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].is_ok() && found[1].is_err());
        for bad in [&[0x80][..], &[0xff; 11], &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert!(entries(bad).all(|entry| entry.is_err()), "{bad:?}");
        }
    }
}
