//! `service:status|start|stop|restart`, of all services of the application or of one kind.

use clap::{Args, Parser};
use orocloud_protocol::service::{
    self, ChangeParams, Selection, ServiceInfo, ServiceKind, StatusAnswer, StatusParams,
};
use orocloud_protocol::{Call, QueueName};

use super::call::{Finished, show_dry_run};
use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, OperationArgs};
use crate::output::Format;
use crate::output::table::{column, draw};

/// What every change of services takes.
#[derive(Args, Debug)]
pub struct ChangeArgs {
    /// Only consumers of this queue, or services of this node
    #[arg(value_name = "QUEUE|NODE")]
    queue_or_node: Option<QueueName>,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl ChangeArgs {
    fn run<C>(self, context: &mut Context, kind: Option<ServiceKind>) -> Outcome
    where
        C: Call<Params = ChangeParams, Answer = StatusAnswer>,
    {
        context.ui.format = self.format.chosen();
        let which = Selection { kind, queue_or_node: self.queue_or_node };
        let params = ChangeParams { which, options: self.operation.options() };
        if self.operation.dry_run {
            return show_dry_run::<C>(context, &params);
        }
        match context.operation::<C>(&params, &self.operation)? {
            Finished::Detached => Ok(0),
            Finished::Answer(answer, took) => {
                show(context, &answer)?;
                Ok(context.succeeded(took))
            }
        }
    }
}

/// What every look at services takes.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Only consumers of this queue, or services of this node
    #[arg(value_name = "QUEUE|NODE")]
    queue_or_node: Option<QueueName>,
    #[command(flatten)]
    format: FormatArgs,
}

impl StatusArgs {
    fn run(self, context: &mut Context, kind: Option<ServiceKind>) -> Outcome {
        context.ui.format = self.format.chosen();
        let which = Selection { kind, queue_or_node: self.queue_or_node };
        let answer = context.query::<service::Status>(&StatusParams { which })?;
        show(context, &answer)?;
        Ok(0)
    }
}

fn show(context: &mut Context, answer: &StatusAnswer) -> std::io::Result<()> {
    if context.ui.format == Format::Json {
        return context.ui.json(answer);
    }
    let columns = [
        column("SERVICE", "kind", |row: &ServiceInfo| row.kind.as_str().to_owned()),
        column("QUEUE", "queue", |row: &ServiceInfo| {
            row.queue.as_ref().map(ToString::to_string).unwrap_or_default()
        }),
        column("NODE", "node", |row: &ServiceInfo| row.node.to_string()),
        column("UNIT", "unit", |row: &ServiceInfo| row.unit.to_string()),
        column("STATE", "state", |row: &ServiceInfo| row.state.as_str().to_owned()),
        column("DETAIL", "detail", |row: &ServiceInfo| row.detail.clone().unwrap_or_default()),
    ];
    let table = draw(&answer.items, &columns, context.ui.table_width());
    context.ui.line(&table)
}

macro_rules! changes {
    ($($(#[$doc:meta])* $name:ident: $call:ty, $kind:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Parser)]
        pub struct $name {
            #[command(flatten)]
            change: ChangeArgs,
        }

        impl Run for $name {
            fn run(self, context: &mut Context) -> Outcome {
                self.change.run::<$call>(context, $kind)
            }
        }
    )*};
}

macro_rules! looks {
    ($($(#[$doc:meta])* $name:ident: $kind:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Parser)]
        pub struct $name {
            #[command(flatten)]
            status: StatusArgs,
        }

        impl Run for $name {
            fn run(self, context: &mut Context) -> Outcome {
                self.status.run(context, $kind)
            }
        }
    )*};
}

looks! {
    /// Show the services of the application, and how each is on its node
    Status: None;
    /// Show the consumers of messages, and how each is on its node
    StatusConsumer: Some(ServiceKind::Consumer);
    /// Show what runs scheduled work, and how it is
    StatusCron: Some(ServiceKind::Cron);
    /// Show the websocket servers, and how each is on its node
    StatusWebsocket: Some(ServiceKind::Websocket);
}

changes! {
    /// Start services of the application
    ///
    /// Also while the maintenance page is up, whoever put it there.
    Start: service::Start, None;
    /// Start consumers of messages
    StartConsumer: service::Start, Some(ServiceKind::Consumer);
    /// Start what runs scheduled work
    StartCron: service::Start, Some(ServiceKind::Cron);
    /// Start the websocket servers
    StartWebsocket: service::Start, Some(ServiceKind::Websocket);
    /// Stop services of the application
    ///
    /// They stay stopped until somebody starts them: upgrades and maintenance:off start only what ran before.
    Stop: service::Stop, None;
    /// Stop consumers of messages
    StopConsumer: service::Stop, Some(ServiceKind::Consumer);
    /// Stop what runs scheduled work
    StopCron: service::Stop, Some(ServiceKind::Cron);
    /// Stop the websocket servers
    StopWebsocket: service::Stop, Some(ServiceKind::Websocket);
    /// Restart services of the application
    Restart: service::Restart, None;
    /// Restart consumers of messages
    RestartConsumer: service::Restart, Some(ServiceKind::Consumer);
    /// Restart what runs scheduled work
    RestartCron: service::Restart, Some(ServiceKind::Cron);
    /// Restart the websocket servers
    RestartWebsocket: service::Restart, Some(ServiceKind::Websocket);
}
