//! The handle on one node of a running sandbox.

use std::path::PathBuf;

use super::Sandbox;
use crate::ca::{self, Authority, Certificate};
use crate::control::{self, Action};
use crate::error::{Error, Result};
use crate::hosts::Host;
use crate::supervisor::{self, Request, ServiceState};

/// One node of a running sandbox. Every method returns when it is done. What asks the node's service manager (all
/// methods about services) waits while the node is frozen.
#[derive(Debug, Clone, Copy)]
pub struct NodeHandle<'a> {
    pub(super) sandbox: &'a Sandbox,
    pub(super) host: &'static Host,
}

impl NodeHandle<'_> {
    /// SIGKILL to every process of the node; its ports refuse connections until it is started.
    pub fn kill(&self) -> Result<()> {
        self.order(Action::Kill)
    }

    /// SIGSTOP to every process of the node: its ports accept connections, nothing answers.
    pub fn freeze(&self) -> Result<()> {
        self.order(Action::Freeze)
    }

    /// No byte passes the node's ports, in existing and new connections, and nothing is reset.
    pub fn cut(&self) -> Result<()> {
        self.order(Action::Cut)
    }

    /// Undoes whatever was done to the node, and returns when it is up.
    pub fn start(&self) -> Result<()> {
        self.order(Action::Start)
    }

    /// SIGKILL to one service's main process, such as `agent`; returns when it is gone. Nobody starts it again.
    pub fn kill_service(&self, service: &str) -> Result<()> {
        self.ask(supervisor::Action::Kill, Some(service)).map(drop)
    }

    /// Starts one service and waits until it is ready.
    pub fn start_service(&self, service: &str) -> Result<()> {
        self.ask(supervisor::Action::Start, Some(service)).map(drop)
    }

    /// Ends one service in good order.
    pub fn stop_service(&self, service: &str) -> Result<()> {
        self.ask(supervisor::Action::Stop, Some(service)).map(drop)
    }

    /// Stops and starts one service.
    pub fn restart_service(&self, service: &str) -> Result<()> {
        self.ask(supervisor::Action::Restart, Some(service)).map(drop)
    }

    /// How one service is.
    pub fn service(&self, service: &str) -> Result<ServiceState> {
        let mut services = self.ask(supervisor::Action::State, Some(service))?;
        services.pop().ok_or_else(|| Error::new(format!("the service manager told nothing about {service}")))
    }

    /// How every service is.
    pub fn services(&self) -> Result<Vec<ServiceState>> {
        self.ask(supervisor::Action::List, None)
    }

    /// The node's address on loopback.
    pub fn address(&self) -> String {
        self.sandbox.description.addresses.public(self.host).to_string()
    }

    /// The node's folder, with `etc`, `run`, `log`, `state` and, on a web node, `app`.
    pub fn dir(&self) -> PathBuf {
        self.sandbox.layout.node(self.host.name).root
    }

    /// Replaces the host certificate, for tests of a client's checks, and starts sshd again. `None` as authority
    /// takes the certificate away.
    pub fn replace_host_certificate(
        &self,
        authority: Option<Authority>,
        principals: &[&str],
        days: i64,
    ) -> Result<()> {
        let key = self.sandbox.layout.node(self.host.name).etc("ssh_host_ed25519_key");
        let file = ca::certificate(&key);
        let _ = std::fs::remove_file(&file);
        if let Some(authority) = authority {
            let (from, until) = ca::valid_for_days(days.max(0));
            // Negative days: one that has ended.
            let day = jiff::SignedDuration::from_hours(24);
            let valid = if days < 0 { (from - day * 2, from - day) } else { (from, until) };
            let principals: Vec<String> = principals.iter().map(|&name| name.to_owned()).collect();
            let what = Certificate {
                authority,
                for_host: true,
                key_id: &self.host.full_name(),
                serial: 900,
                principals: &principals,
                valid,
                options: &[],
            };
            ca::sign(&self.sandbox.layout.ca(), &key, &what)?;
        }
        self.restart_service("sshd")
    }

    fn order(&self, action: Action) -> Result<()> {
        control::order(&self.sandbox.layout, action, Some(self.host.name)).map(drop)
    }

    fn ask(&self, action: supervisor::Action, service: Option<&str>) -> Result<Vec<ServiceState>> {
        let socket = self.sandbox.layout.node(self.host.name).supervisor_socket();
        supervisor::ask(&socket, &Request { action, service: service.map(str::to_owned) })
    }
}
