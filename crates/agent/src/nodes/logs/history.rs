//! Reads spans forwards and merges them by time.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::log_block::Gatherer;
use orocloud_protocol::{EventBody, NodeName};

use super::chain::Packing;
use super::cursor::{ChainCursor, FilePosition, NodeCursor};
use super::entry::{Close, Entry, Splitter};
use super::filter::Filter;
use super::reading::Beat;
use super::span::{RETIRES, Span};
use super::time::Times;

/// Programs with several processes write entries a little out of order. So many are put in order.
const WINDOW: usize = 64;

/// Long entries are not held by the dozen.
const WINDOW_BYTES: usize = 1 << 20;

/// An entry, and what takes part in a merge.
#[derive(Debug)]
pub struct Ready {
    /// Never less than that of the entry before it in the same chain.
    pub order: Timestamp,
    /// Its own time.
    pub time: Timestamp,
    /// What is shown.
    pub text: String,
    behind: Behind,
}

/// Where reading goes on behind an entry; a cursor is made of it when one is needed.
#[derive(Debug)]
struct Behind {
    piece: usize,
    offset: u64,
    done: Vec<u64>,
}

/// The text as it is shown.
pub fn text(entry: &Entry<'_>) -> String {
    let mut text = String::from_utf8_lossy(entry.text).into_owned();
    if entry.skipped > 0 {
        text.push_str(&format!(" … [{} bytes more left out]", entry.skipped));
    }
    text
}

/// Reads one span.
struct Reader {
    span: Span,
    filter: Arc<Filter>,
    times: Times,
    idle: Duration,
    /// Says whether nobody wants more.
    beat: Beat,
    piece: usize,
    splitter: Option<Splitter>,
    last_time: Option<Timestamp>,
    last_order: Timestamp,
    /// Everything before it was cut.
    cut_to: u64,
    /// Cut and not yet given out, in the file's order.
    window: VecDeque<Waiting>,
    window_bytes: usize,
    /// Whether the times in the window grow.
    ordered: bool,
    /// Given out before the first of the window, though they begin behind it.
    done: Vec<u64>,
    next: Option<Ready>,
}

#[derive(Debug)]
struct Waiting {
    time: Timestamp,
    start: u64,
    text: String,
}

impl Reader {
    fn new(span: Span, filter: Arc<Filter>, times: Times, idle: Duration, beat: Beat) -> Self {
        Self {
            span,
            filter,
            times,
            idle,
            beat,
            piece: 0,
            splitter: None,
            last_time: None,
            last_order: Timestamp::MIN,
            cut_to: 0,
            window: VecDeque::new(),
            window_bytes: 0,
            ordered: true,
            done: Vec::new(),
            next: None,
        }
    }

    /// Makes sure that `next` is there if there is anything more.
    fn advance(&mut self) -> io::Result<()> {
        while self.next.is_none() && self.piece < self.span.pieces.len() {
            if self.splitter.is_none() && !self.begin()? {
                self.piece += 1;
                continue;
            }
            let more = self.fill_window()?;
            self.next = self.pop()?;
            if !more && self.next.is_none() {
                if let Some(splitter) = self.splitter.take() {
                    self.span.pieces[self.piece].read_to = Some(splitter.pending());
                }
                self.piece += 1;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> io::Result<bool> {
        let piece = &mut self.span.pieces[self.piece];
        if !piece.open(&self.span.chain, &mut self.times)? {
            return Ok(false);
        }
        self.splitter = Some(Splitter::new(piece.start, self.times.clone(), piece.timed));
        self.cut_to = piece.start;
        self.done.clone_from(&piece.done);
        Ok(true)
    }

    /// Cuts entries until the window is full. False when there are no more in this piece.
    fn fill_window(&mut self) -> io::Result<bool> {
        let Some(splitter) = &mut self.splitter else { return Ok(false) };
        let piece = &mut self.span.pieces[self.piece];
        let (end, whole, current) = (piece.end, piece.whole, piece.current);
        let (fallback, skip) = (piece.fallback, std::mem::take(&mut piece.done));
        let file = piece.file()?;
        let end = end.unwrap_or(u64::MAX);
        let mut close = Close::Next;
        let more = 'read: loop {
            while self.window.len() < WINDOW && self.window_bytes < WINDOW_BYTES {
                // Whatever begins at the end or behind it belongs to those who follow.
                if splitter.pending() >= end {
                    break 'read false;
                }
                let Some(entry) = splitter.next(close) else { break };
                self.cut_to = entry.end;
                self.last_time = entry.time().or(self.last_time);
                let time = self.last_time.unwrap_or(fallback);
                if skip.binary_search(&entry.start).is_err() && self.filter.wants(&entry, time) {
                    let waiting = Waiting { time, start: entry.start, text: text(&entry) };
                    self.ordered &= self.window.back().is_none_or(|last| last.time <= time);
                    self.window_bytes += waiting.text.len();
                    self.window.push_back(waiting);
                }
            }
            if self.window.len() >= WINDOW || self.window_bytes >= WINDOW_BYTES {
                break true;
            }
            if close != Close::Next || self.beat.stop() {
                break false;
            }
            // An entry that began before the end and never ends is left to those who follow.
            if splitter.position() > end.saturating_add(1 << 20) {
                break false;
            }
            if splitter.fill(file)? == 0 {
                if !current || whole {
                    close = Close::End;
                } else if !splitter.has_open_entry() || quiet_for(file.metadata()?.modified()?) >= self.idle {
                    close = Close::Idle;
                } else {
                    // Somebody may be writing the rest of the last entry just now.
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        };
        piece.done = skip;
        Ok(more)
    }

    /// The earliest entry of the window, unless that makes another wait for ever.
    fn pop(&mut self) -> io::Result<Option<Ready>> {
        let Some(first) = self.window.front().map(|waiting| waiting.time) else { return Ok(None) };
        let (mut place, mut earliest) = (0, first);
        if !self.ordered {
            let times = self.window.iter().map(|waiting| waiting.time).enumerate();
            (place, earliest) = times.min_by_key(|(place, time)| (*time, *place)).unwrap_or((0, first));
            if self.done.len() >= WINDOW {
                place = 0;
            }
        }
        let Some(waiting) = self.window.remove(place) else { return Ok(None) };
        self.window_bytes -= waiting.text.len();
        if place > 0 {
            let at = self.done.partition_point(|start| *start < waiting.start);
            self.done.insert(at, waiting.start);
        }
        let offset = self.window.front().map_or(self.cut_to, |first| first.start);
        self.done.retain(|start| *start > offset);
        if !self.ordered {
            self.ordered = self.window.iter().is_sorted_by_key(|waiting| waiting.time);
        }
        self.last_order = self.last_order.max(earliest);
        let behind = Behind { piece: self.piece, offset, done: self.done.clone() };
        Ok(Some(Ready { order: self.last_order, time: waiting.time, text: waiting.text, behind }))
    }

    fn cursor(&mut self, behind: Behind) -> io::Result<ChainCursor> {
        let Behind { piece: begun, offset, done } = behind;
        let mut done = Some(done);
        let mut cursor = ChainCursor { key: self.span.chain.key, files: Vec::with_capacity(1) };
        for (place, piece) in self.span.pieces.iter_mut().enumerate().skip(begun) {
            if place == begun {
                let done = done.take().unwrap_or_default();
                cursor.files.push(FilePosition { done, ..piece.file()?.position(offset)? });
            } else if piece.start > 0 && piece.open(&self.span.chain, &mut self.times)? {
                let (start, done) = (piece.start, piece.done.clone());
                cursor.files.push(FilePosition { done, ..piece.file()?.position(start)? });
            }
        }
        Ok(cursor)
    }

    /// Where those who follow go on.
    fn end(mut self, now: Timestamp) -> io::Result<ChainCursor> {
        let mut cursor = ChainCursor { key: self.span.chain.key, files: Vec::new() };
        let count = self.span.pieces.len();
        for (place, piece) in self.span.pieces.iter_mut().enumerate() {
            let last = place + 1 == count;
            // A program may still write to a file that was rotated just now.
            let written = now.duration_since(piece.modified) < RETIRES && piece.packing() == Packing::Plain;
            if !(last || written) || !piece.open(&self.span.chain, &mut self.times)? {
                continue;
            }
            let offset = piece.read_to.unwrap_or(piece.start);
            cursor.files.push(piece.file()?.position(offset)?);
        }
        Ok(cursor)
    }
}

fn quiet_for(modified: std::time::SystemTime) -> Duration {
    // A clock that was set back must not make anybody wait.
    modified.elapsed().unwrap_or(Duration::MAX)
}

/// The spans of a node as one.
pub struct History {
    readers: Vec<Reader>,
    node: NodeName,
}

impl History {
    /// Reads these spans; an entry at an end is waited for for `idle`.
    pub fn new(
        spans: Vec<Span>,
        filter: &Arc<Filter>,
        times: &Times,
        idle: Duration,
        node: NodeName,
        beat: &Beat,
    ) -> Self {
        let reader = |span| Reader::new(span, Arc::clone(filter), times.clone(), idle, beat.clone());
        Self { readers: spans.into_iter().map(reader).collect(), node }
    }

    /// The next entry by time, with its cursor.
    pub fn next(&mut self) -> io::Result<Option<(ChainCursor, EventBody)>> {
        let Some((place, ready)) = self.take()? else { return Ok(None) };
        let reader = &mut self.readers[place];
        let cursor = reader.cursor(ready.behind)?;
        let event = EventBody::Log {
            source: reader.span.chain.source.to_string(),
            node: self.node.clone(),
            time: ready.time,
            line: ready.text,
            cursor: cursor.to_string(),
        };
        Ok(Some((cursor, event)))
    }

    /// Gathers the next entries, up to so many bytes, and takes `cursor` behind them.
    pub fn gather(&mut self, into: &mut Gatherer, bytes: usize, cursor: &mut NodeCursor) -> io::Result<()> {
        let mut behind: Vec<Option<Behind>> = Vec::new();
        behind.resize_with(self.readers.len(), || None);
        while into.bytes().len() < bytes {
            let Some((place, ready)) = self.take()? else { break };
            into.push(ready.time, ready.text.as_bytes());
            behind[place] = Some(ready.behind);
        }
        for (reader, behind) in self.readers.iter_mut().zip(behind) {
            if let Some(behind) = behind {
                cursor.set(reader.cursor(behind)?);
            }
        }
        Ok(())
    }

    /// The next entry by time, and whose it is; of those of one time, that of the first span.
    fn take(&mut self) -> io::Result<Option<(usize, Ready)>> {
        let mut earliest: Option<(Timestamp, usize)> = None;
        for (place, reader) in self.readers.iter_mut().enumerate() {
            reader.advance()?;
            if let Some(ready) = &reader.next
                && earliest.is_none_or(|(order, _)| ready.order < order)
            {
                earliest = Some((ready.order, place));
            }
        }
        let Some((_, place)) = earliest else { return Ok(None) };
        Ok(self.readers[place].next.take().map(|ready| (place, ready)))
    }

    /// Where those who follow go on; after the last entry.
    pub fn end(self, now: Timestamp) -> io::Result<NodeCursor> {
        let mut cursor = NodeCursor::default();
        for reader in self.readers {
            cursor.set(reader.end(now)?);
        }
        Ok(cursor)
    }
}
