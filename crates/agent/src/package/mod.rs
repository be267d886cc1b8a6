//! The package file: one built copy of the application, a tar in zstd, named by the BLAKE3 hash of its bytes.
//!
//! The same build gives the same file: entries are sorted, owners are 0, modes are one of two, and every file bears
//! the moment of its commit. That moment is not simply 0, because web servers derive a file's `ETag` from it.

mod depot;
mod pack;
mod receive;
mod store;
mod unpack;

pub use depot::Depot;
pub use pack::{Packing, pack};
pub use receive::Receiver;
pub use store::Store;
pub use unpack::unpack;

use orocloud_protocol::ContentHash;

/// Size of the pieces in which files are read.
const PIECE: usize = 128 * 1024;

/// The hash as a name.
fn name_of(hash: &blake3::Hash) -> Result<ContentHash, std::io::Error> {
    hash.to_hex().parse().map_err(std::io::Error::other)
}

/// Hashes and counts what passes through.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
    length: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), length: 0 }
    }

    fn saw(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
    }
}

impl<W: std::io::Write> std::io::Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.saw(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl<R: std::io::Read> std::io::Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.saw(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
