use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::{Ed25519Keypair, PrivateKey};

use super::*;

const NOW: u64 = 1_800_000_000;

fn key(seed: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[seed; 32]).into()
}

/// Seed 1 is the user authority, 2 the node authority, 3 one that may vouch for viewers of stag1 alone.
fn config(folder: &std::path::Path) -> Agent {
    let public = |seed| key(seed).public_key().to_openssh().unwrap();
    let environment = folder.join("environment.toml");
    std::fs::write(
        &environment,
        "format = 1\nname = \"acme-prod1\"\nproject = \"acme\"\ntype = \"prod\"\nurl = \"http://shop/\"\nkeeper = \"postgresql\"\n\
         [[node]]\nname = \"maint1\"\nroles = [\"maint\"]\nzone = \"a\"\naddress = \"::1\"\n\
         [application]\ndocument_root = \"public\"\n[repository]\nurl = \"ssh://git@x/shop.git\"\n[backup]\n",
    )
    .unwrap();
    let authority = |kind: &str, seed, environments: &str, highest: &str| {
        format!(
            "[[authority]]\nkind = \"{kind}\"\npublic_key = \"{}\"\nenvironments = [\"{environments}\"]\nhighest_role = \"{highest}\"\n\
             revoked_keys_file = \"{}\"\n",
            public(seed),
            folder.join("revoked").display()
        )
    };
    let text = format!(
        "format = 1\nnode = \"maint1\"\nenvironment_file = \"{}\"\nstate = \"/s\"\nrun = \"/r\"\nlog = \"/l\"\n\
         [service_manager]\nkind = \"systemd\"\n{}{}{}{}[local.deployer]\nrole = \"developer\"\n",
        environment.display(),
        authority("user", 1, "acme-*", "owner"),
        authority("node", 2, "acme-prod1", "owner"),
        authority("user", 3, "acme-*", "developer"),
        authority("user", 4, "other-*", "owner"),
    );
    let path = folder.join("agent.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.join("revoked"), "# none yet\n").unwrap();
    Agent::load(&path).unwrap()
}

struct Sample {
    signed_by: u8,
    principals: &'static [&'static str],
    from: u64,
    until: u64,
    option: Option<(&'static str, &'static str)>,
    kind: CertType,
}

const GOOD: Sample = Sample {
    signed_by: 1,
    principals: &["operator@acme-prod1"],
    from: NOW - 60,
    until: NOW + 60,
    option: None,
    kind: CertType::User,
};

impl Sample {
    fn session(&self) -> Session {
        let mut builder =
            Builder::new([7; 32], key(99).public_key().key_data().clone(), self.from, self.until).unwrap();
        builder.serial(17).unwrap().key_id("ann@acme.example").unwrap().cert_type(self.kind).unwrap();
        for principal in self.principals {
            builder.valid_principal(*principal).unwrap();
        }
        if self.principals.is_empty() {
            builder.all_principals_valid().unwrap();
        }
        if let Some((name, value)) = self.option {
            builder.critical_option(name, value).unwrap();
        }
        let certificate = builder.sign(&key(self.signed_by)).unwrap().to_openssh().unwrap();
        Session { certificate, connection: "10.1.2.3 50000 10.0.0.1 22".into() }
    }
}

fn judged(sample: &Sample) -> Result<Caller, CallError> {
    let folder = tempfile::tempdir().unwrap();
    judge(&config(folder.path()), &sample.session(), Timestamp::from_second(NOW as i64).unwrap())
}

#[test]
fn a_good_certificate_says_who_calls() {
    let caller = judged(&GOOD).unwrap();
    assert_eq!(caller.key_id, "ann@acme.example");
    assert_eq!((caller.serial, caller.role, caller.kind), (17, Role::Operator, CallerKind::User));
    assert_eq!(caller.valid_until.unwrap().as_second() as u64, NOW + 60);
    assert!(caller.identity.starts_with("SHA256:"));
}

#[test]
fn the_highest_role_for_here_counts_and_no_more_than_its_authority_may_give() {
    for (signed_by, principals, role) in [
        (1, &["viewer@acme-prod1", "owner@acme-*"][..], Some(Role::Owner)),
        (1, &["viewer@*", "owner@acme-stag1"], Some(Role::Viewer)),
        (3, &["owner@acme-prod1"], Some(Role::Developer)),
        (1, &["owner@acme-stag1"], None),
        (1, &["owner@acme-p*"], None),
        (1, &["coordinator@acme-prod1"], None),
        (1, &["root", "owner"], None),
        // Valid for everybody is valid for nobody here.
        (1, &[], None),
        // It may vouch for other environments.
        (4, &["owner@acme-prod1"], None),
    ] {
        let judged = judged(&Sample { signed_by, principals, ..GOOD });
        match role {
            Some(role) => assert_eq!(judged.unwrap().role, role, "{principals:?}"),
            None => assert_eq!(judged.unwrap_err().kind, ErrorKind::NotSignedIn, "{principals:?}"),
        }
    }
}

#[test]
fn only_the_coordinator_comes_with_the_node_authority() {
    let from_nodes = |principals| judged(&Sample { signed_by: 2, principals, ..GOOD });
    assert_eq!(from_nodes(&["coordinator@acme-prod1"]).unwrap().kind, CallerKind::Coordinator);
    for principals in [
        &["coordinator@acme-prod2"][..],
        &["coordinator@acme-*"],
        &["owner@acme-prod1"],
        &["acme-prod1-web1"],
    ] {
        assert_eq!(from_nodes(principals).unwrap_err().kind, ErrorKind::NotSignedIn, "{principals:?}");
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    for (sample, words) in [
        (Sample { until: NOW, ..GOOD }, "ended at"),
        (Sample { from: NOW + 1, ..GOOD }, "not valid before"),
        (Sample { signed_by: 50, ..GOOD }, "not known here"),
        (Sample { kind: CertType::Host, ..GOOD }, "not one for people"),
        (Sample { option: Some(("force-command", "/bin/sh")), ..GOOD }, "force-command"),
        (
            Sample { option: Some(("source-address", "10.9.0.0/16,::1")), ..GOOD },
            "may not be used from 10.1.2.3",
        ),
    ] {
        let error = judged(&sample).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotSignedIn);
        assert!(error.message.contains(words), "{error}");
        assert!(!error.hints.is_empty(), "{error}");
    }
    judged(&Sample { option: Some(("source-address", "10.1.0.0/16")), ..GOOD }).unwrap();
}

#[test]
fn a_bridge_that_lies_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let now = Timestamp::from_second(NOW as i64).unwrap();
    let good = GOOD.session();
    for certificate in [
        String::new(),
        "ssh-ed25519 AAAA".into(),
        key(1).public_key().to_openssh().unwrap(),
        "\u{0}".into(),
        good.certificate[..good.certificate.len() / 2].into(),
    ] {
        let session = Session { certificate, ..good.clone() };
        assert_eq!(judge(&config, &session, now).unwrap_err().kind, ErrorKind::NotSignedIn);
    }
    // Its content changed, the signature left as it was.
    let mut bytes = Certificate::from_text(&good.certificate).unwrap().blob;
    let at = bytes.windows(8).position(|window| window == b"operator").unwrap();
    bytes[at..at + 8].copy_from_slice(b"0wner@ac");
    let changed = Certificate::from_blob(&bytes).unwrap();
    let session = Session { certificate: changed.to_text(), ..good.clone() };
    let error = judge(&config, &session, now).unwrap_err();
    assert!(error.message.contains("not genuine"), "{error}");
}

#[test]
fn a_certificate_without_an_end_lets_in() {
    let folder = tempfile::tempdir().unwrap();
    let keygen = |arguments: &[&str]| {
        let done = std::process::Command::new("ssh-keygen")
            .current_dir(folder.path())
            .arg("-q")
            .args(arguments)
            .status()
            .unwrap();
        assert!(done.success(), "{arguments:?}");
    };
    keygen(&["-t", "ed25519", "-N", "", "-f", "key"]);
    std::fs::write(folder.path().join("ca"), key(1).to_openssh(Default::default()).unwrap().as_bytes())
        .unwrap();
    std::fs::set_permissions(folder.path().join("ca"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    keygen(&["-s", "ca", "-I", "pipeline", "-n", "viewer@acme-prod1", "key.pub"]);
    let certificate = std::fs::read_to_string(folder.path().join("key-cert.pub")).unwrap();
    let session = Session { certificate, connection: "10.1.2.3 50000 10.0.0.1 22".into() };
    let caller = judge(&config(folder.path()), &session, Timestamp::now()).unwrap();
    assert_eq!((caller.key_id.as_str(), caller.role, caller.valid_until), ("pipeline", Role::Viewer, None));
}

#[test]
fn revoked_ones_are_refused_by_serial_key_id_or_key_and_all_when_the_list_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let now = Timestamp::from_second(NOW as i64).unwrap();
    let fingerprint = key(99).public_key().fingerprint(HashAlg::Sha256).to_string();
    for (line, refused) in [
        ("17", true),
        ("ann@acme.example", true),
        (fingerprint.as_str(), true),
        ("170", false),
        ("# 17", false),
    ] {
        std::fs::write(folder.path().join("revoked"), format!("\n{line}\n")).unwrap();
        assert_eq!(judge(&config, &GOOD.session(), now).is_err(), refused, "{line}");
    }
    std::fs::remove_file(folder.path().join("revoked")).unwrap();
    assert_eq!(judge(&config, &GOOD.session(), now).unwrap_err().kind, ErrorKind::NotSignedIn);
}

#[test]
fn local_accounts_have_the_role_that_is_written_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let caller = Caller::local(&config, "deployer").unwrap();
    assert_eq!((caller.key_id.as_str(), caller.role), ("local:deployer", Role::Developer));
    let error = Caller::local(&config, "www-data").unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotPermitted);
}

#[test]
fn ranges_of_addresses() {
    for (range, address, inside) in [
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false),
        ("10.1.2.0/24", "10.1.2.255", true),
        ("10.1.2.0/24", "10.1.3.0", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("10.1.2.3", "::ffff:10.1.2.3", true),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "10.1.2.3", false),
        ("10.1.2.0/x", "10.1.2.3", false),
        ("nonsense", "10.1.2.3", false),
    ] {
        assert_eq!(in_range(range, address.parse().unwrap()), inside, "{range} {address}");
    }
}
