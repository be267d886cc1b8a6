//! `deploy`: the first installation.

use serde::{Deserialize, Serialize};

use crate::{Call, Kind, Lock, OperationOptions, PointName, Reference, ReleaseName, Resource, Role, Secret};

/// Installs the application where none is yet.
pub enum Deploy {}

impl Call for Deploy {
    const METHOD: &'static str = "deploy";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = DeployParams;
    type Answer = DeployAnswer;

    fn locks(_: &DeployParams) -> Vec<Lock> {
        vec![
            Lock::exclusive(Resource::Code),
            Lock::exclusive(Resource::Data),
            Lock::exclusive(Resource::Backups),
        ]
    }
}

/// What `deploy` takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployParams {
    /// Tag, branch or commit.
    pub reference: Reference,
    /// What the install commands are given as `--application-url`, unless they name one; default: the
    /// environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_url: Option<String>,
    /// First user of the back office, unless the install commands name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// Their address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_email: Option<String>,
    /// Their password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_password: Option<Secret>,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// What was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployAnswer {
    /// The release's name on the nodes.
    pub release: ReleaseName,
    /// As asked for.
    pub reference: Reference,
    /// The commit it meant.
    pub commit: String,
    /// Where the shop answers.
    pub url: String,
    /// The first recovery point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<PointName>,
}
