//! Lines of the wire over a transport, together with what else one waits for: Ctrl-C and deadlines.

use std::io;
use std::time::{Duration, Instant};

use orocloud_protocol::{Incoming, MAX_LINE, SILENCE, decode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::signals::Signals;
use super::transport::Transport;

/// A peer of which no byte came for so long, though it was asked, is gone. Keepalives go out every 5 s.
const DEAD: Duration = Duration::from_secs(18);

/// What ended a wait.
#[derive(Debug)]
pub enum Woken {
    /// A line came.
    Line(Box<Incoming>),
    /// Ctrl-C, this many times.
    Interrupted(usize),
    /// The deadline passed.
    Deadline,
    /// Nobody reads our stdout any more.
    OutputClosed,
}

/// The connection is gone; a sentence says how.
#[derive(Clone, Debug)]
pub struct Lost(pub String);

/// Reads and writes lines.
pub struct Lines {
    transport: Box<dyn Transport>,
    inbox: Vec<u8>,
    /// How far `inbox` was searched for a newline.
    searched: usize,
    outbox: Vec<u8>,
    /// When the other side last sent anything, an answer to a keepalive too.
    heard: Instant,
    /// When the agent last said something, be it that it lives.
    said: Instant,
    /// Whether it owes us signs of life.
    calling: bool,
}

impl Lines {
    /// Lines over this transport.
    pub fn new(transport: Box<dyn Transport>) -> Self {
        let now = Instant::now();
        Self {
            transport,
            inbox: Vec::new(),
            searched: 0,
            outbox: Vec::new(),
            heard: now,
            said: now,
            calling: false,
        }
    }

    /// No call is open: an agent has nothing to say.
    pub fn expect_nothing(&mut self) {
        self.calling = false;
    }

    /// From here on an agent that says nothing is lost: it has taken a call.
    pub fn expect_life(&mut self) {
        self.calling = true;
    }

    /// Sends a line, at the next wait at the latest.
    pub fn send(&mut self, line: &[u8]) {
        self.outbox.extend_from_slice(line);
    }

    /// Waits for a line, for Ctrl-C or for the deadline.
    pub fn wait(&mut self, signals: Option<&mut Signals>, deadline: Option<Instant>) -> Result<Woken, Lost> {
        let mut signals = signals;
        // What we did meanwhile, writing or asking a person, is no silence of the other side.
        self.heard = Instant::now();
        self.said = self.heard;
        loop {
            if let Some(signals) = signals.as_deref_mut() {
                let count = signals.take();
                if count > 0 {
                    return Ok(Woken::Interrupted(count));
                }
            }
            if let Some(line) = self.next_line()? {
                return Ok(Woken::Line(Box::new(line)));
            }
            self.flush()?;
            if self.fill()? {
                continue;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Woken::Deadline);
            }
            if self.sleep(signals.as_deref(), deadline)? {
                return Ok(Woken::OutputClosed);
            }
        }
    }

    /// Polls once, for at most as long as until the next thing that is due; whether our output was closed.
    fn sleep(&mut self, signals: Option<&Signals>, deadline: Option<Instant>) -> Result<bool, Lost> {
        let now = Instant::now();
        let mut longest = deadline.map(|deadline| deadline.saturating_duration_since(now));
        if let Some(next) = self.transport.keep_alive().map_err(|error| Lost(error.to_string()))? {
            let silent = now.saturating_duration_since(self.heard);
            if silent >= DEAD {
                return Err(Lost(format!("the other side has been silent for {} s", silent.as_secs())));
            }
            let next = next.min(DEAD - silent);
            longest = Some(longest.map_or(next, |longest| longest.min(next)));
        }
        if self.calling {
            let silent = now.saturating_duration_since(self.said);
            if silent >= SILENCE {
                return Err(Lost(format!("the agent has said nothing for {} s", silent.as_secs())));
            }
            let next = SILENCE - silent;
            longest = Some(longest.map_or(next, |longest| longest.min(next)));
        }
        let interest = self.transport.interest();
        self.transport.before_poll();
        let mut flags = PollFlags::IN;
        if interest.writable || !self.outbox.is_empty() {
            flags |= PollFlags::OUT;
        }
        let timeout = longest.and_then(|longest| Timespec::try_from(longest).ok());
        let mut polled = vec![PollFd::from_borrowed_fd(self.transport.descriptor(), flags)];
        if let Some(signals) = signals {
            polled.push(PollFd::from_borrowed_fd(signals.descriptor(), PollFlags::IN));
            // No flags: a closed reader is reported anyhow.
            polled
                .extend(signals.output().map(|output| PollFd::from_borrowed_fd(output, PollFlags::empty())));
        }
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {
                let is_closed = polled
                    .get(2)
                    .is_some_and(|output| output.revents().intersects(PollFlags::ERR | PollFlags::HUP));
                if polled[0].revents().contains(PollFlags::IN) {
                    self.heard = Instant::now();
                }
                Ok(is_closed)
            }
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(Lost(io::Error::from(error).to_string())),
        }
    }

    fn flush(&mut self) -> Result<(), Lost> {
        while !self.outbox.is_empty() {
            match self.transport.write(&self.outbox) {
                Ok(written) => {
                    self.outbox.drain(..written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(&error.to_string())),
            }
        }
        Ok(())
    }

    /// Reads what is there; whether anything was.
    fn fill(&mut self) -> Result<bool, Lost> {
        let mut buffer = [0; 32 * 1024];
        loop {
            return match self.transport.read(&mut buffer) {
                Ok(0) => Err(self.lost("the other side ended the connection")),
                Ok(count) => {
                    self.heard = Instant::now();
                    self.said = self.heard;
                    self.inbox.extend_from_slice(&buffer[..count]);
                    Ok(true)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(self.lost(&error.to_string())),
            };
        }
    }

    fn lost(&mut self, how: &str) -> Lost {
        Lost(match self.transport.last_words() {
            Some(words) => format!("{how}: {words}"),
            None => how.to_owned(),
        })
    }

    fn next_line(&mut self) -> Result<Option<Incoming>, Lost> {
        loop {
            let Some(end) = self.inbox[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.inbox.len();
                if self.inbox.len() > MAX_LINE {
                    return Err(Lost(format!("the other side sent a line longer than {MAX_LINE} bytes")));
                }
                return Ok(None);
            };
            let end = self.searched + end;
            let decoded = decode(&self.inbox[..end]);
            let blank = self.inbox[..end].iter().all(u8::is_ascii_whitespace);
            let shown: String = String::from_utf8_lossy(&self.inbox[..end.min(120)]).into_owned();
            self.inbox.drain(..=end);
            self.searched = 0;
            match decoded {
                // What a newer agent adds is none of our business.
                Ok(Incoming::Unknown | Incoming::Request(_)) => {}
                Ok(incoming) => return Ok(Some(incoming)),
                Err(_) if blank => {}
                Err(why) => {
                    return Err(Lost(format!("the other side does not speak our protocol ({why}): {shown}")));
                }
            }
        }
    }
}
