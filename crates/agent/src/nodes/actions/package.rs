//! The release's package: made on maint, sent to the nodes.

use std::time::Duration;

use orocloud_protocol::node::{PackageBuilt, PackageReceiveParams, PackageTaken, Probe, SourceFetched};
use orocloud_protocol::package::StoredPackage;
use orocloud_protocol::{CallError, ErrorKind, EventBody, Label, NodeName, PackageTag, ReleaseName, Unit};
use serde_json::Value;

use super::{Action, ActionContext};
use crate::operations::EventSink;
use crate::operations::plan::{self, Outputs};
use crate::package::{self, Depot, Packing};

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
        let (release, folder) = (self.release.clone(), store.folder().display().to_string());
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
        .map_err(|error| context.io(&format!("the package cannot be made in {folder}"), &error))?;
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

/// Where the release comes from: fetched and built by this operation, or taken as a package that is built already.
pub fn origin(outputs: &Outputs) -> Result<PackageTaken, CallError> {
    if outputs.contains_key("package:take") {
        return plan::output(outputs, "package:take");
    }
    Ok(PackageTaken {
        source: plan::output(outputs, "source:fetch")?,
        built: plan::output(outputs, "package:build")?,
    })
}

fn depot(context: &ActionContext<'_>) -> Result<Depot, CallError> {
    Depot::open(&context.maint()?.depot(&context.node.config.state))
}

/// [`orocloud_protocol::node::StepAction::PackagePublish`]
pub struct Publish<'a> {
    pub tag: &'a PackageTag,
    pub label: Option<&'a Label>,
}

impl Action for Publish<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let PackageTaken { source, built } = origin(context.outputs)?;
        let stored = StoredPackage {
            tag: self.tag.clone(),
            label: self.label.cloned(),
            reference: source.reference,
            commit: source.commit,
            committed_at: source.committed_at,
            database_extensions: source.database_extensions,
            built_at: jiff::Timestamp::now(),
            environment: context.node.config.environment.name.clone(),
            operation: context.operation,
            package: built.package,
            size: built.size,
            files: built.files,
        };
        let (depot, file, package) =
            (depot(context)?, context.store()?.file(&stored.package), stored.clone());
        blocking(move || depot.publish(&package, &file)).await.map_err(|error| {
            context.io(&format!("the package {} cannot be taken into the depot", self.tag), &error)
        })?;
        context.output(&stored)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // It is whole, whatever became of the rest.
        Ok(())
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(match depot(context)?.built_by(context.operation)? {
            Some(stored) => Probe::Done(context.output(&stored)?),
            None => Probe::NotDone,
        })
    }
}

/// [`orocloud_protocol::node::StepAction::PackageTake`]
pub struct Take<'a> {
    pub release: &'a ReleaseName,
    pub package: &'a StoredPackage,
}

impl Take<'_> {
    fn taken(&self) -> PackageTaken {
        let package = self.package.clone();
        PackageTaken {
            source: SourceFetched {
                reference: package.reference,
                commit: package.commit,
                committed_at: package.committed_at,
                database_extensions: package.database_extensions,
            },
            built: PackageBuilt { package: package.package, size: package.size, files: package.files },
        }
    }
}

impl Action for Take<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let (depot, store) = (depot(context)?, context.store()?);
        let (release, package) = (self.release.clone(), self.package.clone());
        let (cancel, events) = (context.cancel.clone(), context.events.clone());
        let took = blocking(move || {
            let progress = Progress::new(events, Some(package.size));
            depot.take(&package, store, &release, &|bytes| {
                progress.tell(bytes);
                !cancel.is_cancelled()
            })
        });
        took.await.map_err(|error| {
            let StoredPackage { tag, reference, .. } = self.package;
            match error.kind() {
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::NotFound => {
                    CallError::failed(format!("package {tag} is damaged: it is not deployed"))
                        .because(error)
                        .hint(format!("build it again: orocloud-cli app:package:build {reference} {tag}"))
                }
                _ => context.io(&format!("package {tag} cannot be brought here"), &error),
            }
        })?;
        context.output(&self.taken())
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let (store, release) = (context.store()?, self.release.clone());
        blocking(move || store.forget(&release))
            .await
            .map_err(|error| context.io("the package cannot be removed", &error))
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let found = context.store()?.of(self.release);
        Ok(match found.map_err(|error| context.io("the package cannot be looked for", &error))? {
            Some(_) => Probe::Done(context.output(&self.taken())?),
            None => Probe::NotDone,
        })
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
