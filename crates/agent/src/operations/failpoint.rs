//! Places where a test build can be killed, or made to wait.
//!
//! The file named by `OROCLOUD_FAILPOINT_FILE` holds `STEP/POINT`; it is removed before the process ends, so that the
//! agent that is started again passes. The runner's points are `intent` (the intent is synced), `running` (the act
//! runs) and `done` (it is done, but not recorded), for an undo `undo-intent`, `undoing` and `undone`. The agent of the
//! node where a step runs has the same ones with `node-` in front.
//!
//! With ` wait` behind it the process waits there instead: the file is renamed to end in `.waits`, and it goes on once
//! that is removed.

use std::path::Path;
use std::time::{Duration, Instant};

/// Whether somebody asked for this here: to be killed, unless `more` says what else.
#[cfg(debug_assertions)]
fn wanted(step: &str, point: &str, more: &str) -> Option<std::path::PathBuf> {
    let file = std::path::PathBuf::from(std::env::var_os("OROCLOUD_FAILPOINT_FILE")?);
    let content = std::fs::read_to_string(&file).ok()?;
    (content.trim() == format!("{step}/{point}{more}")).then_some(file)
}

/// Nobody does, in a build that ships.
#[cfg(not(debug_assertions))]
fn wanted(_step: &str, _point: &str, _more: &str) -> Option<std::path::PathBuf> {
    None
}

/// Ends the process at once where that was asked for, or waits.
pub fn failpoint(step: &str, point: &str) {
    if let Some(file) = wanted(step, point, "")
        && std::fs::remove_file(file).is_ok()
    {
        std::process::abort();
    }
    if let Some(file) = wanted(step, point, " wait") {
        wait(&file);
    }
}

/// Whoever asked for it does something meanwhile, and has a minute for it.
fn wait(file: &Path) {
    let waits = file.with_extension("waits");
    if std::fs::rename(file, &waits).is_err() {
        return;
    }
    let begun = Instant::now();
    while waits.exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Carries an act out; where that was asked for the process ends in the middle of it.
pub async fn around<T>(step: &str, point: &str, act: impl Future<Output = T>) -> T {
    if wanted(step, point, "").is_none() {
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
