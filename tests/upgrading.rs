//! Another version in place of the one that is served.

use crate::support::{Shop, order};

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
    assert!(plan.text().contains("application:upgrade"), "{plan:#?}");
    assert_eq!(shop.version_on("web1"), "1.0.0", "a dry run changes nothing");

    let source = shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n"]).succeeds();
    assert!(source.stdout.contains("Upgraded to 1.0.1"), "{source:#?}");
    for node in ["web1", "web2"] {
        assert_eq!(shop.version_on(node), "1.0.1");
    }
    assert_eq!(shop.sql("select max(version) from schema_version"), "1");

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
