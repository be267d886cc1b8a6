//! Another version in place of the one that is served.

use crate::hostile::branch;
use crate::support::{Shop, first_backup_is_past, order};

#[test]
fn code_alone_and_code_with_database() {
    let shop = Shop::start();
    let nothing = shop.cli("developer", ["upgrade", "--reference=1.0.1", "-n"]).ends_with(7);
    assert!(nothing.stderr.contains("orocloud-cli deploy --reference=1.0.1"), "{nothing:#?}");
    shop.deploy("1.0.0");
    order(&shop, 3);
    let orders = shop.orders();
    shop.cli("viewer", ["upgrade:source", "--reference=1.0.1", "-n"]).ends_with(4);
    let missing = shop.cli("developer", ["upgrade:source", "-n"]).ends_with(2);
    assert!(missing.stderr.contains("orocloud-cli upgrade:source --reference="), "{missing:#?}");

    let plan = shop.cli("developer", ["upgrade", "--tag=1.1.0", "--dry-run", "-n"]).succeeds();
    assert!(plan.text().contains("application:upgrade [web1]  ← from here on"), "{plan:#?}");
    assert!(plan.text().contains("web2: 1.0.0 ("), "versions per node: {plan:#?}");
    assert!(
        plan.text().contains("the database gets what upgrade_commands of the new release do"),
        "{plan:#?}"
    );
    assert!(plan.text().contains("under the maintenance page"), "{plan:#?}");
    assert_eq!(shop.version_on("web1"), "1.0.0", "a dry run changes nothing");

    let source = shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n"]).succeeds();
    assert!(source.stdout.contains("Upgraded to 1.0.1"), "{source:#?}");
    for node in ["web1", "web2"] {
        assert_eq!(shop.version_on(node), "1.0.1");
    }
    assert_eq!(shop.sql("select max(version) from schema_version"), "1");
    let plan = shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "--dry-run", "-n"]).succeeds();
    assert!(plan.text().contains("source:build [maint1]  usually "), "known from the last time: {plan:#?}");
    assert!(plan.text().contains("the database is not touched"), "{plan:#?}");

    let upgrade = shop.cli("developer", ["upgrade", "--reference=1.1.0", "-n", "-v"]).succeeds();
    assert!(upgrade.stdout.contains("Recovery point from before: "), "{upgrade:#?}");
    assert!(upgrade.stderr.contains("migration 2: coupons on orders"), "the dry run is shown: {upgrade:#?}");
    for node in ["web1", "web2"] {
        assert_eq!(shop.version_on(node), "1.1.0");
    }
    assert_eq!(shop.page().0, 200, "the maintenance page is down");
    assert_eq!(shop.sql("select max(version) from schema_version"), "2");
    assert_eq!(shop.orders(), orders);
}

#[test]
fn an_update_that_fails_goes_back_by_itself_or_names_the_command_that_does() {
    let shop = Shop::start();
    shop.deploy("1.1.0");
    first_backup_is_past(&shop);
    order(&shop, 5);
    let orders = shop.orders();

    // Before the database has changed: as if nothing had been.
    let broken = shop.cli("developer", ["upgrade", "--reference=2.0.0-broken", "-n"]).ends_with(1);
    assert!(broken.stderr.contains("oro:platform:update"), "{broken:#?}");
    assert_eq!(shop.page().0, 200, "the page is down again: {broken:#?}");
    assert_eq!(shop.version_on("web1"), "1.1.0");
    order(&shop, 1);

    // After: the page stays, and the error says how everything stands.
    let halfway = shop.cli("developer", ["upgrade", "--reference=1.2.0-halfway", "-n"]).ends_with(1);
    for node in ["web1", "web2"] {
        assert_eq!(shop.page_of(node).0, 503, "{node} stays in maintenance: {halfway:#?}");
    }
    assert_eq!(shop.sql("select max(version) from schema_version"), "3");
    for said in ["code: 1.1.0", "its schema is changed", "maintenance mode: on"] {
        assert!(halfway.stderr.contains(said), "{said:?} is said: {halfway:#?}");
    }

    // The command that it names goes back.
    let command = halfway.stderr.split("orocloud-cli backup:restore ").nth(1).expect("a command to type");
    let to = command.split_whitespace().next().expect("a moment");
    assert!(command.contains("--database-only"), "{halfway:#?}");
    let confirmed = ["backup:restore", to, "--database-only", "--force", "--confirm=acme-prod1", "-n"];
    let restored = shop.cli("operator", confirmed).succeeds();
    assert_eq!(shop.sql("select max(version) from schema_version"), "2");
    assert_eq!(shop.orders(), orders + 1);
    for node in ["web1", "web2"] {
        assert_eq!(shop.page_of(node).0, 200, "{node} is out of maintenance: {restored:#?}");
        assert_eq!(shop.version_on(node), "1.1.0");
    }
}

#[test]
fn a_rollback_goes_to_the_last_good_release_while_the_schema_is_the_same() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    let nowhere = shop.cli("developer", ["release:rollback", "-n"]).ends_with(7);
    assert!(nowhere.stderr.contains("nothing to go back to"), "{nowhere:#?}");
    let good = shop.release_on("web1").expect("a release");
    // As many failures as releases are kept, one of which was switched to, and then one that cleans up.
    for _ in 0..4 {
        shop.cli("developer", ["upgrade:source", "--reference=1.0.2-badconfig", "-n"]).ends_with(1);
    }
    branch(&shop, "pageless", &[("public/index.php", "<?php http_response_code(500);")]);
    let pageless = shop.cli("developer", ["upgrade:source", "--reference=pageless", "-n"]).ends_with(1);
    assert!(
        pageless.stderr.contains("frontend:check") && pageless.stderr.contains("was undone"),
        "{pageless:#?}"
    );
    shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n"]).succeeds();
    for node in ["web1", "web2"] {
        let kept = std::fs::read_dir(shop.node_dir(node).join("app/deploy")).expect("releases");
        let kept: Vec<_> = kept.flatten().map(|release| release.file_name()).collect();
        assert!(kept.len() == 2 && kept.iter().any(|name| Some(&**name) == good.file_name()), "{kept:?}");
    }

    let back = shop.cli("developer", ["release:rollback", "-n"]).succeeds();
    for node in ["web1", "web2"] {
        assert_eq!(shop.version_on(node), "1.0.0");
    }
    // What it prints undoes it.
    let undo = back.stdout.split("orocloud-cli release:rollback ").nth(1).expect("the undo");
    let release = undo.split_whitespace().next().expect("a release");
    shop.cli("developer", ["release:rollback", release, "-n"]).succeeds();
    assert_eq!(shop.version_on("web2"), "1.0.1");

    shop.cli("developer", ["upgrade", "--reference=1.1.0", "-n"]).succeeds();
    let list = shop.cli("viewer", ["release:list", "--format=json"]).succeeds().json();
    let items = list["items"].as_array().expect("items");
    let seen: Vec<_> =
        items.iter().map(|item| (item["reference"].as_str(), item["state"].as_str())).collect();
    let expected = [("1.1.0", "current"), ("1.0.1", "kept"), ("pageless", "failed"), ("1.0.0", "kept")];
    assert_eq!(seen, expected.map(|(reference, state)| (Some(reference), Some(state))));

    // The database is ahead of 1.0.1 now: code alone does not go back, the recovery point from before does.
    let refused = shop.cli("developer", ["release:rollback", "-n"]).ends_with(7);
    assert!(refused.stderr.contains("the schema of the database is another one"), "{refused:#?}");
    assert_eq!(shop.version_on("web1"), "1.1.0");
    let command = refused.stderr.split("orocloud-cli backup:restore ").nth(1).expect("a command to type");
    let point = command.split_whitespace().next().expect("a recovery point");
    shop.cli("operator", ["backup:restore", point, "--force", "--confirm=acme-prod1", "-n"]).succeeds();
    assert_eq!(shop.version_on("web1"), "1.0.1");
    assert_eq!(shop.sql("select max(version) from schema_version"), "1");
}
