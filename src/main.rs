//! `orocloud-cli`.

fn main() {}
