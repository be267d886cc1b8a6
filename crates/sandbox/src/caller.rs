//! People who call: their keys, certificates and the configuration of their jump host.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::ca::{self, Authority, Certificate};
use crate::error::{Context, Result};
use crate::hosts::ENVIRONMENT;
use crate::layout::Layout;

/// Somebody to issue a key and a certificate for. [`CallerSpec::new`] gives a valid one; change what the test is about.
#[derive(Debug, Clone)]
pub struct CallerSpec {
    /// Name of the files in `callers/`.
    pub name: String,
    /// Roles, such as `developer@acme-prod1`.
    pub principals: Vec<String>,
    /// Who signs; `None` issues a key without a certificate.
    pub authority: Option<Authority>,
    /// When the certificate starts to be valid.
    pub valid_from: Timestamp,
    /// When it ends.
    pub valid_until: Timestamp,
    /// Key id, as the journal shows it.
    pub key_id: String,
    /// Serial number.
    pub serial: u64,
    /// As for `ssh-keygen -O`, such as `source-address=10.0.0.0/8` or `critical:name=value`.
    pub options: Vec<String>,
    /// `ed25519`, `ecdsa` or `rsa`.
    pub key_type: String,
    /// Encrypts the private key; empty for none.
    pub passphrase: String,
}

impl CallerSpec {
    /// A caller with one role, valid for a day, signed by the user CA.
    pub fn new(name: &str, principal: &str) -> Self {
        let (valid_from, valid_until) = ca::valid_for_days(1);
        Self {
            name: name.to_owned(),
            principals: vec![principal.to_owned()],
            authority: Some(Authority::User),
            valid_from,
            valid_until,
            key_id: format!("{name}@acme.example"),
            serial: 1000,
            options: Vec::new(),
            key_type: "ed25519".to_owned(),
            passphrase: String::new(),
        }
    }

    /// The callers that every sandbox has: one a role.
    pub fn everyday() -> Vec<Self> {
        [
            ("viewer", "vera", format!("viewer@{ENVIRONMENT}")),
            ("developer", "dora", format!("developer@{ENVIRONMENT}")),
            ("operator", "otto", format!("operator@{ENVIRONMENT}")),
            ("owner", "olga", "owner@acme-*".to_owned()),
        ]
        .into_iter()
        .zip(201..)
        .map(|((role, person, principal), serial)| Self {
            key_id: format!("{person}@acme.example ({role})"),
            serial,
            ..Self::new(role, &principal)
        })
        .collect()
    }
}

/// What was issued.
#[derive(Debug, Clone)]
pub struct CallerFiles {
    /// The caller's name.
    pub name: String,
    /// Private key.
    pub key: PathBuf,
    /// Public key.
    pub public_key: PathBuf,
    /// Certificate, if there is one.
    pub certificate: Option<PathBuf>,
}

/// Makes the key and, unless the caller is to have none, the certificate.
pub fn issue(layout: &Layout, spec: &CallerSpec) -> Result<CallerFiles> {
    let key = layout.callers().join(&spec.name);
    ca::generate_key(&key, &spec.key_type, &spec.passphrase, &spec.key_id)?;
    if let Some(authority) = spec.authority {
        let what = Certificate {
            authority,
            for_host: false,
            key_id: &spec.key_id,
            serial: spec.serial,
            principals: &spec.principals,
            valid: (spec.valid_from, spec.valid_until),
            options: &spec.options,
        };
        ca::sign(&layout.ca(), &key, &what)?;
    }
    Ok(files_of(layout, &spec.name))
}

/// The files of a caller issued earlier.
pub fn files_of(layout: &Layout, name: &str) -> CallerFiles {
    let key = layout.callers().join(name);
    let certificate = ca::certificate(&key);
    CallerFiles {
        name: name.to_owned(),
        public_key: ca::public_key(&key),
        certificate: certificate.exists().then_some(certificate),
        key,
    }
}

/// Where the environment is reached, for a jump host's configuration.
pub struct Entrance<'a> {
    /// Address of maint1.
    pub address: &'a str,
    /// Its port.
    pub port: u16,
    /// The account to sign in to.
    pub user: &'a str,
}

/// Writes the jump host configuration of one caller.
pub fn write_config(
    layout: &Layout,
    entrance: &Entrance,
    caller: &CallerFiles,
    path: &PathBuf,
) -> Result<()> {
    let host_ca = ca::read_public_key(&Authority::Node.key(&layout.ca()))?;
    let user_ca = ca::read_public_key(&Authority::User.key(&layout.ca()))?;
    let certificate = caller
        .certificate
        .as_ref()
        .map(|file| format!("certificate = \"{}\"\n", file.display()))
        .unwrap_or_default();
    let text = format!(
        r#"default = "{ENVIRONMENT}"

[environments.{ENVIRONMENT}]
address = "{address}"
port = {port}
user = "{user}"
host_ca = "{host_ca}"
user_ca = "{user_ca}"
key = "{key}"
{certificate}"#,
        address = entrance.address,
        port = entrance.port,
        user = entrance.user,
        key = caller.key.display(),
    );
    // Beside and renamed: a call that runs meanwhile must not read half of it.
    let failed = || format!("cannot write {}", path.display());
    let folder = path.parent().ok_or_else(|| crate::Error::new(failed()))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).context(failed)?;
    file.write_all(text.as_bytes()).context(failed)?;
    file.as_file().set_permissions(Permissions::from_mode(0o644)).context(failed)?;
    file.persist(path).map_err(|error| error.error).context(failed).map(drop)
}
