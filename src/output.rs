//! The only place that prints. Commands get a [`Ui`]; it alone knows whether a terminal is there.
//!
//! Data goes to stdout, everything else to stderr. What stdout cannot take is an error, or the quiet end when its
//! reader has gone; what stderr cannot take is dropped.

pub mod escape;
mod failure;
pub mod progress;
pub mod prompt;
pub mod table;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orocloud_protocol::CallError;
use serde::Serialize;

pub use failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// The call's own answer as JSON; messages and errors are JSON lines on stderr.
    Json,
    /// Comma-separated values with a header, for lists.
    Csv,
}

/// What is known of the terminal; a plain struct, so that tests can make one up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// Whether somebody can type.
    pub stdin: bool,
    /// Whether stdout is seen by a person.
    pub stdout: bool,
    /// Whether stderr is.
    pub stderr: bool,
    /// Columns, when one is there.
    pub width: Option<u16>,
}

impl Terminal {
    /// Asks the system.
    pub fn detect() -> Self {
        let (stdin, stdout, stderr) =
            (io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal());
        let width = if stdout {
            rustix::termios::tcgetwinsize(io::stdout()).ok()
        } else {
            rustix::termios::tcgetwinsize(io::stderr()).ok()
        };
        Self { stdin, stdout, stderr, width: width.map(|size| size.ws_col).filter(|columns| *columns > 0) }
    }
}

/// How a person wants to be spoken to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// `-v` counted.
    pub verbosity: u8,
    /// Only errors.
    pub quiet: bool,
    /// Never ask.
    pub no_interaction: bool,
    /// Colours whatever the terminal is (`--ansi`), or never (`--no-ansi`, `NO_COLOR`).
    pub colours: Option<bool>,
}

/// How a [`Ui`] spoke before one command of a shell.
pub struct Spoken {
    manner: Manner,
    format: Format,
}

/// Where all output goes.
pub struct Ui {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    log: Option<File>,
    terminal: Terminal,
    manner: Manner,
    /// How results are printed.
    pub format: Format,
    bars: Option<indicatif::MultiProgress>,
    answers: Option<VecDeque<String>>,
}

impl Ui {
    /// Output of this process.
    pub fn new(terminal: Terminal, manner: Manner) -> Self {
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            log: None,
            terminal,
            manner,
            format: Format::Table,
            bars: None,
            answers: None,
        }
    }

    /// Output into memory, with answers typed in advance when somebody is there to type.
    #[cfg(test)]
    pub fn captured(terminal: Terminal, manner: Manner, answers: &[&str]) -> (Self, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        let mut ui = Self::new(terminal, manner);
        ui.out = Box::new(out.clone());
        ui.err = Box::new(err.clone());
        ui.answers = Some(answers.iter().map(|answer| (*answer).to_owned()).collect());
        (ui, out, err)
    }

    /// Copies what is printed into this file, with times and without escape codes.
    /// Gives the file before it.
    pub fn log_to(&mut self, path: &Path) -> Result<Option<File>, CallError> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            CallError::usage(format!("cannot write the log file {}", path.display()))
                .because(error)
                .hint("name another file: --log=FILE")
        })?;
        Ok(self.log.replace(file))
    }

    /// Copies into this file from now on, or into none.
    pub fn log_into(&mut self, file: Option<File>) {
        self.log = file;
    }

    /// `-v` counted.
    pub fn verbosity(&self) -> u8 {
        self.manner.verbosity
    }

    /// Whether a person can be asked something.
    pub fn can_ask(&self) -> bool {
        self.terminal.stdin
            && self.terminal.stderr
            && !self.manner.no_interaction
            && self.format == Format::Table
    }

    /// Whether somebody types commands.
    pub fn can_type(&self) -> bool {
        self.terminal.stdin && self.terminal.stderr
    }

    /// Speaks as one command of a shell asks for it; gives what [`Ui::put_back`] takes afterwards.
    pub fn speak(&mut self, manner: Manner) -> Spoken {
        let before = Spoken { manner: self.manner, format: self.format };
        self.terminal.width = Terminal::detect().width.or(self.terminal.width);
        self.manner = Manner {
            verbosity: manner.verbosity.max(before.manner.verbosity),
            quiet: manner.quiet || before.manner.quiet,
            no_interaction: manner.no_interaction || before.manner.no_interaction,
            colours: manner.colours.or(before.manner.colours),
        };
        before
    }

    /// Speaks as before a command of a shell.
    pub fn put_back(&mut self, before: Spoken) {
        self.manner = before.manner;
        self.format = before.format;
    }

    /// Whether stdout is seen by a person.
    pub fn is_seen(&self) -> bool {
        self.terminal.stdout
    }

    /// Columns to draw in.
    pub fn width(&self) -> usize {
        self.terminal.width.map_or(100, usize::from)
    }

    /// Columns that a table must fit into, when somebody looks.
    pub fn table_width(&self) -> Option<u16> {
        self.terminal.width.filter(|_| self.terminal.stdout)
    }

    fn colours(&self, terminal: bool) -> bool {
        self.manner.colours.unwrap_or(terminal)
    }

    /// Text for stdout in a colour, or as it is.
    pub fn paint(&self, style: Style, text: &str) -> String {
        style.paint(text, self.colours(self.terminal.stdout))
    }

    /// Whether what a person sees beside data has colours.
    pub fn colours_err(&self) -> bool {
        self.colours(self.terminal.stderr)
    }

    /// Text for the person in a colour, or as it is.
    pub fn paint_err(&self, style: Style, text: &str) -> String {
        style.paint(text, self.colours(self.terminal.stderr))
    }

    /// A line of data.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        if self.manner.quiet {
            return Ok(());
        }
        self.copy(text);
        let line = format!("{text}\n");
        let written = match &self.bars {
            Some(bars) => {
                let out = &mut self.out;
                bars.suspend(|| out.write_all(line.as_bytes()).and_then(|()| out.flush()))
            }
            None => self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush()),
        };
        drop(line);
        written
    }

    /// An answer as JSON, readable.
    pub fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let text = escape::in_json(serde_json::to_string_pretty(value)?);
        self.line(&text)
    }

    /// One line of a stream of JSON.
    pub fn json_line<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let text = escape::in_json(serde_json::to_string(value)?);
        self.line(&text)
    }

    /// A message for the person, if one looks; in JSON mode `{"note": …}`.
    pub fn note(&mut self, text: &str) {
        if self.manner.quiet {
            return;
        }
        if self.format == Format::Json {
            self.err_json(&serde_json::json!({ "note": escape::strip(text) }));
        } else {
            self.err_line(text);
        }
    }

    /// A message that somebody should heed.
    pub fn warn(&mut self, text: &str) {
        if self.manner.quiet {
            return;
        }
        if self.format == Format::Json {
            self.err_json(&serde_json::json!({ "warning": escape::strip(text) }));
        } else {
            let label = self.paint_err(Style::Warning, "warning:");
            self.err_line(&format!("{label} {text}"));
        }
    }

    /// A value as one JSON line on stderr.
    pub fn err_json<T: Serialize>(&mut self, value: &T) {
        if !self.manner.quiet {
            let text = escape::in_json(serde_json::to_string(value).unwrap_or_default());
            self.err_line(&text);
        }
    }

    /// Says what went wrong, why, and what to type next; the one spot where errors are printed.
    pub fn error(&mut self, error: &CallError) {
        if self.format == Format::Json {
            let told = serde_json::json!({ "error": error, "exit_code": error.kind.exit_code() });
            self.err_line(&escape::in_json(told.to_string()));
            return;
        }
        let label = self.paint_err(Style::Error, "error:");
        self.err_line(&format!("{label} {}", escape::strip(&error.message)));
        for cause in &error.causes {
            for (number, line) in escape::strip(cause).lines().enumerate() {
                self.err_line(&if number == 0 { format!("  {line}") } else { format!("    {line}") });
            }
        }
        for hint in &error.hints {
            let label = self.paint_err(Style::Hint, "hint:");
            self.err_line(&format!("{label} {}", escape::strip(hint)));
        }
    }

    fn err_line(&mut self, text: &str) {
        self.copy(text);
        let line = format!("{text}\n");
        let err = &mut self.err;
        // Nobody can be told that telling failed.
        let mut write = || drop(err.write_all(line.as_bytes()).and_then(|()| err.flush()));
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn copy(&mut self, text: &str) {
        if let Some(log) = &mut self.log {
            let now =
                Timestamp::now().to_zoned(TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
            let text: String = escape::strip(text).lines().map(|line| format!("{now} {line}\n")).collect();
            // A full disk must not end an operation that is watched.
            let _ = log.write_all(text.as_bytes());
        }
    }
}

/// Colours by what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Style {
    Good,
    Warning,
    Error,
    Hint,
    Heading,
    Dim,
}

impl Style {
    fn paint(self, text: &str, colours: bool) -> String {
        if !colours {
            return text.to_owned();
        }
        let code = match self {
            Self::Good => "32",
            Self::Warning => "33",
            Self::Error => "1;31",
            Self::Hint => "36",
            Self::Heading => "33",
            Self::Dim => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// What a test sees of an output.
#[cfg(test)]
#[derive(Clone, Default)]
pub struct Captured(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

#[cfg(test)]
impl Captured {
    /// All that was written.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orocloud_protocol::ErrorKind;

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let error = CallError::new(ErrorKind::Locked, "acme-prod1 is \u{1b}[31mlocked")
            .because("deploy runs\nsince 10:00")
            .hint("wait: orocloud-cli operation:wait ID");
        let (mut ui, out, err) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        ui.error(&error);
        ui.format = Format::Json;
        ui.error(&error);
        assert_eq!(out.text(), "");
        let text = err.text();
        let (plain, json) = text.split_once("ID\n").unwrap();
        assert_eq!(
            plain,
            "error: acme-prod1 is locked\n  deploy runs\n    since 10:00\nhint: wait: orocloud-cli operation:wait "
        );
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["exit_code"], 6);
        assert_eq!(json["error"]["data"]["kind"], "locked");
    }

    #[test]
    fn quiet_leaves_only_errors_and_a_log_gets_all_of_it_plain() {
        let folder = tempfile::tempdir().unwrap();
        let manner = Manner { colours: Some(true), ..Manner::default() };
        let (mut ui, out, _) = Ui::captured(Terminal::default(), manner, &[]);
        ui.log_to(&folder.path().join("log")).unwrap();
        let painted = ui.paint(Style::Good, "green");
        ui.line(&painted).unwrap();
        ui.note("hello");
        assert_eq!(out.text(), "\u{1b}[32mgreen\u{1b}[0m\n");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        let lines: Vec<&str> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(lines, ["green", "hello"]);

        let (mut ui, out, err) =
            Ui::captured(Terminal::default(), Manner { quiet: true, ..Manner::default() }, &[]);
        ui.line("data").unwrap();
        ui.note("note");
        ui.error(&CallError::failed("no"));
        assert_eq!((out.text().as_str(), err.text().as_str()), ("", "error: no\n"));
    }
}
