//! `queue:list`.

use orocloud_protocol::queue::{ListAnswer, ListParams, QueueInfo};
use orocloud_protocol::{CallError, NodeRole, node};

use super::Context;

/// `queue.list`: asks the first queue node that answers; the cluster has one list.
pub async fn list(context: &Context, params: ListParams) -> Result<ListAnswer, CallError> {
    let environment = &context.config().environment;
    let mut fault = None;
    for name in environment.with_role(NodeRole::Queue).map(|node| &node.name) {
        match context.daemon.nodes.call::<node::Queues>(name, &node::QueuesParams {}).await {
            Ok(answer) => return Ok(part(answer.items, &params)),
            Err(error) => drop(fault.get_or_insert(error)),
        }
    }
    Err(fault.unwrap_or_else(|| {
        CallError::failed(format!("no node of {} has the role queue", environment.name))
            .hint("see the nodes: orocloud-cli env:info")
    }))
}

fn part(mut queues: Vec<QueueInfo>, params: &ListParams) -> ListAnswer {
    queues.retain(|queue| {
        params.vhost.as_ref().is_none_or(|vhost| queue.vhost == vhost.as_str())
            && params.filter.as_ref().is_none_or(|filter| queue.name.contains(filter.as_str()))
    });
    ListAnswer { total: queues.len() as u64, items: params.page.of(&queues) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_chosen_by_virtual_host_and_name() {
        let queue = |vhost: &str, name: &str| QueueInfo {
            vhost: vhost.into(),
            name: name.into(),
            messages: 0,
            ready: 0,
            consumers: 0,
            memory: 0,
        };
        let all = vec![queue("/", "x"), queue("oro", "oro.default"), queue("oro", "oro.mail")];
        let names = |params: ListParams| -> Vec<String> {
            part(all.clone(), &params).items.into_iter().map(|queue| queue.name).collect()
        };
        assert_eq!(names(ListParams::default()).len(), 3);
        let oro = ListParams { vhost: Some("oro".parse().unwrap()), ..ListParams::default() };
        assert_eq!(names(oro.clone()), ["oro.default", "oro.mail"]);
        assert_eq!(names(ListParams { filter: Some("mail".into()), ..oro }), ["oro.mail"]);
    }
}
