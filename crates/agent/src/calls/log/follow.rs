//! What the nodes write from now on. A node that goes away is waited for, and continues where it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::node::LogTailParams;
use orocloud_protocol::{CallError, ErrorKind, EventBody, NodeName};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::NodeLogs;
use super::history::ROOM;
use super::hold::HoldBack;
use super::position::Positions;
use super::tail::{Tail, until};
use super::trouble;
use crate::nodes::logs::{cursor, weight};

/// The pause before a node is asked again, doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Bytes of entries that are held back at most; beyond that the earliest goes at once.
const MOST_HELD: usize = 512 * 1024;

/// Entries of a moment may be written, and travel, a little after it.
const LATE: Duration = Duration::from_millis(1500);

/// What comes from the nodes.
enum FromNode {
    Event(EventBody),
    Away,
    Back,
    Failed(CallError),
}

pub(super) async fn run(tail: &mut Tail) -> Result<(), CallError> {
    let (sender, mut receiver) = mpsc::channel(ROOM);
    let end = tail.out.end.child_token();
    // Ends the nodes' calls whichever way this is left.
    let _ended = end.clone().drop_guard();
    for (place, node) in tail.names.iter().enumerate() {
        let after_cursor = tail.out.positions.node(node);
        // Whoever was away from the beginning gives what came since then.
        let since =
            if after_cursor.is_none() { tail.wanted.since.max(Some(tail.began)) } else { tail.wanted.since };
        let one = OneNode {
            nodes: Arc::clone(&tail.nodes),
            node: node.clone(),
            place,
            params: LogTailParams { lines: None, since, follow: true, after_cursor, ..tail.wanted.clone() },
            away: tail.away.contains(node),
            out: sender.clone(),
            end: end.clone(),
        };
        tokio::spawn(one.run());
    }
    drop(sender);
    merge(tail, &mut receiver).await
}

async fn merge(tail: &mut Tail, receiver: &mut mpsc::Receiver<(usize, FromNode)>) -> Result<(), CallError> {
    let mut hold: HoldBack<(usize, EventBody)> = HoldBack::default();
    let mut held = 0;
    let mut came = Vec::with_capacity(ROOM);
    let ends = tail.wanted.until.map(|moment| tokio::time::Instant::now() + until(moment) + LATE);
    let ended = async {
        match ends {
            Some(ends) => tokio::time::sleep_until(ends).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(ended);
    loop {
        let now = Instant::now();
        while let Some((place, event)) =
            hold.due(now).or_else(|| if held > MOST_HELD { hold.pop() } else { None })
        {
            held -= weight(&event);
            if !tail.out.send(&tail.names[place], event, tail.until_match.as_ref()).await {
                return Ok(());
            }
        }
        let due = hold.next_due();
        tokio::select! {
            biased;
            () = tail.out.end.cancelled() => return Ok(()),
            () = tail.out.closed() => return Ok(()),
            () = &mut ended => break,
            count = receiver.recv_many(&mut came, ROOM) => {
                if count == 0 {
                    // All nodes have given what there was before `until`.
                    break;
                }
            }
            () = tokio::time::sleep_until(due.unwrap_or(now).into()), if due.is_some() => {}
        };
        let (now, clock) = (Instant::now(), Timestamp::now());
        for (place, from) in came.drain(..) {
            let event = match from {
                FromNode::Event(event) => event,
                FromNode::Away => gap(&tail.names[place], "away"),
                FromNode::Back => gap(&tail.names[place], "back"),
                FromNode::Failed(error) => return Err(error),
            };
            held += weight(&event);
            match &event {
                EventBody::Log { time, cursor, .. } => {
                    let stream = cursor::key(cursor).unwrap_or_default();
                    hold.push(now, clock, place, stream, *time, (place, event));
                }
                _ => hold.push_mark(now, place, (place, event)),
            }
        }
    }
    while let Some((place, event)) = hold.pop() {
        if !tail.out.send(&tail.names[place], event, tail.until_match.as_ref()).await {
            break;
        }
    }
    Ok(())
}

fn gap(node: &NodeName, reason: &str) -> EventBody {
    EventBody::Gap { source: "*".to_owned(), node: node.clone(), lines: None, reason: reason.to_owned() }
}

/// Follows one node, again and again.
struct OneNode {
    nodes: Arc<dyn NodeLogs>,
    node: NodeName,
    place: usize,
    params: LogTailParams,
    /// It was said that it is away.
    away: bool,
    out: mpsc::Sender<(usize, FromNode)>,
    end: CancellationToken,
}

impl OneNode {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.end.is_cancelled() {
            let begun = Instant::now();
            match self.once().await {
                Ok(()) if self.params.until.is_some_and(|moment| until(moment).is_zero()) => return,
                Err(error) if error.kind == ErrorKind::Usage => {
                    self.say(FromNode::Failed(error)).await;
                    return;
                }
                // Told once in a row.
                Err(error) if !self.away && !self.say_trouble(&error).await => return,
                // One that was well for a while has not been asked in vain.
                _ if begun.elapsed() > LAST_PAUSE => pause = FIRST_PAUSE,
                _ => {}
            }
            if !self.away && !self.end.is_cancelled() {
                self.away = true;
                if !self.say(FromNode::Away).await {
                    return;
                }
            }
            tokio::select! {
                () = self.end.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
            }
        }
    }

    async fn say(&self, what: FromNode) -> bool {
        self.out.send((self.place, what)).await.is_ok()
    }

    async fn say_trouble(&self, error: &CallError) -> bool {
        match trouble(&self.node, error) {
            Some(note) => self.say(FromNode::Event(note)).await,
            None => true,
        }
    }

    /// One call, as long as it lasts.
    async fn once(&mut self) -> Result<(), CallError> {
        let (sender, mut events) = mpsc::channel(ROOM);
        let call = self.nodes.tail(&self.node, self.params.clone(), sender, self.end.clone());
        let mut call = tokio::spawn(call);
        let mut positions = Positions::default();
        if let Some(cursor) = &self.params.after_cursor {
            positions.set_node(&self.node, cursor);
        }
        while let Some(event) = events.recv().await {
            if let Some(begin) = cursor::item_cursor(&event) {
                if self.params.after_cursor.is_none() {
                    positions.set_node(&self.node, begin);
                }
                if self.away {
                    self.away = false;
                    if !self.say(FromNode::Back).await {
                        break;
                    }
                }
                continue;
            }
            if let EventBody::Log { cursor, .. } = &event {
                positions.set_file(&self.node, cursor.clone());
            }
            if !matches!(event, EventBody::Progress { .. }) && !self.say(FromNode::Event(event)).await {
                break;
            }
        }
        // Whatever was handed on is shown: the next call continues behind it.
        self.params.after_cursor = positions.node(&self.node);
        if self.end.is_cancelled() || self.out.is_closed() {
            call.abort();
            return Ok(());
        }
        match (&mut call).await {
            Ok(answer) => answer.map(|_| ()),
            Err(error) => Err(CallError::internal("a tail of a node ended early").because(error)),
        }
    }
}
