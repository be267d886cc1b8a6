//! sshd of the nodes lets in who has the right certificate, and runs one command.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use orocloud_sandbox::{Authority, CallerFiles, CallerSpec, Sandbox};

use crate::support::{start, wait_until};

/// What OpenSSH's client says when it asks for the subsystem.
fn ssh(sandbox: &Sandbox, node: &str, key: &Path, certificate: Option<&Path>, request: &[&str]) -> String {
    let user = if crate::support::is_root() {
        "orocloud".to_owned()
    } else {
        String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let known_hosts = sandbox.node("maint1").unwrap().dir().join("etc/known_hosts");
    let mut command = Command::new("ssh");
    command.args(["-v", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-p", "2222"]);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", known_hosts.display()));
    command.arg("-o").arg(format!("HostKeyAlias=acme-prod1-{node}"));
    command.arg("-i").arg(key);
    if let Some(certificate) = certificate {
        command.arg("-o").arg(format!("CertificateFile={}", certificate.display()));
    }
    command.arg(format!("{user}@{}", sandbox.node(node).unwrap().address())).args(request);
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn accepted(said: &str) -> bool {
    said.contains("\nAuthenticated to ")
}

fn as_caller(sandbox: &Sandbox, node: &str, caller: &CallerFiles) -> String {
    ssh(sandbox, node, &caller.key, caller.certificate.as_deref(), &["-s", "orocloud"])
}

#[test]
fn only_the_right_certificate_is_let_in_and_reaches_one_command() {
    let sandbox = start();
    for role in ["viewer", "developer", "operator", "owner"] {
        let said = as_caller(&sandbox, "maint1", &sandbox.caller(role));
        assert!(accepted(&said), "{role}: {said}");
    }

    let now = Timestamp::now();
    let day = SignedDuration::from_hours(24);
    let good = CallerSpec::new("eve", "developer@acme-prod1");
    let refused = [
        ("no certificate", CallerSpec { authority: None, ..good.clone() }),
        ("expired", CallerSpec { valid_from: now - day * 2, valid_until: now - day, ..good.clone() }),
        ("not yet valid", CallerSpec { valid_from: now + day, valid_until: now + day * 2, ..good.clone() }),
        ("another CA", CallerSpec { authority: Some(Authority::Other), ..good.clone() }),
        ("the node CA", CallerSpec { authority: Some(Authority::Node), ..good.clone() }),
        ("another environment", CallerSpec::new("eve", "developer@acme-stag1")),
        ("another project", CallerSpec::new("eve", "owner@other-*")),
        ("no such role", CallerSpec::new("eve", "root@acme-prod1")),
        (
            "another address",
            CallerSpec { options: vec!["source-address=10.0.0.0/8".to_owned()], ..good.clone() },
        ),
    ];
    for (why, spec) in refused {
        let said = as_caller(&sandbox, "maint1", &sandbox.issue(&spec).unwrap());
        assert!(said.contains("Permission denied (publickey)") && !accepted(&said), "{why}: {said}");
    }
    for kind in ["ecdsa", "rsa"] {
        let spec =
            CallerSpec { key_type: kind.to_owned(), principals: vec!["viewer@*".to_owned()], ..good.clone() };
        let said = as_caller(&sandbox, "maint1", &sandbox.issue(&spec).unwrap());
        assert!(accepted(&said), "{kind}: {said}");
    }

    // The other nodes believe the node CA alone, and let in the coordinator alone.
    let said = as_caller(&sandbox, "web1", &sandbox.caller("owner"));
    assert!(!accepted(&said), "{said}");
    let key = sandbox.node("maint1").unwrap().dir().join("etc/coordinator_key");
    let said = ssh(&sandbox, "web1", &key, None, &["-s", "orocloud"]);
    assert!(accepted(&said), "{said}");
    let said = ssh(&sandbox, "maint1", &key, None, &["-s", "orocloud"]);
    assert!(!accepted(&said), "{said}");

    // Whatever is asked for, the forced command runs.
    let owner = sandbox.caller("owner");
    let said = ssh(&sandbox, "maint1", &owner.key, owner.certificate.as_deref(), &["echo forced-away"]);
    assert!(!said.lines().any(|line| line == "forced-away"), "{said}");
    let log = sandbox.node("maint1").unwrap().dir().join("log/sshd.log");
    wait_until("sshd logs the forced command", || {
        let text = fs::read_to_string(&log).unwrap();
        text.contains("Starting session: forced-command (config)")
            && text.contains("ID olga@acme.example (owner)")
    });
}

#[test]
fn a_host_certificate_can_be_wrong_on_purpose() {
    let sandbox = start();
    let maint = sandbox.node("maint1").unwrap();
    let owner = sandbox.caller("owner");
    for (authority, principals, days) in [
        (Some(Authority::Other), ["acme-prod1-maint1"], 1),
        (Some(Authority::Node), ["acme-prod1-web1"], 1),
        (Some(Authority::Node), ["acme-prod1-maint1"], -1),
        (None, [""], 1),
    ] {
        maint.replace_host_certificate(authority, &principals, days).unwrap();
        let said = as_caller(&sandbox, "maint1", &owner);
        assert!(!accepted(&said), "{authority:?} {principals:?} {days}: {said}");
    }
    maint.replace_host_certificate(Some(Authority::Node), &["acme-prod1-maint1"], 1).unwrap();
    let said = as_caller(&sandbox, "maint1", &owner);
    assert!(accepted(&said), "{said}");
}
