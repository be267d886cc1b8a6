//! The sandbox's supervisor: one JSON line asked, one answered, over a unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orocloud_protocol::{CallError, ErrorKind};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::service_manager::{Activity, ServiceState};

/// Longer than any service there takes to become ready or to end.
const LIMIT: Duration = Duration::from_secs(180);

/// More than the states of all services of a node take.
const MAX_ANSWER: u64 = 1024 * 1024;

/// One node's supervisor.
#[derive(Debug)]
pub struct Supervisor {
    socket: PathBuf,
}

#[derive(Serialize)]
struct Request<'a> {
    r#do: &'a str,
    service: &'a str,
}

#[derive(Debug, Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    services: Vec<Service>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Service {
    name: String,
    state: Word,
    pid: Option<u32>,
    detail: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Running,
    Starting,
    Stopping,
    Stopped,
    Failed,
}

impl Supervisor {
    /// Behind this socket.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// See [`crate::service_manager::ServiceManager::start`].
    pub async fn start(&self, service: &str) -> Result<(), CallError> {
        self.ask("start", service).await.map(drop)
    }

    /// See [`crate::service_manager::ServiceManager::stop`].
    pub async fn stop(&self, service: &str) -> Result<(), CallError> {
        self.ask("stop", service).await.map(drop)
    }

    /// See [`crate::service_manager::ServiceManager::reload`].
    pub async fn reload(&self, service: &str) -> Result<(), CallError> {
        self.ask("reload", service).await.map(drop)
    }

    /// See [`crate::service_manager::ServiceManager::state`].
    pub async fn state(&self, service: &str) -> Result<ServiceState, CallError> {
        let services = self.ask("state", service).await?;
        let found = services.into_iter().find(|found| found.name == service).ok_or_else(|| {
            CallError::failed(format!("the supervisor told nothing of the service {service}"))
        })?;
        let activity = match found.state {
            Word::Running | Word::Stopping => Activity::Running,
            Word::Starting => Activity::Starting,
            Word::Stopped => Activity::Stopped,
            Word::Failed => Activity::Failed,
        };
        Ok(ServiceState { name: found.name, activity, pid: found.pid, detail: found.detail })
    }

    async fn ask(&self, action: &str, service: &str) -> Result<Vec<Service>, CallError> {
        let cannot = |error: &dyn std::fmt::Display| {
            let socket = self.socket.display();
            CallError::failed(format!("the service {service} cannot be asked to {action}"))
                .because(format!("supervisor at {socket}: {error}"))
        };
        let exchange = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            let mut line = serde_json::to_vec(&Request { r#do: action, service })?;
            line.push(b'\n');
            stream.write_all(&line).await?;
            let mut answer = String::new();
            BufReader::new(stream).take(MAX_ANSWER).read_line(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let line = match tokio::time::timeout(LIMIT, exchange).await {
            Ok(line) => line.map_err(|error| cannot(&error))?,
            Err(_) => return Err(cannot(&format!("no answer within {} s", LIMIT.as_secs()))),
        };
        let answer: Answer =
            serde_json::from_str(&line).map_err(|error| cannot(&format!("damaged answer: {error}")))?;
        if answer.ok {
            return Ok(answer.services);
        }
        let reason = answer.error.unwrap_or_else(|| "it gave no reason".to_owned());
        let unknown = reason.starts_with("there is no service");
        let kind = if unknown { ErrorKind::NotFound } else { ErrorKind::Failed };
        Err(CallError::new(kind, format!("the service {service} could not {action}")).because(reason))
    }
}
