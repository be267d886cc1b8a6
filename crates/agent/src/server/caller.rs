//! Who calls: judged anew at every call from the certificate that sshd let in, which the bridge hands over and
//! which is not believed because of that.

use std::net::IpAddr;

use jiff::Timestamp;
use orocloud_certificate::{Certificate, Fault, Holder};
use orocloud_protocol::{CallError, ErrorKind, Principal, Role};
use ssh_key::HashAlg;

use crate::environment::{Agent, Authority, AuthorityKind};

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The certificate's key id, `local:ACCOUNT`, or `agent`.
    pub key_id: String,
    /// The certificate's serial number.
    pub serial: u64,
    /// What they may do here.
    pub role: Role,
    /// Who vouches for them.
    pub kind: CallerKind,
    /// Fingerprint of their key, or what stands in its place: the same id of an operation belongs to one identity.
    pub identity: String,
    /// End of the certificate.
    pub valid_until: Option<Timestamp>,
}

/// Who vouches for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// A user authority.
    User,
    /// The node authority: it is the coordinator, and calls nodes.
    Coordinator,
    /// The operating system: an account of this node.
    Local,
    /// Nobody has to: the agent's own scheduled work.
    Agent,
}

impl Caller {
    /// The agent's own scheduled work.
    pub fn agent() -> Self {
        Self::inside("agent", CallerKind::Agent)
    }

    /// The coordinator calling its own node.
    pub(super) fn coordinator() -> Self {
        Self::inside("coordinator", CallerKind::Coordinator)
    }

    fn inside(name: &str, kind: CallerKind) -> Self {
        Self {
            key_id: name.to_owned(),
            serial: 0,
            role: Role::Owner,
            kind,
            identity: name.to_owned(),
            valid_until: None,
        }
    }

    /// A local account, with the role that `agent.toml` gives it.
    pub(super) fn local(config: &Agent, account: &str) -> Result<Self, CallError> {
        let Some(local) = config.local.get(account) else {
            return Err(CallError::new(
                ErrorKind::NotPermitted,
                format!("the account {account} may not call this agent"),
            )
            .hint(format!("ask an owner for a section [local.{account}] in agent.toml, or call from a jump host with: orocloud-cli env:list")));
        };
        let name = format!("local:{account}");
        Ok(Self { role: local.role, ..Self::inside(&name, CallerKind::Local) })
    }
}

/// What the bridge tells.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Session {
    /// One line, `TYPE BASE64`; empty when sshd told none.
    pub certificate: String,
    /// sshd's `SSH_CONNECTION`: client address and port, server address and port.
    pub connection: String,
}

fn not_signed_in(message: impl Into<String>) -> CallError {
    CallError::new(ErrorKind::NotSignedIn, message)
}

const RENEW: &str =
    "get a new certificate where you got this one, then look at it with: ssh-keygen -L -f CERTIFICATE";

/// Judges a certificate at a moment.
pub fn judge(config: &Agent, session: &Session, now: Timestamp) -> Result<Caller, CallError> {
    if session.certificate.is_empty() {
        return Err(not_signed_in("the connection was made without a certificate").hint(RENEW));
    }
    let certificate = Certificate::from_text(&session.certificate)
        .map_err(|error| not_signed_in("the certificate cannot be read").because(error).hint(RENEW))?;
    let key_id: String = certificate.key_id.chars().filter(|c| !c.is_control()).take(200).collect();
    let authorities = &config.authorities;
    let authority = certificate
        .verify(Holder::User, authorities.iter().map(Authority::key), now)
        .map_err(|fault| not_believed(&certificate, &key_id, fault, now))
        .map(|index| &authorities[index])?;
    not_revoked(authority, &certificate, &key_id)?;
    options(&certificate, &key_id, &session.connection)?;
    let (role, kind) = role(config, authority, &certificate, &key_id)?;
    Ok(Caller {
        key_id,
        serial: certificate.serial,
        role,
        kind,
        identity: certificate.key.fingerprint(HashAlg::Sha256).to_string(),
        valid_until: certificate.valid_until(),
    })
}

fn not_believed(certificate: &Certificate, key_id: &str, fault: Fault, now: Timestamp) -> CallError {
    let (from, until) = certificate.validity_in_words();
    let clock = format!("the agent's clock says {now:.0}");
    match fault {
        Fault::Holder(_) => {
            not_signed_in(format!("the certificate of {key_id} is not one for people")).hint(RENEW)
        }
        Fault::Authority => not_signed_in(format!(
            "the certificate of {key_id} is signed by an authority that is not known here"
        ))
        .because(format!("signed by {}", certificate.authority_fingerprint()))
        .hint("use the certificate that was made for this environment, see: orocloud-cli env:list"),
        Fault::Signature(why) => {
            not_signed_in(format!("the certificate of {key_id} is not genuine")).because(why).hint(RENEW)
        }
        Fault::NotYet => not_signed_in(format!("the certificate of {key_id} is not valid before {from}"))
            .because(clock)
            .hint("compare the clocks of this machine and of the one that signs with: date -u"),
        Fault::Expired => {
            not_signed_in(format!("the certificate of {key_id} ended at {until}")).because(clock).hint(RENEW)
        }
    }
}

fn not_revoked(authority: &Authority, certificate: &Certificate, key_id: &str) -> Result<(), CallError> {
    let Some(path) = &authority.revoked_keys_file else { return Ok(()) };
    let list = std::fs::read_to_string(path).map_err(|error| {
        // Whoever is on that list would otherwise be let in.
        not_signed_in("the list of revoked certificates cannot be read, so nobody is let in")
            .because(format!("{}: {error}", path.display()))
            .hint("ask the people who run this environment to look at the agent's log")
    })?;
    let serial = certificate.serial.to_string();
    let key = certificate.key.fingerprint(HashAlg::Sha256).to_string();
    let revoked = list
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .any(|line| line == serial || line == certificate.key_id || line == key);
    if revoked {
        return Err(not_signed_in(format!("the certificate of {key_id} is revoked")).hint(RENEW));
    }
    Ok(())
}

fn options(certificate: &Certificate, key_id: &str, connection: &str) -> Result<(), CallError> {
    for (name, value) in &certificate.critical_options {
        match name.as_str() {
            "source-address" => {
                let client = connection.split(' ').next().and_then(|address| address.parse::<IpAddr>().ok());
                if !client.is_some_and(|client| value.split(',').any(|range| in_range(range.trim(), client)))
                {
                    let from =
                        client.map_or_else(|| "an unknown address".to_owned(), |client| client.to_string());
                    return Err(not_signed_in(format!(
                        "the certificate of {key_id} may not be used from {from}"
                    ))
                    .because(format!("it is limited to {value}"))
                    .hint(RENEW));
                }
            }
            // sshd has a command of its own that goes before.
            other => {
                return Err(not_signed_in(format!(
                    "the certificate of {key_id} has the critical option {other}, which is not known here"
                ))
                .hint(RENEW));
            }
        }
    }
    Ok(())
}

/// Whether an address lies in `ADDRESS` or `ADDRESS/BITS`.
fn in_range(range: &str, address: IpAddr) -> bool {
    let (network, bits) = match range.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (range, Some(128)),
    };
    let (Ok(network), Some(bits)) = (network.parse::<IpAddr>(), bits) else { return false };
    match (network, address.to_canonical()) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let bits = bits.min(32);
            u32::from(network).checked_shr(32 - bits).unwrap_or(0)
                == u32::from(address).checked_shr(32 - bits).unwrap_or(0)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let bits = bits.min(128);
            u128::from(network).checked_shr(128 - bits).unwrap_or(0)
                == u128::from(address).checked_shr(128 - bits).unwrap_or(0)
        }
        _ => false,
    }
}

fn role(
    config: &Agent,
    authority: &Authority,
    certificate: &Certificate,
    key_id: &str,
) -> Result<(Role, CallerKind), CallError> {
    let environment = &config.environment;
    let principals = &certificate.principals;
    let not_here = || {
        let held = if principals.is_empty() { "none".to_owned() } else { principals.join(", ") };
        let held: String = held.chars().filter(|c| !c.is_control()).take(500).collect();
        not_signed_in(format!("the certificate of {key_id} holds no principal for {}", environment.name))
            .because(format!("it holds {held}"))
            .hint("see for which environments your certificate was made with: ssh-keygen -L -f CERTIFICATE")
    };
    if !authority.environments.iter().any(|scope| scope.covers(&environment.name, &environment.project)) {
        return Err(not_signed_in(format!(
            "the authority that signed the certificate of {key_id} does not vouch for {}",
            environment.name
        )));
    }
    match authority.kind {
        AuthorityKind::Node => {
            let coordinator = format!("coordinator@{}", environment.name);
            if principals.contains(&coordinator) {
                Ok((Role::Owner, CallerKind::Coordinator))
            } else {
                Err(not_here())
            }
        }
        AuthorityKind::User => principals
            .iter()
            .filter_map(|principal| principal.parse::<Principal>().ok())
            .filter(|principal| principal.scope.covers(&environment.name, &environment.project))
            .map(|principal| principal.role.min(authority.highest_role))
            .max()
            .map(|role| (role, CallerKind::User))
            .ok_or_else(not_here),
    }
}

#[cfg(test)]
mod tests;
