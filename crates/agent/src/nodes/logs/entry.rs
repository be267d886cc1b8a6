//! Cuts the bytes of a log into entries: a line with a time, and the lines without one behind it.

use std::io;

use jiff::Timestamp;

use super::time::{LOOK, Stamp, Times};

/// The longest text of an entry; the rest is skipped and counted. Each byte becomes at most six in JSON (`\u001b`), so
/// that an entry always fits in a line of the wire.
pub const MAX_TEXT: usize = 128 * 1024;

/// The buffer holds one entry of the longest text and what is read at once.
const MAX_BUFFER: usize = 2 * MAX_TEXT;
const FIRST_BUFFER: usize = 16 * 1024;

/// Where bytes of a log come from.
pub trait Source {
    /// Reads at this offset, which only ever grows; nothing read means that there is no more for now.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// One entry, as long as its bytes are in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it begins in the file.
    pub start: u64,
    /// What follows it begins here.
    pub end: u64,
    /// Its own time, and how many bytes that took; absent in files without times and where an entry was cut.
    pub stamp: Option<Stamp>,
    /// Without the last newline, at most [`MAX_TEXT`] bytes.
    pub text: &'a [u8],
    /// Bytes that are missing at its end.
    pub skipped: u64,
}

impl Entry<'_> {
    /// Its own time.
    pub fn time(&self) -> Option<Timestamp> {
        self.stamp.map(|stamp| stamp.time)
    }
}

/// What closes an entry besides the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Nothing: more may come at once.
    Next,
    /// Nothing was written for a moment: whole lines are an entry, an unfinished line waits.
    Idle,
    /// Nothing will ever be written: an unfinished line counts too.
    End,
}

/// Cuts what is fed to it. Never holds more than one entry of the longest text.
#[derive(Debug)]
pub struct Splitter {
    times: Times,
    /// `buffer[..filled]` are bytes of the file from `base` on.
    buffer: Vec<u8>,
    base: u64,
    filled: usize,
    /// The entry's bytes begin here; those of a long one are moved to `long`.
    begin: usize,
    /// Behind the last whole line of the entry.
    scan: usize,
    /// No newline stands between `scan` and here.
    searched: usize,
    current: Option<Current>,
    /// The last bytes belong to a line whose beginning is already in `long`.
    inside_line: bool,
    /// The line at `scan` was looked at and begins an entry.
    next: Option<Option<Stamp>>,
    /// Whether lines of this file have times.
    timed: bool,
    /// The text of the long entry given out last.
    given: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    start: u64,
    stamp: Option<Stamp>,
    long: Option<Long>,
}

#[derive(Debug)]
struct Long {
    text: Vec<u8>,
    skipped: u64,
}

impl Splitter {
    /// Cuts from this offset on, which is the beginning of a line.
    pub fn new(offset: u64, times: Times, timed: bool) -> Self {
        Self {
            times,
            buffer: Vec::new(),
            base: offset,
            filled: 0,
            begin: 0,
            scan: 0,
            searched: 0,
            current: None,
            inside_line: false,
            next: None,
            timed,
            given: Vec::new(),
        }
    }

    /// The offset up to which bytes were read.
    pub fn position(&self) -> u64 {
        self.base + self.filled as u64
    }

    /// The offset of the first byte that belongs to no entry given out yet.
    pub fn pending(&self) -> u64 {
        self.current.as_ref().map_or(self.base + self.scan as u64, |current| current.start)
    }

    /// Whether whole lines wait for what closes them.
    pub fn has_open_entry(&self) -> bool {
        self.current.is_some() && !self.inside_line
    }

    /// Whether lines of this file have been seen to have times.
    pub fn timed(&self) -> bool {
        self.timed
    }

    /// Sets the clock that fills in years.
    pub fn set_now(&mut self, now: Timestamp) {
        self.times.set_now(now);
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// Takes in what there is, up to the room in the buffer. Only after [`Splitter::next`] gave nothing more.
    pub fn fill(&mut self, source: &mut impl Source) -> io::Result<usize> {
        if self.begin == self.filled {
            self.drop_front();
        }
        if self.filled == self.buffer.len() {
            // Moving costs less than half of what was read since the last move.
            if self.begin > 0 && self.begin >= self.buffer.len() / 2 {
                self.drop_front();
            } else {
                let larger = (self.buffer.len() * 4).clamp(FIRST_BUFFER, MAX_BUFFER);
                if larger > self.buffer.len() {
                    self.buffer.resize(larger, 0);
                } else {
                    self.drop_front();
                }
            }
        }
        let read = source.read(self.position(), &mut self.buffer[self.filled..])?;
        self.filled += read;
        Ok(read)
    }

    /// Gives memory back while nothing is buffered.
    pub fn rest(&mut self) {
        if self.begin == self.filled {
            self.drop_front();
            self.buffer = Vec::new();
        }
    }

    fn drop_front(&mut self) {
        self.buffer.copy_within(self.begin..self.filled, 0);
        self.base += self.begin as u64;
        self.scan -= self.begin;
        self.searched -= self.begin;
        self.filled -= self.begin;
        self.begin = 0;
    }

    /// The next entry that is closed.
    pub fn next(&mut self, close: Close) -> Option<Entry<'_>> {
        if !self.given.is_empty() {
            self.given = Vec::new();
        }
        loop {
            if let Some(stamp) = self.next
                && self.current.is_some()
            {
                // The line at `scan` begins an entry, so that the one before it is whole. It stays looked at.
                self.next = Some(stamp);
                return self.cut();
            }
            let end = match self.line_end() {
                Some(end) => end,
                None => {
                    let partial = self.filled - self.scan;
                    if close == Close::End && partial > 0 {
                        self.filled
                    } else if close != Close::Next && self.has_open_entry() {
                        return self.cut();
                    } else if close == Close::End && self.current.is_some() {
                        self.inside_line = false;
                        return self.cut();
                    } else if partial >= MAX_TEXT || (self.inside_line && partial > 0) {
                        if self.take_partial() {
                            continue;
                        }
                        return None;
                    } else {
                        return None;
                    }
                }
            };
            if self.inside_line {
                self.inside_line = false;
                self.advance(end);
                continue;
            }
            if let Some(closed) = self.take_line(end)
                && closed
            {
                return self.cut();
            }
        }
    }

    /// Behind the newline of the line at `scan`.
    fn line_end(&mut self) -> Option<usize> {
        match memchr::memchr(b'\n', &self.buffer[self.searched..self.filled]) {
            Some(at) => Some(self.searched + at + 1),
            None => {
                self.searched = self.filled;
                None
            }
        }
    }

    /// Looks at the whole line at `scan`. True when it is an entry of its own that nothing can go on.
    fn take_line(&mut self, end: usize) -> Option<bool> {
        let stamp = match self.next.take() {
            Some(stamp) => stamp,
            None => {
                let stamp = self.times.stamp(&self.buffer[self.scan..end]);
                self.timed |= stamp.is_some();
                if self.current.is_some() && (stamp.is_some() || !self.timed) {
                    self.next = Some(stamp);
                    return None;
                }
                stamp
            }
        };
        if self.current.is_none() {
            self.open(stamp);
        }
        self.advance(end);
        Some(!self.timed)
    }

    fn open(&mut self, stamp: Option<Stamp>) {
        self.begin = self.scan;
        self.current = Some(Current { start: self.base + self.scan as u64, stamp, long: None });
    }

    /// Puts the bytes up to `end` to the entry, and moves a long one out of the buffer.
    fn advance(&mut self, end: usize) {
        self.scan = end;
        self.searched = end;
        let Some(current) = &mut self.current else { return };
        if current.long.is_none() && end - self.begin > MAX_TEXT {
            current.long = Some(Long { text: Vec::new(), skipped: 0 });
        }
        if let Some(long) = &mut current.long {
            let bytes = &self.buffer[self.begin..end];
            let room = (MAX_TEXT - long.text.len()).min(bytes.len());
            long.text.extend_from_slice(&bytes[..room]);
            long.skipped += (bytes.len() - room) as u64;
            self.begin = end;
        }
    }

    /// Takes a part of a line that is too long to wait for its end. False when nothing was taken.
    fn take_partial(&mut self) -> bool {
        if !self.inside_line {
            debug_assert!(self.filled - self.scan >= LOOK);
            let stamp = match self.next.take() {
                Some(stamp) => stamp,
                None => self.times.stamp(&self.buffer[self.scan..self.filled]),
            };
            self.timed |= stamp.is_some();
            if self.current.is_some() && (stamp.is_some() || !self.timed) {
                self.next = Some(stamp);
                return true;
            }
            if self.current.is_none() {
                self.open(stamp);
            }
        }
        let end = self.filled;
        if let Some(current) = &mut self.current
            && current.long.is_none()
        {
            current.long = Some(Long { text: Vec::with_capacity(MAX_TEXT), skipped: 0 });
        }
        self.advance(end);
        self.inside_line = true;
        false
    }

    /// Gives out the entry up to `scan`.
    fn cut(&mut self) -> Option<Entry<'_>> {
        let current = self.current.take()?;
        let (begin, end) = (self.begin, self.base + self.scan as u64);
        self.begin = self.scan;
        let (text, skipped) = match current.long {
            Some(long) => {
                self.given = long.text;
                (&self.given[..], long.skipped)
            }
            None => (&self.buffer[begin..self.scan], 0),
        };
        Some(Entry { start: current.start, end, stamp: current.stamp, text: chomp(text), skipped })
    }
}

fn chomp(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that come in pieces of at most `piece`.
    struct Pieces<'a>(&'a [u8], usize);

    impl Source for Pieces<'_> {
        fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
            let rest = &self.0[usize::try_from(offset).unwrap().min(self.0.len())..];
            let read = rest.len().min(self.1).min(into.len());
            into[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }
    }

    fn splitter() -> Splitter {
        let times = Times::new(jiff::tz::TimeZone::UTC, Timestamp::UNIX_EPOCH);
        Splitter::new(0, times, false)
    }

    type Cut = (u64, u64, bool, String, u64);

    fn all(bytes: &[u8], piece: usize) -> Vec<Cut> {
        let mut source = Pieces(bytes, piece);
        let mut splitter = splitter();
        let mut found = Vec::new();
        loop {
            while let Some(entry) = splitter.next(Close::Next) {
                found.push(owned(&entry));
            }
            assert!(splitter.memory() <= MAX_BUFFER);
            if splitter.fill(&mut source).unwrap() == 0 {
                break;
            }
        }
        while let Some(entry) = splitter.next(Close::End) {
            found.push(owned(&entry));
        }
        found
    }

    fn owned(entry: &Entry<'_>) -> Cut {
        let text = String::from_utf8_lossy(entry.text).into_owned();
        (entry.start, entry.end, entry.stamp.is_some(), text, entry.skipped)
    }

    #[test]
    fn lines_without_a_time_stay_with_the_entry_before_them() {
        let log = b"orphan\n2026-11-24T10:00:00Z one\n#0 a\n#1 b\n2026-11-24T10:00:01Z two\r\nlast";
        for piece in [1, 7, 64, 4096] {
            let texts: Vec<_> = all(log, piece).into_iter().map(|cut| cut.3).collect();
            assert_eq!(
                texts,
                ["orphan", "2026-11-24T10:00:00Z one\n#0 a\n#1 b", "2026-11-24T10:00:01Z two\r\nlast"],
                "{piece}"
            );
        }
    }

    #[test]
    fn where_no_line_has_a_time_each_is_an_entry() {
        for piece in [1, 3, 4096] {
            let cuts = all(b"a\n\nb\nc", piece);
            assert_eq!(
                cuts,
                [
                    (0, 2, false, "a".into(), 0),
                    (2, 3, false, String::new(), 0),
                    (3, 5, false, "b".into(), 0),
                    (5, 6, false, "c".into(), 0)
                ]
            );
        }
    }

    #[test]
    fn a_moment_of_silence_closes_whole_lines_only() {
        let log = b"2026-11-24T10:00:00Z one\n#0 a\n2026-11-24T10:00:01Z hal";
        let mut splitter = splitter();
        splitter.fill(&mut Pieces(log, 4096)).unwrap();
        assert_eq!(splitter.next(Close::Next), None);
        assert!(splitter.has_open_entry());
        assert_eq!(owned(&splitter.next(Close::Idle).unwrap()).3, "2026-11-24T10:00:00Z one\n#0 a");
        assert_eq!(splitter.next(Close::Idle), None);
        assert_eq!(splitter.pending(), 30);
        assert_eq!(owned(&splitter.next(Close::End).unwrap()).3, "2026-11-24T10:00:01Z hal");
        assert_eq!(splitter.next(Close::End), None);
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_counted_but_never_held() {
        let mut log = b"2026-11-24T10:00:00Z one\n2026-11-24T10:00:01Z ".to_vec();
        log.resize(10 * 1024 * 1024, b'x');
        let whole = log.len() as u64;
        log.extend_from_slice(b"\n#0 more of it\n2026-11-24T10:00:02Z three\n");
        for piece in [1000, 65_536] {
            let cuts = all(&log, piece);
            assert_eq!(cuts.len(), 3);
            assert_eq!(cuts[1].0, 25);
            assert_eq!(cuts[1].1, whole + 1 + 14);
            assert_eq!(cuts[1].3.len(), MAX_TEXT);
            assert_eq!(cuts[1].4, cuts[1].1 - cuts[1].0 - MAX_TEXT as u64);
            assert_eq!(cuts[2].3, "2026-11-24T10:00:02Z three");
        }
        // Nor is an entry of many lines, or a file of one line that never ends.
        let mut lines = b"2026-11-24T10:00:00Z one\n".to_vec();
        lines.extend(b"#0 a line of a trace\n".repeat(50_000));
        let cuts = all(&lines, 10_000);
        assert_eq!((cuts.len(), cuts[0].1), (1, lines.len() as u64));
        let cuts = all(&vec![b'x'; 3_000_000], 10_000);
        assert_eq!((cuts.len(), cuts[0].1, cuts[0].4), (1, 3_000_000, 3_000_000 - MAX_TEXT as u64));
    }

    #[test]
    fn however_bytes_arrive_the_entries_are_the_same() {
        let mut random = 42_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..300 {
            let mut log = Vec::new();
            for _ in 0..next(40) {
                match next(4) {
                    0 => log.extend_from_slice(b"  continued"),
                    1 => {
                        let most = 200_000 / (1 + next(2000));
                        let length = next(most);
                        log.extend((0..length).map(|_| b'y'));
                    }
                    _ => log.extend_from_slice(b"2026-11-24T10:00:00Z line"),
                }
                if next(20) > 0 {
                    log.push(b'\n');
                }
            }
            let expected = all(&log, usize::MAX);
            assert_eq!(expected, all(&log, 1 + next(300) as usize));
            // They touch each other, and miss nothing.
            let mut offset = 0;
            for cut in &expected {
                assert_eq!(cut.0, offset);
                offset = cut.1;
            }
            assert_eq!(offset, log.len() as u64);
        }
    }
}
