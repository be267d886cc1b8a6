//! What the database held before an update, and whether the release from before may be served again.

use jiff::Timestamp;
use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::node::{DatabaseWatched, Probe, SchemaSeen};
use orocloud_protocol::{CallError, NodeName};
use serde_json::Value;
use tokio_postgres::Client;

use super::{Action, ActionContext};
use crate::engines::postgres::{Changes, Server, State, changes_since, schema_digest, state};

const MARK: &str = "database-watch";

/// [`orocloud_protocol::node::StepAction::DatabaseWatch`]
pub struct Watch<'a> {
    pub before: &'a CodeVersion,
    pub webs: &'a [NodeName],
    /// The shop goes on meanwhile: what visitors do is no change that keeps the old code from being served.
    pub open: bool,
}

impl Action for Watch<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let state = state(&connect(context).await?).await?;
        context.marks().set(MARK, &state)?;
        context.output(&DatabaseWatched { at: state.at })
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let Some(then) = context.marks().get::<State>(MARK)? else { return Ok(()) };
        let changes = changes_since(&connect(context).await?, &then).await?;
        if !changes.schema && (self.open || changes.transactions == 0) {
            return context.marks().clear(MARK);
        }
        Err(if self.open { self.changed_while_open(then.at) } else { self.changed(changes, then.at) })
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(match context.marks().get::<State>(MARK)? {
            Some(state) => Probe::Done(context.output(&DatabaseWatched { at: state.at })?),
            None => Probe::NotDone,
        })
    }
}

impl Watch<'_> {
    /// How everything stands, and the one command that goes back.
    fn changed(&self, changes: Changes, then: Timestamp) -> CallError {
        let CodeVersion { reference, release, .. } = self.before;
        let webs: Vec<&str> = self.webs.iter().map(NodeName::as_str).collect();
        let schema = if changes.schema { "changed by the update" } else { "as it was" };
        let data = match changes.transactions {
            0 => "as they were".to_owned(),
            1 => "changed, by one transaction".to_owned(),
            number => format!("changed, by {number} transactions"),
        };
        CallError::refused("the update has changed the database, so the shop is not opened again with the old code")
            .because(format!("code: {reference} (release {release}) on {}, as before", webs.join(", ")))
            .because(format!("database: its schema is {schema}, its data are {data}"))
            .because("maintenance mode: on, and stays on")
            .hint(format!(
                "go back to before the update, and out of maintenance: orocloud-cli backup:restore --to={then} --database-only"
            ))
    }
}

impl Watch<'_> {
    /// The same where no page went up: the old code never stopped being served.
    fn changed_while_open(&self, then: Timestamp) -> CallError {
        let CodeVersion { reference, release, .. } = self.before;
        let webs: Vec<&str> = self.webs.iter().map(NodeName::as_str).collect();
        CallError::refused("the update has changed the database, and the shop goes on with the old code")
            .because(format!("code: {reference} (release {release}) on {}, as before", webs.join(", ")))
            .because("database: its schema is changed by the update")
            .because("maintenance mode: as it was before")
            .hint(format!(
                "go back to before the update, without what visitors did since: orocloud-cli backup:restore --to={then} --database-only"
            ))
    }
}

/// [`orocloud_protocol::node::StepAction::DatabaseSchema`]
pub struct Schema {}

impl Action for Schema {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let schema = schema_digest(&connect(context).await?).await?;
        context.output(&SchemaSeen { schema })
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Looking again is all there is to it.
        Ok(Probe::NotDone)
    }
}

async fn connect(context: &ActionContext<'_>) -> Result<Client, CallError> {
    let node = context.node;
    let config = node.config.database.as_ref().ok_or_else(|| context.lacks("database"))?;
    Server::of(config).must_connect(&config.name).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_how_everything_stands_and_gives_one_command() {
        let before = CodeVersion {
            release: "20261124103200".parse().unwrap(),
            reference: "1.0.1".parse().unwrap(),
            commit: String::new(),
            package: "a".repeat(64).parse().unwrap(),
        };
        let webs = ["web1".parse().unwrap(), "web2".parse().unwrap()];
        let watch = Watch { before: &before, webs: &webs, open: false };
        let error = watch
            .changed(Changes { schema: true, transactions: 2 }, "2026-11-24T10:32:00.25Z".parse().unwrap());
        assert_eq!(error.kind, orocloud_protocol::ErrorKind::Refused);
        assert_eq!(
            error.causes,
            [
                "code: 1.0.1 (release 20261124103200) on web1, web2, as before",
                "database: its schema is changed by the update, its data are changed, by 2 transactions",
                "maintenance mode: on, and stays on",
            ]
        );
        assert_eq!(
            error.hints,
            [
                "go back to before the update, and out of maintenance: orocloud-cli backup:restore --to=2026-11-24T10:32:00.25Z --database-only"
            ]
        );
    }
}
