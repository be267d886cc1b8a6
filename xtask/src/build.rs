//! Building the programs that a sandbox runs.

use std::env;
use std::process::Command;

use crate::Outcome;

/// The cargo that runs this task.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Builds every program of the workspace into the folder this task itself runs from. The first time that takes minutes,
/// which cargo then tells about.
pub fn programs() -> Outcome {
    let first = !env::current_exe()?.with_file_name("orocloud-agent").exists();
    let quiet: &[&str] = if first { &[] } else { &["--quiet"] };
    let status = cargo().args(["build", "--workspace", "--bins"]).args(quiet).status()?;
    if status.success() { Ok(()) } else { Err(format!("the programs could not be built ({status})").into()) }
}
