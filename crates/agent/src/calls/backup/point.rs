//! The steps that take a recovery point; part of `backup:create`, of a deployment and of a restore.

use jiff::Timestamp;
use orocloud_protocol::node::StepAction;
use orocloud_protocol::{Label, NodeName, PointName};

use super::facts::{Facts, Places};
use crate::operations::plan::Step;
use crate::rules::backup_kind::next_kind;
use crate::rules::retention::every_moment_since;

/// A recovery point to be taken.
#[derive(Clone, Debug)]
pub struct PointOrder<'a> {
    /// First part of the steps' names: `backup`, or `safety` for the one before a restore.
    pub topic: &'a str,
    /// Its name.
    pub name: PointName,
    /// A person's words.
    pub label: Option<Label>,
    /// `command`, `schedule`, `deploy`, `before-restore` or `after-restore`.
    pub reason: &'a str,
    /// Not to be let go before.
    pub keep_until: Option<Timestamp>,
    /// `full`, `diff` or `incr`.
    pub kind: &'a str,
    /// With a snapshot of the media.
    pub media: bool,
    /// Points let go earlier whose backups are gone by now.
    pub forget: Vec<PointName>,
}

impl<'a> PointOrder<'a> {
    /// One with media, of the kind whose turn it is.
    pub fn new(topic: &'a str, reason: &'a str, name: PointName, facts: &Facts<'_>) -> Self {
        let kind = next_kind(&facts.info.backups, facts.now);
        let forget = facts.gone();
        Self { topic, name, label: None, reason, keep_until: None, kind, media: true, forget }
    }

    /// What copies: the database, and the media beside it.
    pub fn copies(&self, places: &Places) -> Vec<Step> {
        let mut steps = vec![step(
            format!("{}:database", self.topic),
            &places.db,
            StepAction::DatabaseBackup { point: self.name.clone(), kind: self.kind.to_owned() },
        )];
        if self.media {
            let action = StepAction::MediaSnapshot { point: self.name.clone() };
            steps.push(step(format!("{}:media", self.topic), &places.maint, action));
        }
        steps
    }

    /// What makes it visible.
    pub fn publication(&self, places: &Places) -> Step {
        let action = StepAction::PointPublish {
            point: self.name.clone(),
            label: self.label.clone(),
            reason: self.reason.to_owned(),
            keep_until: self.keep_until,
            with_media: self.media,
            forget: self.forget.clone(),
        };
        step(format!("{}:publish", self.topic), &places.maint, action)
    }

    /// All of it, in groups.
    pub fn groups(&self, places: &Places) -> Vec<Vec<Step>> {
        vec![self.copies(places), vec![self.publication(places)]]
    }
}

/// Lets go what is kept no longer. A failure harms nobody: the next time does the rest.
pub fn tidying(facts: &Facts<'_>) -> Vec<Step> {
    let expire = StepAction::DatabaseExpire {
        let_go: facts.known.sets_let_go(),
        wal_since: every_moment_since(facts.environment.backup.keep, facts.now),
    };
    [("backup:expire", expire), ("database:tidy", StepAction::DatabaseTidy {})]
        .into_iter()
        .map(|(name, action)| step(name, &facts.places.db, action).soft())
        .collect()
}

/// One step.
pub fn step(name: impl Into<String>, node: &NodeName, action: StepAction) -> Step {
    Step::new(name, node, action)
}
