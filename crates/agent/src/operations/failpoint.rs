//! Places where a test build can be killed.

/// Ends the process at once where the file named by `OROCLOUD_FAILPOINT_FILE` holds `STEP/POINT`, in builds with
/// debug assertions. The file is removed first, so that a restarted agent passes.
#[cfg(debug_assertions)]
pub fn failpoint(step: &str, point: &str) {
    let Ok(wanted) = std::env::var("OROCLOUD_FAILPOINT_FILE") else { return };
    let Ok(content) = std::fs::read_to_string(&wanted) else { return };
    if content.trim() == format!("{step}/{point}") && std::fs::remove_file(&wanted).is_ok() {
        std::process::abort();
    }
}

/// Nothing, in a build that ships.
#[cfg(not(debug_assertions))]
pub fn failpoint(_step: &str, _point: &str) {}
