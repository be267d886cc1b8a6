//! Which command a line means: `topic:command`, `topic command`, or an older name.

use std::ffi::OsString;

use crate::commands::{COMMANDS, Entry};
use crate::config::nearest;
use orocloud_protocol::{CallError, CallId};

/// What a command line names.
pub enum Named {
    /// Nothing.
    Nothing,
    /// A topic, without one of its commands.
    Topic(String),
    /// This command; the arguments now have its one name.
    Command(&'static Entry, Vec<OsString>),
}

/// Whether the argument after this one belongs to it. Only options that may stand before a command matter.
pub fn takes_value(argument: &str) -> bool {
    match argument {
        "--env" | "--log" => true,
        // `-E NAME`, also behind flags: `-vE NAME`.
        _ => argument.starts_with('-') && !argument.starts_with("--") && argument.ends_with('E'),
    }
}

/// Finds the command.
pub fn resolve(arguments: &[OsString]) -> Result<Named, CallError> {
    let positions = positionals(arguments);
    let word = |place: usize| positions.get(place).and_then(|position| arguments[*position].to_str());
    let Some(first) = word(0) else {
        return Ok(Named::Nothing);
    };
    for length in (1..=3).rev() {
        let Some(words) = (0..length).map(word).collect::<Option<Vec<_>>>() else { continue };
        // Words that look like a path or a point in time never name a command.
        let Some(mut entry) = find(&words.join(":")) else { continue };
        if first == "log" && length == 1 && word(1).is_some_and(|word| word.parse::<CallId>().is_ok()) {
            entry = find("log:view").unwrap_or(entry);
        }
        let mut rewritten = Vec::with_capacity(arguments.len());
        for (position, argument) in arguments.iter().enumerate() {
            match positions[..length].iter().position(|place| *place == position) {
                Some(0) => rewritten.push(entry.name.into()),
                Some(_) => {}
                None => rewritten.push(argument.clone()),
            }
        }
        return Ok(Named::Command(entry, rewritten));
    }
    let topic = first.trim_end_matches(':');
    let is_topic = |entry: &&Entry| entry.topic() == topic;
    if COMMANDS.iter().any(|entry| is_topic(&entry) && entry.name != topic) {
        return match word(1) {
            None => Ok(Named::Topic(topic.to_owned())),
            Some(second) => Err(unknown(&format!("{topic}:{second}"))),
        };
    }
    Err(unknown(first))
}

/// The command of this name or older name.
pub fn find(name: &str) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.name == name || entry.aliases.contains(&name))
}

fn unknown(name: &str) -> CallError {
    let error = CallError::usage(format!("there is no command `{name}`"));
    let error = match nearest(name, COMMANDS.iter().map(|entry| entry.name)) {
        Some(near) => error.hint(format!("did you mean this one? orocloud-cli {near}")),
        None => error,
    };
    match name.split_once(':').filter(|(topic, _)| COMMANDS.iter().any(|entry| entry.topic() == *topic)) {
        Some((topic, _)) => error.hint(format!("see the commands of this topic: orocloud-cli {topic}")),
        None => error.hint("see the commands: orocloud-cli"),
    }
}

/// Where the first positional arguments stand.
fn positionals(arguments: &[OsString]) -> Vec<usize> {
    let mut positions = Vec::new();
    let mut skip = false;
    for (position, argument) in arguments.iter().enumerate().skip(1) {
        let Some(text) = argument.to_str() else {
            positions.push(position);
            continue;
        };
        if skip {
            skip = false;
        } else if text == "--" {
            break;
        } else if text.len() > 1 && text.starts_with('-') {
            skip = takes_value(text);
        } else {
            positions.push(position);
        }
        if positions.len() == 3 {
            break;
        }
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn commands_are_found_in_every_form() {
        for (line, expected) in [
            ("o backup:list", "o backup:list"),
            ("o backup list", "o backup:list"),
            ("o -v backup -q list --page 2", "o -v backup:list -q --page 2"),
            ("o -E list backup list", "o -E list backup:list"),
            ("o --env=list backup list", "o --env=list backup:list"),
            ("o -vE acme-prod1 backup list", "o -vE acme-prod1 backup:list"),
            ("o logs app nginx", "o log:tail app nginx"),
            ("o log tail app", "o log:tail app"),
            ("o log", "o log:list"),
            ("o log 01JDFZ8T6G0000000000000000", "o log:view 01JDFZ8T6G0000000000000000"),
            ("o status --watch", "o status --watch"),
            ("o completion bash", "o completion bash"),
            ("o help exit-codes", "o help exit-codes"),
            ("o help backup list", "o help backup list"),
            ("o backup restore 2026-11-24-1025 --force", "o backup:restore 2026-11-24-1025 --force"),
            ("o operation wait X -- list", "o operation:wait X -- list"),
        ] {
            match resolve(&words(line)) {
                Ok(Named::Command(_, arguments)) => assert_eq!(arguments, words(expected), "{line}"),
                Ok(_) => panic!("{line}"),
                Err(error) => panic!("{line}: {error}"),
            }
        }
        assert!(matches!(resolve(&words("o -v")), Ok(Named::Nothing)));
        assert!(matches!(resolve(&words("o backup -h")), Ok(Named::Topic(topic)) if topic == "backup"));
    }

    #[test]
    fn a_mistyped_command_is_answered_with_the_nearest() {
        for (line, near) in [
            ("o backup:lst", "orocloud-cli backup:list"),
            ("o backup lsit", "orocloud-cli backup:list"),
            ("o statsu", "orocloud-cli status"),
            ("o frobnicate", "orocloud-cli"),
        ] {
            let Err(error) = resolve(&words(line)) else { panic!("{line}") };
            assert_eq!(error.kind.exit_code(), 2);
            assert!(error.hints[0].ends_with(near), "{line}: {:?}", error.hints);
        }
    }
}
