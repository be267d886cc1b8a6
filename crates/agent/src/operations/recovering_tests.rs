//! The runner against nodes that stay away and undos that fail: what waits, what is left behind, what is given up.

use std::path::Path;

use orocloud_protocol::node::{Phase, Probe};
use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::{ErrorKind, Lock, Resource, Role};

use super::fakes::*;
use super::journal::Shelf;
use super::plan::{OnLoss, Step, StepFailure};
use super::*;

const AWAY: fn() -> Play = || Play::Give(Err(StepFailure::NotBegun(unreachable())));
const LOST: fn() -> Play = || Play::Give(Err(StepFailure::Lost(unreachable())));

fn unreachable() -> CallError {
    CallError::new(ErrorKind::Unreachable, "web2 cannot be reached")
}

fn step(name: &str, node: &str, on_loss: OnLoss) -> Step<()> {
    Step::new(name, &node.parse().unwrap(), ()).on_loss(on_loss)
}

/// `build`, then `switch` on two nodes, which is the point of no return, then `check` on both.
fn two_nodes(on_loss: OnLoss) -> OperationPlan<()> {
    let on_both = |name: &str| {
        vec![step(&format!("{name}1"), "web1", on_loss), step(&format!("{name}2"), "web2", on_loss)]
    };
    let build = vec![step("build", "maint1", OnLoss::Wait)];
    OperationPlan::losing_nothing(vec![build, on_both("switch"), on_both("check")], 1, Vec::new())
}

async fn stuck(operations: &Operations<Script>, id: CallId) -> OperationSummary {
    until("it is stuck", || {
        operations.unended().into_iter().find(|one| one.id == id && !one.stuck.is_empty())
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_node_that_can_be_done_without_is_left_behind_and_passed_over() {
    for lost in [AWAY, LOST] {
        let (summary, asked) =
            play_plan(two_nodes(OnLoss::Leave), move |step, phase, _, _| match (step, phase) {
                ("switch2" | "check2", _) => lost(),
                _ => done(),
            })
            .await;
        assert_eq!(summary.state, OperationState::Failed);
        let error = summary.error.unwrap();
        assert_eq!(error.message, "all is done, but not on web2");
        assert!(error.causes[0].starts_with("web2 was left behind"), "{error:?}");
        assert_eq!(asked.iter().filter(|line| *line == "leave web2").count(), 1);
        assert!(asked.contains(&"Act check1".to_owned()), "the rest is done: {asked:?}");
        assert!(!asked.iter().any(|line| line.contains("check2")), "{asked:?}");
        assert!(!asked.iter().any(|line| line.starts_with("Undo")), "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn never_are_all_nodes_left_behind() {
    let (summary, asked) =
        play_plan(two_nodes(OnLoss::Leave), move |step, phase, _, _| match (step, phase) {
            ("switch1" | "switch2", Phase::Act) => AWAY(),
            (_, Phase::Undo) => undone(),
            _ => done(),
        })
        .await;
    assert_eq!(summary.state, OperationState::Failed);
    assert!(!asked.iter().any(|line| line.starts_with("leave")), "{asked:?}");
    assert_eq!(asked.last().map(String::as_str), Some("Undo build"), "nothing was switched, all is undone");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_do_what_the_others_do_is_left_behind() {
    let fails = |which: &'static [&'static str]| {
        play_plan(two_nodes(OnLoss::Leave), move |step, phase, _, _| match phase {
            Phase::Act if which.contains(&step) => {
                Play::Give(Err(StepFailure::Failed(super::plan::tried_enough(fault()))))
            }
            Phase::Undo => undone(),
            _ => done(),
        })
    };
    for which in ["switch2", "check2"] {
        let (summary, asked) = match which {
            "switch2" => fails(&["switch2"]).await,
            _ => fails(&["check2"]).await,
        };
        assert_eq!(summary.error.unwrap().message, "all is done, but not on web2");
        assert!(asked.contains(&"leave web2".to_owned()), "{asked:?}");
        assert_eq!(asked.iter().filter(|line| line.ends_with(which)).count(), 1, "tried once: {asked:?}");
        assert!(asked.contains(&"Act check1".to_owned()), "{asked:?}");
        assert!(!asked.iter().any(|line| line.starts_with("Undo")), "{asked:?}");
    }
    // What no node does is nobody's fault but the operation's.
    let (summary, asked) = fails(&["check1", "check2"]).await;
    let message = summary.error.unwrap().message;
    assert!(message.starts_with("check") && message.contains(" failed on web"), "{message}");
    assert!(!asked.iter().any(|line| line.starts_with("leave")), "{asked:?}");
    let (_, asked) = fails(&["switch1", "switch2"]).await;
    assert_eq!(asked.last().map(String::as_str), Some("Undo build"));
    assert!(!asked.iter().any(|line| line.starts_with("leave")), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_left_node_is_not_waited_for_by_the_undo() {
    let mut plan = two_nodes(OnLoss::Leave);
    plan.groups[0].push(step("page1", "web1", OnLoss::Leave));
    plan.groups[0].push(step("page2", "web2", OnLoss::Leave));
    plan.groups[1][0].on_loss = OnLoss::Wait;
    let (summary, asked) = play_plan(plan, move |step, phase, _, _| match (step, phase) {
        ("page2", _) => LOST(),
        ("switch1", Phase::Act) => Play::Give(Err(StepFailure::Failed(fault()))),
        ("switch1", Phase::Probe) => probed(Probe::NotDone),
        (_, Phase::Undo) => undone(),
        _ => done(),
    })
    .await;
    assert_eq!(summary.state, OperationState::Failed);
    assert!(asked.contains(&"Undo page1".to_owned()) && asked.contains(&"Undo build".to_owned()));
    assert!(!asked.contains(&"Undo page2".to_owned()), "{asked:?}");
    assert!(summary.error.unwrap().causes.iter().any(|cause| cause.starts_with("web2 was left behind")));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_matters_is_waited_for_without_end_behind_the_point() {
    // Longer away than any patience lasts.
    let (summary, asked) = play_plan(two_nodes(OnLoss::Wait), |step, phase, _, before| match (step, phase) {
        ("check2", Phase::Act) if before < 1000 => AWAY(),
        _ => done(),
    })
    .await;
    assert_eq!(summary.state, OperationState::Succeeded);
    assert_eq!(asked.iter().filter(|line| *line == "Act check2").count(), 1001);
}

#[tokio::test(start_paused = true)]
async fn what_still_runs_on_a_lost_node_is_ended_before_it_is_undone() {
    let (summary, asked) =
        play_plan(two_nodes(OnLoss::Fail), |step, phase, attach, before| match (step, phase, attach) {
            ("switch2", Phase::Act, true) if before > 100 => Play::UntilCancelled,
            ("switch2", Phase::Act, _) => LOST(),
            (_, Phase::Undo, _) => undone(),
            _ => done(),
        })
        .await;
    assert_eq!(summary.state, OperationState::Failed);
    let at = |line: &str| {
        asked.iter().rposition(|asked| asked == line).unwrap_or_else(|| panic!("{line}: {asked:?}"))
    };
    assert!(at("attach Act switch2") < at("Undo switch2"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_keeps_what_came_before_it_until_it_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |step, phase, _, before| match (step, phase) {
        ("c", Phase::Act) => Play::Give(Err(StepFailure::Failed(fault()))),
        ("b", Phase::Undo) if before < 20 => Play::Give(Err(StepFailure::Failed(fault()))),
        (_, Phase::Undo) => undone(),
        (_, Phase::Probe) => probed(Probe::NotDone),
        _ => done(),
    });
    let operation = id(1);
    operations.start(wanted(operation), async { Ok(plan()) }).await.unwrap();
    let summary = stuck(&operations, operation).await;
    assert_eq!(summary.state, OperationState::Recovering);
    assert_eq!(summary.stuck, ["b on web1 could not be undone: no"]);
    assert!(!asked(&operations).contains(&"Undo a".to_owned()), "what stood before it stands");
    let refused = operations.start(wanted(id(2)), async { Ok(plan()) }).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Locked);
    let summary = operations.wait(operation).await.unwrap();
    assert_eq!(summary.state, OperationState::Failed);
    assert_eq!(summary.error.unwrap().causes.last().unwrap(), "everything it had done was undone");
    assert_eq!(asked(&operations).last().unwrap(), "Undo a");
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_refused_is_never_tried_again_and_ends_it() {
    let (summary, asked) = play(|step, phase, _, _| match (step, phase) {
        ("c", Phase::Act) => Play::Give(Err(StepFailure::Failed(fault()))),
        ("b", Phase::Undo) => Play::Give(Err(StepFailure::Failed(
            CallError::refused("the schema has changed").hint("orocloud-cli backup:restore"),
        ))),
        (_, Phase::Undo) => undone(),
        (_, Phase::Probe) => probed(Probe::NotDone),
        _ => done(),
    })
    .await;
    assert_eq!(summary.state, OperationState::Failed);
    let error = summary.error.unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Failed, "c failed on web1"));
    assert_eq!(error.causes.last().unwrap(), "the schema has changed");
    assert_eq!(error.hints.last().unwrap(), "orocloud-cli backup:restore");
    assert_eq!(asked.iter().filter(|line| *line == "Undo b").count(), 1);
    assert!(!asked.contains(&"Undo a".to_owned()), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_go_on_can_be_given_up_and_says_what_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |step, phase, _, _| match (step, phase) {
        ("c", Phase::Act) => Play::Give(Err(StepFailure::Failed(fault()))),
        ("b", Phase::Undo) => AWAY(),
        (_, Phase::Undo) => undone(),
        (_, Phase::Probe) => probed(Probe::NotDone),
        _ => done(),
    });
    let operation = id(1);
    operations.start(wanted(operation), async { Ok(plan()) }).await.unwrap();
    let summary = stuck(&operations, operation).await;
    assert_eq!(summary.waiting_for.unwrap().as_str(), "web1");
    let vera = caller("SHA256:vera", Role::Viewer);
    assert_eq!(operations.give_up(operation, &vera).await.unwrap_err().kind, ErrorKind::NotPermitted);
    let summary = operations.give_up(operation, &caller("SHA256:dora", Role::Developer)).await.unwrap();
    assert_eq!(summary.state, OperationState::Failed);
    assert!(summary.stuck.is_empty());
    let error = summary.error.unwrap();
    assert!(error.message.contains("gave it up"), "{error:?}");
    assert_eq!(error.causes, ["done and not undone: a on web1", "half undone: b on web1"]);
    operations
        .start(wanted(id(2)), async { Ok(OperationPlan { groups: Vec::new(), ..plan() }) })
        .await
        .unwrap();
}

#[tokio::test]
async fn what_goes_on_cannot_be_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |_, _, _, _| Play::Hang);
    operations.start(wanted(id(1)), async { Ok(plan()) }).await.unwrap();
    until_asked(&operations, "Act a").await;
    let running = operations.unended().remove(0).id;
    let refused = operations.give_up(running, &caller("SHA256:dora", Role::Developer)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Refused);
}

/// Takes up what is there, as a new daemon does.
fn reopened(folder: &Path) -> Arc<Operations<Script>> {
    let operations = open(folder, |_, phase, _, _| match phase {
        Phase::Undo => undone(),
        _ => done(),
    });
    for one in operations.interrupted().unwrap() {
        operations.recover(one);
    }
    operations
}

/// What becomes of the text of a record.
type Spoil = fn(&str) -> String;

#[test]
fn one_whose_journal_cannot_be_read_holds_everything_until_an_owner_has_looked() {
    let spoils: [(&str, Spoil); 3] = [
        ("half written", |record| record[..record.len() / 2].to_owned()),
        ("newer", |record| record.replace("\"format\": 1", "\"format\": 99")),
        // The head can be read, the plan is of a newer kind.
        ("unknown step", |record| record.replace("\"groups\"", "\"stages\"")),
    ];
    for (what, spoil) in spoils {
        let folder = tempfile::tempdir().unwrap();
        let operation = id(1);
        killed(folder.path(), operation, plan(), "Act b", |step, phase, _, _| match (step, phase) {
            ("b", Phase::Act) => Play::Hang,
            _ => done(),
        });
        let path = Shelf::new(folder.path()).unwrap().folder(operation).join("operation.json");
        let record = std::fs::read_to_string(&path).unwrap();
        let spoilt = spoil(&record);
        assert_ne!(record, spoilt, "{what}");
        std::fs::write(&path, spoilt).unwrap();
        runtime().block_on(async {
            let operations = reopened(folder.path());
            let mail = NewOperation { locks: vec![Lock::exclusive(Resource::Mail)], ..wanted(id(2)) };
            let refused = operations.start(mail.clone(), async { Ok(plan()) }).await.unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Locked, "{what}");
            assert!(refused.causes[0].contains(&operation.to_string()), "{what}: {refused:?}");
            assert!(
                refused.hints[0].ends_with(&format!("operation:cancel {operation} --give-up")),
                "{refused:?}"
            );
            let shown = operations.unended();
            assert_eq!((shown.len(), shown[0].id), (1, operation), "{what}");
            let operator = caller("SHA256:dora", Role::Operator);
            assert!(operations.cancel(operation, &operator).unwrap_err().hints[0].contains("--give-up"));
            let refused = operations.give_up(operation, &operator).await.unwrap_err();
            assert_eq!(refused.kind, ErrorKind::NotPermitted, "{what}");
            operations.give_up(operation, &caller("SHA256:olga", Role::Owner)).await.unwrap();
            assert_eq!(operations.unended(), [], "{what}");
            let nothing = OperationPlan { groups: Vec::new(), ..plan() };
            let after = mail.id;
            operations.start(mail, async { Ok(nothing) }).await.unwrap();
            end_of(&operations, after).await;
        });
        // And stays let go.
        runtime().block_on(async { assert_eq!(reopened(folder.path()).unended(), [], "{what}") });
    }
}

#[tokio::test]
async fn a_panic_while_it_is_planned_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |_, _, _, _| done());
    let operation = id(1);
    let planning = tokio::spawn({
        let operations = Arc::clone(&operations);
        async move { operations.start(wanted(operation), async { panic!("a fault in a plan") }).await }
    });
    assert!(planning.await.unwrap_err().is_panic());
    within("nothing is being begun", operations.idle()).await;
    operations.start(wanted(operation), async { Ok(plan()) }).await.unwrap();
    assert_eq!(end_of(&operations, operation).await.state, OperationState::Succeeded);
}

#[tokio::test]
async fn one_that_waits_for_its_locks_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |_, _, _, _| Play::Hang);
    operations.start(wanted(id(1)), async { Ok(plan()) }).await.unwrap();
    let second = id(2);
    let waiting = tokio::spawn({
        let operations = Arc::clone(&operations);
        let new = NewOperation { wait: Wait::Forever, ..wanted(second) };
        async move { operations.start(new, async { panic!("it never gets its locks") }).await }
    });
    until("it waits", || operations.unended().into_iter().find(|one| one.id == second)).await;
    let shown = operations.summary(second).unwrap();
    assert_eq!((shown.state, shown.method.as_str()), (OperationState::Waiting, "deploy"));
    let waits = tokio::spawn({
        let operations = Arc::clone(&operations);
        async move { operations.wait(second).await }
    });
    tokio::task::yield_now().await;
    let (shown, cancelled) = operations.cancel(second, &caller("SHA256:dora", Role::Viewer)).unwrap();
    assert_eq!((shown.state, cancelled), (OperationState::Waiting, true));
    assert_eq!(waiting.await.unwrap().unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(within("its end", waits).await.unwrap().unwrap_err().kind, ErrorKind::Cancelled);
}

#[tokio::test]
async fn only_an_owner_or_its_caller_cancels_what_nobody_knows() {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), |_, _, _, _| Play::Hang);
    let operation = id(1);
    let new = NewOperation { method: "future.thing".into(), ..wanted(operation) };
    operations.start(new, async { Ok(plan()) }).await.unwrap();
    let refused = operations.cancel(operation, &caller("SHA256:otto", Role::Operator)).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotPermitted);
    operations.cancel(operation, &caller("SHA256:dora", Role::Developer)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_it_waits_or_is_undone_and_never_stays_half() {
    // `a` is done, then there is no room for the intent of what follows; `c` is behind the point of no return.
    for (fills, ends) in [("a", OperationState::Failed), ("b", OperationState::Succeeded)] {
        let folder = tempfile::tempdir().unwrap();
        let operations = open(folder.path(), move |step, phase, _, _| match phase {
            Phase::Act if step == fills => Play::DoneWhenTold,
            Phase::Undo => undone(),
            _ => done(),
        });
        let operation = id(1);
        let row = |name: &str| vec![step(name, "web1", OnLoss::Wait)];
        let plan = OperationPlan::losing_nothing(vec![row("a"), row("b"), row("c")], 1, Vec::new());
        operations.start(wanted(operation), async { Ok(plan) }).await.unwrap();
        until_asked(&operations, &format!("Act {fills}")).await;
        let running = operations.running().get(&operation).cloned().unwrap();
        running.journal.full.store(true, std::sync::atomic::Ordering::SeqCst);
        operations.executor.go_on();
        let summary = stuck(&operations, operation).await;
        assert!(summary.stuck[0].starts_with("the journal cannot be written"), "{summary:?}");
        assert!(!asked(&operations).iter().any(|line| line.starts_with("Undo") || line == "Act c"));
        running.journal.full.store(false, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(end_of(&operations, operation).await.state, ends);
        assert_eq!(asked(&operations).last().unwrap(), if fills == "a" { "Undo a" } else { "Act c" });
    }
}
