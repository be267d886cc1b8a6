//! Files that are rotated, emptied, deleted, packed, and read too slowly, while somebody follows them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use orocloud_protocol::EventBody;
use orocloud_protocol::node::LogTailParams;
use tokio::time::timeout;

use super::*;

/// Writes numbered entries, 5,000 a second, until it is told to end.
struct Writer {
    stop: std::sync::Arc<AtomicBool>,
    written: std::sync::Arc<AtomicU64>,
    thread: std::thread::JoinHandle<u64>,
}

impl Writer {
    /// `reopen` is asked before every line whether the log is to be opened anew, as programs do on a signal.
    fn start(path: PathBuf, reopen: std::sync::Arc<AtomicBool>) -> Self {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let written = std::sync::Arc::new(AtomicU64::new(0));
        let thread = std::thread::spawn({
            let (stop, written) = (stop.clone(), written.clone());
            move || {
                let open = || OpenOptions::new().append(true).create(true).open(&path).unwrap();
                let mut file = open();
                let begin = std::time::Instant::now();
                let mut count = 0;
                while !stop.load(Ordering::Acquire) {
                    if reopen.swap(false, Ordering::AcqRel) {
                        file = open();
                    }
                    let due = begin.elapsed().as_micros() as u64 / 200;
                    while count < due {
                        file.write_all(entry(count).as_bytes()).unwrap();
                        count += 1;
                    }
                    written.store(count, Ordering::Release);
                    std::thread::sleep(Duration::from_micros(200));
                }
                count
            }
        });
        Self { stop, written, thread }
    }

    fn wait_for(&self, count: u64) {
        let begin = std::time::Instant::now();
        while self.written.load(Ordering::Acquire) < count {
            assert!(begin.elapsed() < LIMIT);
            std::thread::yield_now();
        }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_by_renaming_loses_and_doubles_nothing() {
    let place = Place::new(&["app"]);
    place.write("app.log", "");
    let mut tail = place.tail(following());
    tail.begun().await;
    let reopen = std::sync::Arc::new(AtomicBool::new(false));
    let writer = Writer::start(place.path("app.log"), reopen.clone());
    let mut rotate = tokio::task::spawn_blocking({
        let path = |name: &str| place.path(name);
        let paths = [path("app.log"), path("app.log.1"), path("app.log.2"), path("app.log.3")];
        move || {
            for round in 1..=6_u64 {
                writer.wait_for(round * 800);
                for age in (0..3).rev() {
                    let _ = std::fs::rename(&paths[age], &paths[age + 1]);
                }
                if round % 2 == 0 {
                    // The new file is there before the program lets go of the old one.
                    File::create(&paths[0]).unwrap();
                }
                let now = writer.written.load(Ordering::Acquire);
                writer.wait_for(now + 100);
                reopen.store(true, Ordering::Release);
                if round == 5 {
                    writer.wait_for(now + 200);
                    reopen.store(true, Ordering::Release);
                }
            }
            writer.end()
        }
    });
    let mut found = Vec::new();
    let mut total: Option<u64> = None;
    while total.is_none_or(|total| (found.len() as u64) < total) {
        tokio::select! {
            written = &mut rotate, if total.is_none() => total = Some(written.unwrap()),
            text = timeout(LIMIT, tail.shown()) => {
                found.push(text.unwrap_or_else(|_| panic!("{} of {total:?}", found.len())));
            }
        }
    }
    let mut found = numbers(&found);
    found.sort_unstable();
    assert_eq!(found, (0..total.unwrap()).collect::<Vec<_>>());
    assert!(timeout(Duration::from_millis(50), tail.next()).await.is_err());
    tail.end().await;
}

#[tokio::test]
async fn two_rotations_between_two_looks_are_seen() {
    let place = Place::new(&["app"]);
    place.write("app.log", entries(0..10));
    let cursor = {
        let mut tail = place.tail(LogTailParams { lines: Some(3), ..params() });
        tail.rest().await;
        tail.cursors.pop().unwrap()
    };
    place.append("app.log", entries(10..20));
    place.rename("app.log", "app.log.1");
    place.write("app.log", entries(20..30));
    place.rename("app.log.1", "app.log.2");
    place.rename("app.log", "app.log.1");
    place.write("app.log", entries(30..40));
    let behind = LogTailParams { after_cursor: Some(cursor.clone()), ..params() };
    assert_eq!(numbers(&place.history(behind.clone()).await), (10..40).collect::<Vec<_>>());
    // Also when the one that was read is packed by now, which gives it another inode.
    place.pack("app.log.2");
    assert_eq!(numbers(&place.history(behind.clone()).await), (10..40).collect::<Vec<_>>());
    // And when it is gone, that is said.
    std::fs::remove_file(place.path("app.log.2.gz")).unwrap();
    let found = place.history(behind).await;
    assert_eq!(found[0], "gap rotated None");
    assert_eq!(numbers(&found[1..]), (30..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_emptied_in_place_leaves_a_gap() {
    let place = Place::new(&["app"]);
    place.write("app.log", entries(0..10));
    let mut tail = place.tail(following());
    tail.begun().await;
    place.append("app.log", entries([10]));
    assert!(tail.shown().await.ends_with("entry 10"));
    place.write("app.log", "");
    assert_eq!(tail.shown().await, "gap truncated None");
    place.append("app.log", entries([11]));
    assert!(tail.shown().await.ends_with("entry 11"));
    // Emptied and grown beyond where it was, between two looks.
    place.write("app.log", entries(100..200));
    assert_eq!(tail.shown().await, "gap truncated None");
    assert!(tail.shown().await.ends_with("entry 100"));
    let answer = tail.end().await;
    place.write("app.log", entries(300..302));
    let found = place.history(LogTailParams { after_cursor: answer.cursor, ..params() }).await;
    assert_eq!(found[0], "gap truncated None");
    assert_eq!(numbers(&found[1..]), [300, 301]);
}

#[tokio::test]
async fn a_copy_made_before_emptying_is_read_to_its_end() {
    let place = Place::new(&["app"]);
    place.write("app.log", entries(0..10));
    let mut tail = place.tail(following());
    tail.begun().await;
    let mut written = 10;
    let mut found = Vec::new();
    for round in 0..5 {
        place.append("app.log", entries(written..written + 100));
        written += 100;
        if round % 2 == 0 {
            found.push(tail.shown().await);
        }
        place.append("app.log", entries(written..written + 100));
        written += 100;
        let _ = std::fs::rename(place.path("app.log.1"), place.path("app.log.2"));
        std::fs::copy(place.path("app.log"), place.path("app.log.1")).unwrap();
        OpenOptions::new().write(true).open(place.path("app.log")).unwrap().set_len(0).unwrap();
        place.append("app.log", entries(written..written + 3));
        written += 3;
        while (found.len() as u64) < written - 10 {
            found.push(tail.shown().await);
        }
    }
    assert_eq!(numbers(&found), (10..written).collect::<Vec<_>>());
    tail.end().await;
}

#[tokio::test]
async fn a_file_that_is_deleted_and_made_anew_or_comes_late_is_followed() {
    let place = Place::new(&["app"]);
    let mut tail = place.tail(following());
    tail.begun().await;
    place.write("app.log", entries([1]));
    assert!(tail.shown().await.ends_with("entry 1"));
    std::fs::remove_file(place.path("app.log")).unwrap();
    place.write("app.log", entries([2]));
    assert!(tail.shown().await.ends_with("entry 2"));
    let answer = tail.end().await;
    assert_eq!(answer.entries, 2);

    // Its folder is not there yet, and then replaced: it is looked for from time to time.
    let mut place = Place::new(&["app"]);
    place.logs.chains[0].path = place.path("sub/app.log");
    let mut tail = place.tail(following());
    tail.begun().await;
    for number in 0..2 {
        std::fs::create_dir(place.path("sub")).unwrap();
        place.write("sub/app.log", entries([number]));
        assert!(tail.shown().await.ends_with(&format!("entry {number}")));
        place.append("sub/app.log", entries([7]));
        assert!(tail.shown().await.ends_with("entry 7"));
        std::fs::remove_dir_all(place.path("sub")).unwrap();
    }
    tail.end().await;
}

#[tokio::test]
async fn a_slow_reader_is_told_exactly_how_many_lines_were_left_out() {
    let mut place = Place::new(&["app"]);
    place.logs.limits.behind = 64 * 1024;
    place.logs.limits.behind_for = Duration::from_millis(50);
    place.write("app.log", "");
    let mut tail = place.tail_with(following(), 4);
    tail.begun().await;
    let mut written = 0;
    let (mut seen, mut left_out) = (Vec::new(), 0);
    let mut gaps = 0;
    while gaps < 3 {
        place.append("app.log", entries(written..written + 2000));
        written += 2000;
        // Reads a little, slowly.
        for _ in 0..20 {
            match timeout(Duration::from_millis(5), tail.next()).await {
                Ok(Some(EventBody::Gap { lines, reason, .. })) => {
                    assert_eq!(reason, "behind");
                    left_out += lines.unwrap();
                    gaps += 1;
                }
                Ok(Some(event)) => seen.push(shown(&event)),
                _ => {}
            }
        }
    }
    place.append("app.log", "2026-11-24T23:00:00Z the end\n");
    loop {
        match tail.next().await.unwrap() {
            EventBody::Gap { lines, .. } => left_out += lines.unwrap(),
            event if shown(&event).ends_with("the end") => break,
            event => seen.push(shown(&event)),
        }
    }
    let seen = numbers(&seen);
    assert!(seen.is_sorted());
    assert_eq!(seen.len() as u64 + left_out, written);
    tail.end().await;
}

#[tokio::test]
async fn history_waits_for_its_reader_and_ends_with_it() {
    let place = Place::new(&["app"]);
    place.write("app.log", entries(0..20_000));
    let mut tail = place.tail_with(params(), 1);
    for _ in 0..10 {
        tail.next().await.unwrap();
    }
    assert!(!tail.answer.is_finished());
    let Tail { events, answer, .. } = tail;
    drop(events);
    assert!(timeout(LIMIT, answer).await.unwrap().unwrap().unwrap().entries < 20);
}

#[tokio::test]
async fn following_goes_on_where_a_cursor_stands_after_a_rotation() {
    let place = Place::new(&["app", "nginx"]);
    place.write("app.log", entries(0..10));
    place.write("nginx.log", entries(100..110));
    let mut tail = place.tail(LogTailParams { lines: Some(5), follow: true, ..params() });
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(tail.shown().await);
    }
    place.append("app.log", entries(10..15));
    while seen.len() < 10 {
        seen.push(tail.shown().await);
    }
    let answer = tail.end().await;
    place.append("app.log", entries(15..20));
    place.rename("app.log", "app.log.1");
    place.append("app.log.1", entries(20..25));
    place.write("app.log", entries(25..30));
    let again = LogTailParams { follow: true, after_cursor: answer.cursor, ..params() };
    let mut tail = place.tail(again);
    let mut found = Vec::new();
    while found.len() < 15 {
        found.push(tail.shown().await);
    }
    // The program has not let go of the old file yet.
    place.append("app.log.1", entries([30]));
    found.push(tail.shown().await);
    place.append("app.log", entries([31]));
    found.push(tail.shown().await);
    place.append("nginx.log", entries([32]));
    found.push(tail.shown().await);
    assert_eq!(numbers(&found), (15..33).collect::<Vec<_>>());
    // The cursor of an entry is that of its own file; the answer's holds all.
    let answer = tail.end().await;
    assert!(place.history(LogTailParams { after_cursor: answer.cursor, ..params() }).await.is_empty());
}
