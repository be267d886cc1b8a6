//! The story that `cargo xtask demo` tells, asserted by psql, curl and the files themselves. It runs as root and
//! as an ordinary user.

use std::io::{BufRead, BufReader};

use serde_json::json;

use crate::support::wire::Bridge;
use crate::support::{Answer, Shop, end, moment, order, wait_for};

#[test]
fn story() {
    let shop = Shop::start();

    // Nothing is there yet, and status says so with the next command.
    assert_eq!(shop.page().0, 503);
    let status = shop.cli("viewer", ["status"]).succeeds();
    assert!(status.text().contains("orocloud-cli deploy"), "{status:#?}");

    // The first deployment, on both nodes, once.
    let deploy = shop.cli("developer", ["deploy", "--reference=1.0.0", "-n"]).succeeds();
    for step in ["source:fetch", "package:build", "release:unpack", "release:switch"] {
        assert!(deploy.stderr.contains(step), "{step} is shown: {deploy:#?}");
    }
    for node in ["web1", "web2"] {
        let (status, body) = shop.page_of(node);
        assert_eq!(status, 200, "{node}: {body}");
        assert!(body.contains("1.0.0") && body.contains(node), "{node}: {body}");
    }
    wait_for("the shop behind the load balancer", || shop.page().0 == 200);
    assert_eq!(shop.sql("select count(*) from oro_user"), "1", "the install commands ran once");
    let names = |node: &str| shop.release_on(node).and_then(|path| path.file_name().map(ToOwned::to_owned));
    assert_eq!(names("web1"), names("web2"));
    shop.cli("developer", ["deploy", "--reference=1.0.1", "-n"]).ends_with(7);

    // Orders come in, and a recovery point is taken.
    order(&shop, 10);
    shop.cli("developer", ["backup:create", "--label=before-disaster", "-n"]).succeeds();
    let list = shop.cli("viewer", ["backup:list"]).succeeds();
    assert!(list.stdout.contains("before-disaster"), "{list:#?}");
    assert!(list.stderr.contains("Total 2 items"), "the first one came with the deployment: {list:#?}");
    assert!(shop.sandbox.pgbackrest(&["info"]).unwrap().contains("cipher: aes-256-cbc"));

    // More orders, then the mistake.
    order(&shop, 15);
    let before = shop.orders();
    let moment_before = moment(&shop);
    shop.sql("delete from orders");
    assert_eq!(shop.orders(), 0);

    shop.cli("viewer", ["backup:window"]).succeeds();
    let to = format!("--to={moment_before}");
    shop.cli("developer", ["backup:restore", &to, "--preview", "-n"]).ends_with(4);
    let preview = shop.cli("operator", ["backup:restore", &to, "--preview", "-n"]).succeeds();
    assert_eq!(row_of(&preview, "orders"), [before.to_string(), "0".to_owned(), format!("+{before}")]);
    assert_eq!(row_of(&preview, "oro_user"), ["1", "1", "same"]);
    assert_eq!(shop.orders(), 0, "a preview changes nothing");

    // A script without the confirmation is refused, with it the shop comes back to that very moment.
    shop.cli("operator", ["backup:restore", &to, "-n"]).ends_with(7);
    shop.cli("operator", ["backup:restore", &to, "--force", "-n"]).ends_with(7);
    shop.cli("operator", ["backup:restore", &to, "--force", "--confirm=acme-stag1", "-n"]).ends_with(7);
    // It is the agent that refuses: another program than ours, as the operator, without what proves the confirmation.
    let certificate = shop.sandbox.caller("operator").certificate.expect("a certificate");
    let certificate = std::fs::read_to_string(certificate).expect("its text");
    let params = json!({
        "target": { "time": moment_before }, "scope": "database-and-code", "media": false, "preview": false, "options": {},
    });
    let answer = Bridge::start(&shop, certificate.trim()).call("backup.restore", &params).expect("an answer");
    assert_eq!(answer["error"]["data"]["kind"], "refused", "{answer}");
    assert!(answer.to_string().contains("--force --confirm=acme-prod1"), "{answer}");
    assert_eq!(shop.orders(), 0);
    let pages = ["web1", "web2"].map(|node| maintenance_pages(&shop, node));
    let restore =
        shop.cli("operator", ["backup:restore", &to, "--force", "--confirm=acme-prod1", "-n"]).succeeds();
    assert_eq!(shop.orders(), before, "{restore:#?}");
    for (node, pages) in ["web1", "web2"].into_iter().zip(pages) {
        assert!(maintenance_pages(&shop, node) > pages, "{node} has shown the maintenance page");
        assert_eq!(shop.page_of(node).0, 200, "{node}: the maintenance page is down again");
    }

    // The undo that was printed brings the empty table back, and is itself undone.
    let undo = undo_of(&restore.text());
    let undone =
        shop.cli("operator", ["backup:restore", &undo, "--force", "--confirm=acme-prod1", "-n"]).succeeds();
    assert_eq!(shop.orders(), 0, "{undone:#?}");
    let undo = undo_of(&undone.text());
    shop.cli("operator", ["backup:restore", &undo, "--force", "--confirm=acme-prod1", "-n"]).succeeds();
    assert_eq!(shop.orders(), before);
    wait_for("the shop behind the load balancer", || shop.page().0 == 200);
    order(&shop, 1);
    assert_eq!(shop.orders(), before + 1, "the shop works on");

    follow_logs(&shop);

    // All of that is in the journal, with who did it.
    let list = shop.cli("viewer", ["log:list", "--format=json"]).succeeds().json();
    let items = list["items"].as_array().expect("items");
    let methods: Vec<&str> = items.iter().filter_map(|item| item["method"].as_str()).collect();
    assert_eq!(methods.iter().filter(|method| **method == "backup.restore").count(), 4, "{methods:?}");
    assert!(items.iter().any(|item| item["caller"] == "dora@acme.example (developer)"), "{items:?}");
    assert!(items.iter().any(|item| item["caller"] == "otto@acme.example (operator)"), "{items:?}");
    let deployment = items.iter().find(|item| item["method"] == "deploy").expect("the deployment");
    let id = deployment["id"].as_str().expect("an id");
    let view = shop.cli("viewer", ["log:view", id]).succeeds();
    assert!(view.text().contains("release:switch"), "{view:#?}");
    let month = &moment_before[..7];
    assert!(shop.sandbox.journal_dir().join(month).join(id).join("events.ndjson").exists());
}

/// Rows then, now, and the change of one table, as it was printed.
fn row_of(preview: &Answer, table: &str) -> Vec<String> {
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_owned()).collect() };
    let row = preview.stdout.lines().map(cells).find(|cells| cells.get(1).is_some_and(|name| name == table));
    row.unwrap_or_else(|| panic!("{table} has no row: {preview:#?}"))[2..5].to_vec()
}

/// How many requests a node has answered with 503, by its own log: whoever puts the page up looks at it there.
fn maintenance_pages(shop: &Shop, node: &str) -> usize {
    let log = std::fs::read_to_string(shop.node_dir(node).join("log/access.log")).expect("its log");
    log.lines().filter(|line| line.contains("\" 503 ")).count()
}

fn undo_of(text: &str) -> String {
    let at = text.find("--undo=").unwrap_or_else(|| panic!("no undo is printed: {text}"));
    text[at..].split_whitespace().next().unwrap_or_default().trim_matches(['`', '"', '\'', '.']).to_owned()
}

fn follow_logs(shop: &Shop) {
    for _ in 0..4 {
        shop.page_of("web1");
        shop.page_of("web2");
    }
    let tail = shop.cli("viewer", ["log:tail", "nginx", "app", "--lines=20", "--no-follow"]).succeeds();
    assert!(tail.stdout.contains("web1") && tail.stdout.contains("web2"), "{tail:#?}");

    let tail = shop.cli("viewer", ["log:tail", "nginx", "--lines=50", "--no-follow", "--json"]).succeeds();
    let entries: Vec<(jiff::Timestamp, String)> = tail
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|entry: &serde_json::Value| entry["event"] == "log")
        .map(|entry| {
            let time = entry["time"].as_str().and_then(|time| time.parse().ok()).expect("a time");
            (time, entry["node"].as_str().expect("a node").to_owned())
        })
        .collect();
    assert!(entries.len() >= 8, "{tail:#?}");
    assert!(entries.is_sorted_by_key(|(time, _)| time), "merged by time: {entries:#?}");
    let turns = entries.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    assert!(turns > 3, "one node's lines stand between those of the other: {entries:#?}");

    let mut following = shop.cli("viewer", ["log:tail", "nginx", "--lines=0"]).spawn();
    let mut lines = BufReader::new(following.stdout.take().expect("its output")).lines();
    let marks = std::thread::spawn({
        let url = shop.sandbox.node_url("web2").expect("a node");
        move || {
            // Until somebody follows, a request may come too early.
            for number in 0..200 {
                let _ =
                    std::process::Command::new("curl").args(["-s", &format!("{url}?mark={number}")]).output();
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    });
    let seen = lines.by_ref().map_while(Result::ok).find(|line| line.contains("mark="));
    assert!(seen.is_some(), "an entry written while following is shown");
    assert_eq!(end(following, "INT").code, 0, "Ctrl-C ends a stream well");
    drop(lines);
    let matched = shop.cli("viewer", ["log:tail", "nginx", "--until-match=mark="]).succeeds();
    assert!(matched.stdout.contains("mark="));
    marks.join().expect("the requests");
    wait_for("the shop", || shop.page().0 == 200);
}
