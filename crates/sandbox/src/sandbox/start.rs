//! Starting a sandbox: its folder, its programs, its top process.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, thread};

use super::{Options, Owned, Sandbox, remove_folder};
use crate::accounts::Accounts;
use crate::control::{self, Action};
use crate::description::Description;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::run::PATH;

/// The programs that are copied into the sandbox.
const PROGRAMS: [&str; 3] = ["orocloud-cli", "orocloud-agent", "orocloud-sandbox"];

/// Names where the folders of sandboxes without one of their own are made; `/tmp` by default.
pub const TEST_FOLDER: &str = "OROCLOUD_TEST_FOLDER";

pub fn start(options: Options, detached: bool) -> Result<Sandbox> {
    let accounts = Accounts::discover()?;
    let layout = create_folder(options.dir.as_deref())?;
    let begun = begin(&options, &layout, detached);
    match begun {
        Ok((description, owned)) => Ok(Sandbox { layout, description, accounts, owned }),
        Err(error) => {
            // The log says more than the error in a case nobody foresaw.
            if env::var_os("OROCLOUD_KEEP_SANDBOX").is_none() {
                let _ = remove_folder(&layout);
            }
            Err(error)
        }
    }
}

/// Copies the programs, starts the top process and listens to it until it is ready.
fn begin(options: &Options, layout: &Layout, detached: bool) -> Result<(Description, Option<Owned>)> {
    for folder in ["bin", "git", "repository", "nodes"] {
        fs::create_dir_all(layout.root.join(folder))?;
    }
    for secret in [layout.ca(), layout.callers()] {
        fs::create_dir_all(&secret)?;
        fs::set_permissions(&secret, Permissions::from_mode(0o700))?;
    }
    copy_programs(layout)?;

    let log = OpenOptions::new().create(true).append(true).open(layout.log())?;
    let mut command = Command::new(layout.program("orocloud-sandbox"));
    command
        .arg("run")
        .arg("--dir")
        .arg(&layout.root)
        .args(["--type", &options.environment_type])
        .args(options.agent_environment.iter().map(|(name, value)| format!("--agent-env={name}={value}")))
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(if detached { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(log)
        // Ctrl-C at the terminal ends the owner, and with it the lifeline; a second signal would only confuse.
        .process_group(0);
    if options.queue {
        command.arg("--queue");
    }
    if options.mail {
        command.arg("--mail");
    }
    if options.smtp {
        command.arg("--smtp");
    }
    if !options.environment_toml.is_empty() {
        command.arg("--environment-toml").arg(&options.environment_toml);
    }
    if detached {
        command.arg("--detached");
    }
    let mut top =
        command.spawn().context(|| format!("cannot run {}", layout.program("orocloud-sandbox").display()))?;
    let output = top.stdout.take();
    let mut owned = Owned { lifeline: top.stdin.take(), top };
    let heard =
        output.map_or_else(|| Err(Error::new("no output")), |output| listen(BufReader::new(output), options));
    match heard.and_then(|()| Description::read(layout)) {
        Ok(description) if detached => {
            // It goes on without us; nobody waits for it but whoever inherits it.
            thread::spawn(move || owned.top.wait());
            Ok((description, None))
        }
        Ok(description) => Ok((description, Some(owned))),
        Err(error) => {
            owned.end();
            let log = fs::read_to_string(layout.log()).unwrap_or_default();
            let log = log.trim();
            Err(if log.is_empty() { error } else { Error::new(format!("{error}\n{log}")) })
        }
    }
}

/// Passes progress on until the sandbox is ready or has failed.
fn listen(output: impl BufRead, options: &Options) -> Result<()> {
    for line in output.lines() {
        let line = line?;
        let (kind, text) = line.split_once(' ').unwrap_or((&line, ""));
        let text = text.replace('\u{1}', "\n");
        match kind {
            "ready" => return Ok(()),
            "error" => return Err(Error::new(format!("the sandbox did not come up: {text}"))),
            "progress" if options.progress => {
                let (seconds, part) = text.split_once(' ').unwrap_or(("", &text));
                eprintln!("  {seconds:>6} s  {part}");
            }
            "warning" if options.progress => eprintln!("  warning: {text}"),
            _ => {}
        }
    }
    Err(Error::new("the sandbox did not come up: its process has ended"))
}

/// The folder, with the mark by which we know it as ours. What a sandbox that has died left there is removed.
fn create_folder(wanted: Option<&Path>) -> Result<Layout> {
    let layout = match wanted {
        None => {
            // Other accounts must be able to enter it, which rules out most homes and build folders.
            let place = env::var_os(TEST_FOLDER).unwrap_or_else(|| "/tmp".into());
            let folder = tempfile::Builder::new().prefix("orocloud-").tempdir_in(place)?.keep();
            Layout::new(&folder)?
        }
        Some(folder) => {
            let layout = Layout::new(folder)?;
            if layout.marker().exists() {
                if control::order(&layout, Action::Status, None).is_ok() {
                    return Err(Error::new(format!(
                        "a sandbox runs in {} already\nHint: cargo xtask sandbox down --dir {0}",
                        folder.display()
                    )));
                }
                remove_folder(&layout)?;
            } else if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(Error::new(format!("{} is not empty and no sandbox folder", folder.display())));
            }
            fs::create_dir_all(folder).context(|| format!("cannot create {}", folder.display()))?;
            layout
        }
    };
    fs::set_permissions(&layout.root, Permissions::from_mode(0o755))?;
    fs::write(layout.marker(), "This folder belongs to a sandbox of orocloud-cli, which removes it.\n")?;
    Ok(layout)
}

/// The programs lie beside the running one, or a folder above it when that is a test.
fn copy_programs(layout: &Layout) -> Result<()> {
    let own = env::current_exe()?;
    let beside = own.parent().unwrap_or(Path::new("/"));
    let folder: PathBuf =
        if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside }.to_owned();
    let mut copy = Command::new("/bin/cp");
    copy.arg("--");
    for name in PROGRAMS {
        let program = folder.join(name);
        if !program.exists() {
            return Err(Error::new(format!(
                "{} is missing\nHint: cargo build --workspace --bins",
                program.display()
            )));
        }
        copy.arg(program);
    }
    // By cp rather than by ourselves: a process that another thread forks meanwhile would hold a half written program
    // open, and the kernel runs no program that somebody can write to ("text file busy").
    let status = copy.arg(layout.root.join("bin")).status().context(|| "cannot run cp".to_owned())?;
    if !status.success() {
        return Err(Error::new(format!("cannot copy the programs from {} ({status})", folder.display())));
    }
    for name in PROGRAMS {
        fs::set_permissions(layout.program(name), Permissions::from_mode(0o755))?;
    }
    Ok(())
}
