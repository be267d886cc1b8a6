//! The programs that hold the tests, built and run.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use orocloud_sandbox::TEST_FOLDER;
use serde_json::Value;

use super::place;
use super::report::Report;
use crate::build;

/// One program full of tests.
pub struct Program {
    /// Where it comes from, for people.
    pub label: String,
    pub path: PathBuf,
    /// What comes before it: a program that gives up rights.
    pub before: Vec<String>,
    /// Its folder, and the environment if it is not ours.
    pub folder: PathBuf,
    pub environment: Option<Vec<(String, String)>>,
    /// Tests at the same time; the harness's own choice is one a core.
    pub threads: Option<usize>,
}

/// Where the end-to-end tests are.
const END_TO_END: &str = "e2e";

/// Builds every program that has tests.
pub fn built() -> Result<Vec<Program>, Box<dyn std::error::Error>> {
    let output = build::cargo()
        .args(["test", "--workspace", "--no-run", "--quiet", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the tests could not be built ({})", output.status).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| Program::announced(&serde_json::from_str(line).ok()?))
        .collect())
}

impl Program {
    /// The program that a message of cargo tells of, if it holds tests.
    fn announced(message: &Value) -> Option<Self> {
        if message["profile"]["test"] != true {
            return None;
        }
        let manifest = Path::new(message["manifest_path"].as_str()?);
        let target = &message["target"];
        let kind = target["kind"][0].as_str()?;
        let folder = manifest.parent()?.to_owned();
        let package = folder.file_name()?.to_string_lossy();
        Some(Self {
            label: format!("{kind} {} in {package}", target["name"].as_str()?),
            path: message["executable"].as_str()?.into(),
            before: Vec::new(),
            folder,
            environment: None,
            threads: None,
        })
    }

    /// Whether it holds the end-to-end tests.
    pub fn is_end_to_end(&self) -> bool {
        self.path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{END_TO_END}-")))
    }

    fn command(&self) -> Command {
        let mut words = self.before.iter();
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(&self.path);
                command
            }
            None => Command::new(&self.path),
        };
        command.current_dir(&self.folder).stdin(Stdio::null());
        if let Some(environment) = &self.environment {
            command.env_clear().envs(environment.iter().cloned());
        }
        command.env(TEST_FOLDER, place::of_tests());
        command
    }

    /// Runs tests with what they print going through.
    pub fn run(&self, arguments: &[String]) -> Result<(ExitStatus, Report), Box<dyn std::error::Error>> {
        println!("\n     Running {}", self.label);
        let mut command = self.command();
        if let (Some(threads), false) =
            (self.threads, arguments.iter().any(|argument| argument.starts_with("--test-threads")))
        {
            command.arg(format!("--test-threads={threads}"));
        }
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.path.display()))?;
        let output = child.stdout.take().ok_or("a test program has no output")?;
        let (send, lines) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                // Bytes as they come: a test may print anything.
                let _ = std::io::stdout().write_all(&line);
                let _ = std::io::stdout().flush();
                if send.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        let status = child.wait()?;
        let mut report = Report::default();
        loop {
            // What a test left running may hold the pipe for ever; the harness's own lines are in it already.
            match lines.recv_timeout(Duration::from_secs(5)) {
                Ok(line) => report.line(&line),
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = reader.join();
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {
                    println!("warning: something that a test started still runs");
                    break;
                }
            }
        }
        Ok((status, report))
    }
}
