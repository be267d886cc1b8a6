//! Releases on a web node: unpacked beside the live one, switched to, and let go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::node::{PackageTaken, Probe};
use orocloud_protocol::{CallError, ErrorKind, ReleaseName};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::package::{Progress, blocking};
use super::{Action, ActionContext, source};
use crate::accounts;
use crate::engines::git::Git;
use crate::engines::php_fpm;
use crate::environment::App;
use crate::nodes::marks::Came;
use crate::operations::plan;
use crate::process::Account;
use crate::releases;
use crate::service_manager::Activity;

/// Longer than PHP-FPM lets requests in flight go on when it is reloaded (`process_control_timeout`, 30 s).
const RELOAD_LIMIT: Duration = Duration::from_secs(40);

/// Remembers when PHP-FPM was asked to begin anew: a process older than that may hold another release's code.
pub(super) const RELOADED: &str = "php-fpm-reloaded";

/// [`orocloud_protocol::node::StepAction::ReleaseUnpack`]
pub struct Unpack<'a> {
    pub release: &'a ReleaseName,
    /// What it is, where no step before it tells.
    pub version: Option<&'a CodeVersion>,
}

impl Action for Unpack<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let app = context.app()?;
        let (reference, commit) = match self.version {
            Some(version) => (version.reference.clone(), version.commit.clone()),
            None => {
                let PackageTaken { source, .. } = super::package::origin(context.outputs)?;
                (source.reference, source.commit)
            }
        };
        let store = context.store()?;
        let package = store
            .of(self.release)
            .map_err(|error| context.io("the package cannot be looked for", &error))?
            .ok_or_else(|| {
                CallError::failed(format!("the package of release {} did not arrive", self.release))
            })?;
        let version =
            CodeVersion { release: self.release.clone(), reference, commit, package: package.package };
        self.remove(context, app).await?;
        let beside = beside(app, self.release, "new");
        let (file, to, hash) = (store.file(&version.package), beside.clone(), version.package.clone());
        let (events, cancel) = (context.events.clone(), context.cancel.clone());
        blocking(move || {
            let progress = Progress::new(events, None);
            crate::package::unpack(&file, &hash, &to, &|bytes| {
                progress.tell(bytes);
                !cancel.is_cancelled()
            })
        })
        .await
        .map_err(|error| {
            let text = format!("release {} cannot be unpacked into {}", self.release, beside.display());
            context.io(&text, &error)
        })?;
        prepare(context, app, &beside)
            .map_err(|error| error.context(format!("release {} cannot be prepared", self.release)))?;
        let finish = || {
            orocloud_durable::write_json(&beside.join("release.json"), &version, 0o644)?;
            rustix::fs::syncfs(fs::File::open(&beside)?)?;
            let place = app.release(self.release);
            fs::rename(&beside, &place)?;
            orocloud_durable::sync_parent(&place)?;
            let [_, next] = app.neighbours();
            link(&next, self.release)
        };
        finish().map_err(|error| {
            context.io(&format!("release {} cannot be put in its place", self.release), &error)
        })?;
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        self.remove(context, context.app()?).await?;
        let (store, release) = (context.store()?, self.release.clone());
        blocking(move || store.forget(&release))
            .await
            .map_err(|error| context.io("the package cannot be removed", &error))
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let app = context.app()?;
        Ok(match releases::described(app, self.release)? {
            Some(_) => Probe::Done(Value::Null),
            None if beside(app, self.release, "new").exists() => Probe::Partial,
            None => Probe::NotDone,
        })
    }
}

impl Unpack<'_> {
    async fn remove(&self, context: &ActionContext<'_>, app: &App) -> Result<(), CallError> {
        remove_release(context, app, self.release).await
    }
}

/// Links what outlives releases, and gives the application the one folder that it may write.
fn prepare(context: &ActionContext<'_>, app: &App, release: &Path) -> Result<(), CallError> {
    let processes = &context.node.processes;
    let io = |error: io::Error| context.io(&format!("{} cannot be prepared", release.display()), &error);
    let document_root = &context.node.config.environment.application.document_root;
    let variable = release.join("var");
    for folder in [&variable, &variable.join("cache"), &release.join(document_root)] {
        fs::create_dir_all(folder).map_err(io)?;
    }
    for (link, name) in [(variable.join("logs"), "log"), (release.join(document_root).join("media"), "media")]
    {
        let shared = app.shared().join(name);
        if !shared.exists() {
            fs::create_dir_all(&shared).map_err(io)?;
            accounts::give(processes, &shared, Account::App)?;
        }
        match fs::symlink_metadata(&link) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&link).map_err(io)?,
            Ok(_) => fs::remove_file(&link).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        std::os::unix::fs::symlink(&shared, &link).map_err(io)?;
    }
    give_tree(context, &variable)
}

fn give_tree(context: &ActionContext<'_>, folder: &Path) -> Result<(), CallError> {
    let io = |error: io::Error| context.io(&format!("{} cannot be read", folder.display()), &error);
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().map_err(io)?.is_dir() {
            give_tree(context, &entry.path())?;
        } else {
            accounts::give(&context.node.processes, &entry.path(), Account::App)?;
        }
    }
    accounts::give(&context.node.processes, folder, Account::App)
}

/// A name that is no release's, so that what is half there or half gone never looks whole.
fn beside(app: &App, release: &ReleaseName, what: &str) -> PathBuf {
    app.releases().join(format!(".{release}.{what}"))
}

/// Removes a release and what is left of it; never the live one.
async fn remove_release(
    context: &ActionContext<'_>,
    app: &App,
    release: &ReleaseName,
) -> Result<(), CallError> {
    if releases::live(app).as_ref() == Some(release) {
        return Err(CallError::refused(format!(
            "release {release} is the one that is served: it is not removed"
        )));
    }
    let failed = |error: io::Error| context.io(&format!("release {release} cannot be removed"), &error);
    let old = beside(app, release, "old");
    let place = app.release(release);
    if place.exists() {
        remove_folder(context, &old).await?;
        fs::rename(&place, &old).map_err(failed)?;
    }
    remove_folder(context, &old).await?;
    remove_folder(context, &beside(app, release, "new")).await?;
    for neighbour in app.neighbours() {
        if fs::read_link(&neighbour)
            .is_ok_and(|to| to.file_name().is_some_and(|name| name == release.as_str()))
        {
            fs::remove_file(&neighbour).map_err(failed)?;
        }
    }
    orocloud_durable::sync_parent(&place).map_err(failed)
}

/// Removes a folder with the application's own one inside, whose content only the application may remove.
async fn remove_folder(context: &ActionContext<'_>, folder: &Path) -> Result<(), CallError> {
    let files = context.node.processes.files(Account::App);
    let variable = folder.join("var");
    for name in files.list(&variable).await?.unwrap_or_default() {
        let path = variable.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => files.remove_tree(&path).await?,
            _ => files.remove(&path).await?,
        }
    }
    let path = folder.to_owned();
    match blocking(move || fs::remove_dir_all(path)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(context.io(&format!("{} cannot be removed", folder.display()), &error))
        }
        _ => Ok(()),
    }
}

/// [`orocloud_protocol::node::StepAction::ReleaseSwitch`]
pub struct Switch<'a> {
    pub release: &'a ReleaseName,
    pub previous: Option<&'a ReleaseName>,
}

const SWITCH: &str = "release-switch";

impl Action for Switch<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let app = context.app()?;
        if releases::described(app, self.release)?.is_none() {
            return Err(CallError::failed(format!(
                "release {} is not on this node, or not whole",
                self.release
            )));
        }
        context.marks().set(SWITCH, &Came::Begun)?;
        point(context, app, self.release)?;
        reload(context).await?;
        context.marks().set(SWITCH, &Came::Done)?;
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        if context.marks().get::<Came>(SWITCH)?.is_none() {
            return Ok(());
        }
        let app = context.app()?;
        match self.previous {
            Some(previous) => point(context, app, previous)?,
            None => point_nowhere(context, app)?,
        }
        reload(context).await?;
        context.marks().clear(SWITCH)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let live = releases::live(context.app()?);
        Ok(match context.marks().get(SWITCH)? {
            // Somebody may have pointed it elsewhere since.
            Some(Came::Done) if live.as_ref() == Some(self.release) => Probe::Done(Value::Null),
            Some(_) => Probe::Partial,
            None => Probe::NotDone,
        })
    }
}

pub(super) fn point(context: &ActionContext<'_>, app: &App, release: &ReleaseName) -> Result<(), CallError> {
    let failed =
        |error: io::Error| context.io(&format!("www cannot be pointed at release {release}"), &error);
    if let Some(live) = releases::live(app).filter(|live| live != release) {
        let [previous, _] = app.neighbours();
        link(&previous, &live).map_err(failed)?;
    }
    link(&app.current(), release).map_err(failed)
}

fn link(at: &Path, release: &ReleaseName) -> io::Result<()> {
    orocloud_durable::replace_symlink(&Path::new("deploy").join(release.as_str()), at)
}

/// As before the first deployment.
pub(super) fn point_nowhere(context: &ActionContext<'_>, app: &App) -> Result<(), CallError> {
    let failed = |error: io::Error| context.io("www cannot be removed", &error);
    match fs::remove_file(app.current()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => orocloud_durable::sync_parent(&app.current()).map_err(failed),
    }
}

/// Lets PHP-FPM begin anew, so that nothing of another release stays in its memory; requests in flight end first.
/// A node without PHP-FPM has nothing to reload: what runs there from a release is restarted as a service.
pub(super) async fn reload(context: &ActionContext<'_>) -> Result<(), CallError> {
    let Some(web) = &context.node.config.web else { return Ok(()) };
    let services = &context.node.services;
    let service = &web.fpm_service;
    let asked = Timestamp::now().as_second();
    context.marks().set(RELOADED, &asked)?;
    if services.state(service).await?.activity != Activity::Running {
        return services.start(service).await;
    }
    services.reload(service).await?;
    let until = Instant::now() + RELOAD_LIMIT;
    loop {
        let seen = match php_fpm::pool(&web.fpm_status_url).await {
            Ok(pool) if pool.started_at >= asked => return Ok(()),
            Ok(_) => "it still runs as it did before".to_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() > until {
            let node = &context.node.config.node;
            let error = CallError::failed(format!(
                "{service} of {node} was not reloaded within {} s",
                RELOAD_LIMIT.as_secs()
            ));
            return Err(plan::tried_enough(error.because(seen)));
        }
        tokio::select! {
            () = sleep(Duration::from_millis(25)) => {}
            () = context.cancel.cancelled() => {
                return Err(CallError::new(ErrorKind::Cancelled, format!("the reload of {service} was cancelled")));
            }
        }
    }
}

/// [`orocloud_protocol::node::StepAction::ReleasesTidy`]
pub struct Tidy<'a> {
    pub keep: &'a [ReleaseName],
}

impl Action for Tidy<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        if let Some(app) = &context.node.config.app {
            self.releases(context, app).await?;
        }
        if context.node.config.maint.is_some() {
            self.maint(context).await?;
        }
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // What is gone is gone; nothing that is still needed goes.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(Probe::Partial)
    }
}

impl Tidy<'_> {
    async fn releases(&self, context: &ActionContext<'_>, app: &App) -> Result<(), CallError> {
        let io = |error: io::Error| context.io("the releases cannot be listed", &error);
        let live = releases::live(app);
        let stays = |release: &ReleaseName| self.keep.contains(release) || live.as_ref() == Some(release);
        let mut here = releases::unpacked(app).map_err(io)?;
        // Left by an interrupted removal or unpacking.
        for entry in fs::read_dir(app.releases()).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let release = name.to_str().and_then(|name| {
                let (release, what) = name.strip_prefix('.')?.split_once('.')?;
                matches!(what, "new" | "old").then(|| release.parse().ok())?
            });
            here.extend(release);
        }
        for release in here.iter().filter(|release| !stays(release)) {
            remove_release(context, app, release).await?;
        }
        let store = context.store()?;
        for release in store.releases().map_err(io)?.iter().filter(|release| !stays(release)) {
            store.forget(release).map_err(|error| context.io("a package cannot be removed", &error))?;
        }
        Ok(())
    }

    /// A checkout is needed no more once its package is made. Packages stay: recovery points name them.
    async fn maint(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let maint = context.maint()?;
        let files = context.node.processes.files(Account::Build);
        for name in files.list(&maint.build).await?.unwrap_or_default() {
            if let Some(release) = name.to_str().and_then(|name| name.parse().ok()) {
                source::remove_checkout(context, &release).await?;
            }
        }
        let git = Git {
            processes: &context.node.processes,
            repository: &context.node.config.environment.repository,
            mirror: &maint.git_mirror,
            cancel: &context.cancel,
        };
        git.tidy().await
    }
}
