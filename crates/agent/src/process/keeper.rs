//! The daemon's end of a program: its keeper's lifeline, and its streams.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use orocloud_protocol::OutputStream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::{Fault, Input, Processes, Program};
use crate::child::{self, Order, Report};

/// How many lines of standard error an error shows.
const TAIL_LINES: usize = 20;

/// How long a pipe may stay open after the last descendant is gone: somebody else got hold of it.
const DRAIN: Duration = Duration::from_secs(2);

/// Talks with the keeper of one program. Dropping it ends the program.
#[derive(Debug)]
pub(super) struct Keeper {
    lines: BufReader<OwnedReadHalf>,
    partial: Vec<u8>,
    word: Lifeline,
    /// Reaped by the runtime, whenever it ends.
    _process: tokio::process::Child,
}

/// The writing end of the lifeline. When it goes, the program is ended.
#[derive(Debug)]
pub(super) struct Lifeline(OwnedWriteHalf);

impl Lifeline {
    /// Polite signal, grace, KILL.
    pub(super) fn end(&self) {
        self.signal_byte(child::END);
    }

    /// A signal for the program's group.
    pub(super) fn signal(&self, signal: i32) {
        if let Ok(byte) = u8::try_from(signal) {
            self.signal_byte(byte);
        }
    }

    fn signal_byte(&self, byte: u8) {
        // A keeper that is gone has nothing left to end; the socket never holds more than a few bytes.
        let _ = self.0.try_write(&[byte]);
    }
}

/// What a keeper tells.
pub(super) enum Event {
    /// The program runs as this process.
    Started(u32),
    /// It is over, and nothing of it is left.
    Ended(Result<ExitStatus, Fault>),
}

/// A program's standard streams, as far as they are pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
}

impl Keeper {
    /// Starts the keeper, which starts the program.
    pub(super) fn start(processes: &Processes, program: &mut Program) -> io::Result<(Self, Pipes)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        let order = Order {
            account: processes.name(program.account).map(str::to_owned),
            folder: program.folder.clone(),
            grace_ms: u64::try_from(program.grace.as_millis()).unwrap_or(u64::MAX),
            end_signal: program.end_signal,
            memory: program.memory,
            open_files: program.open_files,
        };
        let lock = processes.lock.as_deref().map(AsRawFd::as_raw_fd);
        let lifeline = theirs.as_raw_fd();
        let mut command = Command::new(&processes.agent);
        command
            .arg("child")
            .arg(lifeline.to_string())
            .arg(lock.map_or_else(|| "-".to_owned(), |lock| lock.to_string()))
            .arg(serde_json::to_string(&order)?)
            .arg(&program.path)
            .args(&program.args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(match &program.input {
                Input::Bytes(_) => Stdio::piped(),
                Input::File(file) => Stdio::from(file.try_clone()?),
            })
            .stdout(match program.output_file.take() {
                Some(file) => Stdio::from(file),
                None => Stdio::piped(),
            })
            .stderr(Stdio::piped())
            .kill_on_drop(false);
        // SAFETY: runs between fork and exec; fcntl(2) is async-signal-safe, and both descriptors stay open until
        // the spawn is over. They lose "close on exec" in the new process alone.
        unsafe {
            command.pre_exec(move || {
                for descriptor in [Some(lifeline), lock].into_iter().flatten() {
                    if libc::fcntl(descriptor, libc::F_SETFD, 0) < 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let mut process = command.spawn()?;
        drop(OwnedFd::from(theirs));
        ours.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(ours)?.into_split();
        let pipes = Pipes {
            stdin: process.stdin.take(),
            stdout: process.stdout.take(),
            stderr: process.stderr.take(),
        };
        let keeper = Self {
            lines: BufReader::new(reader),
            partial: Vec::new(),
            word: Lifeline(writer),
            _process: process,
        };
        Ok((keeper, pipes))
    }

    /// Polite signal, grace, KILL.
    pub(super) fn end(&self) {
        self.word.end();
    }

    /// What it tells next. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Event {
        let read = self.lines.read_until(b'\n', &mut self.partial).await;
        let line = std::mem::take(&mut self.partial);
        if !matches!(read, Ok(length) if length > 0) {
            return Event::Ended(Err(Fault::Start(io::Error::other("its keeper was killed"))));
        }
        match serde_json::from_slice(&line) {
            Ok(Report::Started(pid)) => Event::Started(pid),
            Ok(Report::Ended(status)) => Event::Ended(Ok(child::exit_status(status))),
            Ok(Report::Failed(sentence, errno)) => {
                let kind =
                    errno.map_or(io::ErrorKind::Other, |errno| io::Error::from_raw_os_error(errno).kind());
                Event::Ended(Err(Fault::Start(io::Error::new(kind, sentence))))
            }
            Err(error) => Event::Ended(Err(Fault::Start(error.into()))),
        }
    }

    /// How it ended.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus, Fault> {
        loop {
            if let Event::Ended(ended) = self.next().await {
                return ended;
            }
        }
    }

    /// The writing end of the lifeline apart from the reading one.
    pub(super) fn split(
        self,
    ) -> (Lifeline, impl Future<Output = Result<ExitStatus, Fault>> + Send + 'static) {
        let Self { mut lines, mut partial, word, _process } = self;
        let ended = async move {
            // Kept until the end, so that the runtime reaps it then.
            let _process = _process;
            loop {
                partial.clear();
                match lines.read_until(b'\n', &mut partial).await {
                    Ok(length) if length > 0 => match serde_json::from_slice(&partial) {
                        Ok(Report::Ended(status)) => break Ok(child::exit_status(status)),
                        Ok(_) => {}
                        Err(error) => break Err(Fault::Start(error.into())),
                    },
                    _ => break Err(Fault::Start(io::Error::other("its keeper was killed"))),
                }
            }
        };
        (word, ended)
    }
}

/// A program's output, and its last lines.
#[derive(Debug)]
pub(super) struct Streams {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    out: Box<[u8]>,
    err: Box<[u8]>,
    pub(super) tail: Tail,
    writer: Option<JoinHandle<()>>,
}

impl Streams {
    pub(super) fn new(pipes: Pipes, input: Input) -> Self {
        let writer = match (pipes.stdin, input) {
            (Some(mut stdin), Input::Bytes(input)) => Some(tokio::spawn(async move {
                // A program that does not read its input says so by its status.
                let _ = stdin.write_all(&input).await;
            })),
            _ => None,
        };
        Self {
            stdout: pipes.stdout,
            stderr: pipes.stderr,
            out: vec![0; 16384].into(),
            err: vec![0; 16384].into(),
            tail: Tail::default(),
            writer,
        }
    }

    /// The next piece; `None` when both streams have ended. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<(OutputStream, &[u8])> {
        let (stream, length) = loop {
            if self.stdout.is_none() && self.stderr.is_none() {
                return None;
            }
            tokio::select! {
                read = read_some(&mut self.stdout, &mut self.out) => match read {
                    Some(length) => break (OutputStream::Stdout, length),
                    None => self.stdout = None,
                },
                read = read_some(&mut self.stderr, &mut self.err) => match read {
                    Some(length) => break (OutputStream::Stderr, length),
                    None => self.stderr = None,
                },
            }
        };
        let bytes = match stream {
            OutputStream::Stdout => &self.out[..length],
            OutputStream::Stderr => &self.err[..length],
        };
        self.tail.push(stream, bytes);
        Some((stream, bytes))
    }

    /// Hands on what is still in the pipes of a program that is over.
    pub(super) async fn drain(&mut self, on_output: &mut impl FnMut(OutputStream, &[u8])) {
        let all = async {
            while let Some((stream, bytes)) = self.next().await {
                on_output(stream, bytes);
            }
        };
        let _ = tokio::time::timeout(DRAIN, all).await;
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

async fn read_some<R: tokio::io::AsyncRead + Unpin>(
    reader: &mut Option<R>,
    buffer: &mut [u8],
) -> Option<usize> {
    match reader {
        Some(reader) => reader.read(buffer).await.ok().filter(|length| *length > 0),
        None => std::future::pending().await,
    }
}

/// The last lines of both streams.
#[derive(Debug, Default)]
pub(super) struct Tail {
    stdout: VecDeque<u8>,
    stderr: VecDeque<u8>,
}

impl Tail {
    const BYTES: usize = 8192;

    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        let to = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        to.extend(bytes);
        to.drain(..to.len().saturating_sub(Self::BYTES));
    }

    /// The last lines of standard error, or of standard output when that is empty.
    pub(super) fn text(&self) -> String {
        let from = if self.stderr.is_empty() { &self.stdout } else { &self.stderr };
        let bytes: Vec<u8> = from.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}
