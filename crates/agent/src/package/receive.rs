//! A package that arrives piece by piece.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use orocloud_protocol::node::{PackageBuilt, PackageReceiveParams};

use super::{Hashing, Store, name_of};

/// Takes in one package. Dropped before [`Receiver::finish`], it leaves nothing.
pub struct Receiver {
    store: Store,
    params: PackageReceiveParams,
    file: Option<Hashing<File>>,
    beside: PathBuf,
}

impl Receiver {
    /// Begins; `None` when that package is here already, whole, and nothing needs to be sent.
    pub fn new(store: Store, params: PackageReceiveParams) -> io::Result<Option<Self>> {
        if store.has(&params.package) {
            store.assign(&params)?;
            return Ok(None);
        }
        let beside = store.beside()?;
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
        Ok(Some(Self { store, params, file: Some(Hashing::new(file)), beside }))
    }

    /// The next piece.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = self.params.size;
        let Some(file) = &mut self.file else { return Err(io::Error::other("it has ended")) };
        if file.length + bytes.len() as u64 > size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {size} bytes came")));
        }
        file.write_all(bytes)
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.length)
    }

    /// Checks length and hash, and puts the package in its place.
    pub fn finish(mut self) -> io::Result<PackageBuilt> {
        let Some(hashing) = self.file.take() else { return Err(io::Error::other("it has ended")) };
        let PackageReceiveParams { package, size, files, .. } = self.params.clone();
        let found = name_of(&hashing.hasher.finalize())?;
        if hashing.length != size || found != package {
            let text = format!(
                "{} bytes with the hash {found} came, not {size} bytes with {package}",
                hashing.length
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        hashing.inner.sync_all()?;
        let place = self.store.file(&package);
        fs::rename(&self.beside, &place)?;
        orocloud_durable::sync_parent(&place)?;
        self.store.assign(&self.params)?;
        Ok(PackageBuilt { package, size, files })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Gone already when it was put in its place.
        let _ = fs::remove_file(&self.beside);
    }
}
