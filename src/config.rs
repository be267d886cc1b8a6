//! What the configuration says, merged and checked: flags before variables before the user's file before the
//! system's. Below this module nobody reads a variable or a file of configuration.

pub mod edit;
mod file;

use std::path::{Path, PathBuf};
use std::time::Duration;

use orocloud_protocol::{CallError, EnvironmentName, ErrorKind};

pub use file::{EnvironmentEntry, FileError};

use crate::connection::host::HostTrust;
use crate::connection::{Destination, Route, SshRoute, local};
use crate::identity::IdentitySource;

/// The system's file.
const SYSTEM_FILE: &str = "/etc/orocloud/config.toml";
/// How long a lost connection is tried again, unless an environment says otherwise.
const RECONNECT_FOR: Duration = Duration::from_secs(120);

/// Where configuration comes from; a plain struct, so that tests need no variables.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `OROCLOUD_CONFIG`: this file and no other.
    pub only: Option<PathBuf>,
    /// The system's file.
    pub system: Option<PathBuf>,
    /// The user's file.
    pub user: Option<PathBuf>,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// `--env` or else `OROCLOUD_ENV`.
    pub chosen: Option<String>,
    /// `SSH_AUTH_SOCK`: where an ssh-agent listens.
    pub agent_socket: Option<PathBuf>,
    /// The agent's socket for local accounts.
    pub local_socket: Option<PathBuf>,
}

impl Sources {
    /// Looks at the variables, once.
    pub fn from_process(env_option: Option<String>) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = set("HOME").map(PathBuf::from);
        let user = set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| home.as_ref().map(|home| home.join(".config")))
            .map(|folder| folder.join("orocloud/config.toml"));
        Self {
            only: set("OROCLOUD_CONFIG").map(PathBuf::from),
            system: Some(SYSTEM_FILE.into()),
            user,
            home,
            chosen: env_option
                .or_else(|| set("OROCLOUD_ENV").map(|name| name.to_string_lossy().into_owned())),
            agent_socket: set("SSH_AUTH_SOCK").map(PathBuf::from),
            local_socket: Some(local::SOCKET.into()),
        }
    }

    /// The file that `env:use` changes.
    pub fn own_file(&self) -> Option<&Path> {
        self.only.as_deref().or(self.user.as_deref())
    }
}

/// All that is configured.
#[derive(Debug, Default)]
pub struct Config {
    /// Files that were read, the strongest last.
    pub files: Vec<PathBuf>,
    /// The environment used when none is named.
    pub default: Option<EnvironmentName>,
    /// In their order in the files.
    pub environments: Vec<EnvironmentEntry>,
    sources: Sources,
}

fn usage(error: &FileError) -> CallError {
    let mut lines = error.lines.iter();
    let mut told = CallError::usage(format!("the configuration {} is not valid", error.path.display()));
    told.causes = lines.by_ref().cloned().collect();
    told.hint(format!("correct {}; what each key means: orocloud-cli help config", error.path.display()))
}

impl Config {
    /// Reads the files.
    pub fn load(sources: Sources) -> Result<Self, CallError> {
        let mut config = Self { sources, ..Self::default() };
        let paths: Vec<(PathBuf, bool)> = match &config.sources.only {
            Some(path) => vec![(path.clone(), true)],
            None => [&config.sources.system, &config.sources.user]
                .into_iter()
                .flatten()
                .map(|path| (path.clone(), false))
                .collect(),
        };
        for (path, must_exist) in paths {
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => continue,
                Err(error) => {
                    return Err(CallError::usage(format!(
                        "cannot read the configuration {}",
                        path.display()
                    ))
                    .because(error)
                    .hint("correct OROCLOUD_CONFIG, or leave it out: unset OROCLOUD_CONFIG"));
                }
            };
            let read =
                file::parse(&path, &text, config.sources.home.as_deref()).map_err(|error| usage(&error))?;
            config.default = read.default.or(config.default);
            for entry in read.environments {
                match config.environments.iter_mut().find(|known| known.name == entry.name) {
                    Some(known) => known.overlay(entry),
                    None => config.environments.push(entry),
                }
            }
            config.files.push(path);
        }
        Ok(config)
    }

    /// The environment's name that flags, variables or the default choose.
    pub fn chosen(&self) -> Result<Option<EnvironmentName>, CallError> {
        match &self.sources.chosen {
            Some(text) => text.parse().map(Some).map_err(|error: orocloud_protocol::InvalidName| {
                CallError::usage(error.to_string())
                    .hint("see the environments that are known: orocloud-cli env:list")
            }),
            None => Ok(self.default.clone().or_else(|| match self.environments.as_slice() {
                // Where there is only one, nobody has to say which.
                [only] => Some(only.name.clone()),
                _ => None,
            })),
        }
    }

    /// The environment to talk to, and how.
    pub fn destination(&self) -> Result<Destination, CallError> {
        let local = self.sources.local_socket.as_ref().filter(|path| path.exists());
        let here = |name| Destination {
            name,
            route: Route::Local(local.cloned().unwrap_or_else(|| local::SOCKET.into())),
            reconnect_for: RECONNECT_FOR,
        };
        let Some(name) = self.chosen()? else {
            if local.is_some() {
                return Ok(here(None));
            }
            let mut error = CallError::usage("no environment is chosen");
            error.causes = match self.environments.as_slice() {
                [] => vec!["no environment is configured".to_owned()],
                known => vec![format!(
                    "configured are {}",
                    known.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ")
                )],
            };
            return Err(if self.environments.is_empty() {
                error.hint("write a configuration; the keys it needs: orocloud-cli help config")
            } else {
                error
                    .hint("name one for this call: orocloud-cli -E NAME …")
                    .hint("or choose one for all: orocloud-cli env:use NAME")
            });
        };
        match self.environments.iter().find(|entry| entry.name == name) {
            Some(entry) => resolve(entry, self.sources.agent_socket.clone()),
            None if local.is_some() => Ok(here(Some(name))),
            None => {
                let near = nearest(name.as_str(), self.environments.iter().map(|entry| entry.name.as_str()));
                let error = CallError::usage(format!("the environment {name} is not configured"));
                Err(match near {
                    Some(near) => error.hint(format!("did you mean {near}? try: orocloud-cli -E {near} …")),
                    None => error.hint("see the environments that are known: orocloud-cli env:list"),
                })
            }
        }
    }
}

/// Turns an entry into what a connection needs; names what is missing.
pub fn resolve(entry: &EnvironmentEntry, agent_socket: Option<PathBuf>) -> Result<Destination, CallError> {
    let name = &entry.name;
    let reconnect_for = entry.reconnect_for.unwrap_or(RECONNECT_FOR);
    if let Some(path) = &entry.local {
        return Ok(Destination {
            name: Some(name.clone()),
            route: Route::Local(path.clone()),
            reconnect_for,
        });
    }
    let missing = |key: &str| {
        CallError::usage(format!("the configuration of {name} lacks `{key}`"))
            .because(format!("it stands in {}", entry.place))
            .hint("see what is configured: orocloud-cli env:list -v")
    };
    let address = entry.address.clone().ok_or_else(|| missing("address"))?;
    let mut authorities = entry.host_ca.clone();
    if let Some(path) = &entry.host_ca_file {
        authorities.extend(file::read_keys(path).map_err(|why| {
            CallError::new(
                ErrorKind::Usage,
                format!("cannot read host_ca_file of {name}: {}", path.display()),
            )
            .because(why)
            .hint("one public key of a CA a line, as ssh-keygen writes it: ssh-keygen -l -f FILE")
        })?);
    }
    let trust = match (&entry.host_key, authorities.is_empty()) {
        (Some(key), _) => HostTrust::Pinned(key.clone()),
        (None, false) => HostTrust::Authority {
            authorities,
            name: entry.host.clone().unwrap_or_else(|| format!("{name}-maint1")),
        },
        (None, true) => return Err(missing("host_ca")),
    };
    let key = if entry.agent == Some(true) { None } else { entry.key.clone() };
    Ok(Destination {
        name: Some(name.clone()),
        route: Route::Ssh(Box::new(SshRoute {
            address,
            port: entry.port.unwrap_or(22),
            user: entry.user.clone().unwrap_or_else(|| "orocloud".to_owned()),
            trust,
            identity: IdentitySource {
                key,
                certificate: entry.certificate.clone(),
                authorities: entry.user_ca.clone(),
                agent_socket,
            },
        })),
        reconnect_for,
    })
}

/// The known word that a mistyped one most likely means.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn load(system: &str, user: &str, chosen: Option<&str>) -> Result<Config, CallError> {
        let folder = tempfile::tempdir().unwrap();
        let (system_file, user_file) = (folder.path().join("system.toml"), folder.path().join("user.toml"));
        std::fs::write(&system_file, system).unwrap();
        std::fs::write(&user_file, user).unwrap();
        Config::load(Sources {
            system: Some(system_file),
            user: Some(user_file),
            home: Some("/home/ann".into()),
            chosen: chosen.map(str::to_owned),
            ..Sources::default()
        })
    }

    #[test]
    fn the_users_file_adds_to_the_systems() {
        let system = format!("[environments.acme-prod1]\naddress = \"10.0.0.1\"\nhost_ca = \"{CA}\"\n");
        let user = "default = \"acme-prod1\"\n[environments.acme-prod1]\nkey = \"~/.ssh/id\"\nport = 2222\n";
        let destination = load(&system, user, None).unwrap().destination().unwrap();
        let Route::Ssh(route) = destination.route else { panic!() };
        assert_eq!((route.address.as_str(), route.port, route.user.as_str()), ("10.0.0.1", 2222, "orocloud"));
        assert_eq!(route.identity.key.unwrap(), Path::new("/home/ann/.ssh/id"));
        let HostTrust::Authority { name, .. } = route.trust else { panic!() };
        assert_eq!(name, "acme-prod1-maint1");
    }

    #[test]
    fn a_pinned_key_of_the_user_replaces_the_systems_ca() {
        let system = format!("[environments.acme-prod1]\naddress = \"10.0.0.1\"\nhost_ca = \"{CA}\"\n");
        let user = format!("[environments.acme-prod1]\nhost_key = \"{CA}\"\n");
        let Route::Ssh(route) = load(&system, &user, None).unwrap().destination().unwrap().route else {
            panic!()
        };
        assert!(matches!(route.trust, HostTrust::Pinned(_)));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let one = format!("[environments.acme-prod1]\naddress = \"10.0.0.1\"\nhost_ca = \"{CA}\"\n");
        let two = format!("{one}[environments.acme-stag1]\naddress = \"10.0.0.2\"\nhost_ca = \"{CA}\"\n");
        for (system, chosen, expected) in [
            ("", None, "no environment is configured"),
            (two.as_str(), None, "configured are acme-prod1, acme-stag1"),
            (one.as_str(), Some("acme-prod2"), "acme-prod2 is not configured"),
            (one.as_str(), Some("Acme!"), "not a valid environment name"),
            ("[environments.x1]\naddress = \"h\"\n", None, "lacks `host_ca`"),
            ("[environments.x1]\nport = 22\n", None, "lacks `address`"),
        ] {
            let error = load(system, "", chosen).unwrap().destination().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Usage);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.hints.is_empty(), "{error}");
        }
    }
}
