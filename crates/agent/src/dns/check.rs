//! The records that a sender domain must publish, compared with those that DNS has: pure, of what was looked up.
//!
//! What `rejects` means is written down for users in docs/cli.md: whoever changes the one changes the other.

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dmarc::{Dmarc, Policy};
use orocloud_protocol::smtp::dns::{DnsRecord, DnsRecordKind, DnsVerdict, KeyUse};
use orocloud_protocol::{DkimSelector, MailDomain, MailHost};

use super::lookup::NoAnswer;
use super::spf::{Outcome, Spent, Tree};

/// A relay, as a receiver of what it hands on sees it.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Its host, by name or address.
    pub host: MailHost,
    /// Where it is; empty for a name that DNS does not know.
    pub addresses: Vec<IpAddr>,
}

impl Sender {
    fn is_address(&self) -> bool {
        self.host.as_str().parse::<IpAddr>().is_ok()
    }

    /// The term that lets it send.
    fn term(&self) -> String {
        match self.host.as_str().parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => format!("ip4:{address}"),
            Ok(IpAddr::V6(address)) => format!("ip6:{address}"),
            Err(_) => format!("a:{}", self.host.as_str().to_ascii_lowercase()),
        }
    }

    /// Whether an included domain is the relay's own: where it sends from, who runs it knows best.
    fn is_of(&self, included: &str) -> bool {
        let own = included.trim_start_matches(|c| c != '.').trim_start_matches('.');
        let owner = if included.starts_with('_') { own } else { included };
        let host = self.host.as_str().to_ascii_lowercase();
        !self.is_address()
            && owner.contains('.')
            && (host == owner || host.strip_suffix(owner).is_some_and(|rest| rest.ends_with('.')))
    }
}

/// A record about a domain with nothing said yet.
fn blank(domain: &MailDomain, kind: DnsRecordKind, name: String) -> DnsRecord {
    DnsRecord {
        domain: domain.clone(),
        kind,
        name,
        expected: String::new(),
        found: Vec::new(),
        differs: Vec::new(),
        verdict: DnsVerdict::Good,
        notes: Vec::new(),
        key: None,
        rejects: false,
    }
}

/// SPF: the domain's record lets every relay send.
pub fn spf(domain: &MailDomain, tree: &Tree, spent: Spent, senders: &[Sender]) -> DnsRecord {
    let mut record = blank(domain, DnsRecordKind::Spf, domain.to_string());
    record.found = tree.texts.clone();
    let mut missing = Vec::new();
    let mut undecided = Vec::new();
    let included = tree.included();
    for sender in senders {
        let host = &sender.host;
        if included.iter().any(|included| sender.is_of(included)) {
            continue;
        }
        if sender.addresses.is_empty() {
            record.notes.push(format!("DNS has no address of relay {host}"));
            missing.push(sender.term());
            continue;
        }
        for address in &sender.addresses {
            let judgement = tree.judge(*address);
            let verb = match judgement.outcome {
                Outcome::Pass => continue,
                Outcome::Undecided(term) => {
                    let note =
                        format!("whether {host} may send depends on the message: {term} is not evaluated");
                    undecided.push(note);
                    continue;
                }
                Outcome::PermError(why) => {
                    record.rejects = true;
                    record.notes.push(format!("a receiver of mail from {host} gives up: {why}"));
                    continue;
                }
                Outcome::TempError(_) => continue,
                Outcome::Fail => "forbids",
                Outcome::SoftFail => "doubts",
                Outcome::Neutral | Outcome::None => "does not say",
            };
            record.rejects |= judgement.outcome == Outcome::Fail;
            if let Some(by) = judgement.by {
                record.notes.push(format!("{by} {verb} that {host} sends"));
                if judgement.outcome == Outcome::Fail && !record.differs.contains(&by) {
                    record.differs.push(by);
                }
            }
            let term = sender.term();
            if !missing.contains(&term) {
                missing.push(term);
            }
        }
    }
    record.expected = match &tree.texts[..] {
        [one] if is_readable(tree) => with_terms(one, &missing),
        _ => {
            let terms: Vec<String> = senders.iter().map(Sender::term).collect();
            format!("v=spf1 {} ~all", terms.join(" "))
        }
    };
    record.verdict = match () {
        () if tree.no_answer().is_some() => DnsVerdict::NoAnswer,
        () if tree.is_missing() => DnsVerdict::Missing,
        () if tree.is_several() => DnsVerdict::Several,
        () if spent.is_too_much().is_some() => DnsVerdict::TooManyLookups,
        () if !tree.faults().is_empty() || !missing.is_empty() => DnsVerdict::Wrong,
        () if !undecided.is_empty() => DnsVerdict::Undecided,
        () => DnsVerdict::Good,
    };
    if let Some(why) = spent.is_too_much() {
        record.notes.push(format!(
            "the whole of it needs {} look-ups, {} of which find nothing: {why}",
            spent.lookups, spent.void
        ));
    }
    for (by, why) in tree.faults() {
        record.notes.push(why);
        record.differs.extend(by.filter(|by| !record.differs.contains(by)));
    }
    record.notes.append(&mut undecided);
    record.notes.dedup();
    record
}

fn is_readable(tree: &Tree) -> bool {
    !tree.faults().iter().any(|(by, _)| by.is_none())
}

/// A record with further terms, which come first: what decides first decides.
fn with_terms(text: &str, terms: &[String]) -> String {
    let mut words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    words.splice(1..1, terms.iter().map(String::as_str));
    words.join(" ")
}

/// A key that signatures are made with, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it is found by.
    pub selector: DkimSelector,
    /// The public key in DER and base64.
    pub public: String,
    /// What it is to the signer.
    pub use_: Use,
}

/// What a key is to the signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Signatures are made with it.
    Signing,
    /// They will be, once DNS has it.
    Next,
    /// They were, and those on their way are verified with it.
    Former {
        /// Until when.
        until: Timestamp,
    },
}

/// Where the record of a key stands.
pub fn key_name(selector: &DkimSelector, domain: &MailDomain) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// DKIM: DNS has the key.
pub fn dkim(domain: &MailDomain, key: &Key, answer: &Result<Vec<String>, NoAnswer>) -> DnsRecord {
    let mut record = blank(domain, DnsRecordKind::Dkim, key_name(&key.selector, domain));
    record.key = Some(match key.use_ {
        Use::Signing => KeyUse::Signing,
        Use::Next => KeyUse::Next,
        Use::Former { .. } => KeyUse::Former,
    });
    record.expected = format!("v=DKIM1; k=rsa; p={}", key.public);
    let texts = match answer {
        Ok(texts) => texts.clone(),
        Err(why) => {
            record.verdict = DnsVerdict::NoAnswer;
            record.notes.push(why.to_string());
            return record;
        }
    };
    record.found = texts;
    match &record.found[..] {
        [] => record.verdict = DnsVerdict::Missing,
        [one] => {
            let found = tags(one);
            let is_rsa = found.iter().all(|(name, value)| name != "k" || value == "rsa");
            let key_is_it = is_rsa && found.iter().any(|(name, value)| name == "p" && *value == key.public);
            match DomainKey::parse(one.as_bytes()) {
                Ok(_) if key_is_it => {
                    // Receivers take a key only for what it says it is for.
                    let is_for_mail =
                        |value: &str| value.split(':').any(|part| part == "email" || part == "*");
                    let is_new_hash = |value: &str| value.split(':').any(|part| part == "sha256");
                    for (name, value) in &found {
                        let is_good = match name.as_str() {
                            "s" => is_for_mail(value),
                            "h" => is_new_hash(value),
                            _ => true,
                        };
                        if !is_good {
                            record.verdict = DnsVerdict::Wrong;
                            record.differs.push(format!("{name}={value}"));
                            record
                                .notes
                                .push(format!("{name}={value} keeps the key from being used for this mail"));
                        }
                        if name == "t" && value.split(':').any(|part| part == "y") {
                            record.notes.push("t=y: receivers take the signature for a test".to_owned());
                        }
                    }
                }
                parsed => {
                    record.verdict = DnsVerdict::Wrong;
                    record.differs = found
                        .iter()
                        .filter(|(name, value)| match name.as_str() {
                            "v" => value != "DKIM1",
                            "k" => value != "rsa",
                            _ => name == "p",
                        })
                        .map(|(name, value)| format!("{name}={value}"))
                        .collect();
                    record.notes.push(match parsed {
                        Ok(_) => "it is another key than the one that signs".to_owned(),
                        Err(error) => format!("it is no key: {error}"),
                    });
                }
            }
        }
        several => {
            record.verdict = DnsVerdict::Several;
            record.notes.push(format!(
                "there are {} records, and which one counts is anybody's guess",
                several.len()
            ));
        }
    }
    match (key.use_, record.verdict) {
        (Use::Signing, DnsVerdict::Good) => {}
        (Use::Signing, _) => {
            record.rejects = true;
            record.notes.push("mail is signed with this key: its signature is good for nothing".to_owned());
        }
        (Use::Next, DnsVerdict::Good) => record.notes.push("signatures are made with it soon".to_owned()),
        (Use::Next, _) => record.notes.push("signatures are made with it once DNS has it".to_owned()),
        (Use::Former { until }, _) => {
            let day = until.to_zoned(TimeZone::UTC).date();
            record.notes.push(format!("mail on its way was signed with it: leave it there until {day}"));
        }
    }
    record
}

/// `NAME=VALUE; …`; blanks within a value mean nothing, nor does the case of a name.
fn tags(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(';').filter_map(|part| part.split_once('='));
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    pairs.map(|(name, value)| (plain(name), plain(value))).collect()
}

/// What DNS has of DMARC about a domain: its own records, or those of the nearest domain above that has any.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Whose: a domain, or one above it.
    pub domain: String,
    /// All that call themselves such.
    pub texts: Vec<String>,
}

/// Whether a text in DNS means to be a DMARC record.
pub fn is_policy(text: &str) -> bool {
    let (version, _) = text.split_once(';').unwrap_or((text, ""));
    tags(version).first().is_some_and(|(name, value)| name == "v" && value == "DMARC1")
}

/// DMARC: there is a policy, and mail of the relays fulfils it: by SPF, or by its signature.
pub fn dmarc(
    domain: &MailDomain,
    answer: &Result<Option<Policies>, NoAnswer>,
    passes_spf: bool,
    is_signed: bool,
) -> DnsRecord {
    let mut record = blank(domain, DnsRecordKind::Dmarc, format!("_dmarc.{domain}"));
    record.expected = "v=DMARC1; p=none".to_owned();
    let found = match answer {
        Ok(found) => found,
        Err(why) => {
            record.verdict = DnsVerdict::NoAnswer;
            record.notes.push(why.to_string());
            return record;
        }
    };
    let Some(found) = found else {
        record.verdict = DnsVerdict::Missing;
        record.notes.push("some receivers want one of whoever sends much".to_owned());
        return record;
    };
    record.found = found.texts.clone();
    let is_own = found.domain == domain.as_str();
    if !is_own {
        record.notes.push(format!("it is that of {}", found.domain));
    }
    let text = match &found.texts[..] {
        [one] => one,
        several => {
            // Receivers go on as though there were none (RFC 7489, 6.6.3).
            record.verdict = DnsVerdict::Several;
            record.notes.push(format!("there are {} records, so none of them counts", several.len()));
            return record;
        }
    };
    let policy = match Dmarc::parse(text.as_bytes()) {
        Ok(policy) if policy.p != Policy::Unspecified => policy,
        Ok(_) => {
            record.verdict = DnsVerdict::Wrong;
            record.notes.push("it has no p=, so it asks for nothing".to_owned());
            return record;
        }
        Err(error) => {
            record.verdict = DnsVerdict::Wrong;
            record.notes.push(format!("it is no DMARC record: {error}"));
            return record;
        }
    };
    record.expected.clone_from(text);
    let (tag, asked) = if is_own { ("p", policy.p) } else { ("sp", policy.sp) };
    let word = match asked {
        Policy::Reject => "refuse",
        Policy::Quarantine => "put aside",
        Policy::None | Policy::Unspecified => return record,
    };
    if !passes_spf && !is_signed {
        record.rejects = true;
        record.verdict = DnsVerdict::Wrong;
        let all = tags(text);
        // Without `sp` it is `p` that counts for a sub-domain too.
        let tag = if all.iter().any(|(name, _)| name == tag) { tag } else { "p" };
        let marked = all.into_iter().filter(|(name, _)| name == tag);
        record.differs = marked.map(|(name, value)| format!("{name}={value}")).collect();
        record.notes.push(format!(
            "it asks receivers to {word} mail that neither SPF nor a signature vouches for, as is so for all of it"
        ));
    }
    record
}

#[cfg(test)]
mod tests;
