//! `env.info`: what the environment is.

use orocloud_protocol::environment::{CallerInfo, InfoAnswer, InfoParams, NodeInfo};
use orocloud_protocol::{CallError, VERSION};

use super::Context;
use super::status::ask_all;
use crate::environment::KeeperKind;

/// `env.info`
pub async fn info(context: &Context, _params: InfoParams) -> Result<InfoAnswer, CallError> {
    let environment = &context.config().environment;
    let answers = ask_all(context, &context.daemon.nodes.names(), true).await;
    let nodes = environment.nodes.iter().zip(answers).map(|(node, (_, answer))| (node, answer.ok())).map(
        |(node, answer)| NodeInfo {
            name: node.name.clone(),
            roles: node.roles.clone(),
            zone: node.zone.clone(),
            address: node.address.clone(),
            reachable: answer.is_some(),
            agent_version: answer.as_ref().map(|answer| answer.agent_version.clone()),
            software: answer.map(|answer| answer.software).unwrap_or_default(),
        },
    );
    Ok(InfoAnswer {
        name: environment.name.clone(),
        project: environment.project.clone(),
        kind: environment.kind,
        url: environment.url.clone(),
        agent_version: VERSION.to_owned(),
        keeper: match environment.keeper {
            KeeperKind::Postgresql => "postgresql".to_owned(),
        },
        nodes: nodes.collect(),
        caller: CallerInfo {
            key_id: context.caller.key_id.clone(),
            role: context.caller.role,
            valid_until: context.caller.valid_until,
        },
    })
}
