//! Extensions of PostgreSQL that a release on its way asks for, which the one that is served did not need.

use orocloud_protocol::node::{PackageTaken, Probe, SourceFetched};
use orocloud_protocol::{CallError, EventBody, NoteLevel};
use serde_json::Value;

use super::{Action, ActionContext};
use crate::engines::postgres::{Server, failed};
use crate::operations::plan;

/// Those that were not there before.
const CREATED: &str = "database-extensions";

/// [`orocloud_protocol::node::StepAction::DatabaseExtensions`]
pub struct Extensions {}

impl Action for Extensions {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let wanted = wanted(context)?;
        if wanted.is_empty() {
            return Ok(Value::Null);
        }
        let client = connect(context).await?;
        let rows = client
            .query("select extname::text from pg_extension", &[])
            .await
            .map_err(failed("the list of extensions"))?;
        let there: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let missing: Vec<String> = wanted.into_iter().filter(|name| !there.contains(name)).collect();
        // Remembered before anything changes, and what an earlier attempt has created stays this operation's.
        let mut created = context.marks().get::<Vec<String>>(CREATED)?.unwrap_or_default();
        created.extend(missing.iter().filter(|name| !created.contains(name)).cloned().collect::<Vec<_>>());
        context.marks().set(CREATED, &created)?;
        for name in missing {
            let statement = format!("create extension if not exists {}", quoted(&name));
            client.batch_execute(&statement).await.map_err(failed("creating an extension"))?;
            let text = format!("the database has the extension {name} now");
            context.events.emit(EventBody::Note { level: NoteLevel::Info, text });
        }
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let Some(created) = context.marks().get::<Vec<String>>(CREATED)? else { return Ok(()) };
        if !created.is_empty() {
            let client = connect(context).await?;
            for name in created.iter().rev() {
                let statement = format!("drop extension if exists {}", quoted(name));
                // Used already by what somebody did meanwhile: it harms nobody.
                if let Err(error) = client.batch_execute(&statement).await {
                    let text = format!("the extension {name} stays: {}", failed("dropping it")(error));
                    context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
                }
            }
        }
        context.marks().clear(CREATED)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let begun = context.marks().get::<Vec<String>>(CREATED)?.is_some();
        Ok(if begun { Probe::Partial } else { Probe::NotDone })
    }
}

/// What the orocloud.yaml of the release asks for, be it built here or taken out of the depot.
fn wanted(context: &ActionContext<'_>) -> Result<Vec<String>, CallError> {
    let source: SourceFetched = match context.outputs.contains_key("package:take") {
        true => plan::output::<PackageTaken>(context.outputs, "package:take")?.source,
        false => plan::output(context.outputs, "source:fetch")?,
    };
    Ok(source.database_extensions)
}

async fn connect(context: &ActionContext<'_>) -> Result<tokio_postgres::Client, CallError> {
    let config = context.node.config.database.as_ref().ok_or_else(|| context.lacks("database"))?;
    Server::of(config).must_connect(&config.name).await
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
