//! The sandbox against itself: real programs, one environment a test.
// A test says what went wrong by where it stopped, in helpers too.
#![allow(clippy::unwrap_used)]

mod application;
mod coming_up;
mod faults;
mod owner;
mod signing_in;
mod support;
