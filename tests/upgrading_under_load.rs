//! What visitors see of upgrades, while a load generator keeps the shop busy.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{Shop, wait_for};

/// Longer than any test; it is ended before.
const LONG: &str = "600s";

/// One load generator, on one address.
struct Load(Option<Child>);

impl Load {
    fn start(url: &str, connections: u32) -> Self {
        let connections = format!("-c{connections}");
        let wrk = Command::new("wrk")
            .args(["-t1", &connections, "-d", LONG, "--timeout", "60s", url])
            .stdout(Stdio::piped())
            .spawn()
            .expect("wrk, which cargo xtask setup installs");
        Self(Some(wrk))
    }

    /// Ends it; gives its report.
    fn end(mut self) -> String {
        let wrk = self.0.take().expect("it runs");
        Command::new("kill").arg("-INT").arg(wrk.id().to_string()).status().expect("kill");
        let output = wrk.wait_with_output().expect("its report");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A test that fails leaves no load behind.
impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut wrk) = self.0.take() {
            let _ = wrk.kill();
            let _ = wrk.wait();
        }
    }
}

/// Status and body.
fn get(url: &str) -> (u16, String) {
    let output = Command::new("curl")
        .args(["-s", "--max-time", "60", "-w", "\n%{http_code}", url])
        .output()
        .expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a status"), body.to_owned())
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split(from).nth(1)?.split(to).next()
}

#[test]
fn nobody_notices_an_upgrade_of_the_code() {
    nobody_notices("upgrade:source", &|_| {});
}

#[test]
fn nobody_notices_an_upgrade_node_after_node() {
    nobody_notices("upgrade:rolling", &|shop| {
        let plan =
            shop.cli("developer", ["upgrade:rolling", "--reference=1.0.1", "--dry-run", "-n"]).succeeds();
        assert!(
            plan.text().contains("by default oro:platform:update, while the old release is served"),
            "{plan:#?}"
        );
        let at = |step: &str| plan.text().find(step).unwrap_or_else(|| panic!("{step}: {plan:#?}"));
        assert!(at("balancer:drain:web1") < at("balancer:return:web1"));
        assert!(at("balancer:return:web1") < at("balancer:drain:web2"));
    });
}

fn nobody_notices(command: &str, before: &dyn Fn(&Shop)) {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    before(&shop);
    let url = shop.sandbox.shop_url().trim_end_matches('/').to_owned();
    let loads = [Load::start(&format!("{url}/"), 2), Load::start(&format!("{url}/slow?ms=300"), 2)];
    let over = AtomicBool::new(false);
    let versions = thread::scope(|scope| {
        // Each page is of one version, and what it names is there, whichever node is asked for that.
        let visitor = scope.spawn(|| {
            let mut versions: Vec<String> = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let (status, page) = get(&format!("{url}/"));
                assert_eq!(status, 200, "{page}");
                let version = between(&page, "id=\"version\">", "<").expect("a version").to_owned();
                let style = between(&page, "href=\"", "\"").expect("a style sheet");
                let expected = if version == "1.0.0" { "/css/shop-1.css" } else { "/css/shop-2.css" };
                assert_eq!(style, expected, "{page}");
                for _ in 0..2 {
                    let (status, content) = get(&format!("{url}{style}"));
                    assert!(status == 200 && content.contains("body {"), "{style}: {status} {content}");
                }
                if versions.last() != Some(&version) {
                    versions.push(version);
                }
            }
            versions
        });
        let upgrade = shop.cli("developer", [command, "--reference=1.0.1", "-n"]).run();
        wait_for("the new version", || get(&format!("{url}/")).1.contains("1.0.1"));
        over.store(true, Ordering::Relaxed);
        let versions = visitor.join().expect("the visitor");
        assert_eq!(upgrade.code, 0, "{upgrade:#?}");
        versions
    });
    // Nodes differ for a moment, so a visitor may see the old one once more.
    assert_eq!(versions.first().map(String::as_str), Some("1.0.0"));
    for load in loads {
        let report = load.end();
        assert!(report.contains("requests in"), "{report}");
        assert!(!report.contains("Non-2xx") && !report.contains("Socket errors"), "{report}");
    }
}

/// What one visitor sees, one request after another.
#[derive(Debug, PartialEq)]
enum Seen {
    Old,
    Page,
    New,
}

#[test]
fn visitors_see_the_old_version_then_the_page_then_the_new_version() {
    let shop = Shop::start();
    shop.deploy("1.0.1");
    let plan = shop.cli("developer", ["upgrade", "--reference=1.1.0", "--dry-run", "-n"]).succeeds();
    let at = |step: &str| plan.text().find(step).unwrap_or_else(|| panic!("{step}: {plan:#?}"));
    let order = [
        "maintenance:on [web2]",
        "application:upgrade",
        "release:switch",
        "frontend:check",
        "maintenance:off",
    ];
    assert!(order.map(at).is_sorted(), "{plan:#?}");
    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let mut visitors = Vec::new();
        for node in ["web1", "web2"] {
            for path in ["", "slow?ms=300"] {
                let url = format!("{}{path}", shop.sandbox.node_url(node).expect("a node"));
                let over = &over;
                visitors.push(scope.spawn(move || {
                    let mut seen: Vec<Seen> = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let (status, body) = get(&url);
                        let now = match status {
                            200 if body.contains("1.0.1") => Seen::Old,
                            200 if body.contains("1.1.0") => Seen::New,
                            503 if body.contains("in maintenance") => Seen::Page,
                            _ => panic!("{url}: {status} {body}"),
                        };
                        if seen.last() != Some(&now) {
                            seen.push(now);
                        }
                    }
                    seen
                }));
            }
        }
        let upgrade = shop.cli("developer", ["upgrade", "--reference=1.1.0", "--skip-backup", "-n"]).run();
        for node in ["web1", "web2"] {
            wait_for("the new version", || shop.page_of(node).1.contains("1.1.0"));
        }
        over.store(true, Ordering::Relaxed);
        let seen: Vec<_> = visitors.into_iter().map(|visitor| visitor.join().expect("a visitor")).collect();
        assert_eq!(upgrade.code, 0, "{upgrade:#?}");
        seen
    });
    // It stands for as long as several programs need, each longer than a request.
    assert!(seen.iter().any(|seen| seen.contains(&Seen::Page)), "{seen:?}");
    for seen in seen {
        // The page may be gone before a visitor comes by again.
        let whole = [Seen::Old, Seen::Page, Seen::New];
        let in_order = seen.iter().map(|one| whole.iter().position(|other| other == one));
        assert!(in_order.is_sorted() && seen.first() == Some(&Seen::Old), "{seen:?}");
    }
}
