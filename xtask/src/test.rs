//! `cargo xtask test`: setup, one build, every test; as root the story once more as an ordinary user.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;

use crate::{Outcome, accounts, build, setup};

/// Which tests to run.
#[derive(Parser)]
pub struct Arguments {
    /// Run the slow tests too, which are marked `#[ignore]`
    #[arg(long)]
    all: bool,
    /// Only tests whose name contains one of these
    filter: Vec<String>,
}

/// The end-to-end test that runs as root and as an ordinary user.
const STORY: &str = "story";

/// Runs them.
pub fn run(arguments: Arguments) -> Outcome {
    setup::run()?;
    // The sandbox starts real programs, which `cargo test` alone does not build.
    build::programs()?;
    let mut command = build::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command.arg("--").args(&arguments.filter);
    if arguments.all {
        command.arg("--include-ignored");
    }
    let status = command.status()?;
    if !status.success() {
        return Err(format!("tests failed ({status})").into());
    }
    let wanted =
        arguments.filter.is_empty() || arguments.filter.iter().any(|filter| STORY.contains(filter.as_str()));
    if rustix::process::geteuid().is_root() && wanted { story_as_ordinary_user() } else { Ok(()) }
}

/// The story once more as an account without any right: a sandbox must not need root.
fn story_as_ordinary_user() -> Outcome {
    let account = accounts::TEST_ACCOUNT;
    println!("\nThe story as the ordinary user {account}:");
    let test = test_binary("e2e")?;
    let list = Command::new(&test).args(["--list", STORY]).output()?;
    if !String::from_utf8_lossy(&list.stdout).lines().any(|line| line.ends_with(": test")) {
        println!("warning: no end-to-end test is named {STORY}");
        return Ok(());
    }
    let programs = std::env::current_exe()?.parent().unwrap_or(Path::new("/")).to_owned();
    // Root's build folder is closed to others, so the test and the programs it starts are copied out of it.
    let folder = tempfile::Builder::new().prefix("orocloud-test-").tempdir_in("/tmp")?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let mut files = vec![(test, "e2e")];
    files.extend(
        ["orocloud-cli", "orocloud-agent", "orocloud-sandbox"].map(|name| (programs.join(name), name)),
    );
    for (from, name) in files {
        let to = folder.path().join(name);
        fs::copy(&from, &to).map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
        fs::set_permissions(&to, Permissions::from_mode(0o755))?;
    }
    let home = folder.path().join("home");
    fs::create_dir(&home)?;
    fs::set_permissions(&home, Permissions::from_mode(0o777))?;

    let status = Command::new("setpriv")
        .args([&format!("--reuid={account}"), &format!("--regid={account}"), "--clear-groups", "--"])
        .arg(folder.path().join("e2e"))
        .arg(STORY)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", &home)
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the story failed as an ordinary user ({status})").into())
    }
}

/// Where cargo has put a test's program; it is built already.
fn test_binary(name: &str) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let output = build::cargo()
        .args(["test", "--workspace", "--no-run", "--message-format=json", "--quiet"])
        .stderr(Stdio::inherit())
        .output()?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if message["target"]["name"] == name
            && let Some(path) = message["executable"].as_str()
        {
            return Ok(PathBuf::from(path));
        }
    }
    Err(format!("cargo built no test named {name}").into())
}
