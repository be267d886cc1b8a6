//! What a shell needs of its context besides calls: one connection that stays, and values while somebody types.

use std::time::{Duration, Instant};

use orocloud_protocol::{Call, EnvironmentType};

use super::{Context, Nothing, Shown, new_id, outgoing, read};
use crate::config::Sources;
use crate::connection::{Client, Resume};
use crate::output::{Failure, Ui};

/// Somebody who types waits for values no longer than this.
const PEEK: Duration = Duration::from_secs(3);

impl Context {
    /// From now on all calls go over one connection.
    pub fn keep_open(&mut self) {
        self.is_shell = true;
        if let Some(client) = &mut self.client {
            client.keep_open();
        }
    }

    /// Whether this is a shell's.
    pub fn is_shell(&self) -> bool {
        self.is_shell
    }

    /// A context for one command to another environment, beside this one.
    pub fn beside(&self, ui: Ui, sources: Sources) -> Self {
        Self { is_shell: self.is_shell, ..Self::new(ui, sources) }
    }

    /// The configuration is read anew by whoever needs it next: a command may have changed it.
    pub fn forget_config(&mut self) {
        self.config = None;
    }

    /// Connects, so that the environment's type is known.
    pub fn greet(&mut self) -> Result<Option<EnvironmentType>, Failure> {
        let mut client = self.client()?;
        let name = self.environment_label();
        let mut shown = Shown { ui: &mut self.ui, watch: &mut Nothing, name };
        let result =
            client.greet(&mut shown).map(|hello| (hello.environment_type, hello.environment.clone()));
        self.client = Some(client);
        let (kind, environment) = result?;
        if self.environment.is_none() {
            self.environment = environment;
        }
        Ok(kind)
    }

    /// Has the connection looked after while nobody uses it.
    pub fn rest(&mut self) {
        if let Some(client) = &mut self.client {
            client.rest();
        }
    }

    /// Asks on the open connection for what is offered while somebody types; `None` when that does not work at once.
    pub fn peek<C: Call>(&mut self, params: &C::Params) -> Option<C::Answer> {
        let mut outgoing = outgoing::<C>(new_id(), params, Resume::Repeat).ok()?;
        outgoing.deadline = Some(Instant::now() + PEEK);
        let value = self.client.as_mut().and_then(|client: &mut Client| client.peek(&mut outgoing));
        self.rest();
        read(C::METHOD, value?).ok()
    }
}
