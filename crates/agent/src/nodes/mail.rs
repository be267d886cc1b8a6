//! Mail on this node: the configurations of Postfix, the one that holds and those beside it.
//!
//! Each is a folder named by the operation that made it, with the document it was made from (`settings.json`, for the
//! agent and root alone), `main.cf`, `master.cf` and maps. `config` links to the one that holds; what is to hold is switched
//! with it, in one step.

pub mod dns;
pub mod log;
pub mod signing;
pub mod switch;
pub mod watch;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use orocloud_protocol::node::{MailHistoryParams, MailListedAnswer, MailListedParams, MailQueueParams};
use orocloud_protocol::smtp::{HistoryAnswer, QueueAnswer, RelayInfo, ShowAnswer};
use orocloud_protocol::{CallError, CallId, EnvironmentType, ErrorKind, NodeName};
use serde::Deserialize;

use self::log::Ledger;
use super::NodeRef;
use crate::app_config;
use crate::engines::postfix::configuration::{
    AUTHORITIES, REPLIES, REPLIES_FILE, authority_file, before_main_cf, is_client_in_chroot, main_cf, maps,
    without_ours,
};
use crate::engines::{opendkim, postfix};
use crate::environment::{Postfix, Signer};
use crate::mail_settings::{Desired, FORMAT};

/// The document that a configuration was made from.
const SETTINGS: &str = "settings.json";

/// So many messages fit into a line of the wire, whatever is said of them.
const MOST_AT_ONCE: usize = 250;

/// In a configuration that the agent itself made, until Postfix has read it: the name of the one before.
const UNREAD: &str = "unread";

/// What no configuration has led to for so long is removed by the agent itself; an operation that still runs may go back
/// to the one that it found.
const KEPT: Duration = Duration::from_secs(24 * 3600);

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
        self.document(&self.current()?)
    }

    /// The document of the operation's candidate.
    pub fn candidate(&self, operation: CallId) -> Result<Desired, CallError> {
        self.read(&operation.to_string())?
            .ok_or_else(|| CallError::failed(format!("operation {operation} has no candidate here")))
    }

    /// The document of the configuration of this name.
    pub fn document(&self, name: &str) -> Result<Desired, CallError> {
        Ok(self.read(name)?.unwrap_or_default())
    }

    fn read(&self, name: &str) -> Result<Option<Desired>, CallError> {
        read_settings(&self.folder(name).join(SETTINGS))
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
    pub fn write(
        &self,
        operation: CallId,
        kind: EnvironmentType,
        signer: Option<&Signer>,
    ) -> Result<(PathBuf, Desired), CallError> {
        let desired = self.candidate(operation)?;
        let folder = self.folder(&operation.to_string());
        let base = |file: &str| {
            let path = self.postfix.base.join(file);
            fs::read_to_string(&path).map_err(|error| failed(&path, "read", &error))
        };
        let (own, master) = (base("main.cf")?, base("master.cf")?);
        let mut ours = main_cf(&desired, kind, &folder);
        let write = |file: &str, content: &str, mode: u32| {
            let path = folder.join(file);
            orocloud_durable::write(&path, content.as_bytes(), mode)
                .map_err(|error| failed(&path, "written", &error))
        };
        for relay in &desired.relays {
            if let Some(ca) = &relay.ca {
                if is_client_in_chroot(&master) {
                    return Err(CallError::failed(format!(
                        "the authorities of relay {} (--ca-file) cannot be seen from the chroot that Postfix's smtp runs in",
                        relay.name
                    ))
                    .hint("the machine's administrator can set chroot to n for `smtp unix` in its master.cf; nothing has changed"));
                }
                write(&authority_file(relay), ca, 0o644)?;
            }
        }
        if ours.contains(AUTHORITIES) {
            fs::metadata(AUTHORITIES).map_err(|error| failed(Path::new(AUTHORITIES), "read", &error))?;
        }
        write(REPLIES_FILE, REPLIES, 0o644)?;
        for map in maps(&desired, &folder) {
            write(map.file, &map.content(), if map.secret { 0o600 } else { 0o644 })?;
        }
        if let Some(signer) = signer {
            for key in &desired.signing {
                let file = signer.private_key(&key.domain, &key.selector);
                // The signer would say so of each message, and to nobody.
                fs::metadata(&file).map_err(|error| failed(&file, "read", &error))?;
            }
            for (file, content) in opendkim::tables(signer, &desired.signing) {
                write(file, &content, 0o644)?;
            }
            ours.push_str(&opendkim::main_cf(&signer.socket, &desired.signing));
        }
        write("master.cf", &master, 0o644)?;
        let before = before_main_cf(&own, &desired, self.postfix.patience(), &folder);
        let main = before + &without_ours(&own, &ours) + &ours;
        // Without it the folder is no configuration, so it comes last.
        write("main.cf", &main, 0o644)?;
        Ok((folder, desired))
    }

    /// Lets this one hold.
    pub fn switch_to(&self, name: &str) -> Result<(), CallError> {
        let link = self.postfix.config();
        let main = self.folder(name).join("main.cf");
        fs::metadata(&main).map_err(|error| failed(&main, "read", &error))?;
        // The one that held is as old as the moment in which it was left.
        if let Ok(left) = self.current().map(|left| self.folder(&left))
            && let Ok(left) = fs::File::open(left)
        {
            let _ = left.set_modified(SystemTime::now());
        }
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

    /// Removes those that were left long ago.
    pub fn tidy_old(&self) -> Result<(), CallError> {
        let all = &self.postfix.configurations;
        let current = self.current()?;
        let entries = fs::read_dir(all).map_err(|error| failed(all, "listed", &error))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(metadata) = entry.metadata() else { continue };
            let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            if metadata.is_dir() && name != current && age.is_some_and(|age| age > KEPT) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Notes in the document that holds what changes nothing of Postfix's configuration.
    pub fn note(&self, desired: &Desired) -> Result<(), CallError> {
        let path = self.folder(&self.current()?).join(SETTINGS);
        orocloud_durable::write_json(&path, desired, 0o600).map_err(|error| failed(&path, "written", &error))
    }

    /// Notes that Postfix has not read a configuration yet, and the one to go back to when it cannot work by it.
    pub fn set_unread(&self, name: &str, before: &str) -> Result<(), CallError> {
        let path = self.folder(name).join(UNREAD);
        orocloud_durable::write(&path, before.as_bytes(), 0o600)
            .map_err(|error| failed(&path, "written", &error))
    }

    /// Notes that Postfix has read a configuration.
    pub fn set_read(&self, name: &str) -> Result<(), CallError> {
        let path = self.folder(name).join(UNREAD);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path, "removed", &error)),
            _ => Ok(()),
        }
    }

    /// Whether Postfix may not have read the one that holds.
    pub fn is_unread(&self) -> Result<bool, CallError> {
        Ok(self.folder(&self.current()?).join(UNREAD).exists())
    }

    /// The one to go back to from any other: the one that holds, or the one before it while nobody knows whether Postfix
    /// can work by that one.
    pub fn to_go_back_to(&self) -> Result<String, CallError> {
        let current = self.current()?;
        let path = self.folder(&current).join(UNREAD);
        let before = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(current),
            before => before.map_err(|error| failed(&path, "read", &error))?,
        };
        // A former agent named none.
        let is_one = Path::new(&before).file_name().is_some_and(|name| name == before.as_str())
            && self.folder(&before).join("main.cf").exists();
        Ok(if is_one { before } else { current })
    }
}

/// The document at this path.
fn read_settings(path: &Path) -> Result<Option<Desired>, CallError> {
    /// What every format has.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let content = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content.map_err(|error| failed(path, "read", &error))?,
    };
    let wrong = |error: serde_json::Error| failed(path, "read", &error);
    // Looked at first: of the rest of a newer format nothing is known.
    let Format { format } = serde_json::from_slice(&content).map_err(wrong)?;
    if format > FORMAT {
        let text = format!("{} has format {format}, this agent reads {FORMAT}", path.display());
        return Err(CallError::failed(text).hint("upgrade the agent on this node"));
    }
    serde_json::from_slice(&content).map(Some).map_err(wrong)
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
    let now = Timestamp::now();
    let (relays, counts) = how_they_fare(node, postfix, &desired, move |ledger| ledger.counts(now)).await?;
    let recipients = desired.recipients(node.config.environment.kind);
    let sender_domains = dns::sender_domains(node, &desired);
    let unsigned = dns::unsigned(node).await;
    let counts = Some(counts);
    Ok(ShowAnswer { relays, recipients, sender_domains, unsigned, waiting, counts, silent: Vec::new() })
}

/// The relays with what Postfix's log and looks at them tell, and whatever else is asked of the log.
pub async fn how_they_fare<T: Send + 'static>(
    node: &NodeRef,
    postfix: &Postfix,
    desired: &Desired,
    ask: impl FnOnce(&Ledger) -> T + Send + 'static,
) -> Result<(Vec<RelayInfo>, T), CallError> {
    let mut relays = desired.infos();
    node.relays.tell(&mut relays);
    let asking = move |ledger: &Ledger| {
        ledger.fares(&mut relays);
        (relays, ask(ledger))
    };
    node.mail_log.read(&postfix.log, asking).await
}

/// `node.mail-history`
pub async fn history(node: &NodeRef, params: MailHistoryParams) -> Result<HistoryAnswer, CallError> {
    let postfix = section(node)?;
    let doubtful = params.doubtful;
    let (skip, take) = part(params.skip, params.take);
    node.mail_log.read(&postfix.log, move |ledger| ledger.history(doubtful, skip, take)).await
}

/// `node.mail-queue`
pub async fn queue(node: &NodeRef, params: MailQueueParams) -> Result<QueueAnswer, CallError> {
    let all = postfix::queue(&node.processes, section(node)?).await?;
    let (skip, take) = part(params.skip, params.take);
    let total = all.len() as u64;
    Ok(QueueAnswer { items: all.into_iter().skip(skip).take(take).collect(), total, silent: Vec::new() })
}

/// Of a list that can be longer than a line of the wire.
fn part(skip: u64, take: u64) -> (usize, usize) {
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    (skip, usize::try_from(take).unwrap_or(MOST_AT_ONCE).min(MOST_AT_ONCE))
}

/// `node.mail-listed`
pub fn listed(node: &NodeRef, params: &MailListedParams) -> Result<MailListedAnswer, CallError> {
    let config = &node.config;
    let app = config
        .app
        .as_ref()
        .ok_or_else(|| CallError::failed(format!("{} has no [app] in its agent.toml", config.node)))?;
    let release = app.release(&params.release);
    if !release.exists() {
        let text = format!("release {} is not on {}", params.release, config.node);
        return Err(CallError::new(ErrorKind::NotFound, text));
    }
    let read = app_config::load(Some(&app.orocloud_yaml()), &release, config.environment.kind)?;
    Ok(MailListedAnswer { whitelist: read.mail.whitelist })
}

/// This node's part of the configuration as a mail node.
pub fn section(node: &NodeRef) -> Result<&Postfix, CallError> {
    let config = &node.config;
    config
        .postfix
        .as_ref()
        .ok_or_else(|| CallError::failed(format!("{} has no [postfix] in its agent.toml", config.node)))
}

/// The step in which a web node sends a message.
pub fn send_step(web: &NodeName) -> String {
    format!("mail:send:{web}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_newer_format_are_named_whatever_else_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SETTINGS);
        assert_eq!(read_settings(&path).unwrap(), None);
        orocloud_durable::write_json(&path, &Desired::default(), 0o600).unwrap();
        assert_eq!(read_settings(&path).unwrap(), Some(Desired::default()));
        for (content, said) in [
            ("{\"format\": 99, \"what\": [\"nobody\", \"knows\"]}", "has format 99, this agent reads"),
            ("{\"format\": 1, \"relays\": [{\"password\": \"hunter2\"}]}", "cannot be read"),
            ("{\"relays\": []}", "cannot be read"),
            ("{", "cannot be read"),
        ] {
            fs::write(&path, content).unwrap();
            let error = read_settings(&path).unwrap_err();
            assert!(error.message.contains(said) && !error.to_string().contains("hunter2"), "{error}");
        }
    }
}
