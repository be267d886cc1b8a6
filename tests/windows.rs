//! Maintenance windows: announced by who runs the environment, seen by who uses it, heeded by operations.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use orocloud_sandbox::Options;
use serde_json::Value;

use crate::asking::at_terminal;
use crate::support::Shop;

/// `orocloud-agent window` on the maintenance node.
pub fn command(shop: &Shop, word: &str, rest: &[&str]) -> Command {
    let config = shop.node_dir("maint1").join("etc/agent.toml");
    let mut command = Command::new(shop.sandbox.program("orocloud-agent"));
    command.args(["window", word, &format!("--config={}", config.display())]).args(rest);
    command
}

/// The same, run to its good end; what it prints.
pub fn window(shop: &Shop, word: &str, rest: &[&str]) -> String {
    let output = command(shop, word, rest).output().expect("orocloud-agent");
    assert!(output.status.success(), "{word} {rest:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Announces one and gives its id.
pub fn announce(shop: &Shop, rest: &[&str]) -> String {
    window(shop, "announce", rest).split(' ').next().expect("an id").to_owned()
}

/// What readers of calendars that are not ours see in this one, or in this mail.
pub fn read(text: &str, mail: bool) -> Value {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read.py");
    let mut reader = Command::new("/usr/bin/python3")
        .arg(program)
        .args(mail.then_some("--mail"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3");
    reader.stdin.take().expect("its input").write_all(text.as_bytes()).expect("it reads");
    let output = reader.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn at(from_now: SignedDuration) -> String {
    format!("--at={:.0}", Timestamp::now() + from_now)
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

#[test]
fn windows_are_announced_moved_called_off_and_heeded() {
    let shop = Shop::start();
    let nothing = shop.cli("viewer", ["maintenance:windows"]).succeeds();
    assert!(nothing.stdout.contains("No maintenance window between"), "{nothing:#?}");

    let id = announce(&shop, &[&at(hours(100)), "--for=1h", "--reason=security", "--work=OpenSSL, at once"]);
    let seen = || shop.cli("viewer", ["maintenance:windows", "--json"]).succeeds().json()["items"][0].clone();
    let first = seen();
    assert_eq!((&first["kind"], &first["sequence"]), (&"security".into(), &0.into()), "{first}");
    window(&shop, "change", &[&format!("--id={id}"), &at(hours(101)), "--interrupts=yes"]);
    let moved = seen();
    assert_eq!((&moved["uid"], &moved["sequence"]), (&first["uid"], &1.into()), "{moved}");
    let table = shop.cli("viewer", ["maintenance:windows"]).succeeds();
    assert!(table.stdout.contains("is interrupted") && table.stdout.contains("4d 4h"), "{table:#?}");
    assert!(!table.stderr.contains("maintenance window"), "none is open: {table:#?}");
    window(&shop, "cancel", &[&format!("--id={id}")]);
    let quiet = shop.cli("viewer", ["status"]).run();
    assert!(!quiet.text().contains("OpenSSL"), "it was called off: {quiet:#?}");

    // One that is open keeps code and data as they are, unless that is wished, and every call tells of it.
    announce(&shop, &[&at(hours(-1)), "--for=48h", "--reason=other", "--work=new disks"]);
    let status = shop.cli("viewer", ["status"]).run();
    assert!(status.stdout.contains("open until") && status.stdout.contains("new disks"), "{status:#?}");
    for arguments in [["backup:list"], ["log:list"], ["status"]] {
        let answer = shop.cli("viewer", arguments).run();
        assert!(answer.stderr.contains("A maintenance window is open until"), "{answer:#?}");
        assert!(answer.stderr.contains(": new disks"), "{answer:#?}");
    }
    let json = shop.cli("viewer", ["backup:list", "--format=json"]).succeeds();
    let note: Value = serde_json::from_str(json.stderr.trim()).expect("one line of JSON");
    assert!(note["note"].as_str().is_some_and(|note| note.contains("new disks")), "{json:#?}");
    let refused = shop.cli("developer", ["deploy", "--reference=no-such-tag", "-n"]).ends_with(7);
    assert!(refused.stderr.contains("--ignore-window"), "{refused:#?}");
    assert!(refused.stderr.contains("A maintenance window is open until"), "errors too: {refused:#?}");
    let tried = shop.cli("developer", ["deploy", "--reference=no-such-tag", "--ignore-window", "-n"]).run();
    assert!(tried.code != 7 && tried.stderr.contains("no-such-tag"), "{tried:#?}");

    // What ran in it is history.
    let history = shop.cli("viewer", ["maintenance:windows", "-v"]).succeeds();
    assert!(history.stdout.contains("deploy --reference=no-such-tag"), "{history:#?}");
    for wrong in [["--from=tomorrow", "-n"], ["--until=2020-01-01T00:00:00Z", "-n"]] {
        shop.cli("viewer", ["maintenance:windows", wrong[0], wrong[1]]).ends_with(2);
    }
}

#[test]
fn calendars_are_read_by_readers_that_are_not_ours() {
    let first = (Timestamp::now() + hours(10 * 24)).strftime("%Y-%m-%dT02:30").to_string();
    // Through both changes of the clocks, in both halves of the world.
    let planned = ["Europe/Kyiv", "Australia/Sydney"].map(|zone| {
        format!(
            "[[window]]\nname = \"{}\"\nrule = \"FREQ=WEEKLY\"\nfirst = \"{first}\"\nzone = \"{zone}\"\n\
             minutes = 90\nwork = \"updates; \\\\ and, ґанок\"\ninterrupts = true\n",
            zone.to_lowercase().replace('/', "-")
        )
    });
    let shop = Shop::start_with(Options { environment_toml: planned.concat(), ..Options::default() });
    let moved = announce(&shop, &[&at(hours(50)), "--for=1h", "--reason=security", "--work=OpenSSL"]);
    window(&shop, "change", &[&format!("--id={moved}"), "--for=2h"]);
    let cancelled = announce(&shop, &[&at(hours(60)), "--for=1h", "--reason=other", "--work=disks"]);
    window(&shop, "cancel", &[&format!("--id={cancelled}")]);
    let until = format!("--until={:.0}", Timestamp::now() + hours(370 * 24));

    let calendar = shop.cli("viewer", ["maintenance:windows", "--format=ical", &until]).succeeds().stdout;
    let read = read(&calendar, false);
    let told = shop.cli("viewer", ["maintenance:windows", "--json", &until]).succeeds().json();
    let (events, items) =
        (read["events"].as_array().expect("events"), told["items"].as_array().expect("items"));
    assert!(items.len() > 100, "{}", items.len());
    assert_eq!(read["method"], "PUBLISH");
    assert_eq!(events.len(), items.len());
    for (event, item) in events.iter().zip(items) {
        for (seen, wanted) in
            [("uid", "uid"), ("sequence", "sequence"), ("begin", "starts_at"), ("end", "ends_at")]
        {
            // The calendar has whole seconds, and so has what was announced.
            assert_eq!(event[seen], item[wanted], "{event} {item}");
        }
        let status = if item["cancelled"] == true { "CANCELLED" } else { "CONFIRMED" };
        assert_eq!(event["status"], status, "{event}");
        let work = item["work"].as_str().expect("work");
        assert!(event["description"].as_str().expect("text").starts_with(work), "{event} {item}");
    }
    let one = |id: &str| events.iter().find(|event| event["uid"].as_str().expect("an id").contains(id));
    assert_eq!(one(&moved).expect("the moved one")["sequence"], 1);
    assert_eq!(one(&cancelled).expect("the cancelled one")["sequence"], 1);
    let again = shop.cli("viewer", ["maintenance:windows", "--format=ical", &until]).succeeds().stdout;
    let uids = |text: &str| text.lines().filter(|line| line.starts_with("UID:")).map(str::to_owned).collect();
    let (one, other): (Vec<String>, Vec<String>) = (uids(&calendar), uids(&again));
    assert_eq!(one, other, "ids are the same tomorrow");

    // At a terminal the weeks are drawn above the table.
    let mut seen = at_terminal(&shop, "viewer", ["maintenance:windows"]);
    for text in ["Mon     Tue", "▲", "█", "the shop is interrupted", "BEGIN", "updates"] {
        seen.wait_for(text);
    }
    assert_eq!(seen.ends(), 0);
}

#[test]
fn what_would_run_into_a_window_is_asked_at_a_terminal_and_refused_in_scripts() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    announce(&shop, &[&at(hours(2)), "--for=1h", "--reason=security", "--work=OpenSSL"]);
    // Nobody knows how long one takes, and the window is not open.
    shop.cli("developer", ["backup:create", "-n"]).succeeds();

    // As the journal has it, backups of late took three hours.
    let journals = shop.sandbox.journal_dir();
    let mut changed = 0;
    for month in std::fs::read_dir(&journals).expect("months").flatten() {
        for folder in std::fs::read_dir(month.path()).into_iter().flatten().flatten() {
            let path = folder.path().join("operation.json");
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let mut head: Value = serde_json::from_str(&text).expect("an operation");
            if head["method"] != "backup.create" {
                continue;
            }
            let started: Timestamp =
                head["started_at"].as_str().and_then(|text| text.parse().ok()).expect("its begin");
            head["ended_at"] = (started + hours(3)).to_string().into();
            std::fs::write(&path, head.to_string()).expect("the journal");
            changed += 1;
        }
    }
    assert!(changed >= 1, "{changed} backups in {}", journals.display());
    let refused = shop.cli("developer", ["backup:create", "-n"]).ends_with(7);
    for text in ["a maintenance window begins at", "OpenSSL", "usually it takes 3h", "--ignore-window"] {
        assert!(refused.stderr.contains(text), "{text}: {refused:#?}");
    }
    let mut no = at_terminal(&shop, "developer", ["backup:create"]);
    no.wait_for("a maintenance window begins at");
    no.wait_for("OpenSSL");
    no.wait_for("usually it takes 3h");
    no.wait_for("Start it all the same?");
    no.types("n");
    assert_eq!(no.ends(), 7);
    let points = || {
        let list = shop.cli("viewer", ["backup:list", "--format=json"]).succeeds().json();
        list["items"].as_array().expect("items").len()
    };
    let before = points();
    let mut yes = at_terminal(&shop, "developer", ["backup:create"]);
    yes.wait_for("Start it all the same?");
    yes.types("y");
    yes.wait_for("Ok");
    assert_eq!(yes.ends(), 0);
    assert_eq!(points(), before + 1);
}
