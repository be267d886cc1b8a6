//! The command line: options that every command has, options that kinds of commands share, and which command is
//! meant. What a command itself takes stands with the command.

pub mod argv;
pub mod duration;
pub mod moment;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Command, CommandFactory, Parser};
use orocloud_protocol::{CallError, CallId, ErrorKind, OperationOptions, Page};

use crate::commands::{COMMANDS, Entry};
use crate::output::Format;

/// Runs OroCloud environments: deploys, backs up, restores to any second, follows logs.
///
/// Without arguments, prints its version and the commands by topic. `topic:command` may also be typed as
/// `topic command`.
#[derive(Parser, Debug)]
#[command(name = "orocloud-cli", disable_help_subcommand = true, disable_version_flag = true)]
pub struct Root {
    #[command(flatten)]
    pub(crate) global: Global,
}

/// Options of every command; before or after its name.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration
    #[arg(short = 'E', long, value_name = "NAME", global = true)]
    pub env: Option<String>,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print more: -v output of programs, -vv and -vvv more detail
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Never ask; what destroys something then needs --force
    #[arg(short, long, global = true)]
    pub no_interaction: bool,
    /// Use colours even without a terminal
    #[arg(long, global = true, overrides_with = "no_ansi")]
    pub ansi: bool,
    /// Use no colours; so does the variable NO_COLOR
    #[arg(long, global = true, overrides_with = "ansi")]
    pub no_ansi: bool,
    /// Append a copy of what is printed to FILE, with times and without colours
    #[arg(long, value_name = "FILE", global = true)]
    pub log: Option<PathBuf>,
    /// Print the version, and the agents' versions as of the last calls; never connects
    #[arg(short = 'V', long, global = true)]
    pub version: bool,
}

/// How a result is printed, for commands without a list.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct FormatArgs {
    /// `table` for people, `json` for scripts
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = result_format)]
    pub format: Format,
    /// The same as --format=json
    #[arg(long)]
    pub json: bool,
}

impl FormatArgs {
    /// The format that was asked for.
    pub fn chosen(self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

fn result_format(text: &str) -> Result<Format, String> {
    match text {
        "table" => Ok(Format::Table),
        "json" => Ok(Format::Json),
        _ => Err("expected table or json".to_owned()),
    }
}

/// Which part of a list, and how it is printed.
#[derive(Args, Clone, Copy, Debug)]
pub struct ListArgs {
    /// Page to show, from 1
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub page: u32,
    /// Rows a page
    #[arg(long, value_name = "NUMBER", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub per_page: u32,
    /// `table` for people, `json` for scripts, `csv` for spreadsheets
    #[arg(long, value_name = "FORMAT", default_value = "table", value_enum, hide_possible_values = true)]
    pub format: Format,
    /// The same as --format=json
    #[arg(long)]
    pub json: bool,
}

impl ListArgs {
    /// The format that was asked for.
    pub fn chosen(self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// As the wire has it.
    pub fn page(self) -> Page {
        Page { page: self.page, per_page: self.per_page }
    }
}

/// What every operation takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Operation options")]
pub struct OperationArgs {
    /// Wait for a lock that another operation holds, instead of exit code 6 at once
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub wait_lock: Option<Duration>,
    /// Stop watching after this time, with exit code 8; the operation goes on
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub timeout: Option<Duration>,
    /// Start it, print its id and leave; follow it with log:view --follow
    #[arg(long)]
    pub detach: bool,
    /// Id of the operation, made by you: the same id again attaches instead of starting twice
    #[arg(long, value_name = "ULID", env = "OROCLOUD_OPERATION_ID", hide_env_values = true)]
    pub operation_id: Option<CallId>,
    /// Start although a maintenance window is near
    #[arg(long)]
    pub ignore_window: bool,
    /// Show what it would do and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl OperationArgs {
    /// As the wire has it.
    pub fn options(&self) -> OperationOptions {
        OperationOptions {
            dry_run: self.dry_run,
            wait_lock: self.wait_lock.map(|wait| wait.as_secs()),
            ignore_window: self.ignore_window,
            confirmation: None,
        }
    }
}

/// The answers to the questions of a command that destroys something.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Confirmation options")]
pub struct ConfirmArgs {
    /// Answer the question with yes
    #[arg(long)]
    pub force: bool,
    /// Name the environment, as one of type prod wants it besides --force
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
}

const TEMPLATE: &str = "\
Description:
  {about}

Usage:
  {usage}

{all-args}{after-help}";

/// Options without a command, and the shape of all help.
fn root() -> Command {
    Root::command().subcommand_required(false).arg_required_else_help(false)
}

/// One command as part of the tree.
fn subcommand(entry: &Entry) -> Command {
    (entry.build)().name(entry.name).help_template(TEMPLATE).disable_version_flag(true)
}

/// The whole tree: for completion scripts, man pages and tests. An ordinary run builds [`tree_of`] alone.
pub fn command() -> Command {
    COMMANDS
        .iter()
        .fold(root(), |root, entry| root.subcommand(subcommand(entry).aliases(entry.aliases.to_vec())))
}

/// The tree with just this command in it: building all takes longer than all else that `--help` does.
pub fn tree_of(entry: &Entry) -> Command {
    root().subcommand(subcommand(entry))
}

/// What a command line asks for without clap having to look at it.
#[derive(Debug, PartialEq, Eq)]
pub struct Glance {
    /// `-V` or `--version` is there.
    pub version: bool,
    /// `-h` or `--help` is there.
    pub help: bool,
    /// JSON is asked for: mistakes in the rest are to be told as JSON too.
    pub json: bool,
}

/// Looks at a command line.
pub fn glance(arguments: &[OsString]) -> Glance {
    let mut glance = Glance { version: false, help: false, json: false };
    let mut previous = "";
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        match argument {
            "--" => break,
            // The value of an option is none of its own.
            _ if argv::takes_value(previous) => {}
            "-V" | "--version" => glance.version = true,
            "-h" | "--help" => glance.help = true,
            "--json" | "--format=json" => glance.json = true,
            "json" if previous == "--format" => glance.json = true,
            _ => {}
        }
        previous = argument;
    }
    glance
}

/// A sentence that quotes what was typed, without the middle of what is endless.
fn shortened(text: &str) -> String {
    const BEGINNING: usize = 300;
    const END: usize = 200;
    let length = text.chars().count();
    if length <= BEGINNING + END {
        return text.to_owned();
    }
    let beginning = text.chars().take(BEGINNING);
    beginning.chain(" … ".chars()).chain(text.chars().skip(length - END)).collect()
}

/// A mistake on the command line as our own kind of error, or the help that was asked for.
pub fn explain(error: &clap::Error, command: Option<&str>) -> Result<String, CallError> {
    use clap::error::ErrorKind as Kind;
    let text = error.render().to_string();
    if matches!(error.kind(), Kind::DisplayHelp | Kind::DisplayVersion) {
        return Ok(text.trim_end().to_owned());
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let mut told =
        CallError::new(ErrorKind::Usage, shortened(first.strip_prefix("error: ").unwrap_or(first)));
    for line in
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
    {
        told = told.because(shortened(line.strip_prefix("tip: ").unwrap_or(line)));
    }
    Err(told.hint(match command {
        Some(command) => format!("see its options: orocloud-cli {command} --help"),
        None => "see the commands: orocloud-cli".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_tree_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_help_that_begins_with_an_imperative_and_has_no_full_stop() {
        for sub in command().get_subcommands() {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.starts_with(|c: char| c.is_ascii_uppercase()), "{}: {about:?}", sub.get_name());
            assert!(!about.ends_with('.'), "{}: {about:?}", sub.get_name());
            for argument in sub.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", sub.get_name(), argument.get_id());
            }
        }
    }

    #[test]
    fn a_glance_sees_options_and_not_values() {
        let see = |line| glance(&words(line));
        assert!(see("orocloud-cli --version").version);
        assert!(see("orocloud-cli backup:list -V").version);
        assert!(!see("orocloud-cli -E -V").version);
        assert!(!see("orocloud-cli x -- -V").version);
        assert!(see("orocloud-cli backup:list --format json").json);
        assert!(see("orocloud-cli backup:list --format=json").json);
        assert!(see("orocloud-cli -h").help);
    }
}
