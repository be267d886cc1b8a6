//! The runner against nodes that are lost, come back, refuse and fail: what it asks of them, in which order.

use std::time::Duration;

use orocloud_protocol::Role;
use orocloud_protocol::node::{Phase, Probe};
use orocloud_protocol::operation::OperationState;
use orocloud_protocol::{ErrorKind, EventBody};
use serde_json::json;

use super::fakes::*;
use super::plan::{Step, StepFailure};
use super::*;

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
    assert!(operations.cancel(operation, &caller("SHA256:dora", Role::Viewer)).unwrap().1);
    let summary = end_of(&operations, operation).await;
    assert_eq!(summary.state, OperationState::Cancelled);
    assert_eq!(summary.error.unwrap().kind, ErrorKind::Cancelled);
    assert_eq!(asked(&operations), ["Act a", "Undo a"]);
    assert!(!operations.cancel(operation, &caller("SHA256:dora", Role::Viewer)).unwrap().1, "it has ended");

    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |step, phase, _, _| match (step, phase) {
        ("b", Phase::Act) => Play::Hang,
        _ => done(),
    });
    operations.start(wanted(operation), async { Ok(plan()) }).await.unwrap();
    until_asked(&operations, "Act b").await;
    assert!(!operations.cancel(operation, &caller("SHA256:otto", Role::Operator)).unwrap().1);
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
    assert!(operations.cancel(second, &caller("SHA256:dora", Role::Developer)).unwrap().1);
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
    let all_can_be_undone = OperationPlan { point_of_no_return: 3, ..plan() };
    let begun = killed(folder.path(), operation, all_can_be_undone, "Undo a", |step, phase, _, _| {
        match (step, phase) {
            ("b", Phase::Act) => Play::Give(Err(StepFailure::NotBegun(fault()))),
            ("a", Phase::Undo) => Play::Hang,
            // What was begun beside it is undone first.
            (_, Phase::Undo) => undone(),
            _ => done(),
        }
    });
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
    tokio::time::timeout(Duration::from_secs(60), async {
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
        tokio::time::timeout(Duration::from_secs(60), operations.wait(first)).await.unwrap().unwrap();
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

#[tokio::test(start_paused = true)]
async fn what_somebody_else_does_later_is_not_waited_for_without_end() {
    let step = |name: &str| Step::new(name, &"lb1".parse().unwrap(), ());
    let with = |third: &str| {
        let groups = vec![vec![step("a")], vec![step("balancer")], vec![step(third)]];
        let undone_until = if third == "b" { 3 } else { 0 };
        OperationPlan { groups, point_of_no_return: 0, undone_until, ..plan() }
    };
    // An undo that fails.
    let (summary, asked) = play_plan(with("b"), |step, phase, _, _| match (step, phase) {
        ("b", Phase::Act) | ("balancer", Phase::Undo) => Play::Give(Err(StepFailure::Failed(fault()))),
        (_, Phase::Probe) => probed(Probe::NotDone),
        (_, Phase::Undo) => undone(),
        _ => done(),
    })
    .await;
    assert_eq!(summary.state, OperationState::Failed);
    let undone: Vec<&str> = asked.iter().map(String::as_str).skip_while(|line| *line != "Undo b").collect();
    assert_eq!(undone, ["Undo b", "Undo balancer", "Undo balancer", "Put off balancer", "Undo a"]);
    let error = summary.error.unwrap();
    assert_eq!(
        error.causes[error.causes.len() - 2..],
        ["everything else it had done was undone", "web1 is late"]
    );

    // An act that fails behind the point of no return.
    let (summary, asked) = play_plan(with("d"), |step, phase, _, _| match (step, phase) {
        ("balancer", Phase::Act) => Play::Give(Err(StepFailure::Failed(fault()))),
        (_, Phase::Probe) => probed(Probe::NotDone),
        _ => done(),
    })
    .await;
    assert_eq!(summary.state, OperationState::Failed);
    assert!(asked.contains(&"Put off balancer".to_owned()), "{asked:?}");
}
