//! End to end: the real CLI against a real sandbox. One binary, a module a topic.

mod accounts;
mod asking;
mod border;
mod crash;
mod deploying;
mod dying;
mod failpoints;
mod faults;
mod hostile;
mod identity;
mod locking;
mod lost;
mod lost_nodes;
mod memory;
mod packages;
mod scripts;
mod shell;
mod side_by_side;
mod story;
mod support;
mod tailing;
mod targets;
mod upgrading;
mod upgrading_under_load;
mod windows;
