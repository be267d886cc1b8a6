//! Connections that break in the middle of an operation, and callers who come again.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use orocloud_sandbox::CallerSpec;
use serde_json::Value;

use crate::support::relay::Relay;
use crate::support::wire::{call_id, lines_of};
use crate::support::{Cli, Shop, end, first_backup_is_past, moment, order, wait_for};

/// Longer than anything here waits for.
const LIMIT: Duration = Duration::from_secs(150);

/// A table that the installation makes, made already by somebody who does not say yet whether it stays: the
/// installation waits.
struct Held(Child, ChildStdin);

impl Held {
    fn begin(shop: &Shop) -> Self {
        let url = shop.sandbox.env().into_iter().find(|(name, _)| name == "DATABASE_URL").expect("its URL").1;
        let mut psql = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", &url])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("psql");
        let mut stdin = psql.stdin.take().expect("its input");
        writeln!(stdin, "begin; create table schema_version (held int);").expect("psql listens");
        wait_for("the lock", || {
            shop.sql("select count(*) from pg_stat_activity where state = 'idle in transaction'") == "1"
        });
        Self(psql, stdin)
    }

    fn end(mut self) {
        writeln!(self.1, "rollback;").expect("psql listens");
        drop(self.1);
        self.0.wait().expect("its end");
    }
}

/// A command under way whose standard error is lines of JSON.
pub struct Watched {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<Value>,
}

impl Watched {
    pub fn start(cli: Cli<'_>) -> Self {
        let mut child = cli.spawn();
        let lines = lines_of(child.stderr.take().expect("stderr"));
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds all these words.
    #[track_caller]
    pub fn until<const N: usize>(&mut self, words: [&str; N]) -> Value {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("waited in vain for {words:?}: {:#?}", self.seen);
            };
            let is_it = words.iter().all(|word| line.contains(word));
            self.seen.push(value_of(line));
            if is_it {
                return self.seen[self.seen.len() - 1].clone();
            }
        }
    }

    /// Its exit code, and all it said.
    pub fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let output = self.child.wait_with_output().expect("its end");
        self.seen.extend(self.lines.iter().map(value_of));
        (output.status.code(), self.seen)
    }
}

fn value_of(line: String) -> Value {
    serde_json::from_str(&line).unwrap_or(Value::String(line))
}

fn sequence(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["seq"].as_u64()).collect()
}

/// The events of an operation as the journal has them.
fn journal(shop: &Shop, id: &str) -> Vec<Value> {
    let month = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).strftime("%Y-%m").to_string();
    let path = shop.sandbox.journal_dir().join(month).join(id).join("events.ndjson");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

#[test]
fn a_deployment_goes_on_without_its_connection_and_is_shown_whole() {
    let shop = Shop::start();
    let relay = Relay::start(&shop);
    let id = call_id();
    let held = Held::begin(&shop);
    let mut cli = shop.cli("developer", ["deploy", "--reference=1.0.0", "-n", "--format=json"]);
    cli.command.args(["--operation-id", &id]).env("OROCLOUD_CONFIG", relay.config(&shop, "developer"));
    let mut deploy = Watched::start(cli);
    deploy.until(["step-started", "application:install"]);

    relay.reset();
    deploy.until(["was lost"]);
    deploy.until(["Connected"]);

    // Nothing comes through, nothing is closed.
    let maint = shop.sandbox.node("maint1").expect("maint1");
    maint.cut().expect("cut");
    let told = deploy.until(["was lost"])["warning"].as_str().expect("a warning").to_owned();
    let silent =
        told.split("silent for ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(silent.is_some_and(|seconds| seconds <= 30), "said within 30 s: {told}");

    held.end();
    wait_for("the end of the deployment, which nobody watches", || {
        ["web1", "web2"].iter().all(|node| shop.page_of(node).0 == 200)
    });
    maint.start().expect("healed");
    deploy.until(["Connected"]);
    let (code, seen) = deploy.end();
    assert_eq!(code, Some(0), "{seen:#?}\n{}", shop.logs());

    let written = sequence(&journal(&shop, &id));
    assert!(written.len() > 20, "{written:?}");
    assert_eq!(sequence(&seen), written, "each event once, in its order");
}

#[test]
fn fifty_who_call_at_once_with_one_id_start_one_operation_and_a_hanging_agent_is_named() {
    let shop = Shop::start();
    let id = call_id();
    let deploy = ["deploy", "--reference=1.0.0", "-n", "--format=json", "--operation-id", &id];
    let callers: Vec<Child> = (0..50).map(|_| shop.cli("developer", deploy).spawn()).collect();
    let mut answers = Vec::new();
    for caller in callers {
        let output = caller.wait_with_output().expect("its end");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}\n{}", shop.logs());
        answers.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    assert!(answers[0].contains("1.0.0"), "{}", answers[0]);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    let list = shop.cli("viewer", ["log:list", "--format=json"]).succeeds().json();
    let deployments =
        list["items"].as_array().expect("items").iter().filter(|item| item["method"] == "deploy");
    assert_eq!(deployments.count(), 1, "{list:#}");

    hanging_agent(&shop);
}

/// sshd goes on for an agent that hangs: its connections stay open and new ones are let in.
fn hanging_agent(shop: &Shop) {
    let maint = shop.sandbox.node("maint1").expect("maint1");
    let agent = maint.service("agent").expect("its state").pid.expect("it runs").to_string();
    let signal = |name: &str| {
        let done = Command::new("kill").args([&format!("-{name}"), &agent]).status().expect("kill");
        assert!(done.success());
    };
    let log = shop.node_dir("web1").join("log/access.log");
    let write = |word: &str| {
        let mut log = std::fs::OpenOptions::new().append(true).create(true).open(&log).expect("its log");
        writeln!(log, "{:.3} {word}", Timestamp::now()).expect("written");
    };
    let mut following = shop.cli("viewer", ["log:tail", "nginx", "--node=web1", "--lines=0"]).spawn();
    let entries = lines_of(following.stdout.take().expect("its output"));
    let told = lines_of(following.stderr.take().expect("its messages"));
    let wait = |lines: &Receiver<String>, words: &str| {
        let limit = Instant::now() + LIMIT;
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left).unwrap_or_else(|_| panic!("no {words}\n{}", shop.logs()));
            if line.contains(words) {
                return;
            }
        }
    };
    // Until it follows, an entry may come too early; others write there too.
    loop {
        write("before");
        if entries.recv_timeout(Duration::from_millis(200)).is_ok_and(|line| line.contains("before")) {
            break;
        }
    }

    signal("STOP");
    let answer = shop.cli("viewer", ["backup:list"]).ends_with(5);
    assert!(answer.stderr.contains("the agent said nothing"), "{answer:#?}");
    wait(&told, "the agent has said nothing");
    write("meanwhile");
    signal("CONT");
    wait(&entries, "meanwhile");
    wait(&told, "Connected");
    shop.cli("viewer", ["backup:list"]).succeeds();
    assert_eq!(end(following, "INT").code, 0);
}

#[test]
fn a_restore_outlives_the_certificate_of_who_asked_for_it() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    first_backup_is_past(&shop);
    order(&shop, 3);
    let (before, to) = (shop.orders(), format!("--to={}", moment(&shop)));
    shop.sql("delete from orders");

    // Long enough to begin, also on a slow machine.
    let spec = CallerSpec {
        valid_until: Timestamp::now() + SignedDuration::from_secs(30),
        ..CallerSpec::new("brief", "operator@acme-prod1")
    };
    let caller = shop.issue(spec);
    let restore = ["backup:restore", &to, "--force", "--confirm=acme-prod1", "-n", "--format=json"];
    let mut restore = Watched::start(shop.cli_as(&caller, restore));
    let id = restore.until(["\"operation\":"])["operation"].as_str().expect("an id").to_owned();
    restore.until(["\"event\":\"step-started\""]);
    // Nothing answers there, so it lasts as long as we like.
    let db = shop.sandbox.node("db1").expect("db1");
    db.freeze().expect("frozen");
    let told = restore.until(["\"exit_code\""]);
    for words in ["ended while this call was open", "the operation goes on", "get a new certificate", &id] {
        assert!(told.to_string().contains(words), "`{words}`: {told:#}");
    }
    let (code, seen) = restore.end();
    assert_eq!(code, Some(3), "{seen:#?}");
    shop.cli_as(&caller, ["backup:list"]).ends_with(3);
    db.start().expect("thawed");

    let again = shop.cli("operator", ["log:view", &id, "--follow"]).succeeds();
    assert!(again.stdout.contains("database:swap"), "{again:#?}");
    assert_eq!(shop.orders(), before);
    assert_eq!(shop.page().0, 200);
}
