//! The story and mail once more as an account without any right: a sandbox must not need root.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::program::Program;
use crate::accounts;

/// The end-to-end tests that run as root and as an ordinary user. Postfix wants accounts of its own and gets them otherwise then.
const TESTS: [&str; 2] = ["story", "smtp::mail_goes_by_relays_that_were_tried"];

/// The end-to-end tests as that account, in a folder that goes with this.
pub struct Ordinary {
    pub program: Program,
    /// Which of them.
    pub tests: Vec<String>,
    _folder: TempDir,
}

/// Makes it ready, if we are root and one of them is among what is wanted.
pub fn prepare(
    programs: &[Program],
    filter: &[String],
) -> Result<Option<Ordinary>, Box<dyn std::error::Error>> {
    let is_wanted =
        |test: &&str| filter.is_empty() || filter.iter().any(|filter| test.contains(filter.as_str()));
    let wanted: Vec<String> = TESTS.into_iter().filter(is_wanted).map(str::to_owned).collect();
    if !rustix::process::geteuid().is_root() || wanted.is_empty() {
        return Ok(None);
    }
    let tests =
        programs.iter().find(|program| program.is_end_to_end()).ok_or("cargo built no end-to-end tests")?;
    for test in &wanted {
        let list = Command::new(&tests.path).args(["--list", test]).output()?;
        if !String::from_utf8_lossy(&list.stdout).lines().any(|line| line.ends_with(": test")) {
            return Err(format!("no end-to-end test is named {test}").into());
        }
    }
    let account = accounts::TEST_ACCOUNT;
    let built = std::env::current_exe()?.parent().unwrap_or(Path::new("/")).to_owned();
    // Root's build folder is closed to others, so the test and the programs it starts are copied out of it.
    let folder = tempfile::Builder::new().prefix("orocloud-test-").tempdir_in("/tmp")?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let mut files = vec![(tests.path.clone(), "e2e")];
    files.extend(["orocloud-cli", "orocloud-agent", "orocloud-sandbox"].map(|name| (built.join(name), name)));
    for (from, name) in files {
        let to = folder.path().join(name);
        fs::copy(&from, &to).map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
        fs::set_permissions(&to, Permissions::from_mode(0o755))?;
    }
    let home = folder.path().join("home");
    fs::create_dir(&home)?;
    fs::set_permissions(&home, Permissions::from_mode(0o777))?;
    let before =
        ["setpriv", &format!("--reuid={account}"), &format!("--regid={account}"), "--clear-groups", "--"];
    let environment = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", &home.to_string_lossy()),
        ("LANG", "C.UTF-8"),
    ];
    Ok(Some(Ordinary {
        program: Program {
            label: format!("{} as {account}", tests.label),
            path: folder.path().join("e2e"),
            before: before.map(str::to_owned).to_vec(),
            folder: "/".into(),
            environment: Some(environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()),
            threads: tests.threads,
        },
        tests: wanted,
        _folder: folder,
    }))
}
