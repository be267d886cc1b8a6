//! The coordinator's way to the nodes: the OpenSSH client with the coordinator's certificate, one open channel kept
//! a node, further ones for calls side by side. The coordinator's own node is called through the same wire, without
//! a network in between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use orocloud_protocol::{
    Call, CallError, CallId, ErrorKind, Event, EventBody, Hello, Incoming, NodeName, Notification, Request,
    SILENCE, Unit, agree, decode, encode,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::nodes::NodeRef;
use crate::operations::EventSink;
use crate::process::{Program, Running};
use crate::server::{DaemonLink, Inlet, Origin, serve_connection};

/// How long a node may take to greet.
const GREETING_LIMIT: Duration = Duration::from_secs(12);

/// Channels kept open a node, and for how long.
const KEPT: usize = 2;
const KEPT_FOR: Duration = Duration::from_secs(120);

/// Bytes on the way between this agent and itself.
const HERE: usize = 32 * 1024;

/// Bytes of one frame of bulk data.
const FRAME: usize = 256 * 1024;

/// The way to the nodes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Nodes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: NodeRef,
    daemon: DaemonLink,
    kept: Mutex<HashMap<NodeName, Vec<(Instant, Link)>>>,
}

/// An open channel.
struct Link {
    inlet: Inlet,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Ends with the link.
    ssh: Option<Running>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("ssh", &self.ssh).finish_non_exhaustive()
    }
}

/// Why a call gave no answer.
#[derive(Clone, Debug)]
pub enum CallFailure {
    /// The node could not be reached; the call was not sent.
    NotSent(CallError),
    /// The connection broke; nobody knows what became of the call.
    Lost(CallError),
    /// The node said no.
    Answered(CallError),
}

impl From<CallFailure> for CallError {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::NotSent(error) | CallFailure::Lost(error) | CallFailure::Answered(error) => error,
        }
    }
}

/// One line of a call's answer.
#[derive(Debug)]
pub enum Reply {
    /// Something happened.
    Event(Event),
    /// It is over.
    Answer(Value),
}

/// A call under way. Dropping it breaks its channel.
#[derive(Debug)]
pub struct NodeCall {
    nodes: Nodes,
    node: NodeName,
    call: CallId,
    link: Option<Link>,
    /// When the node last said something, be it that it lives.
    heard: tokio::time::Instant,
    /// Bulk data was begun on the link: unless all of it was taken, frames may lie there that no later call expects.
    bulk: bool,
}

/// Why bulk data did not get through.
enum SendFault {
    /// Our own file cannot be read; the node waits for the rest.
    File(std::io::Error),
    /// The node takes no more.
    Link(std::io::Error),
}

impl Nodes {
    pub(crate) fn new(node: NodeRef, daemon: DaemonLink) -> Self {
        Self(Arc::new(Inner { node, daemon, kept: Mutex::default() }))
    }

    /// The coordinator's configuration.
    pub fn config(&self) -> &crate::environment::Agent {
        &self.0.node.config
    }

    /// All nodes of the environment.
    pub fn names(&self) -> Vec<NodeName> {
        self.0.node.config.environment.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// Makes a call and waits for its answer; events are dropped. A connection that was kept and broke is made anew
    /// once, so the call should change nothing.
    pub async fn call<C: Call>(&self, node: &NodeName, params: &C::Params) -> Result<C::Answer, CallError> {
        let value = match self.call_once::<C>(node, params).await {
            Err(CallFailure::Lost(_)) => self.call_once::<C>(node, params).await?,
            outcome => outcome?,
        };
        answer_of::<C>(node, value)
    }

    async fn call_once<C: Call>(&self, node: &NodeName, params: &C::Params) -> Result<Value, CallFailure> {
        let mut call = self.begin(node, new_call_id(), C::METHOD, to_value(params), 0).await?;
        loop {
            if let Reply::Answer(value) = call.next().await? {
                return Ok(value);
            }
        }
    }

    /// Makes a call whose events go into a channel, and waits whenever that is full. Ends it, and waits for its
    /// answer, when `end` is set or the receiver is gone.
    pub async fn stream<C: Call>(
        &self,
        node: &NodeName,
        params: &C::Params,
        events: tokio::sync::mpsc::Sender<EventBody>,
        end: CancellationToken,
    ) -> Result<C::Answer, CallError> {
        let mut call = self.begin(node, new_call_id(), C::METHOD, to_value(params), 0).await?;
        let mut ending = false;
        loop {
            let reply = tokio::select! {
                reply = call.next() => reply?,
                () = async { tokio::select! { () = end.cancelled() => {}, () = events.closed() => {} } }, if !ending => {
                    ending = true;
                    call.end().await?;
                    continue;
                }
            };
            match reply {
                Reply::Answer(value) => return answer_of::<C>(node, value),
                // A receiver that is gone is seen above.
                Reply::Event(event) => tokio::select! {
                    _ = events.send(event.body) => {}
                    () = end.cancelled(), if !ending => {
                        ending = true;
                        call.end().await?;
                    }
                },
            }
        }
    }

    /// Sends a call.
    pub async fn begin(
        &self,
        node: &NodeName,
        call: CallId,
        method: &str,
        params: Value,
        after_seq: u64,
    ) -> Result<NodeCall, CallFailure> {
        let mut link = match self.take_kept(node).await {
            Some(link) => link,
            None => self.connect(node).await.map_err(CallFailure::NotSent)?,
        };
        let mut request = Request::new(call, method, params);
        request.after_seq = (after_seq > 0).then_some(after_seq);
        let line = encode(&request);
        if line.len() > orocloud_protocol::MAX_LINE {
            let text = format!("a call of {} bytes is too long to be sent to {node}", line.len());
            return Err(CallFailure::NotSent(CallError::internal(text)));
        }
        if let Err(error) = link.write(&line).await {
            return Err(CallFailure::Lost(lost(node, &error)));
        }
        Ok(NodeCall {
            nodes: self.clone(),
            node: node.clone(),
            call,
            link: Some(link),
            heard: tokio::time::Instant::now(),
            bulk: false,
        })
    }

    async fn take_kept(&self, node: &NodeName) -> Option<Link> {
        loop {
            let (since, mut link) =
                self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).get_mut(node)?.pop()?;
            // Nothing comes on an idle channel but its end.
            let quiet = tokio::time::timeout(Duration::ZERO, link.inlet.line()).await.is_err();
            if quiet && since.elapsed() < KEPT_FOR {
                return Some(link);
            }
        }
    }

    fn keep(&self, node: &NodeName, link: Link) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values_mut().for_each(|links| links.retain(|(since, _)| since.elapsed() < KEPT_FOR));
        let links = kept.entry(node.clone()).or_default();
        if links.len() < KEPT {
            links.push((Instant::now(), link));
        }
    }

    async fn connect(&self, node: &NodeName) -> Result<Link, CallError> {
        let mut link = if *node == self.0.node.config.node {
            self.connect_here()?
        } else {
            self.connect_by_ssh(node).await?
        };
        let greeted = tokio::time::timeout(GREETING_LIMIT, self.greet(&mut link)).await;
        match greeted {
            Ok(Ok(())) => Ok(link),
            Ok(Err(Some(error))) => Err(error.context(format!("{node} cannot be called"))),
            Ok(Err(None)) => Err(match link.ssh {
                Some(ssh) => {
                    let failure = tokio::time::timeout(GREETING_LIMIT, ssh.failure()).await;
                    let tail = failure.map(|failure| failure.tail).unwrap_or_default();
                    let error = unreachable(node, "its agent did not answer");
                    tail.lines().fold(error, |error, line| error.because(line.trim()))
                }
                None => unreachable(node, "its agent did not answer"),
            }),
            Err(_) => {
                Err(unreachable(node, &format!("it did not greet within {} s", GREETING_LIMIT.as_secs())))
            }
        }
    }

    fn connect_here(&self) -> Result<Link, CallError> {
        let daemon = self
            .0
            .daemon
            .get()
            .and_then(Weak::upgrade)
            .ok_or_else(|| CallError::internal("the agent ends"))?;
        let (near, far) = tokio::io::duplex(HERE);
        let (reader, writer) = tokio::io::split(far);
        tokio::spawn(
            async move { serve_connection(daemon, reader, writer, None, Origin::Coordinator).await },
        );
        let (reader, writer) = tokio::io::split(near);
        Ok(Link { inlet: Inlet::new(reader), writer: Box::new(writer), ssh: None })
    }

    async fn connect_by_ssh(&self, name: &NodeName) -> Result<Link, CallError> {
        let config = &self.0.node.config;
        let node = config
            .environment
            .node(name)
            .ok_or_else(|| CallError::new(ErrorKind::NotFound, format!("there is no node {name}")))?;
        let coordinator = config
            .coordinator
            .as_ref()
            .ok_or_else(|| CallError::internal("agent.toml of this node has no section [coordinator]"))?;
        let option = |name: &str, value: &dyn std::fmt::Display| ["-o".to_owned(), format!("{name}={value}")];
        let program = Program::new("ssh")
            .args(["-F", "none", "-T"])
            .args(option("BatchMode", &"yes"))
            .args(option("PreferredAuthentications", &"publickey"))
            .args(option("IdentitiesOnly", &"yes"))
            .args(option("IdentityAgent", &"none"))
            .args(option("CertificateFile", &format!("{}-cert.pub", coordinator.key.display())))
            .args(option("StrictHostKeyChecking", &"yes"))
            .args(option("UserKnownHostsFile", &coordinator.known_hosts.display()))
            .args(option("GlobalKnownHostsFile", &"none"))
            .args(option("HostKeyAlias", &config.environment.full_name(name)))
            .args(option("UpdateHostKeys", &"no"))
            .args(option("ConnectTimeout", &5))
            .args(option("ServerAliveInterval", &5))
            .args(option("ServerAliveCountMax", &3))
            // The strongest exchange takes half as long again, and a hop inside one environment is made often.
            .args(option("KexAlgorithms", &"curve25519-sha256,sntrup761x25519-sha512@openssh.com"))
            .args(option(
                "Ciphers",
                &"aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com",
            ))
            .args(option("LogLevel", &"ERROR"))
            .arg("-i")
            .arg(&coordinator.key)
            .args(["-p".to_owned(), node.ssh_port.to_string()])
            .arg("-s")
            .arg(format!("{}@{}", coordinator.user, node.address))
            .arg("orocloud")
            .grace(Duration::from_secs(1));
        let (ssh, stdin, stdout) = self
            .0
            .node
            .processes
            .spawn_piped(program)
            .await
            .map_err(|error| CallError::from(error).context(format!("{name} cannot be called")))?;
        Ok(Link { inlet: Inlet::new(stdout), writer: Box::new(stdin), ssh: Some(ssh) })
    }

    /// Greets, and waits for the greeting: a node that greets has taken the connection. `None` when it ended.
    async fn greet(&self, link: &mut Link) -> Result<(), Option<CallError>> {
        let environment = &self.0.node.config.environment;
        let ours = Hello::ours().of_environment(environment.name.clone(), environment.kind);
        link.write(&encode(&Notification::Hello(ours))).await.map_err(|_| None)?;
        loop {
            let line = link.inlet.line().await.map_err(|_| None)?;
            let Ok(Incoming::Notification(Notification::Hello(theirs))) = decode(&line) else { continue };
            if let Err(mismatch) = agree(&theirs) {
                let text = format!("its agent ({}) speaks no protocol of this one", mismatch.other_version);
                return Err(Some(CallError::new(ErrorKind::ProtocolMismatch, text)));
            }
            return match theirs.environment {
                Some(name) if name != environment.name => {
                    Err(Some(CallError::new(ErrorKind::HostNotTrusted, format!("it belongs to {name}"))))
                }
                _ => Ok(()),
            };
        }
    }

    /// Sends a file as bulk data of a call; the answer ends it. A node that has the content already takes none.
    pub async fn send_file<C: Call>(
        &self,
        node: &NodeName,
        params: &C::Params,
        file: &std::path::Path,
        events: &EventSink,
    ) -> Result<C::Answer, CallError> {
        let mut call = self.begin(node, new_call_id(), C::METHOD, to_value(params), 0).await?;
        loop {
            match call.next().await? {
                Reply::Answer(value) => return answer_of::<C>(node, value),
                Reply::Event(Event { body: EventBody::Ready { .. }, .. }) => break,
                Reply::Event(_) => {}
            }
        }
        let could_not = |error: &std::io::Error| {
            CallError::failed(format!("{} could not be sent to {node}", file.display())).because(error)
        };
        // A node that stops taking has something to say.
        let sent = match call.send_frames(file, events).await {
            Err(SendFault::File(error)) => return Err(could_not(&error)),
            Err(SendFault::Link(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        loop {
            match (call.next().await, &sent) {
                (Ok(Reply::Answer(value)), _) => return answer_of::<C>(node, value),
                (Ok(Reply::Event(_)), _) => {}
                (Err(CallFailure::Answered(error)), _) => return Err(error),
                (Err(_), Err(error)) => return Err(could_not(error)),
                (Err(failure), Ok(())) => return Err(failure.into()),
            }
        }
    }
}

impl NodeCall {
    /// What comes next. May be dropped and called again.
    pub async fn next(&mut self) -> Result<Reply, CallFailure> {
        let Some(link) = &mut self.link else {
            return Err(CallFailure::Lost(unreachable(&self.node, "the call is over")));
        };
        loop {
            // What came while nobody listened is looked at before the clock is.
            let why = match tokio::time::timeout_at(self.heard + SILENCE, link.inlet.line()).await {
                Ok(Ok(line)) => Ok(line),
                Ok(Err(_)) => Err("the connection was lost".to_owned()),
                Err(_) => Err(format!("its agent has said nothing for {} s", SILENCE.as_secs())),
            };
            let line = match why {
                Ok(line) => line,
                Err(why) => {
                    self.link = None;
                    return Err(CallFailure::Lost(unreachable(&self.node, &why)));
                }
            };
            self.heard = tokio::time::Instant::now();
            match decode(&line) {
                Ok(Incoming::Notification(Notification::Event(event))) if event.call == self.call => {
                    return Ok(Reply::Event(event));
                }
                Ok(Incoming::Response(response)) if response.id == Some(self.call) => {
                    let outcome = response.outcome();
                    if let Some(link) = self.link.take()
                        && (outcome.is_ok() || !self.bulk)
                    {
                        self.nodes.keep(&self.node, link);
                    }
                    return outcome.map(Reply::Answer).map_err(CallFailure::Answered);
                }
                Ok(Incoming::Response(response)) => {
                    // Without an id: it could not read what we sent.
                    if let Err(error) = response.outcome() {
                        return Err(CallFailure::Answered(error));
                    }
                }
                _ => {}
            }
        }
    }

    /// Asks for the end of the call; its answer follows.
    pub async fn end(&mut self) -> Result<(), CallFailure> {
        let line = encode(&Notification::End { call: self.call });
        match &mut self.link {
            Some(link) => {
                link.write(&line).await.map_err(|error| CallFailure::Lost(lost(&self.node, &error)))
            }
            None => Ok(()),
        }
    }

    async fn send_frames(&mut self, path: &std::path::Path, events: &EventSink) -> Result<(), SendFault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        self.bulk = true;
        let mut file = tokio::fs::File::open(path).await.map_err(SendFault::File)?;
        let total = file.metadata().await.map_err(SendFault::File)?.len();
        let mut buffer = vec![0_u8; FRAME];
        let (mut done, mut told) = (0_u64, Instant::now());
        loop {
            let length = file.read(&mut buffer).await.map_err(SendFault::File)?;
            link.frame(&buffer[..length]).await.map_err(SendFault::Link)?;
            done += length as u64;
            if length == 0 || told.elapsed() > Duration::from_millis(250) {
                told = Instant::now();
                events.emit(EventBody::Progress {
                    done,
                    total: Some(total),
                    unit: Unit::Bytes,
                    step: None,
                    node: None,
                });
            }
            if length == 0 {
                return link.writer.flush().await.map_err(SendFault::Link);
            }
        }
    }
}

impl Link {
    async fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(line).await?;
        self.writer.flush().await
    }

    async fn frame(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_u32(u32::try_from(bytes.len()).unwrap_or_default()).await?;
        self.writer.write_all(bytes).await
    }
}

/// An id for a call that nobody attaches to.
pub fn new_call_id() -> CallId {
    let mut random = [0_u8; 16];
    // Without randomness from the system two calls at the same moment share an id, and one of them is refused.
    let _ = getrandom::fill(&mut random);
    let now = jiff::Timestamp::now().as_millisecond();
    CallId::from_parts(u64::try_from(now).unwrap_or_default(), u128::from_be_bytes(random))
}

fn to_value<T: serde::Serialize>(params: &T) -> Value {
    // Our own types have string keys and no fallible Serialize.
    serde_json::to_value(params).unwrap_or_default()
}

fn answer_of<C: Call>(node: &NodeName, value: Value) -> Result<C::Answer, CallError> {
    serde_json::from_value(value).map_err(|error| {
        CallError::new(
            ErrorKind::ProtocolMismatch,
            format!("the answer of {node} to {} cannot be read", C::METHOD),
        )
        .because(error)
        .hint("compare the versions of the agents with: orocloud-cli env:info")
    })
}

fn unreachable(node: &NodeName, why: &str) -> CallError {
    CallError::new(ErrorKind::Unreachable, format!("{node} cannot be reached"))
        .because(why)
        .hint("see which nodes answer with: orocloud-cli status")
}

fn lost(node: &NodeName, error: &std::io::Error) -> CallError {
    unreachable(node, "the connection was lost").because(error)
}
