//! Which operations exclude each other: a fair queue over the five resources.
//!
//! The table lives in the daemon's memory. What makes it hold across a crash is the operating system's lock on
//! the daemon's state folder, which every program under the daemon keeps open: a new daemon begins once all of
//! them are gone, and takes the locks of unended operations before it listens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use orocloud_protocol::{CallId, Lock, LockMode, NodeName};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// Who holds locks, or waits for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The operation; of the agent's own work, that is none, a number that stands for it.
    pub operation: CallId,
    /// Whether it is such work, which no list of operations shows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_work: bool,
    /// Its command line, secrets redacted.
    pub command: String,
    /// Key id of its caller.
    pub caller: String,
    /// Since when.
    pub since: Timestamp,
    /// On which node it is coordinated.
    pub node: NodeName,
    /// The daemon's process there.
    pub pid: u32,
    /// Why nobody can know what it was doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// The table of locks.
#[derive(Debug, Default)]
pub struct Locks {
    table: Mutex<Table>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    held: Vec<(Holder, Vec<Lock>)>,
    waiting: VecDeque<(Holder, Vec<Lock>)>,
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Held {
    locks: Arc<Locks>,
    operation: CallId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.table().held.retain(|(holder, _)| holder.operation != self.operation);
        self.locks.changed.notify_waiters();
    }
}

/// A place in the queue; given up when dropped.
struct Place<'a> {
    locks: &'a Locks,
    operation: CallId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.locks.table().waiting.retain(|(holder, _)| holder.operation != self.operation);
        self.locks.changed.notify_waiters();
    }
}

impl Locks {
    /// Takes the locks at once, or says who is in the way: holders, and those who waited first.
    pub fn try_acquire(self: &Arc<Self>, holder: Holder, wanted: &[Lock]) -> Result<Held, Vec<Holder>> {
        let mut table = self.table();
        let in_the_way = table.in_the_way(wanted, holder.operation);
        if in_the_way.is_empty() { Ok(self.hold(&mut table, holder, wanted)) } else { Err(in_the_way) }
    }

    /// Waits in the queue until the locks are free. `on_wait` hears who is in the way, each time that changes.
    pub async fn acquire(
        self: &Arc<Self>,
        holder: Holder,
        wanted: &[Lock],
        mut on_wait: impl FnMut(&[Holder]) + Send,
    ) -> Held {
        self.table().waiting.push_back((holder.clone(), wanted.to_vec()));
        let _place = Place { locks: self, operation: holder.operation };
        let mut told = Vec::new();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registers before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            {
                let mut table = self.table();
                let in_the_way = table.in_the_way(wanted, holder.operation);
                if in_the_way.is_empty() {
                    return self.hold(&mut table, holder, wanted);
                }
                if in_the_way != told {
                    on_wait(&in_the_way);
                    told = in_the_way;
                }
            }
            changed.await;
        }
    }

    /// Whether nobody in conflict holds these locks, or waits for them.
    pub fn are_free(&self, wanted: &[Lock]) -> bool {
        let table = self.table();
        !table.held.iter().chain(&table.waiting).any(|(_, locks)| conflict(locks, wanted))
    }

    /// Holds the locks beside whoever holds them.
    pub fn hold_beside(self: &Arc<Self>, holder: Holder, locks: &[Lock]) -> Held {
        self.hold(&mut self.table(), holder, locks)
    }

    fn hold(self: &Arc<Self>, table: &mut Table, holder: Holder, wanted: &[Lock]) -> Held {
        let operation = holder.operation;
        table.held.push((holder, wanted.to_vec()));
        Held { locks: Arc::clone(self), operation }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Holders in conflict, and waiting ones in conflict that came before; so that a waiting exclusive lock stops
    /// new shared ones.
    fn in_the_way(&self, wanted: &[Lock], asking: CallId) -> Vec<Holder> {
        let earlier = self.waiting.iter().take_while(|(holder, _)| holder.operation != asking);
        self.held
            .iter()
            .chain(earlier)
            .filter(|(_, locks)| conflict(locks, wanted))
            .map(|(holder, _)| holder.clone())
            .collect()
    }
}

fn conflict(one: &[Lock], other: &[Lock]) -> bool {
    one.iter().any(|a| {
        other.iter().any(|b| {
            a.resource == b.resource && (a.mode == LockMode::Exclusive || b.mode == LockMode::Exclusive)
        })
    })
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::Resource::{Backups, Code, Data};

    use super::*;

    fn holder(number: u128) -> Holder {
        Holder {
            operation: CallId::from_parts(1_700_000_000_000, number),
            own_work: false,
            command: "deploy".into(),
            caller: "dora".into(),
            since: Timestamp::UNIX_EPOCH,
            node: "maint1".parse().unwrap(),
            pid: 1,
            unreadable: None,
        }
    }

    #[test]
    fn shared_locks_go_together_and_exclusive_ones_alone() {
        let locks = Arc::new(Locks::default());
        let one = locks.try_acquire(holder(1), &[Lock::shared(Data), Lock::exclusive(Backups)]).unwrap();
        let two = locks.try_acquire(holder(2), &[Lock::shared(Data), Lock::exclusive(Code)]).unwrap();
        assert_eq!(
            locks.try_acquire(holder(3), &[Lock::exclusive(Data)]).unwrap_err(),
            [holder(1), holder(2)]
        );
        drop(one);
        assert_eq!(locks.try_acquire(holder(3), &[Lock::exclusive(Data)]).unwrap_err(), [holder(2)]);
        drop(two);
        locks.try_acquire(holder(3), &[Lock::exclusive(Data)]).unwrap();
    }

    #[tokio::test]
    async fn a_waiting_exclusive_lock_stops_new_shared_ones() {
        let locks = Arc::new(Locks::default());
        let reader = locks.try_acquire(holder(1), &[Lock::shared(Data)]).unwrap();
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let writer = tokio::spawn({
            let locks = Arc::clone(&locks);
            async move {
                locks
                    .acquire(holder(2), &[Lock::exclusive(Data)], |holders| {
                        told.send(holders.to_vec()).unwrap()
                    })
                    .await
            }
        });
        assert_eq!(heard.recv().await.unwrap(), [holder(1)]);
        assert_eq!(locks.try_acquire(holder(3), &[Lock::shared(Data)]).unwrap_err(), [holder(2)]);
        assert!(!locks.are_free(&[Lock::shared(Data)]));
        drop(reader);
        drop(writer.await.unwrap());
        locks.try_acquire(holder(3), &[Lock::shared(Data)]).unwrap();
    }

    #[tokio::test]
    async fn who_stops_waiting_is_in_nobodys_way() {
        let locks = Arc::new(Locks::default());
        let _reader = locks.try_acquire(holder(1), &[Lock::shared(Data)]).unwrap();
        let wanted = [Lock::exclusive(Data)];
        let waiting = locks.acquire(holder(2), &wanted, |_| {});
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), waiting).await.is_err());
        locks.try_acquire(holder(3), &[Lock::shared(Data)]).unwrap();
    }
}
