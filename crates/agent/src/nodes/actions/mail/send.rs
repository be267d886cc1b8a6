//! One message from a web node, sent as its application would send it.

use std::collections::BTreeMap;

use orocloud_protocol::node::{MailReady, MailSent, Probe};
use orocloud_protocol::{CallError, ErrorKind, MailAddress};
use serde_json::Value;
use tokio::time::Instant;

use super::address;
use crate::app_config;
use crate::engines::postfix::submission;
use crate::engines::{mailer, php};
use crate::nodes::actions::{Action, ActionContext};
use crate::nodes::mail::switch::cancelled;
use crate::operations::plan::output;

/// [`orocloud_protocol::node::StepAction::MailSend`]
pub struct Send<'a> {
    pub to: &'a MailAddress,
}

impl Send<'_> {
    async fn send(&self, context: &ActionContext<'_>) -> Result<(String, u64), CallError> {
        let ready: MailReady = output(context.outputs, "mail:ready")?;
        let config = &context.node.config;
        let node = &config.node;
        let mailer::Server { host, port } = server(context)?;
        let message = submission::Message {
            id: context.operation.to_string(),
            node: node.to_string(),
            environment: config.environment.name.to_string(),
            from: address(&ready.from)?,
            to: address(self.to)?,
        };
        let begun = Instant::now();
        let hello = config.environment.full_name(node);
        let sending = submission::send((host.clone(), port), &hello, message);
        let queue_id = tokio::select! {
            sent = sending => sent,
            () = context.cancel.cancelled() => return Err(cancelled()),
        };
        let queue_id = queue_id.map_err(|why| {
            let text = format!("{host}:{port} takes no mail from {node}");
            CallError::new(ErrorKind::CheckFailed, text).because(why)
        })?;
        Ok((queue_id, u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Where the application on this node sends its mail.
fn server(context: &ActionContext<'_>) -> Result<mailer::Server, CallError> {
    let app = context.app()?;
    let config = &context.node.config;
    let (node, name) = (&config.node, mailer::VARIABLE);
    let of_release = match app.current().exists() {
        true => {
            let kind = config.environment.kind;
            let read = app_config::load(Some(&app.orocloud_yaml()), &app.current(), kind)?;
            read.application.env_vars
        }
        false => BTreeMap::new(),
    };
    let of_node = php::node_variables(app)?;
    let dsn = of_release.get(name).or_else(|| of_node.get(name)).ok_or_else(|| {
        let text = format!("the application on {node} is not told where to send mail: {name} is not set");
        CallError::new(ErrorKind::CheckFailed, text)
    })?;
    mailer::server(dsn).map_err(|why| {
        let text = format!("the application on {node} sends by no mail node: {name} {why}");
        CallError::new(ErrorKind::CheckFailed, text)
    })
}

impl Action for Send<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        match self.send(context).await {
            Ok((queue_id, took_ms)) => context.output(&MailSent::Taken { queue_id, took_ms }),
            Err(error) if error.kind == ErrorKind::CheckFailed => context.output(&MailSent::Failed(error)),
            Err(error) => Err(error),
        }
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // What is sent cannot be taken back.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // A second message does no harm, but nobody asked for it either.
        Ok(Probe::NotDone)
    }
}
