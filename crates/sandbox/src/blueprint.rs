//! What every part of a sandbox is made from.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::accounts::{Accounts, Duty};
use crate::error::{Context, Result};
use crate::hosts::{self, AMQP_PORT, Addresses, HOSTS, HTTP_PORT, Host, POSTGRESQL_PORT, Parts, SMTP_PORT};
use crate::layout::{Layout, NodeLayout};
use crate::run::PATH;
use crate::service::{Boot, Folder, Ready, Service, signal};

/// The facts of one sandbox; from them every configuration file follows.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// Where its files lie.
    pub layout: Layout,
    /// Where its hosts are.
    pub addresses: Addresses,
    /// Who does what.
    pub accounts: Accounts,
    /// Passwords, new for every sandbox.
    pub secrets: Secrets,
    /// `type` in environment.toml.
    pub environment_type: String,
    /// What it has besides what every one has.
    pub parts: Parts,
    /// Further lines of environment.toml.
    pub environment_toml: String,
    /// Further environment variables of every agent, for tests.
    pub agent_environment: Vec<(String, String)>,
}

/// Passwords, new for every sandbox.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Of the database account `app`.
    pub database: String,
    /// Encrypts the pgBackRest repository.
    pub pgbackrest: String,
    /// Encrypts the restic repository.
    pub restic: String,
    /// Of RabbitMQ's account `app`.
    pub queue: String,
    /// Of whoever signs in at an SMTP server.
    pub mail: String,
    /// By which Erlang's nodes know each other.
    pub cookie: String,
}

impl Secrets {
    /// New ones.
    pub fn generate() -> Result<Self> {
        Ok(Self {
            database: secret(12)?,
            pgbackrest: secret(24)?,
            restic: secret(24)?,
            queue: secret(12)?,
            mail: secret(12)?,
            cookie: secret(16)?,
        })
    }
}

/// Hexadecimal digits of that many random bytes.
fn secret(bytes: usize) -> Result<String> {
    use std::io::Read;
    let mut random = vec![0; bytes];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .context(|| "cannot read /dev/urandom".to_owned())?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Blueprint {
    /// The hosts that this sandbox has.
    pub fn hosts(&self) -> impl Iterator<Item = &'static Host> {
        self.parts.hosts()
    }

    /// RabbitMQ as the application reaches it.
    pub fn queue_url(&self) -> Option<String> {
        let host = self.hosts().find(|host| host.has_role("queue"))?;
        let address = self.addresses.public_port(host, AMQP_PORT);
        Some(format!("amqp://app:{}@{address}/{}", self.secrets.queue, crate::queue::VHOST))
    }

    /// Where the application sends its mail.
    pub fn mailer_dsn(&self) -> Option<String> {
        let host = self.hosts().find(|host| host.has_role("mail"))?;
        Some(format!("smtp://{}", self.addresses.public_port(host, SMTP_PORT)))
    }

    /// The SMTP server that takes the agent's own mail.
    pub fn mail_host(&self) -> Option<&'static Host> {
        self.hosts().find(|host| host.name == hosts::MAIL)
    }

    /// The folder of a host.
    pub fn node(&self, host: &Host) -> NodeLayout {
        self.layout.node(host.name)
    }

    /// The shop through the load balancer.
    pub fn shop_url(&self) -> String {
        format!("http://{}/", self.addresses.public_port(&HOSTS[1], HTTP_PORT))
    }

    /// The front of one web node, past the load balancer.
    pub fn node_url(&self, host: &Host) -> String {
        format!("http://{}/", self.addresses.public_port(host, HTTP_PORT))
    }

    /// The shop's database as the application reaches it.
    pub fn database_url(&self) -> String {
        let address = self.addresses.public_port(&HOSTS[2], POSTGRESQL_PORT);
        format!("postgresql://app:{}@{address}/shop", self.secrets.database)
    }

    /// The account name to sign in to nodes with.
    pub fn login(&self) -> Result<String> {
        Ok(self.accounts.of(Duty::Session)?.name)
    }

    /// A folder for `boot.json`, which the node's init process creates at every boot.
    pub fn run_folder(&self, path: &Path, duty: Duty, mode: u32) -> Result<Folder> {
        let account = self.accounts.of(duty)?;
        let owner = self.accounts.separate.then_some((account.uid, account.gid));
        Ok(Folder { path: path.to_owned(), owner, mode })
    }

    /// A service with what most of them share; the caller changes the rest.
    pub fn service(&self, host: &Host, name: &str, command: Vec<String>, ready: Ready) -> Service {
        let environment: BTreeMap<String, String> = [("PATH", PATH), ("LANG", "C.UTF-8"), ("TZ", "UTC")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        Service {
            name: name.to_owned(),
            command,
            environment,
            log: self.node(host).log(&format!("{name}.log")),
            ready,
            ready_seconds: 60,
            stop_signal: signal::TERM,
            stop_seconds: 20,
            reload_signal: Some(signal::HUP),
            quick_signal: signal::KILL,
            alone_in: None,
            only_with: None,
            required: true,
        }
    }

    /// Writes a host's `boot.json` and the folders that outlive a boot.
    pub fn write_boot(&self, host: &Host, folders: Vec<Folder>, services: Vec<Service>) -> Result<()> {
        let node = self.node(host);
        let agent = self.accounts.of(Duty::Agent)?;
        let boot = Boot {
            node: host.name.to_owned(),
            run: node.run(""),
            folders,
            supervisor_socket: node.supervisor_socket(),
            supervisor_group: self.accounts.separate.then_some(agent.gid),
            services,
        };
        let text = serde_json::to_string_pretty(&boot)?;
        fs::write(node.boot(), text).context(|| format!("cannot write {}", node.boot().display()))
    }

    /// The folders that every host has.
    pub fn create_node_folders(&self, host: &Host) -> Result<()> {
        let node = self.node(host);
        fs::create_dir_all(node.root.join("etc"))
            .context(|| format!("cannot create {}", node.root.display()))?;
        self.accounts.folder(&node.run(""), Duty::Agent, 0o755)?;
        self.accounts.folder(&node.log(""), Duty::Agent, 0o755)?;
        // Others pass through it to what is theirs (builds, packages), but cannot list it.
        self.accounts.folder(&node.state(""), Duty::Agent, 0o711)
    }
}
