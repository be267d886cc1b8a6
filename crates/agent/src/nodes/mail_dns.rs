//! `node.mail-dns`: what the sender domains must publish for this mail node, and what DNS says today.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::node::{MailDnsAnswer, SigningKey};
use orocloud_protocol::smtp::dns::{DnsAnswer, DnsRecord, DnsVerdict};
use orocloud_protocol::{CallError, MailDomain};

use super::mail::{Configurations, section};
use super::{NodeRef, signing};
use crate::dns::check::{self, Key, Policies, Sender, Use};
use crate::dns::lookup::{Lookup, NameServer, NoAnswer};
use crate::dns::spf;
use crate::mail_settings::{Desired, Relay};
use crate::service_manager::Activity;

/// How long whoever starts services may take to say whether what signs runs.
const LIMIT: Duration = Duration::from_secs(3);

/// Domains that mail is sent from by what is to hold.
pub fn sender_domains(node: &NodeRef, desired: &Desired) -> Vec<MailDomain> {
    let senders = desired.relays.iter().filter_map(|relay| relay.probe_from.as_ref());
    crate::dns::sender_domains(&node.config.environment.mail.sender_domains, senders)
}

/// `node.mail-dns`
pub async fn look(node: &NodeRef) -> Result<MailDnsAnswer, CallError> {
    let postfix = section(node)?;
    let desired = Configurations::new(postfix).desired()?;
    let domains = sender_domains(node, &desired);
    let server = NameServer::new(postfix.name_server)?;
    let senders = senders(&server, &desired.by_priority()).await;
    let is_signing = signs(node).await;
    let mut items: Vec<DnsRecord> = Vec::new();
    let mut ready = Vec::new();
    for domain in &domains {
        let keys = match &node.config.signer {
            Some(signer) => signing::keys(node, signer, domain, desired.signing_of(domain)).await?,
            None => Vec::new(),
        };
        let found = about(&server, domain, &senders, &keys, is_signing).await;
        // The newest of them, should there be several.
        let waits = |key: &&Key| key.use_ == Use::Next && has(&found, domain, key);
        ready.extend(keys.iter().rfind(waits).map(|key| SigningKey {
            domain: domain.clone(),
            selector: key.selector.clone(),
            since: Timestamp::now(),
        }));
        items.extend(found);
    }
    if !items.is_empty() && items.iter().all(|record| record.verdict == DnsVerdict::NoAnswer) {
        let why = items.iter().flat_map(|record| &record.notes).next().cloned().unwrap_or_default();
        return Err(CallError::failed(format!("the name server {} does not answer", server.named()))
            .because(why)
            .hint("it is `name_server` in [postfix] of agent.toml on the mail node, else the system's"));
    }
    let dns = DnsAnswer { items, name_server: server.named().to_owned(), asked_at: Timestamp::now() };
    Ok(MailDnsAnswer { dns, ready })
}

/// Why mail leaves unsigned that is to be signed; `None` where all is well.
pub async fn unsigned(node: &NodeRef) -> Option<String> {
    let (postfix, signer) = (section(node).ok()?, node.config.signer.as_ref()?);
    let desired = Configurations::new(postfix).desired().ok()?;
    if desired.signing.is_empty() || signs(node).await {
        return None;
    }
    let domains: Vec<&str> = desired.signing.iter().map(|key| key.domain.as_str()).collect();
    Some(format!(
        "{} does not run, so mail of {} leaves unsigned until the administrators of {} start it",
        signer.service,
        domains.join(", "),
        node.config.node
    ))
}

/// Whether what signs runs.
async fn signs(node: &NodeRef) -> bool {
    let Some(signer) = &node.config.signer else { return false };
    let state = tokio::time::timeout(LIMIT, node.services.state(&signer.service)).await;
    state.is_ok_and(|state| state.is_ok_and(|state| state.activity == Activity::Running))
}

/// Whether DNS has a key.
fn has(found: &[DnsRecord], domain: &MailDomain, key: &Key) -> bool {
    let name = check::key_name(&key.selector, domain);
    found.iter().any(|record| record.name == name && record.verdict == DnsVerdict::Good)
}

/// The relays, with where they are.
async fn senders<L: Lookup>(dns: &L, relays: &[&Relay]) -> Vec<Sender> {
    let mut senders: Vec<Sender> = Vec::new();
    for relay in relays {
        if senders.iter().any(|sender| sender.host == relay.host) {
            continue;
        }
        let addresses = match relay.host.as_str().parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => dns.addresses(relay.host.as_str()).await.unwrap_or_default(),
        };
        senders.push(Sender { host: relay.host.clone(), addresses });
    }
    senders
}

/// The records of one domain.
async fn about<L: Lookup>(
    dns: &L,
    domain: &MailDomain,
    senders: &[Sender],
    keys: &[Key],
    signer_runs: bool,
) -> Vec<DnsRecord> {
    let mut items = Vec::new();
    if !senders.is_empty() {
        let (tree, spent) = spf::read(dns, domain.as_str()).await;
        let mut record = check::spf(domain, &tree, spent, senders);
        record.notes.extend(tree.no_answer().map(ToString::to_string));
        record.notes.dedup();
        items.push(record);
    }
    let passes_spf = items.iter().any(|record| record.verdict == DnsVerdict::Good);
    let mut is_signed = false;
    for key in keys {
        let answer = dns.texts(&check::key_name(&key.selector, domain)).await;
        let mut record = check::dkim(domain, key, &answer);
        if key.use_ == Use::Signing && !signer_runs {
            record
                .notes
                .push("what signs does not run, so mail leaves unsigned: orocloud-cli status".to_owned());
        }
        is_signed |= signer_runs && key.use_ == Use::Signing && record.verdict == DnsVerdict::Good;
        items.push(record);
    }
    let policies = policies(dns, domain).await;
    items.push(check::dmarc(domain, &policies, passes_spf, is_signed));
    items
}

/// The DMARC records of a domain, or of the nearest one above it that has any: where an organisation's domain begins,
/// receivers find out in the same way.
async fn policies<L: Lookup>(dns: &L, domain: &MailDomain) -> Result<Option<Policies>, NoAnswer> {
    let mut domain = domain.as_str();
    loop {
        let mut texts = dns.texts(&format!("_dmarc.{domain}")).await?;
        texts.retain(|text| check::is_policy(text));
        if !texts.is_empty() {
            return Ok(Some(Policies { domain: domain.to_owned(), texts }));
        }
        match domain.split_once('.') {
            Some((_, above)) if above.contains('.') => domain = above,
            _ => return Ok(None),
        }
    }
}
