//! Running other programs to their end.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use crate::error::{Context, Error, Result};

/// The only PATH that programs of the sandbox get.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run to its end.
pub struct Program<'a> {
    /// The whole vector.
    pub command: Vec<String>,
    /// The whole environment.
    pub environment: &'a [(&'a str, &'a str)],
    /// Given on standard input.
    pub input: &'a str,
}

/// Runs it; an error tells the command and the last lines it wrote.
pub fn run(program: &Program) -> Result<String> {
    let (name, arguments) =
        program.command.split_first().ok_or_else(|| Error::new("an empty command cannot be run"))?;
    let mut child = Command::new(name)
        .args(arguments)
        .env_clear()
        .envs(program.environment.iter().copied())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(|| format!("cannot run {name}"))?;
    let mut input = child.stdin.take();
    let output = thread::scope(|scope| {
        // Beside the reading: a program may answer before it has read everything.
        scope.spawn(move || {
            if let Some(mut pipe) = input.take() {
                let _ = pipe.write_all(program.input.as_bytes());
            }
        });
        child.wait_with_output()
    })
    .context(|| format!("cannot wait for {name}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said =
        String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    let lines: Vec<&str> = said.lines().collect();
    let last = &lines[lines.len().saturating_sub(8)..];
    Err(Error::new(format!(
        "`{}` failed ({}): {}",
        program.command.join(" "),
        output.status,
        last.join("\n  ")
    )))
}

/// Runs a program with nothing but a PATH.
pub fn plain(command: &[&str]) -> Result<String> {
    run(&Program {
        command: command.iter().map(|&part| part.to_owned()).collect(),
        environment: &[("PATH", PATH), ("LANG", "C.UTF-8")],
        input: "",
    })
}

/// Something to do beside other things.
pub type Job<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;

/// Does all jobs at once and gives the first error.
pub fn side_by_side(jobs: Vec<Job>) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = jobs.into_iter().map(|job| scope.spawn(job)).collect();
        // All of them are waited for, whatever the first says.
        let outcomes: Vec<Result<()>> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Error::new("a part ended by a panic"))))
            .collect();
        outcomes.into_iter().find(Result::is_err).unwrap_or(Ok(()))
    })
}
