//! pgBackRest: base backups and the archive of the write-ahead log. Runs as the database account, on the
//! database node.

mod archive;
mod info;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use orocloud_protocol::node::ReplayTarget;
use orocloud_protocol::{CallError, EventBody, OutputStream, Unit};
use tokio_util::sync::CancellationToken;

use crate::engines::postgres;
use crate::environment::Database;
use crate::operations::EventSink;
use crate::process::{Account, Fault, ProcessError, Processes, Program};

pub use archive::Archive;
pub use info::BackupSet;

/// pgBackRest as one node has it.
#[derive(Clone, Copy, Debug)]
pub struct PgBackRest<'a> {
    processes: &'a Processes,
    config: &'a Database,
}

/// What pgBackRest can say no with, by the number it gives its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// 050: another one of its commands runs.
    Locked,
    /// 037, 055, 103: no stanza, or none of this name.
    NoStanza,
    /// 026, 028, 095: a file of the repository has a wrong checksum, form or cipher.
    Damaged,
    /// 075: no such backup.
    NoSuchBackup,
    /// 082: a segment was not archived in time.
    ArchiveTimeout,
    /// Any other.
    Other,
}

impl Refusal {
    fn of(code: u32) -> Self {
        match code {
            37 | 103 => Self::NoStanza,
            50 => Self::Locked,
            75 => Self::NoSuchBackup,
            82 => Self::ArchiveTimeout,
            26 | 28 | 95 => Self::Damaged,
            _ => Self::Other,
        }
    }

    fn hint(self, stanza: &str) -> Option<String> {
        Some(match self {
            Self::Locked => {
                "another command of pgBackRest runs; wait for it: orocloud-cli operation:list".into()
            }
            Self::NoStanza => format!("on the database node: pgbackrest --stanza={stanza} stanza-create"),
            Self::Damaged => {
                "a file of the repository is damaged; take a full backup: orocloud-cli backup:create".into()
            }
            Self::NoSuchBackup => "see what there is: orocloud-cli backup:list".into(),
            Self::ArchiveTimeout => {
                format!("see why nothing is archived: pgbackrest --stanza={stanza} check")
            }
            Self::Other => return None,
        })
    }
}

/// A repository with less room than this takes no segment of the write-ahead log.
const SEGMENT: u64 = 16 << 20;

/// What a restore beside the live database is told.
#[derive(Debug)]
pub struct RestoreOrder<'a> {
    /// Where to; exists and is empty, or holds what an interrupted restore left.
    pub to: &'a Path,
    /// The base backup.
    pub set: &'a str,
    /// The timeline that is followed afterwards.
    pub timeline: u32,
    /// Where the replay stops.
    pub target: ReplayTarget,
    /// Reuse what lies there already.
    pub delta: bool,
}

/// The name of our annotation on a backup.
const MARK: &str = "orocloud-step";

impl<'a> PgBackRest<'a> {
    /// For this node.
    pub fn new(processes: &'a Processes, config: &'a Database) -> Self {
        Self { processes, config }
    }

    /// All backups, oldest first; none where there is no stanza yet.
    pub async fn backups(&self) -> Result<Vec<BackupSet>, CallError> {
        let program = self.program("info").arg("--output=json");
        let finished = self.processes.output(program).await.map_err(|error| self.refused("info", error))?;
        info::parse(&finished.stdout)
            .map_err(|error| CallError::failed("pgbackrest info cannot be read").because(error))
    }

    /// What is archived.
    pub async fn archive(&self) -> Result<Archive, CallError> {
        let folder = format!("archive/{}", self.config.stanza);
        let program = self.program("repo-ls").args(["--recurse", "--output=json"]).arg(&folder);
        let finished =
            self.processes.output(program).await.map_err(|error| self.refused("repo-ls", error))?;
        let mut archive = archive::parse(&finished.stdout)
            .map_err(|error| CallError::failed("the list of archived WAL cannot be read").because(error))?;
        for (timeline, path) in std::mem::take(&mut archive.history_files) {
            let program = self.program("repo-get").arg(format!("{folder}/{path}"));
            let finished =
                self.processes.output(program).await.map_err(|error| self.refused("repo-get", error))?;
            archive
                .histories
                .push(archive::parse_history(timeline, &String::from_utf8_lossy(&finished.stdout)));
        }
        Ok(archive)
    }

    /// Brings one archived file to a path; false when the archive does not have it.
    pub async fn fetch(&self, file: &str, to: &Path) -> Result<bool, CallError> {
        let program = self.program("archive-get").arg(file).arg(to);
        match self.processes.output(program).await {
            Ok(_) => Ok(true),
            Err(ProcessError { fault: Fault::Status(status), .. }) if status.code() == Some(1) => Ok(false),
            Err(error) => Err(self.refused("archive-get", error)),
        }
    }

    /// Takes a backup and answers its label. Without a full one to build upon, pgBackRest takes a full one. The
    /// mark is kept with it, so that it is found again after a crash.
    pub async fn backup(
        &self,
        kind: &str,
        mark: &str,
        events: &EventSink,
        cancel: &CancellationToken,
    ) -> Result<String, CallError> {
        let program = self
            .program("backup")
            .arg(format!("--type={kind}"))
            .arg(format!("--process-max={}", self.config.process_max))
            .arg(format!("--annotation={MARK}={mark}"))
            .args(["--start-fast", "--no-expire-auto", &keep_everything(), "--log-level-console=detail"]);
        let mut log = Log::new(events);
        let run = self.processes.run(program, cancel, |stream, bytes| log.take(stream, bytes));
        if let Err(error) = run.await {
            let late =
                first_error(&error.tail).map(|(code, _)| Refusal::of(code)) == Some(Refusal::ArchiveTimeout);
            let error = self.refused("backup", error);
            return Err(if late { self.explain_archiving(error).await } else { error });
        }
        log.label.ok_or_else(|| CallError::failed("pgbackrest backup did not name the backup it made"))
    }

    /// Where a segment came into the archive too late: adds that the repository is full, if it is. The program that
    /// waited knows nothing of the one that could not write.
    pub async fn explain_archiving(&self, error: CallError) -> CallError {
        for path in self.repositories().await {
            if let Ok(free) = postgres::free(self.processes, &path).await
                && free < SEGMENT
            {
                let free = free / 1_000_000;
                return error
                    .because(format!("No space left in the repository {}: {free} MB", path.display()));
            }
        }
        error
    }

    /// Folders of repositories that lie on this node.
    async fn repositories(&self) -> Vec<PathBuf> {
        // Readable for the database's account alone, because of the key in it.
        let program = Program::new("/usr/bin/cat").arg("--").arg(&self.config.pgbackrest_config);
        let Ok(read) = self.processes.output(program.account(Account::Database)).await else {
            return Vec::new();
        };
        repository_paths(&String::from_utf8_lossy(&read.stdout))
    }

    /// Restores a base backup into a folder beside the live one, ready to replay to its target and pause there.
    pub async fn restore(
        &self,
        order: &RestoreOrder<'_>,
        events: &EventSink,
        cancel: &CancellationToken,
    ) -> Result<(), CallError> {
        let mut program = self
            .program("restore")
            .arg(path_option("--pg1-path=", order.to))
            .arg(format!("--set={}", order.set))
            .arg(format!("--process-max={}", self.config.process_max))
            // Until it is accepted the copy must not write to the archive of the live database.
            .args(["--archive-mode=off", "--target-action=pause", "--log-level-console=detail"]);
        program = match order.target {
            ReplayTarget::Time(moment) => program
                .arg("--type=time")
                .arg(format!("--target={}", target_time(moment)))
                .arg(format!("--target-timeline={}", order.timeline)),

            // Takes no timeline; the copy is started with it.
            ReplayTarget::Immediate => program.arg("--type=immediate"),
        };
        if order.delta {
            program = program.arg("--delta");
        }
        let mut log = Log::new(events);
        let run = self.processes.run(program, cancel, |stream, bytes| log.take(stream, bytes));
        run.await.map_err(|error| self.refused("restore", error)).map(drop)
    }

    /// Removes one backup and those that build upon it.
    pub async fn expire(&self, set: &str, events: &EventSink) -> Result<(), CallError> {
        let program = self.program("expire").arg(format!("--set={set}")).arg(keep_everything());
        self.expire_run(program, events).await
    }

    /// Removes WAL from before the newest `full_backups` full ones, except what the older ones need themselves.
    pub async fn expire_wal(&self, full_backups: usize, events: &EventSink) -> Result<(), CallError> {
        let program = self
            .program("expire")
            .arg(keep_everything())
            .arg("--repo1-retention-archive-type=full")
            .arg(format!("--repo1-retention-archive={}", full_backups.max(1)));
        self.expire_run(program, events).await
    }

    async fn expire_run(&self, program: Program, events: &EventSink) -> Result<(), CallError> {
        let mut log = Log::new(events);
        // An expiry that is cut in the middle leaves files that nobody lists: let it end.
        let program = program.arg("--log-level-console=info");
        let never = CancellationToken::new();
        let run = self.processes.run(program, &never, |stream, bytes| log.take(stream, bytes));
        run.await.map_err(|error| self.refused("expire", error)).map(drop)
    }

    /// The shell line by which a copy in `data` fetches from the archive.
    pub fn restore_command(&self, data: &Path) -> String {
        format!(
            "pgbackrest --config={} --pg1-path={} --stanza={} archive-get %f \"%p\"",
            self.config.pgbackrest_config.display(),
            data.display(),
            self.config.stanza
        )
    }

    fn program(&self, command: &str) -> Program {
        Program::new("/usr/bin/pgbackrest")
            .arg(path_option("--config=", &self.config.pgbackrest_config))
            .arg(format!("--stanza={}", self.config.stanza))
            .arg(command)
            .account(Account::Database)
            // A base backup of a large database takes its time.
            .limit(std::time::Duration::from_secs(24 * 3600))
    }

    /// pgBackRest's own words, its number taken apart.
    fn refused(&self, command: &str, error: ProcessError) -> CallError {
        if !matches!(error.fault, Fault::Status(_)) {
            return error.into();
        }
        match first_error(&error.tail) {
            Some((code, message)) => {
                let failed =
                    CallError::failed(format!("pgbackrest {command} failed with {code:03}: {message}"));
                match Refusal::of(code).hint(&self.config.stanza) {
                    Some(hint) => failed.hint(hint),
                    None => failed,
                }
            }
            None => CallError::from(error).context(format!("pgbackrest {command} failed")),
        }
    }
}

/// The values of `repo1-path` and the like in pgBackRest's configuration; those of other hosts are theirs to know.
fn repository_paths(config: &str) -> Vec<PathBuf> {
    let options =
        || config.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value));
    let is_of = |key: &str, what: &str| {
        key.strip_prefix("repo")
            .and_then(|rest| rest.strip_suffix(what))
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let far =
        options().any(|(key, value)| is_of(key, "-host") || is_of(key, "-type") && value.trim() != "posix");
    let paths = options().filter(|(key, _)| !far && is_of(key, "-path"));
    paths.map(|(_, value)| PathBuf::from(value.trim())).collect()
}

fn path_option(option: &str, path: &Path) -> OsString {
    let mut text = OsString::from(option);
    text.push(path);
    text
}

/// Retention is our rule's, never pgBackRest's: this is its largest number.
fn keep_everything() -> String {
    "--repo1-retention-full=9999999".to_owned()
}

/// pgBackRest 2.45 refuses the `T` and the `Z` of RFC 3339.
fn target_time(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

/// The first `ERROR: [NNN]: message` of a log.
fn first_error(log: &str) -> Option<(u32, String)> {
    log.lines().find_map(|line| {
        let (code, message) = line.split_once("ERROR: [")?.1.split_once("]: ")?;
        Some((code.parse().ok()?, message.to_owned()))
    })
}

/// Reads pgBackRest's log as it comes: progress from the line of each file, the rest for the person who watches.
struct Log<'e> {
    events: &'e EventSink,
    line: Vec<u8>,
    percent: u64,
    label: Option<String>,
}

impl<'e> Log<'e> {
    /// No line of its log is longer, except by a fault.
    const MAX_LINE: usize = 16 * 1024;

    fn new(events: &'e EventSink) -> Self {
        Self { events, line: Vec::new(), percent: 0, label: None }
    }

    fn take(&mut self, _: OutputStream, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() < Self::MAX_LINE {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.line(String::from_utf8_lossy(&line).trim_end());
            }
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(percent) = percent_of(line) {
            // One event for each percent, not for each file.
            if percent > self.percent {
                self.percent = percent;
                let progress = EventBody::Progress {
                    done: percent,
                    total: Some(100),
                    unit: Unit::Percent,
                    step: None,
                    node: None,
                };
                self.events.emit(progress);
            }
        } else if !line.contains(" DETAIL: ") && !line.contains(" command begin ") {
            if let Some((_, label)) = line.split_once("new backup label = ") {
                self.label = Some(label.trim().to_owned());
            }
            let text = format!("{line}\n");
            self.events.emit(EventBody::Output {
                stream: OutputStream::Stdout,
                text,
                step: None,
                node: None,
            });
        }
    }
}

/// `… backup file /path (10.7MB, 10.28%) checksum …`
fn percent_of(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(" file ").filter(|(before, _)| before.contains(" DETAIL: "))?;
    let (before, _) = rest.rsplit_once("%)")?;
    let number = before.rsplit_once(", ")?.1;
    let whole = number.split('.').next()?;
    whole.parse().ok().filter(|percent| *percent <= 100)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn errors_are_taken_apart() {
        let log = "WARN: option 'x' is not set\n\
                   2026-11-24 16:57:22.506 P00  ERROR: [050]: unable to acquire lock on file '/tmp/t.lock'\n\
                   \x20      HINT: is another pgBackRest process running?\n";
        assert_eq!(first_error(log), Some((50, "unable to acquire lock on file '/tmp/t.lock'".to_owned())));
        assert_eq!(Refusal::of(50), Refusal::Locked);
        let config =
            "[global]\nrepo1-path=/var/lib/one\nrepo1-cipher-pass=x\nrepo12-path = /two\nrepo-path=/no\n";
        assert_eq!(repository_paths(config), [Path::new("/var/lib/one"), Path::new("/two")]);
        assert!(repository_paths(&format!("{config}repo1-type=s3\n")).is_empty());
        assert_eq!(first_error("ERROR: [05"), None);
    }

    #[test]
    fn targets_have_a_blank_and_an_offset() {
        let moment = "2026-11-24T10:32:00.25Z".parse().unwrap();
        assert_eq!(target_time(moment), "2026-11-24 10:32:00.250000+00");
    }

    #[test]
    fn a_log_gives_progress_its_lines_and_the_label() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let seen = Arc::clone(&seen);
            EventSink::new(move |event| seen.lock().unwrap().push(event))
        };
        let mut log = Log::new(&sink);
        let text = "2026-11-24 16:57:21.799 P00   INFO: backup command begin 2.45: --type=full\n\
            2026-11-24 16:57:24.323 P02 DETAIL: backup file /pg/base/16384/16405 (10.7MB, 10.28%) checksum 2e23\n\
            2026-11-24 16:57:24.328 P02 DETAIL: backup file /pg/base/5/1255 (768KB, 11.00%) checksum 8360\n\
            2026-11-24 16:57:24.329 P02 DETAIL: backup file /pg/base/5/1256 (8KB, 11.90%) checksum 8360\n\
            2026-11-24 16:40:48.673 P00   INFO: new backup label = 20261124-164041F_20261124-164047I\n\
            2026-11-24 16:40:48.772 P00   INFO: incr bac";
        // In pieces that end anywhere.
        for piece in text.as_bytes().chunks(7) {
            log.take(OutputStream::Stdout, piece);
        }
        assert_eq!(log.label.as_deref(), Some("20261124-164041F_20261124-164047I"));
        let seen = seen.lock().unwrap();
        let percents: Vec<u64> = seen
            .iter()
            .filter_map(|event| match event {
                EventBody::Progress { done, .. } => Some(*done),
                _ => None,
            })
            .collect();
        assert_eq!(percents, [10, 11]);
        assert_eq!(seen.len(), 3);
    }
}
