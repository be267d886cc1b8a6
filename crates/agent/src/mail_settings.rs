//! What is to hold about mail: the upstream relays and the rule for recipients, as one document on the mail node.

mod change;

#[cfg(test)]
pub use change::set as relay_change;

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::node::SigningKey;
use orocloud_protocol::smtp::{PutBack, Recipients, RelayInfo, RelayTls};
use orocloud_protocol::{
    CallError, EnvironmentType, ErrorKind, MailAddress, MailDomain, MailHost, MailUser, RelayName, Secret,
};
use serde::{Deserialize, Serialize};

/// The newest format of the document that this build reads.
pub const FORMAT: u32 = 1;

/// The document, secrets included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// Its format.
    pub format: u32,
    /// The relays, in no order.
    #[serde(default)]
    pub relays: Vec<Relay>,
    /// The only domains of recipients that are reached; absent without a whitelist.
    #[serde(default)]
    pub whitelist: Option<Vec<MailDomain>>,
    /// The keys that mail is signed with, one a sender domain; mail of others is not signed.
    #[serde(default)]
    pub signing: Vec<SigningKey>,
    /// Further ones, by `mail.whitelist` in the application's orocloud.yaml; absent without one there.
    #[serde(default)]
    pub application: Option<Vec<MailDomain>>,
    /// Whether that list is the first one, of a release that may still be undone: until that is settled mail to others waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_the_way: bool,
    /// Relays that are silent and come behind all others, whatever their priority; set by the agent of the mail node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<SilentRelay>,
    /// Relays that greet and then let messages wait; set by the agent of the mail node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stalled: Vec<StalledRelay>,
    /// Whether relays have all the time that Postfix gives by itself, since some are silent and none greets: what is only slow
    /// takes mail then; set by the agent of the mail node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub patient: bool,
}

/// A relay that lets whoever connects wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilentRelay {
    /// Which.
    pub name: RelayName,
    /// Since when.
    pub since: Timestamp,
    /// What was waited for in vain.
    pub why: String,
}

/// A relay that greets and then lets messages wait. It comes behind all others for a while, and then has its turn again: only
/// a message shows whether it takes any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StalledRelay {
    /// Which.
    pub name: RelayName,
    /// Since when it has let messages wait.
    pub since: Timestamp,
    /// What was last waited for.
    pub what: String,
    /// How long it comes behind all others, in seconds.
    pub pause: u32,
    /// When it was put back, or got its turn again.
    pub at: Timestamp,
    /// Whether it is put back.
    pub is_back: bool,
}

impl StalledRelay {
    /// When the pause is over.
    pub fn until(&self) -> Timestamp {
        let pause = SignedDuration::from_secs(i64::from(self.pause));
        self.at.checked_add(pause).unwrap_or(Timestamp::MAX)
    }
}

/// An upstream relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// Its name here.
    pub name: RelayName,
    /// Name or address of its host.
    pub host: MailHost,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: RelayTls,
    /// The only authorities that its certificate may come from, in PEM.
    pub ca: Option<String>,
    /// The least one is tried first.
    pub priority: u16,
    /// Whom to sign in as.
    pub user: Option<MailUser>,
    /// Their password.
    pub password: Option<Secret>,
    /// The sender that it is tried with.
    pub probe_from: Option<MailAddress>,
    /// The recipient that it is tried with.
    pub probe_to: Option<MailAddress>,
    /// Since when it counts that messages wait for it: what Postfix's log tells of earlier is about other settings. Absent
    /// until the agent of the mail node has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_since: Option<Timestamp>,
}

impl Default for Desired {
    fn default() -> Self {
        Self {
            format: FORMAT,
            relays: Vec::new(),
            whitelist: None,
            signing: Vec::new(),
            application: None,
            on_the_way: false,
            silent: Vec::new(),
            stalled: Vec::new(),
            patient: false,
        }
    }
}

impl Desired {
    /// The relays, the best one first.
    pub fn by_priority(&self) -> Vec<&Relay> {
        let mut relays: Vec<&Relay> = self.relays.iter().collect();
        relays.sort_by_key(|relay| (relay.priority, &relay.name));
        relays
    }

    /// The relays in the order in which mail tries them: those that let it wait come last.
    pub fn in_order(&self) -> Vec<&Relay> {
        let mut relays = self.by_priority();
        relays.sort_by_key(|relay| self.lets_wait(&relay.name));
        relays
    }

    /// Whether mail can go elsewhere when a relay lets it wait.
    pub fn has_another(&self) -> bool {
        self.relays.len() > 1 && !self.patient
    }

    fn lets_wait(&self, name: &RelayName) -> bool {
        self.silence_of(name).is_some() || self.stall_of(name).is_some()
    }

    fn silence_of(&self, name: &RelayName) -> Option<&SilentRelay> {
        self.silent.iter().find(|silent| silent.name == *name)
    }

    /// How a relay lets messages wait that comes behind all others for it.
    pub fn stall_of(&self, name: &RelayName) -> Option<&StalledRelay> {
        self.stalled.iter().find(|stalled| stalled.is_back && stalled.name == *name)
    }

    /// Why a relay comes behind one of less priority; `None` when it does not.
    fn put_back(&self, relay: &Relay) -> Option<PutBack> {
        let why = match (self.silence_of(&relay.name), self.stall_of(&relay.name)) {
            (Some(silent), _) => PutBack { since: silent.since, why: silent.why.clone(), not_before: None },
            (None, Some(stalled)) => PutBack {
                since: stalled.since,
                why: format!("timed out while {}", stalled.what),
                not_before: Some(stalled.until()),
            },
            (None, None) => return None,
        };
        let by_priority = self.by_priority();
        let mut behind = by_priority.iter().skip_while(|other| other.name != relay.name);
        // Where all that come behind it let mail wait too, it has kept its place.
        behind.any(|other| !self.lets_wait(&other.name)).then_some(why)
    }

    /// The relay of this name.
    pub fn relay(&self, name: &RelayName) -> Result<&Relay, CallError> {
        self.relays.iter().find(|relay| relay.name == *name).ok_or_else(|| no_relay(name))
    }

    /// The key that mail of a domain is signed with.
    pub fn signing_of(&self, domain: &MailDomain) -> Option<&SigningKey> {
        self.signing.iter().find(|key| key.domain == *domain)
    }

    /// The only domains of recipients that are reached, whoever named them; `None` without any whitelist.
    pub fn listed(&self) -> Option<Vec<MailDomain>> {
        if self.whitelist.is_none() && self.application.is_none() {
            return None;
        }
        let mut all: Vec<MailDomain> =
            [&self.whitelist, &self.application].into_iter().flatten().flatten().cloned().collect();
        all.sort();
        all.dedup();
        Some(all)
    }

    /// Which recipients are reached in an environment of this type.
    pub fn recipients(&self, kind: EnvironmentType) -> Recipients {
        let whitelist = self.listed();
        let all = whitelist.is_none() && kind == EnvironmentType::Prod;
        Recipients { whitelist, application: self.application.clone(), all, on_the_way: self.on_the_way }
    }

    /// The relays without their secrets, the best one first.
    pub fn infos(&self) -> Vec<RelayInfo> {
        let info = |relay: &Relay| RelayInfo { put_back: self.put_back(relay), ..relay.info() };
        self.by_priority().into_iter().map(info).collect()
    }
}

impl Relay {
    /// It without its secrets.
    pub fn info(&self) -> RelayInfo {
        RelayInfo {
            name: self.name.clone(),
            host: self.host.clone(),
            port: self.port,
            tls: self.tls,
            own_authority: self.ca.is_some(),
            priority: self.priority,
            user: self.user.clone(),
            last_taken: None,
            trouble: None,
            seen: None,
            put_back: None,
        }
    }
}

/// The error that there is no such relay.
pub fn no_relay(name: &RelayName) -> CallError {
    CallError::new(ErrorKind::NotFound, format!("there is no relay {name}"))
        .hint("see the relays: orocloud-cli smtp:show")
}

/// A domain as DNS has it, so that one is on the list once.
pub fn as_in_dns(domain: &MailDomain) -> Result<MailDomain, CallError> {
    idna::domain_to_ascii_strict(domain.as_str())
        .ok()
        .and_then(|ascii| ascii.parse().ok())
        .ok_or_else(|| CallError::refused(format!("{domain} cannot be a domain in DNS")))
}
