//! Operations: plans, the runner, locks, the journal, recovery after a crash.
//!
//! An operation comes in by [`Operations::start`], from a caller or from the agent's own schedule. Its id is an
//! idempotency key: the same id again attaches to the same operation.

mod events;
mod failpoint;
pub mod journal;
pub mod locks;
#[cfg(test)]
mod lost_tests;
pub mod plan;
pub mod redact;
pub mod runner;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::{
    CallError, CallId, Confirmation, ContentHash, EnvironmentName, ErrorKind, Event, EventBody, Lock,
    NodeName, Page,
};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use events::Follower;
pub use failpoint::{around, failpoint};
use journal::{FORMAT, Head, Journal, Record, Shelf};
use locks::{Held, Holder, Locks};
use plan::{Executor, OperationPlan, Outputs};
use runner::{Cancel, Runner};

use crate::server::Caller;

/// Where a step's output, progress and notes go. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(EventBody) + Send + Sync>);

impl EventSink {
    /// A sink that hands each event on.
    pub fn new(to: impl Fn(EventBody) + Send + Sync + 'static) -> Self {
        Self(Arc::new(to))
    }

    /// A sink that forgets.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Sends one event.
    pub fn emit(&self, event: EventBody) {
        (self.0)(event);
    }
}

impl std::fmt::Debug for EventSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventSink")
    }
}

/// An operation whose steps are all done, as its answer is made from it; also after a crash, so it holds only what
/// the journal does.
#[derive(Debug)]
pub struct Finished<'a, A> {
    /// Its id.
    pub operation: CallId,
    /// Its method.
    pub method: &'a str,
    /// Its parameters, secrets redacted.
    pub params: &'a Value,
    /// What was planned.
    pub plan: &'a OperationPlan<A>,
    /// What the steps answered.
    pub outputs: &'a Outputs,
    /// When the acts of the steps were done, by step name; of steps on several nodes, the last one's.
    pub done_at: &'a BTreeMap<String, Timestamp>,
}

/// Makes the answer of an operation.
pub type AnswerFn<A> = Arc<dyn Fn(&Finished<'_, A>) -> Result<Value, CallError> + Send + Sync>;

/// An operation that somebody wants.
#[derive(Clone, Debug)]
pub struct NewOperation {
    /// Its id, made by the caller.
    pub id: CallId,
    /// The method.
    pub method: String,
    /// The command line, secrets redacted.
    pub command: String,
    /// Key id of the caller.
    pub caller: String,
    /// What identifies the caller: only the same key attaches by sending an id again.
    pub key: String,
    /// The parameters as they came, secrets included.
    pub params: Value,
    /// What it needs.
    pub locks: Vec<Lock>,
    /// What to do when others hold that.
    pub wait: Wait,
    /// What the caller agreed to.
    pub confirmation: Option<Confirmation>,
    /// Where a destructive one wants the environment's name typed: that name.
    pub confirm_name: Option<EnvironmentName>,
    /// Who hears that it waits.
    pub events: EventSink,
}

/// What to do when others hold the locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Fail at once.
    No,
    /// Wait so long.
    AtMost(Duration),
    /// Wait; the agent's own work is never refused.
    Forever,
}

/// All operations of the environment.
pub struct Operations<E: Executor> {
    shelf: Shelf,
    node: NodeName,
    executor: Arc<E>,
    answer: AnswerFn<E::Action>,
    locks: Arc<Locks>,
    digest_key: [u8; 32],
    running: Mutex<HashMap<CallId, Arc<Running<E::Action>>>>,
    /// Ids that are being begun, so that the same id sent twice at once begins one operation.
    beginning: Mutex<HashMap<CallId, Arc<tokio::sync::Mutex<()>>>>,
    /// Those that wait for locks; set to make one give up.
    queued: Mutex<HashMap<CallId, Queued>>,
    draining: AtomicBool,
    /// Changes whenever an operation was begun, refused or ended.
    changed: watch::Sender<u64>,
}

/// An operation that waits for locks: there is no journal of it yet.
#[derive(Clone)]
struct Queued {
    give_up: CancellationToken,
    method: String,
    key: String,
}

/// A place among those that wait; given up when dropped.
struct Queueing<'a>(&'a Mutex<HashMap<CallId, Queued>>, CallId);

impl Drop for Queueing<'_> {
    fn drop(&mut self) {
        lock(self.0).remove(&self.1);
    }
}

struct Running<A> {
    journal: Arc<Journal<A>>,
    cancel: Cancel,
}

/// An operation that a crash interrupted, with its locks taken again.
pub struct Interrupted<A> {
    journal: Arc<Journal<A>>,
    held: Held,
}

/// How long after a failure the end of an operation is written again: a full disk is emptied by a person.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

impl<E: Executor> Operations<E> {
    /// Opens the shelf in the state folder.
    pub fn open(
        state: &Path,
        node: NodeName,
        executor: Arc<E>,
        answer: AnswerFn<E::Action>,
    ) -> io::Result<Arc<Self>> {
        let shelf = Shelf::new(state)?;
        let digest_key = digest_key(&shelf)?;
        Ok(Arc::new(Self {
            shelf,
            node,
            executor,
            answer,
            locks: Arc::new(Locks::default()),
            digest_key,
            running: Mutex::default(),
            beginning: Mutex::default(),
            queued: Mutex::default(),
            draining: AtomicBool::new(false),
            changed: watch::Sender::new(0),
        }))
    }

    /// Takes the locks of all operations that a crash interrupted; before anybody else can.
    pub fn interrupted(self: &Arc<Self>) -> io::Result<Vec<Interrupted<E::Action>>> {
        let mut interrupted = Vec::new();
        for id in self.shelf.unended()? {
            let ended = match self.shelf.head(id) {
                Ok(Some(head)) => head.summary().state.has_ended(),
                // Nothing was begun.
                Ok(None) => true,
                // Spoilt, or begun by a newer agent: not ours to touch, and what it holds nobody can know.
                Err(error) => {
                    crate::log::line(format!("operation {id} is left as it is: {error}"));
                    continue;
                }
            };
            if ended {
                self.shelf.unmark(id)?;
                continue;
            }
            let journal = Arc::new(Journal::<E::Action>::reopen(&self.shelf, id)?);
            journal.update(|record| record.state = OperationState::Recovering)?;
            let record = journal.record();
            match self.locks.try_acquire(self.holder(&record), &record.locks) {
                Ok(held) => {
                    let running = Running { journal: Arc::clone(&journal), cancel: Cancel::default() };
                    self.running().insert(id, Arc::new(running));
                    interrupted.push(Interrupted { journal, held });
                }
                // Two that exclude each other never ran side by side, so one of them never began.
                Err(_) => {
                    let error = CallError::failed("the agent was restarted before it began");
                    journal.save_end(OperationState::Failed, Err(error))?;
                    self.shelf.unmark(id)?;
                }
            }
        }
        Ok(interrupted)
    }

    /// Undoes or finishes an interrupted operation.
    pub fn recover(self: &Arc<Self>, interrupted: Interrupted<E::Action>) {
        let Interrupted { journal, held } = interrupted;
        let cancel = self.running().get(&journal.record().id).map(|running| running.cancel.clone());
        let note = EventBody::Note {
            level: orocloud_protocol::NoteLevel::Warning,
            text: "the agent was restarted; finding out what was done".to_owned(),
        };
        journal.tell(note);
        let plan = journal.record().plan;
        let runner =
            Runner::new(Arc::clone(&self.executor), Arc::clone(&journal), plan, cancel.unwrap_or_default());
        self.spawn(journal, held, runner.recover());
    }

    /// Carries it out in a task of its own. A fault in it still ends the operation properly.
    fn spawn(
        self: &Arc<Self>,
        journal: Arc<Journal<E::Action>>,
        held: Held,
        run: impl Future<Output = runner::Ended> + Send + 'static,
    ) {
        let operations = Arc::clone(self);
        tokio::spawn(async move {
            let run = AbortOnDrop(tokio::spawn(run));
            let ended = run.await.unwrap_or_else(|fault| {
                let error = CallError::internal("the operation ended by a fault of the agent").because(fault);
                (OperationState::Failed, Err(error))
            });
            operations.end(&journal, ended, held).await;
        });
    }

    /// Begins an operation, or finds that it is known. `build` makes the plan once the locks are held.
    pub async fn start(
        self: &Arc<Self>,
        new: NewOperation,
        build: impl Future<Output = Result<OperationPlan<E::Action>, CallError>> + Send,
    ) -> Result<(), CallError> {
        let id = new.id;
        let one_at_a_time = Arc::clone(lock(&self.beginning).entry(id).or_default());
        let begun = {
            let _turn = one_at_a_time.lock().await;
            self.begin(new, build).await
        };
        // Others may still wait for their turn; who comes later finds the journal.
        drop(one_at_a_time);
        lock(&self.beginning).retain(|_, turn| Arc::strong_count(turn) > 1);
        self.note_change();
        begun
    }

    async fn begin(
        self: &Arc<Self>,
        new: NewOperation,
        build: impl Future<Output = Result<OperationPlan<E::Action>, CallError>> + Send,
    ) -> Result<(), CallError> {
        let digest = self.digest(&new.params);
        if self.is_known(&new, &digest)? {
            return Ok(());
        }
        if self.draining.load(Ordering::SeqCst) {
            return Err(CallError::new(
                ErrorKind::Unreachable,
                "the agent is about to end and begins nothing more",
            )
            .hint("repeat your command in a moment, with the same --operation-id it is safe"));
        }
        let held = self.acquire(&new).await?;
        let plan = build.await?;
        check_confirmation(&plan, &new)?;
        let mut params = new.params;
        let undo_only = redact::redact(&mut params);
        let record = Record {
            format: FORMAT,
            id: new.id,
            method: new.method,
            command: new.command,
            caller: new.caller,
            key: new.key,
            params,
            params_digest: digest,
            undo_only,
            locks: new.locks,
            plan: plan.clone(),
            state: OperationState::Running,
            started_at: Timestamp::now(),
            ended_at: None,
            waiting_for: None,
            result: None,
            error: None,
        };
        let command = record.command.clone();
        let journal = Journal::create(&self.shelf, record)
            .map_err(|error| CallError::failed("the journal cannot be written").because(error))?;
        let journal = Arc::new(journal);
        journal.tell(EventBody::Planned { command, steps: plan.planned_steps() });
        let cancel = Cancel::default();
        let running = Running { journal: Arc::clone(&journal), cancel: cancel.clone() };
        self.running().insert(new.id, Arc::new(running));
        let runner = Runner::new(Arc::clone(&self.executor), Arc::clone(&journal), plan, cancel);
        self.spawn(journal, held, runner.run());
        Ok(())
    }

    async fn end(&self, journal: &Journal<E::Action>, ended: runner::Ended, held: Held) {
        let record = journal.record();
        let (mut state, outcome) = ended;
        let outcome = outcome.and_then(|outputs| {
            (self.answer)(&Finished {
                operation: record.id,
                method: &record.method,
                params: &record.params,
                plan: &record.plan,
                outputs: &outputs,
                done_at: &journal.done_at(),
            })
        });
        if outcome.is_err() && state == OperationState::Succeeded {
            state = OperationState::Failed;
        }
        // Until its end is on disk it counts as running, after a crash too: were its locks given to another, that one
        // would be taken for one that never began.
        let save = || journal.save_end(state, outcome.clone()).and_then(|()| self.shelf.unmark(record.id));
        while let Err(error) = save() {
            crate::log::line(format!("operation {}: its end is not in the journal: {error}", record.id));
            if self.draining.load(Ordering::SeqCst) {
                // Nothing begins any more, and the next daemon, by the mark, finds out how it ended.
                break;
            }
            tokio::time::sleep(SAVE_AGAIN).await;
        }
        // The locks are free before those who watch can begin something new.
        drop(held);
        self.running().remove(&record.id);
        journal.tell_end();
        self.note_change();
    }

    fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// From now on none is begun.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        lock(&self.queued).values().for_each(|queued| queued.give_up.cancel());
    }

    /// Waits until none runs, and none is being begun.
    pub async fn idle(&self) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if (self.running().is_empty() && lock(&self.beginning).is_empty())
                || changed.changed().await.is_err()
            {
                return;
            }
        }
    }

    /// Waits until an operation has ended, and tells how.
    pub async fn wait(&self, id: CallId) -> Result<OperationSummary, CallError> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let queued = lock(&self.queued).contains_key(&id) || lock(&self.beginning).contains_key(&id);
            let running = self.running().contains_key(&id);
            if !queued && !running {
                return self.summary(id);
            }
            if changed.changed().await.is_err() {
                return self.summary(id);
            }
        }
    }

    /// Whether this id was begun by this key with these parameters; by another, or with others, is an error.
    fn is_known(&self, new: &NewOperation, digest: &ContentHash) -> Result<bool, CallError> {
        let Some(head) = self.shelf.head(new.id)? else { return Ok(false) };
        if head.key != new.key {
            return Err(CallError::refused(format!("operation {} belongs to somebody else", new.id))
                .hint("leave --operation-id and OROCLOUD_OPERATION_ID away for an id of your own"));
        }
        if head.params_digest != *digest {
            return Err(CallError::usage(format!("operation {} was begun with other parameters", new.id))
                .hint(format!("see what it did: orocloud-cli log:view {}", new.id))
                .hint("leave --operation-id and OROCLOUD_OPERATION_ID away to begin a new one"));
        }
        Ok(true)
    }

    /// Holds locks for work of the agent's own that is no operation; `None` when others hold them, or wait for them.
    pub fn hold(&self, what: &str, locks: &[Lock]) -> Option<Held> {
        let holder = Holder {
            operation: crate::nodes::transport::new_call_id(),
            command: what.to_owned(),
            caller: Caller::agent().key_id,
            since: Timestamp::now(),
            node: self.node.clone(),
            pid: std::process::id(),
        };
        self.locks.try_acquire(holder, locks).ok()
    }

    async fn acquire(self: &Arc<Self>, new: &NewOperation) -> Result<Held, CallError> {
        let holder = Holder {
            operation: new.id,
            command: new.command.clone(),
            caller: new.caller.clone(),
            since: Timestamp::now(),
            node: self.node.clone(),
            pid: std::process::id(),
        };
        let holders = match self.locks.try_acquire(holder.clone(), &new.locks) {
            Ok(held) => return Ok(held),
            Err(holders) => holders,
        };
        let on_wait = |holders: &[Holder]| {
            new.events.emit(EventBody::Waiting { holders: holders.iter().map(describe).collect() });
        };
        let limit = match new.wait {
            Wait::No => return Err(locked(&holders)),
            Wait::Forever => Duration::MAX,
            Wait::AtMost(limit) => limit,
        };
        let queued =
            Queued { give_up: CancellationToken::new(), method: new.method.clone(), key: new.key.clone() };
        let give_up = queued.give_up.clone();
        lock(&self.queued).insert(new.id, queued);
        let _queueing = Queueing(&self.queued, new.id);
        tokio::select! {
            held = tokio::time::timeout(limit, self.locks.acquire(holder, &new.locks, on_wait)) => {
                held.map_err(|_| locked(&holders))
            }
            () = give_up.cancelled() => {
                Err(CallError::new(ErrorKind::Cancelled, "it was cancelled while it waited for its locks"))
            }
        }
    }

    fn holder(&self, record: &Record<E::Action>) -> Holder {
        Holder {
            operation: record.id,
            command: record.command.clone(),
            caller: record.caller.clone(),
            since: record.started_at,
            node: self.node.clone(),
            pid: std::process::id(),
        }
    }

    /// Its events after `after_seq`, until it ends.
    pub fn follow(&self, id: CallId, after_seq: u64) -> Result<Watch, CallError> {
        let live = self.running().get(&id).map(|running| running.journal.follow(after_seq));
        let follow = match live {
            Some(live) => live,
            None if self.shelf.head(id)?.is_none() => return Err(unknown(id)),
            None => Follower::new(&self.shelf.folder(id), after_seq, None),
        };
        Ok(Watch { follow, shelf: self.shelf.clone(), id })
    }

    /// One operation.
    pub fn summary(&self, id: CallId) -> Result<OperationSummary, CallError> {
        self.shelf.head(id)?.map(Head::summary).ok_or_else(|| unknown(id))
    }

    /// Those that have not ended, and those that wait, oldest first.
    pub fn unended(&self) -> Result<Vec<OperationSummary>, CallError> {
        let mut ids: Vec<CallId> = self.running().keys().copied().collect();
        ids.sort_unstable();
        let mut unended: Vec<OperationSummary> =
            ids.into_iter().map(|id| self.summary(id)).collect::<Result<_, _>>()?;
        unended.retain(|operation| !operation.state.has_ended());
        unended.extend(self.locks.waiting().into_iter().map(|holder| OperationSummary {
            id: holder.operation,
            method: String::new(),
            command: holder.command,
            caller: holder.caller,
            state: OperationState::Waiting,
            started_at: holder.since,
            ended_at: None,
            step: None,
            waiting_for: None,
            result: None,
            error: None,
        }));
        Ok(unended)
    }

    /// A page of all operations, newest first, and how many there are.
    pub fn page(&self, page: Page) -> Result<(Vec<OperationSummary>, u64), CallError> {
        let (ids, total) = self
            .shelf
            .page(page)
            .map_err(|error| CallError::failed("the list of operations cannot be read").because(error))?;
        let mut items = Vec::new();
        for id in ids {
            match self.shelf.head(id) {
                Ok(Some(head)) => items.push(head.summary()),
                Ok(None) => {}
                // One spoilt journal must not hide the others.
                Err(error) => crate::log::line(format!("operation {id} is left out of the list: {error}")),
            }
        }
        Ok((items, total as u64))
    }

    /// Cancels one for its caller, or for somebody with the role it needs; says whether it will be undone.
    pub fn cancel(&self, id: CallId, by: &Caller) -> Result<bool, CallError> {
        if let Some(queued) = lock(&self.queued).get(&id).cloned() {
            may_cancel(id, &queued.method, &queued.key, by)?;
            queued.give_up.cancel();
            return Ok(true);
        }
        let Some(running) = self.running().get(&id).cloned() else {
            return self.summary(id).map(|_| false);
        };
        let record = running.journal.record();
        may_cancel(id, &record.method, &record.key, by)?;
        if !running.cancel.cancel(&by.key_id) {
            return Ok(false);
        }
        let _ = running.journal.update(|record| {
            if !record.state.has_ended() {
                record.state = OperationState::Cancelling;
            }
        });
        Ok(true)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<CallId, Arc<Running<E::Action>>>> {
        lock(&self.running)
    }

    fn digest(&self, params: &Value) -> ContentHash {
        // serde_json keeps keys sorted, so equal parameters have equal text.
        let text = params.to_string();
        hash(blake3::keyed_hash(&self.digest_key, text.as_bytes()))
    }
}

fn may_cancel(id: CallId, method: &str, key: &str, by: &Caller) -> Result<(), CallError> {
    let needed = orocloud_protocol::calls::Method::named(method).map(|method| method.role());
    match needed {
        Some(needed) if key != by.identity && by.role < needed => Err(CallError::new(
            ErrorKind::NotPermitted,
            format!("cancelling operation {id} needs the role {needed}, and {} has {}", by.key_id, by.role),
        )
        .hint("ask whoever started it, who is named by: orocloud-cli operation:list")),
        _ => Ok(()),
    }
}

/// A task that ends with the one that waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

/// Watches one operation.
pub struct Watch {
    follow: Follower,
    shelf: Shelf,
    id: CallId,
}

impl Watch {
    /// The next event; `None` once it has ended and all were given.
    pub async fn next(&mut self) -> Result<Option<Event>, CallError> {
        self.follow
            .next()
            .await
            .map_err(|error| CallError::failed("the journal cannot be read").because(error))
    }

    /// Ends with what is there now, although the operation goes on.
    pub fn stop_following(&mut self) {
        self.follow.stop_following();
    }

    /// The operation as it stands.
    pub fn summary(&self) -> Result<OperationSummary, CallError> {
        self.shelf.head(self.id)?.map(Head::summary).ok_or_else(|| unknown(self.id))
    }

    /// How it ended, once [`Watch::next`] gave `None`.
    pub fn outcome(&self) -> Result<Value, CallError> {
        let summary = self.summary()?;
        match (summary.result, summary.error) {
            (Some(result), _) => Ok(result),
            (None, Some(error)) => Err(error),
            (None, None) => {
                Err(CallError::new(ErrorKind::StillRunning, format!("operation {} still runs", self.id))
                    .hint(format!("follow it: orocloud-cli log:view {} --follow", self.id)))
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Text form of a BLAKE3 hash.
pub fn hash(hash: blake3::Hash) -> ContentHash {
    hash.to_hex().parse().unwrap_or_else(|_| unreachable!("64 hexadecimal digits"))
}

fn digest_key(shelf: &Shelf) -> io::Result<[u8; 32]> {
    let path = shelf.key_file();
    if let Ok(key) = std::fs::read(&path)
        && let Ok(key) = key.try_into()
    {
        return Ok(key);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    orocloud_durable::write(&path, &key, 0o600)?;
    Ok(key)
}

fn unknown(id: CallId) -> CallError {
    CallError::new(ErrorKind::NotFound, format!("no operation has the id {id}"))
        .hint("list them: orocloud-cli log:list")
}

fn describe(holder: &Holder) -> String {
    format!(
        "{} runs `{}` since {:.0} (operation {}, {} pid {})",
        holder.caller, holder.command, holder.since, holder.operation, holder.node, holder.pid
    )
}

fn locked(holders: &[Holder]) -> CallError {
    let mut error = CallError::new(ErrorKind::Locked, "another operation is running");
    for holder in holders {
        error = error.because(describe(holder));
    }
    if let Some(first) = holders.first() {
        error = error.hint(format!("wait for it: orocloud-cli operation:wait {}", first.operation));
    }
    error
        .hint("or queue for it by adding --wait-lock=10m to your command")
        .with_details(serde_json::json!({ "holders": holders }))
}

/// A destructive plan runs only when the caller has seen it, and in `prod` has typed the environment's name.
fn check_confirmation<A>(plan: &OperationPlan<A>, new: &NewOperation) -> Result<(), CallError> {
    if !plan.destructive {
        return Ok(());
    }
    let Some(confirmation) = &new.confirmation else {
        let error = CallError::refused(format!("`{}` destroys something and was not confirmed", new.command));
        return Err(match &new.confirm_name {
            Some(name) => error.hint(format!("add --force --confirm={name}")),
            None => error.hint("add --force"),
        });
    };
    if confirmation.digest != plan.digest {
        return Err(CallError::refused("what would happen is no longer what was shown")
            .hint("look at it again with --dry-run, then repeat your command"));
    }
    match &new.confirm_name {
        Some(name) if confirmation.environment.as_ref() != Some(name) => {
            let given =
                confirmation.environment.as_ref().map_or("nothing".to_owned(), |given| format!("`{given}`"));
            Err(CallError::refused(format!("this is {name}, the confirmation names {given}"))
                .hint(format!("add --confirm={name} if you mean it")))
        }
        _ => Ok(()),
    }
}
