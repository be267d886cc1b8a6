//! What plans and lists are made from.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::backup::{CodeVersion, PastRestore, RecoveryPoint};
use orocloud_protocol::node::{DatabaseInfoAnswer, KeptFolder};
use orocloud_protocol::{CallError, CallId, NodeName, NodeRole, PointName};

use crate::environment::{Agent, BackupPolicy, Environment};
use crate::nodes::actions::point::candidate;
use crate::points::{PointRecord, Points, RestoreRecord};
use crate::releases;
use crate::rules::branches::Branches;
use crate::rules::retention::retain;
use crate::withheld::Withheld;

/// The nodes that take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Keeps manifests and media.
    pub maint: NodeName,
    /// Keeps the database.
    pub db: NodeName,
    /// Serve the shop.
    pub webs: Vec<NodeName>,
    /// Have the application: those that serve it, and those that run its services.
    pub code: Vec<NodeName>,
}

impl Places {
    /// Of this environment; `maint` is the coordinator itself.
    pub fn of(environment: &Environment, maint: &NodeName) -> Result<Self, CallError> {
        let db = environment.with_role(NodeRole::Db).next().ok_or_else(|| {
            CallError::failed(format!("no node of {} has the role db", environment.name))
                .hint("name it in environment.toml")
        })?;
        Ok(Self {
            maint: maint.clone(),
            db: db.name.clone(),
            webs: environment.with_role(NodeRole::Web).map(|node| node.name.clone()).collect(),
            code: environment
                .nodes
                .iter()
                .filter(|node| node.roles.iter().any(|role| matches!(role, NodeRole::Web | NodeRole::Job)))
                .map(|node| node.name.clone())
                .collect(),
        })
    }

    /// Without the web nodes that are kept out of the load balancer: they are brought to what holds once they answer. At
    /// least one node serves, so one always stays.
    pub fn without_withheld(mut self, state: &Path) -> Result<Self, CallError> {
        let withheld = Withheld::new(state).all()?;
        if self.webs.iter().any(|node| !withheld.contains_key(node)) {
            self.webs.retain(|node| !withheld.contains_key(node));
            self.code.retain(|node| !withheld.contains_key(node));
        }
        Ok(self)
    }
}

/// What maint itself knows: manifests, restores, the recorded release.
#[derive(Clone, Debug)]
pub struct Known {
    /// Recovery points, oldest first.
    pub points: Vec<PointRecord>,
    /// Restores, oldest first.
    pub restores: Vec<RestoreRecord>,
    /// Points that were let go, whose backups may still be there.
    pub let_go: Vec<PointRecord>,
    /// The release that every node is to serve.
    pub code: Option<CodeVersion>,
}

impl Known {
    /// Reads it.
    pub fn read(state: &Path) -> Result<Self, CallError> {
        let points = Points::new(state);
        Ok(Self {
            points: points.all()?,
            restores: points.restores()?,
            let_go: points.all_let_go()?,
            code: releases::recorded(state)?,
        })
    }

    /// Restores that swapped the database, as the rules look at them.
    pub fn past_restores(&self) -> Vec<PastRestore> {
        self.restores
            .iter()
            .filter(|record| record.restore.to_timeline > 0)
            .map(|record| record.restore.clone())
            .collect()
    }

    /// Recovery points as lists show them, with the end that the rule of retention gives each; oldest first.
    pub fn listed(&self, policy: &BackupPolicy, now: Timestamp) -> Vec<RecoveryPoint> {
        let candidates: Vec<_> = self.points.iter().map(candidate).collect();
        self.points
            .iter()
            .zip(retain(&candidates, policy.keep, now))
            .map(|(record, verdict)| RecoveryPoint { expires_at: verdict.expires_at, ..record.point.clone() })
            .collect()
    }

    /// Backup labels of recovery points that were let go, unless a point that stays names the same.
    pub fn sets_let_go(&self) -> Vec<String> {
        let stays = |set: &String| self.points.iter().any(|record| record.point.database.set == *set);
        self.let_go.iter().map(|record| record.point.database.set.clone()).filter(|set| !stays(set)).collect()
    }

    /// Completes what was written down before a swap by what the database node kept of it: the operation may not
    /// have come to write down the rest. Where nothing was kept, nothing was swapped.
    fn complete(&mut self, kept: &[KeptFolder]) {
        self.restores.retain_mut(|record| {
            if !record.begun {
                return true;
            }
            let kept = kept.iter().find(|kept| kept.operation == record.restore.operation);
            if let Some(kept) = kept {
                record.swapped(&kept.swapped);
            }
            kept.is_some()
        });
    }

    /// The code that ran at a moment: of the newest recovery point at or before it, unless a restore or a switch
    /// changed it since, of which later points tell.
    pub fn code_at(&self, moment: Timestamp, timelines: &[u32]) -> Option<&CodeVersion> {
        self.points
            .iter()
            .rev()
            .filter(|record| timelines.contains(&record.point.database.timeline))
            .find(|record| record.point.at <= moment)
            .and_then(|record| record.point.code.as_ref())
    }
}

/// All of it.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The nodes.
    pub places: Places,
    /// The agent's clock.
    pub now: Timestamp,
    /// What maint knows.
    pub known: Known,
    /// What the database node knows.
    pub info: DatabaseInfoAnswer,
}

impl<'a> Facts<'a> {
    /// From what maint has and the database node told.
    pub fn new(config: &'a Agent, info: DatabaseInfoAnswer, now: Timestamp) -> Result<Self, CallError> {
        let mut known = Known::read(&config.state)?;
        known.complete(&info.kept);
        Ok(Self {
            environment: &config.environment,
            places: Places::of(&config.environment, &config.node)?.without_withheld(&config.state)?,
            now,
            known,
            info,
        })
    }

    /// Points let go whose backups are gone from the repository.
    pub fn gone(&self) -> Vec<PointName> {
        let there = |set: &str| self.info.backups.iter().any(|backup| backup.set == set);
        self.known
            .let_go
            .iter()
            .filter(|record| !there(&record.point.database.set))
            .map(|record| record.point.name.clone())
            .collect()
    }

    /// Whether what a restore replaced is still there.
    pub fn keeps(&self, operation: CallId) -> bool {
        self.info.kept.iter().any(|kept| kept.operation == operation)
    }

    /// Which timeline was live when.
    pub fn branches(&self) -> Branches {
        Branches::new(&self.info, &self.known.past_restores())
    }

    /// Until when what a restore replaces is kept.
    pub fn undo_until(&self, keep_old: Option<u64>) -> Timestamp {
        let seconds = keep_old
            .and_then(|seconds| i64::try_from(seconds).ok())
            .unwrap_or(i64::from(self.environment.backup.keep_old_hours) * 3600);
        self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    }
}
