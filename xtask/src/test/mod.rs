//! `cargo xtask test`: setup, one build, every test; as root the story and mail once more as an ordinary user.
//!
//! A test that fails is run once more, alone, at the end: a machine that stalled for a moment must not cost a whole
//! run. That it needed a second attempt is said in the last lines, because it is a defect all the same.

mod ordinary;
mod place;
mod program;
mod report;

use std::num::NonZero;
use std::thread;
use std::time::Instant;

use clap::Parser;

use crate::{Outcome, build, setup};
use program::Program;
use report::{Counts, Report};

/// Which tests to run.
#[derive(Parser)]
pub struct Arguments {
    /// Run the slow tests too, which are marked `#[ignore]`
    #[arg(long)]
    all: bool,
    /// Only tests whose name contains one of these
    filter: Vec<String>,
}

/// More failures than this are no accident: a second attempt would only take long.
const ACCIDENTS: usize = 20;

/// Runs them.
pub fn run(arguments: Arguments) -> Outcome {
    setup::everyday()?;
    // The sandbox starts real programs, which `cargo test` alone does not build.
    build::programs()?;
    let mut programs = program::built()?;
    let begin = Instant::now();
    for program in programs.iter_mut() {
        // The long ones mostly wait for other processes.
        program.threads = Some(thread::available_parallelism().map_or(2, NonZero::get) * 2);
    }
    let mut chosen = arguments.filter.clone();
    if arguments.all {
        chosen.push("--include-ignored".to_owned());
    }

    let mut tally = Tally::default();
    for program in &programs {
        tally.add(program, &chosen)?;
    }
    if !build::cargo().args(["test", "--quiet", "--workspace", "--doc"]).status()?.success() {
        tally.broken.push("the examples in the documentation".to_owned());
    }
    let ordinary = ordinary::prepare(&programs, &arguments.filter)?;
    if let Some(ordinary) = &ordinary {
        println!("\nAs an ordinary user:");
        tally.add(&ordinary.program, &ordinary.tests)?;
    }
    tally.second_attempts()?;
    tally.close(begin)
}

/// What all programs together came to.
#[derive(Default)]
struct Tally<'a> {
    counts: Counts,
    failed: Vec<(&'a Program, String)>,
    /// What failed without being a test that could be tried once more.
    broken: Vec<String>,
    second: Vec<String>,
}

impl<'a> Tally<'a> {
    /// Runs a program's tests.
    fn add(&mut self, program: &'a Program, arguments: &[String]) -> Outcome {
        let (status, report) = program.run(arguments)?;
        self.counts.add(report.counts);
        match report {
            _ if status.success() => {}
            Report { failed, counts, .. } if !failed.is_empty() && failed.len() as u64 == counts.failed => {
                self.failed.extend(failed.into_iter().map(|name| (program, name)));
            }
            _ => self.broken.push(format!("{}: ended with {status}", program.label)),
        }
        Ok(())
    }

    /// Runs what failed once more, one after another.
    fn second_attempts(&mut self) -> Outcome {
        let failed = std::mem::take(&mut self.failed);
        let tried = failed.len() <= ACCIDENTS;
        for (program, name) in failed {
            if tried {
                println!("\nFailed, so once more and alone: {name} ({})", program.label);
                let arguments =
                    ["--exact", &name, "--include-ignored", "--test-threads=1"].map(str::to_owned);
                let (status, report) = program.run(&arguments)?;
                if status.success() && report.counts.passed == 1 {
                    self.counts.passed += 1;
                    self.counts.failed -= 1;
                    self.second.push(name);
                    continue;
                }
            }
            self.broken.push(format!("{name} ({})", program.label));
        }
        Ok(())
    }

    /// The last lines.
    fn close(self, begin: Instant) -> Outcome {
        println!();
        for name in &self.second {
            println!("passed only at the second attempt: {name}");
        }
        for what in &self.broken {
            println!("failed: {what}");
        }
        let verdict = if self.broken.is_empty() { "ok" } else { "FAILED" };
        println!("\nAll together:\n{}", self.counts.line(verdict, begin.elapsed()));
        if self.broken.is_empty() { Ok(()) } else { Err("tests failed".into()) }
    }
}
