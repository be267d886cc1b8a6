//! `log.tail` and `log.sources`: the logs of all nodes as one.

use std::pin::Pin;
use std::sync::Arc;

use orocloud_protocol::log::{SourcesAnswer, TailAnswer, TailParams};
use orocloud_protocol::node::{LogSourcesAnswer, LogTailParams};
use orocloud_protocol::{CallError, EventBody, NodeName};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A call to a node that is under way.
pub type NodeCall<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// Reaches the nodes; this one too. A node that cannot be reached, or whose connection breaks, answers with an
/// error of kind `Unreachable`: it is asked again, whereas any other error ends the tail.
pub trait NodeLogs: Send + Sync + 'static {
    /// All nodes of the environment.
    fn nodes(&self) -> Vec<NodeName>;

    /// Calls `node.log-sources`.
    fn sources(&self, node: &NodeName) -> NodeCall<LogSourcesAnswer>;

    /// Calls `node.log-tail` on a channel of its own and hands its events on, waiting whenever `events` is full.
    /// Ends the call, and answers, when `end` is set or the receiver is gone; dropping the future does too.
    fn tail(
        &self,
        node: &NodeName,
        params: LogTailParams,
        events: mpsc::Sender<EventBody>,
        end: CancellationToken,
    ) -> NodeCall<TailAnswer>;
}

/// Which logs there are. Nodes that do not answer are named.
pub async fn sources(_nodes: Arc<dyn NodeLogs>) -> Result<SourcesAnswer, CallError> {
    Err(CallError::internal("this agent reads no logs yet"))
}

/// Entries of all nodes merged by time. Waits whenever `events` is full; ends well when `end` is set or the
/// receiver is gone.
pub async fn tail(
    _nodes: Arc<dyn NodeLogs>,
    _params: TailParams,
    _events: mpsc::Sender<EventBody>,
    _end: CancellationToken,
) -> Result<TailAnswer, CallError> {
    Err(CallError::internal("this agent reads no logs yet"))
}
