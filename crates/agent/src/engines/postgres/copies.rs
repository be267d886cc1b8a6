//! Private copies of the database: servers on a data folder beside the live one, each on a socket of its own that
//! only the agent and the database account may use. They run as children of the agent, so none outlives it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::CallError;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

use super::connection::{Server, explained};
use super::control::Control;
use super::log::CopyLog;
use crate::environment::Database;
use crate::nodes::NodeRef;
use crate::process::{Account, Program};

/// Copies of the database that run beside the live one, by their folder.
#[derive(Debug, Default)]
pub struct Copies {
    running: Mutex<HashMap<PathBuf, Arc<Copy>>>,
}

/// One that runs.
#[derive(Debug)]
pub struct Copy {
    /// How it is reached.
    pub server: Server,
    log: Arc<Mutex<CopyLog>>,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// How a copy is to be started.
#[derive(Debug)]
pub struct CopyOrder<'a> {
    /// Its folder.
    pub data: &'a Path,
    /// Names its socket folder; short, for a socket's path has at most 107 bytes.
    pub name: &'a str,
    /// Settings beside those that make it private.
    pub settings: &'a [(&'a str, String)],
}

/// The longest path of a socket.
const MAX_SOCKET_PATH: usize = 107;

/// How long a server may take from its start until its socket answers; a crash recovery in between is long.
const START_LIMIT: Duration = Duration::from_secs(3600);

impl Copies {
    /// The copy in this folder, if it runs.
    pub fn get(&self, data: &Path) -> Option<Arc<Copy>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.get(data).is_some_and(|copy| copy.ended.is_cancelled()) {
            running.remove(data);
        }
        running.get(data).cloned()
    }

    /// Starts one, unless it runs. It is there when this returns, and may still replay.
    pub async fn start(
        node: &NodeRef,
        config: &Database,
        order: &CopyOrder<'_>,
    ) -> Result<Arc<Copy>, CallError> {
        if let Some(copy) = node.copies.get(order.data) {
            return Ok(copy);
        }
        let socket_dir = config.socket_dir.join(format!("aside-{}", order.name));
        let socket = socket_dir.join(format!(".s.PGSQL.{}", config.port));
        if socket.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(CallError::failed(format!("the path {} is too long for a socket", socket.display()))
                .hint("shorten `socket_dir` in agent.toml"));
        }
        let limits = limits(node, config, order.data).await?;
        let files = node.processes.files(Account::Database);
        files.make_dir(&socket_dir, 0o711).await?;
        let agent = own_name(node).await?;
        let hba = socket_dir.join("hba.conf");
        let ident = socket_dir.join("ident.conf");
        files.write(&hba, b"local all all peer map=orocloud\n", 0o600).await?;
        let mut map = format!("orocloud {agent} {}\n", config.superuser);
        if let Some(database) = node.processes.name(Account::Database) {
            map.push_str(&format!("orocloud {database} {}\n", config.superuser));
        }
        files.write(&ident, map.as_bytes(), 0o600).await?;

        let mut settings: Vec<(&str, String)> = vec![
            ("listen_addresses", String::new()),
            ("port", config.port.to_string()),
            ("unix_socket_directories", socket_dir.display().to_string()),
            // The folder's mode and the map above decide who may connect, not the group of the file.
            ("unix_socket_permissions", "0777".into()),
            ("hba_file", hba.display().to_string()),
            ("ident_file", ident.display().to_string()),
            ("external_pid_file", String::new()),
            ("ssl", "off".into()),
            ("logging_collector", "off".into()),
            ("log_destination", "stderr".into()),
            ("log_min_messages", "warning".into()),
            ("lc_messages", "C".into()),
            ("log_timezone", "UTC".into()),
        ];
        settings.extend(limits);
        settings.extend(order.settings.iter().cloned());
        let mut program = Program::new(config.bin.join("postgres"))
            .arg("-D")
            .arg(order.data)
            .account(Account::Database)
            .limit(Duration::from_secs(7 * 24 * 3600))
            .end_signal(rustix::process::Signal::INT.as_raw())
            .grace(Duration::from_secs(60));
        if let Some(file) = outside_configuration(node, config, order.data).await? {
            let mut setting = std::ffi::OsString::from("config_file=");
            setting.push(file);
            program = program.arg("-c").arg(setting);
            program = program.arg("-c").arg(format!("data_directory={}", order.data.display()));
        }
        for (name, value) in settings {
            program = program.arg("-c").arg(format!("{name}={value}"));
        }
        let copy = Arc::new(Copy {
            server: Server {
                socket_dir: socket_dir.clone(),
                port: config.port,
                superuser: config.superuser.clone(),
            },
            log: Arc::default(),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        let ended = copy.ended.clone().drop_guard();
        let (task_node, task_copy) = (NodeRef::clone(node), Arc::clone(&copy));
        tokio::spawn(async move {
            let result = task_node
                .processes
                .run(program, &task_copy.stop, |_, bytes| {
                    task_copy.log.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
                })
                .await;
            if let Err(error) = result {
                let mut log = task_copy.log.lock().unwrap_or_else(PoisonError::into_inner);
                log.take(format!("{error}\n").as_bytes());
            }
            // What is in the socket folder is of no use any more; a leftover is replaced by the next start.
            let _ = task_node.processes.files(Account::Database).remove_tree(&socket_dir).await;
            drop(ended);
        });
        let mut running = node.copies.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(order.data.to_owned(), Arc::clone(&copy));
        Ok(copy)
    }

    /// Stops one fast and waits for its end; nothing to do when it does not run.
    pub async fn stop(&self, data: &Path) {
        if let Some(copy) = self.get(data) {
            copy.stop.cancel();
            copy.ended.cancelled().await;
            self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(data);
        }
    }
}

impl Copy {
    /// Waits until it lets clients in; an error when it ends before.
    pub async fn ready(&self, cancel: &CancellationToken) -> Result<Client, CallError> {
        let begun = Instant::now();
        loop {
            if self.has_ended() {
                return Err(self.failure("the copy of the database does not come up"));
            }
            match self.server.connect("postgres").await {
                Ok(client) => return Ok(client),
                // Not yet there, or not yet consistent.
                Err(error)
                    if error.as_db_error().is_none_or(|db| *db.code() == SqlState::CANNOT_CONNECT_NOW) =>
                {
                    if begun.elapsed() > START_LIMIT {
                        return Err(self
                            .failure("the copy of the database does not let anybody in")
                            .because(explained(&error)));
                    }
                }
                Err(error) => {
                    return Err(CallError::failed("the copy of the database refuses the agent")
                        .because(explained(&error)));
                }
            }
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it does not run any more.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// The line by which the replay said that it reached its target.
    pub fn stopping(&self) -> Option<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).stopping.clone()
    }

    /// Where the archive ended, if the last commit in it is of this very moment: nothing behind it says that the
    /// target is reached, but it is.
    pub fn end_of_archive_at(&self, moment: Timestamp) -> Option<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let there = self.has_ended() && log.ended_before_target() && log.last_commit == Some(moment);
        log.redo_done.clone().filter(|_| there)
    }

    /// An error with what its log says.
    pub fn failure(&self, message: &str) -> CallError {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.ended_before_target() {
            let error = CallError::failed("the archive ends before the moment that was asked for")
                .because("no commit after it was found, and the live database could not add one");
            return match log.last_commit {
                Some(last) => error.hint(format!(
                    "restore to the last commit that is archived: orocloud-cli backup:restore --to={last}"
                )),
                None => error.hint("see what can be restored: orocloud-cli backup:window"),
            };
        }
        log.tail().fold(CallError::failed(message), CallError::because)
    }
}

/// The `max_*` settings of which the WAL that is replayed may make use: the larger ones of the copy's and the live
/// server's. The copy's own configuration may have smaller ones; the replay would then stop for good, and call it
/// a pause.
async fn limits(
    node: &NodeRef,
    config: &Database,
    data: &Path,
) -> Result<Vec<(&'static str, String)>, CallError> {
    let own = Control::read(&node.processes, config, data).await?;
    // A live folder that cannot be read is one of the reasons to restore.
    let live = Control::read(&node.processes, config, &config.data)
        .await
        .map_or_else(|_| Vec::new(), |live| live.limits);
    Ok(own
        .limits
        .into_iter()
        .map(|(name, value)| {
            let live = live.iter().find(|(live, _)| *live == name).map_or(0, |(_, value)| *value);
            (name, value.max(live).to_string())
        })
        .collect())
}

/// A step was cancelled.
pub(crate) fn cancelled() -> CallError {
    CallError::new(orocloud_protocol::ErrorKind::Cancelled, "cancelled")
}

/// The agent's account, as PostgreSQL will see it.
async fn own_name(node: &NodeRef) -> Result<String, CallError> {
    let finished = node.processes.output(Program::new("/usr/bin/id").arg("-un")).await?;
    Ok(String::from_utf8_lossy(&finished.stdout).trim().to_owned())
}

/// Where the configuration does not lie in the data folder (Debian's /etc/postgresql), the file that the live
/// server was started with.
async fn outside_configuration(
    node: &NodeRef,
    config: &Database,
    data: &Path,
) -> Result<Option<PathBuf>, CallError> {
    let files = node.processes.files(Account::Database);
    if files.read(&data.join("postgresql.conf")).await?.is_some() {
        return Ok(None);
    }
    let options = files.read(&config.data.join("postmaster.opts")).await?.unwrap_or_default();
    match config_file(&String::from_utf8_lossy(&options)) {
        Some(file) => Ok(Some(file)),
        None => Err(CallError::failed(format!(
            "{} has no postgresql.conf, and the live server's postmaster.opts names none",
            data.display()
        ))),
    }
}

/// `/usr/lib/postgresql/15/bin/postgres "-D" "/data" "-c" "config_file=/etc/…"`
fn config_file(options: &str) -> Option<PathBuf> {
    options
        .split('"')
        .find_map(|word| {
            word.strip_prefix("config_file=")
                .or_else(|| word.strip_prefix("--config-file="))
                .or_else(|| word.strip_prefix("--config_file="))
        })
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_the_live_server_is_found() {
        let options = "/usr/lib/postgresql/15/bin/postgres \"-D\" \"/data\" \"-c\" \"config_file=/etc/pg/postgresql.conf\"\n";
        assert_eq!(config_file(options), Some(PathBuf::from("/etc/pg/postgresql.conf")));
        assert_eq!(config_file("/bin/postgres \"-D\" \"/data\""), None);
    }
}
