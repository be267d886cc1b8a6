//! The top process of a sandbox: it prepares the folder, holds the relays and the init processes of all nodes, takes
//! orders on `control.sock`, and takes everything down with it when its owner ends.
//!
//! One thread, the main one, forks the init processes (their parent-death signal follows it); others send it events.

mod boot;
mod node;

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fd::AsRawFd;
use rustix::process::{Pid, WaitOptions, wait, waitpid};

use crate::accounts::Accounts;
use crate::blueprint::{Blueprint, Secrets};
use crate::control::{Action, Order, Report};
use crate::error::{Error, Result};
use crate::hosts::{Addresses, Parts};
use crate::init::CLAIM_VARIABLE;
use crate::layout::Layout;
use crate::relay::{Gate, Relays};
use crate::{json_lines, process_tree};
use node::Node;

/// How a sandbox is to be run.
#[derive(Debug)]
pub struct Run {
    /// Its folder.
    pub folder: PathBuf,
    /// Goes on when standard input ends.
    pub detached: bool,
    /// `type` in environment.toml.
    pub environment_type: String,
    /// What it has besides what every one has.
    pub parts: Parts,
    /// Further lines of environment.toml.
    pub environment_toml: String,
    /// Further environment variables of every agent.
    pub agent_environment: Vec<(String, String)>,
}

/// What the main loop hears.
enum Event {
    /// Somebody on the control socket, or the boot.
    Order(Order, Sender<Report>),
    /// A line from a node's init process, with that process.
    Said { node: usize, pid: i32, line: String },
    /// A child may have ended.
    Children,
    /// The boot has ended.
    Booted(Result<()>),
    /// The owner has gone, or somebody sent TERM.
    End,
}

/// Runs a sandbox to its end.
pub fn run(run: Run) -> ExitCode {
    match Top::begin(run) {
        Ok((mut top, events)) => top.run(&events),
        Err(error) => {
            tell("error", &error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Tells the owner something: `progress SECONDS PART`, `warning TEXT`, `error TEXT`, `ready`. Gives whether there
/// was somebody to hear it: a detached sandbox outlives its reader.
fn tell(kind: &str, text: &str) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{kind} {}", text.replace('\n', "\u{1}")).and_then(|()| out.flush()).is_ok()
}

struct Top {
    layout: Layout,
    relays: Relays,
    nodes: Vec<Node>,
    booted: bool,
    /// Who asked for the end; kept, so that the connection lasts as long as this process.
    last: Option<Sender<Report>>,
}

impl Top {
    fn begin(run: Run) -> Result<(Self, Receiver<Event>)> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let layout = Layout::new(&run.folder)?;
        let accounts = Accounts::discover()?;
        let (addresses, claim) = Addresses::claim()?;
        // Inherited by the init processes: see `hold_claim` there.
        rustix::io::fcntl_setfd(&claim, rustix::io::FdFlags::empty())?;
        let claim_number = claim.as_raw_fd();
        std::mem::forget(claim);

        let relays = Relays::start(addresses)?;
        let blueprint = Blueprint {
            layout: layout.clone(),
            addresses,
            accounts,
            secrets: Secrets::generate()?,
            environment_type: run.environment_type,
            parts: run.parts,
            environment_toml: run.environment_toml,
            agent_environment: run.agent_environment,
        };
        let (events, receiver) = mpsc::channel();
        let nodes = run
            .parts
            .hosts()
            .enumerate()
            .map(|(index, host)| {
                Node::new(index, host, &layout, (CLAIM_VARIABLE, claim_number), events.clone())
            })
            .collect();
        listen_to_signals(events.clone())?;
        if !run.detached {
            listen_to_lifeline(events.clone());
        }
        let order = order_through(events.clone());
        json_lines::serve(&layout.control_socket(), order.clone(), Report::refused)?;
        thread::spawn(move || {
            let said = |part: &str, took: Duration| {
                tell("progress", &format!("{:.2} {part}", took.as_secs_f64()));
            };
            let outcome = boot::boot(&blueprint, &order, &said);
            let _ = events.send(Event::Booted(outcome));
        });
        Ok((Self { layout, relays, nodes, booted: false, last: None }, receiver))
    }

    fn run(&mut self, events: &Receiver<Event>) -> ExitCode {
        let mut code = ExitCode::SUCCESS;
        for event in events {
            match event {
                // Answered by the end of the connection: nothing runs any more.
                Event::Order(order, reply) if order.action == Action::Down => {
                    self.last = Some(reply);
                    break;
                }
                Event::Order(order, reply) => self.carry_out(&order, reply),
                Event::Said { node, pid, line } => self.nodes[node].heard(pid, &line),
                Event::Children => self.reap(),
                Event::Booted(Ok(())) => {
                    self.booted = true;
                    // Who wanted it went away while it came up.
                    if !tell("ready", "") {
                        break;
                    }
                }
                Event::Booted(Err(error)) => {
                    tell("error", &error.to_string());
                    code = ExitCode::FAILURE;
                    break;
                }
                Event::End => break,
            }
        }
        self.end();
        code
    }

    fn carry_out(&mut self, order: &Order, reply: Sender<Report>) {
        if order.action == Action::Status {
            let nodes = self.nodes.iter().map(Node::status).collect();
            let _ = reply.send(Report { ok: true, nodes, error: None });
            return;
        }
        let name = order.node.as_deref().unwrap_or_default();
        let Some(node) = self.nodes.iter_mut().find(|node| node.host.name == name) else {
            let error = crate::hosts::host(name).err().map_or_else(String::new, |error| error.to_string());
            let _ = reply.send(Report::refused(error));
            return;
        };
        match order.action {
            Action::Start => node.start(&self.relays, reply),
            Action::Kill => node.kill(&self.relays, reply),
            Action::Freeze => node.freeze(reply),
            Action::Cut => node.cut(&self.relays, reply),
            Action::Status | Action::Down => {}
        }
    }

    /// Waits for init processes that have ended, and for orphans that came to us.
    fn reap(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(pid) = self.nodes[index].pid().and_then(Pid::from_raw) else { continue };
            if let Ok(Some(_)) = waitpid(Some(pid), WaitOptions::NOHANG) {
                let unexpected = self.nodes[index].ended();
                if unexpected {
                    self.relays.set(self.nodes[index].host, Gate::Closed);
                    self.kill_orphans();
                }
            }
        }
        // While booting, threads wait for programs of their own, which must not be snatched from them.
        if self.booted {
            while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
                let pid = pid.as_raw_nonzero().get();
                if let Some(node) = self.nodes.iter_mut().find(|node| node.pid() == Some(pid)) {
                    node.ended();
                }
            }
        }
    }

    /// Whatever a node's init process left behind came to us and is killed; living init processes keep theirs.
    fn kill_orphans(&self) {
        if self.booted {
            let spared: Vec<i32> = self.nodes.iter().filter_map(Node::pid).collect();
            process_tree::kill_descendants(std::process::id() as i32, &spared);
        }
    }

    /// Ends every node: first by its lifeline, so that PostgreSQL tidies up, then by force.
    fn end(&mut self) {
        let _ = std::fs::remove_file(self.layout.description());
        for node in &mut self.nodes {
            node.cut_lifeline();
        }
        let patience = Instant::now() + Duration::from_secs(6);
        while Instant::now() < patience && self.nodes.iter().any(|node| node.pid().is_some()) {
            self.reap();
            thread::sleep(Duration::from_millis(5));
        }
        process_tree::kill_descendants(std::process::id() as i32, &[]);
    }
}

/// Orders for the main loop, from any thread.
fn order_through(events: Sender<Event>) -> impl Fn(Order) -> Report + Clone + Send + Sync + 'static {
    move |order| {
        let (reply, report) = mpsc::channel();
        if events.send(Event::Order(order, reply)).is_err() {
            return Report::refused("the sandbox is going down");
        }
        report.recv().unwrap_or_else(|_| Report::refused("the sandbox is going down"))
    }
}

fn listen_to_signals(events: Sender<Event>) -> Result<()> {
    use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGCHLD, SIGHUP, SIGINT, SIGTERM])
        .map_err(|error| Error::new(format!("cannot listen to signals: {error}")))?;
    thread::spawn(move || {
        for number in signals.forever() {
            let event = if number == SIGCHLD { Event::Children } else { Event::End };
            if events.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// The owner holds the other end of standard input; however it ends, the kernel closes it.
fn listen_to_lifeline(events: Sender<Event>) {
    thread::spawn(move || {
        let mut ignored = [0; 64];
        let mut input = io::stdin().lock();
        while matches!(input.read(&mut ignored), Ok(length) if length > 0) {}
        let _ = events.send(Event::End);
    });
}
