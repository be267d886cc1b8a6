//! The handle on a running sandbox, for whoever owns it or finds it.

mod node;
mod start;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::time::{Duration, Instant};
use std::{env, thread};

use crate::accounts::Accounts;
use crate::caller::{self, CallerFiles, CallerSpec, Entrance};
use crate::control::{self, Action, NodeStatus};
use crate::description::Description;
use crate::dns::{self, DnsData};
use crate::error::{Context, Error, Result};
use crate::hosts::{self, ENVIRONMENT, HOSTS, HTTP_PORT, SSH_PORT};
use crate::layout::Layout;
use crate::mail;
use crate::postgres;
pub use node::NodeHandle;
pub use start::TEST_FOLDER;

/// How a sandbox is to be started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its folder, which must not exist, be empty, or hold a sandbox that has ended. Default: a new one under /tmp.
    pub dir: Option<PathBuf>,
    /// `type` in environment.toml: `prod`, `stag`, `uat` or `dev`.
    pub environment_type: String,
    /// Whether there is a node job1, with RabbitMQ, consumers, cron and websocket; RabbitMQ takes some seconds to start.
    pub queue: bool,
    /// Whether there is an SMTP server, which takes the agent's mail to the technical contacts.
    pub mail: bool,
    /// Whether there is a node mail1, with Postfix, and two SMTP servers beside the environment, `relay1` and `relay2`,
    /// that it may send to.
    pub smtp: bool,
    /// Further lines of environment.toml, such as `[[window]]`.
    pub environment_toml: String,
    /// Further environment variables of every agent.
    pub agent_environment: Vec<(String, String)>,
    /// Whether each part that is up is told on standard error.
    pub progress: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: None,
            environment_type: "prod".to_owned(),
            queue: false,
            mail: false,
            smtp: false,
            environment_toml: String::new(),
            agent_environment: Vec::new(),
            progress: false,
        }
    }
}

/// A running sandbox. Who started it owns it: it ends, and its folder is removed, when the value is dropped or the
/// process dies. [`Sandbox::attach`] gives a handle that owns nothing.
#[derive(Debug)]
pub struct Sandbox {
    layout: Layout,
    description: Description,
    accounts: Accounts,
    owned: Option<Owned>,
}

/// The top process of a sandbox that is ours.
#[derive(Debug)]
struct Owned {
    top: Child,
    /// Its standard input; it ends when this is closed, however that comes about.
    lifeline: Option<ChildStdin>,
}

impl Sandbox {
    /// Starts a sandbox and waits until everything runs.
    pub fn start(options: Options) -> Result<Self> {
        start::start(options, false)
    }

    /// Starts a sandbox that goes on when this process ends; [`Sandbox::down`] ends it.
    pub fn start_detached(options: Options) -> Result<Self> {
        start::start(options, true)
    }

    /// A handle on a sandbox that runs in this folder.
    pub fn attach(dir: &Path) -> Result<Self> {
        let layout = Layout::new(dir)?;
        let description = Description::read(&layout)?;
        let sandbox = Self { layout, description, accounts: Accounts::discover()?, owned: None };
        sandbox.status().map_err(|error| {
            Error::new(format!(
                "the sandbox in {} has died ({error})\nHint: cargo xtask sandbox up --dir {0}",
                dir.display()
            ))
        })?;
        Ok(sandbox)
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.layout.root
    }

    /// Environment variables with which any `orocloud-cli` works against it, as the caller `owner`.
    pub fn env(&self) -> Vec<(String, String)> {
        let bin = self.dir().join("bin");
        let path = match env::var("PATH") {
            Ok(path) => format!("{}:{path}", bin.display()),
            Err(_) => format!("{}:{}", bin.display(), crate::run::PATH),
        };
        vec![
            ("PATH".to_owned(), path),
            ("OROCLOUD_CONFIG".to_owned(), self.layout.config().display().to_string()),
            ("OROCLOUD_ENV".to_owned(), ENVIRONMENT.to_owned()),
            ("SHOP_URL".to_owned(), self.description.shop_url.clone()),
            ("DATABASE_URL".to_owned(), self.description.database_url.clone()),
        ]
    }

    /// A program of ours as the sandbox runs it, such as `orocloud-cli`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.layout.program(name)
    }

    /// The node (or the host `git`) of that short name.
    pub fn node(&self, name: &str) -> Result<NodeHandle<'_>> {
        Ok(NodeHandle { sandbox: self, host: hosts::host(name)? })
    }

    /// Every node and how it is.
    pub fn status(&self) -> Result<Vec<NodeStatus>> {
        control::order(&self.layout, Action::Status, None)
    }

    /// Issues a key and any certificate, replacing those of an earlier caller of that name.
    pub fn issue(&self, spec: &CallerSpec) -> Result<CallerFiles> {
        caller::issue(&self.layout, spec)
    }

    /// The files of a caller issued earlier; `viewer`, `developer`, `operator` and `owner` are always there.
    pub fn caller(&self, name: &str) -> CallerFiles {
        caller::files_of(&self.layout, name)
    }

    /// Writes a jump host configuration for a caller and gives its path, for `OROCLOUD_CONFIG`.
    pub fn config_for(&self, caller: &CallerFiles) -> Result<PathBuf> {
        let path = self.layout.callers().join(format!("{}.toml", caller.name));
        let address = self.description.addresses.public(&HOSTS[0]).to_string();
        let entrance = Entrance { address: &address, port: SSH_PORT, user: &self.description.login };
        caller::write_config(&self.layout, &entrance, caller, &path)?;
        Ok(path)
    }

    /// Runs SQL in the shop's database as superuser, through the unix socket of db1, whatever its relays do. Gives
    /// rows a line, columns parted by `|`, without headings and without the last line end.
    pub fn psql(&self, sql: &str) -> Result<String> {
        self.psql_in("shop", sql)
    }

    /// The same in any database.
    pub fn psql_in(&self, database: &str, sql: &str) -> Result<String> {
        let rows = postgres::psql(&self.accounts, &self.layout.node("db1"), database, sql)?;
        Ok(rows.trim_end_matches('\n').to_owned())
    }

    /// Runs pgBackRest on db1 as the database account, such as `["info", "--output=json"]`.
    pub fn pgbackrest(&self, arguments: &[&str]) -> Result<String> {
        postgres::pgbackrest(&self.accounts, &self.layout.node("db1"), arguments)
    }

    /// The shop through the load balancer.
    pub fn shop_url(&self) -> &str {
        &self.description.shop_url
    }

    /// The front of one web node, past the load balancer.
    pub fn node_url(&self, node: &str) -> Result<String> {
        Ok(format!("http://{}/", self.description.addresses.public_port(hosts::host(node)?, HTTP_PORT)))
    }

    /// The bare repository that maint clones from.
    pub fn git_repository(&self) -> PathBuf {
        self.layout.git().join("shop.git")
    }

    /// What the SMTP server for the agent's own mail has taken, the first message first.
    pub fn mail(&self) -> Vec<serde_json::Value> {
        self.mail_of(hosts::MAIL)
    }

    /// Hands messages to Postfix on mail1 as an application does, one for each `Message-ID`.
    pub fn submit(&self, from: &str, to: &str, message_ids: &[String]) -> Result<()> {
        mail::submit(&self.node("mail1")?.address(), from, to, message_ids)
    }

    /// What one SMTP server, such as `relay1`, has taken, the first message first; `acknowledged` tells whether it has said
    /// so.
    pub fn mail_of(&self, server: &str) -> Vec<serde_json::Value> {
        let folder = self.layout.node(server).root.join("mail/received");
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let read = |file: &PathBuf| {
            let mut mail: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
            mail["acknowledged"] = file.with_extension("json.acknowledged").exists().into();
            Some(mail)
        };
        files.iter().filter_map(read).collect()
    }

    /// Lets the name server know these records and no others.
    pub fn set_dns(&self, records: &[(&str, DnsData)]) -> Result<()> {
        dns::write_records(&self.layout.node(hosts::DNS), records)?;
        self.node(hosts::DNS)?.restart_service(dns::SERVICE)
    }

    /// The folder with the coordinator's journals.
    pub fn journal_dir(&self) -> PathBuf {
        self.layout.node("maint1").state("operations")
    }

    /// The end of every log of a node, for the message of a test that fails.
    pub fn logs_of(&self, node: &str) -> String {
        const LINES: usize = 40;
        let mut files: Vec<PathBuf> = fs::read_dir(self.layout.node(node).log(""))
            .map(|entries| {
                entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
            })
            .unwrap_or_default();
        files.sort();
        let mut all = String::new();
        for file in files {
            let text = fs::read(&file).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
            all.push_str(&format!("==> {} <==\n{last}\n", file.display()));
        }
        all
    }

    /// Ends it and removes its folder. For a sandbox that this process started, dropping does the same.
    pub fn down(self) -> Result<()> {
        if self.owned.is_none() {
            control::end(&self.layout)?;
            remove_folder(&self.layout)?;
        }
        Ok(())
    }
}

/// Longer than the top process itself waits for its nodes.
const END_LIMIT: Duration = Duration::from_secs(20);

impl Drop for Sandbox {
    fn drop(&mut self) {
        let Some(mut owned) = self.owned.take() else { return };
        owned.end();
        if env::var_os("OROCLOUD_KEEP_SANDBOX").is_some() {
            eprintln!("the sandbox's folder is kept: {}", self.dir().display());
        } else if let Err(error) = remove_folder(&self.layout) {
            eprintln!("warning: {error}");
        }
    }
}

impl Owned {
    /// Cuts the lifeline and waits for the top process, which ends everything else.
    fn end(&mut self) {
        self.lifeline = None;
        let end = Instant::now() + END_LIMIT;
        while Instant::now() < end {
            if !matches!(self.top.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        // Its nodes see their own lifelines end.
        let _ = self.top.kill();
        let _ = self.top.wait();
    }
}

/// Removes the folder of a sandbox that has ended, and nothing that is none.
fn remove_folder(layout: &Layout) -> Result<()> {
    if !layout.marker().exists() {
        return Err(Error::new(format!("{} is no sandbox folder, it was left alone", layout.root.display())));
    }
    postgres::remove_shared_memory(&layout.node("db1"));
    fs::remove_dir_all(&layout.root).context(|| format!("cannot remove {}", layout.root.display()))
}
