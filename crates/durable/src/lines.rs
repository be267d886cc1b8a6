//! Append-only files of lines.
//!
//! What is promised: a line is found whole or not at all by whoever reads up to the last newline; after
//! [`Lines::sync`] returns, every line appended before lasts. What is not: that a line lasts before that.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file of lines, open to append.
#[derive(Debug)]
pub struct Lines {
    file: File,
    length: u64,
}

impl Lines {
    /// Opens it, or makes it; half a last line, left by a crash, is cut off. Also says how many bytes were cut.
    pub fn open(path: &Path, mode: u32) -> io::Result<(Self, u64)> {
        let existed = path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(mode).open(path)?;
        if !existed {
            crate::sync_parent(path)?;
        }
        let length = file.metadata()?.len();
        let whole = end_of_last_line(&mut file, length)?;
        if whole < length {
            file.set_len(whole)?;
            file.sync_all()?;
        }
        Ok((Self { file, length: whole }, length - whole))
    }

    /// Appends one line, or several, each with its newline.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            // What was written of it would spoil the next line.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Makes everything appended so far last.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Bytes in it.
    pub fn length(&self) -> u64 {
        self.length
    }
}

fn end_of_last_line(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut piece = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(64 * 1024);
        file.seek(SeekFrom::Start(start))?;
        piece.clear();
        Read::by_ref(file).take(end - start).read_to_end(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_last_line_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let (mut lines, cut) = Lines::open(&path, 0o600).unwrap();
        assert_eq!(cut, 0);
        lines.append(b"one\n").unwrap();
        lines.append(b"tw").unwrap();
        drop(lines);
        let (mut lines, cut) = Lines::open(&path, 0o600).unwrap();
        assert_eq!((cut, lines.length()), (2, 4));
        lines.append(b"three\n").unwrap();
        lines.sync().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\nthree\n");
        std::fs::write(&path, vec![b'x'; 200_000]).unwrap();
        assert_eq!(Lines::open(&path, 0o600).unwrap().1, 200_000);
    }
}
