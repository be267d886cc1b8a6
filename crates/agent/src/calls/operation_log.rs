//! `log.list` and `log.view`: what operations did.

use orocloud_protocol::CallError;
use orocloud_protocol::log::{ListAnswer, ListParams, ViewParams};
use orocloud_protocol::operation::OperationSummary;

use super::Context;
use super::operation::{as_it_ended, left};
use crate::server::EventStream;

/// `log.list`: reads the operations of its page alone.
pub async fn list(context: &Context, params: ListParams) -> Result<ListAnswer, CallError> {
    let operations = std::sync::Arc::clone(&context.daemon.operations);
    let reading = tokio::task::spawn_blocking(move || operations.page(params.page));
    let (items, total) = reading
        .await
        .map_err(|error| CallError::internal("listing operations ended early").because(error))??;
    Ok(ListAnswer { items, total })
}

/// `log.view`: the events of one operation as they were sent when it ran. Following, it ends as that operation ends;
/// otherwise it ends well with what there is.
pub async fn view(
    context: &Context,
    params: ViewParams,
    events: &EventStream,
) -> Result<OperationSummary, CallError> {
    let id = params.operation;
    let operations = &context.daemon.operations;
    let mut watch = operations.follow(id, params.after_seq.max(events.after_seq()))?;
    if !params.follow {
        watch.stop_following();
    }
    loop {
        let event = tokio::select! {
            event = watch.next() => event?,
            () = events.end().cancelled() => return Err(left(id)),
        };
        match event {
            Some(mut event) => {
                // On this channel it belongs to this call.
                event.call = events.call();
                events.forward(event).await?;
            }
            None => break,
        }
    }
    match params.follow {
        true => as_it_ended(operations.wait(id).await?),
        false => operations.summary(id),
    }
}
