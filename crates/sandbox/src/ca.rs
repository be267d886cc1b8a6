//! The two authorities, keys and certificates, all made by ssh-keygen.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::accounts::Duty;
use crate::blueprint::Blueprint;
use crate::caller::{self, CallerSpec};
use crate::error::{Context, Result};
use crate::hosts::{ENVIRONMENT, HOSTS};
use crate::run::{Job, plain, side_by_side};

/// Whose signature a certificate carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Vouches for people: maint believes it.
    User,
    /// Vouches for hosts and for the coordinator: every other node believes it.
    Node,
    /// Believed by nobody.
    Other,
}

impl Authority {
    const ALL: [Self; 3] = [Self::User, Self::Node, Self::Other];

    /// The private key's file in the folder `ca`.
    pub fn key(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::User => "user_ca",
            Self::Node => "node_ca",
            Self::Other => "other_ca",
        })
    }

    fn comment(self) -> &'static str {
        match self {
            Self::User => "acme user CA",
            Self::Node => "acme node CA",
            Self::Other => "somebody else's CA",
        }
    }
}

/// What a certificate says.
pub struct Certificate<'a> {
    /// Who signs.
    pub authority: Authority,
    /// For a host rather than a person.
    pub for_host: bool,
    /// Key id, as the journal shows it.
    pub key_id: &'a str,
    /// Serial number.
    pub serial: u64,
    /// Names or roles.
    pub principals: &'a [String],
    /// Start and end.
    pub valid: (Timestamp, Timestamp),
    /// As for `ssh-keygen -O`: critical options and extensions.
    pub options: &'a [String],
}

/// Makes a key pair, replacing one of that name.
pub fn generate_key(path: &Path, kind: &str, passphrase: &str, comment: &str) -> Result<()> {
    for file in [path.to_owned(), public_key(path), certificate(path)] {
        let _ = fs::remove_file(file);
    }
    let path = path.to_string_lossy();
    plain(&["/usr/bin/ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", comment, "-f", &path]).map(drop)
}

/// Signs the public key beside `key`; the certificate lies beside both.
pub fn sign(ca_folder: &Path, key: &Path, what: &Certificate) -> Result<()> {
    let stamp = |time: Timestamp| time.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M%SZ").to_string();
    let ca = what.authority.key(ca_folder).to_string_lossy().into_owned();
    let serial = what.serial.to_string();
    let validity = format!("{}:{}", stamp(what.valid.0), stamp(what.valid.1));
    let principals = what.principals.join(",");
    let public = public_key(key).to_string_lossy().into_owned();
    let mut command =
        vec!["/usr/bin/ssh-keygen", "-q", "-s", &ca, "-I", what.key_id, "-z", &serial, "-V", &validity];
    if what.for_host {
        command.push("-h");
    }
    if !principals.is_empty() {
        command.extend(["-n", &principals]);
    }
    for option in what.options {
        command.extend(["-O", option]);
    }
    command.push(&public);
    plain(&command).map(drop)
}

/// `KEY.pub`.
pub fn public_key(key: &Path) -> PathBuf {
    with_suffix(key, ".pub")
}

/// `KEY-cert.pub`.
pub fn certificate(key: &Path) -> PathBuf {
    with_suffix(key, "-cert.pub")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A public key as one line.
pub fn read_public_key(key: &Path) -> Result<String> {
    let file = public_key(key);
    let text = fs::read_to_string(&file).context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// From a minute ago, so that clocks a little apart do not matter, for so many days.
pub fn valid_for_days(days: i64) -> (Timestamp, Timestamp) {
    let now = Timestamp::now();
    (now - jiff::SignedDuration::from_mins(1), now + jiff::SignedDuration::from_hours(24 * days))
}

/// Makes every key and certificate of the environment; ssh-keygen processes run side by side.
pub fn create(blueprint: &Blueprint) -> Result<()> {
    let folder = blueprint.layout.ca();
    let authorities = Authority::ALL.map(|authority| -> Job<'_> {
        let key = authority.key(&folder);
        Box::new(move || generate_key(&key, "ed25519", "", authority.comment()))
    });
    side_by_side(authorities.into())?;

    let mut jobs: Vec<Job<'_>> = Vec::new();
    for (host, serial) in blueprint.hosts().zip(1..) {
        let folder = folder.clone();
        jobs.push(Box::new(move || {
            let key = blueprint.node(host).etc("ssh_host_ed25519_key");
            generate_key(&key, "ed25519", "", &host.full_name())?;
            let certificate = Certificate {
                authority: Authority::Node,
                for_host: true,
                key_id: &host.full_name(),
                serial,
                principals: &[host.full_name()],
                valid: valid_for_days(30),
                options: &[],
            };
            sign(&folder, &key, &certificate)
        }));
    }
    jobs.push(Box::new(|| create_coordinator(blueprint)));
    jobs.push(Box::new(|| {
        let key = blueprint.layout.git().join("deploy_key");
        generate_key(&key, "ed25519", "", "deploy key of acme-prod1")?;
        blueprint.accounts.give(&key, Duty::Agent, 0o600)
    }));
    for spec in CallerSpec::everyday() {
        jobs.push(Box::new(move || caller::issue(&blueprint.layout, &spec).map(drop)));
    }
    side_by_side(jobs)
}

/// The key with which the coordinator signs in to the other nodes.
fn create_coordinator(blueprint: &Blueprint) -> Result<()> {
    let key = blueprint.node(&HOSTS[0]).etc("coordinator_key");
    generate_key(&key, "ed25519", "", "coordinator of acme-prod1")?;
    let what = Certificate {
        authority: Authority::Node,
        for_host: false,
        key_id: "coordinator@acme-prod1",
        serial: 100,
        principals: &[format!("coordinator@{ENVIRONMENT}")],
        valid: valid_for_days(30),
        options: &[],
    };
    sign(&blueprint.layout.ca(), &key, &what)?;
    blueprint.accounts.give(&key, Duty::Agent, 0o600)
}
