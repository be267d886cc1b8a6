//! A whole real environment, `acme-prod1`, in one folder on loopback, for the demo and for every test.
//!
//! ```no_run
//! use orocloud_sandbox::{CallerSpec, Options, Sandbox};
//!
//! let sandbox = Sandbox::start(Options::default())?;                    // up in a few seconds, gone when dropped
//! sandbox.psql("insert into orders default values")?;                   // as superuser, in the shop's database
//! sandbox.node("web1")?.freeze()?;                                      // kill, freeze, cut, start
//! let eve = sandbox.issue(&CallerSpec::new("eve", "viewer@acme-stag1"))?; // any certificate
//! let config = sandbox.config_for(&eve)?;                               // OROCLOUD_CONFIG for that caller
//! # Ok::<(), orocloud_sandbox::Error>(())
//! ```
//!
//! Every node has an address of its own, real programs (sshd, `orocloud-agent serve`, PostgreSQL, nginx, PHP-FPM,
//! HAProxy), and an init process that is their parent and service manager. In front of every listening port stands
//! a relay, so that a node can be cut off.
//!
//! ```text
//! owner (a test, cargo xtask)
//!   └─ orocloud-sandbox run      `top`: prepares the folder, relays, orders on control.sock, dies with its owner
//!        ├─ orocloud-sandbox init (maint1)   `init`: service manager on run/supervisor.sock
//!        │    ├─ sshd
//!        │    └─ orocloud-agent serve
//!        ├─ orocloud-sandbox init (db1) …
//! ```

mod accounts;
mod agent;
mod blueprint;
mod ca;
mod caller;
mod control;
mod description;
mod dns;
mod error;
#[doc(hidden)]
pub mod fake_systemctl;
mod git;
mod haproxy;
mod hosts;
#[doc(hidden)]
pub mod init;
mod json_lines;
mod layout;
mod mail;
mod opendkim;
mod postfix;
mod postgres;
mod process_tree;
mod queue;
mod relay;
mod run;
mod sandbox;
mod service;
mod shop;
mod sshd;
mod supervisor;
#[doc(hidden)]
pub mod top;
mod web;

pub use ca::Authority;
pub use caller::{CallerFiles, CallerSpec};
pub use control::NodeStatus;
pub use dns::DnsData;
pub use error::{Error, Result};
#[doc(hidden)]
pub use hosts::Parts;
pub use hosts::{ENVIRONMENT, HTTP_PORT, POSTGRESQL_PORT, SSH_PORT};
pub use sandbox::{NodeHandle, Options, Sandbox, TEST_FOLDER};
pub use supervisor::ServiceState;
