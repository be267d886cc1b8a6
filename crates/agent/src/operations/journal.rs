//! The journal of an operation: `operation.json` says what it is and how it stands, `steps.ndjson` which step was
//! begun and which is done, `events.ndjson` what was told.
//!
//! `steps.ndjson` is synced at every line, because recovery depends on it. `events.ndjson` is written before an
//! event is sent, and read by whoever watches, early or late.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use orocloud_protocol::node::Phase;
use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::{CallError, CallId, ContentHash, Event, EventBody, Lock, NodeName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::plan::OperationPlan;
use super::redact::redact;

/// The newest format of `operation.json` that this build reads, and the one it writes.
pub const FORMAT: u32 = 1;

/// How far `seq` jumps after a crash.
const SEQ_JUMP: u64 = 1_000_000;

/// How much output one step may leave in the journal before the rest is left out, in bytes.
const STEP_OUTPUT: usize = 16 * 1024 * 1024;

/// The longest text of one `output` event, in bytes.
const PIECE: usize = 64 * 1024;

/// `operation.json`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "A: Serialize", deserialize = "A: DeserializeOwned"))]
pub struct Record<A> {
    /// See [`FORMAT`].
    pub format: u32,
    /// The operation.
    pub id: CallId,
    /// The method, like `backup.restore`.
    pub method: String,
    /// The command line, secrets redacted.
    pub command: String,
    /// Key id of the caller.
    pub caller: String,
    /// What identifies the caller: the fingerprint of their key, or `local:ACCOUNT`.
    pub key: String,
    /// Secrets redacted.
    pub params: Value,
    /// Keyed digest of the parameters with their secrets.
    pub params_digest: ContentHash,
    /// Whether a secret was redacted: then it is undone after a crash, never finished.
    pub undo_only: bool,
    /// What it holds.
    pub locks: Vec<Lock>,
    /// What it does; secrets redacted.
    pub plan: OperationPlan<A>,
    /// How it stands.
    pub state: OperationState,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The node it waits for.
    pub waiting_for: Option<NodeName>,
    /// Its answer.
    pub result: Option<Value>,
    /// Why there is none.
    pub error: Option<CallError>,
}

/// What lists need of `operation.json`; readable also when the plan is of a newer kind.
#[derive(Debug, Deserialize)]
pub struct Head {
    format: u32,
    id: CallId,
    method: String,
    command: String,
    caller: String,
    /// See [`Record::key`].
    pub key: String,
    /// See [`Record::params_digest`].
    pub params_digest: ContentHash,
    state: OperationState,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    waiting_for: Option<NodeName>,
    result: Option<Value>,
    error: Option<CallError>,
}

impl Head {
    /// As lists show it.
    pub fn summary(self) -> OperationSummary {
        OperationSummary {
            id: self.id,
            method: self.method,
            command: self.command,
            caller: self.caller,
            state: self.state,
            started_at: self.started_at,
            ended_at: self.ended_at,
            step: None,
            waiting_for: self.waiting_for,
            result: self.result,
            error: self.error,
        }
    }
}

/// One line of `steps.ndjson`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Group and place in it.
    pub at: (usize, usize),
    /// What was done with the step.
    pub phase: Phase,
    /// What became of it.
    pub mark: Mark,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// It is about to begin, as this attempt.
    Intent(CallId),
    /// It is done, with this output.
    Done(Value),
    /// It answered with an error.
    Failed(CallError),
}

/// Where operations lie: `operations/YYYY-MM/ULID/`.
#[derive(Clone, Debug)]
pub struct Shelf {
    root: PathBuf,
}

impl Shelf {
    /// The shelf in a state folder.
    pub fn new(state: &Path) -> io::Result<Self> {
        let root = state.join("operations");
        fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    /// The file of the key that parameters are digested with.
    pub fn key_file(&self) -> PathBuf {
        self.root.join("digest.key")
    }

    /// The folder of an operation.
    pub fn folder(&self, id: CallId) -> PathBuf {
        let month = id.timestamp().to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m").to_string();
        self.root.join(month).join(id.to_string())
    }

    /// What is known of an operation; `None` when it was never begun.
    pub fn head(&self, id: CallId) -> Result<Option<Head>, CallError> {
        let path = self.folder(id).join("operation.json");
        let head: Option<Head> = orocloud_durable::read_json(&path).map_err(unreadable)?;
        match head {
            Some(head) if head.format > FORMAT => Err(CallError::failed(format!(
                "{} has format {}, this agent reads up to {FORMAT}",
                path.display(),
                head.format
            ))
            .hint("upgrade the agent on this node")),
            head => Ok(head),
        }
    }

    /// The ids of all operations, newest first.
    pub fn ids(&self) -> io::Result<Vec<CallId>> {
        let mut ids = Vec::new();
        for month in fs::read_dir(&self.root)?.flatten().filter(|entry| entry.path().is_dir()) {
            for entry in fs::read_dir(month.path())?.flatten() {
                // A folder of another name is nobody's journal.
                ids.extend(entry.file_name().to_str().and_then(|name| name.parse::<CallId>().ok()));
            }
        }
        ids.sort_unstable_by(|one, other| other.cmp(one));
        Ok(ids)
    }
}

fn unreadable(error: io::Error) -> CallError {
    CallError::failed("the journal cannot be read").because(error)
}

/// The open journal of one operation.
#[derive(Debug)]
pub struct Journal<A> {
    folder: PathBuf,
    record: Mutex<Record<A>>,
    steps: Mutex<File>,
    events: Mutex<Events>,
    /// Bytes of `events.ndjson`, and whether the operation has ended.
    tail: watch::Sender<Tail>,
}

/// How far `events.ndjson` reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    bytes: u64,
    ended: bool,
}

#[derive(Debug)]
struct Events {
    file: File,
    seq: u64,
    bytes: u64,
    /// Output of each step so far, by step and node, in bytes.
    output: std::collections::HashMap<(String, String), usize>,
}

impl<A: Clone + Serialize + DeserializeOwned> Journal<A> {
    /// Begins the journal of a new operation. The folder gets its name once its record is whole.
    pub fn create(shelf: &Shelf, record: Record<A>) -> io::Result<Self> {
        let folder = shelf.folder(record.id);
        fs::create_dir_all(&folder)?;
        let steps = OpenOptions::new().append(true).create(true).open(folder.join("steps.ndjson"))?;
        let file = OpenOptions::new().append(true).create(true).open(folder.join("events.ndjson"))?;
        let journal = Self {
            folder,
            record: Mutex::new(record),
            steps: Mutex::new(steps),
            events: Mutex::new(Events { file, seq: 0, bytes: 0, output: Default::default() }),
            tail: watch::Sender::new(Tail::default()),
        };
        journal.save()?;
        orocloud_durable::sync_parent(&journal.folder)?;
        Ok(journal)
    }

    /// Takes up the journal of an operation that a crash interrupted.
    pub fn reopen(shelf: &Shelf, id: CallId) -> io::Result<Self> {
        let folder = shelf.folder(id);
        let record = orocloud_durable::read_json(&folder.join("operation.json"))?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{id} has no operation.json")))?;
        let (steps, _) = open_whole_lines(&folder.join("steps.ndjson"))?;
        let (file, bytes) = open_whole_lines(&folder.join("events.ndjson"))?;
        let last = last_seq(&folder.join("events.ndjson"))?;
        let seq = (last / SEQ_JUMP + 1) * SEQ_JUMP;
        Ok(Self {
            folder,
            record: Mutex::new(record),
            steps: Mutex::new(steps),
            events: Mutex::new(Events { file, seq, bytes, output: Default::default() }),
            tail: watch::Sender::new(Tail { bytes, ended: false }),
        })
    }

    /// The record as it stands.
    pub fn record(&self) -> Record<A> {
        lock(&self.record).clone()
    }

    /// Changes the record and writes it.
    pub fn update(&self, change: impl FnOnce(&mut Record<A>)) -> io::Result<()> {
        change(&mut lock(&self.record));
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let record = lock(&self.record).clone();
        let mut value = serde_json::to_value(&record)?;
        redact(&mut value);
        orocloud_durable::write_json(&self.folder.join("operation.json"), &value, 0o600)
    }

    /// Writes and syncs a line about a step.
    pub fn mark(&self, line: &StepLine) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let mut steps = lock(&self.steps);
        steps.write_all(&text)?;
        steps.sync_data()
    }

    /// What is known of the steps, in the order in which it was written.
    pub fn marks(&self) -> io::Result<Vec<StepLine>> {
        BufReader::new(File::open(self.folder.join("steps.ndjson"))?)
            .lines()
            .map(|line| Ok(serde_json::from_str(&line?)?))
            .collect()
    }

    /// Writes an event, then lets those who watch know. Long output is cut into pieces; what a step writes beyond
    /// its share is left out, and that is said once.
    pub fn tell(&self, body: EventBody) {
        let id = lock(&self.record).id;
        let mut events = lock(&self.events);
        if let EventBody::Output { stream, text, step, node } = &body {
            let key = (
                step.clone().unwrap_or_default(),
                node.as_ref().map(NodeName::to_string).unwrap_or_default(),
            );
            let before = *events.output.get(&key).unwrap_or(&0);
            events.output.insert(key, before + text.len());
            if before >= STEP_OUTPUT {
                return;
            }
            for piece in pieces(text) {
                let (stream, step, node) = (*stream, step.clone(), node.clone());
                events.write(id, EventBody::Output { stream, text: piece.to_owned(), step, node });
            }
            if before + text.len() >= STEP_OUTPUT {
                let text =
                    format!("further output of {} is left out", step.as_deref().unwrap_or("this step"));
                events.write(id, EventBody::Note { level: orocloud_protocol::NoteLevel::Warning, text });
            }
        } else {
            events.write(id, body);
        }
        let bytes = events.bytes;
        drop(events);
        self.tail.send_modify(|tail| tail.bytes = bytes);
    }

    /// Writes how it ended, then lets those who watch know.
    pub fn end(&self, state: OperationState, outcome: Result<Value, CallError>) -> io::Result<()> {
        let _ = lock(&self.events).file.sync_data();
        let saved = self.update(|record| {
            record.state = state;
            record.ended_at = Some(Timestamp::now());
            record.waiting_for = None;
            match outcome {
                Ok(value) => record.result = Some(value),
                Err(error) => record.error = Some(error),
            }
        });
        self.tail.send_modify(|tail| tail.ended = true);
        saved
    }

    /// For those who watch.
    pub fn tail(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }
}

impl Events {
    fn write(&mut self, call: CallId, body: EventBody) {
        self.seq += 1;
        let event = Event { call, seq: self.seq, at: Timestamp::now(), body };
        // Our own types always serialise. A full disk must not end an operation half way: its steps are in
        // steps.ndjson, and what is missing here is only the story.
        if let Ok(mut line) = serde_json::to_vec(&event) {
            line.push(b'\n');
            if self.file.write_all(&line).is_ok() {
                self.bytes += line.len() as u64;
            } else {
                // Half a line would spoil the next one.
                let _ = self.file.set_len(self.bytes);
            }
        }
    }
}

/// Text in pieces of at most [`PIECE`] bytes, never cut inside a character.
fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while text.len() > PIECE {
        let at = (0..=PIECE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(PIECE);
        let (piece, rest) = text.split_at(at);
        pieces.push(piece);
        text = rest;
    }
    pieces.push(text);
    pieces
}

/// Opens for appending and cuts half a last line, which a crash can leave.
fn open_whole_lines(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < content.len() {
        eprintln!("{}: cut {} bytes of half a line", path.display(), content.len() - whole);
        file.set_len(whole as u64)?;
        file.sync_data()?;
    }
    Ok((file, whole as u64))
}

fn last_seq(path: &Path) -> io::Result<u64> {
    #[derive(Deserialize)]
    struct Seq {
        seq: u64,
    }
    let last = BufReader::new(File::open(path)?).lines().map_while(Result::ok).last();
    Ok(last.and_then(|line| serde_json::from_str::<Seq>(&line).ok()).map_or(0, |event| event.seq))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the events of an operation, one after another, while it runs or long after.
#[derive(Debug)]
pub struct Follow {
    folder: PathBuf,
    reader: Option<BufReader<File>>,
    after_seq: u64,
    /// Absent when the operation had ended before.
    tail: Option<watch::Receiver<Tail>>,
    position: u64,
}

impl Follow {
    /// The events after `after_seq`; with a `tail`, until that says that the operation has ended.
    pub fn new(shelf: &Shelf, id: CallId, after_seq: u64, tail: Option<watch::Receiver<Tail>>) -> Self {
        Self { folder: shelf.folder(id), reader: None, after_seq, tail, position: 0 }
    }

    /// The next event; `None` once the operation has ended and all were given.
    pub async fn next(&mut self) -> io::Result<Option<Event>> {
        loop {
            let tail = match &mut self.tail {
                Some(tail) => *tail.borrow_and_update(),
                None => Tail { bytes: u64::MAX, ended: true },
            };
            while self.position < tail.bytes {
                let Some(line) = self.line()? else { break };
                // A line of a newer agent, or one that a full disk has spoilt, is skipped.
                if let Ok(event) = serde_json::from_slice::<Event>(&line)
                    && event.seq > self.after_seq
                {
                    return Ok(Some(event));
                }
            }
            match &mut self.tail {
                Some(tail_changed) if !tail.ended => {
                    if tail_changed.changed().await.is_err() {
                        self.tail = None;
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                let mut file = File::open(self.folder.join("events.ndjson"))?;
                file.seek(SeekFrom::Start(self.position))?;
                self.reader.insert(BufReader::with_capacity(64 * 1024, file))
            }
        };
        let mut line = Vec::new();
        let length = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            // Half a line: nobody has announced it yet.
            reader.seek(SeekFrom::Start(self.position))?;
            return Ok(None);
        }
        self.position += length as u64;
        Ok(Some(line))
    }
}
