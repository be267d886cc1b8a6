//! One step: acted, looked for, undone, awaited. Each attempt's intent is on disk before it and its outcome after.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::node::{Phase, Probe, StepAnswer};
use orocloud_protocol::{CallError, CallId, ErrorKind, EventBody, NodeName, NoteLevel, StepOutcome};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Known;
use super::waiting::{Patience, Pause, Waiting};
use crate::operations::EventSink;
use crate::operations::failpoint::{around, failpoint};
use crate::operations::journal::{Journal, Mark, StepLine};
use crate::operations::plan::{Executor, OnLoss, Outputs, Step, StepFailure, StepRequest, was_tried_enough};

/// How often an undo is tried that somebody else can do later.
const TRIES_BEFORE_PUTTING_OFF: u32 = 2;

/// What all attempts of one operation share.
pub(super) struct Shared<E: Executor> {
    pub executor: Arc<E>,
    pub journal: Arc<Journal<E::Action>>,
    pub operation: CallId,
    pub waiting: Waiting<E::Action>,
    /// How many there were, also before a crash: each has an id of its own.
    pub attempts: AtomicU64,
}

/// One step, and how it is gone about.
pub(super) struct Attempt<E: Executor> {
    pub shared: Arc<Shared<E>>,
    pub step: Step<E::Action>,
    pub at: (usize, usize),
    pub outputs: Outputs,
    pub cancel: CancellationToken,
    /// How long its node is waited for; without end where absent.
    pub patience: Option<Duration>,
    /// Behind the point of no return, where everything is finished.
    pub beyond: bool,
    /// How often an act that fails is tried.
    pub tries: u32,
}

/// Why an act is not done.
pub(super) enum Unable {
    /// It began; part of it may be done.
    Failed(CallError),
    /// It did not begin, so there is nothing to undo that was not there before.
    NotBegun(CallError),
    /// Its node is out of reach, and this is all that is known.
    Away(Known, CallError),
}

impl Unable {
    pub(super) fn error(&self) -> &CallError {
        match self {
            Self::Failed(error) | Self::NotBegun(error) | Self::Away(_, error) => error,
        }
    }

    fn map(self, change: impl FnOnce(CallError) -> CallError) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(change(error)),
            Self::NotBegun(error) => Self::NotBegun(change(error)),
            Self::Away(known, error) => Self::Away(known, change(error)),
        }
    }
}

/// Why an undo is not done.
pub(super) enum NotUndone {
    /// The node will not: trying again would not help.
    Refused(CallError),
    /// It failed, and its step is one that may, or that somebody else undoes later.
    Failed(CallError),
    /// Its node is out of reach.
    Away(CallError),
}

/// What became of an attempt that nobody heard the end of.
enum Found {
    Done(Value),
    NotDone,
    Failed(CallError),
}

impl<E: Executor> Attempt<E> {
    /// Acts until it is done, as often as it may, starting from what is known.
    pub(super) async fn pursue(self, mut known: Known) -> Result<Value, Unable> {
        let mut pause = Pause::new();
        for left in (0..self.tries.max(1)).rev() {
            let outcome = self.pursue_once(known).await;
            self.shared.waiting.over(self.at);
            match outcome {
                Err(Unable::Failed(error)) if left > 0 && !was_tried_enough(&error) => {}
                outcome => return outcome.map_err(|unable| unable.map(|error| self.of_step(error))),
            }
            known = Known::Unfinished;
            pause.rest().await;
        }
        Err(Unable::Failed(CallError::internal("a step that may not even be tried once")))
    }

    async fn pursue_once(&self, known: Known) -> Result<Value, Unable> {
        // What began already acts again only on the probe's word.
        let found = match &known {
            Known::Begun(call) => self.find_out(*call).await,
            Known::Unfinished => self.look().await,
            _ => Ok(Found::NotDone),
        };
        match found {
            Ok(Found::Done(value)) => {
                self.mark(Phase::Act, Mark::Done(value.clone()));
                Ok(value)
            }
            Ok(Found::NotDone | Found::Failed(_)) => self.act().await,
            Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) => Err(Unable::Away(known, error)),
            Err(StepFailure::Failed(error)) => Err(Unable::Failed(error)),
            Err(StepFailure::NotRunning) => Err(Unable::Failed(refused("probe"))),
        }
    }

    async fn act(&self) -> Result<Value, Unable> {
        let call = self.next_call(Phase::Act);
        self.intend_to_act(call).await.map_err(Unable::NotBegun)?;
        failpoint(&self.step.name, "intent");
        let begun = Instant::now();
        self.started(false);
        let answer = self.act_as(call).await;
        failpoint(&self.step.name, "done");
        match &answer {
            Ok(value) => self.mark(Phase::Act, Mark::Done(value.clone())),
            Err(Unable::Failed(error)) => self.mark(Phase::Act, Mark::Failed(error.clone())),
            Err(Unable::NotBegun(error) | Unable::Away(Known::Untouched, error)) => {
                self.mark(Phase::Act, Mark::NotBegun(error.clone()));
            }
            // Nobody knows: the intent stands.
            Err(Unable::Away(..)) => {}
        }
        let outcome = if answer.is_ok() { StepOutcome::Done } else { StepOutcome::Failed };
        self.ended(begun, outcome, answer.as_ref().err().map(Unable::error));
        answer
    }

    async fn act_as(&self, call: CallId) -> Result<Value, Unable> {
        let mut patience = Patience::new(self.patience);
        loop {
            let acting = patience.bound(self.call(call, Phase::Act, false, &self.cancel));
            match around(&self.step.name, "running", acting).await {
                Ok(StepAnswer::Done(value)) => return Ok(value),
                Ok(other) => return Err(Unable::Failed(unexpected(&other))),
                Err(StepFailure::Failed(error)) => return Err(Unable::Failed(error)),
                Err(StepFailure::NotRunning) => return Err(Unable::NotBegun(refused("act"))),
                Err(StepFailure::NotBegun(error)) => {
                    if self.is_hasty() || self.cancel.is_cancelled() {
                        return Err(Unable::NotBegun(error));
                    }
                    if !self.again(&mut patience, &error).await {
                        return Err(Unable::Away(Known::Untouched, error));
                    }
                }
                Err(StepFailure::Lost(lost)) => {
                    let text = format!("{} on {} lost its node: {lost}", self.step.name, self.step.node);
                    self.shared.journal.tell(EventBody::Note { level: NoteLevel::Warning, text });
                    return match self.find_out_within(call, patience).await {
                        Ok(Found::Done(value)) => Ok(value),
                        Ok(Found::NotDone) => Err(Unable::Failed(lost)),
                        Ok(Found::Failed(error)) | Err(StepFailure::Failed(error)) => {
                            Err(Unable::Failed(error))
                        }
                        Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) => {
                            Err(Unable::Away(Known::Begun(call), error))
                        }
                        Err(StepFailure::NotRunning) => Err(Unable::Failed(refused("probe"))),
                    };
                }
            }
        }
    }

    /// Whether an attempt from before a crash is done: its output if it is. The error says that its node is out of
    /// reach, or that it cannot tell.
    pub(super) async fn recall(&self, call: CallId) -> Result<Option<Value>, StepFailure> {
        let found = self.find_out(call).await;
        self.shared.waiting.over(self.at);
        match found? {
            Found::Done(value) => {
                self.mark(Phase::Act, Mark::Done(value.clone()));
                Ok(Some(value))
            }
            Found::NotDone | Found::Failed(_) => Ok(None),
        }
    }

    async fn find_out(&self, call: CallId) -> Result<Found, StepFailure> {
        self.find_out_within(call, Patience::new(self.patience)).await
    }

    /// What became of an attempt: attaches to it while it runs, else asks whether it is done.
    async fn find_out_within(&self, call: CallId, mut patience: Patience) -> Result<Found, StepFailure> {
        loop {
            let attached = patience.bound(self.call(call, Phase::Act, true, &self.cancel)).await;
            let found = match attached {
                Ok(StepAnswer::Done(value)) => Ok(Found::Done(value)),
                Ok(other) => Err(StepFailure::Failed(unexpected(&other))),
                Err(StepFailure::Failed(error)) => Ok(Found::Failed(error)),
                Err(StepFailure::NotRunning) => patience.bound(self.probe()).await,
                Err(away) => Err(away),
            };
            match found {
                Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) => {
                    if !self.again(&mut patience, &error).await {
                        return Err(StepFailure::Lost(error));
                    }
                }
                found => return found,
            }
        }
    }

    /// Asks whether it is done, until the node answers.
    async fn look(&self) -> Result<Found, StepFailure> {
        let mut patience = Patience::new(self.patience);
        loop {
            match patience.bound(self.probe()).await {
                Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) => {
                    if !self.again(&mut patience, &error).await {
                        return Err(StepFailure::Lost(error));
                    }
                }
                found => return found,
            }
        }
    }

    async fn probe(&self) -> Result<Found, StepFailure> {
        let call = self.next_call(Phase::Probe);
        match self.call(call, Phase::Probe, false, &CancellationToken::new()).await? {
            StepAnswer::Probed(Probe::Done(value)) => Ok(Found::Done(value)),
            StepAnswer::Probed(Probe::NotDone | Probe::Partial) => Ok(Found::NotDone),
            other => Err(StepFailure::Failed(unexpected(&other))),
        }
    }

    /// Takes it back, however often that takes: as long as an undo fails nothing before it is undone, since what comes
    /// first, like the maintenance page, holds for what comes after.
    pub(super) async fn undo(self, known: Known) -> Result<(), NotUndone> {
        let outcome = self.undo_from(known).await;
        self.shared.waiting.over(self.at);
        outcome
    }

    async fn undo_from(&self, known: Known) -> Result<(), NotUndone> {
        match known {
            // What still runs of it is told to end, and awaited.
            Known::Begun(call) => {
                let end = CancellationToken::new();
                end.cancel();
                self.settle(call, Phase::Act, &end).await?;
            }
            // Two at once could get in each other's way.
            Known::Undoing(call) => self.settle(call, Phase::Undo, &CancellationToken::new()).await?,
            _ => {}
        }
        let (mut pause, mut tried) = (Pause::new(), 0);
        loop {
            let call = self.next_call(Phase::Undo);
            self.intend_to_undo(call).await;
            failpoint(&self.step.name, "undo-intent");
            let begun = Instant::now();
            self.started(true);
            let outcome = self.undo_as(call).await;
            failpoint(&self.step.name, "undone");
            let shown = if outcome.is_ok() { StepOutcome::Undone } else { StepOutcome::Failed };
            let error = match outcome {
                Ok(()) => {
                    self.mark(Phase::Undo, Mark::Done(Value::Null));
                    self.ended(begun, shown, None);
                    return Ok(());
                }
                Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) => {
                    self.ended(begun, shown, Some(&error));
                    return Err(NotUndone::Away(error));
                }
                Err(StepFailure::Failed(error)) => error,
                Err(StepFailure::NotRunning) => refused("undo"),
            };
            self.mark(Phase::Undo, Mark::Failed(error.clone()));
            self.ended(begun, shown, Some(&error));
            if error.kind == ErrorKind::Refused {
                return Err(NotUndone::Refused(error));
            }
            if self.step.soft {
                return Err(NotUndone::Failed(error));
            }
            tried += 1;
            if tried >= TRIES_BEFORE_PUTTING_OFF
                && self.shared.executor.can_be_put_off(Phase::Undo, &self.step)
            {
                return Err(NotUndone::Failed(error));
            }
            let why = format!("{} on {} could not be undone: {error}", self.step.name, self.step.node);
            self.shared.waiting.stuck(self.at, why);
            pause.rest().await;
        }
    }

    async fn undo_as(&self, call: CallId) -> Result<(), StepFailure> {
        let never = CancellationToken::new();
        let mut patience = Patience::new(self.patience);
        loop {
            let undoing = patience.bound(self.call(call, Phase::Undo, false, &never));
            match around(&self.step.name, "undoing", undoing).await {
                Ok(StepAnswer::Undone) => return Ok(()),
                Ok(other) => return Err(StepFailure::Failed(unexpected(&other))),
                Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) => {
                    if !self.again(&mut patience, &error).await {
                        return Err(StepFailure::Lost(error));
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Waits until an attempt runs no more.
    async fn settle(&self, call: CallId, phase: Phase, end: &CancellationToken) -> Result<(), NotUndone> {
        let mut patience = Patience::new(self.patience);
        while let Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) =
            patience.bound(self.call(call, phase, true, end)).await
        {
            if !self.again(&mut patience, &error).await {
                return Err(NotUndone::Away(error));
            }
        }
        Ok(())
    }

    /// Waits before the next attempt to reach the node; false when it was enough.
    async fn again(&self, patience: &mut Patience, error: &CallError) -> bool {
        if !patience.is_limited() {
            self.shared.waiting.node_away(self.at, &self.step.node, error);
        }
        patience.again().await
    }

    async fn call(
        &self,
        call: CallId,
        phase: Phase,
        attach_only: bool,
        cancel: &CancellationToken,
    ) -> Result<StepAnswer, StepFailure> {
        let journal = Arc::clone(&self.shared.journal);
        let (step, node) = (self.step.name.clone(), self.step.node.clone());
        let events = EventSink::new(move |body| journal.tell(belonging_to(body, &step, &node)));
        let outcome = self.shared.executor.run(StepRequest {
            call,
            operation: self.shared.operation,
            step: &self.step,
            phase,
            outputs: &self.outputs,
            attach_only,
            events,
            cancel: cancel.clone(),
        });
        let outcome = outcome.await;
        if !matches!(outcome, Err(StepFailure::Lost(_) | StepFailure::NotBegun(_))) {
            self.shared.waiting.reached(self.at);
        }
        outcome
    }

    /// Whether an act that does not begin fails at once.
    fn is_hasty(&self) -> bool {
        self.step.soft || (!self.beyond && self.step.on_loss != OnLoss::Leave)
    }

    /// The error of the operation, from that of one of its steps.
    fn of_step(&self, error: CallError) -> CallError {
        let kind = match error.kind {
            ErrorKind::Cancelled => return error,
            // Others speak of a call, not of an operation: a node out of reach is no environment out of reach.
            kind @ (ErrorKind::NotFound | ErrorKind::Refused | ErrorKind::CheckFailed) => kind,
            _ => ErrorKind::Failed,
        };
        let details = error.details.clone();
        let mut error = error.context(format!("{} failed on {}", self.step.name, self.step.node));
        error.kind = kind;
        error.details = Some(
            details.unwrap_or_else(|| serde_json::json!({ "step": self.step.name, "node": self.step.node })),
        );
        error
    }

    /// The id of one attempt: never that of another.
    fn next_call(&self, phase: Phase) -> CallId {
        let attempt = self.shared.attempts.fetch_add(1, Ordering::Relaxed);
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.shared.operation.to_string().as_bytes());
        hasher.update(format!("{}/{}/{phase:?}/{attempt}", self.at.0, self.at.1).as_bytes());
        let mut random = [0; 16];
        hasher.finalize_xof().fill(&mut random);
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        CallId::from_parts(now, u128::from_le_bytes(random))
    }

    /// An act without its intent on disk could run twice, so it does not begin. Behind the point of no return the disk
    /// is waited for.
    async fn intend_to_act(&self, call: CallId) -> Result<(), CallError> {
        let mut pause = Pause::new();
        while let Err(error) = self.write(Phase::Act, Mark::Intent(call)) {
            if !self.beyond || self.step.soft {
                return Err(self.shared.journal.unwritten(error));
            }
            self.shared.waiting.stuck(self.at, self.shared.journal.unwritten(error).to_string());
            pause.rest().await;
        }
        self.shared.waiting.over(self.at);
        Ok(())
    }

    /// Without it a crash in the middle would be finished forward, on half of what it stands on.
    async fn intend_to_undo(&self, call: CallId) {
        let mut pause = Pause::new();
        while let Err(error) = self.write(Phase::Undo, Mark::Intent(call)) {
            self.shared.waiting.stuck(self.at, self.shared.journal.unwritten(error).to_string());
            pause.rest().await;
        }
    }

    pub(super) fn mark(&self, phase: Phase, mark: Mark) {
        // Without the outcome on disk the probe tells it after a crash.
        if let Err(error) = self.write(phase, mark) {
            let (id, step) = (self.shared.operation, &self.step.name);
            crate::log::line(format!("operation {id}: the outcome of {step} is not in the journal: {error}"));
        }
    }

    fn write(&self, phase: Phase, mark: Mark) -> std::io::Result<()> {
        self.shared.journal.mark(&StepLine { at: self.at, phase, mark, when: Timestamp::now() })
    }

    fn started(&self, undo: bool) {
        let (step, node) = (self.step.name.clone(), self.step.node.clone());
        self.shared.journal.tell(EventBody::StepStarted { step, node, undo });
    }

    fn ended(&self, begun: Instant, outcome: StepOutcome, error: Option<&CallError>) {
        self.shared.journal.tell(EventBody::StepEnded {
            step: self.step.name.clone(),
            node: self.step.node.clone(),
            outcome,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: error.cloned(),
        });
    }
}

fn refused(what: &str) -> CallError {
    CallError::internal(format!("the node knows nothing of this {what}"))
}

fn unexpected(answer: &StepAnswer) -> CallError {
    CallError::internal(format!("the node gave an answer of another phase: {answer:?}"))
}

/// Fills in the step and node that an event of a step belongs to.
fn belonging_to(body: EventBody, in_step: &str, on_node: &NodeName) -> EventBody {
    let step_of = |step: Option<String>| step.or_else(|| Some(in_step.to_owned()));
    let node_of = |node: Option<NodeName>| node.or_else(|| Some(on_node.clone()));
    match body {
        EventBody::Output { stream, text, step, node } => {
            EventBody::Output { stream, text, step: step_of(step), node: node_of(node) }
        }
        EventBody::Progress { done, total, unit, step, node } => {
            EventBody::Progress { done, total, unit, step: step_of(step), node: node_of(node) }
        }
        other => other,
    }
}
