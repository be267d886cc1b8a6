//! Maintenance windows: announced by who runs the environment, seen by who uses it, heeded by operations.

use std::process::Command;

use jiff::{SignedDuration, Timestamp};

use crate::support::Shop;

/// `orocloud-agent window` on the maintenance node; the line of the window it was about.
fn window(shop: &Shop, word: &str, rest: &[&str]) -> String {
    let config = shop.node_dir("maint1").join("etc/agent.toml");
    let output = Command::new(shop.sandbox.program("orocloud-agent"))
        .args(["window", word, &format!("--config={}", config.display())])
        .args(rest)
        .output()
        .expect("orocloud-agent");
    assert!(output.status.success(), "{word} {rest:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn windows_are_announced_moved_called_off_and_heeded() {
    let shop = Shop::start();
    let nothing = shop.cli("viewer", ["maintenance:windows"]).succeeds();
    assert!(nothing.stdout.contains("No maintenance window between"), "{nothing:#?}");

    let now = Timestamp::now();
    let at = |hours: i64| format!("--at={}", now + SignedDuration::from_hours(hours));
    let line =
        window(&shop, "announce", &[&at(100), "--for=1h", "--reason=security", "--work=OpenSSL, at once"]);
    let id = line.split(' ').next().expect("an id").to_owned();
    let seen = || shop.cli("viewer", ["maintenance:windows", "--json"]).succeeds().json()["items"][0].clone();
    let first = seen();
    assert_eq!((&first["kind"], &first["sequence"]), (&"security".into(), &0.into()), "{first}");
    window(&shop, "change", &[&format!("--id={id}"), &at(101), "--interrupts=yes"]);
    let moved = seen();
    assert_eq!((&moved["uid"], &moved["sequence"]), (&first["uid"], &1.into()), "{moved}");
    let table = shop.cli("viewer", ["maintenance:windows"]).succeeds();
    assert!(table.stdout.contains("is interrupted") && table.stdout.contains("4d 4h"), "{table:#?}");
    window(&shop, "cancel", &[&format!("--id={id}")]);
    let calendar = shop.cli("viewer", ["maintenance:windows", "--format=ical"]).succeeds().stdout;
    for line in
        ["STATUS:CANCELLED", "SEQUENCE:2", "DESCRIPTION:OpenSSL\\, at once\\nThe shop is interrupted."]
    {
        assert!(calendar.contains(&format!("\r\n{line}\r\n")), "{line} in {calendar}");
    }

    // One that is open keeps code and data as they are, unless that is wished.
    window(&shop, "announce", &[&at(-1), "--for=48h", "--reason=other", "--work=new disks"]);
    let status = shop.cli("viewer", ["status"]).run();
    assert!(status.stdout.contains("open until") && status.stdout.contains("new disks"), "{status:#?}");
    let refused = shop.cli("developer", ["deploy", "--reference=no-such-tag", "-n"]).ends_with(7);
    assert!(refused.stderr.contains("--ignore-window"), "{refused:#?}");
    let tried = shop.cli("developer", ["deploy", "--reference=no-such-tag", "--ignore-window", "-n"]).run();
    assert!(tried.code != 7 && tried.stderr.contains("no-such-tag"), "{tried:#?}");

    // What ran in it is history.
    let history = shop.cli("viewer", ["maintenance:windows", "-v"]).succeeds();
    assert!(history.stdout.contains("deploy --reference=no-such-tag"), "{history:#?}");
    for wrong in [["--from=tomorrow"], ["--until=2020-01-01T00:00:00Z"]] {
        shop.cli("viewer", ["maintenance:windows", wrong[0]]).ends_with(2);
    }
}
