//! The sockets, and the lock that makes a daemon the only one of its node.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Origin};
use super::exchange::Inlet;
use super::{DaemonRef, Session};
use crate::accounts;
use crate::environment::Agent;

/// How long a new daemon waits for the programs of one that was killed; their keepers take some ten seconds at most.
const LOCK_LIMIT: Duration = Duration::from_secs(60);

/// How long open connections get at the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Takes the lock that the daemon and every keeper hold: it is free once all of an earlier daemon is gone.
pub(super) fn take_agent_lock(state: &Path) -> Result<OwnedFd, String> {
    let path = state.join("agent.lock");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| told(&error))?;
    let limit = Instant::now() + LOCK_LIMIT;
    while let Err(error) = flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
        let holder = holder(&mut file);
        let alive = holder.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists());
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(told(&error));
        }
        if alive || Instant::now() >= limit {
            let who = holder.map_or_else(|| "another program".to_owned(), |pid| format!("process {pid}"));
            return Err(told(&format!("held by {who}: an agent with this state folder runs already")));
        }
        // The daemon is dead, its programs are being ended.
        std::thread::sleep(Duration::from_millis(20));
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(|error| told(&error))?;
    Ok(file.into())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The open sockets.
#[derive(Debug)]
pub(super) struct Listeners {
    session: UnixListener,
    /// Who may connect to it, beside ourselves.
    session_account: Option<u32>,
    local: Option<UnixListener>,
}

impl Listeners {
    pub(super) fn bind(config: &Agent) -> Result<Self, String> {
        let account = match &config.accounts {
            Some(names) => Some(
                accounts::numbers(&names.session)
                    .map_err(|error| format!("the account {}: {error}", names.session))?,
            ),
            None => None,
        };
        let session = bind(&config.run.join("session.sock"), 0o600)?;
        if let Some((_, group)) = account {
            let path = config.run.join("session.sock");
            let shared = std::os::unix::fs::chown(&path, None, Some(group)).is_ok();
            // Who connects is looked at in any case.
            let mode = if shared { 0o660 } else { 0o666 };
            std::fs::set_permissions(&path, Permissions::from_mode(mode))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let local = match config.is_coordinator() {
            true => Some(bind(&config.run.join("local.sock"), 0o666)?),
            false => None,
        };
        Ok(Self { session, session_account: account.map(|(uid, _)| uid), local })
    }

    /// Accepts until told to stop, then gives open connections a moment to end.
    pub(super) async fn accept(self, daemon: DaemonRef, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            let (stream, local) = tokio::select! {
                accepted = self.session.accept() => (accepted, false),
                accepted = accept_from(self.local.as_ref()) => (accepted, true),
                Some(_) = connections.join_next() => continue,
                () = stop.cancelled() => break,
            };
            match stream {
                Ok((stream, _)) => {
                    let (daemon, session_account) = (daemon.clone(), self.session_account);
                    connections.spawn(welcome(daemon, stream, local, session_account));
                }
                Err(error) => {
                    // Too many open files, most likely: others end meanwhile.
                    crate::log::line(format!("a connection cannot be accepted: {error}"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self);
        daemon.operations.idle().await;
        let all = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }
}

async fn accept_from(
    listener: Option<&UnixListener>,
) -> std::io::Result<(UnixStream, tokio::net::unix::SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

fn bind(path: &Path, mode: u32) -> Result<UnixListener, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(told)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(told)?;
    Ok(listener)
}

/// Finds out who is there, as far as the operating system knows, and serves them.
async fn welcome(daemon: DaemonRef, stream: UnixStream, local: bool, session_account: Option<u32>) {
    let Ok(peer) = stream.peer_cred() else { return };
    let socket = stream.as_raw_fd();
    let (reader, mut writer) = stream.into_split();
    if local {
        let account = accounts::name_of(peer.uid()).unwrap_or_else(|| peer.uid().to_string());
        return connection::serve(daemon, reader, writer, Some(socket), Origin::Local(account)).await;
    }
    // SAFETY: geteuid has no preconditions.
    let own = unsafe { libc::geteuid() };
    if peer.uid() != own && Some(peer.uid()) != session_account {
        crate::log::line(format!("refused a connection of uid {} to session.sock", peer.uid()));
        let _ = writer.shutdown().await;
        return;
    }
    let mut inlet = Inlet::new(reader);
    let first = tokio::time::timeout(Duration::from_secs(10), inlet.line()).await;
    let session: Option<Session> =
        first.ok().and_then(Result::ok).and_then(|line| serde_json::from_slice(&line).ok());
    match session {
        Some(session) => {
            connection::serve_from(daemon, inlet, writer, Some(socket), Origin::Session(session)).await;
        }
        None => crate::log::line("a bridge did not say whom it brings"),
    }
}
