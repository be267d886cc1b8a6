//! An SSH session with one channel, the subsystem `orocloud`.
//!
//! Everything runs on one thread: libssh2 is told not to block, and its descriptor is polled. What costs a round trip
//! is left out: no question for authentication methods, one certificate offered, the delayed acknowledgement of TCP
//! switched off before each poll (the kernel forgets that setting).

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::{CallError, EnvironmentName, ErrorKind};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use ssh2::{BlockDirections, Channel, ErrorCode, MethodType, Session};

use super::host::{self, HostTrust};
use super::transport::{Interest, Transport};
use crate::identity::{self, Identity, IdentitySource, Signer};

/// What an environment's configuration says about its SSH server.
#[derive(Clone, Debug)]
pub struct SshRoute {
    /// Name or address of the maintenance node, or of what stands in front of it.
    pub address: String,
    /// Port of its sshd.
    pub port: u16,
    /// Account to sign in to.
    pub user: String,
    /// What the host must prove.
    pub trust: HostTrust,
    /// Who we are.
    pub identity: IdentitySource,
}

/// Asks a person for the passphrase of a key; `None` when nobody can be asked. The number counts attempts.
pub type Unlock<'a> = &'a mut dyn FnMut(&Path, u32) -> Option<String>;

/// Why there is no connection.
#[derive(Debug)]
pub struct ConnectError {
    /// What to tell.
    pub error: CallError,
    /// Whether the same attempt may work a moment later.
    pub again: bool,
}

impl From<CallError> for ConnectError {
    fn from(error: CallError) -> Self {
        Self { error, again: false }
    }
}

/// How long an sshd may take from the first packet to an open channel.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often the other side is asked for a sign of life, in seconds.
const KEEP_ALIVE: u32 = 5;

const KEY_EXCHANGE: &str = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,\
    diffie-hellman-group16-sha512,diffie-hellman-group14-sha256";
const CIPHERS: &str =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr";
const CERTIFICATES: &str = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,\
    ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,\
    rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com";
const PLAIN_KEYS: &str =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";

/// A signed-in session and its channel.
pub struct Ssh {
    session: Session,
    channel: Channel,
    stream: TcpStream,
}

/// A session on its way to being signed in.
struct Opening<'a> {
    route: &'a SshRoute,
    place: String,
    session: Session,
    stream: TcpStream,
    deadline: Instant,
}

impl Ssh {
    /// Connects, looks at the host, signs in, opens the channel.
    pub fn connect(
        route: &SshRoute,
        environment: &EnvironmentName,
        passphrase: &mut Option<String>,
        unlock: Unlock<'_>,
    ) -> Result<Self, ConnectError> {
        let place = format!("{}:{}", route.address, route.port);
        let mut started = Connecting::start(&place)?;
        // The server's first packet is under way while we read our files.
        let session = Session::new()
            .map_err(|error| CallError::internal("cannot start an SSH session").because(error))?;
        let identity = identity::load(&route.identity, environment, Timestamp::now(), || {
            agent_blobs(&session, &route.identity)
        })?;
        if let (Signer::File { path, encrypted: true, .. }, None) = (&identity.signer, &passphrase) {
            // A person types slower than a server waits.
            drop(started);
            *passphrase = Some(ask_passphrase(path, 1, unlock)?);
            started = Connecting::start(&place)?;
        }
        let stream = started.finish()?;
        let deadline = Instant::now() + PATIENCE;
        let mut opening = Opening { route, place, session, stream, deadline };
        opening.handshake()?;
        opening.sign_in(&identity, passphrase, unlock)?;
        opening.open_channel(environment)
    }
}

/// What an ssh-agent holds.
fn agent_blobs(session: &Session, source: &IdentitySource) -> Result<Vec<Vec<u8>>, String> {
    if source.agent_socket.is_none() {
        return Err("SSH_AUTH_SOCK is not set".to_owned());
    }
    let agent = agent(session, source).map_err(|error| error.message().to_owned())?;
    let identities = agent.identities().map_err(|error| error.to_string())?;
    Ok(identities.iter().map(|identity| identity.blob().to_vec()).collect())
}

/// A connection to the ssh-agent, which has told what it holds.
fn agent(session: &Session, source: &IdentitySource) -> Result<ssh2::Agent, ssh2::Error> {
    let mut agent = session.agent()?;
    if let Some(socket) = &source.agent_socket {
        agent.set_identity_path(socket)?;
    }
    agent.connect()?;
    agent.list_identities()?;
    Ok(agent)
}

fn ask_passphrase(path: &Path, attempt: u32, unlock: Unlock<'_>) -> Result<String, CallError> {
    unlock(path, attempt).ok_or_else(|| {
        CallError::new(
            ErrorKind::NotSignedIn,
            format!("the key {} needs a passphrase and nobody is there to type it", path.display()),
        )
        .hint(format!(
            "put the key into an ssh-agent and leave `key` out of the configuration: ssh-add {}",
            path.display()
        ))
    })
}

impl Opening<'_> {
    /// Repeats what libssh2 could not finish until it has.
    fn drive<T>(&self, mut step: impl FnMut() -> Result<T, ssh2::Error>) -> Result<T, Failure> {
        loop {
            match step() {
                Ok(value) => return Ok(value),
                Err(error) if error.code() == ErrorCode::Session(EAGAIN) => {}
                Err(error) => return Err(Failure::Session(error)),
            }
            let _ = sockopt::set_tcp_quickack(&self.stream, true);
            let flags = match self.session.block_directions() {
                BlockDirections::Outbound => PollFlags::OUT,
                BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
                BlockDirections::Inbound | BlockDirections::None => PollFlags::IN,
            };
            if !poll_one(self.stream.as_fd(), flags, self.deadline).map_err(Failure::System)? {
                return Err(Failure::TooSlow);
            }
        }
    }

    fn unreachable(&self, what: &str, failure: &Failure) -> ConnectError {
        let error = CallError::new(ErrorKind::Unreachable, format!("{what} at {}", self.place))
            .because(failure)
            .hint(format!(
                "see what the server says: ssh -v -p {} {}@{}",
                self.route.port, self.route.user, self.route.address
            ));
        // A busy sshd closes before its greeting (MaxStartups); the next attempt is usually let in.
        let again = matches!(failure, Failure::Session(error) if matches!(error.code(), ErrorCode::Session(-2 | -13 | -43)));
        ConnectError { error, again }
    }

    fn handshake(&mut self) -> Result<(), ConnectError> {
        let plain_first = format!("{PLAIN_KEYS},{CERTIFICATES}");
        let certificates_first = format!("{CERTIFICATES},{PLAIN_KEYS}");
        let host_keys = match &self.route.trust {
            HostTrust::Authority { .. } => certificates_first,
            // The pinned kind first: a server with several keys shows the one that was meant.
            HostTrust::Pinned(key) => match key.algorithm() {
                ssh_key::Algorithm::Rsa { .. } => format!("rsa-sha2-512,rsa-sha2-256,{plain_first}"),
                kind => format!("{kind},{plain_first}"),
            },
        };
        for (method, wanted) in [
            (MethodType::Kex, KEY_EXCHANGE),
            (MethodType::HostKey, host_keys.as_str()),
            (MethodType::CryptCs, CIPHERS),
            (MethodType::CryptSc, CIPHERS),
        ] {
            // What this libssh2 lacks it leaves out by itself; with none of ours it keeps its own list.
            let _ = self.session.method_pref(method, wanted);
        }
        let stream = self
            .stream
            .try_clone()
            .map_err(|error| CallError::internal("cannot use the connection").because(error))?;
        self.session.set_tcp_stream(stream);
        self.session.set_blocking(false);
        let mut session = self.session.clone();
        self.drive(|| session.handshake())
            .map_err(|failure| self.unreachable("the server did not complete the SSH greeting", &failure))?;
        let offered = self.session.host_key().map(|(key, _)| key.to_vec()).unwrap_or_default();
        Ok(host::verify(&self.route.trust, &offered, Timestamp::now(), &self.place)?)
    }

    fn sign_in(
        &self,
        identity: &Identity,
        passphrase: &mut Option<String>,
        unlock: Unlock<'_>,
    ) -> Result<(), ConnectError> {
        let user = &self.route.user;
        let certificate = &identity.certificate;
        let result = match &identity.signer {
            Signer::File { path, text, encrypted } => {
                let public = certificate.to_text();
                let mut attempt = 1;
                loop {
                    let result = self.drive(|| {
                        self.session.userauth_pubkey_memory(user, Some(&public), text, passphrase.as_deref())
                    });
                    match &result {
                        // A person may have mistyped.
                        Err(Failure::Session(error)) if is_unusable_key(error) => {
                            if *encrypted && attempt < 3 {
                                attempt += 1;
                                *passphrase = Some(ask_passphrase(path, attempt, unlock)?);
                                continue;
                            }
                            let what =
                                if *encrypted { "the passphrase is wrong" } else { "its form is not known" };
                            return Err(CallError::new(
                                ErrorKind::NotSignedIn,
                                format!("cannot use the key {}: {what}", path.display()),
                            )
                            .because(error)
                            .hint(format!(
                                "see whether OpenSSH can read it: ssh-keygen -y -f {}",
                                path.display()
                            ))
                            .into());
                        }
                        _ => break result,
                    }
                }
            }
            Signer::Agent => self.sign_in_by_agent(identity),
        };
        match result {
            Ok(()) => Ok(()),
            Err(failure @ (Failure::TooSlow | Failure::System(_))) => {
                Err(self.unreachable("the server did not answer the sign-in", &failure))
            }
            Err(Failure::Session(error)) if matches!(error.code(), ErrorCode::Session(-7 | -13 | -43)) => {
                Err(self.unreachable(
                    "the server ended the connection during the sign-in",
                    &Failure::Session(error),
                ))
            }
            Err(Failure::Session(error)) => {
                let mut refusal = CallError::new(
                    ErrorKind::NotSignedIn,
                    format!("the server {} refused the certificate for the account {user}", self.place),
                )
                .because(error);
                refusal.causes.extend(identity::describe(certificate));
                Err(refusal
                    .hint(format!(
                        "ask who runs the environment whether it trusts this CA and these principals, and compare: ssh-keygen -L -f {}",
                        match &identity.signer {
                            Signer::File { path, .. } => format!("{}-cert.pub", path.display()),
                            Signer::Agent => "CERTIFICATE".to_owned(),
                        }
                    ))
                    .into())
            }
        }
    }

    fn sign_in_by_agent(&self, identity: &Identity) -> Result<(), Failure> {
        let agent = agent(&self.session, &self.route.identity).map_err(Failure::Session)?;
        let entry = agent
            .identities()
            .map_err(Failure::Session)?
            .into_iter()
            .find(|entry| entry.blob() == identity.certificate.blob);
        match entry {
            Some(entry) => self.drive(|| agent.userauth(&self.route.user, &entry)),
            None => Err(Failure::System(io::Error::other("the ssh-agent no longer has the certificate"))),
        }
    }

    fn open_channel(self, environment: &EnvironmentName) -> Result<Ssh, ConnectError> {
        self.session.set_keepalive(true, KEEP_ALIVE);
        let mut channel = self
            .drive(|| self.session.channel_session())
            .map_err(|failure| self.unreachable("the server opened no channel", &failure))?;
        self.drive(|| channel.subsystem("orocloud")).map_err(|failure| {
            let mut error = self.unreachable("there is no agent", &failure);
            error.error.hints = vec![format!(
                "the account's sshd must have the subsystem `orocloud`; see that this is the maintenance node of {environment}: orocloud-cli env:list -v"
            )];
            error
        })?;
        Ok(Ssh { session: self.session, channel, stream: self.stream })
    }
}

/// libssh2's number for "not yet".
const EAGAIN: i32 = -37;

/// Whether the key itself is at fault: it could not be read (-16, -48), or libssh2 could not sign with it, which it
/// reports like a refusal and tells apart by its text alone.
fn is_unusable_key(error: &ssh2::Error) -> bool {
    match error.code() {
        ErrorCode::Session(-16 | -48) => true,
        ErrorCode::Session(-19) => error.message().contains("Callback"),
        _ => false,
    }
}

/// Why a step of the session failed.
enum Failure {
    Session(ssh2::Error),
    System(io::Error),
    TooSlow,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session(error) => f.write_str(error.message()),
            Self::System(error) => error.fmt(f),
            Self::TooSlow => write!(f, "no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

impl Transport for Ssh {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.channel.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.channel.write(bytes)
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn interest(&self) -> Interest {
        let writable =
            matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
        Interest { readable: true, writable }
    }

    fn before_poll(&mut self) {
        // Fails only where the option does not exist; then the call is slower.
        let _ = sockopt::set_tcp_quickack(&self.stream, true);
    }

    fn keep_alive(&mut self) -> io::Result<Option<Duration>> {
        match self.session.keepalive_send() {
            Ok(seconds) => Ok(Some(Duration::from_secs(u64::from(seconds.clamp(1, KEEP_ALIVE))))),
            Err(error) if error.code() == ErrorCode::Session(EAGAIN) => Ok(Some(Duration::from_secs(1))),
            Err(error) => Err(error.into()),
        }
    }

    fn last_words(&mut self) -> Option<String> {
        // sshd forwards no stderr of a subsystem; its exit code is all there is to know.
        let code = self.channel.exit_status().ok().filter(|code| *code != 0)?;
        Some(format!("its program ended with exit code {code}"))
    }
}

/// TCP connections being made, one address after another.
struct Connecting {
    place: String,
    addresses: std::vec::IntoIter<SocketAddr>,
    socket: Option<(OwnedFd, SocketAddr)>,
    failed: Vec<String>,
}

impl Connecting {
    fn start(place: &str) -> Result<Self, ConnectError> {
        let addresses: Vec<SocketAddr> =
            place.to_socket_addrs().map(Iterator::collect).map_err(|error| ConnectError {
                error: CallError::new(ErrorKind::Unreachable, format!("cannot find the address of {place}"))
                    .because(error)
                    .hint("see what is configured: orocloud-cli env:list -v"),
                again: false,
            })?;
        let mut this = Self {
            place: place.to_owned(),
            addresses: addresses.into_iter(),
            socket: None,
            failed: Vec::new(),
        };
        this.next_address();
        Ok(this)
    }

    /// Starts with the next address; leaves `socket` empty after the last one.
    fn next_address(&mut self) {
        self.socket = None;
        for address in self.addresses.by_ref() {
            let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None);
            let started = socket.and_then(|socket| match rustix::net::connect(&socket, &address) {
                Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
                Err(error) => Err(error),
            });
            match started {
                Ok(socket) => {
                    self.socket = Some((socket, address));
                    return;
                }
                Err(error) => self.failed.push(format!("{address}: {}", io::Error::from(error))),
            }
        }
    }

    fn finish(mut self) -> Result<TcpStream, ConnectError> {
        while let Some((socket, address)) = self.socket.take() {
            let deadline = Instant::now() + Duration::from_secs(10);
            let failure = match poll_one(socket.as_fd(), PollFlags::OUT, deadline) {
                Ok(true) => match sockopt::socket_error(&socket) {
                    Ok(Ok(())) => {
                        let stream = TcpStream::from(socket);
                        let _ = stream.set_nodelay(true);
                        return Ok(stream);
                    }
                    Ok(Err(error)) | Err(error) => io::Error::from(error).to_string(),
                },
                Ok(false) => "no answer within 10 s".to_owned(),
                Err(error) => error.to_string(),
            };
            self.failed.push(format!("{address}: {failure}"));
            self.next_address();
        }
        let mut error = CallError::new(ErrorKind::Unreachable, format!("cannot connect to {}", self.place))
            .hint("see whether this address and port are right: orocloud-cli env:list -v");
        error.causes = self.failed;
        Err(ConnectError { error, again: false })
    }
}

/// Waits until one of `flags` holds; false when the deadline came first.
fn poll_one(descriptor: BorrowedFd<'_>, flags: PollFlags, deadline: Instant) -> io::Result<bool> {
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        let timeout = rustix::event::Timespec::try_from(rest).ok();
        let mut polled = [PollFd::from_borrowed_fd(descriptor, flags)];
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
