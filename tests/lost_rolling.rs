//! Rolling upgrades that lose a web node, the coordinator or the load balancer, or meet a node that lies: each is named,
//! visitors get one version, and the next run heals.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::lost::Watched;
use crate::lost_nodes::{Over, end, healed, impatient, lose, node, only, other, put_back};
use crate::support::{Answer, Cli, Shop, wait_for};

/// The agent may be about to bring a node back by itself.
fn rolling<'a>(shop: &'a Shop, reference: &str) -> Cli<'a> {
    let reference = format!("--reference={reference}");
    shop.cli("developer", ["upgrade:rolling", &reference, "--skip-backup", "-n", "--wait-lock=2m"])
}

#[test]
fn nodes_lost_in_a_rolling_upgrade_are_named_and_healed_by_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), mode).expect("open to all");
    let failpoint = folder.path().join("failpoint");
    let shop = impatient(vec![("OROCLOUD_FAILPOINT_FILE".into(), failpoint.display().to_string())]);
    shop.deploy("1.0.0");

    let command = ["upgrade:rolling", "--reference=1.0.1", "--skip-backup", "-n"];
    let lost = lose(&shop, &failpoint, command, |node| node.kill());
    only(&shop, other(lost), "1.0.1");
    node(&shop, lost).start().expect("it comes up");

    // The next run brings it back first. Between its nodes the coordinator dies, and the second one is cut off.
    std::fs::write(&failpoint, "balancer:return:web1/done").expect("a failpoint");
    let upgrade = rolling(&shop, "1.0.0").spawn();
    wait_for("the first node", || !failpoint.exists());
    let maint = node(&shop, "maint1");
    wait_for("the coordinator's death", || maint.service("agent").is_ok_and(|agent| agent.pid.is_none()));
    node(&shop, "web2").cut().expect("it is cut off");
    maint.start_service("agent").expect("it starts again");
    let answer = end(&shop, upgrade);
    assert!(answer.stderr.contains("not on web2"), "{answer:#?}");
    only(&shop, "web1", "1.0.0");
    node(&shop, "web2").start().expect("it is let go");

    rolling(&shop, "1.0.1").succeeds();
    healed(&shop, "1.0.1");
}

#[test]
fn a_load_balancer_started_anew_and_nodes_that_lie_in_a_rolling_upgrade() {
    let folder = tempfile::tempdir().expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), mode).expect("open to all");
    let failpoint = folder.path().join("failpoint");
    let shop = impatient(vec![("OROCLOUD_FAILPOINT_FILE".into(), failpoint.display().to_string())]);
    shop.deploy("1.0.0");

    // While it waits for slow answers of the first node.
    let over = AtomicBool::new(false);
    let url = format!("{}slow?ms=2000", shop.sandbox.shop_url());
    let (code, said) = std::thread::scope(|scope| {
        let _over = Over(&over);
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _ = Command::new("curl").args(["--silent", "--max-time", "30", &url]).output();
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            });
        }
        let mut cli = rolling(&shop, "1.0.1");
        cli.command.arg("--format=json");
        let mut upgrade = Watched::start(cli);
        upgrade.until(["step-started", "balancer:drain:web1"]);
        node(&shop, "lb1").restart_service("haproxy").expect("it starts again");
        upgrade.end()
    });
    assert_eq!(code, Some(0), "{said:#?}\n{}", shop.logs());
    healed(&shop, "1.0.1");

    // The second node does not switch: it is left behind.
    let answer = lying(&shop, "web2", "1.0.0");
    assert!(answer.stderr.contains("not on web2"), "{answer:#?}");
    only(&shop, "web1", "1.0.0");

    // The next run heals that one. The first does not switch now, so the other never sees the new version.
    let answer = lying(&shop, "web1", "1.0.1");
    assert!(answer.stderr.contains("web1") && answer.stderr.contains("was undone"), "{answer:#?}");
    healed(&shop, "1.0.0");

    rolling(&shop, "1.0.1").succeeds();
    healed(&shop, "1.0.1");

    // Once a node is drained, a load balancer that is started anew sends nothing to it either.
    std::fs::write(&failpoint, "balancer:drain:web1/done wait").expect("a failpoint");
    let upgrade = rolling(&shop, "1.0.0").spawn();
    let waits = failpoint.with_extension("waits");
    wait_for("the drain", || waits.exists());
    node(&shop, "lb1").restart_service("haproxy").expect("it starts again");
    wait_for("the other node to be up", || state_of(&shop, "web2").is_some_and(|state| state == "UP"));
    assert_eq!(state_of(&shop, "web1").as_deref(), Some("DRAIN"));
    std::fs::remove_file(&waits).expect("it waits");
    let output = upgrade.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    healed(&shop, "1.0.0");
}

/// What HAProxy says of a server, when it answers.
fn state_of(shop: &Shop, name: &str) -> Option<String> {
    let mut socket = UnixStream::connect(shop.node_dir("lb1").join("run/haproxy/admin.sock")).ok()?;
    socket.write_all(b"show stat -1 4 -1\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let mut lines = answer.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let status = lines.next()?.iter().position(|column| *column == "status")?;
    let server = lines.find(|fields| fields.get(1) == Some(&name))?;
    server.get(status).map(|status| (*status).to_owned())
}

/// An upgrade during which the link of a node is put back, again and again; it does not succeed.
fn lying(shop: &Shop, name: &str, reference: &str) -> Answer {
    let www: PathBuf = shop.node_dir(name).join("app/www");
    let old = shop.release_on("web1").expect("a release");
    let old = www.with_file_name("deploy").join(old.file_name().expect("its name"));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| put_back(&www, &old, &over));
        end(shop, rolling(shop, reference).spawn())
    })
}

#[test]
fn a_load_balancer_that_stops_in_a_rolling_upgrade_is_named_and_holds_nothing_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), mode).expect("open to all");
    let failpoint = folder.path().join("failpoint");
    let shop = impatient(vec![
        ("OROCLOUD_FAILPOINT_FILE".into(), failpoint.display().to_string()),
        ("OROCLOUD_BALANCER_PATIENCE".into(), "2".into()),
    ]);
    shop.deploy("1.0.0");
    let (maint, balancer) = (node(&shop, "maint1"), node(&shop, "lb1"));
    let up = || balancer.start_service("haproxy").expect("it starts again");
    let stopped_at = |point: &str| {
        std::fs::write(&failpoint, point).expect("a failpoint");
        let upgrade = rolling(&shop, "1.0.1").spawn();
        wait_for(point, || !failpoint.exists());
        wait_for("the coordinator's death", || maint.service("agent").is_ok_and(|agent| agent.pid.is_none()));
        balancer.stop_service("haproxy").expect("it stops");
        maint.start_service("agent").expect("it starts again");
        upgrade
    };
    let is_late = |name: &str| {
        let board = shop.cli("viewer", ["status", "--format=json"]).run().json();
        let rows = board["rows"].as_array().expect("rows").clone();
        let says = |row: &serde_json::Value| {
            row["detail"].as_str().is_some_and(|text| text.contains("gets no requests since"))
        };
        rows.iter().any(|row| row["node"] == name && says(row))
    };

    // It is down when nothing has happened yet: nothing does.
    balancer.stop_service("haproxy").expect("it stops");
    let answer = end(&shop, rolling(&shop, "1.0.1").spawn());
    assert!(answer.stderr.contains("balancer:check failed on lb1"), "{answer:#?}");
    assert!(answer.stderr.contains("everything it had done was undone"), "{answer:#?}");
    up();

    // It stops before a node was switched: the new version is taken back, and the node let back once that can be.
    let answer = end(&shop, stopped_at("balancer:drain:web1/intent"));
    assert!(answer.stderr.contains("balancer:drain:web1 failed on lb1"), "{answer:#?}");
    assert!(answer.stderr.contains("web1 gets no requests until lb1 sends to it again"), "{answer:#?}");
    assert!(is_late("web1"));
    up();
    healed(&shop, "1.0.0");
    wait_for("the first node to be let back", || !is_late("web1"));

    // It stops when it sends to one node alone, and remembers that: the new version is taken to all.
    let upgrade = stopped_at("balancer:drain:web1/done");
    wait_for("both nodes to be late", || is_late("web1") && is_late("web2"));
    up();
    let answer = end(&shop, upgrade);
    assert!(answer.stderr.contains("balancer:return:web1 failed on lb1"), "{answer:#?}");
    assert!(answer.stderr.contains("web1 gets no requests until lb1 sends to it again"), "{answer:#?}");
    healed(&shop, "1.0.1");
    wait_for("both nodes to be let back", || !is_late("web1") && !is_late("web2"));
}
