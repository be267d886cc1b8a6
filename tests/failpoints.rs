//! Every step of the operations that change the environment: the coordinator, then the agent of the node where the step
//! runs, is killed once the intent is on disk, while the act runs, and once it is done but not recorded. Started again,
//! the environment is whole, nothing is lost, the locks are free, and the same id gives the outcome.
//!
//! The steps come from the plan, so one that is added later is killed too. CI walks a part that `OROCLOUD_FAILPOINT_SEED`
//! chooses, the same one at every run; `cargo xtask test --all` walks them all.

mod mail;
mod mortal;
mod signing;
mod walk;
mod whitelist;

use crate::support::{Answer, first_backup_is_past, moment, order, wait_for};
use mortal::Mortal;
use walk::{Deaths, Dice, Met, Share, walk};

/// Without an answer of the agent nothing destructive begins.
const SURE: [&str; 2] = ["--force", "--confirm=acme-prod1"];

/// A sandbox that serves 1.0.0.
fn deployed() -> Mortal {
    let mortal = Mortal::start();
    mortal.shop.deploy("1.0.0");
    mortal
}

fn walk_deploy(share: Share) {
    const DEPLOY: [&str; 2] = ["deploy", "--reference=1.0.0"];
    let planned = Mortal::start().planned("developer", &DEPLOY);
    assert!(planned.steps.len() > 10, "{:?}", planned.steps);
    walk("deploy", Dice::new().acts_and_undos(&planned, share), Mortal::start, |mortal, points| {
        let ended = mortal.killed_at(points, "developer", &DEPLOY);
        let release = mortal.is_whole(&format!("{points:?}"));
        if let Some(answer) = ended.verdict() {
            assert_eq!(release.is_some(), answer.code == 0, "{points:?}: {answer:#?}");
        }
        if release.is_none() {
            let tables = mortal.shop.sql("select count(*) from pg_tables where schemaname = 'public'");
            assert_eq!(tables, "0", "{points:?}");
            return ended.met();
        }
        assert_eq!(mortal.shop.sql("select count(*) from oro_user"), "1", "{points:?}");
        // A first installation is what is walked.
        Met::UsedUp
    });
}

fn walk_backup(share: Share) {
    let planned = deployed().planned("developer", &["backup:create"]);
    walk("backup:create", Dice::new().acts(&planned, share), deployed, |mortal, points| {
        let shop = &mortal.shop;
        order(shop, 1);
        let orders = shop.orders();
        let label = format!("--label={}", points[0].replace([':', '/'], "-"));
        let ended = mortal.killed_at(points, "developer", &["backup:create", &label]);
        mortal.is_whole(&format!("{points:?}"));
        assert_eq!(shop.orders(), orders, "{points:?}");
        let list = mortal.run("viewer", &["backup:list", "--per-page=500", "--format=json"]);
        let made = list.stdout.matches(&format!("\"{}\"", &label["--label=".len()..])).count();
        if let Some(answer) = ended.verdict() {
            assert_eq!(made, usize::from(answer.code == 0), "{points:?}: {answer:#?}\n{list:#?}");
        }
        ended.met()
    });
}

/// Another version under the page, node after node or by its source alone, or back to the release before.
fn walk_code(name: &str, share: Share) {
    let start = || {
        let mortal = deployed();
        mortal.shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n"]).succeeds();
        order(&mortal.shop, 3);
        mortal
    };
    let target = |mortal: &Mortal, reference: &str| match name {
        "release:rollback" => {
            let list = mortal.run("viewer", &["release:list", "--format=json"]).json();
            let mut items = list["items"].as_array().expect("items").iter();
            let item = items.find(|item| item["reference"] == reference).expect("it is kept");
            item["release"].as_str().expect("its name").to_owned()
        }
        _ => format!("--reference={reference}"),
    };
    let planned = {
        let mortal = start();
        mortal.planned("developer", &[name, &target(&mortal, "1.0.0")])
    };
    walk(name, Dice::new().acts_and_undos(&planned, share), start, |mortal, points| {
        let shop = &mortal.shop;
        let orders = shop.orders();
        let served = shop.version_on("web1");
        let wanted = if served == "1.0.1" { "1.0.0" } else { "1.0.1" };
        let ended = mortal.killed_at(points, "developer", &[name, &target(mortal, wanted)]);
        let case = format!("{points:?} of {name}: {:#?}", ended.answer);
        mortal.is_whole(&case);
        let version = shop.version_on("web1");
        assert_eq!(version, shop.version_on("web2"), "{case}");
        assert!([&served, wanted].contains(&version.as_str()), "{version}: {case}");
        assert_eq!(shop.orders(), orders, "{case}");
        if let Some(answer) = ended.verdict() {
            // Commands of the application behind the switch run once at most: where they did not, that is told.
            let told = answer.stderr.contains("error: hooks:post-") && answer.code == 1;
            assert_eq!(version == wanted, answer.code == 0 || told, "{version}: {case}");
        }
        ended.met()
    });
}

/// The page on all web nodes or on none, as the answer says.
fn walk_maintenance(share: Share) {
    for (name, opposite, status) in
        [("maintenance:on", "maintenance:off", 503), ("maintenance:off", "maintenance:on", 200)]
    {
        let planned = deployed().planned("operator", &[name]);
        walk(name, Dice::new().acts_and_undos(&planned, share), deployed, |mortal, points| {
            let shop = &mortal.shop;
            shop.cli("operator", [opposite, "--force", "-n", "--wait-lock=2m"]).succeeds();
            let ended = mortal.killed_at(points, "operator", &[name, "--force"]);
            let case = format!("{points:?} of {name}: {:#?}", ended.answer);
            let seen = ["web1", "web2"].map(|node| shop.page_of(node).0);
            assert_eq!(seen[0], seen[1], "{case}");
            assert!([200, 503].contains(&seen[0]), "{seen:?}: {case}");
            let told = mortal.run("viewer", &["maintenance:status", "--format=json"]).json();
            assert_eq!(told["on"], seen[0] == 503, "{case}");
            if let Some(answer) = ended.verdict() {
                assert_eq!(seen[0] == status, answer.code == 0, "{seen:?}: {case}");
            }
            wait_for(&format!("the page: {case}"), || shop.page().0 == seen[0]);
            ended.met()
        });
    }
}

/// A shop whose past can be gone back to.
fn with_a_past() -> Mortal {
    let mortal = deployed();
    first_backup_is_past(&mortal.shop);
    mortal
}

fn walk_restore(share: Share) {
    let planned = {
        let mortal = with_a_past();
        mortal.planned("operator", &["backup:restore", &format!("--to={}", moment(&mortal.shop))])
    };
    let points = Dice::new().acts_and_undos(&planned, share);
    walk("backup:restore", points, with_a_past, |mortal, points| {
        let shop = &mortal.shop;
        order(shop, 3);
        let (before, to) = (shop.orders(), format!("--to={}", moment(shop)));
        shop.sql("delete from orders");
        order(shop, 1);
        let restore = [&["backup:restore", to.as_str()][..], &SURE].concat();
        let ended = mortal.killed_at(points, "operator", &restore);
        mortal.is_whole(&format!("{points:?}"));
        if let Some(answer) = ended.verdict() {
            let expected = if answer.code == 0 { before } else { 1 };
            assert_eq!(shop.orders(), expected, "{points:?}: {answer:#?}");
        }
        ended.met()
    });
}

/// A shop that was brought to its past, and the option that takes this back.
struct Restored {
    mortal: Mortal,
    undo: String,
    /// Orders as it is, and on the other side.
    orders: [u64; 2],
}

fn undo_in(answer: &Answer) -> String {
    let text = answer.text();
    let at = text.find("--undo=").unwrap_or_else(|| panic!("no undo is printed: {answer:#?}"));
    let word = text[at..].split_whitespace().next().unwrap_or_default();
    word.trim_matches(['`', '"', '\'', '.']).to_owned()
}

impl Restored {
    fn start() -> Self {
        let mortal = with_a_past();
        let shop = &mortal.shop;
        let (past, to) = (shop.orders(), format!("--to={}", moment(shop)));
        order(shop, 2);
        let answer = shop
            .cli("operator", ["backup:restore", &to, "-n", SURE[0], SURE[1], "--wait-lock=2m"])
            .succeeds();
        let undo = undo_in(&answer);
        Self { mortal, undo, orders: [past, past + 2] }
    }
}

/// Undo of a restore, undo of that, and so on: each brings the other side.
fn walk_undo(share: Share) {
    let planned = {
        let restored = Restored::start();
        restored.mortal.planned("operator", &["backup:restore", &restored.undo])
    };
    let points: Vec<Deaths> = Dice::new().acts_and_undos(&planned, share);
    walk("backup:restore --undo", points, Restored::start, |restored, points| {
        let command = [&["backup:restore", restored.undo.as_str()][..], &SURE].concat();
        let ended = restored.mortal.killed_at(points, "operator", &command);
        restored.mortal.is_whole(&format!("{points:?}"));
        // Where a node was left behind nobody says which side it is.
        let Some(answer) = ended.verdict() else { return Met::UsedUp };
        if answer.code == 0 {
            restored.orders.reverse();
            restored.undo = undo_in(answer);
        }
        assert_eq!(restored.mortal.shop.orders(), restored.orders[0], "{points:?}: {answer:#?}");
        ended.met()
    });
}

#[test]
fn a_deployment_killed_at_some_points() {
    walk_deploy(Share::OneIn(4));
}

#[test]
fn a_backup_killed_at_some_points() {
    walk_backup(Share::OneIn(4));
}

#[test]
fn a_restore_killed_at_some_points() {
    walk_restore(Share::OneIn(4));
}

#[test]
fn the_undo_of_a_restore_killed_at_some_points() {
    walk_undo(Share::OneIn(4));
}

#[test]
fn an_upgrade_of_the_source_killed_at_some_points() {
    walk_code("upgrade:source", Share::Some(3));
}

#[test]
fn an_upgrade_killed_at_some_points() {
    walk_code("upgrade", Share::Some(2));
}

#[test]
fn a_rolling_upgrade_killed_at_some_points() {
    walk_code("upgrade:rolling", Share::Some(2));
}

#[test]
fn a_rollback_killed_at_some_points() {
    walk_code("release:rollback", Share::Some(2));
}

#[test]
fn maintenance_killed_at_some_points() {
    walk_maintenance(Share::Some(2));
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_deployment_killed_at_every_point() {
    walk_deploy(Share::All);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_backup_killed_at_every_point() {
    walk_backup(Share::All);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_restore_killed_at_every_point() {
    walk_restore(Share::All);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn the_undo_of_a_restore_killed_at_every_point() {
    walk_undo(Share::All);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn an_upgrade_of_the_source_killed_at_every_point() {
    walk_code("upgrade:source", Share::All);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn an_upgrade_killed_at_every_point() {
    walk_code("upgrade", Share::All);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_rolling_upgrade_killed_at_every_point() {
    walk_code("upgrade:rolling", Share::All);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_rollback_killed_at_every_point() {
    walk_code("release:rollback", Share::All);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn maintenance_killed_at_every_point() {
    walk_maintenance(Share::All);
}
