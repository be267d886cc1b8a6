//! `cargo xtask completions` and `cargo xtask man`: writes what is made from the tree of commands.
//!
//! In a process of its own, so that this program need not be built with all that the CLI needs.

use std::env;
use std::process::Command;

use crate::{Outcome, build};

/// Writes the files of this kind.
pub fn run(kind: &str) -> Outcome {
    // With the whole workspace: for one package alone cargo chooses other features and builds OpenSSL anew.
    let built = build::cargo().args(["build", "--quiet", "--workspace", "--example", "generate"]).status()?;
    if !built.success() {
        return Err(format!("what writes {kind} could not be built ({built})").into());
    }
    let program = env::current_exe()?.with_file_name("examples").join("generate");
    let status = Command::new(&program)
        .arg(kind)
        .status()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    if status.success() { Ok(()) } else { Err(format!("could not write {kind} ({status})").into()) }
}
