//! Web nodes that are lost, or do not do as they are told, while the code is switched: kept out of the load balancer,
//! named, brought to the recorded release before they are let back.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};

use orocloud_sandbox::{NodeHandle, Options};

use crate::support::{Answer, Shop, first_backup_is_past, moment, order, wait_for};

const WEBS: [&str; 2] = ["web1", "web2"];

/// A sandbox that gives lost nodes up soon.
pub fn impatient(mut environment: Vec<(String, String)>) -> Shop {
    environment.push(("OROCLOUD_PATIENCE".into(), "5".into()));
    Shop::start_with(Options { agent_environment: environment, ..Options::default() })
}

pub fn node<'a>(shop: &'a Shop, name: &str) -> NodeHandle<'a> {
    shop.sandbox.node(name).expect("a node")
}

pub fn end(shop: &Shop, operation: Child) -> Answer {
    let output = operation.wait_with_output().expect("its end");
    let answer = Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert_eq!(answer.code, 1, "{answer:#?}\n{}", shop.logs());
    answer
}

/// What the load balancer gives: which nodes answer, and with which version.
#[track_caller]
pub fn only(shop: &Shop, expected: &str, version: &str) {
    for _ in 0..6 {
        let (status, body) = shop.page();
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(expected) && body.contains(version), "only {expected} with {version}: {body}");
    }
}

fn is_kept_out(shop: &Shop, lost: &str) -> bool {
    let status = shop.cli("viewer", ["status", "--format=json"]).run();
    status.stdout.contains("kept out of the load balancer") && status.stdout.contains(lost)
}

/// Waits until both serve the same, and the load balancer sends to both again.
#[track_caller]
pub fn healed(shop: &Shop, version: &str) {
    wait_for("both nodes to be let back", || {
        let pages: Vec<_> = (0..4).map(|_| shop.page()).collect();
        WEBS.iter().all(|name| pages.iter().any(|(status, body)| *status == 200 && body.contains(*name)))
    });
    let [one, two] =
        WEBS.map(|name| shop.release_on(name).and_then(|path| path.file_name().map(ToOwned::to_owned)));
    assert_eq!(one, two);
    for name in WEBS {
        assert_eq!(shop.version_on(name), version);
        wait_for("nobody to be kept out", || !is_kept_out(shop, name));
    }
}

#[test]
fn a_web_node_lost_in_the_switch_is_kept_out_and_brought_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), mode).expect("open to all");
    let failpoint = folder.path().join("failpoint");
    let shop = impatient(vec![("OROCLOUD_FAILPOINT_FILE".into(), failpoint.display().to_string())]);

    let lost = lose(&shop, &failpoint, ["deploy", "--reference=1.0.0", "-n"], |node| node.kill());
    only(&shop, other(lost), "1.0.0");
    node(&shop, lost).start().expect("it comes up");
    healed(&shop, "1.0.0");

    let lost = lose(&shop, &failpoint, ["upgrade:source", "--reference=1.0.1", "-n"], |node| node.freeze());
    only(&shop, other(lost), "1.0.1");
    // The node serves the old release, or a release that nobody knows of: a load balancer that is started anew must not
    // take it for a good one because its health check passes.
    node(&shop, lost).start().expect("it thaws");
    node(&shop, "lb1").restart_service("haproxy").expect("it starts again");
    only(&shop, other(lost), "1.0.1");
    assert!(is_kept_out(&shop, lost));
    node(&shop, lost).start_service("agent").expect("it starts again");
    healed(&shop, "1.0.1");

    let lost = lose(&shop, &failpoint, ["upgrade:source", "--reference=1.0.0", "-n"], |node| node.cut());
    only(&shop, other(lost), "1.0.0");
    node(&shop, lost).start().expect("it is let go");
    only(&shop, other(lost), "1.0.0");
    node(&shop, lost).start_service("agent").expect("it starts again");
    healed(&shop, "1.0.0");
}

/// Runs an operation and loses one of the web nodes in the middle of its switch; says which.
pub fn lose<const N: usize>(
    shop: &Shop,
    failpoint: &Path,
    arguments: [&str; N],
    how: impl Fn(NodeHandle<'_>) -> orocloud_sandbox::Result<()>,
) -> &'static str {
    std::fs::write(failpoint, "release:switch/node-running").expect("a failpoint");
    let operation = shop.cli("developer", arguments).spawn();
    // The first one to switch ends its agent there, and removes the file.
    wait_for("the switch", || !failpoint.exists());
    let dead = |name: &str| node(shop, name).service("agent").is_ok_and(|agent| agent.pid.is_none());
    wait_for("the end of an agent", || WEBS.iter().any(|name| dead(name)));
    let lost = WEBS.into_iter().find(|name| dead(name)).expect("a web node");
    how(node(shop, lost)).expect("it is lost");
    let answer = end(shop, operation);
    assert!(answer.stderr.contains(&format!("not on {lost}")), "{answer:#?}");
    assert!(answer.stderr.contains("orocloud-cli status"), "{answer:#?}");
    lost
}

pub fn other(name: &str) -> &'static str {
    if name == "web1" { "web2" } else { "web1" }
}

#[test]
fn a_web_node_that_lies_is_kept_out_and_brought_back() {
    let shop = impatient(Vec::new());
    shop.deploy("1.0.0");

    // The link is put back behind our back.
    let (www, old) = (shop.node_dir("web1").join("app/www"), shop.release_on("web1").expect("a release"));
    let over = AtomicBool::new(false);
    let answer = std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| put_back(&www, &old, &over));
        end(&shop, shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n"]).spawn())
    });
    assert!(answer.stderr.contains("not on web1"), "{answer:#?}");
    healed(&shop, "1.0.1");

    // PHP-FPM does not begin anew.
    let master = node(&shop, "web2").service("php-fpm").expect("PHP-FPM").pid.expect("its process");
    signal(master, "STOP");
    let upgrade = shop.cli("developer", ["upgrade:source", "--reference=1.0.0", "-n"]).spawn();
    let answer = end(&shop, upgrade);
    assert!(answer.stderr.contains("not on web2") && answer.stderr.contains("php-fpm"), "{answer:#?}");
    only(&shop, "web1", "1.0.0");
    signal(master, "CONT");
    healed(&shop, "1.0.0");

    // All that is told of it is right, but PHP-FPM runs the code from before: what counts is what a node serves.
    let holding = shop.release_on("web1").expect("a release").join("public");
    let nginx = Changed::file(shop.node_dir("web1").join("etc/nginx.conf"), |text| {
        text.replace("SCRIPT_FILENAME $resolved", &format!("SCRIPT_FILENAME {}", holding.display()))
    });
    node(&shop, "web1").restart_service("nginx").expect("it starts again");
    let upgrade = shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n"]).spawn();
    let answer = end(&shop, upgrade);
    assert!(answer.stderr.contains("not on web1") && answer.stderr.contains("PHP-FPM ran"), "{answer:#?}");
    only(&shop, "web2", "1.0.1");
    drop(nginx);
    node(&shop, "web1").restart_service("nginx").expect("it starts again");
    healed(&shop, "1.0.1");

    // Both nodes are right, and visitors get something else: they get what they had.
    let haproxy = Changed::file(shop.node_dir("lb1").join("etc/haproxy.cfg"), |text| {
        text.replace(
            "frontend shop\n",
            "frontend shop\n    http-response set-header X-Release 20000101000000\n",
        )
    });
    node(&shop, "lb1").restart_service("haproxy").expect("it starts again");
    let upgrade = shop.cli("developer", ["upgrade:source", "--reference=1.0.0", "-n"]).spawn();
    let answer = end(&shop, upgrade);
    for words in ["frontend:check failed on maint1", "came from release 20000101000000", "was undone"] {
        assert!(answer.stderr.contains(words), "`{words}` in {answer:#?}");
    }
    drop(haproxy);
    node(&shop, "lb1").restart_service("haproxy").expect("it starts again");
    healed(&shop, "1.0.1");
}

/// A file that somebody has changed, until this is dropped.
struct Changed(PathBuf, String);

impl Changed {
    fn file(path: PathBuf, change: impl FnOnce(&str) -> String) -> Self {
        let text = std::fs::read_to_string(&path).expect("a file");
        let changed = change(&text);
        assert_ne!(changed, text, "{}", path.display());
        std::fs::write(&path, changed).expect("written");
        Self(path, text)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = std::fs::write(&self.0, &self.1);
    }
}

/// Ends what goes on beside, also when a test fails.
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As somebody does who switches by hand, again and again.
pub fn put_back(www: &Path, old: &Path, over: &AtomicBool) {
    let beside: PathBuf = www.with_file_name("www.by-hand");
    while !over.load(Ordering::Relaxed) {
        if std::fs::canonicalize(www).is_ok_and(|now| now != old) {
            std::os::unix::fs::symlink(old, &beside).expect("a link");
            std::fs::rename(&beside, www).expect("it is put back");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn signal(process: i32, name: &str) {
    let status = std::process::Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status();
    assert!(status.is_ok_and(|status| status.success()));
}

#[test]
fn the_maintenance_page_goes_up_without_a_node_that_is_away() {
    let shop = impatient(Vec::new());
    shop.deploy("1.0.0");
    first_backup_is_past(&shop);
    order(&shop, 3);
    let (before, to) = (shop.orders(), format!("--to={}", moment(&shop)));
    shop.sql("delete from orders");
    node(&shop, "web2").cut().expect("it is cut off");
    let restore = ["backup:restore", &to, "--force", "--confirm=acme-prod1", "-n"];
    let answer = end(&shop, shop.cli("operator", restore).spawn());
    assert!(answer.stderr.contains("not on web2"), "{answer:#?}");
    assert_eq!(shop.orders(), before, "the rest is done");
    only(&shop, "web1", "1.0.0");
    node(&shop, "web2").start().expect("it is let go");
    healed(&shop, "1.0.0");
}
