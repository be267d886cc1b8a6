//! `cargo xtask completions` and `cargo xtask man`: writes what is made from the tree of commands.
//!
//! In a process of its own, so that this program need not be built with all that the CLI needs.

use std::process::Command;

use crate::Outcome;

/// Writes the files of this kind.
pub fn run(kind: &str) -> Outcome {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--package", "orocloud-cli", "--example", "generate", "--", kind])
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("could not write {kind}: cargo ended with {status}").into())
    }
}
