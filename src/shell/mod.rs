//! The same commands, one line after another, over one open connection.

mod complete;
mod editor;
mod values;

use std::ffi::OsString;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use orocloud_protocol::{CallError, EnvironmentType};
use signal_hook::consts::SIGINT;

use crate::commands::Context;
use crate::output::{Failure, Style};
use editor::{Prompt, Typed};

/// A line of a script may be so long.
const MAX_LINE: u64 = 1024 * 1024;

/// Runs a shell: with a prompt where somebody types, else line by line.
pub fn run(context: &mut Context) -> Result<u8, Failure> {
    if context.is_shell() {
        return Err(CallError::usage("this is the shell already").hint("leave it: exit").into());
    }
    // Ctrl-C ends commands, never the shell. Once the program listens, the system's own answer to it is off.
    let _ = signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)))?;
    context.keep_open();
    if context.ui.can_type() { at_a_prompt(context) } else { from_input(context) }
}

fn at_a_prompt(context: &mut Context) -> Result<u8, Failure> {
    let kind = context.greet()?;
    context.rest();
    let (plain, painted) = prompt(context, kind);
    context.ui.note("Commands as on the command line; Tab completes, `exit` or Ctrl-D leaves.");
    let colours = context.ui.colours_err();
    let history = state_folder().map(|folder| folder.join("history"));
    let mut prompt = Prompt::new(context, history, colours)?;
    loop {
        let text = match prompt.read(&plain, &painted)? {
            Typed::Line(text) => text,
            Typed::Nothing => continue,
            Typed::End => return Ok(0),
        };
        let Some(context) = prompt.context() else { return Ok(0) };
        // What is pasted may have several lines; one that fails keeps the rest from running.
        for line in text.lines() {
            match run_line(context, line) {
                Ended::Leave => return Ok(0),
                Ended::Code(0) => {}
                Ended::Code(_) => break,
            }
        }
        context.rest();
    }
}

fn from_input(context: &mut Context) -> Result<u8, Failure> {
    for number in 1_u64.. {
        context.rest();
        let line = match next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => {
                return Err(CallError::usage(format!("line {number} of the input cannot be read"))
                    .because(error)
                    .hint("each line is one command, in UTF-8; see the commands: orocloud-cli")
                    .into());
            }
        };
        if context.ui.verbosity() > 0 && !line.trim().is_empty() {
            context.ui.note(&format!("$ {}", line.trim()));
        }
        match run_line(context, &line) {
            Ended::Leave => break,
            Ended::Code(0) => {}
            Ended::Code(code) => {
                let line = line.trim();
                context.ui.note(&format!("Stopped at line {number} of the input, exit code {code}: {line}"));
                return Ok(code);
            }
        }
    }
    Ok(0)
}

/// The next line of standard input; a command may read the one after it.
fn next_line() -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = io::stdin().lock().take(MAX_LINE).read_line(&mut line)?;
    if read as u64 == MAX_LINE && !line.ends_with('\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {MAX_LINE} bytes")));
    }
    Ok((read > 0).then_some(line))
}

/// How a line ended.
enum Ended {
    /// With an exit code.
    Code(u8),
    /// The shell is to end.
    Leave,
}

fn run_line(context: &mut Context, line: &str) -> Ended {
    let Some(words) = shlex::split(line) else {
        let error = CallError::usage(format!("a quote is not closed: {}", line.trim()))
            .hint("close it, or write a quote as it is: \\'");
        context.ui.error(&error);
        return Ended::Code(error.kind.exit_code());
    };
    let mut words = words.into_iter().peekable();
    // Hints name whole command lines, and those work here too.
    words.next_if(|word| word == "orocloud-cli");
    match words.peek().map(String::as_str) {
        None => return Ended::Code(0),
        Some(word) if complete::OWN.contains(&word) => return Ended::Leave,
        Some(_) => {}
    }
    let arguments: Vec<OsString> =
        std::iter::once("orocloud-cli".into()).chain(words.map(OsString::from)).collect();
    context.forget_config();
    Ended::Code(crate::run_within(context, arguments))
}

/// The prompt, plain and painted: the environment and its type, red in production.
fn prompt(context: &Context, kind: Option<EnvironmentType>) -> (String, String) {
    let environment = context.environment_label();
    let label = match kind {
        Some(kind) => format!("{environment} ({})", kind.as_str()),
        None => environment,
    };
    let style = if context.is_prod() { Style::Error } else { Style::Good };
    (format!("{label}> "), format!("{}> ", context.ui.paint_err(style, &label)))
}

/// Where a person's history lies.
fn state_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_STATE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("orocloud"))
}
