//! Whether a host is the one that was meant. Decided from its key alone, before anything is told to it.

use jiff::Timestamp;
use orocloud_certificate::{Certificate, Fault, Holder};
use orocloud_protocol::{CallError, ErrorKind};
use ssh_key::{HashAlg, PublicKey};

/// What a host must prove.
#[derive(Clone, Debug)]
pub enum HostTrust {
    /// A host certificate for this name from one of these CAs.
    Authority {
        /// Whose signature counts.
        authorities: Vec<PublicKey>,
        /// The principal it must have.
        name: String,
    },
    /// This one key.
    Pinned(PublicKey),
}

/// Says yes, or why not; `offered` is what the host sent in the key exchange, `host` is how to name it.
pub fn verify(trust: &HostTrust, offered: &[u8], now: Timestamp, host: &str) -> Result<(), CallError> {
    let plain = PublicKey::from_bytes(offered).ok();
    let certificate = Certificate::from_blob(offered);
    let seen = match (&certificate, &plain) {
        (Ok(certificate), _) => certificate.key.fingerprint(HashAlg::Sha256).to_string(),
        (_, Some(key)) => key.fingerprint(HashAlg::Sha256).to_string(),
        _ => "none that could be read".to_owned(),
    };
    let refuse = |why: String| {
        CallError::new(
            ErrorKind::HostNotTrusted,
            format!("the host {host} could not prove that it is the environment"),
        )
        .because(why)
        .because(format!("its key has the fingerprint {seen}"))
    };
    let (authorities, name) = match trust {
        HostTrust::Pinned(expected) => {
            let is_it = match (&certificate, &plain) {
                (Ok(certificate), _) => certificate.key.key_data() == expected.key_data(),
                (_, Some(key)) => key.key_data() == expected.key_data(),
                _ => false,
            };
            return if is_it {
                Ok(())
            } else {
                let wanted = expected.fingerprint(HashAlg::Sha256);
                Err(refuse(format!("it has another key than the configured host_key {wanted}"))
                    .hint("ask your provider whether the host key was changed; until then trust nobody at this address"))
            };
        }
        HostTrust::Authority { authorities, name } => (authorities, name),
    };
    let certificate = match certificate {
        Ok(certificate) => certificate,
        Err(_) if plain.is_some() => {
            return Err(refuse("it showed a plain key and no host certificate".into())
                .hint("if this plain key is right, set host_key in the configuration instead of host_ca: orocloud-cli env:list -v"));
        }
        Err(why) => return Err(refuse(format!("what it showed is no host certificate: {why}"))),
    };
    let refuse = |why: String| {
        let id = &certificate.key_id;
        refuse(format!("its certificate {id:?} {why}"))
    };
    let (from, until) = certificate.validity_in_words();
    if let Err(fault) = certificate.verify(Holder::Host, authorities, now) {
        return Err(refuse(match fault {
            Fault::Holder(_) => "is for a person, not for a host".into(),
            Fault::Authority => format!(
                "was signed by {}, which is not the configured host_ca",
                certificate.authority_fingerprint()
            ),
            Fault::Signature(why) => format!("is not genuine: {why}"),
            Fault::Expired => format!("expired at {until}; the clock of this machine says {now}"),
            Fault::NotYet => format!("is valid from {from} only; the clock of this machine says {now}"),
        }));
    }
    if let Some((option, _)) = certificate.critical_options.first() {
        return Err(refuse(format!("has the critical option {option:?}, which is unknown for hosts")));
    }
    // An empty list would stand for every host there is, and OpenSSH takes patterns here: neither names one host.
    if !certificate.principals.iter().any(|principal| principal == name) {
        let has = match certificate.principals.as_slice() {
            [] => "no name at all".to_owned(),
            names => names.join(", "),
        };
        return Err(refuse(format!("is for {has}, not for {name}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::samples::{key, signed};
    use ssh_key::certificate::{Builder, CertType};

    const CA: u8 = 9;

    fn trust() -> HostTrust {
        HostTrust::Authority {
            authorities: vec![key(CA).public_key().clone()],
            name: "acme-prod1-maint1".into(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn principal(name: &'static str) -> impl FnOnce(&mut Builder) {
        move |builder| {
            builder.valid_principal(name).unwrap();
        }
    }

    #[test]
    fn the_right_host_certificate_is_trusted_and_no_other() {
        let good = signed(CA, CertType::Host, principal("acme-prod1-maint1"));
        verify(&trust(), &good.blob, at(1500), "h").unwrap();

        let everybody = signed(CA, CertType::Host, |builder| {
            builder.all_principals_valid().unwrap();
        });
        let option = signed(CA, CertType::Host, |builder| {
            builder.valid_principal("acme-prod1-maint1").unwrap();
            builder.critical_option("sparkle", "").unwrap();
        });
        let mut forged = good.blob.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        let plain = key(1).public_key().to_bytes().unwrap();
        let right = principal("acme-prod1-maint1");
        for (what, blob, second, expected) in [
            ("another CA", signed(8, CertType::Host, right).blob, 1500, "not the configured host_ca"),
            (
                "a person's",
                signed(CA, CertType::User, principal("acme-prod1-maint1")).blob,
                1500,
                "for a person",
            ),
            (
                "another name",
                signed(CA, CertType::Host, principal("acme-prod1-web1")).blob,
                1500,
                "not for acme-prod1-maint1",
            ),
            (
                "a pattern",
                signed(CA, CertType::Host, principal("acme-*")).blob,
                1500,
                "not for acme-prod1-maint1",
            ),
            ("every host", everybody.blob, 1500, "no name at all"),
            ("an option", option.blob, 1500, "sparkle"),
            ("early", good.blob.clone(), 999, "valid from"),
            ("late", good.blob.clone(), 2000, "expired at 1970-01-01T00:33:20Z"),
            ("forged", forged, 1500, "not genuine"),
            ("plain", plain, 1500, "no host certificate"),
            ("nonsense", b"nonsense".to_vec(), 1500, "no host certificate"),
        ] {
            let error = verify(&trust(), &blob, at(second), "127.0.0.1:22").unwrap_err();
            assert_eq!(error.kind, ErrorKind::HostNotTrusted, "{what}");
            assert!(error.to_string().contains(expected), "{what}: {error}");
            if what != "nonsense" {
                assert!(error.to_string().contains("SHA256:"), "{what}: {error}");
            }
        }
    }

    #[test]
    fn a_pinned_key_is_that_key() {
        let trust = HostTrust::Pinned(key(1).public_key().clone());
        let blob = |seed: u8| key(seed).public_key().to_bytes().unwrap();
        verify(&trust, &blob(1), at(0), "h").unwrap();
        let error = verify(&trust, &blob(2), at(0), "h").unwrap_err();
        assert!(error.to_string().contains("another key"), "{error}");
    }
}
