//! The maintenance page as files: on maint the one that says what holds in the environment, on a web node the one that
//! nginx looks for. Both say who wants the page; it is up while anybody does.
//!
//! A person and an operation may change their own part at the same time (`emergency:on` while an upgrade runs), so
//! every change reads and writes under one lock of this process, which alone writes the file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::CallError;
use orocloud_protocol::maintenance::{MaintenancePage, PageOrder};
use serde::{Deserialize, Serialize};

use crate::environment::Web;

/// The newest format of the files that this build reads.
const FORMAT: u32 = 1;

/// Held from reading to writing.
static CHANGING: Mutex<()> = Mutex::new(());

#[derive(Deserialize, Serialize)]
struct Kept {
    format: u32,
    #[serde(flatten)]
    page: MaintenancePage,
}

/// One of the files.
#[derive(Clone, Debug)]
pub struct PageFile {
    path: PathBuf,
    /// That the file is there puts the page up, whatever it holds.
    switch: bool,
}

impl PageFile {
    /// What holds in the environment, remembered on maint.
    pub fn record(state: &Path) -> Self {
        Self { path: state.join("maintenance.json"), switch: false }
    }

    /// What a web node shows.
    pub fn of_node(web: &Web) -> Self {
        Self { path: web.maintenance_file.clone(), switch: true }
    }

    /// What it says. A file on a web node that is not ours was made by a person's hand.
    pub fn read(&self) -> Result<MaintenancePage, CallError> {
        match orocloud_durable::read_json::<Kept>(&self.path) {
            Ok(None) => Ok(MaintenancePage::default()),
            Ok(Some(kept)) if kept.format <= FORMAT && (!self.switch || kept.page.is_up()) => Ok(kept.page),
            Ok(Some(kept)) if !self.switch => Err(self
                .failed("read")
                .because(format!("format is {}, this agent reads {FORMAT}", kept.format))),
            Err(error) if !self.switch || error.kind() != io::ErrorKind::InvalidData => {
                Err(self.failed("read").because(error))
            }
            _ => Ok(MaintenancePage { ordered: Some(self.by_hand()), needed: None }),
        }
    }

    /// Changes it; gives what it said before.
    pub fn change(&self, change: impl FnOnce(&mut MaintenancePage)) -> Result<MaintenancePage, CallError> {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.read()?;
        let mut page = before.clone();
        change(&mut page);
        if page != before {
            self.write(page)?;
        }
        Ok(before)
    }

    fn write(&self, page: MaintenancePage) -> Result<(), CallError> {
        if page.is_up() {
            return orocloud_durable::write_json(&self.path, &Kept { format: FORMAT, page }, 0o644)
                .map_err(|error| self.failed("written").because(error));
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("removed").because(error))
            }
            _ => orocloud_durable::sync_parent(&self.path)
                .map_err(|error| self.failed("removed").because(error)),
        }
    }

    fn by_hand(&self) -> PageOrder {
        let since = std::fs::metadata(&self.path)
            .and_then(|found| found.modified())
            .ok()
            .and_then(|at| Timestamp::try_from(at).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH);
        PageOrder {
            by: "somebody by hand".to_owned(),
            operation: None,
            since,
            until: None,
            comment: None,
            emergency: true,
        }
    }

    fn failed(&self, verb: &str) -> CallError {
        CallError::failed(format!("the maintenance file {} cannot be {verb}", self.path.display()))
    }
}

/// So many seconds later.
pub fn until(since: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    since.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// Who wants the page, for a person: `by otto since …, until …: comment`.
pub fn words(page: &MaintenancePage) -> Option<String> {
    let comment =
        |comment: &Option<String>| comment.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    let until = |until: Option<Timestamp>| until.map(|at| format!(", until {at:.0}")).unwrap_or_default();
    let ordered = page.ordered.as_ref().map(|order| {
        let until = until(order.until);
        let kind = if order.emergency { " as an emergency" } else { "" };
        format!("by {}{kind} since {:.0}{until}{}", order.by, order.since, comment(&order.comment))
    });
    let needed = page.needed.as_ref().map(|need| {
        let until = until(need.until);
        format!("by operation {} since {:.0}{until}{}", need.operation, need.since, comment(&need.comment))
    });
    match (ordered, needed) {
        (Some(ordered), Some(needed)) => Some(format!("{ordered}; and {needed}")),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::CallId;
    use orocloud_protocol::maintenance::PageNeed;

    use super::*;

    fn file(folder: &tempfile::TempDir, switch: bool) -> PageFile {
        PageFile { path: folder.path().join("maintenance"), switch }
    }

    fn need() -> PageNeed {
        PageNeed {
            operation: CallId::from_parts(1_700_000_000_000, 1),
            since: Timestamp::UNIX_EPOCH,
            until: None,
            comment: Some("an upgrade".into()),
        }
    }

    fn order() -> PageOrder {
        PageOrder {
            by: "otto".into(),
            operation: None,
            since: Timestamp::UNIX_EPOCH,
            until: Some("1970-01-01T01:00:00Z".parse().unwrap()),
            comment: Some("new disks".into()),
            emergency: false,
        }
    }

    #[test]
    fn the_file_is_there_while_anybody_wants_the_page() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder, true);
        assert!(!file.change(|page| page.needed = Some(need())).unwrap().is_up());
        file.change(|page| page.ordered = Some(order())).unwrap();
        let before = file.change(|page| page.needed = None).unwrap();
        assert_eq!(before, MaintenancePage { ordered: Some(order()), needed: Some(need()) });
        assert!(file.path.exists());
        file.change(|page| page.ordered = None).unwrap();
        assert!(!file.path.exists());
        file.change(|page| page.ordered = None).unwrap();
    }

    #[test]
    fn a_file_made_by_hand_is_a_persons_page() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder, true);
        for content in ["", "half {", r#"{"format":1}"#, r#"{"format":9,"needed":null}"#] {
            std::fs::write(&file.path, content).unwrap();
            let page = file.read().unwrap();
            assert_eq!(page.ordered.unwrap().by, "somebody by hand", "{content:?}");
            // An operation leaves it there.
            file.change(|page| page.needed = Some(need())).unwrap();
            file.change(|page| page.needed = None).unwrap();
            assert!(file.path.exists(), "{content:?}");
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder, false);
        for content in ["half {", r#"{"format":9}"#] {
            std::fs::write(&file.path, content).unwrap();
            assert!(file.read().is_err(), "{content:?}");
        }
    }

    #[test]
    fn who_wants_the_page_is_told_in_words() {
        let page = |ordered, needed| words(&MaintenancePage { ordered, needed });
        assert_eq!(page(None, None), None);
        assert_eq!(
            page(Some(order()), None).unwrap(),
            "by otto since 1970-01-01T00:00:00Z, until 1970-01-01T01:00:00Z: new disks"
        );
        let emergency = PageOrder { until: None, comment: None, emergency: true, ..order() };
        let announced = PageNeed { until: Some(until(Timestamp::UNIX_EPOCH, 1800)), ..need() };
        let announced = page(None, Some(announced)).unwrap();
        assert!(announced.ends_with("T00:00:00Z, until 1970-01-01T00:30:00Z: an upgrade"), "{announced}");
        assert_eq!(until(Timestamp::UNIX_EPOCH, u64::MAX), Timestamp::MAX);
        let both = page(Some(emergency), Some(need())).unwrap();
        assert!(both.starts_with("by otto as an emergency since 1970"), "{both}");
        assert!(both.contains("; and by operation ") && both.ends_with(": an upgrade"), "{both}");
    }
}
