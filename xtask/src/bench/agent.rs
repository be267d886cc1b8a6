//! The coordinator itself: its memory, and its lists when they are long.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use orocloud_protocol::{CallId, Page, backup, log};
use orocloud_sandbox::{Options, SSH_PORT, Sandbox};
use serde_json::Value;

use super::channel::Channel;
use super::connection::cli;
use super::logs::log_of;
use super::measure::{median, milliseconds, run};
use super::plain_sshd::{Login, real_address};
use super::{Result, Row, Topic};

pub const MEMORY: Topic = Topic { names: &["memory-idle", "memory-200-tails"], measure: memory };
pub const LISTS: Topic =
    Topic { names: &["log-list-100000", "log-list-first", "backup-list-1000"], measure: lists };

const TAILS: usize = 200;
const SIGNING_IN: usize = 10;

/// Megabytes that the coordinator's process has in memory.
fn resident(sandbox: &Sandbox) -> Result<f64> {
    let pid = sandbox.node("maint1")?.service("agent")?.pid.ok_or("the agent does not run")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1000.0 * 1.024)
}

/// Ends them all when dropped.
struct Tails(Vec<Child>);

impl Drop for Tails {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn memory() -> Result<Vec<Row>> {
    let sandbox = Sandbox::start(Options::default())?;
    let logs = [log_of(&sandbox, "web1")?, log_of(&sandbox, "web2")?];
    for log in &logs {
        fs::write(log, format!("[{:.6}] app.INFO: begun\n", Timestamp::now()))?;
    }
    let maint = real_address(&sandbox, "maint1", SSH_PORT)?;
    // A call that everybody makes, so that nothing is measured that nobody has ever used.
    run(cli(&sandbox, maint)?.arg("status")).ok();
    thread::sleep(Duration::from_secs(5));
    let idle = resident(&sandbox)?;

    let folder = tempfile::tempdir()?;
    let mut tails = Tails(Vec::new());
    let limit = Instant::now() + Duration::from_secs(600);
    let begun = || -> std::io::Result<usize> {
        let files = fs::read_dir(folder.path())?.flatten();
        Ok(files.filter(|file| file.metadata().is_ok_and(|file| file.size() > 0)).count())
    };
    // sshd drops connections when too many sign in at once.
    let wait_for = |wanted: usize| -> Result<()> {
        while begun()? < wanted {
            if Instant::now() > limit {
                return Err(format!("only {} of {wanted} tails show something", begun()?).into());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    };
    for number in 0..TAILS {
        wait_for(number.saturating_sub(SIGNING_IN))?;
        let output = File::create(folder.path().join(number.to_string()))?;
        let mut command = cli(&sandbox, maint)?;
        command.args(["log:tail", "app", "--lines=1"]).stdin(Stdio::null()).stdout(output);
        tails.0.push(command.stderr(Stdio::null()).spawn()?);
    }
    wait_for(TAILS)?;
    let mut most = resident(&sandbox)?;
    for _ in 0..10 {
        for log in &logs {
            let mut file = OpenOptions::new().append(true).open(log)?;
            for _ in 0..50 {
                writeln!(file, "[{:.6}] app.INFO: {}", Timestamp::now(), "x".repeat(150))?;
            }
        }
        thread::sleep(Duration::from_millis(500));
        most = most.max(resident(&sandbox)?);
    }
    let row = |name, ours, goal, command: &str| Row {
        name,
        unit: "MB",
        ours,
        reference: 1.0,
        goal,
        command: command.to_owned(),
    };
    Ok(vec![
        row("memory-idle", idle, 15.0, "VmRSS of orocloud-agent serve on maint1, after a status"),
        row(
            "memory-200-tails",
            most,
            100.0,
            "the same, while 200 × orocloud-cli log:tail app follow two nodes",
        ),
    ])
}

fn lists() -> Result<Vec<Row>> {
    let sandbox = Sandbox::start(Options::default())?;
    let maint = real_address(&sandbox, "maint1", SSH_PORT)?;
    run(cli(&sandbox, maint)?.args(["deploy", "--reference=1.0.0", "-n"]))?;
    fill_operations(&sandbox.journal_dir())?;
    fill_points(&sandbox.node("maint1")?.dir().join("state/points"))?;
    sandbox.node("maint1")?.restart_service("agent")?;
    let login = Login::new(&sandbox)?;
    let mut channel = Channel::open(login.ssh("maint1", maint))?;
    let first = Page { page: 1, per_page: 25 };
    let mut operations = Vec::new();
    let mut points = Vec::new();
    // The very first call reads what the others may remember.
    for _ in 0..21 {
        let begin = Instant::now();
        let answer = channel.call::<log::List>(&log::ListParams { page: first })?;
        operations.push(milliseconds(begin.elapsed()));
        if answer.total < OPERATIONS || answer.items.len() != 25 {
            return Err(format!("log.list knows {} operations", answer.total).into());
        }
        let begin = Instant::now();
        let answer = channel.call::<backup::List>(&backup::ListParams { page: first })?;
        points.push(milliseconds(begin.elapsed()));
        if answer.total < POINTS {
            return Err(format!("backup.list knows {} points", answer.total).into());
        }
    }
    let first = operations[0];
    let (operations, points) = (median(&mut operations), median(&mut points));
    let row = |name, ours, command: &str| Row {
        name,
        unit: "ms",
        ours,
        reference: 1.0,
        goal: 50.0,
        command: command.to_owned(),
    };
    Ok(vec![
        row("log-list-100000", operations, "log.list, first page, 100,000 operations"),
        row("log-list-first", first, "the same, the first call as soon as the agent has started"),
        row("backup-list-1000", points, "backup.list, 1,000 recovery points"),
    ])
}

const OPERATIONS: u64 = 100_000;
const POINTS: u64 = 1000;

/// Writes a file for whoever the folder belongs to.
fn write(file: &Path, value: &Value) -> Result<()> {
    fs::write(file, serde_json::to_vec(value)?)?;
    Ok(())
}

/// So many operations of the last year, like the one that was.
fn fill_operations(folder: &Path) -> Result<()> {
    let month = fs::read_dir(folder)?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("20"))
        .ok_or("there is no journal")?;
    let operation = fs::read_dir(month.path())?.flatten().next().ok_or("there is no operation")?;
    let mut record: Value = serde_json::from_slice(&fs::read(operation.path().join("operation.json"))?)?;
    let (now, step) = (Timestamp::now(), 31_536_000 / i64::try_from(OPERATIONS)?);
    for number in 1..=OPERATIONS {
        let at = now.checked_sub((step * i64::try_from(number)?).seconds())?;
        let id = CallId::from_parts(u64::try_from(at.as_millisecond())?, u128::from(number));
        let place = folder.join(at.strftime("%Y-%m").to_string()).join(id.to_string());
        fs::create_dir_all(&place)?;
        record["id"] = id.to_string().into();
        record["started_at"] = at.to_string().into();
        write(&place.join("operation.json"), &record)?;
    }
    Ok(())
}

/// So many hourly recovery points, like the one that was.
fn fill_points(folder: &Path) -> Result<()> {
    let point = fs::read_dir(folder)?.flatten().next().ok_or("there is no recovery point")?;
    let mut record: Value = serde_json::from_slice(&fs::read(point.path())?)?;
    let now = Timestamp::now();
    for number in 1..=POINTS {
        let at = now.checked_sub(i64::try_from(number)?.hours())?;
        let name = at.strftime("%Y-%m-%d-%H%M").to_string();
        record["point"]["name"] = name.clone().into();
        record["point"]["at"] = at.to_string().into();
        write(&folder.join(format!("{name}.json")), &record)?;
    }
    Ok(())
}
