//! The coordinator killed in the middle.

use std::path::Path;

use crate::support::{Shop, first_backup_is_past, moment, order, wait_for};

fn restart_once_dead(shop: &Shop, failpoint: &Path) {
    wait_for("the end of the coordinator", || !failpoint.exists());
    let maint = shop.sandbox.node("maint1").expect("maint1");
    wait_for("the end of its process", || maint.service("agent").is_ok_and(|agent| agent.pid.is_none()));
    maint.start_service("agent").expect("it starts again");
}

fn nothing_runs(shop: &Shop) {
    wait_for("the end of recovery", || {
        let running = shop.cli("viewer", ["operation:list", "--format=json"]).run();
        running.code == 0 && running.json()["items"].as_array().is_some_and(Vec::is_empty)
    });
}

#[test]
fn a_deployment_is_undone_before_its_switch_and_finished_after() {
    let (shop, failpoint, _folder) = Shop::start_mortal();
    std::fs::write(&failpoint, "cache:warm/done").expect("a failpoint");
    let deploy = shop.cli("developer", ["deploy", "--reference=1.0.0", "-n"]).spawn();
    restart_once_dead(&shop, &failpoint);
    let output = deploy.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(1), "{}\n{}", String::from_utf8_lossy(&output.stderr), shop.logs());
    nothing_runs(&shop);
    assert_eq!(shop.release_on("web1"), None);
    assert_eq!(shop.release_on("web2"), None);
    assert_eq!(shop.sql("select count(*) from pg_tables where schemaname = 'public'"), "0");

    std::fs::write(&failpoint, "release:switch/done").expect("a failpoint");
    let deploy = shop.cli("developer", ["deploy", "--reference=1.0.0", "-n"]).spawn();
    restart_once_dead(&shop, &failpoint);
    let output = deploy.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(0), "{}\n{}", String::from_utf8_lossy(&output.stderr), shop.logs());
    for node in ["web1", "web2"] {
        assert_eq!(shop.page_of(node).0, 200, "{node}");
    }
}

#[test]
fn a_restore_is_undone_before_its_swap_and_finished_after() {
    let (shop, failpoint, _folder) = Shop::start_mortal();
    shop.deploy("1.0.0");
    first_backup_is_past(&shop);
    order(&shop, 5);
    let (before, to) = (shop.orders(), format!("--to={}", moment(&shop)));
    shop.sql("delete from orders");
    let restore = ["backup:restore", &to, "--force", "--confirm=acme-prod1", "-n"];

    std::fs::write(&failpoint, "maintenance:on/done").expect("a failpoint");
    let first = shop.cli("operator", restore).spawn();
    restart_once_dead(&shop, &failpoint);
    let output = first.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(1), "{}\n{}", String::from_utf8_lossy(&output.stderr), shop.logs());
    nothing_runs(&shop);
    assert_eq!(shop.orders(), 0, "the live database is as it was");
    assert_eq!(shop.page().0, 200, "the maintenance page is down");

    std::fs::write(&failpoint, "database:swap/done").expect("a failpoint");
    let second = shop.cli("operator", restore).spawn();
    restart_once_dead(&shop, &failpoint);
    let output = second.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(0), "{}\n{}", String::from_utf8_lossy(&output.stderr), shop.logs());
    assert_eq!(shop.orders(), before);
    assert_eq!(shop.page().0, 200);
}
