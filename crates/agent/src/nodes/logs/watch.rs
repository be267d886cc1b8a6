//! Wakes whoever follows a file when its folder changes.
//!
//! One inotify instance serves the whole agent: a system allows an account 128 of them, and 200 people may follow.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::sync::Notify;

/// Woken by changes of files in the folders it was made for.
#[derive(Debug)]
pub struct Watch {
    wake: Arc<Wake>,
    watches: Vec<i32>,
    complete: bool,
}

#[derive(Debug, Default)]
struct Wake {
    notify: Notify,
    /// A folder is gone.
    lost: AtomicBool,
}

impl Watch {
    /// Watches the folders of these files, of what they link to too, for changes of names that begin like theirs.
    pub fn new(files: &[PathBuf]) -> Self {
        let mut watch = Self { wake: Arc::default(), watches: Vec::new(), complete: true };
        let Some(watcher) = Watcher::shared() else {
            watch.complete = false;
            return watch;
        };
        for file in files {
            watch.complete &= watch.add(watcher, file);
            if let Ok(real) = file.canonicalize()
                && real != *file
            {
                watch.complete &= watch.add(watcher, &real);
            }
        }
        watch
    }

    fn add(&mut self, watcher: &Watcher, file: &Path) -> bool {
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return false };
        let Some(watch) = watcher.add(folder, name, &self.wake) else { return false };
        self.watches.push(watch);
        true
    }

    /// Whether every folder is watched; if not, one has to look from time to time.
    pub fn is_complete(&self) -> bool {
        self.complete && !self.wake.lost.load(Ordering::Relaxed)
    }

    /// Returns after a change; at once if there was one since the last return.
    pub async fn changed(&self) {
        self.wake.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watcher) = Watcher::shared() {
            watcher.remove(&self.watches, &self.wake);
        }
    }
}

struct Watcher {
    inotify: OwnedFd,
    by_watch: Mutex<HashMap<i32, Vec<Interest>>>,
}

struct Interest {
    name: OsString,
    wake: Arc<Wake>,
}

impl Watcher {
    fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Watcher>> = OnceLock::new();
        static STARTED: OnceLock<bool> = OnceLock::new();
        let watcher = SHARED
            .get_or_init(|| {
                let inotify = inotify::init(CreateFlags::CLOEXEC).ok()?;
                Some(Self { inotify, by_watch: Mutex::default() })
            })
            .as_ref()?;
        // A thread of its own: it outlives every runtime, and costs nothing while it waits.
        STARTED
            .get_or_init(|| {
                std::thread::Builder::new().name("log-watch".to_owned()).spawn(|| watcher.run()).is_ok()
            })
            .then_some(watcher)
    }

    fn interests(&self) -> MutexGuard<'_, HashMap<i32, Vec<Interest>>> {
        self.by_watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, folder: &Path, name: &OsStr, wake: &Arc<Wake>) -> Option<i32> {
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        // Under the lock, so that another's removal of the same folder does not come in between.
        let mut interests = self.interests();
        let watch = inotify::add_watch(&self.inotify, folder, flags).ok()?;
        interests.entry(watch).or_default().push(Interest { name: name.to_owned(), wake: wake.clone() });
        Some(watch)
    }

    fn remove(&self, watches: &[i32], wake: &Arc<Wake>) {
        let mut interests = self.interests();
        for watch in watches {
            let Some(all) = interests.get_mut(watch) else { continue };
            all.retain(|interest| !Arc::ptr_eq(&interest.wake, wake));
            if all.is_empty() {
                interests.remove(watch);
                // It fails when the folder is gone, and the watch with it.
                let _ = inotify::remove_watch(&self.inotify, *watch);
            }
        }
    }

    fn run(&self) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => break,
            };
            let kind = event.events();
            let mut interests = self.interests();
            if kind.contains(ReadFlags::QUEUE_OVERFLOW) {
                interests.values().flatten().for_each(|interest| interest.wake.notify.notify_one());
            } else if kind.intersects(ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                let gone =
                    if kind.contains(ReadFlags::IGNORED) { interests.remove(&event.wd()) } else { None };
                for interest in gone.iter().flatten().chain(interests.get(&event.wd()).into_iter().flatten())
                {
                    interest.wake.lost.store(true, Ordering::Relaxed);
                    interest.wake.notify.notify_one();
                }
            } else if let (Some(all), Some(name)) = (interests.get(&event.wd()), event.file_name()) {
                for interest in all {
                    if name.to_bytes().starts_with(interest.name.as_bytes()) {
                        interest.wake.notify.notify_one();
                    }
                }
            }
        }
        // Nobody is woken from now on: all must look by themselves.
        for interest in self.interests().values().flatten() {
            interest.wake.lost.store(true, Ordering::Relaxed);
            interest.wake.notify.notify_one();
        }
    }
}
