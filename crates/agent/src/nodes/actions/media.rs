//! Snapshots of the media, and bringing one back. On maint.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use orocloud_protocol::backup::MediaSnapshot;
use orocloud_protocol::node::{Phase, Probe, StepAction, StepAnswer};
use orocloud_protocol::{CallError, CallId};
use serde_json::Value;

use super::ActionContext;
use crate::engines::restic::{OWN_PREFIX, Restic};
use crate::environment::Maint;
use crate::files::AccountFiles;
use crate::process::{Account, Processes, Program};

/// Acts, undoes or probes one of them.
pub async fn run(
    context: &ActionContext<'_>,
    phase: Phase,
    action: &StepAction,
) -> Result<StepAnswer, CallError> {
    let config = context.node.config.maint.as_ref().ok_or_else(|| {
        CallError::failed(format!("node {} keeps no media", context.node.config.node))
            .hint("give it a section [maint] in agent.toml")
    })?;
    match action {
        StepAction::MediaSnapshot { point } => {
            let tag = format!("{}/{}/{point}", context.operation, context.step);
            snapshot(context, config, phase, &tag).await
        }
        StepAction::MediaAside { snapshot } => aside(context, config, phase, snapshot).await,
        StepAction::MediaSwap { kept } => swap(context, config, phase, *kept).await,
        _ => Err(CallError::internal("not a step of the media")),
    }
}

async fn snapshot(
    context: &ActionContext<'_>,
    config: &Maint,
    phase: Phase,
    tag: &str,
) -> Result<StepAnswer, CallError> {
    let restic = Restic::new(&context.node.processes, config);
    match phase {
        Phase::Act => {
            restic.ensure_repository().await?;
            // restic takes no snapshot of nothing; a recovery point from before the first upload is one without media.
            if is_empty(&config.media).map_err(|error| {
                CallError::failed(format!("the media at {} cannot be listed", config.media.display()))
                    .because(error)
            })? {
                return Ok(StepAnswer::Done(Value::Null));
            }
            let host = context.node.config.environment.name.to_string();
            let made: MediaSnapshot = restic.backup(tag, &host, &context.events, &context.cancel).await?;
            let made = serde_json::to_value(made).map_err(|error| CallError::internal(error.to_string()))?;
            Ok(StepAnswer::Done(made))
        }
        Phase::Undo => {
            let made: Vec<String> = restic.tagged(tag).await?.into_iter().collect();
            restic.forget(&made).await?;
            Ok(StepAnswer::Undone)
        }
        // One that is there already tells neither its files nor its size: it is taken again, which adds nothing.
        Phase::Probe => Ok(StepAnswer::Probed(match restic.tagged(tag).await? {
            Some(_) => Probe::Partial,
            None => Probe::NotDone,
        })),
    }
}

fn is_empty(media: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(media)? {
        if !entry?.file_name().to_string_lossy().starts_with(OWN_PREFIX) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Beside each other inside the media folder, which may be a mount: nothing beside it could take its place.
///
/// All of it is the application's: the agent may not move folders of another account to another parent.
struct Places<'a> {
    processes: &'a Processes,
    media: &'a Path,
    /// What was restored.
    aside: PathBuf,
    /// What was replaced.
    kept: PathBuf,
    /// Written when what is aside is complete.
    complete: PathBuf,
    /// Written when all that was there is in `kept`.
    moved: PathBuf,
}

impl<'a> Places<'a> {
    fn of(context: &'a ActionContext<'_>, config: &'a Maint) -> Self {
        Self::new(&context.node.processes, &config.media, context.operation)
    }

    fn new(processes: &'a Processes, media: &'a Path, operation: CallId) -> Self {
        let at = |name: String| media.join(format!("{OWN_PREFIX}{name}"));
        Self {
            processes,
            media,
            aside: at(format!("aside-{operation}")),
            kept: kept(media, operation),
            complete: at(format!("aside-{operation}.complete")),
            moved: kept(media, operation).join(format!("{OWN_PREFIX}moved")),
        }
    }

    fn files(&self) -> AccountFiles<'a> {
        self.processes.files(Account::App)
    }

    async fn there(&self, path: &Path) -> Result<bool, CallError> {
        let name = path.file_name().unwrap_or_default();
        let beside = self.files().list(path.parent().unwrap_or(self.media)).await?;
        Ok(beside.unwrap_or_default().iter().any(|other| other == name))
    }

    /// Names in a folder, without our own.
    async fn entries(&self, folder: &Path) -> Result<Vec<OsString>, CallError> {
        let mut names = self.files().list(folder).await?.unwrap_or_default();
        names.retain(|name| !name.to_string_lossy().starts_with(OWN_PREFIX));
        Ok(names)
    }

    async fn move_all(&self, from: &Path, to: &Path) -> Result<(), CallError> {
        for name in self.entries(from).await? {
            self.files().rename(&from.join(&name), &to.join(&name)).await?;
        }
        Ok(())
    }

    /// What restic wrote belongs to the agent until restic gave it away, which an interrupted one did not.
    async fn give_to_application(&self) -> Result<(), CallError> {
        let Some(account) = self.processes.name(Account::App) else { return Ok(()) };
        if !self.there(&self.aside).await? {
            return Ok(());
        }
        let program = Program::new("/usr/bin/chown")
            .args(["--recursive", "--no-dereference", "--"])
            .arg(format!("{account}:"))
            .arg(&self.aside);
        self.processes.output(program).await?;
        Ok(())
    }

    async fn remove_aside(&self) -> Result<(), CallError> {
        self.files().remove(&self.complete).await?;
        self.give_to_application().await?;
        self.files().remove_tree(&self.aside).await
    }

    /// Moves what is there into `kept` and what is aside to its place; where it was interrupted it goes on.
    async fn exchange(&self) -> Result<(), CallError> {
        if !self.there(&self.aside).await? {
            return Ok(());
        }
        // Until the mark is there, what stands in the media folder is old.
        self.files().make_dir(&self.kept, 0o755).await?;
        if !self.there(&self.moved).await? {
            self.move_all(self.media, &self.kept).await?;
            self.files().touch(&self.moved).await?;
        }
        self.move_all(&self.aside, self.media).await?;
        self.files().remove_tree(&self.aside).await?;
        self.files().remove(&self.complete).await
    }

    /// Puts everything back that [`Places::exchange`] moved; what took its place is aside again.
    async fn exchange_back(&self) -> Result<(), CallError> {
        if !self.there(&self.kept).await? {
            return Ok(());
        }
        if self.there(&self.moved).await? {
            // What stands in the media folder was restored.
            self.files().make_dir(&self.aside, 0o775).await?;
            self.move_all(self.media, &self.aside).await?;
            self.files().remove(&self.moved).await?;
        }
        self.move_all(&self.kept, self.media).await?;
        self.files().remove_tree(&self.kept).await
    }
}

fn kept(media: &Path, operation: CallId) -> PathBuf {
    media.join(format!("{OWN_PREFIX}kept-{operation}"))
}

async fn aside(
    context: &ActionContext<'_>,
    config: &Maint,
    phase: Phase,
    snapshot: &str,
) -> Result<StepAnswer, CallError> {
    let places = Places::of(context, config);
    match phase {
        Phase::Act => {
            if !places.there(&places.complete).await? {
                places.remove_aside().await?;
                // The agent, who restores into it, is of the application's group.
                places.files().make_dir(&places.aside, 0o775).await?;
                let restic = Restic::new(&context.node.processes, config);
                restic.restore(snapshot, &places.aside, &context.events, &context.cancel).await?;
                places.give_to_application().await?;
                places.files().touch(&places.complete).await?;
            }
            Ok(StepAnswer::Done(Value::Null))
        }
        Phase::Undo => places.remove_aside().await.map(|()| StepAnswer::Undone),
        Phase::Probe => Ok(StepAnswer::Probed(match places.there(&places.complete).await? {
            true => Probe::Done(Value::Null),
            false => Probe::Partial,
        })),
    }
}

async fn swap(
    context: &ActionContext<'_>,
    config: &Maint,
    phase: Phase,
    earlier: Option<CallId>,
) -> Result<StepAnswer, CallError> {
    let places = Places::of(context, config);
    let earlier = earlier.map(|earlier| kept(places.media, earlier));
    match phase {
        Phase::Act => {
            if let Some(earlier) = earlier
                && !places.there(&places.aside).await?
                && !places.there(&places.kept).await?
            {
                places.files().rename(&earlier, &places.aside).await?;
            }
            places.exchange().await?;
            Ok(StepAnswer::Done(Value::Null))
        }
        Phase::Undo => {
            places.exchange_back().await?;
            if let Some(earlier) = earlier
                && places.there(&places.aside).await?
            {
                places.files().rename(&places.aside, &earlier).await?;
            }
            Ok(StepAnswer::Undone)
        }
        Phase::Probe => {
            let (kept, aside) = (places.there(&places.kept).await?, places.there(&places.aside).await?);
            Ok(StepAnswer::Probed(match (kept, aside) {
                (true, false) => Probe::Done(Value::Null),
                (false, _) => Probe::NotDone,
                (true, true) => Probe::Partial,
            }))
        }
    }
}

/// Removes media that restores have replaced, except of these operations.
pub async fn tidy(processes: &Processes, config: &Maint, keep: &[CallId]) -> Result<(), CallError> {
    let files = processes.files(Account::App);
    for name in files.list(&config.media).await?.unwrap_or_default() {
        let operation = name.to_str().and_then(|name| name.strip_prefix(OWN_PREFIX)?.strip_prefix("kept-"));
        let operation: Option<CallId> = operation.and_then(|operation| operation.parse().ok());
        if operation.is_some_and(|operation| !keep.contains(&operation)) {
            files.remove_tree(&config.media.join(&name)).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn media_change_places_and_back_also_when_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let media = folder.path();
        let processes = Processes::new(None);
        let places = Places::new(&processes, media, CallId::from_parts(1, 1));
        std::fs::write(media.join("old"), "").unwrap();
        std::fs::create_dir(&places.aside).unwrap();
        std::fs::write(places.aside.join("new"), "").unwrap();
        std::fs::write(&places.complete, "").unwrap();
        // Interrupted in the middle: the old ones are moved, the mark is not written.
        std::fs::create_dir(&places.kept).unwrap();
        std::fs::rename(media.join("old"), places.kept.join("old")).unwrap();
        places.exchange().await.unwrap();
        places.exchange().await.unwrap();
        assert!(
            media.join("new").exists() && !media.join("old").exists() && places.kept.join("old").exists()
        );
        assert!(!places.aside.exists() && !places.complete.exists());
        places.exchange_back().await.unwrap();
        places.exchange_back().await.unwrap();
        assert!(media.join("old").exists() && !media.join("new").exists());
        assert!(places.aside.join("new").exists() && !places.kept.exists());
    }
}
