//! Nodes that are left behind, and operations that are given up: what is not as it should be then, and who says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::node::Phase;
use orocloud_protocol::operation::OperationState;
use orocloud_protocol::{CallError, CallId, ErrorKind, EventBody, NodeName, NoteLevel};

use super::waiting::patience;
use super::{Away, Ended, Known, Runner};
use crate::operations::journal::{Journal, Mark, StepLine};
use crate::operations::plan::{Executor, OnLoss, OperationPlan};

/// How long taking a node out of the load balancer may last.
const LEAVE_LIMIT: Duration = Duration::from_secs(60);

/// Why nodes are not left behind.
pub(super) struct NotLeft {
    /// What the operation fails with if it cannot do without them.
    pub error: CallError,
    /// How long they are waited for from now on.
    pub patience: Option<Duration>,
}

impl<E: Executor> Runner<E> {
    /// Leaves the nodes of these steps behind, unless no node would be left then.
    pub(super) async fn leave(&mut self, index: usize, phase: Phase, away: Vec<Away>) -> Result<(), NotLeft> {
        let group = &self.plan.groups[index];
        let leaving: BTreeSet<&NodeName> = away.iter().map(|(place, _)| &group[*place].node).collect();
        let stays = |node: &&NodeName| !leaving.contains(node) && !self.left.contains_key(*node);
        if !leavable(&self.plan).iter().any(stays) {
            let error = away.into_iter().map(|(_, error)| error).next();
            let error = error.unwrap_or_else(|| CallError::internal("nobody was to be left behind"));
            return Err(NotLeft { error, patience: None });
        }
        for (place, why) in away {
            let (at, step) = ((index, place), &self.plan.groups[index][place]);
            let leaving = self.shared.executor.leave(self.shared.operation, step, &why);
            let left = tokio::time::timeout(LEAVE_LIMIT, leaving).await.unwrap_or_else(|_| {
                Err(CallError::failed(format!("that took more than {} s", LEAVE_LIMIT.as_secs())))
            });
            if let Err(error) = left {
                let error = error.context(format!("{} cannot be left behind", step.node));
                self.shared.waiting.stuck(at, error.to_string());
                return Err(NotLeft { error: why.because(error), patience: Some(patience()) });
            }
            self.shared.waiting.over(at);
            let line = StepLine { at, phase, mark: Mark::Left(why.clone()), when: Timestamp::now() };
            if let Err(error) = self.shared.journal.mark(&line) {
                // After a crash it is found out of reach again.
                crate::log::line(format!("operation {}: {error}", self.shared.operation));
            }
            let text = format!("{} is left behind, out of the load balancer: {why}", step.node);
            self.shared.journal.tell(EventBody::Note { level: NoteLevel::Warning, text });
            self.left.entry(step.node.clone()).or_insert(why);
            self.known[index][place] = Known::Left;
        }
        Ok(())
    }

    /// Leaves behind the nodes that do not do what others do: those of their group, or, where there is no way back any
    /// more, any that stay. Otherwise the failure is the operation's: it is given.
    pub(super) async fn leave_wrong(
        &mut self,
        index: usize,
        wrong: Vec<Away>,
        away: &[Away],
    ) -> Option<CallError> {
        let (_, first) = wrong.first()?;
        let first = first.clone();
        let group = &self.plan.groups[index];
        let leaving: BTreeSet<&NodeName> =
            wrong.iter().chain(away).map(|(place, _)| &group[*place].node).collect();
        let stays = |node: &&NodeName| !leaving.contains(node) && !self.left.contains_key(*node);
        let others_do = group
            .iter()
            .zip(&self.known[index])
            .any(|(step, known)| matches!(known, Known::Done(_)) && stays(&&step.node));
        let way_back = self.plan.turns_back_at(index);
        if !others_do && (way_back || !leavable(&self.plan).iter().any(stays)) {
            return Some(first);
        }
        self.leave(index, Phase::Act, wrong).await.err().map(|_| first)
    }

    /// Has somebody else do later what a step could not do, or undo, and says so.
    pub(super) fn put_off(&mut self, index: usize, place: usize, why: &CallError) -> Result<(), CallError> {
        let step = &self.plan.groups[index][place];
        let text = self.shared.executor.put_off(self.shared.operation, step, why)?;
        self.shared.journal.tell(EventBody::Note { level: NoteLevel::Warning, text: text.clone() });
        self.put_off.insert(text);
        Ok(())
    }

    /// What an operation ends with that did all but what was to be done on nodes left behind.
    pub(super) fn left_behind(&self) -> Option<CallError> {
        let names: Vec<&str> = self.left.keys().map(NodeName::as_str).collect();
        (!names.is_empty())
            .then(|| CallError::failed(format!("all is done, but not on {}", names.join(", "))))
    }

    /// The error with the nodes that were left behind.
    pub(super) fn naming_the_left(&self, mut error: CallError) -> CallError {
        for (node, why) in &self.left {
            error = error.because(format!("{node} was left behind, out of the load balancer: {why}"));
            error.hints.extend(why.hints.iter().cloned());
        }
        for later in &self.put_off {
            error = error.because(later);
        }
        if !self.put_off.is_empty() {
            error = error.hint("see whether it gets requests again: orocloud-cli status");
        }
        if !self.left.is_empty() {
            error = error.hint(
                "bring it back: it is let in again once it serves what the others do. See it: orocloud-cli status",
            );
        }
        error
    }
}

/// The nodes that steps of a plan may leave behind.
fn leavable<A>(plan: &OperationPlan<A>) -> BTreeSet<&NodeName> {
    let steps = plan.groups.iter().flatten();
    steps.filter(|step| step.on_loss == OnLoss::Leave).map(|step| &step.node).collect()
}

/// How an operation ends that somebody gave up: failed, with what it leaves as it is.
pub fn as_it_stands<A>(journal: &Journal<A>, plan: &OperationPlan<A>, by: &str) -> Ended
where
    A: Clone + serde::Serialize + serde::de::DeserializeOwned,
{
    let id: CallId = journal.record().id;
    let error = CallError::failed(format!("{by} gave it up, and what it had done is left as it is"));
    let error = match journal.marks() {
        Ok(marks) => what_is_left(plan, &marks).into_iter().fold(error, CallError::because),
        Err(unreadable) => error.because(format!("the journal of its steps cannot be read: {unreadable}")),
    };
    let error = error
        .hint(format!("see what it did: orocloud-cli log:view {id}"))
        .hint("see what is not as it should be: orocloud-cli status");
    (OperationState::Failed, Err(CallError { kind: ErrorKind::Failed, ..error }))
}

/// One sentence for each kind of step that is not as it should be.
fn what_is_left<A>(plan: &OperationPlan<A>, marks: &[StepLine]) -> Vec<String> {
    let undoing = marks.iter().any(|line| line.phase == Phase::Undo);
    let last: BTreeMap<(usize, usize), &StepLine> = marks.iter().map(|line| (line.at, line)).collect();
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (index, group) in plan.groups.iter().enumerate() {
        for (place, step) in group.iter().enumerate() {
            let kind = match last.get(&(index, place)).map(|line| (line.phase, &line.mark)) {
                Some((Phase::Undo, Mark::Done(_)) | (_, Mark::Left(_))) => continue,
                Some((Phase::Undo, _)) => "half undone",
                Some((_, Mark::Done(_))) if undoing => "done and not undone",
                Some((_, Mark::Done(_))) => continue,
                Some((_, Mark::NotBegun(_))) | None if undoing => continue,
                Some((_, Mark::NotBegun(_))) | None => "not begun",
                Some(_) => "begun, and perhaps half done",
            };
            kinds.entry(kind).or_default().push(format!("{} on {}", step.name, step.node));
        }
    }
    kinds.into_iter().map(|(kind, steps)| format!("{kind}: {}", steps.join(", "))).collect()
}
