//! The steps of one restore, in their order.

use jiff::Timestamp;
use orocloud_protocol::PointName;
use orocloud_protocol::backup::{RestoreParams, RestoreScope};
use orocloud_protocol::node::{AsideCopy, AsideOrigin, ConsoleCommands, ServiceHolder, StepAction};

use super::{Decision, Media, Names};
use crate::calls::backup::facts::Facts;
use crate::calls::backup::point::{PointOrder, step, tidying};
use crate::calls::code;
use crate::calls::maintenance::{page_down, page_up};
use crate::calls::service;
use crate::operations::plan::{OnLoss, Step};

/// The steps of one restore.
pub(super) struct Steps<'a> {
    pub(super) params: &'a RestoreParams,
    pub(super) facts: &'a Facts<'a>,
    pub(super) decision: &'a Decision,
    pub(super) names: &'a Names,
}

impl Steps<'_> {
    /// Restore aside, look, leave it there.
    pub(super) fn preview(&self) -> (Vec<Vec<Step>>, usize) {
        let Some(copy) = &self.decision.database else { return (Vec::new(), 0) };
        let groups = vec![
            vec![self.on_db("database:marker", StepAction::DatabaseMarker {})],
            vec![self.on_db("database:restore", StepAction::DatabaseRestoreAside(copy.clone()))],
            vec![self.on_db("database:replay", StepAction::DatabaseReplay(copy.clone()))],
            vec![self.on_db("database:look", StepAction::DatabaseLook(copy.clone()))],
            vec![self.on_db("database:rest", StepAction::DatabaseRest(copy.clone()))],
        ];
        let end = groups.len();
        (groups, end)
    }

    pub(super) fn restore(&self) -> (Vec<Vec<Step>>, usize) {
        let places = &self.facts.places;
        let mut groups = self.aside();
        if self.facts.info.running && self.decision.database.is_some() {
            groups.push(vec![self.on_db("database:archive", StepAction::DatabaseArchive {})]);
        }
        if let Some(to) = &self.decision.code {
            let now = self.facts.known.code.as_ref();
            // An undo, and one of the code alone, bring back nothing without it.
            let without = self.params.scope == RestoreScope::DatabaseAndCode && self.decision.to.is_some();
            let instead =
                without.then(|| "or bring back the database alone by adding --database-only".to_owned());
            groups.extend(code::whitelist(self.facts.environment, places, &to.release, now, instead));
        }
        groups.push(vec![step("restore:begin", &places.maint, self.begin())]);
        if self.facts.known.code.is_some() {
            groups.extend(page_up(&places.maint, &places.webs, "a backup is being restored", None));
            groups.extend(service::stopping(self.facts.environment, ServiceHolder::Operation));
        }
        if let Some(media) = &self.decision.media {
            let kept = match media {
                Media::Snapshot(_) => None,
                Media::Kept(operation) => Some(*operation),
            };
            groups.push(vec![step("media:swap", &places.maint, StepAction::MediaSwap { kept })]);
        }
        // A group without steps is nothing that could be passed.
        groups.retain(|group| !group.is_empty());
        let point_of_no_return = groups.len();
        if let Some(copy) = &self.decision.database {
            let swap = StepAction::DatabaseSwap { copy: copy.clone(), keep_until: self.undo_until() };
            groups.push(vec![self.on_db("database:swap", swap)]);
        }
        if let Some(code) = &self.decision.code {
            let previous = self.facts.known.code.as_ref().map(|now| now.release.clone());
            groups.push(self.where_code_is("release:switch", || StepAction::ReleaseSwitch {
                release: code.release.clone(),
                previous: previous.clone(),
            }));
        }
        groups.push(vec![step("restore:record", &places.maint, StepAction::RestoreRecord {})]);
        if let Some(code) = self.decision.code.as_ref().or(self.facts.known.code.as_ref()) {
            groups.push(self.where_code_is("cache:clear", || StepAction::ConsoleRun {
                release: code.release.clone(),
                commands: ConsoleCommands::CacheClear,
            }));
        }
        if self.facts.known.code.is_some() {
            groups.extend(service::starting(self.facts.environment, ServiceHolder::Operation));
            groups.extend(page_down(&places.maint, &places.webs));
        }
        if self.decision.database.is_some() {
            let order = self.quick_point("backup", "after-restore", &self.names.after);
            groups.extend(order.groups(places));
        }
        groups.push(tidying(self.facts));
        groups.retain(|group| !group.is_empty());
        (groups, point_of_no_return)
    }

    /// What happens beside the live environment.
    fn aside(&self) -> Vec<Vec<Step>> {
        let places = &self.facts.places;
        let running = self.facts.info.running;
        let mut safety = self.quick_point("safety", "before-restore", &self.names.before);
        safety.media = self.decision.media.is_some();
        let mut copying = Vec::new();
        let mut after_copying = Vec::new();
        // A dead database cannot be backed up; what it left is kept as it is.
        if running && self.decision.database.is_some() {
            copying.extend(safety.copies(places));
            after_copying.push(safety.publication(places));
        }
        if let Some(Media::Snapshot(snapshot)) = &self.decision.media {
            let action = StepAction::MediaAside { snapshot: snapshot.clone() };
            copying.push(step("media:restore", &places.maint, action));
        }
        let mut groups = Vec::new();
        match &self.decision.database {
            Some(copy @ AsideCopy { origin: AsideOrigin::Backup { .. }, .. }) => {
                groups.push(vec![self.on_db("database:marker", StepAction::DatabaseMarker {})]);
                // Side by side: neither touches what the other works on.
                copying.push(self.on_db("database:restore", StepAction::DatabaseRestoreAside(copy.clone())));
                groups.push(copying);
                after_copying.push(self.on_db("database:replay", StepAction::DatabaseReplay(copy.clone())));
                groups.push(after_copying);
                groups.push(vec![self.on_db("database:look", StepAction::DatabaseLook(copy.clone()))]);
                groups.push(vec![self.on_db("database:accept", StepAction::DatabaseAccept(copy.clone()))]);
            }
            _ => {
                groups.push(copying);
                groups.push(after_copying);
            }
        }
        groups
    }

    /// A recovery point that does not keep anybody waiting: incremental wherever there is something to build upon.
    fn quick_point<'o>(&self, topic: &'o str, reason: &'o str, name: &PointName) -> PointOrder<'o> {
        let kind = if self.facts.info.backups.is_empty() { "full" } else { "incr" };
        PointOrder { kind, ..PointOrder::new(topic, reason, name.clone(), self.facts) }
    }

    fn undo_until(&self) -> Timestamp {
        self.facts.undo_until(self.params.keep_old)
    }

    fn begin(&self) -> StepAction {
        StepAction::RestoreBegin {
            to: self.decision.to,
            undo_until: self.undo_until(),
            code_before: self.facts.known.code.clone(),
            code_now: self.decision.code.clone(),
            media: self.decision.media.is_some(),
            scope: self.decision.scope,
        }
    }

    fn on_db(&self, name: &str, action: StepAction) -> Step {
        step(name, &self.facts.places.db, action)
    }

    /// On every node that has the application, once something is deployed there.
    fn where_code_is(&self, name: &str, action: impl Fn() -> StepAction) -> Vec<Step> {
        if self.facts.known.code.is_none() {
            return Vec::new();
        }
        let places = &self.facts.places;
        let of = |node| match places.webs.contains(node) {
            true => step(name, node, action()).on_loss(OnLoss::Leave),
            false => step(name, node, action()),
        };
        places.code.iter().map(of).collect()
    }
}
