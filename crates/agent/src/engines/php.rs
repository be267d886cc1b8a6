//! The application's console, as `app`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use orocloud_protocol::{CallError, OutputStream, Secret};
use tokio_util::sync::CancellationToken;

use crate::app_config::is_variable;
use crate::environment::App;
use crate::process::{Account, ProcessError, Processes, Program};

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// The console of one release.
pub struct Console<'a> {
    /// Starts programs.
    pub processes: &'a Processes,
    /// The application on this node.
    pub app: &'a App,
    /// The release's folder.
    pub release: &'a Path,
    /// `application.env_vars`; the node's own file is below them.
    pub variables: &'a BTreeMap<String, String>,
    /// Ends what runs.
    pub cancel: &'a CancellationToken,
}

impl Console<'_> {
    /// Runs one command. Secrets come as variables: arguments are for everybody on the host to see.
    pub async fn run(
        &self,
        arguments: &[String],
        secrets: &[(&str, &Secret)],
        on_output: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<(), CallError> {
        let mut program = Program::new(&self.app.php)
            .arg("bin/console")
            .args(arguments)
            .account(Account::App)
            .folder(self.release)
            .limit(LIMIT);
        for (name, value) in node_variables(self.app)?.iter().chain(self.variables) {
            program = program.env(name, value);
        }
        for (name, secret) in secrets {
            program = program.env(name, secret.expose());
        }
        self.processes
            .run(program, self.cancel, on_output)
            .await
            .map(drop)
            .map_err(|error| failed(arguments, error))
    }
}

/// The application's variables as the node's own file has them.
pub fn node_variables(app: &App) -> Result<BTreeMap<String, String>, CallError> {
    let path = &app.environment_file;
    let text = std::fs::read_to_string(path)
        .map_err(|error| CallError::failed(format!("{} cannot be read", path.display())).because(error))?;
    variables(&text)
        .map_err(|line| CallError::failed(format!("{}: line {line} is not KEY=VALUE", path.display())))
}

fn failed(arguments: &[String], error: ProcessError) -> CallError {
    CallError::from(error).context(format!("the console command {} failed", shown(arguments)))
}

/// The command as it may be shown: what stands in an option that sounds like a secret is left out.
pub fn shown(arguments: &[String]) -> String {
    let secret = |name: &str| ["password", "token", "secret"].iter().any(|word| name.contains(word));
    let mut hide_next = false;
    let words = arguments.iter().map(|argument| {
        let hide = std::mem::take(&mut hide_next);
        match argument.split_once('=') {
            _ if hide => "***".to_owned(),
            Some((name, _)) if name.starts_with('-') && secret(name) => format!("{name}=***"),
            None if argument.starts_with("--") && secret(argument) => {
                hide_next = true;
                argument.clone()
            }
            _ if argument.contains(char::is_whitespace) || argument.is_empty() => format!("'{argument}'"),
            _ => argument.clone(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Lines of `KEY=VALUE`; the value is taken as it stands, with one pair of quotes around it removed. An error is the
/// number of the line.
fn variables(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').filter(|(name, _)| is_variable(name)).ok_or(index + 1)?;
        let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        variables.insert(name.to_owned(), unquoted.unwrap_or(value).to_owned());
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_variables_are_read() {
        let read =
            variables("# comment\nA=1\n\nORO_DB_URL=postgres://u:p@h/db?x=1\nQ=\"two words\"\nE=\n").unwrap();
        assert_eq!(read["ORO_DB_URL"], "postgres://u:p@h/db?x=1");
        assert_eq!(read["Q"], "two words");
        assert_eq!(read["E"], "");
        assert_eq!(variables("A=1\nexport B=2\n"), Err(2));
        assert_eq!(variables("nothing"), Err(1));
    }

    #[test]
    fn secrets_are_not_shown() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            shown(&words("oro:install --user-password=hunter2 --api-token hunter2 --env=prod")),
            "oro:install --user-password=*** --api-token *** --env=prod"
        );
        assert_eq!(shown(&["a".into(), "b c".into()]), "a 'b c'");
    }
}
