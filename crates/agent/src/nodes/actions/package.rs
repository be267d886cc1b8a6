//! The release's package: made on maint, sent to the nodes.

use std::time::Duration;

use orocloud_protocol::node::{PackageBuilt, PackageReceiveParams, Probe, SourceFetched};
use orocloud_protocol::{CallError, ErrorKind, EventBody, NodeName, ReleaseName, Unit};
use serde_json::Value;

use super::{Action, ActionContext};
use crate::operations::EventSink;
use crate::operations::plan;
use crate::package::{self, Packing};

/// [`orocloud_protocol::node::StepAction::PackageBuild`]
pub struct Build<'a> {
    pub release: &'a ReleaseName,
}

impl Action for Build<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let source = context.maint()?.checkout(self.release);
        let fetched: SourceFetched = plan::output(context.outputs, "source:fetch")?;
        let mtime = fetched.committed_at.as_second().max(0).unsigned_abs();
        let store = context.store()?;
        let (cancel, events) = (context.cancel.clone(), context.events.clone());
        let release = self.release.clone();
        let built = blocking(move || {
            let progress = Progress::new(events, None);
            let packing = Packing {
                source: &source,
                mtime,
                progress: &|bytes| {
                    progress.tell(bytes);
                    !cancel.is_cancelled()
                },
            };
            let PackageBuilt { package, size, files } = package::pack(&packing, &store)?;
            store.assign(&PackageReceiveParams { release, package: package.clone(), size, files })?;
            Ok(PackageBuilt { package, size, files })
        })
        .await
        .map_err(|error| context.io("the package cannot be made", &error))?;
        context.output(&built)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let (store, release) = (context.store()?, self.release.clone());
        blocking(move || store.forget(&release))
            .await
            .map_err(|error| context.io("the package cannot be removed", &error))
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let found = context.store()?.of(self.release);
        match found.map_err(|error| context.io("the package cannot be looked for", &error))? {
            Some(PackageReceiveParams { package, size, files, .. }) => {
                Ok(Probe::Done(context.output(&PackageBuilt { package, size, files })?))
            }
            None => Ok(Probe::NotDone),
        }
    }
}

/// [`orocloud_protocol::node::StepAction::PackageSend`]
pub struct Send<'a> {
    pub release: &'a ReleaseName,
    pub to: &'a NodeName,
}

impl Action for Send<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let store = context.store()?;
        let package = store
            .of(self.release)
            .map_err(|error| context.io("the package cannot be looked for", &error))?
            .ok_or_else(|| CallError::internal(format!("there is no package of release {}", self.release)))?;
        let coordinator = context
            .coordinator
            .ok_or_else(|| CallError::internal("this node does not coordinate: it cannot send packages"))?;
        let file = store.file(&package.package);
        tokio::select! {
            sent = coordinator.send(self.to, &package, &file, &context.events) => sent?,
            () = context.cancel.cancelled() => {
                return Err(CallError::new(ErrorKind::Cancelled, "sending the package was cancelled"));
            }
        }
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // The node lets the package go with the release, or when it tidies up.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Sent again, the node says at once that it has it.
        Ok(Probe::Partial)
    }
}

/// Work on files, away from the threads that answer calls.
pub async fn blocking<T: std::marker::Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + std::marker::Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

/// Progress events, a few a second.
pub struct Progress {
    events: EventSink,
    total: Option<u64>,
    last: std::cell::Cell<std::time::Instant>,
}

impl Progress {
    const EVERY: Duration = Duration::from_millis(200);

    /// Of so many bytes.
    pub fn new(events: EventSink, total: Option<u64>) -> Self {
        Self { events, total, last: std::cell::Cell::new(std::time::Instant::now()) }
    }

    /// Tells how far it is, unless it did so just now.
    pub fn tell(&self, done: u64) {
        if self.last.get().elapsed() < Self::EVERY && self.total != Some(done) {
            return;
        }
        self.last.set(std::time::Instant::now());
        let Self { events, total, .. } = self;
        events.emit(EventBody::Progress { done, total: *total, unit: Unit::Bytes, step: None, node: None });
    }
}
