//! `shell`.

use clap::Parser;

use super::{Context, Outcome, Run};
use crate::shell;

/// Run commands one after another over one open connection
///
/// At a terminal it shows a prompt with the environment and its type, red in production; Tab completes commands, options
/// and values, and the history is kept for the next time, except for lines that begin with a blank. `exit` or Ctrl-D
/// leaves.
///
/// Without a terminal it reads commands from standard input, one a line; # begins a comment. The first one that fails
/// ends it with that command's exit code. A command that reads standard input reads the next line.
///
/// Example: printf 'status\nbackup:list\n' | orocloud-cli shell
#[derive(Debug, Parser)]
pub struct Shell {}

impl Run for Shell {
    fn run(self, context: &mut Context) -> Outcome {
        shell::run(context)
    }
}
