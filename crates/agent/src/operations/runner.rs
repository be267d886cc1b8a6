//! Carries a plan out: group after group, each step's intent on disk before its act and its outcome after; undoes
//! it in reverse, or finishes it, when something goes wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use orocloud_protocol::node::{Phase, Probe, StepAnswer};
use orocloud_protocol::operation::OperationState;
use orocloud_protocol::{CallError, CallId, ErrorKind, EventBody, NodeName, NoteLevel, StepOutcome};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::EventSink;
use super::failpoint::failpoint;
use super::journal::{Journal, Mark, StepLine};
use super::plan::{Executor, OperationPlan, Outputs, Step, StepFailure, StepRequest};

/// How long a node that cannot be reached is waited for before its step counts as failed.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The longest pause between two attempts to reach a node.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

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
    cancel: CancellationToken,
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
        cancel: CancellationToken,
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
            Known::Untouched | Known::Begun(_) | Known::Undone => false,
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
            if self.cancel.is_cancelled() && index <= self.plan.point_of_no_return {
                return self.backward(cancelled()).await;
            }
            let Some(error) = self.act(index).await else { continue };
            if index < self.plan.point_of_no_return {
                let error = if self.cancel.is_cancelled() { cancelled() } else { error };
                return self.backward(error).await;
            }
            if index == self.plan.point_of_no_return {
                // Whether it can still be taken back depends on whether any of its steps took effect.
                if !self.known[index].iter().any(|known| matches!(known, Known::Done(_))) {
                    return self.backward(error).await;
                }
                if let Some(again) = self.act(index).await {
                    fault.get_or_insert(again);
                }
                continue;
            }
            fault.get_or_insert(error);
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
                let attempt = self.attempt(index, place, Phase::Act);
                attempts.spawn(async move { (place, attempt.act().await) });
            }
        }
        let mut fault = None;
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
                Err(error) if step.soft => {
                    self.known[index][place] = Known::Done(Value::Null);
                    let text = format!("{} failed on {}, which does no harm: {error}", step.name, step.node);
                    self.journal.tell(EventBody::Note { level: NoteLevel::Warning, text });
                }
                Err(error) => {
                    self.known[index][place] = Known::Unfinished;
                    fault.get_or_insert(error);
                }
            }
        }
        // A step that panicked has left no trace in `known`.
        for known in &mut self.known[index] {
            if *known == Known::Untouched && fault.is_some() {
                *known = Known::Unfinished;
            }
        }
        fault
    }

    /// Undoes all that was begun, the last first.
    async fn backward(&mut self, cause: CallError) -> Ended {
        let mut left = Vec::new();
        for index in (0..self.plan.groups.len()).rev() {
            let mut attempts = JoinSet::new();
            for place in 0..self.plan.groups[index].len() {
                if !matches!(self.known[index][place], Known::Untouched | Known::Undone) {
                    let attempt = self.attempt(index, place, Phase::Undo);
                    attempts.spawn(async move { (place, attempt.undo().await) });
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
        for StepLine { at: (index, place), phase, mark } in marks {
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
                (Phase::Undo, Mark::Done(_)) => Known::Undone,
                (_, Mark::Failed(_)) | (Phase::Undo | Phase::Probe, _) => Known::Unfinished,
            };
        }
        for index in 0..self.known.len() {
            for place in 0..self.known[index].len() {
                if let Known::Begun(call) = self.known[index][place] {
                    let attempt = self.attempt(index, place, Phase::Probe);
                    let found = attempt.find_out(call).await;
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
                self.cancel.clone()
            } else {
                CancellationToken::new()
            },
            outputs: self.outputs.clone(),
        }
    }
}

fn cancelled() -> CallError {
    CallError::new(ErrorKind::Cancelled, "it was cancelled")
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
    async fn act(self) -> Result<Value, CallError> {
        self.intend(Phase::Act)?;
        failpoint(&self.step.name, "intent");
        let begun = Instant::now();
        self.started(false);
        let answer = match self.call(self.call, Phase::Act, false).await {
            Err(StepFailure::Lost(error)) => self.regain(error).await,
            Err(StepFailure::Failed(error)) => Err(error),
            Err(StepFailure::NotRunning) => {
                Err(CallError::internal("the node knows nothing of this attempt"))
            }
            Ok(StepAnswer::Done(value)) => Ok(value),
            Ok(other) => Err(unexpected(&other)),
        };
        failpoint(&self.step.name, "done");
        match &answer {
            Ok(value) => self.mark(Phase::Act, Mark::Done(value.clone())),
            Err(error) => self.mark(Phase::Act, Mark::Failed(error.clone())),
        }
        let outcome = if answer.is_ok() { StepOutcome::Done } else { StepOutcome::Failed };
        self.ended(begun, outcome, answer.as_ref().err());
        answer.map_err(|error| {
            if error.kind == ErrorKind::Cancelled {
                return error;
            }
            let details = error.details.clone();
            let mut error = error.context(format!("{} failed on {}", self.step.name, self.step.node));
            error.details = Some(
                details
                    .unwrap_or_else(|| serde_json::json!({ "step": self.step.name, "node": self.step.node })),
            );
            error
        })
    }

    async fn undo(self) -> Result<(), CallError> {
        self.intend(Phase::Undo)?;
        failpoint(&self.step.name, "undo-intent");
        let begun = Instant::now();
        self.started(true);
        let mut pause = Pause::new();
        let outcome = loop {
            match self.call(self.call, Phase::Undo, false).await {
                Ok(_) => break Ok(()),
                Err(StepFailure::Failed(error)) => break Err(error),
                Err(StepFailure::Lost(error)) => {
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
                Err(StepFailure::Lost(error)) => Err(StepFailure::Lost(error)),
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
                Err(StepFailure::Lost(error)) => {
                    if self.cancel.is_cancelled() || !self.wait(&mut pause, &error).await {
                        return Err(error);
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
        tokio::time::sleep(pause.length).await;
        pause.length = (pause.length * 2).min(LONGEST_PAUSE);
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
        let line = StepLine { at: self.at, phase, mark: Mark::Intent(self.call) };
        self.journal
            .mark(&line)
            .map_err(|error| CallError::failed("the journal cannot be written").because(error))
    }

    fn mark(&self, phase: Phase, mark: Mark) {
        // Without the outcome on disk the probe tells it after a crash.
        if let Err(error) = self.journal.mark(&StepLine { at: self.at, phase, mark }) {
            eprintln!("{}: the outcome of {} is not in the journal: {error}", self.operation, self.step.name);
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

struct Pause {
    since: Instant,
    length: Duration,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(250);

    fn new() -> Self {
        Self { since: Instant::now(), length: Self::FIRST }
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
