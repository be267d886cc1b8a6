//! The commands: arguments, one call, what is shown. A line in [`COMMANDS`] registers one.

mod backup;
mod call;
mod completion;
mod deploy;
mod entries;
mod env;
pub mod help;
mod log;
mod maintenance;
mod operation;
mod package;
mod queue;
mod release;
mod restore;
mod service;
mod shell;
mod smtp;
mod status;
mod upgrade;
pub mod versions;
mod windows;

use clap::{ArgMatches, Command, Parser};

pub use call::Context;
pub use completion::{For, script};

use crate::cli;
use crate::output::Failure;

/// What a command comes to: its exit code, or why it has none of its own.
pub type Outcome = Result<u8, Failure>;

/// A command: its fields are its arguments, its doc comments its help.
trait Run: Parser {
    /// Does it.
    fn run(self, context: &mut Context) -> Outcome;
}

/// A line of the list.
pub struct Entry {
    /// `topic:command`.
    pub name: &'static str,
    /// Older or shorter names.
    pub aliases: &'static [&'static str],
    /// Its arguments.
    pub build: fn() -> Command,
    /// Does it.
    pub run: fn(&ArgMatches, &mut Context) -> Outcome,
}

impl Entry {
    /// What stands before the first colon; a command without one is its own topic.
    pub fn topic(&self) -> &'static str {
        self.name.split_once(':').map_or(self.name, |(topic, _)| topic)
    }
}

const fn entry<C: Run>(name: &'static str, aliases: &'static [&'static str]) -> Entry {
    fn run<C: Run>(matches: &ArgMatches, context: &mut Context) -> Outcome {
        let command = C::from_arg_matches(matches).map_err(|error| match cli::explain(&error, None) {
            Err(error) => error,
            Ok(help) => orocloud_protocol::CallError::usage(help),
        })?;
        command.run(context)
    }
    Entry { name, aliases, build: C::command, run: run::<C> }
}

/// All commands, by topic.
pub const COMMANDS: &[Entry] = &[
    entry::<package::Build>("app:package:build", &[]),
    entry::<package::Deploy>("app:package:deploy", &[]),
    entry::<package::List>("app:package:list", &[]),
    entry::<package::Upgrade>("app:package:upgrade", &["app:package:update"]),
    entry::<backup::Create>("backup:create", &[]),
    entry::<backup::List>("backup:list", &[]),
    entry::<restore::Restore>("backup:restore", &[]),
    entry::<backup::Window>("backup:window", &[]),
    entry::<completion::Completion>("completion", &[]),
    entry::<deploy::Deploy>("deploy", &[]),
    entry::<maintenance::EmergencyOff>("emergency:off", &[]),
    entry::<maintenance::EmergencyOn>("emergency:on", &[]),
    entry::<env::Info>("env:info", &[]),
    entry::<env::List>("env:list", &[]),
    entry::<env::Use>("env:use", &[]),
    entry::<help::Help>("help", &[]),
    entry::<log::List>("log:list", &["log"]),
    entry::<log::Sources>("log:sources", &[]),
    entry::<log::Tail>("log:tail", &["logs"]),
    entry::<log::View>("log:view", &[]),
    entry::<maintenance::Off>("maintenance:off", &[]),
    entry::<maintenance::On>("maintenance:on", &[]),
    entry::<maintenance::Status>("maintenance:status", &[]),
    entry::<windows::Windows>("maintenance:windows", &[]),
    entry::<operation::Cancel>("operation:cancel", &[]),
    entry::<operation::List>("operation:list", &[]),
    entry::<operation::Wait>("operation:wait", &[]),
    entry::<queue::List>("queue:list", &["rabbitmq:queue:list"]),
    entry::<release::List>("release:list", &[]),
    entry::<release::Rollback>("release:rollback", &[]),
    entry::<service::Restart>("service:restart", &[]),
    entry::<service::RestartConsumer>("service:restart:consumer", &[]),
    entry::<service::RestartCron>("service:restart:cron", &[]),
    entry::<service::RestartWebsocket>("service:restart:websocket", &[]),
    entry::<service::Start>("service:start", &[]),
    entry::<service::StartConsumer>("service:start:consumer", &[]),
    entry::<service::StartCron>("service:start:cron", &[]),
    entry::<service::StartWebsocket>("service:start:websocket", &[]),
    entry::<service::Status>("service:status", &[]),
    entry::<service::StatusConsumer>("service:status:consumer", &[]),
    entry::<service::StatusCron>("service:status:cron", &[]),
    entry::<service::StatusWebsocket>("service:status:websocket", &[]),
    entry::<service::Stop>("service:stop", &[]),
    entry::<service::StopConsumer>("service:stop:consumer", &[]),
    entry::<service::StopCron>("service:stop:cron", &[]),
    entry::<service::StopWebsocket>("service:stop:websocket", &[]),
    entry::<shell::Shell>("shell", &[]),
    entry::<smtp::Dns>("smtp:dns", &[]),
    entry::<smtp::Queue>("smtp:queue", &[]),
    entry::<smtp::RelayRemove>("smtp:relay:remove", &[]),
    entry::<smtp::RelaySet>("smtp:relay:set", &[]),
    entry::<smtp::Show>("smtp:show", &[]),
    entry::<smtp::Test>("smtp:test", &[]),
    entry::<smtp::Whitelist>("smtp:whitelist", &[]),
    entry::<status::Status>("status", &[]),
    entry::<upgrade::Upgrade>("upgrade", &[]),
    entry::<upgrade::Rolling>("upgrade:rolling", &[]),
    entry::<upgrade::Source>("upgrade:source", &[]),
];

/// The commands by topic, as they are shown without arguments; `only` shows one topic.
pub fn listing(only: Option<&str>, paint: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    let width = COMMANDS.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let mut topic = "";
    // Commands without a topic come first, as in every Symfony Console program.
    let (plain, topics): (Vec<&Entry>, Vec<&Entry>) =
        COMMANDS.iter().partition(|entry| !entry.name.contains(':'));
    for entry in plain.into_iter().chain(topics) {
        if only.is_some_and(|only| entry.topic() != only) {
            continue;
        }
        if entry.name.contains(':') && entry.topic() != topic {
            topic = entry.topic();
            text.push_str(&format!(" {}\n", paint(topic)));
        }
        let about = (entry.build)().get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("  {:width$}  {about}\n", entry.name));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sorted() {
        let mut names: Vec<&str> = COMMANDS.iter().map(|entry| entry.name).collect();
        assert!(names.is_sorted());
        names.extend(COMMANDS.iter().flat_map(|entry| entry.aliases));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_listing_has_a_heading_a_topic() {
        let text = listing(None, str::to_owned);
        assert!(text.contains("\n backup\n  backup:create "), "{text}");
        assert!(text.contains("  Take a recovery point now\n"), "{text}");
        assert!(text.starts_with("  completion"), "{text}");
        let text = listing(Some("env"), str::to_owned);
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
