//! PostgreSQL and pgBackRest of db1.

use std::fs;
use std::path::PathBuf;

use crate::accounts::{Accounts, Duty};
use crate::blueprint::Blueprint;
use crate::error::{Context, Result};
use crate::hosts::{ENVIRONMENT, HOSTS, Host, POSTGRESQL_PORT};
use crate::layout::NodeLayout;
use crate::run::plain;
use crate::service::{Folder, Ready, Service, signal};

/// Where Debian keeps the programs of PostgreSQL 15.
pub const BIN: &str = "/usr/lib/postgresql/15/bin";

/// Creates the cluster and the stanza; the slowest part of a start.
pub fn create(blueprint: &Blueprint, host: &Host) -> Result<()> {
    let node = blueprint.node(host);
    let accounts = &blueprint.accounts;
    let data = node.cluster();
    // Copies that are restored aside become siblings of the cluster, so its parent belongs to the database account.
    fs::create_dir_all(node.root.join("lib/postgresql"))?;
    accounts.folder(&node.root.join("lib/postgresql/15"), Duty::Database, 0o755)?;
    accounts.folder(&node.root.join("lib/pgbackrest-spool"), Duty::Database, 0o750)?;
    accounts.folder(&node.log("pgbackrest"), Duty::Database, 0o755)?;
    accounts.folder(&node.run("pgbackrest"), Duty::Database, 0o755)?;
    accounts.folder(&blueprint.layout.repository("pgbackrest"), Duty::Database, 0o700)?;
    accounts.file(&node.etc("pgbackrest.conf"), Duty::Database, 0o600, &pgbackrest_conf(blueprint, &node))?;

    let initdb = format!("{BIN}/initdb");
    let data_text = data.to_string_lossy();
    accounts.run(
        Duty::Database,
        &[
            &initdb,
            "--pgdata",
            &data_text,
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
            "--auth-local=peer",
            "--auth-host=scram-sha-256",
            // A sandbox that a power cut ends is not missed.
            "--no-sync",
            "--no-instructions",
        ],
        "",
    )?;
    append(blueprint, data.join("postgresql.conf"), &postgresql_conf(blueprint, host))?;
    accounts.file(&data.join("pg_hba.conf"), Duty::Database, 0o600, PG_HBA)?;
    accounts.file(&data.join("pg_ident.conf"), Duty::Database, 0o600, &pg_ident(blueprint)?)?;
    pgbackrest(accounts, &node, &["--no-online", "stanza-create"]).map(drop)
}

/// Runs pgBackRest on the cluster's stanza.
pub fn pgbackrest(accounts: &Accounts, node: &NodeLayout, arguments: &[&str]) -> Result<String> {
    let config = format!("--config={}", node.etc("pgbackrest.conf").display());
    let stanza = format!("--stanza={ENVIRONMENT}");
    let mut command = vec!["/usr/bin/pgbackrest", &config, &stanza];
    command.extend(arguments);
    accounts.run(Duty::Database, &command, "")
}

/// Takes away the shared memory of a server that was killed: its number stands in the postmaster.pid it left behind.
/// One that ended by itself left neither.
pub fn remove_shared_memory(node: &NodeLayout) {
    let Some(clusters) = node.cluster().parent().map(fs::read_dir).and_then(std::io::Result::ok) else {
        return;
    };
    for cluster in clusters.flatten() {
        let text = fs::read_to_string(cluster.path().join("postmaster.pid")).unwrap_or_default();
        // The seventh line: key and number.
        if let Some(number) = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            let _ = plain(&["/usr/bin/ipcrm", "--shmem-id", number]);
        }
    }
}

/// Creates the application's account and database in the running cluster.
pub fn create_database(blueprint: &Blueprint, host: &Host) -> Result<()> {
    let sql = format!(
        "create role app login password '{}';\ncreate database shop owner app;\n",
        blueprint.secrets.database
    );
    psql(&blueprint.accounts, &blueprint.node(host), "postgres", &sql).map(drop)
}

/// Runs SQL as superuser through the unix socket and gives unaligned rows without headings.
pub fn psql(accounts: &Accounts, node: &NodeLayout, database: &str, sql: &str) -> Result<String> {
    let psql = format!("{BIN}/psql");
    let socket = node.run("postgresql").to_string_lossy().into_owned();
    let port = POSTGRESQL_PORT.to_string();
    let command = [
        &psql,
        "--no-psqlrc",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set=ON_ERROR_STOP=1",
        "--host",
        &socket,
        "--port",
        &port,
        "--username=postgres",
        "--dbname",
        database,
    ];
    accounts.run(Duty::Database, &command, sql)
}

/// The service, and its folders under /run.
pub fn service(blueprint: &Blueprint, host: &Host) -> Result<(Service, Vec<Folder>)> {
    let node = blueprint.node(host);
    let data = node.cluster();
    let mut command = blueprint.accounts.prefix(Duty::Database, &[]);
    command.extend([format!("{BIN}/postgres"), "-D".to_owned(), data.to_string_lossy().into_owned()]);
    let ready = Ready::Postmaster(data.join("postmaster.pid"));
    let mut service = blueprint.service(host, "postgresql", command, ready);
    // Fast shutdown: sessions are rolled back, the archive is brought up to date.
    service.stop_signal = signal::INT;
    service.stop_seconds = 60;
    // Recovery after a crash or a restore can take its time.
    service.ready_seconds = 600;
    // Even in a hurry it must take its shared memory away.
    service.quick_signal = signal::QUIT;
    service.alone_in = Some(data);
    let folders = vec![
        blueprint.run_folder(&node.run("postgresql"), Duty::Database, 0o755)?,
        blueprint.run_folder(&node.run("pgbackrest"), Duty::Database, 0o755)?,
    ];
    Ok((service, folders))
}

fn append(blueprint: &Blueprint, path: PathBuf, more: &str) -> Result<()> {
    let text = fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
    blueprint.accounts.file(&path, Duty::Database, 0o600, &(text + more))
}

fn postgresql_conf(blueprint: &Blueprint, host: &Host) -> String {
    let node = blueprint.node(host);
    format!(
        "
# The sandbox
listen_addresses = '{address}'
port = {POSTGRESQL_PORT}
unix_socket_directories = '{socket}'
max_connections = 50
shared_buffers = 64MB
# A file in the cluster instead of /dev/shm: a killed sandbox leaves nothing there.
dynamic_shared_memory_type = mmap
wal_level = replica
archive_mode = on
archive_command = 'pgbackrest --config={config} --stanza={ENVIRONMENT} archive-push %p'
archive_timeout = 60
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
",
        address = blueprint.addresses.real(host),
        socket = node.run("postgresql").display(),
        config = node.etc("pgbackrest.conf").display(),
    )
}

/// Over the socket: who the ident map names is superuser. Over TCP: the application alone, with its password.
const PG_HBA: &str = "\
local  all   postgres                peer map=superuser
host   all   app       127.0.0.0/8   scram-sha-256
";

fn pg_ident(blueprint: &Blueprint) -> Result<String> {
    let mut names = vec![blueprint.accounts.owner.name.clone()];
    for duty in [Duty::Agent, Duty::Database] {
        let name = blueprint.accounts.of(duty)?.name;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names.iter().map(|name| format!("superuser  {name}  postgres\n")).collect())
}

fn pgbackrest_conf(blueprint: &Blueprint, node: &NodeLayout) -> String {
    format!(
        "[global]
repo1-path={repository}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={pass}
# What is kept is the agent's decision; nothing expires by itself.
repo1-retention-full=9999999
expire-auto=n
compress-type=zst
process-max=2
# A cluster has over a thousand small files.
repo1-bundle=y
start-fast=y
log-level-console=warn
log-level-stderr=warn
log-level-file=info
log-path={log}
lock-path={lock}
spool-path={spool}

[{ENVIRONMENT}]
pg1-path={data}
pg1-port={POSTGRESQL_PORT}
pg1-socket-path={socket}
pg1-user=postgres
",
        repository = blueprint.layout.repository("pgbackrest").display(),
        pass = blueprint.secrets.pgbackrest,
        log = node.log("pgbackrest").display(),
        lock = node.run("pgbackrest").display(),
        spool = node.root.join("lib/pgbackrest-spool").display(),
        data = node.cluster().display(),
        socket = node.run("postgresql").display(),
    )
}

/// The db host.
pub fn host() -> &'static Host {
    &HOSTS[2]
}
