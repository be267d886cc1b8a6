//! What the tests share.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use orocloud_sandbox::{Options, Sandbox};

/// Longer than anything here takes, also on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);

pub fn start() -> Sandbox {
    Sandbox::start(Options::default()).unwrap()
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Waits until the condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// `host:port` of a URL such as `http://127.18.1.2:8080/`.
pub fn address_of(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}

pub fn get(url: &str, path: &str) -> std::io::Result<Page> {
    request("GET", url, path)
}

pub fn request(method: &str, url: &str, path: &str) -> std::io::Result<Page> {
    let address = address_of(url);
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| std::io::Error::other(format!("no HTTP: {answer:?}")))
}

fn parse(answer: &str) -> Option<Page> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Page { status, head: head.to_owned(), body: body.to_owned() })
}

/// Runs a program, as `account` when we are root, and gives everything it said.
pub fn run_as(
    account: &str,
    directory: &Path,
    environment: &[(&str, &str)],
    command: &[&str],
    input: &str,
) -> Output {
    let mut vector: Vec<String> = Vec::new();
    if is_root() {
        let change = [format!("--reuid={account}"), format!("--regid={account}"), "--init-groups".to_owned()];
        vector.push("setpriv".to_owned());
        vector.extend(change);
        vector.push("--".to_owned());
    }
    vector.extend(command.iter().map(|&part| part.to_owned()));
    let mut child = Command::new(&vector[0])
        .args(&vector[1..])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(environment.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Its standard output, if it succeeded.
#[track_caller]
pub fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", output.status, everything(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Both outputs.
pub fn everything(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
