//! The maintenance page: up when nothing of the application runs any more, and put back as it was. On maint the same
//! steps remember what holds, so that a node that was away can be given it.

use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::maintenance::{MaintenancePage, PageNeed};
use orocloud_protocol::node::{MaintenanceBefore, PageChange, Probe};
use orocloud_protocol::{CallError, ErrorKind};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Action, ActionContext};
use crate::engines::{http, nginx, php_fpm};
use crate::environment::Web;
use crate::maintenance_mode::{PageFile, until};
use crate::releases;

/// How long requests may take that were accepted before.
const DRAIN_LIMIT: Duration = Duration::from_secs(180);

/// How long the page may take to show up, or to go.
const SHOW_LIMIT: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(25);

/// The files of this node: the environment's record on maint, the switch on a web node.
fn files(context: &ActionContext<'_>) -> Vec<(&'static str, PageFile)> {
    let config = &context.node.config;
    let record = config.maint.is_some().then(|| ("page-record", PageFile::record(&config.state)));
    let page = config.web.as_ref().map(|web| ("page-before", PageFile::of_node(web)));
    record.into_iter().chain(page).collect()
}

/// Changes the files of this node. What they said before is remembered first: a second attempt must not take the
/// first one's page for an older one.
fn change(
    context: &ActionContext<'_>,
    change: impl Fn(&mut MaintenancePage),
) -> Result<MaintenancePage, CallError> {
    let mut first = None;
    for (mark, file) in files(context) {
        let before = match context.marks().get::<MaintenancePage>(mark)? {
            Some(before) => before,
            None => {
                let before = file.read()?;
                context.marks().set(mark, &before)?;
                before
            }
        };
        file.change(&change)?;
        // Of a node that is both, the page counts.
        first = Some(before);
    }
    first.ok_or_else(|| {
        let node = &context.node.config.node;
        CallError::internal(format!("{node} has no maintenance page: it is neither maint nor web"))
    })
}

/// Lets `part` of what was there before take its place again.
fn put_back(
    context: &ActionContext<'_>,
    part: impl Fn(&mut MaintenancePage, MaintenancePage),
) -> Result<(), CallError> {
    for (mark, file) in files(context) {
        if let Some(before) = context.marks().get::<MaintenancePage>(mark)? {
            file.change(|page| part(page, before))?;
            context.marks().clear(mark)?;
        }
    }
    Ok(())
}

fn touched(context: &ActionContext<'_>) -> Result<bool, CallError> {
    for (mark, _) in files(context) {
        if context.marks().get::<MaintenancePage>(mark)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// [`orocloud_protocol::node::StepAction::MaintenanceOn`]
pub struct On<'a> {
    /// What is done meanwhile.
    pub comment: Option<&'a str>,
    /// How many seconds it was announced to take.
    pub duration: Option<u64>,
}

impl Action for On<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let since = Timestamp::now();
        let need = PageNeed {
            operation: context.operation,
            since,
            until: self.duration.map(|seconds| until(since, seconds)),
            comment: self.comment.map(str::to_owned),
        };
        let before = change(context, |page| {
            if page.needed.as_ref().is_none_or(|need| need.operation != context.operation) {
                page.needed = Some(need.clone());
            }
        })?;
        if let Some(web) = &context.node.config.web {
            shown(context, web).await?;
            drained(context, web).await?;
        }
        context.output(&MaintenanceBefore { was_on: before.is_up() })
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        put_back(context, |page, before| page.needed = before.needed)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Whether requests were still in flight is not remembered: the act looks again.
        Ok(if touched(context)? { Probe::Partial } else { Probe::NotDone })
    }
}

/// [`orocloud_protocol::node::StepAction::MaintenanceRestore`]
pub struct Restore {}

impl Action for Restore {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        for (_, file) in files(context) {
            file.change(|page| page.needed = None)?;
        }
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // It comes after the point of no return; the page stays as the person had it.
        Ok(())
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        for (_, file) in files(context) {
            if file.read()?.needed.is_some() {
                return Ok(Probe::NotDone);
            }
        }
        Ok(Probe::Done(Value::Null))
    }
}

/// [`orocloud_protocol::node::StepAction::MaintenanceOrder`]
pub struct Order<'a>(pub &'a PageChange);

impl Action for Order<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        change(context, |page| match self.0 {
            PageChange::Maintenance(order) | PageChange::Emergency(order) => {
                page.ordered = Some(order.clone());
            }
            PageChange::Down { all } => {
                page.ordered = None;
                if *all {
                    page.needed = None;
                }
            }
        })?;
        let Some(web) = &context.node.config.web else { return Ok(Value::Null) };
        match self.0 {
            PageChange::Maintenance(_) => {
                shown(context, web).await?;
                drained(context, web).await?;
            }
            PageChange::Emergency(_) => shown(context, web).await?,
            PageChange::Down { .. } => gone(context, web).await?,
        }
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        put_back(context, |page, before| {
            page.ordered = before.ordered;
            // An operation that has put up its own meanwhile keeps that.
            if page.needed.is_none() && matches!(self.0, PageChange::Down { all: true }) {
                page.needed = before.needed;
            }
        })
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(if touched(context)? { Probe::Partial } else { Probe::NotDone })
    }
}

/// [`orocloud_protocol::node::StepAction::MaintenanceHold`]
pub struct Hold<'a> {
    /// What holds.
    pub page: &'a MaintenancePage,
}

impl Action for Hold<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let web = context.web()?;
        PageFile::of_node(web).change(|page| *page = self.page.clone())?;
        if self.page.is_up() {
            shown(context, web).await?;
        }
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // What holds in the environment is never wrong on a node.
        Ok(())
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let here = PageFile::of_node(context.web()?).read()?;
        Ok(if here == *self.page { Probe::Done(Value::Null) } else { Probe::NotDone })
    }
}

/// Whether the page is up.
pub fn is_on(web: &Web) -> Result<bool, CallError> {
    web.maintenance_file.try_exists().map_err(|error| {
        let file = web.maintenance_file.display();
        CallError::failed(format!("the maintenance file {file} cannot be looked for")).because(error)
    })
}

/// Waits until the front of this node answers with something else than the page, unless it is still wanted, or there
/// is nothing else to be served.
async fn gone(context: &ActionContext<'_>, web: &Web) -> Result<(), CallError> {
    let served = context.node.config.app.as_ref().and_then(releases::live).is_some();
    if is_on(web)? || !served {
        return Ok(());
    }
    let host = http::host_of(&context.node.config.environment.url);
    let until = Instant::now() + SHOW_LIMIT;
    loop {
        let seen = match http::get(&web.url, host, Duration::from_secs(5)).await {
            Ok(page) if page.status != 503 => return Ok(()),
            Ok(page) => format!("{} answers HTTP {}", web.url, page.status),
            Err(error) => error.to_string(),
        };
        if Instant::now() > until {
            let node = &context.node.config.node;
            return Err(CallError::failed(format!("{node} does not serve the application"))
                .because(seen)
                .hint(format!("orocloud-cli log:tail app nginx --node={node} --lines=20 --no-follow")));
        }
        pause(context).await?;
    }
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
