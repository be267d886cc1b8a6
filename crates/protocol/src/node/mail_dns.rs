//! What a mail node finds in DNS, and the keys that it signs with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::smtp::dns::DnsAnswer;
use crate::{Call, DkimSelector, Kind, MailDomain, Role};

/// What the sender domains must publish for this mail node, and what DNS answers it. Keys that are missing are made.
pub enum MailDns {}

impl Call for MailDns {
    const METHOD: &'static str = "node.mail-dns";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Owner;
    type Params = MailDnsParams;
    type Answer = MailDnsAnswer;
}

/// `node.mail-dns` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailDnsParams {}

/// What the node found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailDnsAnswer {
    /// The records.
    pub dns: DnsAnswer,
    /// Keys that waited for DNS to have them, and need not wait any longer.
    #[serde(default)]
    pub ready: Vec<SigningKey>,
}

/// The key that mail of a domain is signed with on a mail node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// The sender domain, as DNS has it.
    pub domain: MailDomain,
    /// What the key is found by.
    pub selector: DkimSelector,
    /// Since when.
    pub since: Timestamp,
}
