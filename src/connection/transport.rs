//! The way bytes travel to an agent. All of it is non-blocking; one thread polls.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// What a transport waits for on its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Bytes to come.
    pub readable: bool,
    /// Room to send.
    pub writable: bool,
}

/// A way to an agent and back. While nobody uses it, another thread looks after it.
pub trait Transport: Send {
    /// Reads what is there: `WouldBlock` when nothing is, 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what there is room for; `WouldBlock` when there is none.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// What to poll.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// What to poll it for, besides bytes to come, when nothing of ours waits to be sent.
    fn interest(&self) -> Interest;

    /// Called before each poll.
    fn before_poll(&mut self) {}

    /// Asks the other side for a sign of life when that is due; how long until the next one. `None` where the
    /// system itself tells when the other side is gone.
    fn keep_alive(&mut self) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    /// What the other side said beside the protocol, once it has ended the connection.
    fn last_words(&mut self) -> Option<String> {
        None
    }
}
