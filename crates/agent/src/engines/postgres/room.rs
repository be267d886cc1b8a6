//! Whether a copy can stand beside the live data folder and take its place.

use std::path::{Path, PathBuf};

use orocloud_protocol::CallError;

use crate::process::{Account, Fault, Processes, Program};

/// A data folder and what surrounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes in the live data folder.
    pub data_bytes: u64,
    /// Bytes free where copies are made.
    pub free_bytes: u64,
    /// What makes an exchange of folders impossible, or incomplete: one sentence each.
    pub obstacles: Vec<String>,
}

/// Which folder it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of a path itself, not of what a link points at; `None` when there is none.
    pub async fn of(processes: &Processes, path: &Path) -> Result<Option<Self>, CallError> {
        Ok(stat(processes, path).await?.map(|(identity, _)| identity))
    }
}

impl Room {
    /// Measures it.
    pub async fn measure(processes: &Processes, data: &Path) -> Result<Self, CallError> {
        let parent = data.parent().unwrap_or(Path::new("/"));
        let Some((data_identity, kind)) = stat(processes, data).await? else {
            // Lost with all that was in it: a reason to restore, and nothing stands in the way.
            let free_bytes = free(processes, parent).await?;
            return Ok(Self { data_bytes: 0, free_bytes, obstacles: Vec::new() });
        };
        let mut obstacles = Vec::new();
        if kind != "directory" {
            obstacles.push(format!(
                "{} is a {kind}: name the folder itself as `data` in agent.toml",
                data.display()
            ));
        }
        if stat(processes, parent).await?.is_some_and(|(identity, _)| identity.device != data_identity.device)
        {
            obstacles.push(format!(
                "{} is a mount of its own, so that no folder beside it can take its place: put the data into a \
                 folder inside of the mount",
                data.display()
            ));
        }
        let wal = data.join("pg_wal");
        if let Some((identity, kind)) = stat(processes, &wal).await? {
            if kind != "directory" {
                obstacles.push(format!(
                    "{} is a {kind} to somewhere else: move it into the data folder",
                    wal.display()
                ));
            } else if identity.device != data_identity.device {
                obstacles
                    .push(format!("{} is a mount of its own: move it into the data folder", wal.display()));
            }
        }
        for tablespace in links(processes, &data.join("pg_tblspc")).await? {
            obstacles.push(format!(
                "tablespace {} lies outside of the data folder: move its tables to pg_default",
                tablespace.display()
            ));
        }
        Ok(Self {
            data_bytes: size(processes, data).await?,
            free_bytes: free(processes, parent).await?,
            obstacles,
        })
    }
}

async fn stat(processes: &Processes, path: &Path) -> Result<Option<(Identity, String)>, CallError> {
    let program = coreutil("stat").arg("--format=%d %i %F").arg("--").arg(path);
    let finished = match processes.output(program).await {
        Ok(finished) => finished,
        Err(error) if matches!(error.fault, Fault::Status(_)) && error.tail.contains("No such file") => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    let mut fields = text.trim().splitn(3, ' ');
    let mut number = || fields.next().and_then(|field| field.parse().ok());
    match (number(), number(), fields.next()) {
        (Some(device), Some(inode), Some(kind)) => Ok(Some((Identity { device, inode }, kind.to_owned()))),
        _ => Err(CallError::internal(format!("stat answered {text:?}"))),
    }
}

async fn links(processes: &Processes, folder: &Path) -> Result<Vec<PathBuf>, CallError> {
    let program = coreutil("find").arg(folder).args(["-mindepth", "1", "-maxdepth", "1", "-type", "l"]);
    let finished = processes.output(program).await?;
    Ok(String::from_utf8_lossy(&finished.stdout).lines().map(PathBuf::from).collect())
}

async fn size(processes: &Processes, folder: &Path) -> Result<u64, CallError> {
    // The live server removes files while they are counted: `du` then complains and still tells the sum.
    let program = Program::new("/bin/sh")
        .args(["-c", "du --summarize --block-size=1 -- \"$1\" 2>/dev/null || true", "du"])
        .arg(folder)
        .account(Account::Database);
    let finished = processes.output(program).await?;
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    text.split_ascii_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| CallError::failed(format!("the size of {} cannot be measured", folder.display())))
}

/// Bytes free on a folder's file system, as the database's account sees it.
pub async fn free(processes: &Processes, folder: &Path) -> Result<u64, CallError> {
    let finished = processes
        .output(coreutil("stat").args(["--file-system", "--format=%a %S", "--"]).arg(folder))
        .await?;
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    let mut numbers = text.split_ascii_whitespace().map_while(|field| field.parse::<u64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(blocks), Some(size)) => Ok(blocks.saturating_mul(size)),
        _ => Err(CallError::internal(format!("stat answered {text:?}"))),
    }
}

fn coreutil(name: &str) -> Program {
    Program::new(Path::new("/usr/bin").join(name)).account(Account::Database).env("LC_ALL", "C")
}
