//! One suite that any keeper passes, against a real database with a real archive. A keeper brings a rig (`Rig`) of its
//! own; the suite knows only [`Keeper`] and SQL.

pub(crate) mod rig;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::node::{AsideCopy, AsideOrigin, Probe, ReplayTarget};
use orocloud_protocol::{CallId, ContentHash};
use tokio_util::sync::CancellationToken;

use super::{Circumstances, Keeper};
use crate::operations::EventSink;
use rig::Rig;

/// A restore as the steps of an operation do it.
struct Restore<'a> {
    rig: &'a Rig,
    operation: CallId,
    events: EventSink,
    cancel: CancellationToken,
}

impl<'a> Restore<'a> {
    fn new(rig: &'a Rig, number: u64) -> Self {
        let operation = CallId::from_parts(number, number.into());
        Self { rig, operation, events: EventSink::none(), cancel: CancellationToken::new() }
    }

    fn around(&self) -> Circumstances<'_> {
        Circumstances { operation: self.operation, events: &self.events, cancel: &self.cancel }
    }

    fn keeper(&self) -> Keeper<'_> {
        Keeper::of(&self.rig.node).unwrap()
    }

    /// Everything up to the look; gives rows then and now.
    async fn prepare(&self, copy: &AsideCopy) -> (Option<u64>, Option<u64>) {
        let keeper = self.keeper();
        let marker = keeper.marker().await.unwrap();
        assert!(marker.committed);
        keeper.restore_aside(copy, &self.around()).await.unwrap();
        assert!(matches!(keeper.probe_aside(copy).await.unwrap(), Probe::Done(_)));
        keeper.replay(copy, marker.lsn.as_deref(), &self.around()).await.unwrap();
        assert!(matches!(keeper.probe_replay(copy).await.unwrap(), Probe::Done(_)));
        assert!(self.rig.copies_are_private());
        let tables = keeper.look(copy, &self.around()).await.unwrap();
        let orders = tables.iter().find(|table| table.table == "orders").unwrap();
        (orders.then, orders.now)
    }

    async fn swap(&self, copy: &AsideCopy) -> u32 {
        let keeper = self.keeper();
        let swapped = keeper.swap(copy, self.keep_until(), &self.around()).await.unwrap();
        assert!(matches!(keeper.probe_swap(self.operation).await.unwrap(), Probe::Done(_)));
        assert!(kept(&keeper).await.contains(&self.operation));
        swapped.to_timeline
    }

    /// What it replaces is promised for an hour.
    fn keep_until(&self) -> Timestamp {
        Timestamp::now() + HOUR
    }

    fn kept(&self) -> AsideCopy {
        AsideCopy { name: hash("kept"), origin: AsideOrigin::Kept { operation: self.operation } }
    }
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// An operation that replaced nothing.
fn nobody() -> CallId {
    CallId::from_parts(9999, 9999)
}

/// Restores whose replaced folder is there.
async fn kept(keeper: &Keeper<'_>) -> Vec<CallId> {
    keeper.kept().await.unwrap().into_iter().map(|kept| kept.operation).collect()
}

fn copy(set: &str, timeline: u32, target: ReplayTarget) -> AsideCopy {
    let name = hash(&format!("{set} {timeline} {target:?}"));
    AsideCopy { name, origin: AsideOrigin::Backup { set: set.to_owned(), timeline, target } }
}

fn hash(text: &str) -> ContentHash {
    crate::operations::hash(blake3::hash(text.as_bytes()))
}

/// Moments of the story.
struct Story {
    base: String,
    hundred: Timestamp,
}

/// A base backup of 100 orders, 50 more afterwards, then all deleted.
async fn disaster(rig: &Rig) -> Story {
    rig.sql("create table orders (id bigserial primary key, at timestamptz default clock_timestamp())").await;
    rig.orders(100).await;
    let base = rig.backup("full").await;
    rig.orders(50).await;
    let hundred = rig.moment().await;
    rig.sql("delete from orders").await;
    Story { base, hundred }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_comes_back_and_both_ways_can_be_undone() {
    let Some(rig) = Rig::start().await else { return };
    let story = disaster(&rig).await;
    let first = Restore::new(&rig, 1);
    let keeper = first.keeper();
    assert_eq!(keeper.health().await.unwrap().timeline, Some(1));
    let at = copy(&story.base, 1, ReplayTarget::Time(story.hundred));
    assert_eq!(first.prepare(&at).await, (Some(150), Some(0)));

    // A preview ends here; the restore that follows finds the copy again, and so does an agent that was restarted.
    keeper.rest(&at).await.unwrap();
    assert_eq!(keeper.probe_replay(&at).await.unwrap(), Probe::Partial);
    assert_eq!(first.prepare(&at).await, (Some(150), Some(0)));
    assert_eq!(keeper.probe_accept(&at).await.unwrap(), Probe::Partial);
    let accepted = keeper.accept(&at, &first.around()).await.unwrap();
    assert_eq!(accepted.timeline, 2);
    assert_eq!(keeper.accept(&at, &first.around()).await.unwrap(), accepted);
    // Nothing live was touched so far.
    assert_eq!(rig.count().await, 0);
    rig.orders(3).await;

    // The stop would archive all of these first.
    for _ in 0..12 {
        rig.sql("select pg_logical_emit_message(true, '', 'x'); select pg_switch_wal()").await;
    }
    keeper.archive(&first.around()).await.unwrap();
    assert!(rig.waiting_for_the_archive().await <= 2);

    assert_eq!(keeper.probe_swap(first.operation).await.unwrap(), Probe::NotDone);
    assert_eq!(first.swap(&at).await, 2);
    assert_eq!(rig.count().await, 150);
    // The act again, as after a crash before the outcome was written down, does nothing more.
    assert_eq!(first.swap(&at).await, 2);
    rig.archived().await;
    rig.backup("incr").await;
    rig.orders(7).await;

    // The undo brings back what was live last, and keeps the other side in turn.
    let undo = Restore::new(&rig, 2);
    let to = undo.swap(&first.kept()).await;
    assert_eq!((to, rig.count().await), (3, 3));
    assert_eq!(kept(&keeper).await, [undo.operation]);
    rig.archived().await;
    rig.backup("incr").await;
    let again = Restore::new(&rig, 3);
    let to = again.swap(&undo.kept()).await;
    assert_eq!((to, rig.count().await), (4, 157));
    rig.archived().await;
    let newest = rig.backup("incr").await;
    // Nothing of the recoveries is left for the next start.
    assert!(
        ["recovery_", "restore_", "archive_mode", "hot_standby"]
            .iter()
            .all(|word| !rig.settings().contains(word)),
        "{}",
        rig.settings()
    );

    // And what was restored can be restored from.
    rig.orders(1).await;
    let moment = rig.moment().await;
    rig.sql("delete from orders").await;
    let last = Restore::new(&rig, 4);
    let at = copy(&newest, 4, ReplayTarget::Time(moment));
    assert_eq!(last.prepare(&at).await, (Some(158), Some(0)));
    keeper.discard(&at).await.unwrap();
    // Promised by its own note, until its time is over.
    keeper.tidy(last.operation, Timestamp::now(), Timestamp::now()).await.unwrap();
    assert_eq!(kept(&keeper).await, [again.operation]);
    keeper.tidy(again.operation, Timestamp::MAX, Timestamp::now()).await.unwrap();
    assert_eq!(kept(&keeper).await, [again.operation]);
    keeper.tidy(last.operation, Timestamp::now() + HOUR, Timestamp::now()).await.unwrap();
    assert_eq!(kept(&keeper).await, []);
    assert_eq!(rig.beside(), ["main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_minute_and_the_state_of_a_backup_can_be_restored() {
    let Some(rig) = Rig::start().await else { return };
    let story = disaster(&rig).await;
    let restore = Restore::new(&rig, 1);
    // Nothing is committed after this moment, but for the marker.
    let idle = rig.moment().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let at = copy(&story.base, 1, ReplayTarget::Time(idle));
    assert_eq!(restore.prepare(&at).await, (Some(0), Some(0)));
    restore.keeper().discard(&at).await.unwrap();
    let at = copy(&story.base, 1, ReplayTarget::Immediate);
    assert_eq!(restore.prepare(&at).await, (Some(100), Some(0)));
    restore.keeper().accept(&at, &restore.around()).await.unwrap();
    restore.swap(&at).await;
    assert_eq!(rig.count().await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_was_interrupted_anywhere_goes_on_or_back() {
    let Some(rig) = Rig::start().await else { return };
    let story = disaster(&rig).await;
    let at = copy(&story.base, 1, ReplayTarget::Time(story.hundred));
    for (number, cut) in ["noted", "stopped", "exchanged", "renamed"].into_iter().enumerate() {
        let number = number as u64 + 1;
        let restore = Restore::new(&rig, number);
        let keeper = restore.keeper();
        restore.prepare(&at).await;
        keeper.accept(&at, &restore.around()).await.unwrap();
        let Keeper::Plain(plain) = &keeper;
        plain.swap_until(&at, &restore.around(), cut).await;
        assert_eq!(keeper.probe_swap(restore.operation).await.unwrap(), Probe::Partial, "{cut}");
        keeper.swap_back(restore.operation).await.unwrap();
        assert_eq!(keeper.probe_swap(restore.operation).await.unwrap(), Probe::NotDone, "{cut}");
        assert_eq!(rig.count().await, 0, "{cut}");
        plain.swap_until(&at, &restore.around(), cut).await;
        let timeline = restore.swap(&at).await;
        assert_eq!(rig.count().await, 150, "{cut}");
        rig.archived().await;
        // Back to the disaster for the next round.
        let undo = Restore::new(&rig, 100 + number);
        plain.swap_until(&restore.kept(), &undo.around(), cut).await;
        keeper.swap_back(undo.operation).await.unwrap();
        assert_eq!(rig.count().await, 150, "{cut}");
        plain.swap_until(&restore.kept(), &undo.around(), cut).await;
        assert_eq!(undo.swap(&restore.kept()).await, timeline + 1, "{cut}");
        assert_eq!(rig.count().await, 0, "{cut}");
        rig.archived().await;
        keeper.tidy(nobody(), Timestamp::MAX, Timestamp::now()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_live_outlives_a_swap_that_came_neither_to_its_end_nor_back() {
    let Some(rig) = Rig::start().await else { return };
    let story = disaster(&rig).await;
    rig.orders(5).await;
    let at = copy(&story.base, 1, ReplayTarget::Time(story.hundred));
    let restore = Restore::new(&rig, 1);
    let keeper = restore.keeper();
    restore.prepare(&at).await;
    keeper.accept(&at, &restore.around()).await.unwrap();
    let Keeper::Plain(plain) = &keeper;
    // Under the copy's name, then under its own: neither an undo nor the next hourly tidying takes it away.
    plain.swap_until(&at, &restore.around(), "exchanged").await;
    keeper.discard(&at).await.unwrap_err();
    keeper.tidy(nobody(), Timestamp::MAX, Timestamp::now()).await.unwrap();
    keeper.swap_back(restore.operation).await.unwrap();
    plain.swap_until(&at, &restore.around(), "renamed").await;
    keeper.tidy(nobody(), Timestamp::MAX, Timestamp::UNIX_EPOCH).await.unwrap();
    keeper.swap_back(restore.operation).await.unwrap();
    assert_eq!(rig.count().await, 5);
    assert_eq!(restore.swap(&at).await, 2);

    // The way back from an undo dies behind its exchange: what the restore replaced is still there to go back to.
    rig.archived().await;
    let undo = Restore::new(&rig, 2);
    plain.swap_until(&restore.kept(), &undo.around(), "renamed").await;
    plain.swap_back_until_exchanged(undo.operation).await;
    keeper.swap_back(undo.operation).await.unwrap();
    assert_eq!(rig.count().await, 150);
    keeper.tidy(nobody(), Timestamp::now(), Timestamp::now()).await.unwrap();
    undo.swap(&restore.kept()).await;
    assert_eq!(rig.count().await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_does_not_come_up_leaves_the_live_database_as_it_was() {
    let Some(rig) = Rig::start().await else { return };
    let story = disaster(&rig).await;
    rig.orders(5).await;
    let at = copy(&story.base, 1, ReplayTarget::Time(story.hundred));
    let restore = Restore::new(&rig, 1);
    let keeper = restore.keeper();
    restore.prepare(&at).await;
    keeper.accept(&at, &restore.around()).await.unwrap();
    rig.spoil_copy();
    let error = keeper.swap(&at, restore.keep_until(), &restore.around()).await.unwrap_err();
    assert!(error.message.contains("the live one is back"), "{error}");
    assert_eq!(rig.count().await, 5);
    assert_eq!(keeper.probe_swap(restore.operation).await.unwrap(), Probe::NotDone);
    assert_eq!(keeper.health().await.unwrap().timeline, Some(1));
    keeper.discard(&at).await.unwrap();
    assert_eq!(rig.beside(), ["main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_live_database_is_restored_up_to_its_last_archived_commit() {
    let Some(rig) = Rig::start().await else { return };
    let story = disaster(&rig).await;
    rig.orders(9).await;
    let moment = rig.moment().await;
    rig.orders(1).await;
    rig.archived().await;
    rig.kill();
    let restore = Restore::new(&rig, 1);
    let keeper = restore.keeper();
    assert!(!keeper.health().await.unwrap().running);
    assert!(!keeper.marker().await.unwrap().committed);
    let info = crate::nodes::database_info::answer(&rig.node).await.unwrap();
    assert!(info.last_commit_at.unwrap() > moment);
    // Behind all that is archived: found as it is replayed, and named.
    let beyond = copy(&story.base, 1, ReplayTarget::Time(Timestamp::now()));
    keeper.restore_aside(&beyond, &restore.around()).await.unwrap();
    let error = keeper.replay(&beyond, None, &restore.around()).await.unwrap_err();
    assert!(error.message.contains("the archive ends before"), "{error}");
    let last = info.last_commit_at.unwrap();
    assert!(error.hints[0].ends_with(&format!("--to={last}")), "{:?}", error.hints);
    keeper.discard(&beyond).await.unwrap();
    let very_last = copy(&story.base, 1, ReplayTarget::Time(last));
    keeper.restore_aside(&very_last, &restore.around()).await.unwrap();
    keeper.replay(&very_last, None, &restore.around()).await.unwrap();
    let tables = keeper.look(&very_last, &restore.around()).await.unwrap();
    assert_eq!((tables[0].then, tables[0].now), (Some(10), None));
    keeper.rest(&very_last).await.unwrap();
    keeper.accept(&very_last, &restore.around()).await.unwrap();
    keeper.discard(&very_last).await.unwrap();
    let at = copy(&story.base, 1, ReplayTarget::Time(moment));
    keeper.restore_aside(&at, &restore.around()).await.unwrap();
    keeper.replay(&at, None, &restore.around()).await.unwrap();
    let tables = keeper.look(&at, &restore.around()).await.unwrap();
    assert_eq!((tables[0].then, tables[0].now), (Some(9), None));
    keeper.accept(&at, &restore.around()).await.unwrap();
    restore.swap(&at).await;
    assert_eq!(rig.count().await, 9);

    // And when nothing at all is left of it.
    rig.orders(2).await;
    let moment = rig.moment().await;
    rig.orders(1).await;
    rig.archived().await;
    rig.lose();
    assert_eq!(keeper.health().await.unwrap().timeline, None);
    let info = crate::nodes::database_info::answer(&rig.node).await.unwrap();
    assert_eq!((info.running, info.timeline, info.obstacles.len()), (false, None, 0));
    let again = Restore::new(&rig, 2);
    let at = copy(&story.base, 2, ReplayTarget::Time(moment));
    keeper.restore_aside(&at, &again.around()).await.unwrap();
    keeper.replay(&at, None, &again.around()).await.unwrap();
    keeper.accept(&at, &again.around()).await.unwrap();
    assert_eq!(again.swap(&at).await, 3);
    assert_eq!(rig.count().await, 11);
}
