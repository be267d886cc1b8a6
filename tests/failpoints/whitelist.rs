//! `mail.whitelist` of a release on its way: whoever is killed, what the release says that is served holds.

use std::cell::RefCell;

use super::mortal::Mortal;
use super::walk::{Dice, Share, walk};
use crate::sending::{listed, version_with_whitelist};
use crate::smtp::Server;
use crate::support::wait_for;

/// What is killed on the mail node, which the plan does not name.
const ON_MAIL: [&str; 3] = ["mail:hold/node-intent", "mail:hold/node-running", "mail:hold/node-done"];

/// A sandbox that serves a release with a list, and has one without.
fn start() -> Mortal {
    let mortal = Mortal::start_with_mail();
    let shop = &mortal.shop;
    shop.deploy("1.0.0");
    let server = Server { shop, server: "relay1" };
    assert_eq!(server.set("main", &[], &server.password()).code, 0);
    version_with_whitelist(shop, "listed", "allowed.example");
    shop.cli("developer", ["upgrade:source", "--reference=listed", "-n"]).succeeds();
    mortal
}

fn served(mortal: &Mortal) -> String {
    let release = mortal.shop.release_on("web1").expect("a release");
    release.file_name().expect("its name").to_string_lossy().into_owned()
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn following_a_whitelist_killed_at_every_point() {
    let follow = ["smtp:whitelist", "follow"];
    let first = start();
    let mut points = Dice::new().acts_and_undos(&first.planned("operator", &follow), Share::All);
    points.extend(ON_MAIL.map(|point| vec![point.to_owned()]));
    let first = RefCell::new(Some(first));
    let place = || first.take().unwrap_or_else(start);
    walk("smtp:whitelist follow", points, place, |mortal, points| {
        let shop = &mortal.shop;
        let ended = mortal.killed_at(points, "operator", &follow);
        let case = format!("{points:?}: {:#?}", ended.answer);
        mortal.is_whole(&case);
        assert!(!listed(shop).is_empty(), "{case}");
        // Whoever interrupts it, it goes on; a mail node that is lost meanwhile is named, and not waited for.
        let answer = ended.verdict().expect("no web node is left behind");
        assert!(answer.code == 0 || answer.stderr.contains("mail1 may not know yet"), "{case}");
        assert!(answer.code == 0 || points[0].starts_with("mail:hold"), "{case}");
        ended.met()
    });
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_rollback_to_another_whitelist_killed_at_every_point() {
    let planned = start().planned("developer", &["release:rollback"]);
    let mut points = Dice::new().acts_and_undos(&planned, Share::All);
    points.extend(ON_MAIL.map(|point| vec![point.to_owned()]));
    let place = || {
        let mortal = start();
        let name = served(&mortal);
        (mortal, name)
    };
    walk("release:rollback with mail", points, place, |(mortal, with_list), points| {
        let shop = &mortal.shop;
        // Each time from the release without a list to the one with it.
        if served(mortal) == *with_list {
            mortal.shop.cli("developer", ["release:rollback", "-n", "--wait-lock=2m"]).succeeds();
        }
        wait_for("the whitelist to be gone", || listed(shop).is_empty());
        let ended = mortal.killed_at(points, "developer", &["release:rollback", with_list]);
        let case = format!("{points:?}: {:#?}", ended.answer);
        mortal.is_whole(&case);
        let is_served = served(mortal) == *with_list;
        // From the first moment on.
        assert!(!is_served || !listed(shop).is_empty(), "{case}");
        if let Some(answer) = ended.verdict() {
            assert_eq!(is_served, answer.code == 0, "{case}");
        }
        wait_for(&format!("the list of what is served: {case}"), || listed(shop).is_empty() != is_served);
        ended.met()
    });
}
