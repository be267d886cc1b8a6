//! The command line of OroCloud environments.

pub mod cli;
pub mod config;
pub mod connection;
pub mod identity;
