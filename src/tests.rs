//! Random command lines and file names: whatever is typed ends in help, a result or an error, never in a panic.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::*;

/// The same numbers at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    fn bytes(&mut self) -> OsString {
        let length = self.below(12);
        OsString::from_vec((0..length).map(|_| self.below(255) as u8 + 1).collect())
    }
}

const WORDS: &[&str] = &[
    "",
    "-",
    "--",
    "---",
    "=",
    "--=",
    "-=",
    ":",
    "a:b:c:d",
    "backup",
    "list",
    "log",
    "x",
    "0",
    "-1",
    "1e9",
    "\u{1b}[31m",
    "\u{0}",
    "\u{202e}",
    "💥",
    "é",
    "\n",
    "../../etc/passwd",
    "$(id)",
    "`id`",
    "%s%n",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "2026-11-24T10:32:00Z",
    "2026-11-24 02:30 Europe/Kyiv",
    "99999999999999999999999999",
    "2026-11-24-1025",
    "1d3h15m",
    "9999999999999999d",
    "acme-prod1",
    "web1",
    "-Eacme-prod1",
    "-vvvv",
    "-hV",
    "-nqE",
    "true",
    "false",
    "null",
    "{}",
    "[",
    "\\",
    "'",
    "\"",
    "~",
    "NaN",
    "٣",
    "-E",
];

/// An argument: a word, an option of the command with or without a value, or bytes that are no text.
fn argument(random: &mut Random, options: &[String]) -> OsString {
    match random.below(10) {
        0 => random.bytes(),
        1 => {
            let mut word = OsString::from(random.one_of(WORDS));
            word.push(random.bytes());
            word
        }
        2..=4 => random.one_of(WORDS).into(),
        5 => "x".repeat(random.below(20_000)).into(),
        _ if options.is_empty() => "--force".into(),
        place => {
            let mut option = OsString::from(&options[random.below(options.len())]);
            if place > 7 {
                option.push("=");
                option.push(random.one_of(WORDS));
            }
            option
        }
    }
}

#[test]
fn ten_thousand_random_command_lines_end_well_or_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<(&commands::Entry, Vec<String>)> = commands::COMMANDS
        .iter()
        .map(|entry| {
            let command = cli::tree_of(entry);
            let own = command.get_subcommands().flat_map(clap::Command::get_arguments);
            let options = command.get_arguments().chain(own).filter_map(|argument| argument.get_long());
            // These read what is typed, or write where they are told to: not here.
            let options = options.filter(|option| !option.ends_with("stdin") && *option != "log");
            (entry, options.map(|option| format!("--{option}")).collect())
        })
        .collect();
    std::thread::scope(|scope| {
        for part in 0..PARTS {
            let (entries, folder) = (&entries, folder.path());
            scope.spawn(move || random_lines(part, entries, folder));
        }
    });
}

/// Threads that share them.
const PARTS: u64 = 4;

fn random_lines(part: u64, entries: &[(&commands::Entry, Vec<String>)], folder: &Path) {
    let mut random = Random(0x0123_4567_89ab_cdef ^ part);
    for number in 0..10_000 / PARTS {
        let (entry, options) = &entries[random.below(entries.len())];
        let mut arguments: Vec<OsString> = vec!["orocloud-cli".into()];
        for _ in 0..random.below(3) {
            arguments.push(argument(&mut random, &[]));
        }
        arguments.extend(entry.name.split(if random.below(2) == 0 { ':' } else { ' ' }).map(OsString::from));
        for _ in 0..random.below(6) {
            arguments.push(argument(&mut random, options));
        }
        let configuration = folder.join(match random.below(4) {
            0 => OsString::from("missing.toml"),
            1 => OsString::from("\u{0}"),
            _ => random.bytes(),
        });
        let ended = catch_unwind(AssertUnwindSafe(|| line(arguments.clone(), configuration.clone())));
        match ended {
            Ok(code) => assert!(code <= 9, "{number}: {arguments:?} ended with {code}"),
            Err(_) => panic!("{number}: {arguments:?} with the configuration {configuration:?}"),
        }
    }
}

/// [`started`], with its output in memory and without any environment to talk to.
fn line(arguments: Vec<OsString>, configuration: PathBuf) -> u8 {
    let (mut ui, _, err) = Ui::captured(Terminal::default(), Manner::default(), &[]);
    let sources =
        Sources { only: Some(configuration), chosen: Some("acme-prod1".into()), ..Sources::default() };
    let _ = cli::glance(&arguments);
    let result = (|| -> Result<u8, Failure> {
        let Named::Command(entry, arguments) = argv::resolve(&arguments)? else { return Ok(0) };
        let matches = match cli::tree_of(entry).try_get_matches_from(arguments) {
            Ok(matches) => matches,
            Err(error) => return Ok(cli::explain(&error, Some(entry.name)).map(|_| 0)?),
        };
        let Some((_, own)) = matches.subcommand() else { return Ok(0) };
        let (quiet, _, _) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        (entry.run)(own, &mut Context::new(quiet, sources))
    })();
    match result {
        Ok(code) => code,
        Err(failure) => {
            let code = tell(&mut ui, &failure);
            let told = err.text();
            assert!(!told.is_empty() && !told.contains('\u{1b}'), "{told:?}");
            code
        }
    }
}

#[test]
fn random_files_are_no_configuration_and_no_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(0xfeed);
    for number in 0..500 {
        let path = folder.path().join(OsStr::from_bytes(format!("file-{number}").as_bytes()));
        let mut content = Vec::new();
        for _ in 0..random.below(20) {
            content.extend_from_slice(random.bytes().as_bytes());
            content.extend_from_slice(
                random.one_of(&["\n", " = ", "[environments.a]\n", "\"", "default"]).as_bytes(),
            );
        }
        std::fs::write(&path, content).unwrap();
        let sources = Sources { only: Some(path.clone()), ..Sources::default() };
        // Nothing at all is a configuration of nothing.
        if let Ok(config) = config::Config::load(sources) {
            assert!(config.environments.len() <= 1, "{}", path.display());
        }
        let text = std::fs::read(&path).unwrap();
        assert!(orocloud_certificate::Certificate::from_blob(&text).is_err());
        assert!(orocloud_certificate::Certificate::from_text(&String::from_utf8_lossy(&text)).is_err());
    }
}
