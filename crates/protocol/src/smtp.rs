//! The SMTP relay: the upstream servers that mail leaves by, which recipients may be reached, and what waits.

pub mod dns;
mod past;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Call, CallError, Kind, Lock, MailAddress, MailDomain, MailHost, MailUser, NodeName, OperationOptions,
    RelayName, Resource, Role, Secret,
};

pub use past::{Counts, History, HistoryAnswer, HistoryParams, MailStatus, Outcomes, PastMessage};

/// How a connection to a relay is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayTls {
    /// Begins in the clear and goes on with TLS, or not at all.
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all.
    None,
}

impl RelayTls {
    /// The word in commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starttls => "starttls",
            Self::Implicit => "implicit",
            Self::None => "none",
        }
    }

    /// The port that belongs to it.
    pub const fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

/// The relays and the rule for recipients.
pub enum Show {}

impl Call for Show {
    const METHOD: &'static str = "smtp.show";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = ShowParams;
    type Answer = ShowAnswer;
}

/// `smtp.show` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShowParams {}

/// What holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowAnswer {
    /// The best one first.
    pub relays: Vec<RelayInfo>,
    /// Which recipients are reached.
    pub recipients: Recipients,
    /// Domains that mail is sent from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sender_domains: Vec<MailDomain>,
    /// Why mail leaves unsigned that is to be signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<String>,
    /// Messages that wait; absent when Postfix does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// What became of messages lately, as Postfix's log tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Mail nodes that did not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<NodeName>,
}

/// Which recipients are reached; mail to others is dropped, or waits while that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipients {
    /// The only domains, sub-domains included; absent without a whitelist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whitelist: Option<Vec<MailDomain>>,
    /// Those of them that `mail.whitelist` in the application's orocloud.yaml names; absent without one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Vec<MailDomain>>,
    /// Whether all are: there is no whitelist, and it is an environment of type `prod`.
    pub all: bool,
    /// Whether the whitelist is the first one, of a release on its way that may still be undone: mail to others waits until
    /// the operation has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_the_way: bool,
}

impl Recipients {
    /// What waits while there is no relay; mail to anybody else is dropped all the same.
    pub fn mail_that_waits(&self) -> Option<&'static str> {
        match &self.whitelist {
            None if self.all => Some("mail"),
            Some(list) if !list.is_empty() => Some("mail to domains of the whitelist"),
            _ => None,
        }
    }
}

/// One relay, without its password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayInfo {
    /// Its name here.
    pub name: RelayName,
    /// Name or address of its host.
    pub host: MailHost,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: RelayTls,
    /// Whether its certificate has to come from an authority of its own, instead of those that everybody believes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_authority: bool,
    /// The least one is tried first.
    pub priority: u16,
    /// Whom Postfix signs in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<MailUser>,
    /// When it last took a message, as far as Postfix's logs tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_taken: Option<Timestamp>,
    /// What last went wrong with it since, in its own words or Postfix's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What the mail node saw when it last looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<RelaySeen>,
    /// It let mail wait, so mail goes by others first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back: Option<PutBack>,
}

/// A look at a relay: a connection, its greeting, and goodbye.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelaySeen {
    /// How it is.
    pub state: RelayState,
    /// When that was.
    pub at: Timestamp,
    /// Its greeting, or what went wrong.
    pub said: String,
}

/// How a relay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayState {
    /// It greets.
    Answers,
    /// It lets whoever connects wait.
    Silent,
    /// It says at once that it takes nothing, or nobody is there: the next one is asked without delay.
    Away,
    /// Its name has no address at the moment, or a state of a newer agent.
    #[serde(other)]
    Unknown,
}

impl RelayState {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Silent => "silent",
            Self::Away => "away",
            Self::Unknown => "unknown",
        }
    }
}

/// Why mail goes by others first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// Since when it lets mail wait.
    pub since: Timestamp,
    /// What was waited for in vain.
    pub why: String,
    /// Of one that greets and then lets messages wait: when it gets its turn again at the soonest. Absent of one that is
    /// silent, which gets it when it greets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

/// Adds a relay, or changes one. It is tried first, stage by stage.
pub enum RelaySet {}

impl Call for RelaySet {
    const METHOD: &'static str = "smtp.relay-set";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Operator;
    type Params = RelaySetParams;
    type Answer = RelaySetAnswer;

    fn locks(_: &RelaySetParams) -> Vec<Lock> {
        vec![Lock::exclusive(Resource::Mail)]
    }
}

/// What `smtp.relay-set` takes. Of a relay that is there, what is left out stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelaySetParams {
    /// Its name here.
    pub name: RelayName,
    /// Name or address of its host; a new one needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<MailHost>,
    /// Its port; of a new one by default the one that belongs to `tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How the connection is kept secret; of a new one by default STARTTLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RelayTls>,
    /// The only authorities that its certificate may come from, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The least one is tried first; of a new one by default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// Whom to sign in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<MailUser>,
    /// Their password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The sender that it is tried with; without one it is tried no further than signing in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_from: Option<MailAddress>,
    /// The recipient that it is tried with; nothing is sent to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_to: Option<MailAddress>,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// A relay that mail may go to now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelaySetAnswer {
    /// As it is now.
    pub relay: RelayInfo,
    /// What it was tried with, in the order in which it happened.
    pub stages: Vec<TriedStage>,
}

/// One stage of a conversation with a relay, which went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedStage {
    /// Which.
    pub stage: Stage,
    /// What was seen, in the relay's own words where it has any.
    pub said: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The stages of a conversation with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its name gets an address.
    Dns,
    /// It takes a connection.
    Tcp,
    /// It says what it is.
    Greeting,
    /// The connection becomes secret, and the certificate is that of the host.
    Tls,
    /// It takes user and password.
    Auth,
    /// It takes the sender.
    Mail,
    /// It takes the recipient.
    Rcpt,
    /// A stage of a newer agent.
    #[serde(other)]
    Unknown,
}

impl Stage {
    /// The word in messages and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Greeting => "greeting",
            Self::Tls => "TLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Unknown => "unknown",
        }
    }
}

/// Removes a relay.
pub enum RelayRemove {}

impl Call for RelayRemove {
    const METHOD: &'static str = "smtp.relay-remove";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Operator;
    type Params = RelayRemoveParams;
    type Answer = ChangedAnswer;

    fn locks(_: &RelayRemoveParams) -> Vec<Lock> {
        vec![Lock::exclusive(Resource::Mail)]
    }
}

/// What `smtp.relay-remove` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayRemoveParams {
    /// Which.
    pub name: RelayName,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// What holds after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedAnswer {
    /// The relays that are left, the best one first.
    pub relays: Vec<RelayInfo>,
    /// Which recipients are reached.
    pub recipients: Recipients,
}

/// Changes which recipients are reached.
pub enum Whitelist {}

impl Call for Whitelist {
    const METHOD: &'static str = "smtp.whitelist";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Operator;
    type Params = WhitelistParams;
    type Answer = ChangedAnswer;

    /// What is followed is what is served, which must not change meanwhile.
    fn locks(params: &WhitelistParams) -> Vec<Lock> {
        let mut locks = vec![Lock::exclusive(Resource::Mail)];
        if params.change == WhitelistChange::Follow {
            locks.push(Lock::shared(Resource::Code));
        }
        locks
    }
}

/// What `smtp.whitelist` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhitelistParams {
    /// What becomes of it.
    pub change: WhitelistChange,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// What becomes of the whitelist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum WhitelistChange {
    /// These domains are on it too.
    Add(Vec<MailDomain>),
    /// These domains are on it no more; without any left, nobody is reached.
    Remove(Vec<MailDomain>),
    /// There is none, but for what the application's orocloud.yaml says.
    Clear,
    /// What `mail.whitelist` in the orocloud.yaml of the served release says holds too. The agent does this by itself.
    Follow,
}

/// Sends one message from each web node and follows them to the relays that take them, or tries one relay stage by stage.
pub enum Test {}

impl Call for Test {
    const METHOD: &'static str = "smtp.test";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Developer;
    type Params = TestParams;
    type Answer = TestAnswer;

    fn locks(_: &TestParams) -> Vec<Lock> {
        vec![Lock::shared(Resource::Mail)]
    }
}

/// What `smtp.test` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestParams {
    /// Who gets the messages; with `relay` nothing is sent to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<MailAddress>,
    /// The sender; by default the one that the best relay, or this one, was tried with when it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MailAddress>,
    /// Only try this relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayName>,
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestAnswer {
    /// One message from each web node, in the order of the nodes. Where one was not taken the call fails, and these are
    /// the details of its error.
    Sent(Vec<SentMessage>),
    /// The stages, which all went well.
    Tried(Vec<TriedStage>),
}

/// One message of a test, from the web node that sent it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentMessage {
    /// The web node.
    pub node: NodeName,
    /// Who took it; absent when nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Why nobody took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<CallError>,
}

/// A message that an upstream has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The mail node that it went by.
    pub mail_node: NodeName,
    /// Postfix's id of the message.
    pub queue_id: String,
    /// Who took it, as Postfix names it: `HOST[ADDRESS]:PORT`.
    pub relay: String,
    /// Its last answer.
    pub said: String,
    /// How long it took from the web node to the relay, in milliseconds.
    pub took_ms: u64,
    /// The same, hop by hop.
    pub hops: Hops,
}

/// How long each part of a message's way took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hops {
    /// From the web node to the mail node.
    pub submitted_ms: u64,
    /// In Postfix's queue, until it turned to a relay.
    pub queued_ms: u64,
    /// Until a relay had answered and its connection was ready, relays that did not answer included.
    pub connected_ms: u64,
    /// Until the relay had taken it.
    pub sent_ms: u64,
}

impl Hops {
    /// All together.
    pub const fn total_ms(self) -> u64 {
        self.submitted_ms + self.queued_ms + self.connected_ms + self.sent_ms
    }
}

/// What waits, and why.
pub enum Queue {}

impl Call for Queue {
    const METHOD: &'static str = "smtp.queue";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = QueueParams;
    type Answer = QueueAnswer;
}

/// What `smtp.queue` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueParams {
    /// Which part of the list.
    #[serde(default)]
    pub page: crate::Page,
}

/// Messages that wait, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueAnswer {
    /// Those of the page.
    pub items: Vec<QueuedMessage>,
    /// How many there are.
    pub total: u64,
    /// Mail nodes that did not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<NodeName>,
}

/// A message for one recipient that it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedMessage {
    /// Postfix's id of the message.
    pub queue_id: String,
    /// Where it waits: `active` is being sent, `deferred` is tried again later.
    pub queue: String,
    /// Since when.
    pub since: Timestamp,
    /// Its size in bytes.
    pub size: u64,
    /// Who sends it.
    pub from: String,
    /// Who is to get it.
    pub to: String,
    /// Why it waits; absent before the first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
