//! Bad input where it comes in: the wire, the bridge, logs, arguments, the surroundings of the CLI.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::Stdio;
use std::sync::LazyLock;

use orocloud_sandbox::{Authority, CallerSpec};
use serde_json::json;

use crate::support::wire::{Bridge, call_id};
use crate::support::{Shop, wait_for};

/// One without an application; nothing here changes it.
fn shop() -> &'static Shop {
    static SHOP: LazyLock<Shop> = LazyLock::new(Shop::start);
    &SHOP
}

/// The certificate of a caller, as sshd tells it.
fn certificate(shop: &Shop, caller: &str) -> String {
    let file = shop.sandbox.caller(caller).certificate.expect("a certificate");
    std::fs::read_to_string(file).expect("its text").trim().to_owned()
}

#[test]
fn a_line_that_is_wrong_is_answered_and_the_next_one_is_served() {
    let shop = shop();
    let mut bridge = Bridge::start(shop, &certificate(shop, "viewer"));
    let id = call_id();
    let request = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"{method}","params":{params}}}"#).into_bytes()
    };
    let unknown_field =
        format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"backup.list","params":{{}},"more":1}}"#);
    let no_ulid = br#"{"jsonrpc":"2.0","id":"../../etc","method":"backup.list","params":{}}"#;
    for (line, kind) in [
        (b"hello there".to_vec(), "usage"),
        (b"\xff\xfe\x00".to_vec(), "usage"),
        (b"[1,2".to_vec(), "usage"),
        ("[".repeat(200_000).into_bytes(), "usage"),
        (no_ulid.to_vec(), "usage"),
        (unknown_field.into_bytes(), "usage"),
        (request("backup.list", r#"{"surprise":1}"#), "usage"),
        (request("backup.list", "[]"), "usage"),
        (request("backup.list", r#"{"page":{"page":-1,"per_page":1e99}}"#), "usage"),
        (request("log.view", r#"{"operation":"../../../etc/passwd"}"#), "usage"),
        (request("log.tail", r#"{"follow":false,"sources":["../secret"]}"#), "usage"),
        (request("log.tail", r#"{"follow":false,"grep":"(((("}"#), "usage"),
        (request("backup.drop", "{}"), "unknown-method"),
        (request("node.step", "{}"), "not-permitted"),
    ] {
        let shown = String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
        assert!(bridge.send(&[line, b"\n".to_vec()].concat()), "{shown}");
        let response = bridge.response().unwrap_or_else(|| panic!("{shown}: the connection ended"));
        assert_eq!(response["error"]["data"]["kind"], kind, "{shown}: {response}");
    }
    let list = bridge.call("operation.list", &json!({})).expect("an answer");
    assert!(list["result"]["items"].is_array(), "{list}");

    // Where a line without an end ends nobody knows; no more of it is kept than a line may have.
    let mut flood = Bridge::start(shop, &certificate(shop, "viewer"));
    let mut sent = 0;
    while flood.send(&[b'x'; 64 * 1024]) {
        sent += 64;
        // The rest is in pipes and sockets on the way there.
        assert!(sent < 4 * 1024, "{sent} KiB are taken");
    }
    let response = flood.response().expect("a word");
    assert_eq!(response["error"]["data"]["kind"], "usage", "{response}");
    assert_eq!(flood.response(), None);
    let list = bridge.call("operation.list", &json!({})).expect("an answer");
    assert!(list["result"]["items"].is_array(), "{list}");
}

#[test]
fn a_bridge_that_lies_about_its_certificate_is_not_believed() {
    let shop = shop();
    let good = certificate(shop, "viewer");
    let mut changed = good.clone();
    // In the middle of its content, far from its signature.
    let at = good.find(' ').expect("a kind") + 200;
    let other = if &good[at..=at] == "A" { "B" } else { "A" };
    changed.replace_range(at..=at, other);
    let forged = |name: &str, spec: CallerSpec| {
        let files = shop.issue(CallerSpec { name: name.into(), ..spec });
        std::fs::read_to_string(files.certificate.expect("a certificate"))
            .expect("its text")
            .trim()
            .to_owned()
    };
    let owner = CallerSpec::new("liar", "owner@acme-prod1");
    let day = jiff::SignedDuration::from_hours(24);
    let read = |path: &str| {
        std::fs::read_to_string(shop.node_dir("maint1").join(path)).expect("its text").trim().to_owned()
    };
    for (what, certificate, kind) in [
        ("nothing", String::new(), "not-signed-in"),
        ("no certificate", "ssh-ed25519 AAAA".into(), "not-signed-in"),
        ("a plain key", good.replace("-cert-v01@openssh.com", ""), "not-signed-in"),
        ("half of one", good[..good.len() / 2].to_owned(), "not-signed-in"),
        ("a changed one", changed, "not-signed-in"),
        (
            "one that nobody signed whom we know",
            forged("liar-ca", CallerSpec { authority: Some(Authority::Other), ..owner.clone() }),
            "not-signed-in",
        ),
        (
            "one of yesterday",
            forged(
                "liar-time",
                CallerSpec {
                    valid_from: owner.valid_from - day * 2,
                    valid_until: owner.valid_from - day,
                    ..owner.clone()
                },
            ),
            "not-signed-in",
        ),
        (
            "one with a condition that nobody knows",
            forged("liar-option", CallerSpec { options: vec!["critical:sparkle=yes".into()], ..owner }),
            "not-signed-in",
        ),
        ("the host's own", read("etc/ssh_host_ed25519_key-cert.pub"), "not-signed-in"),
        ("the coordinator's own", read("etc/coordinator_key-cert.pub"), "not-signed-in"),
    ] {
        let mut bridge = Bridge::start(shop, &certificate);
        let response = bridge.call("backup.list", &json!({ "page": { "page": 1, "per_page": 25 } }));
        let response = response.unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!(response["error"]["data"]["kind"], kind, "{what}: {response}");
    }
    let mut honest = Bridge::start(shop, &good);
    assert!(honest.call("operation.list", &json!({})).expect("an answer")["error"].is_null());
    if rustix::process::geteuid().is_root() {
        // Only sshd's account may bring callers at all.
        let mut other = Bridge::start_as(shop, &good, "orocloud-build");
        assert_eq!(other.call("operation.list", &json!({})), None);
    }
}

#[test]
fn what_stands_in_logs_does_nothing_to_who_reads_them() {
    let shop = shop();
    let path = shop.node_dir("web2").join("log/access.log");
    let mut log = OpenOptions::new().append(true).create(true).open(path).expect("its log");
    let now = jiff::Timestamp::now();
    let mut text =
        format!("{now:.3} \u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J bell\u{8}\u{202e} ").into_bytes();
    text.extend_from_slice(b"\xff\xfe\xc3( end-of-it\n");
    log.write_all(&text).expect("written");
    // Ten megabytes without an end, then one that is like any other.
    log.write_all(format!("{now:.3} endless ").as_bytes()).expect("written");
    for _ in 0..160 {
        log.write_all(&[b'x'; 64 * 1024]).expect("written");
    }
    log.write_all(format!("\n{:.3} after-it\n", jiff::Timestamp::now()).as_bytes()).expect("written");

    for more in [&[][..], &["--json"]] {
        let mut cli = shop.cli("viewer", ["log:tail", "nginx", "--node=web2", "--no-follow", "--since=1h"]);
        cli.command.args(more);
        let shown = cli.succeeds();
        for word in ["red", "end-of-it", "endless", "after-it"] {
            let size = shown.stdout.len();
            assert!(shown.stdout.contains(word), "{word} {more:?}: {size} bytes, {}", shown.stderr);
        }
        let harmful = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!shown.stdout.contains(harmful), "{more:?}: escape codes come through");
        assert!(shown.stdout.len() < 3 * 1024 * 1024, "{more:?}: {} bytes", shown.stdout.len());
    }
}

#[test]
fn arguments_that_are_too_long_or_hold_what_they_must_not_are_refused() {
    let shop = shop();
    for label in
        ["x".repeat(10 * 1024), "two\nlines".into(), "tab\t".into(), "\u{1b}[31m".into(), String::new()]
    {
        let answer = shop.cli("developer", ["backup:create", &format!("--label={label}"), "-n"]).ends_with(2);
        assert!(answer.stderr.len() < 2_000 && !answer.stderr.contains('\u{1b}'), "{answer:#?}");
    }
    // A client that checks nothing gets no further.
    let mut bridge = Bridge::start(shop, &certificate(shop, "developer"));
    for label in ["x".repeat(10 * 1024), "two\nlines".into()] {
        let response = bridge.call("backup.create", &json!({ "label": label })).expect("an answer");
        assert_eq!(response["error"]["data"]["kind"], "usage", "{response}");
    }
}

#[test]
fn the_cli_says_what_is_wrong_with_its_surroundings() {
    let shop = shop();
    let folder = tempfile::tempdir().expect("a folder");

    let mut homeless = shop.cli("viewer", ["backup:list"]);
    homeless.command.env_remove("HOME");
    homeless.succeeds();
    let mut homeless = shop.cli("viewer", ["backup:list"]);
    homeless.command.env_remove("HOME").env_remove("OROCLOUD_CONFIG");
    homeless.ends_with(2);

    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, b"default = \"acme-prod1\"\n\xff\xfe").expect("written");
    for unreadable in [folder.path(), &broken, &folder.path().join("missing.toml")] {
        for command in ["backup:list", "env:list"] {
            let mut cli = shop.cli("viewer", [command]);
            cli.command.env("OROCLOUD_CONFIG", unreadable);
            let answer = cli.ends_with(2);
            let named = unreadable.display().to_string();
            assert!(answer.stderr.contains(&named) && !answer.stderr.contains("panicked"), "{answer:#?}");
        }
    }

    for arguments in
        [&["--version"][..], &["backup:list"], &["backup:list", "--format=json"], &["help", "exit-codes"]]
    {
        let mut cli = shop.cli("viewer", []);
        let full = File::options().write(true).open("/dev/full").expect("it");
        let output =
            cli.command.args(arguments).stdout(full).stderr(Stdio::piped()).output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains("No space left"), "{arguments:?}: {told}");
        // Where nothing can be told the exit code remains.
        let mut cli = shop.cli("viewer", []);
        let full = || File::options().write(true).open("/dev/full").expect("it");
        let status = cli.command.args(arguments).stdout(full()).stderr(full()).status().expect("it ends");
        assert_eq!(status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn the_agent_starts_with_a_journal_that_was_half_written() {
    let shop = Shop::start();
    let maint = shop.sandbox.node("maint1").expect("maint1");
    shop.deploy("1.0.0");
    let id = {
        let list = shop.cli("viewer", ["log:list", "--format=json"]).succeeds().json();
        list["items"][0]["id"].as_str().expect("an id").to_owned()
    };
    let month = std::fs::read_dir(shop.sandbox.journal_dir())
        .expect("the journal")
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.join(&id).exists())
        .expect("its month");
    let append = |name: &str| {
        let path = month.join(&id).join(name);
        let mut file = OpenOptions::new().append(true).open(path).expect("the journal");
        file.write_all(b"{\"half\":").expect("written");
    };
    let restart = || {
        maint.start_service("agent").expect("started");
        wait_for("the coordinator", || shop.cli("viewer", ["backup:list"]).run().code == 0);
    };
    maint.kill_service("agent").expect("killed");
    append("events.ndjson");
    append("steps.ndjson");
    restart();
    let view = shop.cli("viewer", ["log:view", &id]).succeeds();
    assert!(view.stdout.contains("release:switch"), "{view:#?}");

    // As if it had died before the end was written down: the halves are cut off, and it is finished.
    maint.kill_service("agent").expect("killed");
    let file = month.join(&id).join("operation.json");
    let mut record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).expect("its record")).expect("JSON");
    record["state"] = "running".into();
    record["ended_at"] = serde_json::Value::Null;
    record["result"] = serde_json::Value::Null;
    std::fs::write(&file, record.to_string()).expect("written");
    std::fs::write(shop.sandbox.journal_dir().join("unended").join(&id), "").expect("a mark");
    restart();
    shop.cli("viewer", ["operation:wait", &id]).succeeds();
    let view = shop.cli("viewer", ["log:view", &id]).succeeds();
    assert!(view.stdout.contains("release:switch") && view.stdout.contains("restarted"), "{view:#?}");
    for name in ["events.ndjson", "steps.ndjson"] {
        let text = std::fs::read_to_string(month.join(&id).join(name)).expect("the journal");
        for line in text.lines() {
            let _: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
        }
    }
    shop.cli("developer", ["backup:create", "-n"]).succeeds();
}
