//! `orocloud-agent session`: sshd's subsystem. It tells the daemon which certificate sshd let in, then copies bytes
//! both ways, and ends when either side does. It decides nothing: the daemon judges that certificate by itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::server::Session;

/// Runs `session --socket SOCKET`.
pub fn main(arguments: impl Iterator<Item = OsString>) -> i32 {
    let arguments: Vec<OsString> = arguments.collect();
    let [option, socket] = arguments.as_slice() else { return usage() };
    if option != "--socket" {
        return usage();
    }
    match run(Path::new(socket)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!(
                "orocloud-agent: the agent of this node cannot be reached ({}): {error}",
                socket.display()
            );
            1
        }
    }
}

fn usage() -> i32 {
    eprintln!("orocloud-agent session: expected --socket SOCKET");
    2
}

fn run(socket: &Path) -> io::Result<()> {
    let session = Session {
        certificate: certificate().unwrap_or_default(),
        connection: std::env::var("SSH_CONNECTION").unwrap_or_default(),
    };
    let mut first = serde_json::to_vec(&session)?;
    first.push(b'\n');
    let mut up = UnixStream::connect(socket)?;
    up.write_all(&first)?;
    let mut down = up.try_clone()?;
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let watched = output.try_clone()?;
    std::thread::spawn(move || {
        copy(&input, &up);
        // The caller writes no more, but may still read.
        let _ = up.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        wait_for_end_of_reader(&watched);
        std::process::exit(0);
    });
    copy(&mut down, &output);
    Ok(())
}

/// What sshd let in: the `publickey` line of the file it names (`ExposeAuthInfo yes`).
fn certificate() -> Option<String> {
    let text = std::fs::read_to_string(std::env::var_os("SSH_USER_AUTH")?).ok()?;
    text.lines().find_map(|line| line.strip_prefix("publickey ")).map(|line| line.trim().to_owned())
}

/// Copies until either side ends.
fn copy(mut from: impl Read, mut to: impl Write) {
    let mut buffer = vec![0_u8; 128 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if to.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Returns once nobody can read any more what is written there, also while there is nothing to write.
fn wait_for_end_of_reader(output: &File) {
    let mut polled = libc::pollfd { fd: output.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: one initialised record, without a limit of time.
    while unsafe { libc::poll(&raw mut polled, 1, -1) } <= 0 {}
    if polled.revents & (libc::POLLERR | libc::POLLHUP) == 0 {
        // Not something that can hang up, such as a file: the copying alone decides.
        loop {
            std::thread::park();
        }
    }
}
