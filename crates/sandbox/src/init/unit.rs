//! One service of a node: its process, its state, and who waits for it.

use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, WaitStatus, kill_process};

use crate::process_tree;
use crate::service::{Ready, Service, signal};
use crate::supervisor::{Answer, ServiceState};

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It runs and is ready.
    Up,
    /// It has ended.
    Down,
}

/// How long an earlier life of a service may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The life of a service.
#[derive(Debug)]
enum State {
    Stopped,
    /// To be started as soon as an earlier life has ended.
    Waiting {
        until: Instant,
    },
    Starting {
        pid: i32,
        until: Instant,
    },
    Running {
        pid: i32,
    },
    Stopping {
        pid: i32,
        until: Instant,
        start_again: bool,
    },
    /// SIGKILL was sent, the end was not seen yet.
    Killed {
        pid: i32,
    },
    Failed {
        detail: String,
    },
}

/// A service and its process.
pub struct Unit {
    service: Service,
    state: State,
    since: Timestamp,
    waiting: Vec<(Goal, Sender<Answer>)>,
}

impl Unit {
    pub fn new(service: Service) -> Self {
        Self { service, state: State::Stopped, since: Timestamp::now(), waiting: Vec::new() }
    }

    pub fn name(&self) -> &str {
        &self.service.name
    }

    pub fn required(&self) -> bool {
        self.service.required
    }

    /// Whether something happens with time: then the loop looks again soon.
    pub fn is_changing(&self) -> bool {
        !matches!(self.state, State::Stopped | State::Running { .. } | State::Failed { .. })
    }

    /// Why the service is not there, if it failed.
    pub fn failure(&self) -> Option<&str> {
        match &self.state {
            State::Failed { detail } => Some(detail),
            _ => None,
        }
    }

    pub fn describe(&self) -> ServiceState {
        let (state, pid, detail) = match &self.state {
            State::Stopped => ("stopped", None, None),
            State::Waiting { .. } => ("starting", None, None),
            State::Starting { pid, .. } => ("starting", Some(*pid), None),
            // The protocol has no word for it; it runs until it has ended.
            State::Running { pid } | State::Stopping { pid, .. } | State::Killed { pid } => {
                ("running", Some(*pid), None)
            }
            State::Failed { detail } => ("failed", None, Some(detail.clone())),
        };
        let since = self.since.to_string();
        ServiceState { name: self.service.name.clone(), state: state.to_owned(), pid, since, detail }
    }

    /// Remembers somebody who is answered when the goal is reached or missed.
    pub fn wait(&mut self, goal: Goal, reply: Sender<Answer>) {
        self.waiting.push((goal, reply));
        self.answer_waiting();
    }

    pub fn start(&mut self) {
        match &mut self.state {
            State::Stopped | State::Failed { .. }
                if self.service.only_with.as_ref().is_some_and(|path| !path.exists()) =>
            {
                self.enter(State::Stopped)
            }
            State::Stopped | State::Failed { .. } => {
                self.enter(State::Waiting { until: Instant::now() + PATIENCE });
                self.look();
            }
            State::Stopping { start_again, .. } => *start_again = true,
            State::Waiting { .. } | State::Starting { .. } | State::Running { .. } | State::Killed { .. } => {
            }
        }
    }

    /// Forks it, unless an earlier life of it still ends.
    fn start_when_alone(&mut self, until: Instant) {
        if let Some(folder) = &self.service.alone_in
            && Instant::now() < until
            && process_tree::works_in(std::process::id() as i32, folder)
        {
            return;
        }
        let next = match self.spawn() {
            Ok(pid) => State::Starting { pid, until: Instant::now() + self.ready_time() },
            Err(error) => State::Failed { detail: format!("cannot be run: {error}") },
        };
        self.enter(next);
    }

    pub fn stop(&mut self, start_again: bool) {
        match self.state {
            State::Starting { pid, .. } | State::Running { pid } => {
                send(pid, self.service.stop_signal);
                let until = Instant::now() + Duration::from_secs(self.service.stop_seconds);
                self.enter(State::Stopping { pid, until, start_again });
            }
            State::Stopping { start_again: ref mut again, .. } => *again = start_again,
            State::Killed { .. } => {}
            State::Stopped | State::Waiting { .. } | State::Failed { .. } => self.rest(start_again),
        }
    }

    /// Sends the reload signal.
    pub fn reload(&self) -> Result<(), String> {
        match (&self.state, self.service.reload_signal) {
            (State::Running { pid }, Some(number)) => {
                send(*pid, number);
                Ok(())
            }
            (State::Running { .. }, None) => Err(format!("{} cannot be reloaded", self.name())),
            _ => Err(format!("{} does not run", self.name())),
        }
    }

    /// SIGKILL, as a crash would be.
    pub fn kill(&mut self) {
        if let Some(pid) = self.pid() {
            send(pid, signal::KILL);
            self.enter(State::Killed { pid });
        } else if matches!(self.state, State::Waiting { .. }) {
            self.enter(State::Stopped);
        }
    }

    /// The signal for when the whole sandbox goes away.
    pub fn end_quickly(&self) -> Option<i32> {
        let pid = self.pid()?;
        send(pid, self.service.quick_signal);
        Some(pid)
    }

    pub fn pid(&self) -> Option<i32> {
        match self.state {
            State::Starting { pid, .. }
            | State::Running { pid }
            | State::Stopping { pid, .. }
            | State::Killed { pid } => Some(pid),
            State::Stopped | State::Waiting { .. } | State::Failed { .. } => None,
        }
    }

    /// A child ended; `true` if it was this service's process.
    pub fn ended(&mut self, pid: i32, status: WaitStatus) -> bool {
        if self.pid() != Some(pid) {
            return false;
        }
        let how = describe_end(status);
        match self.state {
            State::Stopping { start_again, .. } => self.rest(start_again),
            State::Starting { .. } => {
                let detail = format!("{how} before it was ready{}", self.last_words());
                self.enter(State::Failed { detail });
            }
            _ => {
                let detail = format!("{how}{}", self.last_words());
                self.enter(State::Failed { detail });
            }
        }
        true
    }

    /// Looks whether it is ready, or whether time is up.
    pub fn look(&mut self) {
        match self.state {
            State::Waiting { until } => self.start_when_alone(until),
            State::Starting { pid, until } => {
                if is_ready(&self.service.ready, pid) {
                    self.enter(State::Running { pid });
                } else if Instant::now() > until {
                    send(pid, signal::KILL);
                    let detail = format!("was not ready after {:?}{}", self.ready_time(), self.last_words());
                    self.enter(State::Failed { detail });
                }
            }
            State::Stopping { pid, ref mut until, .. } if Instant::now() > *until => {
                send(pid, signal::KILL);
                // Once a second from now on, until it is gone.
                *until = Instant::now() + Duration::from_secs(1);
            }
            _ => {}
        }
    }

    fn ready_time(&self) -> Duration {
        Duration::from_secs(self.service.ready_seconds)
    }

    /// It has ended as it should; who waits for a restart is answered when it is up again.
    fn rest(&mut self, start_again: bool) {
        if start_again {
            self.state = State::Stopped;
            self.start();
        } else {
            self.enter(State::Stopped);
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.since = Timestamp::now();
        self.answer_waiting();
    }

    fn answer_waiting(&mut self) {
        if self.is_changing() {
            return;
        }
        let name = self.service.name.clone();
        for (goal, reply) in std::mem::take(&mut self.waiting) {
            let answer = match (goal, &self.state) {
                (Goal::Up, State::Failed { detail }) => Answer::refused(format!("{name} {detail}")),
                (Goal::Up, State::Stopped) => Answer::refused(format!("{name} was stopped meanwhile")),
                (Goal::Down, State::Running { .. }) => {
                    Answer::refused(format!("{name} was started meanwhile"))
                }
                _ => Answer { ok: true, services: vec![self.describe()], error: None },
            };
            // Who asked may have gone.
            let _ = reply.send(answer);
        }
    }

    /// Must be called on the init process's main thread: the parent-death signal follows the thread that forks.
    fn spawn(&self) -> std::io::Result<i32> {
        let log = OpenOptions::new().create(true).append(true).open(&self.service.log)?;
        // Not everything that is left over by an earlier life is ours to remove, but a socket would look ready.
        if let Ready::Socket(path) = &self.service.ready {
            let _ = fs::remove_file(path);
        }
        let mut command = Command::new(&self.service.command[0]);
        command
            .args(&self.service.command[1..])
            .env_clear()
            .envs(&self.service.environment)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C at the terminal is the sandbox's to handle.
            .process_group(0);
        // The handle is dropped, not waited for: the main loop waits for every child itself.
        command.spawn().map(|child| child.id() as i32)
    }

    /// The end of its log, which mostly says why it ended.
    fn last_words(&self) -> String {
        let text = fs::read(&self.service.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(3)..];
        if last.is_empty() { String::new() } else { format!(": {}", last.join(" | ")) }
    }
}

fn send(pid: i32, number: i32) {
    let signal = match number {
        signal::HUP => Signal::HUP,
        signal::INT => Signal::INT,
        signal::QUIT => Signal::QUIT,
        signal::USR1 => Signal::USR1,
        signal::USR2 => Signal::USR2,
        signal::KILL => Signal::KILL,
        _ => Signal::TERM,
    };
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

fn describe_end(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn is_ready(ready: &Ready, pid: i32) -> bool {
    match ready {
        Ready::Alive => true,
        Ready::Socket(path) => UnixStream::connect(path).is_ok(),
        Ready::Port(address) => {
            TcpStream::connect_timeout(&SocketAddr::V4(*address), Duration::from_millis(100)).is_ok()
        }
        Ready::Postmaster(file) => postmaster_is_ready(file, pid),
    }
}

/// The first line is the server's process, the eighth its state, as pg_ctl reads them.
fn postmaster_is_ready(file: &Path, pid: i32) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some(&pid.to_string()) && matches!(lines.nth(6).map(str::trim), Some("ready" | "standby"))
}
