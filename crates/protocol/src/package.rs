//! Packages: one built copy of the application as one file, shared by the environments of a project.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::upgrade::UpgradeAnswer;
use crate::{
    Call, CallId, ContentHash, EnvironmentName, Kind, Label, Lock, OperationOptions, PackageTag, Page,
    Reference, Resource, Role,
};

/// A package in the depot of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPackage {
    /// Its name: the newest package of a tag takes the tag from an older one.
    pub tag: PackageTag,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What was asked for when it was built.
    pub reference: Reference,
    /// The commit that this meant.
    pub commit: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// PostgreSQL extensions that its orocloud.yaml asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub database_extensions: Vec<String>,
    /// When it was built.
    pub built_at: Timestamp,
    /// Where it was built.
    pub environment: EnvironmentName,
    /// By which operation.
    pub operation: CallId,
    /// The hash of the file.
    pub package: ContentHash,
    /// Bytes of the file.
    pub size: u64,
    /// Files in it.
    pub files: u64,
}

/// Builds a package, and deploys it nowhere.
pub enum Build {}

impl Call for Build {
    const METHOD: &'static str = "package.build";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = BuildParams;
    type Answer = StoredPackage;

    /// The mirror of the repository and the folder for builds are those of an upgrade.
    fn locks(_: &BuildParams) -> Vec<Lock> {
        vec![Lock::exclusive(Resource::Code)]
    }
}

/// What `package.build` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildParams {
    /// Tag, branch or commit.
    pub reference: Reference,
    /// The package's name; made of the reference when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<PackageTag>,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The application's scripts are told to build no assets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_assets_build: bool,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// The packages of the project, newest first.
pub enum List {}

impl Call for List {
    const METHOD: &'static str = "package.list";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Developer;
    type Params = ListParams;
    type Answer = ListAnswer;
}

/// Which part of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Which page.
    #[serde(default)]
    pub page: Page,
}

/// A page of packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// Newest first.
    pub items: Vec<StoredPackage>,
    /// On all pages.
    pub total: u64,
}

/// How a package takes the place of what is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeployMode {
    /// Under the maintenance page, with the update of the database.
    #[default]
    Maintenance,
    /// Node after node, without the maintenance page, with the update of the database.
    Rolling,
    /// The code alone; the database is not touched.
    Source,
}

/// Brings a package to the web nodes, without building anything.
pub enum Deploy {}

impl Call for Deploy {
    const METHOD: &'static str = "package.deploy";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = DeployParams;
    type Answer = UpgradeAnswer;

    fn locks(params: &DeployParams) -> Vec<Lock> {
        locks(params.mode)
    }
}

/// Those of the upgrade of the same kind.
fn locks(mode: DeployMode) -> Vec<Lock> {
    let data = match mode {
        DeployMode::Maintenance | DeployMode::Rolling => Lock::exclusive(Resource::Data),
        DeployMode::Source => Lock::shared(Resource::Data),
    };
    vec![Lock::exclusive(Resource::Code), data, Lock::exclusive(Resource::Backups)]
}

/// What `package.deploy` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployParams {
    /// The package: its tag, or its hash.
    pub package: PackageTag,
    /// How.
    #[serde(default)]
    pub mode: DeployMode,
    /// Do not look whether the patches of the deployed release are part of the new one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_check_patches: bool,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// Builds a package and brings it to the web nodes.
pub enum Upgrade {}

impl Call for Upgrade {
    const METHOD: &'static str = "package.upgrade";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = UpgradeParams;
    type Answer = UpgradeAnswer;

    fn locks(params: &UpgradeParams) -> Vec<Lock> {
        locks(params.mode)
    }
}

/// What `package.upgrade` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeParams {
    /// Tag, branch or commit.
    pub reference: Reference,
    /// The package's name; made of the reference when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<PackageTag>,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// How.
    #[serde(default)]
    pub mode: DeployMode,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}
