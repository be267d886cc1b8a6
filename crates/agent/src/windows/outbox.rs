//! The outbox: mail about announced windows, sent at least once to everybody who is to be told.
//!
//! What is to be told stands in `windows.json`, written in one piece with the window itself. For each version of a window
//! the agent writes one file, `outbox/ID-SEQUENCE.json`, with the message as it is sent, and marks in it who has it: a
//! mark is on disk before the next message goes out. So a message goes twice to somebody only if the agent dies between
//! the server's word that it is taken and the mark. What cannot be sent is tried again, after pauses that grow, for ever.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::CallError;
use serde::{Deserialize, Serialize};

use super::{Notice, message, notices};
use crate::engines::smtp;
use crate::environment::Agent;
use crate::nodes::logs::Watch;
use crate::operations::failpoint;
use crate::server::DaemonRef;

/// The newest format of a file that this build reads.
const FORMAT: u32 = 1;

/// The longest pause between two attempts.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(15);

/// Where folders cannot be watched, it is looked so often for what is new.
const LOOK: Duration = Duration::from_secs(5);

/// One message, and who has it.
#[derive(Debug, Serialize, Deserialize)]
struct Queued {
    format: u32,
    message_id: String,
    message: String,
    marks: BTreeMap<String, Mark>,
}

/// What became of a message for one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When the server took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// How often it was tried in vain.
    #[serde(default)]
    pub failures: u32,
    /// When the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Timestamp>,
    /// What was said then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Mark {
    /// When it is to be tried.
    fn due_at(&self) -> Timestamp {
        let Some(failed_at) = self.failed_at else { return Timestamp::MIN };
        // One second, two, four, …
        let pause =
            SignedDuration::from_secs(1 << self.failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
        failed_at.checked_add(pause).unwrap_or(failed_at)
    }
}

/// A message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The window.
    pub window: String,
    /// Its version.
    pub sequence: u32,
    /// Since when they are to be told.
    pub since: Timestamp,
    /// Who.
    pub address: String,
    /// How far that is.
    pub mark: Mark,
}

fn path(state: &Path, notice: &Notice) -> PathBuf {
    state.join("outbox").join(format!("{}-{}.json", notice.window.id, notice.window.sequence))
}

fn read(path: &Path) -> Result<Option<Queued>, String> {
    match orocloud_durable::read_json::<Queued>(path).map_err(|error| error.to_string())? {
        Some(queued) if queued.format > FORMAT => {
            Err(format!("{}: format is {}, this agent reads {FORMAT}", path.display(), queued.format))
        }
        queued => Ok(queued),
    }
}

/// Who is to be told of what, and has been.
pub fn told(state: &Path) -> Result<Vec<Told>, CallError> {
    let mut all = Vec::new();
    for notice in notices(state)? {
        let mut marks = match read(&path(state, &notice)) {
            Ok(queued) => queued.map(|queued| queued.marks).unwrap_or_default(),
            Err(why) => return Err(CallError::failed("the outbox cannot be read").because(why)),
        };
        for address in notice.recipients {
            let mark = marks.remove(&address).unwrap_or_default();
            let (window, sequence) = (notice.window.id.clone(), notice.window.sequence);
            all.push(Told { window, sequence, since: notice.window.changed_at, address, mark });
        }
    }
    Ok(all)
}

/// What is sent, and nothing while it is not being sent.
#[derive(Debug, Default)]
pub struct Outbox {
    sending: tokio::sync::Mutex<()>,
    ends: AtomicBool,
}

/// The agent waits for so long for a message that is on its way when it ends in good order.
const END: Duration = Duration::from_secs(30);

impl Outbox {
    /// Begins nothing more, and waits for what is on its way.
    pub async fn idle(&self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = tokio::time::timeout(END, self.sending.lock()).await;
    }
}

/// Sends for as long as the agent runs.
pub async fn run(daemon: DaemonRef) {
    let state = daemon.node.config.state.clone();
    let watch = Watch::new(&[super::path(&state)]);
    loop {
        let due = pass(&daemon).await;
        let wait = match due {
            Some(due) => Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default(),
            None => Duration::MAX,
        };
        let wait = if watch.is_complete() { wait } else { wait.min(LOOK) };
        tokio::select! {
            () = watch.changed() => {}
            // The clock may be set meanwhile.
            () = tokio::time::sleep(wait.clamp(Duration::from_millis(200), Duration::from_secs(60))) => {}
        }
    }
}

/// Sends what is due, and says when something will be again.
async fn pass(daemon: &DaemonRef) -> Option<Timestamp> {
    // The work itself goes on when this future is dropped, and holds the lock till then.
    let daemon = daemon.clone();
    let sending = tokio::task::spawn_blocking(move || {
        let _sending = daemon.outbox.sending.blocking_lock();
        send_due(&daemon.node.config, &daemon.outbox.ends)
    });
    match sending.await {
        Ok(Ok(due)) => due,
        Ok(Err(error)) => {
            crate::log::line(format!("mail about maintenance windows: {error}"));
            Timestamp::now().checked_add(SignedDuration::from_secs(30)).ok()
        }
        Err(_) => None,
    }
}

/// Sends what is due; blocks.
fn send_due(config: &Agent, ends: &AtomicBool) -> Result<Option<Timestamp>, CallError> {
    let mut next: Option<Timestamp> = None;
    for notice in notices(&config.state)? {
        let path = path(&config.state, &notice);
        let cannot = |why: String| CallError::failed("the outbox cannot be kept").because(why);
        let mut queued = match read(&path).map_err(cannot)? {
            Some(queued) => queued,
            None => match queue(config, &notice, &path).map_err(cannot)? {
                Some(queued) => queued,
                None => continue,
            },
        };
        for address in &notice.recipients {
            let mark = queued.marks.get(address).cloned().unwrap_or_default();
            // A clock that was set back must not hold anything up.
            let now = Timestamp::now();
            let waits = mark.due_at() > now && mark.failed_at.is_some_and(|at| at <= now);
            if mark.sent_at.is_some() || ends.load(Ordering::Relaxed) {
                continue;
            }
            let mark = if waits { mark } else { attempt(config, &queued.message, address, mark) };
            if mark.sent_at.is_none() {
                next = Some(next.map_or(mark.due_at(), |next| next.min(mark.due_at())));
            }
            if queued.marks.get(address) != Some(&mark) {
                queued.marks.insert(address.clone(), mark);
                orocloud_durable::write_json(&path, &queued, 0o644)
                    .map_err(|error| cannot(error.to_string()))?;
                failpoint("mail", "marked");
            }
        }
    }
    Ok(next)
}

/// Writes the message of a version down; `None` where the configuration names no server.
fn queue(config: &Agent, notice: &Notice, path: &Path) -> Result<Option<Queued>, String> {
    let Some(server) = &config.mail else { return Ok(None) };
    let to: Vec<lettre::Address> =
        notice.recipients.iter().filter_map(|address| address.parse().ok()).collect();
    if to.is_empty() {
        return Ok(None);
    }
    let written = message::message(&config.environment.name, &notice.window, &server.sender()?, &to)?;
    let queued =
        Queued { format: FORMAT, message_id: written.id, message: written.text, marks: BTreeMap::new() };
    failpoint("mail", "queueing");
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        std::fs::create_dir_all(folder)
            .and_then(|()| orocloud_durable::sync_parent(folder))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    orocloud_durable::write_json(path, &queued, 0o644)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    failpoint("mail", "queued");
    Ok(Some(queued))
}

/// Sends a message to somebody and gives what is to be marked.
fn attempt(config: &Agent, message: &str, address: &str, mark: Mark) -> Mark {
    failpoint("mail", "sending");
    let outcome = match &config.mail {
        None => Err("agent.toml names no server any more: [mail]".to_owned()),
        Some(server) => server.sender().and_then(|sender| {
            let to = address.parse().map_err(|error| format!("{address}: {error}"))?;
            let hello = config.environment.full_name(&config.node);
            smtp::send(server, &hello, &sender.email, &to, message.as_bytes())
        }),
    };
    match outcome {
        Ok(()) => {
            failpoint("mail", "sent");
            crate::log::line(format!("mail about a maintenance window was taken for {address}"));
            Mark { sent_at: Some(Timestamp::now()), ..mark }
        }
        Err(why) => {
            crate::log::line(format!("mail about a maintenance window for {address} was not taken: {why}"));
            let failures = mark.failures.saturating_add(1);
            Mark { failures, failed_at: Some(Timestamp::now()), why: Some(why), sent_at: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_have_no_end() {
        let failed_at: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        for (failures, seconds) in
            [(1, 1), (2, 2), (3, 4), (8, 128), (10, 512), (11, 900), (40, 900), (u32::MAX, 900)]
        {
            let mark = Mark { failures, failed_at: Some(failed_at), ..Mark::default() };
            assert_eq!(mark.due_at().duration_since(failed_at).as_secs(), seconds, "{failures}");
        }
        assert_eq!(Mark::default().due_at(), Timestamp::MIN, "what was never tried is due");
    }
}
