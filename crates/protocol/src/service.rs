//! The services of the application: consumers, cron, websocket.

use serde::{Deserialize, Serialize};

use crate::{Call, Kind, Lock, NodeName, OperationOptions, QueueName, Resource, Role, ServiceName};

/// What a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// Takes messages from a queue.
    Consumer,
    /// Runs what is due.
    Cron,
    /// Tells browsers what happens.
    Websocket,
}

impl ServiceKind {
    /// All of them, in the order in which they are stopped and started.
    pub const ALL: [Self; 3] = [Self::Consumer, Self::Cron, Self::Websocket];

    /// The word in commands and steps.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Cron => "cron",
            Self::Websocket => "websocket",
        }
    }
}

/// How the services are.
pub enum Status {}

impl Call for Status {
    const METHOD: &'static str = "service.status";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = StatusParams;
    type Answer = StatusAnswer;
}

/// What `service.status` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusParams {
    /// Which services.
    #[serde(default)]
    pub which: Selection,
}

/// Which services; all of them when nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Only those that do this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ServiceKind>,
    /// Only consumers of this queue, or services of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_or_node: Option<QueueName>,
}

/// The services, by kind and node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// Each on its node.
    pub items: Vec<ServiceInfo>,
}

/// One service on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// What it does.
    pub kind: ServiceKind,
    /// Where.
    pub node: NodeName,
    /// Its name for the service manager.
    pub unit: ServiceName,
    /// What a consumer takes messages from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// How it is.
    pub state: ServiceState,
    /// Its main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Why it failed, or who is going to start it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// It was stopped, and is started again by whoever stopped it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// It was started before another release took the place of the one that it runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outdated: bool,
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Is there.
    Running,
    /// Comes up.
    Starting,
    /// Was stopped, or never started.
    Stopped,
    /// Ended although nobody stopped it.
    Failed,
    /// Its node, or what holds it up there, does not answer.
    #[serde(other)]
    Unknown,
}

impl ServiceState {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Starts services, and stops them, and both.
macro_rules! changes {
    ($($(#[$doc:meta])* $call:ident = $method:literal;)*) => {$(
        $(#[$doc])*
        pub enum $call {}

        impl Call for $call {
            const METHOD: &'static str = $method;
            const KIND: Kind = Kind::Operation;
            const ROLE: Role = Role::Developer;
            type Params = ChangeParams;
            type Answer = StatusAnswer;

            fn locks(_: &ChangeParams) -> Vec<Lock> {
                // Whoever changes the code stops and starts the same services.
                vec![Lock::shared(Resource::Code)]
            }
        }
    )*};
}

changes! {
    /// Starts services.
    Start = "service.start";
    /// Stops services; they stay stopped until somebody starts them.
    Stop = "service.stop";
    /// Stops and starts services.
    Restart = "service.restart";
}

/// What a change of services takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeParams {
    /// Which services.
    #[serde(default)]
    pub which: Selection,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// What is to become of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceChange {
    /// It runs.
    Start,
    /// It does not run, and is not started again by what ends later.
    Stop,
    /// It runs anew.
    Restart,
    /// It runs anew if it runs.
    RestartRunning,
}
