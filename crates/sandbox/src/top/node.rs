//! One node as the top process sees it: its init process and what was done to it.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use super::{Event, tell};
use crate::control::{NodeStatus, Report};
use crate::error::Result;
use crate::hosts::Host;
use crate::layout::Layout;
use crate::process_tree;
use crate::relay::{Gate, Relays};
use crate::run::PATH;

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Killed,
    Starting,
    Up,
    Frozen,
    Failed(String),
}

/// A node's init process.
struct Init {
    pid: i32,
    /// Its lifeline, which also takes orders; none once it was told to end.
    orders: Option<ChildStdin>,
}

/// One node.
pub struct Node {
    pub host: &'static Host,
    index: usize,
    layout: Layout,
    claim: (&'static str, i32),
    events: Sender<Event>,
    state: State,
    cut: bool,
    init: Option<Init>,
    waiting: Vec<Sender<Report>>,
}

impl Node {
    pub fn new(
        index: usize,
        host: &'static Host,
        layout: &Layout,
        claim: (&'static str, i32),
        events: Sender<Event>,
    ) -> Self {
        Self {
            host,
            index,
            layout: layout.clone(),
            claim,
            events,
            state: State::Killed,
            cut: false,
            init: None,
            waiting: Vec::new(),
        }
    }

    pub fn status(&self) -> NodeStatus {
        let (state, detail) = match &self.state {
            State::Killed => ("killed", None),
            State::Starting => ("starting", None),
            State::Up => ("up", None),
            State::Frozen => ("frozen", None),
            State::Failed(detail) => ("failed", Some(detail.clone())),
        };
        NodeStatus { name: self.host.name.to_owned(), state: state.to_owned(), cut: self.cut, detail }
    }

    /// The init process, as long as it lives.
    pub fn pid(&self) -> Option<i32> {
        self.init.as_ref().map(|init| init.pid)
    }

    /// Brings it up, or undoes whatever was done to it; answers when it is up.
    pub fn start(&mut self, relays: &Relays, reply: Sender<Report>) {
        self.cut = false;
        relays.set(self.host, Gate::Open);
        match self.state {
            State::Up => {
                let _ = reply.send(Report::done());
            }
            State::Starting => self.waiting.push(reply),
            State::Frozen => {
                self.waiting.push(reply);
                self.say("thaw");
            }
            State::Killed | State::Failed(_) => {
                self.destroy();
                self.waiting.push(reply);
                match self.spawn() {
                    Ok(init) => {
                        self.init = Some(init);
                        self.state = State::Starting;
                    }
                    Err(error) => self.settle(State::Failed(error.to_string())),
                }
            }
        }
    }

    /// SIGKILL to everything, the ports refuse from now on; what the node said before arrives, unless it was cut off.
    pub fn kill(&mut self, relays: &Relays, reply: Sender<Report>) {
        let (during, after) = if self.cut { (Gate::Closed, Gate::Closed) } else { (Gate::Dying, Gate::Dead) };
        self.cut = false;
        relays.set(self.host, during);
        self.destroy();
        relays.set(self.host, after);
        self.settle(State::Killed);
        let _ = reply.send(Report::done());
    }

    /// SIGSTOP to everything but the init process, which has to be able to thaw it, or to end it with its lifeline.
    pub fn freeze(&mut self, reply: Sender<Report>) {
        match self.state {
            State::Frozen => {
                let _ = reply.send(Report::done());
            }
            State::Up => {
                self.waiting.push(reply);
                self.say("freeze");
            }
            _ => {
                let _ = reply.send(Report::refused(format!("{} is not up", self.host.name)));
            }
        }
    }

    /// No byte passes from now on.
    pub fn cut(&mut self, relays: &Relays, reply: Sender<Report>) {
        if self.init.is_none() {
            let _ = reply.send(Report::refused(format!("{} is not up", self.host.name)));
            return;
        }
        self.cut = true;
        relays.set(self.host, Gate::Cut);
        let _ = reply.send(Report::done());
    }

    /// The init process with this number said something.
    pub fn heard(&mut self, pid: i32, line: &str) {
        if self.pid() != Some(pid) {
            // The last words of one that was killed.
            return;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "ready" | "thawed" => self.settle(State::Up),
            "frozen" => self.settle(State::Frozen),
            "failed" => self.settle(State::Failed(rest.to_owned())),
            _ => {
                tell("warning", &format!("{}: {rest}", self.host.name));
            }
        }
    }

    /// The init process has ended and was waited for; `true` if nobody here had ended it.
    pub fn ended(&mut self) -> bool {
        self.init = None;
        let unexpected = !matches!(self.state, State::Killed | State::Failed(_));
        if unexpected {
            self.settle(State::Failed("its init process has ended".to_owned()));
        }
        unexpected
    }

    /// Lets the init process end everything and itself.
    pub fn cut_lifeline(&mut self) {
        if let Some(init) = &mut self.init {
            init.orders = None;
        }
    }

    fn say(&mut self, order: &str) {
        if let Some(orders) = self.init.as_mut().and_then(|init| init.orders.as_mut()) {
            let _ = orders.write_all(format!("{order}\n").as_bytes());
        }
    }

    fn settle(&mut self, state: State) {
        self.state = state;
        for reply in self.waiting.drain(..) {
            let report = match &self.state {
                State::Failed(detail) => Report::refused(format!("{}: {detail}", self.host.name)),
                State::Killed => Report::refused(format!("{} was killed meanwhile", self.host.name)),
                _ => Report::done(),
            };
            let _ = reply.send(report);
        }
    }

    /// Kills everything of the node. The init process is stopped first, so that it tidies nothing up.
    fn destroy(&mut self) {
        let Some(init) = self.init.take() else { return };
        process_tree::signal(init.pid, Signal::STOP);
        process_tree::kill_descendants(init.pid, &[]);
        process_tree::signal(init.pid, Signal::KILL);
        let _ = waitpid(Pid::from_raw(init.pid), WaitOptions::empty());
    }

    /// Must be called on the top process's main thread: the init process's parent-death signal follows that thread.
    fn spawn(&self) -> Result<Init> {
        let log = OpenOptions::new().create(true).append(true).open(self.layout.log())?;
        let mut child = Command::new(self.layout.program("orocloud-sandbox"))
            .arg("init")
            .arg(self.layout.node(self.host.name).boot())
            .env_clear()
            .env("PATH", PATH)
            .env(self.claim.0, self.claim.1.to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let pid = child.id() as i32;
        let (Some(orders), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(crate::error::Error::new("the init process has no pipes"));
        };
        let (events, node) = (self.events.clone(), self.index);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(|line| line.ok()) {
                if events.send(Event::Said { node, pid, line }).is_err() {
                    return;
                }
            }
        });
        Ok(Init { pid, orders: Some(orders) })
    }
}
