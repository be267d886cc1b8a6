//! The daemon: sockets, callers, policy, dispatch, audit.

mod audit;
mod caller;
mod connection;
mod exchange;
mod listen;
mod outlet;

use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use orocloud_protocol::node::StepAction;
use orocloud_protocol::{CallError, Page};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use caller::{Caller, CallerKind, Session};
pub(crate) use connection::{Origin, serve as serve_connection};
pub use exchange::{EventStream, Exchange, Inlet, LineFault};
pub use outlet::Gone;

use crate::calls;
use crate::environment::Agent;
use crate::heap;
use crate::nodes::executor::NodeExecutor;
use crate::nodes::steps::Steps;
use crate::nodes::transport::Nodes;
use crate::nodes::{Node, NodeRef};
use crate::operations::{AnswerFn, Operations};
use crate::process::{AccountNames, Processes};
use crate::windows::Near;
use crate::windows::outbox::Outbox;

/// The agent, as its calls see it.
pub struct Daemon {
    /// What it has to work with as a node.
    pub node: NodeRef,
    /// The way to the nodes, this one included.
    pub nodes: Nodes,
    /// On maint: what runs, waits, and ran.
    pub operations: Arc<Operations<NodeExecutor>>,
    /// Steps that run on this node, or ended a while ago.
    pub steps: Steps,
    /// On maint: what was tried with nodes that are kept out of the load balancer.
    pub healing: calls::heal::Healing,
    /// On maint: keys of signatures that wait for DNS.
    pub signing: calls::smtp::signing::Bell,
    /// On maint: mail about maintenance windows.
    pub outbox: Outbox,
    /// On maint: windows that are open or near.
    pub windows: Near,
}

/// Shared by all calls.
pub type DaemonRef = Arc<Daemon>;

impl Daemon {
    /// Puts the parts together; nothing runs yet.
    pub fn new(config: Agent, processes: Processes) -> std::io::Result<DaemonRef> {
        let node = Node::new(config, processes);
        let link: DaemonLink = Arc::default();
        let nodes = Nodes::new(Arc::clone(&node), Arc::clone(&link));
        let answer: AnswerFn<StepAction> = Arc::new({
            let link = Arc::clone(&link);
            move |finished| {
                let daemon = link.get().and_then(Weak::upgrade);
                calls::answer(&daemon.ok_or_else(|| CallError::internal("the agent ends"))?, finished)
            }
        });
        let operations = Operations::open(
            &node.config.state,
            node.config.node.clone(),
            Arc::new(NodeExecutor::new(nodes.clone())),
            answer,
        )?;
        let daemon = Arc::new(Self {
            node,
            nodes,
            operations,
            steps: Steps::default(),
            signing: calls::smtp::signing::Bell::default(),
            healing: Default::default(),
            outbox: Outbox::default(),
            windows: Near::default(),
        });
        // Set once, here.
        let _ = link.set(Arc::downgrade(&daemon));
        Ok(daemon)
    }
}

/// The way back from a part to the whole, once that stands.
pub(crate) type DaemonLink = Arc<OnceLock<Weak<Daemon>>>;

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon").field("node", &self.node.config.node).finish_non_exhaustive()
    }
}

/// Runs the daemon until TERM or INT; the second one does not wait for what runs.
pub fn serve(config: &Path) -> Result<(), String> {
    heap::limit();
    let config = Agent::load(config)?;
    for folder in [&config.state, &config.run, &config.log] {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    crate::log::to_folder(&config.log);
    let lock = listen::take_agent_lock(&config.state)?;
    let processes = Processes::new(config.accounts.as_ref().map(AccountNames::of)).holding(lock);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let result = runtime.block_on(run(config, processes));
    // Whatever still runs belongs to keepers, which end with this process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn run(config: Agent, processes: Processes) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let mut terminate = signal(SignalKind::terminate()).map_err(told)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(told)?;
    let daemon = Daemon::new(config, processes).map_err(told)?;
    let coordinator = daemon.node.config.is_coordinator();
    // Their locks are held before anybody can ask for one.
    let interrupted = if coordinator { daemon.operations.interrupted().map_err(told)? } else { Vec::new() };
    let stop = CancellationToken::new();
    let listeners = listen::Listeners::bind(&daemon.node.config)?;
    crate::log::line(format!("{} {} serves", daemon.node.config.node, orocloud_protocol::VERSION));
    println!("READY");
    for one in interrupted {
        daemon.operations.recover(one);
    }
    let accepting = tokio::spawn(listeners.accept(daemon.clone(), stop.clone()));
    tokio::spawn(crate::nodes::services::hold(daemon.node.clone()));
    tokio::spawn(crate::nodes::mail::watch::watch(daemon.node.clone()));
    tokio::spawn(heap::give_back());
    if coordinator {
        // The first look at a long journal takes a while that no caller should have to wait.
        let operations = Arc::clone(&daemon.operations);
        tokio::task::spawn_blocking(move || operations.page(Page::default()));
        for work in calls::background(&daemon) {
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::select! { () = work => {}, () = stop.cancelled() => {} }
            });
        }
    }
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    crate::log::line("told to end: waits for what runs");
    stop.cancel();
    daemon.operations.drain();
    let idle = async {
        daemon.operations.idle().await;
        daemon.steps.idle().await;
        daemon.outbox.idle().await;
        let _ = accepting.await;
    };
    tokio::select! {
        () = idle => crate::log::line("ends"),
        _ = terminate.recv() => crate::log::line("told again: ends at once"),
        _ = interrupt.recv() => crate::log::line("told again: ends at once"),
    }
    Ok(())
}
