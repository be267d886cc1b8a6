//! The agent's socket on the environment's own maintenance node; the caller is the local account.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use orocloud_protocol::{CallError, ErrorKind};

use super::transport::{Interest, Transport};

/// Where the agent listens for local accounts.
pub const SOCKET: &str = "/run/orocloud/local.sock";

/// A connection to that socket.
pub struct Local(UnixStream);

impl Local {
    /// Connects.
    pub fn connect(path: &Path) -> Result<Self, CallError> {
        UnixStream::connect(path)
            .and_then(|stream| stream.set_nonblocking(true).map(|()| Self(stream)))
            .map_err(|error| {
                let kind = match error.kind() {
                    io::ErrorKind::PermissionDenied => ErrorKind::NotPermitted,
                    _ => ErrorKind::Unreachable,
                };
                CallError::new(kind, format!("cannot reach the agent at {}", path.display()))
                    .because(error)
                    .hint("see whether it runs: systemctl status orocloud-agent")
            })
    }
}

impl Transport for Local {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn interest(&self) -> Interest {
        Interest { readable: true, writable: false }
    }
}
