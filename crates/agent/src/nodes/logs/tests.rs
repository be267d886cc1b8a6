//! Tails of real files.

mod packed;
mod rotation;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

struct Place {
    folder: tempfile::TempDir,
    logs: Logs,
}

impl Place {
    /// One source a name, with one file.
    fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files: BTreeMap<_, _> = names
            .iter()
            .map(|name| {
                let file = folder.path().join(format!("{name}.log"));
                (name.parse().unwrap(), LogFiles { files: vec![file] })
            })
            .collect();
        let mut logs = Logs::of("web1".parse().unwrap(), &files);
        logs.zone = jiff::tz::TimeZone::UTC;
        Self { folder, logs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        append(&self.path(name), text);
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn pack(&self, name: &str) {
        let text = std::fs::read(self.path(name)).unwrap();
        let file = File::create(self.path(&format!("{name}.gz"))).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(&text).unwrap();
        packed.finish().unwrap();
        std::fs::remove_file(self.path(name)).unwrap();
    }

    fn tail(&self, params: LogTailParams) -> Tail {
        self.tail_with(params, 64)
    }

    fn tail_with(&self, params: LogTailParams, capacity: usize) -> Tail {
        let (sender, events) = mpsc::channel(capacity);
        let end = CancellationToken::new();
        let answer = tokio::spawn(tail::run(self.logs.clone(), params, sender, end.clone()));
        Tail { events, end, answer, cursors: Vec::new() }
    }

    /// All of it, as texts.
    async fn history(&self, params: LogTailParams) -> Vec<String> {
        self.tail(params).rest().await.iter().map(shown).collect()
    }
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_ref()).unwrap();
}

struct Tail {
    events: mpsc::Receiver<EventBody>,
    end: CancellationToken,
    answer: JoinHandle<Result<TailAnswer, CallError>>,
    cursors: Vec<String>,
}

impl Tail {
    async fn next(&mut self) -> Option<EventBody> {
        let event = timeout(LIMIT, self.events.recv()).await.expect("an event")?;
        match &event {
            EventBody::Item { item } => self.cursors.push(item["cursor"].as_str().unwrap().to_owned()),
            EventBody::Log { cursor, .. } => self.cursors.push(cursor.clone()),
            _ => {}
        }
        Some(event)
    }

    /// The next entry or gap.
    async fn shown(&mut self) -> String {
        loop {
            let event = self.next().await.expect("more");
            if !is_aside(&event) {
                return shown(&event);
            }
        }
    }

    /// Passes the first event, after which following has begun or is about to.
    async fn begun(&mut self) {
        assert!(matches!(self.next().await, Some(EventBody::Item { .. })));
    }

    async fn rest(&mut self) -> Vec<EventBody> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            if !is_aside(&event) {
                all.push(event);
            }
        }
        all
    }

    async fn end(mut self) -> TailAnswer {
        self.end.cancel();
        while timeout(LIMIT, self.events.recv()).await.unwrap().is_some() {}
        timeout(LIMIT, self.answer).await.unwrap().unwrap().unwrap()
    }
}

/// Whether it is no entry; on a slow machine a search says that it goes on.
fn is_aside(event: &EventBody) -> bool {
    matches!(event, EventBody::Item { .. } | EventBody::Progress { .. })
}

fn shown(event: &EventBody) -> String {
    match event {
        EventBody::Log { line, .. } => line.clone(),
        EventBody::Gap { reason, lines, .. } => format!("gap {reason} {lines:?}"),
        EventBody::Note { text, .. } => format!("note {text}"),
        other => panic!("{other:?}"),
    }
}

fn params() -> LogTailParams {
    LogTailParams {
        sources: Vec::new(),
        lines: None,
        since: None,
        until: None,
        grep: None,
        level: None,
        follow: false,
        after_cursor: None,
        packed: false,
    }
}

fn following() -> LogTailParams {
    LogTailParams { lines: Some(0), follow: true, ..params() }
}

/// An entry of this second.
fn entry(second: u64) -> String {
    format!("{} entry {second}\n", Timestamp::from_second(1_795_500_000 + second as i64).unwrap())
}

fn entries(seconds: impl IntoIterator<Item = u64>) -> String {
    seconds.into_iter().map(entry).collect()
}

fn at(second: u64) -> Option<Timestamp> {
    Some(Timestamp::from_second(1_795_500_000 + second as i64).unwrap())
}

fn numbers(texts: &[String]) -> Vec<u64> {
    texts.iter().map(|text| text.rsplit(' ').next().unwrap().parse().expect(text)).collect()
}

#[tokio::test]
async fn history_is_the_last_entries_of_all_files_by_time() {
    let place = Place::new(&["app", "nginx"]);
    place.write("app.log.2", entries((0..100).map(|n| n * 2)));
    place.pack("app.log.2");
    place.write("app.log.1", entries((100..200).map(|n| n * 2)));
    place.write("app.log", entries((200..300).map(|n| n * 2)));
    place.write("nginx.log", entries((0..300).map(|n| n * 2 + 1)));
    for lines in [0, 1, 2, 7, 100, 199, 300, 501, 599, 600, 601, 10_000] {
        let found = numbers(&place.history(LogTailParams { lines: Some(lines), ..params() }).await);
        let expected: Vec<u64> = (600 - lines.min(600)..600).collect();
        assert_eq!(found, expected, "{lines}");
    }
    let all: Vec<u64> = (0..600).collect();
    assert_eq!(numbers(&place.history(params()).await), all);
    for (since, until) in [(0, 600), (250, 251), (150, 450), (599, 700), (700, 800)] {
        let wanted = LogTailParams { since: at(since), until: at(until), ..params() };
        let expected: Vec<u64> = (since..until.min(600)).collect();
        assert_eq!(numbers(&place.history(wanted.clone()).await), expected, "{since} {until}");
        let last = expected[expected.len().saturating_sub(9)..].to_vec();
        assert_eq!(numbers(&place.history(LogTailParams { lines: Some(9), ..wanted }).await), last);
    }
    let app = vec!["app".parse().unwrap(), "unknown".parse().unwrap()];
    let wanted = LogTailParams { sources: app, lines: Some(3), ..params() };
    assert_eq!(numbers(&place.history(wanted).await), [594, 596, 598]);
    let wanted = LogTailParams { grep: Some("entry \\d5$".to_owned()), lines: Some(3), ..params() };
    assert_eq!(numbers(&place.history(wanted).await), [75, 85, 95]);
}

#[tokio::test]
async fn large_files_are_read_from_the_right_place() {
    let place = Place::new(&["app"]);
    let mut text = String::new();
    for second in 0..60_000 {
        text.push_str(&entry(second));
        if second % 1000 == 0 {
            text.push_str(&format!("#0 {}\n", "trace ".repeat(100 * (second as usize / 1000))));
        }
    }
    place.write("app.log", text);
    let found = place.history(LogTailParams { lines: Some(25_000), ..params() }).await;
    assert_eq!(found.len(), 25_000);
    assert!(found[0].contains("entry 35000\n#0 trace"));
    assert!(found[24_999].ends_with("entry 59999"));
    let found = place.history(LogTailParams { since: at(40_001), until: at(40_010), ..params() }).await;
    assert_eq!(numbers(&found), (40_001..40_010).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_several_processes_write_out_of_order_is_put_in_order() {
    let place = Place::new(&["app"]);
    let order = [3, 1, 2, 0, 5, 4, 9, 6, 7, 8, 11, 10];
    place.write("app.log", entries(order));
    assert_eq!(numbers(&place.history(params()).await), (0..12).collect::<Vec<_>>());
    // A clock that was wrong once keeps nothing back for ever.
    place.write("app.log", entries([1_000_000].into_iter().chain(0..500)));
    let found = numbers(&place.history(params()).await);
    assert_eq!(found.len(), 501);
    assert!(found.iter().position(|n| *n == 1_000_000).unwrap() <= 64);
    // From every cursor on, exactly what was not given out before.
    place.write("app.log", entries(order));
    let mut tail = place.tail(params());
    let all = numbers(&tail.rest().await.iter().map(shown).collect::<Vec<_>>());
    for (seen, cursor) in tail.cursors.iter().enumerate() {
        let rest = place.history(LogTailParams { after_cursor: Some(cursor.clone()), ..params() }).await;
        assert_eq!(numbers(&rest), all[seen..], "{seen}");
    }
}

#[tokio::test]
async fn lines_without_times_are_entries_as_of_the_last_change() {
    let place = Place::new(&["app"]);
    place.write("app.log", "one\ntwo\nthree");
    // The last line has no newline yet: it counts once nobody goes on with it.
    let file = OpenOptions::new().write(true).open(place.path("app.log")).unwrap();
    let found = place.history(params()).await;
    assert_eq!(found, ["one", "two"]);
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
    assert_eq!(place.history(LogTailParams { lines: Some(2), ..params() }).await, ["two", "three"]);
    let since = Some(Timestamp::now() - Duration::from_secs(30));
    assert!(place.history(LogTailParams { since, ..params() }).await.is_empty());
}

#[tokio::test]
async fn a_trace_stays_with_its_entry_while_following() {
    let place = Place::new(&["app"]);
    place.write("app.log", entries([0]));
    let mut tail = place.tail(following());
    tail.begun().await;
    place.append("app.log", format!("{}#0 a.php(1)\n#1 b.php(2)\n{}half", entry(1), entry(2)));
    assert_eq!(tail.shown().await, format!("{}#0 a.php(1)\n#1 b.php(2)", entry(1)));
    // The last entry is whole after a moment; half a line is not.
    assert_eq!(tail.shown().await, entry(2).trim_end());
    assert!(timeout(Duration::from_millis(60), tail.events.recv()).await.is_err());
    place.append("app.log", " done\n");
    assert_eq!(tail.shown().await, "half done");
    let answer = tail.end().await;
    assert_eq!(answer.entries, 3);
    // Nothing more behind the last cursor.
    let behind = LogTailParams { after_cursor: answer.cursor, ..params() };
    assert!(place.history(behind).await.is_empty());
}

#[tokio::test]
async fn bytes_of_any_kind_are_survived() {
    let place = Place::new(&["app"]);
    place.write("app.log", "");
    let mut tail = place.tail(following());
    tail.begun().await;
    place.append("app.log", b"2026-11-24T10:00:00Z \xff\xfe\x1b[31mred\x1b[0m\0\n");
    assert_eq!(tail.shown().await, "2026-11-24T10:00:00Z \u{fffd}\u{fffd}\u{1b}[31mred\u{1b}[0m\0");
    let mut long = b"2026-11-24T10:00:01Z ".to_vec();
    long.resize(10 * 1024 * 1024, 1);
    place.append("app.log", &long);
    place.append("app.log", "\n2026-11-24T10:00:02Z next\n");
    let event = tail.next().await.unwrap();
    let line = serde_json::to_vec(&event).unwrap().len();
    assert!(line + 1024 < orocloud_protocol::MAX_LINE, "{line}");
    assert!(shown(&event).ends_with(" … [10354689 bytes more left out]"), "{}", shown(&event).len());
    assert_eq!(tail.shown().await, "2026-11-24T10:00:02Z next");
    tail.end().await;
    let found = place.history(LogTailParams { lines: Some(2), ..params() }).await;
    assert!(found[0].ends_with(" … [10354689 bytes more left out]"));
    assert_eq!(found.len(), 2);
}

#[test]
fn sources_have_sizes() {
    let place = Place::new(&["app", "nginx"]);
    place.write("app.log", "12345");
    place.write("app.log.1", "123");
    let answer = place.logs.sources();
    let sizes: Vec<_> = answer
        .items
        .iter()
        .map(|item| (item.source.as_str(), item.bytes, item.modified_at.is_some()))
        .collect();
    assert_eq!(sizes, [("app", 8, true), ("nginx", 0, false)]);
}
