//! Development tasks: `cargo xtask setup`, `sandbox`, `test`, `demo`, `bench`.

mod accounts;
mod bench;
mod build;
mod demo;
mod generate;
mod sandbox;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of orocloud-cli
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: Debian packages and, as root, the accounts of the sandbox
    Setup(setup::Arguments),
    /// Tell the story on a real environment: deploy, back up, lose data, restore, follow the logs
    Demo,
    /// Start, hurt and end a whole environment in one folder
    Sandbox(sandbox::Arguments),
    /// Write the completion scripts anew
    Completions,
    /// Write the man pages anew
    Man,
    /// Measure against the best there is: a table of figures, less is better
    Bench(bench::Arguments),
    /// Build once and run every test; as root, the story and mail once more as an ordinary user
    Test(test::Arguments),
}

/// What a task answers; an error is shown as it is, so it must be a whole explanation.
type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup(arguments) => setup::run(arguments),
        Task::Demo => demo::run(),
        Task::Sandbox(arguments) => sandbox::run(arguments),
        Task::Completions => generate::run("completions"),
        Task::Man => generate::run("man"),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Test(arguments) => test::run(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
