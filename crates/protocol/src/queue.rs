//! Queues of messages.

use serde::{Deserialize, Serialize};

use crate::{Call, Kind, Page, QueueName, Role};

/// The queues, with what is in them.
pub enum List {}

impl Call for List {
    const METHOD: &'static str = "queue.list";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = ListParams;
    type Answer = ListAnswer;
}

/// What `queue.list` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Only queues of this virtual host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<QueueName>,
    /// Only queues whose names contain this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Which part of the list.
    #[serde(default)]
    pub page: Page,
}

/// Queues by virtual host and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// Those of the page.
    pub items: Vec<QueueInfo>,
    /// How many there are.
    pub total: u64,
}

/// One queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueInfo {
    /// Its virtual host.
    pub vhost: String,
    /// Its name.
    pub name: String,
    /// Messages in it, those being worked on included.
    pub messages: u64,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Who takes from it.
    pub consumers: u64,
    /// Bytes of memory it takes.
    pub memory: u64,
}
