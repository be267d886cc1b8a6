//! Places where a test build can be killed.
//!
//! The file named by `OROCLOUD_FAILPOINT_FILE` holds `STEP/POINT`; it is removed before the process ends, so that the
//! agent that is started again passes. The runner's points are `intent` (the intent is synced), `running` (the act
//! runs) and `done` (it is done, but not recorded), for an undo `undo-intent`, `undoing` and `undone`. The agent of the
//! node where a step runs has the same ones with `node-` in front.

use std::time::Duration;

/// Whether somebody asked to be killed here.
#[cfg(debug_assertions)]
fn wanted(step: &str, point: &str) -> Option<std::path::PathBuf> {
    let file = std::path::PathBuf::from(std::env::var_os("OROCLOUD_FAILPOINT_FILE")?);
    let content = std::fs::read_to_string(&file).ok()?;
    (content.trim() == format!("{step}/{point}")).then_some(file)
}

/// Nobody does, in a build that ships.
#[cfg(not(debug_assertions))]
fn wanted(_step: &str, _point: &str) -> Option<std::path::PathBuf> {
    None
}

/// Ends the process at once where that was asked for.
pub fn failpoint(step: &str, point: &str) {
    if let Some(file) = wanted(step, point)
        && std::fs::remove_file(file).is_ok()
    {
        std::process::abort();
    }
}

/// Carries an act out; where that was asked for the process ends in the middle of it.
pub async fn around<T>(step: &str, point: &str, act: impl Future<Output = T>) -> T {
    if wanted(step, point).is_none() {
        return act.await;
    }
    tokio::pin!(act);
    // A moment for it to begin; one that is faster is not met in the middle.
    if let Ok(outcome) = tokio::time::timeout(Duration::from_millis(30), &mut act).await {
        return outcome;
    }
    failpoint(step, point);
    act.await
}
