//! Ctrl-C while a call runs: a byte in a pipe that is polled along with the connection.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use signal_hook::SigId;
use signal_hook::consts::SIGINT;
use signal_hook::{flag, low_level};

/// Takes Ctrl-C away from the system until it is dropped.
pub struct Signals {
    pipe: UnixStream,
    ends_at_once: Arc<AtomicBool>,
    ids: Vec<SigId>,
    output: Option<OwnedFd>,
}

impl Signals {
    /// Starts listening. `again` is the exit code with which a second Ctrl-C ends the program on the spot while the
    /// first one could not be looked at yet, for instance because nobody reads our output; `None` keeps counting.
    pub fn listen(again: Option<u8>) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let armed = Arc::new(AtomicBool::new(false));
        let mut ids = Vec::new();
        if let Some(code) = again {
            // In this order the first signal arms and the second one acts.
            ids.push(flag::register_conditional_shutdown(SIGINT, i32::from(code), Arc::clone(&armed))?);
            ids.push(flag::register(SIGINT, Arc::clone(&armed))?);
        }
        ids.push(low_level::pipe::register(SIGINT, theirs)?);
        Ok(Self { pipe: ours, ends_at_once: armed, ids, output: None })
    }

    /// Listens to no signal: what is written into the other end counts as one.
    pub fn by_hand() -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        Ok((Self { pipe: ours, ends_at_once: Arc::default(), ids: Vec::new(), output: None }, theirs))
    }

    /// Also notices that whoever reads our stdout has gone, before there is something to write.
    pub fn watch_output(&mut self) {
        let is_pipe = fstat(io::stdout()).is_ok_and(|stat| {
            matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket)
        });
        if is_pipe {
            self.output = io::stdout().as_fd().try_clone_to_owned().ok();
        }
    }

    /// Our stdout, where its reader is watched.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// What to poll.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// How often Ctrl-C was pressed since the last look.
    pub fn take(&mut self) -> usize {
        let mut bytes = [0; 16];
        let count = self.pipe.read(&mut bytes).unwrap_or(0);
        if count > 0 {
            self.ends_at_once.store(false, Ordering::Relaxed);
        }
        count
    }

    /// Waits so long, or until Ctrl-C, which is not taken.
    pub fn wait(&self, pause: Duration) {
        let timeout = Timespec::try_from(pause).ok();
        let mut polled = [PollFd::from_borrowed_fd(self.descriptor(), PollFlags::IN)];
        // An error would be told by what follows the pause.
        let _ = poll(&mut polled, timeout.as_ref());
    }

    /// Waits until that moment; true when Ctrl-C came first.
    pub fn sleep_until(&mut self, moment: Instant) -> io::Result<bool> {
        loop {
            if self.take() > 0 {
                return Ok(true);
            }
            let rest = moment.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(false);
            }
            let timeout = Timespec::try_from(rest).ok();
            let mut polled = [PollFd::from_borrowed_fd(self.descriptor(), PollFlags::IN)];
            match poll(&mut polled, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            low_level::unregister(id);
        }
    }
}
