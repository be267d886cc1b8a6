//! `log:tail` through all that happens to logs and to who reads them: each line once, in the order of its node.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Child;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::support::wire::lines_of;
use crate::support::{Shop, end};

/// Longer than anything here waits for.
const LIMIT: Duration = Duration::from_secs(150);

/// The log of one web node, written by us.
struct Log {
    node: &'static str,
    path: PathBuf,
    file: File,
    written: Vec<u32>,
}

impl Log {
    fn open(shop: &Shop, node: &'static str) -> Self {
        let path = shop.node_dir(node).join("log/access.log");
        let file = OpenOptions::new().append(true).create(true).open(&path).expect("its log");
        Self { node, path, file, written: Vec::new() }
    }

    fn write(&mut self, number: u32) {
        let line = format!("{:.3} {} number={number}.\n", Timestamp::now(), self.node);
        self.file.write_all(line.as_bytes()).expect("written");
        self.written.push(number);
    }

    /// As logrotate does it: renamed, and a new one is written.
    fn rotate(&mut self) {
        fs::rename(&self.path, self.path.with_extension("log.1")).expect("renamed");
        self.file = OpenOptions::new().append(true).create_new(true).open(&self.path).expect("a new log");
    }

    /// As logrotate does it with `copytruncate`: copied, then emptied under who writes it.
    fn copy_and_truncate(&mut self) {
        fs::rename(self.path.with_extension("log.1"), self.path.with_extension("log.2")).expect("renamed");
        fs::copy(&self.path, self.path.with_extension("log.1")).expect("copied");
        self.file.set_len(0).expect("emptied");
    }
}

/// A tail that runs, and what it has shown.
struct Tail {
    child: Child,
    stdout: Receiver<String>,
    numbers: BTreeMap<String, Vec<u32>>,
    gaps: Vec<String>,
}

impl Tail {
    fn start(shop: &Shop) -> Self {
        let mut child = shop
            .cli("viewer", ["log:tail", "nginx", "--node=web1", "--node=web2", "--lines=0", "--json"])
            .spawn();
        let stdout = lines_of(child.stdout.take().expect("its output"));
        Self { child, stdout, numbers: BTreeMap::new(), gaps: Vec::new() }
    }

    /// Takes a line, if one comes within this time.
    fn take(&mut self, within: Duration) -> bool {
        let Ok(line) = self.stdout.recv_timeout(within) else { return false };
        let value: Value = serde_json::from_str(&line).expect("JSON");
        let node = value["node"].as_str().unwrap_or_default().to_owned();
        match value["event"].as_str() {
            Some("log") => {
                // Others write there too: the checks of the load balancer.
                let text = value["line"].as_str().expect("a line");
                if let Some((_, number)) = text.split_once("number=") {
                    let number = number.trim_end_matches('.').parse().expect("a number");
                    self.numbers.entry(node).or_default().push(number);
                }
            }
            Some("gap") => self.gaps.push(format!("{node} {}", value["reason"].as_str().unwrap_or_default())),
            _ => {}
        }
        true
    }

    #[track_caller]
    fn until(&mut self, what: &str, shop: &Shop, is_so: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + LIMIT;
        while !is_so(self) {
            let left = limit.saturating_duration_since(Instant::now());
            if !self.take(left) {
                panic!("waited in vain for {what}: {:?} {:?}\n{}", self.numbers, self.gaps, shop.logs());
            }
        }
    }

    fn last_of(&self, node: &str) -> Option<u32> {
        self.numbers.get(node)?.last().copied()
    }
}

#[test]
fn every_line_is_shown_once_through_rotation_crashes_and_cuts() {
    let shop = Shop::start();
    let mut logs = [Log::open(&shop, "web1"), Log::open(&shop, "web2")];
    let mut tail = Tail::start(&shop);
    // Until it follows, a line may come too early; from the first that is shown on every one counts.
    let mut number = 0;
    for log in &mut logs {
        while tail.last_of(log.node).is_none() {
            number += 1;
            log.write(number);
            tail.take(Duration::from_millis(100));
        }
    }
    let mut more = |logs: &mut [Log; 2], count: u32| {
        for _ in 0..count {
            number += 1;
            logs.iter_mut().for_each(|log| log.write(number));
        }
        number
    };
    let all =
        |last: u32| move |tail: &Tail| ["web1", "web2"].iter().all(|node| tail.last_of(node) == Some(last));

    let last = more(&mut logs, 300);
    logs.iter_mut().for_each(Log::rotate);
    let after = more(&mut logs, 300);
    tail.until("what was written around a rotation", &shop, all(after));
    assert!(last < after);

    // What was written between the copying and the emptying would be lost with the best of readers.
    logs.iter_mut().for_each(Log::copy_and_truncate);
    let last = more(&mut logs, 100);
    tail.until("what was written after copytruncate", &shop, all(last));

    let web1 = shop.sandbox.node("web1").expect("web1");
    web1.kill_service("agent").expect("killed");
    more(&mut logs, 100);
    tail.until("web1 being away", &shop, |tail| tail.gaps.iter().any(|gap| gap == "web1 away"));
    let last = more(&mut logs, 100);
    web1.start_service("agent").expect("started");
    tail.until("what was written while web1's agent was dead", &shop, all(last));

    let maint = shop.sandbox.node("maint1").expect("maint1");
    maint.kill_service("agent").expect("killed");
    more(&mut logs, 100);
    maint.start_service("agent").expect("started");
    let last = more(&mut logs, 100);
    tail.until("what was written while the coordinator was dead", &shop, all(last));

    let web2 = shop.sandbox.node("web2").expect("web2");
    web2.cut().expect("cut");
    let last = more(&mut logs, 100);
    tail.until("web2 being away, which holds web1 up not", &shop, |tail| {
        tail.last_of("web1") == Some(last) && tail.gaps.iter().any(|gap| gap == "web2 away")
    });
    web2.start().expect("healed");
    tail.until("what was written while web2 was cut off", &shop, all(last));
    assert!(tail.gaps.iter().any(|gap| gap == "web2 back"), "{:?}", tail.gaps);

    for log in &logs {
        let shown = &tail.numbers[log.node];
        let from = log.written.iter().position(|number| *number == shown[0]).expect("one of them");
        assert_eq!(shown, &log.written[from..], "{}: each once, in its order", log.node);
    }
    assert_eq!(end(tail.child, "INT").code, 0);
}
