//! OpenDKIM of mail1, which signs what leaves. Which key signs for which domain is the agent's to say.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::accounts::Duty;
use crate::blueprint::Blueprint;
use crate::error::{Context, Result};
use crate::hosts::Host;
use crate::layout::NodeLayout;
use crate::service::{Folder, Ready, Service, signal};

/// The folder that the agent keeps keys in.
fn keys(layout: &NodeLayout) -> PathBuf {
    layout.state("dkim")
}

fn socket_folder(layout: &NodeLayout) -> PathBuf {
    layout.run("opendkim")
}

fn socket(layout: &NodeLayout) -> PathBuf {
    socket_folder(layout).join("socket")
}

/// Writes what it needs and gives the service with the folder of its socket; `configuration` is the folder that Postfix runs
/// by, whose tables are its own too.
pub fn node(blueprint: &Blueprint, host: &Host, configuration: &Path) -> Result<(Service, Folder)> {
    let layout = blueprint.node(host);
    let accounts = &blueprint.accounts;
    let keys = keys(&layout);
    accounts.folder(&keys, Duty::Agent, 0o750)?;
    if accounts.separate {
        // What the agent makes there belongs to the signer's group.
        let (agent, signer) = (accounts.of(Duty::Agent)?, accounts.of(Duty::Signer)?);
        chown(&keys, Some(agent.uid), Some(signer.gid))
            .context(|| format!("cannot give {} to the signer", keys.display()))?;
    }
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o2750))?;
    let path = layout.etc("opendkim.conf");
    let text = format!(
        "# OpenDKIM of {name}, as it is whatever the agent wants signed
Mode s
Socket local:{socket}
# Its socket is for its group, which is Postfix's.
UMask 007
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
OversignHeaders From
# Whoever Postfix takes mail from.
InternalHosts 127.0.0.0/8
KeyTable file:{configuration}/key_table
SigningTable refile:{configuration}/signing_table
# The keys are the agent's, and its group may read them: to this check whatever is neither its own nor root's is unsafe.
RequireSafeKeys no
Syslog yes
SyslogSuccess yes
",
        name = host.full_name(),
        socket = socket(&layout).display(),
        configuration = configuration.display(),
    );
    fs::write(&path, text).context(|| format!("cannot write {}", path.display()))?;
    let mut command = accounts.prefix(Duty::Signer, &[]);
    command.extend(["/usr/sbin/opendkim".to_owned(), "-f".to_owned(), "-x".to_owned()]);
    command.push(path.display().to_string());
    let mut service = blueprint.service(host, "opendkim", command, Ready::Socket(socket(&layout)));
    service.reload_signal = Some(signal::USR1);
    let signer = accounts.of(Duty::Signer)?;
    let group = accounts.of(Duty::Postfix)?.gid;
    let owner = accounts.separate.then_some((signer.uid, group));
    Ok((service, Folder { path: socket_folder(&layout), owner, mode: 0o2750 }))
}

/// The part of mail1's agent.toml about it.
pub fn agent_toml(blueprint: &Blueprint, host: &Host) -> String {
    let layout = blueprint.node(host);
    format!(
        r#"
[signer]
service = "opendkim"
keys = "{keys}"
socket = "{socket}"
"#,
        keys = keys(&layout).display(),
        socket = socket(&layout).display(),
    )
}
