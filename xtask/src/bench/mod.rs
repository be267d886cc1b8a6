//! `cargo xtask bench`: what the product promises to be, measured against the best there is.
//!
//! Ours and the reference are measured in turns in one run, so that a machine that is busy or slow is so for both.
//! A figure is a median. Nothing here is a test: a test may not depend on how fast a machine is.

mod agent;
mod channel;
mod connection;
mod delay;
mod deployment;
mod logs;
mod mail;
mod measure;
mod plain_sshd;
mod restore;
mod startup;
mod upgrades;

use std::path::PathBuf;
use std::process::Command;

use clap::Parser;
use serde_json::json;

use crate::{Outcome, build, setup};

/// Which figures, and where to.
#[derive(Parser)]
pub struct Arguments {
    /// Write the rows to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure the programs beside this one instead of building optimised ones
    #[arg(long)]
    built: bool,
    /// Only rows whose name contains one of these
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
}

/// An error is shown as it is.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One figure; less is better.
struct Row {
    name: &'static str,
    unit: &'static str,
    ours: f64,
    /// 1 where the goal is absolute.
    reference: f64,
    /// The ratio of both should not exceed it.
    goal: f64,
    /// What was measured, and against what.
    command: String,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.reference
    }
}

/// Rows that are measured together.
struct Topic {
    names: &'static [&'static str],
    measure: fn() -> Result<Vec<Row>>,
}

const TOPICS: &[Topic] = &[
    startup::TOPIC,
    connection::TOPIC,
    logs::WHOLE,
    logs::FOLLOWED,
    agent::MEMORY,
    agent::LISTS,
    restore::TOPIC,
    deployment::DEPLOY,
    deployment::PACKAGE,
    upgrades::SOURCE,
    upgrades::MAINTENANCE,
    upgrades::ROLLING,
    mail::OWN,
    mail::SILENT,
];

/// Measures.
pub fn run(arguments: &Arguments) -> Outcome {
    setup::for_bench()?;
    if !arguments.built {
        return run_optimised(arguments);
    }
    let is_wanted = |name: &str| {
        arguments.rows.is_empty() || arguments.rows.iter().any(|row| name.contains(row.as_str()))
    };
    let topics: Vec<&Topic> =
        TOPICS.iter().filter(|topic| topic.names.iter().any(|name| is_wanted(name))).collect();
    if topics.is_empty() {
        let names: Vec<&str> = TOPICS.iter().flat_map(|topic| topic.names).copied().collect();
        return Err(format!("there is no such row; they are: {}", names.join(", ")).into());
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut failed = Vec::new();
    println!("{:<22} {:>10} {:>10} {:>7} {:>6}  unit", "row", "ours", "reference", "ratio", "goal");
    for topic in topics {
        match (topic.measure)() {
            Ok(measured) => {
                for row in measured.into_iter().filter(|row| is_wanted(row.name)) {
                    let missed = if row.ratio() > row.goal { "  missed" } else { "" };
                    println!(
                        "{:<22} {:>10.2} {:>10.2} {:>7.2} {:>6.2}  {}{missed}",
                        row.name,
                        row.ours,
                        row.reference,
                        row.ratio(),
                        row.goal,
                        row.unit
                    );
                    rows.push(row);
                }
            }
            Err(error) => {
                let names = topic.names.join(", ");
                eprintln!("{names}: {error}");
                failed.push(names);
            }
        }
    }
    if let Some(file) = &arguments.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "unit": row.unit, "ours": row.ours, "reference": row.reference,
                    "ratio": row.ratio(), "goal": row.goal, "command": row.command,
                })
            })
            .collect();
        std::fs::write(file, serde_json::to_vec_pretty(&rows)?)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failed.join(", ")).into()) }
}

/// Builds everything optimised, this program too, and has that one measure what lies beside it.
fn run_optimised(arguments: &Arguments) -> Outcome {
    let status = build::cargo().args(["build", "--quiet", "--release", "--workspace", "--bins"]).status()?;
    if !status.success() {
        return Err(format!("the programs could not be built ({status})").into());
    }
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(|profile| profile.parent()).ok_or("there is no target folder")?;
    let mut command = Command::new(target.join("release/xtask"));
    command.args(["bench", "--built"]).args(&arguments.rows);
    if let Some(file) = &arguments.json {
        command.arg("--json").arg(file);
    }
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err("some figures could not be measured".into()) }
}
