//! Which moment is meant by a target, whether it can be reached, and that it is the one that comes back.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::{Cli, Shop, first_backup_is_past, moment, order, wait_for};

const CONFIRMED: [&str; 3] = ["--force", "--confirm=acme-prod1", "-n"];

fn restore<'a>(shop: &'a Shop, options: &[&str]) -> Cli<'a> {
    let mut cli = shop.cli("operator", ["backup:restore"]);
    cli.command.args(options).args(CONFIRMED);
    cli
}

fn preview(shop: &Shop, to: &str) -> Value {
    let to = format!("--to={to}");
    shop.cli("operator", ["backup:restore", &to, "--preview", "--format=json", "-n"]).succeeds().json()
}

fn orders_then(preview: &Value) -> u64 {
    let tables = preview["tables"].as_array().expect("tables");
    let orders = tables.iter().find(|table| table["table"] == "orders").expect("orders");
    orders["then"].as_u64().expect("rows")
}

/// When the live server began, and what the shop answers.
fn undisturbed(shop: &Shop) -> (String, u16) {
    (shop.sql("select pg_postmaster_start_time()"), shop.page().0)
}

/// The target in the hint that an error ends with.
fn offered(stderr: &str) -> String {
    let at = stderr.find("--to=").unwrap_or_else(|| panic!("no moment is offered: {stderr}"));
    stderr[at..].split_whitespace().next().unwrap_or_default().to_owned()
}

/// Ends the present segment of the WAL and waits until it is archived; its name.
fn archive(shop: &Shop) -> String {
    let segment = shop.sql("select pg_walfile_name(pg_switch_wal())");
    wait_for("the archive", || {
        shop.sql("select last_archived_wal from pg_stat_archiver").get(8..) >= segment.get(8..)
    });
    segment
}

/// An archived segment in the repository.
fn archived(shop: &Shop, segment: &str) -> PathBuf {
    let folder =
        shop.sandbox.dir().join("repository/pgbackrest/archive/acme-prod1/15-1").join(&segment[..16]);
    std::fs::read_dir(&folder)
        .expect("the archive")
        .map(|entry| entry.expect("a file").path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(segment)))
        .unwrap_or_else(|| panic!("{segment} is not in {}", folder.display()))
}

#[test]
fn a_target_is_one_moment_however_it_is_written_and_refused_where_it_is_none() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    first_backup_is_past(&shop);
    order(&shop, 3);
    // Nothing is committed after it: an idle minute.
    let (orders, target) = (shop.orders(), moment(&shop));
    let at: Timestamp = target.parse().expect("a moment");
    let zoned = |zone: &str, format: &str| at.in_tz(zone).expect(zone).strftime(format).to_string();
    let written = [
        target.clone(),
        zoned("Asia/Kathmandu", "%Y-%m-%dT%H:%M:%S%.6f%:z"),
        zoned("Africa/Nairobi", "%Y-%m-%d %H:%M:%S%.6f Africa/Nairobi"),
        zoned("Asia/Tokyo", "%Y-%m-%dT%H:%M:%S%.6f%:z[Asia/Tokyo]"),
    ];
    let lsns: Vec<Value> = written
        .iter()
        .map(|to| {
            let preview = preview(&shop, to);
            assert_eq!(orders_then(&preview), orders, "{to}: {preview}");
            preview["lsn"].clone()
        })
        .collect();
    assert!(lsns.iter().all(|lsn| lsn.is_string() && *lsn == lsns[0]), "{written:?} reach {lsns:?}");

    let before = undisturbed(&shop);
    assert_eq!(before.1, 200);
    let points = shop.cli("viewer", ["backup:list", "--format=json"]).succeeds().json();
    let first = points["items"].as_array().and_then(|items| items.last()).expect("a recovery point");
    let inside = first["database"]["started_at"].as_str().expect("its begin");
    let early = inside.parse::<Timestamp>().expect("a moment") - SignedDuration::from_secs(1);
    for (to, code, word) in [
        ("2026-11-24 10:32:00", 2, "time zone"),
        ("yesterday", 2, "yesterday"),
        ("2026-03-29 03:30 Europe/Kyiv", 2, "does not exist"),
        ("2025-10-26 03:30 Europe/Kyiv", 2, "happens twice"),
        ("2099-01-01T00:00:00Z", 2, "future"),
        ("2020-01-01T00:00:00Z", 7, "before the first backup"),
        (&early.to_string(), 7, "before the first backup"),
        (inside, 7, "inside the first backup"),
    ] {
        let answer = restore(&shop, &[&format!("--to={to}")]).ends_with(code);
        assert!(answer.stderr.contains(word), "{to} names `{word}`: {answer:#?}");
        assert!(answer.stderr.contains("hint: "), "{to} shows what to type: {answer:#?}");
    }

    // A segment of the archive is lost, and a later moment is behind the hole.
    let _ = archive(&shop);
    order(&shop, 2);
    let lost = archive(&shop);
    order(&shop, 4);
    let behind = moment(&shop);
    archive(&shop);
    std::fs::remove_file(archived(&shop, &lost)).expect("a segment");
    let answer = restore(&shop, &[&format!("--to={behind}")]).ends_with(7);
    assert!(answer.stderr.contains("WAL is missing"), "{answer:#?}");
    assert_eq!(undisturbed(&shop), before, "nothing was stopped");
    let offered = offered(&answer.stderr);
    let reached = preview(&shop, offered.trim_start_matches("--to="));
    assert_eq!(orders_then(&reached), orders, "{offered} is reached");
}

#[test]
fn each_restore_brings_the_branch_that_was_asked_for() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    first_backup_is_past(&shop);
    order(&shop, 3);
    let first = (shop.orders(), moment(&shop));
    order(&shop, 4);
    let abandoned = (shop.orders(), moment(&shop));
    // The last commit may be an idle while ago: the marker makes such a target reachable.
    restore(&shop, &[&format!("--to={}", first.1)]).succeeds();
    assert_eq!(shop.orders(), first.0);
    order(&shop, 2);
    let second = (shop.orders(), moment(&shop));
    order(&shop, 2);

    restore(&shop, &[&format!("--to={}", second.1)]).succeeds();
    assert_eq!(shop.orders(), second.0);
    restore(&shop, &[&format!("--to={}", first.1)]).succeeds();
    assert_eq!(shop.orders(), first.0, "a moment before the first restore");

    // A moment on the branch that was abandoned: asked which, and what is typed is the answer.
    let to = format!("--to={}", abandoned.1);
    let asked = restore(&shop, &[&to]).ends_with(7);
    assert!(asked.stderr.contains("--timeline=1"), "{asked:#?}");
    assert_eq!(shop.orders(), first.0);
    restore(&shop, &[&to, "--timeline=1"]).succeeds();
    assert_eq!(shop.orders(), abandoned.0);
}

#[test]
fn with_the_live_database_dead_its_last_archived_commit_is_offered_and_reached() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    first_backup_is_past(&shop);
    order(&shop, 5);
    let orders = shop.orders();
    archive(&shop);
    order(&shop, 1);
    let late = moment(&shop);
    let db = shop.sandbox.node("db1").expect("db1");
    db.kill_service("postgresql").expect("it dies");

    let answer = restore(&shop, &[&format!("--to={late}")]).ends_with(7);
    assert!(answer.stderr.contains("after the last archived commit"), "{answer:#?}");
    let offered = offered(&answer.stderr);
    restore(&shop, &[&offered]).succeeds();
    // The last one too where a slow minute passed meanwhile.
    let all = orders..=orders + 1;
    assert!(all.contains(&shop.orders()), "{}, all that was archived: {answer:#?}", shop.orders());
    wait_for("the shop", || shop.page().0 == 200);
    order(&shop, 1);
}
