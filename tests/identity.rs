//! Who may come in, and whom the CLI trusts.

use orocloud_sandbox::{Authority, CallerSpec};

use crate::support::Shop;

#[test]
fn only_the_right_certificates_come_in() {
    let shop = Shop::start();
    let day = jiff::SignedDuration::from_hours(24);
    let good = CallerSpec::new("good", "viewer@acme-prod1");
    let now = jiff::Timestamp::now();

    let cases = [
        ("without", CallerSpec { authority: None, ..good.clone() }, "certificate"),
        (
            "expired",
            CallerSpec { valid_from: now - day * 2, valid_until: now - day, ..good.clone() },
            "expired",
        ),
        (
            "early",
            CallerSpec { valid_from: now + day, valid_until: now + day * 2, ..good.clone() },
            "not yet valid",
        ),
        (
            "elsewhere",
            CallerSpec { principals: vec!["viewer@acme-stag1".into()], ..good.clone() },
            "viewer@acme-stag1",
        ),
        ("other-ca", CallerSpec { authority: Some(Authority::Other), ..good.clone() }, "CA"),
    ];
    for (name, spec, word) in cases {
        let caller = shop.issue(CallerSpec { name: name.into(), ..spec });
        let answer = shop.cli_as(&caller, ["backup:list"]).ends_with(3);
        assert!(answer.stderr.contains(word), "{name} names `{word}`: {answer:#?}");
        assert!(answer.stdout.is_empty());
    }

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
