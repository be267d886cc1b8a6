//! A restore of a large database, against the same engines typed by hand.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use orocloud_sandbox::{Options, SSH_PORT, Sandbox};
use serde_json::Value;

use super::connection::cli;
use super::measure::{in_turns, run};
use super::plain_sshd::real_address;
use super::{Result, Row, Topic};

pub const TOPIC: Topic = Topic { names: &["restore-1gb"], measure };

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// The copy's port; its socket lies beside the live one's.
const ASIDE_PORT: &str = "5499";

/// An environment with a gigabyte in its database, and a moment that it shall go back to.
struct Filled {
    sandbox: Sandbox,
    moment: String,
    /// The backup that the moment is reached from.
    set: String,
}

impl Filled {
    fn new() -> Result<Self> {
        let sandbox = Sandbox::start(Options::default())?;
        let maint = real_address(&sandbox, "maint1", SSH_PORT)?;
        run(cli(&sandbox, maint)?.args(["deploy", "--reference=1.0.0", "-n"]))?;
        sandbox.psql(
            "create table filler as select number, md5(number::text) || md5((number * 7)::text) as one,
               md5((number * 11)::text) || repeat('an order as it comes in ', 3) as other
             from generate_series(1, 5000000) as number",
        )?;
        // Otherwise autovacuum does it in the middle of some rounds, whose shutdown then waits for its WAL to be archived.
        sandbox.psql("vacuum (freeze, analyze) filler")?;
        run(cli(&sandbox, maint)?.args(["backup:create", "-n"]))?;
        sandbox.psql("insert into orders select from generate_series(1, 100)")?;
        let moment =
            sandbox.psql("select to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")?;
        // A target is a moment between two commits.
        sandbox.psql("select pg_sleep(1.1); insert into orders default values; select pg_switch_wal()")?;
        let info: Value = serde_json::from_str(&sandbox.pgbackrest(&["info", "--output=json"])?)?;
        let sets = info[0]["backup"].as_array().ok_or("there is no backup")?;
        let set = sets.last().and_then(|set| set["label"].as_str()).ok_or("a backup without a label")?;
        Ok(Self { moment: moment.trim().to_owned(), set: set.to_owned(), sandbox })
    }

    fn ours(&self) -> Result<f64> {
        let mut command = cli(&self.sandbox, real_address(&self.sandbox, "maint1", SSH_PORT)?)?;
        command.args(["backup:restore", &format!("--to={}", self.moment)]);
        command.args(["--force", "--confirm=acme-prod1", "-n"]);
        Ok(run(&mut command)?.wall.as_secs_f64())
    }

    /// What a database administrator would type, the safety point before and the backup after included.
    fn by_hand(&self) -> Result<f64> {
        let db = self.sandbox.node("db1")?;
        let live = db.dir().join("lib/postgresql/15/main");
        let beside = |name: &str| live.with_file_name(name);
        let (aside, old) = (beside("by-hand"), beside("before-by-hand"));
        let owner = fs::metadata(&live)?;
        let socket = db.dir().join("run/postgresql");
        let _ = fs::remove_dir_all(&old);
        let begin = Instant::now();

        self.sandbox.pgbackrest(&["backup", "--type=incr"])?;
        fs::create_dir(&aside)?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o700))?;
        chown(&aside, Some(owner.uid()), Some(owner.gid()))?;
        self.sandbox.pgbackrest(&[
            "restore",
            &format!("--pg1-path={}", aside.display()),
            &format!("--set={}", self.set),
            "--type=time",
            &format!("--target={}", self.moment.replace('T', " ").replace('Z', "+00")),
            "--target-timeline=1",
            "--target-action=pause",
        ])?;
        let pg_ctl = |arguments: &[&str]| -> Result<()> {
            let mut command = Command::new("/usr/bin/setpriv");
            if rustix::process::geteuid().is_root() {
                command.arg(format!("--reuid={}", owner.uid())).arg(format!("--regid={}", owner.gid()));
                command.arg("--clear-groups");
            }
            command.arg(format!("{BIN}/pg_ctl")).arg("--silent").arg("-D").arg(&aside).args(arguments);
            run(command.current_dir("/")).map(drop)
        };
        let options = format!(
            "-p {ASIDE_PORT} -k {} -c listen_addresses='' -c config_file={}/postgresql.conf",
            socket.display(),
            aside.display()
        );
        pg_ctl(&["-l", "/dev/null", "-o", &options, "-t", "120", "-w", "start"])?;
        let copy = |sql: &str| psql(&socket, ASIDE_PORT, sql);
        wait(|| copy("select pg_get_wal_replay_pause_state()").is_ok_and(|state| state == "paused"))?;
        let counts = "select count(*) from orders; select count(*) from filler";
        copy(counts)?;
        self.sandbox.psql(counts)?;
        pg_ctl(&["-m", "fast", "-w", "stop"])?;

        db.stop_service("postgresql")?;
        fs::rename(&live, &old)?;
        fs::rename(&aside, &live)?;
        db.start_service("postgresql")?;
        wait(|| {
            self.sandbox
                .psql("select pg_get_wal_replay_pause_state()")
                .is_ok_and(|state| state.trim() == "paused")
        })?;
        // pgBackRest takes the timeline from pg_control, where a checkpoint writes it.
        self.sandbox.psql("select pg_promote(); checkpoint")?;
        self.sandbox.pgbackrest(&["backup", "--type=incr"])?;
        Ok(begin.elapsed().as_secs_f64())
    }
}

fn psql(socket: &Path, port: &str, sql: &str) -> Result<String> {
    let mut command = Command::new(PathBuf::from(BIN).join("psql"));
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username=postgres"]);
    command.arg("--host").arg(socket).args(["--port", port, "--dbname=shop", "--command", sql]);
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn wait(condition: impl Fn() -> bool) -> Result<()> {
    let limit = Instant::now() + Duration::from_secs(120);
    while !condition() {
        if Instant::now() > limit {
            return Err("the database does not come so far".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn measure() -> Result<Vec<Row>> {
    // One for each, for a restore changes what the next one finds.
    let (own, other) = (Filled::new()?, Filled::new()?);
    let (ours, reference) = in_turns(3, || own.ours(), || other.by_hand())?;
    Ok(vec![Row {
        name: "restore-1gb",
        unit: "s",
        ours,
        reference,
        goal: 1.05,
        command: "orocloud-cli backup:restore --to=… / pgbackrest backup, restore, postgres aside, counts, swap, pgbackrest backup by hand".to_owned(),
    }])
}
