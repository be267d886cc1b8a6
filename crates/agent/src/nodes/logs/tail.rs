//! One tail: its history, then what is written from then on.

use std::cell::Cell;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::log::TailAnswer;
use orocloud_protocol::log_block::Gatherer;
use orocloud_protocol::node::LogTailParams;
use orocloud_protocol::{CallError, EventBody, NodeName, NoteLevel, Unit};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::block::{BLOCK, Packer};
use super::cursor::{ChainCursor, NodeCursor};
use super::filter::{self, Filter};
use super::follow::{Follower, Limits, Out, Stepped};
use super::history::History;
use super::span::{self, Span};
use super::time::Times;
use super::watch::Watch;
use super::{Logs, weight};

/// So much history is handed over at once; twice as much is read ahead.
const BATCH: usize = 48 * 1024;

/// Without a working inotify, files are looked at so often; with it, in case it misses something.
const POLL: Duration = Duration::from_millis(250);
const CHECK: Duration = Duration::from_secs(1);

/// Changes that come in quick succession are read together.
const GATHER: Duration = Duration::from_millis(1);

/// So often a long search says that it goes on.
const SEARCHING: Duration = Duration::from_secs(1);

/// Entries of a moment may be written a little after it.
const LATE: Duration = Duration::from_secs(1);

pub(super) async fn run(
    logs: Logs,
    params: LogTailParams,
    events: mpsc::Sender<EventBody>,
    end: CancellationToken,
) -> Result<TailAnswer, CallError> {
    let grep = params.grep.as_deref().map(|grep| filter::pattern("--grep", grep)).transpose()?;
    let filter = Filter { since: params.since, until: params.until, level: params.level, grep };
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

    // It stops with the receiver of its batches, at the latest after the chunk it reads.
    let (batches, mut received) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking({
        let (logs, filter) = (logs.clone(), filter.clone());
        move || read_history(&logs, &filter, params.lines, after.as_ref(), packed, &batches)
    });
    while let Some(batch) = received.recv().await {
        match batch {
            Batch::Begin(cursor) => sender.begin(cursor).await,
            Batch::Events(events) => sender.send(events).await,
            Batch::Block(cursor, block) => sender.send_block(cursor, block).await,
            Batch::Searching => {
                let progress =
                    EventBody::Progress { done: 0, total: None, unit: Unit::Bytes, step: None, node: None };
                sender.send_one(progress).await;
            }
        }
        if sender.gone {
            return Ok(sender.answer());
        }
    }
    let ended =
        reading.await.map_err(|error| CallError::internal("reading logs ended early").because(error))?;
    sender.cursor = ended?;
    if let Some(watch) = watch {
        follow(&logs, filter, watch, &mut sender).await?;
    }
    Ok(sender.answer())
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

/// What the thread that reads history hands over.
enum Batch {
    Begin(NodeCursor),
    Events(Out),
    /// Packed entries, and what is behind them.
    Block(NodeCursor, EventBody),
    /// Nothing was found for a while.
    Searching,
}

/// Says now and then that the search goes on, and sees whether it should.
struct Beat<'a> {
    batches: &'a mpsc::Sender<Batch>,
    last: Cell<Instant>,
}

impl Beat<'_> {
    /// Whether nobody waits for the outcome any more.
    fn stop(&self) -> bool {
        if self.last.get().elapsed() > SEARCHING {
            self.last.set(Instant::now());
            // No room: then what was found before is still being taken.
            let _ = self.batches.try_send(Batch::Searching);
        }
        self.batches.is_closed()
    }
}

fn read_history(
    logs: &Logs,
    filter: &Filter,
    lines: Option<u64>,
    after: Option<&NodeCursor>,
    packed: bool,
    batches: &mpsc::Sender<Batch>,
) -> Result<NodeCursor, CallError> {
    let now = Timestamp::now();
    let mut times = Times::new(logs.zone.clone(), now);
    let beat = Beat { batches, last: Cell::new(Instant::now()) };
    let mut out = Out::new();
    let mut spans = Vec::new();
    for chain in &logs.chains {
        let after = after.and_then(|cursor| cursor.0.get(&chain.key));
        let span = Span::new(chain, after, &mut times, now).and_then(|mut span| {
            if lines == Some(0) {
                span.skip_all()?;
            } else {
                span.narrow(filter, &mut times)?;
            }
            Ok(span)
        });
        match span {
            Ok(mut span) => {
                if let Some(reason) = span.gap.take() {
                    let (source, node) = (chain.source.to_string(), logs.node.clone());
                    let gap = EventBody::Gap { source, node, lines: None, reason: reason.to_owned() };
                    out.push((span.cursor(&mut times).unwrap_or_default(), gap));
                }
                spans.push(span);
            }
            Err(error) => {
                let text = format!("{}: {}: {error}", logs.node, chain.path.display());
                out.push((ChainCursor { key: chain.key, files: Vec::new() }, note(text)));
            }
        }
    }
    if let Some(lines) = lines.filter(|lines| *lines > 0) {
        let cut_short = span::keep_last(&mut spans, lines, filter, &times, &|| beat.stop())
            .map_err(|error| unreadable(&logs.node, &error))?;
        for chain in cut_short {
            let text = format!(
                "{}: only the newest 512 MiB of {} were looked through; --since looks further",
                logs.node,
                chain.path.display()
            );
            let cursor = spans.iter_mut().find(|span| span.chain.key == chain.key);
            let cursor = cursor.and_then(|span| span.cursor(&mut times).ok()).unwrap_or_default();
            out.push((cursor, note(text)));
        }
    }
    let mut begin = NodeCursor::default();
    for span in &mut spans {
        begin.set(span.cursor(&mut times).map_err(|error| unreadable(&logs.node, &error))?);
    }
    let stop = || beat.stop();
    let hand_over = |batch| batches.blocking_send(batch).is_ok();
    let mut wanted = hand_over(Batch::Begin(begin.clone()));
    let mut history = History::new(spans, filter, &times, logs.limits.idle, logs.node.clone(), &stop);
    if packed && let Some(chain) = logs.chains.first().filter(|_| wanted) {
        let mut packer = Packer::new(chain.source.clone(), logs.node.clone())
            .map_err(|error| unreadable(&logs.node, &error))?;
        let (mut gathered, mut cursor) = (Gatherer::default(), begin);
        wanted = hand_over(Batch::Events(out));
        while wanted {
            let block = history
                .gather(&mut gathered, BLOCK, &mut cursor)
                .and_then(|()| packer.pack(&gathered, &cursor))
                .map_err(|error| unreadable(&logs.node, &error))?;
            if gathered.entries() == 0 {
                return history.end(now).map_err(|error| unreadable(&logs.node, &error));
            }
            gathered.clear();
            wanted = hand_over(Batch::Block(cursor.clone(), block));
        }
        return Ok(cursor);
    }
    let mut bytes = 0;
    while wanted {
        let next = history.next().map_err(|error| unreadable(&logs.node, &error))?;
        let last = next.is_none();
        if let Some((cursor, event)) = next {
            bytes += weight(&event);
            out.push((cursor, event));
        }
        if last || bytes >= BATCH {
            bytes = 0;
            wanted = hand_over(Batch::Events(std::mem::take(&mut out)));
        }
        if last {
            return history.end(now).map_err(|error| unreadable(&logs.node, &error));
        }
    }
    Ok(begin)
}

fn note(text: String) -> EventBody {
    EventBody::Note { level: NoteLevel::Warning, text }
}

fn unreadable(node: &NodeName, error: &std::io::Error) -> CallError {
    CallError::failed(format!("the logs of {node} cannot be read")).because(error)
}

fn watch(logs: &Logs) -> Watch {
    let files: Vec<_> = logs.chains.iter().map(|chain| chain.path.clone()).collect();
    Watch::new(&files)
}

async fn follow(logs: &Logs, filter: Filter, mut watch: Watch, sender: &mut Sender) -> Result<(), CallError> {
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
    let filter = std::sync::Arc::new(filter);
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
