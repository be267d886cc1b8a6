//! The one place that starts programs: an argument vector, a chosen account, folder and environment, limits, an
//! own process group, an end by TERM, grace, KILL, and the tail of stderr when it fails.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use orocloud_protocol::{CallError, OutputStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Whose rights a program gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// The agent's own.
    #[default]
    Agent,
    /// git and composer.
    Build,
    /// The application.
    App,
    /// PostgreSQL and pgBackRest.
    Database,
}

/// A program about to be started.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    account: Account,
    environment: Vec<(OsString, OsString)>,
    folder: PathBuf,
    input: Vec<u8>,
    limit: Duration,
}

impl Program {
    /// This program without arguments, as the agent's account, in `/`, for at most an hour.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            args: Vec::new(),
            account: Account::Agent,
            environment: Vec::new(),
            folder: PathBuf::from("/"),
            input: Vec::new(),
            limit: Duration::from_secs(3600),
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Whose rights it gets.
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.account = account;
        self
    }

    /// One variable of its environment, which otherwise holds `PATH`, `HOME`, `LANG=C.UTF-8` and `TZ=UTC` alone.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Where it starts.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = folder.as_ref().to_owned();
        self
    }

    /// What it reads from standard input; the way for secrets.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// How long it may run.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to standard output, unless it was streamed.
    pub stdout: Vec<u8>,
    /// The last lines it wrote to standard error.
    pub stderr_tail: String,
}

/// Why a program did not do its work.
#[derive(Debug)]
pub struct ProcessError {
    /// The program's file name.
    pub program: String,
    /// What happened.
    pub fault: Fault,
    /// The last lines it wrote to standard error, or else to standard output.
    pub tail: String,
}

/// What happened to a program.
#[derive(Debug)]
pub enum Fault {
    /// It could not be started.
    Start(std::io::Error),
    /// It ended with a failure.
    Status(ExitStatus),
    /// It ran longer than it may.
    TimedOut(Duration),
    /// Somebody cancelled it.
    Cancelled,
    /// It wrote more than is kept.
    TooMuchOutput,
}

impl std::fmt::Display for ProcessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let program = &self.program;
        match &self.fault {
            Fault::Start(error) => write!(f, "{program} cannot be started: {error}"),
            Fault::Status(status) => write!(f, "{program} ended with {status}"),
            Fault::TimedOut(limit) => write!(f, "{program} ran longer than {} s", limit.as_secs()),
            Fault::Cancelled => write!(f, "{program} was cancelled"),
            Fault::TooMuchOutput => write!(f, "{program} wrote more than is kept"),
        }
    }
}

impl From<ProcessError> for CallError {
    fn from(error: ProcessError) -> Self {
        let kind = match error.fault {
            Fault::Cancelled => orocloud_protocol::ErrorKind::Cancelled,
            _ => orocloud_protocol::ErrorKind::Failed,
        };
        let call_error = Self::new(kind, error.to_string());
        error.tail.lines().fold(call_error, |call_error, line| call_error.because(line))
    }
}

/// Starts programs. Every one runs under `orocloud-agent child`, which ends with the daemon.
#[derive(Debug)]
pub struct Processes {
    accounts: Option<AccountNames>,
}

/// The names behind [`Account`].
#[derive(Clone, Debug)]
pub struct AccountNames {
    /// [`Account::Build`]
    pub build: String,
    /// [`Account::App`]
    pub app: String,
    /// [`Account::Database`]
    pub database: String,
}

/// How much of standard output is kept by [`Processes::output`], in bytes.
const MAX_OUTPUT: u64 = 64 * 1024 * 1024;

/// How many lines of standard error an error shows.
const TAIL_LINES: usize = 20;

impl Processes {
    /// Without names everything runs as the agent's own account.
    pub fn new(accounts: Option<AccountNames>) -> Self {
        Self { accounts }
    }

    /// Runs it to its end and keeps what it wrote to standard output; a failure is an error.
    pub async fn output(&self, program: Program) -> Result<Finished, ProcessError> {
        let mut stdout = Vec::new();
        let mut too_much = false;
        let name = name_of(&program.path);
        let finished = self
            .run(program, &CancellationToken::new(), |stream, bytes| {
                if stream == OutputStream::Stdout {
                    too_much |= stdout.len() as u64 + bytes.len() as u64 > MAX_OUTPUT;
                    if !too_much {
                        stdout.extend_from_slice(bytes);
                    }
                }
            })
            .await?;
        if too_much {
            return Err(ProcessError { program: name, fault: Fault::TooMuchOutput, tail: String::new() });
        }
        Ok(Finished { stdout, ..finished })
    }

    /// Runs it to its end and hands on what it writes, piece by piece; a failure is an error. When `cancel` is
    /// set its group gets TERM, and KILL after a grace period.
    pub async fn run(
        &self,
        program: Program,
        cancel: &CancellationToken,
        mut on_output: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<Finished, ProcessError> {
        let name = name_of(&program.path);
        let fail = |fault, tail| ProcessError { program: name.clone(), fault, tail };
        let limit = program.limit;
        let input = program.input.clone();
        let mut child =
            self.command(&program).spawn().map_err(|error| fail(Fault::Start(error), String::new()))?;
        let mut stdin = child.stdin.take();
        let mut stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        tokio::spawn(async move {
            if let Some(stdin) = &mut stdin {
                // A program that does not read its input says so by its status.
                let _ = stdin.write_all(&input).await;
            }
        });
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        let (mut out, mut err) = ([0_u8; 16384], [0_u8; 16384]);
        let mut tail = Tail::default();
        let mut fault = None;
        while stdout.is_some() || stderr.is_some() {
            tokio::select! {
                read = read_some(&mut stdout, &mut out) => match read {
                    Some(length) => { tail.stdout(&out[..length]); on_output(OutputStream::Stdout, &out[..length]); }
                    None => stdout = None,
                },
                read = read_some(&mut stderr, &mut err) => match read {
                    Some(length) => { tail.stderr(&err[..length]); on_output(OutputStream::Stderr, &err[..length]); }
                    None => stderr = None,
                },
                () = &mut deadline => { fault = Some(Fault::TimedOut(limit)); break; }
                () = cancel.cancelled() => { fault = Some(Fault::Cancelled); break; }
            }
        }
        if let Some(fault) = fault {
            let _ = child.kill().await;
            return Err(fail(fault, tail.text()));
        }
        let status = child.wait().await.map_err(|error| fail(Fault::Start(error), String::new()))?;
        if !status.success() {
            return Err(fail(Fault::Status(status), tail.text()));
        }
        Ok(Finished { status, stdout: Vec::new(), stderr_tail: tail.text() })
    }

    fn command(&self, program: &Program) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&program.path);
        command
            .args(&program.args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&program.folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let _ = (&self.accounts, program.account);
        command
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

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The last lines of both streams.
#[derive(Default)]
struct Tail {
    stdout: VecDeque<u8>,
    stderr: VecDeque<u8>,
}

impl Tail {
    const BYTES: usize = 8192;

    fn stdout(&mut self, bytes: &[u8]) {
        Self::push(&mut self.stdout, bytes);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        Self::push(&mut self.stderr, bytes);
    }

    fn push(to: &mut VecDeque<u8>, bytes: &[u8]) {
        to.extend(bytes);
        to.drain(..to.len().saturating_sub(Self::BYTES));
    }

    fn text(&mut self) -> String {
        let from = if self.stderr.is_empty() { &mut self.stdout } else { &mut self.stderr };
        let text = String::from_utf8_lossy(from.make_contiguous()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}
