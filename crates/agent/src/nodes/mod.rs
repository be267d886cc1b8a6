//! Reaching a node, and what a node itself answers.

pub mod actions;
pub mod database_info;
pub mod executor;
pub mod logs;
pub mod mail;
pub mod marks;
pub mod output;
pub mod services;
pub mod status;
pub mod steps;
pub mod transport;

use std::sync::Arc;

use crate::environment::Agent;
use crate::process::Processes;
use crate::service_manager::ServiceManager;

/// What this agent has to work with as a node.
#[derive(Debug)]
pub struct Node {
    /// Its configuration.
    pub config: Agent,
    /// Starts programs.
    pub processes: Processes,
    /// Starts and stops services.
    pub services: ServiceManager,
    /// Copies of the database that run aside, between the steps of a restore.
    pub copies: crate::engines::postgres::Copies,
    /// On a mail node: what Postfix's log has told.
    pub mail_log: mail::log::MailLog,
    /// On a mail node: how the relays were when it last looked at them.
    pub relays: mail::watch::Relays,
}

/// Shared by all calls.
pub type NodeRef = Arc<Node>;

impl Node {
    /// Of a configuration, with nothing under way.
    pub fn new(config: Agent, processes: Processes) -> NodeRef {
        Arc::new(Self {
            services: ServiceManager::new(&config.service_manager, &processes),
            processes,
            copies: Default::default(),
            mail_log: Default::default(),
            relays: Default::default(),
            config,
        })
    }
}
