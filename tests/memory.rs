//! The coordinator's memory stays what it is, however many call it and however slowly they read.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::wire::call_id;
use crate::support::{Shop, wait_for};

/// Longer than any answer takes.
const LIMIT: Duration = Duration::from_secs(150);

/// Somebody at the agent's own socket.
struct Local {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Local {
    fn connect(socket: &Path) -> Self {
        let writer = UnixStream::connect(socket).expect("the agent's socket");
        writer.set_read_timeout(Some(LIMIT)).expect("a limit");
        Self { reader: BufReader::with_capacity(512, writer.try_clone().expect("both ways")), writer }
    }

    fn send(&mut self, method: &str, params: &Value) {
        let request = json!({ "jsonrpc": "2.0", "id": call_id(), "method": method, "params": params });
        self.writer.write_all(format!("{request}\n").as_bytes()).expect("sent");
    }

    /// The next line that is more than a sign of life.
    fn line(&mut self) -> Value {
        let limit = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < limit, "signs of life, and nothing else");
            let mut line = String::new();
            assert!(self.reader.read_line(&mut line).expect("in time") > 0, "the agent ended the connection");
            if line != "\n" {
                return serde_json::from_str(&line).expect("JSON");
            }
        }
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.send(method, params);
        loop {
            let line = self.line();
            if line.get("method").is_none() {
                return line;
            }
        }
    }
}

/// What the system tells of a process under this name.
fn told_of(pid: i32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("it is told");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Megabytes that a process has in memory.
fn memory(pid: i32) -> f64 {
    told_of(pid, "VmRSS:") / 1024.0
}

fn agent_of(shop: &Shop) -> i32 {
    let agent = shop.sandbox.node("maint1").expect("maint1").service("agent").expect("its state");
    agent.pid.expect("it runs")
}

/// Lets this account call maint1's agent, and gives that a log of its own, so that reading it takes no other node.
fn prepare(shop: &Shop) -> PathBuf {
    let root = shop.node_dir("maint1");
    let log = root.join("log/big.log");
    let mut text = String::new();
    for second in 0..40_000 {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        text.push_str(&format!(
            "2026-11-24T{hour:02}:{minute:02}:{second:02}.000Z a line of the usual length, more or less\n"
        ));
    }
    fs::write(&log, text).expect("a log");
    let file = root.join("etc/agent.toml");
    let mut config = fs::read_to_string(&file).expect("its configuration");
    let output = Command::new("id").arg("-un").output().expect("id");
    let account = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !config.contains(&format!("[local.{account}]")) {
        config.push_str(&format!("\n[local.{account}]\nrole = \"viewer\"\n"));
    }
    config.push_str(&format!("\n[logs.big]\nfiles = [\"{}\"]\n", log.display()));
    fs::write(&file, config).expect("written");
    shop.sandbox.node("maint1").expect("maint1").restart_service("agent").expect("it starts again");
    root.join("run/local.sock")
}

/// So many tails of which each takes its first entry and then nothing more of some two megabytes.
fn slow_tails(socket: &Path, tens: usize) -> Vec<Local> {
    let wanted =
        json!({ "sources": ["big"], "nodes": ["maint1"], "since": "2026-11-24T00:00:00Z", "follow": true });
    let mut all: Vec<Local> = Vec::new();
    // Ten at a time: on a busy machine more of them would take a node for away that merely has much to do.
    for _ in 0..tens {
        let mut some: Vec<Local> = (0..10).map(|_| Local::connect(socket)).collect();
        some.iter_mut().for_each(|tail| tail.send("log.tail", &wanted));
        for tail in &mut some {
            // Which one of these it is makes no difference to what is looked at here.
            while !matches!(tail.line()["params"]["event"].as_str(), Some("log" | "gap")) {}
        }
        all.append(&mut some);
    }
    all
}

fn call_once(socket: &Path) {
    let answer = Local::connect(socket).call("operation.list", &json!({}));
    assert!(answer["result"]["items"].is_array(), "{answer}");
}

#[test]
fn sixty_four_callers_get_answers_while_forty_others_read_nothing() {
    let shop = Shop::start();
    let socket = prepare(&shop);
    let agent = agent_of(&shop);
    call_once(&socket);
    let (alone, threads) = (memory(agent), told_of(agent, "Threads:"));
    let tails = slow_tails(&socket, 4);
    // One that waits for its reader holds no thread: those are few, and all calls need them.
    wait_for("the end of threads that read", || told_of(agent, "Threads:") < threads + 30.0);
    // By then all of them have read as much as they ever will.
    let size = memory(agent);
    assert!(size < alone + 40.0, "{alone:.1} MB alone, {size:.1} MB with 40 tails");
    thread::scope(|scope| {
        let callers: Vec<_> = (0..64).map(|_| scope.spawn(|| call_once(&socket))).collect();
        callers.into_iter().for_each(|caller| caller.join().expect("an answer"));
    });
    // They were not dropped for it either.
    for mut tail in tails {
        while tail.line()["params"]["event"] != "log" {}
    }
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn calls_and_slow_readers_cost_the_agent_no_more_the_longer_it_runs() {
    let shop = Shop::start();
    let socket = prepare(&shop);
    let agent = agent_of(&shop);

    let mut caller = Local::connect(&socket);
    let mut call = |times: usize| {
        for _ in 0..times {
            let answer = caller.call("operation.list", &json!({}));
            assert!(answer["result"]["items"].is_array(), "{answer}");
        }
        memory(agent)
    };
    let first = call(1_000);
    let later = call(10_000);
    assert!(later < first + 8.0, "{first:.1} MB after 1,000 calls, {later:.1} MB after 11,000");

    let open = || fs::read_dir(format!("/proc/{agent}/fd")).expect("it runs").count();
    let before = open();
    let rounds: Vec<f64> = (0..5)
        .map(|_| {
            let tails = slow_tails(&socket, 20);
            let size = memory(agent);
            drop(tails);
            wait_for("the end of all tails", || open() <= before + 10);
            size
        })
        .collect();
    eprintln!("MB after 1,000 calls {first:.1}, after 11,000 {later:.1}, with 200 tails {rounds:.1?}");
    assert!(rounds[0] < later + 120.0, "{later:.1} MB, with 200 tails: {rounds:.1?}");
    assert!(rounds[4] < rounds[0] + 10.0, "MB with 200 tails, one round after another: {rounds:.1?}");
}

/// Writes lines that are numbered from here on, all of one length.
fn write_on(log: &Path, numbers: std::ops::Range<u32>) {
    let mut text = String::new();
    for number in numbers {
        let now = jiff::Timestamp::now();
        text.push_str(&format!("{now:.3} number={number:08} {}\n", "x".repeat(60)));
    }
    let mut file = fs::OpenOptions::new().append(true).open(log).expect("the log");
    file.write_all(text.as_bytes()).expect("written");
}

/// So many tails that follow: each has got a line that was written after it began.
fn followers(socket: &Path, log: &Path, tens: usize) -> Vec<Local> {
    let wanted = json!({ "sources": ["big"], "nodes": ["maint1"], "lines": 0, "follow": true });
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Until it follows, a line comes too early.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                write_on(log, 0..1);
                thread::sleep(Duration::from_millis(100));
            }
        });
        let mut all = Vec::new();
        for _ in 0..tens {
            let mut some: Vec<Local> = (0..10).map(|_| Local::connect(socket)).collect();
            some.iter_mut().for_each(|tail| tail.send("log.tail", &wanted));
            for tail in &mut some {
                while tail.line()["params"]["event"] != "log" {}
            }
            all.append(&mut some);
        }
        over.store(true, Ordering::Relaxed);
        all
    })
}

/// What one tail got of the numbered lines, and was told to have missed.
#[derive(Debug, Default)]
struct Seen {
    last: u64,
    got: u64,
    missed: u64,
}

impl Seen {
    fn take(&mut self, line: &Value) {
        let event = &line["params"];
        if event["event"] == "gap" {
            assert_eq!(event["reason"], "behind", "{event}");
            self.missed += event["lines"].as_u64().expect("how many");
        }
        let Some((_, rest)) = event["line"].as_str().and_then(|line| line.split_once("number=")) else {
            return;
        };
        let number: u64 = rest[..8].parse().expect("a number");
        assert!(number == 0 || number > self.last, "{number} after {self:?}");
        self.got += 1;
        self.last = number;
    }
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn two_hundred_that_follow_and_read_slowly_are_brought_forward_and_cost_no_more_for_it() {
    const ROUND: u32 = 60_000;
    let shop = Shop::start();
    let socket = prepare(&shop);
    let agent = agent_of(&shop);
    let log = shop.node_dir("maint1").join("log/big.log");
    call_once(&socket);
    let alone = memory(agent);
    let mut tails = followers(&socket, &log, 20);
    let caught_up = memory(agent);
    let mut seen: Vec<Seen> = tails.iter().map(|_| Seen::default()).collect();
    let mut last = 0;
    let mut rounds = Vec::new();
    for _ in 0..5 {
        // Some six megabytes.
        write_on(&log, last + 1..last + 1 + ROUND);
        last += ROUND;
        // Each takes a little of it, now and then.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(8) {
            for (tail, seen) in tails.iter_mut().zip(&mut seen) {
                seen.take(&tail.line());
            }
            thread::sleep(Duration::from_millis(200));
        }
        rounds.push(memory(agent));
        call_once(&socket);
    }
    eprintln!("MB alone {alone:.1}, with 200 that have caught up {caught_up:.1}, behind {rounds:.1?}");
    let most = rounds.iter().copied().fold(0.0, f64::max);
    assert!(most < alone + 160.0, "{alone:.1} MB, with 200 that follow: {rounds:.1?}");
    // Each may hold half a megabyte back, and has come to that by the third round.
    assert!(rounds[4] < rounds[2] + 15.0, "MB with 200 that follow, one round after another: {rounds:.1?}");

    // What they did not get they were told of, but for lines from before they followed.
    let begun = fs::read_to_string(&log).expect("the log").matches("number=00000000").count() as u64;
    for (tail, seen) in tails.iter_mut().zip(&mut seen).take(5) {
        while seen.last < u64::from(last) {
            seen.take(&tail.line());
        }
        eprintln!("{seen:?}");
        assert!(seen.missed > 0, "nobody was brought forward: {seen:?}");
        let all = seen.got + seen.missed;
        assert!((u64::from(last)..=u64::from(last) + begun).contains(&all), "{seen:?} of {last} and {begun}");
    }
}
