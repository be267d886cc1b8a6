//! The steps of a deployment on the nodes of a real environment, without the daemons in between.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use orocloud_agent::calls::backup::facts::Places;
use orocloud_agent::calls::deploy;
use orocloud_agent::engines::http;
use orocloud_agent::environment::Agent;
use orocloud_agent::nodes::actions::{self, ActionContext, FromNode, OtherNodes};
use orocloud_agent::nodes::{Node, NodeRef};
use orocloud_agent::operations::EventSink;
use orocloud_agent::operations::plan::{OperationPlan, Outputs, Step};
use orocloud_agent::package::{Receiver, Store};
use orocloud_agent::process::{AccountNames, Processes};
use orocloud_protocol::deploy::DeployParams;
use orocloud_protocol::node::{
    MailListedParams, MaintenanceBefore, PackageReceiveParams, Phase, Probe, StepAction, StepAnswer,
};
use orocloud_protocol::smtp::ShowAnswer;
use orocloud_protocol::{CallError, CallId, MailDomain, NodeName};
use orocloud_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const OPERATION: &str = "01JDFZ8T6G0000000000000000";

struct Rig {
    sandbox: Sandbox,
    nodes: HashMap<NodeName, NodeRef>,
    outputs: Outputs,
}

impl Rig {
    fn new() -> Self {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let nodes = ["maint1", "db1", "web1", "web2"]
            .map(|name| {
                let file = sandbox.node(name).unwrap().dir().join("etc/agent.toml");
                let config = Agent::load(&file).unwrap();
                let names = config.accounts.as_ref().map(AccountNames::of);
                let processes = Processes::new(names).with_agent(sandbox.program("orocloud-agent"));
                (name.parse().unwrap(), Node::new(config, processes))
            })
            .into();
        Self { sandbox, nodes, outputs: Outputs::new() }
    }

    fn node(&self, name: &str) -> &NodeRef {
        &self.nodes[&name.parse().unwrap()]
    }

    fn plan(&self, reference: &str) -> OperationPlan {
        let config = &self.node("maint1").config;
        let params: DeployParams =
            serde_json::from_value(json!({"reference": reference, "user_password": "a good one"})).unwrap();
        let places = Places::of(&config.environment, &config.node).unwrap();
        let release = deploy::release_name(jiff::Timestamp::now()).unwrap();
        let point = "2026-11-24-1032".parse().unwrap();
        deploy::plan(&config.environment, &places, &params, &release, &point, "dora").unwrap()
    }

    async fn run(&self, step: &Step, phase: Phase) -> Result<StepAnswer, CallError> {
        let sender = Sender(&self.nodes);
        let context = ActionContext {
            node: &self.nodes[&step.node],
            coordinator: Some(&sender),
            operation: OPERATION.parse::<CallId>().unwrap(),
            step: &step.name,
            outputs: &self.outputs,
            events: EventSink::none(),
            cancel: CancellationToken::new(),
        };
        actions::run(&context, phase, &step.action).await
    }

    async fn act(&mut self, step: &Step) -> Result<Value, CallError> {
        let begun = Instant::now();
        let StepAnswer::Done(value) = self.run(step, Phase::Act).await? else { panic!("not done") };
        println!("{:>7.1} ms {} on {}", begun.elapsed().as_secs_f64() * 1e3, step.name, step.node);
        self.outputs.insert(step.name.clone(), value.clone());
        Ok(value)
    }

    /// One step on one web node.
    fn step(&self, node: &str, action: StepAction) -> Step {
        Step::new("a:step", &node.parse().unwrap(), action)
    }

    async fn status_of(&self, url: &str) -> u16 {
        http::get(url, None, Duration::from_secs(10)).await.unwrap().status
    }
}

/// As the coordinator does it, without a network.
struct Sender<'a>(&'a HashMap<NodeName, NodeRef>);

impl OtherNodes for Sender<'_> {
    fn send<'a>(
        &'a self,
        to: &'a NodeName,
        package: &'a PackageReceiveParams,
        file: &'a std::path::Path,
        _events: &'a EventSink,
    ) -> FromNode<'a, ()> {
        Box::pin(async move {
            let store = Store::open(&self.0[to].config.state).unwrap();
            if let Some(mut receiver) = Receiver::new(store, package.clone()).unwrap() {
                receiver.write(&std::fs::read(file).unwrap()).unwrap();
                receiver.finish().unwrap();
            }
            Ok(())
        })
    }

    fn mail_listed<'a>(
        &'a self,
        _web: &'a NodeName,
        _asked: MailListedParams,
    ) -> FromNode<'a, Option<Vec<MailDomain>>> {
        unreachable!("there is no mail node")
    }

    fn mail_holds<'a>(&'a self, _mail: &'a NodeName) -> FromNode<'a, ShowAnswer> {
        unreachable!("there is no mail node")
    }

    fn act<'a>(
        &'a self,
        _on: &'a NodeName,
        _name: &'a str,
        _action: StepAction,
        _limit: Duration,
    ) -> FromNode<'a, Value> {
        unreachable!("there is no mail node")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_puts_the_shop_on_every_node_and_the_page_can_be_put_before_it() {
    let mut rig = Rig::new();
    let url = rig.sandbox.shop_url().to_owned();
    let webs = [rig.sandbox.node_url("web1").unwrap(), rig.sandbox.node_url("web2").unwrap()];
    assert_eq!(rig.status_of(&url).await, 503);

    // A damaged orocloud.yaml is found before anything is built.
    let damaged = rig.plan("1.0.2-badconfig");
    let error = rig.act(&damaged.groups[0][0].clone()).await.unwrap_err();
    assert!(error.message.starts_with("orocloud.yaml is wrong at orocloud.yaml:"), "{error}");
    rig.run(&damaged.groups[0][0], Phase::Undo).await.unwrap();

    let plan = rig.plan("1.0.0");
    for (index, step) in
        plan.groups.iter().enumerate().flat_map(|(index, group)| group.iter().map(move |s| (index, s)))
    {
        if index == plan.point_of_no_return {
            assert_eq!(rig.status_of(&url).await, 503, "before {}", step.name);
        }
        rig.act(step).await.unwrap();
        if index == plan.point_of_no_return {
            assert_eq!(
                rig.run(step, Phase::Probe).await.unwrap(),
                StepAnswer::Probed(Probe::Done(Value::Null))
            );
        }
    }
    for url in webs.iter().chain([&url]) {
        let page = http::get(url, None, Duration::from_secs(10)).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains("1.0.0"), "{}", page.body);
    }
    assert_eq!(rig.sandbox.psql("select count(*) > 0 from orders").unwrap().trim(), "t");

    maintenance(&mut rig, &webs[0]).await;
    switching(&mut rig, &plan, &webs[0]).await;
    let status = orocloud_agent::nodes::status::answer(rig.node("web1"), &Default::default()).await;
    assert!(status.rows.iter().any(|row| row.detail.contains("serves 1.0.0")), "{:?}", status.rows);
    rig.sandbox.down().unwrap();
}

/// The page goes up once what was accepted before is answered, and comes down to what was there before.
async fn maintenance(rig: &mut Rig, url: &str) {
    let on = rig.step("web1", StepAction::MaintenanceOn { comment: Some("restore".into()), duration: None });
    let restore = rig.step("web1", StepAction::MaintenanceRestore {});
    let slow = format!("{url}slow?ms=1500");
    let began = Instant::now();
    let request =
        tokio::spawn(async move { http::get(&slow, None, Duration::from_secs(10)).await.unwrap().status });
    let busy = async || {
        let pool = orocloud_agent::engines::php_fpm::pool(&format!("{url}fpm-status?json")).await.unwrap();
        pool.in_flight() > 0
    };
    while !busy().await {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let before: MaintenanceBefore = serde_json::from_value(rig.act(&on).await.unwrap()).unwrap();
    assert!(!before.was_on);
    assert!(request.is_finished(), "the page was said to be up while a request was in flight");
    assert_eq!(request.await.unwrap(), 200);
    assert_eq!(rig.status_of(url).await, 503);
    let file = &rig.node("web1").config.web.as_ref().unwrap().maintenance_file.clone();
    let notice: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(
        (notice["needed"]["comment"].as_str(), notice["needed"]["operation"].as_str()),
        (Some("restore"), Some(OPERATION))
    );
    // A second attempt after a crash still knows that there was no page before.
    rig.act(&on).await.unwrap();
    rig.act(&restore).await.unwrap();
    assert_eq!(rig.status_of(url).await, 200);
    assert_eq!(rig.run(&restore, Phase::Probe).await.unwrap(), StepAnswer::Probed(Probe::Done(Value::Null)));
}

/// An undone switch leaves what was there before; here nothing was.
async fn switching(rig: &mut Rig, plan: &OperationPlan, url: &str) {
    let switch = plan.groups[plan.point_of_no_return][0].clone();
    for _ in 0..2 {
        rig.run(&switch, Phase::Undo).await.unwrap();
        assert_eq!(rig.status_of(url).await, 503);
    }
    assert_eq!(rig.run(&switch, Phase::Probe).await.unwrap(), StepAnswer::Probed(Probe::NotDone));
    rig.act(&switch).await.unwrap();
    assert_eq!(rig.status_of(url).await, 200);
    // A check for another release than the one that is served says which one it is.
    let other = rig.step("web1", StepAction::FrontendCheck { release: "20200101000000".parse().unwrap() });
    let error = rig.act(&other).await.unwrap_err();
    assert!(error.message.contains("is not served by release 20200101000000"), "{error}");
    assert!(error.causes[0].starts_with("the answer came from release "), "{error}");
}
