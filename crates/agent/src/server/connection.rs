//! One connection: greetings, one call after another, the end.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::calls::Method;
use orocloud_protocol::window::Window;
use orocloud_protocol::{
    CallError, CallId, ErrorKind, Hello, Incoming, Kind, Notification, Request, Response, SIGN_OF_LIFE,
    agree, decode, encode,
};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinError;

use super::caller::{self, Caller, CallerKind, Session};
use super::exchange::{EventStream, Exchange, Inlet, LineFault};
use super::outlet::Outlet;
use super::{DaemonRef, audit};
use crate::calls::{self, Context};

/// Where a connection came from; who it is is judged at every call.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// sshd's bridge, with what it tells.
    Session(Session),
    /// A local account.
    Local(String),
    /// The coordinator, in this very process.
    Coordinator,
}

impl Origin {
    fn caller(&self, daemon: &DaemonRef) -> Result<Caller, CallError> {
        match self {
            Self::Session(session) => caller::judge(&daemon.node.config, session, Timestamp::now()),
            Self::Local(account) => Caller::local(&daemon.node.config, account),
            Self::Coordinator => Ok(Caller::coordinator()),
        }
    }

    /// For the audit log, when there is no caller.
    fn describe(&self) -> String {
        match self {
            Self::Session(session) => {
                format!("ssh:{}", session.connection.split(' ').next().unwrap_or("unknown"))
            }
            Self::Local(account) => format!("local:{account}"),
            Self::Coordinator => "coordinator".to_owned(),
        }
    }
}

/// How far a caller's clock may be off, in milliseconds; pruning keeps journals for longer.
const MAX_ID_AGE: u64 = 24 * 3600 * 1000;

/// How often a connection whose client writes no more is looked at.
const HANG_UP_CHECK: Duration = Duration::from_millis(500);

/// Serves a connection until its client is gone. `socket` is its descriptor, for as long as this runs.
pub(crate) async fn serve(
    daemon: DaemonRef,
    reader: impl AsyncRead + Send + Sync + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    socket: Option<RawFd>,
    origin: Origin,
) {
    serve_from(daemon, Inlet::new(reader), writer, socket, origin).await;
}

/// [`serve`] where something was read already.
pub(super) async fn serve_from(
    daemon: DaemonRef,
    inlet: Inlet,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    socket: Option<RawFd>,
    origin: Origin,
) {
    let outlet = Arc::new(Outlet::default());
    let writing = tokio::spawn({
        let outlet = Arc::clone(&outlet);
        async move { outlet.write_to(writer).await }
    });
    let environment = &daemon.node.config.environment;
    let hello = Hello::ours().of_environment(environment.name.clone(), environment.kind);
    let mut connection = Connection {
        daemon: daemon.clone(),
        outlet: Arc::clone(&outlet),
        socket,
        origin,
        mismatch: None,
        inlet: Some(inlet),
        ended: false,
        pending: None,
    };
    if outlet.send(&encode(&Notification::Hello(hello))).await.is_ok() {
        connection.run().await;
    }
    outlet.finish();
    // A client that takes nothing more cannot hold the connection for ever.
    let _ = tokio::time::timeout(Duration::from_secs(60), writing).await;
    drop(connection);
    crate::heap::freed();
}

struct Connection {
    daemon: DaemonRef,
    outlet: Arc<Outlet>,
    socket: Option<RawFd>,
    origin: Origin,
    mismatch: Option<CallError>,
    inlet: Option<Inlet>,
    /// The client writes no more.
    ended: bool,
    pending: Option<Request>,
}

enum Line {
    Message(Incoming),
    Wrong(String),
    /// Where the next one begins nobody knows.
    TooLong,
    End,
}

impl Connection {
    async fn run(&mut self) {
        loop {
            let request = match self.pending.take() {
                Some(request) => request,
                None => {
                    let Some(inlet) = &mut self.inlet else { return };
                    match read(inlet).await {
                        Line::Message(Incoming::Request(request)) => request,
                        Line::Message(Incoming::Notification(Notification::Hello(hello))) => {
                            self.greeted(&hello);
                            continue;
                        }
                        Line::Message(_) => continue,
                        Line::Wrong(fault) => {
                            if self.answer(None, Err(CallError::usage(fault))).await {
                                continue;
                            }
                            return;
                        }
                        Line::TooLong => {
                            self.answer(None, Err(too_long())).await;
                            return;
                        }
                        Line::End => return,
                    }
                }
            };
            let id = request.id;
            let outcome = self.call(request).await;
            if !self.answer(Some(id), outcome).await || (self.ended && self.pending.is_none()) {
                return;
            }
        }
    }

    async fn answer(&self, id: Option<CallId>, outcome: Result<Value, CallError>) -> bool {
        let windows = self.open_windows();
        let mut line = encode(&Response::new(id, outcome).within(windows.clone()));
        if line.len() > orocloud_protocol::MAX_LINE {
            let error =
                CallError::internal(format!("the answer of {} bytes is too long to be sent", line.len()))
                    .hint("ask for less at once, for instance with: --per-page=25");
            line = encode(&Response::new(id, Err(error)).within(windows));
        }
        self.outlet.send(&line).await.is_ok()
    }

    /// What whoever calls the environment should know, whatever they ask.
    fn open_windows(&self) -> Vec<Window> {
        let config = &self.daemon.node.config;
        match self.origin {
            Origin::Session(_) | Origin::Local(_) if config.is_coordinator() => {
                self.daemon.windows.open(config, Timestamp::now())
            }
            Origin::Session(_) | Origin::Local(_) | Origin::Coordinator => Vec::new(),
        }
    }

    fn greeted(&mut self, hello: &Hello) {
        self.mismatch = agree(hello).err().map(|mismatch| {
            let ours = orocloud_protocol::VERSION;
            let theirs: String = mismatch.other_version.chars().filter(|c| !c.is_control()).take(40).collect();
            let message = format!("this agent ({ours}) and the program that calls it ({theirs}) share no protocol");
            let error = CallError::new(ErrorKind::ProtocolMismatch, message);
            if mismatch.other_is_older {
                error.hint("install a newer one where you type, then look with: orocloud-cli --version")
            } else {
                error.hint("ask the people who run this environment to upgrade its agents; see: orocloud-cli env:info")
            }
        });
    }

    /// Judges the caller, runs the call as a task of its own, listens to the client meanwhile.
    async fn call(&mut self, request: Request) -> Result<Value, CallError> {
        let caller = self.origin.caller(&self.daemon);
        let describe = || match &caller {
            Ok(caller) => (caller.key_id.clone(), Some(caller.role)),
            Err(_) => (self.origin.describe(), None),
        };
        let entry = audit::Entry::new(&request, describe());
        let outcome = match (self.mismatch.clone(), caller) {
            (Some(mismatch), _) => Err(mismatch),
            (None, Err(error)) => Err(error),
            (None, Ok(caller)) => match permitted(&self.daemon, &caller, &request) {
                Ok(method) => self.run_call(caller, method, request).await,
                Err(error) => Err(error),
            },
        };
        entry.write(&self.daemon.node.config.log, &outcome);
        outcome
    }

    async fn run_call(
        &mut self,
        caller: Caller,
        method: Method,
        request: Request,
    ) -> Result<Value, CallError> {
        let id = request.id;
        let valid_until = caller.valid_until;
        let who = caller.key_id.clone();
        let events = EventStream::new(id, request.after_seq.unwrap_or(0), Arc::clone(&self.outlet));
        let (asked, end) = (events.asked_to_end().clone(), events.end().clone());
        // Bulk data is read by the call itself.
        let inlet = if method == Method::NodePackageReceive { self.inlet.take() } else { None };
        let context = Context { daemon: self.daemon.clone(), caller, call: id };
        let mut task = tokio::spawn(async move {
            let mut exchange = Exchange { events, inlet };
            let outcome = calls::dispatch(&context, method, request.params, &mut exchange).await;
            (outcome, exchange.inlet)
        });
        let gone = self.outlet.gone().clone();
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + SIGN_OF_LIFE, SIGN_OF_LIFE);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut expired = false;
        let joined = loop {
            let listening = !self.ended && self.pending.is_none();
            tokio::select! {
                joined = &mut task => break joined,
                line = next_line(&mut self.inlet), if listening => match line {
                    Line::Message(Incoming::Notification(Notification::End { call })) if call == id => {
                        asked.cancel();
                        end.cancel();
                    }
                    Line::Message(Incoming::Request(request)) => self.pending = Some(request),
                    Line::Message(_) => {}
                    Line::Wrong(fault) => { self.answer(None, Err(CallError::usage(fault))).await; }
                    Line::TooLong => {
                        self.ended = true;
                        end.cancel();
                        self.answer(None, Err(too_long())).await;
                    }
                    Line::End => {
                        self.ended = true;
                        if self.socket.is_none() { end.cancel(); }
                    }
                },
                _ = beat.tick() => self.outlet.beat(),
                () = gone.cancelled(), if !end.is_cancelled() => end.cancel(),
                () = tokio::time::sleep(HANG_UP_CHECK), if self.ended && !end.is_cancelled() => {
                    if self.socket.is_some_and(hung_up) { end.cancel(); }
                }
                () = until(valid_until), if !expired && method.kind() != Kind::Query => {
                    expired = true;
                    end.cancel();
                }
            }
        };
        let (outcome, inlet) = joined.unwrap_or_else(|error| (Err(fault_of(method, error)), None));
        if method == Method::NodePackageReceive {
            // After a fault frames may still come, which nobody could tell from lines.
            self.ended = outcome.is_err();
            self.inlet = inlet;
        }
        if expired
            && (outcome.is_ok() || matches!(&outcome, Err(error) if error.kind == ErrorKind::StillRunning))
        {
            let goes_on = if method.kind() == Kind::Operation { "; the operation goes on" } else { "" };
            return Err(CallError::new(
                ErrorKind::NotSignedIn,
                format!("the certificate of {who} ended while this call was open{goes_on}"),
            )
            .hint(format!(
                "get a new certificate, then follow it with: orocloud-cli log:view --follow {id}"
            )));
        }
        outcome
    }
}

fn too_long() -> CallError {
    CallError::usage(format!("a line that came is longer than {} bytes", orocloud_protocol::MAX_LINE))
}

async fn next_line(inlet: &mut Option<Inlet>) -> Line {
    match inlet {
        Some(inlet) => read(inlet).await,
        None => std::future::pending().await,
    }
}

async fn read(inlet: &mut Inlet) -> Line {
    match inlet.line().await {
        Ok(line) => match decode(&line) {
            Ok(message) => Line::Message(message),
            Err(fault) => Line::Wrong(format!("a line that came is wrong: {fault}")),
        },
        Err(LineFault::TooLong) => Line::TooLong,
        Err(LineFault::End) => Line::End,
    }
}

/// Waits for a moment of the calendar; the clock may be set meanwhile.
async fn until(moment: Option<Timestamp>) {
    let Some(moment) = moment else { return std::future::pending().await };
    loop {
        let left = moment.as_millisecond().saturating_sub(Timestamp::now().as_millisecond());
        let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else { return };
        tokio::time::sleep(Duration::from_millis(left.min(30_000))).await;
    }
}

/// Whether the other side of a socket is wholly gone, rather than done with writing.
fn hung_up(socket: RawFd) -> bool {
    let mut polled = libc::pollfd { fd: socket, events: 0, revents: 0 };
    // SAFETY: one initialised record; the connection keeps the descriptor open for as long as it is served.
    unsafe { libc::poll(&raw mut polled, 1, 0) > 0 && polled.revents & (libc::POLLHUP | libc::POLLERR) != 0 }
}

fn permitted(daemon: &DaemonRef, caller: &Caller, request: &Request) -> Result<Method, CallError> {
    let Some(method) = Method::named(&request.method) else {
        let name: String = request.method.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(CallError::new(ErrorKind::UnknownMethod, format!("this agent knows no call {name}"))
            .hint("compare the versions here and there with: orocloud-cli env:info"));
    };
    let config = &daemon.node.config;
    let is_coordinator_call = caller.kind == CallerKind::Coordinator;
    if method.is_node_call() != is_coordinator_call {
        let message = if is_coordinator_call {
            format!("the coordinator's certificate is for node calls, not for {}", method.name())
        } else {
            format!("{} is a call between nodes", method.name())
        };
        return Err(CallError::new(ErrorKind::NotPermitted, message));
    }
    if !is_coordinator_call && !config.is_coordinator() {
        return Err(CallError::new(
            ErrorKind::NotPermitted,
            format!("{} answers its coordinator only", config.environment.full_name(&config.node)),
        )
        .hint("call the environment's maintenance node: orocloud-cli env:info"));
    }
    if caller.role < method.role() {
        return Err(CallError::new(
            ErrorKind::NotPermitted,
            format!("{} needs the role {}, and {} has {}", method.name(), method.role(), caller.key_id, caller.role),
        )
        .hint("ask an owner of the environment for a certificate with that role; see yours with: orocloud-cli env:info"));
    }
    // The coordinator's attempts bear the time of their operation, which may be old when it is recovered.
    let off = Timestamp::now().as_millisecond().unsigned_abs().abs_diff(request.id.milliseconds());
    if !is_coordinator_call && off > MAX_ID_AGE {
        return Err(CallError::usage(format!(
            "the id {} was made more than 24 hours off the agent's clock, {:.0}",
            request.id,
            Timestamp::now()
        ))
        .hint("look for that operation with: orocloud-cli log:list")
        .hint("compare the clocks with: date -u"));
    }
    Ok(method)
}

fn fault_of(method: Method, error: JoinError) -> CallError {
    let text = match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no words".to_owned()),
        Err(error) => error.to_string(),
    };
    crate::log::line(format!("{} ended in a fault of the agent: {text}", method.name()));
    CallError::internal(format!("{} ended in a fault of the agent", method.name())).because(text)
}

#[cfg(test)]
mod tests;
