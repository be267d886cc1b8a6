//! OpenSSH certificates, of a person or of a host: one reader and one judge for both sides of the wire.
//!
//! `ssh-key` has a type for certificates, but it refuses one without an end of validity, which is what
//! `ssh-keygen` makes unless told otherwise. So the fields are read here, from the very bytes that were signed,
//! and `ssh-key` reads the keys and verifies the signature.

mod verify;

pub use verify::{Fault, Validity};

use std::fmt;

use base64ct::{Base64, Encoding};
use ssh_encoding::{Decode, Encode};
use ssh_key::{Fingerprint, HashAlg, PublicKey};

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
    /// Its kind as it stands in files and on the wire.
    pub kind: String,
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
    /// Options that must be understood by who accepts it: name and value.
    pub critical_options: Vec<(String, String)>,
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

impl From<ssh_encoding::Error> for InvalidCertificate {
    fn from(error: ssh_encoding::Error) -> Self {
        Self(match error {
            ssh_encoding::Error::Length => "it is cut short".to_owned(),
            ssh_encoding::Error::CharacterEncoding => "a text in it is not UTF-8".to_owned(),
            other => format!("its fields do not fit together: {other}"),
        })
    }
}

fn invalid<T>(why: impl Into<String>) -> Result<T, InvalidCertificate> {
    Err(InvalidCertificate(why.into()))
}

impl Certificate {
    /// Reads a certificate as it travels.
    pub fn from_blob(blob: &[u8]) -> Result<Self, InvalidCertificate> {
        let mut rest = blob;
        let kind = String::decode(&mut rest)?;
        let Some(key_algorithm) = kind.strip_suffix(SUFFIX) else {
            return invalid(format!("{kind:?} is no kind of certificate"));
        };
        let parts = match key_algorithm {
            "ssh-ed25519" => 1,
            "ssh-rsa" | "sk-ssh-ed25519" => 2,
            "sk-ecdsa-sha2-nistp256" => 3,
            ecdsa if ecdsa.starts_with("ecdsa-sha2-") => 2,
            _ => return invalid(format!("certificates of the kind {kind:?} are not supported")),
        };
        if Vec::<u8>::decode(&mut rest)?.is_empty() {
            return invalid("it has no nonce");
        }
        let mut key = Vec::new();
        if key_algorithm.starts_with("sk-") {
            format!("{key_algorithm}@openssh.com").encode(&mut key)?;
        } else {
            key_algorithm.encode(&mut key)?;
        }
        for _ in 0..parts {
            Vec::<u8>::decode(&mut rest)?.encode(&mut key)?;
        }
        let key = public_key(&key)?;
        let serial = u64::decode(&mut rest)?;
        let holder = match u32::decode(&mut rest)? {
            1 => Holder::User,
            2 => Holder::Host,
            other => Holder::Other(other),
        };
        let key_id = String::decode(&mut rest)?;
        let principals = Vec::<String>::decode(&mut rest)?;
        let (valid_after, valid_before) = (u64::decode(&mut rest)?, u64::decode(&mut rest)?);
        let critical_options = options(&Vec::<u8>::decode(&mut rest)?)?;
        let _extensions = Vec::<u8>::decode(&mut rest)?;
        let _reserved = Vec::<u8>::decode(&mut rest)?;
        let authority = public_key(&Vec::<u8>::decode(&mut rest)?)?;
        let signed = blob.len() - rest.len();
        let signature = Vec::<u8>::decode(&mut rest)?;
        if !rest.is_empty() {
            return invalid("bytes follow its signature");
        }
        let blob = blob.to_vec();
        Ok(Self {
            blob,
            kind,
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
        let (Some(kind), Some(base64)) = (words.next(), words.next()) else {
            return invalid("expected a line of the form `ssh-ed25519-cert-v01@openssh.com AAAA…`");
        };
        if !kind.ends_with(SUFFIX) {
            return invalid(format!("it holds a plain key of the kind {kind:?}, no certificate"));
        }
        let Ok(blob) = Base64::decode_vec(base64) else {
            return invalid("what stands after the kind is not base64");
        };
        let certificate = Self::from_blob(&blob)?;
        if certificate.kind != kind {
            return invalid(format!("it says that it is a {kind:?} and holds a {:?}", certificate.kind));
        }
        Ok(certificate)
    }

    /// One line, as a `…-cert.pub` file has it.
    pub fn to_text(&self) -> String {
        format!("{} {}\n", self.kind, Base64::encode_string(&self.blob))
    }

    /// SHA-256 fingerprint of the CA that it names.
    pub fn authority_fingerprint(&self) -> Fingerprint {
        self.authority.fingerprint(HashAlg::Sha256)
    }
}

/// Names with values, each wrapped once more; a flag has nothing inside.
fn options(mut rest: &[u8]) -> Result<Vec<(String, String)>, InvalidCertificate> {
    let mut options = Vec::new();
    while !rest.is_empty() {
        let name = String::decode(&mut rest)?;
        let wrapped = Vec::<u8>::decode(&mut rest)?;
        let mut inside = wrapped.as_slice();
        let value = if inside.is_empty() { String::new() } else { String::decode(&mut inside)? };
        if !inside.is_empty() {
            return invalid(format!("its option {name:?} has more than one value"));
        }
        options.push((name, value));
    }
    Ok(options)
}

fn public_key(blob: &[u8]) -> Result<PublicKey, InvalidCertificate> {
    PublicKey::from_bytes(blob)
        .map_err(|error| InvalidCertificate(format!("a key in it cannot be read: {error}")))
}

#[cfg(test)]
mod tests;
