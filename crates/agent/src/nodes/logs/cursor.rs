//! Positions in logs, as they travel: opaque to everyone but an agent.
//!
//! A file is known by its inode and by a hash of its first bytes, so that it is found again under another name, also
//! as a copy (copytruncate) or packed. What is written: per file of the configuration a [`ChainCursor`], usually
//! with one file in it, just after a rotation with two; per node its chains; per environment its nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use orocloud_protocol::{CallError, EventBody, NodeName};

/// How many first bytes make a fingerprint; of a shorter file, as many as were read.
pub const PRINT: usize = 256;

/// Where reading one file of the configuration has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainCursor {
    /// Hash of the path in the configuration.
    pub key: u32,
    /// The oldest first. None: there was no such file.
    pub files: Vec<FilePosition>,
}

/// Where reading one real file has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePosition {
    /// Hash of device and inode.
    pub inode: u16,
    /// Hash of the first bytes: [`PRINT`], or `offset` if that is less.
    pub print: u64,
    /// Everything before it is done.
    pub offset: u64,
    /// Entries behind `offset` that begin here are done too: history puts entries that were written out of order in
    /// their order.
    pub done: Vec<u64>,
}

/// A short hash.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    u64::from_be_bytes(first)
}

impl ChainCursor {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        bytes.extend_from_slice(&self.key.to_be_bytes());
        for file in &self.files {
            bytes.extend_from_slice(&file.inode.to_be_bytes());
            bytes.extend_from_slice(&file.print.to_be_bytes()[2..]);
            number(&mut bytes, file.offset);
            number(&mut bytes, file.done.len() as u64);
            let mut before = file.offset;
            for start in &file.done {
                number(&mut bytes, start.saturating_sub(before));
                before = *start;
            }
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (key, mut rest) = bytes.split_first_chunk::<4>()?;
        let mut cursor = Self { key: u32::from_be_bytes(*key), files: Vec::new() };
        while !rest.is_empty() {
            let inode;
            let print;
            (inode, rest) = rest.split_first_chunk::<2>()?;
            (print, rest) = rest.split_first_chunk::<6>()?;
            let mut wide = [0; 8];
            wide[2..].copy_from_slice(print);
            let offset = take_number(&mut rest)?;
            let mut file = FilePosition {
                inode: u16::from_be_bytes(*inode),
                print: u64::from_be_bytes(wide),
                offset,
                done: Vec::new(),
            };
            let mut before = offset;
            for _ in 0..take_number(&mut rest)? {
                before = before.checked_add(take_number(&mut rest)?)?;
                file.done.push(before);
            }
            cursor.files.push(file);
        }
        Some(cursor)
    }
}

impl FilePosition {
    /// The lower 48 bits are what travels.
    pub const fn print(hash: u64) -> u64 {
        hash & 0xffff_ffff_ffff
    }
}

/// LEB128.
fn number(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for ChainCursor {
    /// base64url without padding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let mut text = String::with_capacity(bytes.len() * 4 / 3 + 3);
        for chunk in bytes.chunks(3) {
            let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            for place in 0..=chunk.len() {
                text.push(char::from(DIGITS[(word >> (18 - 6 * place) & 63) as usize]));
            }
        }
        f.write_str(&text)
    }
}

/// Reads base64url without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        let mut word = 0_u32;
        for byte in chunk {
            word = word << 6 | u32::try_from(DIGITS.iter().position(|digit| digit == byte)?).ok()?;
        }
        word <<= 6 * (4 - chunk.len());
        bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len().max(1)]);
    }
    Some(bytes)
}

/// The cursor in the `item` with which a node's tail begins.
pub fn item_cursor(event: &EventBody) -> Option<&str> {
    match event {
        EventBody::Item { item } => item.get("cursor")?.as_str(),
        _ => None,
    }
}

/// The key of a written [`ChainCursor`], without reading all of it.
pub fn key(text: &str) -> Option<u32> {
    let bytes = decode(text.get(..6)?)?;
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

impl FromStr for ChainCursor {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Self, CallError> {
        decode(text).and_then(|bytes| Self::from_bytes(&bytes)).ok_or_else(invalid)
    }
}

/// Where reading the logs of one node has come to, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeCursor(pub BTreeMap<u32, ChainCursor>);

impl NodeCursor {
    /// Puts in where one chain has come to.
    pub fn set(&mut self, chain: ChainCursor) {
        self.0.insert(chain.key, chain);
    }
}

impl fmt::Display for NodeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, chain) in self.0.values().enumerate() {
            if place > 0 {
                f.write_str(".")?;
            }
            chain.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for NodeCursor {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Self, CallError> {
        let mut cursor = Self::default();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            cursor.set(part.parse()?);
        }
        Ok(cursor)
    }
}

/// Where reading the logs of all nodes has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub BTreeMap<NodeName, NodeCursor>);

/// Begins every cursor; another number is a form that this agent does not know.
pub const FORM: &str = "1";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORM)?;
        self.0.iter().try_for_each(|(node, cursor)| write!(f, "~{node}:{cursor}"))
    }
}

impl FromStr for Cursor {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Self, CallError> {
        let mut parts = text.split('~');
        if parts.next() != Some(FORM) {
            return Err(invalid());
        }
        let mut cursor = Self::default();
        for part in parts {
            let (node, positions) = part.split_once(':').ok_or_else(invalid)?;
            cursor.0.insert(node.parse().map_err(|_| invalid())?, positions.parse()?);
        }
        Ok(cursor)
    }
}

fn invalid() -> CallError {
    CallError::usage("after_cursor is no cursor that this agent gave out")
        .hint("take it from a `cursor` of `orocloud-cli log:tail --json`, or leave it out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(seed: u64) -> FilePosition {
        FilePosition {
            inode: (seed * 7919) as u16,
            print: FilePosition::print(hash(&seed.to_be_bytes())),
            offset: seed.pow(5),
            done: (1..=seed % 4).map(|n| seed.pow(5) + n * 1000).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for seed in 0..200 {
            let chain = |key, files: u64| ChainCursor {
                key,
                files: (0..files).map(|n| position(seed + n)).collect(),
            };
            let mut cursor = Cursor::default();
            let mut web1 = NodeCursor::default();
            web1.set(chain(7, seed % 3));
            web1.set(chain(u32::MAX, 1));
            cursor.0.insert("web1".parse().unwrap(), web1);
            cursor.0.insert("web2".parse().unwrap(), NodeCursor::default());
            let text = cursor.to_string();
            assert_eq!(text.parse::<Cursor>().unwrap(), cursor, "{text}");
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:~".contains(&b)), "{text}");
        }
        assert!(
            ChainCursor { key: 1, files: vec![FilePosition { offset: 1 << 30, ..position(3) }] }
                .to_string()
                .len()
                < 40
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in
            ["", "2~web1:AAAA", "1~web1", "1~Web:AAAA", "1~web1:A", "1~web1:AAAAAA$", "1~web1:AAAAAAA", "x"]
        {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
        assert!("1".parse::<Cursor>().is_ok());
    }
}
