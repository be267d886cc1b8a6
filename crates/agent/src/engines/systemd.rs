//! Systemd.

use orocloud_protocol::CallError;

use crate::service_manager::ServiceState;

/// Systemd.
#[derive(Debug)]
pub struct Systemd {}

impl Systemd {
    /// Made for one node.
    pub fn new() -> Self {
        Self {}
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
