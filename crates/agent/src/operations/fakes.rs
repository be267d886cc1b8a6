//! Nodes that do what a test tells them to, for the runner's own tests.

use std::path::Path;
use std::time::Duration;

use orocloud_protocol::node::{Phase, Probe, StepAnswer};
use orocloud_protocol::operation::OperationSummary;
use orocloud_protocol::{ErrorKind, Resource, Role};
use serde_json::json;
use tokio::sync::watch;

use super::plan::{Step, StepFailure, StepRequest};
use super::*;
use crate::server::{Caller, CallerKind};

/// What a node does when it is asked.
pub(super) enum Play {
    Give(Result<StepAnswer, StepFailure>),
    /// Answers once it is told to end.
    UntilCancelled,
    /// Is done just as it is told to end.
    DoneWhenCancelled,
    /// Is done once the test says so.
    DoneWhenTold,
    /// Never answers.
    Hang,
}

/// Asked with step, phase, whether it may only attach, and how often this was asked before.
type Part = dyn Fn(&str, Phase, bool, usize) -> Play + Send + Sync;

pub(super) struct Script {
    part: Box<Part>,
    pub(super) asked: Mutex<Vec<(String, CallId)>>,
    changed: watch::Sender<()>,
    told: tokio::sync::Notify,
}

impl Script {
    /// What waits to be told goes on.
    pub(super) fn go_on(&self) {
        self.told.notify_one();
    }
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
            Play::DoneWhenTold => {
                self.told.notified().await;
                Ok(StepAnswer::Done(json!(1)))
            }
            Play::Hang => std::future::pending().await,
        }
    }

    fn tries(&self, (): &()) -> u32 {
        3
    }

    fn can_be_put_off(&self, _: Phase, step: &Step<()>) -> bool {
        step.name == "balancer"
    }

    fn put_off(&self, _: CallId, step: &Step<()>, _: &CallError) -> Result<String, CallError> {
        lock(&self.asked).push((format!("Put off {}", step.name), id(0)));
        self.changed.send_replace(());
        Ok("web1 is late".to_owned())
    }

    async fn leave(&self, _: CallId, step: &Step<()>, _: &CallError) -> Result<(), CallError> {
        let line = format!("leave {}", step.node);
        lock(&self.asked).push((line, id(0)));
        self.changed.send_replace(());
        Ok(())
    }
}

pub(super) fn done() -> Play {
    Play::Give(Ok(StepAnswer::Done(json!(1))))
}

pub(super) fn undone() -> Play {
    Play::Give(Ok(StepAnswer::Undone))
}

pub(super) fn probed(probe: Probe) -> Play {
    Play::Give(Ok(StepAnswer::Probed(probe)))
}

pub(super) fn fault() -> CallError {
    CallError::failed("no")
}

/// `a`, then `b` and `c` side by side, which is the point of no return, then `d`.
pub(super) fn plan() -> OperationPlan<()> {
    let step = |name: &str| Step::new(name, &"web1".parse().unwrap(), ());
    OperationPlan {
        groups: vec![vec![step("a")], vec![step("b"), step("c")], vec![step("d")]],
        point_of_no_return: 1,
        undone_until: 0,
        cancelled_until: 0,
        summary: Vec::new(),
        loses: Vec::new(),
        destructive: false,
        digest: hash(blake3::hash(b"")),
    }
}

pub(super) fn id(random: u128) -> CallId {
    CallId::from_parts(u64::try_from(Timestamp::now().as_millisecond()).unwrap(), random)
}

pub(super) fn wanted(id: CallId) -> NewOperation {
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

pub(super) fn open(
    folder: &Path,
    part: impl Fn(&str, Phase, bool, usize) -> Play + Send + Sync + 'static,
) -> Arc<Operations<Script>> {
    let script = Script {
        part: Box::new(part),
        asked: Mutex::default(),
        changed: watch::Sender::new(()),
        told: tokio::sync::Notify::new(),
    };
    let answer: AnswerFn<()> = Arc::new(|done| Ok(json!(done.done_at.len())));
    Operations::open(folder, "maint1".parse().unwrap(), Arc::new(script), answer).unwrap()
}

pub(super) fn asked(operations: &Operations<Script>) -> Vec<String> {
    lock(&operations.executor.asked).iter().map(|(line, _)| line.clone()).collect()
}

/// Waits until a node was asked this.
pub(super) async fn until_asked(operations: &Operations<Script>, line: &str) {
    let mut changed = operations.executor.changed.subscribe();
    let waiting = async {
        while !asked(operations).iter().any(|asked| asked == line) {
            changed.changed().await.unwrap();
        }
    };
    within(line, waiting).await;
}

/// Long also where the clock runs ahead.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What comes, if it ever comes.
pub(super) async fn within<T>(what: &str, coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, coming).await.expect(what)
}

/// Waits until there is one.
pub(super) async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

pub(super) async fn end_of(operations: &Operations<Script>, id: CallId) -> OperationSummary {
    within("an end", operations.wait(id)).await.unwrap()
}

/// Runs the whole plan and gives how it ended, and what was asked.
pub(super) async fn play(
    part: impl Fn(&str, Phase, bool, usize) -> Play + Send + Sync + 'static,
) -> (OperationSummary, Vec<String>) {
    play_plan(plan(), part).await
}

/// Runs a plan and gives how it ended, and what was asked.
pub(super) async fn play_plan(
    plan: OperationPlan<()>,
    part: impl Fn(&str, Phase, bool, usize) -> Play + Send + Sync + 'static,
) -> (OperationSummary, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let operations = open(folder.path(), part);
    let operation = id(1);
    operations.start(wanted(operation), async { Ok(plan) }).await.unwrap();
    let summary = end_of(&operations, operation).await;
    (summary, asked(&operations))
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Begins a plan and forgets everything in memory once this was asked, as a kill does. Gives the id of that attempt.
pub(super) fn killed(
    folder: &Path,
    operation: CallId,
    plan: OperationPlan<()>,
    at: &str,
    part: impl Fn(&str, Phase, bool, usize) -> Play + Send + Sync + 'static,
) -> CallId {
    let runtime = runtime();
    let last = runtime.block_on(async {
        let operations = open(folder, part);
        operations.start(wanted(operation), async { Ok(plan) }).await.unwrap();
        until_asked(&operations, at).await;
        let asked = lock(&operations.executor.asked);
        asked.last().unwrap().1
    });
    runtime.shutdown_background();
    last
}

pub(super) fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

pub(super) fn caller(identity: &str, role: Role) -> Caller {
    Caller { identity: identity.into(), role, kind: CallerKind::User, ..Caller::agent() }
}
