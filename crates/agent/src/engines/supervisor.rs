//! Supervisor.

use orocloud_protocol::CallError;

use crate::service_manager::ServiceState;

/// Supervisor.
#[derive(Debug)]
pub struct Supervisor {
    socket: std::path::PathBuf,
}

impl Supervisor {
    /// Made for one node.
    pub fn new(socket: std::path::PathBuf) -> Self {
        Self { socket }
    }

    /// See [`crate::service_manager::ServiceManager::start`].
    pub async fn start(&self, _service: &str) -> Result<(), CallError> {
        Err(CallError::internal("not yet"))
    }

    /// See [`crate::service_manager::ServiceManager::stop`].
    pub async fn stop(&self, _service: &str) -> Result<(), CallError> {
        Err(CallError::internal("not yet"))
    }

    /// See [`crate::service_manager::ServiceManager::reload`].
    pub async fn reload(&self, _service: &str) -> Result<(), CallError> {
        Err(CallError::internal("not yet"))
    }

    /// See [`crate::service_manager::ServiceManager::state`].
    pub async fn state(&self, _service: &str) -> Result<ServiceState, CallError> {
        Err(CallError::internal("not yet"))
    }
}
