//! The application's database for a first deployment.

use std::path::Path;

use orocloud_protocol::CallError;
use orocloud_protocol::node::{Phase, Probe, SourceFetched, StepAnswer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::Client;

use super::ActionContext;
use crate::engines::postgres::{Server, count_tables, failed};
use crate::environment::Database;
use crate::operations::plan;

/// That this operation found the database empty, so that its undo may empty it again.
#[derive(Serialize, Deserialize)]
struct FoundEmpty {
    format: u32,
}

pub(super) async fn run(
    context: &ActionContext<'_>,
    phase: Phase,
    extensions: &[String],
) -> Result<StepAnswer, CallError> {
    let config: &Database =
        context.node.config.database.as_ref().ok_or_else(|| {
            CallError::failed(format!("node {} keeps no database", context.node.config.node))
        })?;
    let server = Server {
        socket_dir: config.socket_dir.clone(),
        port: config.port,
        superuser: config.superuser.clone(),
    };
    let note = context.node.config.state.join("prepared").join(format!("{}.json", context.operation));
    match phase {
        Phase::Act => {
            let client = database(&server, &config.name).await?;
            let tables = count_tables(&client).await?;
            if tables > 0 && !note.exists() {
                return Err(CallError::refused(format!(
                    "the database {} is not empty: it has {tables} tables",
                    config.name
                ))
                .hint("an application that is there is not deployed but upgraded; look at it: orocloud-cli status"));
            }
            write_note(&note)?;
            // The plan was made before the application's orocloud.yaml was there to be read.
            let fetched: Option<SourceFetched> = plan::output(context.outputs, "source:fetch").ok();
            let asked = fetched.map(|fetched| fetched.database_extensions).unwrap_or_default();
            for extension in extensions.iter().chain(&asked) {
                let statement = format!("create extension if not exists {}", quoted(extension));
                client.batch_execute(&statement).await.map_err(failed("creating an extension"))?;
            }
            Ok(StepAnswer::Done(Value::Null))
        }
        Phase::Undo => {
            if note.exists() {
                let client = server.must_connect(&config.name).await?;
                empty(&client).await?;
                std::fs::remove_file(&note).map_err(|error| {
                    CallError::failed(format!("{} cannot be removed", note.display())).because(error)
                })?;
            }
            Ok(StepAnswer::Undone)
        }
        Phase::Probe => Ok(StepAnswer::Probed(if note.exists() { Probe::Partial } else { Probe::NotDone })),
    }
}

async fn database(server: &Server, name: &str) -> Result<Client, CallError> {
    let admin = server.must_connect("postgres").await?;
    let there = admin
        .query_one("select exists (select 1 from pg_database where datname = $1)", &[&name])
        .await
        .map_err(failed("looking for the database"))?;
    if !there.get::<_, bool>(0) {
        let statement = format!("create database {}", quoted(name));
        admin.batch_execute(&statement).await.map_err(failed("creating the database"))?;
    }
    server.must_connect(name).await
}

/// Drops all schemas, and makes `public` anew as it was owned.
async fn empty(client: &Client) -> Result<(), CallError> {
    let schemas = client
        .query(
            "select quote_ident(nspname), quote_ident(pg_get_userbyid(nspowner)), nspname = 'public', \
             coalesce(nspacl::text[], array[]::text[]) \
             from pg_namespace where nspname not like 'pg\\_%' and nspname <> 'information_schema'",
            &[],
        )
        .await
        .map_err(failed("the list of schemas"))?;
    let mut statements = String::from("begin;");
    for schema in schemas {
        let (name, owner, public): (String, String, bool) = (schema.get(0), schema.get(1), schema.get(2));
        statements.push_str(&format!("drop schema {name} cascade;"));
        if public {
            statements.push_str(&format!(
                "create schema {name}; alter schema {name} owner to {owner}; grant usage on schema {name} to public;"
            ));
        }
    }
    statements.push_str("commit;");
    client.batch_execute(&statements).await.map_err(failed("emptying the database"))
}

fn write_note(note: &Path) -> Result<(), CallError> {
    let folder = note.parent().map(std::fs::create_dir_all).unwrap_or(Ok(()));
    folder
        .and_then(|()| orocloud_durable::write_json(note, &FoundEmpty { format: 1 }, 0o640))
        .map_err(|error| CallError::failed(format!("{} cannot be written", note.display())).because(error))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
