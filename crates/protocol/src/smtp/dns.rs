//! What DNS has to say about sender domains, and what it says.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ChangedAnswer;
use crate::{Call, Kind, Lock, MailDomain, OperationOptions, Resource, Role};

/// Which records each sender domain must publish, and what DNS answers today.
pub enum Dns {}

impl Call for Dns {
    const METHOD: &'static str = "smtp.dns";
    const KIND: Kind = Kind::Query;
    const ROLE: Role = Role::Viewer;
    type Params = DnsParams;
    type Answer = DnsAnswer;
}

/// `smtp.dns` takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsParams {}

/// Has mail signed with the keys that DNS shows by now. The agent does so by itself.
pub enum Sign {}

impl Call for Sign {
    const METHOD: &'static str = "smtp.sign";
    const KIND: Kind = Kind::Operation;
    const ROLE: Role = Role::Operator;
    type Params = SignParams;
    type Answer = ChangedAnswer;

    fn locks(_: &SignParams) -> Vec<Lock> {
        vec![Lock::exclusive(Resource::Mail)]
    }
}

/// `smtp.sign` takes what every operation takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignParams {
    /// What every operation takes.
    #[serde(default)]
    pub options: OperationOptions,
}

/// The records of all sender domains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// Domain by domain; of each SPF, then DKIM, then DMARC.
    pub items: Vec<DnsRecord>,
    /// Who was asked, `ADDRESS:PORT`.
    pub name_server: String,
    /// When.
    pub asked_at: Timestamp,
}

impl DnsAnswer {
    /// Whether mail of any domain would be rejected.
    pub fn rejects(&self) -> bool {
        self.items.iter().any(|record| record.rejects)
    }
}

/// A record that a sender domain must publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// The sender domain, as DNS has it.
    pub domain: MailDomain,
    /// What it is for.
    pub kind: DnsRecordKind,
    /// The name that it stands at, without a final dot.
    pub name: String,
    /// What must be there.
    pub expected: String,
    /// What is there.
    pub found: Vec<String>,
    /// Terms of what is there that are other than expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// What comes of the comparison.
    pub verdict: DnsVerdict,
    /// What is wrong, or worth knowing, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Of DKIM: what the key is to the signer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyUse>,
    /// Whether mail of this domain would be rejected for it.
    pub rejects: bool,
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsRecordKind {
    /// Which hosts may send for the domain (RFC 7208).
    Spf,
    /// The public key that signatures of the domain are verified with (RFC 6376).
    Dkim,
    /// What becomes of mail that is neither (RFC 7489).
    Dmarc,
    /// A kind of a newer agent.
    #[serde(other)]
    Unknown,
}

impl DnsRecordKind {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spf => "SPF",
            Self::Dkim => "DKIM",
            Self::Dmarc => "DMARC",
            Self::Unknown => "unknown",
        }
    }
}

/// What a key is to the signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUse {
    /// Signatures are made with it.
    Signing,
    /// They will be, once DNS has it.
    Next,
    /// They were.
    Former,
    /// A use of a newer agent.
    #[serde(other)]
    Unknown,
}

/// What comes of comparing what is expected with what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsVerdict {
    /// It is as it must be.
    Good,
    /// There is none.
    Missing,
    /// It says something else.
    Wrong,
    /// There are several where only one may be.
    Several,
    /// It needs more look-ups than anybody makes.
    TooManyLookups,
    /// What decides is known only when a message is there.
    Undecided,
    /// DNS does not tell.
    NoAnswer,
    /// A verdict of a newer agent.
    #[serde(other)]
    Unknown,
}

impl DnsVerdict {
    /// The words in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Several => "several",
            Self::TooManyLookups => "too many look-ups",
            Self::Undecided => "undecided",
            Self::NoAnswer => "no answer",
            Self::Unknown => "unknown",
        }
    }
}
