//! The system accounts that a sandbox started by root uses, so that no engine and no customer's code runs as root.

use std::fs;
use std::process::Command;

use crate::Outcome;

/// One account that setup creates.
struct Account {
    name: &'static str,
    /// sshd runs a ForceCommand through the account's shell, so an account somebody signs in to needs a real one.
    shell: &'static str,
    /// Further groups: whose files the account may read.
    groups: &'static [&'static str],
}

const NO_LOGIN: &str = "/usr/sbin/nologin";
const SHELL: &str = "/bin/sh";

/// The account that `cargo xtask test` runs the story as, to show that an ordinary user can.
pub const TEST_ACCOUNT: &str = "orocloud-test";

const ACCOUNTS: &[Account] = &[
    Account { name: "orocloud", shell: SHELL, groups: &[] },
    Account { name: "orocloud-build", shell: NO_LOGIN, groups: &[] },
    Account { name: "orocloud-app", shell: NO_LOGIN, groups: &[] },
    // The agent reads the application's environment file and logs.
    Account { name: "orocloud-agent", shell: NO_LOGIN, groups: &["orocloud-app"] },
    Account { name: "orocloud-git", shell: SHELL, groups: &[] },
    Account { name: TEST_ACCOUNT, shell: SHELL, groups: &[] },
];

/// The accounts that are not there yet, by name.
pub fn missing() -> Result<Vec<&'static str>, std::io::Error> {
    let passwd = fs::read_to_string("/etc/passwd")?;
    let known = |name: &str| passwd.lines().any(|line| line.split(':').next() == Some(name));
    Ok(ACCOUNTS.iter().map(|account| account.name).filter(|name| !known(name)).collect())
}

/// Creates the accounts named, in the order of the table: a group must exist before somebody joins it.
pub fn create(names: &[&str]) -> Outcome {
    for account in ACCOUNTS.iter().filter(|account| names.contains(&account.name)) {
        let mut command = Command::new("/usr/sbin/useradd");
        command.args(["--system", "--user-group", "--no-create-home"]);
        // The root folder as home: sshd complains to the caller about a home that does not exist.
        command.args(["--home-dir", "/", "--shell", account.shell]);
        // `*` matches no password but, unlike `!`, does not lock the account: without PAM sshd refuses locked ones.
        command.args(["--password", "*"]);
        if !account.groups.is_empty() {
            command.args(["--groups", &account.groups.join(",")]);
        }
        let status = command.arg(account.name).status()?;
        if !status.success() {
            return Err(format!("useradd could not create the account {} ({status})", account.name).into());
        }
        println!("created the account {}", account.name);
    }
    Ok(())
}
