//! The command line.

pub mod duration;
