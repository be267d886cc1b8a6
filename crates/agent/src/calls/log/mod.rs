//! `log.tail` and `log.sources`: the logs of all nodes as one.

mod follow;
mod history;
mod hold;
mod position;
mod tail;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use orocloud_protocol::log::{LogSource, SourcesAnswer, TailAnswer, TailParams};
use orocloud_protocol::node::{LogSourcesAnswer, LogTailParams};
use orocloud_protocol::{CallError, ErrorKind, EventBody, NodeName, NoteLevel, SourceName};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::app_config::nearest;

/// A node that lists its logs for longer than this is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// A call to a node that is under way.
pub type NodeCall<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// Reaches the nodes; this one too. A node that cannot be reached, or whose connection breaks, answers with an
/// error of kind `Unreachable`. Whatever the error, it is asked again; only one of kind `Usage` ends the tail.
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
pub async fn sources(nodes: Arc<dyn NodeLogs>) -> Result<SourcesAnswer, CallError> {
    let all = nodes.nodes();
    list(&*nodes, all).await
}

async fn list(nodes: &dyn NodeLogs, names: Vec<NodeName>) -> Result<SourcesAnswer, CallError> {
    let mut answer = SourcesAnswer { items: Vec::new(), away: Vec::new() };
    // All at once: each call is on its way before the first is waited for.
    let calls: Vec<_> = names
        .into_iter()
        .map(|node| (tokio::spawn(tokio::time::timeout(PATIENCE, nodes.sources(&node))), node))
        .collect();
    for (call, node) in calls {
        match call.await.map_err(|error| CallError::internal("listing logs ended early").because(error))? {
            Ok(Ok(found)) => answer.items.extend(found.items),
            Ok(Err(_)) | Err(_) => answer.away.push(node),
        }
    }
    answer.items.sort_by(|a: &LogSource, b| (&a.source, &a.node).cmp(&(&b.source, &b.node)));
    Ok(answer)
}

/// Entries of all nodes merged by time. Waits whenever `events` is full; ends well when `end` is set or the
/// receiver is gone.
pub async fn tail(
    nodes: Arc<dyn NodeLogs>,
    params: TailParams,
    events: mpsc::Sender<EventBody>,
    end: CancellationToken,
) -> Result<TailAnswer, CallError> {
    let mut names = chosen_nodes(nodes.nodes(), &params.nodes)?;
    names.sort();
    if !params.sources.is_empty() {
        let known = list(&*nodes, names.clone()).await?;
        check_sources(&params.sources, &known)?;
        // Others have nothing to say; a node that is away may.
        names.retain(|node| {
            known.away.contains(node)
                || known.items.iter().any(|item| item.node == *node && params.sources.contains(&item.source))
        });
    }
    tail::run(nodes, names, params, events, end).await
}

/// What is told of a node that answered with an error, besides that it is away. That it cannot be reached says no
/// more than that.
fn trouble(node: &NodeName, error: &CallError) -> Option<EventBody> {
    let text = format!("{node}: {error}");
    (error.kind != ErrorKind::Unreachable).then_some(EventBody::Note { level: NoteLevel::Warning, text })
}

fn chosen_nodes(all: Vec<NodeName>, wanted: &[NodeName]) -> Result<Vec<NodeName>, CallError> {
    let Some(unknown) = wanted.iter().find(|node| !all.contains(node)) else {
        return Ok(if wanted.is_empty() {
            all
        } else {
            all.into_iter().filter(|node| wanted.contains(node)).collect()
        });
    };
    let error = CallError::usage(format!("there is no node {unknown}"));
    Err(with_nearest(error, unknown.as_str(), all.iter().map(NodeName::as_str), "nodes"))
}

fn check_sources(wanted: &[SourceName], known: &SourcesAnswer) -> Result<(), CallError> {
    let is_known = |source: &SourceName| known.items.iter().any(|item| item.source == *source);
    let Some(unknown) = wanted.iter().find(|source| !is_known(source)) else { return Ok(()) };
    // Somebody who is away may have it.
    if !known.away.is_empty() {
        return Ok(());
    }
    let mut names: Vec<&str> = known.items.iter().map(|item| item.source.as_str()).collect();
    names.dedup();
    let error = CallError::usage(format!("there is no log {unknown}"));
    Err(with_nearest(error, unknown.as_str(), names.into_iter(), "logs")
        .hint("list them with their nodes: orocloud-cli log:sources"))
}

fn with_nearest<'a>(
    error: CallError,
    word: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    what: &str,
) -> CallError {
    let all = known.clone().collect::<Vec<_>>().join(", ");
    let error = match nearest(word, known).first() {
        Some(near) => error.hint(format!("did you mean {near}")),
        None => error,
    };
    error.hint(format!("the {what} are: {all}"))
}
