//! One suite for both service managers: the sandbox's supervisor, and systemd by a fake `systemctl` over it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orocloud_agent::engines::supervisor::Supervisor;
use orocloud_agent::engines::systemd::Systemd;
use orocloud_agent::process::Processes;
use orocloud_agent::service_manager::{Activity, ServiceManager};
use orocloud_protocol::ErrorKind;
use serde_json::json;

/// A service that is ready when its socket is there, writes a line when it is reloaded, and ends in good order.
const GOOD: &str = r#"<?php
pcntl_async_signals(true);
pcntl_signal(SIGUSR2, fn () => file_put_contents(__DIR__ . '/reloaded', "yes\n", FILE_APPEND));
pcntl_signal(SIGTERM, function () { file_put_contents(__DIR__ . '/ended', 'yes'); exit(0); });
$server = stream_socket_server('unix://' . __DIR__ . '/run/good.sock');
while (true) { @stream_socket_accept($server, 0.05); }
"#;

/// One node's init process with two services.
struct Node {
    folder: tempfile::TempDir,
    init: Child,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("run")).unwrap();
        fs::write(at("good.php"), GOOD).unwrap();
        let service = |name: &str, command: &[&str]| {
            json!({
                "name": name, "command": command, "environment": {"PATH": "/usr/bin:/bin"},
                "log": at(&format!("{name}.log")), "ready": {"socket": at(&format!("run/{name}.sock"))},
                "ready_seconds": 20, "stop_signal": 15, "stop_seconds": 20, "reload_signal": 12, "quick_signal": 9,
                "alone_in": null, "required": false
            })
        };
        let boot = json!({
            "node": "web1", "run": at("run"), "folders": [], "supervisor_socket": at("run/supervisor.sock"),
            "supervisor_group": null,
            "services": [
                service("good", &["/usr/bin/php", at("good.php").to_str().unwrap()]),
                service("bad", &["/bin/sh", "-c", "echo no such thing >&2; exit 3"]),
            ]
        });
        fs::write(at("boot.json"), boot.to_string()).unwrap();
        let mut init = Command::new(sandbox())
            .arg("init")
            .arg(at("boot.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(init.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        while said.last().is_none_or(|line| line != "ready") {
            said.push(lines.next().unwrap_or_else(|| panic!("not ready: {said:?}")).unwrap());
        }
        // Its words are read to the end, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { folder, init }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.init.stdin.take());
        let _ = self.init.wait();
    }
}

fn sandbox() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_orocloud-agent")).with_file_name("orocloud-sandbox");
    assert!(program.exists(), "build it first: cargo build -p orocloud-sandbox");
    program
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn suite(manager: ServiceManager, node: &Node) {
    let alive = |pid: u32| Path::new(&format!("/proc/{pid}")).exists();

    // It has been started with the node; starting it again changes nothing.
    let state = manager.state("good").await.unwrap();
    assert_eq!((state.activity, state.name.as_str()), (Activity::Running, "good"));
    let pid = state.pid.unwrap();
    manager.start("good").await.unwrap();
    assert_eq!(manager.state("good").await.unwrap().pid, Some(pid));

    manager.reload("good").await.unwrap();
    until("it was reloaded", async || node.at("reloaded").exists()).await;
    assert_eq!(manager.state("good").await.unwrap().pid, Some(pid));

    // When stop has answered it has ended, in good order.
    manager.stop("good").await.unwrap();
    assert!(!alive(pid) && node.at("ended").exists());
    let state = manager.state("good").await.unwrap();
    assert_eq!((state.activity, state.pid), (Activity::Stopped, None));
    manager.stop("good").await.unwrap();
    let error = manager.reload("good").await.unwrap_err();
    assert!(error.to_string().contains("good"), "{error}");

    // When start has answered it is ready.
    manager.start("good").await.unwrap();
    let state = manager.state("good").await.unwrap();
    assert_eq!(state.activity, Activity::Running);
    let pid = state.pid.unwrap();
    std::os::unix::net::UnixStream::connect(node.at("run/good.sock")).unwrap();

    // One that dies by itself has failed, and can be started again.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    until("its death was seen", async || manager.state("good").await.unwrap().activity == Activity::Failed)
        .await;
    assert_eq!(manager.state("good").await.unwrap().pid, None);
    manager.start("good").await.unwrap();
    assert_eq!(manager.state("good").await.unwrap().activity, Activity::Running);

    // One that cannot be started says so, and why stays to be read.
    let error = manager.start("bad").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Failed);
    assert!(
        error.message.contains("the service bad could not start") && !error.causes.is_empty(),
        "{error:?}"
    );
    let state = manager.state("bad").await.unwrap();
    assert_eq!(state.activity, Activity::Failed);
    assert!(state.detail.is_some());

    // A name is never an option, and one that nobody knows is told apart.
    for name in ["unknown", "--version", "--all"] {
        assert_eq!(manager.state(name).await.unwrap_err().kind, ErrorKind::NotFound, "{name}");
        let error = manager.start(name).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{error:?}");
        assert!(manager.stop(name).await.is_err());
    }
}

#[tokio::test]
async fn the_supervisor_keeps_the_contract() {
    let node = Node::new();
    suite(ServiceManager::Supervisor(Supervisor::new(&node.at("run/supervisor.sock"))), &node).await;
}

#[tokio::test]
async fn systemd_keeps_the_contract() {
    let node = Node::new();
    let systemctl = node.at("systemctl");
    let script = format!(
        "#!/bin/sh\nexec '{}' fake-systemctl '{}' \"$@\"\n",
        sandbox().display(),
        node.at("run/supervisor.sock").display()
    );
    fs::write(&systemctl, script).unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let processes = Processes::new(None).with_agent(env!("CARGO_BIN_EXE_orocloud-agent"));
    suite(ServiceManager::Systemd(Systemd::new(&processes, &systemctl)), &node).await;
}

#[tokio::test]
async fn a_supervisor_that_is_not_there_or_talks_nonsense_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("supervisor.sock");
    let manager = ServiceManager::Supervisor(Supervisor::new(&socket));
    let error = manager.start("good").await.unwrap_err();
    assert!(error.message.contains("good") && error.to_string().contains("supervisor.sock"), "{error}");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for answer in ["", "{\"ok\":true,\"serv", "[]\n", "{\"ok\":true}\n"] {
            use std::io::Write;
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            // Read what was asked, so that closing is no reset.
            let _ = BufReader::new(&stream).read_line(&mut String::new());
        }
    });
    for _ in 0..4 {
        assert_eq!(manager.state("good").await.unwrap_err().kind, ErrorKind::Failed);
    }
}
