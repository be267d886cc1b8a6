//! Maintenance mode: up on every web node and said by whom, left alone by what runs meanwhile, and the same on a node
//! that was not there.

use std::process::Child;

use crate::support::{Shop, end, first_backup_is_past, moment, wait_for};

const WEBS: [&str; 2] = ["web1", "web2"];

fn statuses(shop: &Shop) -> [u16; 3] {
    [shop.page_of("web1").0, shop.page_of("web2").0, shop.page().0]
}

fn status(shop: &Shop) -> String {
    shop.cli("viewer", ["maintenance:status"]).succeeds().stdout
}

#[test]
fn the_page_says_who_put_it_up_and_a_restore_leaves_it_there() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    assert_eq!(status(&shop), "off\n");

    shop.cli("developer", ["maintenance:on", "--force"]).ends_with(4);
    shop.cli("operator", ["maintenance:on", "--downtime-duration=1h"]).ends_with(2);
    let plan = shop.cli("operator", ["maintenance:on", "--dry-run"]).succeeds();
    assert!(plan.stdout.contains("maintenance:on [web2]"), "{plan:#?}");
    assert_eq!(statuses(&shop), [200, 200, 200], "a dry run");

    // A request that was accepted before is answered before the page is said to be up.
    let slow = slow_request(&shop, 1500);
    shop.cli(
        "operator",
        ["maintenance:on", "--force", "--downtime-duration=1h30m", "--downtime-comment=new disks"],
    )
    .succeeds();
    assert!(answered(slow), "the page was said to be up while a request was in flight");
    assert_eq!(statuses(&shop), [503, 503, 503]);
    assert!(shop.page().1.contains("maintenance"), "{:?}", shop.page());
    let told = status(&shop);
    assert!(told.starts_with("on\n"), "{told}");
    for word in ["otto@acme.example", "since ", "until ", "because: new disks"] {
        assert!(told.contains(word), "`{word}`: {told}");
    }
    let board = shop.cli("viewer", ["status"]).succeeds();
    assert!(board.stdout.contains("new disks"), "{board:#?}");

    // A restore puts up a page of its own, and takes down only that.
    first_backup_is_past(&shop);
    let to = format!("--to={}", moment(&shop));
    shop.cli("operator", ["backup:restore", &to, "--force", "--confirm=acme-prod1", "-n"]).succeeds();
    assert_eq!(statuses(&shop), [503, 503, 503], "after a restore");
    let told = status(&shop);
    assert!(told.contains("because: new disks") && !told.contains("for the operation"), "{told}");

    // Once more by somebody else, without a word: it stays whose it is.
    shop.cli("owner", ["maintenance:on", "--force"]).succeeds();
    assert!(status(&shop).contains("otto@acme.example"));

    let off = shop.cli("operator", ["maintenance:off", "--force", "--format=json"]).succeeds().json();
    assert_eq!((&off["on"], &off["ordered"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(statuses(&shop), [200, 200, 200]);
    assert_eq!(status(&shop), "off\n");
    shop.cli("operator", ["maintenance:off", "--force"]).succeeds();
    for node in WEBS {
        assert!(!shop.node_dir(node).join("app/shared/maintenance").exists(), "{node}");
    }
}

#[test]
fn an_emergency_needs_no_lock_that_a_stuck_upgrade_holds() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    // Nothing comes from there any more, so the upgrade takes as long as we like.
    let git = shop.sandbox.node("git").expect("git");
    git.freeze().expect("frozen");
    let upgrade = shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n"]).spawn();
    wait_for("the upgrade", || {
        let running = shop.cli("viewer", ["operation:list", "--format=json"]).succeeds().json();
        running["items"].as_array().is_some_and(|items| items.len() == 1)
    });

    let locked = shop.cli("operator", ["maintenance:on", "--force"]).ends_with(6);
    assert!(locked.stderr.contains("upgrade:source"), "{locked:#?}");
    assert_eq!(statuses(&shop), [200, 200, 200]);
    shop.cli("operator", ["emergency:on", "--force", "--downtime-comment=orders twice"]).succeeds();
    assert_eq!(statuses(&shop), [503, 503, 503]);
    let told = status(&shop);
    assert!(
        told.starts_with("on\n") && told.contains("emergency") && told.contains("orders twice"),
        "{told}"
    );
    shop.cli("operator", ["emergency:off", "--force"]).succeeds();
    assert_eq!(statuses(&shop), [200, 200, 200]);
    assert_eq!(status(&shop), "off\n");
    end(upgrade, "KILL");
}

/// A request that takes its time, once PHP-FPM has it.
fn slow_request(shop: &Shop, milliseconds: u32) -> Child {
    let url = shop.sandbox.node_url("web1").expect("web1");
    let child = std::process::Command::new("curl")
        .args(["--silent", "--max-time", "60", "--output", "/dev/null", "--write-out", "%{http_code}"])
        .arg(format!("{url}slow?ms={milliseconds}"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("curl");
    let status = format!("{url}fpm-status?json&full");
    wait_for("the slow request", || {
        let output =
            std::process::Command::new("curl").args(["--silent", &status]).output().expect("curl").stdout;
        String::from_utf8_lossy(&output).contains("ms=")
    });
    child
}

/// Whether it has ended already, well.
fn answered(mut request: Child) -> bool {
    // The program that asked needs a moment more than the one that answered.
    let mut ended = None;
    for _ in 0..100 {
        ended = request.try_wait().expect("curl");
        if ended.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let output = request.wait_with_output().expect("curl").stdout;
    ended.is_some_and(|status| status.success()) && output == b"200"
}
