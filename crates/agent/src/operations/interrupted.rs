//! Operations that a crash interrupted, and those of which nobody can know what they were doing.

use std::io;
use std::sync::Arc;

use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::{CallError, CallId, EventBody, Lock, NoteLevel, Resource};

use super::journal::Journal;
use super::locks::{Held, Holder};
use super::plan::Executor;
use super::runner::{Cancel, Runner};
use super::*;

/// An operation that a crash interrupted, with its locks taken again.
pub struct Interrupted<A> {
    journal: Arc<Journal<A>>,
    held: Held,
}

/// An operation that has not ended and whose journal is spoilt, or of a newer agent. It holds everything until a person
/// has looked.
pub(super) struct Unreadable {
    pub(super) why: CallError,
    _held: Held,
}

impl<E: Executor> Operations<E> {
    /// Takes the locks of all operations that a crash interrupted; before anybody else can.
    pub fn interrupted(self: &Arc<Self>) -> io::Result<Vec<Interrupted<E::Action>>> {
        let (mut interrupted, mut unreadable) = (Vec::new(), Vec::new());
        for id in self.shelf.unended()? {
            match self.take_up(id) {
                Ok(taken) => interrupted.extend(taken),
                Err(why) => unreadable.push((id, why)),
            }
        }
        // Last: what the others hold is theirs, whatever these may have held.
        for (id, why) in unreadable {
            self.hold_everything(id, why);
        }
        Ok(interrupted)
    }

    /// `None` when it has ended, or never began.
    fn take_up(self: &Arc<Self>, id: CallId) -> Result<Option<Interrupted<E::Action>>, CallError> {
        if self.shelf.head(id)?.is_none_or(|head| head.summary().state.has_ended()) {
            self.unmark(id);
            return Ok(None);
        }
        let journal = Journal::<E::Action>::reopen(&self.shelf, id)
            .map_err(|error| CallError::failed("the journal cannot be taken up").because(error))?;
        let journal = Arc::new(journal);
        // In memory it holds at once; a full disk must not keep the agent from starting.
        let updated = journal.update(|record| {
            record.state = OperationState::Recovering;
            record.waiting_for = None;
            record.stuck.clear();
        });
        if let Err(error) = updated {
            crate::log::line(format!("operation {id}: that it recovers is not in its journal: {error}"));
        }
        let record = journal.record();
        match self.locks.try_acquire(self.holder(&record), &record.locks) {
            Ok(held) => {
                let running = Running { journal: Arc::clone(&journal), cancel: Cancel::default() };
                self.running().insert(id, Arc::new(running));
                Ok(Some(Interrupted { journal, held }))
            }
            // Two that exclude each other never ran side by side, so one of them never began.
            Err(_) => {
                let error = CallError::failed("the agent was restarted before it began");
                match journal.save_end(OperationState::Failed, Err(error)) {
                    Ok(()) => self.unmark(id),
                    Err(error) => {
                        crate::log::line(format!("operation {id}: its end is not in the journal: {error}"));
                    }
                }
                Ok(None)
            }
        }
    }

    /// At the next start it would be looked at once more, no worse.
    fn unmark(&self, id: CallId) {
        if let Err(error) = self.shelf.unmark(id) {
            crate::log::line(format!("operation {id}: its mark cannot be removed: {error}"));
        }
    }

    fn hold_everything(&self, id: CallId, why: CallError) {
        crate::log::line(format!("operation {id} holds everything until somebody has looked at it: {why}"));
        let holder = Holder {
            operation: id,
            own_work: false,
            command: String::new(),
            caller: String::new(),
            since: id.timestamp(),
            node: self.node.clone(),
            pid: std::process::id(),
            unreadable: Some(why.to_string()),
        };
        let everything: Vec<Lock> = Resource::ALL.iter().copied().map(Lock::exclusive).collect();
        let held = self.locks.hold_beside(holder, &everything);
        lock(&self.unreadable).insert(id, Unreadable { why, _held: held });
    }

    /// A person has looked: it is left as it is, and holds nothing any more.
    pub(super) fn let_go_unreadable(&self, id: CallId) -> Result<(), CallError> {
        self.shelf
            .unmark(id)
            .map_err(|error| CallError::failed(format!("operation {id} cannot be let go")).because(error))?;
        lock(&self.unreadable).remove(&id);
        self.note_change();
        Ok(())
    }

    /// As lists show them.
    pub(super) fn unreadable_ones(&self) -> Vec<OperationSummary> {
        let unreadable = lock(&self.unreadable);
        unreadable.iter().map(|(id, unreadable)| shown_unreadable(*id, unreadable.why.clone())).collect()
    }

    /// Undoes or finishes an interrupted operation.
    pub fn recover(self: &Arc<Self>, interrupted: Interrupted<E::Action>) {
        let Interrupted { journal, held } = interrupted;
        let cancel = self.running().get(&journal.record().id).map(|running| running.cancel.clone());
        let cancel = cancel.unwrap_or_default();
        journal.tell(EventBody::Note {
            level: NoteLevel::Warning,
            text: "the agent was restarted; finding out what was done".to_owned(),
        });
        let plan = journal.record().plan;
        let runner = Runner::new(Arc::clone(&self.executor), Arc::clone(&journal), plan, cancel.clone());
        self.spawn(journal, held, cancel, runner.recover());
    }
}

/// An operation whose journal cannot be read, as lists show it.
pub(super) fn shown_unreadable(id: CallId, why: CallError) -> OperationSummary {
    OperationSummary {
        id,
        method: String::new(),
        command: "(its journal cannot be read)".to_owned(),
        caller: String::new(),
        state: OperationState::Unknown,
        started_at: id.timestamp(),
        ended_at: None,
        step: None,
        waiting_for: None,
        stuck: vec![why.to_string()],
        result: None,
        error: Some(why),
    }
}
