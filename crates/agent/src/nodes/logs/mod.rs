//! This node's own logs: `node.log-sources` and `node.log-tail`.

use orocloud_protocol::log::TailAnswer;
use orocloud_protocol::node::{LogSourcesAnswer, LogTailParams};
use orocloud_protocol::{CallError, EventBody};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::nodes::NodeRef;

/// The logs of this node, with their sizes.
pub async fn sources(_node: &NodeRef) -> Result<LogSourcesAnswer, CallError> {
    Err(CallError::internal("this agent reads no logs yet"))
}

/// Sends the entries of this node's logs until there are no more, or, when it follows, until `end` is set or the
/// receiver is gone. Waits whenever `events` is full: a capacity of 64 is plenty, since the files themselves are
/// the queue.
///
/// The first event is an `item` of the form `{"cursor": "…"}`: where it begins. The cursor of an entry is that of
/// its own file alone; the cursors of the item and of the answer hold all files.
pub async fn tail(
    _node: &NodeRef,
    _params: LogTailParams,
    _events: mpsc::Sender<EventBody>,
    _end: CancellationToken,
) -> Result<TailAnswer, CallError> {
    Err(CallError::internal("this agent reads no logs yet"))
}
