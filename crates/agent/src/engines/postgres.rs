//! PostgreSQL.

/// Copies of the database that run beside the live one, by the name of their folder.
#[derive(Debug, Default)]
pub struct Copies {}
