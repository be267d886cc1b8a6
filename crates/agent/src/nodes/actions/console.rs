//! The application's console on a web node: what installs a release, and what warms its caches.

use orocloud_protocol::node::{ConsoleCommands, Hook, Probe};
use orocloud_protocol::{CallError, EventBody, NoteLevel, ReleaseName, Secret};
use serde_json::Value;

use super::{Action, ActionContext};
use crate::app_config;
use crate::engines::php::{self, Console as PhpConsole};
use crate::nodes::marks::Came;
use crate::nodes::output::Output;

/// The console command that installs; what the caller gave is added to it alone.
const INSTALL: &str = "oro:install";

/// The console command that brings the database to the version of the code.
const UPDATE: &str = "oro:platform:update";

/// [`orocloud_protocol::node::StepAction::ConsoleRun`]
pub struct Run<'a> {
    pub release: &'a ReleaseName,
    pub commands: &'a ConsoleCommands,
}

impl Action for Run<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let marks = context.marks();
        // What half an update did nobody knows: done again it may do things twice.
        if matches!(self.commands, ConsoleCommands::Update { .. })
            && marks.get(context.step)? == Some(Came::Begun)
        {
            return Err(CallError::failed("the update was interrupted, and is not begun anew"));
        }
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
        ConsoleCommands::UpdatePreview => console(context, release, vec![built_in(UPDATE)], &[]).await,
        ConsoleCommands::Hook(hook) => {
            let deployment = config_of_release(context, release)?.deployment;
            let commands = match hook {
                Hook::PreUpgrade => deployment.pre_upgrade_commands,
                Hook::PreMaintenance => deployment.pre_maintenance_commands,
                Hook::PostMaintenance => deployment.post_maintenance_commands,
                Hook::PostUpgrade => deployment.post_upgrade_commands,
            };
            console(context, release, commands, &[]).await
        }
        ConsoleCommands::Update { schedule_search_reindexation, skip_assets } => {
            let config = config_of_release(context, release)?;
            let default = || {
                let mut command = built_in(UPDATE);
                command.push("--force".to_owned());
                vec![command]
            };
            let mut commands = config.deployment.upgrade_commands.unwrap_or_else(default);
            let updates = commands.iter_mut().filter(|command| command[0] == UPDATE);
            let wishes = UpdateWishes {
                schedule_search_reindexation: *schedule_search_reindexation,
                skip_assets: *skip_assets,
            };
            if updates.map(|command| wishes.complete(command)).count() == 0 && *schedule_search_reindexation {
                let text = format!(
                    "the application's upgrade_commands have no {UPDATE}: nothing schedules the indexing for search"
                );
                context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
            }
            console(context, release, commands, &[]).await
        }
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

/// What the caller of an upgrade wants of the update.
struct UpdateWishes {
    schedule_search_reindexation: bool,
    skip_assets: bool,
}

impl UpdateWishes {
    const SCHEDULE: &str = "--schedule-search-reindexation";
    const SKIP: &str = "--skip-search-reindexation";
    const SKIP_ASSETS: &str = "--skip-assets";

    /// Adds what the application does not say itself.
    fn complete(&self, command: &mut Vec<String>) {
        if !command.iter().any(|word| word == Self::SCHEDULE || word == Self::SKIP) {
            let option = if self.schedule_search_reindexation { Self::SCHEDULE } else { Self::SKIP };
            command.push(option.to_owned());
        }
        if self.skip_assets && !command.iter().any(|word| word == Self::SKIP_ASSETS) {
            command.push(Self::SKIP_ASSETS.to_owned());
        }
    }
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

    #[test]
    fn an_update_is_told_what_it_does_not_say_itself() {
        let completed = |line: &str, schedule_search_reindexation, skip_assets| {
            let mut command: Vec<String> = line.split(' ').map(str::to_owned).collect();
            UpdateWishes { schedule_search_reindexation, skip_assets }.complete(&mut command);
            command.join(" ")
        };
        for (line, schedule, skip_assets, expected) in [
            (UPDATE, false, false, "oro:platform:update --skip-search-reindexation"),
            (UPDATE, true, true, "oro:platform:update --schedule-search-reindexation --skip-assets"),
            (
                "oro:platform:update --skip-assets --schedule-search-reindexation",
                false,
                true,
                "oro:platform:update --skip-assets --schedule-search-reindexation",
            ),
        ] {
            assert_eq!(completed(line, schedule, skip_assets), expected);
        }
    }
}
