//! The agent's own log: one line a thing worth knowing, for the people who run the node.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

static FILE: OnceLock<PathBuf> = OnceLock::new();

/// From now on lines go to `agent.log` in this folder, not to standard error.
pub fn to_folder(folder: &Path) {
    // Set twice only in tests; the first one stays.
    let _ = FILE.set(folder.join("agent.log"));
}

/// Writes one line.
pub fn line(text: impl std::fmt::Display) {
    let text = text.to_string().replace('\n', " / ");
    let line = format!("{:.3} {text}\n", jiff::Timestamp::now());
    if FILE.get().is_none_or(|path| append(path, &line).is_err()) {
        // A daemon without anywhere to complain goes on.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// Appends one line to a file that others may rotate away at any time.
pub(crate) fn append(path: &Path, line: &str) -> std::io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)?.write_all(line.as_bytes())
}
