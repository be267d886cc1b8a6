//! Building the programs that a sandbox runs.

use std::env;
use std::process::Command;

use crate::Outcome;

/// The cargo that runs this task.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Builds every program of the workspace into the folder this task itself runs from.
pub fn programs() -> Outcome {
    let status = cargo().args(["build", "--quiet", "--workspace", "--bins"]).status()?;
    if status.success() { Ok(()) } else { Err(format!("the programs could not be built ({status})").into()) }
}
