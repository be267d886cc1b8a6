//! The maintenance page of a web node: up when nothing of the application runs any more, and put back as it was.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::node::{MaintenanceBefore, Probe};
use orocloud_protocol::{CallError, CallId, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Action, ActionContext};
use crate::engines::{http, nginx, php_fpm};
use crate::environment::Web;

const BEFORE: &str = "maintenance-before";

/// That the page was left by an operation that has failed, and is not anybody's wish.
const LEFT: &str = "maintenance-left";

/// How long requests may take that were accepted before.
const DRAIN_LIMIT: Duration = Duration::from_secs(180);

/// How long the page may take to show up.
const SHOW_LIMIT: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(25);

/// What the maintenance file holds, for a person who finds it and for `maintenance:status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The operation that put it up.
    pub operation: CallId,
    /// When.
    pub since: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// [`orocloud_protocol::node::StepAction::MaintenanceOn`]
pub struct On<'a> {
    /// A person's words.
    pub comment: Option<&'a str>,
}

impl Action for On<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let web = context.web()?;
        // Remembered before anything changes: a second attempt must not take the first one's page for an older one.
        let before = match context.marks().get::<MaintenanceBefore>(BEFORE)? {
            Some(before) => before,
            None => {
                let before = MaintenanceBefore { was_on: is_on(web)? };
                if left_by_another(context, web) {
                    context.marks().set(LEFT, &true)?;
                }
                context.marks().set(BEFORE, &before)?;
                before
            }
        };
        if !is_on(web)? {
            let notice = Notice {
                operation: context.operation,
                since: Timestamp::now(),
                comment: self.comment.map(str::to_owned),
            };
            orocloud_durable::write_json(&web.maintenance_file, &notice, 0o644)
                .map_err(|error| context.io(&cannot(web, "written"), &error))?;
        }
        shown(context, web).await?;
        drained(context, web).await?;
        context.output(&before)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let before = context.marks().get::<MaintenanceBefore>(BEFORE)?;
        if before.is_some_and(|before| !before.was_on) { take_down(context) } else { Ok(()) }
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(match context.marks().get::<MaintenanceBefore>(BEFORE)? {
            None => Probe::NotDone,
            // Whether requests were still in flight is not remembered: the act looks again.
            Some(_) => Probe::Partial,
        })
    }
}

/// [`orocloud_protocol::node::StepAction::MaintenanceRestore`]
pub struct Restore {}

impl Action for Restore {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        if is_to_be_off(context)? {
            take_down(context)?;
        }
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // It comes after the point of no return; the page stays as the person had it.
        Ok(())
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let done = !is_to_be_off(context)? || !is_on(context.web()?)?;
        Ok(if done { Probe::Done(Value::Null) } else { Probe::NotDone })
    }
}

/// Whether the page goes once the operation has succeeded: its own does, and one that an operation before it left up
/// because it had failed. A person's stays.
fn is_to_be_off(context: &ActionContext<'_>) -> Result<bool, CallError> {
    let Some(before) = context.marks().get::<MaintenanceBefore>(BEFORE)? else { return Ok(false) };
    Ok(!before.was_on || context.marks().get::<bool>(LEFT)?.unwrap_or(false))
}

/// Whether an operation put the page up and has ended without taking it down: while that ran, this one could not begin.
fn left_by_another(context: &ActionContext<'_>, web: &Web) -> bool {
    let notice = orocloud_durable::read_json::<Notice>(&web.maintenance_file);
    matches!(notice, Ok(Some(notice)) if notice.operation != context.operation)
}

/// Whether the page is up.
pub fn is_on(web: &Web) -> Result<bool, CallError> {
    web.maintenance_file
        .try_exists()
        .map_err(|error| CallError::failed(cannot(web, "looked for")).because(error))
}

fn take_down(context: &ActionContext<'_>) -> Result<(), CallError> {
    let web = context.web()?;
    match std::fs::remove_file(&web.maintenance_file) {
        Ok(()) => orocloud_durable::sync_parent(&web.maintenance_file)
            .map_err(|error| context.io(&cannot(web, "removed"), &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(context.io(&cannot(web, "removed"), &error)),
    }
}

fn cannot(web: &Web, verb: &str) -> String {
    format!("the maintenance file {} cannot be {verb}", web.maintenance_file.display())
}

/// Waits until this node really serves the page.
async fn shown(context: &ActionContext<'_>, web: &Web) -> Result<(), CallError> {
    let host = http::host_of(&context.node.config.environment.url);
    let until = Instant::now() + SHOW_LIMIT;
    loop {
        let seen = match http::get(&web.url, host, Duration::from_secs(5)).await {
            Ok(page) if page.status == 503 => return Ok(()),
            Ok(page) => format!("{} answers HTTP {} instead of 503", web.url, page.status),
            Err(error) => error.to_string(),
        };
        if Instant::now() > until {
            let node = &context.node.config.node;
            return Err(CallError::failed(format!("{node} does not serve the maintenance page"))
                .because(seen)
                .hint(format!("orocloud-cli log:tail nginx --node={node} --lines=20 --no-follow")));
        }
        pause(context).await?;
    }
}

/// Waits until no request of the application is in flight. Two looks in a row must say so: between nginx's decision
/// to pass a request on and PHP-FPM's process that takes it there is a moment in which neither counts it.
async fn drained(context: &ActionContext<'_>, web: &Web) -> Result<(), CallError> {
    let until = Instant::now() + DRAIN_LIMIT;
    let mut quiet = 0;
    loop {
        let pool = php_fpm::pool(&web.fpm_status_url).await?;
        let connections = nginx::connections(&web.status_url).await?;
        // One busy connection is the one that asks. An upload that is still being read counts here alone.
        quiet = if pool.in_flight() == 0 && connections.busy <= 1 { quiet + 1 } else { 0 };
        if quiet == 2 {
            return Ok(());
        }
        if Instant::now() > until {
            let (node, requests) = (&context.node.config.node, pool.in_flight());
            return Err(CallError::failed(format!(
                "{node} still answers requests {} s after the maintenance page went up: {requests} in PHP-FPM, {} connections busy in nginx",
                DRAIN_LIMIT.as_secs(),
                connections.busy.saturating_sub(1),
            )));
        }
        pause(context).await?;
    }
}

async fn pause(context: &ActionContext<'_>) -> Result<(), CallError> {
    tokio::select! {
        () = sleep(PAUSE) => Ok(()),
        () = context.cancel.cancelled() => Err(CallError::new(ErrorKind::Cancelled, "waiting for the maintenance page was cancelled")),
    }
}
