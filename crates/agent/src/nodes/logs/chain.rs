//! One file of the configuration, with what rotation made of its earlier contents.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use orocloud_protocol::SourceName;

use super::cursor::{self, FilePosition, PRINT};
use super::entry::Source;

/// One file of the configuration.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Names it in cursors.
    pub key: u32,
    /// The source it belongs to.
    pub source: SourceName,
    /// Where the newest entries are.
    pub path: PathBuf,
}

impl Chain {
    /// The chain of this path.
    pub fn new(source: SourceName, path: PathBuf) -> Self {
        let key = cursor::hash(path.as_os_str().as_encoded_bytes()) as u32;
        Self { key, source, path }
    }

    /// All real files, the newest first; only the first can be the configuration's own.
    pub fn links(&self) -> io::Result<Vec<Link>> {
        let mut links = Vec::new();
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(Vec::new());
        };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Some(age) = Age::of(&entry.file_name(), name) else { continue };
            // Follows a link; what vanished meanwhile is found under its next name or gone.
            let Ok(metadata) = std::fs::metadata(entry.path()) else { continue };
            if metadata.is_file() {
                links.push((age, Link::new(entry.path(), &metadata)));
            }
        }
        links.sort_by(|(a, _), (b, _)| a.cmp(b));
        // A file is met twice when it was renamed while the folder was read.
        let mut seen = Vec::new();
        links.retain(|(_, link)| {
            !seen.contains(&link.identity) && {
                seen.push(link.identity);
                true
            }
        });
        Ok(links.into_iter().map(|(_, link)| link).collect())
    }
}

/// How old a rotated file is by its name: the least first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Current,
    /// `.1`, `.2`, …
    Number(u32),
    /// `-20261124`, `-2026-11-24`, `.20261124`, …; the later date is the newer.
    Date(std::cmp::Reverse<String>),
}

impl Age {
    fn of(file: &OsStr, current: &OsStr) -> Option<Self> {
        let rest = file.as_encoded_bytes().strip_prefix(current.as_encoded_bytes())?;
        if rest.is_empty() {
            return Some(Self::Current);
        }
        let rest = std::str::from_utf8(rest).ok()?;
        let rest = Packing::of(rest).0;
        let suffix = rest.strip_prefix(['.', '-'])?;
        if suffix.is_empty() || !suffix.bytes().all(|b| b.is_ascii_digit() || b"-_.T".contains(&b)) {
            return None;
        }
        match suffix.parse::<u32>() {
            Ok(number) if suffix.len() <= 4 => Some(Self::Number(number)),
            _ if suffix.len() >= 6 => Some(Self::Date(std::cmp::Reverse(suffix.to_owned()))),
            _ => None,
        }
    }
}

/// How the bytes of a file are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl Packing {
    fn of(name: &str) -> (&str, Self) {
        if let Some(name) = name.strip_suffix(".gz") {
            (name, Self::Gzip)
        } else if let Some(name) = name.strip_suffix(".zst") {
            (name, Self::Zstd)
        } else {
            (name, Self::Plain)
        }
    }
}

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(u64, u64);

impl Identity {
    /// That of a file.
    pub fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    /// As it stands in cursors.
    pub fn short(self) -> u16 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.1.to_be_bytes());
        cursor::hash(&bytes) as u16
    }
}

/// A real file that has a name, not yet open.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name when it was listed.
    pub path: PathBuf,
    /// Which file it was.
    pub identity: Identity,
    /// Its last change.
    pub modified: Timestamp,
    /// Its bytes on disk.
    pub size: u64,
    /// How it is packed.
    pub packing: Packing,
}

impl Link {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        let packing = Packing::of(path.to_str().unwrap_or_default()).1;
        Self {
            path,
            identity: Identity::of(metadata),
            modified: modified(metadata),
            size: metadata.len(),
            packing,
        }
    }

    /// Opens it, also when it has got another name meanwhile. None when it is gone.
    pub fn open(&self, chain: &Chain) -> io::Result<Option<LogFile>> {
        if let Some(file) = self.open_here()? {
            return Ok(Some(file));
        }
        match chain.links()?.into_iter().find(|link| link.identity == self.identity) {
            Some(link) => link.open_here(),
            None => Ok(None),
        }
    }

    fn open_here(&self) -> io::Result<Option<LogFile>> {
        Ok(LogFile::open(&self.path, self.packing)?.filter(|file| file.identity == self.identity))
    }
}

/// When a file was changed last.
pub fn modified(metadata: &Metadata) -> Timestamp {
    Timestamp::new(metadata.mtime(), i32::try_from(metadata.mtime_nsec()).unwrap_or(0))
        .unwrap_or(Timestamp::MIN)
}

/// An open file, whatever its name is now.
pub struct LogFile {
    file: File,
    /// Which file it is.
    pub identity: Identity,
    /// How it is packed.
    pub packing: Packing,
    /// Its unpacked first bytes, at most [`PRINT`].
    head: Vec<u8>,
    print: Option<u64>,
    unpacked: Option<Unpacked>,
}

struct Unpacked {
    reader: Box<dyn Read + Send>,
    offset: u64,
}

impl std::fmt::Debug for LogFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogFile").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl LogFile {
    /// Opens the file of this name; None when there is none.
    pub fn open(path: &Path, packing: Packing) -> io::Result<Option<Self>> {
        use std::os::unix::fs::OpenOptionsExt;
        // A fifo in the place of a log must not hold anybody up.
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let identity = Identity::of(&metadata);
        Ok(Some(Self { file, identity, packing, head: Vec::new(), print: None, unpacked: None }))
    }

    /// Size, time of the last change, names left.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// The position at this offset.
    pub fn position(&mut self, offset: u64) -> io::Result<FilePosition> {
        Ok(FilePosition {
            inode: self.identity.short(),
            print: self.print(offset)?,
            offset,
            done: Vec::new(),
        })
    }

    /// The fingerprint that a position at this offset has.
    pub fn print(&mut self, offset: u64) -> io::Result<u64> {
        if let Some(print) = self.print.filter(|_| offset >= PRINT as u64) {
            return Ok(print);
        }
        let length = usize::try_from(offset).unwrap_or(PRINT).min(PRINT);
        if self.head.len() < length {
            self.head = self.read_head()?;
        }
        let print = FilePosition::print(cursor::hash(self.head.get(..length).unwrap_or(&self.head)));
        if length == PRINT {
            self.print = Some(print);
        }
        Ok(print)
    }

    /// Whether the first bytes are still those that were read: a file that was emptied and has grown again is not.
    pub fn is_unchanged(&mut self) -> io::Result<bool> {
        Ok(self.head.is_empty() || self.read_head()?.starts_with(&self.head))
    }

    /// Another content begins.
    pub fn forget(&mut self) {
        self.head = Vec::new();
        self.print = None;
    }

    fn read_head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; PRINT];
        let mut length = 0;
        let mut unpacked = if self.packing == Packing::Plain { None } else { Some(self.unpack()?) };
        loop {
            let into = &mut head[length..];
            let read = match &mut unpacked {
                Some(unpacked) => unpacked.reader.read(into)?,
                None => self.file.read_at(into, length as u64)?,
            };
            length += read;
            if read == 0 || length == PRINT {
                head.truncate(length);
                return Ok(head);
            }
        }
    }

    /// Whether this is where that position was, perhaps as a copy.
    pub fn holds(&mut self, position: &FilePosition) -> io::Result<bool> {
        if position.print != self.print(position.offset)? {
            return Ok(false);
        }
        match self.packing {
            Packing::Plain => Ok(self.file.metadata()?.len() >= position.offset),
            // How long it is unpacked is seen when it is read.
            Packing::Gzip | Packing::Zstd => Ok(true),
        }
    }

    fn unpack(&self) -> io::Result<Unpacked> {
        // A descriptor of its own has an offset of its own only when it is opened anew; a copy shares it, so reads
        // go by offset.
        let raw = At { file: self.file.try_clone()?, offset: 0 };
        let reader: Box<dyn Read + Send> = match self.packing {
            Packing::Plain => Box::new(raw),
            Packing::Gzip => {
                Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, raw)))
            }
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::new(raw)?),
        };
        Ok(Unpacked { reader, offset: 0 })
    }
}

impl Source for LogFile {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if self.packing == Packing::Plain {
            return self.file.read_at(into, offset);
        }
        let mut unpacked = match self.unpacked.take() {
            Some(unpacked) if unpacked.offset <= offset => unpacked,
            _ => self.unpack()?,
        };
        let skip = offset - unpacked.offset;
        if skip > 0 {
            let skipped = io::copy(&mut (&mut unpacked.reader).take(skip), &mut io::sink())?;
            unpacked.offset += skipped;
            if skipped < skip {
                return Ok(0);
            }
        }
        let read = match unpacked.reader.read(into) {
            Ok(read) => read,
            // A file that is just being packed, or a damaged one, ends where it ends.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error),
        };
        unpacked.offset += read as u64;
        self.unpacked = Some(unpacked);
        Ok(read)
    }
}

/// Reads a file by offset.
struct At {
    file: File,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn rotated_files_are_found_the_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "app.log",
            "app.log.2.gz",
            "app.log.1",
            "app.log.10.gz",
            "app.log-20261123",
            "app.log-20261124.zst",
            "app.log.bak",
            "app.log.1.swp",
            "app.log2",
            "xapp.log",
            "app.log.",
        ] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::create_dir(folder.path().join("app.log.3")).unwrap();
        let chain = Chain::new("app".parse().unwrap(), folder.path().join("app.log"));
        let names: Vec<_> = chain
            .links()
            .unwrap()
            .into_iter()
            .map(|link| link.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "app.log",
                "app.log.1",
                "app.log.2.gz",
                "app.log.10.gz",
                "app.log-20261124.zst",
                "app.log-20261123"
            ]
        );
        let nowhere = Chain::new("app".parse().unwrap(), folder.path().join("none/app.log"));
        assert!(nowhere.links().unwrap().is_empty());
    }

    #[test]
    fn a_position_is_recognised_in_a_copy_and_in_a_packed_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        std::fs::write(path("a"), &text).unwrap();
        std::fs::write(path("a.1"), &text).unwrap();
        let mut packed =
            flate2::write::GzEncoder::new(File::create(path("a.2.gz")).unwrap(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap();
        std::fs::write(path("b"), text.replace("line 3\n", "line 4\n")).unwrap();
        let open = |name: &str, packing| LogFile::open(&path(name), packing).unwrap().unwrap();
        for offset in [7, 255, 256, 700] {
            let position = open("a", Packing::Plain).position(offset).unwrap();
            assert!(open("a.1", Packing::Plain).holds(&position).unwrap());
            assert!(open("a.2.gz", Packing::Gzip).holds(&position).unwrap());
            assert_eq!(open("b", Packing::Plain).holds(&position).unwrap(), offset == 7);
        }
        let mut file = open("a.2.gz", Packing::Gzip);
        let mut bytes = [0; 7];
        for offset in [70, 0, 693] {
            assert_eq!(file.read(offset, &mut bytes).unwrap(), 7);
            assert_eq!(bytes, text.as_bytes()[offset as usize..offset as usize + 7]);
        }
    }
}
