//! Which account does what: separate ones when root starts the sandbox, the one user otherwise.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::error::{Context, Error, Result};
use crate::run::{self, PATH, Program};

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// The login behind every SSH call: may only connect to the session socket.
    Session,
    /// The agent.
    Agent,
    /// git and composer.
    Build,
    /// The application: console and FPM.
    Application,
    /// PostgreSQL and pgBackRest.
    Database,
    /// nginx.
    Web,
    /// HAProxy.
    Balancer,
    /// RabbitMQ.
    Queue,
    /// An SMTP or name server beside the environment; Debian has its account.
    Mail,
    /// Postfix; Debian has its account.
    Postfix,
    /// OpenDKIM; Debian has its account.
    Signer,
    /// The git server.
    Git,
}

impl Duty {
    /// The account's name where duties are separate.
    fn account_name(self) -> &'static str {
        match self {
            Self::Session => "orocloud",
            Self::Agent => "orocloud-agent",
            Self::Build => "orocloud-build",
            Self::Application => "orocloud-app",
            Self::Database => "postgres",
            Self::Web => "www-data",
            Self::Balancer => "haproxy",
            Self::Queue => "rabbitmq",
            Self::Mail => "mail",
            Self::Postfix => "postfix",
            Self::Signer => "opendkim",
            Self::Git => "orocloud-git",
        }
    }
}

/// An account of this machine.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// User number.
    pub uid: u32,
    /// Number of its own group.
    pub gid: u32,
}

/// The accounts of this sandbox.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// Whether each duty has an account of its own, so that the sandbox was started by root.
    pub separate: bool,
    /// Who runs the sandbox.
    pub owner: Account,
}

impl Accounts {
    /// Looks up who we are, and as root that every account is there.
    pub fn discover() -> Result<Self> {
        let uid = rustix::process::geteuid();
        let owner = account(|_, number| number == uid.as_raw())?
            .ok_or_else(|| Error::new(format!("the user {} has no entry in /etc/passwd", uid.as_raw())))?;
        let accounts = Self { separate: uid.is_root(), owner };
        for duty in [
            Duty::Session,
            Duty::Agent,
            Duty::Build,
            Duty::Application,
            Duty::Database,
            Duty::Web,
            Duty::Balancer,
            Duty::Git,
        ] {
            accounts.of(duty)?;
        }
        Ok(accounts)
    }

    /// The account for a duty.
    pub fn of(&self, duty: Duty) -> Result<Account> {
        if !self.separate {
            return Ok(self.owner.clone());
        }
        let wanted = duty.account_name();
        account(|name, _| name == wanted)?.ok_or_else(|| {
            Error::new(format!("the account {wanted} is missing\nHint: cargo xtask setup creates it"))
        })
    }

    /// Gives a file or folder to an account (as root) and sets its mode.
    pub fn give(&self, path: &Path, duty: Duty, mode: u32) -> Result<()> {
        if self.separate {
            let account = self.of(duty)?;
            chown(path, Some(account.uid), Some(account.gid))
                .context(|| format!("cannot give {} to {}", path.display(), account.name))?;
        }
        // After chown, which takes the set-group-id bit away.
        fs::set_permissions(path, Permissions::from_mode(mode))
            .context(|| format!("cannot set the mode of {}", path.display()))
    }

    /// Creates a folder (and its parents) for an account.
    pub fn folder(&self, path: &Path, duty: Duty, mode: u32) -> Result<()> {
        fs::create_dir_all(path).context(|| format!("cannot create {}", path.display()))?;
        self.give(path, duty, mode)
    }

    /// Writes a file that belongs to an account. A secret's mode is set before its content is there.
    pub fn file(&self, path: &Path, duty: Duty, mode: u32, content: &str) -> Result<()> {
        let write = || {
            fs::write(path, "")?;
            fs::set_permissions(path, Permissions::from_mode(mode & 0o600))?;
            fs::write(path, content)
        };
        write().context(|| format!("cannot write {}", path.display()))?;
        self.give(path, duty, mode)
    }

    /// What stands before a program's own arguments to run it as the account of a duty.
    pub fn prefix(&self, duty: Duty, capabilities: &[&str]) -> Vec<String> {
        // Ends with its parent, as a second line of defence when a node's init process was killed.
        let mut prefix = vec!["/usr/bin/setpriv".to_owned(), "--pdeathsig=KILL".to_owned()];
        if self.separate {
            let name = duty.account_name();
            prefix.extend([format!("--reuid={name}"), format!("--regid={name}"), "--init-groups".to_owned()]);
            if !capabilities.is_empty() {
                let list: Vec<String> = capabilities.iter().map(|name| format!("+{name}")).collect();
                let list = list.join(",");
                prefix.extend([format!("--inh-caps={list}"), format!("--ambient-caps={list}")]);
            }
        }
        prefix.push("--".to_owned());
        prefix
    }

    /// What stands before a program that changes its account by itself, such as sshd and nginx.
    pub fn bare_prefix() -> Vec<String> {
        ["/usr/bin/setpriv", "--pdeathsig=KILL", "--"].map(str::to_owned).to_vec()
    }

    /// Runs a program as an account, to its end, and gives its standard output.
    pub fn run(&self, duty: Duty, command: &[&str], input: &str) -> Result<String> {
        let mut vector: Vec<String> = Vec::new();
        if self.separate {
            // Not `prefix`: the death of the thread that starts the program must not end it.
            let name = duty.account_name();
            vector.extend(
                [
                    "/usr/bin/setpriv",
                    &format!("--reuid={name}"),
                    &format!("--regid={name}"),
                    "--init-groups",
                    "--",
                ]
                .map(str::to_owned),
            );
        }
        vector.extend(command.iter().map(|&part| part.to_owned()));
        run::run(&Program { command: vector, environment: &[("PATH", PATH), ("LANG", "C.UTF-8")], input })
    }
}

/// The first account in /etc/passwd that fits.
fn account(fits: impl Fn(&str, u32) -> bool) -> Result<Option<Account>> {
    let passwd = fs::read_to_string("/etc/passwd").context(|| "cannot read /etc/passwd".to_owned())?;
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields[..] else { continue };
        let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else { continue };
        if fits(name, uid) {
            return Ok(Some(Account { name: name.to_owned(), uid, gid }));
        }
    }
    Ok(None)
}
