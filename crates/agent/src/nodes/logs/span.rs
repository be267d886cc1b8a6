//! Which parts of which files are to be read: behind a cursor, since a moment, or so many entries from the end.

use std::collections::VecDeque;
use std::io;

use jiff::{SignedDuration, Timestamp};

use super::chain::{Chain, Link, LogFile, Packing};
use super::cursor::{ChainCursor, FilePosition};
use super::entry::{Close, Source, Splitter};
use super::filter::Filter;
use super::search::{self, BLOCK};
use super::time::Times;

/// A file that nobody has written to for so long is whole, even without a newline at its end.
const SETTLED: SignedDuration = SignedDuration::from_secs(2);

/// Rotated files are still written to for a while, until the program reopens its log.
pub const RETIRES: SignedDuration = SignedDuration::from_secs(10);

/// Without `since`, the last entries are looked for in so many bytes of a chain: a pattern that never matches must not
/// read a year of logs.
const LOOK_BACK: u64 = 512 << 20;

/// What is to be read of one chain.
#[derive(Debug)]
pub struct Span {
    /// The chain.
    pub chain: Chain,
    /// The oldest first.
    pub pieces: Vec<Piece>,
    /// Why entries between the cursor and the pieces are missing.
    pub gap: Option<&'static str>,
}

/// A part of one file.
#[derive(Debug)]
pub struct Piece {
    link: Link,
    file: Option<LogFile>,
    /// Begins here, at an entry.
    pub start: u64,
    /// Entries that begin here or later do not belong to it. None: it goes to the file's end.
    pub end: Option<u64>,
    /// Entries that begin here are left out.
    pub done: Vec<u64>,
    /// Where reading it ended.
    pub read_to: Option<u64>,
    /// Whether it is the file that is written to.
    pub current: bool,
    /// Whether an unfinished last line counts.
    pub whole: bool,
    /// The file's last change.
    pub modified: Timestamp,
    /// Whether its lines have times; known once it is open.
    pub timed: bool,
    /// The time of an entry that has none, where nothing better is known.
    pub fallback: Timestamp,
}

impl Piece {
    /// Opens the file unless it is open. False when it is gone.
    pub fn open(&mut self, chain: &Chain, times: &mut Times) -> io::Result<bool> {
        if self.file.is_some() {
            return Ok(true);
        }
        let Some(mut file) = self.link.open(chain)? else { return Ok(false) };
        let size = if self.link.packing == Packing::Plain { Some(file.metadata()?.len()) } else { None };
        let sample = search::sample(&mut file, size, times)?;
        self.timed = sample.timed;
        self.fallback = sample.first.unwrap_or(self.modified);
        self.file = Some(file);
        Ok(true)
    }

    /// The open file.
    pub fn file(&mut self) -> io::Result<&mut LogFile> {
        self.file.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// How it is packed.
    pub fn packing(&self) -> Packing {
        self.link.packing
    }

    /// Takes the open file out.
    pub fn into_file(self) -> Option<LogFile> {
        self.file
    }

    fn new(link: Link, start: u64) -> Self {
        Self {
            modified: link.modified,
            fallback: link.modified,
            link,
            file: None,
            start,
            end: None,
            done: Vec::new(),
            read_to: None,
            current: false,
            whole: true,
            timed: false,
        }
    }
}

impl Span {
    /// Everything there is of the chain, or what is behind the cursor.
    pub fn new(
        chain: &Chain,
        after: Option<&ChainCursor>,
        times: &mut Times,
        now: Timestamp,
    ) -> io::Result<Self> {
        // A rotation between listing and opening shows in another inode; then once more.
        for _ in 0..10 {
            let links = chain.links()?;
            let mut span = Self { chain: chain.clone(), pieces: Vec::new(), gap: None };
            match after {
                Some(cursor) => span.behind(cursor, &links)?,
                None => span.pieces.extend(links.iter().rev().map(|link| Piece::new(link.clone(), 0))),
            }
            let Some(last) = span.pieces.last_mut() else { return Ok(span) };
            if last.link.path != chain.path {
                return Ok(span);
            }
            last.current = true;
            let identity = last.link.identity;
            if last.open(chain, times)?
                && LogFile::open(&chain.path, Packing::Plain)?.is_some_and(|file| file.identity == identity)
            {
                let metadata = last.file()?.metadata()?;
                last.modified = super::chain::modified(&metadata);
                last.end = Some(metadata.len());
                last.whole = now.duration_since(last.modified) > SETTLED;
                return Ok(span);
            }
        }
        Err(io::Error::other(format!("{} is replaced faster than it can be opened", chain.path.display())))
    }

    fn behind(&mut self, cursor: &ChainCursor, links: &[Link]) -> io::Result<()> {
        let mut found = Vec::new();
        for position in &cursor.files {
            match self.find(position, links)? {
                Some(place) => {
                    // The next file is begun only at the end of the one before it: that one may be gone by now.
                    if position.offset > 0 {
                        self.gap = None;
                    }
                    found.push((place, position));
                }
                None if position.offset == 0 => {}
                None => {
                    let emptied = links.first().is_some_and(|link| link.identity.short() == position.inode);
                    self.gap = Some(if emptied { "truncated" } else { "rotated" });
                }
            }
        }
        // Links are listed with the newest first: whatever stands before the newest one that was begun is new.
        let newest = found.iter().map(|(place, _)| *place).min();
        let unread =
            newest.unwrap_or(links.iter().take(1).filter(|link| link.path == self.chain.path).count());
        for (place, link) in links.iter().enumerate().rev() {
            if let Some((_, position)) = found.iter().find(|(found, _)| *found == place) {
                let mut piece = Piece::new(link.clone(), position.offset);
                piece.done.clone_from(&position.done);
                self.pieces.push(piece);
            } else if place < unread {
                self.pieces.push(Piece::new(link.clone(), 0));
            }
        }
        Ok(())
    }

    /// The file of a position: the same inode if its content is still the same, else a copy.
    fn find(&self, position: &FilePosition, links: &[Link]) -> io::Result<Option<usize>> {
        let same = links.iter().position(|link| link.identity.short() == position.inode);
        let copies = (0..links.len()).filter(|place| Some(*place) != same && position.offset > 0);
        for place in same.into_iter().chain(copies) {
            if let Some(mut file) = links[place].open(&self.chain)?
                && file.holds(position)?
            {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Where it begins.
    pub fn cursor(&mut self, times: &mut Times) -> io::Result<ChainCursor> {
        let mut cursor = ChainCursor { key: self.chain.key, files: Vec::new() };
        for piece in &mut self.pieces {
            // What is newer than the first and not begun is read from its beginning anyway.
            if (cursor.files.is_empty() || piece.start > 0) && piece.open(&self.chain, times)? {
                let (start, done) = (piece.start, piece.done.clone());
                cursor.files.push(FilePosition { done, ..piece.file()?.position(start)? });
            }
        }
        Ok(cursor)
    }

    /// Leaves out what is before `since` and behind `until`, as far as that can be told without reading.
    pub fn narrow(&mut self, filter: &Filter, times: &mut Times) -> io::Result<()> {
        if let Some(since) = filter.since {
            self.pieces.retain(|piece| piece.current || piece.modified >= since);
        }
        if filter.since.is_none() && filter.until.is_none() {
            return Ok(());
        }
        for piece in &mut self.pieces {
            if !piece.open(&self.chain, times)? || !piece.timed || piece.link.packing != Packing::Plain {
                continue;
            }
            let start = piece.start;
            let end = match piece.end {
                Some(end) => end,
                None => piece.file()?.metadata()?.len(),
            };
            if let Some(since) = filter.since {
                piece.start = search::lower_bound(piece.file()?, start, end, since, times)?;
            }
            if let Some(until) = filter.until {
                let start = piece.start;
                let bound = search::upper_bound(piece.file()?, start, end, until, times)?;
                if bound < end {
                    piece.end = Some(bound);
                    // What follows is no unfinished line but an entry that is not wanted.
                    piece.whole = true;
                }
            }
        }
        Ok(())
    }

    /// Leaves out everything there is by now.
    pub fn skip_all(&mut self) -> io::Result<()> {
        let kept = self.pieces.pop();
        self.pieces = kept.into_iter().filter(|piece| piece.current).collect();
        for piece in &mut self.pieces {
            let end = piece.end.unwrap_or(0);
            let mut rest = vec![0; usize::try_from(end.min(BLOCK)).unwrap_or(0)];
            let from = end - rest.len() as u64;
            let read = piece.file()?.read(from, &mut rest)?;
            // An unfinished line is left for those who follow.
            let lines = memchr::memrchr(b'\n', &rest[..read]).map_or(0, |newline| newline as u64 + 1);
            piece.start = if piece.whole || lines == 0 && from > 0 { end } else { from + lines };
            piece.end = Some(piece.start);
            piece.done.clear();
        }
        Ok(())
    }
}

/// Leaves out all but the last `lines` wanted entries of all spans together. Returns the chains of which not all was
/// looked through.
pub fn keep_last(
    spans: &mut [Span],
    lines: u64,
    filter: &Filter,
    times: &Times,
    stop: &dyn Fn() -> bool,
) -> io::Result<Vec<Chain>> {
    let mut walks = Vec::new();
    for span in spans.iter_mut() {
        let piece = span.pieces.len();
        let budget = if filter.since.is_some() { u64::MAX } else { LOOK_BACK };
        walks.push(Backwards {
            span,
            times: times.clone(),
            filter,
            most: usize::try_from(lines).unwrap_or(usize::MAX),
            piece,
            chunk_end: None,
            found: VecDeque::new(),
            budget,
            taken: None,
        });
    }
    for _ in 0..lines {
        let mut latest: Option<(Timestamp, usize)> = None;
        for (place, walk) in walks.iter_mut().enumerate() {
            if let Some(time) = walk.peek(stop)?
                && latest.is_none_or(|(other, _)| time >= other)
            {
                latest = Some((time, place));
            }
        }
        let Some((_, place)) = latest else { break };
        walks[place].take();
    }
    let mut cut_short = Vec::new();
    for walk in walks {
        if walk.budget == 0 {
            cut_short.push(walk.span.chain.clone());
        }
        walk.finish();
    }
    Ok(cut_short)
}

/// Gives the wanted entries of a span, the last one first.
struct Backwards<'a> {
    span: &'a mut Span,
    times: Times,
    filter: &'a Filter,
    most: usize,
    /// The piece whose beginning was not yet reached, counted from one.
    piece: usize,
    /// Everything of that piece from here on was looked at.
    chunk_end: Option<u64>,
    /// Times and beginnings, in the file's order.
    found: VecDeque<(Timestamp, u64)>,
    budget: u64,
    /// The earliest entry that was taken.
    taken: Option<(usize, u64)>,
}

impl Backwards<'_> {
    fn peek(&mut self, stop: &dyn Fn() -> bool) -> io::Result<Option<Timestamp>> {
        while self.found.is_empty() && self.piece > 0 && self.budget > 0 && !stop() {
            self.look()?;
        }
        Ok(self.found.back().map(|(time, _)| *time))
    }

    fn take(&mut self) {
        if let Some((_, start)) = self.found.pop_back() {
            self.taken = Some((self.current(), start));
        }
    }

    /// Pieces are left only when all that was found in them is taken.
    fn current(&self) -> usize {
        self.piece.saturating_sub(1)
    }

    /// Looks at the chunk before the last one.
    fn look(&mut self) -> io::Result<()> {
        let (chain, times) = (&self.span.chain, &mut self.times);
        let piece = &mut self.span.pieces[self.piece - 1];
        if self.chunk_end.is_some_and(|end| end <= piece.start) || !piece.open(chain, times)? {
            self.piece -= 1;
            self.chunk_end = None;
            return Ok(());
        }
        let (start, timed, fallback, whole) = (piece.start, piece.timed, piece.fallback, piece.whole);
        let packed = piece.link.packing != Packing::Plain;
        let last = piece.end;
        let skip = std::mem::take(&mut piece.done);
        let file = piece.file()?;
        let end = match self.chunk_end.or(last) {
            Some(end) => end,
            None if packed => u64::MAX,
            None => file.metadata()?.len(),
        };
        let mut begin = start;
        if !packed {
            // A chunk begins with an entry, so that it is cut as it will be when it is read forwards.
            let mut size = BLOCK;
            while end.saturating_sub(size) > start {
                if let Some((at, _)) = search::entry_start(file, end - size, end, times, timed)? {
                    begin = at;
                    break;
                }
                size = size.saturating_mul(2);
            }
        }
        let mut splitter = Splitter::new(begin, times.clone(), timed);
        let mut last_time = None;
        let mut close = Close::Next;
        'read: loop {
            while let Some(entry) = splitter.next(close) {
                if entry.start >= end {
                    break 'read;
                }
                last_time = entry.time().or(last_time);
                let time = last_time.unwrap_or(fallback);
                if skip.binary_search(&entry.start).is_err() && self.filter.wants(&entry, time) {
                    self.found.push_back((time, entry.start));
                    if self.found.len() > self.most {
                        self.found.pop_front();
                    }
                }
            }
            if close != Close::Next || splitter.pending() >= end {
                break;
            }
            if splitter.fill(file)? == 0 {
                close = if whole { Close::End } else { Close::Idle };
            }
        }
        self.budget = self.budget.saturating_sub(splitter.position() - begin);
        piece.done = skip;
        self.chunk_end = Some(begin);
        Ok(())
    }

    /// Leaves in the span what was taken.
    fn finish(self) {
        let Some((piece, start)) = self.taken else {
            let kept = self.span.pieces.pop();
            self.span.pieces =
                kept.into_iter().filter(|piece| piece.link.packing == Packing::Plain).collect();
            for piece in &mut self.span.pieces {
                let size = |file: &mut LogFile| file.metadata().map(|metadata| metadata.len());
                piece.start = piece.end.unwrap_or_else(|| piece.file().and_then(size).unwrap_or(0));
                piece.done.clear();
            }
            return;
        };
        self.span.pieces.drain(..piece);
        if let Some(first) = self.span.pieces.first_mut() {
            first.start = start;
        }
    }
}
