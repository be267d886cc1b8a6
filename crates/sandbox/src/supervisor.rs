//! The service manager's protocol: JSON lines over a unix socket, one answer a request.
//!
//! `{"do":"start","service":"postgresql"}` → `{"ok":true,"services":[{"name":"postgresql","state":"running",…}]}`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// What to do.
    #[serde(rename = "do")]
    pub action: Action,
    /// To which service; `list` needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Start, and answer when it is ready or failed.
    Start,
    /// End it in good order, and answer when it has ended.
    Stop,
    /// Let it read its configuration again.
    Reload,
    /// Stop and start.
    Restart,
    /// One service's state.
    State,
    /// Every service's state.
    List,
    /// The sandbox's own: SIGKILL to the service's main process, as a crash would.
    Kill,
}

/// What is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// The services it was about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceState>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answer {
    /// It was not done.
    pub fn refused(error: impl Into<String>) -> Self {
        Self { ok: false, services: Vec::new(), error: Some(error.into()) }
    }
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its name.
    pub name: String,
    /// `running`, `stopped`, `failed` or `starting`.
    pub state: String,
    /// Its main process.
    pub pid: Option<i32>,
    /// Since when it is in this state, in UTC.
    pub since: String,
    /// Why it failed.
    pub detail: Option<String>,
}

/// Asks the service manager behind `socket` and waits for the answer; an answer that is no success is an error.
pub fn ask(socket: &Path, request: &Request) -> Result<Vec<ServiceState>> {
    let answer: Answer = exchange(socket, request)?;
    if answer.ok {
        return Ok(answer.services);
    }
    Err(Error::new(answer.error.unwrap_or_else(|| "the service manager refused without a reason".to_owned())))
}

/// Writes one JSON line to a unix socket and reads one.
pub(crate) fn exchange<A: for<'a> Deserialize<'a>>(socket: &Path, request: &impl Serialize) -> Result<A> {
    let mut stream =
        UnixStream::connect(socket).context(|| format!("cannot connect to {}", socket.display()))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(Error::new(format!("{} was closed without an answer", socket.display())));
    }
    serde_json::from_str(&answer).context(|| format!("the answer from {} is damaged", socket.display()))
}
