//! Postfix of mail1. What it is told to do with mail is the agent's; here is what holds of it whatever that is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::accounts::{Accounts, Duty};
use crate::blueprint::Blueprint;
use crate::dns;
use crate::error::{Context, Result};
use crate::hosts::{Host, SMTP_PORT};
use crate::layout::NodeLayout;
use crate::opendkim;
use crate::service::{Folder, Ready, Service};

/// Starts Postfix and stays with it: what holds services up signals the process that it has started, but Postfix's own
/// first process leads a session, so it is another one.
const PROGRAM: &str = include_str!("postfix.sh");

/// Programs that Debian gives a group of their own, with which they take no other configuration than the machine's.
const COPIED: [&str; 3] = ["postconf", "postmap", "postqueue"];

/// The folder that the agent keeps configurations in.
fn configurations(layout: &NodeLayout) -> PathBuf {
    layout.state("postfix")
}

/// Writes what mail1 needs besides its agent and gives the services, with the folder that one of them needs at every boot.
pub fn node(blueprint: &Blueprint, host: &Host) -> Result<(Vec<Service>, Folder)> {
    let layout = blueprint.node(host);
    let accounts = &blueprint.accounts;
    let programs = layout.root.join("bin");
    fs::create_dir_all(&programs)?;
    for name in COPIED {
        let (from, to) = (Path::new("/usr/sbin").join(name), programs.join(name));
        fs::copy(&from, &to).context(|| format!("cannot copy {}", from.display()))?;
    }
    let base = layout.etc("postfix");
    fs::create_dir_all(&base)?;
    // The first configuration, before the agent has made one: nothing leaves.
    let first = configurations(&layout).join("first");
    accounts.folder(&configurations(&layout), Duty::Agent, 0o711)?;
    accounts.folder(&first, Duty::Agent, 0o711)?;
    let main = main_cf(blueprint, host);
    let master = master_cf(blueprint, host);
    for (file, text) in [("main.cf", &main), ("master.cf", &master)] {
        let path = base.join(file);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))?;
    }
    let nothing = "default_transport = retry:no SMTP relay is set\nsmtpd_reject_unlisted_recipient = no\n";
    accounts.file(&first.join("main.cf"), Duty::Agent, 0o644, &format!("{main}{nothing}"))?;
    accounts.file(&first.join("master.cf"), Duty::Agent, 0o644, &master)?;
    for table in ["key_table", "signing_table"] {
        accounts.file(&first.join(table), Duty::Agent, 0o644, "")?;
    }
    symlink("first", configurations(&layout).join("config"))?;
    for folder in [layout.root.join("spool"), layout.root.join("lib/postfix"), layout.log("postfix")] {
        fs::create_dir_all(&folder)?;
    }
    accounts.give(&layout.root.join("lib/postfix"), Duty::Postfix, 0o700)?;
    accounts.give(&layout.log("postfix"), Duty::Postfix, 0o755)?;

    let program = layout.etc("postfix.sh");
    fs::write(&program, PROGRAM)?;
    // As root by itself: it gives its own parts to its accounts.
    let mut command = Accounts::bare_prefix();
    command.extend(["/bin/bash".to_owned(), program.display().to_string()]);
    command.push(layout.root.display().to_string());
    command.push(if accounts.separate { "root" } else { "user" }.to_owned());
    let ready = Ready::Port(blueprint.addresses.real_port(host, SMTP_PORT));
    let (signer, folder) = opendkim::node(blueprint, host, &configurations(&layout).join("config"))?;
    Ok((vec![signer, blueprint.service(host, "postfix", command, ready)], folder))
}

/// The part of mail1's agent.toml about Postfix.
pub fn agent_toml(blueprint: &Blueprint, host: &Host) -> String {
    let layout = blueprint.node(host);
    let log = layout.log("postfix/mail.log");
    format!(
        r#"
[postfix]
service = "postfix"
base = "{base}"
configurations = "{configurations}"
programs = "{programs}"
log = "{log}"
listens = "{listens}"
look_every = 5
{name_server}
[logs.postfix]
files = ["{log}"]
"#,
        base = layout.etc("postfix").display(),
        configurations = configurations(&layout).display(),
        programs = layout.root.join("bin").display(),
        log = log.display(),
        listens = blueprint.addresses.real_port(host, SMTP_PORT),
        name_server = dns::address(blueprint)
            .map(|address| format!("name_server = \"{address}\"\n"))
            .unwrap_or_default(),
    )
}

fn main_cf(blueprint: &Blueprint, host: &Host) -> String {
    let layout = blueprint.node(host);
    let imported = if blueprint.accounts.separate {
        ""
    } else {
        // What fakeroot works by.
        "import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_PRELOAD LD_LIBRARY_PATH FAKEROOTKEY FAKED_MODE\n"
    };
    format!(
        "# Postfix of {name}, as it is whatever the agent appends
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
maillog_file = {log}/mail.log
maillog_file_prefixes = {log}
syslog_name = postfix
myhostname = {name}.example.com
mydomain = example.com
# Others bind only what master.cf says.
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_dns_support_level = disabled
smtp_host_lookup = native
# As Debian has them.
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
smtp_tls_security_level = may
relayhost =
# Of no program: postconf warns of it.
sandbox_note = kept
enable_long_queue_ids = yes
# Patience for a sandbox.
smtp_connect_timeout = 10s
smtp_helo_timeout = 10s
smtp_starttls_timeout = 10s
smtp_mail_timeout = 10s
smtp_rcpt_timeout = 10s
smtp_data_init_timeout = 10s
smtp_data_xfer_timeout = 30s
smtp_data_done_timeout = 30s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
transport_retry_time = 1s
service_throttle_time = 1s
{imported}",
        name = host.full_name(),
        queue = layout.root.join("spool").display(),
        data = layout.root.join("lib/postfix").display(),
        log = layout.log("postfix").display(),
    )
}

/// A message that is to be tried again before the process of its last attempt has let go of it goes back to those that come
/// in, for a minute, and these are looked at when one more comes or `qmgr` is woken: with Debian's 300 s it waits for so long.
/// Who tries again after a second, as here, meets that.
fn master_cf(blueprint: &Blueprint, host: &Host) -> String {
    let listens = blueprint.addresses.real_port(host, SMTP_PORT);
    format!(
        "{listens} inet n - n - - smtpd
pickup    unix  n - n 60   1 pickup
cleanup   unix  n - n -    0 cleanup
qmgr      unix  n - n 1    1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -    - trivial-rewrite
bounce    unix  - - n -    0 bounce
defer     unix  - - n -    0 bounce
trace     unix  - - n -    0 bounce
verify    unix  - - n -    1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -    - proxymap
proxywrite unix - - n -    1 proxymap
smtp      unix  - - n -    - smtp
relay     unix  - - n -    - smtp
showq     unix  n - n -    - showq
error     unix  - - n -    - error
retry     unix  - - n -    - error
discard   unix  - - n -    - discard
local     unix  - n n -    - local
virtual   unix  - n n -    - virtual
lmtp      unix  - - n -    - lmtp
anvil     unix  - - n -    1 anvil
scache    unix  - - n -    1 scache
postlog   unix-dgram n - n - 1 postlogd
"
    )
}
