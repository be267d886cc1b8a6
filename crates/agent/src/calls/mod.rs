//! What each method does: a query answers, an operation builds a plan.

pub mod backup;
pub mod deploy;
pub mod log;
pub mod status;
