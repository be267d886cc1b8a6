use jiff::Timestamp;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::{Ed25519Keypair, KeypairData, PrivateKey};

use super::*;

/// A key that is the same at every run.
fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32])), "").unwrap()
}

fn example() -> Certificate {
    let mut builder = Builder::new(vec![7; 16], key(1).public_key().key_data().clone(), 1000, 2000).unwrap();
    builder.cert_type(CertType::User).unwrap();
    builder.serial(42).unwrap().key_id("ann@acme.example").unwrap();
    builder.valid_principal("viewer@acme-prod1").unwrap();
    builder.critical_option("source-address", "10.0.0.0/8").unwrap();
    builder.critical_option("verify-required", "").unwrap();
    Certificate::from_blob(&builder.sign(&key(9)).unwrap().to_bytes().unwrap()).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn every_field_is_read() {
    let certificate = example();
    assert_eq!(certificate.kind, "ssh-ed25519-cert-v01@openssh.com");
    assert_eq!(certificate.serial, 42);
    assert_eq!(certificate.holder, Holder::User);
    assert_eq!(certificate.key_id, "ann@acme.example");
    assert_eq!(certificate.principals, ["viewer@acme-prod1"]);
    assert_eq!((certificate.valid_after, certificate.valid_before), (1000, 2000));
    assert_eq!(
        certificate.critical_options,
        [("source-address".into(), "10.0.0.0/8".into()), ("verify-required".into(), String::new())]
    );
    assert_eq!(certificate.key.key_data(), key(1).public_key().key_data());
    assert_eq!(certificate.authority.key_data(), key(9).public_key().key_data());
    certificate.verify_signature().unwrap();
    let again = Certificate::from_text(&certificate.to_text()).unwrap();
    assert_eq!(again.blob, certificate.blob);
}

#[test]
fn a_changed_byte_is_noticed() {
    let blob = example().blob;
    for position in 0..blob.len() {
        let mut changed = blob.clone();
        changed[position] ^= 1;
        let accepted = Certificate::from_blob(&changed).is_ok_and(|c| c.verify_signature().is_ok());
        assert!(!accepted, "byte {position}");
    }
    for length in 0..blob.len() {
        assert!(Certificate::from_blob(&blob[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn times_have_an_inside() {
    let certificate = example();
    for (second, validity) in
        [(999, Validity::NotYet), (1000, Validity::Valid), (1999, Validity::Valid), (2000, Validity::Expired)]
    {
        assert_eq!(certificate.validity_at(at(second)), validity, "{second}");
    }
}

#[test]
fn one_of_the_authorities_must_vouch_for_the_holder_now() {
    let certificate = example();
    let mut forged = certificate.clone();
    let last = forged.signature.len() - 1;
    forged.signature[last] ^= 1;
    let (known, others) =
        (key(9).public_key().clone(), [key(7).public_key().clone(), key(8).public_key().clone()]);
    let known = [&others[0], &known];
    for (what, certificate, holder, authorities, second, expected) in [
        ("good", &certificate, Holder::User, &known[..], 1500, Ok(1)),
        ("a person", &certificate, Holder::Host, &known, 1500, Err(Fault::Holder(Holder::User))),
        ("another CA", &certificate, Holder::User, &known[..1], 1500, Err(Fault::Authority)),
        ("no CA", &certificate, Holder::User, &[], 1500, Err(Fault::Authority)),
        ("early", &certificate, Holder::User, &known, 999, Err(Fault::NotYet)),
        ("late", &certificate, Holder::User, &known, 2000, Err(Fault::Expired)),
        // A forged one is never told that it came too late: nothing in it is true.
        (
            "forged",
            &forged,
            Holder::User,
            &known,
            2000,
            Err(Fault::Signature(InvalidCertificate("its signature does not match its content".into()))),
        ),
    ] {
        assert_eq!(certificate.verify(holder, authorities.iter().copied(), at(second)), expected, "{what}");
    }
}

#[test]
fn one_without_an_end_and_other_kinds_of_keys_are_fine() {
    // Made by `ssh-keygen -s CA -h -n acme-prod1-maint1 KEY`.
    for blob in [
        &include_bytes!("fixtures/host-cert-endless-rsa-ca.blob")[..],
        include_bytes!("fixtures/host-cert-endless-ecdsa.blob"),
    ] {
        let certificate = Certificate::from_blob(blob).unwrap();
        certificate.verify(Holder::Host, [&certificate.authority], Timestamp::MAX).unwrap();
        assert_eq!(certificate.valid_until(), None);
        assert_eq!(certificate.validity_in_words().1, "the end of time");
    }
}

#[test]
fn a_signature_by_sha1_is_refused() {
    // Made by `ssh-keygen -t ssh-rsa -s` with a CA of 2048 bits for a check of just this.
    let certificate =
        Certificate::from_blob(include_bytes!("fixtures/host-cert-signed-with-sha1.blob")).unwrap();
    let error = certificate.verify(Holder::Host, [&certificate.authority], at(1_800_000_000)).unwrap_err();
    assert!(matches!(&error, Fault::Signature(why) if why.0.contains("SHA-1")), "{error:?}");
}

#[test]
fn a_plain_key_or_nonsense_says_so() {
    let plain = key(1).public_key().to_openssh().unwrap();
    let disguised = example().to_text().replace("ssh-ed25519-cert", "ssh-rsa-cert");
    for (text, expected) in [
        (plain.as_str(), "plain key"),
        ("", "expected a line"),
        ("ssh-ed25519-cert-v01@openssh.com ???", "base64"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "cut short"),
        // A length of 4 GB is no reason to set so much aside.
        ("ssh-ed25519-cert-v01@openssh.com /////w==", "do not fit together"),
        (&disguised, "it says that it is"),
    ] {
        let error = Certificate::from_text(text).unwrap_err().0;
        assert!(error.contains(expected), "{text}: {error}");
    }
}
