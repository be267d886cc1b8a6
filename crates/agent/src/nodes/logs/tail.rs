//! One tail: its history, then what is written from then on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::log::TailAnswer;
use orocloud_protocol::node::LogTailParams;
use orocloud_protocol::{CallError, EventBody, Unit};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Logs;
use super::cursor::{ChainCursor, NodeCursor};
use super::filter::{self, Filter};
use super::follow::{Follower, Limits, Out, Stepped};
use super::reading::{Beat, Piece, Reading, unreadable};
use super::span::Span;
use super::time::Times;
use super::watch::Watch;

/// Without a working inotify, files are looked at so often; with it, in case it misses something.
const POLL: Duration = Duration::from_millis(250);
const CHECK: Duration = Duration::from_secs(1);

/// Changes that come in quick succession are read together.
const GATHER: Duration = Duration::from_millis(1);

/// Entries of a moment may be written a little after it.
const LATE: Duration = Duration::from_secs(1);

pub(super) async fn run(
    logs: Logs,
    params: LogTailParams,
    events: mpsc::Sender<EventBody>,
    end: CancellationToken,
) -> Result<TailAnswer, CallError> {
    let grep = params.grep.as_deref().map(|grep| filter::pattern("--grep", grep)).transpose()?;
    let filter = Arc::new(Filter { since: params.since, until: params.until, level: params.level, grep });
    let after: Option<NodeCursor> = params.after_cursor.as_deref().map(str::parse).transpose()?;
    let chains = logs
        .chains
        .iter()
        .filter(|chain| params.sources.is_empty() || params.sources.contains(&chain.source));
    let logs = Logs { chains: chains.cloned().collect(), ..logs.clone() };
    let watch = params.follow.then(|| watch(&logs));
    // A block has one source; and what is followed must come at once.
    let packed = params.packed
        && !params.follow
        && logs.chains.iter().all(|chain| chain.source == logs.chains[0].source);
    let mut sender = Sender { events, end, entries: 0, cursor: NodeCursor::default(), gone: false };

    // It stops with the receiver of its beats, at the latest after the chunk it reads.
    let (told, mut beats) = mpsc::channel(1);
    let reading = Reading::new(&logs, filter.clone(), params.lines, after, packed, Beat::new(told));
    let mut next = read_on(reading);
    loop {
        let read = tokio::select! {
            read = &mut next => read,
            Some(()) = beats.recv() => {
                let progress =
                    EventBody::Progress { done: 0, total: None, unit: Unit::Bytes, step: None, node: None };
                if !sender.send_one(progress).await {
                    return Ok(sender.answer());
                }
                continue;
            }
        };
        let (reading, piece) =
            read.map_err(|error| CallError::internal("reading logs ended early").because(error))?;
        let piece = piece?;
        if let Piece::End(cursor) = piece {
            sender.cursor = cursor;
            break;
        }
        // One piece is read ahead; a tail whose reader takes nothing has nothing to do, and holds no thread.
        next = read_on(reading);
        match piece {
            Piece::Begin(cursor) => sender.begin(cursor).await,
            Piece::Entries(events) => sender.send(events).await,
            Piece::Block(cursor, block) => sender.send_block(cursor, block).await,
            Piece::End(_) => {}
        }
        if sender.gone {
            return Ok(sender.answer());
        }
    }
    if let Some(watch) = watch {
        follow(&logs, filter, watch, &mut sender).await?;
    }
    Ok(sender.answer())
}

/// Reads the next piece on a thread that may wait for a disk.
fn read_on(mut reading: Reading) -> tokio::task::JoinHandle<(Reading, Result<Piece, CallError>)> {
    tokio::task::spawn_blocking(move || {
        let piece = reading.next();
        (reading, piece)
    })
}

struct Sender {
    events: mpsc::Sender<EventBody>,
    end: CancellationToken,
    entries: u64,
    /// Behind everything that was sent.
    cursor: NodeCursor,
    /// Nobody wants anything any more.
    gone: bool,
}

impl Sender {
    async fn begin(&mut self, cursor: NodeCursor) {
        let item = serde_json::json!({ "cursor": cursor.to_string() });
        self.cursor = cursor;
        self.send_one(EventBody::Item { item }).await;
    }

    async fn send(&mut self, out: Out) {
        for (cursor, event) in out {
            let is_entry = matches!(event, EventBody::Log { .. });
            if !self.send_one(event).await {
                return;
            }
            self.entries += u64::from(is_entry);
            self.cursor.set(cursor);
        }
    }

    async fn send_block(&mut self, cursor: NodeCursor, block: EventBody) {
        let EventBody::LogBlock { entries, .. } = block else { return };
        if self.send_one(block).await {
            self.entries += entries;
            self.cursor = cursor;
        }
    }

    async fn send_one(&mut self, event: EventBody) -> bool {
        self.gone = !super::queue(&self.events, event, &self.end).await;
        !self.gone
    }

    fn answer(&self) -> TailAnswer {
        TailAnswer { entries: self.entries, matched: false, cursor: Some(self.cursor.to_string()) }
    }
}

fn watch(logs: &Logs) -> Watch {
    let files: Vec<_> = logs.chains.iter().map(|chain| chain.path.clone()).collect();
    Watch::new(&files)
}

async fn follow(
    logs: &Logs,
    filter: Arc<Filter>,
    mut watch: Watch,
    sender: &mut Sender,
) -> Result<(), CallError> {
    let failed = |error| CallError::internal("following logs ended early").because(error);
    let mut followers = tokio::task::spawn_blocking({
        let (logs, after) = (logs.clone(), sender.cursor.clone());
        move || begin(&logs, &after)
    })
    .await
    .map_err(failed)??;
    let ends = filter.until.map(|until| {
        let left = until.duration_since(Timestamp::now());
        tokio::time::Instant::now() + Duration::try_from(left).unwrap_or_default() + LATE
    });
    loop {
        let began = Instant::now();
        let (back, out, stepped) = tokio::task::spawn_blocking({
            let (node, filter) = (logs.node.clone(), filter.clone());
            move || {
                let mut out = Out::new();
                let mut all = Stepped::default();
                for follower in &mut followers {
                    let stepped = follower.step(&node, &filter, &mut out);
                    all.more |= stepped.more;
                    all.wake = [all.wake, stepped.wake].into_iter().flatten().min();
                }
                (followers, out, all)
            }
        })
        .await
        .map_err(failed)?;
        followers = back;
        sender.send(out).await;
        if sender.gone || ends.is_some_and(|ends| tokio::time::Instant::now() >= ends) {
            return Ok(());
        }
        if stepped.more {
            continue;
        }
        let check = Instant::now() + if watch.is_complete() { CHECK } else { POLL };
        let wake = stepped.wake.map_or(check, |wake| wake.min(check)).into();
        let wake = ends.map_or(wake, |ends| ends.min(wake));
        tokio::select! {
            () = sender.end.cancelled() => return Ok(()),
            () = sender.events.closed() => return Ok(()),
            () = tokio::time::sleep_until(wake) => {
                if !watch.is_complete() {
                    // A folder that was missing, or made anew, can be watched by now.
                    watch = self::watch(logs);
                }
            }
            () = watch.changed() => tokio::time::sleep_until((began + GATHER).into()).await,
        }
    }
}

fn begin(logs: &Logs, after: &NodeCursor) -> Result<Vec<Follower>, CallError> {
    let now = Timestamp::now();
    let times = Times::new(logs.zone.clone(), now);
    let limits: Limits = logs.limits;
    let mut followers = Vec::new();
    for chain in &logs.chains {
        // A chain that could not be read until now is tried from its beginning once it can.
        let nothing = ChainCursor { key: chain.key, files: Vec::new() };
        let after = after.0.get(&chain.key).unwrap_or(&nothing);
        let span = Span::new(chain, Some(after), &mut times.clone(), now).unwrap_or_else(|_| Span {
            chain: chain.clone(),
            pieces: Vec::new(),
            gap: None,
        });
        followers.push(
            Follower::new(span, times.clone(), limits).map_err(|error| unreadable(&logs.node, &error))?,
        );
    }
    Ok(followers)
}
