//! Consumers, cron and websocket on a node of their own, with real messages: stopped and started with the page, exactly
//! those that ran, on the release that is served.

use std::process::Command;
use std::time::{Duration, Instant};

use orocloud_sandbox::Options;

use crate::support::{Shop, wait_for};

/// `UNIT STATE` of every service, by kind.
fn states(shop: &Shop) -> Vec<String> {
    let answer = shop.cli("viewer", ["service:status", "--format=json"]).succeeds().json();
    let items = answer["items"].as_array().expect("items").iter();
    let word = |item: &serde_json::Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    items.map(|item| format!("{} {}", word(item, "unit"), word(item, "state"))).collect()
}

fn all(state: &str) -> Vec<String> {
    ["consumer-default", "consumer-mail", "cron", "websocket"].map(|unit| format!("{unit} {state}")).into()
}

/// Places an order, which sends a message.
fn order(shop: &Shop) {
    let url = format!("{}order", shop.sandbox.shop_url());
    let post = ["--silent", "--fail", "--max-time", "30", "--request", "POST", &url];
    assert!(Command::new("curl").args(post).output().expect("curl").status.success(), "{}", shop.logs());
}

/// Versions that have worked on messages, each with how many.
fn worked_on(shop: &Shop) -> String {
    shop.sql("select version, count(*) from message group by 1 order by 1")
}

#[test]
fn services_run_what_is_served_and_stop_with_the_page() {
    let shop = Shop::start_with(Options { queue: true, ..Options::default() });
    assert_eq!(states(&shop), all("stopped"), "nothing is deployed that could run");
    shop.deploy("1.0.0");
    assert_eq!(states(&shop), all("running"));

    // Real messages, worked on by a consumer.
    order(&shop);
    order(&shop);
    wait_for("the messages", || worked_on(&shop) == "1.0.0|2");
    wait_for("the counts of the broker", || {
        let list = shop.cli("viewer", ["queue:list", "oro", "--format=json"]).succeeds().json();
        let queues = list["items"].as_array().expect("items").clone();
        let names: Vec<&str> = queues.iter().filter_map(|queue| queue["name"].as_str()).collect();
        names == ["oro.default", "oro.mail"] && queues.iter().all(|queue| queue["consumers"] == 1)
    });

    // What a person has stopped stays stopped.
    shop.cli("viewer", ["service:stop:consumer", "oro.mail"]).ends_with(4);
    shop.cli("developer", ["service:stop:consumer", "no.such.queue"]).ends_with(1);
    shop.cli("developer", ["service:stop:consumer", "oro.mail"]).succeeds();
    let wanted = ["consumer-default running", "consumer-mail stopped", "cron running", "websocket running"];
    assert_eq!(states(&shop), wanted);

    shop.cli("operator", ["maintenance:on", "--force"]).succeeds();
    assert_eq!(states(&shop), all("stopped"));
    // A node that was started anew, where everything runs at first, is in the state that holds.
    let job = shop.sandbox.node("job1").expect("job1");
    job.start_service("cron").expect("cron");
    job.kill_service("agent").expect("agent");
    job.start_service("agent").expect("agent");
    wait_for("what is held", || states(&shop) == all("stopped"));
    shop.cli("operator", ["maintenance:off", "--force"]).succeeds();
    assert_eq!(states(&shop), wanted, "only what ran before");

    // Another version of the code is taken up; a page that a person put up changes nothing about who starts what.
    shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n"]).succeeds();
    assert_eq!(states(&shop), wanted);
    order(&shop);
    wait_for("the new version", || worked_on(&shop) == "1.0.0|2\n1.0.1|1");
    shop.cli("operator", ["maintenance:on", "--force"]).succeeds();
    shop.cli("developer", ["upgrade", "--reference=1.1.0", "--skip-backup", "-n"]).succeeds();
    assert_eq!(states(&shop), all("stopped"), "maintenance goes on");
    shop.cli("operator", ["maintenance:off", "--force"]).succeeds();
    assert_eq!(states(&shop), wanted);
    order(&shop);
    wait_for("the newest version", || worked_on(&shop) == "1.0.0|2\n1.0.1|1\n1.1.0|1");

    shop.cli("developer", ["service:start:consumer", "job1"]).succeeds();
    assert_eq!(states(&shop), all("running"));
}

/// Whether each service runs, and nobody is going to start it or has to restart it. A consumer is started; that it ends
/// while the broker is still coming up, on the same node, is what a service manager would see to in production.
fn all_is_well(shop: &Shop) -> bool {
    let answer = shop.cli("viewer", ["service:status", "--format=json"]).succeeds().json();
    let mut items = answer["items"].as_array().expect("items").iter();
    items.all(|item| {
        let is_up = item["state"] == "running" || (item["kind"] == "consumer" && item["state"] == "failed");
        is_up && item.get("held").is_none() && item.get("outdated").is_none()
    })
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_job_node_that_was_away_comes_back_with_the_services_that_hold_then() {
    let shop = impatient_with_queue();
    shop.deploy("1.0.0");
    shop.cli("operator", ["maintenance:on", "--force"]).succeeds();
    assert_eq!(states(&shop), all("stopped"));
    let job = shop.sandbox.node("job1").expect("job1");
    job.kill().expect("it is lost");
    let off = shop.cli("operator", ["maintenance:off", "--force"]).ends_with(1);
    assert!(off.stderr.contains("job1"), "{off:#?}");
    assert_eq!(shop.page().0, 200, "visitors do not wait for it: {off:#?}");
    job.start().expect("it comes up");
    until_all_is_well(&shop);

    // One that was switched while its services could not be told runs another release, until the coordinator looks.
    let pid = || job.service("websocket").expect("its state").pid.expect("its process");
    let (before, www) = (pid(), shop.node_dir("job1").join("app/www"));
    let target = std::fs::read_link(&www).expect("its release");
    // Ages are told in seconds.
    wait_for("a service that is old enough", || shop.sql("select pg_sleep(3)").is_empty());
    let beside = www.with_file_name("www.new");
    std::os::unix::fs::symlink(&target, &beside).expect("a link");
    std::fs::rename(&beside, &www).expect("a switch");
    shop.sandbox.node("maint1").expect("maint1").restart_service("agent").expect("it starts again");
    wait_for("another process", || {
        let now = job.service("websocket").expect("its state").pid;
        now.is_some_and(|now| now != before)
    });
    until_all_is_well(&shop);
}

/// Waits for as long as the message broker may take to come up, which is long on a busy machine.
#[track_caller]
fn until_all_is_well(shop: &Shop) {
    let end = Instant::now() + Duration::from_secs(300);
    while !all_is_well(shop) {
        let status = || shop.cli("viewer", ["service:status"]).run();
        let logs = || ["maint1", "job1"].map(|node| shop.sandbox.logs_of(node)).join("\n");
        assert!(Instant::now() < end, "the services are not what they were: {:#?}\n{}", status(), logs());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A sandbox with a job node that gives lost nodes up soon.
fn impatient_with_queue() -> Shop {
    Shop::start_with(Options {
        queue: true,
        agent_environment: vec![("OROCLOUD_PATIENCE".into(), "5".into())],
        ..Options::default()
    })
}
