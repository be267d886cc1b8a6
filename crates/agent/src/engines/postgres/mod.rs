//! PostgreSQL: the live server and private copies of it, over their sockets and by PostgreSQL's own programs.

mod changes;
mod connection;
mod control;
mod copies;
mod log;
mod room;
mod tables;
mod wal;

pub use changes::{Changes, State, changes_since, schema_digest, state};
pub use connection::{Server, timestamp_of};
pub(crate) use connection::{explained, failed};
pub use control::{ClusterState, Control};
pub(crate) use copies::cancelled;
pub use copies::{Copies, Copy, CopyOrder};
pub use log::CopyLog;
pub use room::{Identity, Room, free};
pub use tables::{count_rows, count_tables, databases};
pub use wal::{archived_marker, last_commit};
