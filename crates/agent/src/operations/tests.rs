//! The runner against a fake plan whose steps are files, killed at every point of every step.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orocloud_protocol::node::{Phase, Probe, StepAnswer};
use orocloud_protocol::{ErrorKind, Event, Resource, StepOutcome};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::plan::{Step, StepFailure, StepRequest};
use super::*;

/// A step that makes a file. `half` is there while it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct MakeFile {
    name: String,
    fails: bool,
}

/// Makes files in a folder, and stops for ever where it is told to.
struct Files {
    folder: PathBuf,
    hang: Option<(String, Point)>,
    /// One line an act that was carried out.
    acts: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    BeforeTheAct,
    InTheAct,
    AfterTheAct,
    InTheUndo,
}

impl Files {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    async fn hang_at(&self, name: &str, point: Point) {
        if self.hang.as_ref().is_some_and(|(step, at)| step == name && *at == point) {
            std::fs::write(self.at("hanging"), "").unwrap();
            std::future::pending::<()>().await;
        }
    }
}

impl Executor for Files {
    type Action = MakeFile;

    async fn run(&self, request: StepRequest<'_, MakeFile>) -> Result<StepAnswer, StepFailure> {
        let MakeFile { name, fails } = &request.step.action;
        let (whole, half) = (self.at(name), self.at(&format!("{name}.half")));
        if request.attach_only {
            return Err(StepFailure::NotRunning);
        }
        match request.phase {
            Phase::Act => {
                self.hang_at(name, Point::BeforeTheAct).await;
                if *fails {
                    return Err(StepFailure::Failed(CallError::failed("no")));
                }
                std::fs::write(&half, "").unwrap();
                self.hang_at(name, Point::InTheAct).await;
                assert!(!whole.exists(), "{name} acts twice");
                std::fs::rename(half, whole).unwrap();
                self.acts.lock().unwrap().push(name.clone());
                self.hang_at(name, Point::AfterTheAct).await;
                Ok(StepAnswer::Done(json!(name)))
            }
            Phase::Undo => {
                let _ = std::fs::remove_file(half);
                self.hang_at(name, Point::InTheUndo).await;
                let _ = std::fs::remove_file(whole);
                Ok(StepAnswer::Undone)
            }
            Phase::Probe => Ok(StepAnswer::Probed(match (whole.exists(), half.exists()) {
                (true, _) => Probe::Done(json!(name)),
                (false, true) => Probe::Partial,
                (false, false) => Probe::NotDone,
            })),
        }
    }

    fn tries(&self, _: &MakeFile) -> u32 {
        3
    }

    async fn leave(&self, _: CallId, _: &Step<MakeFile>, _: &CallError) -> Result<(), CallError> {
        Ok(())
    }
}

const STEPS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn plan(fails: Option<&str>) -> OperationPlan<MakeFile> {
    let step = |name: &str| {
        let action = MakeFile { name: name.to_owned(), fails: fails == Some(name) };
        Step::new(name, &"web1".parse().unwrap(), action)
    };
    OperationPlan {
        groups: vec![vec![step("a")], vec![step("b"), step("c")], vec![step("d")], vec![step("e")]],
        point_of_no_return: 2,
        undone_until: 0,
        cancelled_until: 0,
        summary: Vec::new(),
        loses: Vec::new(),
        destructive: false,
        digest: hash(blake3::hash(b"")),
    }
}

fn id(random: u128) -> CallId {
    CallId::from_parts(u64::try_from(Timestamp::now().as_millisecond()).unwrap(), random)
}

fn new_operation(id: CallId) -> NewOperation {
    NewOperation {
        id,
        method: "deploy".into(),
        command: "deploy --reference=1.0.0".into(),
        caller: "dora".into(),
        key: "SHA256:dora".into(),
        params: json!({"reference": "1.0.0"}),
        locks: vec![Lock::exclusive(Resource::Code)],
        wait: Wait::No,
        confirmation: None,
        confirm_name: None,
        events: EventSink::none(),
    }
}

fn open(folder: &Path, hang: Option<(&str, Point)>) -> Arc<Operations<Files>> {
    let files = folder.join("files");
    std::fs::create_dir_all(&files).unwrap();
    let executor =
        Files { folder: files, hang: hang.map(|(step, at)| (step.to_owned(), at)), acts: Mutex::default() };
    let answer: AnswerFn<MakeFile> = Arc::new(|done| Ok(json!(done.outputs.len())));
    Operations::open(folder, "maint1".parse().unwrap(), Arc::new(executor), answer).unwrap()
}

async fn end_of(operations: &Operations<Files>, id: CallId) -> (Vec<Event>, Result<Value, CallError>) {
    let mut watch = operations.follow(id, 0).unwrap();
    let mut events = Vec::new();
    while let Some(event) =
        tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("an end").unwrap()
    {
        events.push(event);
    }
    (events, watch.outcome())
}

fn files_of(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder.join("files"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "hanging")
        .collect();
    names.sort();
    names
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs until the executor hangs, then forgets everything in memory, as a kill does.
fn run_and_kill(folder: &Path, operation: CallId, step: &str, point: Point, fails: Option<&str>) {
    let runtime = runtime();
    runtime.block_on(async {
        let operations = open(folder, Some((step, point)));
        operations.start(new_operation(operation), async { Ok(plan(fails)) }).await.unwrap();
        let hanging = folder.join("files/hanging");
        tokio::time::timeout(Duration::from_secs(60), async {
            while !hanging.exists() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("it hangs");
    });
    runtime.shutdown_background();
}

/// A new daemon: takes the locks, recovers, and gives how it ended.
fn restart(folder: &Path, operation: CallId) -> (Vec<Event>, Result<Value, CallError>, Vec<String>) {
    runtime().block_on(async {
        let operations = open(folder, None);
        let interrupted = operations.interrupted().unwrap();
        assert_eq!(interrupted.len(), 1);
        let refused = operations.start(new_operation(id(77)), async { Ok(plan(None)) }).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Locked, "its locks are held through recovery");
        interrupted.into_iter().for_each(|one| operations.recover(one));
        let (events, outcome) = end_of(&operations, operation).await;
        // The same id called again gives the outcome, and begins nothing.
        let never = async { panic!("no second plan") };
        operations.start(new_operation(operation), never).await.unwrap();
        assert_eq!(end_of(&operations, operation).await.1, outcome);
        let acts = operations.executor.acts.lock().unwrap().clone();
        (events, outcome, acts)
    })
}

#[test]
fn killed_anywhere_it_is_undone_before_the_point_of_no_return_and_finished_after() {
    for step in STEPS {
        for point in [Point::BeforeTheAct, Point::InTheAct, Point::AfterTheAct] {
            let folder = tempfile::tempdir().unwrap();
            let operation = id(1);
            run_and_kill(folder.path(), operation, step, point, None);
            let (events, outcome, _) = restart(folder.path(), operation);
            if ["a", "b", "c"].contains(&step) {
                assert_eq!(files_of(folder.path()), [""; 0], "{step} {point:?}");
                assert_eq!(outcome.unwrap_err().kind, ErrorKind::Failed, "{step} {point:?}");
            } else {
                assert_eq!(files_of(folder.path()), STEPS, "{step} {point:?}");
                assert_eq!(outcome.unwrap(), json!(5), "{step} {point:?}");
            }
            let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
            assert!(seqs.is_sorted_by(|one, other| one < other), "{seqs:?}");
            assert!(*seqs.last().unwrap() > 1_000_000, "seq jumps after a crash");
        }
    }
}

#[test]
fn killed_while_it_is_undone_it_is_undone_to_the_end() {
    for step in ["a", "b", "c"] {
        let folder = tempfile::tempdir().unwrap();
        let operation = id(1);
        run_and_kill(folder.path(), operation, step, Point::InTheUndo, Some("d"));
        let (_, outcome, acts) = restart(folder.path(), operation);
        assert!(outcome.is_err());
        assert_eq!(acts, [""; 0]);
        assert_eq!(files_of(folder.path()), [""; 0], "{step}");
    }
}

#[test]
fn a_failed_step_undoes_those_before_it_in_reverse() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let operations = open(folder.path(), None);
        let operation = id(1);
        operations.start(new_operation(operation), async { Ok(plan(Some("c"))) }).await.unwrap();
        let (events, outcome) = end_of(&operations, operation).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.message, "c failed on web1");
        let undone: Vec<String> = events
            .into_iter()
            .filter_map(|event| match event.body {
                EventBody::StepEnded { step, outcome: StepOutcome::Undone, .. } => Some(step),
                _ => None,
            })
            .collect();
        assert_eq!(undone.last().map(String::as_str), Some("a"));
        assert_eq!(files_of(folder.path()), [""; 0]);
        assert_eq!(operations.summary(operation).unwrap().state, OperationState::Failed);
        assert_eq!(operations.unended(), []);
    });
}

#[test]
fn after_the_point_of_no_return_a_failure_does_not_stop_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let operations = open(folder.path(), None);
        let mut plan = plan(None);
        plan.groups.push(plan.groups[3].clone());
        plan.groups[3][0].action.fails = true;
        plan.groups[4][0].name = "f".into();
        plan.groups[4][0].action.name = "f".into();
        let operation = id(1);
        operations.start(new_operation(operation), async { Ok(plan) }).await.unwrap();
        assert!(end_of(&operations, operation).await.1.is_err());
        assert_eq!(files_of(folder.path()), ["a", "b", "c", "d", "f"]);
    });
}

#[test]
fn one_id_is_one_operation_and_belongs_to_its_key_and_parameters() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let operations = open(folder.path(), None);
        let operation = id(1);
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let operations = Arc::clone(&operations);
                tokio::spawn(async move {
                    operations.start(new_operation(operation), async { Ok(plan(None)) }).await.unwrap();
                    end_of(&operations, operation).await
                })
            })
            .collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.unwrap());
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(operations.executor.acts.lock().unwrap().len(), STEPS.len());

        let stranger = NewOperation { key: "SHA256:eve".into(), ..new_operation(operation) };
        let refused = operations.start(stranger, async { Ok(plan(None)) }).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Refused);
        let other = NewOperation { params: json!({"reference": "2.0.0"}), ..new_operation(operation) };
        let refused = operations.start(other, async { Ok(plan(None)) }).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Usage);
    });
}

#[test]
fn what_is_held_is_said_and_what_waits_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let operations = open(folder.path(), Some(("a", Point::BeforeTheAct)));
        operations.start(new_operation(id(1)), async { Ok(plan(None)) }).await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), async {
            while operations.unended()[0].step.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("a step");
        assert_eq!(operations.unended()[0].step.as_deref(), Some("a on web1"));
        let error = operations.start(new_operation(id(2)), async { Ok(plan(None)) }).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Locked);
        assert!(error.causes[0].contains("dora runs `deploy --reference=1.0.0` since"), "{error:?}");
        assert!(error.causes[0].contains(", at a on web1 (operation "), "{error:?}");
        assert!(error.hints[0].contains("operation:wait"), "{error:?}");
        let patient = NewOperation { wait: Wait::AtMost(Duration::from_millis(10)), ..new_operation(id(3)) };
        let error = operations.start(patient, async { Ok(plan(None)) }).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Locked);
        // What excludes nobody goes on.
        let free = NewOperation { locks: vec![Lock::exclusive(Resource::Mail)], ..new_operation(id(4)) };
        let mut other = plan(None);
        other.groups.truncate(0);
        operations.start(free, async { Ok(other) }).await.unwrap();
    });
}

#[test]
fn what_brings_no_release_is_in_nobodys_way_who_wants_none_to_come() {
    use Resource::{Backups, Code, Data, Mail, Page};
    let wanted = [Lock::shared(Code)];
    for (locks, free) in [
        (vec![Lock::shared(Data), Lock::exclusive(Backups)], true),
        (vec![Lock::exclusive(Mail)], true),
        (vec![Lock::shared(Code), Lock::exclusive(Page)], true),
        (vec![Lock::exclusive(Code), Lock::shared(Data)], false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let operations = open(folder.path(), Some(("a", Point::BeforeTheAct)));
            let running = NewOperation { locks: locks.clone(), ..new_operation(id(1)) };
            operations.start(running, async { Ok(plan(None)) }).await.unwrap();
            assert_eq!(operations.unended().len(), 1);
            assert_eq!(operations.are_free(&wanted), free, "{locks:?}");
            assert_eq!(operations.hold("a look", &wanted).is_some(), free, "{locks:?}");
        });
    }
}

#[test]
fn nobody_is_told_to_wait_for_what_is_no_operation() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let operations = open(folder.path(), None);
        let _held = operations.hold("bring web1 back", &[Lock::exclusive(Resource::Code)]).unwrap();
        let error = operations.start(new_operation(id(1)), async { Ok(plan(None)) }).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Locked);
        assert!(error.causes[0].starts_with("the agent itself works since "), "{error:?}");
        assert!(error.causes[0].contains(": bring web1 back (maint1 pid "), "{error:?}");
        let told = format!("{error:?}");
        assert!(!told.contains("operation:wait") && told.contains("--wait-lock"), "{told}");
    });
}

#[test]
fn secrets_are_not_on_disk_and_such_an_operation_is_undone_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let operations = open(folder.path(), None);
        let operation = id(1);
        let with_secret =
            NewOperation { params: json!({"user_password": "hunter2"}), ..new_operation(operation) };
        operations.start(with_secret, async { Ok(plan(None)) }).await.unwrap();
        end_of(&operations, operation).await.1.unwrap();
        let record =
            std::fs::read_to_string(operations.shelf.folder(operation).join("operation.json")).unwrap();
        assert!(!record.contains("hunter2") && record.contains("\"undo_only\": true"), "{record}");
    });
}

#[test]
fn a_destructive_plan_wants_the_digest_it_was_shown_with_and_the_name() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let operations = open(folder.path(), None);
        let digest = plan(None).digest;
        let name: EnvironmentName = "acme-prod1".parse().unwrap();
        let other: EnvironmentName = "acme-stag1".parse().unwrap();
        let confirmation = |environment: Option<&EnvironmentName>, digest: &ContentHash| {
            Some(Confirmation { environment: environment.cloned(), digest: digest.clone() })
        };
        let wrong = hash(blake3::hash(b"other"));
        for (given, good) in [
            (None, false),
            (confirmation(None, &digest), false),
            (confirmation(Some(&other), &digest), false),
            (confirmation(Some(&name), &wrong), false),
            (confirmation(Some(&name), &digest), true),
        ] {
            let new = NewOperation {
                confirmation: given.clone(),
                confirm_name: Some(name.clone()),
                ..new_operation(id(given.is_some() as u128 + u128::from(good) * 7 + 100))
            };
            let destructive = OperationPlan { destructive: true, groups: Vec::new(), ..plan(None) };
            let begun = operations.start(new, async { Ok(destructive) }).await;
            assert_eq!(begun.is_ok(), good, "{given:?} {begun:?}");
        }
    });
}

#[test]
fn what_fails_behind_the_point_is_undone_as_far_as_the_plan_says_and_what_is_interrupted_is_finished() {
    let turning = |fails| OperationPlan { point_of_no_return: 1, undone_until: 3, ..plan(fails) };
    for (fails, left) in [("c", vec![]), ("d", vec![]), ("e", vec!["a", "b", "c", "d"])] {
        let folder = tempfile::tempdir().unwrap();
        let operation = id(1);
        let outcome = runtime().block_on(async {
            let operations = open(folder.path(), None);
            operations.start(new_operation(operation), async { Ok(turning(Some(fails))) }).await.unwrap();
            end_of(&operations, operation).await.1
        });
        assert!(outcome.is_err(), "{fails}");
        assert_eq!(files_of(folder.path()), left, "{fails} fails");
    }
    let folder = tempfile::tempdir().unwrap();
    let operation = id(2);
    let runtime = runtime();
    runtime.block_on(async {
        let operations = open(folder.path(), Some(("d", Point::InTheAct)));
        operations.start(new_operation(operation), async { Ok(turning(None)) }).await.unwrap();
        while !folder.path().join("files/hanging").exists() {
            tokio::task::yield_now().await;
        }
    });
    runtime.shutdown_background();
    let (_, outcome, _) = restart(folder.path(), operation);
    assert!(outcome.is_ok());
    assert_eq!(files_of(folder.path()), STEPS);
}
