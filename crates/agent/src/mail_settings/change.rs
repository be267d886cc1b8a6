//! What a change makes of what is to hold about mail, or why that cannot be.

use orocloud_protocol::node::{MailChange, RelayChange};
use orocloud_protocol::smtp::{RelayTls, WhitelistChange};
use orocloud_protocol::{CallError, ErrorKind, Secret};

use super::{Desired, Relay, as_in_dns};
use crate::engines::relay;

/// The least priority is tried first; of a relay that was given none.
const PRIORITY: u16 = 10;

/// No authority is longer, in bytes.
const LONGEST_AUTHORITY: usize = 256 * 1024;

impl Desired {
    /// The same document with a change, or why that cannot be.
    pub fn with(&self, change: &MailChange) -> Result<Self, CallError> {
        let mut desired = self.clone();
        match change {
            MailChange::SetRelay(change) => {
                // It is tried before it holds.
                desired.silent.retain(|silent| silent.name != change.name);
                desired.stalled.retain(|stalled| stalled.name != change.name);
                let before = desired.relays.iter().position(|relay| relay.name == change.name);
                let relay = match before {
                    Some(at) => changed(desired.relays.swap_remove(at), change)?,
                    None => new_relay(change)?,
                };
                desired.relays.push(relay);
                desired.check()?;
            }
            MailChange::RemoveRelay { name } => {
                desired.relay(name)?;
                desired.relays.retain(|relay| relay.name != *name);
                desired.silent.retain(|silent| silent.name != *name);
                desired.stalled.retain(|stalled| stalled.name != *name);
            }
            MailChange::Whitelist(WhitelistChange::Add(domains)) => {
                let list = desired.whitelist.get_or_insert_default();
                for domain in domains {
                    list.push(as_in_dns(domain)?);
                }
                list.sort();
                list.dedup();
            }
            MailChange::Whitelist(WhitelistChange::Remove(domains)) => {
                let application = desired.application.clone().unwrap_or_default();
                let mut none = Vec::new();
                let list = match &mut desired.whitelist {
                    None if application.is_empty() => {
                        return Err(CallError::new(ErrorKind::NotFound, "there is no whitelist")
                            .hint("see what holds: orocloud-cli smtp:whitelist show"));
                    }
                    None => &mut none,
                    Some(list) => list,
                };
                for domain in domains {
                    let domain = as_in_dns(domain)?;
                    if application.contains(&domain) {
                        return Err(CallError::refused(format!(
                            "{domain} stands in mail.whitelist of the application's orocloud.yaml"
                        ))
                        .hint("take it out there and bring that version: orocloud-cli upgrade:source"));
                    }
                    let at = list.iter().position(|listed| *listed == domain).ok_or_else(|| {
                        CallError::new(ErrorKind::NotFound, format!("{domain} is not on the whitelist"))
                            .hint("see what is: orocloud-cli smtp:whitelist show")
                    })?;
                    list.remove(at);
                }
            }
            MailChange::Whitelist(WhitelistChange::Clear) => desired.whitelist = None,
            MailChange::Whitelist(WhitelistChange::Follow) => {
                return Err(CallError::internal("what is to be followed is not said"));
            }
            MailChange::Sign(keys) => {
                desired.signing.retain(|old| keys.iter().all(|new| new.domain != old.domain));
                desired.signing.extend(keys.iter().cloned());
                desired.signing.sort_by(|one, other| one.domain.cmp(&other.domain));
            }
        }
        Ok(desired)
    }

    /// What relays may not be beside each other.
    fn check(&self) -> Result<(), CallError> {
        for (at, relay) in self.relays.iter().enumerate() {
            relay.check()?;
            let same = |other: &&Relay| (&other.host, other.port) == (&relay.host, relay.port);
            if let Some(other) = self.relays[..at].iter().find(same) {
                return Err(CallError::refused(format!(
                    "the relays {} and {} are the same server, {}:{}",
                    other.name, relay.name, relay.host, relay.port
                )));
            }
        }
        let implicit = |relay: &&Relay| relay.tls == RelayTls::Implicit;
        match (self.relays.iter().find(implicit), self.relays.iter().find(|relay| !implicit(relay))) {
            // Postfix has one setting for all of them (smtp_tls_wrappermode).
            (Some(one), Some(other)) => Err(CallError::refused(format!(
                "{} begins with TLS and {} does not: Postfix cannot send to both",
                one.name, other.name
            ))
            .hint("most servers that take implicit TLS on port 465 take STARTTLS on port 587 too")),
            _ => Ok(()),
        }
    }
}

impl Relay {
    fn check(&self) -> Result<(), CallError> {
        let refused = |what: &str| Err(CallError::refused(format!("relay {}: {what}", self.name)));
        match (&self.user, &self.password) {
            (Some(_), None) => return refused("a user needs a password (--password-stdin)"),
            (None, Some(_)) => return refused("a password needs a user (--user)"),
            (Some(_), Some(_)) if self.tls == RelayTls::None => {
                return refused("without TLS the password would travel for all to read");
            }
            _ => {}
        }
        if let Some(password) = self.password.as_ref().map(Secret::expose)
            && (password.is_empty()
                || password.len() > 1000
                || password.trim_end() != password
                || password.chars().any(char::is_control))
        {
            return refused(
                "Postfix takes no password that is empty, ends with a blank, or has control characters",
            );
        }
        if let Some(ca) = &self.ca {
            if self.tls == RelayTls::None {
                return refused("an authority is of no use without TLS");
            }
            if ca.contains("PRIVATE KEY") {
                return refused("the file of authorities holds a private key, which nobody may have");
            }
            if ca.len() > LONGEST_AUTHORITY || !relay::is_readable(ca) {
                return refused("the file of authorities holds no certificate in PEM");
            }
        }
        Ok(())
    }
}

fn new_relay(change: &RelayChange) -> Result<Relay, CallError> {
    let host = change.host.clone().ok_or_else(|| {
        CallError::refused(format!("there is no relay {} yet, and a new one needs a host", change.name))
            .hint(format!("orocloud-cli smtp:relay:set {} --host=smtp.example.com", change.name))
    })?;
    let tls = change.tls.unwrap_or(RelayTls::Starttls);
    Ok(Relay {
        name: change.name.clone(),
        host,
        port: change.port.unwrap_or(tls.port()),
        tls,
        ca: change.ca.clone(),
        priority: change.priority.unwrap_or(PRIORITY),
        user: change.user.clone(),
        password: change.password.clone(),
        probe_from: change.probe_from.clone(),
        probe_to: change.probe_to.clone(),
        counted_since: None,
    })
}

fn changed(before: Relay, change: &RelayChange) -> Result<Relay, CallError> {
    let relay = Relay {
        name: before.name.clone(),
        host: change.host.clone().unwrap_or_else(|| before.host.clone()),
        port: change.port.unwrap_or(before.port),
        tls: change.tls.unwrap_or(before.tls),
        ca: change.ca.clone().or_else(|| before.ca.clone()),
        priority: change.priority.unwrap_or(before.priority),
        user: change.user.clone().or_else(|| before.user.clone()),
        password: change.password.clone().or_else(|| before.password.clone()),
        probe_from: change.probe_from.clone().or_else(|| before.probe_from.clone()),
        probe_to: change.probe_to.clone().or_else(|| before.probe_to.clone()),
        counted_since: None,
    };
    // Else whoever may set a relay could have its password sent to themselves.
    let told_to =
        |relay: &Relay| (relay.host.clone(), relay.port, relay.tls, relay.ca.clone(), relay.user.clone());
    if before.password.is_some() && change.password.is_none() && told_to(&before) != told_to(&relay) {
        return Err(CallError::refused(format!(
            "the password of relay {} was meant for another server, authority or user",
            before.name
        ))
        .hint("give it again: --password-stdin"));
    }
    Ok(relay)
}

/// A change of a relay that leaves all out, for a test to say more.
#[cfg(test)]
pub fn set(name: &str) -> RelayChange {
    RelayChange {
        name: name.parse().unwrap(),
        host: None,
        port: None,
        tls: None,
        ca: None,
        priority: None,
        user: None,
        password: None,
        probe_from: None,
        probe_to: None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use orocloud_protocol::{EnvironmentType, MailDomain};

    use super::super::SilentRelay;
    use super::*;

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::new(text.to_owned()))
    }

    fn first() -> Desired {
        let change = RelayChange {
            host: Some("smtp.example.com".parse().unwrap()),
            user: Some("apikey".parse().unwrap()),
            password: secret("hunter2"),
            ..set("main")
        };
        Desired::default().with(&MailChange::SetRelay(change)).unwrap()
    }

    #[test]
    fn what_is_left_out_stays_and_a_password_goes_nowhere_else() {
        let desired = first();
        let relay = &desired.relays[0];
        assert_eq!((relay.port, relay.tls, relay.priority), (587, RelayTls::Starttls, 10));
        let change = RelayChange { priority: Some(5), ..set("main") };
        let again = desired.with(&MailChange::SetRelay(change)).unwrap();
        assert_eq!((again.relays[0].priority, &again.relays[0].password), (5, &relay.password));
        for change in [
            RelayChange { host: Some("evil.example".parse().unwrap()), ..set("main") },
            RelayChange { port: Some(2525), ..set("main") },
            RelayChange { user: Some("eve".parse().unwrap()), ..set("main") },
            RelayChange { tls: Some(RelayTls::Implicit), ..set("main") },
        ] {
            let error = desired.with(&MailChange::SetRelay(change.clone())).unwrap_err();
            assert!(error.message.contains("was meant for another"), "{error}");
            let given = RelayChange { password: secret("x"), ..change };
            desired.with(&MailChange::SetRelay(given)).unwrap();
        }
    }

    #[test]
    fn silent_relays_come_last_and_only_those_that_others_precede_are_put_back() {
        let mut desired = Desired::default();
        for (name, priority) in [("a", 10), ("b", 20), ("c", 30)] {
            let host = Some(format!("{name}.example").parse().unwrap());
            let change = RelayChange { host, priority: Some(priority), ..set(name) };
            desired = desired.with(&MailChange::SetRelay(change)).unwrap();
        }
        for (silent, order, put_back) in [
            ("", "abc", ""),
            ("a", "bca", "a"),
            ("b", "acb", "b"),
            ("c", "abc", ""),
            ("ab", "cab", "ab"),
            ("bc", "abc", ""),
            ("ac", "bac", "a"),
            ("abc", "abc", ""),
        ] {
            desired.silent = silent
                .chars()
                .map(|name| SilentRelay {
                    name: name.to_string().parse().unwrap(),
                    since: Timestamp::UNIX_EPOCH,
                    why: "no greeting".into(),
                })
                .collect();
            let names: String = desired.in_order().iter().map(|relay| relay.name.as_str()).collect();
            let shown = desired.infos();
            let back: String = shown
                .iter()
                .filter(|relay| relay.put_back.is_some())
                .map(|relay| relay.name.as_str())
                .collect();
            assert_eq!((names.as_str(), back.as_str()), (order, put_back), "{silent}");
            assert!(shown.iter().map(|relay| relay.name.as_str()).eq(["a", "b", "c"]));
        }
        // Whoever sets a silent relay, or removes it, has looked at it.
        let again =
            desired.with(&MailChange::SetRelay(RelayChange { priority: Some(5), ..set("a") })).unwrap();
        let gone = again.with(&MailChange::RemoveRelay { name: "b".parse().unwrap() }).unwrap();
        let silent: String = gone.silent.iter().map(|silent| silent.name.as_str()).collect();
        assert_eq!(silent, "c");
    }

    #[test]
    fn relays_that_cannot_be_are_named() {
        let host = || Some("b.example".parse().unwrap());
        let user = || Some("u".parse().unwrap());
        for (change, expected) in [
            (set("new"), "needs a host"),
            (RelayChange { host: host(), user: user(), ..set("new") }, "needs a password"),
            (RelayChange { host: host(), password: secret("x"), ..set("new") }, "needs a user"),
            (
                RelayChange {
                    host: host(),
                    user: user(),
                    password: secret("x"),
                    tls: Some(RelayTls::None),
                    ..set("new")
                },
                "for all to read",
            ),
            (
                RelayChange { host: host(), user: user(), password: secret("x "), ..set("new") },
                "no password that",
            ),
            (
                RelayChange { host: host(), user: user(), password: secret("x\ny"), ..set("new") },
                "no password that",
            ),
            (RelayChange { host: host(), ca: Some("nonsense".into()), ..set("new") }, "no certificate"),
            (
                RelayChange { host: Some("smtp.example.com".parse().unwrap()), ..set("new") },
                "the same server",
            ),
            (
                RelayChange { host: host(), tls: Some(RelayTls::Implicit), ..set("new") },
                "cannot send to both",
            ),
        ] {
            let error = first().with(&MailChange::SetRelay(change)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused);
            assert!(error.message.contains(expected) && !error.to_string().contains("hunter2"), "{error}");
        }
        let remove = |name: &str| MailChange::RemoveRelay { name: name.parse().unwrap() };
        assert_eq!(first().with(&remove("other")).unwrap_err().kind, ErrorKind::NotFound);
        assert!(first().with(&remove("main")).unwrap().relays.is_empty());
    }

    #[test]
    fn a_whitelist_has_each_domain_once_and_an_empty_one_is_not_none() {
        let domains =
            |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<MailDomain>>();
        let with = |desired: &Desired, change| desired.with(&MailChange::Whitelist(change));
        let none = Desired::default();
        assert!(with(&none, WhitelistChange::Remove(domains(&["a.example"]))).is_err());
        let add = WhitelistChange::Add(domains(&["Bücher.example", "a.example", "xn--bcher-kva.example"]));
        let two = with(&none, add).unwrap();
        assert_eq!(two.whitelist, Some(domains(&["a.example", "xn--bcher-kva.example"])));
        let removed = with(&two, WhitelistChange::Remove(domains(&["bücher.example", "A.example"]))).unwrap();
        assert_eq!(removed.whitelist, Some(Vec::new()));
        assert!(!removed.recipients(EnvironmentType::Prod).all, "nobody is reached");
        let cleared = with(&removed, WhitelistChange::Clear).unwrap();
        assert!(cleared.recipients(EnvironmentType::Prod).all);
        assert!(!cleared.recipients(EnvironmentType::Stag).all);
        assert!(with(&none, WhitelistChange::Add(domains(&["xn--a.example"]))).is_err());
    }

    #[test]
    fn the_lists_of_a_person_and_of_the_application_hold_together() {
        let domains =
            |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<MailDomain>>();
        let with = |desired: &Desired, change| desired.with(&MailChange::Whitelist(change));
        let follow = |desired: &Desired, list: Option<&[&str]>| Desired {
            application: list.map(domains),
            ..desired.clone()
        };
        let typed = with(&Desired::default(), WhitelistChange::Add(domains(&["b.example"]))).unwrap();
        let both = follow(&typed, Some(&["a.example", "b.example"]));
        assert_eq!(both.listed(), Some(domains(&["a.example", "b.example"])));
        for domain in ["a.example", "B.example"] {
            let error = with(&both, WhitelistChange::Remove(domains(&[domain]))).unwrap_err();
            assert!(error.message.contains("orocloud.yaml"), "{error}");
        }
        let cleared = with(&both, WhitelistChange::Clear).unwrap();
        assert_eq!(cleared.listed(), Some(domains(&["a.example", "b.example"])));
        let nobody = follow(&Desired::default(), Some(&[]));
        assert!(!nobody.recipients(EnvironmentType::Prod).all, "a list without a domain is a list");
        assert!(follow(&cleared, None).recipients(EnvironmentType::Prod).all);
        assert_eq!(follow(&both, None).listed(), typed.listed());
    }
}
