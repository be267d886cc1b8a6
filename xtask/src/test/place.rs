//! Where tests start sandboxes.

use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

/// Files in memory: a sandbox makes, syncs and removes thousands of small ones, which is most of its time on a disk.
const MEMORY: &str = "/dev/shm";

/// What four sandboxes at once and their repositories take, twice over.
const NEEDED_BYTES: u64 = 8 << 30;

/// In memory if it is large enough and runs programs, else on the disk.
pub fn of_tests() -> PathBuf {
    let fits = statvfs(MEMORY).is_ok_and(|there| {
        let runs = !there.f_flag.intersects(StatVfsMountFlags::NOEXEC | StatVfsMountFlags::RDONLY);
        runs && there.f_bavail.saturating_mul(there.f_frsize) >= NEEDED_BYTES
    });
    Path::new(if fits { MEMORY } else { "/tmp" }).to_owned()
}
