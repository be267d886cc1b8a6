//! What one tail reads of the history, a piece at a time. Between two pieces nothing is held but where it stands: any
//! number of tails may wait for their readers.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::log_block::Gatherer;
use orocloud_protocol::{CallError, EventBody, NodeName, NoteLevel};
use tokio::sync::mpsc;

use super::block::{BLOCK, Packer};
use super::cursor::{ChainCursor, NodeCursor};
use super::filter::Filter;
use super::follow::Out;
use super::history::History;
use super::span::{self, Span};
use super::time::Times;
use super::{Logs, weight};

/// So much history is handed over at once; as much is read ahead.
const BATCH: usize = 32 * 1024;

/// So often a long search says that it goes on.
const SEARCHING: Duration = Duration::from_secs(1);

/// What is handed over.
pub enum Piece {
    /// Where all of it begins.
    Begin(NodeCursor),
    /// Entries with their cursors, and what there is to say.
    Entries(Out),
    /// Packed entries, and what is behind them.
    Block(NodeCursor, EventBody),
    /// Nothing is left; those who follow go on here.
    End(NodeCursor),
}

/// Says now and then that a search goes on, and sees whether it should. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Beat {
    told: mpsc::Sender<()>,
    last: Arc<Mutex<Instant>>,
}

impl Beat {
    /// Tells it here, and stops when nobody listens there any more.
    pub fn new(told: mpsc::Sender<()>) -> Self {
        Self { told, last: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Whether nobody waits for the outcome any more.
    pub fn stop(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() > SEARCHING {
            *last = Instant::now();
            // No room: then what was found before is still being taken.
            let _ = self.told.try_send(());
        }
        self.told.is_closed()
    }
}

/// Reads the history of these logs.
pub struct Reading {
    logs: Logs,
    filter: Arc<Filter>,
    beat: Beat,
    began: Timestamp,
    state: State,
}

enum State {
    Fresh {
        lines: Option<u64>,
        after: Option<NodeCursor>,
        packed: bool,
    },
    /// With what there is to say first.
    Entries(History, Out),
    Blocks(Box<Blocks>),
    Over(NodeCursor),
}

struct Blocks {
    history: History,
    packer: Packer,
    gathered: Gatherer,
    /// Behind what was given.
    cursor: NodeCursor,
    first: Out,
}

impl Reading {
    /// Reads nothing yet.
    pub fn new(
        logs: &Logs,
        filter: Arc<Filter>,
        lines: Option<u64>,
        after: Option<NodeCursor>,
        packed: bool,
        beat: Beat,
    ) -> Self {
        let state = State::Fresh { lines, after, packed };
        Self { logs: logs.clone(), filter, beat, began: Timestamp::now(), state }
    }

    /// The next piece. May wait for a disk.
    pub fn next(&mut self) -> Result<Piece, CallError> {
        let (piece, state) = match mem::replace(&mut self.state, State::Over(NodeCursor::default())) {
            State::Fresh { lines, after, packed } => self.begin(lines, after.as_ref(), packed)?,
            State::Entries(history, out) => self.entries(history, out).map_err(|error| self.told(&error))?,
            State::Blocks(blocks) => self.block(blocks).map_err(|error| self.told(&error))?,
            State::Over(cursor) => (Piece::End(cursor.clone()), State::Over(cursor)),
        };
        self.state = state;
        Ok(piece)
    }

    fn told(&self, error: &std::io::Error) -> CallError {
        unreadable(&self.logs.node, error)
    }

    fn begin(
        &self,
        lines: Option<u64>,
        after: Option<&NodeCursor>,
        packed: bool,
    ) -> Result<(Piece, State), CallError> {
        let (logs, filter, now) = (&self.logs, &self.filter, self.began);
        let mut times = Times::new(logs.zone.clone(), now);
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
            let cut_short = span::keep_last(&mut spans, lines, filter, &times, &|| self.beat.stop())
                .map_err(|error| self.told(&error))?;
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
            begin.set(span.cursor(&mut times).map_err(|error| self.told(&error))?);
        }
        let history = History::new(spans, filter, &times, logs.limits.idle, logs.node.clone(), &self.beat);
        let state = match logs.chains.first().filter(|_| packed) {
            Some(chain) => State::Blocks(Box::new(Blocks {
                history,
                packer: Packer::new(chain.source.clone(), logs.node.clone())
                    .map_err(|error| self.told(&error))?,
                gathered: Gatherer::default(),
                cursor: begin.clone(),
                first: out,
            })),
            None => State::Entries(history, out),
        };
        Ok((Piece::Begin(begin), state))
    }

    fn entries(&self, mut history: History, mut out: Out) -> std::io::Result<(Piece, State)> {
        let mut bytes = 0;
        while bytes < BATCH {
            let Some((cursor, event)) = history.next()? else {
                let state = State::Over(history.end(self.began)?);
                return Ok((Piece::Entries(out), state));
            };
            bytes += weight(&event);
            out.push((cursor, event));
        }
        Ok((Piece::Entries(out), State::Entries(history, Out::new())))
    }

    fn block(&self, mut blocks: Box<Blocks>) -> std::io::Result<(Piece, State)> {
        if !blocks.first.is_empty() {
            let first = mem::take(&mut blocks.first);
            return Ok((Piece::Entries(first), State::Blocks(blocks)));
        }
        let Blocks { history, packer, gathered, cursor, .. } = &mut *blocks;
        history.gather(gathered, BLOCK, cursor)?;
        if gathered.entries() == 0 {
            let end = blocks.history.end(self.began)?;
            return Ok((Piece::End(end.clone()), State::Over(end)));
        }
        let block = packer.pack(gathered, cursor)?;
        gathered.clear();
        Ok((Piece::Block(cursor.clone(), block), State::Blocks(blocks)))
    }
}

fn note(text: String) -> EventBody {
    EventBody::Note { level: NoteLevel::Warning, text }
}

/// What is said when a log cannot be read.
pub fn unreadable(node: &NodeName, error: &std::io::Error) -> CallError {
    CallError::failed(format!("the logs of {node} cannot be read")).because(error)
}
