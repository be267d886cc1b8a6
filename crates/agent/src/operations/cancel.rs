//! Ending an operation: it is undone, or given up as it stands.

use orocloud_protocol::calls::Method;
use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::{CallError, CallId, ErrorKind, Role};

use super::plan::Executor;
use super::{Operations, lock};
use crate::server::Caller;

impl<E: Executor> Operations<E> {
    /// Cancels one for its caller, or for somebody with the role it needs. Gives it as it stood, and says whether it
    /// will be undone.
    pub fn cancel(&self, id: CallId, by: &Caller) -> Result<(OperationSummary, bool), CallError> {
        let queued = lock(&self.queued).get(&id).cloned();
        if let Some(queued) = queued {
            may_cancel(id, &queued.method, &queued.key, by)?;
            queued.give_up.cancel();
            return Ok((queued.summary(), true));
        }
        if let Some(unreadable) = lock(&self.unreadable).get(&id) {
            let error = CallError::refused(format!("operation {id} cannot be undone"));
            return Err(error.because(&unreadable.why).hint(way_out(id)));
        }
        let Some(running) = self.running().get(&id).cloned() else {
            return self.summary(id).map(|summary| (summary, false));
        };
        let record = running.journal.record();
        may_cancel(id, &record.method, &record.key, by)?;
        let cancelled = running.cancel.cancel(&by.key_id);
        if cancelled {
            // Whoever asks is answered from memory, whatever becomes of the file.
            let _ = running.journal.update(|record| {
                if !record.state.has_ended() && record.stuck.is_empty() {
                    record.state = OperationState::Cancelling;
                }
            });
        }
        Ok((running.journal.record().summary(), cancelled))
    }

    /// Ends one that does not go on by itself as it stands, and frees its locks. Its caller may, and who has the role
    /// it needs; one whose journal cannot be read needs an owner.
    pub async fn give_up(&self, id: CallId, by: &Caller) -> Result<OperationSummary, CallError> {
        let unreadable = lock(&self.unreadable).contains_key(&id);
        if unreadable {
            needs(id, Role::Owner, by)?;
            let summary = self.unreadable_ones().into_iter().find(|summary| summary.id == id);
            self.let_go_unreadable(id)?;
            return summary.ok_or_else(|| CallError::internal("an operation vanished"));
        }
        let Some(running) = self.running().get(&id).cloned() else {
            return self.summary(id);
        };
        let record = running.journal.record();
        may_cancel(id, &record.method, &record.key, by)?;
        if record.stuck.is_empty() {
            return Err(CallError::refused(format!(
                "operation {id} goes on by itself, there is nothing to give up"
            ))
            .hint(format!("have it undone: orocloud-cli operation:cancel {id}"))
            .hint(format!("or follow it: orocloud-cli log:view --follow {id}")));
        }
        running.cancel.give_up(&by.key_id);
        self.wait(id).await
    }
}

/// What to type about an operation whose journal cannot be read.
pub(super) fn way_out(id: CallId) -> String {
    format!(
        "look at its journal and at the environment, then free what it holds: orocloud-cli operation:cancel {id} --give-up"
    )
}

fn may_cancel(id: CallId, method: &str, key: &str, by: &Caller) -> Result<(), CallError> {
    if key == by.identity {
        return Ok(());
    }
    // Of a method of another version nobody knows what it needs.
    needs(id, Method::named(method).map_or(Role::Owner, |method| method.role()), by)
}

fn needs(id: CallId, role: Role, by: &Caller) -> Result<(), CallError> {
    if by.role >= role {
        return Ok(());
    }
    Err(CallError::new(
        ErrorKind::NotPermitted,
        format!("cancelling operation {id} needs the role {role}, and {} has {}", by.key_id, by.role),
    )
    .hint("ask whoever started it, who is named by: orocloud-cli operation:list"))
}
