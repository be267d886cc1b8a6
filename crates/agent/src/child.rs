//! `orocloud-agent child`: the keeper that every program runs under.
//!
//! It starts one program as an account, with limits and in a session of its own, and stays as its parent and as
//! the reaper of every descendant, those included that left its group (prctl(2), `PR_SET_CHILD_SUBREAPER`). A
//! socket ties it to the daemon, the *lifeline*: when the daemon dies, the lifeline ends and so does everything
//! beneath. It holds the daemon's lock meanwhile, so that the next daemon begins only once all of it is gone.
//!
//! The program is over when its main process has ended and no descendant is left: a daemon that a build tool
//! leaves behind is ended, and never keeps a step waiting.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What the keeper tells the daemon, one JSON object a line on the lifeline.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The program runs as this process.
    Started(u32),
    /// It could not be started: the sentence, and the number of the error.
    Failed(String, Option<i32>),
    /// Its main process has ended with this status of waitpid(2), and no descendant is left.
    Ended(i32),
}

/// The daemon's word to end the program: polite signal, grace, KILL.
pub(crate) const END: u8 = 0;

/// How the program is to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Account to become; `None` stays who we are.
    pub account: Option<String>,
    /// Where it starts.
    pub folder: PathBuf,
    /// Milliseconds between the polite signal and KILL.
    pub grace_ms: u64,
    /// The polite signal.
    pub end_signal: i32,
    /// Bytes of private memory, at most.
    pub memory: Option<u64>,
    /// Open files, at most.
    pub open_files: Option<u64>,
}

/// How long descendants that outlive the main process get between TERM and KILL.
const STRAGGLER_GRACE: Duration = Duration::from_secs(2);

/// Runs `child LIFELINE LOCK ORDER PROGRAM ARGUMENT…`; the numbers are descriptors, LOCK may be `-`.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> i32 {
    let mut next = || arguments.next().unwrap_or_default();
    let (lifeline, lock, order, program) = (next(), next(), next(), next());
    let arguments: Vec<OsString> = arguments.collect();
    let Some(mut lifeline) = descriptor(&lifeline).map(UnixStream::from) else {
        eprintln!("orocloud-agent child: is started by the agent, not by hand");
        return 2;
    };
    // Held until this process ends; the program does not get it.
    let _lock = descriptor(&lock);
    let order = match serde_json::from_slice::<Order>(order.as_bytes()) {
        Ok(order) => order,
        Err(error) => {
            report(&mut lifeline, &Report::Failed(format!("its order cannot be read: {error}"), None));
            return 2;
        }
    };
    match keep(&mut lifeline, &order, &program, &arguments) {
        Ok(status) => {
            report(&mut lifeline, &Report::Ended(status));
            0
        }
        Err((sentence, errno)) => {
            report(&mut lifeline, &Report::Failed(sentence, errno));
            1
        }
    }
}

/// Takes over an inherited descriptor, and keeps it from being inherited further.
fn descriptor(text: &OsStr) -> Option<OwnedFd> {
    let number: RawFd = text.to_str()?.parse().ok()?;
    // SAFETY: fcntl on a number is harmless; it fails when nothing is open under it.
    if number < 3 || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: the daemon opened it for us alone, and nobody else in this process knows the number.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

fn report(lifeline: &mut UnixStream, report: &Report) {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    // With the daemon gone nobody wants to know.
    let _ = lifeline.write_all(&line);
}

type StartError = (String, Option<i32>);

/// Starts the program, waits for its end and that of all descendants; the status is its main process's.
fn keep(
    lifeline: &mut UnixStream,
    order: &Order,
    program: &OsStr,
    arguments: &[OsString],
) -> Result<i32, StartError> {
    let fault = |what: &str| {
        let error = io::Error::last_os_error();
        (format!("{what}: {error}"), error.raw_os_error())
    };
    // SAFETY: plain prctl(2) without pointers.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) } != 0 {
        return Err(fault("no reaper of descendants can be set up"));
    }
    let signals = Signals::new()
        .map_err(|error| (format!("no signals can be received: {error}"), error.raw_os_error()))?;
    let main = start(order, program, arguments)?;
    forget_standard_streams();
    report(lifeline, &Report::Started(main.cast_unsigned()));
    Ok(Keeper { lifeline, signals, main, order }.run())
}

/// The account as the program needs it.
struct Identity {
    name: String,
    home: PathBuf,
    switch: Option<(libc::uid_t, libc::gid_t, Vec<libc::gid_t>)>,
}

impl Identity {
    fn of(account: Option<&str>) -> Result<Self, StartError> {
        // SAFETY: geteuid has no preconditions.
        let own = unsafe { libc::geteuid() };
        // SAFETY: getpwnam and getpwuid return null or a record that stays valid until the next such call; this
        // process has one thread and copies out of it at once.
        let (record, wanted) = unsafe {
            match account {
                Some(name) => {
                    let c_name = CString::new(name).unwrap_or_default();
                    (libc::getpwnam(c_name.as_ptr()), name.to_owned())
                }
                None => (libc::getpwuid(own), own.to_string()),
            }
        };
        if record.is_null() {
            return match account {
                Some(_) => Err((format!("there is no account {wanted} on this node"), None)),
                None => Ok(Self { name: wanted, home: PathBuf::from("/"), switch: None }),
            };
        }
        // SAFETY: not null, see above; its strings end with NUL.
        let (name, home, uid, gid) = unsafe {
            let record = &*record;
            let text = |pointer| OsStr::from_bytes(CStr::from_ptr(pointer).to_bytes()).to_owned();
            (text(record.pw_name), text(record.pw_dir), record.pw_uid, record.pw_gid)
        };
        let name = name.to_string_lossy().into_owned();
        let switch =
            if account.is_none() || uid == own { None } else { Some((uid, gid, groups(&name, gid))) };
        Ok(Self { name, home: home.into(), switch })
    }
}

fn groups(name: &str, gid: libc::gid_t) -> Vec<libc::gid_t> {
    let name = CString::new(name).unwrap_or_default();
    let mut found = vec![gid; 256];
    let mut length: libc::c_int = 256;
    // SAFETY: the buffer has `length` places, and the call writes at most that many.
    unsafe { libc::getgrouplist(name.as_ptr(), gid, found.as_mut_ptr(), &raw mut length) };
    found.truncate(usize::try_from(length).unwrap_or(1).min(256));
    found
}

/// What the new process was doing when it failed, so that the error can say so.
const STAGES: [&str; 5] = [
    "its session cannot be set up: ",
    "its limits cannot be set: ",
    "its account cannot be taken on: ",
    "its folder cannot be entered: ",
    "",
];

fn start(order: &Order, program: &OsStr, arguments: &[OsString]) -> Result<i32, StartError> {
    let identity = Identity::of(order.account.as_deref())?;
    let (mut stage_reader, stage_writer) =
        io::pipe().map_err(|error| (format!("no pipe: {error}"), error.raw_os_error()))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    for (variable, value) in [
        ("HOME", identity.home.as_os_str()),
        ("USER", identity.name.as_ref()),
        ("LOGNAME", identity.name.as_ref()),
    ] {
        if std::env::var_os(variable).is_none() {
            command.env(variable, value);
        }
    }
    let folder = CString::new(order.folder.as_os_str().as_bytes()).unwrap_or_default();
    let limits = [
        (libc::RLIMIT_CORE, Some(0)),
        (libc::RLIMIT_DATA, order.memory),
        (libc::RLIMIT_NOFILE, order.open_files),
    ];
    let stage_descriptor = stage_writer.as_raw_fd();
    // SAFETY: runs between fork and exec in a process that had one thread; it makes system calls on memory that
    // was prepared before.
    unsafe {
        command.pre_exec(move || {
            let stage = |number: u8| {
                libc::write(stage_descriptor, (&raw const number).cast(), 1);
            };
            let checked = |result: libc::c_int| {
                if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
            };
            stage(0);
            checked(libc::setsid())?;
            // Who started the daemon may have ignored signals (nohup, a shell's background job), and what is ignored
            // stays so over exec: a program could then neither be interrupted nor set a trap.
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGPIPE] {
                libc::signal(signal, libc::SIG_DFL);
            }
            libc::umask(0o022);
            stage(1);
            for (resource, limit) in limits {
                if let Some(limit) = limit {
                    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
                    checked(libc::setrlimit(resource, &raw const limit))?;
                }
            }
            stage(2);
            if let Some((uid, gid, groups)) = &identity.switch {
                checked(libc::setgroups(groups.len(), groups.as_ptr()))?;
                checked(libc::setresgid(*gid, *gid, *gid))?;
                checked(libc::setresuid(*uid, *uid, *uid))?;
                drop_capabilities()?;
                checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            }
            // Should the keeper itself be killed; after the change of account, which would reset it.
            checked(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            stage(3);
            checked(libc::chdir(folder.as_ptr()))?;
            stage(4);
            Ok(())
        });
    }
    let spawned = command.spawn();
    drop(stage_writer);
    match spawned {
        Ok(child) => Ok(child.id().cast_signed()),
        Err(error) => {
            let mut stages = Vec::new();
            let _ = stage_reader.read_to_end(&mut stages);
            let stage = stages.last().map_or(4, |stage| usize::from(*stage).min(4));
            let thing = match stage {
                2 => format!("{}: ", order.account.as_deref().unwrap_or_default()),
                3 => format!("{}: ", order.folder.display()),
                _ => String::new(),
            };
            Err((format!("{}{thing}{error}", STAGES[stage]), error.raw_os_error()))
        }
    }
}

/// Gives up every capability: a change from one ordinary account to another keeps them otherwise.
fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    let header = Header { version: VERSION_3, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: plain prctl(2); capset(2) reads a header and, in version 3, two sets of three words.
    let result = unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The pipes belong to the program alone: the daemon sees them end with it.
fn forget_standard_streams() {
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        for number in 0..3 {
            // SAFETY: replaces our standard streams, which nothing here uses any more.
            unsafe { libc::dup2(null.as_raw_fd(), number) };
        }
    }
}

/// SIGCHLD and the polite signals, as something to poll.
struct Signals(OwnedFd);

impl Signals {
    fn new() -> io::Result<Self> {
        // SAFETY: a signal set on the stack, initialised by sigemptyset before use. `Command` gives the program
        // an empty mask again.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(&raw mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            let number = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if number < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(OwnedFd::from_raw_fd(number))) }
        }
    }

    /// Takes what has arrived; whether somebody asked us to end.
    fn take(&self) -> bool {
        let mut asked = false;
        loop {
            let mut info = std::mem::MaybeUninit::<libc::signalfd_siginfo>::uninit();
            let size = size_of::<libc::signalfd_siginfo>();
            // SAFETY: reads one whole record into a place of that size.
            let read = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
            if read != size.cast_signed() {
                return asked;
            }
            // SAFETY: a whole record was read.
            asked |= unsafe { info.assume_init() }.ssi_signo != libc::SIGCHLD.cast_unsigned();
        }
    }
}

struct Keeper<'a> {
    lifeline: &'a mut UnixStream,
    signals: Signals,
    main: i32,
    order: &'a Order,
}

impl Keeper<'_> {
    fn run(mut self) -> i32 {
        let mut status = None;
        let mut kill_at: Option<Instant> = None;
        let mut lifeline_open = true;
        loop {
            self.reap(&mut status);
            if status.is_some() {
                break;
            }
            if kill_at.is_some_and(|at| Instant::now() >= at) {
                self.kill_all();
            }
            let mut asked = self.wait(kill_at, &mut lifeline_open);
            asked |= self.signals.take();
            if asked && kill_at.is_none() {
                self.signal_group(self.order.end_signal);
                kill_at = Some(Instant::now() + Duration::from_millis(self.order.grace_ms));
            }
        }
        self.end_stragglers(&mut lifeline_open);
        status.unwrap_or(0)
    }

    /// Waits for a signal, a word of the daemon, or the end of the grace period; whether the program is to end.
    fn wait(&mut self, kill_at: Option<Instant>, lifeline_open: &mut bool) -> bool {
        let timeout = match kill_at {
            // After the first KILL new descendants may still appear: look again soon.
            Some(at) => at.saturating_duration_since(Instant::now()).max(Duration::from_millis(50)),
            None => Duration::from_secs(3600),
        };
        let mut polled = [
            libc::pollfd { fd: self.signals.0.as_raw_fd(), events: libc::POLLIN, revents: 0 },
            libc::pollfd {
                fd: if *lifeline_open { self.lifeline.as_raw_fd() } else { -1 },
                events: libc::POLLIN,
                revents: 0,
            },
        ];
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: two initialised records.
        unsafe { libc::poll(polled.as_mut_ptr(), 2, timeout) };
        if polled[1].revents == 0 {
            return false;
        }
        let mut word = [0_u8; 1];
        match self.lifeline.read(&mut word) {
            Ok(1) if word[0] == END => true,
            Ok(1) => {
                self.signal_group(i32::from(word[0]));
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            _ => {
                *lifeline_open = false;
                true
            }
        }
    }

    fn signal_group(&self, signal: i32) {
        // SAFETY: kill(2) of the group that the main process leads; it is not reaped yet, so its number is its own.
        // A stopped process takes the signal only once it goes on.
        unsafe {
            libc::kill(-self.main, signal);
            libc::kill(-self.main, libc::SIGCONT);
        }
    }

    /// Reaps every descendant that has ended; whether none is left.
    fn reap(&self, main_status: &mut Option<i32>) -> bool {
        loop {
            let mut status = 0;
            // SAFETY: plain waitpid(2) with a place for the status.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            match pid {
                0 => return false,
                pid if pid < 0 => return io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD),
                pid if pid == self.main => *main_status = Some(status),
                _ => {}
            }
        }
    }

    fn kill_all(&self) {
        signal_all(&descendants(), libc::SIGKILL);
    }

    /// The main process is gone; what it left behind goes too.
    fn end_stragglers(&mut self, lifeline_open: &mut bool) {
        let grace = STRAGGLER_GRACE.min(Duration::from_millis(self.order.grace_ms));
        let kill_at = Instant::now() + grace;
        let mut told = Vec::new();
        loop {
            if self.reap(&mut None) {
                return;
            }
            let now = Instant::now();
            if now >= kill_at {
                self.kill_all();
            } else {
                let mut fresh = descendants();
                fresh.retain(|pid| !told.contains(pid));
                signal_all(&fresh, libc::SIGTERM);
                signal_all(&fresh, libc::SIGCONT);
                told.extend(fresh);
            }
            self.wait(Some(kill_at), lifeline_open);
            self.signals.take();
        }
    }
}

fn signal_all(pids: &[i32], signal: i32) {
    for pid in pids {
        // SAFETY: kill(2) of a descendant; we reap them all ourselves, in this thread, so the number is still theirs.
        unsafe { libc::kill(*pid, signal) };
    }
}

/// Every living descendant of this process.
fn descendants() -> Vec<i32> {
    let mut parents = Vec::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if let Some(parent) =
            std::fs::read_to_string(entry.path().join("stat")).ok().and_then(|stat| parent_of(&stat))
        {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![std::process::id().cast_signed()];
    let mut looked = 0;
    while let Some(parent) = found.get(looked).copied() {
        found.extend(parents.iter().filter(|(_, its_parent)| *its_parent == parent).map(|(pid, _)| *pid));
        looked += 1;
    }
    found.remove(0);
    found
}

/// The parent's number in a line of `/proc/PID/stat`, whose second field may hold blanks and parentheses; `None`
/// for one that has ended and only waits to be reaped.
fn parent_of(stat: &str) -> Option<i32> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}

/// The exit status that a report tells.
pub(crate) fn exit_status(raw: i32) -> std::process::ExitStatus {
    std::process::ExitStatus::from_raw(raw)
}

/// In unit tests the agent's program is the test binary, which therefore has to know this command too.
#[cfg(test)]
mod entry {
    extern "C" fn before_main() {
        let mut arguments = std::env::args_os().skip(1);
        let code = match arguments.next() {
            Some(command) if command == "child" => super::main(arguments),
            Some(command) if command == "file" => crate::files::main(arguments),
            _ => return,
        };
        std::process::exit(code);
    }

    #[used]
    #[unsafe(link_section = ".init_array")]
    static ENTRY: extern "C" fn() = before_main;
}

#[cfg(test)]
mod tests {
    use super::parent_of;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_parent() {
        assert_eq!(parent_of("17 (a) b (c)) S 4 17 17 0"), Some(4));
        assert_eq!(parent_of("17 (x) Z 4 17 17 0"), None);
        assert_eq!(parent_of("17 (x"), None);
    }
}
