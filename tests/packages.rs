//! Packages: built once, deployed in every environment of the project.

use std::path::Path;

use crate::support::{Shop, wait_for};

/// Lets the second environment use the depot of the first.
fn share_depot(from: &Shop, with: &Shop) {
    let depot = from.node_dir("maint1").join("state/depot");
    let config = with.node_dir("maint1").join("etc/agent.toml");
    let text = std::fs::read_to_string(&config).expect("agent.toml");
    let shared = text.replacen("[maint]\n", &format!("[maint]\npackages = \"{}\"\n", depot.display()), 1);
    assert_ne!(text, shared);
    std::fs::write(&config, shared).expect("agent.toml");
    with.sandbox.node("maint1").expect("maint1").restart_service("agent").expect("it starts again");
}

/// Changes one byte of every package in the depot.
fn damage(depot: &Path) {
    for entry in std::fs::read_dir(depot).expect("the depot") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "package") {
            let mut content = std::fs::read(&path).expect("a package");
            let middle = content.len() / 2;
            content[middle] ^= 1;
            std::fs::write(&path, content).expect("a package");
        }
    }
}

fn serves(shop: &Shop, version: &str) {
    for node in ["web1", "web2"] {
        assert_eq!(shop.version_on(node), version, "{node}");
    }
    assert_eq!(shop.page().0, 200);
}

#[test]
fn a_package_is_built_once_deployed_elsewhere_and_refused_when_it_is_damaged() {
    let (one, other) = (Shop::start(), Shop::start());
    share_depot(&one, &other);
    std::thread::scope(|scope| {
        scope.spawn(|| one.deploy("1.0.0"));
        scope.spawn(|| other.deploy("1.0.0"));
    });
    // From here on the other environment has no source to build from.
    let repository = other.sandbox.git_repository();
    std::fs::rename(&repository, repository.with_extension("gone")).expect("the repository");

    one.cli("viewer", ["app:package:build", "1.0.1", "-n"]).ends_with(4);
    let missing = one.cli("developer", ["app:package:build", "-n"]).ends_with(2);
    assert!(missing.stderr.contains("orocloud-cli app:package:build 1.0.0"), "{missing:#?}");
    let plan = one.cli("developer", ["app:package:build", "1.0.1", "--dry-run", "-n"]).succeeds();
    assert!(plan.text().contains("becomes package 1.0.1"), "{plan:#?}");
    let none = other.cli("developer", ["app:package:deploy", "1.0.1", "--source", "-n"]).ends_with(1);
    assert!(none.stderr.contains("orocloud-cli app:package:list"), "{none:#?}");
    let build = ["app:package:build", "1.0.1", "--label=for all", "-n"];
    let built = one.cli("developer", build).succeeds();
    assert!(built.stdout.contains("Application package 1.0.1 is ready."), "{built:#?}");
    serves(&one, "1.0.0");

    let list = other.cli("developer", ["app:package:list"]).succeeds();
    assert!(list.stdout.contains("1.0.1") && list.stdout.contains("for all"), "{list:#?}");
    let plan = other.cli("developer", ["app:package:deploy", "1.0.1", "--source", "--dry-run"]).succeeds();
    assert!(plan.text().contains("package:take") && !plan.text().contains("source:fetch"), "{plan:#?}");
    serves(&other, "1.0.0");
    let deploy = other.cli("developer", ["app:package:deploy", "1.0.1", "--source", "-n"]).succeeds();
    assert!(deploy.stdout.contains("Upgraded to 1.0.1"), "{deploy:#?}");
    serves(&other, "1.0.1");

    // Built and deployed at once, and kept as a package too.
    let upgrade =
        one.cli("developer", ["app:package:update", "1.1.0", "spring", "--rolling", "-n"]).succeeds();
    for step in ["package:publish", "application:upgrade", "balancer:drain:web1", "balancer:return:web2"] {
        assert!(upgrade.stderr.contains(step), "{step}: {upgrade:#?}");
    }
    assert!(!upgrade.stderr.contains("maintenance:on"), "{upgrade:#?}");
    serves(&one, "1.1.0");
    let both = ["app:package:deploy", "spring", "--rolling", "--source", "-n"];
    other.cli("developer", both).ends_with(2);
    let plan = other.cli("developer", ["app:package:deploy", "spring", "--rolling", "--dry-run"]).succeeds();
    let at = |step: &str| plan.text().find(step).unwrap_or_else(|| panic!("{step}: {plan:#?}"));
    assert!(at("package:take") < at("balancer:drain:web1"), "{plan:#?}");
    assert!(at("balancer:return:web1") < at("balancer:drain:web2"), "{plan:#?}");

    damage(&one.node_dir("maint1").join("state/depot"));
    let deploy = ["app:package:deploy", "spring", "-n"];
    let refused = other.cli("developer", deploy).ends_with(1);
    for words in ["package spring is damaged", "orocloud-cli app:package:build 1.1.0 spring"] {
        assert!(refused.stderr.contains(words), "`{words}`: {refused:#?}");
    }
    serves(&other, "1.0.1");
    assert_eq!(other.sql("select max(version) from schema_version"), "1");

    // What the error says to type makes it whole again, with the update of the database this time.
    one.cli("developer", ["app:package:build", "1.1.0", "spring", "-n"]).succeeds();
    other.cli("developer", deploy).succeeds();
    serves(&other, "1.1.0");
    assert_eq!(other.sql("select max(version) from schema_version"), "2");
    wait_for("the shop", || other.page().0 == 200);
}
