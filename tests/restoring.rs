//! Moments that cannot be restored to, and moments on more than one branch.

use crate::support::{Shop, deployed, first_backup_is_past, moment, order};

#[test]
fn moments_that_cannot_be_restored_to_are_refused_before_anything_stops() {
    let shop = deployed();
    let future = "2099-01-01T00:00:00Z";
    for (to, code, word) in [
        ("2026-11-24 10:32:00", 2, "Z"),
        ("yesterday", 2, "yesterday"),
        (future, 2, "future"),
        ("2020-01-01T00:00:00Z", 7, "before the first backup"),
    ] {
        let answer = shop
            .cli(
                "operator",
                ["backup:restore", &format!("--to={to}"), "--force", "--confirm=acme-prod1", "-n"],
            )
            .ends_with(code);
        assert!(answer.stderr.contains(word), "{to} names `{word}`: {answer:#?}");
        assert_eq!(shop.page().0, 200);
    }
}

#[test]
fn each_restore_brings_the_branch_that_was_asked_for() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    let force = ["--force", "--confirm=acme-prod1", "-n"];
    let restore = |to: &str, more: &str| {
        let to = format!("--to={to}");
        let mut arguments = vec!["backup:restore", &to];
        arguments.extend(force);
        if !more.is_empty() {
            arguments.push(more);
        }
        let mut cli = shop.cli("operator", []);
        cli.command.args(arguments);
        cli
    };
    first_backup_is_past(&shop);
    order(&shop, 3);
    let first = (shop.orders(), moment(&shop));
    order(&shop, 4);
    let abandoned = (shop.orders(), moment(&shop));
    // The last commit may be an idle while ago: the marker makes such a target reachable.
    restore(&first.1, "").succeeds();
    assert_eq!(shop.orders(), first.0);
    order(&shop, 2);
    let second = (shop.orders(), moment(&shop));
    order(&shop, 2);

    restore(&second.1, "").succeeds();
    assert_eq!(shop.orders(), second.0);
    restore(&first.1, "").succeeds();
    assert_eq!(shop.orders(), first.0, "a moment before the first restore");
    restore(&abandoned.1, "--timeline=1").succeeds();
    assert_eq!(shop.orders(), abandoned.0, "a moment on the branch that was abandoned");
}
