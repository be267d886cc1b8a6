//! The git server: a bare repository with the sample application, behind an sshd of its own.

use std::fs;

use crate::accounts::Duty;
use crate::blueprint::Blueprint;
use crate::ca;
use crate::error::{Context, Result};
use crate::hosts::{HOSTS, Host, SSH_PORT};
use crate::shop;

/// The git host.
pub fn host() -> &'static Host {
    &HOSTS[5]
}

/// Creates the repository. It belongs to the git account: git refuses to serve another account's.
pub fn create_repository(blueprint: &Blueprint) -> Result<()> {
    let repository = repository(blueprint);
    let path = repository.to_string_lossy().into_owned();
    blueprint.accounts.folder(&repository, Duty::Git, 0o755)?;
    let git = |arguments: &[&str], input: &str| {
        let mut command = vec![
            "/usr/bin/env",
            "GIT_CONFIG_NOSYSTEM=1",
            "GIT_CONFIG_GLOBAL=/dev/null",
            "/usr/bin/git",
            "-C",
            &path,
        ];
        command.extend(arguments);
        blueprint.accounts.run(Duty::Git, &command, input)
    };
    git(&["init", "--quiet", "--bare", "--initial-branch=main"], "")?;
    git(&["fast-import", "--quiet", "--done"], &shop::fast_import_stream())?;
    Ok(())
}

/// Writes the file with the git server's host key.
pub fn write_known_hosts(blueprint: &Blueprint) -> Result<()> {
    let key = ca::read_public_key(&blueprint.node(host()).etc("ssh_host_ed25519_key"))?;
    let path = blueprint.layout.git().join("known_hosts");
    let line = format!("[{}]:{SSH_PORT} {key}\n", blueprint.addresses.public(host()));
    fs::write(&path, line).context(|| format!("cannot write {}", path.display()))
}

/// Where the repository lies.
pub fn repository(blueprint: &Blueprint) -> std::path::PathBuf {
    blueprint.layout.git().join("shop.git")
}

/// What maint clones from.
pub fn url(blueprint: &Blueprint) -> Result<String> {
    let user = blueprint.accounts.of(Duty::Git)?.name;
    let address = blueprint.addresses.public_port(host(), SSH_PORT);
    Ok(format!("ssh://{user}@{address}{}", repository(blueprint).display()))
}
