//! What the nodes have, merged by time.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::log::TailAnswer;
use orocloud_protocol::node::LogTailParams;
use orocloud_protocol::{CallError, ErrorKind, EventBody, NodeName, NoteLevel};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::tail::Tail;
use super::trouble;
use crate::nodes::logs::cursor::item_cursor;
use crate::nodes::logs::weight;

/// Events of a node that wait here; the rest waits in its files.
pub(super) const ROOM: usize = 64;

/// A node that says nothing for so long is away: one that searches says so every second.
const PATIENCE: Duration = Duration::from_secs(10);

/// The last entries of several nodes are known only when all is merged; so many bytes of them are kept until then.
const MOST_KEPT: usize = 64 << 20;

/// One node's history.
struct Stream {
    node: NodeName,
    events: mpsc::Receiver<EventBody>,
    call: tokio::task::JoinHandle<Result<TailAnswer, CallError>>,
    end: CancellationToken,
    /// The next event, and what it is ordered by.
    head: Option<(Timestamp, EventBody)>,
    last: Timestamp,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Running,
    /// It gave all it has; continues there.
    Ended(Option<String>),
    /// With what is to be told of it.
    Away(Option<EventBody>),
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end.cancel();
        self.call.abort();
    }
}

pub(super) async fn run(tail: &mut Tail) -> Result<(), CallError> {
    let mut streams: Vec<Stream> = tail.names.iter().map(|node| begin(tail, node)).collect();
    // Where each begins is known before the first entry is shown: its cursor holds all of them.
    for stream in &mut streams {
        let first = stream.receive().await?;
        match first.as_ref().and_then(item_cursor) {
            Some(cursor) if tail.out.positions.node(&stream.node).is_none() => {
                tail.out.positions.set_node(&stream.node, cursor);
            }
            Some(_) => {}
            None if matches!(stream.state, State::Away(_)) => {}
            // A node that is told to stop need not have begun.
            None if tail.out.end.is_cancelled() => {
                tail.out.gone = true;
                return Ok(());
            }
            None => {
                return Err(CallError::internal(format!(
                    "{} does not say where its logs begin",
                    stream.node
                )));
            }
        }
    }
    for stream in &mut streams {
        if !say_away(tail, stream).await {
            return Ok(());
        }
    }
    let mut kept = Kept::new(tail.wanted.lines.filter(|_| streams.len() > 1));
    while let Some(place) = earliest(tail, &mut streams).await? {
        let stream = &mut streams[place];
        let Some((_, event)) = stream.head.take() else { continue };
        let wanted = match kept.pass(place, event) {
            Passed::Kept => true,
            Passed::On(event) => tail.out.send(&streams[place].node, event, tail.until_match.as_ref()).await,
            Passed::Outdated(place, cursor) => {
                tail.out.positions.set_file(&streams[place].node, cursor);
                true
            }
        };
        if !wanted {
            return Ok(());
        }
    }
    if tail.out.gone {
        return Ok(());
    }
    if kept.overflowed {
        let shown = kept.entries.len();
        let text =
            format!("only the last {shown} entries are shown; ask for more by --since, or of one --node");
        let note = EventBody::Note { level: NoteLevel::Warning, text };
        tail.out.send(&tail.names[0], note, None).await;
    }
    for (place, event) in kept.entries {
        if !tail.out.send(&streams[place].node, event, tail.until_match.as_ref()).await {
            return Ok(());
        }
    }
    for stream in &streams {
        if let State::Ended(Some(cursor)) = &stream.state {
            tail.out.positions.set_node(&stream.node, cursor);
        }
    }
    Ok(())
}

fn begin(tail: &Tail, node: &NodeName) -> Stream {
    let after_cursor = tail.out.positions.node(node);
    // A cursor that knows nothing of a node was given out while that node was away.
    let lines = if after_cursor.is_none() && tail.resumes { Some(0) } else { tail.wanted.lines };
    let params = LogTailParams { after_cursor, lines, ..tail.wanted.clone() };
    let (sender, events) = mpsc::channel(ROOM);
    let end = tail.out.end.child_token();
    let call = tokio::spawn(tail.nodes.tail(node, params, sender, end.clone()));
    Stream { node: node.clone(), events, call, end, head: None, last: Timestamp::MIN, state: State::Running }
}

impl Stream {
    /// The next event; none when it ended, or is away.
    async fn receive(&mut self) -> Result<Option<EventBody>, CallError> {
        while self.state == State::Running {
            match tokio::time::timeout(PATIENCE, self.events.recv()).await {
                Ok(Some(EventBody::Progress { .. })) => {}
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {
                    self.state = match tokio::time::timeout(PATIENCE, &mut self.call).await {
                        Ok(Ok(Ok(answer))) => State::Ended(answer.cursor),
                        Ok(Ok(Err(error))) if error.kind == ErrorKind::Usage => return Err(error),
                        Ok(Ok(Err(error))) => State::Away(trouble(&self.node, &error)),
                        Err(_) => State::Away(None),
                        Ok(Err(error)) => {
                            return Err(CallError::internal("a tail of a node ended early").because(error));
                        }
                    };
                }
                Err(_) => self.state = State::Away(None),
            }
        }
        Ok(None)
    }
}

/// Tells it once if the node is away. False when nothing more is wanted.
async fn say_away(tail: &mut Tail, stream: &mut Stream) -> bool {
    let State::Away(trouble) = &mut stream.state else { return true };
    if let Some(note) = trouble.take()
        && !tail.out.send(&stream.node, note, None).await
    {
        return false;
    }
    !tail.away.insert(stream.node.clone()) || tail.out.gap(&stream.node, "away").await
}

/// The stream whose next event is the earliest; none when all have ended, or nothing more is wanted.
async fn earliest(tail: &mut Tail, streams: &mut [Stream]) -> Result<Option<usize>, CallError> {
    let mut first: Option<(Timestamp, usize)> = None;
    for (place, stream) in streams.iter_mut().enumerate() {
        if stream.head.is_none() && stream.state == State::Running {
            if let Some(event) = stream.receive().await? {
                // A node's own order stands, also where its times do not grow.
                if let EventBody::Log { time, .. } = &event {
                    stream.last = stream.last.max(*time);
                }
                stream.head = Some((stream.last, event));
            } else if tail.out.end.is_cancelled() {
                tail.out.gone = true;
                return Ok(None);
            } else if !say_away(tail, stream).await {
                return Ok(None);
            }
        }
        if let Some((time, _)) = &stream.head
            && first.is_none_or(|(other, _)| *time < other)
        {
            first = Some((*time, place));
        }
    }
    Ok(first.map(|(_, place)| place))
}

/// The last entries of all, where several nodes each give as many.
struct Kept {
    most: Option<u64>,
    entries: VecDeque<(usize, EventBody)>,
    bytes: usize,
    overflowed: bool,
}

enum Passed {
    Kept,
    On(EventBody),
    /// An entry of this stream, with this cursor, is not among the last ones.
    Outdated(usize, String),
}

impl Kept {
    fn new(most: Option<u64>) -> Self {
        Self { most, entries: VecDeque::new(), bytes: 0, overflowed: false }
    }

    fn pass(&mut self, place: usize, event: EventBody) -> Passed {
        let Some(most) = self.most else { return Passed::On(event) };
        if !matches!(event, EventBody::Log { .. }) {
            return Passed::On(event);
        }
        self.bytes += weight(&event);
        self.entries.push_back((place, event));
        let too_many = self.entries.len() as u64 > most;
        if !too_many && self.bytes <= MOST_KEPT {
            return Passed::Kept;
        }
        self.overflowed |= !too_many;
        let Some((place, event)) = self.entries.pop_front() else { return Passed::Kept };
        self.bytes -= weight(&event);
        match event {
            EventBody::Log { cursor, .. } => Passed::Outdated(place, cursor),
            _ => Passed::Kept,
        }
    }
}
