//! From a package file to a folder.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use orocloud_protocol::ContentHash;

use super::{Hashing, PIECE, name_of};

/// Unpacks a package into a folder that is not there yet, and checks its hash. What is refused leaves an
/// incomplete folder behind, for the caller to remove; only after `Ok` is it whole and on the disk.
pub fn unpack(
    file: &Path,
    package: &ContentHash,
    to: &Path,
    progress: &dyn Fn(u64) -> bool,
) -> io::Result<u64> {
    let hashing = Hashing::new(BufReader::with_capacity(PIECE, File::open(file)?));
    let mut archive = tar::Archive::new(zstd::Decoder::new(hashing)?);
    fs::DirBuilder::new().mode(0o755).create(to)?;
    let mut unpacking =
        Unpacking { root: to, folders: HashSet::from([PathBuf::new()]), links: Vec::new(), files: 0 };
    let mut bytes = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        bytes += unpacking.entry(&mut entry)?;
        if !progress(bytes) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
        }
    }
    unpacking.links()?;
    let files = unpacking.files;
    // The tar may end before the file does.
    let mut decoder = archive.into_inner();
    io::copy(&mut decoder, &mut io::sink())?;
    let mut hashing = decoder.finish().into_inner();
    io::copy(&mut hashing, &mut io::sink())?;
    let found = name_of(&hashing.hasher.finalize())?;
    if found != *package {
        return Err(refused(&format!("the package's content has the hash {found}, not {package}")));
    }
    // One sync of the file system rather than one of each of some 20,000 files.
    rustix::fs::syncfs(File::open(to)?)?;
    Ok(files)
}

/// Whether a link at `path` (inside the release, made of plain names) leads to something inside. `..` may only
/// stand at the beginning: behind a name that is a link itself it would lead elsewhere than it looks.
pub(super) fn stays_inside(path: &Path, target: &Path) -> bool {
    let mut up = 0;
    let mut down = false;
    for component in target.components() {
        match component {
            Component::ParentDir if !down => up += 1,
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    // The root itself would make a release that contains itself.
    let depth = path.components().count() - 1;
    up < depth || (up == depth && down)
}

struct Unpacking<'a> {
    root: &'a Path,
    /// Folders made so far, all real ones: nothing is written through a link.
    folders: HashSet<PathBuf>,
    /// Made last, for the same reason.
    links: Vec<(PathBuf, PathBuf)>,
    files: u64,
}

impl Unpacking<'_> {
    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<u64> {
        let path = entry.path()?.into_owned();
        let shown = path.display().to_string();
        if path.as_os_str().is_empty() || !path.components().all(|c| matches!(c, Component::Normal(_))) {
            return Err(refused(&format!(
                "the package holds {shown:?}, which is not a path inside a release"
            )));
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        if !self.folders.contains(parent) {
            return Err(refused(&format!("the package holds {shown:?} but not the folder it is in")));
        }
        let at = self.root.join(&path);
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                fs::DirBuilder::new().mode(0o755).create(&at)?;
                self.folders.insert(path);
                Ok(0)
            }
            tar::EntryType::Regular => {
                let mode = if entry.header().mode()? & 0o100 == 0 { 0o644 } else { 0o755 };
                let mtime = std::time::UNIX_EPOCH + std::time::Duration::from_secs(entry.header().mtime()?);
                let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&at)?;
                let length = io::copy(entry, &mut file)?;
                if length != entry.size() {
                    return Err(refused(&format!("the package ends in the middle of {shown:?}")));
                }
                file.flush()?;
                file.set_modified(mtime)?;
                self.files += 1;
                Ok(length)
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name()?.map(std::borrow::Cow::into_owned).unwrap_or_default();
                if !stays_inside(&path, &target) {
                    let target = target.display();
                    return Err(refused(&format!(
                        "the package holds {shown:?}, a link out of it to {target}"
                    )));
                }
                self.links.push((path, target));
                Ok(0)
            }
            other => Err(refused(&format!("the package holds {shown:?} of kind {other:?}"))),
        }
    }

    fn links(&mut self) -> io::Result<()> {
        for (path, target) in &self.links {
            std::os::unix::fs::symlink(target, self.root.join(path))?;
            self.files += 1;
        }
        Ok(())
    }
}

fn refused(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}
