//! Carries a plan out: group after group, each step's intent on disk before its act and its outcome after; undoes
//! it in reverse, or finishes it, when something goes wrong.

mod attempt;
mod cancel;
mod leaving;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::node::Phase;
use orocloud_protocol::operation::OperationState;
use orocloud_protocol::{CallError, CallId, ErrorKind, EventBody, NodeName, NoteLevel};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::cancel::Cancel;
pub use self::leaving::as_it_stands;

use self::attempt::{Attempt, NotUndone, Shared, Unable};
use self::waiting::{Pause, Waiting, patience};
use super::journal::{Journal, Mark, StepLine};
use super::plan::{Executor, OnLoss, OperationPlan, Outputs, Step, StepFailure};

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
    /// Its node was left behind: whatever became of it, the node is brought to what holds before it is let back.
    Left,
}

/// Runs one operation to its end.
pub struct Runner<E: Executor> {
    shared: Arc<Shared<E>>,
    plan: Arc<OperationPlan<E::Action>>,
    cancel: Cancel,
    known: Vec<Vec<Known>>,
    outputs: Outputs,
    /// Nodes left behind, and why.
    left: BTreeMap<NodeName, CallError>,
    /// Undos that were refused, by group.
    refused: BTreeMap<usize, Refusal>,
    /// What somebody else does later, a sentence each.
    put_off: BTreeSet<String>,
}

/// A step that its node refuses to undo.
#[derive(Clone)]
struct Refusal {
    step: String,
    node: NodeName,
    error: CallError,
}

/// A step whose node is out of reach and can be left behind.
type Away = (usize, CallError);

/// What came of acting on steps of one group, but for those that are done.
struct Acted {
    /// The first failure.
    failed: Option<CallError>,
    /// Steps that failed, past the point of no return, on nodes that can be left behind.
    wrong: Vec<Away>,
    /// Steps whose nodes are out of reach and can be left behind.
    away: Vec<Away>,
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
        let operation = journal.record().id;
        let waiting = Waiting::new(Arc::clone(&journal), cancel.clone());
        let attempts = AtomicU64::new(0);
        Self {
            shared: Arc::new(Shared { executor, journal, operation, waiting, attempts }),
            plan: Arc::new(plan),
            cancel,
            known,
            outputs: Outputs::new(),
            left: BTreeMap::new(),
            refused: BTreeMap::new(),
            put_off: BTreeSet::new(),
        }
    }

    /// From the first step.
    pub async fn run(mut self) -> Ended {
        self.forward(0).await
    }

    /// After a crash: finds out what was done, then undoes or finishes.
    pub async fn recover(mut self) -> Ended {
        // What happens is decided by what was done, so nobody who cancels from here on, also while a lost node is
        // waited for, may be told that it will be undone.
        let _ = self.cancel.close();
        let undoing = self.recall().await;
        let interrupted = CallError::failed("the agent was restarted in the middle of it");
        let undo_only = self.shared.journal.record().undo_only;
        let begun_for_good =
            self.known.iter().skip(self.plan.point_of_no_return).flatten().any(|known| match known {
                Known::Done(_) | Known::Left => true,
                // Without its secrets a step cannot be run again, so it is taken back.
                Known::Unfinished | Known::Begun(_) => !undo_only,
                Known::Untouched | Known::Undoing(_) | Known::Undone => false,
            });
        let is_over = |known: &Known| matches!(known, Known::Done(_) | Known::Left);
        let first_open = self.known.iter().position(|group| !group.iter().all(is_over));
        match first_open {
            None if !undoing => self.forward(self.known.len()).await,
            Some(from) if begun_for_good && !undoing => self.forward(from).await,
            _ => self.backward(interrupted).await,
        }
    }

    /// Group after group.
    async fn forward(&mut self, from: usize) -> Ended {
        let too_late = self.plan.cancelled_until();
        let mut fault = None;
        for index in from..self.plan.groups.len() {
            let wanted = if index == too_late { self.cancel.close() } else { self.cancel.check() };
            if index <= too_late
                && let Err(cancelled) = wanted
            {
                return self.backward(cancelled).await;
            }
            let Some(error) = self.act(index).await else { continue };
            if self.plan.turns_back_at(index) {
                // Nodes must not differ for longer than that step takes.
                let cancelled = if index < too_late { self.cancel.check().err() } else { None };
                return self.backward(cancelled.unwrap_or(error)).await;
            }
            fault.get_or_insert(error);
        }
        // Whoever cancelled while the last step ran was told that all will be undone.
        if from < self.plan.groups.len()
            && too_late >= self.plan.groups.len()
            && let Err(cancelled) = self.cancel.close()
        {
            return self.backward(cancelled).await;
        }
        match fault.or_else(|| self.left_behind()) {
            None => (OperationState::Succeeded, Ok(std::mem::take(&mut self.outputs))),
            Some(error) => (OperationState::Failed, Err(self.naming_the_left(error))),
        }
    }

    /// Acts on what is not done in one group, side by side; gives the first failure.
    async fn act(&mut self, index: usize) -> Option<CallError> {
        let mut places: Vec<usize> = (0..self.plan.groups[index].len())
            .filter(|place| !matches!(self.known[index][*place], Known::Done(_) | Known::Left))
            .filter(|place| !self.is_passed_over(&self.plan.groups[index][*place]))
            .collect();
        let mut fault = None;
        let mut patience = Some(patience());
        while !places.is_empty() {
            let Acted { failed, wrong, away } = self.act_on(index, &places, patience).await;
            fault = fault.or(failed);
            fault = fault.or(self.leave_wrong(index, wrong, &away).await);
            if away.is_empty() {
                break;
            }
            places = away.iter().map(|(place, _)| *place).collect();
            match self.leave(index, Phase::Act, away).await {
                Ok(()) => break,
                Err(why) if self.plan.turns_back_at(index) => return fault.or(Some(why.error)),
                // What stays is to be reached: the rest cannot be done without it.
                Err(why) => patience = why.patience,
            }
            places.retain(|place| self.known[index][*place] != Known::Left);
        }
        fault
    }

    /// Acts on these steps of a group; tells which failed, and whose nodes could be left behind.
    async fn act_on(&mut self, index: usize, places: &[usize], patience: Option<Duration>) -> Acted {
        let mut attempts = JoinSet::new();
        let mut place_of = HashMap::new();
        for &place in places {
            let attempt = self.attempt(index, place, patience);
            let known = self.known[index][place].clone();
            place_of.insert(attempts.spawn(attempt.pursue(known)).id(), place);
        }
        let (mut fault, mut wrong, mut away, mut put_off) = (None, Vec::new(), Vec::new(), Vec::new());
        while let Some(ended) = attempts.join_next_with_id().await {
            let (task, outcome) = match ended {
                Ok(ended) => ended,
                Err(panic) => (panic.id(), Err(Unable::Failed(fault_of_the_agent(&panic)))),
            };
            let Some(&place) = place_of.get(&task) else { continue };
            let step = &self.plan.groups[index][place];
            let known = &mut self.known[index][place];
            match outcome {
                Ok(value) => {
                    self.outputs.insert(step.name.clone(), value.clone());
                    *known = Known::Done(value);
                }
                Err(unable) if step.soft => {
                    *known = Known::Done(Value::Null);
                    let text = format!(
                        "{} failed on {}, which does no harm: {}",
                        step.name,
                        step.node,
                        unable.error()
                    );
                    self.shared.journal.tell(EventBody::Note { level: NoteLevel::Warning, text });
                }
                Err(Unable::Failed(error)) => {
                    *known = Known::Unfinished;
                    if self.shared.executor.can_be_put_off(Phase::Act, step) {
                        put_off.push((place, error.clone()));
                    }
                    if step.on_loss == OnLoss::Leave && index >= self.plan.point_of_no_return {
                        wrong.push((place, error));
                    } else {
                        fault.get_or_insert(error);
                    }
                }
                Err(Unable::NotBegun(error)) => {
                    fault.get_or_insert(error);
                }
                Err(Unable::Away(known_then, error)) => {
                    // Of one that was begun before, more is known than that this attempt did not begin.
                    if known_then != Known::Untouched {
                        *known = known_then;
                    }
                    if step.on_loss == OnLoss::Leave {
                        away.push((place, error));
                    } else {
                        fault.get_or_insert(error);
                    }
                }
            }
        }
        for (place, error) in put_off {
            if let Err(error) = self.put_off(index, place, &error) {
                crate::log::line(format!("operation {}: {error}", self.shared.operation));
            }
        }
        Acted { failed: fault, wrong, away }
    }

    /// Undoes all that was begun, the last first. Stops where a node refuses to.
    async fn backward(&mut self, cause: CallError) -> Ended {
        let _ = self.cancel.close();
        for index in (0..self.plan.groups.len()).rev() {
            self.undo(index).await;
            if let Some(Refusal { step, node, error: refusal }) = self.refused.remove(&index) {
                let text = format!("{step} on {node} was not undone, nor what came before it");
                let mut error = cause.because(text).because(&refusal.message);
                error.causes.extend(refusal.causes);
                error.hints.extend(refusal.hints);
                error.details = refusal.details.or(error.details);
                error.kind = ErrorKind::Failed;
                return (OperationState::Failed, Err(self.naming_the_left(error)));
            }
        }
        if !self.left.is_empty() {
            return (OperationState::Failed, Err(self.naming_the_left(cause)));
        }
        if !self.put_off.is_empty() {
            let cause = cause.because("everything else it had done was undone");
            return (OperationState::Failed, Err(self.naming_the_left(cause)));
        }
        let was_cancelled = cause.kind == ErrorKind::Cancelled;
        let state = if was_cancelled { OperationState::Cancelled } else { OperationState::Failed };
        (state, Err(cause.because("everything it had done was undone")))
    }

    /// Undoes one group, as far as its nodes do not refuse to.
    async fn undo(&mut self, index: usize) {
        let mut patience = Some(patience());
        let mut pause = Pause::new();
        loop {
            let (away, faults) = self.undo_all(index, patience).await;
            if away.is_empty() && !faults {
                return;
            }
            if !away.is_empty()
                && let Err(why) = self.leave(index, Phase::Undo, away).await
            {
                patience = why.patience;
            }
            if faults {
                pause.rest().await;
            }
        }
    }

    /// Gives the steps whose nodes could be left behind, and whether an undo ended by a fault of the agent.
    async fn undo_all(&mut self, index: usize, patience: Option<Duration>) -> (Vec<Away>, bool) {
        let mut attempts = JoinSet::new();
        let mut place_of = HashMap::new();
        for place in 0..self.plan.groups[index].len() {
            let known = self.known[index][place].clone();
            let step = &self.plan.groups[index][place];
            if matches!(known, Known::Untouched | Known::Undone | Known::Left) || self.is_passed_over(step) {
                continue;
            }
            // Whatever else is not undone is waited for.
            let patience = patience.filter(|_| step.soft || step.on_loss == OnLoss::Leave);
            let attempt = self.attempt(index, place, patience);
            place_of.insert(attempts.spawn(attempt.undo(known)).id(), place);
        }
        let (mut away, mut put_off, mut faults) = (Vec::new(), Vec::new(), false);
        while let Some(ended) = attempts.join_next_with_id().await {
            let (task, outcome) = match ended {
                Ok(ended) => ended,
                Err(panic) => {
                    let fault = fault_of_the_agent(&panic);
                    crate::log::line(format!("operation {}: {fault}", self.shared.operation));
                    faults = true;
                    continue;
                }
            };
            let Some(&place) = place_of.get(&task) else { continue };
            let step = &self.plan.groups[index][place];
            match outcome {
                Ok(()) => self.known[index][place] = Known::Undone,
                Err(NotUndone::Refused(error)) => {
                    let (step, node) = (step.name.clone(), step.node.clone());
                    self.refuse(index, place, Refusal { step, node, error });
                }
                Err(NotUndone::Failed(error) | NotUndone::Away(error)) if step.soft => {
                    self.known[index][place] = Known::Undone;
                    let text = format!(
                        "{} could not be undone on {}, which does no harm: {error}",
                        step.name, step.node
                    );
                    self.shared.journal.tell(EventBody::Note { level: NoteLevel::Warning, text });
                }
                Err(NotUndone::Failed(error)) => put_off.push((place, error)),
                Err(NotUndone::Away(error)) => away.push((place, error)),
            }
        }
        for (place, error) in put_off {
            let undone = self.put_off(index, place, &error).and_then(|()| {
                let line = StepLine {
                    at: (index, place),
                    phase: Phase::Undo,
                    mark: Mark::Done(Value::Null),
                    when: Timestamp::now(),
                };
                self.shared.journal.mark(&line).map_err(|error| CallError::failed(error.to_string()))
            });
            match undone {
                Ok(()) => self.known[index][place] = Known::Undone,
                Err(error) => {
                    crate::log::line(format!("operation {}: {error}", self.shared.operation));
                    faults = true;
                }
            }
        }
        (away, faults)
    }

    /// Asked once, answered for good.
    fn refuse(&mut self, index: usize, place: usize, refusal: Refusal) {
        self.known[index][place] = Known::Left;
        self.refused.entry(index).or_insert(refusal);
    }

    /// Reads what the journal knows, waits for attempts that still run, and asks about those nobody knows of. Says
    /// whether it was being undone already.
    async fn recall(&mut self) -> bool {
        let mut undoing = false;
        let mut before = HashMap::new();
        for StepLine { at: (index, place), phase, mark, .. } in self.marks().await {
            self.shared.attempts.fetch_add(1, Ordering::Relaxed);
            undoing |= phase == Phase::Undo;
            let Some(step) = self.plan.groups.get(index).and_then(|group| group.get(place)) else { continue };
            let known = &self.known[index][place];
            let known = match (phase, mark) {
                (_, Mark::Left(error)) => {
                    self.left.insert(step.node.clone(), error);
                    Known::Left
                }
                (Phase::Act, Mark::Intent(call)) => {
                    before.insert((index, place), known.clone());
                    Known::Begun(call)
                }
                (Phase::Act, Mark::Done(value)) => {
                    self.outputs.insert(step.name.clone(), value.clone());
                    Known::Done(value)
                }
                // What an earlier attempt began is not undone by one that did not.
                (Phase::Act, Mark::NotBegun(_)) => before.remove(&(index, place)).unwrap_or(Known::Untouched),
                (Phase::Undo, Mark::Intent(call)) => Known::Undoing(call),
                (Phase::Undo, Mark::Done(_)) => Known::Undone,
                (Phase::Undo, Mark::Failed(error)) if error.kind == ErrorKind::Refused => {
                    let (step, node) = (step.name.clone(), step.node.clone());
                    self.refuse(index, place, Refusal { step, node, error });
                    Known::Left
                }
                (_, Mark::Failed(_)) | (Phase::Undo | Phase::Probe, _) => Known::Unfinished,
            };
            self.known[index][place] = known;
        }
        for index in 0..self.known.len() {
            for place in 0..self.known[index].len() {
                let Known::Begun(call) = self.known[index][place] else { continue };
                let attempt = self.attempt(index, place, Some(patience()));
                if index < self.plan.point_of_no_return {
                    // It will be undone: what still runs of it is told to end, and awaited.
                    attempt.cancel.cancel();
                }
                match attempt.recall(call).await {
                    Ok(Some(value)) => {
                        self.outputs.insert(self.plan.groups[index][place].name.clone(), value.clone());
                        self.known[index][place] = Known::Done(value);
                    }
                    // Out of reach: that stays all that is known.
                    Err(StepFailure::Lost(_) | StepFailure::NotBegun(_)) => {}
                    Ok(None) | Err(_) => self.known[index][place] = Known::Unfinished,
                }
            }
        }
        undoing
    }

    /// What the journal knows of the steps. Without that nothing may be undone or finished.
    async fn marks(&self) -> Vec<StepLine> {
        let mut pause = Pause::new();
        loop {
            match self.shared.journal.marks() {
                Ok(marks) => {
                    self.shared.waiting.over(NOWHERE);
                    return marks;
                }
                Err(error) => {
                    let why = format!("the journal of its steps cannot be read: {error}");
                    self.shared.waiting.stuck(NOWHERE, why);
                }
            }
            pause.rest().await;
        }
    }

    fn attempt(&self, index: usize, place: usize, patience: Option<Duration>) -> Attempt<E> {
        let mut step = self.plan.groups[index][place].clone();
        if self.left.contains_key(&step.node)
            && let Some(other) = step.instead.iter().find(|node| !self.left.contains_key(*node))
        {
            step.node = other.clone();
        }
        let returned = self.plan.point_of_no_return;
        let can_do_without = step.soft || step.on_loss != OnLoss::Wait;
        Attempt {
            shared: Arc::clone(&self.shared),
            at: (index, place),
            outputs: self.outputs.clone(),
            // What can be cancelled no more is finished, whoever wants to.
            cancel: if index < self.plan.cancelled_until() {
                self.cancel.token().child_token()
            } else {
                CancellationToken::new()
            },
            patience: patience.filter(|_| can_do_without),
            beyond: index > returned,
            tries: if index < returned { 1 } else { self.shared.executor.tries(&step.action) },
            step,
        }
    }

    /// Whether a step is passed over because its node was left behind.
    fn is_passed_over(&self, step: &Step<E::Action>) -> bool {
        (step.soft || step.on_loss != OnLoss::Wait) && self.left.contains_key(&step.node)
    }
}

/// The place of what belongs to no step.
const NOWHERE: (usize, usize) = (usize::MAX, usize::MAX);

fn fault_of_the_agent(panic: &tokio::task::JoinError) -> CallError {
    CallError::internal("a step ended by a fault of the agent").because(panic)
}
