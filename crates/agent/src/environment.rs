//! `agent.toml` and `environment.toml`: which node this is, and what the whole environment is.

mod authority;
mod mail;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orocloud_protocol::service::ServiceKind;
use orocloud_protocol::{
    EnvironmentName, EnvironmentType, NodeName, NodeRole, QueueName, ReleaseName, Role, ServiceName,
    SourceName,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use authority::{Authority, AuthorityKind};
pub use mail::{MailServer, MailTls, Postfix, SentMail, Signer, TechnicalContact};

use crate::rules::windows::PlannedWindow;

/// The newest format of both files that this build reads.
const FORMAT: u32 = 1;

/// `agent.toml`, and the `environment.toml` it names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    format: u32,
    /// This node's short name.
    pub node: NodeName,
    environment_file: PathBuf,
    /// Journals, locks, packages, recovery points.
    pub state: PathBuf,
    /// Sockets.
    pub run: PathBuf,
    /// `agent.log` and `audit.log`.
    pub log: PathBuf,
    /// Absent where everything runs as the agent's own account.
    pub accounts: Option<Accounts>,
    /// What holds long-running programs up.
    pub service_manager: ServiceManagerConfig,
    /// The certificate that this node's sshd shows; `status` warns before it ends.
    pub host_certificate: Option<PathBuf>,
    /// Whose certificates are believed.
    #[serde(default, rename = "authority")]
    pub authorities: Vec<Authority>,
    /// Local accounts that may call, by name; maint only.
    #[serde(default)]
    pub local: BTreeMap<String, LocalAccount>,
    /// How other nodes are reached; maint only.
    pub coordinator: Option<Coordinator>,
    /// Present on the node with role maint.
    pub maint: Option<Maint>,
    /// The SMTP server for mail about maintenance windows; maint only.
    pub mail: Option<MailServer>,
    /// Present on nodes that have the application: those with role web or job.
    pub app: Option<App>,
    /// Present on nodes with role web.
    pub web: Option<Web>,
    /// Present on nodes with role db.
    pub database: Option<Database>,
    /// Present on nodes with role queue.
    pub queue: Option<Queue>,
    /// Present on nodes with role mail.
    pub postfix: Option<Postfix>,
    /// On nodes with role mail: what signs what leaves; without it nothing is signed.
    pub signer: Option<Signer>,
    /// Present on nodes with role lb.
    pub lb: Option<LoadBalancer>,
    /// Logs of this node, by source.
    #[serde(default)]
    pub logs: BTreeMap<SourceName, LogFiles>,
    /// The environment this node belongs to.
    #[serde(skip, default = "Environment::placeholder")]
    pub environment: Environment,
}

/// Accounts other than the agent's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Runs the bridge; may connect to the session socket and nothing else.
    pub session: String,
    /// Checks out and runs composer; has no key of ours.
    pub build: String,
    /// Runs the application.
    pub app: String,
    /// Runs PostgreSQL and pgBackRest.
    pub database: String,
    /// Runs Postfix; needed on nodes with role mail.
    pub mail: Option<String>,
}

/// What holds long-running programs up.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ServiceManagerConfig {
    /// systemd, by `systemctl`.
    Systemd {},
    /// The sandbox's supervisor.
    Supervisor {
        /// Its socket.
        socket: PathBuf,
    },
}

/// A local account that may call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalAccount {
    /// Its role.
    pub role: Role,
}

/// How maint reaches the other nodes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordinator {
    /// Private key; the certificate lies beside as `KEY-cert.pub`.
    pub key: PathBuf,
    /// One `@cert-authority` line.
    pub known_hosts: PathBuf,
    /// The account to log in to.
    pub user: String,
}

/// What maint needs to build and to keep recovery points.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maint {
    /// Local mirror of the application's repository; the agent's own, which `build` reads.
    pub git_mirror: PathBuf,
    /// Checkouts; belongs to `build`.
    pub build: PathBuf,
    /// `COMPOSER_HOME`; belongs to `build`.
    pub composer_home: PathBuf,
    /// Mount of the clustered file system.
    pub media: PathBuf,
    /// restic's repository.
    pub restic_repository: PathBuf,
    /// Its password, 0600.
    pub restic_password_file: PathBuf,
    /// Folder of the packages that all environments of the project share; without it they are this node's alone.
    pub packages: Option<PathBuf>,
    /// The lowest layer of `orocloud.yaml` for builds; on web nodes it is the one in `app_root`.
    pub orocloud_yaml: Option<PathBuf>,
}

/// The application on a node: its releases and its console.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// `deploy/RELEASE/`, `www` → one of them, `shared/`.
    pub app_root: PathBuf,
    /// `KEY=VALUE` lines for the application.
    pub environment_file: PathBuf,
    /// The PHP program of the console.
    pub php: PathBuf,
}

/// How a web node serves the application.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// nginx serves the maintenance page while it exists.
    pub maintenance_file: PathBuf,
    /// Service name of PHP-FPM.
    pub fpm_service: String,
    /// Service name of nginx.
    pub web_service: String,
    /// The node's own front, past the load balancer.
    pub url: String,
    /// The same, past the maintenance page too; nobody else may reach it.
    pub check_url: Option<String>,
    /// nginx's `stub_status`.
    pub status_url: String,
    /// PHP-FPM's status page, as JSON.
    pub fpm_status_url: String,
}

impl Maint {
    /// Where packages lie that outlive the operation which built them.
    pub fn depot(&self, state: &Path) -> PathBuf {
        self.packages.clone().unwrap_or_else(|| state.join("depot"))
    }

    /// Where one release is checked out and built.
    pub fn checkout(&self, release: &ReleaseName) -> PathBuf {
        self.build.join(release.as_str())
    }
}

impl App {
    /// Where releases are unpacked.
    pub fn releases(&self) -> PathBuf {
        self.app_root.join("deploy")
    }

    /// The link to the current release.
    pub fn current(&self) -> PathBuf {
        self.app_root.join("www")
    }

    /// Links to the release before the current one, and to the one that was unpacked last and may be about to follow: the
    /// web server finds assets there that pages of another node name.
    pub fn neighbours(&self) -> [PathBuf; 2] {
        ["previous", "next"].map(|name| self.app_root.join(name))
    }

    /// Where one release is unpacked.
    pub fn release(&self, release: &ReleaseName) -> PathBuf {
        self.releases().join(release.as_str())
    }

    /// The lowest layer of `orocloud.yaml`.
    pub fn orocloud_yaml(&self) -> PathBuf {
        self.app_root.join("orocloud.yaml")
    }

    /// What outlives releases.
    pub fn shared(&self) -> PathBuf {
        self.app_root.join("shared")
    }
}

/// PostgreSQL and its backups on a db node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Service name of the live server.
    pub service: String,
    /// The live data folder; its parent belongs to the database account, copies are its siblings.
    pub data: PathBuf,
    /// PostgreSQL's programs.
    pub bin: PathBuf,
    /// Folder of the live server's socket.
    pub socket_dir: PathBuf,
    /// Its port, which names the socket.
    pub port: u16,
    /// PostgreSQL's role for administration.
    pub superuser: String,
    /// The application's database.
    pub name: String,
    /// pgBackRest's configuration.
    pub pgbackrest_config: PathBuf,
    /// pgBackRest's stanza.
    pub stanza: String,
    /// Processes that pgBackRest may use.
    pub process_max: u32,
}

/// RabbitMQ on a queue node: how its management interface is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Where it listens.
    pub url: String,
    /// Who asks.
    pub user: String,
    /// Their password.
    pub password_file: PathBuf,
}

/// HAProxy on an lb node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadBalancer {
    /// Service name.
    pub service: String,
    /// The runtime API.
    pub admin_socket: PathBuf,
    /// The backend whose servers are named like web nodes.
    pub backend: String,
    /// HAProxy's `server-state-file`, which the agent writes: a node that was taken out stays out when HAProxy is started
    /// anew. Without it, until the coordinator looks the next time.
    pub state_file: Option<PathBuf>,
}

/// The files of one log source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogFiles {
    /// Absolute paths; rotated ones are found beside them.
    pub files: Vec<PathBuf>,
}

/// `environment.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    format: u32,
    /// Its name.
    pub name: EnvironmentName,
    /// Its project.
    pub project: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: EnvironmentType,
    /// Where the shop answers, through the load balancer.
    pub url: String,
    /// What holds the database up.
    pub keeper: KeeperKind,
    /// Its nodes.
    #[serde(rename = "node")]
    pub nodes: Vec<Node>,
    /// The application.
    pub application: Application,
    /// Where its code comes from.
    pub repository: Repository,
    /// When recovery points are taken and how long they are kept.
    pub backup: BackupPolicy,
    /// Planned maintenance windows.
    #[serde(default, rename = "window")]
    pub windows: Vec<PlannedWindow>,
    /// Who is told of unplanned windows by mail.
    #[serde(default, rename = "technical_contact")]
    pub technical_contacts: Vec<TechnicalContact>,
    /// The mail that it sends.
    #[serde(default)]
    pub mail: SentMail,
    /// Services of the application, held up by the service managers of their nodes.
    #[serde(default, rename = "service")]
    pub services: Vec<Service>,
}

impl Environment {
    fn placeholder() -> Self {
        Self {
            format: 0,
            // A valid literal; replaced before anybody sees it.
            name: "none".parse().unwrap_or_else(|_| unreachable!("`none` is a valid name")),
            project: String::new(),
            kind: EnvironmentType::Prod,
            url: String::new(),
            keeper: KeeperKind::Postgresql,
            nodes: Vec::new(),
            application: Application { document_root: PathBuf::new(), release_header: None },
            repository: Repository { url: String::new(), deploy_key: None, known_hosts: None },
            backup: BackupPolicy::default(),
            windows: Vec::new(),
            technical_contacts: Vec::new(),
            mail: SentMail::default(),
            services: Vec::new(),
        }
    }

    fn check_services(&self) -> Result<(), String> {
        for (at, Service { unit, nodes, .. }) in self.services.iter().enumerate() {
            if let Some(node) = nodes.iter().find(|node| self.node(node).is_none()) {
                return Err(format!("[[service]] {unit}: no [[node]] is named {node}"));
            }
            if self.services[..at].iter().any(|other| other.unit == *unit) {
                return Err(format!("[[service]] {unit}: there are two of this name"));
            }
        }
        Ok(())
    }

    /// The node of this name.
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == *name)
    }

    /// The nodes with this role, in the order of the file.
    pub fn with_role(&self, role: NodeRole) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.roles.contains(&role))
    }

    /// The full name of a node, which is the principal of its host certificate: `acme-prod1-web1`.
    pub fn full_name(&self, node: &NodeName) -> String {
        format!("{}-{node}", self.name)
    }
}

/// What holds the database up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeeperKind {
    /// One server, held up by the service manager.
    Postgresql,
}

/// One node of the environment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its short name.
    pub name: NodeName,
    /// What it is there for.
    pub roles: Vec<NodeRole>,
    /// Its zone.
    pub zone: String,
    /// Its address.
    pub address: String,
    /// Port of its sshd.
    #[serde(default = "Node::default_ssh_port")]
    pub ssh_port: u16,
}

impl Node {
    fn default_ssh_port() -> u16 {
        22
    }
}

/// The application.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Inside a release, what the web server shows.
    pub document_root: PathBuf,
    /// The header in which the web server names the release that an answer comes from, if it does.
    pub release_header: Option<String>,
}

/// Where the application's code comes from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Any URL that git takes.
    pub url: String,
    /// Private key for `ssh://`.
    pub deploy_key: Option<PathBuf>,
    /// Host keys for `ssh://`.
    pub known_hosts: Option<PathBuf>,
}

/// One service of the application.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What it does.
    pub kind: ServiceKind,
    /// Its name for the service manager.
    pub unit: ServiceName,
    /// What a consumer takes messages from.
    pub queue: Option<QueueName>,
    /// Where it runs.
    pub nodes: Vec<NodeName>,
}

/// When recovery points are taken and how long they are kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupPolicy {
    /// `hourly` or `off`.
    pub schedule: BackupSchedule,
    /// The rule of retention.
    pub keep: Keep,
    /// How long a restore keeps what it replaced, in hours.
    pub keep_old_hours: u32,
}

impl Default for BackupPolicy {
    fn default() -> Self {
        Self { schedule: BackupSchedule::Hourly, keep: Keep::default(), keep_old_hours: 48 }
    }
}

/// When recovery points are taken by the agent itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupSchedule {
    /// At the start of every hour, once an application is deployed.
    Hourly,
    /// Never.
    Off,
}

/// How long recovery points are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Every one, for so many days.
    pub hourly_days: u32,
    /// The last one of each Sunday, for so many weeks.
    pub weekly_weeks: u32,
    /// The last one of the last Sunday of each month, for so many months.
    pub monthly_months: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { hourly_days: 7, weekly_weeks: 4, monthly_months: 12 }
    }
}

impl Agent {
    /// Reads `agent.toml` and the `environment.toml` it names. The error names file, line and key.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = text_of(path)?;
        let mut agent: Self = parse(path, &text)?;
        authority::are_distinct(&agent.authorities, path, &text)?;
        let file = agent.environment_file.clone();
        let environment: Environment = parse(&file, &text_of(&file)?)?;
        for (format, path) in [(agent.format, path), (environment.format, file.as_path())] {
            if format != FORMAT {
                return Err(format!("{}: format is {format}, this agent reads {FORMAT}", path.display()));
            }
        }
        for (number, window) in environment.windows.iter().enumerate() {
            window.check().map_err(|wrong| format!("{}: {wrong}", file.display()))?;
            if environment.windows[..number].iter().any(|other| other.name == window.name) {
                return Err(format!("{}: two [[window]] are named {:?}", file.display(), window.name));
            }
        }
        environment
            .check_services()
            .and_then(|()| mail::check_contacts(&environment.technical_contacts))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        if let Some(server) = &agent.mail {
            server.check().map_err(|error| format!("{}: {error}", path.display()))?;
        }
        agent.environment = environment;
        if agent.environment.node(&agent.node).is_none() {
            return Err(format!("{}: no [[node]] is named {}", file.display(), agent.node));
        }
        Ok(agent)
    }

    /// Whether this node coordinates.
    pub fn is_coordinator(&self) -> bool {
        self.maint.is_some()
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| format!("{}: {error}", path.display()))
}
