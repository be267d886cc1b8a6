//! Making a call: connect, say hello, send one request, follow its events, and come back after a loss.
//!
//! The connection knows no terminal. What there is to tell goes to a [`Watcher`].

pub mod host;
mod lines;
pub mod local;
mod rest;
mod signals;
mod ssh;
#[cfg(test)]
mod tests;
mod transport;
mod verdicts;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orocloud_protocol::window::Window;
use orocloud_protocol::{
    CallError, CallId, EnvironmentName, ErrorKind, Event, EventBody, Hello, Incoming, Kind, Notification,
    Request, encode,
};
use serde_json::Value;

pub use signals::Signals;
pub use ssh::SshRoute;

use lines::{Lines, Lost, Woken};
use rest::Resting;
use ssh::ConnectError;
use verdicts::{greet, lost_for_good};

/// How an environment is reached.
#[derive(Clone, Debug)]
pub enum Route {
    /// Over SSH.
    Ssh(Box<SshRoute>),
    /// By the agent's socket on this machine.
    Local(PathBuf),
}

/// What a call needs to know of its environment.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its name; unknown on its own maintenance node until the agent says it.
    pub name: Option<EnvironmentName>,
    /// How it is reached.
    pub route: Route,
    /// How long a lost connection is tried again.
    pub reconnect_for: Duration,
}

/// A call about to be made.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its id.
    pub id: CallId,
    /// For instance `backup.list`.
    pub method: &'static str,
    /// As the method documents.
    pub params: Value,
    /// How it answers.
    pub kind: Kind,
    /// How it goes on after a lost connection.
    pub resume: Resume,
    /// When to stop watching.
    pub deadline: Option<Instant>,
    /// Events up to this one were seen.
    pub seen: u64,
}

/// How a call goes on after a lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Ask again.
    Repeat,
    /// The same id, and only the events after the last one seen.
    Sequence,
    /// A new call whose parameter `after_seq` is the last event seen.
    ViewSequence,
    /// A new call whose parameter `after_cursor` is the last log entry's.
    Cursor,
}

/// What happens next, as a watcher wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop watching now.
    Leave,
    /// Stop watching after this time, unless Ctrl-C comes again.
    LeaveAfter(Duration),
    /// Stop watching and cancel the operation.
    Cancel,
}

/// Who is told what happens in a call.
pub trait Watcher {
    /// Something happened in the call.
    fn event(&mut self, event: &Event) -> io::Result<Flow>;

    /// The answer is there; it came while these maintenance windows were open.
    fn within(&mut self, _open_windows: &[Window]) -> io::Result<()> {
        Ok(())
    }

    /// The connection is gone; it is tried again for at most `limit`.
    fn lost(&mut self, why: &str, limit: Duration) -> io::Result<()>;

    /// The connection is back after `away`.
    fn regained(&mut self, away: Duration) -> io::Result<()>;

    /// Ctrl-C was pressed, all in all this many times.
    fn interrupted(&mut self, times: usize, agent: Option<&Hello>) -> io::Result<Flow>;

    /// Asks for the passphrase of a key; `None` when nobody is there.
    fn unlock(&mut self, key: &Path, attempt: u32) -> Option<String>;
}

/// How a call ended for us.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// With its answer.
    Answer(Value),
    /// The watcher left.
    Left,
    /// The watcher left and wants the operation cancelled.
    Cancel,
    /// The deadline passed.
    TimedOut,
}

/// Why a call gave no ending.
#[derive(Debug)]
pub enum CallFailure {
    /// The call, or the way to it, failed.
    Call(CallError),
    /// Our own output failed.
    Output(io::Error),
}

impl From<CallError> for CallFailure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<io::Error> for CallFailure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Within this time the agent must have said hello.
const HELLO: Duration = Duration::from_secs(15);
/// A query without a sign of life for so long has failed.
const QUERY: Duration = Duration::from_secs(60);

/// A connection that was not used for so long is made anew.
const IDLE: Duration = Duration::from_secs(10);

/// Makes calls to one environment, over one connection as long as that holds.
pub struct Client {
    destination: Destination,
    open: Option<Lines>,
    /// The open connection while nobody uses it, where it is kept.
    resting: Option<Resting>,
    /// Whether the connection stays open between calls: the shell's.
    keeps: bool,
    used: Instant,
    hello: Option<Hello>,
    /// An agent was there before.
    greeted: bool,
    passphrase: Option<String>,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(destination: Destination) -> Self {
        Self {
            destination,
            open: None,
            resting: None,
            keeps: false,
            used: Instant::now(),
            hello: None,
            greeted: false,
            passphrase: None,
        }
    }

    /// What the agent said of itself, once it did.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Lets the connection go: a call that was left still occupies it.
    pub fn disconnect(&mut self) {
        self.open = None;
    }

    /// Makes a call and follows it to its end.
    pub fn call(
        &mut self,
        outgoing: &mut Outgoing,
        watcher: &mut dyn Watcher,
        signals: Option<&mut Signals>,
    ) -> Result<Ending, CallFailure> {
        self.wake();
        if self.used.elapsed() > IDLE {
            // Nobody answered the server's questions for a sign of life meanwhile: it may be about to hang up.
            self.open = None;
        }
        let was_open = self.open.is_some();
        if !was_open {
            self.connect_first(watcher)?;
        }
        let mut signals = signals;
        let mut result = self.follow(outgoing, watcher, signals.as_deref_mut());
        let is_refused =
            matches!(&result, Err(CallFailure::Call(error)) if error.kind == ErrorKind::NotSignedIn);
        if is_refused {
            // A connection ends with its certificate. Where a new one lies by now, a new connection goes on.
            self.disconnect();
            if was_open && outgoing.seen == 0 {
                self.connect_first(watcher)?;
                result = self.follow(outgoing, watcher, signals);
            }
        }
        self.used = Instant::now();
        result
    }

    /// Makes a call on the open connection, and on the next one when that is lost.
    fn follow(
        &mut self,
        outgoing: &mut Outgoing,
        watcher: &mut dyn Watcher,
        mut signals: Option<&mut Signals>,
    ) -> Result<Ending, CallFailure> {
        let mut interruptions = 0;
        // Since when there has been no agent; a connection without one does not end that.
        let mut away = None;
        loop {
            match self.attempt(outgoing, watcher, signals.as_deref_mut(), &mut interruptions, &mut away) {
                Ok(ending) => {
                    if !matches!(ending, Ending::Answer(_)) {
                        self.leave(outgoing.id);
                    }
                    return Ok(ending);
                }
                Err(Interruption::Fatal(failure)) => return Err(failure),
                Err(Interruption::Lost(lost)) => {
                    self.open = None;
                    if outgoing.resume == Resume::Repeat && outgoing.kind == Kind::Operation {
                        outgoing.resume = Resume::Sequence;
                    }
                    if away.is_none() {
                        watcher.lost(&lost.0, self.destination.reconnect_for)?;
                    }
                    let since = *away.get_or_insert_with(Instant::now);
                    self.reconnect(outgoing, watcher, signals.as_deref_mut(), &lost, since)?;
                }
            }
        }
    }

    /// Connects for the first time: what fails is told at once, except a server that is merely busy.
    fn connect_first(&mut self, watcher: &mut dyn Watcher) -> Result<(), CallError> {
        let mut pause = Duration::from_millis(150);
        for _ in 0..3 {
            match self.connect(watcher) {
                Err(ConnectError { again: true, .. }) => std::thread::sleep(pause),
                result => return result.map_err(|failure| failure.error),
            }
            pause *= 3;
        }
        self.connect(watcher).map_err(|failure| failure.error)
    }

    fn connect(&mut self, watcher: &mut dyn Watcher) -> Result<(), ConnectError> {
        let transport: Box<dyn transport::Transport> = match &self.destination.route {
            Route::Local(path) => Box::new(local::Local::connect(path)?),
            Route::Ssh(route) => {
                let name = self
                    .destination
                    .name
                    .as_ref()
                    .ok_or_else(|| CallError::internal("an environment reached over SSH has no name"))?;
                let unlock = &mut |path: &Path, attempt| watcher.unlock(path, attempt);
                Box::new(ssh::Ssh::connect(route, name, &mut self.passphrase, unlock)?)
            }
        };
        let mut lines = Lines::new(transport);
        lines.send(&encode(&Notification::Hello(Hello::ours())));
        self.open = Some(lines);
        self.hello = None;
        Ok(())
    }

    /// Comes back after a loss, or says what that means for the call.
    fn reconnect(
        &mut self,
        outgoing: &Outgoing,
        watcher: &mut dyn Watcher,
        mut signals: Option<&mut Signals>,
        lost: &Lost,
        since: Instant,
    ) -> Result<(), CallFailure> {
        let limit = self.destination.reconnect_for;
        let mut pause = Duration::from_millis(200);
        let failure = loop {
            if signals.as_deref_mut().is_some_and(|signals| signals.take() > 0) {
                break CallError::new(ErrorKind::Unreachable, "interrupted while the connection was away");
            }
            if since.elapsed() >= limit {
                break CallError::new(ErrorKind::Unreachable, "the agent does not answer");
            }
            match self.connect(watcher) {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    let over = since.elapsed() + pause >= limit
                        || outgoing.deadline.is_some_and(|deadline| Instant::now() + pause >= deadline);
                    if failure.error.kind != ErrorKind::Unreachable || over {
                        break failure.error;
                    }
                }
            }
            self.pause(pause, signals.as_deref_mut());
            pause = (pause * 2).min(Duration::from_secs(5));
        };
        Err(lost_for_good(outgoing, failure, lost).into())
    }

    /// Waits, but not beyond Ctrl-C.
    fn pause(&self, pause: Duration, signals: Option<&mut Signals>) {
        match signals {
            // What was pressed meanwhile is looked at by the next turn.
            Some(signals) => signals.wait(pause),
            None => std::thread::sleep(pause),
        }
    }

    /// One request on the open connection, until its response or its loss.
    fn attempt(
        &mut self,
        outgoing: &mut Outgoing,
        watcher: &mut dyn Watcher,
        mut signals: Option<&mut Signals>,
        interruptions: &mut usize,
        away: &mut Option<Instant>,
    ) -> Result<Ending, Interruption> {
        let lines = self.open.as_mut().ok_or_else(|| Lost("not connected".into()))?;
        if self.hello.is_some() {
            lines.expect_life();
        }
        let mut request = Request::new(outgoing.id, outgoing.method, outgoing.params.clone());
        if outgoing.resume == Resume::Sequence && outgoing.seen > 0 {
            request.after_seq = Some(outgoing.seen);
        }
        lines.send(&encode(&request));
        let hello_due = Instant::now() + HELLO;
        let mut answer_due = (outgoing.kind == Kind::Query).then(|| Instant::now() + QUERY);
        let mut leave_at: Option<Instant> = None;
        loop {
            let hello_due = self.hello.is_none().then_some(hello_due);
            let next = [hello_due, answer_due, leave_at, outgoing.deadline].into_iter().flatten().min();
            match lines.wait(signals.as_deref_mut(), next)? {
                Woken::Line(line) => match *line {
                    Incoming::Notification(Notification::Hello(hello)) => {
                        greet(&hello, self.destination.name.as_ref())?;
                        self.hello = Some(hello);
                        self.greeted = true;
                        lines.expect_life();
                        if let Some(since) = away.take() {
                            watcher.regained(since.elapsed())?;
                        }
                    }
                    Incoming::Notification(Notification::Event(event)) => {
                        answer_due = answer_due.map(|_| Instant::now() + QUERY);
                        if outgoing.resume == Resume::Sequence && event.seq <= outgoing.seen {
                            continue;
                        }
                        outgoing.note(&event);
                        match watcher.event(&event)? {
                            Flow::Continue => {}
                            flow => return Ok(flow.ending()),
                        }
                    }
                    Incoming::Response(response) => {
                        if response.id.is_none_or(|id| id == outgoing.id) {
                            watcher.within(&response.open_windows)?;
                            return Ok(response.outcome().map(Ending::Answer).map_err(CallFailure::Call)?);
                        }
                    }
                    Incoming::Notification(Notification::End { .. })
                    | Incoming::Request(_)
                    | Incoming::Unknown => {}
                },
                Woken::Interrupted(times) => {
                    *interruptions += times;
                    match watcher.interrupted(*interruptions, self.hello.as_ref())? {
                        Flow::Continue => {}
                        Flow::LeaveAfter(pause) => leave_at = Some(Instant::now() + pause),
                        flow => return Ok(flow.ending()),
                    }
                }
                Woken::OutputClosed => {
                    return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
                }
                Woken::Deadline => {
                    let now = Instant::now();
                    let is_over = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
                    if is_over(outgoing.deadline) {
                        return Ok(Ending::TimedOut);
                    }
                    if is_over(leave_at) {
                        return Ok(Ending::Left);
                    }
                    if is_over(hello_due) {
                        let silent = format!("the agent said nothing within {} s", HELLO.as_secs());
                        if self.greeted || outgoing.kind == Kind::Operation {
                            return Err(Lost(silent).into());
                        }
                        // Nothing was begun, and nothing says that it will be better soon.
                        return Err(CallError::new(ErrorKind::Unreachable, silent)
                            .hint("ask who runs the environment to look at its agent; try again with: orocloud-cli status")
                            .into());
                    }
                    if is_over(answer_due) {
                        let error = format!(
                            "the agent did not answer {} within {} s",
                            outgoing.method,
                            QUERY.as_secs()
                        );
                        return Err(CallError::new(ErrorKind::Unreachable, error)
                            .hint("see whether the environment is well: orocloud-cli status")
                            .into());
                    }
                }
            }
        }
    }
}

impl Flow {
    fn ending(self) -> Ending {
        if self == Self::Cancel { Ending::Cancel } else { Ending::Left }
    }
}

impl Outgoing {
    /// Remembers where to go on.
    fn note(&mut self, event: &Event) {
        self.seen = self.seen.max(event.seq);
        let (key, value) = match (self.resume, &event.body) {
            (Resume::ViewSequence, _) => ("after_seq", event.seq.into()),
            (Resume::Cursor, EventBody::Log { cursor, .. } | EventBody::LogBlock { cursor, .. }) => {
                ("after_cursor", cursor.as_str().into())
            }
            _ => return,
        };
        if let Some(params) = self.params.as_object_mut() {
            params.insert(key.to_owned(), value);
        }
    }
}

/// Why an attempt ended without an ending.
enum Interruption {
    Lost(Lost),
    Fatal(CallFailure),
}

impl From<Lost> for Interruption {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<CallFailure> for Interruption {
    fn from(failure: CallFailure) -> Self {
        Self::Fatal(failure)
    }
}

impl From<CallError> for Interruption {
    fn from(error: CallError) -> Self {
        Self::Fatal(error.into())
    }
}

impl From<io::Error> for Interruption {
    fn from(error: io::Error) -> Self {
        Self::Fatal(error.into())
    }
}
