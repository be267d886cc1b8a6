//! Postfix switched from one configuration to another, and watched until it works by it.

use std::path::Path;
use std::time::Duration;

use orocloud_protocol::{CallError, ErrorKind};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Configurations;
use crate::engines::greeting;
use crate::engines::postfix::{self, configuration, log, submission};
use crate::environment::Postfix;
use crate::mail_settings::Desired;
use crate::nodes::NodeRef;
use crate::nodes::transport::new_call_id;
use crate::service_manager::Activity;

/// Held by whoever changes the configurations of mail on this node: a step of an operation, or the watch.
pub(in crate::nodes) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How long Postfix may take to work by another configuration.
const SWITCH_LIMIT: Duration = Duration::from_secs(60);

/// How long a node that is told to switch is waited for: there and back again, and once more for whoever has the [`TURN`].
/// Were it shorter, nobody would read why it went back.
pub const LIMIT: Duration = SWITCH_LIMIT.saturating_mul(4);

/// How long it may take until its processes have left one.
const LEAVING_LIMIT: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(50);

/// The way of an operation, in the hand of whoever has the [`TURN`]: written and checked beside, switched to, watched; and
/// back, when Postfix cannot work by it.
pub async fn put(node: &NodeRef, postfix: &Postfix, wanted: &Desired) -> Result<(), CallError> {
    let configurations = Configurations::new(postfix);
    let (found, before) = (configurations.current()?, configurations.to_go_back_to()?);
    match switch(node, postfix, &configurations, wanted, &before).await {
        Err(error) if configurations.current()? != found => {
            Err(gone_back(node, postfix, &configurations, &before, error).await)
        }
        outcome => outcome,
    }
}

/// Has Postfix read what it may not have read, since somebody died before that was sure; and goes back like [`put`].
pub async fn settle(node: &NodeRef, postfix: &Postfix) -> Result<(), CallError> {
    let configurations = Configurations::new(postfix);
    let (current, before) = (configurations.current()?, configurations.to_go_back_to()?);
    match read_anew(node, postfix, &configurations, &current).await {
        Err(error) if current != before => {
            Err(gone_back(node, postfix, &configurations, &before, error).await)
        }
        outcome => outcome,
    }
}

/// Goes back; gives why, and what went wrong on the way.
async fn gone_back(
    node: &NodeRef,
    postfix: &Postfix,
    configurations: &Configurations<'_>,
    before: &str,
    error: CallError,
) -> CallError {
    // What is not read of it in the end, the watch of relays sees to.
    let back = async {
        configurations.set_unread(before, before)?;
        configurations.switch_to(before)?;
        read_anew(node, postfix, configurations, before).await
    };
    match back.await {
        Ok(()) => error.because("what held before holds again"),
        Err(fault) => error.because(format!("nor is it sure that Postfix works by the one before: {fault}")),
    }
}

/// One that does not run reads what holds when it is started.
pub async fn runs(node: &NodeRef, postfix: &Postfix) -> Result<bool, CallError> {
    let state = node.services.state(&postfix.service).await?;
    Ok(matches!(state.activity, Activity::Running | Activity::Starting))
}

async fn switch(
    node: &NodeRef,
    postfix: &Postfix,
    configurations: &Configurations<'_>,
    wanted: &Desired,
    before: &str,
) -> Result<(), CallError> {
    let id = new_call_id();
    let name = id.to_string();
    configurations.stage(id, wanted)?;
    let (folder, _) = configurations.write(id, node.config.environment.kind, node.config.signer.as_ref())?;
    postfix::check(&node.processes, postfix, &folder).await?;
    for map in configuration::maps(wanted, &folder) {
        postfix::check_map(&node.processes, postfix, &folder, &map).await?;
    }
    configurations.set_unread(&name, before)?;
    configurations.switch_to(&name)?;
    read_anew(node, postfix, configurations, &name).await?;
    log_untidy(configurations.tidy_old());
    Ok(())
}

/// What nobody needs any more undoes no switch that worked: the next one tidies it away.
pub fn log_untidy(tidied: Result<(), CallError>) {
    if let Err(error) = tidied {
        crate::log::line(format!("former configurations of mail are left: {error}"));
    }
}

/// Has Postfix read what it may not have read; until that is sure the watch of relays sees to it.
pub async fn read_anew(
    node: &NodeRef,
    postfix: &Postfix,
    configurations: &Configurations<'_>,
    name: &str,
) -> Result<(), CallError> {
    if !runs(node, postfix).await? {
        return configurations.set_read(name);
    }
    let place = log::end(&postfix.log);
    node.services.reload(&postfix.service).await?;
    until_it_works(node, &CancellationToken::new(), postfix, place).await?;
    hurry(node, postfix).await;
    configurations.set_read(name)
}

/// Waits until Postfix works by what it was told to read, or says that it cannot.
pub async fn until_it_works(
    node: &NodeRef,
    cancel: &CancellationToken,
    postfix: &Postfix,
    place: u64,
) -> Result<(), CallError> {
    works(node, cancel, postfix, place).await.map_err(|error| match error.kind {
        ErrorKind::Cancelled => error,
        _ => {
            let node = &node.config.node;
            error.hint(format!(
                "see what it says: orocloud-cli log:tail postfix --node={node} --lines=50 --no-follow"
            ))
        }
    })
}

async fn works(
    node: &NodeRef,
    cancel: &CancellationToken,
    postfix: &Postfix,
    place: u64,
) -> Result<(), CallError> {
    let until = Instant::now() + SWITCH_LIMIT;
    let complains = || -> Result<bool, CallError> {
        let said = said_since(postfix, place)?;
        match log::complaint(&said) {
            Some(line) => {
                Err(CallError::failed("Postfix does not work by the new configuration").because(line))
            }
            None => Ok(log::is_reloaded(&said)),
        }
    };
    while !complains()? {
        pause(cancel, until, "did not say that it has read its configuration").await?;
    }
    let hello = node.config.environment.full_name(&node.config.node);
    until_greeted(cancel, postfix, &complains).await?;
    // Its parts begin when they are needed: one message is taken as far as its recipient. One that cannot begin says so in
    // the log long before anybody has waited enough for it.
    loop {
        match unless_it_complains(cancel, &complains, submission::look(postfix.listens, &hello)).await? {
            Ok(()) => return Ok(()),
            Err(why) => pause(cancel, until, &format!("does not take mail: {why}")).await?,
        }
    }
}

/// Waits until a process greets that works by the configuration that was switched to. It says that it reads it before its
/// processes know of that, and one that works by the old one would answer as though all were well.
async fn until_greeted(
    cancel: &CancellationToken,
    postfix: &Postfix,
    complains: impl Fn() -> Result<bool, CallError>,
) -> Result<(), CallError> {
    let mark = configuration::mark(Path::new(&Configurations::new(postfix).current()?));
    let until = Instant::now() + LEAVING_LIMIT;
    // Where its administrator has it greet otherwise, in master.cf, that is not to be seen.
    while Instant::now() < until {
        let looking = greeting::look_at(postfix.listens, LEAVING_LIMIT);
        let seen = unless_it_complains(cancel, &complains, looking).await?;
        if seen.said.contains(&mark) {
            break;
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// What a look finds, unless Postfix complains before it has an answer.
async fn unless_it_complains<T>(
    cancel: &CancellationToken,
    complains: impl Fn() -> Result<bool, CallError>,
    looking: impl Future<Output = T>,
) -> Result<T, CallError> {
    tokio::pin!(looking);
    let seen = loop {
        tokio::select! {
            seen = &mut looking => break seen,
            () = sleep(PAUSE) => { complains()?; }
            () = cancel.cancelled() => return Err(cancelled()),
        }
    };
    complains()?;
    Ok(seen)
}

async fn pause(cancel: &CancellationToken, until: Instant, what: &str) -> Result<(), CallError> {
    if Instant::now() > until {
        return Err(CallError::failed(format!("Postfix {what} within {} s", SWITCH_LIMIT.as_secs())));
    }
    tokio::select! {
        () = sleep(PAUSE) => Ok(()),
        () = cancel.cancelled() => Err(cancelled()),
    }
}

/// Whether Postfix says that it has left a configuration for another since it was told to.
pub fn is_left(postfix: &Postfix, place: u64) -> Result<bool, CallError> {
    Ok(log::is_reloaded(&said_since(postfix, place)?))
}

fn said_since(postfix: &Postfix, place: u64) -> Result<String, CallError> {
    log::since(&postfix.log, place)
        .map_err(|error| CallError::failed("Postfix's log cannot be read").because(error))
}

/// Has the signer read its tables, which have been switched with Postfix's configuration. One that does not run reads them when
/// it is started, and mail leaves unsigned until then: no reason to go back.
pub async fn reload_signer(node: &NodeRef) {
    if let Some(signer) = &node.config.signer
        && let Err(error) = node.services.reload(&signer.service).await
    {
        crate::log::line(format!("{} does not read its tables anew: {error}", signer.service));
    }
}

/// What was in flight could wait for minutes otherwise; that it cannot be hurried undoes nothing.
pub async fn hurry(node: &NodeRef, postfix: &Postfix) {
    if let Err(error) = postfix::flush(&node.processes, postfix).await {
        crate::log::line(format!("what waits in Postfix is not tried at once: {error}"));
    }
}

/// The error that somebody cancelled it.
pub fn cancelled() -> CallError {
    CallError::new(ErrorKind::Cancelled, "it was cancelled")
}
