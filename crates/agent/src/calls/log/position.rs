//! Where a tail of all nodes has come to, without looking into what the nodes said.

use std::collections::BTreeMap;
use std::fmt;

use orocloud_protocol::{CallError, NodeName};

use crate::nodes::logs::cursor::{self, Cursor};

/// Per node and file, the node's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<NodeName, BTreeMap<u32, String>>);

impl Positions {
    /// Reads a cursor that was given out.
    pub fn parse(text: &str) -> Result<Self, CallError> {
        let cursor: Cursor = text.parse()?;
        let files =
            |node: cursor::NodeCursor| node.0.iter().map(|(key, chain)| (*key, chain.to_string())).collect();
        Ok(Self(cursor.0.into_iter().map(|(node, cursor)| (node, files(cursor))).collect()))
    }

    /// Takes a node's cursor of all its files in the place of what was known.
    pub fn set_node(&mut self, node: &NodeName, text: &str) {
        let files = text.split('.').filter_map(|file| Some((cursor::key(file)?, file.to_owned())));
        self.0.insert(node.clone(), files.collect());
    }

    /// Takes the cursor of an entry, which is that of its file.
    pub fn set_file(&mut self, node: &NodeName, text: String) {
        let Some(key) = cursor::key(&text) else { return };
        match self.0.get_mut(node) {
            Some(files) => _ = files.insert(key, text),
            None => _ = self.0.insert(node.clone(), BTreeMap::from([(key, text)])),
        }
    }

    /// What the node continues behind, if it ever said anything.
    pub fn node(&self, node: &NodeName) -> Option<String> {
        let files = self.0.get(node)?;
        Some(files.values().map(String::as_str).collect::<Vec<_>>().join("."))
    }
}

impl fmt::Display for Positions {
    /// As [`Cursor`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(cursor::FORM)?;
        for (node, files) in &self.0 {
            write!(f, "~{node}:")?;
            for (place, file) in files.values().enumerate() {
                f.write_str(if place > 0 { "." } else { "" })?;
                f.write_str(file)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::logs::cursor::{ChainCursor, FilePosition};

    #[test]
    fn positions_of_files_become_one_cursor_and_come_back() {
        let node = |name: &str| name.parse::<NodeName>().unwrap();
        let file = |key, offset| {
            ChainCursor { key, files: vec![FilePosition { offset, ..FilePosition::default() }] }.to_string()
        };
        let mut positions = Positions::default();
        positions.set_node(&node("web1"), &format!("{}.{}", file(7, 1), file(u32::MAX, 2)));
        positions.set_file(&node("web1"), file(7, 100));
        positions.set_file(&node("web2"), file(8, 3));
        positions.set_node(&node("web3"), "");
        let text = positions.to_string();
        assert_eq!(Positions::parse(&text).unwrap(), positions);
        assert_eq!(positions.node(&node("web1")), Some(format!("{}.{}", file(7, 100), file(u32::MAX, 2))));
        assert_eq!(positions.node(&node("web3")).as_deref(), Some(""));
        assert_eq!(positions.node(&node("web4")), None);
        assert!(Positions::parse("x").is_err());
    }
}
