//! `release:list` and `release:rollback`.

use clap::Parser;
use orocloud_protocol::ReleaseName;
use orocloud_protocol::release::{self, Release};

use super::call::carry_out;
use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, ListArgs, OperationArgs, moment};
use crate::output::escape;
use crate::output::table::{Column, column};

/// List releases: the current one, those kept, and what became of the others
///
/// Five releases that proved good are kept on the web nodes, and in any case the current one and the one before it.
#[derive(Debug, Parser)]
pub struct List {
    #[command(flatten)]
    list: ListArgs,
}

impl Run for List {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.list.chosen();
        let answer = context.query::<release::List>(&release::ListParams { page: self.list.page() })?;
        context.ui.list(&answer, &answer.items, &columns())?;
        context.list_footer(answer.total, self.list);
        for node in &answer.silent {
            context.ui.warn(&format!("{node} does not tell which releases it keeps: orocloud-cli status"));
        }
        Ok(0)
    }
}

fn columns<'a>() -> Vec<Column<'a, Release>> {
    fn text<T: ToString>(value: Option<&T>) -> String {
        value.map(ToString::to_string).unwrap_or_default()
    }
    vec![
        column("RELEASE", "release", |row: &Release| row.release.to_string()),
        column("REFERENCE", "reference", |row: &Release| text(row.reference.as_ref())),
        column("COMMIT", "commit", |row: &Release| {
            row.commit.as_deref().unwrap_or_default().chars().take(12).collect()
        }),
        column("DATE", "at", |row: &Release| row.at.map(moment::short).unwrap_or_default()),
        column("USER", "by", |row: &Release| text(row.by.as_ref())),
        column("STATE", "state", |row: &Release| row.state.as_str().to_owned()),
        column("NODES", "nodes", |row: &Release| {
            row.nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }),
    ]
}

/// Serve an earlier release again
///
/// Without a release: the one that proved good last, other than the current one. The code alone goes back, without
/// maintenance mode. Where the schema of the database is another one than that release works with, it refuses, and names
/// the recovery point that goes back with both.
///
/// Examples: orocloud-cli release:rollback
///           orocloud-cli release:rollback 20261124103200
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
pub struct Rollback {
    /// Release, as release:list shows it
    #[arg(value_name = "RELEASE")]
    release: Option<ReleaseName>,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Rollback {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let params = release::RollbackParams { release: self.release, options: self.operation.options() };
        carry_out::<release::Rollback>(context, &params, &self.operation, |ui, answer| {
            let url = escape::strip(&answer.url);
            ui.line(&format!("Back at {} (release {}): {url}", answer.reference, answer.release))?;
            match &answer.undo {
                Some(undo) => ui.line(&format!("Undo it: {}", escape::strip(undo))),
                None => Ok(()),
            }
        })
    }
}
