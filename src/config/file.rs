//! One configuration file: parsed with the place of every key, so that a mistake is shown where it stands.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orocloud_protocol::EnvironmentName;
use ssh_key::PublicKey;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest;
use crate::cli::duration;

/// What one file says.
#[derive(Debug, Default)]
pub struct File {
    /// The environment used when none is named.
    pub default: Option<EnvironmentName>,
    /// In their order.
    pub environments: Vec<EnvironmentEntry>,
}

/// What is said about one environment.
#[derive(Clone, Debug)]
pub struct EnvironmentEntry {
    /// Its name.
    pub name: EnvironmentName,
    /// `FILE:LINE` where it stands, for messages.
    pub place: String,
    /// Name or address of its maintenance node.
    pub address: Option<String>,
    /// Port of the sshd there.
    pub port: Option<u16>,
    /// Account to sign in to.
    pub user: Option<String>,
    /// Principal that the host certificate must have.
    pub host: Option<String>,
    /// CAs that may have signed it.
    pub host_ca: Vec<PublicKey>,
    /// A file of such CAs.
    pub host_ca_file: Option<PathBuf>,
    /// One plain host key instead.
    pub host_key: Option<PublicKey>,
    /// Our private key.
    pub key: Option<PathBuf>,
    /// Our certificate.
    pub certificate: Option<PathBuf>,
    /// Whether the ssh-agent is asked although `key` is set.
    pub agent: Option<bool>,
    /// Who should have signed our certificate.
    pub user_ca: Vec<PublicKey>,
    /// The agent's socket on this machine, instead of SSH.
    pub local: Option<PathBuf>,
    /// How long a lost connection is tried again.
    pub reconnect_for: Option<Duration>,
}

/// What is wrong with a file; one line a mistake: `FILE:LINE:COLUMN: key: what`.
#[derive(Debug)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// The mistakes.
    pub lines: Vec<String>,
}

const TOP_KEYS: &[&str] = &["default", "environments"];
const ENVIRONMENT_KEYS: &[&str] = &[
    "address",
    "port",
    "user",
    "host",
    "host_ca",
    "host_ca_file",
    "host_key",
    "key",
    "certificate",
    "agent",
    "user_ca",
    "local",
    "reconnect_for",
];

impl EnvironmentEntry {
    fn new(name: EnvironmentName, place: String) -> Self {
        Self {
            name,
            place,
            address: None,
            port: None,
            user: None,
            host: None,
            host_ca: Vec::new(),
            host_ca_file: None,
            host_key: None,
            key: None,
            certificate: None,
            agent: None,
            user_ca: Vec::new(),
            local: None,
            reconnect_for: None,
        }
    }

    /// Takes from a stronger file what it says.
    pub fn overlay(&mut self, stronger: Self) {
        let trusts =
            stronger.host_key.is_some() || stronger.host_ca_file.is_some() || !stronger.host_ca.is_empty();
        if trusts {
            // What proves the host is one statement, whichever of its keys it uses.
            self.host_key = stronger.host_key;
            self.host_ca_file = stronger.host_ca_file;
            self.host_ca = stronger.host_ca;
        }
        if stronger.key.is_some() && stronger.certificate.is_none() {
            // The certificate beside the weaker file's key is not this key's.
            self.certificate = None;
        }
        if stronger.address.is_some() {
            self.local = None;
        }
        self.place = format!("{} and {}", self.place, stronger.place);
        self.address = stronger.address.or(self.address.take());
        self.port = stronger.port.or(self.port);
        self.user = stronger.user.or(self.user.take());
        self.host = stronger.host.or(self.host.take());
        self.key = stronger.key.or(self.key.take());
        self.certificate = stronger.certificate.or(self.certificate.take());
        self.agent = stronger.agent.or(self.agent);
        self.local = stronger.local.or(self.local.take());
        self.reconnect_for = stronger.reconnect_for.or(self.reconnect_for);
        if !stronger.user_ca.is_empty() {
            self.user_ca = stronger.user_ca;
        }
    }
}

/// Reads a file's text. All mistakes are told, not just the first.
pub fn parse(path: &Path, text: &str, home: Option<&Path>) -> Result<File, FileError> {
    let mut reader = Reader { path, text, home, mistakes: Vec::new() };
    let file = match DeTable::parse(text) {
        Ok(table) => reader.file(table.get_ref()),
        Err(error) => {
            let span = error.span().unwrap_or_default();
            reader.mistake(&span, "", error.message().trim());
            File::default()
        }
    };
    if reader.mistakes.is_empty() {
        Ok(file)
    } else {
        Err(FileError { path: path.to_owned(), lines: reader.mistakes })
    }
}

/// Public keys, one a line.
pub fn read_keys(path: &Path) -> Result<Vec<PublicKey>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let keys: Vec<PublicKey> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(number, line)| {
            PublicKey::from_openssh(line.trim()).map_err(|error| format!("line {}: {error}", number + 1))
        })
        .collect::<Result<_, _>>()?;
    if keys.is_empty() { Err("it has no key".to_owned()) } else { Ok(keys) }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    home: Option<&'a Path>,
    mistakes: Vec<String>,
}

type Entry<'t, 'i> = (&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

impl Reader<'_> {
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    fn mistake(&mut self, span: &Range<usize>, key: &str, what: &str) {
        let (line, column) = self.position(span.start);
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        let what = what.replace('\n', ", ");
        self.mistakes.push(format!("{}:{line}:{column}: {key}{what}", self.path.display()));
    }

    fn unknown(&mut self, span: &Range<usize>, key: &str, word: &str, known: &[&str]) {
        let what = match nearest(word, known.iter().copied()) {
            Some(near) => format!("unknown key; did you mean `{near}`?"),
            None => format!("unknown key; known are {}", known.join(", ")),
        };
        self.mistake(span, key, &what);
    }

    fn file(&mut self, table: &DeTable<'_>) -> File {
        let mut file = File::default();
        for entry in in_order(table) {
            let (key, value) = entry;
            match key.get_ref().as_ref() {
                "default" => file.default = self.name("default", value),
                "environments" => match value.get_ref().as_table() {
                    Some(environments) => {
                        file.environments = in_order(environments)
                            .into_iter()
                            .filter_map(|entry| self.environment(entry))
                            .collect();
                    }
                    None => self.expected("environments", value, "tables like [environments.acme-prod1]"),
                },
                other => self.unknown(&key.span(), other, other, TOP_KEYS),
            }
        }
        file
    }

    fn environment(&mut self, (key, value): Entry<'_, '_>) -> Option<EnvironmentEntry> {
        let path = format!("environments.{}", key.get_ref());
        let name: EnvironmentName = match key.get_ref().parse() {
            Ok(name) => name,
            Err(error) => {
                self.mistake(&key.span(), &path, &error.to_string());
                return None;
            }
        };
        let Some(table) = value.get_ref().as_table() else {
            self.expected(&path, value, "a table");
            return None;
        };
        let place = format!("{}:{}", self.path.display(), self.position(key.span().start).0);
        let mut entry = EnvironmentEntry::new(name, place);
        for (key, value) in in_order(table) {
            let word = key.get_ref().as_ref();
            let path = format!("{path}.{word}");
            match word {
                "address" => entry.address = self.text(&path, value),
                "port" => entry.port = self.port(&path, value),
                "user" => entry.user = self.text(&path, value),
                "host" => entry.host = self.text(&path, value),
                "host_ca" => entry.host_ca = self.keys(&path, value),
                "host_ca_file" => entry.host_ca_file = self.file_name(&path, value),
                "host_key" => entry.host_key = self.key(&path, value),
                "key" => entry.key = self.file_name(&path, value),
                "certificate" => entry.certificate = self.file_name(&path, value),
                "agent" => match value.get_ref().as_bool() {
                    Some(agent) => entry.agent = Some(agent),
                    None => self.expected(&path, value, "true or false"),
                },
                "user_ca" => entry.user_ca = self.keys(&path, value),
                "local" => entry.local = self.file_name(&path, value),
                "reconnect_for" => entry.reconnect_for = self.duration(&path, value),
                other => self.unknown(&key.span(), &path, other, ENVIRONMENT_KEYS),
            }
        }
        if entry.host_key.is_some() && !(entry.host_ca.is_empty() && entry.host_ca_file.is_none()) {
            self.mistake(&key.span(), &path, "host_key and host_ca exclude each other");
        }
        Some(entry)
    }

    fn expected(&mut self, path: &str, value: &Spanned<DeValue<'_>>, what: &str) {
        let found = value.get_ref().type_str();
        self.mistake(&value.span(), path, &format!("expected {what}, found {found}"));
    }

    fn text(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref().as_str() {
            Some("") => {
                self.mistake(&value.span(), path, "is empty");
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.expected(path, value, "a string");
                None
            }
        }
    }

    fn name(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<EnvironmentName> {
        self.text(path, value)?
            .parse()
            .map_err(|error| self.mistake(&value.span(), path, &format!("{error}")))
            .ok()
    }

    fn port(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<u16> {
        let port = value
            .get_ref()
            .as_integer()
            .and_then(|integer| u16::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|port| *port > 0);
        if port.is_none() {
            self.expected(path, value, "a port from 1 to 65535");
        }
        port
    }

    fn file_name(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<PathBuf> {
        let text = self.text(path, value)?;
        let name = match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) => {
                self.mistake(&value.span(), path, "`~` cannot be resolved, HOME is not set");
                return None;
            }
            // A relative name belongs to the file it stands in, not to where one happens to be.
            (None, _) => self.path.parent().unwrap_or(Path::new("")).join(text),
        };
        Some(name)
    }

    fn key(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<PublicKey> {
        let text = self.text(path, value)?;
        match PublicKey::from_openssh(text.trim()) {
            Ok(key) => Some(key),
            Err(error) => {
                let what = format!("is no public key like \"ssh-ed25519 AAAA…\" ({error})");
                self.mistake(&value.span(), path, &what);
                None
            }
        }
    }

    fn keys(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Vec<PublicKey> {
        match value.get_ref().as_array() {
            Some(array) => array.iter().filter_map(|value| self.key(path, value)).collect(),
            None => self.key(path, value).into_iter().collect(),
        }
    }

    fn duration(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let text = self.text(path, value)?;
        duration::parse(&text).map_err(|error| self.mistake(&value.span(), path, &error)).ok()
    }
}

/// The entries of a table in the order in which they stand in the file.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<Entry<'t, 'i>> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_where_they_stand() {
        for (text, expected) in [
            ("defualt = \"a\"", "c.toml:1:1: defualt: unknown key; did you mean `default`?"),
            (
                "[environments.acme-prod1]\nadress = \"h\"",
                "c.toml:2:1: environments.acme-prod1.adress: unknown key; did you mean `address`?",
            ),
            (
                "[environments.acme-prod1]\n  port = \"22\"",
                "c.toml:2:10: environments.acme-prod1.port: expected a port from 1 to 65535, found string",
            ),
            (
                "[environments.acme-prod1]\nport = 70000",
                "c.toml:2:8: environments.acme-prod1.port: expected a port",
            ),
            (
                "[environments.Acme]",
                "c.toml:1:15: environments.Acme: \"Acme\" is not a valid environment name",
            ),
            (
                "[environments.a]\nhost_ca = \"nonsense\"",
                "c.toml:2:11: environments.a.host_ca: is no public key",
            ),
            ("[environments.a]\nreconnect_for = \"soon\"", "c.toml:2:17: environments.a.reconnect_for: "),
            ("default = \n", "c.toml:1:"),
            (
                "[environments.a]\nagent = 1",
                "c.toml:2:9: environments.a.agent: expected true or false, found integer",
            ),
            ("environments = 3", "c.toml:1:16: environments: expected tables"),
        ] {
            let error = parse(Path::new("c.toml"), text, None).unwrap_err();
            assert!(error.lines[0].starts_with(expected), "{text:?}\n  {}\n  {expected}", error.lines[0]);
        }
    }

    #[test]
    fn every_mistake_is_told() {
        let text = "[environments.a]\nadress = \"h\"\nprot = 2\n";
        assert_eq!(parse(Path::new("c.toml"), text, None).unwrap_err().lines.len(), 2);
    }

    #[test]
    fn names_of_files_belong_to_the_folder_of_the_configuration() {
        let text = "[environments.a]\nkey = \"keys/id\"\ncertificate = \"~/c\"\nlocal = \"/abs\"\n";
        let file = parse(Path::new("/etc/orocloud/config.toml"), text, Some(Path::new("/home/ann"))).unwrap();
        let entry = &file.environments[0];
        assert_eq!(entry.key.as_deref(), Some(Path::new("/etc/orocloud/keys/id")));
        assert_eq!(entry.certificate.as_deref(), Some(Path::new("/home/ann/c")));
        assert_eq!(entry.local.as_deref(), Some(Path::new("/abs")));
    }
}
