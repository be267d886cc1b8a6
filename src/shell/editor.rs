//! The prompt at a terminal: a line with history and completion. It writes to the terminal itself, which is nobody's
//! data.

use std::cell::RefCell;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use orocloud_protocol::CallError;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Behavior, ColorMode, CompletionType, Config, Editor, Helper};
use rustyline::{highlight::Highlighter, hint::Hinter, validate::Validator};

use super::complete::offer;
use super::values::Values;
use crate::commands::Context;

/// How many lines of history are kept.
const HISTORY: usize = 1000;

/// What was typed.
pub enum Typed {
    /// A line.
    Line(String),
    /// Ctrl-C: another line, please.
    Nothing,
    /// Ctrl-D.
    End,
}

/// A prompt. The context is its own while somebody types, since completion makes calls.
pub struct Prompt<'a> {
    editor: Editor<Completion<'a>, FileHistory>,
    history: Option<PathBuf>,
}

impl<'a> Prompt<'a> {
    /// A prompt with the history of earlier shells.
    pub fn new(context: &'a mut Context, history: Option<PathBuf>, colours: bool) -> Result<Self, CallError> {
        let cannot = |error: ReadlineError| {
            CallError::failed("cannot use this terminal for a shell")
                .because(error)
                .hint("give the commands by a pipe: echo status | orocloud-cli shell")
        };
        let config = Config::builder()
            .max_history_size(HISTORY)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(cannot)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .color_mode(if colours { ColorMode::Forced } else { ColorMode::Disabled })
            .behavior(Behavior::PreferTerm)
            .build();
        let mut editor = Editor::with_config(config).map_err(cannot)?;
        if let Some(path) = &history {
            // Without a file there is no history yet; one that cannot be read is not missed.
            let _ = editor.load_history(path);
        }
        editor.set_helper(Some(Completion(RefCell::new((context, Values::default())))));
        Ok(Self { editor, history })
    }

    /// Asks for a line.
    pub fn read(&mut self, plain: &str, painted: &str) -> Result<Typed, CallError> {
        match self.editor.readline(&(plain, painted)) {
            Ok(line) => {
                if self.editor.add_history_entry(line.as_str()).unwrap_or(false) {
                    self.keep();
                }
                Ok(Typed::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(CallError::failed("cannot read from the terminal")
                .because(error)
                .hint("give the commands by a pipe: echo status | orocloud-cli shell")),
        }
    }

    fn keep(&mut self) {
        let Some(path) = &self.history else { return };
        if let Some(folder) = path.parent() {
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        }
        // Others may be adding to it as well. The file is the user's alone: the library sees to that.
        let _ = self.editor.append_history(Path::new(path));
    }

    /// The context, between lines.
    pub fn context(&mut self) -> Option<&mut Context> {
        let (context, values) = self.editor.helper_mut()?.0.get_mut();
        values.forget();
        Some(context)
    }
}

/// Offers words; asks the environment for some.
struct Completion<'a>(RefCell<(&'a mut Context, Values)>);

impl Completer for Completion<'_> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Ok(mut both) = self.0.try_borrow_mut() else { return Ok((position, Vec::new())) };
        let (context, values) = &mut *both;
        let offer = offer(&line[..position], |source| values.of(source, context));
        let pair = |word: String| Pair { display: word.trim_end().to_owned(), replacement: word };
        Ok((offer.start, offer.words.into_iter().map(pair).collect()))
    }
}

impl Hinter for Completion<'_> {
    type Hint = String;
}
impl Highlighter for Completion<'_> {}
impl Validator for Completion<'_> {}
impl Helper for Completion<'_> {}
