//! Plans carried out step by step on a real database, and taken back from every step.

use jiff::Timestamp;
use orocloud_protocol::backup::{RestoreParams, RestoreScope, RestoreTarget};
use orocloud_protocol::node::{Phase, Probe, StepAnswer};
use orocloud_protocol::{CallError, CallId, OperationOptions};
use tokio_util::sync::CancellationToken;

use super::facts::Facts;
use super::point::{PointOrder, tidying};
use super::restore::{Names, Unpacked, plan};
use super::window;
use crate::keeper::contract::rig::Rig;
use crate::nodes::actions::{self, ActionContext};
use crate::operations::EventSink;
use crate::operations::plan::{OperationPlan, Outputs, Step};
use crate::points::Points;

/// One operation on the rig, whose one node is maint and db.
struct Walk<'a> {
    rig: &'a Rig,
    operation: CallId,
    outputs: Outputs,
}

impl<'a> Walk<'a> {
    fn new(rig: &'a Rig, number: u64) -> Self {
        Self { rig, operation: CallId::from_parts(number, number.into()), outputs: Outputs::new() }
    }

    async fn run(&self, step: &Step, phase: Phase) -> StepAnswer {
        match self.attempt(step, phase).await {
            Ok(answer) => answer,
            Err(error) => panic!("{} {phase:?}: {error:?}", step.name),
        }
    }

    async fn attempt(&self, step: &Step, phase: Phase) -> Result<StepAnswer, CallError> {
        let context = ActionContext {
            node: &self.rig.node,
            coordinator: None,
            operation: self.operation,
            step: &step.name,
            outputs: &self.outputs,
            events: EventSink::none(),
            cancel: CancellationToken::new(),
        };
        actions::run(&context, phase, &step.action).await
    }

    async fn act(&mut self, step: &Step) {
        let StepAnswer::Done(value) = self.run(step, Phase::Act).await else {
            panic!("{} is not done", step.name)
        };
        // What a probe calls done has the output of the act; anything else may be acted upon again.
        if let StepAnswer::Probed(Probe::Done(probed)) = self.run(step, Phase::Probe).await {
            assert_eq!(probed, value, "{}", step.name);
        }
        self.outputs.insert(step.name.clone(), value);
    }

    async fn undo(&self, step: &Step) {
        assert_eq!(self.run(step, Phase::Undo).await, StepAnswer::Undone, "{}", step.name);
    }

    async fn carry_out(&mut self, plan: &OperationPlan) {
        for step in plan.groups.iter().flatten() {
            self.act(step).await;
        }
    }
}

async fn facts(rig: &Rig) -> Facts<'_> {
    let info = crate::nodes::database_info::answer(&rig.node).await.unwrap();
    Facts::new(&rig.node.config, info, Timestamp::now()).unwrap()
}

/// `backup:create`, without its call.
async fn create(rig: &Rig, number: u64) {
    let facts = facts(rig).await;
    let name = Points::new(&rig.node.config.state).free_name(facts.now).unwrap();
    let order = PointOrder::new("backup", "command", name, &facts);
    let mut groups = order.groups(&facts.places);
    groups.push(tidying(&facts));
    let mut walk = Walk::new(rig, number);
    for step in groups.iter().flatten() {
        walk.act(step).await;
    }
}

async fn planned(rig: &Rig, target: RestoreTarget, timeline: Option<u32>) -> OperationPlan {
    let facts = facts(rig).await;
    let params = RestoreParams {
        target,
        timeline,
        scope: RestoreScope::default(),
        media: true,
        preview: false,
        keep_old: None,
        options: OperationOptions::default(),
    };
    let params = RestoreParams { media: !matches!(params.target, RestoreTarget::Undo(_)), ..params };
    let points = Points::new(&rig.node.config.state);
    let before = points.free_name(facts.now).unwrap();
    let after = loop {
        let now = Timestamp::now();
        let name = now.strftime("%Y-%m-%d-%H%M%S").to_string().parse().unwrap();
        if name != before && points.get(&name).unwrap().is_none() {
            break name;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    match plan(&params, &facts, &Unpacked::default(), &Names { before, after }) {
        Ok(plan) => plan,
        Err(error) => panic!("{error:?}"),
    }
}

fn media(rig: &Rig) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(rig.root().join("media"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with(".orocloud-kept-"))
        .collect();
    names.sort();
    names
}

/// 100 orders and a picture, a recovery point, 50 orders more; then all is lost. The moment before that.
async fn disaster(rig: &Rig) -> Timestamp {
    rig.sql("create table orders (id bigserial primary key, at timestamptz default clock_timestamp())").await;
    rig.orders(100).await;
    std::fs::write(rig.root().join("media/picture"), "png").unwrap();
    create(rig, 1).await;
    rig.orders(50).await;
    let moment = rig.moment().await;
    rig.sql("delete from orders").await;
    std::fs::remove_file(rig.root().join("media/picture")).unwrap();
    std::fs::write(rig.root().join("media/other"), "png").unwrap();
    moment
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_taken_back_from_every_step_before_its_point_of_no_return() {
    let Some(rig) = Rig::start().await else { return };
    let moment = disaster(&rig).await;
    let points = Points::new(&rig.node.config.state);
    let names = |points: &Points| -> Vec<String> {
        points.all().unwrap().iter().map(|record| record.point.name.to_string()).collect()
    };
    let known = names(&points);
    let plan = planned(&rig, RestoreTarget::Time(moment), None).await;
    let before: Vec<Step> = plan.groups[..plan.point_of_no_return].iter().flatten().cloned().collect();
    // Every undo runs from the last one; some in between show that each does without those behind it.
    for last in (0..before.len()).rev().step_by(3) {
        let mut walk = Walk::new(&rig, 100 + last as u64);
        for step in &before[..=last] {
            walk.act(step).await;
        }
        for step in before[..=last].iter().rev() {
            walk.undo(step).await;
            walk.undo(step).await;
        }
        let step = &before[last].name;
        assert_eq!(rig.count().await, 0, "{step}");
        assert_eq!(rig.beside(), ["main"], "{step}");
        assert_eq!(media(&rig), ["other"], "{step}");
        assert_eq!(names(&points), known, "{step}");
        assert_eq!(facts(&rig).await.info.backups.len(), 1, "{step}");
    }
    let mut walk = Walk::new(&rig, 200);
    walk.carry_out(&plan).await;
    assert_eq!((rig.count().await, media(&rig)), (150, vec!["picture".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_branch_of_history_stays_within_reach() {
    let Some(rig) = Rig::start().await else { return };
    let moment = disaster(&rig).await;
    let mut first = Walk::new(&rig, 2);
    let plan = planned(&rig, RestoreTarget::Time(moment), None).await;
    first.carry_out(&plan).await;
    assert_eq!((rig.count().await, media(&rig)), (150, vec!["picture".to_owned()]));

    // Undone, and the undo undone.
    rig.orders(3).await;
    let mut undo = Walk::new(&rig, 3);
    let plan = planned(&rig, RestoreTarget::Undo(first.operation), None).await;
    undo.carry_out(&plan).await;
    assert_eq!((rig.count().await, media(&rig)), (0, vec!["other".to_owned()]));
    rig.orders(20).await;
    let on_third = rig.moment().await;
    let mut again = Walk::new(&rig, 4);
    let plan = planned(&rig, RestoreTarget::Undo(undo.operation), None).await;
    again.carry_out(&plan).await;
    assert_eq!((rig.count().await, media(&rig)), (153, vec!["picture".to_owned()]));

    // A moment on the branch that was just left: asked which, and brought.
    let facts = facts(&rig).await;
    let branches = facts.branches();
    let refused = crate::rules::base_choice::choose(on_third, None, &facts.info, &branches, facts.now);
    assert!(
        matches!(refused, Err(crate::rules::base_choice::NoChoice::Abandoned { timeline: 3, live: 4, .. })),
        "{refused:?}"
    );
    let mut back = Walk::new(&rig, 5);
    let plan = planned(&rig, RestoreTarget::Time(on_third), Some(3)).await;
    back.carry_out(&plan).await;
    assert_eq!(rig.count().await, 20);

    // Before the very first restore, from five branches later.
    let mut oldest = Walk::new(&rig, 6);
    let plan = planned(&rig, RestoreTarget::Time(moment), None).await;
    oldest.carry_out(&plan).await;
    assert_eq!(rig.count().await, 150);
    let facts = self::facts(&rig).await;
    let window = window::answer(&facts);
    let live: Vec<_> = window.stretches.iter().filter(|stretch| stretch.live).collect();
    assert_eq!((window.timeline, live.len()), (Some(6), 1), "{window:?}");
    assert_eq!(window.restores.len(), 5);
    assert_eq!(window.points.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_replaced_is_found_though_nobody_wrote_down_that_it_swapped() {
    let Some(rig) = Rig::start().await else { return };
    let moment = disaster(&rig).await;
    let mut walk = Walk::new(&rig, 2);
    let plan = planned(&rig, RestoreTarget::Time(moment), None).await;
    for step in plan.groups.iter().flatten().take_while(|step| step.name != "restore:record") {
        walk.act(step).await;
    }
    assert_eq!((rig.count().await, media(&rig)), (150, vec!["picture".to_owned()]));

    // The next recovery point tidies up: neither the folder nor the media that were replaced may go.
    create(&rig, 3).await;
    let facts = facts(&rig).await;
    let restore = &facts.known.past_restores()[0];
    assert_eq!((restore.from_timeline, restore.to_timeline, restore.to), (1, 2, Some(moment)));
    assert!(window::answer(&facts).restores[0].undo_until.is_some());
    let plan = planned(&rig, RestoreTarget::Undo(walk.operation), None).await;
    Walk::new(&rig, 4).carry_out(&plan).await;
    assert_eq!((rig.count().await, media(&rig)), (0, vec!["other".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_is_published_whole_and_no_backup_goes_that_was_not_let_go() {
    let Some(rig) = Rig::start().await else { return };
    disaster(&rig).await;
    let points = Points::new(&rig.node.config.state);
    let sets = async || -> Vec<String> {
        facts(&rig).await.info.backups.into_iter().map(|backup| backup.set).collect()
    };

    // The media failed: behind a point of no return the operation would go on.
    let facts = facts(&rig).await;
    let name = points.free_name(facts.now).unwrap();
    let order = PointOrder::new("backup", "command", name.clone(), &facts);
    let mut walk = Walk::new(&rig, 2);
    for step in order.copies(&facts.places).iter().filter(|step| step.name != "backup:media") {
        walk.act(step).await;
    }
    let publication = order.publication(&facts.places);
    let error = walk.attempt(&publication, Phase::Act).await.unwrap_err();
    assert!(error.message.contains("not published"), "{error}");
    assert_eq!(points.get(&name).unwrap(), None);

    // The one that failed never had a manifest, and neither had the full ones, taken by hand.
    create(&rig, 3).await;
    create(&rig, 4).await;
    rig.backup("full").await;
    create(&rig, 5).await;
    rig.backup("full").await;
    let before = sets().await;
    let all = points.all().unwrap();
    let [first, built_upon, _, last] = &all[..] else { panic!("{all:?}") };
    for record in [first, built_upon, last] {
        let mut record = record.clone();
        record.point.at = "2020-01-01T00:00:00Z".parse().unwrap();
        points.publish(&record).unwrap();
    }
    create(&rig, 6).await;
    assert_eq!(points.all_let_go().unwrap().len(), 3);
    create(&rig, 7).await;
    let after = sets().await;
    let gone: Vec<&String> = before.iter().filter(|set| !after.contains(set)).collect();
    // The other two stay: one that nobody let go builds upon each.
    assert_eq!(gone, [&last.point.database.set]);
    create(&rig, 8).await;
    let mut known: Vec<_> = points.all_let_go().unwrap().into_iter().map(|r| r.point.database.set).collect();
    known.sort();
    assert_eq!(known, [first.point.database.set.clone(), built_upon.point.database.set.clone()]);
}
