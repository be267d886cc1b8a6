//! Signatures by the keys that DNS shows: the coordinator looks from time to time, and when `smtp:dns` finds one.

use std::time::Duration;

use orocloud_protocol::node::{MailChange, MailDns, MailDnsParams, StepAction};
use orocloud_protocol::smtp::ChangedAnswer;
use orocloud_protocol::smtp::dns::{Sign, SignParams};
use orocloud_protocol::{CallError, NodeRole, OperationOptions};

use super::{changed, mail_nodes};
use crate::calls::operation::run_scheduled;
use crate::calls::{Context, Done, OperationCall};
use crate::operations::plan::{OperationPlan, Step};
use crate::server::DaemonRef;

/// How often somebody looks whether DNS has a key.
const LOOK: Duration = Duration::from_secs(15 * 60);

/// Rung when somebody has seen in DNS what was waited for.
#[derive(Debug, Default)]
pub struct Bell(tokio::sync::Notify);

impl Bell {
    /// Has the coordinator look at once.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// Lets keys sign that DNS has by now, for as long as the coordinator runs.
pub async fn run(daemon: DaemonRef) {
    let environment = &daemon.node.config.environment;
    if daemon.node.config.maint.is_none() || environment.with_role(NodeRole::Mail).next().is_none() {
        return;
    }
    let mut told = String::new();
    loop {
        let trouble = turn(&daemon).await.err().map(|error| error.to_string()).unwrap_or_default();
        // A name server that is silent for a day is one line.
        if !trouble.is_empty() && trouble != told {
            crate::log::line(format_args!("whether DNS has new keys is not known: {trouble}"));
        }
        told = trouble;
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = daemon.signing.0.notified() => {}
        }
    }
}

async fn turn(daemon: &DaemonRef) -> Result<(), CallError> {
    let nodes = daemon.node.config.environment.with_role(NodeRole::Mail);
    for name in nodes.map(|node| node.name.clone()).collect::<Vec<_>>() {
        let found = daemon.nodes.call::<MailDns>(&name, &MailDnsParams {}).await?;
        if !found.ready.is_empty() {
            run_scheduled::<Sign>(daemon, SignParams::default()).await?;
            return Ok(());
        }
    }
    Ok(())
}

impl OperationCall for Sign {
    fn options(params: &SignParams) -> &OperationOptions {
        &params.options
    }

    fn command(_params: &SignParams) -> String {
        // Nobody types it: it follows from what smtp:dns shows.
        "smtp:dns: sign with the keys that DNS has".to_owned()
    }

    async fn plan(context: &Context, _params: &SignParams) -> Result<OperationPlan, CallError> {
        let mut groups = [Vec::new(), Vec::new(), Vec::new()];
        let mut summary = Vec::new();
        for name in mail_nodes(context)? {
            let found = context.daemon.nodes.call::<MailDns>(&name, &MailDnsParams {}).await?;
            if found.ready.is_empty() {
                continue;
            }
            for key in &found.ready {
                summary.push(format!("{name} signs mail of {} with {}", key.domain, key.selector));
            }
            let change = Box::new(MailChange::Sign(found.ready));
            let actions = [
                ("mail:stage", StepAction::MailStage { change }),
                ("mail:write", StepAction::MailWrite {}),
                ("mail:switch", StepAction::MailSwitch {}),
            ];
            for (group, (step, action)) in groups.iter_mut().zip(actions) {
                group.push(Step::new(step, &name, action));
            }
        }
        if summary.is_empty() {
            return Err(CallError::refused("no key waits that DNS has")
                .hint("see what is to be published: orocloud-cli smtp:dns"));
        }
        let groups = groups.to_vec();
        let end = groups.len();
        Ok(OperationPlan::losing_nothing(groups, end, summary))
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, SignParams>) -> Result<ChangedAnswer, CallError> {
        changed(done)
    }
}
