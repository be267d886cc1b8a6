//! The init process of one node: the real parent of its services, their service manager, the reaper of its orphans.
//!
//! Standard input is its lifeline and takes orders from the top process (`freeze`, `thaw`); at its end everything
//! of the node ends at once. Standard output says `ready`, `failed …`, `warning …`, `frozen`, `thawed`.
//!
//! One thread owns all services: it forks them (a parent-death signal follows the forking thread, so that thread
//! must live as long as the process) and waits for them. Other threads only send it events.

mod unit;

use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::io::{self, BufRead, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, WaitOptions, wait};

use crate::error::{Context, Error, Result};
use crate::service::Boot;
use crate::supervisor::{Action, Answer, Request};
use crate::{json_lines, process_tree};
use unit::{Goal, Unit};

/// What the main loop hears.
enum Event {
    /// Somebody on the service manager's socket.
    Request(Request, Sender<Answer>),
    /// A line from the top process.
    Order(String),
    /// A child may have ended.
    Children,
    /// The lifeline was cut, or somebody sent TERM.
    End,
}

/// How often a service that starts or stops is looked at.
const TICK: Duration = Duration::from_millis(10);

/// Runs the node described in `boot_file` until its lifeline ends.
pub fn run(boot_file: &Path) -> ExitCode {
    match Init::begin(boot_file) {
        Ok((mut init, events)) => {
            init.run(&events);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("failed {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells the top process something; it may be gone, then the lifeline ends too.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", line.replace('\n', " | "));
    let _ = out.flush();
}

struct Init {
    units: Vec<Unit>,
    /// While frozen, requests wait here.
    frozen: bool,
    held_back: VecDeque<(Request, Sender<Answer>)>,
    /// Whether `ready` or `failed` was said.
    reported: bool,
}

impl Init {
    fn begin(boot_file: &Path) -> Result<(Self, Receiver<Event>)> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
        hold_claim();
        let text =
            fs::read_to_string(boot_file).context(|| format!("cannot read {}", boot_file.display()))?;
        let boot: Boot =
            serde_json::from_str(&text).context(|| format!("cannot read {}", boot_file.display()))?;
        prepare_run_folder(&boot)?;

        let (sender, events) = mpsc::channel();
        listen_to_signals(sender.clone())?;
        listen_to_orders(sender.clone());
        listen_to_requests(&boot, sender)?;
        let units = boot.services.into_iter().map(Unit::new).collect();
        Ok((Self { units, frozen: false, held_back: VecDeque::new(), reported: false }, events))
    }

    fn run(&mut self, events: &Receiver<Event>) {
        for unit in &mut self.units {
            unit.start();
        }
        loop {
            let changing = !self.frozen && self.units.iter().any(Unit::is_changing);
            let event = if changing { events.recv_timeout(TICK).ok() } else { events.recv().ok() };
            match event {
                Some(Event::Request(request, reply)) if self.frozen => {
                    self.held_back.push_back((request, reply))
                }
                Some(Event::Request(request, reply)) => self.answer(&request, reply),
                Some(Event::Order(order)) => self.obey(&order),
                Some(Event::Children) => self.reap(),
                Some(Event::End) => return self.end(),
                None => {}
            }
            if !self.frozen {
                self.units.iter_mut().for_each(Unit::look);
            }
            self.report();
        }
    }

    /// Says once how the boot went.
    fn report(&mut self) {
        if self.reported || self.units.iter().any(Unit::is_changing) {
            return;
        }
        self.reported = true;
        let mut failed = Vec::new();
        for unit in &self.units {
            match unit.failure() {
                Some(detail) if unit.required() => failed.push(format!("{} {detail}", unit.name())),
                Some(detail) => say(&format!("warning {} {detail}", unit.name())),
                None => {}
            }
        }
        if failed.is_empty() {
            say("ready");
        } else {
            say(&format!("failed {}", failed.join("; ")));
        }
    }

    fn answer(&mut self, request: &Request, reply: Sender<Answer>) {
        let refuse = |text: String| {
            // Who asked may have gone.
            let _ = reply.send(Answer::refused(text));
        };
        if request.action == Action::List {
            let services = self.units.iter().map(Unit::describe).collect();
            let _ = reply.send(Answer { ok: true, services, error: None });
            return;
        }
        let Some(name) = &request.service else {
            return refuse("the request names no service".to_owned());
        };
        let Some(unit) = self.units.iter_mut().find(|unit| unit.name() == name) else {
            return refuse(format!("there is no service {name}"));
        };
        match request.action {
            Action::Start => {
                unit.start();
                unit.wait(Goal::Up, reply);
            }
            Action::Restart => {
                unit.stop(true);
                unit.wait(Goal::Up, reply);
            }
            Action::Stop => {
                unit.stop(false);
                unit.wait(Goal::Down, reply);
            }
            Action::Kill => {
                unit.kill();
                unit.wait(Goal::Down, reply);
            }
            Action::Reload => match unit.reload() {
                Ok(()) => {
                    let _ = reply.send(Answer { ok: true, services: vec![unit.describe()], error: None });
                }
                Err(error) => refuse(error),
            },
            Action::State | Action::List => {
                let _ = reply.send(Answer { ok: true, services: vec![unit.describe()], error: None });
            }
        }
    }

    fn obey(&mut self, order: &str) {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        match order {
            "freeze" => {
                self.frozen = true;
                process_tree::freeze_descendants(me);
                say("frozen");
            }
            "thaw" => {
                process_tree::thaw_descendants(me);
                self.frozen = false;
                for (request, reply) in std::mem::take(&mut self.held_back) {
                    self.answer(&request, reply);
                }
                say("thawed");
            }
            other => say(&format!("warning unknown order {other}")),
        }
    }

    /// Waits for every child that has ended, orphans of services too.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            for unit in &mut self.units {
                if unit.ended(pid, status) {
                    break;
                }
            }
        }
    }

    /// Ends everything of the node at once.
    fn end(&mut self) {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        process_tree::thaw_descendants(me);
        let patience = Instant::now() + Duration::from_secs(3);
        let slow: Vec<i32> = self.units.iter().filter_map(Unit::end_quickly).collect();
        // Those that tidy up get a moment; those that were killed are gone already.
        while Instant::now() < patience {
            self.reap();
            if slow.iter().all(|pid| self.units.iter().all(|unit| unit.pid() != Some(*pid))) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        process_tree::kill_descendants(me, &[]);
        self.reap();
    }
}

/// The top process lets us inherit the socket with which the sandbox has claimed its addresses, so that they stay
/// claimed until the last of its processes has ended. The services must not inherit it too.
fn hold_claim() {
    let Some(number) = std::env::var(CLAIM_VARIABLE).ok().and_then(|text| text.parse::<i32>().ok()) else {
        return;
    };
    // SAFETY: the top process opened this descriptor for us; nothing else in this process knows it.
    let claim = unsafe { OwnedFd::from_raw_fd(number) };
    let _ = rustix::io::fcntl_setfd(&claim, rustix::io::FdFlags::CLOEXEC);
    // Held until the process ends.
    std::mem::forget(claim);
}

/// Number of the inherited descriptor that claims the addresses.
pub const CLAIM_VARIABLE: &str = "OROCLOUD_SANDBOX_CLAIM";

/// A machine's /run is empty after a boot.
fn prepare_run_folder(boot: &Boot) -> Result<()> {
    let context = || format!("cannot prepare {}", boot.run.display());
    for entry in fs::read_dir(&boot.run).context(context)? {
        let path = entry.context(context)?.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.context(context)?;
    }
    for folder in &boot.folders {
        let create = || {
            fs::create_dir_all(&folder.path)?;
            if let Some((user, group)) = folder.owner {
                chown(&folder.path, Some(user), Some(group))?;
            }
            fs::set_permissions(&folder.path, Permissions::from_mode(folder.mode))
        };
        create().context(|| format!("cannot create {}", folder.path.display()))?;
    }
    Ok(())
}

fn listen_to_signals(events: Sender<Event>) -> Result<()> {
    use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGCHLD, SIGINT, SIGTERM])?;
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

fn listen_to_orders(events: Sender<Event>) {
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::<String, io::Error>::ok) {
            if events.send(Event::Order(line)).is_err() {
                return;
            }
        }
        let _ = events.send(Event::End);
    });
}

fn listen_to_requests(boot: &Boot, events: Sender<Event>) -> Result<()> {
    let answer = move |request: Request| {
        let (reply, answer) = mpsc::channel();
        if events.send(Event::Request(request, reply)).is_err() {
            return Answer::refused("the node is going down");
        }
        answer.recv().unwrap_or_else(|_| Answer::refused("the node is going down"))
    };
    json_lines::serve(&boot.supervisor_socket, answer, Answer::refused)?;
    let mode = || -> Result<(), Error> {
        if let Some(group) = boot.supervisor_group {
            chown(&boot.supervisor_socket, None, Some(group))?;
        }
        fs::set_permissions(&boot.supervisor_socket, Permissions::from_mode(0o660))?;
        Ok(())
    };
    mode().context(|| format!("cannot set the mode of {}", boot.supervisor_socket.display()))
}
