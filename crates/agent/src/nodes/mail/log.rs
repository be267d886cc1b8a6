//! Postfix's log, read as it grows: where messages went is counted and remembered while Postfix works, and from what is
//! left of the log when the agent begins. Nothing of it is kept on disk: the log is.

mod ledger;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::CallError;

pub use ledger::{Ledger, Patience, Stall};

use crate::nodes::logs::chain::{Chain, Identity, LogFile, Packing, modified};
use crate::nodes::logs::entry::Source;
use crate::nodes::logs::time::Times;

/// A line that is longer is none of Postfix's.
const LONGEST_LINE: usize = 64 * 1024;

/// So far back files that were rotated away are read when the agent begins.
const LOOKED_BACK: SignedDuration = SignedDuration::from_hours(25);

/// What was read of the log so far. Shared by all who ask.
#[derive(Debug, Default)]
pub struct MailLog(Arc<Mutex<Reader>>);

impl MailLog {
    /// Reads on to the end of the log, and asks what was told.
    pub async fn read<T: Send + 'static>(
        &self,
        log: &Path,
        ask: impl FnOnce(&Ledger) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let (reader, path) = (Arc::clone(&self.0), log.to_owned());
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            reader.catch_up(&path).map(|()| ask(&reader.ledger))
        });
        let cannot = |why: &dyn std::fmt::Display| {
            CallError::failed(format!("Postfix's log {} cannot be read", log.display())).because(why)
        };
        reading.await.map_err(|error| cannot(&error))?.map_err(|error| cannot(&error))
    }
}

#[derive(Debug, Default)]
struct Reader {
    ledger: Ledger,
    /// The file that is read, whatever its name is now.
    file: Option<Followed>,
    has_begun: bool,
}

#[derive(Debug)]
struct Followed {
    file: LogFile,
    offset: u64,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
    /// The line is too long: it is left out up to its end.
    is_too_long: bool,
}

impl Reader {
    fn catch_up(&mut self, path: &Path) -> io::Result<()> {
        let mut times = Times::new(TimeZone::system(), Timestamp::now());
        let chain = Chain::new("postfix".parse().map_err(io::Error::other)?, path.to_owned());
        if !self.has_begun {
            self.read_rotated(&chain, &mut times)?;
            self.has_begun = true;
        }
        if let Some(file) = &mut self.file {
            file.read_on(&mut self.ledger, &mut times)?;
            let identity = std::fs::metadata(path).ok().map(|metadata| Identity::of(&metadata));
            if identity.is_none_or(|identity| identity == file.file.identity) {
                return Ok(());
            }
            // Another file has its name. What was written to it last is read, and whatever came between both.
            file.read_on(&mut self.ledger, &mut times)?;
            let written = modified(&file.file.metadata()?);
            let links = chain.links()?;
            let own = links.iter().position(|link| link.identity == file.file.identity);
            let newer = links[..own.unwrap_or(0)].iter().skip(1).filter(|link| link.modified >= written);
            for link in newer.rev() {
                if let Some(between) = link.open(&chain)? {
                    Followed::new(between).read_on(&mut self.ledger, &mut times)?;
                }
            }
        }
        self.file = LogFile::open(path, Packing::Plain)?.map(Followed::new);
        match &mut self.file {
            Some(file) => file.read_on(&mut self.ledger, &mut times),
            None => Ok(()),
        }
    }

    /// Reads what rotation has left of the last day, the oldest first.
    fn read_rotated(&mut self, chain: &Chain, times: &mut Times) -> io::Result<()> {
        let earliest = Timestamp::now().checked_sub(LOOKED_BACK).unwrap_or(Timestamp::MIN);
        for link in chain.links()?.iter().rev() {
            if link.path == chain.path || link.modified < earliest {
                continue;
            }
            let read = match link.open(chain) {
                Ok(Some(file)) => Followed::new(file).read_on(&mut self.ledger, times),
                other => other.map(drop),
            };
            // What is damaged stays so, and keeps nobody from what came after it.
            if let Err(error) = read {
                crate::log::line(format!("{} is not counted: {error}", link.path.display()));
            }
        }
        Ok(())
    }
}

impl Followed {
    fn new(file: LogFile) -> Self {
        Self { file, offset: 0, rest: Vec::new(), is_too_long: false }
    }

    fn read_on(&mut self, ledger: &mut Ledger, times: &mut Times) -> io::Result<()> {
        let is_shorter = || io::Result::Ok(self.file.metadata()?.len() < self.offset);
        if self.file.packing == Packing::Plain && (is_shorter()? || !self.file.is_unchanged()?) {
            // It was emptied in its place.
            self.file.forget();
            (self.offset, self.rest, self.is_too_long) = (0, Vec::new(), false);
        }
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = self.file.read(self.offset, &mut buffer)?;
            if length == 0 {
                // Remembers how it begins.
                return self.file.print(self.offset).map(drop);
            }
            self.offset += length as u64;
            self.take_in(&buffer[..length], ledger, times);
        }
    }

    fn take_in(&mut self, bytes: &[u8], ledger: &mut Ledger, times: &mut Times) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = piece.ends_with(b"\n");
            if !self.is_too_long {
                self.rest.extend_from_slice(piece);
            }
            if self.rest.len() > LONGEST_LINE {
                self.is_too_long = true;
                self.rest.clear();
            }
            if is_whole {
                if !self.is_too_long {
                    ledger.line(String::from_utf8_lossy(&self.rest).trim_end(), times);
                }
                self.rest.clear();
                self.is_too_long = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    /// Lines of now: of messages that were sent.
    fn sent(ids: &[&str]) -> String {
        let now = Timestamp::now().to_zoned(TimeZone::system());
        let head = now.strftime("%b %e %H:%M:%S").to_string();
        let line = |id: &&str| {
            format!(
                "{head} mail1 postfix/smtp[7]: {id}: to=<a@b.c>, relay=mx[10.0.0.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n"
            )
        };
        ids.iter().map(line).collect()
    }

    fn append(path: &Path, text: &str) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn each_line_is_read_once_whatever_rotation_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        let rotated = |number: u8| folder.path().join(format!("mail.log.{number}"));
        let mut reader = Reader::default();
        let total = |reader: &mut Reader| {
            reader.catch_up(&path).unwrap();
            reader.ledger.counts(Timestamp::now()).day.sent
        };
        assert_eq!(total(&mut reader), 0, "there is no log yet");
        append(&path, &sent(&["A1", "A2"]));
        assert_eq!(total(&mut reader), 2);
        let line = sent(&["A3"]);
        let (half, other) = line.split_at(60);
        append(&path, half);
        assert_eq!(total(&mut reader), 2, "half a line is none yet");
        append(&path, other);
        append(&path, &"x".repeat(3 * LONGEST_LINE));
        append(&path, "\n\u{0}\n");
        append(&path, &sent(&["A4"]));
        assert_eq!(total(&mut reader), 4);
        // Renamed, with lines that were written last and not read yet; and twice at once.
        append(&path, &sent(&["A5"]));
        fs::rename(&path, rotated(1)).unwrap();
        append(&path, &sent(&["A6"]));
        assert_eq!(total(&mut reader), 6);
        fs::rename(rotated(1), rotated(2)).unwrap();
        fs::rename(&path, rotated(1)).unwrap();
        append(&path, &sent(&["A7"]));
        fs::rename(rotated(2), rotated(3)).unwrap();
        fs::rename(rotated(1), rotated(2)).unwrap();
        fs::rename(&path, rotated(1)).unwrap();
        append(&path, &sent(&["A8"]));
        assert_eq!(total(&mut reader), 8);
        // Emptied in its place.
        fs::write(&path, "").unwrap();
        assert_eq!(total(&mut reader), 8);
        append(&path, &sent(&["A9"]));
        assert_eq!(total(&mut reader), 9);
        // Gone for a moment.
        for number in (1..4).rev() {
            fs::rename(rotated(number), rotated(number + 1)).unwrap();
        }
        fs::rename(&path, rotated(1)).unwrap();
        assert_eq!(total(&mut reader), 9);

        // An agent that begins now finds all that is left, packed or not; what was emptied is gone.
        let mut packed = flate2::write::GzEncoder::new(
            fs::File::create(folder.path().join("mail.log.5.gz")).unwrap(),
            flate2::Compression::fast(),
        );
        packed.write_all(sent(&["B1", "B2"]).as_bytes()).unwrap();
        packed.finish().unwrap();
        let mut another = Reader::default();
        assert_eq!(total(&mut another), 10, "A8 was emptied away");
        append(&path, &sent(&["B3"]));
        assert_eq!((total(&mut another), total(&mut reader)), (11, 10));
    }
}
