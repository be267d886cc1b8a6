//! What lies in the archive: `pgbackrest repo-ls --recurse --output=json`, and timeline histories.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orocloud_protocol::node::{ArchivedRun, TimelineHistory};
use serde::Deserialize;

use crate::rules::wal::{DEFAULT_SEGMENT_SIZE, Segment};

/// What is archived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// Unbroken runs, by timeline and place.
    pub runs: Vec<ArchivedRun>,
    /// How timelines began, by number.
    pub histories: Vec<TimelineHistory>,
    /// History files that are still to be read: timeline, and path in the archive.
    pub(super) history_files: Vec<(u32, String)>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    time: Option<i64>,
    #[serde(rename = "type")]
    kind: String,
}

pub(super) fn parse(json: &[u8]) -> Result<Archive, String> {
    // An archive that does not exist yet is listed as nothing at all.
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(Archive::default());
    }
    let entries: BTreeMap<String, Entry> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let mut segments: BTreeMap<Segment, Option<i64>> = BTreeMap::new();
    let mut archive = Archive::default();
    for (path, entry) in entries.iter().filter(|(_, entry)| entry.kind == "file") {
        let name = path.rsplit('/').next().unwrap_or(path);
        if let Some(timeline) =
            name.strip_suffix(".history").and_then(|hex| u32::from_str_radix(hex, 16).ok())
        {
            archive.history_files.push((timeline, path.clone()));
        } else if let Some(segment) =
            // NAME-CHECKSUM[.COMPRESSION]; a `.partial` or `.backup` continues with a dot.
            name
                .split_once('-')
                .and_then(|(name, _)| Segment::parse(name, DEFAULT_SEGMENT_SIZE))
        {
            segments.insert(segment, entry.time);
        }
    }
    archive.history_files.sort();
    let mut last: Option<Segment> = None;
    for (segment, time) in segments {
        let name = segment.name(DEFAULT_SEGMENT_SIZE);
        let last_at = time.and_then(|time| Timestamp::from_second(time).ok());
        let follows =
            last.is_some_and(|last| last.timeline == segment.timeline && last.number + 1 == segment.number);
        match archive.runs.last_mut() {
            Some(run) if follows => {
                run.last = name;
                run.last_at = last_at;
            }
            _ => archive.runs.push(ArchivedRun {
                timeline: segment.timeline,
                first: name.clone(),
                last: name,
                last_at,
                last_commit_at: None,
            }),
        }
        last = Some(segment);
    }
    Ok(archive)
}

/// A line for each ancestor: its number, the location at which it was left, why. Comments and blank lines count for
/// nothing.
pub(super) fn parse_history(timeline: u32, text: &str) -> TimelineHistory {
    let ancestors = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let ancestor = fields.next()?.parse().ok()?;
            let at = fields.next()?;
            at.parse::<crate::rules::wal::Lsn>().ok()?;
            Some((ancestor, at.to_owned()))
        })
        .collect();
    TimelineHistory { timeline, ancestors }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = r#"{".":{"type":"path"},"15-1":{"type":"path"},"15-1/00000002.history":{"type":"file","size":50,"time":1795538460},"15-1/0000000100000000":{"type":"path"},"15-1/0000000100000000/000000010000000000000001-c6494f2ac6e57ac5c93f1e63ada1b09a00c290b6.zst":{"type":"file","size":2149888,"time":1795538440},"15-1/0000000100000000/000000010000000000000002-893aa0bb0d056875ecaf957be5b718aea73bb810.zst":{"type":"file","size":481360,"time":1795538441},"15-1/0000000100000000/000000010000000000000002.00000028.backup":{"type":"file","size":400,"time":1795538446},"15-1/0000000100000000/000000010000000000000004-771031e776b773ba765879385581b618d3be628a.zst":{"type":"file","size":925968,"time":1795538445},"15-1/0000000200000000/000000020000000000000005-ba6184cdc9a459f850deeb4aba4600617735cf58.zst":{"type":"file","size":1211568,"time":1795538450},"archive.info":{"type":"file","size":368,"time":1795538448},"archive.info.copy":{"type":"file","size":368,"time":1795538448}}"#;

    #[test]
    fn runs_end_at_gaps_and_timelines() {
        let archive = parse(CAPTURED.as_bytes()).unwrap();
        let runs: Vec<_> =
            archive.runs.iter().map(|run| (run.timeline, &run.first[16..], &run.last[16..])).collect();
        assert_eq!(
            runs,
            [(1, "00000001", "00000002"), (1, "00000004", "00000004"), (2, "00000005", "00000005")]
        );
        assert_eq!(archive.runs[0].last_at, Timestamp::from_second(1_795_538_441).ok());
        assert_eq!(archive.history_files, [(2, "15-1/00000002.history".to_owned())]);
    }

    #[test]
    fn an_empty_archive_is_none_and_one_cut_short_an_error() {
        assert_eq!(parse(b"\n"), Ok(Archive::default()));
        assert!(parse(&CAPTURED.as_bytes()[..CAPTURED.len() / 2]).is_err());
    }

    #[test]
    fn histories_are_read_and_rubbish_in_them_is_not() {
        let text = "1\t0/14500000\tbefore 2026-11-24 10:32:00+00\n\n# note\n2\t0/19000028\tno recovery target\n3\t0/";
        let history = parse_history(4, text);
        assert_eq!(history.ancestors, [(1, "0/14500000".to_owned()), (2, "0/19000028".to_owned())]);
    }
}
