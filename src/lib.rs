//! The command line of OroCloud environments: parses, connects, makes one call, shows what comes back.

pub mod cli;
pub mod commands;
pub mod config;
pub mod connection;
pub mod generated;
pub mod identity;
pub mod output;
mod shell;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;

use clap::{ArgMatches, FromArgMatches};
use orocloud_protocol::{CallError, ErrorKind, VERSION};

use cli::argv::{self, Named};
use cli::{Global, Root};
use commands::{Context, Entry, listing, versions};
use config::Sources;
use output::{Failure, Format, Manner, Style, Terminal, Ui};

pub use cli::command;

/// Runs a command line and gives its exit code.
pub fn run(arguments: Vec<OsString>) -> u8 {
    let glance = cli::glance(&arguments);
    let mut ui = Ui::new(Terminal::detect(), Manner { colours: colours(None), ..Manner::default() });
    if glance.json {
        ui.format = Format::Json;
    }
    match meant(&mut ui, arguments, &glance) {
        Ok(Meant::Answered(code)) => code,
        Ok(Meant::Command(command)) => {
            let global = &command.global;
            let mut context = Context::new(
                Ui::new(Terminal::detect(), manner(global)),
                Sources::from_process(global.env.clone()),
            );
            context.ui.format = ui.format;
            command.run(&mut context)
        }
        Err(failure) => tell(&mut ui, &failure),
    }
}

/// Runs a command line in a shell's context and gives its exit code.
fn run_within(context: &mut Context, arguments: Vec<OsString>) -> u8 {
    let glance = cli::glance(&arguments);
    let before = context.ui.speak(Manner::default());
    if glance.json {
        context.ui.format = Format::Json;
    }
    let code = match meant(&mut context.ui, arguments, &glance) {
        Ok(Meant::Answered(code)) => code,
        Ok(Meant::Command(command)) => {
            let _ = context.ui.speak(manner(&command.global));
            let sources = Sources::from_process(command.global.env.clone());
            if command.global.env.is_some() && sources.chosen != context.sources().chosen {
                command.run_elsewhere(context, sources)
            } else {
                command.run(context)
            }
        }
        Err(failure) => tell(&mut context.ui, &failure),
    };
    context.ui.put_back(before);
    code
}

/// What a command line means.
enum Meant {
    /// It is answered already.
    Answered(u8),
    /// This command.
    Command(Meaning),
}

/// A command and what it was given.
struct Meaning {
    entry: &'static Entry,
    matches: ArgMatches,
    global: Global,
}

impl Meaning {
    fn run(&self, context: &mut Context) -> u8 {
        let mut log_before = None;
        let result = match &self.global.log {
            Some(path) => context.ui.log_to(path).map(|before| log_before = Some(before)),
            None => Ok(()),
        };
        let own = self.matches.subcommand().map(|(_, own)| own);
        let result = match (result, own) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), None) => Err(CallError::internal("the command line names no command").into()),
            (Ok(()), Some(own)) => (self.entry.run)(own, context),
        };
        let code = result.unwrap_or_else(|failure| tell(&mut context.ui, &failure));
        if let Some(before) = log_before {
            context.ui.log_into(before);
        }
        code
    }

    /// Runs it in another environment than the shell's, over a connection of its own.
    fn run_elsewhere(&self, context: &mut Context, sources: Sources) -> u8 {
        let stand_in = Ui::new(Terminal::default(), Manner::default());
        let ui = std::mem::replace(&mut context.ui, stand_in);
        let mut beside = context.beside(ui, sources);
        let code = self.run(&mut beside);
        context.ui = beside.ui;
        code
    }
}

/// Up to the command's own work: which one it is and what it was given.
fn meant(ui: &mut Ui, arguments: Vec<OsString>, glance: &cli::Glance) -> Result<Meant, Failure> {
    if glance.version {
        ui.line(&versions::text())?;
        return Ok(Meant::Answered(0));
    }
    let (entry, arguments) = match argv::resolve(&arguments)? {
        Named::Command(entry, arguments) => (entry, arguments),
        Named::Topic(topic) => {
            let text = listing(Some(&topic), |heading| ui.paint(Style::Heading, heading));
            ui.line(&text)?;
            // Asked for it is an answer; as a whole command it is a mistake.
            return Ok(Meant::Answered(if glance.help { 0 } else { 2 }));
        }
        Named::Nothing => {
            check_options(arguments)?;
            let heading = ui.paint(Style::Good, "orocloud-cli");
            ui.line(&format!(
                "{heading} {VERSION}\n\nUsage:\n  orocloud-cli [options] topic:command [arguments]\n"
            ))?;
            ui.line(&format!("Commands:\n{}\n", listing(None, |topic| ui.paint(Style::Heading, topic))))?;
            ui.line(
                "Options of a command: orocloud-cli COMMAND --help. Exit codes: orocloud-cli help exit-codes",
            )?;
            return Ok(Meant::Answered(0));
        }
    };
    let matches = match cli::tree_of(entry).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let help = cli::explain(&error, Some(entry.name))?;
            ui.line(&help)?;
            return Ok(Meant::Answered(0));
        }
    };
    let root = Root::from_arg_matches(&matches)
        .map_err(|error| CallError::usage(error.to_string()).hint("see the commands: orocloud-cli"))?;
    Ok(Meant::Command(Meaning { entry, matches, global: root.global }))
}

/// Finds mistakes in options that stand alone.
fn check_options(arguments: Vec<OsString>) -> Result<(), CallError> {
    use clap::CommandFactory;
    match Root::command().try_get_matches_from(arguments) {
        Ok(_) => Ok(()),
        Err(error) => cli::explain(&error, None).map(drop),
    }
}

fn colours(global: Option<&Global>) -> Option<bool> {
    match global {
        Some(global) if global.ansi => Some(true),
        Some(global) if global.no_ansi => Some(false),
        // https://no-color.org: set and not empty.
        _ if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) => Some(false),
        _ if std::env::var_os("TERM").is_some_and(|term| term == "dumb") => Some(false),
        _ => None,
    }
}

fn manner(global: &Global) -> Manner {
    Manner {
        verbosity: global.verbose,
        quiet: global.quiet,
        no_interaction: global.no_interaction,
        colours: colours(Some(global)),
    }
}

/// Tells why a command ended, in the one place where that is done, and gives the exit code.
fn tell(ui: &mut Ui, failure: &Failure) -> u8 {
    match failure {
        Failure::Call(error) => {
            ui.error(error);
            error.kind.exit_code()
        }
        // Whoever read our output has seen enough.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        // Nothing that is written is invalid: it came so.
        Failure::Output(error) if error.kind() == io::ErrorKind::InvalidData => {
            let error = CallError::new(ErrorKind::ProtocolMismatch, "what the agent sent cannot be read")
                .because(error)
                .hint("compare the versions: orocloud-cli --version");
            ui.error(&error);
            error.kind.exit_code()
        }
        Failure::Output(error) => {
            ui.error(
                &CallError::failed("cannot write the output")
                    .because(error)
                    .hint("see whether the disk is full: df -h"),
            );
            1
        }
    }
}
