//! Decisions that take the moment they are made at: pure, with a table of cases beside each.

pub mod backup_kind;
pub mod base_choice;
pub mod branches;
pub mod hourly;
pub mod releases;
pub mod restorable;
pub mod retention;
pub mod strays;
pub mod usual;
pub mod wal;
pub mod whitelist;
pub mod windows;
