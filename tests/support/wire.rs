//! The wire itself, for what our own CLI would never send.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Shop;

/// Longer than any answer takes.
const LIMIT: Duration = Duration::from_secs(150);

/// An id for a call, as a script would make one.
pub fn call_id() -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = Timestamp::now().as_millisecond().unsigned_abs();
    let own = u128::from(std::process::id()) << 32 | u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
    let value = u128::from(now) << 80 | own;
    (0..26).rev().map(|place| char::from(DIGITS[(value >> (5 * place)) as usize & 31])).collect()
}

/// Lines that something writes, read as they come, so that nobody waits for ever.
pub fn lines_of(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    lines
}

/// A bridge between us and maint1's agent, which tells it what we want it to tell.
pub struct Bridge {
    child: Child,
    lines: Receiver<String>,
    _told: tempfile::TempDir,
}

impl Bridge {
    /// Starts one that says that sshd let this certificate in.
    pub fn start(shop: &Shop, certificate: &str) -> Self {
        Self::start_as(shop, certificate, "orocloud")
    }

    /// The same as another account, where we may choose.
    pub fn start_as(shop: &Shop, certificate: &str, account: &str) -> Self {
        let told = tempfile::tempdir().expect("a folder");
        let file = told.path().join("user-auth");
        std::fs::write(&file, format!("publickey {certificate}\n")).expect("written");
        for path in [told.path(), &file] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(path, mode).expect("readable for all");
        }
        let program = shop.sandbox.program("orocloud-agent");
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command
                .args([&format!("--reuid={account}"), &format!("--regid={account}"), "--init-groups", "--"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(["session", "--socket"])
            .arg(shop.node_dir("maint1").join("run/session.sock"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("SSH_USER_AUTH", &file)
            .env("SSH_CONNECTION", "127.0.0.1 50000 127.0.0.1 22")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("a bridge");
        let lines = lines_of(child.stdout.take().expect("its output"));
        Self { child, lines, _told: told }
    }

    /// Sends bytes as they are; whether anybody takes them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let input = self.child.stdin.as_mut().expect("its input");
        input.write_all(bytes).and_then(|()| input.flush()).is_ok()
    }

    /// The next response, past greetings and signs of life; `None` at the end of the connection.
    #[track_caller]
    pub fn response(&self) -> Option<Value> {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line.is_empty() => {}
                Ok(line) => {
                    let value: Value = serde_json::from_str(&line).expect("JSON");
                    if value.get("method").is_none() {
                        return Some(value);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("no answer"),
            }
        }
    }

    /// Makes a call and gives its response.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: &Value) -> Option<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": call_id(), "method": method, "params": params });
        self.send(format!("{request}\n").as_bytes());
        self.response()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
