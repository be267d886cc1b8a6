//! How long operations of a kind took lately, and their steps, as their journals tell.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::node::Phase;
use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::{NodeName, Page};
use serde::Deserialize;

use super::Operations;
use super::journal::{Mark, StepLine};
use super::plan::Executor;
use crate::rules::usual::usual;

/// Among so many pages of operations those of the kind are looked for: many a kind is rare, and a backup is made every
/// hour.
const PAGES: u32 = 10;

/// Operations on a page.
const PER_PAGE: u32 = 100;

/// So many of them are taken.
const TAKEN: usize = 5;

/// A step, by its name and its node.
pub type StepOn = (String, NodeName);

impl<E: Executor> Operations<E> {
    /// How long each step usually takes in operations of this method. A journal that cannot be read tells nothing.
    pub fn usual(&self, method: &str) -> BTreeMap<StepOn, Duration> {
        let alike = self.alike(method);
        usual(alike.iter().filter_map(|one| taken(&self.shelf.folder(one.id)).ok()).flatten())
    }

    /// How long an operation of this method usually takes as a whole.
    pub fn usual_length(&self, method: &str) -> Option<Duration> {
        let lengths = self.alike(method).into_iter().filter_map(|one| {
            let took = one.ended_at?.duration_since(one.started_at);
            Some(((), Duration::try_from(took).unwrap_or_default()))
        });
        usual(lengths).remove(&())
    }

    /// The last ones of this method that succeeded.
    fn alike(&self, method: &str) -> Vec<OperationSummary> {
        let mut alike = Vec::new();
        for page in 1..=PAGES {
            let Ok((operations, _)) = self.page(Page { page, per_page: PER_PAGE }) else { break };
            let last = operations.len() < PER_PAGE as usize;
            alike.extend(
                operations
                    .into_iter()
                    .filter(|one| one.method == method && one.state == OperationState::Succeeded),
            );
            if last || alike.len() >= TAKEN {
                break;
            }
        }
        alike.truncate(TAKEN);
        alike
    }
}

/// How long each step took that was done at the first attempt.
fn taken(folder: &Path) -> io::Result<Vec<(StepOn, Duration)>> {
    #[derive(Deserialize)]
    struct Record {
        plan: Plan,
    }
    #[derive(Deserialize)]
    struct Plan {
        groups: Vec<Vec<Step>>,
    }
    #[derive(Deserialize)]
    struct Step {
        name: String,
        node: NodeName,
    }
    let record: Record = serde_json::from_slice(&fs::read(folder.join("operation.json"))?)?;
    let mut begun: BTreeMap<(usize, usize), Timestamp> = BTreeMap::new();
    let mut taken = Vec::new();
    for line in fs::read_to_string(folder.join("steps.ndjson"))?.lines() {
        let StepLine { at, phase, mark, when } = serde_json::from_str(line)?;
        match (phase, mark) {
            (Phase::Act, Mark::Intent(_)) => drop(begun.insert(at, when)),
            (Phase::Act, Mark::Done(_)) => {
                let step = record.plan.groups.get(at.0).and_then(|group| group.get(at.1));
                if let (Some(step), Some(begun)) = (step, begun.remove(&at)) {
                    let took = Duration::try_from(when.duration_since(begun)).unwrap_or_default();
                    taken.push(((step.name.clone(), step.node.clone()), took));
                }
            }
            _ => drop(begun.remove(&at)),
        }
    }
    Ok(taken)
}
