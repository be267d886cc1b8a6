//! Mail on this node: the configurations of Postfix, the one that holds and those beside it.
//!
//! Each is a folder named by the operation that made it, with the document it was made from (`settings.json`, for the
//! agent and root alone), `main.cf`, `master.cf` and maps. `config` links to the one that holds; what is to hold is switched
//! with it, in one step.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orocloud_protocol::node::MailQueueAnswer;
use orocloud_protocol::smtp::{RelayInfo, ShowAnswer};
use orocloud_protocol::{CallError, CallId, EnvironmentType};

use super::NodeRef;
use super::logs::time::Times;
use crate::engines::postfix::configuration::{authority_file, main_cf, maps};
use crate::engines::postfix::log::{Status, attempt};
use crate::engines::postfix::{self, log};
use crate::environment::Postfix;
use crate::mail_settings::{Desired, FORMAT};

/// The document that a configuration was made from.
const SETTINGS: &str = "settings.json";

/// So much of the end of Postfix's log is looked through for how relays fare, in bytes.
const LOOKED_THROUGH: u64 = 1024 * 1024;

/// The folder of configurations.
#[derive(Clone, Copy, Debug)]
pub struct Configurations<'a> {
    postfix: &'a Postfix,
}

impl<'a> Configurations<'a> {
    /// As `agent.toml` names it.
    pub fn new(postfix: &'a Postfix) -> Self {
        Self { postfix }
    }

    /// The folder of one.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.postfix.configurations.join(name)
    }

    /// The name of the one that holds.
    pub fn current(&self) -> Result<String, CallError> {
        let link = self.postfix.config();
        let target = fs::read_link(&link).map_err(|error| failed(&link, "read", &error))?;
        let name = target.file_name().and_then(|name| name.to_str());
        name.map(str::to_owned)
            .ok_or_else(|| CallError::failed(format!("{} links to nothing that has a name", link.display())))
    }

    /// What holds; before anything was set nothing does.
    pub fn desired(&self) -> Result<Desired, CallError> {
        Ok(self.read(&self.current()?)?.unwrap_or_default())
    }

    /// The document of the operation's candidate.
    pub fn candidate(&self, operation: CallId) -> Result<Desired, CallError> {
        self.read(&operation.to_string())?
            .ok_or_else(|| CallError::failed(format!("operation {operation} has no candidate here")))
    }

    fn read(&self, name: &str) -> Result<Option<Desired>, CallError> {
        let path = self.folder(name).join(SETTINGS);
        let found: Option<Desired> =
            orocloud_durable::read_json(&path).map_err(|error| failed(&path, "read", &error))?;
        match found {
            Some(desired) if desired.format > FORMAT => Err(CallError::failed(format!(
                "{} has format {}, this agent reads {FORMAT}",
                path.display(),
                desired.format
            ))),
            found => Ok(found),
        }
    }

    /// Whether the operation has a candidate.
    pub fn is_staged(&self, operation: CallId) -> bool {
        self.folder(&operation.to_string()).join(SETTINGS).exists()
    }

    /// Keeps the document as the operation's candidate.
    pub fn stage(&self, operation: CallId, desired: &Desired) -> Result<(), CallError> {
        let folder = self.folder(&operation.to_string());
        let write = || {
            // Postfix's accounts pass through it to what they may read.
            DirBuilder::new().recursive(true).mode(0o711).create(&folder)?;
            orocloud_durable::sync_parent(&folder)?;
            orocloud_durable::write_json(&folder.join(SETTINGS), desired, 0o600)
        };
        write().map_err(|error| failed(&folder, "written", &error))
    }

    /// Removes the operation's candidate, unless it holds.
    pub fn drop_candidate(&self, operation: CallId) -> Result<(), CallError> {
        let name = operation.to_string();
        if self.current()? == name {
            return Err(CallError::failed(format!("the configuration {name} is the one that holds")));
        }
        self.remove(&name)
    }

    fn remove(&self, name: &str) -> Result<(), CallError> {
        let folder = self.folder(name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&folder, "removed", &error)),
            _ => Ok(()),
        }
    }

    /// Makes Postfix's configuration of a candidate; gives its folder.
    pub fn write(&self, operation: CallId, kind: EnvironmentType) -> Result<(PathBuf, Desired), CallError> {
        let desired = self.candidate(operation)?;
        let folder = self.folder(&operation.to_string());
        let base = |file: &str| {
            let path = self.postfix.base.join(file);
            fs::read_to_string(&path).map_err(|error| failed(&path, "read", &error))
        };
        let mut main = base("main.cf")?;
        if !main.ends_with('\n') {
            main.push('\n');
        }
        main.push_str(&main_cf(&desired, kind, &folder));
        let write = |file: &str, content: &str, mode: u32| {
            let path = folder.join(file);
            orocloud_durable::write(&path, content.as_bytes(), mode)
                .map_err(|error| failed(&path, "written", &error))
        };
        for relay in &desired.relays {
            if let Some(ca) = &relay.ca {
                write(&authority_file(relay), ca, 0o644)?;
            }
        }
        for map in maps(&desired, &folder) {
            write(map.file, &map.content(), if map.secret { 0o600 } else { 0o644 })?;
        }
        write("master.cf", &base("master.cf")?, 0o644)?;
        // Without it the folder is no configuration, so it comes last.
        write("main.cf", &main, 0o644)?;
        Ok((folder, desired))
    }

    /// Lets this one hold.
    pub fn switch_to(&self, name: &str) -> Result<(), CallError> {
        let link = self.postfix.config();
        orocloud_durable::replace_symlink(Path::new(name), &link)
            .map_err(|error| failed(&link, "switched", &error))
    }

    /// Removes what nobody needs any more: all but the one that holds and the one before it.
    pub fn tidy(&self, before: &str) -> Result<(), CallError> {
        let all = &self.postfix.configurations;
        let current = self.current()?;
        let entries = fs::read_dir(all).map_err(|error| failed(all, "listed", &error))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && name != current && name != before {
                self.remove(&name)?;
            }
        }
        Ok(())
    }
}

fn failed(path: &Path, verb: &str, error: &dyn std::fmt::Display) -> CallError {
    CallError::failed(format!("{} cannot be {verb}", path.display())).because(error)
}

/// `node.mail`
pub async fn show(node: &NodeRef) -> Result<ShowAnswer, CallError> {
    let postfix = section(node)?;
    let desired = Configurations::new(postfix).desired()?;
    // What is set is there to be seen also while Postfix is down.
    let waiting = postfix::queue(&node.processes, postfix).await.ok().map(|queue| queue.len() as u64);
    let mut relays = desired.infos();
    let log = log::since(&postfix.log, log::end(&postfix.log).saturating_sub(LOOKED_THROUGH));
    let log = log.map_err(|error| failed(&postfix.log, "read", &error))?;
    how_they_fare(&mut relays, &log, Times::new(TimeZone::system(), Timestamp::now()));
    Ok(ShowAnswer { relays, recipients: desired.recipients(node.config.environment.kind), waiting })
}

/// `node.mail-queue`
pub async fn queue(node: &NodeRef) -> Result<MailQueueAnswer, CallError> {
    let postfix = section(node)?;
    Ok(MailQueueAnswer { items: postfix::queue(&node.processes, postfix).await? })
}

/// This node's part of the configuration as a mail node.
pub fn section(node: &NodeRef) -> Result<&Postfix, CallError> {
    let config = &node.config;
    config
        .postfix
        .as_ref()
        .ok_or_else(|| CallError::failed(format!("{} has no [postfix] in its agent.toml", config.node)))
}

/// What Postfix's log tells of each relay.
fn how_they_fare(relays: &mut [RelayInfo], log: &str, mut times: Times) {
    for line in log.lines() {
        let tried = attempt(line);
        for relay in relays.iter_mut() {
            let is_it = |text: &str| {
                let rest = text.strip_prefix(relay.host.as_str());
                rest.is_some_and(|rest| rest.starts_with('[') && rest.ends_with(&format!("]:{}", relay.port)))
            };
            if let Some(tried) = &tried {
                match tried.status {
                    Status::Sent if is_it(tried.relay) => {
                        relay.last_taken = times.stamp(line.as_bytes()).map(|stamp| stamp.time);
                        relay.trouble = None;
                    }
                    Status::Deferred if is_it(tried.relay) => relay.trouble = Some(tried.said.to_owned()),
                    _ => {}
                }
            } else if let Some((_, rest)) = line.split_once("]: connect to ")
                && let Some((whom, why)) = rest.split_once(": ")
                && is_it(whom)
            {
                relay.trouble = Some(why.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_a_relay_counts() {
        let relay = |name: &str, port| RelayInfo {
            name: name.parse().unwrap(),
            host: "127.18.1.10".parse().unwrap(),
            port,
            tls: orocloud_protocol::smtp::RelayTls::None,
            own_authority: false,
            priority: 10,
            user: None,
            last_taken: None,
            trouble: None,
        };
        let mut relays = [relay("one", 2525), relay("other", 25)];
        let head = |second: u8| format!("Nov 28 21:20:0{second} acme-prod1-mail1 postfix/smtp[7]: ");
        let sent = |second| {
            format!(
                "{}4cPq2k0Yx1z1: to=<a@b.c>, relay=127.18.1.10[127.18.1.10]:2525, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n",
                head(second)
            )
        };
        let refused = |second| {
            format!("{}connect to 127.18.1.10[127.18.1.10]:2525: Connection refused\n", head(second))
        };
        let now: Timestamp = "2026-11-28T22:00:00Z".parse().unwrap();
        let times = || Times::new(TimeZone::UTC, now);
        how_they_fare(&mut relays, &(sent(1) + &refused(2)), times());
        let taken: Timestamp = "2026-11-28T21:20:01Z".parse().unwrap();
        assert_eq!(
            (relays[0].last_taken, relays[0].trouble.as_deref()),
            (Some(taken), Some("Connection refused"))
        );
        how_they_fare(&mut relays, &(refused(2) + &sent(3)), times());
        assert_eq!(relays[0].trouble, None, "it takes messages again");
        assert_eq!((relays[1].last_taken, &relays[1].trouble), (None, &None));
    }
}
