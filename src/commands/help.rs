//! `help`: of a command, and pages that belong to no command.

use clap::Parser;
use orocloud_protocol::CallError;

use super::{COMMANDS, Context, Outcome, Run, listing};
use crate::cli::{argv, tree_of};
use crate::output::Style;

/// Show help: of a command, or `exit-codes`, `config`, `times`
///
/// Without an argument, lists the commands.
#[derive(Debug, Parser)]
pub struct Help {
    /// A command, a topic, or exit-codes, config, times
    #[arg(value_name = "SUBJECT")]
    subject: Vec<String>,
}

/// What each exit code means; the same for every command.
pub const EXIT_CODES: &str = "\
Exit codes, the same for every command:
  0  done, also when there was nothing to do or to list; a stream was ended by Ctrl-C
  1  the operation failed
  2  wrong usage
  3  not signed in: no certificate, or one that is expired, not yet valid or refused
  4  not permitted: the role does not suffice
  5  environment unreachable, connection not regained, host not trusted, or protocol mismatch
  6  locked by another operation
  7  refused or cancelled: a confirmation was not given, a guard said no, somebody cancelled
  8  stopped watching and the operation STILL RUNS: timeout, detached by Ctrl-C, connection lost
  9  a check found problems: status

log:view --follow and operation:wait give the exit code of the operation they follow.";

/// The keys of the configuration.
pub const CONFIG: &str = "\
Configuration: /etc/orocloud/config.toml, then ~/.config/orocloud/config.toml, which adds to it key by key.
The variable OROCLOUD_CONFIG=FILE replaces both.

  default = \"acme-prod1\"                 # used without -E and OROCLOUD_ENV

  [environments.acme-prod1]
  address = \"maint1.acme-prod1.example\"  # name or address of the maintenance node
  port = 22
  user = \"orocloud\"
  host = \"acme-prod1-maint1\"             # principal that its host certificate must have
  host_ca = \"ssh-ed25519 AAAA…\"          # who signs host certificates; a list for several;
                                         # or host_ca_file = \"FILE\", one key a line;
                                         # or host_key = \"ssh-ed25519 AAAA…\", one plain host key
  key = \"~/.ssh/id_ed25519\"              # without it the ssh-agent is asked
  certificate = \"~/.ssh/id_ed25519-cert.pub\"   # default: KEY-cert.pub; with the agent: any that fits
  agent = true                           # ask the ssh-agent although a key is named
  user_ca = \"ssh-ed25519 AAAA…\"          # who signs your certificates, to notice a wrong one early
  reconnect_for = \"2m\"                   # how long a lost connection is tried again
  local = \"/run/orocloud/local.sock\"     # instead of address: the agent's socket on this machine

Relative names of files belong to the folder of the configuration. On a maintenance node no configuration is needed.";

/// How points in time are written.
pub const TIMES: &str = "\
Points in time need an offset, Z or the name of a time zone; a bare local time is refused with its two readings.
  2026-11-24T10:32:00Z
  2026-11-24T12:32:00+02:00
  \"2026-11-24 12:32 Europe/Kyiv\"

Durations: 90s, 15m, 48h, 1d3h15m, 2w; a bare number is seconds.";

impl Run for Help {
    fn run(self, context: &mut Context) -> Outcome {
        let words: Vec<&str> = self.subject.iter().map(String::as_str).collect();
        let text = match words.as_slice() {
            [] => listing(None, |topic| context.ui.paint(Style::Heading, topic)),
            ["exit-codes"] => EXIT_CODES.to_owned(),
            ["config"] => CONFIG.to_owned(),
            ["times"] => TIMES.to_owned(),
            words => {
                let name = words.join(":");
                match argv::find(&name) {
                    Some(entry) => {
                        let mut tree = tree_of(entry);
                        tree.build();
                        let mut sub = tree.find_subcommand(entry.name).cloned().unwrap_or_default();
                        sub.render_long_help().to_string().trim_end().to_owned()
                    }
                    None if COMMANDS.iter().any(|entry| entry.topic() == name) => {
                        listing(Some(&name), |topic| context.ui.paint(Style::Heading, topic))
                    }
                    None => {
                        return Err(CallError::usage(format!("there is no help on `{name}`"))
                            .hint("see the commands: orocloud-cli")
                            .hint("see what exit codes mean: orocloud-cli help exit-codes")
                            .into());
                    }
                }
            }
        };
        context.ui.line(&text)?;
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orocloud_protocol::ErrorKind;

    #[test]
    fn every_exit_code_there_is_has_a_line() {
        for kind in [
            ErrorKind::Failed,
            ErrorKind::Usage,
            ErrorKind::NotSignedIn,
            ErrorKind::NotPermitted,
            ErrorKind::Unreachable,
            ErrorKind::Locked,
            ErrorKind::Refused,
            ErrorKind::StillRunning,
            ErrorKind::CheckFailed,
        ] {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", kind.exit_code())), "{kind:?}");
        }
    }

    #[test]
    fn the_example_configuration_is_one() {
        let text: String = CONFIG
            .lines()
            .filter(|line| line.starts_with("  ") && !line.trim_start().starts_with('#'))
            .filter(|line| !line.contains("…") && !line.contains("local ="))
            .map(|line| format!("{}\n", line.trim()))
            .collect();
        let file = toml::de::DeTable::parse(&text);
        assert!(file.is_ok(), "{text}\n{file:?}");
    }
}
