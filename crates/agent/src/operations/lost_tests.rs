//! The runner against nodes that are lost, come back, refuse and fail: what it asks of them, in which order.

use std::path::Path;
use std::time::Duration;

use orocloud_protocol::node::{Phase, Probe, StepAnswer};
use orocloud_protocol::{Resource, Role};
use serde_json::json;

use super::plan::{Step, StepFailure, StepRequest};
use super::*;
use crate::server::CallerKind;

/// What a node does when it is asked.
enum Play {
    Give(Result<StepAnswer, StepFailure>),
    /// Answers once it is told to end.
    UntilCancelled,
    /// Is done just as it is told to end.
    DoneWhenCancelled,
    /// Never answers.
    Hang,
}

/// Asked with step, phase, whether it may only attach, and how often this was asked before.
type Part = dyn Fn(&str, Phase, bool, usize) -> Play + Send + Sync;

struct Script {
    part: Box<Part>,
    asked: Mutex<Vec<(String, CallId)>>,
    changed: watch::Sender<()>,
}

impl Executor for Script {
    type Action = ();

    async fn run(&self, request: StepRequest<'_, ()>) -> Result<StepAnswer, StepFailure> {
        let attach = if request.attach_only { "attach " } else { "" };
        let line = format!("{attach}{:?} {}", request.phase, request.step.name);
        let before = {
            let mut asked = lock(&self.asked);
            let before = asked.iter().filter(|(other, _)| *other == line).count();
            asked.push((line, request.call));
            before
        };
        self.changed.send_replace(());
        match (self.part)(&request.step.name, request.phase, request.attach_only, before) {
            Play::Give(answer) => answer,
            Play::UntilCancelled => {
                request.cancel.cancelled().await;
                Err(StepFailure::Failed(CallError::new(ErrorKind::Cancelled, "the program was ended")))
            }
            Play::DoneWhenCancelled => {
                request.cancel.cancelled().await;
                Ok(StepAnswer::Done(json!(1)))
            }
            Play::Hang => std::future::pending().await,
        }
    }
}

fn done() -> Play {
    Play::Give(Ok(StepAnswer::Done(json!(1))))
}

fn undone() -> Play {
    Play::Give(Ok(StepAnswer::Undone))
}

fn probed(probe: Probe) -> Play {
    Play::Give(Ok(StepAnswer::Probed(probe)))
}

fn fault() -> CallError {
    CallError::failed("no")
}

/// `a`, then `b` and `c` side by side, which is the point of no return, then `d`.
fn plan() -> OperationPlan<()> {
    let step =
        |name: &str| Step { name: name.into(), node: "web1".parse().unwrap(), action: (), soft: false };
    OperationPlan {
        groups: vec![vec![step("a")], vec![step("b"), step("c")], vec![step("d")]],
        point_of_no_return: 1,
        summary: Vec::new(),
        loses: Vec::new(),
        destructive: false,
        digest: hash(blake3::hash(b"")),
    }
}

fn id(random: u128) -> CallId {
    CallId::from_parts(u64::try_from(Timestamp::now().as_millisecond()).unwrap(), random)
}

fn wanted(id: CallId) -> NewOperation {
    NewOperation {
        id,
        method: "deploy".into(),
        command: "deploy".into(),
        caller: "dora".into(),
        key: "SHA256:dora".into(),
        params: json!({}),
        locks: vec![Lock::exclusive(Resource::Code)],
        wait: Wait::No,
        confirmation: None,
        confirm_name: None,
        events: EventSink::none(),
    }
}

fn open(
    folder: &Path,
    part: impl Fn(&str, Phase, bool, usize) -> Play + Send + Sync + 'static,
) -> Arc<Operations<Script>> {
    let script = Script { part: Box::new(part), asked: Mutex::default(), changed: watch::Sender::new(()) };
    let answer: AnswerFn<()> = Arc::new(|done| Ok(json!(done.done_at.len())));
    Operations::open(folder, "maint1".parse().unwrap(), Arc::new(script), answer).unwrap()
}

fn asked(operations: &Operations<Script>) -> Vec<String> {
    lock(&operations.executor.asked).iter().map(|(line, _)| line.clone()).collect()
}

/// Waits until a node was asked this.
async fn until_asked(operations: &Operations<Script>, line: &str) {
    let mut changed = operations.executor.changed.subscribe();
    let waiting = async {
        while !asked(operations).iter().any(|asked| asked == line) {
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect(line);
}

async fn end_of(operations: &Operations<Script>, id: CallId) -> OperationSummary {
    tokio::time::timeout(Duration::from_secs(20), operations.wait(id)).await.expect("an end").unwrap()
}

/// Runs the whole plan and gives how it ended, and what was asked.
async fn play(
    part: impl Fn(&str, Phase, bool, usize) -> Play + Send + Sync + 'static,
) -> (OperationSummary, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), part);
    operations.start(wanted(id(1)), async { Ok(plan()) }).await.unwrap();
    // The id is made anew here; the one that runs is the only one there is.
    let running = operations.page(Page::default()).unwrap().0.remove(0).id;
    let summary = end_of(&operations, running).await;
    (summary, asked(&operations))
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[tokio::test]
async fn a_step_that_did_not_begin_is_not_undone() {
    let (summary, asked) = play(|step, phase, _, _| match (step, phase) {
        ("a", Phase::Act) => {
            Play::Give(Err(StepFailure::NotBegun(CallError::new(ErrorKind::Unreachable, "web1 is away"))))
        }
        _ => undone(),
    })
    .await;
    assert_eq!(summary.state, OperationState::Failed);
    // A node out of reach is no environment out of reach.
    assert_eq!(summary.error.unwrap().kind, ErrorKind::Failed);
    assert_eq!(asked, ["Act a"]);
}

#[tokio::test]
async fn a_lost_attempt_is_attached_to_and_then_looked_for() {
    let lost = || Play::Give(Err(StepFailure::Lost(fault())));
    let (summary, asked) = play(move |step, phase, attach, before| match (step, phase, attach) {
        ("a", Phase::Act, false) => lost(),
        // Away still, then back with the attempt running.
        ("a", Phase::Act, true) if before == 0 => lost(),
        _ => done(),
    })
    .await;
    assert_eq!(summary.state, OperationState::Succeeded);
    assert_eq!(asked[..3], ["Act a", "attach Act a", "attach Act a"]);
    let (summary, asked) = play(move |step, phase, attach, _| match (step, phase, attach) {
        ("a", Phase::Act, false) => lost(),
        ("a", Phase::Act, true) => Play::Give(Err(StepFailure::NotRunning)),
        ("a", Phase::Probe, _) => probed(Probe::Done(json!(1))),
        _ => done(),
    })
    .await;
    assert_eq!(summary.result, Some(json!(4)), "the moment of every step is known");
    assert_eq!(asked[..3], ["Act a", "attach Act a", "Probe a"]);
    assert_eq!(asked.iter().filter(|line| *line == "Act a").count(), 1, "an act runs at most once");
}

#[tokio::test]
async fn behind_the_point_a_failure_is_tried_again_on_the_probes_word_alone() {
    let once = |probe: fn() -> Probe| {
        play(move |step, phase, _, before| match (step, phase) {
            ("d", Phase::Act) if before == 0 => Play::Give(Err(StepFailure::Failed(fault()))),
            ("d", Phase::Probe) => probed(probe()),
            _ => done(),
        })
    };
    let (summary, asked) = once(|| Probe::Partial).await;
    assert_eq!(summary.state, OperationState::Succeeded);
    assert_eq!(asked[3..], ["Act d", "Probe d", "Act d"]);
    let (summary, asked) = once(|| Probe::Done(json!(2))).await;
    assert_eq!(summary.state, OperationState::Succeeded);
    assert_eq!(asked[3..], ["Act d", "Probe d"]);
}

#[tokio::test]
async fn nodes_never_stay_different_at_the_point_of_no_return() {
    let (summary, asked) = play(|step, phase, _, _| match (step, phase) {
        ("c", Phase::Act) => Play::Give(Err(StepFailure::Failed(fault()))),
        ("c", Phase::Probe) => probed(Probe::NotDone),
        (_, Phase::Undo) => undone(),
        _ => done(),
    })
    .await;
    assert_eq!(summary.state, OperationState::Failed);
    let undone: Vec<String> = asked.into_iter().filter(|line| line.starts_with("Undo")).collect();
    assert_eq!(undone.last().map(String::as_str), Some("Undo a"));
    assert_eq!(sorted(undone), ["Undo a", "Undo b", "Undo c"]);
}

fn caller(identity: &str, role: Role) -> Caller {
    Caller { identity: identity.into(), role, kind: CallerKind::User, ..Caller::agent() }
}

#[tokio::test]
async fn cancelling_undoes_before_the_point_and_is_too_late_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |step, phase, _, _| match (step, phase) {
        ("a", Phase::Act) => Play::UntilCancelled,
        _ => undone(),
    });
    let operation = id(1);
    operations.start(wanted(operation), async { Ok(plan()) }).await.unwrap();
    until_asked(&operations, "Act a").await;
    let stranger = operations.cancel(operation, &caller("SHA256:vera", Role::Viewer)).unwrap_err();
    assert_eq!(stranger.kind, ErrorKind::NotPermitted);
    assert!(operations.cancel(operation, &caller("SHA256:dora", Role::Viewer)).unwrap());
    let summary = end_of(&operations, operation).await;
    assert_eq!(summary.state, OperationState::Cancelled);
    assert_eq!(summary.error.unwrap().kind, ErrorKind::Cancelled);
    assert_eq!(asked(&operations), ["Act a", "Undo a"]);
    assert!(!operations.cancel(operation, &caller("SHA256:dora", Role::Viewer)).unwrap(), "it has ended");

    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |step, phase, _, _| match (step, phase) {
        ("b", Phase::Act) => Play::Hang,
        _ => done(),
    });
    operations.start(wanted(operation), async { Ok(plan()) }).await.unwrap();
    until_asked(&operations, "Act b").await;
    assert!(!operations.cancel(operation, &caller("SHA256:otto", Role::Operator)).unwrap());
    assert_eq!(operations.summary(operation).unwrap().state, OperationState::Running);
}

#[tokio::test]
async fn what_waits_for_locks_can_be_cancelled_and_nobody_begins_when_the_agent_ends() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |_, _, _, _| Play::Hang);
    operations.start(wanted(id(1)), async { Ok(plan()) }).await.unwrap();
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let second = id(2);
    let waiting = tokio::spawn({
        let operations = Arc::clone(&operations);
        let events = EventSink::new(move |body| told.send(body).unwrap());
        async move {
            let new = NewOperation { wait: Wait::Forever, events, ..wanted(second) };
            operations.start(new, async { panic!("it never gets its locks") }).await
        }
    });
    assert!(matches!(hears.recv().await, Some(EventBody::Waiting { holders }) if holders.len() == 1));
    assert!(operations.cancel(second, &caller("SHA256:dora", Role::Developer)).unwrap());
    assert_eq!(waiting.await.unwrap().unwrap_err().kind, ErrorKind::Cancelled);
    operations.drain();
    let error = operations.start(wanted(id(3)), async { panic!("the agent ends") }).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
}

/// An undo that was under way when the agent died is awaited before another one begins.
#[test]
fn after_a_crash_the_undo_that_still_runs_is_attached_to() {
    let folder = tempfile::tempdir().unwrap();
    let operation = id(1);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let begun = first.block_on(async {
        let operations = open(folder.path(), |step, phase, _, _| match (step, phase) {
            ("b", Phase::Act) => Play::Give(Err(StepFailure::NotBegun(fault()))),
            ("a", Phase::Undo) => Play::Hang,
            _ => done(),
        });
        let mut plan = plan();
        plan.point_of_no_return = 3;
        operations.start(wanted(operation), async { Ok(plan) }).await.unwrap();
        until_asked(&operations, "Undo a").await;
        lock(&operations.executor.asked).last().unwrap().1
    });
    // As a kill does.
    first.shutdown_background();
    runtime().block_on(async {
        let operations = open(folder.path(), |_, _, _, _| undone());
        for one in operations.interrupted().unwrap() {
            operations.recover(one);
        }
        let summary = end_of(&operations, operation).await;
        assert_eq!(summary.state, OperationState::Failed);
        let asked = lock(&operations.executor.asked).clone();
        let attached = asked.iter().find(|(line, _)| line == "attach Undo a").expect("attached");
        assert_eq!(attached.1, begun, "to that very attempt");
    });
}

#[tokio::test]
async fn an_end_that_cannot_be_written_keeps_the_locks_until_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |step, phase, _, before| match (step, phase) {
        ("a", Phase::Act) if before == 0 => Play::UntilCancelled,
        (_, Phase::Undo) => undone(),
        _ => done(),
    });
    let first = id(1);
    operations.start(wanted(first), async { Ok(plan()) }).await.unwrap();
    until_asked(&operations, "Act a").await;
    // No file takes the place of a folder, so writing fails as on a full disk.
    let record = operations.shelf.folder(first).join("operation.json");
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir(&record).unwrap();
    let running = operations.running().get(&first).cloned().unwrap();
    assert!(running.cancel.cancel("dora"));
    tokio::time::timeout(Duration::from_secs(10), async {
        while !running.journal.record().state.has_ended() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("an end");
    let nothing = async { panic!("begun beside one whose end is not on disk") };
    let refused = operations.start(wanted(id(2)), nothing).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Locked);
    std::fs::remove_dir(&record).unwrap();
    let summary =
        tokio::time::timeout(Duration::from_secs(10), operations.wait(first)).await.unwrap().unwrap();
    assert_eq!(summary.state, OperationState::Cancelled);
    operations.start(wanted(id(3)), async { Ok(plan()) }).await.unwrap();
}

#[tokio::test]
async fn who_cancels_as_the_last_step_is_done_is_not_told_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |step, phase, _, _| match (step, phase) {
        ("d", Phase::Act) => Play::DoneWhenCancelled,
        (_, Phase::Undo) => undone(),
        _ => done(),
    });
    let all_can_be_undone = OperationPlan { point_of_no_return: 3, ..plan() };
    let operation = id(1);
    operations.start(wanted(operation), async { Ok(all_can_be_undone) }).await.unwrap();
    until_asked(&operations, "Act d").await;
    let running = operations.running().get(&operation).cloned().unwrap();
    assert!(running.cancel.cancel("dora"));
    assert_eq!(end_of(&operations, operation).await.state, OperationState::Cancelled);
    assert!(asked(&operations).contains(&"Undo a".to_owned()));
}
