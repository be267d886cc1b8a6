//! Mail on a mail node: a relay tried, a configuration made beside the one that holds, switched to and watched.

#[cfg(test)]
mod fakes;
mod follow;
pub(super) mod hold;
#[cfg(test)]
mod hold_tests;
mod send;
pub(super) mod tell;
#[cfg(test)]
mod tests;

use std::time::Duration;

use lettre::Address;
use orocloud_protocol::node::{MailChange, MailChecked, Phase, Probe, StepAction, StepAnswer};
use orocloud_protocol::smtp::ChangedAnswer;
use orocloud_protocol::{CallError, ErrorKind, EventBody, MailAddress, NoteLevel, RelayName};
use serde_json::Value;
use tokio::sync::MutexGuard;
use tokio::time::sleep;

use super::{Action, ActionContext, carry_out};
use crate::engines::postfix::{self, configuration, log};
use crate::engines::relay;
use crate::environment::Postfix;
use crate::mail_settings::{Desired, Relay};
use crate::nodes::mail::switch::{
    self, cancelled, hurry, is_left, log_untidy, read_anew, reload_signer, runs, until_it_works,
};
use crate::nodes::mail::{Configurations, how_they_fare, section};
use crate::rules::whitelist::Named;

/// Runs a step of this topic.
pub async fn run(
    context: &ActionContext<'_>,
    phase: Phase,
    action: &StepAction,
) -> Result<StepAnswer, CallError> {
    // What only looks waits for nobody.
    let changes = matches!(
        action,
        StepAction::MailStage { .. }
            | StepAction::MailWrite {}
            | StepAction::MailSwitch {}
            | StepAction::MailHold { .. }
    );
    let _turn = if changes { Some(turn(context).await?) } else { None };
    match action {
        StepAction::MailStage { change } => carry_out(&Stage { change }, phase, context).await,
        StepAction::MailTry { relay, candidate, from, to } => {
            let action = Try { relay, candidate: *candidate, from: from.as_ref(), to: to.as_ref() };
            carry_out(&action, phase, context).await
        }
        StepAction::MailWrite {} => carry_out(&Write {}, phase, context).await,
        StepAction::MailSwitch {} => carry_out(&Switch {}, phase, context).await,
        StepAction::MailHold { whitelist, beside } => {
            carry_out(&hold::Hold { whitelist, beside: *beside }, phase, context).await
        }
        StepAction::MailReady { from } => {
            carry_out(&follow::Ready { from: from.as_ref() }, phase, context).await
        }
        StepAction::MailSend { to } => carry_out(&send::Send { to }, phase, context).await,
        StepAction::MailFollow { from } => carry_out(&follow::Follow { from }, phase, context).await,
        _ => Err(CallError::internal("this is no step of mail")),
    }
}

/// The word about mail on this node, once nobody else has it.
async fn turn(context: &ActionContext<'_>) -> Result<MutexGuard<'static, ()>, CallError> {
    /// Who waits longer wants to know what for.
    const A_MOMENT: Duration = Duration::from_secs(1);
    let turn = switch::TURN.lock();
    tokio::pin!(turn);
    tokio::select! {
        biased;
        turn = &mut turn => return Ok(turn),
        () = sleep(A_MOMENT) => {}
        () = context.cancel.cancelled() => return Err(cancelled()),
    }
    let text = format!("another change of mail on {} is waited for", context.node.config.node);
    context.events.emit(EventBody::Note { level: NoteLevel::Info, text });
    tokio::select! {
        turn = turn => Ok(turn),
        () = context.cancel.cancelled() => Err(cancelled()),
    }
}

/// An address as SMTP has it.
pub(super) fn address(address: &MailAddress) -> Result<Address, CallError> {
    address
        .as_str()
        .parse()
        .map_err(|error| CallError::refused(format!("{address} is no address of mail: {error}")))
}

/// The mark of the application's list as it was when the candidate was made, and whether it was on its way.
const FOUND: &str = "mail:found";

struct Stage<'a> {
    change: &'a MailChange,
}

impl Action for Stage<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let configurations = Configurations::new(section(context.node)?);
        let holds = configurations.desired()?;
        context.marks().set(FOUND, &(&holds.application, holds.on_the_way))?;
        let desired = holds.with(self.change)?;
        for relay in &desired.relays {
            for given in [&relay.probe_from, &relay.probe_to].into_iter().flatten() {
                address(given)?;
            }
        }
        configurations.stage(context.operation, &desired)?;
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        Configurations::new(section(context.node)?).drop_candidate(context.operation)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let staged = Configurations::new(section(context.node)?).is_staged(context.operation);
        Ok(if staged { Probe::Done(Value::Null) } else { Probe::NotDone })
    }
}

struct Try<'a> {
    relay: &'a RelayName,
    candidate: bool,
    from: Option<&'a MailAddress>,
    to: Option<&'a MailAddress>,
}

impl Try<'_> {
    fn target(&self, context: &ActionContext<'_>, relay: &Relay) -> Result<relay::Target, CallError> {
        let either = |given: Option<&MailAddress>, kept: &Option<MailAddress>| {
            given.or(kept.as_ref()).map(address).transpose()
        };
        let config = &context.node.config;
        let credentials = relay.user.as_ref().zip(relay.password.as_ref());
        Ok(relay::Target {
            host: relay.host.as_str().to_owned(),
            port: relay.port,
            tls: relay.tls,
            ca: relay.ca.clone(),
            credentials: credentials.map(|(user, password)| (user.as_str().to_owned(), password.clone())),
            from: either(self.from, &relay.probe_from)?,
            to: either(self.to, &relay.probe_to)?,
            hello: config.environment.full_name(&config.node),
        })
    }
}

impl Action for Try<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let configurations = Configurations::new(section(context.node)?);
        let desired = match self.candidate {
            true => configurations.candidate(context.operation)?,
            false => configurations.desired()?,
        };
        let relay = desired.relay(self.relay)?;
        let target = self.target(context, relay)?;
        let trying = relay::try_stages(target, relay::LIMIT);
        let outcome = tokio::select! {
            outcome = trying => outcome,
            () = context.cancel.cancelled() => return Err(cancelled()),
        };
        match outcome {
            Ok(tried) => context.output(&MailChecked { tried, ..MailChecked::default() }),
            Err(relay::Failed { stage, said }) => {
                let Relay { name, host, port, .. } = relay;
                let what = format!("relay {name} ({host}:{port}) fails at {}", stage.as_str());
                let failed = CallError::new(ErrorKind::CheckFailed, what).because(said).hint(format!(
                    "correct it: orocloud-cli smtp:relay:set {name} --host={host} --port={port}"
                ));
                match self.candidate {
                    true => Err(failed.hint("nothing has changed, see what holds: orocloud-cli smtp:show")),
                    false => context.output(&MailChecked { failed: Some(failed), ..MailChecked::default() }),
                }
            }
        }
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // It changed nothing.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(Probe::NotDone)
    }
}

struct Write {}

impl Action for Write {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let postfix = section(context.node)?;
        let kind = context.node.config.environment.kind;
        let signer = context.node.config.signer.as_ref();
        let (folder, desired) = Configurations::new(postfix).write(context.operation, kind, signer)?;
        let processes = &context.node.processes;
        postfix::check(processes, postfix, &folder).await?;
        for map in configuration::maps(&desired, &folder) {
            postfix::check_map(processes, postfix, &folder, &map).await?;
        }
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // The candidate goes as a whole.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Writing it again is quick, and so is checking it.
        Ok(Probe::Partial)
    }
}

struct Switch {}

/// The mark of the configuration that held before.
const BEFORE: &str = "mail:before";

impl Action for Switch {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let postfix = section(context.node)?;
        let configurations = Configurations::new(postfix);
        let candidate = context.operation.to_string();
        // Until it is switched to, a release on its way may bring its list: then another one is what to go back to.
        let current = configurations.current()?;
        let before = match context.marks().get::<String>(BEFORE)?.filter(|_| current == candidate) {
            Some(before) => before,
            None => {
                let before = configurations.to_go_back_to()?;
                context.marks().set(BEFORE, &before)?;
                before
            }
        };
        with_list_of_now(context, postfix)?;
        let place = log::end(&postfix.log);
        configurations.switch_to(&candidate)?;
        let runs = runs(context.node, postfix).await?;
        if runs {
            context.node.services.reload(&postfix.service).await?;
        }
        reload_signer(context.node).await;
        if runs {
            until_it_works(context.node, &context.cancel, postfix, place).await?;
            hurry(context.node, postfix).await;
        } else {
            let node = &context.node.config.node;
            let text = format!(
                "Postfix does not run on {node}: it goes by this once it is started; see: orocloud-cli status"
            );
            context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
        }
        log_untidy(configurations.tidy(&before));
        answer(context, postfix, &configurations.desired()?).await
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let postfix = section(context.node)?;
        let configurations = Configurations::new(postfix);
        let Some(before) = context.marks().get::<String>(BEFORE)? else { return Ok(()) };
        if configurations.current()? != before {
            let Desired { application, on_the_way, .. } = configurations.desired()?;
            let then = configurations.document(&before)?;
            if (&application, on_the_way) != (&then.application, then.on_the_way) {
                // A release on its way has brought its list since, which stays.
                let wanted = Desired { application, on_the_way, ..then };
                match switch::put(context.node, postfix, &wanted).await {
                    Ok(()) => {
                        reload_signer(context.node).await;
                        return Ok(());
                    }
                    // What worked before does without it; the list is followed once the operation has ended.
                    Err(error) => {
                        crate::log::line(format!("mail goes back without the list of now: {error}"))
                    }
                }
            }
        }
        // Until it is sure that Postfix works by it the watch of relays sees to it too.
        configurations.set_unread(&before, &before)?;
        if configurations.current()? != before {
            configurations.switch_to(&before)?;
        }
        let place = log::end(&postfix.log);
        let read = read_anew(context.node, postfix, &configurations, &before).await;
        reload_signer(context.node).await;
        match read {
            // The candidate is left at least, whose files go next.
            Err(error) if is_left(postfix, place)? => {
                let node = &context.node.config.node;
                let text = format!(
                    "it is not sure that Postfix on {node} works by what held before; it is told again: {error}"
                );
                context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
                Ok(())
            }
            read => read,
        }
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let configurations = Configurations::new(section(context.node)?);
        // Whether Postfix was told is not known: it is told again.
        let is_switched = configurations.current()? == context.operation.to_string();
        Ok(if is_switched { Probe::Partial } else { Probe::NotDone })
    }
}

/// Gives the candidate the list of the application that holds by now, if that is another one than when the candidate was made: an
/// operation that brings a release sets it without waiting for operations of mail.
fn with_list_of_now(context: &ActionContext<'_>, postfix: &Postfix) -> Result<(), CallError> {
    let configurations = Configurations::new(postfix);
    let Some(found) = context.marks().get::<(Named, bool)>(FOUND)? else { return Ok(()) };
    let Desired { application, on_the_way, .. } = configurations.desired()?;
    let is_found = (&application, on_the_way) == (&found.0, found.1);
    if is_found || configurations.current()? == context.operation.to_string() {
        return Ok(());
    }
    // Made again also where its document has that list: its maker may have died before the maps were written.
    let candidate = configurations.candidate(context.operation)?;
    configurations.stage(context.operation, &Desired { application, on_the_way, ..candidate })?;
    let config = &context.node.config;
    configurations.write(context.operation, config.environment.kind, config.signer.as_ref()).map(drop)
}

async fn answer(
    context: &ActionContext<'_>,
    postfix: &Postfix,
    desired: &Desired,
) -> Result<Value, CallError> {
    let relays = match how_they_fare(context.node, postfix, desired, |_| ()).await {
        Ok((relays, ())) => relays,
        // It holds all the same.
        Err(error) => {
            crate::log::line(format!("how relays fare is not told: {error}"));
            desired.infos()
        }
    };
    let recipients = desired.recipients(context.node.config.environment.kind);
    context.output(&ChangedAnswer { relays, recipients })
}
