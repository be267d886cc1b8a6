//! Maintenance mode: the page that a person orders, with or without the services, and the one that an operation needs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Call, CallId, Kind, Label, Lock, NodeName, OperationOptions, Resource, Role};

/// Puts up the maintenance page on every web node and stops the services.
pub enum On {}

impl Call for On {
    const METHOD: &'static str = "maintenance.on";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Operator;
    type Params = OnParams;
    type Answer = ModeAnswer;

    fn locks(_: &OnParams) -> Vec<Lock> {
        // Whoever changes the code stops and starts the same services.
        vec![Lock::shared(Resource::Code), Lock::exclusive(Resource::Page)]
    }
}

/// What `maintenance.on` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnParams {
    /// How long it is going to last, in seconds. The page does not go by itself; it is what people are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// Why; needed with a duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Label>,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// Takes the page down on every web node and starts the services that ran.
pub enum Off {}

impl Call for Off {
    const METHOD: &'static str = "maintenance.off";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Operator;
    type Params = OffParams;
    type Answer = ModeAnswer;

    fn locks(_: &OffParams) -> Vec<Lock> {
        vec![Lock::shared(Resource::Code), Lock::exclusive(Resource::Page)]
    }
}

/// What `maintenance.off` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffParams {
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// Puts up the page alone: nothing else is touched, and nothing but another such order is in its way.
pub enum EmergencyOn {}

impl Call for EmergencyOn {
    const METHOD: &'static str = "emergency.on";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Operator;
    type Params = OnParams;
    type Answer = ModeAnswer;

    fn locks(_: &OnParams) -> Vec<Lock> {
        vec![Lock::exclusive(Resource::Page)]
    }
}

/// Takes the page alone down.
pub enum EmergencyOff {}

impl Call for EmergencyOff {
    const METHOD: &'static str = "emergency.off";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Operator;
    type Params = EmergencyOffParams;
    type Answer = ModeAnswer;

    fn locks(_: &EmergencyOffParams) -> Vec<Lock> {
        vec![Lock::exclusive(Resource::Page)]
    }
}

/// What `emergency.off` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyOffParams {
    /// Also the page that an operation has put up which still runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// Whether the page is up, who wants it, and whether every web node shows what holds.
pub enum Status {}

impl Call for Status {
    const METHOD: &'static str = "maintenance.status";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = StatusParams;
    type Answer = StatusAnswer;
}

/// `maintenance.status` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusParams {}

/// Who wants the page to be up. It is up while anybody does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenancePage {
    /// A person: operations leave this alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<PageOrder>,
    /// An operation that needs it, or one that failed and left it up because the shop may not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<PageNeed>,
}

impl MaintenancePage {
    /// Whether the page is up.
    pub fn is_up(&self) -> bool {
        self.ordered.is_some() || self.needed.is_some()
    }
}

/// The page as a person ordered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageOrder {
    /// Key id of their certificate, or `local:ACCOUNT`.
    pub by: String,
    /// The operation they ordered it by; absent when the file was made by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<CallId>,
    /// When.
    pub since: Timestamp,
    /// How long it is going to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the page alone was ordered, so that the services went on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
}

/// The page as an operation needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageNeed {
    /// The operation.
    pub operation: CallId,
    /// Since when.
    pub since: Timestamp,
    /// Until when it was announced to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What is done meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What holds after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeAnswer {
    /// Whether the page is up.
    pub on: bool,
    /// Who wants it.
    #[serde(flatten)]
    pub page: MaintenancePage,
    /// Web nodes that were told.
    pub nodes: Vec<NodeName>,
}

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// Whether the page is to be up.
    pub on: bool,
    /// Who wants it.
    #[serde(flatten)]
    pub page: MaintenancePage,
    /// Every web node.
    pub nodes: Vec<NodePage>,
}

/// The page on one web node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePage {
    /// The node.
    pub node: NodeName,
    /// Whether it is up there; absent when the node did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
}
