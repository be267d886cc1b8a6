//! Where packages lie on a node, and which release was made from which.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use orocloud_protocol::node::PackageReceiveParams;
use orocloud_protocol::{ContentHash, ReleaseName};

/// `state/packages`: `HASH.package` files, and `RELEASE.json` for each release that needs one of them.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store of a node, by its `state` folder; made when it is not there.
    pub fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("packages");
        // The customer's code is for nobody else on the node to read.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    /// Where all of them lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a package lies.
    pub fn file(&self, package: &ContentHash) -> PathBuf {
        self.folder.join(format!("{package}.package"))
    }

    /// Whether a package is there.
    pub fn has(&self, package: &ContentHash) -> bool {
        self.file(package).is_file()
    }

    /// A name for a file that is not whole yet; what an earlier run of this node left is removed.
    pub(super) fn beside(&self) -> io::Result<PathBuf> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let ours = format!(".{}-", std::process::id());
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') && name.ends_with(".new") && !name.starts_with(&ours) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(self.folder.join(format!("{ours}{}.new", NEXT.fetch_add(1, Ordering::Relaxed))))
    }

    fn record(&self, release: &ReleaseName) -> PathBuf {
        self.folder.join(format!("{release}.json"))
    }

    /// Remembers which package a release is made from, once the package is there.
    pub fn assign(&self, package: &PackageReceiveParams) -> io::Result<()> {
        orocloud_durable::write_json(&self.record(&package.release), package, 0o644)
    }

    /// Which package a release is made from; `None` when that is not known, or the package is gone.
    pub fn of(&self, release: &ReleaseName) -> io::Result<Option<PackageReceiveParams>> {
        let record: Option<PackageReceiveParams> = orocloud_durable::read_json(&self.record(release))?;
        Ok(record.filter(|record| self.has(&record.package)))
    }

    /// Forgets a release; its package goes with the last release that needs it.
    pub fn forget(&self, release: &ReleaseName) -> io::Result<()> {
        match fs::remove_file(self.record(release)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let needed: Vec<ContentHash> = self
            .releases()?
            .iter()
            .filter_map(|release| self.of(release).ok()?)
            .map(|record| record.package)
            .collect();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let package =
                path.file_name().and_then(|name| name.to_str()?.strip_suffix(".package")?.parse().ok());
            if package.is_some_and(|package: ContentHash| !needed.contains(&package)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The releases that are remembered, oldest first.
    pub fn releases(&self) -> io::Result<Vec<ReleaseName>> {
        let mut releases = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if let Some(release) = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok()) {
                releases.push(release);
            }
        }
        releases.sort();
        Ok(releases)
    }
}
