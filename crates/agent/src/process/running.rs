//! A program that stays.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::keeper::{Event, Keeper, Lifeline, Streams};
use super::{Fault, ProcessError};

/// A program that stays until it is stopped, this handle is dropped, or the daemon dies.
#[derive(Debug)]
pub struct Running {
    name: String,
    pid: u32,
    lifeline: Lifeline,
    ended: watch::Receiver<Option<ExitStatus>>,
    tail: Arc<Mutex<String>>,
}

impl Running {
    /// Waits until the program is started, and follows it from then on.
    pub(super) async fn new(
        name: String,
        mut keeper: Keeper,
        mut streams: Streams,
    ) -> Result<Self, ProcessError> {
        let pid = match keeper.next().await {
            Event::Started(pid) => pid,
            Event::Ended(ended) => {
                let fault =
                    ended.err().unwrap_or_else(|| Fault::Start(std::io::Error::other("it ended at once")));
                return Err(ProcessError { program: name, fault, tail: String::new() });
            }
        };
        let (lifeline, ending) = keeper.split();
        let tail = Arc::new(Mutex::new(String::new()));
        let (sender, ended) = watch::channel(None);
        let kept = Arc::clone(&tail);
        tokio::spawn(async move {
            tokio::pin!(ending);
            let status = loop {
                tokio::select! {
                    status = &mut ending => break status,
                    piece = streams.next() => if piece.is_none() { break ending.await; },
                }
            };
            streams.drain(&mut |_, _| {}).await;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = streams.tail.text();
            // A keeper that was killed took its program along.
            let killed = || std::os::unix::process::ExitStatusExt::from_raw(libc::SIGKILL);
            sender.send_replace(Some(status.unwrap_or_else(|_| killed())));
        });
        Ok(Self { name, pid, lifeline, ended, tail })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended; `None` while it runs.
    pub fn status(&self) -> Option<ExitStatus> {
        *self.ended.borrow()
    }

    /// Waits until it and everything beneath it has ended.
    pub async fn wait(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.map(|status| *status) {
            Ok(Some(status)) => status,
            // The task that follows it never ends without a status.
            _ => std::os::unix::process::ExitStatusExt::from_raw(libc::SIGKILL),
        }
    }

    /// The error that its end is: status, and its last lines.
    pub async fn failure(&self) -> ProcessError {
        let status = self.wait().await;
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ProcessError { program: self.name.clone(), fault: Fault::Status(status), tail }
    }

    /// Sends a signal to its group.
    pub fn signal(&self, signal: i32) {
        self.lifeline.signal(signal);
    }

    /// Sends this signal, and after the grace period ends it by force; returns when nothing of it is left.
    pub async fn stop(&self, signal: i32, grace: Duration) -> ExitStatus {
        self.lifeline.signal(signal);
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.lifeline.end();
                self.wait().await
            }
        }
    }
}
