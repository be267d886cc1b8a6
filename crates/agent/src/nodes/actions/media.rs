//! Snapshots of the media, and bringing one back. On maint.

use std::path::{Path, PathBuf};

use orocloud_protocol::backup::MediaSnapshot;
use orocloud_protocol::node::{Phase, Probe, StepAction, StepAnswer};
use orocloud_protocol::{CallError, CallId};
use serde_json::Value;

use super::ActionContext;
use crate::engines::restic::{OWN_PREFIX, Restic};
use crate::environment::Maint;

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
        StepAction::MediaSwap { kept } => swap(context, config, phase, *kept),
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
struct Places {
    /// What was restored.
    aside: PathBuf,
    /// What was replaced.
    kept: PathBuf,
    /// Written when what is aside is complete.
    complete: PathBuf,
}

impl Places {
    fn of(media: &Path, operation: CallId) -> Self {
        Self {
            aside: media.join(format!("{OWN_PREFIX}aside-{operation}")),
            kept: kept(media, operation),
            complete: media.join(format!("{OWN_PREFIX}aside-{operation}.complete")),
        }
    }
}

fn kept(media: &Path, operation: CallId) -> PathBuf {
    media.join(format!("{OWN_PREFIX}kept-{operation}"))
}

fn failed(error: std::io::Error) -> CallError {
    CallError::failed("the media cannot be restored").because(error)
}

async fn aside(
    context: &ActionContext<'_>,
    config: &Maint,
    phase: Phase,
    snapshot: &str,
) -> Result<StepAnswer, CallError> {
    let places = Places::of(&config.media, context.operation);
    match phase {
        Phase::Act => {
            if !places.complete.exists() {
                remove_tree(&places.aside).map_err(failed)?;
                std::fs::create_dir(&places.aside).map_err(failed)?;
                let restic = Restic::new(&context.node.processes, config);
                restic.restore(snapshot, &places.aside, &context.events, &context.cancel).await?;
                orocloud_durable::write(&places.complete, b"", 0o600).map_err(failed)?;
            }
            Ok(StepAnswer::Done(Value::Null))
        }
        Phase::Undo => {
            remove_file(&places.complete).and_then(|()| remove_tree(&places.aside)).map_err(failed)?;
            Ok(StepAnswer::Undone)
        }
        Phase::Probe => Ok(StepAnswer::Probed(match places.complete.exists() {
            true => Probe::Done(Value::Null),
            false => Probe::Partial,
        })),
    }
}

fn swap(
    context: &ActionContext<'_>,
    config: &Maint,
    phase: Phase,
    earlier: Option<CallId>,
) -> Result<StepAnswer, CallError> {
    let media = &config.media;
    let places = Places::of(media, context.operation);
    match phase {
        Phase::Act => {
            if let Some(earlier) = earlier
                && !places.aside.exists()
                && !places.kept.exists()
            {
                std::fs::rename(kept(media, earlier), &places.aside).map_err(failed)?;
                remove_file(&places.aside.join(MOVED)).map_err(failed)?;
            }
            exchange(media, &places).map_err(failed)?;
            Ok(StepAnswer::Done(Value::Null))
        }
        Phase::Undo => {
            exchange_back(media, &places).map_err(failed)?;
            if let Some(earlier) = earlier
                && places.aside.exists()
            {
                std::fs::rename(&places.aside, kept(media, earlier)).map_err(failed)?;
            }
            Ok(StepAnswer::Undone)
        }
        Phase::Probe => Ok(StepAnswer::Probed(match (places.kept.exists(), places.aside.exists()) {
            (true, false) => Probe::Done(Value::Null),
            (false, _) => Probe::NotDone,
            (true, true) => Probe::Partial,
        })),
    }
}

/// Removes media that restores have replaced, except of these operations, and what interrupted ones left.
pub fn tidy(config: &Maint, keep: &[CallId]) -> Result<(), CallError> {
    let entries = std::fs::read_dir(&config.media).map_err(failed)?;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(operation) =
            name.to_str().and_then(|name| name.strip_prefix(OWN_PREFIX)?.strip_prefix("kept-"))
        else {
            continue;
        };
        if operation.parse().is_ok_and(|operation: CallId| !keep.contains(&operation)) {
            remove_tree(&entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// In the kept folder: all that was there is in it now.
const MOVED: &str = ".orocloud-moved";

fn remove_tree(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn remove_file(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Moves what is there into `kept` and what is aside to its place; where it was interrupted it goes on.
fn exchange(media: &Path, places: &Places) -> std::io::Result<()> {
    if !places.aside.exists() {
        return Ok(());
    }
    // Until the mark is there, what stands in the media folder is old.
    let moved = places.kept.join(MOVED);
    if !moved.exists() {
        std::fs::create_dir_all(&places.kept)?;
        for name in entries(media)? {
            std::fs::rename(media.join(&name), places.kept.join(&name))?;
        }
        orocloud_durable::write(&moved, b"", 0o600)?;
    }
    for name in entries(&places.aside)? {
        std::fs::rename(places.aside.join(&name), media.join(&name))?;
    }
    std::fs::remove_dir(&places.aside)?;
    remove_file(&places.complete)?;
    orocloud_durable::sync_parent(&places.kept)
}

/// Puts everything back that [`exchange`] moved; what took its place is aside again.
fn exchange_back(media: &Path, places: &Places) -> std::io::Result<()> {
    if !places.kept.exists() {
        return Ok(());
    }
    let moved = places.kept.join(MOVED);
    if moved.exists() {
        // What stands in the media folder was restored.
        std::fs::create_dir_all(&places.aside)?;
        for name in entries(media)? {
            std::fs::rename(media.join(&name), places.aside.join(&name))?;
        }
        remove_file(&moved)?;
    }
    for name in entries(&places.kept)? {
        std::fs::rename(places.kept.join(&name), media.join(&name))?;
    }
    std::fs::remove_dir(&places.kept)
}

/// Names in a folder, without our own.
fn entries(folder: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !name.to_string_lossy().starts_with(OWN_PREFIX) {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_change_places_and_back_also_when_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let media = folder.path();
        let places = Places::of(media, CallId::from_parts(1, 1));
        std::fs::write(media.join("old"), "").unwrap();
        std::fs::create_dir(&places.aside).unwrap();
        std::fs::write(places.aside.join("new"), "").unwrap();
        std::fs::write(&places.complete, "").unwrap();
        // Interrupted in the middle: the old ones are moved, the mark is not written.
        std::fs::create_dir(&places.kept).unwrap();
        std::fs::rename(media.join("old"), places.kept.join("old")).unwrap();
        exchange(media, &places).unwrap();
        exchange(media, &places).unwrap();
        assert!(
            media.join("new").exists() && !media.join("old").exists() && places.kept.join("old").exists()
        );
        assert!(!places.aside.exists() && !places.complete.exists());
        exchange_back(media, &places).unwrap();
        exchange_back(media, &places).unwrap();
        assert!(media.join("old").exists() && !media.join("new").exists());
        assert!(places.aside.join("new").exists() && !places.kept.exists());
    }
}
