//! Mail about maintenance windows, taken by a real SMTP server over STARTTLS with a password: at least once, and twice
//! only where the agent dies between the server's word and its own mark.

use jiff::{SignedDuration, Timestamp};
use orocloud_sandbox::Options;
use serde_json::Value;

use crate::support::{Shop, wait_for};
use crate::windows::{announce, command, read, window};

const CONTACTS: [&str; 2] = ["dora@example.com", "eve@example.com"];

fn in_two_days() -> String {
    format!("--at={:.0}", Timestamp::now() + SignedDuration::from_hours(50))
}

/// Mail about this window, as it was taken.
fn mail(shop: &Shop, id: &str) -> Vec<Value> {
    let about = |mail: &Value| mail["data"].as_str().is_some_and(|data| data.contains(&id.to_lowercase()));
    shop.sandbox.mail().into_iter().filter(about).collect()
}

/// Waits until everybody has been told of so many versions of this window, by the agent's own word.
fn all_told(shop: &Shop, id: &str, versions: usize) {
    wait_for("mail to be sent", || {
        let list = window(shop, "list", &[]);
        let of_it = list.lines().skip_while(|line| !line.starts_with(id)).skip(1);
        let mail: Vec<&str> = of_it.take_while(|line| line.starts_with(' ')).collect();
        mail.len() == versions * CONTACTS.len() && mail.iter().all(|line| line.contains("sent at"))
    });
}

#[test]
fn contacts_are_told_by_mail_with_the_calendar() {
    let shop = Shop::start_with(Options { mail: true, ..Options::default() });
    let line = ["--for=1h", "--reason=security", "--work=OpenSSL, ґанок"];
    let announced = command(&shop, "announce", &[&in_two_days(), line[0], line[1], line[2]]).output();
    let announced = announced.expect("orocloud-agent");
    let said = String::from_utf8_lossy(&announced.stderr);
    assert!(said.contains("told by mail: dora@example.com, eve@example.com"), "{said}");
    let text = String::from_utf8_lossy(&announced.stdout).into_owned();
    let id = text.split(' ').next().expect("an id").to_owned();
    all_told(&shop, &id, 1);
    window(&shop, "change", &[&format!("--id={id}"), "--for=2h", "--interrupts=yes"]);
    all_told(&shop, &id, 2);
    window(&shop, "change", &[&format!("--id={id}"), "--for=2h"]);
    window(&shop, "cancel", &[&format!("--id={id}")]);
    all_told(&shop, &id, 3);

    let taken = mail(&shop, &id);
    assert_eq!(taken.len(), 6, "once to each of two, three times: {taken:#?}");
    let mut uids = Vec::new();
    for (at, (method, status, what)) in [
        ("REQUEST", "CONFIRMED", "announced"),
        ("REQUEST", "CONFIRMED", "changed"),
        ("CANCEL", "CANCELLED", "called off"),
    ]
    .into_iter()
    .enumerate()
    {
        let version = &taken[at * 2..at * 2 + 2];
        let to: Vec<&str> = version.iter().filter_map(|mail| mail["to"][0].as_str()).collect();
        assert_eq!(to, CONTACTS, "{version:#?}");
        assert_eq!(version[0]["data"], version[1]["data"], "one message, one id");
        assert_eq!((&version[0]["tls"], &version[0]["user"]), (&true.into(), &"orocloud".into()));
        assert_eq!(version[0]["from"], "maintenance@example.com");
        let seen = read(version[0]["data"].as_str().expect("text"), true);
        let event = &seen["events"][0];
        assert_eq!((&seen["methods"][0], &seen["method"]), (&method.into(), &method.into()), "{seen}");
        assert_eq!((&event["sequence"], &event["status"]), (&at.into(), &status.into()), "{seen}");
        assert!(seen["subject"].as_str().expect("a subject").contains(what), "{seen}");
        assert!(seen["text"].as_str().expect("a text").contains("OpenSSL, ґанок"), "{seen}");
        assert_eq!(seen["attached"][0], "maintenance.ics", "{seen}");
        uids.push((event["uid"].clone(), seen["id"].clone()));
    }
    assert!(uids.iter().all(|(uid, _)| *uid == uids[0].0), "one window: {uids:?}");
    assert!(uids[0].1 != uids[1].1 && uids[1].1 != uids[2].1, "an id for each version: {uids:?}");
    let calendar = shop.cli("viewer", ["maintenance:windows", "--json"]).succeeds().json();
    assert_eq!(calendar["items"][0]["uid"], uids[0].0, "mail and calendars speak of the same event");

    // A server that takes nothing: told, and tried again until it does.
    let refuse = shop.node_dir("mail").join("mail/refuse");
    std::fs::write(&refuse, "451 4.3.0 not now\n").expect("an order to refuse");
    let id = announce(&shop, &[&in_two_days(), "--for=1h", "--reason=other", "--work=disks"]);
    wait_for("several attempts", || {
        let list = window(&shop, "list", &[]);
        list.contains("tried 2 times") && list.contains("451")
    });
    let status = shop.cli("viewer", ["status"]).run();
    let row = status.stdout.lines().find(|line| line.contains("about a maintenance window"));
    assert!(row.is_some_and(|row| row.contains("dora@example.com and 1 more")), "{status:#?}");
    // The agent ends in good order and goes on where it was.
    let maint = shop.sandbox.node("maint1").expect("a node");
    maint.restart_service("agent").expect("it starts again");
    std::fs::remove_file(&refuse).expect("no order any more");
    all_told(&shop, &id, 1);
    assert_eq!(mail(&shop, &id).len(), 2);
    let status = shop.cli("viewer", ["status"]).run();
    assert!(!status.stdout.contains("about a maintenance window to"), "{status:#?}");

    // No server at all.
    shop.sandbox.node("mail").expect("a node").kill().expect("it is killed");
    let id = announce(&shop, &[&in_two_days(), "--for=1h", "--reason=other", "--work=fans"]);
    wait_for("an attempt", || window(&shop, "list", &[]).contains("tried 1 times"));
    shop.sandbox.node("mail").expect("a node").start().expect("it starts");
    all_told(&shop, &id, 1);
    assert_eq!(mail(&shop, &id).len(), 2);

    let secret = shop.node_dir("maint1").join("etc/smtp-password");
    let secret = std::fs::read_to_string(secret).expect("a password");
    assert!(secret.len() > 20 && !shop.logs().contains(secret.trim()), "the password is in a log");
}

#[test]
fn an_agent_killed_at_any_step_of_the_outbox_tells_everybody() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).expect("open to all");
    let file = folder.path().join("failpoint");
    let variable = "OROCLOUD_FAILPOINT_FILE";
    let shop = Shop::start_with(Options {
        mail: true,
        agent_environment: vec![(variable.into(), file.display().to_string())],
        ..Options::default()
    });
    let maint = shop.sandbox.node("maint1").expect("a node");
    for (point, first, second) in
        [("queueing", 1, 1), ("queued", 1, 1), ("sending", 1, 1), ("sent", 2, 1), ("marked", 1, 1)]
    {
        let beside = folder.path().join("beside");
        std::fs::write(&beside, format!("mail/{point}")).expect("a file");
        std::fs::rename(&beside, &file).expect("a point to die at");
        let id = announce(&shop, &[&in_two_days(), "--for=1h", "--reason=other", "--work=disks"]);
        wait_for(&format!("a death at {point}"), || {
            maint.service("agent").is_ok_and(|agent| agent.pid.is_none())
        });
        maint.start_service("agent").expect("it starts again");
        all_told(&shop, &id, 1);
        let taken = mail(&shop, &id);
        let to = |who: &str| taken.iter().filter(|mail| mail["to"][0] == who).count();
        assert_eq!((to(CONTACTS[0]), to(CONTACTS[1])), (first, second), "{point}: {taken:#?}");
        assert!(taken.iter().all(|mail| mail["data"] == taken[0]["data"]), "{point}: one message, one id");
    }

    // Whoever announces dies right behind the one write: announced and told.
    std::fs::write(&file, "window/written").expect("a point to die at");
    let killed = command(&shop, "announce", &[&in_two_days(), "--for=1h", "--reason=other", "--work=fans"])
        .env(variable, &file)
        .output()
        .expect("orocloud-agent");
    assert!(!killed.status.success() && !file.exists(), "{killed:?}");
    let list = window(&shop, "list", &[]);
    let line = list.lines().find(|line| line.ends_with("fans")).expect("it is announced");
    let id = line.split(' ').next().expect("an id");
    all_told(&shop, id, 1);
    assert_eq!(mail(&shop, id).len(), 2);
}
