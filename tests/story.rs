//! The story that `cargo xtask demo` tells, asserted by psql, curl and the files themselves. It runs as root and
//! as an ordinary user.

use std::io::{BufRead, BufReader};

use crate::support::{Shop, end, moment, order, wait_for};

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
    assert_eq!(shop.page().0, 200);
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
    assert!(
        preview.text().contains("orders") && preview.text().contains(&before.to_string()),
        "{preview:#?}"
    );
    assert_eq!(shop.orders(), 0, "a preview changes nothing");

    // A script without the confirmation is refused, with it the shop comes back to that very moment.
    shop.cli("operator", ["backup:restore", &to, "-n"]).ends_with(7);
    shop.cli("operator", ["backup:restore", &to, "--force", "-n"]).ends_with(7);
    shop.cli("operator", ["backup:restore", &to, "--force", "--confirm=acme-stag1", "-n"]).ends_with(7);
    assert_eq!(shop.orders(), 0);
    let restore =
        shop.cli("operator", ["backup:restore", &to, "--force", "--confirm=acme-prod1", "-n"]).succeeds();
    assert_eq!(shop.orders(), before, "{restore:#?}");
    assert_eq!(shop.page().0, 200, "the maintenance page is down again");

    // The undo that was printed brings the empty table back, and is itself undone.
    let undo = undo_of(&restore.text());
    let undone =
        shop.cli("operator", ["backup:restore", &undo, "--force", "--confirm=acme-prod1", "-n"]).succeeds();
    assert_eq!(shop.orders(), 0, "{undone:#?}");
    let undo = undo_of(&undone.text());
    shop.cli("operator", ["backup:restore", &undo, "--force", "--confirm=acme-prod1", "-n"]).succeeds();
    assert_eq!(shop.orders(), before);
    assert_eq!(shop.page().0, 200);
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

    let entries = shop.cli("viewer", ["log:tail", "nginx", "--lines=50", "--no-follow", "--json"]).succeeds();
    let times: Vec<String> = entries
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|entry| entry["time"].as_str().map(ToOwned::to_owned))
        .collect();
    assert!(times.len() >= 8, "{entries:#?}");

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
