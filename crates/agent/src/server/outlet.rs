//! The way out to a client: lines are gathered while the last ones are on their way, and whoever sends waits
//! while the client does not take them. A slow client costs its own call time, and nobody memory.

use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Bytes that may wait.
const ROOM: usize = 32 * 1024;

/// One connection's way out.
#[derive(Debug, Default)]
pub struct Outlet {
    waiting: Mutex<Waiting>,
    filled: Notify,
    emptied: Notify,
    gone: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    last: bool,
}

/// The client takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Outlet {
    /// Puts a line on its way, once there is room.
    pub async fn send(&self, line: &[u8]) -> Result<(), Gone> {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // Registered before the look, so that no wake-up is missed between.
            emptied.as_mut().enable();
            if self.gone.is_cancelled() {
                return Err(Gone);
            }
            {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.bytes.len() < ROOM {
                    waiting.bytes.extend_from_slice(line);
                    break;
                }
            }
            emptied.await;
        }
        self.filled.notify_one();
        Ok(())
    }

    /// A sign of life: a blank line, unless something waits anyhow. Never between frames of bulk data.
    pub fn beat(&self) {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.bytes.is_empty() {
                waiting.bytes.push(b'\n');
            }
        }
        self.filled.notify_one();
    }

    /// Nothing follows: what waits is sent, then [`Outlet::write_to`] ends.
    pub fn finish(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).last = true;
        self.filled.notify_one();
    }

    /// Set when the client is gone.
    pub fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Writes what is sent until the last of it is written, or the client is gone.
    pub async fn write_to(&self, mut writer: impl AsyncWrite + Unpin) {
        loop {
            let (bytes, last) = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                (std::mem::take(&mut waiting.bytes), waiting.last)
            };
            if bytes.is_empty() {
                if last {
                    let _ = writer.shutdown().await;
                    return;
                }
                self.filled.notified().await;
                continue;
            }
            self.emptied.notify_waiters();
            let written = async {
                writer.write_all(&bytes).await?;
                writer.flush().await
            };
            if written.await.is_err() {
                self.gone.cancel();
                self.emptied.notify_waiters();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_slow_client_makes_the_sender_wait_and_loses_nothing() {
        let outlet = Arc::new(Outlet::default());
        let (near, mut far) = tokio::io::duplex(1024);
        let writer = tokio::spawn({
            let outlet = Arc::clone(&outlet);
            async move { outlet.write_to(near).await }
        });
        let line = [b'x'; 1000];
        let mut sent = 0;
        // 32 KiB wait here, as many are being written, 1 KiB is in the pipe: more is not taken.
        while tokio::time::timeout(Duration::from_millis(200), outlet.send(&line)).await.is_ok() {
            sent += 1;
            assert!(sent < 200);
        }
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all.len()
        });
        outlet.send(&line).await.unwrap();
        outlet.finish();
        writer.await.unwrap();
        assert_eq!(reader.await.unwrap(), (sent + 1) * 1000);
    }

    #[tokio::test]
    async fn a_client_that_is_gone_ends_the_sender() {
        let outlet = Arc::new(Outlet::default());
        let (near, far) = tokio::io::duplex(16);
        let writer = tokio::spawn({
            let outlet = Arc::clone(&outlet);
            async move { outlet.write_to(near).await }
        });
        drop(far);
        while outlet.send(&[b'x'; 1000]).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(outlet.gone().is_cancelled());
        writer.await.unwrap();
    }
}
