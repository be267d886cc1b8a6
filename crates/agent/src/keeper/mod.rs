//! What holds the database up: plain PostgreSQL now, Patroni in a later version. One small interface, one contract
//! suite (`contract.rs`) that any keeper passes.
//!
//! Every act may be run again after a crash at any point; nothing live is touched before [`Keeper::swap`].

mod archive;
mod folders;
mod plain;
mod replay;
mod room;
mod rows;
mod swap;

#[cfg(test)]
pub(crate) mod contract;

use jiff::Timestamp;
use orocloud_protocol::backup::TableRows;
use orocloud_protocol::node::{Accepted, AsideCopy, KeptFolder, Marker, Probe, Replayed, Swapped};
use orocloud_protocol::{CallError, CallId, ContentHash};
use tokio_util::sync::CancellationToken;

use crate::environment::{Database, KeeperKind};
use crate::nodes::NodeRef;
use crate::operations::EventSink;

pub use plain::Plain;

/// What holds the database of this node up.
#[derive(Debug)]
pub enum Keeper<'a> {
    /// One server, held up by the service manager.
    Plain(Plain<'a>),
}

/// How the live database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it answers.
    pub running: bool,
    /// Its timeline, from the server or else from the control file; absent when neither can be read.
    pub timeline: Option<u32>,
}

/// What surrounds an act.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The operation.
    pub operation: CallId,
    /// For output and progress.
    pub events: &'a EventSink,
    /// Set when the operation is cancelled.
    pub cancel: &'a CancellationToken,
}

impl<'a> Keeper<'a> {
    /// The keeper of this node's database.
    pub fn of(node: &'a NodeRef) -> Result<Self, CallError> {
        let config: &Database = node.config.database.as_ref().ok_or_else(|| {
            CallError::failed(format!("node {} keeps no database", node.config.node))
                .hint("give it a section [database] in agent.toml")
        })?;
        match node.config.environment.keeper {
            KeeperKind::Postgresql => Ok(Self::Plain(Plain::new(node, config))),
        }
    }

    /// How the live database is.
    pub async fn health(&self) -> Result<Health, CallError> {
        match self {
            Self::Plain(plain) => plain.health().await,
        }
    }

    /// Starts the live database and waits until it answers.
    pub async fn start(&self) -> Result<(), CallError> {
        match self {
            Self::Plain(plain) => plain.start().await,
        }
    }

    /// Stops the live database, fast, and waits for its end.
    pub async fn stop(&self) -> Result<(), CallError> {
        match self {
            Self::Plain(plain) => plain.stop().await,
        }
    }

    /// Refuses where the live database has no room to go on once a segment of its log is closed: it would fall, and the
    /// shop with it.
    pub async fn has_room(&self) -> Result<(), CallError> {
        match self {
            Self::Plain(plain) => plain.has_room().await,
        }
    }

    /// Commits a marker and waits until it is archived; not committed when the live database is dead.
    pub async fn marker(&self) -> Result<Marker, CallError> {
        match self {
            Self::Plain(plain) => plain.marker().await,
        }
    }

    /// Restores the base of a copy beside the live data, unless it lies there already.
    pub async fn restore_aside(&self, copy: &AsideCopy, around: &Circumstances<'_>) -> Result<(), CallError> {
        match self {
            Self::Plain(plain) => plain.restore_aside(copy, around).await,
        }
    }

    /// Whether the base of a copy is complete.
    pub async fn probe_aside(&self, copy: &AsideCopy) -> Result<Probe, CallError> {
        match self {
            Self::Plain(plain) => plain.probe_aside(copy).await,
        }
    }

    /// Removes a copy. What an earlier restore replaced is never removed by this.
    pub async fn discard(&self, copy: &AsideCopy) -> Result<(), CallError> {
        match self {
            Self::Plain(plain) => plain.discard(copy).await,
        }
    }

    /// Starts a copy privately and replays it to its target, where it pauses. `until` is a WAL location that is
    /// known to lie behind the target, for the progress.
    pub async fn replay(
        &self,
        copy: &AsideCopy,
        until: Option<&str>,
        around: &Circumstances<'_>,
    ) -> Result<Replayed, CallError> {
        match self {
            Self::Plain(plain) => plain.replay(copy, until, around).await,
        }
    }

    /// Whether a copy stands at its target now.
    pub async fn probe_replay(&self, copy: &AsideCopy) -> Result<Probe, CallError> {
        match self {
            Self::Plain(plain) => plain.probe_replay(copy).await,
        }
    }

    /// Rows of every table in the copy, and in the live database. Every database of the copy is connected to.
    pub async fn look(
        &self,
        copy: &AsideCopy,
        around: &Circumstances<'_>,
    ) -> Result<Vec<TableRows>, CallError> {
        match self {
            Self::Plain(plain) => plain.look(copy, around).await,
        }
    }

    /// Stops a copy and leaves it where it is.
    pub async fn rest(&self, copy: &AsideCopy) -> Result<(), CallError> {
        match self {
            Self::Plain(plain) => plain.rest(copy).await,
        }
    }

    /// Ends the recovery of a copy on a timeline of its own and stops it.
    pub async fn accept(&self, copy: &AsideCopy, around: &Circumstances<'_>) -> Result<Accepted, CallError> {
        match self {
            Self::Plain(plain) => plain.accept(copy, around).await,
        }
    }

    /// Whether a copy is accepted.
    pub async fn probe_accept(&self, copy: &AsideCopy) -> Result<Probe, CallError> {
        match self {
            Self::Plain(plain) => plain.probe_accept(copy).await,
        }
    }

    /// Waits until the live database can be stopped quickly.
    pub async fn archive(&self, around: &Circumstances<'_>) -> Result<(), CallError> {
        match self {
            Self::Plain(plain) => plain.archive(around).await,
        }
    }

    /// Puts a copy in the place of the live data, which is kept under the operation's id so long. When the database does
    /// not come up from the copy, everything is put back before this fails.
    pub async fn swap(
        &self,
        copy: &AsideCopy,
        keep_until: Timestamp,
        around: &Circumstances<'_>,
    ) -> Result<Swapped, CallError> {
        match self {
            Self::Plain(plain) => plain.swap(copy, keep_until, around).await,
        }
    }

    /// How far the swap of this operation is.
    pub async fn probe_swap(&self, operation: CallId) -> Result<Probe, CallError> {
        match self {
            Self::Plain(plain) => plain.probe_swap(operation).await,
        }
    }

    /// Puts the live data of before the swap back.
    pub async fn swap_back(&self, operation: CallId) -> Result<(), CallError> {
        match self {
            Self::Plain(plain) => plain.swap_back(operation).await,
        }
    }

    /// What restores replaced and is still kept.
    pub async fn kept(&self) -> Result<Vec<KeptFolder>, CallError> {
        match self {
            Self::Plain(plain) => plain.kept().await,
        }
    }

    /// Complete copies beside the live data, by name.
    pub async fn copies(&self) -> Result<Vec<ContentHash>, CallError> {
        match self {
            Self::Plain(plain) => plain.copies().await,
        }
    }

    /// Removes kept data whose time was over at `now`, except this operation's, and copies that nobody used since
    /// `copies_before`.
    pub async fn tidy(&self, own: CallId, now: Timestamp, copies_before: Timestamp) -> Result<(), CallError> {
        match self {
            Self::Plain(plain) => plain.tidy(own, now, copies_before).await,
        }
    }
}
