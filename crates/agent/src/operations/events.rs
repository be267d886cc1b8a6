//! The events of an operation on disk, and following them. An event is written before anybody sees it; live and late
//! viewers read the same files by the same code.
//!
//! The files are segments of a few megabytes: `events.ndjson`, `events.1.ndjson` and so on. When a step writes more
//! than is kept of its output, closed segments are written anew without what lies between its beginning and its end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use orocloud_durable::Lines;
use orocloud_protocol::{CallId, Event, EventBody, NoteLevel};
use tokio::sync::watch;

/// How much of a step's output is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of its beginning.
    pub first: u64,
    /// Bytes of its end, at least.
    pub last: u64,
    /// Bytes of a segment.
    pub segment: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { first: MIB, last: 15 * MIB, segment: 4 * MIB }
    }
}

/// The longest text of one `output` event, in bytes.
const PIECE: usize = 64 * 1024;

/// What an event is numbered with after a crash: it goes on at the next multiple.
const JUMP: u64 = 1_000_000;

/// The events of an operation that has not ended, open to append.
#[derive(Debug)]
pub(super) struct EventLog {
    folder: PathBuf,
    call: CallId,
    limits: Limits,
    writer: Mutex<Writer>,
    /// Changes with every event, and says whether the last one is written.
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub seq: u64,
    pub ended: bool,
}

#[derive(Debug)]
struct Writer {
    lines: Lines,
    segment: u32,
    seq: u64,
    /// Bytes of output, by step and node.
    output: HashMap<Key, u64>,
    /// Of each closed segment: where a step's output in it begins and ends, counted over the whole operation.
    closed: Vec<HashMap<Key, (u64, u64)>>,
    /// The same of the open one.
    open: HashMap<Key, (u64, u64)>,
}

type Key = String;

fn key_of(body: &EventBody) -> Option<(Key, u64)> {
    match body {
        EventBody::Output { text, step, node, .. } => {
            let node = node.as_ref().map(ToString::to_string).unwrap_or_default();
            Some((format!("{} {node}", step.as_deref().unwrap_or_default()), text.len() as u64))
        }
        _ => None,
    }
}

/// Text in pieces of at most [`PIECE`] bytes, never cut inside a character.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn segment_path(folder: &Path, segment: u32) -> PathBuf {
    match segment {
        0 => folder.join("events.ndjson"),
        number => folder.join(format!("events.{number}.ndjson")),
    }
}

impl EventLog {
    /// Opens the events of an operation, new or interrupted.
    pub(super) fn open(folder: &Path, call: CallId, limits: Limits) -> io::Result<Self> {
        let mut segment = 0;
        while segment_path(folder, segment + 1).exists() {
            segment += 1;
        }
        let path = segment_path(folder, segment);
        let (lines, cut) = Lines::open(&path, 0o640)?;
        if cut > 0 {
            crate::log::line(format!("{}: half a last event of {cut} bytes is cut off", path.display()));
        }
        let mut newest = 0;
        for number in (0..=segment).rev() {
            newest = newest_seq(&segment_path(folder, number))?;
            if newest > 0 {
                break;
            }
        }
        // Whether a viewer saw an event whose line was lost nobody knows.
        let seq = if newest == 0 { 0 } else { (newest / JUMP + 1) * JUMP };
        let writer = Writer {
            lines,
            segment,
            seq,
            output: HashMap::new(),
            closed: vec![HashMap::new(); segment as usize],
            open: HashMap::new(),
        };
        Ok(Self {
            folder: folder.to_owned(),
            call,
            limits,
            writer: Mutex::new(writer),
            progress: watch::channel(Progress { seq, ended: false }).0,
        })
    }

    /// Writes an event, then lets viewers know.
    pub(super) fn write(&self, body: EventBody) {
        match body {
            EventBody::Output { stream, text, step, node } if text.len() > PIECE => {
                for piece in pieces(&text) {
                    let (step, node) = (step.clone(), node.clone());
                    self.write_one(EventBody::Output { stream, text: piece.to_owned(), step, node });
                }
            }
            body => self.write_one(body),
        }
    }

    fn write_one(&self, body: EventBody) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.seq += 1;
        let output = key_of(&body);
        let event = Event { call: self.call, seq: writer.seq, at: Timestamp::now(), body };
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        if let Err(error) = writer.lines.append(&line) {
            // A full disk must not end what repairs things: the step goes on, its words are lost.
            crate::log::line(format!("operation {}: an event cannot be written: {error}", self.call));
            return;
        }
        if let Some((key, bytes)) = output {
            let total = writer.output.entry(key.clone()).or_default();
            let from = *total;
            *total += bytes;
            let to = *total;
            writer.open.entry(key).or_insert((from, from)).1 = to;
        }
        if writer.lines.length() >= self.limits.segment
            && let Err(error) = self.next_segment(&mut writer)
        {
            crate::log::line(format!("operation {}: a new segment cannot be made: {error}", self.call));
        }
        let seq = writer.seq;
        drop(writer);
        self.progress.send_modify(|progress| progress.seq = seq);
    }

    /// Makes everything written so far last.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).lines.sync()
    }

    /// Nothing follows.
    pub(super) fn end(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// Follows the events after this one, until the last.
    pub(super) fn follow(&self, after_seq: u64) -> Follower {
        Follower::new(&self.folder, after_seq, Some(self.progress.subscribe()))
    }

    fn next_segment(&self, writer: &mut Writer) -> io::Result<()> {
        let segment = writer.segment + 1;
        let (lines, _) = Lines::open(&segment_path(&self.folder, segment), 0o640)?;
        writer.lines.sync()?;
        writer.lines = lines;
        writer.segment = segment;
        let closed = std::mem::take(&mut writer.open);
        writer.closed.push(closed);
        self.leave_out(writer)
    }

    /// Writes closed segments anew without output that is neither a step's beginning nor its end.
    fn leave_out(&self, writer: &mut Writer) -> io::Result<()> {
        let Writer { output, closed, .. } = writer;
        for (segment, ranges) in (0..).zip(closed) {
            let middle: Vec<Key> = ranges
                .iter()
                .filter(|(key, (from, to))| {
                    let total = output.get(*key).copied().unwrap_or_default();
                    *from >= self.limits.first && to + self.limits.last <= total
                })
                .map(|(key, _)| key.clone())
                .collect();
            if middle.is_empty() {
                continue;
            }
            thin_out(&segment_path(&self.folder, segment), &middle)?;
            ranges.retain(|key, _| !middle.contains(key));
        }
        Ok(())
    }
}

/// Replaces the output of these steps in one segment by a word about it.
fn thin_out(path: &Path, steps: &[Key]) -> io::Result<()> {
    let content = std::fs::read(path)?;
    let mut kept: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut left_out: HashMap<Key, (u64, Event)> = HashMap::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Event>(line) else { continue };
        match key_of(&event.body) {
            Some((key, bytes)) if steps.contains(&key) => {
                left_out.entry(key).or_insert((0, event)).0 += bytes
            }
            _ => kept.push((event.seq, line.to_vec())),
        }
    }
    for (bytes, event) in left_out.into_values() {
        let EventBody::Output { step, node, .. } = &event.body else { continue };
        let step = step.as_deref().unwrap_or("a step");
        let node = node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        let text = format!("{bytes} bytes of the output of {step}{node} are left out here");
        let body = EventBody::Note { level: NoteLevel::Info, text };
        let mut line = serde_json::to_vec(&Event { body, ..event })?;
        line.push(b'\n');
        kept.push((event.seq, line));
    }
    kept.sort_by_key(|(seq, _)| *seq);
    let content: Vec<u8> = kept.into_iter().flat_map(|(_, line)| line).collect();
    orocloud_durable::write(path, &content, 0o640)
}

fn newest_seq(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // The longest line is 64 KiB of text, in which each byte may be written as six.
    file.seek(SeekFrom::Start(length.saturating_sub(1024 * 1024)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let newest = tail
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Event>(line).ok())
        .map(|event| event.seq)
        .max();
    Ok(newest.unwrap_or_default())
}

/// Reads the events of an operation, whether it runs or has ended.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    segment: u32,
    file: Option<File>,
    buffer: Vec<u8>,
    parsed: usize,
    after_seq: u64,
    live: Option<watch::Receiver<Progress>>,
}

impl Follower {
    pub(super) fn new(folder: &Path, after_seq: u64, live: Option<watch::Receiver<Progress>>) -> Self {
        Self {
            folder: folder.to_owned(),
            segment: 0,
            file: None,
            buffer: Vec::new(),
            parsed: 0,
            after_seq,
            live,
        }
    }

    /// Whether it goes on with what happens from now on.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Ends with what is there now.
    pub fn stop_following(&mut self) {
        self.live = None;
    }

    /// The next event; `None` after the last one. May be dropped and called again.
    pub async fn next(&mut self) -> io::Result<Option<Event>> {
        loop {
            // Looked at before the files: what is written by then is found in them.
            let ended = self.live.as_mut().is_none_or(|live| live.borrow_and_update().ended);
            if let Some(event) = self.read_next()? {
                return Ok(Some(event));
            }
            match &mut self.live {
                _ if ended => return Ok(None),
                Some(live) => {
                    if live.changed().await.is_err() {
                        self.live = None;
                    }
                }
                None => return Ok(None),
            }
        }
    }

    /// The next event that is written.
    fn read_next(&mut self) -> io::Result<Option<Event>> {
        loop {
            while let Some(line) = self.next_line() {
                let Ok(event) = serde_json::from_slice::<Event>(&line) else { continue };
                if event.seq > self.after_seq {
                    self.after_seq = event.seq;
                    return Ok(Some(event));
                }
            }
            // Looked for before reading: once it is there, nothing is added to this one.
            let closed = segment_path(&self.folder, self.segment + 1).exists();
            if self.fill()? {
                continue;
            }
            if !closed {
                return Ok(None);
            }
            self.segment += 1;
            self.file = None;
            self.buffer.clear();
            self.parsed = 0;
        }
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer[self.parsed..].iter().position(|byte| *byte == b'\n')?;
        let line = self.buffer[self.parsed..self.parsed + end].to_vec();
        self.parsed += end + 1;
        Some(line)
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.parsed);
        self.parsed = 0;
        let file = match &mut self.file {
            Some(file) => file,
            None => match File::open(segment_path(&self.folder, self.segment)) {
                Ok(file) => self.file.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            },
        };
        Ok(file.take(128 * 1024).read_to_end(&mut self.buffer)? > 0)
    }
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::OutputStream;

    use super::*;

    fn output(text: &str) -> EventBody {
        EventBody::Output {
            stream: OutputStream::Stdout,
            text: text.to_owned(),
            step: Some("build".into()),
            node: Some("maint1".parse().unwrap()),
        }
    }

    fn note(text: &str) -> EventBody {
        EventBody::Note { level: NoteLevel::Info, text: text.to_owned() }
    }

    async fn all(mut follower: Follower) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = follower.next().await.unwrap() {
            events.push(event);
        }
        events
    }

    #[tokio::test]
    async fn live_and_late_viewers_see_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { segment: 400, ..Limits::default() };
        let journal = EventLog::open(folder.path(), CallId::from_parts(1, 1), limits).unwrap();
        let live = tokio::spawn(all(journal.follow(0)));
        for number in 0..20 {
            journal.write(note(&number.to_string()));
            tokio::task::yield_now().await;
        }
        journal.end();
        let live = live.await.unwrap();
        assert_eq!(live.len(), 20);
        assert_eq!(live, all(Follower::new(folder.path(), 0, None)).await);
        assert_eq!(all(journal.follow(17)).await.len(), 3);
        assert!(segment_path(folder.path(), 3).exists());
    }

    #[tokio::test]
    async fn after_a_crash_numbers_jump_and_half_a_line_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let call = CallId::from_parts(1, 1);
        let journal = EventLog::open(folder.path(), call, Limits::default()).unwrap();
        journal.write(note("one"));
        drop(journal);
        let path = folder.path().join("events.ndjson");
        let mut content = std::fs::read(&path).unwrap();
        content.extend_from_slice(b"{\"call\":\"01J");
        std::fs::write(&path, content).unwrap();
        let journal = EventLog::open(folder.path(), call, Limits::default()).unwrap();
        journal.write(note("two"));
        drop(journal);
        let journal = EventLog::open(folder.path(), call, Limits::default()).unwrap();
        journal.write(note("three"));
        let seqs: Vec<u64> =
            all(Follower::new(folder.path(), 0, None)).await.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, [1, 1_000_001, 2_000_001]);
    }

    #[tokio::test]
    async fn a_step_keeps_its_first_and_last_output_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { first: 1000, last: 3000, segment: 1000 };
        let journal = EventLog::open(folder.path(), CallId::from_parts(1, 1), limits).unwrap();
        for number in 0..200 {
            journal.write(output(&format!("{number:0100}")));
            if number % 20 == 0 {
                journal.write(note("milestone"));
            }
        }
        let events = all(Follower::new(folder.path(), 0, None)).await;
        let texts: Vec<&String> = events
            .iter()
            .filter_map(|event| match &event.body {
                EventBody::Output { text, .. } => Some(text),
                _ => None,
            })
            .collect();
        assert!(texts[0].ends_with("00") && texts[9].ends_with("09"), "the beginning is kept");
        assert!(texts.last().unwrap().ends_with("199"));
        assert!((40..60).contains(&texts.len()), "{}", texts.len());
        let notes = |wanted: &str| {
            events
                .iter()
                .filter(|event| matches!(&event.body, EventBody::Note { text, .. } if text.contains(wanted)))
                .count()
        };
        assert_eq!(notes("milestone"), 10);
        assert!(notes("left out") > 0);
        assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    }
}
