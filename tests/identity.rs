//! Who may come in, and whom the CLI trusts.

use std::process::{Command, Stdio};

use orocloud_sandbox::{Authority, CallerFiles, CallerSpec, ENVIRONMENT};

use crate::support::Shop;

/// What OpenSSH's own client gets to see, which offers whatever it has.
fn by_plain_ssh(shop: &Shop, caller: &CallerFiles) -> String {
    let config = std::fs::read_to_string(shop.sandbox.config_for(caller).expect("a configuration"));
    let config: toml::Table = config.expect("it can be read").parse().expect("TOML");
    let way = &config["environments"][ENVIRONMENT];
    let (address, user) =
        (way["address"].as_str().expect("an address"), way["user"].as_str().expect("a user"));
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-T", "-p", &way["port"].to_string(), "-l", user, "-i"]).arg(&caller.key);
    if let Some(certificate) = &caller.certificate {
        ssh.arg("-o").arg(format!("CertificateFile={}", certificate.display()));
    }
    for option in
        ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
    {
        ssh.args(["-o", option]);
    }
    let output = ssh.args([address, "-s", "orocloud"]).stdin(Stdio::null()).output().expect("ssh");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn only_the_right_certificates_come_in() {
    let shop = Shop::start();
    let day = jiff::SignedDuration::from_hours(24);
    let good = CallerSpec::new("good", "viewer@acme-prod1");
    let now = jiff::Timestamp::now();

    let cases = [
        ("without", CallerSpec { authority: None, ..good.clone() }, "cannot read the certificate"),
        (
            "expired",
            CallerSpec { valid_from: now - day * 2, valid_until: now - day, ..good.clone() },
            "has expired",
        ),
        (
            "early",
            CallerSpec { valid_from: now + day, valid_until: now + day * 2, ..good.clone() },
            "is not yet valid",
        ),
        (
            "elsewhere",
            CallerSpec { principals: vec!["viewer@acme-stag1".into()], ..good.clone() },
            "is for other environments than acme-prod1",
        ),
        (
            "other-ca",
            CallerSpec { authority: Some(Authority::Other), ..good.clone() },
            "was signed by another CA than the configured user_ca",
        ),
    ];
    for (name, spec, word) in cases {
        let caller = shop.issue(CallerSpec { name: name.into(), ..spec });
        let answer = shop.cli_as(&caller, ["backup:list"]).ends_with(3);
        assert!(answer.stderr.contains(word), "{name} names `{word}`: {answer:#?}");
        assert!(answer.stdout.is_empty());
        // Nor does the host let in whoever does not look at the certificate first.
        let said = by_plain_ssh(&shop, &caller);
        assert!(said.contains("Permission denied"), "{name}: {said}");
    }

    let said = by_plain_ssh(&shop, &shop.issue(good));
    assert!(said.contains("\"method\":\"hello\""), "{said}");

    // The project's and everybody's principal come in too.
    for principal in ["viewer@acme-prod1", "viewer@acme-*", "viewer@*"] {
        let caller = shop.issue(CallerSpec::new("wide", principal));
        shop.cli_as(&caller, ["backup:list"]).succeeds();
    }
    for kind in ["ecdsa", "rsa"] {
        let spec = CallerSpec { key_type: kind.into(), ..CallerSpec::new(kind, "viewer@acme-prod1") };
        let caller = shop.issue(spec);
        shop.cli_as(&caller, ["backup:list"]).succeeds();
    }
}

#[test]
fn a_host_that_cannot_prove_itself_is_not_talked_to() {
    let shop = Shop::start();
    let maint = shop.sandbox.node("maint1").expect("maint1");
    for (authority, principals, days) in [
        (None, &["acme-prod1-maint1"][..], 1),
        (Some(Authority::Other), &["acme-prod1-maint1"][..], 1),
        (Some(Authority::Node), &["acme-prod1-web1"][..], 1),
        (Some(Authority::Node), &["*"][..], 1),
        (Some(Authority::Node), &["acme-prod1-maint1"][..], -1),
    ] {
        maint.replace_host_certificate(authority, principals, days).expect("another certificate");
        let answer = shop.cli("viewer", ["backup:list"]).ends_with(5);
        assert!(answer.stderr.contains("SHA256:"), "{authority:?} {principals:?} {days}: {answer:#?}");
    }
    maint.replace_host_certificate(Some(Authority::Node), &["acme-prod1-maint1"], 1).expect("the right one");
    shop.cli("viewer", ["backup:list"]).succeeds();
}
