//! A web node in the load balancer: drained before something is done to it, let back after, kept out while it is not
//! what it should be.

use std::time::Duration;

use orocloud_protocol::node::{Drained, Phase, Probe, StepAction, StepAnswer};
use orocloud_protocol::{CallError, ErrorKind, EventBody, NodeName, NoteLevel};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Action, ActionContext, carry_out};
use crate::engines::haproxy::{self, Order, Server};

/// Longer than the slowest request that the load balancer waits for.
const DRAIN_LIMIT: Duration = Duration::from_secs(180);

/// How long a node may take to pass its health check again.
const RETURN_LIMIT: Duration = Duration::from_secs(60);

/// How long a load balancer may take that is just being started. One that is silent for longer is down.
fn start_limit() -> Duration {
    // A test that takes one down has no minute to wait for it.
    #[cfg(debug_assertions)]
    if let Some(seconds) =
        std::env::var("OROCLOUD_BALANCER_PATIENCE").ok().and_then(|seconds| seconds.parse().ok())
    {
        return Duration::from_secs(seconds);
    }
    Duration::from_secs(15)
}

const PAUSE: Duration = Duration::from_millis(20);

/// Runs a step of this topic.
pub async fn run(
    context: &ActionContext<'_>,
    phase: Phase,
    action: &StepAction,
) -> Result<StepAnswer, CallError> {
    match action {
        StepAction::BalancerCheck { nodes } => carry_out(&Check { nodes }, phase, context).await,
        StepAction::BalancerDrain { node } => carry_out(&Drain { node }, phase, context).await,
        StepAction::BalancerReturn { node, healed } => {
            carry_out(&Return { node, healed: *healed }, phase, context).await
        }
        StepAction::BalancerWithhold { node } => carry_out(&Withhold { node }, phase, context).await,
        _ => Err(CallError::internal("this is no step of the load balancer")),
    }
}

struct Check<'a> {
    nodes: &'a [NodeName],
}

impl Action for Check<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let servers = servers_soon(context).await?;
        for node in self.nodes {
            found(&servers, node)?;
        }
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Looking again is all there is to it.
        Ok(Probe::NotDone)
    }
}

struct Drain<'a> {
    node: &'a NodeName,
}

impl Action for Drain<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let servers = servers_soon(context).await?;
        if found(&servers, self.node)?.is_withheld() {
            // Drained, it would come back with whatever ends the draining.
            return context.output(&Drained { drained: false });
        }
        // The last one goes on: a slow answer, or one that comes from the old release, is better than none.
        let drained =
            servers.iter().any(|server| server.name != self.node.as_str() && server.takes_requests());
        if drained {
            order(context, self.node, Order::Drain).await?;
            self.quiet(context).await?;
        } else {
            let text = format!("no other node than {} takes requests: it is not drained", self.node);
            context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
        }
        context.output(&Drained { drained })
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        // One that is kept out stays out.
        if found(&servers_soon(context).await?, self.node)?.is_drained() {
            order(context, self.node, Order::Return).await?;
        }
        Ok(())
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Whether requests were still in flight is not remembered: the act looks again.
        Ok(match found(&servers(context).await?, self.node)?.is_drained() {
            true => Probe::Partial,
            false => Probe::NotDone,
        })
    }
}

impl Drain<'_> {
    /// Waits until no request is in flight.
    async fn quiet(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let until = Instant::now() + DRAIN_LIMIT;
        loop {
            // A load balancer that is started anew in between has no requests in flight, and knows the order.
            let sessions = found(&servers_soon(context).await?, self.node)?.sessions;
            if sessions == 0 {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(CallError::failed(format!(
                    "{} still answers {sessions} requests {} s after the load balancer stopped sending to it",
                    self.node,
                    DRAIN_LIMIT.as_secs()
                )));
            }
            pause(context).await?;
        }
    }
}

struct Return<'a> {
    node: &'a NodeName,
    healed: bool,
}

impl Action for Return<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        if !self.healed && found(&servers_soon(context).await?, self.node)?.is_withheld() {
            let text = format!("{} stays out of the load balancer until it is what it should be", self.node);
            context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
            return Ok(Value::Null);
        }
        order(context, self.node, Order::Return).await?;
        let until = Instant::now() + RETURN_LIMIT;
        loop {
            let servers = servers_soon(context).await?;
            let server = found(&servers, self.node)?;
            if server.takes_requests() {
                return Ok(Value::Null);
            }
            let seen = format!("HAProxy says {} {}", server.status, server.check);
            if Instant::now() > until {
                let node = self.node;
                return Err(CallError::failed(format!(
                    "the load balancer does not send to {node} again after {} s",
                    RETURN_LIMIT.as_secs()
                ))
                .because(seen.trim_end())
                .hint(format!("orocloud-cli log:tail nginx app --node={node} --lines=50 --no-follow")));
            }
            pause(context).await?;
        }
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        Ok(())
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(match found(&servers(context).await?, self.node)?.takes_requests() {
            true => Probe::Done(Value::Null),
            false => Probe::NotDone,
        })
    }
}

struct Withhold<'a> {
    node: &'a NodeName,
}

impl Action for Withhold<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        order(context, self.node, Order::Withhold).await?;
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // Whoever undoes has not brought the node to what it should be.
        Ok(())
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(match found(&servers(context).await?, self.node)?.is_withheld() {
            true => Probe::Done(Value::Null),
            false => Probe::NotDone,
        })
    }
}

async fn servers(context: &ActionContext<'_>) -> Result<Vec<Server>, CallError> {
    let config = context.balancer()?;
    haproxy::servers(&config.admin_socket, &config.backend).await
}

/// The same, also of a load balancer that is just being started.
async fn servers_soon(context: &ActionContext<'_>) -> Result<Vec<Server>, CallError> {
    let until = Instant::now() + start_limit();
    loop {
        match servers(context).await {
            Err(_) if Instant::now() < until => pause(context).await?,
            outcome => return outcome.map_err(|error| down(context, error)),
        }
    }
}

fn found<'a>(servers: &'a [Server], node: &NodeName) -> Result<&'a Server, CallError> {
    servers.iter().find(|server| server.name == node.as_str()).ok_or_else(|| {
        CallError::failed(format!("HAProxy has no server {node}"))
            .hint("its servers must be named like the web nodes; compare with: orocloud-cli env:info")
    })
}

/// Gives the order, also to a load balancer that is just being started.
async fn order(context: &ActionContext<'_>, node: &NodeName, order: Order) -> Result<(), CallError> {
    let config = context.balancer()?;
    let until = Instant::now() + start_limit();
    loop {
        match haproxy::order(config, node, order).await {
            Err(_) if Instant::now() < until => pause(context).await?,
            outcome => return outcome.map_err(|error| down(context, error)),
        }
    }
}

fn down(context: &ActionContext<'_>, error: CallError) -> CallError {
    let node = &context.node.config.node;
    error.hint(format!("see why: orocloud-cli log:tail haproxy --node={node} --lines=50 --no-follow"))
}

async fn pause(context: &ActionContext<'_>) -> Result<(), CallError> {
    tokio::select! {
        () = sleep(PAUSE) => Ok(()),
        () = context.cancel.cancelled() => {
            Err(CallError::new(ErrorKind::Cancelled, "waiting for the load balancer was cancelled"))
        }
    }
}
