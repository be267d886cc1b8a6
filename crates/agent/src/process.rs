//! The one place that starts programs: an argument vector, a chosen account, folder and environment, limits, an
//! own process group, an end by TERM, grace, KILL, and the tail of stderr when it fails.

mod keeper;
mod running;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use orocloud_protocol::{CallError, OutputStream};
use tokio::process::{ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;

use crate::files::AccountFiles;
use keeper::{Event, Keeper, Streams};
pub use running::Running;

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
    /// Postfix.
    Mail,
}

/// A program about to be started.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    account: Account,
    environment: Vec<(OsString, OsString)>,
    folder: PathBuf,
    input: Input,
    output_file: Option<File>,
    limit: Duration,
    grace: Duration,
    end_signal: i32,
    memory: Option<u64>,
    open_files: Option<u64>,
    accepted: Option<i32>,
}

/// What a program reads from standard input.
#[derive(Debug)]
enum Input {
    Bytes(Vec<u8>),
    File(File),
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
            input: Input::Bytes(Vec::new()),
            output_file: None,
            limit: Duration::from_secs(3600),
            grace: Duration::from_secs(10),
            end_signal: libc::SIGTERM,
            memory: None,
            open_files: None,
            accepted: None,
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
        self.input = Input::Bytes(input.into());
        self
    }

    /// A file, opened by the agent, that it reads as standard input.
    #[must_use]
    pub fn input_file(mut self, file: File) -> Self {
        self.input = Input::File(file);
        self
    }

    /// A file, opened by the agent, that it writes as standard output; nothing of that is handed on then.
    #[must_use]
    pub fn output_file(mut self, file: File) -> Self {
        self.output_file = Some(file);
        self
    }

    /// How long it may run; does not hold for [`Processes::spawn`].
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// How long it gets between the polite signal and KILL.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The polite signal to its group; TERM unless told otherwise.
    #[must_use]
    pub fn end_signal(mut self, signal: i32) -> Self {
        self.end_signal = signal;
        self
    }

    /// How many bytes of private memory it may have.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// A further exit status that is no failure of it.
    #[must_use]
    pub fn accept(mut self, status: i32) -> Self {
        self.accepted = Some(status);
        self
    }

    /// How many files it may have open.
    #[must_use]
    pub fn open_files(mut self, number: u64) -> Self {
        self.open_files = Some(number);
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

/// Starts programs. Every one runs under `orocloud-agent child`, which ends it with the daemon.
#[derive(Clone, Debug)]
pub struct Processes {
    accounts: Option<AccountNames>,
    /// Held by every keeper: the next daemon begins once all are gone.
    lock: Option<Arc<OwnedFd>>,
    /// `orocloud-agent`; what this process itself is, also after an upgrade replaced the file.
    agent: PathBuf,
    always_through_the_program: bool,
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
    /// [`Account::Mail`]; without one it is the agent's own.
    pub mail: Option<String>,
}

impl AccountNames {
    /// As `agent.toml` has them.
    pub fn of(accounts: &crate::environment::Accounts) -> Self {
        Self {
            build: accounts.build.clone(),
            app: accounts.app.clone(),
            database: accounts.database.clone(),
            mail: accounts.mail.clone(),
        }
    }
}

/// How much of standard output is kept by [`Processes::output`], in bytes.
const MAX_OUTPUT: u64 = 64 * 1024 * 1024;

impl Processes {
    /// Without names everything runs as the agent's own account.
    pub fn new(accounts: Option<AccountNames>) -> Self {
        Self {
            accounts,
            lock: None,
            agent: PathBuf::from("/proc/self/exe"),
            always_through_the_program: false,
        }
    }

    /// Lets every keeper hold this descriptor for as long as anything of its program runs.
    #[must_use]
    pub fn holding(mut self, lock: OwnedFd) -> Self {
        self.lock = Some(Arc::new(lock));
        self
    }

    /// Uses this `orocloud-agent` rather than the running program; for tests outside of the crate.
    #[must_use]
    pub fn with_agent(mut self, program: impl AsRef<Path>) -> Self {
        self.agent = program.as_ref().to_owned();
        self
    }

    #[cfg(test)]
    pub(crate) fn always_through_the_program(mut self) -> Self {
        self.always_through_the_program = true;
        self
    }

    /// `orocloud-agent` itself, to be run as another account.
    pub(crate) fn ourselves(&self) -> Program {
        Program::new(&self.agent)
    }

    /// The files of an account.
    pub fn files(&self, account: Account) -> AccountFiles<'_> {
        AccountFiles::new(self, account)
    }

    /// Whether this account is the agent's own here.
    pub(crate) fn is_own(&self, account: Account) -> bool {
        self.name(account).is_none() && !self.always_through_the_program
    }

    /// The account's name; `None` when it is the agent's own.
    pub fn name(&self, account: Account) -> Option<&str> {
        let names = self.accounts.as_ref()?;
        match account {
            Account::Agent => None,
            Account::Build => Some(&names.build),
            Account::App => Some(&names.app),
            Account::Database => Some(&names.database),
            Account::Mail => names.mail.as_deref(),
        }
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
    /// set its group gets the polite signal, and everything beneath it KILL after the grace period. Should the
    /// future be dropped, the same happens.
    pub async fn run(
        &self,
        mut program: Program,
        cancel: &CancellationToken,
        mut on_output: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<Finished, ProcessError> {
        let name = name_of(&program.path);
        let (limit, accepted) = (program.limit, program.accepted);
        let (mut keeper, streams) = self.start(&mut program)?;
        let mut streams = Streams::new(streams, program.input);
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        let mut fault = None;
        let ended = loop {
            tokio::select! {
                event = streams.next() => match event {
                    Some((stream, bytes)) => on_output(stream, bytes),
                    // Both pipes have ended; the keeper tells the rest.
                    None => break keeper.ended().await,
                },
                event = keeper.next() => match event {
                    Event::Started(_) => {}
                    Event::Ended(ended) => {
                        streams.drain(&mut on_output).await;
                        break ended;
                    }
                },
                () = &mut deadline, if fault.is_none() => { fault = Some(Fault::TimedOut(limit)); keeper.end(); }
                () = cancel.cancelled(), if fault.is_none() => { fault = Some(Fault::Cancelled); keeper.end(); }
            }
        };
        let ended = match fault {
            Some(fault) => Err(fault),
            None => ended.and_then(|status| match status.code() {
                Some(code) if code == 0 || Some(code) == accepted => Ok(status),
                _ => Err(Fault::Status(status)),
            }),
        };
        let tail = streams.tail.text();
        match ended {
            Ok(status) => Ok(Finished { status, stdout: Vec::new(), stderr_tail: tail }),
            Err(fault) => Err(ProcessError { program: name, fault, tail }),
        }
    }

    /// Starts a program that stays; what it writes goes to its output file, or else only its last lines are kept.
    /// It ends with the handle, and with the daemon.
    pub async fn spawn(&self, mut program: Program) -> Result<Running, ProcessError> {
        let name = name_of(&program.path);
        let (keeper, streams) = self.start(&mut program)?;
        Running::new(name, keeper, Streams::new(streams, program.input)).await
    }

    /// Starts a program whose standard input and output are the caller's to use.
    pub async fn spawn_piped(
        &self,
        mut program: Program,
    ) -> Result<(Running, ChildStdin, ChildStdout), ProcessError> {
        let name = name_of(&program.path);
        let (keeper, mut pipes) = self.start(&mut program)?;
        let (Some(stdin), Some(stdout)) = (pipes.stdin.take(), pipes.stdout.take()) else {
            let fault = Fault::Start(std::io::Error::other("its streams are files already"));
            return Err(ProcessError { program: name, fault, tail: String::new() });
        };
        let running = Running::new(name, keeper, Streams::new(pipes, Input::Bytes(Vec::new()))).await?;
        Ok((running, stdin, stdout))
    }

    fn start(&self, program: &mut Program) -> Result<(Keeper, keeper::Pipes), ProcessError> {
        Keeper::start(self, program).map_err(|error| ProcessError {
            program: name_of(&program.path),
            fault: Fault::Start(error),
            tail: String::new(),
        })
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
