//! The folders beside the live one, and the notes that say what each is.
//!
//! `DATA.aside-NAME` is a copy in the making; it counts only while its note `DATA.aside-NAME.json` is there, which
//! is written last and removed first. `DATA.kept-OPERATION` is what an operation replaced, with its note. The notes
//! lie beside the folders, not inside: what lies inside would be carried into backups, and out of them again.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use orocloud_protocol::node::{AsideCopy, AsideOrigin, Replayed};
use orocloud_protocol::{CallError, CallId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engines::postgres::Identity;
use crate::process::{Account, Processes};

/// The newest format of a note that this build reads.
const FORMAT: u32 = 1;

/// What a copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AsideNote {
    format: u32,
    /// As it was asked for.
    pub copy: AsideCopy,
    /// When somebody last used it.
    pub used_at: Timestamp,
    /// Where the replay stopped.
    pub replayed: Option<Replayed>,
    /// The timeline it made when it was accepted.
    pub accepted: Option<u32>,
}

/// What a kept folder is, and how far the swap came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptNote {
    format: u32,
    /// What was put in its place.
    pub copy: AsideCopy,
    /// The folder that was live before.
    pub live: Identity,
    /// The folder that was put in its place.
    pub aside: Identity,
    /// The timeline that was left.
    pub from_timeline: u32,
    /// The timeline of the folder that was put in its place, before it was started.
    pub aside_timeline: u32,
    /// Until when it is kept. This note alone promises it: what the coordinator remembers may be lost.
    pub keep_until: Timestamp,
    /// Set when all is done.
    pub done: Option<Done>,
}

/// The end of a swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    /// When.
    pub at: Timestamp,
    /// The timeline that was live from then on.
    pub to_timeline: u32,
}

impl AsideNote {
    pub(super) fn new(copy: AsideCopy, now: Timestamp) -> Self {
        Self { format: FORMAT, copy, used_at: now, replayed: None, accepted: None }
    }
}

impl KeptNote {
    pub(super) fn new(
        copy: AsideCopy,
        live: Identity,
        aside: Identity,
        from_timeline: u32,
        aside_timeline: u32,
        keep_until: Timestamp,
    ) -> Self {
        Self { format: FORMAT, copy, live, aside, from_timeline, aside_timeline, keep_until, done: None }
    }
}

/// Names beside one data folder.
#[derive(Clone, Debug)]
pub(super) struct Folders<'a> {
    pub data: &'a Path,
    pub processes: &'a Processes,
}

/// What a name beside the data folder belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Aside(String),
    Kept(CallId),
}

impl Folders<'_> {
    /// The folder of a copy.
    pub(super) fn of(&self, copy: &AsideCopy) -> PathBuf {
        match &copy.origin {
            AsideOrigin::Backup { .. } => self.beside(&format!("aside-{}", short(copy))),
            AsideOrigin::Kept { operation } => self.kept(*operation),
        }
    }

    pub(super) fn kept(&self, operation: CallId) -> PathBuf {
        self.beside(&format!("kept-{operation}"))
    }

    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.data.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(suffix);
        self.data.with_file_name(name)
    }

    /// What lies beside the data folder, by folder or note.
    pub(super) async fn list(&self) -> Result<Vec<Beside>, CallError> {
        let parent = self.data.parent().unwrap_or(Path::new("/"));
        let names = self.processes.files(Account::Database).list(parent).await?.unwrap_or_default();
        let mut prefix = self.data.file_name().unwrap_or_default().to_string_lossy().into_owned();
        prefix.push('.');
        let mut found: Vec<Beside> = Vec::new();
        for name in names {
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else { continue };
            let rest = rest.strip_suffix(".json").unwrap_or(rest);
            let beside = if let Some(name) = rest.strip_prefix("aside-") {
                Beside::Aside(name.to_owned())
            } else if let Some(Ok(operation)) = rest.strip_prefix("kept-").map(str::parse) {
                Beside::Kept(operation)
            } else {
                continue;
            };
            if !found.contains(&beside) {
                found.push(beside);
            }
        }
        Ok(found)
    }

    /// The note on a folder; `None` when there is none, or it is of a newer format.
    pub(super) async fn note<T: DeserializeOwned>(&self, folder: &Path) -> Result<Option<T>, CallError> {
        let path = note_path(folder);
        let Some(content) = self.processes.files(Account::Database).read(&path).await? else {
            return Ok(None);
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| {
            CallError::failed(format!("{} cannot be read", path.display())).because(error)
        };
        let Format { format } = serde_json::from_slice(&content).map_err(unreadable)?;
        if format > FORMAT {
            return Err(CallError::failed(format!(
                "{} has format {format}, this agent reads {FORMAT}: it is older than the one that wrote it",
                path.display()
            )));
        }
        serde_json::from_slice(&content).map(Some).map_err(unreadable)
    }

    pub(super) async fn write_note<T: Serialize>(&self, folder: &Path, note: &T) -> Result<(), CallError> {
        let content = serde_json::to_vec_pretty(note)
            .map_err(|error| CallError::internal(format!("a note cannot be written: {error}")))?;
        self.processes.files(Account::Database).write(&note_path(folder), &content, 0o600).await
    }

    pub(super) async fn remove_note(&self, folder: &Path) -> Result<(), CallError> {
        self.processes.files(Account::Database).remove(&note_path(folder)).await
    }

    /// Whether a folder is the live one of before a swap that came neither to its end nor back: perhaps the only copy
    /// of the database, under whatever name the swap left it.
    pub(super) async fn holds_live(&self, folder: &Path) -> Result<bool, CallError> {
        let Some(identity) = Identity::of(self.processes, folder).await? else { return Ok(false) };
        for beside in self.list().await? {
            if let Beside::Kept(operation) = beside
                && let Some(note) = self.note::<KeptNote>(&self.kept(operation)).await?
                && note.done.is_none()
                && note.live == identity
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes note, then folder; never one that [`Folders::holds_live`].
    pub(super) async fn remove(&self, folder: &Path) -> Result<(), CallError> {
        if self.holds_live(folder).await? {
            return Err(CallError::refused(format!(
                "{} holds the database of before a swap that was interrupted, and is not removed",
                folder.display()
            ))
            .hint("see which restore failed, and put that folder back by hand: orocloud-cli log:list"));
        }
        self.remove_note(folder).await?;
        self.processes.files(Account::Database).remove_tree(folder).await
    }
}

/// The first 16 digits of a copy's name: enough to tell copies of one database apart.
pub(super) fn short(copy: &AsideCopy) -> &str {
    copy.name.as_str().get(..16).unwrap_or(copy.name.as_str())
}

fn note_path(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    folder.with_file_name(name)
}
