//! The web nodes that are kept out of the load balancer: `state/withheld.json` on maint, which holds whatever the load
//! balancer forgets. A node is written down before the load balancer is told, and forgotten after it was let back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use orocloud_protocol::{CallError, CallId, NodeName};
use serde::{Deserialize, Serialize};

/// The newest format that this build reads.
const FORMAT: u32 = 1;

/// Why a node is kept out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withholding {
    /// Since when.
    pub since: Timestamp,
    /// The operation that left it behind; absent when the agent found it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<CallId>,
    /// What was wrong with it.
    pub why: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Content {
    format: u32,
    nodes: BTreeMap<NodeName, Withholding>,
    /// Nodes that are what they should be, and that a load balancer which was down may not send to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    late: BTreeMap<NodeName, Withholding>,
}

/// The nodes that are kept out.
#[derive(Clone, Debug)]
pub struct Withheld {
    file: PathBuf,
}

/// Only this process writes the file; two of its tasks at once would each write without what the other one adds.
static WRITING: Mutex<()> = Mutex::new(());

impl Withheld {
    /// By maint's `state` folder.
    pub fn new(state: &Path) -> Self {
        Self { file: state.join("withheld.json") }
    }

    /// All of them.
    pub fn all(&self) -> Result<BTreeMap<NodeName, Withholding>, CallError> {
        self.read().map(|content| content.nodes)
    }

    /// Nodes that are to get requests, and of which a load balancer was down when it was to be told so.
    pub fn late(&self) -> Result<BTreeMap<NodeName, Withholding>, CallError> {
        self.read().map(|content| content.late)
    }

    fn read(&self) -> Result<Content, CallError> {
        let cannot = |why: &dyn std::fmt::Display| {
            CallError::failed(format!("{} cannot be read", self.file.display())).because(why)
        };
        match orocloud_durable::read_json::<Content>(&self.file).map_err(|error| cannot(&error))? {
            Some(content) if content.format > FORMAT => {
                Err(cannot(&format!("format is {}, this agent reads {FORMAT}", content.format)))
            }
            Some(content) => Ok(content),
            None => Ok(Content { format: FORMAT, ..Content::default() }),
        }
    }

    /// Keeps a node out. One that is out already keeps its first reason, which is where the trouble began.
    pub fn add(&self, node: &NodeName, withholding: Withholding) -> Result<(), CallError> {
        self.change(|content| {
            content.nodes.entry(node.clone()).or_insert(withholding);
        })
    }

    /// Has a node let back as soon as its load balancers can be told.
    pub fn let_back_later(&self, node: &NodeName, why: Withholding) -> Result<(), CallError> {
        self.change(|content| {
            content.late.entry(node.clone()).or_insert(why);
        })
    }

    /// Forgets a node that was let back.
    pub fn remove(&self, node: &NodeName) -> Result<(), CallError> {
        self.change(|content| {
            content.nodes.remove(node);
            content.late.remove(node);
        })
    }

    fn change(&self, change: impl FnOnce(&mut Content)) -> Result<(), CallError> {
        let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.read()?;
        let mut content = before.clone();
        change(&mut content);
        if content == before {
            return Ok(());
        }
        orocloud_durable::write_json(&self.file, &content, 0o644).map_err(|error| {
            CallError::failed(format!("{} cannot be written", self.file.display())).because(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_kept_with_their_first_reason_until_they_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let withheld = Withheld::new(folder.path());
        let (web1, web2): (NodeName, NodeName) = ("web1".parse().unwrap(), "web2".parse().unwrap());
        let why = |why: &str| Withholding {
            since: "2026-11-24T10:32:00Z".parse().unwrap(),
            operation: None,
            why: why.to_owned(),
        };
        assert!(withheld.all().unwrap().is_empty());
        withheld.remove(&web1).unwrap();
        withheld.add(&web1, why("lost")).unwrap();
        withheld.add(&web1, why("lost again")).unwrap();
        withheld.add(&web2, why("lies")).unwrap();
        let again = Withheld::new(folder.path()).all().unwrap();
        assert_eq!(again, BTreeMap::from([(web1.clone(), why("lost")), (web2.clone(), why("lies"))]));
        withheld.remove(&web1).unwrap();
        assert_eq!(withheld.all().unwrap().into_keys().collect::<Vec<_>>(), std::slice::from_ref(&web2));
        withheld.let_back_later(&web1, why("nobody to tell")).unwrap();
        withheld.let_back_later(&web2, why("nobody to tell")).unwrap();
        withheld.remove(&web2).unwrap();
        assert!(withheld.all().unwrap().is_empty(), "who is only late is not kept out");
        assert_eq!(withheld.late().unwrap(), BTreeMap::from([(web1.clone(), why("nobody to tell"))]));
        std::fs::write(folder.path().join("withheld.json"), r#"{"format":2,"nodes":{}}"#).unwrap();
        assert!(withheld.all().unwrap_err().to_string().contains("format is 2"));
        assert!(withheld.add(&web1, why("lost")).is_err(), "what cannot be read is not written over");
    }
}
