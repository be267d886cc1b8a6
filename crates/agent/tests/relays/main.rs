//! Broken relays, each named right: real SMTP servers, each with one thing wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use orocloud_agent::engines::relay::{Failed, LIMIT, Target, try_stages};
use orocloud_protocol::Secret;
use orocloud_protocol::smtp::{RelayTls, Stage};

/// What a person waits at most, with all that is around it.
const PROMISED: Duration = Duration::from_secs(15);

/// For those that never answer: all of it is waited for.
const SHORT: Duration = Duration::from_secs(3);

fn target(port: u16, ca: &str) -> Target {
    Target {
        host: "127.0.0.1".to_owned(),
        port,
        tls: RelayTls::Starttls,
        ca: Some(ca.to_owned()),
        credentials: Some(("user".to_owned(), Secret::new("right".to_owned()))),
        from: Some("shop@example.com".parse().expect("an address")),
        to: Some("ann@example.com".parse().expect("an address")),
        hello: "test.example.com".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_relay_is_named_by_the_stage_that_fails_and_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = Command::new("/usr/bin/python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/relays/serve.py"))
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(servers.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let ports: BTreeMap<String, u16> = serde_json::from_str(&line).unwrap();
    let ca = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    let at = |name: &str| target(ports[name], &ca);
    let password = |password: &str| Some(("user".to_owned(), Secret::new(password.to_owned())));

    let cases = [
        (
            "unknown name",
            Target { host: "no-such-relay.invalid".into(), ..at("good") },
            Stage::Dns,
            "has no address",
        ),
        ("closed port", at("closed"), Stage::Tcp, "refused"),
        ("silent port", at("silent"), Stage::Tcp, "no answer within"),
        ("no greeting", at("no greeting"), Stage::Greeting, "no answer within"),
        ("wrong name in the certificate", at("other-name"), Stage::Tls, "for another name"),
        ("expired", at("expired"), Stage::Tls, "has expired"),
        ("self-signed", at("self"), Stage::Tls, "signed by itself"),
        ("nobody's authority", Target { ca: None, ..at("good") }, Stage::Tls, "not believed"),
        ("no STARTTLS offered", at("no STARTTLS"), Stage::Tls, "offers no STARTTLS"),
        ("no TLS where it should begin", Target { tls: RelayTls::Implicit, ..at("good") }, Stage::Tls, "TLS"),
        ("AUTH not offered", at("no AUTH"), Stage::Auth, "offers neither AUTH"),
        (
            "wrong password",
            Target { credentials: password("wr0ng"), ..at("good") },
            Stage::Auth,
            "535 5.7.8 not ***",
        ),
        ("sender refused", at("refuses sender"), Stage::Mail, "550 5.7.1 not from you"),
        ("recipient refused", at("refuses recipient"), Stage::Rcpt, "550 5.1.1 nobody of that name"),
    ];
    let mut trials = tokio::task::JoinSet::new();
    for (name, target, stage, words) in cases {
        let limit = if words == "no answer within" { SHORT } else { LIMIT };
        trials.spawn(async move {
            let began = Instant::now();
            (name, try_stages(target, limit).await, began.elapsed(), stage, words)
        });
    }
    while let Some(ended) = trials.join_next().await {
        let (name, outcome, took, stage, words) = ended.unwrap();
        let Err(Failed { stage: failed, said }) = outcome else { panic!("{name}: {outcome:?}") };
        assert_eq!(failed, stage, "{name}: {said}");
        assert!(said.contains(words) && !said.contains("wr0ng"), "{name}: {said}");
        assert!(took < PROMISED, "{name} took {took:?}");
    }
    assert!(LIMIT + Duration::from_secs(1) < PROMISED, "also of one that answers bit by bit");

    let all = [Stage::Dns, Stage::Tcp, Stage::Greeting, Stage::Tls, Stage::Auth, Stage::Mail, Stage::Rcpt];
    let seen = try_stages(at("good"), LIMIT).await.unwrap();
    assert_eq!(seen.iter().map(|seen| seen.stage).collect::<Vec<_>>(), all);
    assert_eq!(seen[4].said, "235 2.7.0 *** it is", "also a password that is right is never shown");
    let seen =
        try_stages(Target { tls: RelayTls::Implicit, from: None, ..at("implicit") }, LIMIT).await.unwrap();
    let stages: Vec<Stage> = seen.iter().map(|seen| seen.stage).collect();
    assert_eq!(stages, [Stage::Dns, Stage::Tcp, Stage::Tls, Stage::Greeting, Stage::Auth]);

    drop(servers.stdin.take());
    servers.wait().unwrap();
    let mut told = String::new();
    stdout.read_to_string(&mut told).unwrap();
    assert_eq!(told, "RSET\n", "nothing is sent");
}
