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
        StepAction::MediaRestore { snapshot, keep } => restore(context, config, phase, snapshot, *keep).await,
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
    fn of(media: &Path, keep: CallId) -> Self {
        Self {
            aside: media.join(format!("{OWN_PREFIX}aside-{keep}")),
            kept: media.join(format!("{OWN_PREFIX}kept-{keep}")),
            complete: media.join(format!("{OWN_PREFIX}aside-{keep}.complete")),
        }
    }
}

async fn restore(
    context: &ActionContext<'_>,
    config: &Maint,
    phase: Phase,
    snapshot: &str,
    keep: CallId,
) -> Result<StepAnswer, CallError> {
    let places = Places::of(&config.media, keep);
    let failed = |error: std::io::Error| CallError::failed("the media cannot be restored").because(error);
    match phase {
        Phase::Act => {
            if !places.complete.exists() {
                if places.aside.exists() {
                    std::fs::remove_dir_all(&places.aside).map_err(failed)?;
                }
                std::fs::create_dir(&places.aside).map_err(failed)?;
                let restic = Restic::new(&context.node.processes, config);
                restic.restore(snapshot, &places.aside, &context.events, &context.cancel).await?;
                orocloud_durable::write(&places.complete, b"", 0o600).map_err(failed)?;
            }
            exchange(&config.media, &places).map_err(failed)?;
            Ok(StepAnswer::Done(Value::Null))
        }
        Phase::Undo => {
            exchange_back(&config.media, &places).map_err(failed)?;
            Ok(StepAnswer::Undone)
        }
        Phase::Probe => {
            let probe = match (places.kept.exists(), places.aside.exists()) {
                (true, false) => Probe::Done(Value::Null),
                (false, false) => Probe::NotDone,
                _ => Probe::Partial,
            };
            Ok(StepAnswer::Probed(probe))
        }
    }
}

/// Moves what is there into `kept` and what is aside to its place; where it was interrupted it goes on.
fn exchange(media: &Path, places: &Places) -> std::io::Result<()> {
    if !places.aside.exists() {
        return Ok(());
    }
    // While the aside folder has its entries, those of the media folder are the old ones.
    let moved = places.kept.join(".moved");
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
    match std::fs::remove_file(&places.complete) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => orocloud_durable::sync_parent(&places.kept),
    }
}

/// Puts everything back that [`exchange`] moved, and removes what was restored.
fn exchange_back(media: &Path, places: &Places) -> std::io::Result<()> {
    let moved = places.kept.join(".moved");
    if moved.exists() {
        // What stands in the media folder was restored.
        std::fs::create_dir_all(&places.aside)?;
        for name in entries(media)? {
            std::fs::rename(media.join(&name), places.aside.join(&name))?;
        }
        std::fs::remove_file(&moved)?;
    }
    if places.kept.exists() {
        for name in entries(&places.kept)? {
            std::fs::rename(places.kept.join(&name), media.join(&name))?;
        }
        std::fs::remove_dir(&places.kept)?;
    }
    if places.aside.exists() {
        std::fs::remove_dir_all(&places.aside)?;
    }
    match std::fs::remove_file(&places.complete) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Names in a folder, without our own.
fn entries(folder: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !name.to_string_lossy().starts_with(OWN_PREFIX) && name != ".moved" {
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
        let left: Vec<_> =
            std::fs::read_dir(media).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["old"]);
    }
}
