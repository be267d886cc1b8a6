//! Two operations that exclude each other.

use std::io::{BufRead, BufReader};

use crate::support::{Shop, wait_for};

#[test]
fn a_second_operation_is_told_at_once_who_is_in_the_way() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    let db = shop.sandbox.node("db1").expect("db1");
    let mut first = shop.cli("developer", ["backup:create", "--label=first", "-n"]).spawn();
    let mut shown = BufReader::new(first.stderr.take().expect("stderr")).lines().map_while(Result::ok);
    assert!(shown.any(|line| line.contains("backup:database")), "it has begun");
    // Nothing answers there now, so the backup takes as long as we like.
    db.freeze().expect("frozen");
    wait_for("the first one", || {
        let running = shop.cli("viewer", ["operation:list", "--format=json"]).succeeds().json();
        running["items"].as_array().is_some_and(|items| items.len() == 1)
    });

    let second = shop.cli("developer", ["backup:create", "-n"]).ends_with(6);
    for word in ["dora@acme.example", "backup:create", "since", "backup:database on db1", "operation:wait"] {
        assert!(second.stderr.contains(word), "`{word}`: {second:#?}");
    }
    for read in ["backup:list", "log:list"] {
        shop.cli("viewer", [read]).succeeds();
    }
    for read in ["operation:list", "status"] {
        let answer = shop.cli("viewer", [read]).run();
        assert!(answer.stdout.contains("backup:database on db1"), "{read} tells the step: {answer:#?}");
    }

    db.start().expect("thawed");
    let rest: Vec<String> = shown.collect();
    let code = first.wait().expect("its end").code();
    assert_eq!(code, Some(0), "{rest:#?}\n{}", shop.logs());
    shop.cli("developer", ["backup:create", "-n"]).succeeds();
}
