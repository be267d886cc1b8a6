//! After a downgrade: what a newer agent wrote is not guessed at, it is named, and everything else goes on.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Shop, wait_for};

/// The ids of all operations, newest first, and how many there are said to be.
fn listed(shop: &Shop) -> (Vec<Value>, u64) {
    let list = shop.cli("viewer", ["log:list", "--format=json"]).succeeds().json();
    (list["items"].as_array().expect("items").clone(), list["total"].as_u64().expect("a number"))
}

fn record_of(shop: &Shop, id: &str) -> PathBuf {
    let months = std::fs::read_dir(shop.sandbox.journal_dir()).expect("the journal").flatten();
    let mut folders = months.map(|month| month.path().join(id));
    folders.find(|folder| folder.is_dir()).expect("its folder").join("operation.json")
}

#[test]
fn a_journal_of_a_newer_format_is_named_and_holds_all_locks_until_it_is_let_go() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    shop.cli("developer", ["backup:create", "-n"]).succeeds();
    let (items, total) = listed(&shop);
    let id = |index: usize| items[index]["id"].as_str().expect("an id").to_owned();
    // One had ended, the other one had not. Of the newer one's words nothing is left but the number.
    let (open, ended) = (id(0), id(1));
    let maint = shop.sandbox.node("maint1").expect("maint1");
    maint.kill_service("agent").expect("killed");
    for id in [&open, &ended] {
        let record = record_of(&shop, id);
        std::fs::write(&record, "{ \"format\": 99, \"what\": [\"nobody\", \"knows\"] }\n").expect("written");
    }
    std::fs::write(shop.sandbox.journal_dir().join("unended").join(&open), "").expect("a mark");
    maint.start_service("agent").expect("it starts with them");
    wait_for("the coordinator", || shop.cli("viewer", ["operation:list"]).run().code == 0);

    let (now, counted) = listed(&shop);
    assert_eq!((now.len(), counted), (items.len(), total), "{now:#?}");
    for id in [&open, &ended] {
        let file = record_of(&shop, id).display().to_string();
        let why = format!("{file} has format 99");
        let item = now.iter().find(|item| item["id"] == **id).expect("it is listed");
        assert_eq!(item["state"], "unknown", "{item:#}");
        assert!(item["error"]["message"].as_str().is_some_and(|told| told.contains(&why)), "{item:#}");
        let view = shop.cli("viewer", ["log:view", id]).ends_with(1);
        assert!(view.stderr.contains(&why) && view.stderr.contains("upgrade the agent"), "{view:#?}");
    }
    let table = shop.cli("viewer", ["log:list"]).succeeds();
    assert!(
        table.stdout.contains("its journal cannot be read") && table.stdout.contains(&open),
        "{table:#?}"
    );

    let file = record_of(&shop, &open).display().to_string();
    let status = shop.cli("viewer", ["status"]).succeeds();
    assert!(status.stdout.contains(&open) && status.stdout.contains("format 99"), "{status:#?}");
    let locked = shop.cli("developer", ["backup:create", "-n"]).ends_with(6);
    let way_out = format!("orocloud-cli operation:cancel {open} --give-up");
    for word in [file.as_str(), "format 99", &way_out] {
        assert!(locked.stderr.contains(word), "`{word}` in {locked:#?}");
    }
    shop.cli("operator", ["operation:cancel", &open, "--give-up"]).ends_with(4);
    shop.cli("owner", ["operation:cancel", &open, "--give-up"]).run();
    shop.cli("developer", ["backup:create", "-n"]).succeeds();
    assert_eq!(listed(&shop).1, total + 1);

    // What it keeps besides journals.
    let points = shop.node_dir("maint1").join("state/points");
    let point = std::fs::read_dir(&points).expect("points").flatten().next().expect("a point").path();
    std::fs::write(&point, "{ \"format\": 99 }\n").expect("written");
    let list = shop.cli("viewer", ["backup:list"]).ends_with(1);
    assert!(
        list.stderr.contains(&point.display().to_string()) && list.stderr.contains("format 99"),
        "{list:#?}"
    );
    maint.restart_service("agent").expect("it starts with that too");
    wait_for("the coordinator", || shop.cli("viewer", ["log:list"]).run().code == 0);
}
