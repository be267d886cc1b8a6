//! Web nodes that were left behind: kept out of the load balancer, brought to the recorded release as soon as they
//! answer, and only then let back. The coordinator looks by itself, and before every operation that changes the code.

mod services;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::node::{self, ConsoleCommands, StepAction};
use orocloud_protocol::{CallError, Lock, NodeName, NodeRole, Resource};
use tokio::time::Instant;

use crate::calls::maintenance;
use crate::calls::status::ask;
use crate::environment::Environment;
use crate::nodes::executor::{act, withhold};
use crate::operations::locks::Held;
use crate::releases;
use crate::rules::strays::strays;
use crate::server::DaemonRef;
use crate::withheld::{Withheld, Withholding};

/// How often somebody looks whether a node is kept out.
const LOOK: Duration = Duration::from_secs(2);

/// How often every web node is asked what it serves, although nothing is known to be wrong.
const STRAYS: Duration = Duration::from_secs(5 * 60);

/// Pauses between attempts at one node.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a node may take to tell how it is.
const STATUS_LIMIT: Duration = Duration::from_secs(15);

/// How long an operation waits for nodes that can be let back before it begins.
const BEFORE_LIMIT: Duration = Duration::from_secs(90);

/// What was tried, by node.
#[derive(Debug, Default)]
pub struct Healing(tokio::sync::Mutex<BTreeMap<NodeName, Tried>>);

#[derive(Debug)]
struct Tried {
    next: Instant,
    pause: Duration,
    told: String,
}

/// Looks after nodes that are kept out, for as long as the coordinator runs.
pub async fn watch(daemon: DaemonRef) {
    let mut next_strays = Instant::now();
    let mut services = services::Due::new();
    loop {
        let look_for_strays = Instant::now() >= next_strays;
        if look_for_strays {
            next_strays = Instant::now() + STRAYS;
        }
        if look_for_strays || !to_see_to(&daemon).is_ok_and(|nodes| nodes.is_empty()) {
            round(&daemon, look_for_strays, Turn::Own).await;
        }
        services.look(&daemon).await;
        tokio::time::sleep(LOOK).await;
    }
}

/// Before an operation that has the locks changes the code: brings back what can be brought back. What stays out takes
/// no part in it.
pub async fn before(daemon: &DaemonRef) {
    if tokio::time::timeout(BEFORE_LIMIT, round(daemon, true, Turn::Operation)).await.is_err() {
        crate::log::line("an operation begins without having seen to all nodes that are kept out");
    }
}

/// On whose turn nodes are brought back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The agent's own: when the locks are free, and not too often.
    Own,
    /// An operation's, which has the locks.
    Operation,
}

impl Turn {
    /// Nobody may change the code or the page, or put another database under it, while a node is brought to them. `None`
    /// when others hold the locks: they may be about to change what the node has to serve.
    fn take(self, daemon: &DaemonRef, what: &str) -> Option<Option<Held>> {
        let locks =
            [Lock::exclusive(Resource::Code), Lock::shared(Resource::Data), Lock::exclusive(Resource::Page)];
        match self {
            Self::Own => daemon.operations.hold(what, &locks).map(Some),
            Self::Operation => Some(None),
        }
    }
}

/// The nodes that are kept out, and why.
fn kept_out(daemon: &DaemonRef) -> Result<BTreeMap<NodeName, Withholding>, CallError> {
    Withheld::new(&daemon.node.config.state).all()
}

/// These, and the nodes that a load balancer was to send to when it was down.
fn to_see_to(daemon: &DaemonRef) -> Result<BTreeMap<NodeName, Wrong>, CallError> {
    let withheld = Withheld::new(&daemon.node.config.state);
    let late = withheld.late()?.into_keys().map(|node| (node, Wrong::Late));
    // Whoever is kept out is let back once it is what it should be, and not before.
    Ok(late.chain(withheld.all()?.into_keys().map(|node| (node, Wrong::KeptOut))).collect())
}

/// Why somebody has to see to a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// It is not what it should be.
    KeptOut,
    /// It may not get the requests that it should.
    Late,
}

async fn round(daemon: &DaemonRef, look_for_strays: bool, turn: Turn) {
    let mut tried = daemon.healing.0.lock().await;
    if look_for_strays && let Err(error) = withhold_strays(daemon, turn).await {
        crate::log::line(format!("what the web nodes serve cannot be compared: {error}"));
    }
    let nodes = match to_see_to(daemon) {
        Ok(nodes) => nodes,
        Err(error) => {
            return crate::log::line(format!("nodes that are kept out are not looked after: {error}"));
        }
    };
    tried.retain(|node, _| nodes.contains_key(node));
    for (node, wrong) in nodes {
        if turn == Turn::Own && tried.get(&node).is_some_and(|tried| Instant::now() < tried.next) {
            continue;
        }
        let healed = match wrong {
            Wrong::KeptOut => heal(daemon, &node, turn).await,
            Wrong::Late => let_back(daemon, &node, turn).await,
        };
        match healed {
            Ok(true) => {
                tried.remove(&node);
                crate::log::line(format!("{node} serves what it should, and is in the load balancer again"));
            }
            Ok(false) => {}
            Err(error) => {
                let before = tried.get(&node);
                let pause = before.map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
                let told = error.to_string();
                if before.is_none_or(|before| before.told != told) {
                    crate::log::line(format!("{node} stays out of the load balancer: {told}"));
                }
                tried.insert(node, Tried { next: Instant::now() + pause, pause, told });
            }
        }
    }
}

/// Keeps out web nodes that serve something else than what is recorded.
async fn withhold_strays(daemon: &DaemonRef, turn: Turn) -> Result<(), CallError> {
    let config = &daemon.node.config;
    if found_strays(daemon).await?.is_empty() {
        return Ok(());
    }
    // An operation was perhaps about to switch them; with the locks held there is none.
    let Some(_held) = turn.take(daemon, "compare what the web nodes serve") else { return Ok(()) };
    for (node, why) in found_strays(daemon).await? {
        crate::log::line(format!("{node} is taken out of the load balancer: {why}"));
        let withholding = Withholding { since: Timestamp::now(), operation: None, why };
        Withheld::new(&config.state).add(&node, withholding)?;
        withhold(&daemon.nodes, &node).await?;
    }
    Ok(())
}

async fn found_strays(daemon: &DaemonRef) -> Result<Vec<(NodeName, String)>, CallError> {
    let config = &daemon.node.config;
    let Some(recorded) = releases::recorded(&config.state)? else { return Ok(Vec::new()) };
    let known = kept_out(daemon)?;
    let webs: Vec<NodeName> = config
        .environment
        .with_role(NodeRole::Web)
        .map(|node| node.name.clone())
        .filter(|node| !known.contains_key(node))
        .collect();
    // A node that does not answer is not known to serve anything else; its health check tells the load balancer.
    let answers = ask(daemon, &webs, false).await;
    let serving: Vec<_> =
        answers.into_iter().filter_map(|(node, answer)| Some((node, answer.ok()?.release))).collect();
    Ok(strays(&recorded.release, &serving))
}

/// Brings one node back; false when others hold the locks.
async fn heal(daemon: &DaemonRef, node: &NodeName, turn: Turn) -> Result<bool, CallError> {
    // The load balancer may have been started anew, or have been away when the node was left behind.
    withhold(&daemon.nodes, node).await?;
    status(daemon, node).await?;
    let Some(_held) = turn.take(daemon, &format!("bring {node} back")) else { return Ok(false) };
    let config = &daemon.node.config;
    let recorded = releases::recorded(&config.state)?;
    let page = bring(daemon, node, recorded.as_ref()).await?;
    let is_web = config.environment.node(node).is_some_and(|node| node.roles.contains(&NodeRole::Web));
    if let Some(version) = recorded.filter(|_| is_web && !page) {
        let check = StepAction::FrontendCheck { release: version.release };
        act(&daemon.nodes, node, "frontend:check", check, Duration::from_secs(300)).await?;
    }
    if is_web {
        give_back(daemon, node).await?;
    }
    Withheld::new(&config.state).remove(node)?;
    Ok(true)
}

/// Lets a node back that is what it should be; false when others hold the locks.
async fn let_back(daemon: &DaemonRef, node: &NodeName, turn: Turn) -> Result<bool, CallError> {
    let environment = &daemon.node.config.environment;
    // While they are down nobody is kept from the locks.
    for balancer in balancers(environment) {
        let check = StepAction::BalancerCheck { nodes: vec![node.clone()] };
        act(&daemon.nodes, balancer, "balancer:check", check, Duration::from_secs(60)).await?;
    }
    let Some(_held) = turn.take(daemon, &format!("let {node} back")) else { return Ok(false) };
    // It may have been left behind meanwhile.
    if kept_out(daemon)?.contains_key(node) {
        return Ok(false);
    }
    give_back(daemon, node).await?;
    Withheld::new(&daemon.node.config.state).remove(node)?;
    Ok(true)
}

async fn give_back(daemon: &DaemonRef, node: &NodeName) -> Result<(), CallError> {
    for balancer in balancers(&daemon.node.config.environment) {
        let back = StepAction::BalancerReturn { node: node.clone(), healed: true };
        act(&daemon.nodes, balancer, "balancer:return", back, Duration::from_secs(120)).await?;
    }
    Ok(())
}

/// Makes the node serve what is recorded, or the page if that is up; says whether it is.
async fn bring(
    daemon: &DaemonRef,
    node: &NodeName,
    recorded: Option<&CodeVersion>,
) -> Result<bool, CallError> {
    let maint = &daemon.node.config.node;
    let unpacked = status(daemon, node).await?.releases;
    const SLOW: Duration = Duration::from_secs(30 * 60);
    if let Some(version) = recorded {
        let release = || version.release.clone();
        if !unpacked.contains(&version.release) {
            let send = StepAction::PackageSend { release: release(), to: node.clone() };
            act(&daemon.nodes, maint, "package:send", send, SLOW).await?;
            let unpack = StepAction::ReleaseUnpack { release: release(), version: Some(version.clone()) };
            act(&daemon.nodes, node, "release:unpack", unpack, SLOW).await?;
        }
        // The database may be another one than when the node was lost.
        let clear = StepAction::ConsoleRun { release: release(), commands: ConsoleCommands::CacheClear };
        act(&daemon.nodes, node, "cache:clear", clear, SLOW).await?;
    }
    let release = recorded.map(|version| version.release.clone());
    act(&daemon.nodes, node, "release:bring", StepAction::ReleaseBring { release }, Duration::from_secs(120))
        .await?;
    // It may have missed that the page went up, or down.
    let page = maintenance::holds(&daemon.node.config)?;
    let up = page.is_up();
    let hold = StepAction::MaintenanceHold { page };
    act(&daemon.nodes, node, "maintenance:hold", hold, Duration::from_secs(60)).await?;
    Ok(up)
}

fn balancers(environment: &Environment) -> impl Iterator<Item = &NodeName> {
    environment.with_role(NodeRole::Lb).map(|node| &node.name)
}

async fn status(daemon: &DaemonRef, node: &NodeName) -> Result<node::StatusAnswer, CallError> {
    let params = node::StatusParams { software: false };
    let asked = daemon.nodes.call::<node::Status>(node, &params);
    tokio::time::timeout(STATUS_LIMIT, asked).await.unwrap_or_else(|_| {
        let text = format!("{node} did not answer within {} s", STATUS_LIMIT.as_secs());
        Err(CallError::new(orocloud_protocol::ErrorKind::Unreachable, text))
    })
}
