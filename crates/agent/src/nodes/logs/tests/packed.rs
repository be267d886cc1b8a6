//! Entries many at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orocloud_protocol::{CallId, Event, MAX_LINE, Notification, encode, log_block};

use super::*;

fn packed() -> LogTailParams {
    LogTailParams { packed: true, ..params() }
}

/// The entries of a block, and the cursor behind them.
fn unpacked(event: &EventBody) -> (Vec<(Timestamp, String)>, String) {
    let EventBody::LogBlock { source, node, entries, data, cursor } = event else { panic!("{event:?}") };
    assert_eq!((source.as_str(), node.as_str()), ("app", "web1"));
    let bytes = zstd::bulk::decompress(&STANDARD.decode(data).unwrap(), 4 << 20).unwrap();
    let found: Vec<_> = log_block::entries(&bytes)
        .map(|entry| entry.map(|(time, text)| (time, String::from_utf8(text.to_vec()).unwrap())).unwrap())
        .collect();
    assert_eq!(found.len() as u64, *entries);
    (found, cursor.clone())
}

fn plain(event: &EventBody) -> (Timestamp, String) {
    let EventBody::Log { time, line, .. } = event else { panic!("{event:?}") };
    (*time, line.clone())
}

#[tokio::test]
async fn blocks_hold_what_would_have_come_one_by_one_and_go_on_where_they_end() {
    let place = Place::new(&["app"]);
    place.write("app.log.2", entries(0..20_000));
    place.pack("app.log.2");
    // Pairs out of order, also where a block ends and where a file does.
    place.write("app.log.1", entries((20_000..40_001).map(|n| n ^ 1)));
    place.write("app.log", entries((40_001..60_000).map(|n| n ^ 1)));
    for wanted in [packed(), LogTailParams { since: at(15_000), lines: Some(40_000), ..packed() }] {
        let one_by_one = place.tail(LogTailParams { packed: false, ..wanted.clone() }).rest().await;
        let all: Vec<_> = one_by_one.iter().map(plain).collect();
        assert!(all.len() >= 40_000);
        let mut tail = place.tail(wanted.clone());
        let blocks: Vec<_> = tail.rest().await.iter().map(unpacked).collect();
        assert!(blocks.len() > 2, "{}", blocks.len());
        let found: Vec<_> = blocks.iter().flat_map(|(entries, _)| entries.clone()).collect();
        assert_eq!(found, all);
        let answer = tail.end().await;
        assert_eq!(answer.entries, all.len() as u64);
        let mut seen = 0;
        for (entries, cursor) in &blocks {
            seen += entries.len();
            let behind = LogTailParams { after_cursor: Some(cursor.clone()), lines: None, ..wanted.clone() };
            let rest = place.tail(behind).rest().await;
            let rest: Vec<_> = rest.iter().flat_map(|event| unpacked(event).0).collect();
            assert_eq!(rest, all[seen..]);
        }
        let behind = LogTailParams { after_cursor: answer.cursor, lines: None, ..wanted };
        assert!(place.tail(behind).rest().await.is_empty());
    }
}

#[tokio::test]
async fn a_block_fits_in_a_line_however_badly_it_packs() {
    let place = Place::new(&["app"]);
    let mut random = 42_u64;
    let mut text = String::new();
    for second in 0..40 {
        text.push_str(entry(second).trim_end());
        for _ in 0..120_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(char::from(b' ' + (random >> 40) as u8 % 95));
        }
        text.push('\n');
    }
    place.write("app.log", text);
    let blocks = place.tail(packed()).rest().await;
    assert!(blocks.len() > 5);
    for body in blocks {
        let event = Event { call: CallId::from_parts(1, 1), seq: u64::MAX, at: Timestamp::now(), body };
        assert!(encode(&Notification::Event(event)).len() <= MAX_LINE);
    }
}

#[tokio::test]
async fn what_cannot_be_packed_comes_as_ever() {
    let place = Place::new(&["app", "nginx"]);
    place.write("app.log", entries(0..3));
    place.write("nginx.log", entries(3..6));
    assert_eq!(numbers(&place.history(packed()).await), (0..6).collect::<Vec<_>>());
    let mut following =
        place.tail(LogTailParams { follow: true, sources: vec!["app".parse().unwrap()], ..packed() });
    assert!(following.shown().await.ends_with("entry 0"));
    following.end().await;
    // Nothing is no block.
    let none = LogTailParams { since: at(100), sources: vec!["app".parse().unwrap()], ..packed() };
    assert!(place.tail(none).rest().await.is_empty());
}
