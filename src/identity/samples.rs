//! Keys and certificates for tests.

use orocloud_certificate::Certificate;
use ssh_key::PrivateKey;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::{Ed25519Keypair, KeypairData};

/// A key that is the same at every run.
pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32])), "").unwrap()
}

/// A certificate for [`key`] 1, changed by `adapt` before the key `authority` signs it.
pub fn signed(authority: u8, kind: CertType, adapt: impl FnOnce(&mut Builder)) -> Certificate {
    let mut builder = Builder::new(vec![7; 16], key(1).public_key().key_data().clone(), 1000, 2000).unwrap();
    builder.cert_type(kind).unwrap();
    builder.serial(42).unwrap().key_id("ann@acme.example").unwrap();
    adapt(&mut builder);
    Certificate::from_blob(&builder.sign(&key(authority)).unwrap().to_bytes().unwrap()).unwrap()
}
