//! Who calls: the key and certificate with which the CLI signs in, and what it can see wrong with them itself.

#[cfg(test)]
pub(crate) mod samples;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orocloud_certificate::{Certificate, Holder, Validity};
use orocloud_protocol::{CallError, EnvironmentName, ErrorKind, Principal};
use ssh_key::PublicKey;

/// Where key and certificate are to be found.
#[derive(Clone, Debug, Default)]
pub struct IdentitySource {
    /// A private key's file; without one the ssh-agent is asked.
    pub key: Option<PathBuf>,
    /// The certificate's file; with a key file it is `KEY-cert.pub` unless said otherwise.
    pub certificate: Option<PathBuf>,
    /// CAs of which one should have signed the certificate; empty when that is not configured.
    pub authorities: Vec<PublicKey>,
    /// Where the ssh-agent listens, when there is one.
    pub agent_socket: Option<PathBuf>,
}

/// With what the CLI signs in.
pub struct Identity {
    /// The one certificate that is offered.
    pub certificate: Certificate,
    /// Who makes the signature.
    pub signer: Signer,
}

/// Who has the private key.
pub enum Signer {
    /// A file that was read.
    File {
        /// Its name, for messages.
        path: PathBuf,
        /// Its text.
        text: String,
        /// Whether a passphrase is needed.
        encrypted: bool,
    },
    /// The ssh-agent; its entry with the certificate's bytes.
    Agent,
}

fn not_signed_in(message: impl Into<String>) -> CallError {
    CallError::new(ErrorKind::NotSignedIn, message)
}

/// Reads key and certificate, or picks a certificate out of what the ssh-agent has. `agent` lists the blobs that
/// it holds and is asked only when it is needed.
pub fn load(
    source: &IdentitySource,
    environment: &EnvironmentName,
    now: Timestamp,
    agent: impl FnOnce() -> Result<Vec<Vec<u8>>, String>,
) -> Result<Identity, CallError> {
    let Some(key) = &source.key else {
        return from_agent(source, environment, now, agent);
    };
    let text = read(key, "private key")?;
    let path = match &source.certificate {
        Some(path) => path.clone(),
        None => {
            let mut name = key.clone().into_os_string();
            name.push("-cert.pub");
            name.into()
        }
    };
    let certificate = read_certificate(&path)?;
    check(&certificate, &source.authorities, environment, now)
        .map_err(|error| error.because(format!("it was read from {}", path.display())))?;
    let encrypted = is_encrypted(&text);
    Ok(Identity { certificate, signer: Signer::File { path: key.clone(), text, encrypted } })
}

fn from_agent(
    source: &IdentitySource,
    environment: &EnvironmentName,
    now: Timestamp,
    agent: impl FnOnce() -> Result<Vec<Vec<u8>>, String>,
) -> Result<Identity, CallError> {
    let wanted = source.certificate.as_deref().map(read_certificate).transpose()?;
    if let Some(wanted) = &wanted {
        check(wanted, &source.authorities, environment, now)?;
    }
    let blobs = agent().map_err(|why| {
        not_signed_in("no key is configured and the ssh-agent cannot be asked").because(why).hint(
            "start one and add the key: eval \"$(ssh-agent)\" && ssh-add; or name a file with `key = …` in the configuration: orocloud-cli env:list -v",
        )
    })?;
    if let Some(wanted) = wanted {
        if !blobs.contains(&wanted.blob) {
            return Err(not_signed_in(format!(
                "the ssh-agent does not have the certificate {:?} (serial {})",
                wanted.key_id, wanted.serial
            ))
            .hint("add the key with its certificate beside it: ssh-add KEY; what it has: ssh-add -L"));
        }
        return Ok(Identity { certificate: wanted, signer: Signer::Agent });
    }
    let mut good: Vec<Certificate> = Vec::new();
    let mut first_fault = None;
    for certificate in blobs.iter().filter_map(|blob| Certificate::from_blob(blob).ok()) {
        match check(&certificate, &source.authorities, environment, now) {
            Ok(()) => good.push(certificate),
            Err(error) => first_fault = first_fault.or(Some(error)),
        }
    }
    match good.into_iter().max_by_key(|certificate| certificate.valid_before) {
        Some(certificate) => Ok(Identity { certificate, signer: Signer::Agent }),
        None => Err(first_fault.unwrap_or_else(|| {
            not_signed_in(format!("the ssh-agent has {} keys and no certificate", blobs.len()))
                .hint("add a key with its certificate beside it: ssh-add KEY; what it has: ssh-add -L")
        })),
    }
}

fn read(path: &Path, what: &str) -> Result<String, CallError> {
    std::fs::read_to_string(path).map_err(|error| {
        not_signed_in(format!("cannot read the {what} {}", path.display()))
            .because(error)
            .hint("see which files the configuration names: orocloud-cli env:list -v")
    })
}

fn read_certificate(path: &Path) -> Result<Certificate, CallError> {
    let text = read(path, "certificate")?;
    Certificate::from_text(&text).map_err(|why| {
        not_signed_in(format!("{} is no SSH certificate", path.display()))
            .because(why)
            .hint(format!("look at it: ssh-keygen -L -f {}", path.display()))
    })
}

/// What can be seen wrong with a certificate before it is offered.
pub fn check(
    certificate: &Certificate,
    authorities: &[PublicKey],
    environment: &EnvironmentName,
    now: Timestamp,
) -> Result<(), CallError> {
    let id = &certificate.key_id;
    if certificate.holder != Holder::User {
        return Err(not_signed_in(format!("the certificate {id:?} is for a host, not for a person")));
    }
    let clock = |time: Timestamp| {
        let local = time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
        format!("{time}, that is {local}")
    };
    let moment = |seconds: u64| {
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map_or_else(|| "the end of time".to_owned(), clock)
    };
    match certificate.validity_at(now) {
        Validity::Valid => {}
        Validity::Expired => {
            return Err(not_signed_in(format!("the certificate {id:?} has expired"))
                .because(format!("it was valid until {}", moment(certificate.valid_before)))
                .because(format!("the clock of this machine says {}", clock(now)))
                .hint("get a new certificate from who signs yours, then look at it: ssh-keygen -L -f CERTIFICATE"));
        }
        Validity::NotYet => {
            return Err(not_signed_in(format!("the certificate {id:?} is not yet valid"))
                .because(format!("it is valid from {}", moment(certificate.valid_after)))
                .because(format!("the clock of this machine says {}", clock(now)))
                .hint("if the clock is wrong, set it; compare it with: date -u"));
        }
    }
    if !authorities.is_empty()
        && !authorities.iter().any(|known| known.key_data() == certificate.authority.key_data())
    {
        return Err(not_signed_in(format!(
            "the certificate {id:?} was signed by another CA than the configured user_ca"
        ))
        .because(format!("it was signed by {}", certificate.authority_fingerprint()))
        .because(format!(
            "the configured user_ca is {}",
            authorities
                .iter()
                .map(|known| known.fingerprint(ssh_key::HashAlg::Sha256).to_string())
                .collect::<Vec<_>>()
                .join(" or ")
        ))
        .hint("see which certificate the configuration names: orocloud-cli env:list -v"));
    }
    let covers = |text: &String| {
        text.parse::<Principal>()
            .is_ok_and(|principal| principal.scope.covers(environment, environment.project()))
    };
    if !certificate.principals.iter().any(covers) {
        return Err(not_signed_in(format!("the certificate {id:?} is for other environments than {environment}"))
            .because(match certificate.principals.as_slice() {
                [] => "it has no principals".to_owned(),
                principals => format!("its principals are {}", principals.join(", ")),
            })
            .hint(format!(
                "ask for one with a principal like viewer@{environment} or developer@{}-*, or name another environment: orocloud-cli env:list",
                environment.project()
            )));
    }
    Ok(())
}

/// What a certificate holds, for a person whom the server refused without saying why.
pub fn describe(certificate: &Certificate) -> Vec<String> {
    let (from, until) = certificate.validity_in_words();
    vec![
        format!("the certificate offered: key id {:?}, serial {}", certificate.key_id, certificate.serial),
        format!("principals: {}", certificate.principals.join(", ")),
        format!("valid from {from} until {until}"),
        format!("signed by the CA {}", certificate.authority_fingerprint()),
    ]
}

/// Whether a private key's text needs a passphrase. A form that is not known counts as plain: using it will tell.
fn is_encrypted(text: &str) -> bool {
    match ssh_key::PrivateKey::from_openssh(text) {
        Ok(key) => key.is_encrypted(),
        Err(_) => text.contains("ENCRYPTED"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use samples::{key, signed};
    use ssh_key::certificate::CertType;

    fn environment() -> EnvironmentName {
        "acme-prod1".parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn certificate(authority: u8, principal: &str) -> Certificate {
        signed(authority, CertType::User, |builder| {
            builder.valid_principal(principal).unwrap();
        })
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_named() {
        let authorities = [key(9).public_key().clone()];
        for (what, certificate, second, expected) in [
            ("good", certificate(9, "viewer@acme-prod1"), 1500, None),
            ("whole project", certificate(9, "owner@acme-*"), 1500, None),
            (
                "expired",
                certificate(9, "viewer@acme-prod1"),
                2000,
                Some("has expired: it was valid until 1970-01-01T00:33:20Z"),
            ),
            (
                "early",
                certificate(9, "viewer@acme-prod1"),
                1,
                Some("not yet valid: it is valid from 1970-01-01T00:16:40Z"),
            ),
            (
                "other environment",
                certificate(9, "viewer@acme-stag1"),
                1500,
                Some("its principals are viewer@acme-stag1"),
            ),
            ("nonsense principal", certificate(9, "root"), 1500, Some("its principals are root")),
            (
                "other CA",
                certificate(8, "viewer@acme-prod1"),
                1500,
                Some("another CA than the configured user_ca"),
            ),
            (
                "a host's",
                signed(9, CertType::Host, |b| {
                    b.valid_principal("viewer@acme-prod1").unwrap();
                }),
                1500,
                Some("for a host"),
            ),
        ] {
            let result = check(&certificate, &authorities, &environment(), at(second));
            match (result, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) => {
                    assert_eq!(error.kind, ErrorKind::NotSignedIn);
                    assert!(error.to_string().contains(expected), "{what}: {error}");
                }
                (result, _) => panic!("{what}: {result:?}"),
            }
        }
    }

    #[test]
    fn the_agent_gives_the_certificate_that_lasts_longest() {
        let (short, wrong) = (certificate(9, "viewer@acme-prod1"), certificate(9, "viewer@acme-stag1"));
        let source = IdentitySource::default();
        let plain = key(1).public_key().to_bytes().unwrap();
        let blobs = vec![plain.clone(), wrong.blob.clone(), short.blob.clone()];
        let identity = load(&source, &environment(), at(1500), || Ok(blobs)).unwrap();
        assert_eq!(identity.certificate.blob, short.blob);
        for (blobs, expected) in [
            (Ok(vec![plain]), "1 keys and no certificate"),
            (Ok(vec![wrong.blob]), "other environments"),
            (Err("no socket".to_owned()), "no socket"),
        ] {
            let error = load(&source, &environment(), at(1500), || blobs).err().unwrap();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
