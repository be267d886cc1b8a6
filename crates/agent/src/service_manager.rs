//! What holds long-running programs up: systemd in production, the sandbox's supervisor in tests. One small
//! interface; both pass the same contract suite.

use orocloud_protocol::CallError;

use crate::environment::ServiceManagerConfig;
use crate::process::Processes;

/// Starts, stops and watches services by name.
#[derive(Debug)]
pub enum ServiceManager {
    /// The sandbox's.
    Supervisor(crate::engines::supervisor::Supervisor),
    /// systemd's.
    Systemd(crate::engines::systemd::Systemd),
}

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// Its name.
    pub name: String,
    /// What it does.
    pub activity: Activity,
    /// Its main process.
    pub pid: Option<u32>,
    /// Why it failed, or what it waits for.
    pub detail: Option<String>,
}

/// What a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Is there and ready.
    Running,
    /// Comes up.
    Starting,
    /// Was stopped, or never started.
    Stopped,
    /// Ended although nobody stopped it.
    Failed,
}

impl ServiceManager {
    /// The one that the configuration names.
    pub fn new(config: &ServiceManagerConfig, processes: &Processes) -> Self {
        match config {
            ServiceManagerConfig::Systemd {} => {
                Self::Systemd(crate::engines::systemd::Systemd::new(processes, "systemctl"))
            }
            ServiceManagerConfig::Supervisor { socket } => {
                Self::Supervisor(crate::engines::supervisor::Supervisor::new(socket))
            }
        }
    }

    /// Starts it unless it runs, and waits until it is ready.
    pub async fn start(&self, service: &str) -> Result<(), CallError> {
        match self {
            Self::Supervisor(supervisor) => supervisor.start(service).await,
            Self::Systemd(systemd) => systemd.start(service).await,
        }
    }

    /// Stops it unless it is stopped, and waits until it has ended.
    pub async fn stop(&self, service: &str) -> Result<(), CallError> {
        match self {
            Self::Supervisor(supervisor) => supervisor.stop(service).await,
            Self::Systemd(systemd) => systemd.stop(service).await,
        }
    }

    /// Lets it read its configuration anew without ending what it is doing.
    pub async fn reload(&self, service: &str) -> Result<(), CallError> {
        match self {
            Self::Supervisor(supervisor) => supervisor.reload(service).await,
            Self::Systemd(systemd) => systemd.reload(service).await,
        }
    }

    /// How it is.
    pub async fn state(&self, service: &str) -> Result<ServiceState, CallError> {
        match self {
            Self::Supervisor(supervisor) => supervisor.state(service).await,
            Self::Systemd(systemd) => systemd.state(service).await,
        }
    }
}
