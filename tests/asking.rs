//! Questions at a terminal, and what becomes of each answer.

use crate::support::terminal::Terminal;
use crate::support::{Shop, first_backup_is_past, moment, order};

/// A command at a terminal.
pub fn at_terminal<const N: usize>(shop: &Shop, caller: &str, arguments: [&str; N]) -> Terminal {
    let mut cli = shop.cli(caller, arguments);
    cli.command.env("TERM", "xterm");
    Terminal::start(cli.command)
}

#[test]
fn a_person_is_asked_and_only_the_right_answer_restores() {
    let shop = Shop::start();

    let mut deploy = at_terminal(&shop, "developer", ["deploy"]);
    deploy.wait_for("Tag, branch or commit to deploy");
    deploy.types("--force\r");
    assert_eq!(deploy.ends(), 2, "no reference");
    assert_eq!(shop.release_on("web1"), None);
    let mut deploy = at_terminal(&shop, "developer", ["deploy"]);
    deploy.wait_for("Tag, branch or commit to deploy");
    deploy.types("1.0.0\r");
    deploy.wait_for("Deployed 1.0.0");
    assert_eq!(deploy.ends(), 0);

    first_backup_is_past(&shop);
    order(&shop, 3);
    let (before, to) = (shop.orders(), format!("--to={}", moment(&shop)));
    shop.sql("delete from orders");

    // What is lost and won is shown before it is asked.
    let mut wrong = at_terminal(&shop, "operator", ["backup:restore", &to]);
    wrong.wait_for("orders");
    wrong.wait_for("Type the environment's name to go on");
    wrong.types("acme-stag1\r");
    wrong.wait_for("the name was not typed");
    assert_eq!(wrong.ends(), 7);
    assert_eq!(shop.orders(), 0, "another environment's name");

    let mut no = at_terminal(&shop, "operator", ["backup:restore", &to, "--confirm=acme-prod1"]);
    no.wait_for("[y/N]");
    no.types("n");
    no.wait_for("the answer was no");
    assert_eq!(no.ends(), 7);
    assert_eq!(shop.orders(), 0, "no");

    let mut right = at_terminal(&shop, "operator", ["backup:restore", &to]);
    right.wait_for("Type the environment's name to go on");
    right.types("acme-prod1\r");
    right.wait_for("Restored to");
    right.wait_for("--undo=");
    assert_eq!(right.ends(), 0);
    assert_eq!(shop.orders(), before);

    let list = shop.cli("viewer", ["log:list", "--format=json"]).succeeds().json();
    let restore =
        list["items"].as_array().expect("items").iter().find(|item| item["method"] == "backup.restore");
    let undo = format!("--undo={}", restore.expect("the restore")["id"].as_str().expect("an id"));
    let mut yes = at_terminal(&shop, "operator", ["backup:restore", &undo, "--confirm=acme-prod1"]);
    yes.wait_for("[y/N]");
    yes.types("y");
    yes.wait_for("Undone");
    assert_eq!(yes.ends(), 0);
    assert_eq!(shop.orders(), 0, "yes");
}
