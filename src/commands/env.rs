//! `env:list`, `env:use`, `env:info`.

use clap::Parser;
use orocloud_protocol::environment::{self, NodeInfo};
use orocloud_protocol::{CallError, EnvironmentName};
use serde::Serialize;

use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, ListArgs, moment};
use crate::config::{EnvironmentEntry, edit, nearest};
use crate::output::table::{Column, column, draw};
use crate::output::{Format, escape};

/// List the environments that are configured
///
/// Reads the configuration alone and connects nowhere. With -v also the keys and certificates, and the files all of it
/// was read from.
#[derive(Debug, Parser)]
pub struct List {
    #[command(flatten)]
    list: ListArgs,
}

/// An environment as scripts see it.
#[derive(Clone, Serialize)]
struct Row {
    name: EnvironmentName,
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    configured_in: String,
}

impl Row {
    fn new(entry: &EnvironmentEntry, chosen: Option<&EnvironmentName>) -> Self {
        let local = entry.local.as_ref().map(|path| path.display().to_string());
        Self {
            name: entry.name.clone(),
            default: chosen == Some(&entry.name),
            address: entry.address.clone(),
            port: entry.port.or_else(|| local.is_none().then_some(22)),
            local,
            key: entry.key.as_ref().map(|path| path.display().to_string()),
            certificate: entry.certificate.as_ref().map(|path| path.display().to_string()),
            configured_in: entry.place.clone(),
        }
    }

    fn reached(&self) -> String {
        match (&self.local, &self.address) {
            (Some(path), _) => path.clone(),
            (None, Some(address)) => format!("{address}:{}", self.port.unwrap_or(22)),
            (None, None) => String::new(),
        }
    }
}

impl Run for List {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.list.chosen();
        let verbose = context.ui.verbosity() > 0;
        let config = context.config()?;
        let chosen = config.chosen()?;
        let rows: Vec<Row> =
            config.environments.iter().map(|entry| Row::new(entry, chosen.as_ref())).collect();
        let files: Vec<String> = config.files.iter().map(|path| path.display().to_string()).collect();
        let items = self.list.page().of(&rows);
        let mut columns: Vec<Column<'_, Row>> = vec![
            column("NAME", "name", |row: &Row| row.name.to_string()),
            column(
                "CHOSEN",
                "default",
                |row: &Row| if row.default { "yes".to_owned() } else { String::new() },
            ),
            column("ADDRESS", "address", Row::reached),
        ];
        if verbose {
            columns.push(column("KEY", "key", |row: &Row| {
                row.key.clone().unwrap_or_else(|| "ssh-agent".to_owned())
            }));
            columns.push(column("CERTIFICATE", "certificate", |row: &Row| {
                row.certificate.clone().unwrap_or_else(|| {
                    row.key.as_ref().map_or_else(|| "ssh-agent".to_owned(), |key| format!("{key}-cert.pub"))
                })
            }));
            columns.push(column("CONFIGURED IN", "configured_in", |row: &Row| row.configured_in.clone()));
        }
        let answer = serde_json::json!({ "items": items, "total": rows.len(), "files": files });
        context.ui.list(&answer, &items, &columns)?;
        context.ui.list_footer("localhost", rows.len() as u64, self.list.page, self.list.per_page);
        if verbose && context.ui.format == Format::Table {
            context.ui.note(&format!("Read from: {}", files.join(", ")));
        }
        Ok(0)
    }
}

/// Choose the environment that is used when none is named
///
/// Writes `default` into your configuration; all else in it stays as it is. For one call use -E NAME, for one shell the
/// variable OROCLOUD_ENV.
#[derive(Debug, Parser)]
pub struct Use {
    /// Environment, as env:list shows it
    #[arg(value_name = "NAME")]
    name: EnvironmentName,
}

impl Run for Use {
    fn run(self, context: &mut Context) -> Outcome {
        let config = context.config()?;
        let known: Vec<String> = config.environments.iter().map(|entry| entry.name.to_string()).collect();
        if !known.iter().any(|name| name == self.name.as_str()) {
            let error = CallError::usage(format!("the environment {} is not configured", self.name));
            let near = nearest(self.name.as_str(), known.iter().map(String::as_str));
            return Err(match near {
                Some(near) => error.hint(format!("did you mean this one? orocloud-cli env:use {near}")),
                None => error.hint("see the environments that are known: orocloud-cli env:list"),
            }
            .into());
        }
        let path = context.sources().own_file().map(ToOwned::to_owned).ok_or_else(|| {
            CallError::usage("no place for your configuration is known, HOME is not set")
                .hint("name a file: export OROCLOUD_CONFIG=FILE")
        })?;
        edit::set_default(&path, &self.name)?;
        context.ui.line(&format!("{} is used from now on", self.name))?;
        context.ui.note(&format!("Written to {}", path.display()));
        if std::env::var_os("OROCLOUD_ENV").is_some_and(|set| set != self.name.as_str()) {
            context.ui.warn("OROCLOUD_ENV is set and goes before it");
        }
        Ok(0)
    }
}

/// Show what the environment is: nodes, zones, versions, endpoints
///
/// Also who you are to it: the key id of your certificate, your role, and until when.
#[derive(Debug, Parser)]
pub struct Info {
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Info {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let answer = context.query::<environment::Info>(&environment::InfoParams {})?;
        let ui = &mut context.ui;
        if ui.format == Format::Json {
            ui.json(&answer)?;
            return Ok(0);
        }
        let until = answer
            .caller
            .valid_until
            .map_or_else(String::new, |until| format!(", certificate until {}", moment::short(until)));
        for line in [
            format!("Environment: {} ({})", answer.name, answer.kind.as_str()),
            format!("Project:     {}", answer.project),
            format!("Shop:        {}", answer.url),
            format!("Agent:       {}", answer.agent_version),
            format!("Database:    {}", answer.keeper),
            format!("You:         {} as {}{until}", answer.caller.key_id, answer.caller.role),
        ] {
            ui.line(&escape::strip(&line))?;
        }
        let columns = [
            column("NODE", "name", |row: &NodeInfo| row.name.to_string()),
            column("ROLES", "roles", |row: &NodeInfo| {
                let words = row.roles.iter().filter_map(|role| serde_json::to_value(role).ok());
                words.filter_map(|word| word.as_str().map(ToOwned::to_owned)).collect::<Vec<_>>().join(", ")
            }),
            column("ZONE", "zone", |row: &NodeInfo| row.zone.clone()),
            column("ADDRESS", "address", |row: &NodeInfo| row.address.clone()),
            column("AGENT", "agent_version", |row: &NodeInfo| match &row.agent_version {
                Some(version) if row.reachable => version.clone(),
                _ if row.reachable => "answers".to_owned(),
                _ => "out of reach".to_owned(),
            }),
            column("SOFTWARE", "software", |row: &NodeInfo| row.software.join(", ")),
        ];
        let text = draw(&answer.nodes, &columns, ui.table_width());
        ui.line(&text)?;
        Ok(0)
    }
}
