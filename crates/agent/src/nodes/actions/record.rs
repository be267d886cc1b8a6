//! On maint: which release every node is to serve, and which have proved good.

use jiff::Timestamp;
use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::node::{PackageTaken, Probe, SchemaSeen};
use orocloud_protocol::{CallError, Reference, ReleaseName};
use serde_json::Value;

use super::{Action, ActionContext};
use crate::operations::plan;
use crate::releases::{self, Entry};

/// [`orocloud_protocol::node::StepAction::ReleaseRecord`]
pub struct Record<'a> {
    pub release: &'a ReleaseName,
    pub reference: &'a Reference,
    pub by: &'a str,
}

impl Action for Record<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let PackageTaken { source: fetched, built } = super::package::origin(context.outputs)?;
        let version = CodeVersion {
            release: self.release.clone(),
            reference: self.reference.clone(),
            commit: fetched.commit,
            package: built.package,
        };
        let state = &context.node.config.state;
        let entry = Entry::new(version.clone(), context.operation, self.by, Timestamp::now());
        releases::enter(state, entry)?;
        releases::record(state, &version)?;
        context.output(&version)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        // In the list it stays, as one that failed.
        releases::unrecord(&context.node.config.state, self.release)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        recorded(context, self.release)
    }
}

/// [`orocloud_protocol::node::StepAction::ReleaseRecall`]
pub struct Recall<'a> {
    pub version: &'a CodeVersion,
}

impl Action for Recall<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        releases::record(&context.node.config.state, self.version)?;
        context.output(self.version)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        releases::unrecord(&context.node.config.state, &self.version.release)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        recorded(context, &self.version.release)
    }
}

fn recorded(context: &ActionContext<'_>, release: &ReleaseName) -> Result<Probe, CallError> {
    Ok(match releases::recorded(&context.node.config.state)? {
        Some(version) if version.release == *release => Probe::Done(context.output(&version)?),
        _ => Probe::NotDone,
    })
}

/// [`orocloud_protocol::node::StepAction::ReleaseAccept`]
pub struct Accept<'a> {
    pub release: &'a ReleaseName,
}

impl Action for Accept<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        // The database may have been away: then it is not known which schema the release works with.
        let seen: Option<SchemaSeen> = plan::output(context.outputs, "database:schema").ok();
        let schema = seen.map(|seen| seen.schema);
        releases::accept(&context.node.config.state, self.release, schema, Timestamp::now())?;
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // It follows the point of no return.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Accepted twice it is no better.
        Ok(Probe::NotDone)
    }
}
