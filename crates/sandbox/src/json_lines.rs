//! Answering JSON lines on a unix socket: one thread a connection, one answer a line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::{fs, thread};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Context, Result};

/// Listens on `socket`, replacing what an earlier process left there, and answers in threads of its own. A line
/// that cannot be read is answered by `damaged`.
pub fn serve<Q, A>(
    socket: &Path,
    answer: impl Fn(Q) -> A + Send + Sync + 'static,
    damaged: impl Fn(String) -> A + Send + Sync + 'static,
) -> Result<()>
where
    Q: DeserializeOwned,
    A: Serialize,
{
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).context(|| format!("cannot listen on {}", socket.display()))?;
    let handle = Arc::new(move |line: &str| match serde_json::from_str(line) {
        Ok(request) => answer(request),
        Err(error) => damaged(format!("cannot read the request: {error}")),
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = Arc::clone(&handle);
            // A client that goes away ends its own connection, nothing else.
            thread::spawn(move || connection(&stream, &*handle));
        }
    });
    Ok(())
}

fn connection<A: Serialize>(stream: &UnixStream, handle: &dyn Fn(&str) -> A) -> Result<()> {
    for line in BufReader::new(stream).lines() {
        let mut answer = serde_json::to_string(&handle(&line?))?;
        answer.push('\n');
        let mut stream = stream;
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}
