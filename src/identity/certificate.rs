//! Reading an OpenSSH certificate, of a person or of a host.
//!
//! `ssh-key` has a type for certificates, but it refuses one without an end of validity, which is what
//! `ssh-keygen` makes unless told otherwise. So the fields are read here, from the very bytes that were signed,
//! and `ssh-key` reads the keys and verifies the signature.

use std::fmt;

use jiff::Timestamp;
use signature::Verifier;
use ssh_key::{Fingerprint, HashAlg, PublicKey, Signature};

/// What follows the name of a key's algorithm in that of its certificates.
const SUFFIX: &str = "-cert-v01@openssh.com";

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// It lets a person or program sign in.
    User,
    /// It proves which host one talks to.
    Host,
    /// A kind that OpenSSH does not have.
    Other(u32),
}

/// A certificate whose signature has not been looked at yet.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Its bytes as they travel.
    pub blob: Vec<u8>,
    /// The key that it is about.
    pub key: PublicKey,
    /// The number that its CA gave it.
    pub serial: u64,
    /// Whom it is for.
    pub holder: Holder,
    /// The name that its CA gave it; shows in logs.
    pub key_id: String,
    /// Accounts, roles or hosts that it stands for.
    pub principals: Vec<String>,
    /// Start of its validity, in seconds since the epoch.
    pub valid_after: u64,
    /// End of its validity, in seconds since the epoch; `u64::MAX` means never.
    pub valid_before: u64,
    /// Names of options that must be understood by who accepts it.
    pub critical_options: Vec<String>,
    /// Who signed it.
    pub authority: PublicKey,
    signed: usize,
    signature: Vec<u8>,
}

/// Why bytes are no certificate, or why its signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCertificate(pub String);

impl fmt::Display for InvalidCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidCertificate {}

fn invalid<T>(why: impl Into<String>) -> Result<T, InvalidCertificate> {
    Err(InvalidCertificate(why.into()))
}

impl Certificate {
    /// Reads a certificate as it travels.
    pub fn from_blob(blob: &[u8]) -> Result<Self, InvalidCertificate> {
        let mut reader = Reader { rest: blob };
        let name = reader.text()?;
        let Some(key_algorithm) = name.strip_suffix(SUFFIX) else {
            return invalid(format!("{name:?} is no kind of certificate"));
        };
        let hardware = key_algorithm.starts_with("sk-");
        let mut key = Vec::new();
        put(
            &mut key,
            if hardware { format!("{key_algorithm}@openssh.com") } else { key_algorithm.to_owned() },
        );
        let parts = match key_algorithm {
            "ssh-ed25519" => 1,
            "ssh-rsa" | "sk-ssh-ed25519" => 2,
            "sk-ecdsa-sha2-nistp256" => 3,
            ecdsa if ecdsa.starts_with("ecdsa-sha2-") => 2,
            _ => return invalid(format!("certificates of the kind {name:?} are not supported")),
        };
        let nonce = reader.string()?;
        if nonce.is_empty() {
            return invalid("it has no nonce");
        }
        for _ in 0..parts {
            put(&mut key, reader.string()?);
        }
        let key = public_key(&key)?;
        let serial = reader.u64()?;
        let holder = match reader.u32()? {
            1 => Holder::User,
            2 => Holder::Host,
            other => Holder::Other(other),
        };
        let key_id = reader.text()?.to_owned();
        let mut principals = Vec::new();
        let mut list = Reader { rest: reader.string()? };
        while !list.rest.is_empty() {
            principals.push(list.text()?.to_owned());
        }
        let (valid_after, valid_before) = (reader.u64()?, reader.u64()?);
        let mut critical_options = Vec::new();
        let mut list = Reader { rest: reader.string()? };
        while !list.rest.is_empty() {
            critical_options.push(list.text()?.to_owned());
            list.string()?;
        }
        let _extensions = reader.string()?;
        let _reserved = reader.string()?;
        let authority = public_key(reader.string()?)?;
        let signed = blob.len() - reader.rest.len();
        let signature = reader.string()?.to_vec();
        if !reader.rest.is_empty() {
            return invalid("bytes follow its signature");
        }
        let blob = blob.to_vec();
        Ok(Self {
            blob,
            key,
            serial,
            holder,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            authority,
            signed,
            signature,
        })
    }

    /// Reads a certificate as it stands in a `…-cert.pub` file: kind, base64, comment.
    pub fn from_text(text: &str) -> Result<Self, InvalidCertificate> {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let mut words = line.unwrap_or_default().split_ascii_whitespace();
        let (Some(name), Some(base64)) = (words.next(), words.next()) else {
            return invalid("expected a line of the form `ssh-ed25519-cert-v01@openssh.com AAAA…`");
        };
        if !name.ends_with(SUFFIX) {
            return invalid(format!("it holds a plain key of the kind {name:?}, no certificate"));
        }
        let Some(blob) = decode_base64(base64) else {
            return invalid("what stands after the kind is not base64");
        };
        Self::from_blob(&blob)
    }

    /// The kind as it stands in files and on the wire.
    pub fn kind(&self) -> &str {
        Reader { rest: &self.blob }.text().unwrap_or_default()
    }

    /// One line, as a `…-cert.pub` file has it.
    pub fn to_text(&self) -> String {
        format!("{} {}\n", self.kind(), encode_base64(&self.blob))
    }

    /// Whether its CA signed just these bytes, and not by SHA-1.
    pub fn verify_signature(&self) -> Result<(), InvalidCertificate> {
        let algorithm = Reader { rest: &self.signature }.text()?;
        if matches!(algorithm, "ssh-rsa" | "ssh-dss") {
            return invalid(format!("its signature uses {algorithm}, which rests on the broken SHA-1"));
        }
        let signature = Signature::try_from(self.signature.as_slice())
            .map_err(|error| InvalidCertificate(format!("its signature cannot be read: {error}")))?;
        self.authority
            .key_data()
            .verify(&self.blob[..self.signed], &signature)
            .map_err(|_| InvalidCertificate("its signature does not match its content".into()))
    }

    /// SHA-256 fingerprint of the CA that it names.
    pub fn authority_fingerprint(&self) -> Fingerprint {
        self.authority.fingerprint(HashAlg::Sha256)
    }

    /// Whether it is valid at `now`, by its times alone.
    pub fn validity_at(&self, now: Timestamp) -> Validity {
        let now = u64::try_from(now.as_second()).unwrap_or(0);
        if now < self.valid_after {
            Validity::NotYet
        } else if now >= self.valid_before {
            Validity::Expired
        } else {
            Validity::Valid
        }
    }

    /// Start and end in words: `2026-11-24T08:00:00Z`, `the beginning`, `the end of time`.
    pub fn validity_in_words(&self) -> (String, String) {
        (
            if self.valid_after == 0 { "the beginning of time".into() } else { moment(self.valid_after) },
            moment(self.valid_before),
        )
    }
}

/// Where a moment lies relative to a certificate's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Before its start.
    NotYet,
    /// Inside.
    Valid,
    /// At its end or later.
    Expired,
}

fn moment(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "the end of time".to_owned(), |time| time.to_string())
}

fn public_key(blob: &[u8]) -> Result<PublicKey, InvalidCertificate> {
    PublicKey::from_bytes(blob)
        .map_err(|error| InvalidCertificate(format!("a key in it cannot be read: {error}")))
}

fn put(blob: &mut Vec<u8>, string: impl AsRef<[u8]>) {
    let string = string.as_ref();
    // What is put here came out of a blob whose lengths are 32 bits wide.
    blob.extend_from_slice(&(string.len() as u32).to_be_bytes());
    blob.extend_from_slice(string);
}

/// SSH's encoding: numbers big-endian, strings behind their length (RFC 4251, section 5).
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidCertificate> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => invalid("it is cut short"),
        }
    }

    fn u32(&mut self) -> Result<u32, InvalidCertificate> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    fn u64(&mut self) -> Result<u64, InvalidCertificate> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn string(&mut self) -> Result<&'a [u8], InvalidCertificate> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Result<&'a str, InvalidCertificate> {
        std::str::from_utf8(self.string()?).or_else(|_| invalid("a text in it is not UTF-8"))
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut value, mut bits) = (0u32, 0);
    for character in text.bytes() {
        let digit = BASE64.iter().position(|known| *known == character)?;
        value = value << 6 | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((value >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

fn encode_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let value =
            chunk.iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(char::from(BASE64[(value >> (18 - 6 * place) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ssh_key::certificate::{Builder, CertType};
    use ssh_key::private::{Ed25519Keypair, KeypairData};
    use ssh_key::{LineEnding, PrivateKey};

    /// A key that is the same at every run.
    pub fn key(seed: u8) -> PrivateKey {
        PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32])), "").unwrap()
    }

    /// A certificate for [`key`] 1, changed by `adapt` before the key `authority` signs it.
    pub fn signed(authority: u8, kind: CertType, adapt: impl FnOnce(&mut Builder)) -> Certificate {
        let mut builder =
            Builder::new(vec![7; 16], key(1).public_key().key_data().clone(), 1000, 2000).unwrap();
        builder.cert_type(kind).unwrap();
        builder.serial(42).unwrap().key_id("ann@acme.example").unwrap();
        adapt(&mut builder);
        Certificate::from_blob(&builder.sign(&key(authority)).unwrap().to_bytes().unwrap()).unwrap()
    }

    fn example() -> Certificate {
        signed(9, CertType::User, |builder| {
            builder.valid_principal("viewer@acme-prod1").unwrap();
            builder.critical_option("source-address", "10.0.0.0/8").unwrap();
        })
    }

    #[test]
    fn every_field_is_read() {
        let certificate = example();
        assert_eq!(certificate.serial, 42);
        assert_eq!(certificate.holder, Holder::User);
        assert_eq!(certificate.key_id, "ann@acme.example");
        assert_eq!(certificate.principals, ["viewer@acme-prod1"]);
        assert_eq!((certificate.valid_after, certificate.valid_before), (1000, 2000));
        assert_eq!(certificate.critical_options, ["source-address"]);
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
        for (second, validity) in [
            (999, Validity::NotYet),
            (1000, Validity::Valid),
            (1999, Validity::Valid),
            (2000, Validity::Expired),
        ] {
            assert_eq!(
                certificate.validity_at(Timestamp::from_second(second).unwrap()),
                validity,
                "{second}"
            );
        }
        let mut endless = certificate;
        endless.valid_before = u64::MAX;
        assert_eq!(endless.validity_at(Timestamp::MAX), Validity::Valid);
        assert_eq!(endless.validity_in_words().1, "the end of time");
    }

    #[test]
    fn a_plain_key_or_nonsense_says_so() {
        let plain = key(1).public_key().to_openssh().unwrap();
        for (text, expected) in [
            (plain.as_str(), "plain key"),
            ("", "expected a line"),
            ("ssh-ed25519-cert-v01@openssh.com ???", "base64"),
            ("ssh-ed25519-cert-v01@openssh.com AAAA", "cut short"),
        ] {
            let error = Certificate::from_text(text).unwrap_err().0;
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(key(1).to_openssh(LineEnding::LF).is_ok());
    }
}
