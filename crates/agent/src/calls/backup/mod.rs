//! Recovery points: taking them, listing them, what can be restored, restoring.

pub mod answer;
mod entry;
pub mod facts;
pub mod point;
pub mod restore;
pub mod window;

#[cfg(test)]
mod walk_tests;

pub use entry::{database_info, list, schedule, window as restorable};
