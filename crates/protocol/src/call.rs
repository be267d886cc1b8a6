//! What a call is.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Role;

/// One method of the wire.
pub trait Call {
    /// The name on the wire, for instance `backup.restore`.
    const METHOD: &'static str;
    /// How it answers.
    const KIND: Kind;
    /// The least role that may make it.
    const ROLE: Role;
    /// What it takes; unknown fields are refused.
    type Params: Serialize + DeserializeOwned;
    /// What its response holds.
    type Answer: Serialize + DeserializeOwned;

    /// The locks it holds from its first step to its last. Queries and streams take none.
    fn locks(_params: &Self::Params) -> Vec<Lock> {
        Vec::new()
    }
}

/// How a call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// At once.
    Query,
    /// With events until either side ends it.
    Stream,
    /// As an operation: it has locks, a journal, and outlives its caller.
    Operation,
}

/// What operations exclude each other from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Releases and what runs from them.
    Code,
    /// The database and media.
    Data,
    /// Recovery points and their repositories.
    Backups,
    /// The relay's configuration.
    Mail,
    /// The maintenance page.
    Page,
}

impl Resource {
    /// All of them, in the order in which they are locked.
    pub const ALL: [Self; 5] = [Self::Code, Self::Data, Self::Backups, Self::Mail, Self::Page];

    /// The word in messages and file names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Data => "data",
            Self::Backups => "backups",
            Self::Mail => "mail",
            Self::Page => "page",
        }
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// With others that only read the resource.
    Shared,
    /// Alone.
    Exclusive,
}

/// A resource and how it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What.
    pub resource: Resource,
    /// How.
    pub mode: LockMode,
}

impl Lock {
    /// Held with other readers.
    pub const fn shared(resource: Resource) -> Self {
        Self { resource, mode: LockMode::Shared }
    }

    /// Held alone.
    pub const fn exclusive(resource: Resource) -> Self {
        Self { resource, mode: LockMode::Exclusive }
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// From 1.
    pub page: u32,
    /// At most this many rows a page; from 1 to 1000.
    pub per_page: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self { page: 1, per_page: 25 }
    }
}

impl Page {
    /// The part of `items` on this page; empty beyond the last one.
    pub fn of<T: Clone>(self, items: &[T]) -> Vec<T> {
        let per_page = self.per_page.clamp(1, 1000) as usize;
        items
            .iter()
            .skip((self.page.max(1) as usize - 1).saturating_mul(per_page))
            .take(per_page)
            .cloned()
            .collect()
    }
}
