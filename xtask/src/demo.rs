//! `cargo xtask demo`: the story, told on a real environment. The script `demo.sh` holds what is typed.

use std::process::Command;
use std::time::Instant;

use orocloud_sandbox::{ENVIRONMENT, Options, Sandbox};

use crate::{Outcome, build, setup};

/// What is typed, one command a line, with a sentence before each.
const SCRIPT: &str = include_str!("demo.sh");

/// Brings an environment up, tells the story on it, and takes it down again.
pub fn run() -> Outcome {
    setup::everyday()?;
    build::programs()?;
    eprintln!("Starting the environment {ENVIRONMENT}: real programs, on loopback, in one folder");
    let begin = Instant::now();
    let sandbox = Sandbox::start(Options {
        progress: true,
        queue: true,
        mail: true,
        smtp: true,
        ..Options::default()
    })?;
    eprintln!(
        "{ENVIRONMENT} is up after {:.1} s in {}",
        begin.elapsed().as_secs_f64(),
        sandbox.dir().display()
    );

    let status = Command::new("bash").arg("-c").arg(SCRIPT).envs(sandbox.env()).status()?;
    if status.success() { Ok(()) } else { Err(format!("the story ended early ({status})").into()) }
}
