//! From a built checkout to a package file.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use orocloud_protocol::node::PackageBuilt;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, readlinkat, statat};

use super::{Hashing, PIECE, Store, name_of};

/// zstd's level: above it the time doubles for a few percent.
const LEVEL: i32 = 3;

/// What is to become a package.
pub struct Packing<'a> {
    /// The built checkout.
    pub source: &'a Path,
    /// The moment that every file will bear, in seconds since 1970.
    pub mtime: u64,
    /// Told the bytes read so far, now and then; false ends the work.
    pub progress: &'a dyn Fn(u64) -> bool,
}

/// Packs a folder into the store. Nothing is followed: folders are entered and files are opened by descriptors, so
/// that code that still runs in the checkout cannot make this read what lies outside.
pub fn pack(packing: &Packing<'_>, store: &Store) -> io::Result<PackageBuilt> {
    let beside = store.beside()?;
    let result = write(packing, beside.as_path()).and_then(|built| {
        fs::rename(&beside, store.file(&built.package))?;
        orocloud_durable::sync_parent(&store.file(&built.package))?;
        Ok(built)
    });
    if result.is_err() {
        // Half a package is nobody's.
        let _ = fs::remove_file(&beside);
    }
    result
}

fn write(packing: &Packing<'_>, to: &Path) -> io::Result<PackageBuilt> {
    let file = fs::OpenOptions::new().write(true).create_new(true).open(to)?;
    let hashing = Hashing::new(io::BufWriter::with_capacity(PIECE, file));
    let mut encoder = zstd::Encoder::new(hashing, LEVEL)?;
    encoder.include_checksum(false)?;
    let root = openat(CWD, packing.source, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| named(packing.source, &error.into()))?;
    let mut walk = Walk { tar: tar::Builder::new(encoder), packing, files: 0, bytes: 0 };
    walk.folder(&root, Path::new(""))?;
    let files = walk.files;
    let mut hashing = walk.tar.into_inner()?.finish()?;
    hashing.flush()?;
    let package = name_of(&hashing.hasher.finalize())?;
    let size = hashing.length;
    hashing.inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(PackageBuilt { package, size, files })
}

struct Walk<'a, W: Write> {
    tar: tar::Builder<W>,
    packing: &'a Packing<'a>,
    files: u64,
    bytes: u64,
}

impl<W: Write> Walk<'_, W> {
    fn folder(&mut self, folder: &OwnedFd, path: &Path) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(|error| named(path, &error.into()))? {
            let name = entry?.file_name().to_bytes().to_owned();
            // Repositories, of submodules and of packages installed from source too, are no part of what runs.
            if !matches!(name.as_slice(), b"." | b".." | b".git") {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            let name = Path::new(std::ffi::OsStr::from_bytes(&name));
            self.entry(folder, name, &path.join(name))?;
        }
        Ok(())
    }

    fn entry(&mut self, folder: &OwnedFd, name: &Path, path: &Path) -> io::Result<()> {
        let at = |error: rustix::io::Errno| named(path, &error.into());
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(at)?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(self.packing.mtime);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                self.tar.append_data(&mut header, path, io::empty())?;
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner = openat(folder, name, flags, Mode::empty()).map_err(at)?;
                self.folder(&inner, path)
            }
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = File::from(openat(folder, name, flags, Mode::empty()).map_err(at)?);
                let metadata = file.metadata()?;
                if !metadata.is_file() {
                    return Err(named(path, &io::Error::other("changed while it was packed")));
                }
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(if stat.st_mode & 0o100 == 0 { 0o644 } else { 0o755 });
                header.set_size(metadata.len());
                // A file that shrinks meanwhile would shift everything behind it.
                let mut content =
                    Exactly { inner: BufReader::with_capacity(PIECE, file), left: metadata.len() };
                self.tar.append_data(&mut header, path, &mut content).map_err(|error| named(path, &error))?;
                self.files += 1;
                self.bytes += metadata.len();
                if !(self.packing.progress)(self.bytes) {
                    return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
                }
                Ok(())
            }
            FileType::Symlink => {
                let target = readlinkat(folder.as_fd(), name, Vec::new()).map_err(at)?;
                let target = PathBuf::from(std::ffi::OsStr::from_bytes(target.to_bytes()));
                if !super::unpack::stays_inside(path, &target) {
                    let target = target.display();
                    return Err(named(
                        path,
                        &io::Error::other(format!("is a link to {target}, which is not in the release")),
                    ));
                }
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                self.tar.append_link(&mut header, path, &target)?;
                self.files += 1;
                Ok(())
            }
            _ => Err(named(path, &io::Error::other("is neither a file nor a folder nor a link"))),
        }
    }
}

/// Reads so many bytes and not one more; less is an error.
struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::other("became shorter while it was packed"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
