//! What the process takes of the machine's memory, beside what it uses.
//!
//! The allocator of glibc makes up to eight heaps a core and keeps what was freed in each: many callers at once,
//! short as they may be, would leave the daemon several times as large as it needs to be for as long as it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often freed memory is given back.
const PAUSE: Duration = Duration::from_secs(5);

/// Something ended since memory was given back.
static FREED: AtomicBool = AtomicBool::new(false);

/// Few heaps, and large pieces that go back to the system when they are freed. Before any thread is started.
pub fn limit() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two numbers; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        // Fixed: otherwise the first large piece that is freed makes all of its size part of a heap.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 256 * 1024);
    }
}

/// Says that a connection ended, and with it what it took.
pub fn freed() {
    FREED.store(true, Ordering::Relaxed);
}

/// Gives freed memory back now and then, for as long as the daemon runs.
pub async fn give_back() {
    loop {
        tokio::time::sleep(PAUSE).await;
        if FREED.swap(false, Ordering::Relaxed) {
            // Walks the heaps, some milliseconds at most: not where calls are served.
            let _ = tokio::task::spawn_blocking(trim).await;
        }
    }
}

fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
