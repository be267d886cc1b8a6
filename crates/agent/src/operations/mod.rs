//! Operations: plans, the runner, locks, the journal, recovery after a crash.
//!
//! An operation comes in by [`Operations::start`], from a caller or from the agent's own schedule. Its id is an
//! idempotency key: the same id again attaches to the same operation.

mod cancel;
mod events;
mod failpoint;
#[cfg(test)]
mod fakes;
mod interrupted;
pub mod journal;
pub mod locks;
#[cfg(test)]
mod lost_tests;
pub mod plan;
#[cfg(test)]
mod recovering_tests;
pub mod redact;
pub mod runner;
mod start;
#[cfg(test)]
mod tests;
mod usual;
mod view;
#[cfg(test)]
mod walk_tests;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::operation::OperationState;
use orocloud_protocol::{
    CallError, CallId, Confirmation, ContentHash, EnvironmentName, EventBody, Lock, NodeName,
};
use serde_json::Value;
use tokio::sync::watch;

pub use events::Follower;
pub use failpoint::{around, failpoint};
pub use interrupted::Interrupted;
use interrupted::Unreadable;
use journal::{Journal, Shelf};
use locks::{Held, Locks};
use plan::{Executor, OperationPlan, Outputs};
use runner::Cancel;
use start::Queued;
pub use view::Watch;

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
    queued: Mutex<BTreeMap<CallId, Queued>>,
    /// Those of which nobody can know what they hold.
    unreadable: Mutex<BTreeMap<CallId, Unreadable>>,
    draining: AtomicBool,
    /// Changes whenever an operation was begun, refused or ended.
    changed: watch::Sender<u64>,
}

struct Running<A> {
    journal: Arc<Journal<A>>,
    cancel: Cancel,
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
            unreadable: Mutex::default(),
            draining: AtomicBool::new(false),
            changed: watch::Sender::new(0),
        }))
    }

    /// Carries it out in a task of its own. A fault in it still ends the operation properly, and so does giving it up.
    fn spawn(
        self: &Arc<Self>,
        journal: Arc<Journal<E::Action>>,
        held: Held,
        cancel: Cancel,
        run: impl Future<Output = runner::Ended> + Send + 'static,
    ) {
        let operations = Arc::clone(self);
        tokio::spawn(async move {
            let mut run = AbortOnDrop(tokio::spawn(run));
            let ended = tokio::select! {
                ended = &mut run => ended.unwrap_or_else(|fault| {
                    let error = CallError::internal("the operation ended by a fault of the agent").because(fault);
                    (OperationState::Failed, Err(error))
                }),
                by = cancel.given_up() => {
                    run.0.abort();
                    let _ = run.await;
                    runner::as_it_stands(&journal, &journal.record().plan, &by)
                }
            };
            operations.end(&journal, ended, held).await;
        });
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

    /// A number that is another one whenever an operation was begun, refused or ended.
    pub fn changes(&self) -> u64 {
        *self.changed.borrow()
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

    fn running(&self) -> MutexGuard<'_, HashMap<CallId, Arc<Running<E::Action>>>> {
        lock(&self.running)
    }

    fn digest(&self, params: &Value) -> ContentHash {
        // serde_json keeps keys sorted, so equal parameters have equal text.
        let text = params.to_string();
        hash(blake3::keyed_hash(&self.digest_key, text.as_bytes()))
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
