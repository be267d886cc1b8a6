//! Orders to the top process of a sandbox, and what it tells about its nodes.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::supervisor::exchange;

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// What to do.
    #[serde(rename = "do")]
    pub action: Action,
    /// To which node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Bring a node up, or undo whatever was done to it.
    Start,
    /// SIGKILL to everything of a node; its ports refuse.
    Kill,
    /// SIGSTOP to everything of a node; its ports accept, nothing answers.
    Freeze,
    /// No byte passes a node's ports.
    Cut,
    /// How every node is.
    Status,
    /// End the sandbox; answered by the end of the connection.
    Down,
}

/// The answer to an order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// Whether it was done.
    pub ok: bool,
    /// Every node, for `status`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeStatus>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Report {
    /// It was done.
    pub fn done() -> Self {
        Self { ok: true, ..Self::default() }
    }

    /// It was not done.
    pub fn refused(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }
}

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Short name.
    pub name: String,
    /// `up`, `starting`, `frozen`, `killed` or `failed`.
    pub state: String,
    /// Whether its ports are cut off.
    pub cut: bool,
    /// Why it failed.
    pub detail: Option<String>,
}

/// Gives an order and waits until it has been carried out.
pub fn order(layout: &Layout, action: Action, node: Option<&str>) -> Result<Vec<NodeStatus>> {
    let order = Order { action, node: node.map(str::to_owned) };
    let report: Report = exchange(&layout.control_socket(), &order)?;
    if report.ok {
        return Ok(report.nodes);
    }
    Err(Error::new(report.error.unwrap_or_else(|| "the sandbox refused without a reason".to_owned())))
}

/// Ends the sandbox and returns when nothing of it runs any more.
pub fn end(layout: &Layout) -> Result<()> {
    // The connection ends with the top process, which comes last.
    let _ = order(layout, Action::Down, None);
    match order(layout, Action::Status, None) {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::new(format!("the sandbox in {} did not end", layout.root.display()))),
    }
}
