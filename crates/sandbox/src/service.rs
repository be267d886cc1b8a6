//! What a node runs: the file that its init process is started with.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `boot.json`: everything an init process knows about its node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Boot {
    /// The node's short name.
    pub node: String,
    /// The folder that is emptied at every boot, as a machine's /run is.
    pub run: PathBuf,
    /// Folders to create in it, parents first.
    pub folders: Vec<Folder>,
    /// The service manager's socket.
    pub supervisor_socket: PathBuf,
    /// The group that may use it, besides root; none where everything is one account's.
    pub supervisor_group: Option<u32>,
    /// What to run.
    pub services: Vec<Service>,
}

/// A folder with its owner and mode.
#[derive(Debug, Serialize, Deserialize)]
pub struct Folder {
    /// Where.
    pub path: PathBuf,
    /// Owner and group; none where everything is one account's.
    pub owner: Option<(u32, u32)>,
    /// Permissions.
    pub mode: u32,
}

/// One long-running program.
#[derive(Debug, Serialize, Deserialize)]
pub struct Service {
    /// Its name for the service manager.
    pub name: String,
    /// The whole vector, with what changes the account in front.
    pub command: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// Where its standard output and standard error are appended.
    pub log: PathBuf,
    /// When it counts as started.
    pub ready: Ready,
    /// How long that may take.
    pub ready_seconds: u64,
    /// The signal that ends it in good order.
    pub stop_signal: i32,
    /// How long that may take before it is killed.
    pub stop_seconds: u64,
    /// The signal that makes it read its configuration again.
    pub reload_signal: Option<i32>,
    /// The signal that ends it at once when the whole sandbox goes away.
    pub quick_signal: i32,
    /// Before it is started, whatever works in this folder must have ended: sessions of a PostgreSQL that crashed
    /// hold its shared memory for a moment longer.
    pub alone_in: Option<PathBuf>,
    /// It is not started while this is missing, as a program of an application that is not deployed yet.
    #[serde(default)]
    pub only_with: Option<PathBuf>,
    /// Whether the node counts as not started when this service does not start.
    pub required: bool,
}

/// How to see that a service is ready.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// As soon as it runs.
    Alive,
    /// This unix socket accepts connections.
    Socket(PathBuf),
    /// This port accepts connections.
    Port(SocketAddrV4),
    /// PostgreSQL says so in its postmaster.pid.
    Postmaster(PathBuf),
}

/// Numbers of the signals used here, as in every Linux on every machine we know.
pub mod signal {
    /// Reload, for most.
    pub const HUP: i32 = 1;
    /// PostgreSQL: fast shutdown.
    pub const INT: i32 = 2;
    /// Reload, for OpenDKIM.
    pub const USR1: i32 = 10;
    /// PostgreSQL: immediate shutdown.
    pub const QUIT: i32 = 3;
    /// End at once.
    pub const KILL: i32 = 9;
    /// Reload, for PHP-FPM and HAProxy.
    pub const USR2: i32 = 12;
    /// End.
    pub const TERM: i32 = 15;
}
