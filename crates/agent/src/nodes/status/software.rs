//! Versions of the programs that a node works with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::nodes::NodeRef;
use crate::process::{Account, Program};

/// `name version` of each program that answers.
pub async fn installed(node: &NodeRef) -> Vec<String> {
    let config = &node.config;
    let mut asked: Vec<(&str, PathBuf, &str, Account)> = Vec::new();
    if config.maint.is_some() {
        asked.push(("git", "git".into(), "--version", Account::Build));
        asked.push(("composer", "composer".into(), "--version", Account::Build));
        asked.push(("restic", "restic".into(), "version", Account::Agent));
    }
    if config.web.is_some() {
        asked.push(("nginx", "nginx".into(), "-v", Account::Agent));
    }
    if let Some(app) = &config.app {
        asked.push(("php", app.php.clone(), "--version", Account::App));
    }
    if let Some(database) = &config.database {
        asked.push(("postgresql", database.bin.join("postgres"), "--version", Account::Database));
        asked.push(("pgbackrest", "pgbackrest".into(), "version", Account::Database));
    }
    if config.lb.is_some() {
        asked.push(("haproxy", "haproxy".into(), "-v", Account::Agent));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (index, (name, path, argument, account)) in asked.into_iter().enumerate() {
        let node = node.clone();
        tasks.spawn(async move { (index, version(&node, name, &path, argument, account).await) });
    }
    let mut found: Vec<(usize, Option<String>)> = tasks.join_all().await;
    found.sort();
    found.into_iter().filter_map(|(_, version)| version).collect()
}

async fn version(
    node: &NodeRef,
    name: &str,
    path: &Path,
    argument: &str,
    account: Account,
) -> Option<String> {
    let program = Program::new(path)
        .arg(argument)
        .account(account)
        // composer warns root, at length.
        .env("COMPOSER_ALLOW_SUPERUSER", "1")
        .limit(Duration::from_secs(10));
    let finished = node.processes.output(program).await.ok()?;
    // nginx writes its version to standard error.
    let text = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr_tail;
    Some(format!("{name} {}", number(&text)?))
}

/// The first thing that looks like a version.
fn number(text: &str) -> Option<&str> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|word| word.trim_matches('.'))
        .find(|word| word.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, version) in [
            ("git version 2.39.5\n", "2.39.5"),
            ("nginx version: nginx/1.22.1", "1.22.1"),
            ("PHP 8.2.29 (cli) (built: Jul  3 2025 16:16:05) (NTS)", "8.2.29"),
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "15.14"),
            ("HAProxy version 2.6.12-1+deb12u2 2025/04/16 - https://haproxy.org/", "2.6.12"),
            ("pgBackRest 2.45", "2.45"),
            ("Composer 2.5.5 2023-03-21 11:50:05", "2.5.5"),
        ] {
            assert_eq!(number(text), Some(version), "{text}");
        }
        assert_eq!(number("nothing"), None);
    }
}
