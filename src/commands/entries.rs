//! How entries of logs are shown: one by one, or a block of them at once.

use std::fmt::Write;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use orocloud_protocol::log_block;

use crate::output::{Style, Ui, escape};

/// A block is never larger when unpacked; one that claims to be is not believed.
const LARGEST: usize = 8 << 20;

/// Writes entries as lines that begin with time, node and source.
pub struct Entries {
    zone: TimeZone,
    /// The last second and what it reads as: most entries share theirs with the one before.
    second: Option<(i64, String)>,
}

impl Entries {
    /// With times as this machine's clock shows them.
    pub fn new() -> Self {
        Self { zone: TimeZone::system(), second: None }
    }

    /// Shows one entry.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        (node, source): (&str, &str),
        time: Timestamp,
        text: &str,
    ) -> io::Result<()> {
        let mut lines = String::with_capacity(text.len() + 64);
        self.add(&mut lines, &painted(ui, node, source), time, text);
        lines.pop();
        ui.line(&lines)
    }

    /// Shows the entries of a block.
    pub fn show_block(&mut self, ui: &mut Ui, (node, source): (&str, &str), data: &str) -> io::Result<()> {
        let damaged = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        let packed = STANDARD.decode(data).map_err(|error| damaged(error.to_string()))?;
        let bytes = zstd::bulk::decompress(&packed, LARGEST)?;
        let around = painted(ui, node, source);
        let mut lines = String::with_capacity(bytes.len() + bytes.len() / 2);
        for entry in log_block::entries(&bytes) {
            let (time, text) = entry.map_err(damaged)?;
            self.add(&mut lines, &around, time, &String::from_utf8_lossy(text));
        }
        if lines.pop().is_some() { ui.line(&lines) } else { Ok(()) }
    }

    /// Adds an entry's lines.
    fn add(&mut self, to: &mut String, around: &(String, String), time: Timestamp, text: &str) {
        let second = time.as_second() - i64::from(time.subsec_nanosecond() < 0);
        if self.second.as_ref().is_none_or(|(known, _)| *known != second) {
            let shown = Timestamp::from_second(second)
                .map(|time| time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string());
            self.second = Some((second, shown.unwrap_or_default()));
        }
        let shown = self.second.as_ref().map_or("", |(_, shown)| shown);
        let milliseconds = time.subsec_millisecond().rem_euclid(1000);
        let text = escape::stripped(text);
        let mut lines = text.lines();
        let mut next = Some(lines.next().unwrap_or_default());
        while let Some(line) = next {
            to.push_str(&around.0);
            to.push_str(shown);
            let _ = write!(to, ".{milliseconds:03}");
            to.push_str(&around.1);
            to.push_str(line);
            to.push('\n');
            next = lines.next();
        }
    }
}

/// What stands before the time, and between it and the text.
fn painted(ui: &Ui, node: &str, source: &str) -> (String, String) {
    const TIME: char = '\u{0}';
    let painted = ui.paint(Style::Dim, &format!("{TIME} {node} {source}"));
    let (before, behind) = painted.split_once(TIME).unwrap_or(("", ""));
    (before.to_owned(), format!("{behind} "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Manner, Terminal};
    use orocloud_protocol::log_block::Gatherer;

    #[test]
    fn a_block_reads_as_its_entries_do() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let all = [
            (at("2026-11-24T10:32:00.123Z"), "first \u{1b}[31mred\nsecond"),
            (at("2026-11-24T10:32:00.999999Z"), ""),
            (at("2026-11-24T10:32:01Z"), "a\u{202e}b"),
            (at("1969-12-31T23:59:59.5Z"), "long ago"),
        ];
        for manner in [Manner::default(), Manner { colours: Some(true), ..Manner::default() }] {
            let mut gatherer = Gatherer::default();
            let (mut ui, out, _) = Ui::captured(Terminal::default(), manner, &[]);
            for (time, text) in all {
                gatherer.push(time, text.as_bytes());
                Entries::new().show(&mut ui, ("web1", "app"), time, text).unwrap();
            }
            let (mut blocks, packed, _) = Ui::captured(Terminal::default(), manner, &[]);
            let data = STANDARD.encode(zstd::bulk::compress(gatherer.bytes(), 1).unwrap());
            Entries::new().show_block(&mut blocks, ("web1", "app"), &data).unwrap();
            assert_eq!(packed.text(), out.text());
            assert_eq!(out.text().lines().count(), 5);
            assert!(out.text().contains(".123 web1 app"), "{}", out.text());
            assert!(out.text().contains(":59.500 web1 app"), "{}", out.text());
        }
    }

    #[test]
    fn a_damaged_block_is_an_error() {
        let (mut ui, _, _) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        let bomb = STANDARD.encode(zstd::bulk::compress(&vec![0; LARGEST + 1], 1).unwrap());
        let cut = STANDARD.encode(zstd::bulk::compress(&[0, 9, b'x'], 1).unwrap());
        for data in ["!", "AAAA", &bomb, &cut] {
            assert!(Entries::new().show_block(&mut ui, ("web1", "app"), data).is_err());
        }
    }
}
