//! Decisions that take the moment they are made at: pure, with a table of cases beside each.
