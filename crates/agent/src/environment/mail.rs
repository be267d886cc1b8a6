//! Who is told of maintenance windows by mail, and the server that takes that mail; Postfix on a mail node.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use lettre::message::Mailbox;
use orocloud_protocol::{DkimSelector, MailDomain};
use serde::Deserialize;

/// The SMTP server that takes the agent's own mail; maint only.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailServer {
    /// Its name or address; with TLS its certificate must be for this name.
    pub host: String,
    /// Its port; by default the one that belongs to `tls`.
    pub port: Option<u16>,
    /// How the connection is kept secret.
    pub tls: MailTls,
    /// The only authority that is believed, in PEM; by default those that browsers believe.
    pub ca_file: Option<PathBuf>,
    /// Whom to sign in as.
    pub user: Option<String>,
    /// The password of that user, a file that nobody else may read (0600).
    pub password_file: Option<PathBuf>,
    /// The sender, like `OroCloud <maintenance@example.com>`.
    pub from: String,
}

/// What the environment says about its mail.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentMail {
    /// Domains that mail is sent from, besides those of the senders that its relays are tried with.
    #[serde(default)]
    pub sender_domains: Vec<MailDomain>,
}

/// Postfix on a mail node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postfix {
    /// Service name.
    pub service: String,
    /// `main.cf` and `master.cf` that every configuration begins with: what is true whatever relays there are.
    pub base: PathBuf,
    /// The agent's own folder of configurations. Postfix runs by `config` in it, a link to the one that holds.
    pub configurations: PathBuf,
    /// postconf, postmap and postqueue.
    pub programs: PathBuf,
    /// Postfix's log.
    pub log: PathBuf,
    /// Where it takes the application's mail.
    pub listens: SocketAddr,
    /// Who is asked about sender domains; by default whom the system asks.
    pub name_server: Option<SocketAddr>,
    /// Seconds between two looks at the relays.
    #[serde(default = "half_a_minute")]
    pub look_every: NonZeroU16,
}

/// No relay has longer to greet when it is looked at.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// Some servers let everybody wait for a moment before they greet, to be rid of the hasty.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(6);

const fn half_a_minute() -> NonZeroU16 {
    match NonZeroU16::new(30) {
        Some(seconds) => seconds,
        None => NonZeroU16::MAX,
    }
}

impl Postfix {
    /// How long a relay has to greet when the agent looks at it.
    pub fn look_limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.look_every.get())).min(LONGEST_LOOK)
    }

    /// How long it has to greet when it is to take a message that another relay would take too: one that is about to be
    /// found silent is left, one that is only slow is not.
    pub fn patience(&self) -> Duration {
        (self.look_limit() * 3).max(SHORTEST_PATIENCE)
    }

    /// Postfix's `config_directory`.
    pub fn config(&self) -> PathBuf {
        self.configurations.join("config")
    }
}

/// OpenDKIM on a mail node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// Service name.
    pub service: String,
    /// Where Postfix reaches it. Its two tables are those in Postfix's `config_directory`.
    pub socket: PathBuf,
    /// The agent's own folder of keys, whose group is the signer's (mode 2750).
    pub keys: PathBuf,
    /// A key that has signed for so many days is followed by another one.
    #[serde(default = "half_a_year")]
    pub rotate_after_days: u32,
}

const fn half_a_year() -> u32 {
    180
}

impl Signer {
    /// The folder of a domain's keys.
    pub fn keys_of(&self, domain: &MailDomain) -> PathBuf {
        self.keys.join(domain.as_str())
    }

    /// The file of a private key.
    pub fn private_key(&self, domain: &MailDomain, selector: &DkimSelector) -> PathBuf {
        self.keys_of(domain).join(format!("{selector}.pem"))
    }

    /// How long a key signs before another is made.
    pub fn rotate_after(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.rotate_after_days))
    }
}

/// How a connection to a mail server is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// Begins in the clear and goes on with TLS, or not at all.
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all.
    None,
}

impl MailServer {
    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            MailTls::Starttls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        })
    }

    /// The sender, as mail has it.
    pub fn sender(&self) -> Result<Mailbox, String> {
        self.from.parse().map_err(|error| format!("[mail] from {:?} is no sender: {error}", self.from))
    }

    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.:_".contains(c);
        if self.host.is_empty() || !self.host.chars().all(plain) {
            return Err(format!("[mail] host {:?} is no name of a host", self.host));
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err("[mail] user and password_file come together or not at all".to_owned());
        }
        if self.tls == MailTls::None && self.user.is_some() {
            return Err(
                "[mail] tls = \"none\" would send the password for all to read; take starttls or implicit"
                    .to_owned(),
            );
        }
        if self.tls == MailTls::None && self.ca_file.is_some() {
            return Err("[mail] ca_file is of no use with tls = \"none\"".to_owned());
        }
        self.sender().map(drop)
    }

    /// The user and the password, where there are any.
    pub fn credentials(&self) -> Result<Option<(&str, String)>, String> {
        match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => Ok(Some((user, secret(file)?))),
            _ => Ok(None),
        }
    }
}

/// The one line of a file that nobody else may read.
fn secret(path: &Path) -> Result<String, String> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let mut file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    let mode = file.metadata().map_err(|error| wrong(&error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(wrong(&format_args!("others may read it (mode {:o}): chmod 600", mode & 0o777)));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| wrong(&error))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Somebody who is told of windows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TechnicalContact {
    /// The person's name.
    pub name: Option<String>,
    /// The address.
    pub mail: String,
}

/// Says what is wrong with the contacts of an environment.
pub(super) fn check_contacts(contacts: &[TechnicalContact]) -> Result<(), String> {
    for (at, contact) in contacts.iter().enumerate() {
        let wrong = |why: &dyn std::fmt::Display| format!("[[technical_contact]] {:?}: {why}", contact.mail);
        contact.mail.parse::<lettre::Address>().map_err(|error| wrong(&error))?;
        if contact.name.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(wrong(&"its name must be one line"));
        }
        if contacts[..at].iter().any(|other| other.mail.eq_ignore_ascii_case(&contact.mail)) {
            return Err(wrong(&"there are two of this address"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Result<MailServer, String> {
        let server: MailServer = toml::from_str(text).map_err(|error| error.to_string())?;
        server.check().map(|()| server)
    }

    #[test]
    fn a_server_is_read_and_a_wrong_one_is_named() {
        let good = "host = \"smtp.example.com\"\ntls = \"starttls\"\nfrom = \"OroCloud <ops@example.com>\"\n";
        assert_eq!(server(good).unwrap().port(), 587);
        assert_eq!(server(&good.replace("starttls", "implicit")).unwrap().port(), 465);
        let signed_in = format!("{good}user = \"u\"\npassword_file = \"/p\"\n");
        server(&signed_in).unwrap();
        for (text, expected) in [
            (good.replace("smtp.example.com", "smtp example"), "no name of a host"),
            (good.replace("ops@example.com", "nobody"), "no sender"),
            (good.replace("starttls", "perhaps"), "unknown variant"),
            (format!("{good}user = \"u\"\n"), "come together"),
            (signed_in.replace("starttls", "none"), "for all to read"),
            (format!("{good}password = \"secret\"\n"), "unknown field"),
        ] {
            let error = server(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_password_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "geheim\n").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match secret(&path) {
                Ok(read) => assert!(good && read == "geheim", "{mode:o}"),
                Err(error) => {
                    assert!(!good && error.contains("chmod 600") && !error.contains("geheim"), "{error}");
                }
            }
        }
    }

    #[test]
    fn contacts_have_addresses_and_each_has_one_of_its_own() {
        let contact = |mail: &str| TechnicalContact { name: None, mail: mail.to_owned() };
        check_contacts(&[contact("dora@example.com"), contact("eve@example.com")]).unwrap();
        for wrong in ["dora", "dora@", "do ra@example.com", "dora@example.com\nBcc: x@example.com"] {
            assert!(check_contacts(&[contact(wrong)]).is_err(), "{wrong}");
        }
        let twice = [contact("dora@example.com"), contact("Dora@example.com")];
        assert!(check_contacts(&twice).unwrap_err().contains("two of this address"));
    }
}
