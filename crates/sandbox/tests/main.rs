//! The sandbox against itself: real programs, one environment a test.

mod application;
mod coming_up;
mod faults;
mod owner;
mod signing_in;
mod support;
