//! Reads on in the files of one chain as they grow, are rotated, emptied, deleted and made anew.
//!
//! The files themselves are the queue: whoever reads slowly reads later. Only who stays far behind for long is
//! brought forward, and told how many lines that left out.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::{EventBody, NodeName};

use super::chain::{Chain, Identity, LogFile, Packing};
use super::cursor::ChainCursor;
use super::entry::{Close, Source, Splitter};
use super::filter::Filter;
use super::history::text;
use super::search;
use super::span::{RETIRES, Span};
use super::time::Times;
use super::weight;

/// More than so many rotated files of a chain are not waited for.
const MOST_FILES: usize = 4;

/// What one step may give out, and read, before others have their turn. It is held while a slow reader takes it, by
/// each of hundreds of tails.
const STEP_OUT: usize = 48 * 1024;
const STEP_READ: usize = 4 * 1024 * 1024;

/// When things count as late.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// An entry that nothing was added to for so long is whole.
    pub idle: Duration,
    /// Who is so many bytes behind …
    pub behind: u64,
    /// … and has not caught up for so long is brought forward.
    pub behind_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle: Duration::from_millis(10), behind: 8 << 20, behind_for: Duration::from_secs(5) }
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stepped {
    /// There is more at once.
    pub more: bool,
    /// Look again then, even if nothing changes.
    pub wake: Option<Instant>,
}

/// Follows one chain.
#[derive(Debug)]
pub struct Follower {
    chain: Chain,
    /// The oldest first; only the last can be the one that is written to.
    files: VecDeque<Open>,
    times: Times,
    last_time: Option<Timestamp>,
    limits: Limits,
    caught_up: Instant,
    /// Why entries are missing where it goes on.
    missing: Option<&'static str>,
    /// The last trouble, so that it is told once.
    trouble: Option<String>,
}

#[derive(Debug)]
struct Open {
    file: LogFile,
    splitter: Splitter,
    /// Everything before it was given out.
    cut_to: u64,
    /// Entries that begin here were given out before.
    done: Vec<u64>,
    grown: Instant,
    /// When it was seen to have lost its name to a newer one, or was found as a copy.
    retired: Option<Instant>,
}

impl Open {
    fn new(mut file: LogFile, offset: u64, times: &Times, timed: bool, retired: bool) -> io::Result<Self> {
        // Remembers the first bytes: they tell when the file is emptied and grows again.
        file.print(offset)?;
        Ok(Self {
            file,
            splitter: Splitter::new(offset, times.clone(), timed),
            cut_to: offset,
            done: Vec::new(),
            grown: Instant::now(),
            retired: retired.then(Instant::now),
        })
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Where entries and gaps are put, with the cursor behind each.
pub type Out = Vec<(ChainCursor, EventBody)>;

impl Follower {
    /// Goes on where the span begins.
    pub fn new(span: Span, mut times: Times, limits: Limits) -> io::Result<Self> {
        let mut files = VecDeque::new();
        for mut piece in span.pieces {
            if piece.open(&span.chain, &mut times)? {
                let (start, timed, done, current) =
                    (piece.start, piece.timed, piece.done.clone(), piece.current);
                let Some(file) = piece.into_file() else { continue };
                let open = Open::new(file, start, &times, timed, !current)?;
                files.push_back(Open { done, ..open });
            }
        }
        let caught_up = Instant::now();
        let (chain, missing) = (span.chain, span.gap);
        Ok(Self { chain, files, times, last_time: None, limits, caught_up, missing, trouble: None })
    }

    /// Where it is.
    pub fn cursor(&mut self) -> io::Result<ChainCursor> {
        let mut cursor = ChainCursor { key: self.chain.key, files: Vec::with_capacity(self.files.len()) };
        for open in &mut self.files {
            cursor.files.push(open.file.position(open.cut_to)?);
        }
        Ok(cursor)
    }

    /// Reads what there is. Trouble with a file is told, and tried again with the next step.
    pub fn step(&mut self, node: &NodeName, filter: &Filter, out: &mut Out) -> Stepped {
        match self.try_step(node, filter, out) {
            Ok(stepped) => {
                self.trouble = None;
                stepped
            }
            Err(error) => {
                let text = format!("{node}: {}: {error}", self.chain.path.display());
                if self.trouble.as_ref() != Some(&text) {
                    let note =
                        EventBody::Note { level: orocloud_protocol::NoteLevel::Warning, text: text.clone() };
                    let cursor = self.cursor().unwrap_or_default();
                    out.push((ChainCursor { key: self.chain.key, ..cursor }, note));
                    self.trouble = Some(text);
                }
                Stepped::default()
            }
        }
    }

    fn try_step(&mut self, node: &NodeName, filter: &Filter, out: &mut Out) -> io::Result<Stepped> {
        let now = Instant::now();
        let wall = Timestamp::now();
        let mut stepped = Stepped::default();
        if let Some(reason) = self.missing.take() {
            self.gap(node, None, reason, out)?;
        }
        self.find_emptied(node, filter, out, wall)?;
        if now.duration_since(self.caught_up) >= self.limits.behind_for {
            self.bring_forward(node, out)?;
        }
        let mut read = STEP_READ;
        let mut place = 0;
        while place < self.files.len() {
            if self.read(place, node, filter, out, wall, &mut read)? {
                stepped.more = true;
                return Ok(stepped);
            }
            let quiet = now.saturating_duration_since(self.files[place].grown);
            if self.files[place].splitter.has_open_entry() {
                if quiet >= self.limits.idle {
                    self.cut(place, Close::Idle, node, filter, out, wall)?;
                } else {
                    let due = self.files[place].grown + self.limits.idle;
                    stepped.wake = Some(stepped.wake.map_or(due, |wake| wake.min(due)));
                    // The end of the old file comes before the new one, unless it goes on for long.
                    let since =
                        self.files[place].retired.map(|retired| now.saturating_duration_since(retired));
                    if since.is_some_and(|since| since < self.limits.idle * 2) {
                        return Ok(stepped);
                    }
                }
            }
            let retires = Duration::try_from(RETIRES).unwrap_or_default();
            let packed = self.files[place].file.packing != Packing::Plain;
            if self.files[place].retired.is_some()
                && (packed || quiet >= retires || self.files.len() > MOST_FILES)
            {
                self.cut(place, Close::End, node, filter, out, wall)?;
                self.files.remove(place);
            } else {
                self.files[place].splitter.rest();
                place += 1;
            }
        }
        self.caught_up = now;
        stepped.more = self.find_newer()?;
        Ok(stepped)
    }

    /// Reads one file to its end. True when the step has done enough.
    fn read(
        &mut self,
        place: usize,
        node: &NodeName,
        filter: &Filter,
        out: &mut Out,
        wall: Timestamp,
        budget: &mut usize,
    ) -> io::Result<bool> {
        loop {
            if self.cut(place, Close::Next, node, filter, out, wall)? || *budget == 0 {
                return Ok(true);
            }
            let open = &mut self.files[place];
            match open.splitter.fill(&mut open.file)? {
                0 => return Ok(false),
                read => {
                    *budget = budget.saturating_sub(read);
                    open.grown = Instant::now();
                }
            }
        }
    }

    /// Gives out the entries that are closed. True when enough were given out.
    fn cut(
        &mut self,
        place: usize,
        close: Close,
        node: &NodeName,
        filter: &Filter,
        out: &mut Out,
        wall: Timestamp,
    ) -> io::Result<bool> {
        let mut given = out.iter().map(|(_, event)| weight(event)).sum::<usize>();
        loop {
            if given >= STEP_OUT && close == Close::Next {
                return Ok(true);
            }
            let open = &mut self.files[place];
            open.splitter.set_now(wall);
            let Some(entry) = open.splitter.next(close) else { return Ok(false) };
            open.cut_to = entry.end;
            self.last_time = entry.time().or(self.last_time);
            let time = self.last_time.unwrap_or(wall);
            if open.done.binary_search(&entry.start).is_ok() || !filter.wants(&entry, time) {
                continue;
            }
            let line = text(&entry);
            let cursor = self.cursor()?;
            let event = EventBody::Log {
                source: self.chain.source.to_string(),
                node: node.clone(),
                time,
                line,
                cursor: cursor.to_string(),
            };
            given += weight(&event);
            out.push((cursor, event));
        }
    }

    fn gap(&mut self, node: &NodeName, lines: Option<u64>, reason: &str, out: &mut Out) -> io::Result<()> {
        let cursor = self.cursor()?;
        let source = self.chain.source.to_string();
        out.push((cursor, EventBody::Gap { source, node: node.clone(), lines, reason: reason.to_owned() }));
        Ok(())
    }

    /// The file under the name may be shorter than what was read of it, or have another beginning.
    fn find_emptied(
        &mut self,
        node: &NodeName,
        filter: &Filter,
        out: &mut Out,
        wall: Timestamp,
    ) -> io::Result<()> {
        let Some(place) = self.files.len().checked_sub(1) else { return Ok(()) };
        let open = &mut self.files[place];
        if open.retired.is_some() || open.size()? >= open.splitter.position() && open.file.is_unchanged()? {
            return Ok(());
        }
        self.cut(place, Close::Idle, node, filter, out, wall)?;
        let open = &mut self.files[place];
        let (identity, timed) = (open.file.identity, open.splitter.timed());
        let (position, unread) = (open.file.position(open.cut_to)?, open.splitter.pending());
        open.file.forget();
        open.splitter = Splitter::new(0, self.times.clone(), timed);
        open.cut_to = 0;
        open.done = Vec::new();
        // copytruncate: what was not read yet stands in the copy.
        if position.offset > 0 {
            for link in self.chain.links()?.iter().filter(|link| link.identity != identity).take(2) {
                if let Some(mut copy) = link.open(&self.chain)?
                    && copy.holds(&position)?
                {
                    self.files.insert(place, Open::new(copy, unread, &self.times, timed, true)?);
                    return Ok(());
                }
            }
        }
        self.gap(node, None, "truncated", out)
    }

    /// Whether another file stands under the name now; then the one before is read to its end beside it.
    fn find_newer(&mut self) -> io::Result<bool> {
        let current = self.files.back().filter(|open| open.retired.is_none()).map(|open| open.file.identity);
        match std::fs::metadata(&self.chain.path) {
            Ok(metadata) if !metadata.is_file() || Some(Identity::of(&metadata)) == current => {
                return Ok(false);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        let Some(newest) = LogFile::open(&self.chain.path, Packing::Plain)? else { return Ok(false) };
        if Some(newest.identity) == current {
            return Ok(true);
        }
        let known = |identity| self.files.iter().any(|open| open.file.identity == identity);
        let timed = self.files.back().is_some_and(|open| open.splitter.timed());
        // More than one rotation since the last look: those in between are new too.
        let mut between = Vec::new();
        let links = self.chain.links()?;
        if let Some(last) =
            links.iter().position(|link| known(link.identity) && link.identity != newest.identity)
        {
            for link in links[..last].iter().filter(|link| link.identity != newest.identity).rev() {
                between.extend(link.open(&self.chain)?);
            }
        }
        if let Some(open) = self.files.back_mut() {
            open.retired = Some(Instant::now());
            open.grown = Instant::now();
        }
        // A file may come back under its name: it is read on, not anew.
        if let Some(place) = self.files.iter().position(|open| open.file.identity == newest.identity)
            && let Some(mut open) = self.files.remove(place)
        {
            open.retired = None;
            self.files.push_back(open);
            return Ok(true);
        }
        for file in between {
            self.files.push_back(Open::new(file, 0, &self.times, timed, true)?);
        }
        self.files.push_back(Open::new(newest, 0, &self.times, timed, false)?);
        Ok(true)
    }

    /// Leaves out what whoever reads will not come to, and counts it.
    fn bring_forward(&mut self, node: &NodeName, out: &mut Out) -> io::Result<()> {
        for place in 0..self.files.len() {
            let open = &mut self.files[place];
            let (from, size) = (open.splitter.pending(), open.size()?);
            if open.file.packing != Packing::Plain || size.saturating_sub(from) <= self.limits.behind {
                continue;
            }
            let timed = open.splitter.timed();
            let near = size - (self.limits.behind / 16).min(search::BLOCK);
            // Within a line that is longer than this, there is no place to go on.
            let Some((to, _)) = search::entry_start(&mut open.file, near, size, &mut self.times, timed)?
            else {
                continue;
            };
            let lines = count_lines(&mut open.file, from, to)?;
            open.splitter = Splitter::new(to, self.times.clone(), timed);
            open.cut_to = to;
            open.done = Vec::new();
            self.gap(node, Some(lines), "behind", out)?;
        }
        Ok(())
    }
}

fn count_lines(file: &mut LogFile, mut from: u64, to: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut lines = 0;
    while from < to {
        let most = usize::try_from(to - from).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read(from, &mut buffer[..most])?;
        if read == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
        from += read as u64;
    }
    Ok(lines)
}
