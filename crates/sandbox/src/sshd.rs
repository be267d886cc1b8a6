//! OpenSSH's server of every node: certificates only, one forced command.

use std::fs;
use std::path::Path;

use crate::accounts::{Accounts, Duty};
use crate::blueprint::Blueprint;
use crate::ca::{self, Authority};
use crate::error::{Context, Result};
use crate::hosts::{ENVIRONMENT, Host, SSH_PORT};
use crate::service::{Ready, Service};

/// Roles in the order of what they may do.
const ROLES: [&str; 4] = ["viewer", "developer", "operator", "owner"];

/// Writes the configuration of a node's sshd and gives the service.
pub fn node(blueprint: &Blueprint, host: &Host) -> Result<Service> {
    let layout = blueprint.node(host);
    let maint = host.has_role("maint");
    // sshd compares principals literally, so every form a role can be granted in is listed.
    let principals = if maint {
        let project = ENVIRONMENT.split('-').next().unwrap_or(ENVIRONMENT);
        ROLES
            .iter()
            .flat_map(|role| {
                [format!("{role}@{ENVIRONMENT}\n"), format!("{role}@{project}-*\n"), format!("{role}@*\n")]
            })
            .collect()
    } else {
        format!("coordinator@{ENVIRONMENT}\n")
    };
    write(&layout.etc("principals"), &principals)?;
    let authority = if maint { Authority::User } else { Authority::Node };
    let trusted = ca::read_public_key(&authority.key(&blueprint.layout.ca()))?;
    write(&layout.etc("trusted_user_ca"), &format!("{trusted}\n"))?;

    let session = format!(
        "{} session --socket {}",
        blueprint.layout.program("orocloud-agent").display(),
        layout.session_socket().display()
    );
    let own = format!(
        "TrustedUserCAKeys {ca}
AuthorizedPrincipalsFile {principals}
AuthorizedKeysFile none
ExposeAuthInfo yes
ForceCommand exec {session}
Subsystem orocloud {session}
MaxStartups 100:30:200
MaxSessions 64
",
        ca = layout.etc("trusted_user_ca").display(),
        principals = layout.etc("principals").display(),
    );
    service(blueprint, host, &blueprint.login()?, &own)
}

/// Writes the configuration of the git server's sshd: one key, one command, reading only.
pub fn git_server(blueprint: &Blueprint, host: &Host, repository: &Path) -> Result<Service> {
    let layout = blueprint.node(host);
    let key = ca::read_public_key(&blueprint.layout.git().join("deploy_key"))?;
    let line = format!("restrict,command=\"git-upload-pack '{}'\" {key}\n", repository.display());
    write(&layout.etc("authorized_keys"), &line)?;
    let own = format!("AuthorizedKeysFile {}\n", layout.etc("authorized_keys").display());
    service(blueprint, host, &blueprint.accounts.of(Duty::Git)?.name, &own)
}

fn service(blueprint: &Blueprint, host: &Host, user: &str, own: &str) -> Result<Service> {
    let layout = blueprint.node(host);
    let address = blueprint.addresses.real_port(host, SSH_PORT);
    let key = layout.etc("ssh_host_ed25519_key");
    let text = format!(
        "# sshd of {name}
ListenAddress {address}
HostKey {key}
HostCertificate {certificate}
PidFile {pid}
AllowUsers {user}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
# The folder lies under /tmp, which anybody may write to.
StrictModes no
PermitTTY no
PermitUserRC no
PermitUserEnvironment no
DisableForwarding yes
PrintMotd no
ClientAliveInterval 15
LogLevel VERBOSE
{own}",
        name = host.full_name(),
        key = key.display(),
        certificate = ca::certificate(&key).display(),
        pid = layout.run("sshd.pid").display(),
    );
    let file = layout.etc("sshd_config");
    write(&file, &text)?;
    let mut command = Accounts::bare_prefix();
    // -D stays in the foreground, -e logs to standard error.
    command.extend(["/usr/sbin/sshd", "-D", "-e", "-f"].map(str::to_owned));
    command.push(file.to_string_lossy().into_owned());
    Ok(blueprint.service(host, "sshd", command, Ready::Port(address)))
}

/// sshd started by root wants the folder that Debian's service unit creates.
pub fn prepare_machine(accounts: &Accounts) -> Result<()> {
    if accounts.separate {
        fs::create_dir_all("/run/sshd").context(|| "cannot create /run/sshd".to_owned())?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("cannot write {}", path.display()))
}
