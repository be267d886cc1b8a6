//! What a node does for a step of an operation. One file a topic; each step is a type with `act`, `undo` and
//! `probe`.

mod balancer;
mod bring;
mod console;
pub mod database;
mod extensions;
mod frontend;
pub(in crate::nodes) mod mail;
pub mod maintenance;
pub mod media;
mod package;
pub mod point;
mod prepare;
mod record;
mod release;
mod service;
mod silence;
mod source;
mod watch;

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use orocloud_protocol::node::{MailListedParams, PackageReceiveParams, Phase, Probe, StepAction, StepAnswer};
use orocloud_protocol::smtp::ShowAnswer;
use orocloud_protocol::{CallError, CallId, ErrorKind, NodeName, NodeRole};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use self::mail::hold::can_be_told;
use self::silence::carry_out_aloud;
use crate::environment::{App, LoadBalancer, Maint, Web};
use crate::nodes::NodeRef;
use crate::nodes::marks::Marks;
use crate::operations::EventSink;
use crate::operations::plan::Outputs;
use crate::package::Store;
use crate::rules::whitelist::Named;

/// What an action has at hand.
pub struct ActionContext<'a> {
    /// This node.
    pub node: &'a NodeRef,
    /// On maint: how to reach the others.
    pub coordinator: Option<&'a dyn OtherNodes>,
    /// The operation.
    pub operation: CallId,
    /// The step's name.
    pub step: &'a str,
    /// What earlier steps answered.
    pub outputs: &'a Outputs,
    /// For output, progress and notes; step and node are filled in by the receiver when left out.
    pub events: EventSink,
    /// Set when the operation is cancelled: end the program, clean up, answer.
    pub cancel: CancellationToken,
}

impl<'a> ActionContext<'a> {
    /// This node's part of the configuration as maint; an error names the node that has none.
    pub fn maint(&self) -> Result<&'a Maint, CallError> {
        self.node.config.maint.as_ref().ok_or_else(|| self.lacks("maint"))
    }

    /// The application on this node; an error names the node that has none.
    pub fn app(&self) -> Result<&'a App, CallError> {
        self.node.config.app.as_ref().ok_or_else(|| self.lacks("app"))
    }

    /// This node's part of the configuration as a web node; an error names the node that has none.
    pub fn web(&self) -> Result<&'a Web, CallError> {
        self.node.config.web.as_ref().ok_or_else(|| self.lacks("web"))
    }

    /// This node's part of the configuration as load balancer; an error names the node that has none.
    pub fn balancer(&self) -> Result<&'a LoadBalancer, CallError> {
        self.node.config.lb.as_ref().ok_or_else(|| self.lacks("lb"))
    }

    /// What this node remembers of the operation.
    pub fn marks(&self) -> Marks {
        Marks::new(&self.node.config.state, self.operation)
    }

    /// This node's packages.
    pub fn store(&self) -> Result<Store, CallError> {
        Store::open(&self.node.config.state)
            .map_err(|error| self.io("the packages cannot be reached", &error))
    }

    /// A step's output.
    pub fn output<T: serde::Serialize>(&self, output: &T) -> Result<Value, CallError> {
        serde_json::to_value(output).map_err(|error| {
            CallError::internal(format!("the output of {} cannot be kept", self.step)).because(error)
        })
    }

    /// A failure of this node's files.
    pub fn io(&self, message: &str, error: &std::io::Error) -> CallError {
        let node = &self.node.config.node;
        match error.kind() {
            std::io::ErrorKind::Interrupted => CallError::new(ErrorKind::Cancelled, message).because(error),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                CallError::failed(format!("{message} on {node}")).because(error).hint(make_room(node))
            }
            _ => CallError::failed(format!("{message} on {node}")).because(error),
        }
    }

    fn lacks(&self, section: &str) -> CallError {
        let node = &self.node.config.node;
        CallError::internal(format!("step {} needs [{section}] in agent.toml of {node}", self.step))
    }
}

/// What another node answers, in a while.
pub type FromNode<'a, T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send + 'a>>;

/// The coordinator's way to other nodes, for a step that needs several of them.
pub trait OtherNodes: Send + Sync {
    /// Sends a package; the node checks its hash.
    fn send<'a>(
        &'a self,
        to: &'a NodeName,
        package: &'a PackageReceiveParams,
        file: &'a Path,
        events: &'a EventSink,
    ) -> FromNode<'a, ()>;

    /// Asks a web node for the `mail.whitelist` of a release.
    fn mail_listed<'a>(&'a self, web: &'a NodeName, asked: MailListedParams) -> FromNode<'a, Named>;

    /// Asks a mail node what holds there.
    fn mail_holds<'a>(&'a self, mail: &'a NodeName) -> FromNode<'a, ShowAnswer>;

    /// Acts on a node. Such an act may be repeated, and nothing undoes it.
    fn act<'a>(
        &'a self,
        on: &'a NodeName,
        name: &'a str,
        action: StepAction,
        limit: Duration,
    ) -> FromNode<'a, Value>;
}

/// One kind of step. After a crash the probe tells what happened, so it must be right whatever moment the act was
/// interrupted at; an undo finds nothing to do where the act did nothing, and both may be repeated.
pub trait Action: Sync {
    /// Does it; gives its output for later steps.
    fn act(&self, context: &ActionContext<'_>) -> impl Future<Output = Result<Value, CallError>> + Send;

    /// Takes it back.
    fn undo(&self, context: &ActionContext<'_>) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Looks whether it is done.
    fn probe(&self, context: &ActionContext<'_>) -> impl Future<Output = Result<Probe, CallError>> + Send;
}

/// Acts, undoes or probes one step on this node.
pub async fn run(
    context: &ActionContext<'_>,
    phase: Phase,
    action: &StepAction,
) -> Result<StepAnswer, CallError> {
    run_here(context, phase, action).await.map_err(|error| {
        let environment = &context.node.config.environment;
        let database = environment.with_role(NodeRole::Db).next().map(|node| &node.name);
        let state = &context.node.config.state;
        // Some programs say only that they cannot write.
        let error = match is_full(state) && error.kind == ErrorKind::Failed {
            true => error.because(format!("no space left on the disk of {}", state.display())),
            false => error,
        };
        naming_full_disk(error, &context.node.config.node, database)
    })
}

fn make_room(node: &NodeName) -> String {
    format!("make room on {node}: orocloud-cli status shows its disks")
}

/// With less than this a program can write next to nothing.
const NOTHING: u64 = 64 * 1024;

fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < NOTHING)
}

/// Each program says in words of its own that a disk is full, and none what to do then.
fn naming_full_disk(error: CallError, here: &NodeName, database: Option<&NodeName>) -> CallError {
    let said = error.to_string().to_lowercase();
    let full = ["no space left", "out of diskspace", "disk full", "disk quota exceeded"];
    if !full.iter().any(|words| said.contains(words)) || error.hints.iter().any(|hint| hint.contains("room"))
    {
        return error;
    }
    // The application tells what the database told it.
    let node = if said.contains("sqlstate") { database.unwrap_or(here) } else { here };
    error.hint(make_room(node))
}

async fn run_here(
    context: &ActionContext<'_>,
    phase: Phase,
    action: &StepAction,
) -> Result<StepAnswer, CallError> {
    match action {
        StepAction::MediaSnapshot { .. } | StepAction::MediaAside { .. } | StepAction::MediaSwap { .. } => {
            media::run(context, phase, action).await
        }
        StepAction::PointPublish { .. } | StepAction::RestoreBegin { .. } | StepAction::RestoreRecord {} => {
            point::run(context, phase, action).await
        }
        StepAction::DatabasePrepare { .. }
        | StepAction::DatabaseMarker {}
        | StepAction::DatabaseBackup { .. }
        | StepAction::DatabaseRestoreAside(_)
        | StepAction::DatabaseReplay(_)
        | StepAction::DatabaseLook(_)
        | StepAction::DatabaseRest(_)
        | StepAction::DatabaseAccept(_)
        | StepAction::DatabaseArchive {}
        | StepAction::DatabaseSwap { .. }
        | StepAction::DatabaseTidy {}
        | StepAction::DatabaseExpire { .. } => database::run(context, phase, action).await,
        StepAction::SourceFetch { reference, release } => {
            carry_out(&source::Fetch { reference, release }, phase, context).await
        }
        StepAction::SourceBuild { release, skip_assets } => {
            carry_out_aloud(&source::Build { release, skip_assets: *skip_assets }, phase, context).await
        }
        StepAction::PackageBuild { release } => carry_out(&package::Build { release }, phase, context).await,
        StepAction::PackagePublish { tag, label } => {
            let action = package::Publish { tag, label: label.as_ref() };
            carry_out(&action, phase, context).await
        }
        StepAction::PackageTake { release, package } => {
            carry_out(&package::Take { release, package }, phase, context).await
        }
        StepAction::PackageSend { release, to } => {
            carry_out(&package::Send { release, to }, phase, context).await
        }
        StepAction::ReleaseUnpack { release, version } => {
            carry_out(&release::Unpack { release, version: version.as_ref() }, phase, context).await
        }
        StepAction::ConsoleRun { release, commands } => {
            carry_out_aloud(&console::Run { release, commands }, phase, context).await
        }
        StepAction::CacheWarm { release } => {
            carry_out_aloud(&console::Warm { release }, phase, context).await
        }
        StepAction::ReleaseRecord { release, reference, by } => {
            carry_out(&record::Record { release, reference, by }, phase, context).await
        }
        StepAction::ReleaseRecall { version } => carry_out(&record::Recall { version }, phase, context).await,
        StepAction::MailWhitelist { release, before, webs, instead } => {
            let (before, instead) = (before.as_ref(), instead.as_deref());
            carry_out(&mail::hold::Whitelist { release, before, webs, instead }, phase, context).await
        }
        StepAction::MailTell { whitelist } => {
            carry_out(&mail::tell::Tell { whitelist }, phase, context).await
        }
        StepAction::ReleaseAccept { release } => carry_out(&record::Accept { release }, phase, context).await,
        StepAction::DatabaseWatch { before, webs, open } => {
            carry_out(&watch::Watch { before, webs, open: *open }, phase, context).await
        }
        StepAction::DatabaseExtensions {} => carry_out(&extensions::Extensions {}, phase, context).await,
        StepAction::DatabaseSchema {} => carry_out(&watch::Schema {}, phase, context).await,
        StepAction::ReleaseSwitch { release, previous } => {
            carry_out(&release::Switch { release, previous: previous.as_ref() }, phase, context).await
        }
        StepAction::ReleaseBring { release } => {
            carry_out(&bring::Bring { release: release.as_ref() }, phase, context).await
        }
        StepAction::BalancerCheck { .. }
        | StepAction::BalancerDrain { .. }
        | StepAction::BalancerReturn { .. }
        | StepAction::BalancerWithhold { .. } => balancer::run(context, phase, action).await,
        StepAction::MailStage { .. }
        | StepAction::MailTry { .. }
        | StepAction::MailWrite {}
        | StepAction::MailSwitch {}
        | StepAction::MailHold { .. }
        | StepAction::MailReady { .. }
        | StepAction::MailSend { .. }
        | StepAction::MailFollow { .. } => mail::run(context, phase, action).await,
        StepAction::ReleasesTidy { keep } => carry_out(&release::Tidy { keep }, phase, context).await,
        StepAction::FrontendCheck { release } => {
            carry_out(&frontend::Check { release }, phase, context).await
        }
        StepAction::MaintenanceOn { comment, duration } => {
            let action = maintenance::On { comment: comment.as_deref(), duration: *duration };
            carry_out(&action, phase, context).await
        }
        StepAction::MaintenanceOrder(change) => carry_out(&maintenance::Order(change), phase, context).await,
        StepAction::MaintenanceHold { page } => carry_out(&maintenance::Hold { page }, phase, context).await,
        StepAction::ServicesStop { kind, holder } => {
            carry_out(&service::Stop { kind: *kind, holder: *holder }, phase, context).await
        }
        StepAction::ServicesStart { kind, holder } => {
            carry_out(&service::Start { kind: *kind, holder: *holder }, phase, context).await
        }
        StepAction::ServicesChange { units, to } => {
            carry_out(&service::Change { units, to: *to }, phase, context).await
        }
        StepAction::MaintenanceRestore {} => carry_out(&maintenance::Restore {}, phase, context).await,
    }
}

/// One phase of one step.
pub async fn carry_out<A: Action>(
    action: &A,
    phase: Phase,
    context: &ActionContext<'_>,
) -> Result<StepAnswer, CallError> {
    match phase {
        Phase::Act => action.act(context).await.map(StepAnswer::Done),
        Phase::Undo => action.undo(context).await.map(|()| StepAnswer::Undone),
        Phase::Probe => action.probe(context).await.map(StepAnswer::Probed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_says_that_a_disk_is_full_the_node_is_named_once() {
        let [web, db] = ["web1", "db1"].map(|name| name.parse::<NodeName>().unwrap());
        let hints = |error: CallError| naming_full_disk(error, &web, Some(&db)).hints;
        let full = CallError::failed("restic backup failed").because("write x: no space left on device");
        assert_eq!(hints(full), [make_room(&web)]);
        let told = "SQLSTATE[53100]: Disk full: 7 ERROR:  could not extend file";
        assert_eq!(hints(CallError::failed("oro:install failed").because(told)), [make_room(&db)]);
        let known = CallError::failed("No space left on device").hint(make_room(&web));
        assert_eq!(hints(known), [make_room(&web)]);
        assert_eq!(hints(CallError::failed("it is too late").because("no such file")), [""; 0]);
    }
}

#[cfg(test)]
mod deploy_tests;
