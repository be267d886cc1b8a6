//! `env:info`: what the environment is.

use serde::{Deserialize, Serialize};

use crate::{Call, EnvironmentName, EnvironmentType, Kind, NodeName, NodeRole, Role};

/// Nodes, zones, versions, endpoints.
pub enum Info {}

impl Call for Info {
    const METHOD: &'static str = "env.info";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = InfoParams;
    type Answer = InfoAnswer;
}

/// `env.info` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InfoParams {}

/// What the environment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoAnswer {
    /// Its name.
    pub name: EnvironmentName,
    /// Its project.
    pub project: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: EnvironmentType,
    /// Where the shop answers.
    pub url: String,
    /// The agent's version on maint.
    pub agent_version: String,
    /// What holds the database up: `postgresql` or `patroni`.
    pub keeper: String,
    /// Its nodes.
    pub nodes: Vec<NodeInfo>,
    /// Who is asking, as the agent sees them.
    pub caller: CallerInfo,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its short name.
    pub name: NodeName,
    /// What it is there for.
    pub roles: Vec<NodeRole>,
    /// Its zone.
    pub zone: String,
    /// Its address.
    pub address: String,
    /// Whether its agent answered.
    pub reachable: bool,
    /// Its agent's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Installed software, as `name version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub software: Vec<String>,
}

/// The caller, as the agent sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerInfo {
    /// Key id of the certificate, or `local:ACCOUNT`.
    pub key_id: String,
    /// Their role in this environment.
    pub role: Role,
    /// End of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<jiff::Timestamp>,
}
