//! The application's services: stopped before the page's work begins, and exactly those that ran started again.

use orocloud_protocol::node::{Probe, ServiceHolder};
use orocloud_protocol::service::{ServiceChange, ServiceKind};
use orocloud_protocol::{CallError, ServiceName};
use serde_json::Value;

use super::{Action, ActionContext};
use crate::nodes::services::{Held, HeldService, Holder, of_node};
use crate::service_manager::Activity;

fn held(context: &ActionContext<'_>) -> Held {
    Held::new(&context.node.config.state)
}

fn units(context: &ActionContext<'_>, kind: ServiceKind) -> Vec<ServiceName> {
    of_node(context.node, Some(kind)).map(|service| service.unit.clone()).collect()
}

/// Who holds what this step stops.
fn holder(context: &ActionContext<'_>, holder: ServiceHolder) -> Holder {
    match holder {
        ServiceHolder::Maintenance => Holder::Maintenance,
        ServiceHolder::Operation => Holder::Operation(context.operation),
    }
}

/// [`orocloud_protocol::node::StepAction::ServicesStop`]
pub struct Stop {
    pub kind: ServiceKind,
    pub holder: ServiceHolder,
}

impl Action for Stop {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let services = &context.node.services;
        let holder = holder(context, self.holder);
        let units = units(context, self.kind);
        // Remembered before anything changes: a second attempt must not take the first one's work for a person's wish.
        if context.marks().get::<Vec<HeldService>>(context.step)?.is_none() {
            context.marks().set(context.step, &held(context).all()?)?;
        }
        for unit in units {
            let activity = services.state(unit.as_str()).await?.activity;
            held(context).change(|all| match all.iter_mut().find(|held| held.unit == unit) {
                // What an earlier operation left stopped becomes this one's to start; a person's stays theirs.
                Some(held) if matches!(held.holder, Holder::Operation(_)) => held.holder = holder,
                Some(_) => {}
                // One that ended although nobody stopped it was meant to run.
                None if activity != Activity::Stopped => all.push(HeldService { unit: unit.clone(), holder }),
                None => {}
            })?;
            if activity != Activity::Stopped {
                services.stop(unit.as_str()).await?;
            }
        }
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let Some(before) = context.marks().get::<Vec<HeldService>>(context.step)? else { return Ok(()) };
        let units = units(context, self.kind);
        let now = held(context).all()?;
        for unit in now.iter().map(|held| &held.unit).filter(|unit| units.contains(unit)) {
            if !before.iter().any(|held| held.unit == *unit) {
                context.node.services.start(unit.as_str()).await?;
            }
        }
        held(context).change(|all| {
            all.retain(|held| !units.contains(&held.unit));
            all.extend(before.into_iter().filter(|held| units.contains(&held.unit)));
        })?;
        context.marks().clear(context.step)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let began = context.marks().get::<Vec<HeldService>>(context.step)?.is_some();
        Ok(if began { Probe::Partial } else { Probe::NotDone })
    }
}

/// [`orocloud_protocol::node::StepAction::ServicesStart`]
pub struct Start {
    pub kind: ServiceKind,
    pub holder: ServiceHolder,
}

impl Action for Start {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let units = units(context, self.kind);
        let mine = |held: &HeldService| match self.holder {
            // Nobody else is at work: what a failed operation has left stopped is started too.
            ServiceHolder::Maintenance => true,
            ServiceHolder::Operation => held.holder == Holder::Operation(context.operation),
        };
        let all = held(context).all()?;
        let mut fault = None;
        for HeldService { unit, .. } in all.iter().filter(|held| units.contains(&held.unit) && mine(held)) {
            match context.node.services.start(unit.as_str()).await {
                Ok(()) => drop(held(context).change(|all| all.retain(|held| held.unit != *unit))?),
                // One that does not start keeps no other from it.
                Err(error) => drop(fault.get_or_insert(error)),
            }
        }
        fault.map_or(Ok(Value::Null), Err)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // It comes after the point of no return.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Starting what runs does nothing.
        Ok(Probe::Partial)
    }
}

/// [`orocloud_protocol::node::StepAction::ServicesChange`]
pub struct Change<'a> {
    pub units: &'a [ServiceName],
    pub to: ServiceChange,
}

impl Action for Change<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let services = &context.node.services;
        for unit in self.units {
            if !of_node(context.node, None).any(|service| service.unit == *unit) {
                return Err(CallError::failed(format!("{unit} is no service of the application here")));
            }
            let name = unit.as_str();
            let running = services.state(name).await?.activity != Activity::Stopped;
            if self.to == ServiceChange::RestartRunning {
                if running {
                    services.stop(name).await?;
                    services.start(name).await?;
                }
                continue;
            }
            if self.to != ServiceChange::Start && running {
                services.stop(name).await?;
            }
            // A person's word is the last one: what ends later changes nothing about it.
            held(context).change(|all| all.retain(|held| held.unit != *unit))?;
            if self.to != ServiceChange::Stop {
                services.start(name).await?;
            }
        }
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // Nothing is kept of how they were; whoever is told that it failed looks.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(Probe::Partial)
    }
}
