//! Whether a certificate may be believed.

use jiff::Timestamp;
use signature::Verifier;
use ssh_encoding::Decode;
use ssh_key::{PublicKey, Signature};

use crate::{Certificate, Holder, InvalidCertificate, invalid};

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

/// Why a certificate is not believed, in the order in which it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is for somebody else than who shows it.
    Holder(Holder),
    /// Its CA is none of those that are believed.
    Authority,
    /// Its CA did not sign it, or by a way that proves nothing.
    Signature(InvalidCertificate),
    /// It is used too early.
    NotYet,
    /// It has ended.
    Expired,
}

impl Certificate {
    /// Whether one of these CAs vouches for it, for such a holder, at that moment; which of them.
    ///
    /// Principals and critical options are for the caller to judge: what they must say depends on who is asked.
    pub fn verify<'a>(
        &self,
        holder: Holder,
        authorities: impl IntoIterator<Item = &'a PublicKey>,
        now: Timestamp,
    ) -> Result<usize, Fault> {
        if self.holder != holder {
            return Err(Fault::Holder(self.holder));
        }
        let authority = authorities
            .into_iter()
            .position(|authority| authority.key_data() == self.authority.key_data())
            .ok_or(Fault::Authority)?;
        self.verify_signature().map_err(Fault::Signature)?;
        match self.validity_at(now) {
            Validity::Valid => Ok(authority),
            Validity::NotYet => Err(Fault::NotYet),
            Validity::Expired => Err(Fault::Expired),
        }
    }

    /// Whether its CA signed just these bytes, and not by SHA-1.
    pub fn verify_signature(&self) -> Result<(), InvalidCertificate> {
        let algorithm = String::decode(&mut self.signature.as_slice())?;
        if matches!(algorithm.as_str(), "ssh-rsa" | "ssh-dss") {
            return invalid(format!("its signature uses {algorithm}, which rests on the broken SHA-1"));
        }
        let signature = Signature::try_from(self.signature.as_slice())
            .map_err(|error| InvalidCertificate(format!("its signature cannot be read: {error}")))?;
        self.authority
            .key_data()
            .verify(&self.blob[..self.signed], &signature)
            .map_err(|_| InvalidCertificate("its signature does not match its content".into()))
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

    /// Its end; `None` when it has none, or one that no calendar reaches.
    pub fn valid_until(&self) -> Option<Timestamp> {
        moment(self.valid_before)
    }

    /// Start and end in words: `2026-11-24T08:00:00Z`, `the beginning of time`, `the end of time`.
    pub fn validity_in_words(&self) -> (String, String) {
        let words = |seconds| moment(seconds).map_or_else(|| "the end of time".to_owned(), |t| t.to_string());
        let from = match self.valid_after {
            0 => "the beginning of time".to_owned(),
            seconds => words(seconds),
        };
        (from, words(self.valid_before))
    }
}

fn moment(seconds: u64) -> Option<Timestamp> {
    i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok())
}
