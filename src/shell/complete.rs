//! What is offered for a line that is being typed: commands, their options, and values. Knows no terminal and asks
//! nobody; values come from whoever is asked for a [`Source`].

use std::ffi::OsString;

use clap::{Arg, ArgAction};

use crate::cli::{self, argv};
use crate::commands::{COMMANDS, Entry};

/// Where values come from that only the environment or the configuration knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Environments of the configuration.
    Environments,
    /// Log sources.
    Logs,
    /// Nodes.
    Nodes,
    /// Operations of late.
    Operations,
    /// Packages of the project.
    Packages,
    /// Recovery points.
    Points,
    /// Queues of messages.
    Queues,
    /// Upstream relays of mail.
    Relays,
    /// Releases.
    Releases,
    /// Virtual hosts of the message broker.
    VirtualHosts,
}

/// What may stand at the end of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Where in the line it begins.
    pub start: usize,
    /// Each with what follows it: a blank, or nothing behind `=`.
    pub words: Vec<String>,
}

/// Words of the shell itself.
pub const OWN: [&str; 2] = ["exit", "quit"];

/// What may stand at the end of this line.
pub fn offer(line: &str, mut values: impl FnMut(Source) -> Vec<String>) -> Offer {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let current = &line[start..];
    let before: Vec<String> = match shlex::split(&line[..start]) {
        Some(words) => words.into_iter().skip_while(|word| word == "orocloud-cli").collect(),
        // Inside quotes nobody knows what is meant.
        None => return Offer::default(),
    };
    let arguments: Vec<OsString> =
        std::iter::once("orocloud-cli".into()).chain(before.iter().map(OsString::from)).collect();
    if before.last().is_some_and(|last| argv::takes_value(last)) {
        return if before.last().is_some_and(|last| last == "--log") {
            Offer::default()
        } else {
            matching(start, current, values(Source::Environments))
        };
    }
    match argv::resolve(&arguments) {
        Ok(argv::Named::Nothing) if current.starts_with('-') => matching(start, current, globals()),
        Ok(argv::Named::Nothing) => {
            let names = COMMANDS.iter().map(|entry| entry.name).chain(OWN).map(str::to_owned);
            matching(start, current, names.collect())
        }
        Ok(argv::Named::Topic(topic)) => {
            let rest = |entry: &Entry| entry.name.strip_prefix(&format!("{topic}:")).map(str::to_owned);
            matching(start, current, COMMANDS.iter().filter_map(rest).collect())
        }
        Ok(argv::Named::Command(entry, arguments)) => of_command(entry, &arguments, start, current, values),
        Err(_) => Offer::default(),
    }
}

fn matching(start: usize, current: &str, mut words: Vec<String>) -> Offer {
    words.retain(|word| word.starts_with(current));
    // The newest or best first is how sources answer; only what is there twice goes.
    let mut seen = std::collections::HashSet::new();
    words.retain(|word| seen.insert(word.clone()));
    for word in &mut words {
        if !word.ends_with('=') {
            word.push(' ');
        }
    }
    Offer { start, words }
}

fn globals() -> Vec<String> {
    use clap::CommandFactory;
    options(cli::Root::command().get_arguments())
}

fn options<'a>(arguments: impl Iterator<Item = &'a Arg>) -> Vec<String> {
    let mut words: Vec<String> = arguments
        .filter(|argument| !argument.is_hide_set())
        .filter_map(|argument| {
            let long = argument.get_long()?;
            Some(if argument.get_action().takes_values() {
                format!("--{long}=")
            } else {
                format!("--{long}")
            })
        })
        .collect();
    words.push("--help".to_owned());
    words.sort();
    words
}

fn of_command(
    entry: &Entry,
    arguments: &[OsString],
    start: usize,
    current: &str,
    mut values: impl FnMut(Source) -> Vec<String>,
) -> Offer {
    let mut tree = cli::tree_of(entry);
    // Spreads the global options over the command.
    tree.build();
    let Some(command) = tree.find_subcommand(entry.name) else { return Offer::default() };
    let named = |word: &str| {
        let long = word.strip_prefix("--");
        let short = word
            .strip_prefix('-')
            .filter(|rest| rest.chars().count() == 1)
            .and_then(|rest| rest.chars().next());
        command.get_arguments().find(|argument| {
            long.is_some_and(|long| {
                argument.get_long() == Some(long)
                    || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
            }) || (short.is_some() && argument.get_short() == short)
        })
    };
    let wants_value = |word: &str| named(word).filter(|argument| argument.get_action().takes_values());
    let position = arguments.iter().position(|argument| argument == entry.name).unwrap_or(0);
    let typed: Vec<&str> = arguments[position + 1..].iter().filter_map(|word| word.to_str()).collect();
    if let Some(argument) = typed.last().and_then(|word| wants_value(word)) {
        return matching(start, current, of_argument(argument, &mut values));
    }
    if let Some((option, partial)) = current.split_once('=').filter(|_| current.starts_with("--")) {
        return match wants_value(option) {
            Some(argument) => matching(start + option.len() + 1, partial, of_argument(argument, &mut values)),
            None => Offer::default(),
        };
    }
    if current.starts_with('-') {
        return matching(start, current, options(command.get_arguments()));
    }
    let mut place = 1;
    let mut previous = "";
    for word in typed {
        if !word.starts_with('-') && wants_value(previous).is_none() {
            place += 1;
        }
        previous = word;
    }
    let positional: Vec<&Arg> = command.get_positionals().collect();
    let repeated = positional.last().filter(|last| matches!(last.get_action(), ArgAction::Append));
    match positional.iter().find(|argument| argument.get_index() == Some(place)).or(repeated) {
        Some(argument) => matching(start, current, of_argument(argument, &mut values)),
        None => Offer::default(),
    }
}

/// The values of an argument: those it names itself, or by what its value is called.
fn of_argument(argument: &Arg, values: &mut impl FnMut(Source) -> Vec<String>) -> Vec<String> {
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !possible.is_empty() {
        return possible;
    }
    let called = argument.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
    match called {
        "LEVEL" => ["debug", "info", "notice", "warning", "error", "critical"].map(str::to_owned).to_vec(),
        "FORMAT" => vec!["table".to_owned(), "json".to_owned()],
        "SUBJECT" => COMMANDS
            .iter()
            .map(|entry| entry.name)
            .chain(["config", "exit-codes", "times"])
            .map(str::to_owned)
            .collect(),
        // Confirmations name the environment by hand: that is what they are for.
        "NAME" if argument.get_id() == "confirm" => Vec::new(),
        "NAME" => values(Source::Environments),
        "NODE" => values(Source::Nodes),
        "OPERATION" => values(Source::Operations),
        "PACKAGE" => values(Source::Packages),
        "POINT" => values(Source::Points),
        "QUEUE|NODE" => [Source::Queues, Source::Nodes].into_iter().flat_map(values).collect(),
        "RELAY" => values(Source::Relays),
        "RELEASE" => values(Source::Releases),
        "SOURCE" => values(Source::Logs),
        "VHOST" => values(Source::VirtualHosts),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> (usize, Vec<String>) {
        let offer = offer(line, |source| match source {
            Source::Environments => vec!["acme-prod1".into(), "acme-stag1".into()],
            Source::Logs => vec!["app".into(), "nginx".into(), "nginx".into()],
            Source::Nodes => vec!["web1".into(), "web2".into()],
            Source::Operations => vec!["01JDFZ8T6G0000000000000000".into()],
            Source::Packages => vec!["spring".into(), "1.0.1".into()],
            Source::Queues => vec!["oro.default".into(), "oro.mail".into()],
            Source::VirtualHosts => vec!["/".into(), "oro".into(), "oro".into()],
            Source::Relays => vec!["main".into(), "spare".into()],
            Source::Releases => vec!["20261124103200".into()],
            Source::Points => vec!["2026-11-24-1125".into(), "2026-11-24-1025".into()],
        });
        (offer.start, offer.words)
    }

    #[test]
    fn each_place_of_a_line_has_its_words() {
        for (line, start, expected) in [
            ("stat", 0, &["status "][..]),
            ("orocloud-cli stat", 13, &["status "]),
            ("backup:re", 0, &["backup:restore "]),
            ("backup re", 7, &["restore "]),
            ("exi", 0, &["exit "]),
            ("-E acme-st", 3, &["acme-stag1 "]),
            ("backup:restore ", 15, &["2026-11-24-1125 ", "2026-11-24-1025 "]),
            ("backup restore 2026-11-24-10", 15, &["2026-11-24-1025 "]),
            ("backup:restore --forc", 15, &["--force "]),
            ("backup:restore 2026-11-24-1025 --und", 31, &["--undo="]),
            ("backup:restore --undo=01", 22, &["01JDFZ8T6G0000000000000000 "]),
            ("backup:list --format=c", 21, &["csv "]),
            ("backup:list --format j", 21, &["json "]),
            ("status --format=j", 16, &["json "]),
            ("app:package:deploy sp", 19, &["spring "]),
            ("smtp:relay:remove sp", 18, &["spare "]),
            ("smtp:test --relay=m", 18, &["main "]),
            ("release:rollback ", 17, &["20261124103200 "]),
            ("service:stop:consumer oro.m", 22, &["oro.mail "]),
            ("service:restart ", 16, &["oro.default ", "oro.mail ", "web1 ", "web2 "]),
            ("queue list or", 11, &["oro "]),
            ("log:tail app ng", 13, &["nginx "]),
            ("logs --node web", 12, &["web1 ", "web2 "]),
            ("log:tail --level=cri", 17, &["critical "]),
            ("completion z", 11, &["zsh "]),
            ("help exit", 5, &["exit-codes "]),
            ("env:use ", 8, &["acme-prod1 ", "acme-stag1 "]),
            ("backup:restore --confirm=", 25, &[]),
            ("frobnicate ", 0, &[]),
            ("app:console 'unclosed ", 0, &[]),
        ] {
            let expected: Vec<String> = expected.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(words(line), (start, expected), "{line:?}");
        }
        assert!(words("").1.len() > COMMANDS.len());
        assert!(words("--no-").1.contains(&"--no-interaction ".to_owned()));
        assert!(words("backup:list --").1.contains(&"--page=".to_owned()));
    }
}
