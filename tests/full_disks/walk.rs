//! The disks of maint1, web1 and db1, all of a node's files, are full from the moment that a step is about to begin: for
//! every step of a plan, and every one of these nodes. The operation ends, or says what it waits for; once there is
//! space again it ends too, and whatever it did not do it has taken back.

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use super::disk::Disk;
use super::{MB, upload, with_a_past};
use crate::support::{Answer, Shop, end, moment, order, wait_for};

const NODES: [&str; 3] = ["maint1", "web1", "db1"];

/// A sandbox whose nodes have small disks, and whose coordinator waits where it is told to.
struct Full {
    // They go first: the sandbox removes its folder.
    disks: Vec<(&'static str, Disk)>,
    shop: Shop,
    failpoint: PathBuf,
    _folder: tempfile::TempDir,
}

/// Whether a sandbox is good for the next step.
#[derive(PartialEq)]
enum Left {
    Good,
    UsedUp,
}

/// A command whose end is awaited beside.
struct Awaited {
    answer: Receiver<Answer>,
    ended: Option<Answer>,
}

impl Awaited {
    fn new(child: Child) -> Self {
        let (sender, answer) = channel();
        std::thread::spawn(move || {
            // That signal does nothing.
            let _ = sender.send(end(child, "CONT"));
        });
        Self { answer, ended: None }
    }

    fn has_ended(&mut self) -> bool {
        self.ended = self.ended.take().or_else(|| self.answer.try_recv().ok());
        self.ended.is_some()
    }

    fn end(self) -> Answer {
        self.ended.unwrap_or_else(|| self.answer.recv().expect("its end"))
    }
}

/// What a run came to, and what it said while it waited for space.
struct Ran {
    command: Vec<String>,
    /// Before it.
    orders: u64,
    answer: Answer,
    waited: Option<String>,
}

impl Full {
    /// `None` where nothing can be mounted.
    fn start() -> Option<Self> {
        let (shop, failpoint, folder) = Shop::start_mortal();
        let disk = |name| {
            let node = shop.sandbox.node(name).expect("a node");
            Disk::of_node(node, 3000 * MB).map(|disk| (name, disk))
        };
        let disks = NODES.into_iter().map(disk).collect::<Option<Vec<_>>>()?;
        wait_for("all of them", || {
            let status = shop.cli("viewer", ["status", "--format=json"]).run();
            status.code == 0 && shop.sandbox.psql("select 1").is_ok()
        });
        Some(Self { disks, shop, failpoint, _folder: folder })
    }

    fn steps(&self, caller: &str, command: &[String]) -> Vec<String> {
        let mut cli = self.shop.cli(caller, []);
        cli.command.args(command).args(["--dry-run", "--format=json"]);
        let plan = cli.succeeds().json();
        let mut steps: Vec<String> = plan["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .map(|step| step["step"].as_str().expect("a name").to_owned())
            .collect();
        steps.dedup();
        steps
    }

    /// Runs a command; when it is about to begin this step, that disk is full.
    fn run(&self, node: &str, step: &str, caller: &str, command: &[String]) -> Ran {
        let (_, disk) = self.disks.iter().find(|(name, _)| *name == node).expect("its disk");
        let orders = self.shop.sandbox.psql("select count(*) from orders");
        let orders = orders.ok().and_then(|orders| orders.parse().ok()).unwrap_or_default();
        std::fs::write(&self.failpoint, format!("{step}/intent wait")).expect("a failpoint");
        let waits: PathBuf = self.failpoint.with_extension("waits");
        let mut cli = self.shop.cli(caller, []);
        cli.command.args(command).args(["-n", "--wait-lock=2m"]);
        let mut running = Awaited::new(cli.spawn());
        let ended = std::cell::RefCell::new(&mut running);
        wait_for(step, || waits.exists() || ended.borrow_mut().has_ended());
        disk.fill(0);
        let _ = std::fs::remove_file(&waits);
        let told = std::cell::RefCell::new(None);
        wait_for(&format!("an end, or a word, without space at {step}"), || {
            if ended.borrow_mut().has_ended() {
                return true;
            }
            *told.borrow_mut() = self.stuck();
            told.borrow().is_some()
        });
        disk.free();
        let _ = std::fs::remove_file(&self.failpoint);
        Ran { command: command.to_vec(), orders, answer: running.end(), waited: told.into_inner() }
    }

    /// What an operation that does not go on says.
    fn stuck(&self) -> Option<String> {
        let list = self.shop.cli("viewer", ["operation:list", "--format=json"]).run();
        let list: Value = serde_json::from_str(&list.stdout).ok()?;
        let stuck = list["items"][0]["stuck"].as_array()?;
        (!stuck.is_empty()).then(|| Value::from(stuck.clone()).to_string())
    }

    /// What it came to, seen from outside.
    fn judge(&self, case: &str, node: &str, step: &str, ran: &Ran) {
        let Ran { answer, waited, .. } = ran;
        let told = format!("{} {}", answer.stderr, waited.as_deref().unwrap_or_default());
        if answer.code != 0 || waited.is_some() {
            for words in [&["space left", "MB free", "isk full", "diskspace"][..], &[node]] {
                assert!(
                    words.iter().any(|word| told.contains(word)),
                    "{case}: {words:?}, waited {waited:?}: {answer:#?}"
                );
            }
        }
        if answer.code != 0 {
            assert!([1, 7].contains(&answer.code), "{case}: {answer:#?}\n{}", self.shop.logs());
            assert!(told.contains("make room"), "{case}: what to do next: {told}");
        }
        let running = self.shop.cli("viewer", ["operation:list", "--format=json"]).succeeds().json();
        assert_eq!(running["items"].as_array().map(Vec::len), Some(0), "{case}: {running}");
        // What begins on a full disk does not let the live database fall; nobody can help what is under way then.
        if !["database:marker", "safety:database", "backup:database", "database:swap"].contains(&step) {
            return;
        }
        let log = std::fs::read(self.shop.node_dir("db1").join("log/postgresql.log")).expect("its log");
        assert!(!String::from_utf8_lossy(&log).contains("PANIC:"), "{case}: {}", self.shop.logs());
    }
}

/// Every step, with every disk. One that fails is told at the end, and what comes after it is tried in a new sandbox.
fn walk(
    start: impl Fn() -> Option<Full>,
    caller: &str,
    command: impl Fn(&Full) -> Vec<String>,
    each: impl Fn(&Full, &str, &Ran) -> Left,
) {
    let Some(mut place) = start() else { return };
    let steps = place.steps(caller, &command(&place));
    let mut failed = Vec::new();
    for node in NODES {
        for step in &steps {
            let case = format!("{node} is full at {step}");
            let begun = std::time::Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let command = command(&place);
                let ran = place.run(node, step, caller, &command);
                place.judge(&case, node, step, &ran);
                let waited = if ran.waited.is_some() { ", waited" } else { "" };
                eprintln!("{case}: {}{waited}, {} s", ran.answer.code, begun.elapsed().as_secs());
                each(&place, &case, &ran)
            }));
            if !matches!(outcome, Ok(Left::Good)) {
                drop(place);
                place = start().expect("another one");
            }
            if outcome.is_err() {
                failed.push(case);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn served(shop: &Shop, node: &str) -> Option<OsString> {
    shop.release_on(node).and_then(|path| path.file_name().map(ToOwned::to_owned))
}

/// A node that was left behind is brought back once it has space.
fn is_the_same_everywhere(shop: &Shop, case: &str) -> Option<OsString> {
    wait_for(&format!("one release: {case}"), || served(shop, "web1") == served(shop, "web2"));
    let release = served(shop, "web1");
    if release.is_some() {
        wait_for(&format!("the shop: {case}"), || {
            shop.page().0 == 200 && NODES_OF_CODE.iter().all(|node| shop.page_of(node).0 == 200)
        });
    }
    release
}

const NODES_OF_CODE: [&str; 2] = ["web1", "web2"];

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_deployment_with_a_full_disk_in_each_step() {
    let deploy = |_: &Full| ["deploy", "--reference=1.0.0"].map(str::to_owned).to_vec();
    walk(Full::start, "developer", deploy, |full, case, ran| {
        let release = is_the_same_everywhere(&full.shop, case);
        let tables = full.shop.sql("select count(*) from pg_tables where schemaname = 'public'");
        assert_eq!(release.is_some(), tables != "0", "{case}: {tables} tables");
        assert!(release.is_some() || ran.answer.code != 0, "{case}");
        // A first installation is what is walked.
        if release.is_some() { Left::UsedUp } else { Left::Good }
    });
}

fn deployed() -> Option<Full> {
    let full = Full::start()?;
    with_a_past(&full.shop);
    Some(full)
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_backup_with_a_full_disk_in_each_step() {
    let points = |shop: &Shop| {
        let list = shop.cli("viewer", ["backup:list", "--format=json"]).succeeds().json();
        list["total"].as_u64().expect("a number")
    };
    let create = |full: &Full| {
        let number = points(&full.shop);
        upload(&full.shop, &number.to_string());
        let label = format!("--label=as-of-{number}");
        vec!["backup:create".to_owned(), label]
    };
    walk(deployed, "developer", create, |full, case, ran| {
        let shop = &full.shop;
        assert_eq!(shop.page().0, 200, "{case}");
        let list = shop.cli("viewer", ["backup:list", "--format=json"]).succeeds().json();
        let label = ran.command.last().and_then(|option| option.strip_prefix("--label=")).expect("a label");
        let made = list["items"].as_array().expect("items").iter().filter(|point| point["label"] == label);
        assert_eq!(made.count(), usize::from(ran.answer.code == 0), "{case}: {list:#}");
        shop.cli("developer", ["backup:create", "-n"]).succeeds();
        Left::Good
    });
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_restore_with_a_full_disk_in_each_step() {
    let restore = |full: &Full| {
        let shop = &full.shop;
        let to = moment(shop);
        order(shop, 2);
        let restore = [
            "backup:restore",
            &format!("--to={to}"),
            "--media",
            "--force",
            "--confirm=acme-prod1",
            // What many restores replace would fill these disks.
            "--keep-old=1s",
        ];
        restore.map(str::to_owned).to_vec()
    };
    walk(deployed, "operator", restore, |full, case, ran| {
        let shop = &full.shop;
        is_the_same_everywhere(shop, case);
        // What is shown of a moment tells how many there were.
        let gone = ran.orders - shop.orders();
        let stands = !ran.answer.stderr.contains("was undone");
        assert!(gone == 0 || gone == 2, "{case}: {gone} of 2 orders are gone");
        assert!(gone == 2 || ran.answer.code != 0, "{case}: {:#?}", ran.answer);
        assert!(gone == 0 || stands, "{case}: {:#?}", ran.answer);
        Left::Good
    });
}
