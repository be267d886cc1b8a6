//! Entries packed many at once: what is fetched whole costs as much as its bytes, not as much as its entries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orocloud_protocol::log_block::Gatherer;
use orocloud_protocol::{EventBody, NodeName, SourceName};

use super::cursor::NodeCursor;

/// Bytes of entries that make a block. However badly they can be packed, it fits in a line of the wire, with one
/// more entry of the longest text.
pub const BLOCK: usize = 448 * 1024;

/// zstd's level: logs are ten times smaller at the fastest already.
const LEVEL: i32 = 1;

/// Packs blocks of one source.
pub struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    source: SourceName,
    node: NodeName,
}

impl Packer {
    /// Of this source on this node.
    pub fn new(source: SourceName, node: NodeName) -> std::io::Result<Self> {
        Ok(Self { compressor: zstd::bulk::Compressor::new(LEVEL)?, source, node })
    }

    /// A block of what was gathered.
    pub fn pack(&mut self, gathered: &Gatherer, cursor: &NodeCursor) -> std::io::Result<EventBody> {
        Ok(EventBody::LogBlock {
            source: self.source.to_string(),
            node: self.node.clone(),
            entries: gathered.entries(),
            data: STANDARD.encode(self.compressor.compress(gathered.bytes())?),
            cursor: cursor.to_string(),
        })
    }
}
