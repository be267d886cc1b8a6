//! openssl: keys that signatures are made with.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orocloud_protocol::{CallError, Secret};

use crate::process::{Processes, Program};

const PROGRAM: &str = "/usr/bin/openssl";

const LIMIT: Duration = Duration::from_secs(120);

/// A key and what others verify with.
#[derive(Debug)]
pub struct KeyPair {
    /// In PEM.
    pub private: Secret,
    /// In DER and base64, as DNS has it.
    pub public: String,
}

/// A new RSA key of 2048 bits: what every receiver takes (RFC 8301), and what fits into one answer of DNS.
pub async fn rsa_key(processes: &Processes) -> Result<KeyPair, CallError> {
    let made = Program::new(PROGRAM)
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .limit(LIMIT);
    let made =
        processes.output(made).await.map_err(|error| CallError::from(error).context("no key is made"))?;
    let private = String::from_utf8(made.stdout)
        .ok()
        .filter(|text| text.contains("-----BEGIN PRIVATE KEY-----"))
        .ok_or_else(|| CallError::failed("openssl made something that is no key in PEM"))?;
    // By standard input: a key stands in no argument vector.
    let public = Program::new(PROGRAM)
        .args(["pkey", "-pubout", "-outform", "DER"])
        .input(private.clone())
        .limit(LIMIT);
    let public = processes
        .output(public)
        .await
        .map_err(|error| CallError::from(error).context("the public part of a new key is not told"))?;
    Ok(KeyPair { private: Secret::new(private), public: STANDARD.encode(public.stdout) })
}
