//! Tails of several nodes: some with real files, some that say what a test wants.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::environment::LogFiles;
use crate::nodes::logs;

const LIMIT: Duration = Duration::from_secs(60);

fn name(node: &str) -> NodeName {
    node.parse().unwrap()
}

/// Nodes with one source `app` each, in folders, which can be cut off.
struct Real {
    folder: tempfile::TempDir,
    nodes: Vec<NodeName>,
    cut: Mutex<BTreeMap<NodeName, CancellationToken>>,
    away: Mutex<Vec<NodeName>>,
}

impl Real {
    fn new(nodes: &[&str]) -> Arc<Self> {
        let nodes: Vec<_> = nodes.iter().map(|node| name(node)).collect();
        let folder = tempfile::tempdir().unwrap();
        for node in &nodes {
            std::fs::create_dir(folder.path().join(node.as_str())).unwrap();
        }
        Arc::new(Self { folder, nodes, cut: Mutex::default(), away: Mutex::default() })
    }

    fn path(&self, node: &str) -> PathBuf {
        self.folder.path().join(node).join("app.log")
    }

    fn append(&self, node: &str, text: &str) {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(self.path(node));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn logs(&self, node: &NodeName) -> BTreeMap<SourceName, LogFiles> {
        BTreeMap::from([("app".parse().unwrap(), LogFiles { files: vec![self.path(node.as_str())] })])
    }

    /// Ends its calls, and refuses new ones.
    fn cut(&self, node: &str) {
        self.away.lock().unwrap().push(name(node));
        if let Some(token) = self.cut.lock().unwrap().remove(&name(node)) {
            token.cancel();
        }
    }

    fn heal(&self, node: &str) {
        self.away.lock().unwrap().retain(|away| *away != name(node));
    }
}

fn unreachable(node: &NodeName) -> CallError {
    CallError::new(ErrorKind::Unreachable, format!("{node} cannot be reached"))
}

impl NodeLogs for Real {
    fn nodes(&self) -> Vec<NodeName> {
        self.nodes.clone()
    }

    fn sources(&self, node: &NodeName) -> NodeCall<LogSourcesAnswer> {
        let (node, logs) = (node.clone(), self.logs(node));
        let away = self.away.lock().unwrap().contains(&node);
        Box::pin(
            async move { if away { Err(unreachable(&node)) } else { Ok(logs::sources_of(node, &logs)) } },
        )
    }

    fn tail(
        &self,
        node: &NodeName,
        params: LogTailParams,
        events: mpsc::Sender<EventBody>,
        end: CancellationToken,
    ) -> NodeCall<TailAnswer> {
        let (node, logs) = (node.clone(), self.logs(node));
        let cut = self.cut.lock().unwrap().entry(node.clone()).or_default().clone();
        let away = self.away.lock().unwrap().contains(&node);
        Box::pin(async move {
            if away {
                return Err(unreachable(&node));
            }
            tokio::select! {
                () = cut.cancelled() => Err(unreachable(&node)),
                answer = logs::tail_of(node.clone(), &logs, params, events, end) => answer,
            }
        })
    }
}

struct Running {
    events: mpsc::Receiver<EventBody>,
    end: CancellationToken,
    answer: JoinHandle<Result<TailAnswer, CallError>>,
}

fn start(nodes: Arc<dyn NodeLogs>, params: TailParams) -> Running {
    let (sender, events) = mpsc::channel(64);
    let end = CancellationToken::new();
    let answer = tokio::spawn(tail(nodes, params, sender, end.clone()));
    Running { events, end, answer }
}

impl Running {
    async fn shown(&mut self) -> String {
        shown(&timeout(LIMIT, self.events.recv()).await.expect("in time").expect("more"))
    }

    async fn end(mut self) -> TailAnswer {
        self.end.cancel();
        while timeout(LIMIT, self.events.recv()).await.unwrap().is_some() {}
        timeout(LIMIT, self.answer).await.unwrap().unwrap().unwrap()
    }

    /// All events until it ends by itself.
    async fn all(mut self) -> (Vec<EventBody>, Result<TailAnswer, CallError>) {
        let mut all = Vec::new();
        while let Some(event) = timeout(LIMIT, self.events.recv()).await.unwrap() {
            all.push(event);
        }
        (all, timeout(LIMIT, self.answer).await.unwrap().unwrap())
    }
}

fn shown(event: &EventBody) -> String {
    match event {
        EventBody::Log { node, line, .. } => format!("{node} {}", line.rsplit(' ').next().unwrap()),
        EventBody::Gap { node, reason, lines, .. } => format!("{node} {reason} {lines:?}"),
        other => panic!("{other:?}"),
    }
}

fn all_shown(events: &[EventBody]) -> Vec<String> {
    events.iter().map(shown).collect()
}

fn cursor(event: &EventBody) -> String {
    match event {
        EventBody::Log { cursor, .. } => cursor.clone(),
        other => panic!("{other:?}"),
    }
}

fn params() -> TailParams {
    TailParams {
        sources: Vec::new(),
        nodes: Vec::new(),
        lines: None,
        since: None,
        until: None,
        grep: None,
        level: None,
        follow: false,
        until_match: None,
        after_cursor: None,
        packed: false,
    }
}

fn following() -> TailParams {
    TailParams { lines: Some(0), follow: true, ..params() }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_second(1_795_500_000 + second as i64).unwrap()
}

fn entry(second: u64) -> String {
    format!("{} entry {second}\n", at(second))
}

#[tokio::test]
async fn one_that_is_ended_before_it_began_ends_well() {
    let nodes = Real::new(&["web1", "web2"]);
    nodes.append("web1", &entry(1));
    let running = start(nodes, following());
    // Nothing has run yet: a test's runtime has one thread, which is here.
    assert_eq!(running.end().await.entries, 0);
}

#[tokio::test]
async fn history_of_all_nodes_is_one() {
    let nodes = Real::new(&["web2", "web1", "db1"]);
    for second in 0..300 {
        nodes.append(["web1", "web2", "db1"][second as usize % 3], &entry(second / 2));
    }
    let mut expected: Vec<(u64, &str)> =
        (0..300).map(|second| (second / 2, ["web1", "web2", "db1"][second as usize % 3])).collect();
    expected.sort_unstable();
    let expected: Vec<_> = expected.iter().map(|(second, node)| format!("{node} {second}")).collect();
    for lines in [0, 1, 10, 150, 299, 300, 1000] {
        let (events, answer) =
            start(nodes.clone(), TailParams { lines: Some(lines), ..params() }).all().await;
        let from = expected.len().saturating_sub(lines as usize);
        assert_eq!(all_shown(&events), expected[from..], "{lines}");
        let answer = answer.unwrap();
        assert_eq!((answer.entries, answer.matched), (events.len() as u64, false));
        // Every cursor continues exactly behind its entry, over all nodes.
        for (seen, event) in events.iter().enumerate().step_by(7) {
            let again = TailParams { after_cursor: Some(cursor(event)), lines: Some(lines), ..params() };
            let (rest, _) = start(nodes.clone(), again).all().await;
            assert_eq!(all_shown(&rest), expected[from + seen + 1..], "{lines} {seen}");
        }
        let again = TailParams { after_cursor: answer.cursor, ..params() };
        assert!(start(nodes.clone(), again).all().await.0.is_empty());
    }
    // Ten by default, all since a moment.
    assert_eq!(start(nodes.clone(), params()).all().await.0.len(), 10);
    let since = TailParams { since: Some(at(100)), ..params() };
    assert_eq!(start(nodes.clone(), since).all().await.0.len(), 100);
    let one = TailParams { nodes: vec![name("web2")], lines: Some(2), ..params() };
    assert_eq!(all_shown(&start(nodes.clone(), one).all().await.0), ["web2 147", "web2 149"]);
}

#[tokio::test]
async fn what_ends_a_tail() {
    let nodes = Real::new(&["web1", "web2"]);
    for second in 0..10 {
        nodes.append(if second % 2 == 0 { "web1" } else { "web2" }, &entry(second));
    }
    // A match in history.
    let until_match = TailParams { until_match: Some("entry 6".to_owned()), follow: true, ..params() };
    let (events, answer) = start(nodes.clone(), until_match.clone()).all().await;
    assert_eq!(events.len(), 7);
    assert!(answer.unwrap().matched);
    // A match in what is written later; the cursor stands behind it.
    let mut tail =
        start(nodes.clone(), TailParams { until_match: Some("entry 77$".to_owned()), ..until_match });
    for _ in 0..10 {
        tail.shown().await;
    }
    nodes.append("web2", &entry(77));
    nodes.append("web2", &entry(78));
    let (events, answer) = tail.all().await;
    assert_eq!(all_shown(&events), ["web2 77"]);
    let answer = answer.unwrap();
    assert!(answer.matched);
    let (rest, _) = start(nodes.clone(), TailParams { after_cursor: answer.cursor, ..params() }).all().await;
    assert_eq!(all_shown(&rest), ["web2 78"]);
    // A moment that has passed, although it was to be followed; and one that passes.
    let until = TailParams { until: Some(at(5)), follow: true, ..params() };
    assert_eq!(start(nodes.clone(), until).all().await.0.len(), 5);
    let soon =
        TailParams { until: Some(Timestamp::now() + Duration::from_millis(200)), follow: true, ..params() };
    let (events, answer) = start(nodes.clone(), soon).all().await;
    assert_eq!((events.len(), answer.unwrap().entries), (10, 10));
    // The receiver.
    let Running { events, answer, .. } = start(nodes.clone(), following());
    drop(events);
    assert_eq!(timeout(LIMIT, answer).await.unwrap().unwrap().unwrap().entries, 0);
}

#[tokio::test]
async fn what_does_not_exist_is_named_with_what_does() {
    let nodes = Real::new(&["web1", "web2"]);
    let error =
        start(nodes.clone(), TailParams { sources: vec!["ap".parse().unwrap()], ..params() }).all().await.1;
    let error = error.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Usage, "there is no log ap"));
    assert_eq!(error.hints[..2], ["did you mean app", "the logs are: app"]);
    let error = start(nodes.clone(), TailParams { nodes: vec![name("web3")], ..params() }).all().await.1;
    let error = error.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Usage, "there is no node web3"));
    assert_eq!(error.hints[1], "the nodes are: web1, web2");
    for bad in [
        TailParams { grep: Some("(".to_owned()), ..params() },
        TailParams { until_match: Some("(".to_owned()), ..params() },
        TailParams { after_cursor: Some("x".to_owned()), ..params() },
    ] {
        assert_eq!(start(nodes.clone(), bad).all().await.1.unwrap_err().kind, ErrorKind::Usage);
    }
    let answer = sources(nodes.clone()).await.unwrap();
    assert_eq!((answer.items.len(), answer.away.len()), (2, 0));
    nodes.cut("web2");
    assert_eq!(sources(nodes).await.unwrap().away, [name("web2")]);
}

#[tokio::test]
async fn a_node_that_goes_away_continues_where_it_was() {
    let nodes = Real::new(&["web1", "web2"]);
    nodes.append("web1", &entry(0));
    nodes.append("web2", &entry(1));
    let mut tail = start(nodes.clone(), TailParams { follow: true, ..params() });
    assert_eq!(tail.shown().await, "web1 0");
    assert_eq!(tail.shown().await, "web2 1");
    for round in 1..4 {
        let number = round * 10;
        nodes.append("web2", &entry(number));
        assert_eq!(tail.shown().await, format!("web2 {number}"));
        nodes.cut("web2");
        assert_eq!(tail.shown().await, "web2 away None");
        // The silent one holds nobody.
        nodes.append("web2", &entry(number + 1));
        nodes.append("web1", &entry(number + 2));
        assert_eq!(tail.shown().await, format!("web1 {}", number + 2));
        std::fs::rename(nodes.path("web2"), nodes.path("web2").with_extension("log.1")).unwrap();
        nodes.append("web2", &entry(number + 3));
        nodes.heal("web2");
        assert_eq!(tail.shown().await, "web2 back None");
        assert_eq!(tail.shown().await, format!("web2 {}", number + 1));
        assert_eq!(tail.shown().await, format!("web2 {}", number + 3));
    }
    tail.end().await;
}

#[tokio::test]
async fn a_node_that_was_away_from_the_beginning_is_heard_when_it_comes() {
    let nodes = Real::new(&["web1", "web2"]);
    nodes.append("web1", &entry(0));
    nodes.append("web2", &entry(1));
    nodes.cut("web2");
    let mut tail = start(nodes.clone(), TailParams { follow: true, ..params() });
    assert_eq!(tail.shown().await, "web2 away None");
    assert_eq!(tail.shown().await, "web1 0");
    let now = Timestamp::now();
    nodes.append("web2", &format!("{now} entry 2\n"));
    nodes.heal("web2");
    assert_eq!(tail.shown().await, "web2 back None");
    assert_eq!(tail.shown().await, "web2 2");
    tail.end().await;
    // Nobody there, and nothing to wait for.
    nodes.cut("web1");
    nodes.cut("web2");
    let (events, answer) = start(nodes.clone(), params()).all().await;
    assert_eq!(all_shown(&events), ["web1 away None", "web2 away None"]);
    assert_eq!(answer.unwrap_err().kind, ErrorKind::Unreachable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_busy_nodes_lose_and_double_nothing_while_one_is_cut_off_and_rotated() {
    let nodes = Real::new(&["web1", "web2"]);
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let mut tail = start(nodes.clone(), TailParams { lines: Some(1000), follow: true, ..params() });
    let writer = std::thread::spawn({
        let (nodes, stop, written) = (nodes.clone(), stop.clone(), written.clone());
        move || {
            let mut files: Vec<_> =
                ["web1", "web2"].map(|node| std::fs::File::create(nodes.path(node)).unwrap()).into();
            let begin = std::time::Instant::now();
            let mut count = 0;
            while !stop.load(Ordering::Acquire) {
                let due = begin.elapsed().as_micros() as u64 / 200;
                while count < due {
                    for file in &mut files {
                        writeln!(file, "{} entry {count}", Timestamp::now()).unwrap();
                    }
                    count += 1;
                    if count % 3000 == 0 {
                        let path = nodes.path("web2");
                        std::fs::rename(&path, path.with_extension(format!("log.{}", 9999 - count / 3000)))
                            .unwrap();
                        files[1] = std::fs::File::create(path).unwrap();
                    }
                }
                written.store(count, Ordering::Release);
                std::thread::sleep(Duration::from_micros(500));
            }
            count
        }
    });
    let mut seen: BTreeMap<NodeName, Vec<u64>> = BTreeMap::new();
    let (mut cut, mut cuts, mut total) = (false, 0, None);
    let mut writer = Some(writer);
    loop {
        match timeout(LIMIT, tail.events.recv()).await.unwrap().unwrap() {
            EventBody::Log { node, line, .. } => {
                seen.entry(node).or_default().push(line.rsplit(' ').next().unwrap().parse().unwrap());
            }
            EventBody::Gap { reason, .. } => assert!(["away", "back"].contains(&reason.as_str()), "{reason}"),
            other => panic!("{other:?}"),
        }
        let count = written.load(Ordering::Acquire);
        if !cut && count > 2500 * (cuts + 1) && cuts < 4 {
            nodes.cut("web2");
            (cut, cuts) = (true, cuts + 1);
        } else if cut && count > 2500 * cuts + 1000 {
            nodes.heal("web2");
            cut = false;
        }
        if count > 13_000
            && let Some(writer) = writer.take()
        {
            stop.store(true, Ordering::Release);
            total = Some(writer.join().unwrap());
        }
        let shown: usize = seen.values().map(Vec::len).sum();
        if total.is_some_and(|total| shown as u64 >= 2 * total) {
            break;
        }
    }
    let expected: Vec<u64> = (0..total.unwrap()).collect();
    for (node, numbers) in &mut seen {
        numbers.sort_unstable();
        assert!(*numbers == expected, "{node}");
    }
    tail.end().await;
}

/// Nodes that say what they are told to.
struct Scripted(BTreeMap<NodeName, Script>);

enum Script {
    Entries(Vec<(Timestamp, u64)>),
    /// Begins, and is never heard of again.
    Freezes,
    /// Answers with an error.
    Fails(CallError),
}

impl NodeLogs for Scripted {
    fn nodes(&self) -> Vec<NodeName> {
        self.0.keys().cloned().collect()
    }

    fn sources(&self, _: &NodeName) -> NodeCall<LogSourcesAnswer> {
        Box::pin(async { Ok(LogSourcesAnswer { items: Vec::new() }) })
    }

    fn tail(
        &self,
        node: &NodeName,
        params: LogTailParams,
        events: mpsc::Sender<EventBody>,
        end: CancellationToken,
    ) -> NodeCall<TailAnswer> {
        let entries = match &self.0[node] {
            Script::Entries(entries) => Some(entries.clone()),
            Script::Freezes => None,
            Script::Fails(error) => {
                let error = error.clone();
                return Box::pin(async move { Err(error) });
            }
        };
        let node = node.clone();
        Box::pin(async move {
            let begin = EventBody::Item { item: serde_json::json!({ "cursor": "" }) };
            let Some(entries) = entries else {
                logs::queue(&events, begin, &end).await;
                return std::future::pending().await;
            };
            logs::queue(&events, begin, &end).await;
            let skip = entries.len().saturating_sub(params.lines.unwrap_or(u64::MAX) as usize);
            for (time, number) in &entries[skip..] {
                let event = EventBody::Log {
                    source: "app".to_owned(),
                    node: node.clone(),
                    time: *time,
                    line: format!("entry {number}"),
                    cursor: "AAAAAA".to_owned(),
                };
                logs::queue(&events, event, &end).await;
            }
            Ok(TailAnswer { entries: 0, matched: false, cursor: Some(String::new()) })
        })
    }
}

#[tokio::test]
async fn any_histories_are_merged_by_time_node_and_place() {
    let mut random = 5_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..200 {
        let mut expected = Vec::new();
        let mut scripts = BTreeMap::new();
        for node in ["db1", "web1", "web2"].into_iter().take(1 + next(3) as usize) {
            let mut second = 0;
            let most = next(60);
            let entries: Vec<_> = (0..most)
                .map(|number| {
                    second += next(3);
                    expected.push((second, node, number));
                    (at(second), number)
                })
                .collect();
            scripts.insert(name(node), Script::Entries(entries));
        }
        expected.sort_unstable();
        let lines = next(200);
        let (events, _) =
            start(Arc::new(Scripted(scripts)), TailParams { lines: Some(lines), ..params() }).all().await;
        let expected: Vec<_> = expected.iter().map(|(_, node, number)| format!("{node} {number}")).collect();
        assert_eq!(all_shown(&events), expected[expected.len().saturating_sub(lines as usize)..]);
    }
}

#[tokio::test]
async fn a_node_in_trouble_is_away_and_says_why() {
    let old = CallError::new(ErrorKind::ProtocolMismatch, "its agent (0.0.1) speaks no protocol of this one");
    let scripts = |error| {
        let entries = Script::Entries(vec![(at(1), 1)]);
        Arc::new(Scripted(BTreeMap::from([(name("web1"), entries), (name("web2"), Script::Fails(error))])))
    };
    let mut tail = start(scripts(old), TailParams { follow: true, ..params() });
    let mut first = Vec::new();
    while first.len() < 3 {
        let event = timeout(LIMIT, tail.events.recv()).await.unwrap().unwrap();
        first.push(match &event {
            EventBody::Note { text, .. } => text.clone(),
            event => shown(event),
        });
    }
    assert_eq!(first, ["web2: its agent (0.0.1) speaks no protocol of this one", "web2 away None", "web1 1"]);
    tail.end().await;
    let answer = start(scripts(CallError::usage("no")), params()).all().await.1;
    assert_eq!(answer.unwrap_err().message, "no");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_node_does_not_hold_the_history_of_others_for_ever() {
    let scripts = BTreeMap::from([
        (name("web1"), Script::Entries(vec![(at(1), 1), (at(2), 2)])),
        (name("web2"), Script::Freezes),
    ]);
    let begin = tokio::time::Instant::now();
    let (events, answer) = start(Arc::new(Scripted(scripts)), params()).all().await;
    assert_eq!(all_shown(&events), ["web2 away None", "web1 1", "web1 2"]);
    assert_eq!(answer.unwrap().entries, 2);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn one_node_sends_blocks_where_nothing_must_be_merged_or_read() {
    let nodes = Real::new(&["web1", "web2"]);
    for second in 0..20_000 {
        nodes.append("web1", &entry(second));
    }
    let packed = TailParams { packed: true, nodes: vec![name("web1")], since: Some(at(0)), ..params() };
    let (events, answer) = start(nodes.clone(), packed.clone()).all().await;
    assert_eq!(answer.unwrap().entries, 20_000);
    let mut seen = 0;
    for event in &events {
        let EventBody::LogBlock { node, entries, cursor, .. } = event else { panic!("{event:?}") };
        assert_eq!(node.as_str(), "web1");
        seen += entries;
        let behind = TailParams { after_cursor: Some(cursor.clone()), ..packed.clone() };
        assert_eq!(start(nodes.clone(), behind).all().await.1.unwrap().entries, 20_000 - seen);
    }
    assert!(events.len() > 1);
    let several = TailParams { nodes: Vec::new(), lines: Some(2), ..packed.clone() };
    assert_eq!(all_shown(&start(nodes.clone(), several).all().await.0), ["web1 19998", "web1 19999"]);
    let matched = TailParams { until_match: Some("17$".to_owned()), ..packed };
    assert_eq!(start(nodes.clone(), matched).all().await.0.len(), 18);
}
