//! composer: the application's dependencies, in a checkout, as `build`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use orocloud_protocol::{CallError, OutputStream};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::app_config::ComposerCommand;
use crate::process::{Account, Processes, Program};

/// How long a build may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// A checkout to be built.
pub struct Composer<'a> {
    /// Starts programs.
    pub processes: &'a Processes,
    /// `COMPOSER_HOME`.
    pub home: &'a Path,
    /// The checkout.
    pub folder: &'a Path,
    /// `application.env_vars`: credentials among them.
    pub variables: &'a BTreeMap<String, String>,
    /// The application's scripts, which build its assets, are told not to.
    pub skip_assets: bool,
    /// Ends what runs.
    pub cancel: &'a CancellationToken,
}

impl Composer<'_> {
    /// Runs composer as the application asks for.
    pub async fn run(
        &self,
        command: &ComposerCommand,
        on_output: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<(), CallError> {
        let program = self
            .program("composer")?
            .args(["--no-interaction", "--no-ansi"])
            .arg(format!("--working-dir={}", self.folder.display()))
            .args(&command.arguments);
        let program =
            command.environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        let shown = command.arguments.join(" ");
        self.processes
            .run(program, self.cancel, on_output)
            .await
            .map(drop)
            .map_err(|error| CallError::from(error).context(format!("composer {shown} failed")))
    }

    /// Runs a shell command of the application in the checkout.
    pub async fn shell(
        &self,
        line: &str,
        on_output: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<(), CallError> {
        let program = self.program("/bin/sh")?.args(["-c", line]);
        self.processes
            .run(program, self.cancel, on_output)
            .await
            .map(drop)
            .map_err(|error| CallError::from(error).context(format!("the command {line:?} failed")))
    }

    fn program(&self, name: &str) -> Result<Program, CallError> {
        let mut program = Program::new(name)
            .account(Account::Build)
            .folder(self.folder)
            .limit(LIMIT)
            .env("COMPOSER_HOME", self.home)
            .env("COMPOSER_NO_INTERACTION", "1");
        if rustix::process::geteuid().is_root() && self.processes.name(Account::Build).is_none() {
            // Without accounts of its own a whole environment belongs to one user, who may be root; composer would
            // leave scripts and plugins out.
            program = program.env("COMPOSER_ALLOW_SUPERUSER", "1");
        }
        for (name, value) in self.variables {
            if !is_auth(name) {
                program = program.env(name, value);
            }
        }
        if self.skip_assets {
            program = program.env("OROCLOUD_SKIP_ASSETS_BUILD", "1");
        }
        Ok(match credentials(self.variables)? {
            Some(credentials) => program.env("COMPOSER_AUTH", credentials),
            None => program,
        })
    }
}

fn is_auth(name: &str) -> bool {
    name.strip_prefix("COMPOSER_AUTH")
        .is_some_and(|rest| rest.is_empty() || matches!(rest, "1" | "2" | "3" | "4" | "5"))
}

/// `COMPOSER_AUTH` to `COMPOSER_AUTH5` as the one that composer knows.
fn credentials(variables: &BTreeMap<String, String>) -> Result<Option<String>, CallError> {
    let mut all = serde_json::Map::new();
    for (name, text) in variables.iter().filter(|(name, _)| is_auth(name)) {
        // The value is a secret: its text appears in no message.
        let parsed: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            CallError::failed(format!(
                "application.env_vars.{name} of orocloud.yaml is not a JSON object: line {line}, column {column} of the value"
            ))
        })?;
        for (kind, hosts) in parsed {
            match (all.get_mut(&kind), hosts) {
                (Some(Value::Object(known)), Value::Object(hosts)) => known.extend(hosts),
                (_, hosts) => drop(all.insert(kind, hosts)),
            }
        }
    }
    Ok((!all.is_empty()).then(|| Value::Object(all).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_merged_and_never_shown() {
        let variables = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let merged = credentials(&variables(&[
            ("COMPOSER_AUTH", r#"{"http-basic":{"a":{"username":"u","password":"p"}}}"#),
            (
                "COMPOSER_AUTH2",
                r#"{"http-basic":{"b":{"username":"v","password":"q"}},"github-oauth":{"github.com":"t"}}"#,
            ),
            ("COMPOSER_AUTHOR", "nobody"),
        ]));
        let merged: Value = serde_json::from_str(&merged.unwrap().unwrap()).unwrap();
        assert_eq!(merged["http-basic"]["a"]["username"], "u");
        assert_eq!(merged["http-basic"]["b"]["password"], "q");
        assert_eq!(merged["github-oauth"]["github.com"], "t");
        let error =
            credentials(&variables(&[("COMPOSER_AUTH1", r#"{"github-oauth":{"github.com":"hunter2""#)]))
                .unwrap_err();
        assert!(
            error.message.contains("COMPOSER_AUTH1") && !error.to_string().contains("hunter2"),
            "{error}"
        );
        assert_eq!(credentials(&variables(&[("A", "b")])).unwrap(), None);
    }
}
