//! What sender domains publish, asked of a real name server, and signatures by keys that are published.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use orocloud_sandbox::DnsData::{self, Address, Text};
use orocloud_sandbox::Options;
use serde_json::Value;

use crate::smtp::{SENDER, Server, send, stands_in};
use crate::support::{Answer, Shop, wait_for};

/// dkimpy: another implementation than the one that signs. It asks the same name server as everybody would.
const VERIFIER: &str = r#"
import sys
import dkim
import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = [sys.argv[1]], 5353

def text(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    for answer in resolver.resolve(name, "TXT"):
        return b"".join(answer.strings)

sys.exit(0 if dkim.verify(sys.stdin.buffer.read(), dnsfunc=text) else 1)
"#;

pub fn dns(shop: &Shop) -> Answer {
    shop.cli("viewer", ["smtp:dns", "--format=json"]).run()
}

pub fn records(answer: &Answer) -> Vec<Value> {
    answer.json()["items"].as_array().expect("records").clone()
}

fn record(answer: &Answer, kind: &str) -> Value {
    let found = records(answer).into_iter().find(|record| record["kind"] == kind);
    found.unwrap_or_else(|| panic!("{kind} in {answer:#?}"))
}

fn text(value: &str) -> DnsData {
    Text(value.to_owned())
}

#[test]
fn what_sender_domains_publish_is_compared_and_their_mail_signed() {
    let shop = Shop::start_with(Options { smtp: true, ..Options::default() });
    let one = Server { shop: &shop, server: "relay1" };
    let none = shop.cli("viewer", ["smtp:dns"]).ends_with(1);
    assert!(none.stderr.contains("no domain is known") && none.stderr.contains("--probe-from"), "{none:#?}");

    assert_eq!(one.set("main", &[], &one.password()).code, 0);
    let relay: Ipv4Addr = one.address().parse().expect("an address");
    let shown = shop.cli("viewer", ["smtp:show"]).succeeds();
    assert!(shown.stdout.contains("It is sent from: example.com"), "{SENDER} is its sender: {shown:#?}");

    // Nothing is there: it is said what must be, as lines to paste.
    let missing = shop.cli("viewer", ["smtp:dns"]).succeeds();
    for part in [
        format!("example.com. IN TXT \"v=spf1 ip4:{relay} ~all\""),
        "._domainkey.example.com. IN TXT \"v=DKIM1; k=rsa; p=".to_owned(),
        "_dmarc.example.com. IN TXT \"v=DMARC1; p=none\"".to_owned(),
    ] {
        assert!(missing.stdout.contains(&part), "{part} in {missing:#?}");
    }
    let rows = missing.stdout.lines().filter(|line| line.contains("missing")).count();
    assert_eq!(rows, 3, "{missing:#?}");
    let verdicts: Vec<Value> = records(&dns(&shop)).iter().map(|record| record["verdict"].clone()).collect();
    assert_eq!(verdicts, ["missing"; 3]);

    let with = |spf: &str, dmarc: &str| {
        let mut all = vec![("example.com", text(spf)), ("_dmarc.example.com", text(dmarc))];
        // A real tree: what it includes, and a host.
        all.push(("_spf.example.net", text("v=spf1 a:out.example.net -all")));
        all.push(("out.example.net", Address(relay)));
        shop.sandbox.set_dns(&all).expect("records");
        dns(&shop)
    };
    for (spf, dmarc, code, expected) in [
        (format!("v=spf1 ip4:{relay} -all"), "v=DMARC1; p=reject", 0, ["good", "good"]),
        ("v=spf1 include:_spf.example.net -all".to_owned(), "v=DMARC1; p=reject", 0, ["good", "good"]),
        ("v=spf1 ~all".to_owned(), "v=DMARC1; p=none", 0, ["wrong", "good"]),
        ("v=spf1 ~all".to_owned(), "v=DMARC1; p=quarantine", 9, ["wrong", "wrong"]),
        ("v=spf1 mx -all".to_owned(), "v=DMARC1; p=none", 9, ["wrong", "good"]),
    ] {
        let answer = with(&spf, dmarc);
        assert_eq!(answer.code, code, "{spf} {dmarc}: {answer:#?}");
        let verdicts = ["spf", "dmarc"].map(|kind| record(&answer, kind)["verdict"].clone());
        assert_eq!(verdicts, expected, "{spf} {dmarc}: {answer:#?}");
    }
    let marked = shop.cli("viewer", ["smtp:dns"]).ends_with(9);
    assert!(marked.stdout.contains("»-all«") && marked.stderr.contains("would be rejected"), "{marked:#?}");

    signatures(&shop, &one);

    // Nobody waits for a name server that says nothing.
    let server = shop.sandbox.node("dns").expect("a name server");
    server.freeze().expect("it is frozen");
    let begin = Instant::now();
    let silent = dns(&shop);
    let took = begin.elapsed();
    server.start().expect("it goes on");
    assert!(silent.code == 1 && silent.stderr.contains(":5353 does not answer"), "{silent:#?}");
    // 15 s are promised; a busy machine gets more.
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// The newest message that the relay took, as it took it.
fn newest(shop: &Shop) -> String {
    let mail = shop.sandbox.mail_of("relay1");
    mail.last().expect("a message")["data"].as_str().expect("its text").to_owned()
}

/// The selector of its signature.
pub fn selector(message: &str) -> Option<String> {
    let (_, signature) = message.split_once("DKIM-Signature:")?;
    let tag = signature.split(';').find_map(|tag| tag.trim().strip_prefix("s="))?;
    Some(tag.trim().to_owned())
}

pub fn is_verified(shop: &Shop, message: &str) -> bool {
    // The name server is asked where it listens.
    let address: Ipv4Addr =
        shop.sandbox.node("dns").expect("a name server").address().parse().expect("an address");
    let [a, b, c, d] = address.octets();
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", VERIFIER, &Ipv4Addr::new(a, b, c, d + 100).to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3");
    child.stdin.take().expect("standard input").write_all(message.as_bytes()).expect("it reads");
    child.wait().expect("it ends").success()
}

pub fn publish(shop: &Shop, keys: &[&Value]) {
    let field = |key: &Value, name: &str| key[name].as_str().expect("a text").to_owned();
    let all: Vec<(String, DnsData)> =
        keys.iter().map(|key| (field(key, "name"), Text(field(key, "expected")))).collect();
    let all: Vec<(&str, DnsData)> = all.iter().map(|(name, data)| (name.as_str(), data.clone())).collect();
    shop.sandbox.set_dns(&all).expect("records");
}

pub fn key_is(answer: &Answer, name: &str, use_: &str) -> bool {
    records(answer).iter().any(|record| record["name"] == name && record["key"] == use_)
}

/// Mail is signed once DNS has the key, and with another key once DNS has that.
fn signatures(shop: &Shop, one: &Server<'_>) {
    let first = record(&dns(shop), "dkim");
    let name = first["name"].as_str().expect("a name");
    assert_eq!((&first["verdict"], &first["key"]), (&"missing".into(), &"next".into()), "{first}");
    assert_eq!(send(shop, "fay@example.com").code, 0);
    assert_eq!(selector(&newest(shop)), None, "nobody could verify it");

    publish(shop, &[&first]);
    wait_for("signatures with the first key", || key_is(&dns(shop), name, "signing"));
    assert_eq!(send(shop, "gil@example.com").code, 0);
    let signed = newest(shop);
    let logs = || shop.sandbox.logs_of("mail1");
    assert!(selector(&signed).is_some_and(|selector| name.starts_with(&selector)), "{signed}\n{}", logs());
    assert!(is_verified(shop, &signed), "{signed}");
    assert!(!is_verified(shop, &signed.replace("Somebody", "Nobody")), "what was changed is not verified");

    // Another key than the one that signs is in DNS.
    let mut other = first.clone();
    let wrong = first["expected"].as_str().expect("a key").replace("AQEA", "AQEB");
    other["expected"] = wrong.into();
    publish(shop, &[&other]);
    let answer = dns(shop);
    assert_eq!((answer.code, &record(&answer, "dkim")["verdict"]), (9, &"wrong".into()), "{answer:#?}");
    assert!(!is_verified(shop, &signed));

    // The key is old: the next one waits for DNS, and the one before stays for mail on its way.
    let config = shop.node_dir("mail1").join("etc/agent.toml");
    let text = fs::read_to_string(&config).expect("a configuration");
    fs::write(&config, text.replace("[signer]\n", "[signer]\nrotate_after_days = 0\n")).expect("another one");
    let mail = shop.sandbox.node("mail1").expect("mail1");
    mail.restart_service("agent").expect("it is started anew");
    publish(shop, &[&first]);
    let both = dns(shop);
    let next = records(&both).into_iter().find(|record| record["key"] == "next").expect("the next key");
    assert!(key_is(&both, name, "signing") && next["verdict"] == "missing", "{both:#?}");
    // Whoever asks again finds the same key waiting, and signatures are made with the one before.
    for to in ["hal@example.com", "hugo@example.com"] {
        assert_eq!(send(shop, to).code, 0);
        let signed = newest(shop);
        assert!(
            selector(&signed).is_some_and(|selector| name.starts_with(&format!("{selector}."))),
            "{signed}"
        );
        let answer = dns(shop);
        let waits = next["name"].as_str().is_some_and(|next| key_is(&answer, next, "next"));
        assert!(waits && key_is(&answer, name, "signing"), "{answer:#?}");
    }
    publish(shop, &[&first, &next]);
    let next_name = next["name"].as_str().expect("a name");
    wait_for("signatures with the next key", || {
        let answer = dns(shop);
        key_is(&answer, next_name, "signing") && key_is(&answer, name, "former")
    });
    assert_eq!(send(shop, "ida@example.com").code, 0);
    let signed = newest(shop);
    assert!(
        selector(&signed).is_some_and(|selector| next_name.starts_with(&format!("{selector}."))),
        "{signed}"
    );
    assert!(is_verified(shop, &signed), "{signed}");

    // Mail goes on without what signs.
    mail.stop_service("opendkim").expect("it is stopped");
    assert_eq!(send(shop, "jan@example.com").code, 0);
    assert_eq!(selector(&newest(shop)), None);
    let unsigned = dns(shop);
    assert!(unsigned.stdout.contains("mail leaves unsigned"), "{unsigned:#?}");
    // It is told where people look, and no more once it is back.
    let said = "opendkim does not run, so mail of example.com leaves unsigned";
    let told = || {
        let shown = shop.cli("viewer", ["smtp:show", "--format=json"]).succeeds().json();
        let status = shop.cli("viewer", ["status", "--format=json"]).run().json();
        let rows = status["rows"].as_array().expect("rows").clone();
        let row = rows.into_iter().find(|row| row["part"] == "signer");
        (shown["unsigned"].clone(), row)
    };
    let (shown, row) = told();
    let row = row.expect("a row of status");
    assert!(shown.as_str().is_some_and(|why| why.contains(said)), "{shown}");
    assert!(row["detail"].as_str().is_some_and(|why| why.contains(said)), "{row}");
    assert_eq!(
        (&row["health"], &row["next"], &row["node"]),
        (&"warning".into(), &"orocloud-cli smtp:dns".into(), &"mail1".into())
    );
    let shown = shop.cli("viewer", ["smtp:show"]).succeeds();
    assert!(shown.stderr.contains(said), "{shown:#?}");
    mail.start_service("opendkim").expect("it is started");
    assert_eq!(told(), (Value::Null, None));
    assert_eq!(one.taken("jan@example.com"), 2, "one from each web node");

    // The keys stand where the signer reads them, and nowhere else.
    let keys = shop.node_dir("mail1").join("state/dkim/example.com");
    for entry in fs::read_dir(&keys).expect("keys").flatten() {
        let mode = entry.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o027, 0, "{:?}", entry.path());
        if entry.path().extension().is_some_and(|extension| extension == "pem") {
            let key = fs::read_to_string(entry.path()).expect("a key");
            let line = key.lines().nth(5).expect("a line of it");
            for folder in [shop.node_dir("maint1"), shop.node_dir("mail1").join("log")] {
                assert_eq!(stands_in(&folder, line), None);
            }
        }
    }
}
