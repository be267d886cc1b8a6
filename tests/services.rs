//! Consumers, cron and websocket on a node of their own, with real messages: stopped and started with the page, exactly
//! those that ran, on the release that is served.

use std::process::Command;

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
#[ignore = "slow: cargo xtask test --all"]
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
    shop.cli("developer", ["upgrade", "--reference=1.1.0", "-n"]).succeeds();
    assert_eq!(states(&shop), all("stopped"), "maintenance goes on");
    shop.cli("operator", ["maintenance:off", "--force"]).succeeds();
    assert_eq!(states(&shop), wanted);
    order(&shop);
    wait_for("the newest version", || worked_on(&shop) == "1.0.0|2\n1.0.1|1\n1.1.0|1");

    shop.cli("developer", ["service:start:consumer", "job1"]).succeeds();
    assert_eq!(states(&shop), all("running"));
}
