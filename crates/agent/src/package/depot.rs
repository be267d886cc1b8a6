//! The packages of a project, in a folder that the maintenance nodes of its environments share: `HASH.package`, named by
//! its content, and `TAG.json` for each name that a package has.
//!
//! The content comes first, the name that makes it one of the depot's packages last. Content without a name is
//! removed when the next package comes; whoever copies it meanwhile has it open.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use orocloud_protocol::node::PackageReceiveParams;
use orocloud_protocol::package::StoredPackage;
use orocloud_protocol::{CallError, CallId, ErrorKind, PackageTag, ReleaseName};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::{Hashing, PIECE, Receiver, Store, name_of};

/// The newest format of `TAG.json` that this build reads.
const FORMAT: u32 = 1;

/// `TAG.json`
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    format: u32,
    #[serde(flatten)]
    package: StoredPackage,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Depot {
    folder: PathBuf,
}

impl Depot {
    /// The depot in this folder; made when it is not there.
    pub fn open(folder: &Path) -> Result<Self, CallError> {
        // The customer's code is for nobody else on the node to read.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
            CallError::failed(format!("the packages in {} cannot be reached", folder.display()))
                .because(error)
        })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// All packages, newest first.
    pub fn all(&self) -> Result<Vec<StoredPackage>, CallError> {
        let cannot = |error: io::Error| {
            CallError::failed(format!("{} cannot be listed", self.folder.display())).because(error)
        };
        let mut packages = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(cannot)? {
            let name = entry.map_err(cannot)?.file_name();
            // Names that begin with a dot are files in the making.
            let tag =
                name.to_str().filter(|name| !name.starts_with('.')).and_then(|n| n.strip_suffix(".json"));
            if let Some(tag) = tag.and_then(|tag| tag.parse().ok()) {
                packages.extend(self.named(&tag)?);
            }
        }
        packages.sort_by(|one, other| (other.built_at, &other.tag).cmp(&(one.built_at, &one.tag)));
        Ok(packages)
    }

    /// The package of this tag.
    pub fn named(&self, tag: &PackageTag) -> Result<Option<StoredPackage>, CallError> {
        let path = self.folder.join(format!("{tag}.json"));
        let cannot = |error: &dyn std::fmt::Display| {
            CallError::failed(format!("{} cannot be read", path.display())).because(error)
        };
        match orocloud_durable::read_json::<Named>(&path).map_err(|error| cannot(&error))? {
            Some(named) if named.format > FORMAT => {
                Err(cannot(&format!("it has format {}, this agent reads {FORMAT}", named.format)))
            }
            named => Ok(named.map(|named| named.package)),
        }
    }

    /// The package of this tag or with this hash.
    pub fn find(&self, wanted: &PackageTag) -> Result<StoredPackage, CallError> {
        if let Some(package) = self.named(wanted)? {
            return Ok(package);
        }
        let mut all = self.all()?.into_iter();
        all.find(|package| package.package.as_str() == wanted.as_str()).ok_or_else(|| {
            CallError::new(ErrorKind::NotFound, format!("there is no package {wanted}"))
                .hint("see what there is: orocloud-cli app:package:list")
        })
    }

    /// The package that this operation built.
    pub fn built_by(&self, operation: CallId) -> Result<Option<StoredPackage>, CallError> {
        Ok(self.all()?.into_iter().find(|package| package.operation == operation))
    }

    /// Takes a package in from this file.
    pub fn publish(&self, package: &StoredPackage, file: &Path) -> io::Result<()> {
        // One at a time, also from other environments: content that is not named yet must not be taken for nobody's.
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.folder.join(".lock"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        self.copy(package, file)?;
        let named = Named { format: FORMAT, package: package.clone() };
        orocloud_durable::write_json(&self.folder.join(format!("{}.json", package.tag)), &named, 0o600)?;
        self.remove_nameless()
    }

    fn copy(&self, package: &StoredPackage, file: &Path) -> io::Result<()> {
        let place = self.content(package);
        let beside = self.folder.join(format!(".{}.new", package.package));
        let mut from = File::open(file)?;
        let to = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        let mut to = Hashing::new(to);
        let copied = io::copy(&mut from, &mut to).and_then(|_| {
            let found = name_of(&to.hasher.finalize())?;
            if found != package.package {
                let text = format!("it has the hash {found}, not {}", package.package);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            to.flush()?;
            to.inner.sync_all()?;
            // Over what lies there by this name already, which may be damaged.
            fs::rename(&beside, &place)?;
            orocloud_durable::sync_parent(&place)
        });
        if copied.is_err() {
            // Half a package is nobody's.
            let _ = fs::remove_file(&beside);
        }
        copied
    }

    fn remove_nameless(&self) -> io::Result<()> {
        let named = self.all().map_err(|error| io::Error::other(error.to_string()))?;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let hash = name.strip_suffix(".package").or_else(|| name.strip_prefix('.')?.strip_suffix(".new"));
            if hash.is_some_and(|hash| named.iter().all(|package| package.package.as_str() != hash)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn content(&self, package: &StoredPackage) -> PathBuf {
        self.folder.join(format!("{}.package", package.package))
    }

    /// Brings a package into a node's own store, for a release. What is not what its name says is refused.
    pub fn take(
        &self,
        package: &StoredPackage,
        store: Store,
        release: &ReleaseName,
        progress: &dyn Fn(u64) -> bool,
    ) -> io::Result<()> {
        let StoredPackage { package: hash, size, files, .. } = package.clone();
        let params = PackageReceiveParams { release: release.clone(), package: hash, size, files };
        let Some(mut receiver) = Receiver::new(store, params)? else { return Ok(()) };
        let mut file = File::open(self.content(package))?;
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                return receiver.finish().map(drop);
            }
            receiver.write(&piece[..read])?;
            if !progress(receiver.length()) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(tag: &str, content: &[u8], second: i64) -> StoredPackage {
        StoredPackage {
            tag: tag.parse().unwrap(),
            label: None,
            reference: "1.0.0".parse().unwrap(),
            commit: "c".repeat(40),
            committed_at: jiff::Timestamp::UNIX_EPOCH,
            database_extensions: vec!["uuid-ossp".into()],
            built_at: jiff::Timestamp::from_second(second).unwrap(),
            environment: "acme-prod1".parse().unwrap(),
            operation: CallId::from_parts(1, 1),
            package: name_of(&blake3::hash(content)).unwrap(),
            size: content.len() as u64,
            files: 1,
        }
    }

    #[test]
    fn a_package_is_found_by_tag_and_hash_taken_whole_and_refused_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let depot = Depot::open(&folder.path().join("depot")).unwrap();
        let file = folder.path().join("built");
        let publish = |tag: &str, content: &[u8], second| {
            std::fs::write(&file, content).unwrap();
            let package = package(tag, content, second);
            depot.publish(&package, &file).unwrap();
            package
        };
        let first = publish("1.0.0", b"first", 1);
        let main = publish("main", b"second", 2);
        assert_eq!(depot.all().unwrap(), [main.clone(), first.clone()]);
        let by_hash: PackageTag = first.package.as_str().parse().unwrap();
        assert_eq!(depot.find(&by_hash).unwrap(), first);
        assert_eq!(depot.find(&"none".parse().unwrap()).unwrap_err().kind, ErrorKind::NotFound);
        // The tag goes to the newest package, and what has no name any more goes away.
        let newer = publish("main", b"third", 3);
        assert_eq!(depot.find(&"main".parse().unwrap()).unwrap(), newer);
        assert!(!depot.content(&main).exists() && depot.content(&first).exists());

        let release: ReleaseName = "20261124103200".parse().unwrap();
        let store = Store::open(&folder.path().join("state")).unwrap();
        depot.take(&newer, store.clone(), &release, &|_| true).unwrap();
        assert_eq!(store.of(&release).unwrap().unwrap().package, newer.package);
        for damaged in [&b"firsT"[..], b"fir", b"first and more"] {
            std::fs::write(depot.content(&first), damaged).unwrap();
            let error = depot.take(&first, store.clone(), &release, &|_| true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            assert!(!store.has(&first.package));
        }
        // Built once more, it is whole again.
        publish("1.0.0", b"first", 4);
        depot.take(&first, store, &release, &|_| true).unwrap();
    }
}
