//! This node's own logs: `node.log-sources` and `node.log-tail`.
//!
//! A **source** has files; a file and what rotation made of its earlier contents is a **chain**. History is the
//! **spans** of chains that are wanted, merged by time; following goes on where they end.

mod block;
pub(super) mod chain;
pub mod cursor;
pub(super) mod entry;
pub mod filter;
mod follow;
mod history;
mod level;
mod reading;
mod search;
mod span;
mod tail;
#[cfg(test)]
mod tests;
pub(super) mod time;
mod watch;

use std::collections::BTreeMap;

use jiff::Timestamp;
use orocloud_protocol::log::{LogSource, TailAnswer};
use orocloud_protocol::node::{LogSourcesAnswer, LogTailParams};
use orocloud_protocol::{CallError, EventBody, NodeName, SourceName};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::environment::LogFiles;
use crate::nodes::NodeRef;
use chain::Chain;
pub use watch::Watch;

/// The logs of this node, with their sizes.
pub async fn sources(node: &NodeRef) -> Result<LogSourcesAnswer, CallError> {
    let logs = Logs::new(node);
    tokio::task::spawn_blocking(move || logs.sources())
        .await
        .map_err(|error| CallError::internal("listing logs ended early").because(error))
}

/// Sends the entries of this node's logs until there are no more, or, when it follows, until `end` is set or the
/// receiver is gone. Waits whenever `events` is full: a capacity of 64 is plenty, since the files themselves are
/// the queue.
///
/// First comes an `item` of the form `{"cursor": "…"}`: where it begins. The cursor of an entry is that of its own file
/// alone; the cursors of the item and of the answer hold all files. A `progress` now and then says that it is still
/// searching.
pub async fn tail(
    node: &NodeRef,
    params: LogTailParams,
    events: mpsc::Sender<EventBody>,
    end: CancellationToken,
) -> Result<TailAnswer, CallError> {
    tail::run(Logs::new(node), params, events, end).await
}

/// [`tail`] of these logs, without the rest of a node.
#[cfg(test)]
pub(crate) async fn tail_of(
    node: NodeName,
    logs: &BTreeMap<SourceName, LogFiles>,
    params: LogTailParams,
    events: mpsc::Sender<EventBody>,
    end: CancellationToken,
) -> Result<TailAnswer, CallError> {
    tail::run(Logs::of(node, logs), params, events, end).await
}

/// [`sources`] of these logs, without the rest of a node.
#[cfg(test)]
pub(crate) fn sources_of(node: NodeName, logs: &BTreeMap<SourceName, LogFiles>) -> LogSourcesAnswer {
    Logs::of(node, logs).sources()
}

/// An entry of this size waits until all before it are taken, so that a queue never holds two of them.
const LARGE: usize = 8 * 1024;

/// Bytes of memory that an event takes, about: of a short line, what is around it takes most.
pub fn weight(event: &EventBody) -> usize {
    const AROUND: usize = 512;
    match event {
        EventBody::Log { line, .. } => AROUND + line.len(),
        EventBody::LogBlock { data, .. } => AROUND + data.len(),
        _ => AROUND,
    }
}

/// Puts an event into a queue, once there is room. False when `end` is set or nobody takes anything any more.
pub async fn queue(events: &mpsc::Sender<EventBody>, event: EventBody, end: &CancellationToken) -> bool {
    let large = weight(&event) > LARGE;
    let room = if large { events.max_capacity() } else { 1 };
    let permit = tokio::select! {
        biased;
        () = end.cancelled() => None,
        permits = events.reserve_many(room) => permits.ok().and_then(|mut permits| permits.next()),
    };
    permit.map(|permit| permit.send(event)).is_some()
}

/// What there is to read, and how.
#[derive(Clone, Debug)]
struct Logs {
    node: NodeName,
    chains: Vec<Chain>,
    limits: follow::Limits,
    zone: jiff::tz::TimeZone,
}

impl Logs {
    fn new(node: &NodeRef) -> Self {
        Self::of(node.config.node.clone(), &node.config.logs)
    }

    fn of(node: NodeName, logs: &BTreeMap<SourceName, LogFiles>) -> Self {
        let chains = logs
            .iter()
            .flat_map(|(source, log)| log.files.iter().map(|file| Chain::new(source.clone(), file.clone())))
            .collect();
        Self { node, chains, limits: follow::Limits::default(), zone: jiff::tz::TimeZone::system() }
    }

    fn sources(&self) -> LogSourcesAnswer {
        let mut items: Vec<LogSource> = Vec::new();
        for chain in &self.chains {
            let (mut bytes, mut modified_at): (u64, Option<Timestamp>) = (0, None);
            // A log that cannot be looked at is listed all the same; following it says why.
            for link in chain.links().unwrap_or_default() {
                bytes += link.size;
                modified_at = modified_at.max(Some(link.modified));
            }
            match items.last_mut().filter(|item| item.source == chain.source) {
                Some(item) => {
                    item.bytes += bytes;
                    item.modified_at = item.modified_at.max(modified_at);
                }
                None => {
                    let (source, node) = (chain.source.clone(), self.node.clone());
                    items.push(LogSource { source, node, bytes, modified_at });
                }
            }
        }
        LogSourcesAnswer { items }
    }
}
