//! How an operation begins: known ids, locks, the plan, the confirmation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::{CallError, CallId, ContentHash, ErrorKind, EventBody};
use tokio_util::sync::CancellationToken;

use super::journal::{FORMAT, Journal, Record, unwritten};
use super::locks::{Held, Holder};
use super::plan::{Executor, OperationPlan};
use super::runner::{Cancel, Runner};
use super::*;
use crate::server::Caller;

/// An operation that waits for locks: there is no journal of it yet.
#[derive(Clone)]
pub(super) struct Queued {
    pub(super) give_up: CancellationToken,
    pub(super) method: String,
    pub(super) key: String,
    pub(super) holder: Holder,
}

/// A place among those that wait; given up when dropped.
struct Queueing<'a>(&'a Mutex<BTreeMap<CallId, Queued>>, CallId);

impl Drop for Queueing<'_> {
    fn drop(&mut self) {
        lock(self.0).remove(&self.1);
    }
}

/// The turn of one id; given up when dropped, also when its caller is gone or a plan panics.
struct Turn<'a, E: Executor> {
    operations: &'a Operations<E>,
    id: CallId,
    one_at_a_time: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl<E: Executor> Drop for Turn<'_, E> {
    fn drop(&mut self) {
        let mut beginning = lock(&self.operations.beginning);
        // Others may still wait for their turn; who comes later finds the journal.
        self.one_at_a_time = None;
        if beginning.get(&self.id).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            beginning.remove(&self.id);
        }
        drop(beginning);
        self.operations.note_change();
    }
}

impl<E: Executor> Operations<E> {
    /// Begins an operation, or finds that it is known. `build` makes the plan once the locks are held.
    pub async fn start(
        self: &Arc<Self>,
        new: NewOperation,
        build: impl Future<Output = Result<OperationPlan<E::Action>, CallError>> + Send,
    ) -> Result<(), CallError> {
        let id = new.id;
        let one_at_a_time = Arc::clone(lock(&self.beginning).entry(id).or_default());
        let _turn = Turn { operations: self, id, one_at_a_time: Some(Arc::clone(&one_at_a_time)) };
        let _mine = one_at_a_time.lock_owned().await;
        self.begin(new, build).await
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
            stuck: Vec::new(),
            result: None,
            error: None,
        };
        let command = record.command.clone();
        let folder = self.shelf.folder(record.id);
        let journal = Journal::create(&self.shelf, record).map_err(|error| unwritten(&folder, error))?;
        let journal = Arc::new(journal);
        journal.tell(EventBody::Planned { command, steps: plan.planned_steps() });
        let cancel = Cancel::default();
        let running = Running { journal: Arc::clone(&journal), cancel: cancel.clone() };
        self.running().insert(new.id, Arc::new(running));
        let runner = Runner::new(Arc::clone(&self.executor), Arc::clone(&journal), plan, cancel.clone());
        self.spawn(journal, held, cancel, runner.run());
        Ok(())
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
            own_work: true,
            command: what.to_owned(),
            caller: Caller::agent().key_id,
            since: Timestamp::now(),
            node: self.node.clone(),
            pid: std::process::id(),
            unreadable: None,
        };
        self.locks.try_acquire(holder, locks).ok()
    }

    /// Whether [`Operations::hold`] would be given these locks now.
    pub fn are_free(&self, locks: &[Lock]) -> bool {
        self.locks.are_free(locks)
    }

    async fn acquire(self: &Arc<Self>, new: &NewOperation) -> Result<Held, CallError> {
        let holder = Holder {
            operation: new.id,
            own_work: false,
            command: new.command.clone(),
            caller: new.caller.clone(),
            since: Timestamp::now(),
            node: self.node.clone(),
            pid: std::process::id(),
            unreadable: None,
        };
        let holders = match self.locks.try_acquire(holder.clone(), &new.locks) {
            Ok(held) => return Ok(held),
            Err(holders) => holders,
        };
        let on_wait = |holders: &[Holder]| {
            let holders = holders.iter().map(|holder| self.describe(holder)).collect();
            new.events.emit(EventBody::Waiting { holders });
        };
        let limit = match new.wait {
            Wait::No => return Err(self.locked(&holders)),
            Wait::Forever => Duration::MAX,
            Wait::AtMost(limit) => limit,
        };
        let queued = Queued {
            give_up: CancellationToken::new(),
            method: new.method.clone(),
            key: new.key.clone(),
            holder: holder.clone(),
        };
        let give_up = queued.give_up.clone();
        lock(&self.queued).insert(new.id, queued);
        let _queueing = Queueing(&self.queued, new.id);
        tokio::select! {
            held = tokio::time::timeout(limit, self.locks.acquire(holder, &new.locks, on_wait)) => {
                held.map_err(|_| self.locked(&holders))
            }
            () = give_up.cancelled() => {
                Err(CallError::new(ErrorKind::Cancelled, "it was cancelled while it waited for its locks"))
            }
        }
    }

    pub(super) fn holder(&self, record: &Record<E::Action>) -> Holder {
        Holder {
            operation: record.id,
            own_work: false,
            command: record.command.clone(),
            caller: record.caller.clone(),
            since: record.started_at,
            node: self.node.clone(),
            pid: std::process::id(),
            unreadable: None,
        }
    }

    /// Who is in the way: who, what, since when, where, and how far it is.
    fn describe(&self, holder: &Holder) -> String {
        let Holder { operation, command, caller, since, node, pid, .. } = holder;
        if let Some(why) = &holder.unreadable {
            return format!(
                "what operation {operation} was doing nobody can know, so all counts as locked: {why}"
            );
        }
        if holder.own_work {
            return format!("the {caller} itself works since {since:.0}: {command} ({node} pid {pid})");
        }
        let running = self.running().get(operation).map(|running| running.journal.step());
        let step = running.flatten().map_or_else(String::new, |step| format!(", at {step}"));
        format!("{caller} runs `{command}` since {since:.0}{step} (operation {operation}, {node} pid {pid})")
    }

    fn locked(&self, holders: &[Holder]) -> CallError {
        let mut error = CallError::new(ErrorKind::Locked, "another operation is running");
        for holder in holders {
            error = error.because(self.describe(holder));
        }
        let error = error.with_details(serde_json::json!({ "holders": holders }));
        if let Some(spoilt) = holders.iter().find(|holder| holder.unreadable.is_some()) {
            return error.hint(cancel::way_out(spoilt.operation));
        }
        match holders.iter().find(|holder| !holder.own_work) {
            Some(first) => error
                .hint(format!("wait for it: orocloud-cli operation:wait {}", first.operation))
                .hint("or queue for it by adding --wait-lock=10m to your command"),
            // It is short, and nobody can wait for it otherwise.
            None => error.hint("queue for it by adding --wait-lock=10m to your command"),
        }
    }
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
