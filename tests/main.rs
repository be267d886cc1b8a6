//! End to end: the real CLI against a real sandbox. One binary, a module a topic.

mod accounts;
mod crash;
mod deploying;
mod identity;
mod locking;
mod scripts;
mod side_by_side;
mod story;
mod support;
mod targets;
mod upgrading;
