//! Looking at operations: one, those that run, all, and the events of one while it runs.

use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::{CallError, CallId, ErrorKind, Event, Page};
use serde_json::Value;

use super::events::Follower;
use super::interrupted::shown_unreadable;
use super::journal::{Head, Shelf};
use super::plan::Executor;
use super::start::Queued;
use super::{Operations, lock};

impl Queued {
    /// As lists show it.
    pub(super) fn summary(&self) -> OperationSummary {
        OperationSummary {
            id: self.holder.operation,
            method: self.method.clone(),
            command: self.holder.command.clone(),
            caller: self.holder.caller.clone(),
            state: OperationState::Waiting,
            started_at: self.holder.since,
            ended_at: None,
            step: None,
            waiting_for: None,
            stuck: Vec::new(),
            result: None,
            error: None,
        }
    }
}

impl<E: Executor> Operations<E> {
    /// Waits until an operation has ended, and tells how.
    pub async fn wait(&self, id: CallId) -> Result<OperationSummary, CallError> {
        let mut changed = self.changed.subscribe();
        let mut was_there = false;
        loop {
            changed.borrow_and_update();
            let queued = lock(&self.queued).contains_key(&id) || lock(&self.beginning).contains_key(&id);
            let running = self.running().contains_key(&id);
            if !queued && !running {
                return match self.shelf.head(id)? {
                    Some(head) => Ok(head.summary()),
                    None if was_there => Err(never_began(id)),
                    None => Err(unknown(id)),
                };
            }
            was_there = true;
            if changed.changed().await.is_err() {
                return self.summary(id);
            }
        }
    }

    /// Its events after `after_seq`, until it ends.
    pub fn follow(&self, id: CallId, after_seq: u64) -> Result<Watch, CallError> {
        let live = self.running().get(&id).map(|running| running.journal.follow(after_seq));
        let follow = match live {
            Some(live) => live,
            None if lock(&self.queued).contains_key(&id) => {
                return Err(CallError::failed(format!(
                    "operation {id} waits for its locks and has done nothing"
                ))
                .hint(format!("wait for it: orocloud-cli operation:wait {id}")));
            }
            None if self.shelf.head(id)?.is_none() => return Err(unknown(id)),
            None => Follower::new(&self.shelf.folder(id), after_seq, None),
        };
        Ok(Watch { follow, shelf: self.shelf.clone(), id })
    }

    /// One operation.
    pub fn summary(&self, id: CallId) -> Result<OperationSummary, CallError> {
        if let Some(queued) = lock(&self.queued).get(&id) {
            return Ok(queued.summary());
        }
        self.shelf.head(id)?.map(Head::summary).ok_or_else(|| unknown(id))
    }

    /// Those that have not ended, oldest first, then those that wait.
    pub fn unended(&self) -> Vec<OperationSummary> {
        let mut unended = self.unreadable_ones();
        let running: Vec<_> = self.running().values().cloned().collect();
        unended.extend(running.iter().map(|running| {
            // From memory: on a full disk the file is not how it stands.
            let mut summary = running.journal.record().summary();
            summary.step = running.journal.step();
            if summary.state.has_ended() {
                summary.state = OperationState::Recovering;
                summary.ended_at = None;
                summary.stuck = vec![running.journal.end_unwritten()];
            }
            summary
        }));
        unended.sort_unstable_by_key(|operation| operation.id);
        unended.extend(lock(&self.queued).values().map(Queued::summary));
        unended
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
                // One spoilt journal, or a newer agent's, must not hide the others.
                Err(error) => items.push(shown_unreadable(id, error)),
            }
        }
        Ok((items, total as u64))
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

fn unknown(id: CallId) -> CallError {
    CallError::new(ErrorKind::NotFound, format!("no operation has the id {id}"))
        .hint("list them: orocloud-cli log:list")
}

fn never_began(id: CallId) -> CallError {
    CallError::new(
        ErrorKind::Cancelled,
        format!("it was cancelled, or waited long enough, before it began: {id}"),
    )
}
