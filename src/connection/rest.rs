//! A connection that is kept open between calls: somebody answers the server while a person thinks, and a call that
//! was left is ended on the channel instead of with it.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use orocloud_protocol::{CallError, CallId, ErrorKind, Event, Hello, Incoming, Notification, encode};
use serde_json::Value;

use super::lines::{Lines, Lost, Woken};
use super::verdicts::greet;
use super::{CallFailure, Client, Ending, Flow, HELLO, Interruption, Outgoing, Signals, Watcher};

/// How long the end of a call that was left is awaited before the connection is given up for it.
const LEAVING: Duration = Duration::from_secs(2);

/// A connection that nobody uses, looked after by a thread.
pub(super) struct Resting {
    wake: UnixStream,
    thread: Option<JoinHandle<Option<Lines>>>,
}

impl Resting {
    fn begin(mut lines: Lines) -> io::Result<Self> {
        lines.expect_nothing();
        let (mut signals, wake) = Signals::by_hand()?;
        let thread = thread::Builder::new().name("keep-alive".to_owned()).spawn(move || {
            loop {
                match lines.wait(Some(&mut signals), None) {
                    Ok(Woken::Interrupted(_)) => return Some(lines),
                    // A call that was left may still say something.
                    Ok(Woken::Line(_) | Woken::Deadline | Woken::OutputClosed) => {}
                    Err(_) => return None,
                }
            }
        })?;
        Ok(Self { wake, thread: Some(thread) })
    }

    /// The connection again, when it held.
    fn end(mut self) -> Option<Lines> {
        self.stop()
    }

    fn stop(&mut self) -> Option<Lines> {
        // A thread that has ended already reads no more.
        let _ = self.wake.write_all(b"x");
        self.thread.take()?.join().ok().flatten()
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Nobody is told anything.
struct Silent;

impl Watcher for Silent {
    fn event(&mut self, _: &Event) -> io::Result<Flow> {
        Ok(Flow::Continue)
    }

    fn lost(&mut self, _: &str, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn regained(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn interrupted(&mut self, _: usize, _: Option<&Hello>) -> io::Result<Flow> {
        Ok(Flow::Leave)
    }

    fn unlock(&mut self, _: &Path, _: u32) -> Option<String> {
        None
    }
}

impl Client {
    /// From now on the connection stays open between calls.
    pub fn keep_open(&mut self) {
        self.keeps = true;
    }

    /// Whether the connection stays open between calls.
    pub fn keeps_open(&self) -> bool {
        self.keeps
    }

    /// Has the open connection looked after until the next call.
    pub fn rest(&mut self) {
        if let Some(lines) = self.open.take().filter(|_| self.keeps) {
            // Without a thread the next call connects anew.
            self.resting = Resting::begin(lines).ok();
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(resting) = self.resting.take() {
            self.open = resting.end();
            self.used = Instant::now();
        }
    }

    /// Connects and waits until the agent has said who it is, unless it has already.
    pub fn greet(&mut self, watcher: &mut dyn Watcher) -> Result<&Hello, CallFailure> {
        self.wake();
        if self.open.is_none() {
            self.connect_first(watcher)?;
        }
        let due = Instant::now() + HELLO;
        while self.hello.is_none() {
            let Some(lines) = self.open.as_mut() else { break };
            let lost = match lines.wait(None, Some(due)) {
                Ok(Woken::Line(line)) => {
                    if let Incoming::Notification(Notification::Hello(hello)) = *line {
                        greet(&hello, self.destination.name.as_ref())?;
                        self.greeted = true;
                        self.hello = Some(hello);
                    }
                    continue;
                }
                Ok(Woken::Interrupted(_) | Woken::OutputClosed) => continue,
                Ok(Woken::Deadline) => Lost(format!("the agent said nothing within {} s", HELLO.as_secs())),
                Err(lost) => lost,
            };
            self.disconnect();
            return Err(CallError::new(ErrorKind::Unreachable, "the environment's agent did not greet")
                .because(lost.0)
                .hint("see whether the environment is well: orocloud-cli status")
                .into());
        }
        self.used = Instant::now();
        self.hello.as_ref().ok_or_else(|| CallError::internal("no greeting came").into())
    }

    /// Makes a query on the open connection, if there is one, and says nothing of what goes wrong: for the values
    /// offered while somebody types.
    pub fn peek(&mut self, outgoing: &mut Outgoing) -> Option<Value> {
        self.wake();
        self.open.as_ref()?;
        let result = self.attempt(outgoing, &mut Silent, None, &mut 0, &mut None);
        self.used = Instant::now();
        match result {
            Ok(Ending::Answer(value)) => Some(value),
            Err(Interruption::Fatal(CallFailure::Call(_))) => None,
            Ok(_) | Err(_) => {
                self.disconnect();
                None
            }
        }
    }

    /// Leaves a call that goes on: its channel is needed for the next one, where there is a next one.
    pub(super) fn leave(&mut self, call: CallId) {
        if !self.keeps || !self.end_call(call) {
            self.disconnect();
        }
    }

    /// Asks the agent to end a call, and takes what it still sends of it; whether its response came.
    fn end_call(&mut self, call: CallId) -> bool {
        let Some(lines) = self.open.as_mut() else { return false };
        lines.send(&encode(&Notification::End { call }));
        let deadline = Instant::now() + LEAVING;
        loop {
            // A stream may have much under way: the limit holds whether lines come or not.
            if Instant::now() >= deadline {
                return false;
            }
            match lines.wait(None, Some(deadline)) {
                Ok(Woken::Line(line)) => {
                    if matches!(&*line, Incoming::Response(response) if response.id == Some(call)) {
                        return true;
                    }
                }
                Ok(Woken::Interrupted(_) | Woken::OutputClosed) => {}
                Ok(Woken::Deadline) | Err(_) => return false,
            }
        }
    }
}
