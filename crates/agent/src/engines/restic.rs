//! restic: snapshots of the media. Runs as the agent, who alone knows the repository's password.

use std::path::Path;
use std::time::Duration;

use orocloud_protocol::backup::MediaSnapshot;
use orocloud_protocol::{CallError, EventBody, OutputStream, Unit};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::environment::Maint;
use crate::operations::EventSink;
use crate::process::{Account, Fault, ProcessError, Processes, Program};

/// restic as maint has it.
#[derive(Clone, Copy, Debug)]
pub struct Restic<'a> {
    processes: &'a Processes,
    config: &'a Maint,
}

/// What the agent itself puts into the media folder while it restores; never part of a snapshot.
pub const OWN_PREFIX: &str = ".orocloud-";

/// One line of `--json`.
#[derive(Debug, Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
enum Message {
    Status {
        #[serde(default)]
        bytes_done: u64,
        total_bytes: Option<u64>,
    },
    Summary {
        snapshot_id: String,
        total_files_processed: u64,
        total_bytes_processed: u64,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Snapshot {
    short_id: String,
}

impl<'a> Restic<'a> {
    /// For this node.
    pub fn new(processes: &'a Processes, config: &'a Maint) -> Self {
        Self { processes, config }
    }

    /// Makes the repository, unless it is there.
    pub async fn ensure_repository(&self) -> Result<(), CallError> {
        if self.config.restic_repository.join("config").exists() {
            return Ok(());
        }
        self.output("init", self.program("init")).await.map(drop)
    }

    /// Takes a snapshot of the media, tagged, so that it is found again after a crash.
    pub async fn backup(
        &self,
        tag: &str,
        host: &str,
        events: &EventSink,
        cancel: &CancellationToken,
    ) -> Result<MediaSnapshot, CallError> {
        let program = self
            .program("backup")
            .args(["--json", "--tag", tag, "--host", host])
            .arg(format!("--exclude={OWN_PREFIX}*"))
            .args(["--", "."])
            // What is inside is restored anywhere then, not under its old path.
            .folder(&self.config.media);
        let mut messages = Messages { events, line: Vec::new(), summary: None };
        self.run("backup", program, cancel, |stream, bytes| messages.take(stream, bytes)).await?;
        messages.summary.ok_or_else(|| CallError::failed("restic backup did not name the snapshot it made"))
    }

    /// The snapshot with this tag.
    pub async fn tagged(&self, tag: &str) -> Result<Option<String>, CallError> {
        if !self.config.restic_repository.join("config").exists() {
            return Ok(None);
        }
        // A lock is a file in the repository, for which there may be no room: that is when this is asked.
        let program = self.program("snapshots").args(["--no-lock", "--json", "--tag", tag]);
        parse_snapshots(&self.output("snapshots", program).await?)
            .map_err(|error| CallError::failed("restic snapshots cannot be read").because(error))
    }

    /// Brings a snapshot's content into a folder.
    pub async fn restore(
        &self,
        snapshot: &str,
        to: &Path,
        events: &EventSink,
        cancel: &CancellationToken,
    ) -> Result<(), CallError> {
        let program = self.program("restore").arg("--target").arg(to).arg("--").arg(snapshot);
        self.run("restore", program, cancel, |stream, bytes| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            events.emit(EventBody::Output { stream, text, step: None, node: None });
        })
        .await
    }

    /// Lets snapshots go; their data goes with [`Restic::prune`].
    pub async fn forget(&self, snapshots: &[String]) -> Result<(), CallError> {
        if snapshots.is_empty() {
            return Ok(());
        }
        let program = self.program("forget").arg("--").args(snapshots);
        self.output("forget", program).await.map(drop)
    }

    /// Removes data that no snapshot uses. Takes long, so not with every snapshot that goes.
    pub async fn prune(&self, cancel: &CancellationToken) -> Result<(), CallError> {
        self.run("prune", self.program("prune"), cancel, |_, _| {}).await
    }

    async fn output(&self, command: &str, program: Program) -> Result<Vec<u8>, CallError> {
        let mut all = Vec::new();
        let never = CancellationToken::new();
        let keep = |stream, bytes: &[u8]| {
            if stream == OutputStream::Stdout {
                all.extend_from_slice(bytes);
            }
        };
        self.run(command, program, &never, keep).await?;
        Ok(all)
    }

    /// Runs it to its end. Some errors end in a long list of what called what, so that the first words are kept too.
    async fn run(
        &self,
        command: &str,
        program: Program,
        cancel: &CancellationToken,
        mut on_output: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<(), CallError> {
        let mut first = Vec::new();
        let run = self.processes.run(program, cancel, |stream, bytes| {
            if stream == OutputStream::Stderr {
                first.extend(bytes.iter().take(FIRST - FIRST.min(first.len())));
            }
            on_output(stream, bytes);
        });
        let Err(error) = run.await else { return Ok(()) };
        let first = String::from_utf8_lossy(&first);
        Err(refused(command, error, first.lines().next().unwrap_or_default()))
    }

    fn program(&self, command: &str) -> Program {
        Program::new("/usr/bin/restic")
            .args(["--no-cache", command])
            .account(Account::Agent)
            .env("RESTIC_REPOSITORY", &self.config.restic_repository)
            .env("RESTIC_PASSWORD_FILE", &self.config.restic_password_file)
            .env("RESTIC_PROGRESS_FPS", "2")
            .limit(Duration::from_secs(24 * 3600))
    }
}

/// What it does not say in words: it compares with its last snapshot.
const OWN_SNAPSHOT: &str = "its last snapshot of the media cannot be read";

/// Bytes of the beginning of what it says on standard error.
const FIRST: usize = 1024;

/// restic says what is wrong in lines that begin with `Fatal:`, or in the first one, and has no numbers.
fn refused(command: &str, error: ProcessError, first: &str) -> CallError {
    if !matches!(error.fault, Fault::Status(_)) {
        return error.into();
    }
    let incomplete = matches!(error.fault, Fault::Status(status) if status.code() == Some(3));
    let fatal = error.tail.lines().find_map(|line| line.strip_prefix("Fatal: ")).map(str::to_owned);
    let message = match (&fatal, incomplete) {
        (_, true) => "restic could not read all of the media".to_owned(),
        (Some(fatal), _) => format!("restic {command} failed: {fatal}"),
        (None, _) => format!("restic {command} failed"),
    };
    let mut failed = CallError::failed(message);
    if fatal.is_none() {
        failed = failed.because(&error);
    }
    let mut said: Vec<String> = Vec::new();
    let words = error.tail.lines().filter(|line| !is_of_its_code(line));
    said.extend([first].into_iter().chain(words).filter_map(problem));
    said.dedup();
    let failed = said.into_iter().take(10).fold(failed, CallError::because);
    let damaged = ["ciphertext verification failed", "invalid data returned", "hash mismatch", OWN_SNAPSHOT];
    if damaged.iter().any(|words| failed.to_string().contains(words)) {
        return failed
            .hint("files of its repository are damaged, most likely; what is left of it, on maint: restic check")
            .hint("see recovery points from before: orocloud-cli backup:list");
    }
    match fatal.as_deref() {
        Some(text) if text.contains("wrong password") => {
            failed.hint("the file named by restic_password_file in agent.toml does not fit the repository")
        }
        Some(text) if text.contains("already locked") => {
            failed.hint("a command of restic that was killed left a lock; on maint: restic unlock")
        }
        _ => failed,
    }
}

/// A line of the list of what called what: a function, or its file and line behind a tab.
fn is_of_its_code(line: &str) -> bool {
    line.starts_with('\t') || !line.contains(' ') && line.contains('.')
}

/// A line of standard error for a person: with `--json` files that cannot be read are told as objects.
fn problem(line: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        item: String,
    }
    if !line.starts_with('{') {
        return (!line.is_empty()).then(|| line.to_owned());
    }
    let Problem { item } = serde_json::from_str(line).ok()?;
    // Files are told by their path below the media folder; that one is told where the last snapshot is no good.
    Some(if item == "/" { OWN_SNAPSHOT.to_owned() } else { format!("{item} cannot be read") })
}

/// Reads the lines of `restic backup --json` as they come.
struct Messages<'e> {
    events: &'e EventSink,
    line: Vec<u8>,
    summary: Option<MediaSnapshot>,
}

impl Messages<'_> {
    const MAX_LINE: usize = 256 * 1024;

    fn take(&mut self, stream: OutputStream, bytes: &[u8]) {
        if stream == OutputStream::Stderr {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.events.emit(EventBody::Output { stream, text, step: None, node: None });
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() < Self::MAX_LINE {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.line(&line);
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        match serde_json::from_slice(line) {
            Ok(Message::Status { bytes_done, total_bytes }) => self.events.emit(EventBody::Progress {
                done: bytes_done,
                total: total_bytes,
                unit: Unit::Bytes,
                step: None,
                node: None,
            }),
            Ok(Message::Summary { snapshot_id, total_files_processed, total_bytes_processed }) => {
                self.summary = Some(MediaSnapshot {
                    snapshot: snapshot_id,
                    files: total_files_processed,
                    size: total_bytes_processed,
                });
            }
            Ok(Message::Other) | Err(_) => {}
        }
    }
}

fn parse_snapshots(json: &[u8]) -> Result<Option<String>, String> {
    let snapshots: Option<Vec<Snapshot>> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Ok(snapshots.unwrap_or_default().pop().map(|snapshot| snapshot.short_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKUP: &str = "\
{\"message_type\":\"status\",\"percent_done\":0,\"total_files\":1,\"total_bytes\":3}
{\"message_type\":\"verbose_status\",\"action\":\"new\"}
{\"message_type\":\"summary\",\"files_new\":1,\"files_changed\":0,\"data_blobs\":1,\"data_added\":1766,\"total_files_processed\":1,\"total_bytes_processed\":3,\"total_duration\":0.228195814,\"snapshot_id\":\"641c0f53\"}
";

    fn read(text: &str) -> Option<MediaSnapshot> {
        let sink = EventSink::none();
        let mut messages = Messages { events: &sink, line: Vec::new(), summary: None };
        text.as_bytes().chunks(13).for_each(|piece| messages.take(OutputStream::Stdout, piece));
        messages.summary
    }

    #[test]
    fn captured_output_gives_the_snapshot_and_output_cut_short_none() {
        let snapshot = MediaSnapshot { snapshot: "641c0f53".into(), files: 1, size: 3 };
        assert_eq!(read(BACKUP), Some(snapshot));
        assert_eq!(read(&BACKUP[..BACKUP.len() - 20]), None);
        assert_eq!(read("Fatal: nothing\n"), None);
    }

    #[test]
    fn of_a_long_list_of_calls_the_words_are_left() {
        let tail = "github.com/restic/restic/internal/backend/local.(*Local).Save\n\t/local.go:170\n\
                    main.lockRepo\n\tgithub.com/restic/restic/cmd/restic/lock.go:42\nunable to create lock in backend\n";
        let status = std::os::unix::process::ExitStatusExt::from_raw(256);
        let error =
            ProcessError { program: "restic".into(), fault: Fault::Status(status), tail: tail.into() };
        let told = refused("backup", error, "write /r/locks/a: no space left on device");
        assert_eq!(
            told.causes[1..],
            ["write /r/locks/a: no space left on device", "unable to create lock in backend"]
        );
        assert!(told.causes[0].contains("exit status: 1"), "{told:?}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let line = r#"{"message_type":"error","error":{"Op":"open","Path":"s","Err":13},"during":"archival","item":"/media/s"}"#;
        assert_eq!(problem(line).as_deref(), Some("/media/s cannot be read"));
        assert_eq!(problem(&line.replace("/media/s", "/")).as_deref(), Some(OWN_SNAPSHOT));
        assert_eq!(problem(&line[..50]), None);
        assert_eq!(problem("Warning: x").as_deref(), Some("Warning: x"));
    }

    #[test]
    fn lists_of_snapshots_are_read() {
        let json = br#"[{"time":"2026-11-24T17:23:15.393369936Z","tree":"a5","paths":["/m"],"tags":["t"],"id":"641c0f538d","short_id":"641c0f53"}]"#;
        assert_eq!(parse_snapshots(json), Ok(Some("641c0f53".to_owned())));
        assert_eq!(parse_snapshots(b"[]"), Ok(None));
        assert_eq!(parse_snapshots(b"null"), Ok(None));
        assert!(parse_snapshots(&json[..40]).is_err());
    }
}
