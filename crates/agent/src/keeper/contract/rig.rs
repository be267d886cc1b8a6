//! Plain PostgreSQL with a pgBackRest repository in a folder of its own, behind a service manager in a thread.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::engines::pgbackrest::PgBackRest;
use crate::engines::postgres::{Server, archived_marker, timestamp_of};
use crate::environment::Agent;
use crate::nodes::{Node, NodeRef};
use crate::operations::EventSink;
use crate::process::{AccountNames, Processes};

const BIN: &str = "/usr/lib/postgresql/15/bin";

pub(crate) struct Rig {
    folder: tempfile::TempDir,
    pub(crate) node: NodeRef,
}

impl Rig {
    /// `None` where PostgreSQL is not installed; `cargo xtask test` installs it.
    pub(crate) async fn start() -> Option<Self> {
        if !Path::new(BIN).exists() || !Path::new("/usr/bin/pgbackrest").exists() {
            eprintln!("skipped: PostgreSQL 15 or pgBackRest is not installed");
            return None;
        }
        let place = std::env::var_os("OROCLOUD_TEST_FOLDER").unwrap_or_else(|| "/tmp".into());
        let folder = tempfile::Builder::new().prefix("keeper-").tempdir_in(place).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let root = folder.path();
        for name in ["pg", "run", "repository", "log", "lock", "spool"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres:").arg(root));
        }
        // The agent's own, as the tests run.
        for name in ["state", "media", "restic"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        if is_root() {
            run(Command::new("chown").arg("nobody:").arg(root.join("media")));
        }
        write_configuration(root);
        let socket = root.join("supervisor.sock");
        serve(UnixListener::bind(&socket).unwrap(), root.to_owned());
        let config = Agent::load(&root.join("agent.toml")).unwrap();
        let names = || AccountNames {
            build: "nobody".into(),
            app: "nobody".into(),
            database: "postgres".into(),
            mail: None,
        };
        let processes = Processes::new(is_root().then(names));
        let node = Node::new(config, processes);
        let rig = Self { folder, node };
        rig.initialise().await;
        Some(rig)
    }

    async fn initialise(&self) {
        let data = self.data();
        self.as_database(&[
            &format!("{BIN}/initdb"),
            "--no-sync",
            "--username=postgres",
            "--auth-local=peer",
            "--auth-host=reject",
            "-D",
            &data,
        ]);
        let root = self.folder.path();
        let settings = format!(
            "listen_addresses = ''\nport = 5432\nunix_socket_directories = '{run}'\nshared_buffers = 16MB\n\
             dynamic_shared_memory_type = mmap\nwal_level = replica\narchive_mode = on\n\
             archive_command = 'pgbackrest --config={config} --stanza=t archive-push %p'\n\
             hba_file = '{hba}'\nident_file = '{ident}'\n",
            run = root.join("run").display(),
            config = root.join("pgbackrest.conf").display(),
            hba = root.join("hba.conf").display(),
            ident = root.join("ident.conf").display(),
        );
        let script = format!("cat >> {data}/postgresql.conf <<'END'\n{settings}END\n");
        self.as_database(&["/bin/sh", "-c", &script]);
        let config = root.join("pgbackrest.conf").display().to_string();
        self.as_database(&[
            "/usr/bin/pgbackrest",
            &format!("--config={config}"),
            "--stanza=t",
            "--no-online",
            "stanza-create",
        ]);
        self.node.services.start("postgresql").await.unwrap();
        let client = self.server().connect("postgres").await.unwrap();
        client.batch_execute("create database shop").await.unwrap();
    }

    fn data(&self) -> String {
        self.folder.path().join("pg/main").display().to_string()
    }

    /// Whether there is a copy that runs, and each has no address and a socket away from the live one
    /// (`postmaster.pid`: pid, folder, start, port, folder of the socket, address).
    pub(crate) fn copies_are_private(&self) -> bool {
        let live = self.folder.path().join("run").display().to_string();
        let folders = std::fs::read_dir(self.folder.path().join("pg")).unwrap().flatten();
        let copies: Vec<String> = folders
            .filter(|folder| folder.file_name() != "main")
            .filter_map(|folder| std::fs::read_to_string(folder.path().join("postmaster.pid")).ok())
            .collect();
        let private = |copy: &String| {
            let line = |number: usize| copy.lines().nth(number).unwrap_or_default().trim();
            line(4) != live && line(5).is_empty()
        };
        !copies.is_empty() && copies.iter().all(private)
    }

    fn server(&self) -> Server {
        Server { socket_dir: self.folder.path().join("run"), port: 5432, superuser: "postgres".into() }
    }

    /// Runs SQL in the live database; the first column of the first row, as text.
    pub(crate) async fn sql(&self, statement: &str) -> String {
        let client = self.server().connect("shop").await.unwrap();
        let answers = client.simple_query(statement).await.unwrap();
        answers
            .iter()
            .find_map(|answer| match answer {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default()
    }

    pub(crate) async fn orders(&self, number: u32) {
        self.sql(&format!("insert into orders select from generate_series(1, {number})")).await;
    }

    pub(crate) async fn count(&self) -> u64 {
        self.sql("select count(*) from orders").await.parse().unwrap()
    }

    /// A moment behind everything that was committed, and before everything that will be.
    pub(crate) async fn moment(&self) -> Timestamp {
        let text = self.sql("select (extract(epoch from clock_timestamp()) * 1000000)::bigint").await;
        timestamp_of(text.parse().ok()).unwrap()
    }

    /// Waits until all that is committed is archived.
    pub(crate) async fn archived(&self) {
        let client = self.server().connect("postgres").await.unwrap();
        archived_marker(&client).await.unwrap();
    }

    /// Segments that are not archived yet.
    pub(crate) async fn waiting_for_the_archive(&self) -> i64 {
        let client = self.server().connect("postgres").await.unwrap();
        let sql = "select count(*) from pg_ls_archive_statusdir() where name like '%.ready'";
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn backup(&self, kind: &str) -> String {
        let engine = PgBackRest::new(&self.node.processes, self.node.config.database.as_ref().unwrap());
        engine.backup(kind, "test", &EventSink::none(), &CancellationToken::new()).await.unwrap()
    }

    /// Makes the server fail when it is started from the one copy there is.
    pub(crate) fn spoil_copy(&self) {
        let script = format!(
            "for file in {}.aside-*/postgresql.auto.conf; do echo 'max_connections = none' >> $file; done",
            self.data()
        );
        self.as_database(&["/bin/sh", "-c", &script]);
    }

    /// Its folder.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// What lies beside the live folder, with it.
    pub(crate) fn beside(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path().join("pg"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What is set beside postgresql.conf.
    pub(crate) fn settings(&self) -> String {
        let path = format!("{}/postgresql.auto.conf", self.data());
        String::from_utf8(as_database(&["/bin/cat", &path]).output().unwrap().stdout).unwrap()
    }

    /// The live server dies, and its data folder with it as far as the service manager is concerned.
    pub(crate) fn kill(&self) {
        self.as_database(&[&format!("{BIN}/pg_ctl"), "-D", &self.data(), "-m", "immediate", "stop"]);
    }

    /// The live server dies, and its folder is gone.
    pub(crate) fn lose(&self) {
        self.kill();
        self.as_database(&["/bin/rm", "-rf", &self.data()]);
    }

    fn as_database(&self, command: &[&str]) {
        run(&mut as_database(command));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let data = self.data();
        let _ =
            as_database(&[&format!("{BIN}/pg_ctl"), "-D", &data, "-m", "immediate", "-s", "stop"]).output();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_database(command: &[&str]) -> Command {
    let mut program;
    if is_root() {
        program = Command::new("setpriv");
        program.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).args(command);
    } else {
        program = Command::new(command[0]);
        program.args(&command[1..]);
    }
    program.current_dir("/").env("LC_ALL", "C");
    program
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn write_configuration(root: &Path) {
    let text = |name: &str, content: String| {
        std::fs::write(root.join(name), content).unwrap();
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(0o644)).unwrap();
    };
    let at = |name: &str| root.join(name).display().to_string();
    let account = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    text("hba.conf", "local all postgres peer map=superuser\n".into());
    text("ident.conf", format!("superuser {} postgres\nsuperuser postgres postgres\n", account.trim()));
    text(
        "pgbackrest.conf",
        format!(
            "[global]\nrepo1-path={}\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=secret\ncompress-type=zst\n\
             log-path={}\nlock-path={}\nspool-path={}\nlog-level-console=warn\nrepo1-retention-full=9999999\n\
             [t]\npg1-path={}\npg1-socket-path={}\npg1-user=postgres\n",
            at("repository"),
            at("log"),
            at("lock"),
            at("spool"),
            at("pg/main"),
            at("run"),
        ),
    );
    text(
        "environment.toml",
        "format = 1\nname = \"acme-prod1\"\nproject = \"acme\"\ntype = \"prod\"\nurl = \"http://127.0.0.1/\"\n\
         keeper = \"postgresql\"\n[[node]]\nname = \"db1\"\nroles = [\"maint\", \"db\"]\nzone = \"a\"\naddress = \"127.0.0.1\"\n\
         [application]\ndocument_root = \"public\"\n[repository]\nurl = \"/none\"\n[backup]\nschedule = \"off\"\n"
            .into(),
    );
    text("restic-password", "secret".into());
    text(
        "agent.toml",
        format!(
            "format = 1\nnode = \"db1\"\nenvironment_file = \"{environment}\"\nstate = \"{state}\"\nrun = \"{run}\"\n\
             log = \"{log}\"\n[service_manager]\nkind = \"supervisor\"\nsocket = \"{socket}\"\n[database]\n\
             service = \"postgresql\"\ndata = \"{data}\"\nbin = \"{BIN}\"\nsocket_dir = \"{run}\"\nport = 5432\n\
             superuser = \"postgres\"\nname = \"shop\"\npgbackrest_config = \"{backrest}\"\nstanza = \"t\"\n\
             process_max = 2\n[maint]\ngit_mirror = \"/none\"\nbuild = \"/none\"\ncomposer_home = \"/none\"\n\
             media = \"{media}\"\nrestic_repository = \"{restic}\"\nrestic_password_file = \"{password}\"\n",
            media = at("media"),
            restic = at("restic"),
            password = at("restic-password"),
            environment = at("environment.toml"),
            state = at("state"),
            run = at("run"),
            log = at("log"),
            socket = at("supervisor.sock"),
            data = at("pg/main"),
            backrest = at("pgbackrest.conf"),
        ),
    );
}

/// The service manager: starts and stops the one service, by `pg_ctl`.
fn serve(listener: UnixListener, root: PathBuf) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let request: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let answer = carry_out(request["do"].as_str().unwrap_or_default(), &root);
            let _ = stream.write_all(format!("{answer}\n").as_bytes());
        }
    });
}

fn carry_out(wish: &str, root: &Path) -> serde_json::Value {
    let data = root.join("pg/main").display().to_string();
    let log = root.join("log/postgresql.log").display().to_string();
    let pg_ctl = format!("{BIN}/pg_ctl");
    let running =
        || as_database(&[&pg_ctl, "-D", &data, "status"]).output().is_ok_and(|o| o.status.success());
    let done = match wish {
        "start" if !running() => {
            // Its descriptors are its own, or whoever waits for our output would wait for it.
            as_database(&[&pg_ctl, "-D", &data, "-l", &log, "-w", "-s", "start"]).output()
        }
        "stop" if running() => {
            as_database(&[&pg_ctl, "-D", &data, "-m", "fast", "-w", "-s", "stop"]).output()
        }
        _ => Command::new("true").output(),
    };
    match done {
        Ok(output) if output.status.success() => {
            let state = if running() { "running" } else { "stopped" };
            let service = serde_json::json!({ "name": "postgresql", "state": state, "pid": null, "since": "", "detail": null });
            serde_json::json!({ "ok": true, "services": [service] })
        }
        Ok(output) => {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            let error = format!("{} {last:?}", String::from_utf8_lossy(&output.stderr));
            serde_json::json!({ "ok": false, "error": error })
        }
        Err(error) => serde_json::json!({ "ok": false, "error": error.to_string() }),
    }
}
