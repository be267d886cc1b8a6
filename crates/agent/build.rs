//! Packs the relocations of the agent. As ELF has had them of old they are 1.2 MB of a table that is read once, at the
//! start, and then lies in the memory of a daemon; packed (`DT_RELR`) they are 20 kB. The loader must know that: glibc 2.36,
//! which Debian 12 has.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
