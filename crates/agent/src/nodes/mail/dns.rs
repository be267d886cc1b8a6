//! `node.mail-dns`: what the sender domains must publish for this mail node, and what DNS says today.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use orocloud_protocol::node::{MailDnsAnswer, SigningKey};
use orocloud_protocol::smtp::dns::{DnsAnswer, DnsRecord, DnsVerdict};
use orocloud_protocol::{CallError, MailDomain};

use super::signing;
use super::{Configurations, section};
use crate::dns::check::{self, Key, Policies, Sender, Use};
use crate::dns::lookup::{Lookup, NameServer, NoAnswer};
use crate::dns::spf;
use crate::mail_settings::{Desired, Relay};
use crate::nodes::NodeRef;
use crate::service_manager::{Activity, ServiceState};

/// How long whoever starts services may take to say whether what signs runs.
const LIMIT: Duration = Duration::from_secs(3);

/// So many domains are asked about at once.
const AT_ONCE: usize = 4;

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
    let runs = signer_runs(node).await;
    let asking =
        domains.iter().map(|domain| of_domain(node, &server, &desired, domain, &senders, runs)).collect();
    let mut items: Vec<DnsRecord> = Vec::new();
    let mut ready = Vec::new();
    for found in side_by_side(asking).await {
        let (found, next) = found?;
        items.extend(found);
        ready.extend(next);
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

/// The records of one domain, and its key that may sign by now.
async fn of_domain(
    node: &NodeRef,
    server: &NameServer,
    desired: &Desired,
    domain: &MailDomain,
    senders: &[Sender],
    signer: Runs,
) -> Result<(Vec<DnsRecord>, Option<SigningKey>), CallError> {
    let keys = match &node.config.signer {
        Some(signer) => signing::keys(node, signer, domain, desired.signing_of(domain)).await?,
        None => Vec::new(),
    };
    let found = about(server, domain, senders, &keys, signer).await;
    // The newest of them, should there be several.
    let waits = |key: &&Key| key.use_ == Use::Next && has(&found, domain, key);
    let ready = keys.iter().rfind(waits).map(|key| SigningKey {
        domain: domain.clone(),
        selector: key.selector.clone(),
        since: Timestamp::now(),
    });
    Ok((found, ready))
}

/// Why mail leaves unsigned that is to be signed; `None` where all is well.
pub async fn unsigned(node: &NodeRef) -> Option<String> {
    let (postfix, signer) = (section(node).ok()?, node.config.signer.as_ref()?);
    let desired = Configurations::new(postfix).desired().ok()?;
    if desired.signing.is_empty() {
        return None;
    }
    let domains: Vec<&str> = desired.signing.iter().map(|key| key.domain.as_str()).collect();
    let (service, domains, node_name) = (&signer.service, domains.join(", "), &node.config.node);
    match signer_runs(node).await {
        Runs::Yes => None,
        Runs::No => Some(format!(
            "{service} does not run, so mail of {domains} leaves unsigned until the administrators of {node_name} start it"
        )),
        Runs::Unknown => Some(format!(
            "whether {service} runs on {node_name} is not known, so mail of {domains} may leave unsigned"
        )),
    }
}

/// Whether what signs runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    Yes,
    No,
    /// Whoever starts services does not say.
    Unknown,
}

async fn signer_runs(node: &NodeRef) -> Runs {
    let Some(signer) = &node.config.signer else { return Runs::No };
    runs(LIMIT, node.services.state(&signer.service)).await
}

/// By a state that is asked for, and how long for.
async fn runs(limit: Duration, state: impl Future<Output = Result<ServiceState, CallError>>) -> Runs {
    match tokio::time::timeout(limit, state).await {
        Ok(Ok(state)) if state.activity == Activity::Running => Runs::Yes,
        Ok(Ok(_)) => Runs::No,
        Ok(Err(_)) | Err(_) => Runs::Unknown,
    }
}

/// Some at once; what comes of them is in their order.
async fn side_by_side<F: Future>(all: Vec<F>) -> Vec<F::Output> {
    stream::iter(all).buffered(AT_ONCE).collect().await
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
    signer: Runs,
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
        if key.use_ == Use::Signing {
            let note = match signer {
                Runs::Yes => None,
                Runs::No => Some("what signs does not run, so mail leaves unsigned: orocloud-cli status"),
                Runs::Unknown => Some(
                    "whether what signs runs is not known, so mail may leave unsigned: orocloud-cli status",
                ),
            };
            record.notes.extend(note.map(str::to_owned));
            // Of what is not known nobody says that mail would be rejected for it.
            is_signed |= signer != Runs::No && record.verdict == DnsVerdict::Good;
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use orocloud_protocol::smtp::dns::DnsRecordKind;

    use super::*;
    use crate::dns::lookup::Table;

    #[tokio::test(start_paused = true)]
    async fn whether_the_signer_runs_is_not_known_where_nobody_says() {
        let state = |activity| ServiceState { name: "opendkim".into(), activity, pid: None, detail: None };
        for (activity, expected) in [
            (Activity::Running, Runs::Yes),
            (Activity::Starting, Runs::No),
            (Activity::Stopped, Runs::No),
            (Activity::Failed, Runs::No),
        ] {
            assert_eq!(runs(LIMIT, async { Ok(state(activity)) }).await, expected, "{activity:?}");
        }
        assert_eq!(runs(LIMIT, async { Err(CallError::failed("no such service")) }).await, Runs::Unknown);
        assert_eq!(runs(LIMIT, std::future::pending()).await, Runs::Unknown);
    }

    #[tokio::test]
    async fn mail_counts_as_unsigned_only_where_the_signer_is_known_not_to_run() {
        let public = include_str!("../../dns/check/public.txt").trim();
        let table = Table::new(&format!(
            "s1._domainkey.shop.example TXT v=DKIM1; k=rsa; p={public}\n_dmarc.shop.example TXT v=DMARC1; p=reject"
        ));
        let domain: MailDomain = "shop.example".parse().unwrap();
        let key = Key { selector: "s1".parse().unwrap(), public: public.to_owned(), use_: Use::Signing };
        for (signer, note, rejects) in [
            (Runs::Yes, "", false),
            (Runs::No, "does not run, so mail leaves unsigned", true),
            (Runs::Unknown, "is not known, so mail may leave unsigned", false),
        ] {
            let found = about(&table, &domain, &[], std::slice::from_ref(&key), signer).await;
            let of = |kind| found.iter().find(|record| record.kind == kind).unwrap();
            assert!(of(DnsRecordKind::Dkim).notes.concat().contains(note), "{signer:?}: {found:#?}");
            assert_eq!(of(DnsRecordKind::Dkim).notes.is_empty(), note.is_empty(), "{signer:?}: {found:#?}");
            assert_eq!(of(DnsRecordKind::Dmarc).rejects, rejects, "{signer:?}: {found:#?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn some_are_done_at_once_and_come_in_their_order() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (now, most) = (&now, &most);
        let all = (0..10).map(|number| async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            // The first takes longest.
            tokio::time::sleep(Duration::from_secs(20 - number)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            number
        });
        let done = side_by_side(all.collect()).await;
        assert_eq!((done, most.load(Ordering::Relaxed)), ((0..10).collect(), AT_ONCE));
    }
}
