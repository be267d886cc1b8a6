//! Files that belong to an account: the agent touches them as that account, through `orocloud-agent file` under
//! the keeper of all programs. Where no accounts are configured, or for the agent's own files, it happens at once.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use orocloud_protocol::CallError;

use crate::process::{Account, Fault, Processes};

/// Exit code of `orocloud-agent file` when a path names nothing.
const NOT_FOUND: i32 = 44;

/// One account's files.
#[derive(Clone, Copy, Debug)]
pub struct AccountFiles<'a> {
    processes: &'a Processes,
    account: Account,
}

/// What is done with a path.
#[derive(Clone, Copy, Debug)]
enum Deed<'a> {
    Read,
    Write { content: &'a [u8], mode: u32 },
    MakeDir { mode: u32 },
    Touch,
    RemoveTree,
    Remove,
    Exchange { other: &'a Path },
    Rename { to: &'a Path },
    Link { target: &'a Path },
    List,
}

impl<'a> AccountFiles<'a> {
    pub(crate) fn new(processes: &'a Processes, account: Account) -> Self {
        Self { processes, account }
    }

    /// The whole content; `None` when there is no such file.
    pub async fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, CallError> {
        self.perform(Deed::Read, path).await
    }

    /// Replaces a file so that a crash leaves the old or the new content, whole.
    pub async fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), CallError> {
        self.must(Deed::Write { content, mode }, path).await
    }

    /// Makes a folder and those above it; one that is there is left as it is.
    pub async fn make_dir(&self, path: &Path, mode: u32) -> Result<(), CallError> {
        self.must(Deed::MakeDir { mode }, path).await
    }

    /// Makes an empty file, or leaves one as it is.
    pub async fn touch(&self, path: &Path) -> Result<(), CallError> {
        self.must(Deed::Touch, path).await
    }

    /// Removes a folder and everything in it, without following links; finds nothing to do when it is gone.
    pub async fn remove_tree(&self, path: &Path) -> Result<(), CallError> {
        self.perform(Deed::RemoveTree, path).await.map(drop)
    }

    /// Removes a file or a link; finds nothing to do when it is gone.
    pub async fn remove(&self, path: &Path) -> Result<(), CallError> {
        self.perform(Deed::Remove, path).await.map(drop)
    }

    /// Exchanges two paths of one file system in one step.
    pub async fn exchange(&self, one: &Path, other: &Path) -> Result<(), CallError> {
        self.must(Deed::Exchange { other }, one).await
    }

    /// Gives a path another name on the same file system.
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<(), CallError> {
        self.must(Deed::Rename { to }, from).await
    }

    /// Makes a symbolic link, or points an existing one elsewhere in one step.
    pub async fn link(&self, target: &Path, link: &Path) -> Result<(), CallError> {
        self.must(Deed::Link { target }, link).await
    }

    /// Names in a folder, sorted; `None` when there is no such folder.
    pub async fn list(&self, path: &Path) -> Result<Option<Vec<OsString>>, CallError> {
        let names = self.perform(Deed::List, path).await?;
        Ok(names.map(|names| {
            names
                .split(|byte| *byte == 0)
                .filter(|name| !name.is_empty())
                .map(|name| OsStr::from_bytes(name).to_owned())
                .collect()
        }))
    }

    async fn must(&self, deed: Deed<'_>, path: &Path) -> Result<(), CallError> {
        match self.perform(deed, path).await? {
            Some(_) => Ok(()),
            None => Err(CallError::failed(format!("{} is not there", path.display()))),
        }
    }

    async fn perform(&self, deed: Deed<'_>, path: &Path) -> Result<Option<Vec<u8>>, CallError> {
        let arguments = arguments(deed, path);
        let content = if let Deed::Write { content, .. } = deed { content.to_vec() } else { Vec::new() };
        if self.processes.is_own(self.account) {
            let task = tokio::task::spawn_blocking(move || perform(&arguments, || Ok(content)));
            return match task.await {
                Ok(Ok(answer)) => Ok(Some(answer)),
                Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Ok(Err(error)) => Err(failed(deed, path, &error)),
                Err(error) => Err(CallError::internal(format!("a file could not be handled: {error}"))),
            };
        }
        let program =
            self.processes.ourselves().arg("file").args(arguments).account(self.account).input(content);
        match self.processes.output(program).await {
            Ok(finished) => Ok(Some(finished.stdout)),
            Err(error) => match error.fault {
                Fault::Status(status) if status.code() == Some(NOT_FOUND) => Ok(None),
                Fault::Status(_) => Err(failed(deed, path, &error.tail)),
                _ => Err(error.into()),
            },
        }
    }
}

fn failed(deed: Deed<'_>, path: &Path, error: &dyn std::fmt::Display) -> CallError {
    let path = path.display();
    CallError::failed(match deed {
        Deed::Read => format!("{path} cannot be read"),
        Deed::Write { .. } | Deed::Touch => format!("{path} cannot be written"),
        Deed::MakeDir { .. } => format!("the folder {path} cannot be made"),
        Deed::RemoveTree | Deed::Remove => format!("{path} cannot be removed"),
        Deed::Exchange { other } => format!("{path} and {} cannot be exchanged", other.display()),
        Deed::Rename { to } => format!("{path} cannot be renamed to {}", to.display()),
        Deed::Link { target } => format!("{path} cannot be pointed at {}", target.display()),
        Deed::List => format!("the folder {path} cannot be listed"),
    })
    .because(error)
}

fn arguments(deed: Deed<'_>, path: &Path) -> Vec<OsString> {
    let (word, option) = match deed {
        Deed::Read => ("read", None),
        Deed::Write { mode, .. } => ("write", Some(OsString::from(mode.to_string()))),
        Deed::MakeDir { mode } => ("make-dir", Some(OsString::from(mode.to_string()))),
        Deed::Touch => ("touch", None),
        Deed::RemoveTree => ("remove-tree", None),
        Deed::Remove => ("remove", None),
        Deed::Exchange { other } => ("exchange", Some(other.into())),
        Deed::Rename { to } => ("rename", Some(to.into())),
        Deed::Link { target } => ("link", Some(target.into())),
        Deed::List => ("list", None),
    };
    [OsString::from(word), path.into()].into_iter().chain(option).collect()
}

/// Runs `file DEED PATH [OPTION]`; content comes by standard input and leaves by standard output.
pub fn main(arguments: impl Iterator<Item = OsString>) -> i32 {
    let arguments: Vec<OsString> = arguments.collect();
    let read_content = || {
        let mut content = Vec::new();
        io::stdin().lock().read_to_end(&mut content)?;
        Ok(content)
    };
    let result = perform(&arguments, read_content).and_then(|answer| io::stdout().write_all(&answer));
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { 1 }
        }
    }
}

fn perform(arguments: &[OsString], content: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "wrong arguments for `file`");
    let [deed, path, options @ ..] = arguments else { return Err(invalid()) };
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is not absolute", path.display()),
        ));
    }
    let other = || options.first().map(PathBuf::from).ok_or_else(invalid);
    let mode = || {
        options.first().and_then(|mode| mode.to_str()).and_then(|mode| mode.parse().ok()).ok_or_else(invalid)
    };
    match deed.to_str().ok_or_else(invalid)? {
        "read" => return fs::read(path),
        "write" => orocloud_durable::write(path, &content()?, mode()?)?,
        "make-dir" => make_dir(path, mode()?)?,
        "touch" => {
            fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.sync_all()?;
            orocloud_durable::sync_parent(path)?;
        }
        "remove-tree" => match fs::symlink_metadata(path)? {
            metadata if metadata.is_dir() => {
                fs::remove_dir_all(path)?;
                orocloud_durable::sync_parent(path)?;
            }
            _ => return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder")),
        },
        "remove" => {
            fs::remove_file(path)?;
            orocloud_durable::sync_parent(path)?;
        }
        "exchange" => orocloud_durable::exchange(path, &other()?)?,
        "rename" => {
            let to = other()?;
            fs::rename(path, &to)?;
            orocloud_durable::sync_parent(path)?;
            orocloud_durable::sync_parent(&to)?;
        }
        "link" => orocloud_durable::replace_symlink(&other()?, path)?,
        "list" => return list(path),
        _ => return Err(invalid()),
    }
    Ok(Vec::new())
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        result => result?,
    }
    // The mask of this process took bits away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    orocloud_durable::sync_parent(path)
}

fn list(path: &Path) -> io::Result<Vec<u8>> {
    let mut names = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    let mut answer = Vec::new();
    for name in names {
        answer.extend_from_slice(name.as_bytes());
        answer.push(0);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole suite, as whoever runs the tests and through the program.
    async fn suite(files: AccountFiles<'_>, folder: &Path) {
        let at = |name: &str| folder.join(name);
        assert_eq!(files.read(&at("none")).await.unwrap(), None);
        assert_eq!(files.list(&at("none")).await.unwrap(), None);
        files.write(&at("one"), b"first", 0o640).await.unwrap();
        files.write(&at("one"), b"second", 0o640).await.unwrap();
        assert_eq!(files.read(&at("one")).await.unwrap().unwrap(), b"second");
        files.make_dir(&at("a/b"), 0o700).await.unwrap();
        files.make_dir(&at("a/b"), 0o700).await.unwrap();
        assert_eq!(fs::metadata(at("a/b")).unwrap().permissions().mode() & 0o777, 0o700);
        files.touch(&at("a/b/signal")).await.unwrap();
        files.make_dir(&at("c"), 0o755).await.unwrap();
        files.exchange(&at("a"), &at("c")).await.unwrap();
        assert!(at("c/b/signal").exists());
        files.link(Path::new("c"), &at("www")).await.unwrap();
        files.link(Path::new("a"), &at("www")).await.unwrap();
        files.rename(&at("c"), &at("d")).await.unwrap();
        assert_eq!(files.list(folder).await.unwrap().unwrap(), ["a", "d", "one", "www"]);
        files.remove_tree(&at("d")).await.unwrap();
        files.remove_tree(&at("d")).await.unwrap();
        files.remove(&at("www")).await.unwrap();
        let error = files.remove_tree(&at("one")).await.unwrap_err();
        assert!(error.message.contains("one cannot be removed"), "{error}");
        assert!(files.write(&at("no/such/folder"), b"", 0o600).await.is_err());
    }

    #[tokio::test]
    async fn at_once_and_through_the_program_do_the_same() {
        let processes = Processes::new(None);
        let folder = tempfile::tempdir().unwrap();
        suite(processes.files(Account::Agent), folder.path()).await;
        let processes = Processes::new(None).always_through_the_program();
        let folder = tempfile::tempdir().unwrap();
        suite(processes.files(Account::Agent), folder.path()).await;
    }
}
