//! Carries a plan out: group after group, each step's intent on disk before its act and its outcome after; undoes
//! it in reverse, or finishes it, when something goes wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::node::{Phase, Probe, StepAnswer};
use orocloud_protocol::operation::OperationState;
use orocloud_protocol::{CallError, CallId, ErrorKind, EventBody, NodeName, NoteLevel, StepOutcome};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::EventSink;
use super::failpoint::{around, failpoint};
use super::journal::{Journal, Mark, StepLine};
use super::plan::{Executor, OperationPlan, Outputs, Step, StepFailure, StepRequest};

/// How long a node that cannot be reached is waited for before its step counts as failed.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The longest pause between two attempts to reach a node.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often a step behind the point of no return is tried before the rest is done without it.
const TRIES: u32 = 3;

/// The wish to cancel an operation, which is granted until it crosses its point of no return or is undone anyway.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<CancelInner>);

#[derive(Debug, Default)]
struct CancelInner {
    token: CancellationToken,
    state: Mutex<CancelState>,
}

#[derive(Debug, Default)]
struct CancelState {
    too_late: bool,
    by: Option<String>,
}

impl Cancel {
    /// Cancels it; whether it will be undone because of that.
    pub fn cancel(&self, by: &str) -> bool {
        let mut state = self.state();
        if state.too_late && state.by.is_none() {
            return false;
        }
        state.by.get_or_insert_with(|| by.to_owned());
        self.0.token.cancel();
        true
    }

    /// From here on it is too late, unless somebody was faster: then the error to end with.
    fn close(&self) -> Result<(), CallError> {
        self.state().too_late = true;
        self.check()
    }

    fn check(&self) -> Result<(), CallError> {
        match &self.state().by {
            Some(by) => Err(CallError::new(ErrorKind::Cancelled, format!("{by} cancelled it"))),
            None => Ok(()),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, CancelState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an operation ended.
pub type Ended = (OperationState, Result<Outputs, CallError>);

/// What is known of one step.
#[derive(Clone, Debug, PartialEq)]
enum Known {
    /// Never begun.
    Untouched,
    /// Begun as this attempt; nobody knows what became of it.
    Begun(CallId),
    /// Begun, and not, or not wholly, done.
    Unfinished,
    /// Being taken back by this attempt; nobody knows what became of that.
    Undoing(CallId),
    /// Done.
    Done(Value),
    /// Taken back.
    Undone,
}

/// Runs one operation to its end.
pub struct Runner<E: Executor> {
    executor: Arc<E>,
    journal: Arc<Journal<E::Action>>,
    plan: Arc<OperationPlan<E::Action>>,
    id: CallId,
    cancel: Cancel,
    known: Vec<Vec<Known>>,
    outputs: Outputs,
    attempts: u64,
}

impl<E: Executor> Runner<E> {
    /// For an operation whose journal is open. `plan` has its secrets, which the journal's has not.
    pub fn new(
        executor: Arc<E>,
        journal: Arc<Journal<E::Action>>,
        plan: OperationPlan<E::Action>,
        cancel: Cancel,
    ) -> Self {
        let known = plan.groups.iter().map(|group| vec![Known::Untouched; group.len()]).collect();
        let id = journal.record().id;
        Self {
            executor,
            journal,
            plan: Arc::new(plan),
            id,
            cancel,
            known,
            outputs: Outputs::new(),
            attempts: 0,
        }
    }

    /// From the first step.
    pub async fn run(mut self) -> Ended {
        self.forward(0, None).await
    }

    /// After a crash: finds out what was done, then undoes or finishes.
    pub async fn recover(mut self) -> Ended {
        // What happens is decided by what was done, so nobody who cancels from here on, also while a lost node is
        // waited for, may be told that it will be undone.
        let _ = self.cancel.close();
        let undoing = match self.recall().await {
            Ok(undoing) => undoing,
            Err(error) => return (OperationState::Failed, Err(error)),
        };
        let interrupted = CallError::failed("the agent was restarted in the middle of it");
        let returned = self.plan.point_of_no_return;
        let begun_for_good = self.known.iter().skip(returned).flatten().any(|known| match known {
            Known::Done(_) => true,
            // Without its secrets a step cannot be run again, so it is taken back.
            Known::Unfinished => !self.undo_only(),
            Known::Untouched | Known::Begun(_) | Known::Undoing(_) | Known::Undone => false,
        });
        if begun_for_good && !undoing {
            let from = self
                .known
                .iter()
                .position(|group| group.iter().any(|known| !matches!(known, Known::Done(_))))
                .unwrap_or(self.known.len());
            return self.forward(from, None).await;
        }
        if !undoing && self.known.iter().flatten().all(|known| matches!(known, Known::Done(_))) {
            return (OperationState::Succeeded, Ok(self.outputs));
        }
        self.backward(interrupted).await
    }

    fn undo_only(&self) -> bool {
        self.journal.record().undo_only
    }

    /// Group after group. `fault` is what went wrong after the point of no return.
    async fn forward(&mut self, from: usize, mut fault: Option<CallError>) -> Ended {
        for index in from..self.plan.groups.len() {
            let returned = self.plan.point_of_no_return;
            let wanted = if index == returned { self.cancel.close() } else { self.cancel.check() };
            if index <= returned
                && let Err(cancelled) = wanted
            {
                return self.backward(cancelled).await;
            }
            let Some(mut error) = self.act(index).await else { continue };
            if index < returned {
                let error = self.cancel.check().err().unwrap_or(error);
                return self.backward(error).await;
            }
            let mut pause = Pause::new();
            let mut still = true;
            for _ in 1..TRIES {
                pause.rest().await;
                match self.act(index).await {
                    Some(again) => error = again,
                    None => {
                        still = false;
                        break;
                    }
                }
            }
            if !still {
                continue;
            }
            if index == returned {
                // Nothing behind it has run, and nodes must not differ for longer than this step takes.
                return self.backward(error).await;
            }
            fault.get_or_insert(error);
        }
        // Whoever cancelled while the last step ran was told that all will be undone.
        if self.plan.point_of_no_return >= self.plan.groups.len()
            && let Err(cancelled) = self.cancel.close()
        {
            return self.backward(cancelled).await;
        }
        match fault {
            None => (OperationState::Succeeded, Ok(std::mem::take(&mut self.outputs))),
            Some(error) => (OperationState::Failed, Err(error)),
        }
    }

    /// Acts on what is not done in one group, side by side; gives the first failure.
    async fn act(&mut self, index: usize) -> Option<CallError> {
        let mut attempts = JoinSet::new();
        for place in 0..self.plan.groups[index].len() {
            if !matches!(self.known[index][place], Known::Done(_)) {
                let again = self.known[index][place] == Known::Unfinished;
                let probe = again.then(|| self.attempt(index, place, Phase::Probe));
                let attempt = self.attempt(index, place, Phase::Act);
                attempts.spawn(async move {
                    // What began already acts again only on the probe's word.
                    if let Some(probe) = probe {
                        match probe.look().await {
                            Ok(Some(value)) => {
                                attempt.mark(Phase::Act, Mark::Done(value.clone()));
                                return (place, Ok(value));
                            }
                            Ok(None) => {}
                            Err(error) => return (place, Err(Unable::Failed(error))),
                        }
                    }
                    (place, attempt.act().await)
                });
            }
        }
        let mut fault = None;
        let mut untouched = Vec::new();
        while let Some(ended) = attempts.join_next().await {
            let (place, outcome) = match ended {
                Ok(ended) => ended,
                Err(panic) => {
                    fault.get_or_insert(
                        CallError::internal("a step ended by a fault of the agent").because(panic),
                    );
                    continue;
                }
            };
            let step = &self.plan.groups[index][place];
            match outcome {
                Ok(value) => {
                    self.outputs.insert(step.name.clone(), value.clone());
                    self.known[index][place] = Known::Done(value);
                }
                Err(Unable::Failed(error) | Unable::NotBegun(error)) if step.soft => {
                    self.known[index][place] = Known::Done(Value::Null);
                    let text = format!("{} failed on {}, which does no harm: {error}", step.name, step.node);
                    self.journal.tell(EventBody::Note { level: NoteLevel::Warning, text });
                }
                Err(Unable::Failed(error)) => {
                    self.known[index][place] = Known::Unfinished;
                    fault.get_or_insert(error);
                }
                Err(Unable::NotBegun(error)) => {
                    untouched.push(place);
                    fault.get_or_insert(error);
                }
            }
        }
        // A step that panicked has left no trace in `known`.
        for (place, known) in self.known[index].iter_mut().enumerate() {
            if *known == Known::Untouched && fault.is_some() && !untouched.contains(&place) {
                *known = Known::Unfinished;
            }
        }
        fault
    }

    /// Undoes all that was begun, the last first.
    async fn backward(&mut self, cause: CallError) -> Ended {
        let _ = self.cancel.close();
        let mut left = Vec::new();
        for index in (0..self.plan.groups.len()).rev() {
            let mut attempts = JoinSet::new();
            for place in 0..self.plan.groups[index].len() {
                if !matches!(self.known[index][place], Known::Untouched | Known::Undone) {
                    let earlier = match self.known[index][place] {
                        Known::Undoing(call) => Some(call),
                        _ => None,
                    };
                    let attempt = self.attempt(index, place, Phase::Undo);
                    attempts.spawn(async move { (place, attempt.undo(earlier).await) });
                }
            }
            while let Some(ended) = attempts.join_next().await {
                match ended {
                    Ok((place, Ok(()))) => self.known[index][place] = Known::Undone,
                    Ok((place, Err(error))) => {
                        let step = &self.plan.groups[index][place];
                        left.push(format!("{} on {} could not be undone: {error}", step.name, step.node));
                    }
                    Err(panic) => left.push(format!("an undo ended by a fault of the agent: {panic}")),
                }
            }
        }
        let was_cancelled = cause.kind == ErrorKind::Cancelled && left.is_empty();
        let mut error = cause;
        if left.is_empty() {
            error = error.because("everything it had done was undone");
        } else {
            error.causes.extend(left);
        }
        let state = if was_cancelled { OperationState::Cancelled } else { OperationState::Failed };
        (state, Err(error))
    }

    /// Reads what the journal knows, waits for attempts that still run, and asks about those nobody knows of. Says
    /// whether it was being undone already.
    async fn recall(&mut self) -> Result<bool, CallError> {
        let mut undoing = false;
        let marks = self.journal.marks().map_err(|error| {
            CallError::failed("the journal of its steps cannot be read; nothing was undone or finished")
                .because(error)
        })?;
        for StepLine { at: (index, place), phase, mark, .. } in marks {
            self.attempts += 1;
            undoing |= phase == Phase::Undo;
            let Some(known) = self.known.get_mut(index).and_then(|group| group.get_mut(place)) else {
                continue;
            };
            *known = match (phase, mark) {
                (Phase::Act, Mark::Intent(call)) => Known::Begun(call),
                (Phase::Act, Mark::Done(value)) => {
                    self.outputs.insert(self.plan.groups[index][place].name.clone(), value.clone());
                    Known::Done(value)
                }
                (Phase::Act, Mark::NotBegun(_)) => Known::Untouched,
                (Phase::Undo, Mark::Intent(call)) => Known::Undoing(call),
                (Phase::Undo, Mark::Done(_)) => Known::Undone,
                (_, Mark::Failed(_)) | (Phase::Undo | Phase::Probe, _) => Known::Unfinished,
            };
        }
        for index in 0..self.known.len() {
            for place in 0..self.known[index].len() {
                if let Known::Begun(call) = self.known[index][place] {
                    let mut attempt = self.attempt(index, place, Phase::Probe);
                    if index < self.plan.point_of_no_return {
                        // It will be undone: what still runs of it is told to end, and awaited.
                        attempt.cancel.cancel();
                    }
                    let found = attempt.find_out(call).await;
                    attempt.cancel = CancellationToken::new();
                    if let Ok(Some(value)) = &found {
                        self.outputs.insert(self.plan.groups[index][place].name.clone(), value.clone());
                        attempt.mark(Phase::Act, Mark::Done(value.clone()));
                    }
                    self.known[index][place] = match found {
                        Ok(Some(value)) => Known::Done(value),
                        Ok(None) | Err(_) => Known::Unfinished,
                    };
                }
            }
        }
        Ok(undoing)
    }

    fn attempt(&mut self, index: usize, place: usize, phase: Phase) -> Attempt<E> {
        self.attempts += 1;
        Attempt {
            executor: Arc::clone(&self.executor),
            journal: Arc::clone(&self.journal),
            step: self.plan.groups[index][place].clone(),
            at: (index, place),
            operation: self.id,
            call: derive(self.id, index, place, phase, self.attempts),
            // What is past the point of no return is finished, whoever wants to cancel.
            cancel: if phase == Phase::Act && index < self.plan.point_of_no_return {
                self.cancel.0.token.child_token()
            } else {
                CancellationToken::new()
            },
            outputs: self.outputs.clone(),
        }
    }
}

/// The id of one attempt: the same for the same attempt, and never that of another.
fn derive(operation: CallId, index: usize, place: usize, phase: Phase, attempt: u64) -> CallId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(operation.to_string().as_bytes());
    hasher.update(format!("{index}/{place}/{phase:?}/{attempt}").as_bytes());
    let mut random = [0; 16];
    hasher.finalize_xof().fill(&mut random);
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    CallId::from_parts(now, u128::from_le_bytes(random))
}

/// One attempt at one step.
struct Attempt<E: Executor> {
    executor: Arc<E>,
    journal: Arc<Journal<E::Action>>,
    step: Step<E::Action>,
    at: (usize, usize),
    operation: CallId,
    call: CallId,
    cancel: CancellationToken,
    outputs: Outputs,
}

impl<E: Executor> Attempt<E> {
    async fn act(self) -> Result<Value, Unable> {
        self.intend(Phase::Act).map_err(Unable::NotBegun)?;
        failpoint(&self.step.name, "intent");
        let begun = Instant::now();
        self.started(false);
        let answer = match around(&self.step.name, "running", self.call(self.call, Phase::Act, false)).await {
            Err(StepFailure::Lost(error)) => self.regain(error).await.map_err(Unable::Failed),
            Err(StepFailure::Failed(error)) => Err(Unable::Failed(error)),
            Err(StepFailure::NotBegun(error)) => Err(Unable::NotBegun(error)),
            Err(StepFailure::NotRunning) => {
                Err(Unable::NotBegun(CallError::internal("the node knows nothing of this attempt")))
            }
            Ok(StepAnswer::Done(value)) => Ok(value),
            Ok(other) => Err(Unable::Failed(unexpected(&other))),
        };
        failpoint(&self.step.name, "done");
        self.mark(
            Phase::Act,
            match &answer {
                Ok(value) => Mark::Done(value.clone()),
                Err(Unable::Failed(error)) => Mark::Failed(error.clone()),
                Err(Unable::NotBegun(error)) => Mark::NotBegun(error.clone()),
            },
        );
        let outcome = if answer.is_ok() { StepOutcome::Done } else { StepOutcome::Failed };
        self.ended(begun, outcome, answer.as_ref().err().map(Unable::error));
        answer.map_err(|unable| match unable {
            Unable::Failed(error) => Unable::Failed(self.of_step(error)),
            Unable::NotBegun(error) => Unable::NotBegun(self.of_step(error)),
        })
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

    /// Asks whether it is done: its output, if it is.
    async fn look(&self) -> Result<Option<Value>, CallError> {
        match self.call(self.call, Phase::Probe, false).await {
            Ok(StepAnswer::Probed(Probe::Done(value))) => Ok(Some(value)),
            Ok(StepAnswer::Probed(Probe::NotDone | Probe::Partial)) => Ok(None),
            Ok(other) => Err(unexpected(&other)),
            Err(StepFailure::NotRunning) => Err(CallError::internal("the node refused the probe")),
            Err(StepFailure::Failed(error) | StepFailure::NotBegun(error) | StepFailure::Lost(error)) => {
                Err(error)
            }
        }
    }

    async fn undo(self, earlier: Option<CallId>) -> Result<(), CallError> {
        if let Some(earlier) = earlier {
            self.await_undo(earlier).await;
        }
        self.intend(Phase::Undo)?;
        failpoint(&self.step.name, "undo-intent");
        let begun = Instant::now();
        self.started(true);
        let mut pause = Pause::new();
        let outcome = loop {
            match around(&self.step.name, "undoing", self.call(self.call, Phase::Undo, false)).await {
                Ok(_) => break Ok(()),
                Err(StepFailure::Failed(error)) => break Err(error),
                Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) => {
                    if !self.wait(&mut pause, &error).await {
                        break Err(error);
                    }
                }
                Err(StepFailure::NotRunning) => break Err(CallError::internal("the node refused the undo")),
            }
        };
        self.waits_for(None);
        failpoint(&self.step.name, "undone");
        match &outcome {
            Ok(()) => self.mark(Phase::Undo, Mark::Done(Value::Null)),
            Err(error) => self.mark(Phase::Undo, Mark::Failed(error.clone())),
        }
        let shown = if outcome.is_ok() { StepOutcome::Undone } else { StepOutcome::Failed };
        self.ended(begun, shown, outcome.as_ref().err());
        outcome
    }

    /// Waits for an undo that was begun before a crash and may still run: two at once could get in each other's way.
    async fn await_undo(&self, call: CallId) {
        let mut pause = Pause::new();
        while let Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) =
            self.call(call, Phase::Undo, true).await
        {
            if !self.wait(&mut pause, &error).await {
                return;
            }
        }
        self.waits_for(None);
    }

    /// The node was lost while it acted: waits for it, attaches, else asks whether it is done; acts again only on
    /// the probe's word.
    async fn regain(&self, lost: CallError) -> Result<Value, CallError> {
        let text = format!("{} on {} lost its node: {lost}", self.step.name, self.step.node);
        self.journal.tell(EventBody::Note { level: NoteLevel::Warning, text });
        match self.find_out(self.call).await? {
            Some(value) => Ok(value),
            None => Err(lost),
        }
    }

    /// What became of an attempt: its output if it is done.
    async fn find_out(&self, call: CallId) -> Result<Option<Value>, CallError> {
        let mut pause = Pause::new();
        loop {
            let found = match self.call(call, Phase::Act, true).await {
                Ok(StepAnswer::Done(value)) => Ok(Some(value)),
                Ok(other) => Err(StepFailure::Failed(unexpected(&other))),
                // It ended, and did not do its work.
                Err(StepFailure::Failed(_)) => Ok(None),
                Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) => Err(StepFailure::Lost(error)),
                Err(StepFailure::NotRunning) => match self.call(self.call, Phase::Probe, false).await {
                    Ok(StepAnswer::Probed(Probe::Done(value))) => Ok(Some(value)),
                    Ok(StepAnswer::Probed(Probe::NotDone | Probe::Partial)) => Ok(None),
                    Ok(other) => Err(StepFailure::Failed(unexpected(&other))),
                    Err(failure) => Err(failure),
                },
            };
            match found {
                Ok(found) => {
                    self.waits_for(None);
                    return Ok(found);
                }
                Err(StepFailure::Lost(error) | StepFailure::NotBegun(error)) => {
                    if !self.wait(&mut pause, &error).await {
                        let text = format!(
                            "{} stayed out of reach, so what became of it is not known",
                            self.step.node
                        );
                        return Err(error
                            .context(text)
                            .hint("bring the node back, then look: orocloud-cli status"));
                    }
                }
                Err(StepFailure::Failed(error)) => return Err(error),
                Err(StepFailure::NotRunning) => return Ok(None),
            }
        }
    }

    async fn call(&self, call: CallId, phase: Phase, attach_only: bool) -> Result<StepAnswer, StepFailure> {
        let journal = Arc::clone(&self.journal);
        let (step, node) = (self.step.name.clone(), self.step.node.clone());
        let events = EventSink::new(move |body| journal.tell(belonging_to(body, &step, &node)));
        self.executor
            .run(StepRequest {
                call,
                operation: self.operation,
                step: &self.step,
                phase,
                outputs: &self.outputs,
                attach_only,
                events,
                cancel: self.cancel.clone(),
            })
            .await
    }

    /// Waits before the next attempt to reach the node; false when it was enough.
    async fn wait(&self, pause: &mut Pause, error: &CallError) -> bool {
        if pause.since.elapsed() > PATIENCE {
            return false;
        }
        if pause.length == Pause::FIRST {
            let text = format!("waiting for {}: {error}", self.step.node);
            self.journal.tell(EventBody::Note { level: NoteLevel::Warning, text });
        }
        self.waits_for(Some(self.step.node.clone()));
        pause.rest().await;
        true
    }

    fn waits_for(&self, node: Option<NodeName>) {
        if self.journal.record().waiting_for != node {
            let _ = self.journal.update(|record| {
                record.state =
                    if node.is_some() { OperationState::Recovering } else { OperationState::Running };
                record.waiting_for = node;
            });
        }
    }

    /// An act without its intent on disk could run twice, so it does not begin.
    fn intend(&self, phase: Phase) -> Result<(), CallError> {
        let line = StepLine { at: self.at, phase, mark: Mark::Intent(self.call), when: Timestamp::now() };
        self.journal
            .mark(&line)
            .map_err(|error| CallError::failed("the journal cannot be written").because(error))
    }

    fn mark(&self, phase: Phase, mark: Mark) {
        // Without the outcome on disk the probe tells it after a crash.
        if let Err(error) = self.journal.mark(&StepLine { at: self.at, phase, mark, when: Timestamp::now() })
        {
            let (id, step) = (self.operation, &self.step.name);
            crate::log::line(format!("operation {id}: the outcome of {step} is not in the journal: {error}"));
        }
    }

    fn started(&self, undo: bool) {
        let (step, node) = (self.step.name.clone(), self.step.node.clone());
        self.journal.tell(EventBody::StepStarted { step, node, undo });
    }

    fn ended(&self, begun: Instant, outcome: StepOutcome, error: Option<&CallError>) {
        self.journal.tell(EventBody::StepEnded {
            step: self.step.name.clone(),
            node: self.step.node.clone(),
            outcome,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: error.cloned(),
        });
    }
}

/// Why an act is not done.
enum Unable {
    /// It began; part of it may be done.
    Failed(CallError),
    /// It did not begin, so there is nothing to undo.
    NotBegun(CallError),
}

impl Unable {
    fn error(&self) -> &CallError {
        match self {
            Self::Failed(error) | Self::NotBegun(error) => error,
        }
    }
}

struct Pause {
    since: Instant,
    length: Duration,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(250);

    fn new() -> Self {
        Self { since: Instant::now(), length: Self::FIRST }
    }

    async fn rest(&mut self) {
        tokio::time::sleep(self.length).await;
        self.length = (self.length * 2).min(LONGEST_PAUSE);
    }
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
