//! Steps that run on this node. A step goes on when its connection breaks, its answer is kept for a while, and the
//! same call attaches to it; one that nobody attends for long is ended, so that the coordinator knows when nothing
//! of it can run any more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orocloud_protocol::node::StepAnswer;
use orocloud_protocol::{CallError, CallId, ErrorKind, Event, EventBody, NodeName, NoteLevel};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::operations::EventSink;
use crate::server::EventStream;

/// After so long without its coordinator a step is cancelled.
pub const UNATTENDED_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How long an answer is kept.
const KEEP: Duration = Duration::from_secs(15 * 60);

/// Bytes of events kept for a coordinator that comes back.
const EVENT_BYTES: usize = 2 * 1024 * 1024;

/// The longest text in one event, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;

/// The steps of this node, by call.
#[derive(Clone, Debug, Default)]
pub struct Steps(Arc<Mutex<HashMap<CallId, Arc<Run>>>>);

/// What a step gives, or why not.
type Outcome = Result<StepAnswer, CallError>;

/// One attempt.
#[derive(Debug)]
struct Run {
    cancel: CancellationToken,
    state: watch::Sender<State>,
    events: Mutex<Events>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the newest event.
    seq: u64,
    outcome: Option<Outcome>,
    ended_at: Option<Instant>,
    attached: usize,
    unattended_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Events {
    kept: VecDeque<(Event, usize)>,
    bytes: usize,
    seq: u64,
}

/// Whether an error says that there is no such attempt.
pub fn says_not_running(error: &CallError) -> bool {
    error.kind == ErrorKind::NotFound
        && error.details.as_ref().and_then(|details| details.get("not_running")).is_some()
}

impl Steps {
    /// Attaches to the attempt of this call, or begins it, unless it may only be attached to. Sends its events and
    /// gives its outcome.
    pub async fn attend<F>(
        &self,
        events: &EventStream,
        attach_only: bool,
        node: &NodeName,
        step: &str,
        begin: impl FnOnce(EventSink, CancellationToken) -> F,
    ) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let call = events.call();
        let run = {
            let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            steps.retain(|_, run| run.state.borrow().ended_at.is_none_or(|at| at.elapsed() < KEEP));
            match steps.get(&call) {
                Some(run) => Arc::clone(run),
                None if attach_only => {
                    return Err(CallError::new(
                        ErrorKind::NotFound,
                        format!("no attempt {call} runs on {node}"),
                    )
                    .with_details(json!({"not_running": true})));
                }
                None => {
                    let run = Arc::new(Run {
                        cancel: CancellationToken::new(),
                        state: watch::channel(State::default()).0,
                        events: Mutex::default(),
                    });
                    steps.insert(call, Arc::clone(&run));
                    run.start(call, node.clone(), step.to_owned(), begin);
                    run
                }
            }
        };
        run.follow(events).await
    }

    /// Waits until no step runs.
    pub async fn idle(&self) {
        loop {
            let running = {
                let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                steps.values().find(|run| run.state.borrow().outcome.is_none()).cloned()
            };
            let Some(run) = running else { return };
            let _ = run.state.subscribe().wait_for(|state| state.outcome.is_some()).await;
        }
    }
}

impl Run {
    fn start<F>(
        self: &Arc<Self>,
        call: CallId,
        node: NodeName,
        step: String,
        begin: impl FnOnce(EventSink, CancellationToken) -> F,
    ) where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let sink = EventSink::new({
            let run = Arc::clone(self);
            move |body| {
                for body in pieces(body) {
                    run.push(call, filled_in(body, &step, &node));
                }
            }
        });
        let task = tokio::spawn(begin(sink, self.cancel.clone()));
        let run = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = task.await.unwrap_or_else(|error| {
                Err(CallError::internal("the step ended in a fault of the agent").because(error))
            });
            run.state.send_modify(|state| {
                state.outcome = Some(outcome);
                state.ended_at = Some(Instant::now());
            });
        });
    }

    fn push(&self, call: CallId, body: EventBody) {
        let size = text_of(&body).map_or(256, |text| text.len() + 256);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.seq += 1;
        let event = Event { call, seq: events.seq, at: Timestamp::now(), body };
        events.bytes += size;
        events.kept.push_back((event, size));
        while events.bytes > EVENT_BYTES {
            let Some((_, size)) = events.kept.pop_front() else { break };
            events.bytes -= size;
        }
        let seq = events.seq;
        drop(events);
        self.state.send_modify(|state| state.seq = seq);
    }

    /// Events after this one.
    fn after(&self, seq: u64) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let from = events.kept.partition_point(|(event, _)| event.seq <= seq);
        events.kept.range(from..).take(64).map(|(event, _)| event.clone()).collect()
    }

    async fn follow(self: Arc<Self>, events: &EventStream) -> Outcome {
        self.state.send_modify(|state| {
            state.attached += 1;
            state.unattended_since = None;
        });
        let outcome = self.send_all(events).await;
        let mut alone = false;
        self.state.send_modify(|state| {
            state.attached -= 1;
            alone = state.attached == 0 && state.outcome.is_none();
            state.unattended_since = alone.then(Instant::now);
        });
        if alone {
            tokio::spawn(Arc::clone(&self).cancel_unless_attended());
        }
        outcome
    }

    async fn send_all(&self, events: &EventStream) -> Outcome {
        let mut state = self.state.subscribe();
        let mut seen = events.after_seq();
        loop {
            // Looked at before the events: none can follow an outcome.
            let outcome = state.borrow_and_update().outcome.clone();
            let fresh = self.after(seen);
            for event in fresh.iter().cloned() {
                let left_out = event.seq - seen - 1;
                seen = event.seq;
                if left_out > 0 {
                    let text =
                        format!("{left_out} events are left out: they came faster than they could be sent");
                    let body = EventBody::Note { level: NoteLevel::Warning, text };
                    events.forward(Event { body, seq: seen - 1, ..event.clone() }).await?;
                }
                events.forward(event).await?;
            }
            if !fresh.is_empty() {
                continue;
            }
            if let Some(outcome) = outcome {
                return outcome;
            }
            tokio::select! {
                _ = state.changed() => {}
                () = events.asked_to_end().cancelled(), if !self.cancel.is_cancelled() => self.cancel.cancel(),
                () = events.end().cancelled(), if !events.asked_to_end().is_cancelled() => {
                    return Err(CallError::new(ErrorKind::StillRunning, "the coordinator is gone, the step goes on"));
                }
            }
        }
    }

    async fn cancel_unless_attended(self: Arc<Self>) {
        let mut state = self.state.subscribe();
        let attended = state.wait_for(|state| state.attached > 0 || state.outcome.is_some());
        if tokio::time::timeout(UNATTENDED_LIMIT, attended).await.is_err() {
            crate::log::line("a step is cancelled: its coordinator was not heard of for ten minutes");
            self.cancel.cancel();
        }
    }
}

fn text_of(body: &EventBody) -> Option<&String> {
    match body {
        EventBody::Output { text, .. } | EventBody::Note { text, .. } => Some(text),
        _ => None,
    }
}

/// Output in pieces of at most [`MAX_TEXT`].
fn pieces(body: EventBody) -> Vec<EventBody> {
    let EventBody::Output { stream, text, step, node } = body else { return vec![body] };
    let mut pieces = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(MAX_TEXT));
        pieces.push(EventBody::Output {
            stream,
            text: piece.to_owned(),
            step: step.clone(),
            node: node.clone(),
        });
        rest = after;
    }
    pieces
}

fn filled_in(mut body: EventBody, its_step: &str, its_node: &NodeName) -> EventBody {
    if let EventBody::Output { step, node, .. } | EventBody::Progress { step, node, .. } = &mut body {
        step.get_or_insert_with(|| its_step.to_owned());
        node.get_or_insert_with(|| its_node.clone());
    }
    body
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::OutputStream;

    use super::*;

    #[test]
    fn output_is_cut_between_characters() {
        let text = "é".repeat(MAX_TEXT);
        let body =
            EventBody::Output { stream: OutputStream::Stdout, text: text.clone(), step: None, node: None };
        let pieces = pieces(body);
        assert_eq!(pieces.len(), 2);
        let joined: String = pieces.iter().filter_map(text_of).map(String::as_str).collect();
        assert_eq!(joined, text);
    }
}
