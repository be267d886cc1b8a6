//! What keeps an operation from going on: a node out of reach, an undo that fails, a full disk. It is said in the
//! record for as long as it lasts, so that whoever asks can be told, and can give the operation up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orocloud_protocol::operation::OperationState;
use orocloud_protocol::{CallError, EventBody, NodeName, NoteLevel};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::cancel::Cancel;
use crate::operations::journal::Journal;
use crate::operations::plan::StepFailure;

/// How long a node out of reach is waited for where the plan can do without it.
pub(super) fn patience() -> Duration {
    // A test that loses many nodes has no half a minute for each.
    #[cfg(debug_assertions)]
    if let Some(seconds) = std::env::var("OROCLOUD_PATIENCE").ok().and_then(|seconds| seconds.parse().ok()) {
        return Duration::from_secs(seconds);
    }
    Duration::from_secs(30)
}

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What an operation waits for, by step.
pub(super) struct Waiting<A> {
    journal: Arc<Journal<A>>,
    cancel: Cancel,
    /// The state that is gone back to when nothing is waited for any more.
    base: OperationState,
    reasons: Mutex<BTreeMap<(usize, usize), Reason>>,
}

#[derive(Clone, PartialEq)]
struct Reason {
    /// The node that is out of reach.
    away: Option<NodeName>,
    why: String,
}

impl<A: Clone + Serialize + DeserializeOwned> Waiting<A> {
    pub(super) fn new(journal: Arc<Journal<A>>, cancel: Cancel) -> Self {
        let base = journal.record().state;
        Self { journal, cancel, base, reasons: Mutex::default() }
    }

    /// This step waits for its node.
    pub(super) fn node_away(&self, at: (usize, usize), node: &NodeName, error: &CallError) {
        let why = format!("{node} is out of reach: {error}");
        self.set(at, Reason { away: Some(node.clone()), why });
    }

    /// This step does not go on for this reason.
    pub(super) fn stuck(&self, at: (usize, usize), why: String) {
        self.set(at, Reason { away: None, why });
    }

    fn set(&self, at: (usize, usize), reason: Reason) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        // Said once, not at every attempt.
        if reasons.get(&at).is_none_or(|known| known.away != reason.away) {
            let text = format!("waiting: {}", reason.why);
            self.journal.tell(EventBody::Note { level: NoteLevel::Warning, text });
        }
        if reasons.get(&at) == Some(&reason) {
            return;
        }
        reasons.insert(at, reason);
        self.write(&reasons);
    }

    /// This step's node answers again.
    pub(super) fn reached(&self, at: (usize, usize)) {
        let away = self
            .reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&at)
            .is_some_and(|r| r.away.is_some());
        if away {
            self.over(at);
        }
    }

    /// This step waits for nothing any more.
    pub(super) fn over(&self, at: (usize, usize)) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.remove(&at).is_some() {
            self.write(&reasons);
        }
    }

    fn write(&self, reasons: &BTreeMap<(usize, usize), Reason>) {
        // A full disk must not end what repairs things; who asks is answered from memory.
        let _ = self.journal.update(|record| {
            // It was given up meanwhile.
            if record.state.has_ended() {
                return;
            }
            record.waiting_for = reasons.values().find_map(|reason| reason.away.clone());
            record.stuck = reasons.values().map(|reason| reason.why.clone()).collect();
            record.stuck.dedup();
            record.state = match (reasons.is_empty(), self.base) {
                (false, _) | (true, OperationState::Recovering) => OperationState::Recovering,
                (true, _) if self.cancel.is_cancelled() => OperationState::Cancelling,
                (true, _) => OperationState::Running,
            };
        });
    }
}

/// How long one node is waited for.
pub(super) struct Patience {
    /// Without end where absent.
    limit: Option<Duration>,
    /// The first failure to reach it.
    since: Option<Instant>,
    pause: Pause,
}

impl Patience {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, since: None, pause: Pause::new() }
    }

    /// Whether there is an end to it.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Once the node was out of reach no attempt lasts longer than the patience does.
    pub(super) async fn bound<T>(
        &self,
        attempt: impl Future<Output = Result<T, StepFailure>>,
    ) -> Result<T, StepFailure> {
        let (Some(limit), Some(since)) = (self.limit, self.since) else { return attempt.await };
        tokio::time::timeout_at(since + limit, attempt).await.unwrap_or_else(|_| {
            let text = format!("it did not answer within {} s", limit.as_secs());
            Err(StepFailure::Lost(CallError::new(orocloud_protocol::ErrorKind::Unreachable, text)))
        })
    }

    /// Waits before the next attempt to reach the node; false when it was enough.
    pub(super) async fn again(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.limit.is_some_and(|limit| since.elapsed() >= limit) {
            return false;
        }
        self.pause.rest().await;
        true
    }
}

/// Pauses that grow.
pub(super) struct Pause(Duration);

impl Pause {
    pub(super) fn new() -> Self {
        Self(Duration::from_millis(250))
    }

    pub(super) async fn rest(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}
