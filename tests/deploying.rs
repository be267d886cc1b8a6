//! Deployments that fail, and leave nothing behind.

use crate::hostile::{HANG, hangs_until_it_is_cancelled, version_that};
use crate::support::Shop;

#[test]
fn a_deployment_that_fails_switches_nothing_and_says_why() {
    let shop = Shop::start();
    let untouched = |what: &str| {
        assert_eq!(shop.release_on("web1"), None, "{what}");
        assert_eq!(shop.release_on("web2"), None, "{what}");
        assert_eq!(shop.page().0, 503, "{what}");
        let tables = "select count(*) from pg_tables where schemaname = 'public'";
        assert_eq!(shop.sql(tables), "0", "{what}");
    };

    let unknown = shop.cli("developer", ["deploy", "--reference=9.9.9", "-n"]).ends_with(1);
    assert!(unknown.stderr.contains("9.9.9") && unknown.stderr.contains("1.1.0"), "{unknown:#?}");
    untouched("an unknown reference");

    let damaged = shop.cli("developer", ["deploy", "--reference=1.0.2-badconfig", "-n"]).ends_with(1);
    assert!(damaged.stderr.contains("orocloud.yaml"), "{damaged:#?}");
    untouched("a damaged orocloud.yaml");

    let broken = shop.cli("developer", ["deploy", "--reference=2.0.0-broken", "-n"]).ends_with(1);
    for word in ["the console command oro:install", "shopping_lists"] {
        assert!(broken.stderr.contains(word), "the command and its last lines: `{word}`: {broken:#?}");
    }
    untouched("an install command that fails");

    // Nor does it heed who asks it to end.
    let deaf = format!("pcntl_async_signals(true); pcntl_signal(SIGTERM, SIG_IGN); {HANG}");
    version_that(&shop, "hangs", "install_commands: ['oro:install', 'oro:hostile']", &deaf);
    let hanging = shop.cli("developer", ["deploy", "--reference=hangs", "-n"]);
    hangs_until_it_is_cancelled(&shop, "application:install", hanging, || ());
    untouched("an install command that hangs");

    for bad in ["--upload-pack=touch", "-x", "a b", "$(id)", "../etc"] {
        shop.cli("developer", ["deploy", &format!("--reference={bad}"), "-n"]).ends_with(2);
    }

    shop.cli("viewer", ["deploy", "--reference=1.0.0", "-n"]).ends_with(4);
    let plan = shop.cli("developer", ["deploy", "--reference=1.0.0", "--dry-run", "-n"]).succeeds();
    assert!(plan.text().contains("release:switch"), "{plan:#?}");
    untouched("a dry run");

    shop.deploy("1.0.0");
    assert_eq!(shop.page().0, 200);
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let old = shop.cli("developer", ["backup:create", "--operation-id", id, "-n"]).ends_with(2);
    assert!(old.stderr.contains("24"), "an id of long ago is refused: {old:#?}");
}
