//! What a call tells while it runs. The journal keeps these same events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CallError, CallId, NodeName, PlannedStep};

/// One thing that happened in a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The call it belongs to.
    pub call: CallId,
    /// Position in the call, from 1; after a crash of the agent it goes on at the next million.
    pub seq: u64,
    /// When, by the agent's clock.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub body: EventBody,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventBody {
    /// The operation exists, with these steps to come.
    Planned {
        /// The command as a person would type it, secrets redacted.
        command: String,
        /// The steps in their order.
        steps: Vec<PlannedStep>,
    },
    /// It waits for locks that others hold.
    Waiting {
        /// One line a holder: who, what, since when.
        holders: Vec<String>,
    },
    /// A step begins.
    StepStarted {
        /// For instance `maintenance:on`.
        step: String,
        /// Where it runs.
        node: NodeName,
        /// What is done with it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undo: bool,
    },
    /// A step ended.
    StepEnded {
        /// As in `step-started`.
        step: String,
        /// As in `step-started`.
        node: NodeName,
        /// How.
        outcome: StepOutcome,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// Why, when it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<CallError>,
    },
    /// Text of a program that runs for the call; at most 64 KiB in one event.
    Output {
        /// Which of its streams.
        stream: OutputStream,
        /// Invalid UTF-8 is replaced.
        text: String,
        /// The step it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        /// Where it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeName>,
    },
    /// How far something is.
    Progress {
        /// Done so far.
        done: u64,
        /// Of how much; absent while nobody knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
        /// The step it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        /// Where it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeName>,
    },
    /// A sentence for the person who watches.
    Note {
        /// How much it matters.
        level: NoteLevel,
        /// The sentence.
        text: String,
    },
    /// One part of an answer that may grow.
    Item {
        /// Of the form that the method documents.
        item: Value,
    },
    /// Bytes may flow now on this channel: frames of a length (u32, big-endian) and that many bytes; zero ends.
    Ready {
        /// `send` when the client sends them, `receive` when the agent does.
        direction: String,
    },
    /// One entry of a log; continuation lines stay with their first line.
    Log {
        /// The source, like `nginx`.
        source: String,
        /// Where it was written.
        node: NodeName,
        /// The entry's own time, or else when it was read.
        time: Timestamp,
        /// The text without its last newline; escape codes are as the program wrote them.
        line: String,
        /// Opaque; `after_cursor` continues behind this entry.
        cursor: String,
    },
    /// Many entries of one log at once, for a caller that asked for them `packed`.
    LogBlock {
        /// The source, like `nginx`.
        source: String,
        /// Where they were written.
        node: NodeName,
        /// How many.
        entries: u64,
        /// What [`crate::log_block`] describes, in zstd, in base64.
        data: String,
        /// Opaque; `after_cursor` continues behind the last of them.
        cursor: String,
    },
    /// Entries of a log that are missing here.
    Gap {
        /// The source; `*` means all of the node.
        source: String,
        /// The node.
        node: NodeName,
        /// How many lines, when that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lines: Option<u64>,
        /// Why: `behind`, `truncated`, `rotated`, `away`, `back`.
        reason: String,
    },
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// Its act is done.
    Done,
    /// There was nothing to do.
    Skipped,
    /// Its act failed.
    Failed,
    /// Its undo is done.
    Undone,
    /// An outcome of a newer agent.
    #[serde(other)]
    Unknown,
}

/// A stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum OutputStream {
    Stdout,
    Stderr,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum NoteLevel {
    Info,
    Warning,
}

/// What progress counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Unit {
    Bytes,
    Files,
    Rows,
    Percent,
    #[serde(other)]
    Other,
}
