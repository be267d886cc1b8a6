//! DNS as a receiver of our mail sees it: which hosts may send for a domain, and by which keys it is believed.

pub mod check;
pub mod lookup;
pub mod spf;

use std::collections::BTreeSet;

use orocloud_protocol::{MailAddress, MailDomain};

/// The domains that mail is sent from: those that the environment states, and those of the senders that its relays are
/// tried with. All as DNS has them; what cannot be in DNS is left out.
pub fn sender_domains<'a>(
    stated: &[MailDomain],
    senders: impl IntoIterator<Item = &'a MailAddress>,
) -> Vec<MailDomain> {
    let of_senders = senders.into_iter().filter_map(|sender| sender.as_str().rsplit_once('@'));
    let all = stated.iter().map(MailDomain::as_str).chain(of_senders.map(|(_, domain)| domain));
    let all: BTreeSet<MailDomain> = all
        .filter_map(|domain| idna::domain_to_ascii_strict(domain).ok())
        .filter_map(|ascii| ascii.to_ascii_lowercase().parse().ok())
        .collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_domains_are_those_that_are_stated_and_those_of_senders_each_once() {
        let stated: Vec<MailDomain> =
            vec!["Shop.example".parse().unwrap(), "bücher.example".parse().unwrap()];
        let senders: Vec<MailAddress> =
            vec!["a@shop.example".parse().unwrap(), "a@Other.example".parse().unwrap()];
        let found = sender_domains(&stated, &senders);
        let found: Vec<&str> = found.iter().map(MailDomain::as_str).collect();
        assert_eq!(found, ["other.example", "shop.example", "xn--bcher-kva.example"]);
    }
}
