//! `deploy`.

use std::io::{BufRead, Read};

use clap::Parser;
use orocloud_protocol::{CallError, Reference, Secret, deploy};

use super::call::{Finished, show_dry_run};
use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, OperationArgs};
use crate::output::{Failure, Format, escape};

/// Install the application where none is yet
///
/// Clones the repository, builds one package from the reference, sends it to all web nodes, runs the install commands
/// once, switches all nodes and takes the first recovery point. Refused when an application is deployed already.
///
/// Example: orocloud-cli deploy --reference=1.0.0
#[derive(Debug, Parser)]
pub struct Deploy {
    /// Tag, branch or commit to deploy; asked for when it is missing
    #[arg(long, value_name = "REFERENCE", visible_alias = "tag")]
    reference: Option<Reference>,
    /// URL of the shop, for the install commands; default: the environment's
    #[arg(long, value_name = "URL")]
    application_url: Option<String>,
    /// First user of the back office
    #[arg(long, value_name = "NAME")]
    user_name: Option<String>,
    /// Their address
    #[arg(long, value_name = "ADDRESS")]
    user_email: Option<String>,
    /// Read their password from standard input, one line
    #[arg(long)]
    user_password_stdin: bool,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Deploy {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let reference = match self.reference {
            Some(reference) => reference,
            None => ask_reference(context, "deploy")?,
        };
        let user_password = if self.user_password_stdin {
            Some(read_password("deploy --user-password-stdin …")?)
        } else {
            None
        };
        let params = deploy::DeployParams {
            reference,
            application_url: self.application_url,
            user_name: self.user_name,
            user_email: self.user_email,
            user_password,
            options: self.operation.options(),
        };
        if self.operation.dry_run {
            return show_dry_run::<deploy::Deploy>(context, &params);
        }
        match context.operation::<deploy::Deploy>(&params, &self.operation)? {
            Finished::Detached => Ok(0),
            Finished::Answer(answer, took) => {
                if context.ui.format == Format::Json {
                    context.ui.json(&answer)?;
                } else {
                    let commit: String = answer.commit.chars().take(12).collect();
                    let url = escape::strip(&answer.url);
                    context.ui.line(&format!(
                        "Deployed {} ({commit}) as release {}: {url}",
                        answer.reference, answer.release
                    ))?;
                    if let Some(point) = &answer.recovery_point {
                        context.ui.line(&format!("First recovery point: {point}"))?;
                    }
                }
                Ok(context.succeeded(took))
            }
        }
    }
}

/// The reference that was left out, from whoever sits at the terminal.
pub(super) fn ask_reference(context: &mut Context, command: &str) -> Result<Reference, Failure> {
    ask_for_reference(context, command, "--reference=1.0.0")
}

/// The same for a command that takes it as in this example.
pub(super) fn ask_for_reference(
    context: &mut Context,
    command: &str,
    example: &str,
) -> Result<Reference, Failure> {
    let hint = || format!("name a tag, branch or commit: orocloud-cli {command} {example}");
    let missing = || CallError::usage("no reference is given").hint(hint());
    let typed = context.ui.ask(&format!("Tag, branch or commit to {command}")).ok_or_else(missing)?;
    let typed = typed.trim();
    if typed.is_empty() {
        return Err(missing().into());
    }
    typed.parse().map_err(|error: orocloud_protocol::InvalidName| {
        CallError::usage(error.to_string()).hint(hint()).into()
    })
}

/// One line of standard input; `command` is what a hint shows.
pub(super) fn read_password(command: &str) -> Result<Secret, CallError> {
    let hint = || format!("give it like this: orocloud-cli {command} < FILE");
    let mut text = String::new();
    // This line alone: in a shell that reads a script, the ones behind it are commands.
    std::io::stdin().lock().take(64 * 1024).read_line(&mut text).map_err(|error| {
        CallError::usage("cannot read the password from standard input").because(error).hint(hint())
    })?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(CallError::usage("standard input holds no password").hint(hint()));
    }
    Ok(Secret::new(line.to_owned()))
}
