//! The journal of an operation: `operation.json` says what it is and how it stands, `steps.ndjson` which step was
//! begun and which is done, `events.ndjson` what was told.
//!
//! `steps.ndjson` is synced at every line, because recovery depends on it. `events.ndjson` is written before an
//! event is sent, and read by whoever watches, early or late.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use orocloud_durable::Lines;
use orocloud_protocol::node::Phase;
use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::{CallError, CallId, ContentHash, EventBody, Lock, NodeName, Page};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::events::{EventLog, Follower, Limits};
use super::plan::OperationPlan;
use super::redact::redact;

/// The newest format of `operation.json` that this build reads, and the one it writes.
pub const FORMAT: u32 = 1;

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
    /// Why it does not go on, a sentence each.
    #[serde(default)]
    pub stuck: Vec<String>,
    /// Its answer.
    pub result: Option<Value>,
    /// Why there is none.
    pub error: Option<CallError>,
}

impl<A> Record<A> {
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
            stuck: self.stuck,
            result: self.result,
            error: self.error,
        }
    }
}

/// What lists need of `operation.json`; readable also when the plan is of a newer kind.
#[derive(Debug, Deserialize)]
pub struct Head {
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
    #[serde(default)]
    stuck: Vec<String>,
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
            stuck: self.stuck,
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
    /// When.
    pub when: Timestamp,
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
    /// Its node could not be reached, or refused it: it did not begin.
    NotBegun(CallError),
    /// Its node stayed out of reach and was left behind.
    Left(CallError),
}

/// Where operations lie: `operations/YYYY-MM/ULID/`, and in `operations/unended/` a mark for each that has not ended,
/// so that a start looks at those alone.
#[derive(Clone, Debug)]
pub struct Shelf {
    root: PathBuf,
    /// Ids by month, as of the last change of the month's folder: it is not read again until it changes.
    months: Arc<Mutex<BTreeMap<String, Month>>>,
}

#[derive(Debug)]
struct Month {
    changed: SystemTime,
    /// Oldest first.
    ids: Vec<CallId>,
}

impl Shelf {
    /// The shelf in a state folder.
    pub fn new(state: &Path) -> io::Result<Self> {
        let root = state.join("operations");
        fs::create_dir_all(root.join("unended"))?;
        Ok(Self { root, months: Arc::default() })
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
        /// What every format has.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let path = self.folder(id).join("operation.json");
        let content = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            content => content.map_err(unreadable)?,
        };
        let wrong = |error: serde_json::Error| {
            unreadable(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
        };
        // Looked at first: of the rest of a newer format nothing is known.
        let Format { format } = serde_json::from_slice(&content).map_err(wrong)?;
        if format > FORMAT {
            return Err(CallError::failed(format!(
                "{} has format {format}, this agent reads up to {FORMAT}",
                path.display()
            ))
            .hint("upgrade the agent on this node"));
        }
        serde_json::from_slice(&content).map(Some).map_err(wrong)
    }

    fn mark_of(&self, id: CallId) -> PathBuf {
        self.root.join("unended").join(id.to_string())
    }

    /// It has ended, and that is on disk.
    pub fn unmark(&self, id: CallId) -> io::Result<()> {
        match fs::remove_file(self.mark_of(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The ids of operations that may not have ended, oldest first.
    pub fn unended(&self) -> io::Result<Vec<CallId>> {
        ids_in(&self.root.join("unended"))
    }

    /// One page of all ids, newest first, and how many there are.
    pub fn page(&self, page: Page) -> io::Result<(Vec<CallId>, usize)> {
        let take = page.per_page.clamp(1, 1000) as usize;
        let skip = (page.page.max(1) as usize - 1).saturating_mul(take);
        let mut names: Vec<String> = fs::read_dir(&self.root)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.len() == 7 && name.as_bytes()[4] == b'-')
            .collect();
        names.sort_unstable_by(|one, other| other.cmp(one));
        let mut months = lock(&self.months);
        months.retain(|name, _| names.contains(name));
        let (mut ids, mut total) = (Vec::new(), 0);
        for name in names {
            let folder = self.root.join(&name);
            let changed = fs::metadata(&folder)?.modified()?;
            if !months.get(&name).is_some_and(|month| month.changed == changed && settled(changed)) {
                months.insert(name.clone(), Month { changed, ids: ids_in(&folder)? });
            }
            let Some(month) = months.get(&name) else { continue };
            let here = month.ids.iter().rev().skip(skip.saturating_sub(total)).take(take - ids.len());
            ids.extend(here.copied());
            total += month.ids.len();
        }
        Ok((ids, total))
    }
}

/// Whether a folder's time of change is old enough to tell a further change: file systems count in ticks.
fn settled(changed: SystemTime) -> bool {
    changed.elapsed().is_ok_and(|age| age.as_millis() > 50)
}

/// A name that is no id is nobody's operation.
fn ids_in(folder: &Path) -> io::Result<Vec<CallId>> {
    let mut ids: Vec<CallId> =
        fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// What an operation fails with whose journal cannot be written.
pub fn unwritten(folder: &Path, error: io::Error) -> CallError {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let told =
        CallError::failed(format!("the journal cannot be written at {}", folder.display())).because(error);
    match full {
        true => told.hint("make room on the maintenance node: orocloud-cli status shows its disks"),
        false => told,
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
    steps: Mutex<Lines>,
    events: EventLog,
    /// Steps that have started and not ended.
    active: Mutex<Vec<(String, NodeName)>>,
    /// Why its end is not written yet.
    end_unwritten: Mutex<Option<String>>,
    /// As if the disk were full.
    #[cfg(test)]
    pub full: std::sync::atomic::AtomicBool,
}

impl<A: Clone + Serialize + DeserializeOwned> Journal<A> {
    /// Begins the journal of a new operation. It exists once its record is whole.
    pub fn create(shelf: &Shelf, record: Record<A>) -> io::Result<Self> {
        let folder = shelf.folder(record.id);
        if let Some(month) = folder.parent()
            && !month.exists()
        {
            fs::create_dir_all(month)?;
            orocloud_durable::sync_parent(month)?;
        }
        orocloud_durable::write(&shelf.mark_of(record.id), b"", 0o600)?;
        fs::create_dir_all(&folder)?;
        orocloud_durable::sync_parent(&folder)?;
        let journal = Self::open(folder, record)?;
        journal.save()?;
        Ok(journal)
    }

    /// Takes up the journal of an operation that a crash interrupted.
    pub fn reopen(shelf: &Shelf, id: CallId) -> io::Result<Self> {
        let folder = shelf.folder(id);
        let record = orocloud_durable::read_json(&folder.join("operation.json"))?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{id} has no operation.json")))?;
        Self::open(folder, record)
    }

    fn open(folder: PathBuf, record: Record<A>) -> io::Result<Self> {
        let path = folder.join("steps.ndjson");
        let (steps, cut) = Lines::open(&path, 0o600)?;
        if cut > 0 {
            crate::log::line(format!("{}: half a last line of {cut} bytes is cut off", path.display()));
        }
        let events = EventLog::open(&folder, record.id, Limits::default())?;
        Ok(Self {
            folder,
            record: Mutex::new(record),
            steps: Mutex::new(steps),
            events,
            active: Mutex::default(),
            end_unwritten: Mutex::default(),
            #[cfg(test)]
            full: std::sync::atomic::AtomicBool::new(false),
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
        // Held while writing: of two changes at once the later one is what stays.
        let record = lock(&self.record);
        let mut value = serde_json::to_value(&*record)?;
        redact(&mut value);
        orocloud_durable::write_json(&self.folder.join("operation.json"), &value, 0o600)
    }

    /// Writes and syncs a line about a step.
    pub fn mark(&self, line: &StepLine) -> io::Result<()> {
        #[cfg(test)]
        if self.full.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let mut steps = lock(&self.steps);
        steps.append(&text)?;
        steps.sync()
    }

    /// What a step fails with that cannot be written down.
    pub fn unwritten(&self, error: io::Error) -> CallError {
        unwritten(&self.folder, error)
    }

    /// What is known of the steps, in the order in which it was written.
    pub fn marks(&self) -> io::Result<Vec<StepLine>> {
        let text = fs::read_to_string(self.folder.join("steps.ndjson"))?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// When the acts of the steps were done, by step name.
    pub fn done_at(&self) -> BTreeMap<String, Timestamp> {
        let record = self.record();
        let marks = self.marks().unwrap_or_default();
        let done =
            marks.into_iter().filter(|line| line.phase == Phase::Act && matches!(line.mark, Mark::Done(_)));
        done.filter_map(|StepLine { at: (group, place), when, .. }| {
            Some((record.plan.groups.get(group)?.get(place)?.name.clone(), when))
        })
        .collect()
    }

    /// Writes an event, then lets those who watch know. Long output is cut into pieces; of what a step writes beyond
    /// its share only the beginning and the end are kept.
    pub fn tell(&self, body: EventBody) {
        match &body {
            EventBody::StepStarted { step, node, .. } => {
                lock(&self.active).push((step.clone(), node.clone()));
            }
            EventBody::StepEnded { step, node, .. } => {
                lock(&self.active).retain(|(other, there)| (other, there) != (step, node));
            }
            _ => {}
        }
        self.events.write(body);
    }

    /// What it is at, the first begun first: `backup:database on db1`, `release:unpack on web1, web2`.
    pub fn step(&self) -> Option<String> {
        let active = lock(&self.active);
        let mut steps: Vec<(&str, Vec<&str>)> = Vec::new();
        for (step, node) in active.iter() {
            match steps.iter_mut().find(|(other, _)| other == step) {
                Some((_, nodes)) => nodes.push(node.as_str()),
                None => steps.push((step, vec![node.as_str()])),
            }
        }
        let shown: Vec<String> =
            steps.iter().map(|(step, nodes)| format!("{step} on {}", nodes.join(", "))).collect();
        (!shown.is_empty()).then(|| shown.join(", "))
    }

    /// Writes how it ended.
    pub fn save_end(&self, state: OperationState, outcome: Result<Value, CallError>) -> io::Result<()> {
        // The story may be lost on a full disk; how it ended is tried all the same.
        let _ = self.events.sync();
        let saved = self.update(|record| {
            record.state = state;
            record.ended_at = Some(Timestamp::now());
            record.waiting_for = None;
            record.stuck.clear();
            match outcome {
                Ok(value) => record.result = Some(value),
                Err(error) => record.error = Some(error),
            }
        });
        *lock(&self.end_unwritten) = saved.as_ref().err().map(ToString::to_string);
        saved
    }

    /// What keeps it from ending.
    pub fn end_unwritten(&self) -> String {
        let why = lock(&self.end_unwritten).clone().unwrap_or_default();
        format!("its end cannot be written to its journal at {}: {why}", self.folder.display())
    }

    /// Lets those who watch know that nothing follows.
    pub fn tell_end(&self) {
        self.events.end();
    }

    /// The events after this one, until the last.
    pub fn follow(&self, after_seq: u64) -> Follower {
        self.events.follow(after_seq)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_run_over_months_and_see_what_is_new() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(state.path()).unwrap();
        const DAY: u64 = 24 * 3600 * 1000;
        let id = |number: u64| CallId::from_parts(1_700_000_000_000 + number * 10 * DAY, 0);
        let add = |number| fs::create_dir_all(shelf.folder(id(number))).unwrap();
        let page = |page, per_page| shelf.page(Page { page, per_page }).unwrap();
        (0..10).for_each(add);
        assert_eq!(page(2, 3), (vec![id(6), id(5), id(4)], 10));
        add(10);
        assert_eq!(page(1, 2), (vec![id(10), id(9)], 11));
        assert_eq!(page(3, 5), (vec![id(0)], 11));
        assert_eq!(page(50, 5).0, []);
    }
}
