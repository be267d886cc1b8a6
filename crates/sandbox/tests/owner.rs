//! Nothing of a sandbox outlives its owner, and two live side by side.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use orocloud_sandbox::{Options, Sandbox};

use crate::support::{start, wait_until};

/// A process that owns a sandbox until it is told otherwise.
fn hold() -> (Child, PathBuf) {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_orocloud-sandbox"))
        .arg("hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (owner, PathBuf::from(line.trim()))
}

/// Everything that shows the folder in its command line, environment, or as its program or working folder.
fn processes_of(dir: &Path) -> Vec<String> {
    let dir = format!("{}/", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let mut text = Vec::new();
        for file in ["cmdline", "environ"] {
            text.extend(fs::read(path.join(file)).unwrap_or_default());
        }
        for link in ["exe", "cwd"] {
            text.extend(fs::read_link(path.join(link)).unwrap_or_default().to_string_lossy().as_bytes());
            text.push(b'/');
        }
        let text = String::from_utf8_lossy(&text).replace('\0', " ");
        if text.contains(&dir) {
            found.push(format!("{} {text}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// PostgreSQL's children show no folder, but as soon as their server has gone they have gone.
fn wait_until_gone(dir: &Path) {
    wait_until("nothing of the sandbox runs", || processes_of(dir).is_empty());
}

#[test]
fn a_killed_owner_leaves_nothing_running() {
    let (mut owner, dir) = hold();
    assert!(processes_of(&dir).len() > 12, "{:?}", processes_of(&dir));
    // The hard case: what is stopped does not notice signals but KILL.
    Sandbox::attach(&dir).unwrap().node("web2").unwrap().freeze().unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until_gone(&dir);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_killed_top_process_leaves_nothing_running() {
    let (mut owner, dir) = hold();
    let description = fs::read_to_string(dir.join("sandbox.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&description).unwrap();
    let top = rustix::process::Pid::from_raw(description["pid"].as_i64().unwrap() as i32).unwrap();
    Sandbox::attach(&dir).unwrap().node("web2").unwrap().freeze().unwrap();
    rustix::process::kill_process(top, rustix::process::Signal::KILL).unwrap();
    wait_until_gone(&dir);
    let error = Sandbox::attach(&dir).unwrap_err().to_string();
    assert!(error.contains("has died"), "{error}");
    // The owner ends in good order and takes the folder away.
    drop(owner.stdin.take());
    assert!(owner.wait().unwrap().success());
    assert!(!dir.exists());
}

#[test]
fn two_live_side_by_side_and_end_apart() {
    let (first, second) = (start(), start());
    assert_ne!(first.shop_url(), second.shop_url());
    first.psql("create table only_here ()").unwrap();
    assert!(second.psql("select * from only_here").is_err());
    let dir = first.dir().to_owned();
    drop(first);
    assert!(!dir.exists());
    assert!(processes_of(&dir).is_empty());
    assert_eq!(second.psql("select 1").unwrap(), "1");
}

#[test]
fn a_detached_one_goes_on_until_it_is_told_to_end() {
    let dir = std::env::temp_dir().join(format!("orocloud-detached-{}", std::process::id()));
    let options = Options { dir: Some(dir.clone()), ..Options::default() };
    drop(Sandbox::start_detached(options.clone()).unwrap());
    let error = Sandbox::start_detached(options).unwrap_err().to_string();
    assert!(error.contains("runs in") && error.contains("sandbox down"), "{error}");
    let sandbox = Sandbox::attach(&dir).unwrap();
    assert_eq!(sandbox.psql("select 1").unwrap(), "1");
    sandbox.down().unwrap();
    assert!(!dir.exists() && processes_of(&dir).is_empty());
    let error = Sandbox::attach(&dir).unwrap_err().to_string();
    assert!(
        error.contains("no sandbox runs in") && error.contains("Hint: cargo xtask sandbox up"),
        "{error}"
    );
}
