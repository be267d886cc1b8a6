//! Every step of the operations that change the environment: the coordinator, then the agent of the node where the step
//! runs, is killed once the intent is on disk, while the act runs, and once it is done but not recorded. Started again,
//! the environment is whole, nothing is lost, the locks are free, and the same id gives the outcome.
//!
//! The steps come from the plan, so one that is added later is killed too. CI walks a part that `OROCLOUD_FAILPOINT_SEED`
//! chooses, the same one at every run; `cargo xtask test --all` walks them all.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use orocloud_protocol::CallId;
use orocloud_sandbox::Options;

use crate::support::{Answer, Shop, first_backup_is_past, moment, order, wait_for};

const POINTS: [&str; 6] = ["intent", "running", "done", "node-intent", "node-running", "node-done"];
const UNDO_POINTS: [&str; 6] =
    ["undo-intent", "undoing", "undone", "node-undo-intent", "node-undoing", "node-undone"];
const NODES: [&str; 5] = ["maint1", "web1", "web2", "db1", "lb1"];

/// Longer than any operation takes here, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(600);

/// Without an answer of the agent nothing destructive begins.
const SURE: [&str; 2] = ["--force", "--confirm=acme-prod1"];

/// A sandbox whose agents die where the file says.
struct Mortal {
    shop: Shop,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// What a command is about to do, step by step.
struct Planned {
    /// Names, in their order.
    steps: Vec<String>,
    /// How many of them can be undone.
    before: usize,
}

impl Mortal {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), mode).expect("open to all");
        let file = folder.path().join("failpoint");
        let shop = Shop::start_with(Options {
            agent_environment: vec![("OROCLOUD_FAILPOINT_FILE".into(), file.display().to_string())],
            ..Options::default()
        });
        Self { shop, file, _folder: folder }
    }

    fn planned(&self, caller: &str, command: &[&str]) -> Planned {
        let mut arguments = command.to_vec();
        arguments.extend(["--dry-run", "--format=json"]);
        let plan = self.run(caller, &arguments);
        assert_eq!(plan.code, 0, "{plan:#?}");
        let plan = plan.json();
        let steps = plan["steps"].as_array().expect("steps");
        let name = |step: &serde_json::Value| step["step"].as_str().expect("a name").to_owned();
        let before = steps.iter().take_while(|step| step["point_of_no_return"] != true).map(name);
        let mut seen = BTreeSet::new();
        let before = before.filter(|name| seen.insert(name.clone())).count();
        let mut seen = BTreeSet::new();
        let steps = steps.iter().map(name).filter(|name| seen.insert(name.clone())).collect();
        Planned { steps, before }
    }

    fn run(&self, caller: &str, arguments: &[&str]) -> Answer {
        let mut cli = self.shop.cli(caller, []);
        cli.command.args(arguments);
        cli.run()
    }

    /// Runs a command during which somebody is killed at these points, one after the other, and gives how the operation
    /// ended: by the same id, called again. `None` where nobody died, because the act was faster than that.
    fn killed_at<P: AsRef<str> + Debug>(
        &self,
        points: &[P],
        caller: &str,
        command: &[&str],
    ) -> Option<Answer> {
        let id = new_id();
        let mut arguments = command.to_vec();
        let with_id = format!("--operation-id={id}");
        // The agent takes backups of its own, and brings nodes back.
        arguments.extend(["-n", &with_id, "--wait-lock=2m"]);
        let write = |point: &str| std::fs::write(&self.file, point).expect("a failpoint");
        write(points[0].as_ref());
        let mut cli = self.shop.cli(caller, []);
        cli.command.args(&arguments);
        let child = Watched::new(cli.spawn());
        let mut died = 0;
        for (index, point) in points.iter().enumerate() {
            let end = Instant::now() + LIMIT;
            while !child.has_ended() && self.file.exists() {
                assert!(Instant::now() < end, "waited in vain for a death at {point:?} of {command:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
            if self.file.exists() {
                break;
            }
            died += 1;
            if let Some(next) = points.get(index + 1) {
                write(next.as_ref());
            }
            self.revive();
        }
        let _ = std::fs::remove_file(&self.file);
        child.end();
        let again = self.run(caller, &arguments);
        let case = format!("{points:?} of {command:?}: {again:#?}\n{}", self.shop.logs());
        assert!([0, 1].contains(&again.code), "{case}");
        let waited = self.run("viewer", &["operation:wait", &id.to_string()]);
        assert_eq!(waited.code, again.code, "{case}\n{waited:#?}");
        let running = self.run("viewer", &["operation:list", "--format=json"]).json();
        let mut running = running["items"].as_array().expect("items").iter();
        assert!(!running.any(|item| item["id"] == id.to_string()), "it holds its locks: {case}");
        if again.stderr.contains("was left behind") {
            // On a very busy machine an agent may be back too late for its operation; its node is healed then.
            let name = |node| self.shop.release_on(node).and_then(|path| path.file_name().map(PathBuf::from));
            let end = Instant::now() + LIMIT;
            while name("web1") != name("web2") {
                assert!(Instant::now() < end, "never healed: {case}");
                std::thread::sleep(Duration::from_millis(200));
            }
            return None;
        }
        (died > 0).then_some(again)
    }

    /// Starts the agent that died.
    fn revive(&self) {
        let dead = || {
            NODES.into_iter().find(|node| {
                let node = self.shop.sandbox.node(node).expect("a node");
                node.service("agent").is_ok_and(|agent| agent.pid.is_none())
            })
        };
        wait_for("a dead agent", || dead().is_some());
        let node = dead().expect("a dead agent");
        self.shop.sandbox.node(node).expect("a node").start_service("agent").expect("it starts again");
    }

    /// The invariant: every node serves the same release, and so does the load balancer.
    fn is_whole(&self, case: &str) -> Option<PathBuf> {
        let name = |node| self.shop.release_on(node).and_then(|path| path.file_name().map(PathBuf::from));
        let (one, other) = (name("web1"), name("web2"));
        assert_eq!(one, other, "{case}");
        if one.is_some() {
            for node in ["web1", "web2"] {
                assert_eq!(self.shop.page_of(node).0, 200, "{node}: {case}\n{}", self.shop.logs());
            }
            wait_for(&format!("the page: {case}"), || self.shop.page().0 == 200);
        }
        one
    }
}

/// A child whose output is read while it runs, so that it never waits for us.
struct Watched {
    ended: std::sync::mpsc::Receiver<()>,
    reader: std::thread::JoinHandle<()>,
    over: std::cell::Cell<bool>,
}

impl Watched {
    fn new(child: Child) -> Self {
        let (told, ended) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let _ = child.wait_with_output();
            let _ = told.send(());
        });
        Self { ended, reader, over: std::cell::Cell::new(false) }
    }

    fn has_ended(&self) -> bool {
        if self.ended.try_recv().is_ok() {
            self.over.set(true);
        }
        self.over.get()
    }

    fn end(self) {
        self.reader.join().expect("its end");
    }
}

fn new_id() -> CallId {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    CallId::from_parts(u64::try_from(now.as_millis()).expect("a time"), now.as_nanos())
}

/// Chooses what CI walks: by default the same at every run.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("OROCLOUD_FAILPOINT_SEED").ok().and_then(|seed| seed.parse().ok());
        Self(seed.unwrap_or(20_261_128))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    /// Points of these steps: so many of them, or all.
    fn points(&mut self, steps: &[String], kinds: &[&str], some: Option<usize>) -> Vec<String> {
        let mut points: Vec<String> =
            steps.iter().flat_map(|step| kinds.iter().map(move |kind| format!("{step}/{kind}"))).collect();
        let Some(some) = some else { return points };
        let mut chosen = Vec::new();
        while chosen.len() < some && !points.is_empty() {
            chosen.push(points.remove(self.below(points.len())));
        }
        chosen
    }

    /// Acts to die in, and undos: so many acts and half as many undos, or all.
    fn walks(&mut self, planned: &Planned, some: Option<usize>) -> Vec<Vec<String>> {
        let acts = self.points(&planned.steps, &POINTS, some);
        let before = &planned.steps[..planned.before];
        let undos = self.points(before, &UNDO_POINTS, some.map(|some| some / 2));
        let acts = acts.into_iter().map(|point| vec![point]);
        acts.chain(undos.into_iter().map(|point| vec![planned.last_before(), point])).collect()
    }
}

impl Planned {
    /// Everything up to the point of no return is done, and then taken back: what an undo is killed in.
    fn last_before(&self) -> String {
        format!("{}/done", self.steps[self.before - 1])
    }
}

fn walk_deploy(some: Option<usize>) {
    const DEPLOY: [&str; 2] = ["deploy", "--reference=1.0.0"];
    let (mut mortal, mut dice) = (Mortal::start(), Dice::new());
    let planned = mortal.planned("developer", &DEPLOY);
    assert!(planned.steps.len() > 10, "{:?}", planned.steps);
    let mut met = 0;
    for points in dice.walks(&planned, some) {
        let answer = mortal.killed_at(&points, "developer", &DEPLOY);
        let release = mortal.is_whole(&format!("{points:?}"));
        if let Some(answer) = answer {
            met += 1;
            assert_eq!(release.is_some(), answer.code == 0, "{points:?}: {answer:#?}");
        }
        if release.is_none() {
            let tables = mortal.shop.sql("select count(*) from pg_tables where schemaname = 'public'");
            assert_eq!(tables, "0", "{points:?}");
            continue;
        }
        assert_eq!(mortal.shop.sql("select count(*) from oro_user"), "1", "{points:?}");
        mortal = Mortal::start();
    }
    assert!(met > 0);
}

/// Recovery points, and other versions of the code.
fn walk_shop(some: Option<usize>) {
    let (mortal, mut dice) = (Mortal::start(), Dice::new());
    let shop = &mortal.shop;
    shop.deploy("1.0.0");
    let planned = mortal.planned("developer", &["backup:create"]);
    for point in dice.points(&planned.steps, &POINTS, some) {
        order(shop, 1);
        let orders = shop.orders();
        let label = format!("--label={}", point.replace([':', '/'], "-"));
        let answer = mortal.killed_at(&[&point], "developer", &["backup:create", &label]);
        mortal.is_whole(&point);
        assert_eq!(shop.orders(), orders, "{point}");
        let list = mortal.run("viewer", &["backup:list", "--format=json"]);
        let made = list.stdout.matches(&label["--label=".len()..]).count();
        if let Some(answer) = answer {
            assert_eq!(made, usize::from(answer.code == 0), "{point}: {answer:#?}\n{list:#?}");
        }
    }
    let upgrade = |reference: &'static str| ["upgrade:source", reference];
    let versions = ["1.0.1", "1.0.0"];
    let to = |index: usize| if index.is_multiple_of(2) { "--reference=1.0.1" } else { "--reference=1.0.0" };
    let mut served = 1;
    let planned = mortal.planned("developer", &upgrade(to(0)));
    for points in dice.walks(&planned, some) {
        let wanted = 1 - served;
        let answer = mortal.killed_at(&points, "developer", &upgrade(to(wanted)));
        mortal.is_whole(&format!("{points:?}"));
        let version = shop.version_on("web1");
        assert_eq!(version, shop.version_on("web2"), "{points:?}");
        if let Some(answer) = answer {
            assert_eq!(version == versions[wanted], answer.code == 0, "{points:?}: {answer:#?}");
        }
        served = usize::from(version == versions[1]);
    }
    shop.cli("developer", ["backup:create", "-n", "--wait-lock=2m"]).succeeds();
}

/// Another version under the page or node after node, or back to the release before.
fn walk_code(name: &str, some: Option<usize>) {
    let (mortal, mut dice) = (Mortal::start(), Dice::new());
    let shop = &mortal.shop;
    shop.deploy("1.0.0");
    shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n"]).succeeds();
    order(shop, 3);
    let orders = shop.orders();
    let target = |reference: &str| match name {
        "release:rollback" => {
            let list = mortal.run("viewer", &["release:list", "--format=json"]).json();
            let mut items = list["items"].as_array().expect("items").iter();
            let item = items.find(|item| item["reference"] == reference).expect("it is kept");
            item["release"].as_str().expect("its name").to_owned()
        }
        _ => format!("--reference={reference}"),
    };
    let planned = mortal.planned("developer", &[name, &target("1.0.0")]);
    let mut served = "1.0.1";
    let mut met = 0;
    for points in dice.walks(&planned, some) {
        let wanted = if served == "1.0.1" { "1.0.0" } else { "1.0.1" };
        let answer = mortal.killed_at(&points, "developer", &[name, &target(wanted)]);
        let case = format!("{points:?} of {name}: {answer:#?}");
        mortal.is_whole(&case);
        let version = shop.version_on("web1");
        assert_eq!(version, shop.version_on("web2"), "{case}");
        assert!([served, wanted].contains(&version.as_str()), "{version}: {case}");
        assert_eq!(shop.orders(), orders, "{case}");
        if let Some(answer) = answer {
            met += 1;
            assert_eq!(version == wanted, answer.code == 0, "{version}: {case}");
        }
        if version == wanted {
            served = wanted;
        }
    }
    assert!(met > 0);
}

/// The page on all web nodes or on none, as the answer says.
fn walk_maintenance(some: Option<usize>) {
    let (mortal, mut dice) = (Mortal::start(), Dice::new());
    let shop = &mortal.shop;
    shop.deploy("1.0.0");
    let mut met = 0;
    for (name, opposite, status) in
        [("maintenance:on", "maintenance:off", 503), ("maintenance:off", "maintenance:on", 200)]
    {
        let planned = mortal.planned("operator", &[name]);
        for points in dice.walks(&planned, some) {
            shop.cli("operator", [opposite, "--force", "-n", "--wait-lock=2m"]).succeeds();
            let answer = mortal.killed_at(&points, "operator", &[name, "--force"]);
            let case = format!("{points:?} of {name}: {answer:#?}");
            let seen = ["web1", "web2"].map(|node| shop.page_of(node).0);
            assert_eq!(seen[0], seen[1], "{case}");
            assert!([200, 503].contains(&seen[0]), "{seen:?}: {case}");
            let told = mortal.run("viewer", &["maintenance:status", "--format=json"]).json();
            assert_eq!(told["on"], seen[0] == 503, "{case}");
            if let Some(answer) = answer {
                met += 1;
                assert_eq!(seen[0] == status, answer.code == 0, "{seen:?}: {case}");
            }
            wait_for(&format!("the page: {case}"), || shop.page().0 == seen[0]);
        }
    }
    assert!(met > 0);
}

/// Restores, and the undo of each that succeeded.
fn walk_restores(some: Option<usize>) {
    let (mortal, mut dice) = (Mortal::start(), Dice::new());
    let shop = &mortal.shop;
    shop.deploy("1.0.0");
    first_backup_is_past(shop);
    let planned = mortal.planned("operator", &["backup:restore", &format!("--to={}", moment(shop))]);
    for points in dice.walks(&planned, some) {
        order(shop, 3);
        let (before, to) = (shop.orders(), format!("--to={}", moment(shop)));
        shop.sql("delete from orders");
        order(shop, 1);
        let restore = [&["backup:restore", to.as_str()][..], &SURE].concat();
        let answer = mortal.killed_at(&points, "operator", &restore);
        mortal.is_whole(&format!("{points:?}"));
        let Some(answer) = answer else { continue };
        let expected = if answer.code == 0 { before } else { 1 };
        assert_eq!(shop.orders(), expected, "{points:?}: {answer:#?}");
        if answer.code != 0 {
            continue;
        }
        let text = answer.text();
        let at = text.find("--undo=").unwrap_or_else(|| panic!("no undo is printed: {answer:#?}"));
        let undo =
            text[at..].split_whitespace().next().unwrap_or_default().trim_matches(['`', '"', '\'', '.']);
        let steps = mortal.planned("operator", &["backup:restore", undo]).steps;
        let point = dice.points(&steps, &POINTS, Some(1)).remove(0);
        let command = [&["backup:restore", undo][..], &SURE].concat();
        let answer = mortal.killed_at(&[&point], "operator", &command);
        mortal.is_whole(&point);
        let Some(answer) = answer else { continue };
        let expected = if answer.code == 0 { 1 } else { before };
        assert_eq!(shop.orders(), expected, "undo, {point}: {answer:#?}");
    }
}

#[test]
fn a_deployment_killed_at_some_points() {
    walk_deploy(Some(4));
}

#[test]
fn a_backup_and_an_upgrade_killed_at_some_points() {
    walk_shop(Some(3));
}

#[test]
fn a_restore_killed_at_some_points() {
    walk_restores(Some(2));
}

#[test]
fn an_upgrade_killed_at_some_points() {
    walk_code("upgrade", Some(2));
}

#[test]
fn a_rolling_upgrade_killed_at_some_points() {
    walk_code("upgrade:rolling", Some(2));
}

#[test]
fn a_rollback_killed_at_some_points() {
    walk_code("release:rollback", Some(2));
}

#[test]
fn maintenance_killed_at_some_points() {
    walk_maintenance(Some(2));
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_deployment_killed_at_every_point() {
    walk_deploy(None);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_backup_and_an_upgrade_killed_at_every_point() {
    walk_shop(None);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_restore_killed_at_every_point() {
    walk_restores(None);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn an_upgrade_killed_at_every_point() {
    walk_code("upgrade", None);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_rolling_upgrade_killed_at_every_point() {
    walk_code("upgrade:rolling", None);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_rollback_killed_at_every_point() {
    walk_code("release:rollback", None);
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn maintenance_killed_at_every_point() {
    walk_maintenance(None);
}
