//! What a person may want of an operation that runs: that it be undone, or given up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orocloud_protocol::{CallError, ErrorKind};
use tokio_util::sync::CancellationToken;

/// The wish to cancel an operation, which is granted until it crosses its point of no return or is undone anyway; and
/// the wish to give it up.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<CancelInner>);

#[derive(Debug, Default)]
struct CancelInner {
    token: CancellationToken,
    given_up: CancellationToken,
    state: Mutex<CancelState>,
}

#[derive(Debug, Default)]
struct CancelState {
    too_late: bool,
    by: Option<String>,
    given_up_by: Option<String>,
}

impl Cancel {
    /// Cancels it; whether it will be undone because of that.
    pub fn cancel(&self, by: &str) -> bool {
        let mut state = self.state();
        if state.too_late && state.by.is_none() {
            return false;
        }
        state.by.get_or_insert_with(|| by.to_owned());
        self.0.token.cancel();
        true
    }

    /// Ends it as it stands.
    pub fn give_up(&self, by: &str) {
        self.state().given_up_by.get_or_insert_with(|| by.to_owned());
        self.0.given_up.cancel();
    }

    /// Waits until somebody gives it up: who.
    pub async fn given_up(&self) -> String {
        self.0.given_up.cancelled().await;
        self.state().given_up_by.clone().unwrap_or_default()
    }

    /// Set when it is cancelled.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.0.token
    }

    /// Whether somebody cancelled it in time.
    pub(super) fn is_cancelled(&self) -> bool {
        self.state().by.is_some()
    }

    /// From here on it is too late, unless somebody was faster: then the error to end with.
    pub(super) fn close(&self) -> Result<(), CallError> {
        self.state().too_late = true;
        self.check()
    }

    pub(super) fn check(&self) -> Result<(), CallError> {
        match &self.state().by {
            Some(by) => Err(CallError::new(ErrorKind::Cancelled, format!("{by} cancelled it"))),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, CancelState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
