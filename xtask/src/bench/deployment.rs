//! Deploying: of an application that does nothing itself, and of one with many files.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use orocloud_sandbox::{Options, SSH_PORT, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

use super::connection::cli;
use super::measure::{in_turns, median, run};
use super::plain_sshd::{Login, PlainSshd, real_address};
use super::{Result, Row, Topic};

pub const DEPLOY: Topic = Topic { names: &["deploy", "deploy-until-live"], measure: deploy };
pub const PACKAGE: Topic = Topic { names: &["package-20000"], measure: package };

pub(super) const NODES: [&str; 2] = ["web1", "web2"];

/// A sandbox whose repository has one more tag, and plain sshds on the web nodes.
pub(super) struct Stage {
    login: Login,
    webs: [PlainSshd; 2],
    /// Both web nodes have a folder of their own at `app` here; `common` is one for both.
    place: TempDir,
    runs: Cell<usize>,
    /// The checkout that was tagged.
    source: TempDir,
    pub(super) sandbox: Sandbox,
}

pub(super) const TAG: &str = "bench";

/// Runs git on repositories that belong to other accounts too.
fn git(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut config = tempfile::NamedTempFile::new()?;
    writeln!(config, "[safe]\n\tdirectory = *\n[user]\n\tname = Bench\n\temail = bench@acme.example")?;
    let mut command = Command::new("git");
    command.env("GIT_CONFIG_GLOBAL", config.path()).arg("-C").arg(folder).args(arguments);
    run(&mut command).map(drop)
}

impl Stage {
    fn new(files: usize) -> Result<Self> {
        Self::with_console(files, "#!/usr/bin/env php\n<?php\nexit(0);\n")
    }

    /// One whose console does this.
    pub(super) fn with_console(files: usize, console: &str) -> Result<Self> {
        let sandbox = Sandbox::start(Options::default())?;
        let source = tempfile::Builder::new().prefix("orocloud-bench-").tempdir_in("/tmp")?;
        let folder = source.path();
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        git(
            folder,
            &[
                "clone",
                "--quiet",
                "--no-local",
                "--branch=1.0.0",
                &sandbox.git_repository().to_string_lossy(),
                ".",
            ],
        )?;
        fs::write(folder.join("bin/console"), console)?;
        fs::write(folder.join("public/index.php"), "<?php\necho 'nothing';\n")?;
        fs::write(
            folder.join("orocloud.yaml"),
            "orocloud_options:\n  deployment:\n    composer_command: '{{composer_cmd}} about'\n",
        )?;
        fill(folder, files)?;
        git(folder, &["add", "--all"])?;
        git(folder, &["commit", "--quiet", "--message=An application that does nothing"])?;
        git(folder, &["tag", TAG])?;
        git(folder, &["push", "--quiet", "origin", TAG])?;
        let login = Login::new(&sandbox)?;
        let place = tempfile::Builder::new().prefix("orocloud-bench-").tempdir_in("/tmp")?;
        fs::set_permissions(place.path(), Permissions::from_mode(0o755))?;
        let key = fs::metadata(login.key())?;
        for name in ["app", "common"].iter().chain(&NODES) {
            let folder = place.path().join(name);
            fs::create_dir(&folder)?;
            chown(&folder, Some(key.uid()), Some(key.gid()))?;
        }
        let sshd = |node: &str| {
            let (own, app) = (place.path().join(node), place.path().join("app"));
            PlainSshd::start_with_folder(&sandbox, node, &own, &app)
        };
        let webs = [sshd("web1")?, sshd("web2")?];
        Ok(Self { login, webs, place, runs: Cell::new(0), source, sandbox })
    }

    /// Deploys it, for the first time on this sandbox.
    pub(super) fn deploy(&self) -> Result<f64> {
        self.brings("deploy")
    }

    /// Runs a command that brings its tag.
    pub(super) fn brings(&self, name: &str) -> Result<f64> {
        let maint = real_address(&self.sandbox, "maint1", SSH_PORT)?;
        let mut command = cli(&self.sandbox, maint)?;
        command.args([name, &format!("--reference={TAG}"), "-n"]);
        Ok(run(&mut command)?.wall.as_secs_f64())
    }

    /// The source as a repository that the account of all calls may read.
    pub(super) fn bare_repository(&self) -> Result<PathBuf> {
        let common = self.place.path().join("common");
        let repository = common.join("shop.git");
        let (from, to) = (self.source.path().to_string_lossy(), repository.to_string_lossy());
        git(Path::new("/"), &["clone", "--no-local", "--quiet", "--bare", &from, &to])?;
        run(Command::new("chown").arg("-R").arg("--reference").arg(&common).arg(&repository))?;
        Ok(repository)
    }

    /// A folder of their own on both web nodes that nothing was deployed to.
    fn fresh(&self) -> PathBuf {
        self.runs.set(self.runs.get() + 1);
        self.place.path().join(format!("app/{}", self.runs.get()))
    }
}

/// Files as an application's vendor folder has them.
fn fill(folder: &Path, files: usize) -> Result<()> {
    let mut random = 88_172_645_463_325_252_u64;
    for number in 0..files {
        let place = folder.join(format!("vendor-files/package{:03}/src", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&place)?;
        }
        let mut text =
            format!("<?php\n\nnamespace Acme\\Package{};\n\nclass Class{number}\n{{\n", number / 100);
        while text.len() < 1000 + number * 7919 % 7000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            text.push_str(&format!(
                "    public function method{}($value): string\n    {{\n        return $this->field{} . '{random:x}';\n    }}\n\n",
                random % 1000,
                random % 77
            ));
        }
        text.push_str("}\n");
        fs::write(place.join(format!("Class{number}.php")), text)?;
    }
    Ok(())
}

fn deploy() -> Result<Vec<Row>> {
    let other = Stage::new(0)?;
    let repository = other.bare_repository()?;
    let mut live = Vec::new();
    // A first deployment can be done only once an environment, so that each round has one of its own.
    let own = || {
        let stage = Stage::new(0)?;
        let took = stage.deploy()?;
        live.push(took - seconds_of(&stage.sandbox.journal_dir(), |step| step.starts_with("backup:"))?);
        Ok(took)
    };
    let (ours, reference) = in_turns(3, own, || Capistrano::new(&other, &repository)?.deploy())?;
    let row = |name, ours, command: &str| Row {
        name,
        unit: "s",
        ours,
        reference,
        goal: 0.5,
        command: format!(
            "{command} / cap production deploy to the same two nodes; composer about, a console that does nothing"
        ),
    };
    // The first one does not count, as there.
    live.remove(0);
    Ok(vec![
        row("deploy", ours, "orocloud-cli deploy to two nodes, with its first recovery point"),
        row("deploy-until-live", median(&mut live), "the same without the steps of its recovery point"),
    ])
}

/// Capistrano's own flow, with the same commands.
pub(super) struct Capistrano {
    project: TempDir,
}

impl Capistrano {
    /// One that deploys to a place of its own, from this repository.
    pub(super) fn new(stage: &Stage, repository: &Path) -> Result<Self> {
        let project = tempfile::tempdir()?;
        fs::create_dir_all(project.path().join("config/deploy"))?;
        fs::write(
            project.path().join("Capfile"),
            "require 'capistrano/setup'\nrequire 'capistrano/deploy'\nrequire 'capistrano/scm/git'\ninstall_plugin Capistrano::SCM::Git\n",
        )?;
        fs::write(
            project.path().join("config/deploy.rb"),
            format!(
                "set :application, 'shop'\nset :repo_url, 'file://{}'\nset :branch, '{TAG}'\nset :log_level, :info\nset :format_options, log_file: nil\n\
             namespace :deploy do\n  after :updated, :build do\n    on roles(:web) do\n      within release_path do\n        execute :composer, '--no-interaction', 'about'\n        execute :php, 'bin/console', 'cache:warmup'\n      end\n    end\n  end\nend\n",
                repository.display()
            ),
        )?;
        let mut servers = String::new();
        for sshd in &stage.webs {
            servers.push_str(&format!(
                "server '{}', user: '{}', roles: %w[web], port: {}\n",
                sshd.address.ip(),
                stage.login.user,
                sshd.address.port()
            ));
        }
        fs::write(
            project.path().join("config/deploy/production.rb"),
            format!(
                "{servers}set :deploy_to, '{}'\nset :ssh_options, keys: ['{}'], keys_only: true, use_agent: false, auth_methods: %w[publickey], verify_host_key: :never, config: false\n",
                stage.fresh().display(),
                stage.login.key().display()
            ),
        )?;
        Ok(Self { project })
    }

    pub(super) fn deploy(&self) -> Result<f64> {
        let project = self.project.path();
        let mut command = Command::new("cap");
        command.args(["production", "deploy"]).current_dir(project).env("HOME", project);
        Ok(run(&mut command)?.wall.as_secs_f64())
    }
}

fn package() -> Result<Vec<Row>> {
    const FILES: usize = 20_000;
    let other = Stage::new(FILES)?;
    let (ours, reference) = in_turns(
        2,
        || {
            let stage = Stage::new(FILES)?;
            stage.deploy()?;
            between(&stage.sandbox.journal_dir())
        },
        || {
            let place = other.fresh();
            let begin = std::time::Instant::now();
            let mut running = Vec::new();
            for (node, sshd) in NODES.iter().zip(&other.webs) {
                let ssh = other.login.options(node, sshd.address.port()).join(" ");
                let mut command = Command::new("rsync");
                command.args(["-a", "--exclude=.git", "-e", &format!("ssh {ssh}")]);
                command.arg(format!("{}/", other.source.path().display()));
                command.arg(format!("{}@{}:{}/", other.login.user, sshd.address.ip(), place.display()));
                running.push(command.stdin(Stdio::null()).spawn()?);
            }
            for mut child in running {
                let status = child.wait()?;
                if !status.success() {
                    return Err(format!("rsync failed ({status})").into());
                }
            }
            Ok(begin.elapsed().as_secs_f64())
        },
    )?;
    Ok(vec![Row {
        name: "package-20000",
        unit: "s",
        ours,
        reference,
        goal: 0.6,
        command: "of deploy, the steps from package:build to release:unpack on two nodes / rsync -a to both at once".to_owned(),
    }])
}

/// Seconds from the beginning of the package's first step to the end of its last.
fn between(journal: &Path) -> Result<f64> {
    seconds_of(journal, |step| step.starts_with("package:") || step == "release:unpack")
}

/// Seconds from the beginning of the first of these steps to the end of the last.
fn seconds_of(journal: &Path, is_one: impl Fn(&str) -> bool) -> Result<f64> {
    let mut times: Vec<Timestamp> = Vec::new();
    for month in fs::read_dir(journal)?.flatten() {
        for operation in fs::read_dir(month.path()).into_iter().flatten().flatten() {
            let Ok(events) = fs::read_to_string(operation.path().join("events.ndjson")) else { continue };
            for event in events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
                let step = event["step"].as_str().unwrap_or_default();
                let kind = event["event"].as_str().unwrap_or_default();
                if is_one(step) && kind.starts_with("step-") {
                    times.push(event["at"].as_str().ok_or("an event without a time")?.parse()?);
                }
            }
        }
    }
    let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
        return Err("the journal has no such step".into());
    };
    Ok(last.duration_since(*first).as_secs_f64())
}
