//! What each method does: a query answers, a stream sends events and answers, an operation builds a plan.
//!
//! One file (or folder) a topic. A new call adds its line to [`dispatch`], and an operation one to [`answer()`].

pub mod backup;
pub mod code;
pub mod deploy;
pub mod environment;
pub mod heal;
pub mod log;
pub mod maintenance;
pub mod node;
pub mod operation;
pub mod operation_log;
pub mod package;
pub mod queue;
pub mod release;
pub mod service;
pub mod smtp;
pub mod status;
pub mod upgrade;
pub mod window;

use std::collections::BTreeMap;

use jiff::Timestamp;
use orocloud_protocol::calls::Method;
use orocloud_protocol::node::StepAction;
use orocloud_protocol::{Call, CallError, CallId, OperationOptions};
use serde_json::Value;

use crate::environment::Agent;
use crate::operations::Finished;
use crate::operations::plan::{OperationPlan, Outputs};
use crate::server::{Caller, DaemonRef, EventStream, Exchange};

/// Who calls what of whom.
#[derive(Clone, Debug)]
pub struct Context {
    /// The agent.
    pub daemon: DaemonRef,
    /// Who calls.
    pub caller: Caller,
    /// The id of the call, and of the operation it starts.
    pub call: CallId,
}

impl Context {
    /// `agent.toml` and `environment.toml`.
    pub fn config(&self) -> &Agent {
        &self.daemon.node.config
    }
}

/// What a call that is an operation adds to its type: how it is planned, and what it answers in the end.
pub trait OperationCall: Call<Params: Send + Sync, Answer: Send> {
    /// What every operation takes.
    fn options(params: &Self::Params) -> &OperationOptions;

    /// The command as a person would type it, with the options that matter and without secrets.
    fn command(params: &Self::Params) -> String;

    /// Builds the plan, or refuses. Its locks are held by then, unless it is a dry run; it changes nothing.
    fn plan(
        context: &Context,
        params: &Self::Params,
    ) -> impl Future<Output = Result<OperationPlan, CallError>> + Send;

    /// The answer once every step is done; also after a crash, so it knows only what the journal does.
    fn answer(daemon: &DaemonRef, done: &Done<'_, Self::Params>) -> Result<Self::Answer, CallError>;
}

/// An operation all of whose steps are done.
#[derive(Debug)]
pub struct Done<'a, P> {
    /// Its id.
    pub operation: CallId,
    /// Its parameters; after a crash without secrets.
    pub params: P,
    /// What was planned.
    pub plan: &'a OperationPlan,
    /// What the steps answered.
    pub outputs: &'a Outputs,
    /// When the acts of the steps were done, by step name; of steps on several nodes, the last one's.
    pub done_at: &'a BTreeMap<String, Timestamp>,
}

/// Answers one call. Role and caller were checked before.
pub async fn dispatch(
    context: &Context,
    method: Method,
    params: Value,
    exchange: &mut Exchange,
) -> Result<Value, CallError> {
    use orocloud_protocol as wire;
    let events = exchange.events.clone();
    match method {
        Method::BackupCreate => operation::<wire::backup::Create>(context, params, &events).await,
        Method::BackupList => {
            query::<wire::backup::List>(params, async |p| backup::list(context, p).await).await
        }
        Method::BackupRestore => operation::<wire::backup::Restore>(context, params, &events).await,
        Method::BackupWindow => {
            query::<wire::backup::Window>(params, async |p| backup::restorable(context, p).await).await
        }
        Method::Deploy => operation::<wire::deploy::Deploy>(context, params, &events).await,
        Method::EmergencyOff => operation::<wire::maintenance::EmergencyOff>(context, params, &events).await,
        Method::EmergencyOn => operation::<wire::maintenance::EmergencyOn>(context, params, &events).await,
        Method::EnvironmentInfo => {
            query::<wire::environment::Info>(params, async |p| environment::info(context, p).await).await
        }
        Method::LogList => {
            query::<wire::log::List>(params, async |p| operation_log::list(context, p).await).await
        }
        Method::LogSources => {
            let nodes = context.daemon.nodes.logs();
            query::<wire::log::Sources>(params, async |_| log::sources(nodes).await).await
        }
        Method::LogTail => {
            let nodes = context.daemon.nodes.logs();
            query::<wire::log::Tail>(params, async |p| {
                events.pour(|sender, end| log::tail(nodes, p, sender, end)).await
            })
            .await
        }
        Method::LogView => {
            query::<wire::log::View>(params, async |p| operation_log::view(context, p, &events).await).await
        }
        Method::MaintenanceOff => operation::<wire::maintenance::Off>(context, params, &events).await,
        Method::MaintenanceOn => operation::<wire::maintenance::On>(context, params, &events).await,
        Method::MaintenanceStatus => {
            query::<wire::maintenance::Status>(params, async |p| maintenance::status(context, p).await).await
        }
        Method::OperationCancel => {
            query::<wire::operation::Cancel>(params, async |p| self::operation::cancel(context, p).await)
                .await
        }
        Method::OperationList => {
            query::<wire::operation::List>(params, async |p| self::operation::list(context, p).await).await
        }
        Method::OperationWait => {
            query::<wire::operation::Wait>(params, async |p| self::operation::wait(context, p, &events).await)
                .await
        }
        Method::PackageBuild => operation::<wire::package::Build>(context, params, &events).await,
        Method::PackageDeploy => operation::<wire::package::Deploy>(context, params, &events).await,
        Method::PackageList => {
            query::<wire::package::List>(params, async |p| package::list(context, p).await).await
        }
        Method::PackageUpgrade => operation::<wire::package::Upgrade>(context, params, &events).await,
        Method::ReleaseList => {
            query::<wire::release::List>(params, async |p| release::list(context, p).await).await
        }
        Method::ReleaseRollback => operation::<wire::release::Rollback>(context, params, &events).await,
        Method::QueueList => {
            query::<wire::queue::List>(params, async |p| self::queue::list(context, p).await).await
        }
        Method::ServiceRestart => operation::<wire::service::Restart>(context, params, &events).await,
        Method::ServiceStart => operation::<wire::service::Start>(context, params, &events).await,
        Method::ServiceStatus => {
            query::<wire::service::Status>(params, async |p| service::status(context, p).await).await
        }
        Method::ServiceStop => operation::<wire::service::Stop>(context, params, &events).await,
        Method::SmtpHistory => {
            query::<wire::smtp::History>(params, async |p| smtp::history(context, p).await).await
        }
        Method::SmtpDns => {
            query::<wire::smtp::dns::Dns>(params, async |p| smtp::dns::dns(context, p).await).await
        }
        Method::SmtpQueue => {
            query::<wire::smtp::Queue>(params, async |p| smtp::queue(context, p).await).await
        }
        Method::SmtpRelayRemove => operation::<wire::smtp::RelayRemove>(context, params, &events).await,
        Method::SmtpRelaySet => operation::<wire::smtp::RelaySet>(context, params, &events).await,
        Method::SmtpShow => query::<wire::smtp::Show>(params, async |p| smtp::show(context, p).await).await,
        Method::SmtpSign => operation::<wire::smtp::dns::Sign>(context, params, &events).await,
        Method::SmtpTest => operation::<wire::smtp::Test>(context, params, &events).await,
        Method::SmtpWhitelist => operation::<wire::smtp::Whitelist>(context, params, &events).await,
        Method::Status => {
            query::<wire::status::Status>(params, async |p| status::status(context, p).await).await
        }
        Method::Upgrade => operation::<wire::upgrade::Upgrade>(context, params, &events).await,
        Method::UpgradeRolling => operation::<wire::upgrade::UpgradeRolling>(context, params, &events).await,
        Method::UpgradeSource => operation::<wire::upgrade::UpgradeSource>(context, params, &events).await,
        Method::NodeStep => {
            query::<wire::node::Step>(params, async |p| node::step(context, p, &events).await).await
        }
        Method::NodeStatus => {
            query::<wire::node::Status>(params, async |p| status::of_node(context, p).await).await
        }
        Method::NodeDatabaseInfo => {
            query::<wire::node::DatabaseInfo>(params, async |p| backup::database_info(context, p).await).await
        }
        Method::NodeQueues => {
            query::<wire::node::Queues>(params, async |_| node::queues(context).await).await
        }
        Method::NodeMail => {
            let node = &context.daemon.node;
            query::<wire::node::Mail>(params, async |_| crate::nodes::mail::show(node).await).await
        }
        Method::NodeMailQueue => {
            let node = &context.daemon.node;
            query::<wire::node::MailQueue>(params, async |p| crate::nodes::mail::queue(node, p).await).await
        }
        Method::NodeMailHistory => {
            let node = &context.daemon.node;
            query::<wire::node::MailHistory>(params, async |p| crate::nodes::mail::history(node, p).await)
                .await
        }
        Method::NodeMailListed => {
            let node = &context.daemon.node;
            query::<wire::node::MailListed>(params, async |p| crate::nodes::mail::listed(node, &p)).await
        }
        Method::NodeMailDns => {
            let node = &context.daemon.node;
            query::<wire::node::MailDns>(params, async |_| crate::nodes::mail::dns::look(node).await).await
        }
        Method::NodeLogSources => {
            let node = &context.daemon.node;
            query::<wire::node::LogSources>(params, async |_| crate::nodes::logs::sources(node).await).await
        }
        Method::NodeLogTail => {
            let node = &context.daemon.node;
            query::<wire::node::LogTail>(params, async |p| {
                events.pour(|sender, end| crate::nodes::logs::tail(node, p, sender, end)).await
            })
            .await
        }
        Method::MaintenanceWindows => {
            query::<wire::window::List>(params, async |p| window::list(context, p).await).await
        }
        Method::NodePackageReceive => {
            query::<wire::node::PackageReceive>(params, async |p| {
                node::package_receive(context, p, exchange).await
            })
            .await
        }
    }
}

/// The answer of an operation whose steps are done.
pub fn answer(daemon: &DaemonRef, finished: &Finished<'_, StepAction>) -> Result<Value, CallError> {
    use orocloud_protocol as wire;
    let unknown =
        || CallError::internal(format!("{} is no operation that this agent knows", finished.method));
    match Method::named(finished.method).ok_or_else(unknown)? {
        Method::BackupCreate => answer_of::<wire::backup::Create>(daemon, finished),
        Method::BackupRestore => answer_of::<wire::backup::Restore>(daemon, finished),
        Method::Deploy => answer_of::<wire::deploy::Deploy>(daemon, finished),
        Method::PackageBuild => answer_of::<wire::package::Build>(daemon, finished),
        Method::PackageDeploy => answer_of::<wire::package::Deploy>(daemon, finished),
        Method::PackageUpgrade => answer_of::<wire::package::Upgrade>(daemon, finished),
        Method::ReleaseRollback => answer_of::<wire::release::Rollback>(daemon, finished),
        Method::Upgrade => answer_of::<wire::upgrade::Upgrade>(daemon, finished),
        Method::UpgradeRolling => answer_of::<wire::upgrade::UpgradeRolling>(daemon, finished),
        Method::UpgradeSource => answer_of::<wire::upgrade::UpgradeSource>(daemon, finished),
        Method::EmergencyOff => answer_of::<wire::maintenance::EmergencyOff>(daemon, finished),
        Method::EmergencyOn => answer_of::<wire::maintenance::EmergencyOn>(daemon, finished),
        Method::MaintenanceOff => answer_of::<wire::maintenance::Off>(daemon, finished),
        Method::ServiceRestart => answer_of::<wire::service::Restart>(daemon, finished),
        Method::ServiceStart => answer_of::<wire::service::Start>(daemon, finished),
        Method::ServiceStop => answer_of::<wire::service::Stop>(daemon, finished),
        Method::SmtpRelayRemove => answer_of::<wire::smtp::RelayRemove>(daemon, finished),
        Method::SmtpRelaySet => answer_of::<wire::smtp::RelaySet>(daemon, finished),
        Method::SmtpSign => answer_of::<wire::smtp::dns::Sign>(daemon, finished),
        Method::SmtpTest => answer_of::<wire::smtp::Test>(daemon, finished),
        Method::SmtpWhitelist => answer_of::<wire::smtp::Whitelist>(daemon, finished),
        Method::MaintenanceOn => answer_of::<wire::maintenance::On>(daemon, finished),
        Method::BackupList
        | Method::BackupWindow
        | Method::EnvironmentInfo
        | Method::LogList
        | Method::LogSources
        | Method::LogTail
        | Method::LogView
        | Method::MaintenanceStatus
        | Method::MaintenanceWindows
        | Method::OperationCancel
        | Method::OperationList
        | Method::OperationWait
        | Method::PackageList
        | Method::QueueList
        | Method::ReleaseList
        | Method::ServiceStatus
        | Method::SmtpHistory
        | Method::SmtpDns
        | Method::SmtpQueue
        | Method::SmtpShow
        | Method::Status
        | Method::NodeStep
        | Method::NodeStatus
        | Method::NodeDatabaseInfo
        | Method::NodeQueues
        | Method::NodeLogSources
        | Method::NodeLogTail
        | Method::NodePackageReceive
        | Method::NodeMail
        | Method::NodeMailQueue
        | Method::NodeMailHistory
        | Method::NodeMailListed
        | Method::NodeMailDns => Err(unknown()),
    }
}

/// What the coordinator does by itself for as long as it runs: schedules, nodes that were left behind, mail. Each future
/// may go on for ever.
pub fn background(daemon: &DaemonRef) -> Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> {
    vec![
        Box::pin(backup::schedule(daemon.clone())),
        Box::pin(heal::watch(daemon.clone())),
        Box::pin(smtp::following::watch(daemon.clone())),
        Box::pin(smtp::signing::run(daemon.clone())),
        Box::pin(crate::windows::outbox::run(daemon.clone())),
    ]
}

async fn query<C: Call>(
    params: Value,
    handler: impl AsyncFnOnce(C::Params) -> Result<C::Answer, CallError>,
) -> Result<Value, CallError> {
    let answer = handler(params_of::<C>(params)?).await?;
    serde_json::to_value(answer).map_err(|error| {
        CallError::internal(format!("the answer of {} cannot be sent", C::METHOD)).because(error)
    })
}

/// Starts an operation, or attaches to it, and sends its events until it ends.
async fn operation<C: OperationCall<Params: 'static>>(
    context: &Context,
    params: Value,
    events: &EventStream,
) -> Result<Value, CallError> {
    self::operation::run::<C>(context, params_of::<C>(params)?, events).await
}

fn answer_of<C: OperationCall>(
    daemon: &DaemonRef,
    finished: &Finished<'_, StepAction>,
) -> Result<Value, CallError> {
    let Finished { operation, params, plan, outputs, done_at, .. } = *finished;
    let done = Done { operation, params: params_of::<C>(params.clone())?, plan, outputs, done_at };
    serde_json::to_value(C::answer(daemon, &done)?)
        .map_err(|error| CallError::internal("the answer cannot be kept").because(error))
}

/// A value as a person would type it into a shell.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,=%".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

fn params_of<C: Call>(params: Value) -> Result<C::Params, CallError> {
    let wrong = |why: String| CallError::usage(format!("the parameters of {} are wrong: {why}", C::METHOD));
    let params = match params {
        Value::Null => Value::Object(serde_json::Map::new()),
        Value::Object(params) => Value::Object(params),
        // What has names only would otherwise be read by its places too.
        _ => return Err(wrong("expected an object".to_owned())),
    };
    serde_json::from_value(params).map_err(|error| wrong(error.to_string()))
}
