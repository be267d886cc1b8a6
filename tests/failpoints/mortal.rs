//! A sandbox whose agents die where they are told to.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use orocloud_protocol::CallId;
use orocloud_sandbox::Options;

use super::walk::Met;
use crate::support::{Answer, Cli, Shop, wait_for};

const NODES: [&str; 6] = ["maint1", "web1", "web2", "db1", "lb1", "mail1"];

/// Longer than any operation takes here, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(600);

/// A sandbox whose agents die where the file says.
pub struct Mortal {
    pub shop: Shop,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// How an operation ended during which somebody may have died.
pub struct Ended {
    pub answer: Answer,
    died: bool,
    left_behind: bool,
}

impl Ended {
    /// The answer, where it says what the nodes serve: without a node that was left behind it does.
    pub fn verdict(&self) -> Option<&Answer> {
        (!self.left_behind).then_some(&self.answer)
    }

    /// Whether somebody died; where an act was faster than that, nobody did.
    pub fn met(&self) -> Met {
        if self.died { Met::Yes } else { Met::No }
    }
}

/// What a command is about to do, step by step.
pub struct Planned {
    /// Names, in their order.
    pub steps: Vec<String>,
    /// How many of them can be undone.
    pub before: usize,
}

impl Mortal {
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// One with mail1.
    pub fn start_with_mail() -> Self {
        Self::start_with(Options { smtp: true, ..Options::default() })
    }

    fn start_with(options: Options) -> Self {
        let (shop, file, folder) = Shop::start_mortal_with(options);
        Self { shop, file, _folder: folder }
    }

    pub fn planned(&self, caller: &str, command: &[&str]) -> Planned {
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

    pub fn run(&self, caller: &str, arguments: &[&str]) -> Answer {
        self.cli(caller, arguments, None).run()
    }

    fn cli(&self, caller: &str, arguments: &[&str], reads: Option<&Path>) -> Cli<'_> {
        let mut cli = self.shop.cli(caller, []);
        cli.command.args(arguments);
        if let Some(path) = reads {
            cli.command.stdin(File::open(path).expect("what it reads"));
        }
        cli
    }

    /// Runs a command during which somebody is killed at these points, one after the other, and gives how the operation
    /// ended: by the same id, called again.
    pub fn killed_at<P: AsRef<str> + Debug>(&self, points: &[P], caller: &str, command: &[&str]) -> Ended {
        self.killed_while_reading(points, caller, command, None, |_| ())
    }

    /// The same of a command that reads a file; after each death something is done before whoever died lives again.
    pub fn killed_while_reading<P: AsRef<str> + Debug>(
        &self,
        points: &[P],
        caller: &str,
        command: &[&str],
        reads: Option<&Path>,
        while_dead: impl Fn(usize),
    ) -> Ended {
        let id = new_id();
        let mut arguments = command.to_vec();
        let with_id = format!("--operation-id={id}");
        // The agent takes backups of its own, and brings nodes back.
        arguments.extend(["-n", &with_id, "--wait-lock=2m"]);
        self.dies_at(points[0].as_ref());
        let child = Watched::new(self.cli(caller, &arguments, reads).spawn());
        let mut died = 0;
        for (index, point) in points.iter().enumerate() {
            let end = Instant::now() + LIMIT;
            while !child.has_ended() && !self.is_dead() {
                assert!(Instant::now() < end, "waited in vain for a death at {point:?} of {command:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
            if !self.is_dead() {
                break;
            }
            died += 1;
            while_dead(index);
            if let Some(next) = points.get(index + 1) {
                self.dies_at(next.as_ref());
            }
            self.revive();
        }
        self.lives();
        child.end();
        let again = self.cli(caller, &arguments, reads).run();
        let case = format!("{points:?} of {command:?}: {again:#?}\n{}", self.shop.logs());
        assert!([0, 1].contains(&again.code), "{case}");
        let waited = self.run("viewer", &["operation:wait", &id.to_string()]);
        assert_eq!(waited.code, again.code, "{case}\n{waited:#?}");
        let running = self.run("viewer", &["operation:list", "--format=json"]).json();
        let mut running = running["items"].as_array().expect("items").iter();
        assert!(!running.any(|item| item["id"] == id.to_string()), "it holds its locks: {case}");
        let left_behind = again.stderr.contains("was left behind");
        if left_behind {
            // On a very busy machine an agent may be back too late for its operation; its node is healed then.
            let name = |node| self.shop.release_on(node).and_then(|path| path.file_name().map(PathBuf::from));
            let end = Instant::now() + LIMIT;
            // It may have the right release already, and still the page.
            let page = |node| self.shop.page_of(node).0;
            while name("web1") != name("web2") || page("web1") != page("web2") {
                assert!(Instant::now() < end, "never healed: {case}");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        Ended { answer: again, died: died > 0, left_behind }
    }

    /// Has the agent that comes by here die.
    pub fn dies_at(&self, point: &str) {
        std::fs::write(&self.file, point).expect("a failpoint");
    }

    /// Whether one did.
    pub fn is_dead(&self) -> bool {
        !self.file.exists()
    }

    /// Has nobody die any more.
    pub fn lives(&self) {
        let _ = std::fs::remove_file(&self.file);
    }

    /// Starts the agent that died.
    pub fn revive(&self) {
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
    pub fn is_whole(&self, case: &str) -> Option<PathBuf> {
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

impl Planned {
    /// Everything up to the point of no return is done, and then taken back: what an undo is killed in.
    pub fn last_before(&self) -> String {
        format!("{}/done", self.steps[self.before - 1])
    }
}
