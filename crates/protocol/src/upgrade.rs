//! `upgrade` and its kinds: another version of an application that is deployed.

use serde::{Deserialize, Serialize};

use crate::{Call, Kind, Label, Lock, OperationOptions, PointName, Reference, ReleaseName, Resource, Role};

/// Code and database, under the maintenance page.
pub enum Upgrade {}

impl Call for Upgrade {
    const METHOD: &'static str = "upgrade";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = UpgradeParams;
    type Answer = UpgradeAnswer;

    /// Not the page: `emergency:on` has to work while an upgrade hangs.
    fn locks(_: &UpgradeParams) -> Vec<Lock> {
        [Resource::Code, Resource::Data, Resource::Backups].map(Lock::exclusive).to_vec()
    }
}

/// The code alone; the database is not touched and no page goes up.
pub enum UpgradeSource {}

impl Call for UpgradeSource {
    const METHOD: &'static str = "upgrade.source";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = UpgradeParams;
    type Answer = UpgradeAnswer;

    /// A recovery point names the code that runs, so none is taken meanwhile.
    fn locks(_: &UpgradeParams) -> Vec<Lock> {
        vec![
            Lock::exclusive(Resource::Code),
            Lock::shared(Resource::Data),
            Lock::exclusive(Resource::Backups),
        ]
    }
}

/// Code and database without the maintenance page: node after node, each drained at the load balancer.
pub enum UpgradeRolling {}

impl Call for UpgradeRolling {
    const METHOD: &'static str = "upgrade.rolling";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = UpgradeParams;
    type Answer = UpgradeAnswer;

    /// As an upgrade with the page.
    fn locks(params: &UpgradeParams) -> Vec<Lock> {
        Upgrade::locks(params)
    }
}

/// What every kind of upgrade takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeParams {
    /// Tag, branch or commit.
    pub reference: Reference,
    /// Do not look whether the patches of the deployed release are part of the new one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_check_patches: bool,
    /// Have the update schedule the indexing of everything for search; else it leaves the index alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub schedule_search_reindexation: bool,
    /// Take no recovery point first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_backup: bool,
    /// Leave the caches of the new release to its first requests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_cache_rebuild: bool,
    /// How long the maintenance is announced to take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_duration: Option<u64>,
    /// Why, for whoever asks during the maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_comment: Option<Label>,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// What an upgrade came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeAnswer {
    /// The release's name on the nodes.
    pub release: ReleaseName,
    /// As asked for.
    pub reference: Reference,
    /// The commit it meant.
    pub commit: String,
    /// The release that was served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ReleaseName>,
    /// Where the shop answers.
    pub url: String,
    /// The recovery point that was taken first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<PointName>,
    /// How long the maintenance page was up because of it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_ms: Option<u64>,
}
