//! git: a bare mirror of the application's repository, and checkouts of it.
//!
//! The mirror is the agent's: the deploy key is for it alone to read, and what the customer's code does as `build`
//! cannot change what the next deployment fetches. Checkouts are made by `build`, which reads the mirror.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::{CallError, OutputStream, Reference};
use tokio_util::sync::CancellationToken;

use crate::environment::Repository;
use crate::process::{Account, ProcessError, Processes, Program};

/// How long the remote may take.
const FETCH_LIMIT: Duration = Duration::from_secs(900);

/// The mirror and where it comes from.
pub struct Git<'a> {
    /// Starts programs.
    pub processes: &'a Processes,
    /// The remote.
    pub repository: &'a Repository,
    /// The mirror's folder.
    pub mirror: &'a Path,
    /// Ends what runs.
    pub cancel: &'a CancellationToken,
}

/// What a reference means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// 40 or 64 hexadecimal digits.
    pub id: String,
    /// When it was committed.
    pub committed_at: Timestamp,
}

/// What a reference was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// One commit.
    Found {
        /// The commit.
        commit: Commit,
        /// Where a branch is that has the name of the tag that was taken, when that is elsewhere.
        also: Option<String>,
    },
    /// Nothing of that name.
    Unknown,
}

impl Git<'_> {
    /// Brings the mirror up to date with all branches and tags; those that are gone there go here too.
    pub async fn fetch(&self, on_output: impl FnMut(OutputStream, &[u8]) + Send) -> Result<(), CallError> {
        if !self.mirror.join("HEAD").exists() {
            let init = self
                .git(Account::Agent)
                .args(["init", "--quiet", "--bare", "--template=", "--"])
                .arg(self.mirror);
            self.run(init, |_, _| {}).await.map_err(|error| {
                CallError::from(error).context(format!("the mirror {} cannot be made", self.mirror.display()))
            })?;
        }
        let fetch = self
            .in_mirror()
            .args(["fetch", "--prune", "--force", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--"])
            .arg(&self.repository.url)
            .args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
            .limit(FETCH_LIMIT);
        self.run(fetch, on_output).await.map(drop).map_err(|error| {
            CallError::from(error)
                .context(format!("the repository {} cannot be fetched", self.repository.url))
                .hint("check url, deploy_key and known_hosts under [repository] in environment.toml on the maintenance node")
        })
    }

    /// Finds out which commit a tag, a branch or an abbreviated commit means, in this order.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, CallError> {
        let name = reference.as_str();
        let mut candidates = vec![format!("refs/tags/{name}"), format!("refs/heads/{name}")];
        if name.starts_with("refs/tags/") || name.starts_with("refs/heads/") {
            candidates.push(name.to_owned());
        }
        if (7..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            candidates.push(name.to_owned());
        }
        // The names go in by standard input, where nothing is an option.
        let input: String = candidates.iter().map(|name| format!("{name}^{{commit}}\n")).collect();
        let asked = self.in_mirror().args(["cat-file", "--batch-check"]).input(input);
        let answer = self.output(asked).await?;
        let mut commits = answer.lines().map(commit_of);
        let (tag, branch) = (commits.next().flatten(), commits.next().flatten());
        let Some(id) = tag.clone().or_else(|| branch.clone()).or_else(|| commits.flatten().next()) else {
            return Ok(Resolved::Unknown);
        };
        let shown =
            self.output(self.in_mirror().args(["show", "--no-patch", "--format=%ct", &id, "--"])).await?;
        let committed_at = shown
            .trim()
            .parse()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or_else(|| CallError::failed(format!("git told no time of the commit {id}")))?;
        let also = branch.filter(|branch| tag.is_some() && *branch != id);
        Ok(Resolved::Found { commit: Commit { id, committed_at }, also })
    }

    /// All tags, then all branches, the newest of each first.
    pub async fn names(&self) -> Result<Vec<String>, CallError> {
        let mut names = Vec::new();
        for kind in ["refs/tags", "refs/heads"] {
            let list = self.in_mirror().args([
                "for-each-ref",
                "--sort=-creatordate",
                "--count=5000",
                "--format=%(refname:lstrip=2)",
                kind,
            ]);
            names.extend(self.output(list).await?.lines().map(str::to_owned));
        }
        Ok(names)
    }

    /// Checks a commit out into a folder that is not there yet. Its objects stay in the mirror.
    pub async fn checkout(
        &self,
        commit: &str,
        to: &Path,
        on_output: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<(), CallError> {
        let failed = |error: ProcessError| {
            CallError::from(error).context(format!("commit {commit} cannot be checked out"))
        };
        let trusted = self.trust_mirror().map_err(|error| {
            CallError::failed(format!("the mirror {} cannot be shared", self.mirror.display())).because(error)
        })?;
        let clone = self
            .git(Account::Build)
            .env("GIT_CONFIG_GLOBAL", trusted)
            .env("GIT_ALLOW_PROTOCOL", "file")
            .args(["clone", "--quiet", "--shared", "--no-checkout", "--template=", "--"])
            .arg(self.mirror)
            .arg(to);
        self.run(clone, |_, _| {}).await.map_err(failed)?;
        // Relative URLs of submodules start from the real remote.
        let remote = self.inside(to).args(["config", "remote.origin.url", &self.repository.url]);
        self.run(remote, |_, _| {}).await.map_err(failed)?;
        let checkout = self.inside(to).args(["checkout", "--quiet", "--detach", commit, "--"]);
        self.run(checkout, on_output).await.map_err(failed)?;
        Ok(())
    }

    /// Checks the submodules of a checkout out.
    pub async fn submodules(
        &self,
        checkout: &Path,
        on_output: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<(), CallError> {
        if !checkout.join(".gitmodules").exists() {
            return Ok(());
        }
        let update = self
            .inside(checkout)
            .args(["submodule", "update", "--init", "--recursive", "--quiet"])
            .limit(FETCH_LIMIT);
        self.run(update, on_output)
            .await
            .map(drop)
            .map_err(|error| CallError::from(error).context("the submodules cannot be checked out"))
    }

    /// Packs the mirror when enough has come together.
    pub async fn tidy(&self) -> Result<(), CallError> {
        if !self.mirror.exists() {
            return Ok(());
        }
        let collect = self.in_mirror().args([
            "-c",
            "gc.auto=6700",
            "-c",
            "gc.autoDetach=false",
            "gc",
            "--auto",
            "--quiet",
        ]);
        self.run(collect, |_, _| {}).await.map_err(CallError::from)
    }

    /// git reads another account's repository only where a configuration file allows it; a file, because the
    /// options of `git clone` do not reach the process that reads the mirror.
    fn trust_mirror(&self) -> std::io::Result<PathBuf> {
        let file = self.mirror.with_extension("gitconfig");
        let path = self.mirror.display().to_string().replace('\\', r"\\").replace('"', "\\\"");
        let content = format!("[safe]\n\tdirectory = \"{path}\"\n");
        if std::fs::read(&file).ok().as_deref() != Some(content.as_bytes()) {
            orocloud_durable::write(&file, content.as_bytes(), 0o644)?;
        }
        Ok(file)
    }

    fn git(&self, account: Account) -> Program {
        Program::new("git")
            .account(account)
            // Nobody's configuration: not the machine's, not the account's.
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", self.protocols())
            .env("GIT_SSH_COMMAND", ssh_command(self.repository))
            .args(["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "advice.detachedHead=false"])
    }

    fn in_mirror(&self) -> Program {
        self.git(Account::Agent).arg("--git-dir").arg(self.mirror)
    }

    fn inside(&self, folder: &Path) -> Program {
        self.git(Account::Build).arg("-C").arg(folder)
    }

    /// A submodule may not make git run a program or read this machine's files, unless the repository itself is one.
    fn protocols(&self) -> &'static str {
        let url = &self.repository.url;
        if url.starts_with('/') || url.starts_with("file:") { "ssh:https:file" } else { "ssh:https" }
    }

    async fn run(
        &self,
        program: Program,
        on_output: impl FnMut(OutputStream, &[u8]) + Send,
    ) -> Result<(), ProcessError> {
        self.processes.run(program, self.cancel, on_output).await.map(drop)
    }

    async fn output(&self, program: Program) -> Result<String, CallError> {
        let finished = self.processes.output(program).await?;
        String::from_utf8(finished.stdout).map_err(|_| CallError::failed("git wrote what is not UTF-8"))
    }
}

/// One line of `cat-file --batch-check`: `ID commit SIZE`, or the name with `missing` or `ambiguous`.
fn commit_of(line: &str) -> Option<String> {
    let mut words = line.split(' ');
    let (id, kind) = (words.next()?, words.next()?);
    let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && kind == "commit").then(|| id.to_owned())
}

/// ssh with nothing but what `environment.toml` says: no configuration file, no agent, no other key, no question.
fn ssh_command(repository: &Repository) -> String {
    let quoted = |path: &PathBuf| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let mut command = "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none \
        -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none -o UpdateHostKeys=no -o ConnectTimeout=15 \
        -o ServerAliveInterval=15 -o ForwardAgent=no"
        .to_owned();
    if let Some(key) = &repository.deploy_key {
        command += &format!(" -i {}", quoted(key));
    }
    let hosts = repository.known_hosts.as_ref().map_or_else(|| "none".to_owned(), quoted);
    command + &format!(" -o UserKnownHostsFile={hosts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_batch_check_are_read() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(commit_of(&format!("{id} commit 231")).as_deref(), Some(id));
        for line in [
            "refs/tags/9.9.9^{commit} missing",
            "1234567^{commit} ambiguous",
            "",
            id,
            &format!("{id} tree 5"),
        ] {
            assert_eq!(commit_of(line), None, "{line}");
        }
    }

    #[test]
    fn ssh_is_told_everything_and_paths_are_quoted() {
        let repository = Repository {
            url: "ssh://git@example.com/shop.git".into(),
            deploy_key: Some("/a b/it's".into()),
            known_hosts: None,
        };
        let command = ssh_command(&repository);
        assert!(command.contains(r" -i '/a b/it'\''s' "), "{command}");
        assert!(command.ends_with("-o UserKnownHostsFile=none"), "{command}");
    }
}
