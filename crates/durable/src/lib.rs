//! Files that survive a crash.
//!
//! What is promised: after [`write()`] returns, the whole new content is found under the name, also after the
//! machine lost power; at any moment before, the whole old one is. What is not: that two writers of the same
//! name do not replace each other's content; take a lock for that.

mod lines;

pub use lines::Lines;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes beside, syncs, renames, syncs the folder. `mode` holds for the new file.
pub fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let beside = beside(path)?;
    let result = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, path)?;
        sync_parent(path)
    })();
    if result.is_err() {
        // The old content is still under the name; what lies beside is nobody's.
        let _ = fs::remove_file(&beside);
    }
    result
}

/// [`write()`] for a value, as JSON with a last newline.
pub fn write_json<T: Serialize>(path: &Path, value: &T, mode: u32) -> io::Result<()> {
    let mut content = serde_json::to_vec_pretty(value)?;
    content.push(b'\n');
    write(path, &content, mode)
}

/// Reads what [`write_json`] wrote; `None` when there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(content) => serde_json::from_slice(&content).map(Some).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Syncs the folder that holds `path`, so that a name made or removed there lasts.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Replaces a symbolic link by one with another target, in one step.
pub fn replace_symlink(target: &Path, link: &Path) -> io::Result<()> {
    let beside = beside(link)?;
    std::os::unix::fs::symlink(target, &beside)?;
    if let Err(error) = fs::rename(&beside, link) {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    sync_parent(link)
}

/// Exchanges two paths of one file system in one step (renameat2(2), `RENAME_EXCHANGE`).
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?;
    sync_parent(one)?;
    sync_parent(other)
}

/// A name in the same folder that no other writer uses.
fn beside(path: &Path) -> io::Result<PathBuf> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display()))
    })?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}-{}.new", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(beside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_json(&path, &1, 0o600).unwrap();
        // A folder of that name cannot be replaced by a file.
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("x"), "").unwrap();
        assert!(write(&taken, b"new", 0o600).is_err());
        assert_eq!(read_json::<i32>(&path).unwrap(), Some(1));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn links_and_folders_are_switched_in_one_step() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("one")).unwrap();
        fs::create_dir(at("two")).unwrap();
        fs::write(at("two").join("mark"), "").unwrap();
        replace_symlink(Path::new("one"), &at("www")).unwrap();
        replace_symlink(Path::new("two"), &at("www")).unwrap();
        assert_eq!(fs::read_link(at("www")).unwrap(), Path::new("two"));
        exchange(&at("one"), &at("two")).unwrap();
        assert!(at("one").join("mark").exists());
    }
}
