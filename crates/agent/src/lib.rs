//! The agent: on maint it coordinates, on every node it does what the coordinator asks.
//!
//! Dependencies point one way: `calls` → `operations` → `nodes` → `engines` → `process`.

pub mod accounts;
pub mod app_config;
pub mod calls;
pub mod child;
pub mod dns;
pub mod engines;
pub mod environment;
pub mod files;
mod heap;
pub mod keeper;
pub mod log;
pub mod mail_settings;
pub mod maintenance_mode;
pub mod nodes;
pub mod operations;
pub mod package;
pub mod points;
pub mod process;
pub mod releases;
pub mod rules;
pub mod server;
pub mod service_manager;
pub mod session;
pub mod windows;
pub mod withheld;
