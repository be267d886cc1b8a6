//! Seeded plans on fake nodes; the coordinator, then the node of a step, is killed at every point of every step. Whatever
//! happens, each step acts once, in its turn, is taken back in its turn, and in the end all is done or nothing is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use orocloud_protocol::node::{MailChange, Phase, Probe, StepAction, StepAnswer};
use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::smtp::WhitelistChange;
use orocloud_protocol::{ErrorKind, Lock, Resource, Role};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

use super::fakes::{id, until, within};
use super::plan::{Executor, OperationPlan, Step, StepFailure, StepRequest};
use super::*;

/// What is left of a step on its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    #[default]
    Nothing,
    Half,
    Whole,
}

/// Where in the order it stands, and whether its act fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    group: usize,
    fails: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Coordinator,
    Node,
    /// Nobody: a person cancels it.
    Person,
}

/// Where somebody is killed, or cancels.
#[derive(Clone, Debug)]
struct Kill {
    step: String,
    phase: Phase,
    /// Before, in the middle of, or after it.
    at: State,
    who: Who,
}

/// An attempt as its node remembers it, until the node is killed.
enum Remembered {
    Runs(String, Phase),
    Ended(Result<StepAnswer, CallError>),
}

/// The nodes. They outlive the coordinator.
#[derive(Default)]
struct World {
    states: Mutex<BTreeMap<String, (usize, State)>>,
    attempts: Mutex<HashMap<CallId, Remembered>>,
    kill: Mutex<Option<Kill>>,
    killed: AtomicBool,
    /// What the person who cancelled was told.
    told: watch::Sender<Option<bool>>,
    wrong: Mutex<Vec<String>>,
}

impl World {
    fn of(&self, step: &str) -> State {
        lock(&self.states).get(step).map(|(_, state)| *state).unwrap_or_default()
    }

    /// Changes the state of a step, and looks whether it is its turn.
    fn set(&self, step: &str, group: usize, to: State) {
        let mut states = lock(&self.states);
        let now = states.get(step).map(|(_, state)| *state).unwrap_or_default();
        if now == State::Whole && to == State::Whole {
            lock(&self.wrong).push(format!("{step} acts twice"));
        }
        for (other, (place, state)) in states.iter() {
            let missing = *place < group && *state != State::Whole;
            let standing = *place > group && *state != State::Nothing;
            if missing || standing {
                lock(&self.wrong).push(format!("{step} becomes {to:?} while {other} is {state:?}"));
            }
        }
        states.insert(step.to_owned(), (group, to));
    }

    /// Does what an attempt is there for, from wherever it stands.
    fn finish(&self, step: &str, part: &Part, phase: Phase) -> Result<StepAnswer, CallError> {
        match phase {
            Phase::Act if part.fails => Err(CallError::failed("no")),
            Phase::Act => {
                self.set(step, part.group, State::Whole);
                Ok(StepAnswer::Done(json!(step)))
            }
            Phase::Undo => {
                self.set(step, part.group, State::Nothing);
                Ok(StepAnswer::Undone)
            }
            Phase::Probe => Ok(StepAnswer::Probed(match self.of(step) {
                State::Nothing => Probe::NotDone,
                State::Half => Probe::Partial,
                State::Whole => Probe::Done(json!(step)),
            })),
        }
    }

    /// Whether somebody dies here, once.
    fn dies(&self, step: &str, phase: Phase, at: State) -> Option<Who> {
        let mut kill = lock(&self.kill);
        let here =
            kill.as_ref().is_some_and(|kill| kill.step == step && kill.phase == phase && kill.at == at);
        let killed = if here { kill.take() } else { None };
        self.killed.fetch_or(killed.is_some(), Ordering::SeqCst);
        killed.map(|kill| kill.who)
    }

    async fn die(&self, who: Who, call: CallId) -> StepFailure {
        if who == Who::Coordinator {
            std::future::pending::<()>().await;
        }
        // What the node was doing is gone with it.
        lock(&self.attempts).remove(&call);
        StepFailure::Lost(CallError::new(ErrorKind::Unreachable, "the connection was lost"))
    }
}

/// The coordinator's way to the nodes; gone with the coordinator.
struct Ways(Arc<World>);

impl Executor for Ways {
    type Action = Part;

    async fn run(&self, request: StepRequest<'_, Part>) -> Result<StepAnswer, StepFailure> {
        let StepRequest { call, step, phase, .. } = request;
        let Step { name, action: part, node, .. } = step;
        let world = &self.0;
        if request.attach_only {
            let remembered = lock(&world.attempts).remove(&call);
            let ended = match remembered {
                None => return Err(StepFailure::NotRunning),
                Some(Remembered::Ended(ended)) => ended,
                // It went on without its coordinator, unless it is told to end.
                Some(Remembered::Runs(..)) if request.cancel.is_cancelled() => {
                    Err(CallError::new(ErrorKind::Cancelled, "told to end"))
                }
                Some(Remembered::Runs(name, phase)) => world.finish(&name, part, phase),
            };
            lock(&world.attempts).insert(call, Remembered::Ended(ended.clone()));
            return ended.map_err(StepFailure::Failed);
        }
        let running = lock(&world.attempts)
            .values()
            .any(|attempt| matches!(attempt, Remembered::Runs(other, _) if other == name));
        if running {
            lock(&world.wrong).push(format!("{phase:?} of {name} beside an attempt that still runs"));
        }
        // What the coordinator's own node does dies with it.
        let outlives = node.as_str() != "maint1";
        if let Some(who) = world.dies(name, phase, State::Nothing) {
            return Err(world.die(who, call).await);
        }
        if phase != Phase::Probe {
            if outlives {
                lock(&world.attempts).insert(call, Remembered::Runs(name.clone(), phase));
            }
            world.set(name, part.group, State::Half);
        }
        tokio::task::yield_now().await;
        match world.dies(name, phase, State::Half) {
            None => {}
            Some(Who::Person) => {
                let _ = world.told.subscribe().wait_for(Option::is_some).await;
                if request.cancel.is_cancelled() {
                    let ended = CallError::new(ErrorKind::Cancelled, "told to end");
                    lock(&world.attempts).remove(&call);
                    return Err(StepFailure::Failed(ended));
                }
            }
            Some(who) => return Err(world.die(who, call).await),
        }
        let ended = world.finish(name, part, phase);
        if outlives {
            lock(&world.attempts).insert(call, Remembered::Ended(ended.clone()));
        }
        if let Some(who) = world.dies(name, phase, State::Whole) {
            return Err(world.die(who, call).await);
        }
        ended.map_err(StepFailure::Failed)
    }

    fn tries(&self, _: &Part) -> u32 {
        2
    }

    async fn leave(&self, _: CallId, _: &Step<Part>, _: &CallError) -> Result<(), CallError> {
        Ok(())
    }
}

/// A small generator: the same plans on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

/// Some groups of some steps on some nodes, with a point of no return somewhere; its second half may fail at the point.
fn planned(seed: u64, fails_at_the_point: bool) -> OperationPlan<Part> {
    let mut dice = Dice(seed);
    let nodes = ["maint1", "web1", "web2", "db1"];
    let mut groups = Vec::new();
    for group in 0..2 + dice.below(3) {
        let steps = (0..1 + dice.below(3)).map(|place| {
            let node = nodes[(dice.below(nodes.len()) + place) % nodes.len()];
            Step::new(format!("{group}:{place}"), &node.parse().unwrap(), Part { group, fails: false })
        });
        groups.push(steps.collect::<Vec<_>>());
    }
    let point = 1 + dice.below(groups.len());
    if fails_at_the_point {
        let at = point.min(groups.len() - 1);
        groups[at][0].action.fails = true;
    }
    OperationPlan::losing_nothing(groups, point, vec![seed.to_string()])
}

fn wanted(id: CallId) -> NewOperation {
    NewOperation { locks: vec![Lock::exclusive(Resource::Code)], ..super::fakes::wanted(id) }
}

fn open(folder: &Path, world: &Arc<World>) -> Arc<Operations<Ways>> {
    let answer: AnswerFn<Part> = Arc::new(|done| Ok(json!(done.outputs.len())));
    Operations::open(folder, "maint1".parse().unwrap(), Arc::new(Ways(Arc::clone(world))), answer).unwrap()
}

/// The clock runs ahead, so pauses cost nothing.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Where syncing costs nothing, if there is such a place.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Runs a plan during which somebody is killed; gives how it ended, and what is left on the nodes.
fn walk(plan: &OperationPlan<Part>, kill: &Kill) -> (OperationSummary, Arc<World>) {
    let folder = folder();
    let world = Arc::new(World { kill: Mutex::new(Some(kill.clone())), ..World::default() });
    let operation = id(1);
    let first = runtime();
    let ended = first.block_on(async {
        let operations = open(folder.path(), &world);
        operations.start(wanted(operation), async { Ok(plan.clone()) }).await.unwrap();
        let dead = || (kill.who == Who::Coordinator && world.killed.load(Ordering::SeqCst)).then_some(());
        tokio::select! {
            summary = operations.wait(operation) => Some(summary.unwrap()),
            () = until("a kill", dead) => None,
        }
    });
    first.shutdown_background();
    let second = runtime();
    let summary = second.block_on(async {
        let operations = open(folder.path(), &world);
        let interrupted = operations.interrupted().unwrap();
        assert_eq!(interrupted.len(), usize::from(ended.is_none()), "{kill:?}");
        interrupted.into_iter().for_each(|one| operations.recover(one));
        let summary = within("an end", operations.wait(operation)).await.unwrap();
        // The same id gives the outcome and begins nothing, and the locks are free.
        operations.start(wanted(operation), async { panic!("a second plan") }).await.unwrap();
        assert_eq!(operations.summary(operation).unwrap(), summary);
        assert!(operations.hold("a look", &[Lock::exclusive(Resource::Code)]).is_some(), "{kill:?}");
        summary
    });
    (ended.unwrap_or(summary), world)
}

/// Walks to every point of every step of a plan; gives how often somebody was killed.
fn walk_everywhere(plan: &OperationPlan<Part>, what: &str) -> usize {
    let mut killed = 0;
    let steps: Vec<String> = plan.groups.iter().flatten().map(|step| step.name.clone()).collect();
    for step in plan.groups.iter().flatten() {
        for phase in [Phase::Act, Phase::Undo] {
            for at in [State::Nothing, State::Half, State::Whole] {
                for who in [Who::Coordinator, Who::Node] {
                    if who == Who::Node && step.node.as_str() == "maint1" {
                        continue;
                    }
                    let kill = Kill { step: step.name.clone(), phase, at, who };
                    let (summary, world) = walk(plan, &kill);
                    let case = format!("{what}, {kill:?}: {summary:?}");
                    assert_eq!(*lock(&world.wrong), [""; 0], "{case}");
                    let states: Vec<State> = steps.iter().map(|step| world.of(step)).collect();
                    let expected = match summary.state {
                        OperationState::Succeeded => State::Whole,
                        _ => State::Nothing,
                    };
                    assert!(states.iter().all(|state| *state == expected), "{states:?} {case}");
                    killed += usize::from(world.killed.load(Ordering::SeqCst));
                }
            }
        }
    }
    killed
}

#[test]
fn killed_at_every_point_of_every_step_all_is_done_or_nothing_is() {
    let mut killed = 0;
    for seed in 0..4 {
        for fails in [false, true] {
            killed += walk_everywhere(&planned(seed, fails), &format!("seed {seed}, fails {fails}"));
        }
    }
    assert!(killed > 200, "{killed}");
}

/// What `smtp:relay:set` and `smtp:whitelist` plan on two mail nodes; the last act fails on one of them.
#[test]
fn a_change_of_mail_is_there_on_every_mail_node_or_on_none() {
    let nodes = ["mail1", "mail2"].map(|node| node.parse().unwrap());
    let change = MailChange::Whitelist(WhitelistChange::Clear);
    let try_relay =
        StepAction::MailTry { relay: "main".parse().unwrap(), candidate: true, from: None, to: None };
    for tried in [Some(try_relay), None] {
        let plan = crate::calls::smtp::changing(&nodes, &change, tried, String::new());
        for fails in [false, true] {
            let last = plan.groups.len() - 1;
            // On fakes each step has a name of its own.
            let on_fake = |(group, steps): (usize, &Vec<Step>)| -> Vec<Step<Part>> {
                let part = |step: &Step| Part {
                    group,
                    fails: fails && group == last && step.node.as_str() == "mail2",
                };
                steps
                    .iter()
                    .map(|step| Step::new(format!("{}@{}", step.name, step.node), &step.node, part(step)))
                    .collect()
            };
            let groups: Vec<_> = plan.groups.iter().enumerate().map(on_fake).collect();
            let steps = groups.iter().flatten().count();
            let plan = OperationPlan::losing_nothing(groups, plan.point_of_no_return, plan.summary.clone());
            let killed = walk_everywhere(&plan, &format!("mail, fails {fails}"));
            // Three moments of each act, on two sides; where all is undone, about as many again.
            assert!(killed >= 6 * (steps - 1), "{killed} of {steps}");
        }
    }
}

#[test]
fn cancelled_in_any_step_it_is_undone_as_far_as_it_may_be_and_finished_from_there() {
    for seed in 0..12 {
        let mut plan = planned(seed, false);
        // As an upgrade: also in the update of the database, which is behind the point.
        if seed % 2 == 1 {
            plan.cancelled_until = plan.point_of_no_return + 1;
            plan.undone_until = (plan.point_of_no_return + 2).min(plan.groups.len());
        }
        let too_late = plan.cancelled_until().min(plan.groups.len());
        for (group, step) in
            plan.groups.iter().enumerate().flat_map(|(at, group)| group.iter().map(move |step| (at, step)))
        {
            let kill = Kill { step: step.name.clone(), phase: Phase::Act, at: State::Half, who: Who::Person };
            let world = Arc::new(World { kill: Mutex::new(Some(kill)), ..World::default() });
            let folder = folder();
            let summary = runtime().block_on(async {
                let operations = open(folder.path(), &world);
                let operation = id(1);
                operations.start(wanted(operation), async { Ok(plan.clone()) }).await.unwrap();
                until("the step", || world.killed.load(Ordering::SeqCst).then_some(())).await;
                let dora = super::fakes::caller("SHA256:dora", Role::Developer);
                let (_, cancelled) = operations.cancel(operation, &dora).unwrap();
                assert_eq!(cancelled, group < too_late, "seed {seed}, {}", step.name);
                world.told.send_replace(Some(cancelled));
                within("an end", operations.wait(operation)).await.unwrap()
            });
            let (state, left) = if group < too_late {
                (OperationState::Cancelled, State::Nothing)
            } else {
                (OperationState::Succeeded, State::Whole)
            };
            let case = format!("seed {seed}, {}: {summary:?}", step.name);
            assert_eq!(summary.state, state, "{case}");
            assert_eq!(*lock(&world.wrong), [""; 0], "{case}");
            assert!(plan.groups.iter().flatten().all(|step| world.of(&step.name) == left), "{case}");
        }
    }
}
