//! One tail over all nodes: their history merged, then what they write from then on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::log::{TailAnswer, TailParams};
use orocloud_protocol::node::LogTailParams;
use orocloud_protocol::{CallError, ErrorKind, EventBody, NodeName};
use regex::bytes::Regex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::position::Positions;
use super::{NodeLogs, follow, history};
use crate::nodes::logs::{filter, queue};

/// Entries shown when nothing says how many.
const LINES: u64 = 10;

/// What the parts of a tail share.
pub(super) struct Tail {
    pub nodes: Arc<dyn NodeLogs>,
    /// Those asked, by name: their places are their order among entries of one moment.
    pub names: Vec<NodeName>,
    /// What is asked of a node, whatever it continues behind.
    pub wanted: LogTailParams,
    /// It continues behind a cursor.
    pub resumes: bool,
    /// When it began: whoever was away then is asked for what came since.
    pub began: Timestamp,
    pub until_match: Option<Regex>,
    pub out: Out,
    /// Nodes that are told to be away.
    pub away: BTreeSet<NodeName>,
}

/// The way out, and where it has come to.
pub(super) struct Out {
    events: mpsc::Sender<EventBody>,
    pub end: CancellationToken,
    pub positions: Positions,
    pub entries: u64,
    pub matched: bool,
    /// Nobody wants anything any more.
    pub gone: bool,
    /// Sentences that were told: each call to a node meets the same trouble again.
    told: BTreeSet<String>,
}

/// So many different sentences are remembered.
const MOST_TOLD: usize = 256;

pub(super) async fn run(
    nodes: Arc<dyn NodeLogs>,
    names: Vec<NodeName>,
    params: TailParams,
    events: mpsc::Sender<EventBody>,
    end: CancellationToken,
) -> Result<TailAnswer, CallError> {
    let began = Timestamp::now();
    // A pattern that cannot be used is refused here, once, rather than by every node.
    params.grep.as_deref().map(|grep| filter::pattern("--grep", grep)).transpose()?;
    let until_match = params.until_match.as_deref().map(|text| filter::pattern("--until-match", text));
    let until_match = until_match.transpose()?;
    let positions = params.after_cursor.as_deref().map(Positions::parse).transpose()?;
    // Behind a cursor nothing may be missing, so that there it does not matter how many entries were asked for first.
    let lines = match (&positions, params.since) {
        (Some(_), _) => None,
        (None, Some(_)) => params.lines,
        (None, None) => params.lines.or(Some(LINES)),
    };
    let follow = params.follow && params.until.is_none_or(|until| until > began);
    let wanted = LogTailParams {
        sources: params.sources,
        lines,
        since: params.since,
        until: params.until,
        grep: params.grep,
        level: params.level,
        follow: false,
        after_cursor: None,
        // What comes from several nodes must be merged, and what is matched must be read.
        packed: params.packed && !follow && until_match.is_none() && names.len() == 1,
    };
    let resumes = positions.is_some();
    let positions = positions.unwrap_or_default();
    let out = Out { events, end, positions, entries: 0, matched: false, gone: false, told: BTreeSet::new() };
    let mut tail = Tail { nodes, names, wanted, resumes, began, until_match, out, away: BTreeSet::new() };
    history::run(&mut tail).await?;
    let everybody_away = !tail.names.is_empty() && tail.away.len() == tail.names.len();
    if !follow && everybody_away && !tail.out.gone {
        let names: Vec<&str> = tail.names.iter().map(NodeName::as_str).collect();
        return Err(CallError::new(ErrorKind::Unreachable, format!("no answer from {}", names.join(", ")))
            .hint("see how the environment is: orocloud-cli status"));
    }
    if follow && !tail.out.is_done() {
        follow::run(&mut tail).await?;
    }
    Ok(tail.out.answer())
}

impl Out {
    /// Nothing more is wanted.
    pub fn is_done(&self) -> bool {
        self.gone || self.matched
    }

    /// Sends what a node said, with the cursor of all nodes in the place of its own. False when nothing more is wanted.
    pub async fn send(&mut self, node: &NodeName, event: EventBody, until_match: Option<&Regex>) -> bool {
        if let EventBody::Note { text, .. } = &event
            && self.told.len() < MOST_TOLD
            && !self.told.insert(text.clone())
        {
            return true;
        }
        let (event, entries) = match event {
            EventBody::Log { source, time, line, cursor, .. } => {
                self.matched = until_match.is_some_and(|pattern| pattern.is_match(line.as_bytes()));
                self.entries += 1;
                self.positions.set_file(node, cursor);
                let cursor = self.positions.to_string();
                (EventBody::Log { source, node: node.clone(), time, line, cursor }, 1)
            }
            EventBody::LogBlock { source, entries, data, cursor, .. } => {
                self.entries += entries;
                self.positions.set_node(node, &cursor);
                let cursor = self.positions.to_string();
                (EventBody::LogBlock { source, node: node.clone(), entries, data, cursor }, entries)
            }
            other => (other, 0),
        };
        if !queue(&self.events, event, &self.end).await {
            // Counted, but nobody has got it.
            self.entries -= entries;
            self.gone = true;
        }
        !self.is_done()
    }

    /// Says that a node is away or back; its logs are meant all.
    pub async fn gap(&mut self, node: &NodeName, reason: &str) -> bool {
        let gap = EventBody::Gap {
            source: "*".to_owned(),
            node: node.clone(),
            lines: None,
            reason: reason.to_owned(),
        };
        self.send(node, gap, None).await
    }

    /// Returns when the receiver is gone.
    pub async fn closed(&self) {
        self.events.closed().await;
    }

    fn answer(&self) -> TailAnswer {
        TailAnswer { entries: self.entries, matched: self.matched, cursor: Some(self.positions.to_string()) }
    }
}

/// How long until a moment; nothing when it has passed.
pub(super) fn until(moment: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(Timestamp::now())).unwrap_or_default()
}
