//! The application's console on a web node: what installs a release, and what warms its caches.

use orocloud_protocol::node::{ConsoleCommands, Probe};
use orocloud_protocol::{CallError, ReleaseName, Secret};
use serde_json::Value;

use super::{Action, ActionContext};
use crate::app_config;
use crate::engines::php::{self, Console as PhpConsole};
use crate::nodes::marks::Came;
use crate::nodes::output::Output;

/// The console command that installs; what the caller gave is added to it alone.
const INSTALL: &str = "oro:install";

/// [`orocloud_protocol::node::StepAction::ConsoleRun`]
pub struct Run<'a> {
    pub release: &'a ReleaseName,
    pub commands: &'a ConsoleCommands,
}

impl Action for Run<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let marks = context.marks();
        marks.set(context.step, &Came::Begun)?;
        run_console(context, self.release, self.commands).await?;
        marks.set(context.step, &Came::Done)?;
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        // What commands did to the database goes with the undo of the step that prepared it.
        context.marks().clear(context.step)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(match context.marks().get(context.step)? {
            Some(Came::Done) => Probe::Done(Value::Null),
            Some(Came::Begun) => Probe::Partial,
            None => Probe::NotDone,
        })
    }
}

/// [`orocloud_protocol::node::StepAction::CacheWarm`]
pub struct Warm<'a> {
    pub release: &'a ReleaseName,
}

impl Action for Warm<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        console(context, self.release, vec![built_in("cache:warmup")], &[]).await?;
        context.marks().set(context.step, &Came::Done)?;
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        // The cache lies in the release and goes with it.
        context.marks().clear(context.step)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(match context.marks().get(context.step)? {
            Some(Came::Done) => Probe::Done(Value::Null),
            _ => Probe::Partial,
        })
    }
}

async fn run_console(
    context: &ActionContext<'_>,
    release: &ReleaseName,
    commands: &ConsoleCommands,
) -> Result<(), CallError> {
    match commands {
        ConsoleCommands::CacheClear => console(context, release, vec![built_in("cache:clear")], &[]).await,
        ConsoleCommands::Install { application_url, user_name, user_email, user_password } => {
            let config = config_of_release(context, release)?;
            let options = [
                ("--application-url", Some(application_url)),
                ("--user-name", user_name.as_ref()),
                ("--user-email", user_email.as_ref()),
            ];
            let commands = config.deployment.install_commands.unwrap_or_else(|| vec![built_in(INSTALL)]);
            let commands = commands.into_iter().map(|command| complete(command, &options)).collect();
            let secrets: Vec<(&str, &Secret)> =
                user_password.iter().map(|password| ("ORO_USER_PASSWORD", password)).collect();
            console(context, release, commands, &secrets).await
        }
    }
}

/// A command of ours, run as every environment runs its application.
fn built_in(name: &str) -> Vec<String> {
    [name, "--env=prod", "--no-interaction"].map(str::to_owned).to_vec()
}

/// Adds to the command that installs what it does not name itself. Name and value are one argument, so that no value
/// can be read as an option.
fn complete(mut command: Vec<String>, options: &[(&str, Option<&String>)]) -> Vec<String> {
    if command[0] != INSTALL {
        return command;
    }
    for (option, value) in options {
        let named = |word: &String| {
            word.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        if let Some(value) = value
            && !command.iter().any(named)
        {
            command.push(format!("{option}={value}"));
        }
    }
    command
}

async fn console(
    context: &ActionContext<'_>,
    release: &ReleaseName,
    commands: Vec<Vec<String>>,
    secrets: &[(&str, &Secret)],
) -> Result<(), CallError> {
    let app = context.app()?;
    let config = config_of_release(context, release)?;
    let console = PhpConsole {
        processes: &context.node.processes,
        app,
        release: &app.release(release),
        variables: &config.application.env_vars,
        cancel: &context.cancel,
    };
    let mut output = Output::new(&context.events);
    for command in commands {
        output.line(&format!("$ bin/console {}", php::shown(&command)));
        console.run(&command, secrets, |stream, bytes| output.write(stream, bytes)).await?;
    }
    Ok(())
}

fn config_of_release(
    context: &ActionContext<'_>,
    release: &ReleaseName,
) -> Result<app_config::AppConfig, CallError> {
    let app = context.app()?;
    let kind = context.node.config.environment.kind;
    app_config::load(Some(&app.orocloud_yaml()), &app.release(release), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_install_command_is_completed_and_only_with_what_it_lacks() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (url, name) = ("http://shop".to_owned(), "--env=dev x".to_owned());
        let options =
            [("--application-url", Some(&url)), ("--user-name", Some(&name)), ("--user-email", None)];
        assert_eq!(
            complete(words("oro:install --application-url=http://own --user-name-x=1"), &options),
            ["oro:install", "--application-url=http://own", "--user-name-x=1", "--user-name=--env=dev x"]
        );
        assert_eq!(
            complete(words("oro:install --user-name me"), &options).last().unwrap(),
            "--application-url=http://shop"
        );
        assert_eq!(complete(words("cache:clear"), &options), ["cache:clear"]);
    }
}
