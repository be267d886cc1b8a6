//! Scripts: no terminal, closed pipes, stable answers.

use std::process::Stdio;

use crate::support::deployed;

/// What each command is given here, so that it can be called at any time and changes nothing; `None` for one that is
/// new and has to be thought of.
fn arguments(command: &str, operation: &str, point: &str) -> Option<Vec<String>> {
    let words: &[&str] = match command {
        "help" => &["exit-codes"],
        "completion" => &["zsh"],
        "env:use" => &["acme-prod1"],
        "log:tail" => &["--no-follow", "--lines=5"],
        "log:view" | "operation:wait" | "operation:cancel" => &[operation],
        "status"
        | "env:list"
        | "env:info"
        | "backup:list"
        | "backup:window"
        | "log:list"
        | "log:sources"
        | "operation:list"
        | "release:list"
        | "queue:list"
        | "app:package:list"
        | "maintenance:status"
        | "maintenance:windows"
        | "smtp:show"
        | "smtp:queue"
        | "smtp:dns"
        | "shell" => &[],
        "backup:restore" => &[point, "--dry-run"],
        "deploy" | "upgrade" | "upgrade:source" | "upgrade:rolling" => &["--reference=1.0.1", "--dry-run"],
        "app:package:build" | "app:package:upgrade" | "app:package:deploy" => &["1.0.1", "--dry-run"],
        "backup:create" | "maintenance:on" | "maintenance:off" | "emergency:on" | "emergency:off"
        | "release:rollback" => &["--dry-run"],
        "smtp:relay:set" => &["main", "--host=smtp.example.com", "--dry-run"],
        "smtp:relay:remove" => &["main", "--dry-run"],
        "smtp:test" => &["--to=ann@example.com", "--dry-run"],
        "smtp:whitelist" => &["show"],
        _ if command.starts_with("service:status") => &[],
        _ if command.starts_with("service:") => &["--dry-run"],
        _ => return None,
    };
    let words = words.iter().map(|word| (*word).to_owned());
    Some(std::iter::once(command.to_owned()).chain(words).collect())
}

#[test]
fn every_command_works_without_a_terminal_and_into_a_closed_pipe() {
    let shop = deployed();
    let listing = shop.cli("viewer", []).succeeds().stdout;
    let commands: Vec<&str> = listing
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once("  "))
        .map(|(name, _)| name.trim())
        .collect();
    assert!(commands.len() > 30 && commands.contains(&"log:tail"), "{listing}");
    let first = |list: [&str; 2], field: &str| {
        let items = shop.cli("viewer", list).succeeds().json();
        items["items"][0][field].as_str().expect(field).to_owned()
    };
    let operation = first(["log:list", "--format=json"], "id");
    let point = first(["backup:list", "--format=json"], "name");
    let known = commands.into_iter().map(|command| {
        arguments(command, &operation, &point)
            .unwrap_or_else(|| panic!("{command} has no line in this test's table"))
    });
    for arguments in known.chain([vec![], vec!["--version".to_owned()], vec!["--help".to_owned()]]) {
        let mut cli = shop.cli("owner", []);
        cli.command.args(&arguments);
        let answer = cli.run();
        assert!(!answer.text().contains('\u{1b}'), "no escape codes: {arguments:?} {answer:#?}");
        // Some are refused here: an application is there; there is no package, no earlier release, no queue, no service, and
        // no mail node.
        let refused = ["deploy", "app:package:deploy", "release:rollback", "queue:list", "service:", "smtp:"];
        let name = arguments.first().map_or("", String::as_str);
        if !refused.iter().any(|refused| name.starts_with(refused)) {
            assert_eq!(answer.code, 0, "{arguments:?}: {answer:#?}");
        }

        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut cli = shop.cli("owner", []);
        cli.command.args(&arguments).stdout(writer).stderr(Stdio::null());
        let code = cli.command.status().expect("it ends").code();
        assert_eq!(code, Some(answer.code), "{arguments:?} into a closed pipe");
    }
}

#[test]
fn an_operation_goes_on_when_nobody_reads_what_it_prints() {
    let shop = deployed();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut cli = shop.cli("developer", ["backup:create", "--label=nobody reads", "--wait-lock=150s", "-n"]);
    cli.command.stdout(writer).stderr(Stdio::null());
    assert_eq!(cli.command.status().expect("it ends").code(), Some(0));
    let list = shop.cli("viewer", ["backup:list"]).succeeds();
    assert!(list.stdout.contains("nobody reads"), "{list:#?}");
}

#[test]
fn every_log_that_is_listed_can_be_read() {
    let shop = deployed();
    let sources = shop.cli("viewer", ["log:sources", "--format=json"]).succeeds().json();
    let items = sources["items"].as_array().expect("items");
    assert!(items.iter().any(|item| item["source"] == "php-fpm"), "{sources}");
    for item in items.iter().filter(|item| item["bytes"].as_u64() > Some(0)) {
        let (source, node) =
            (item["source"].as_str().expect("a source"), item["node"].as_str().expect("a node"));
        let node = format!("--node={node}");
        let tail = shop.cli("viewer", ["log:tail", source, &node, "--lines=1", "--no-follow"]).succeeds();
        assert!(!tail.stdout.is_empty() && !tail.stderr.contains("cannot"), "{item}: {tail:#?}");
    }
}

#[test]
fn what_programs_read_is_json() {
    let shop = deployed();
    for command in
        ["status", "env:info", "backup:list", "backup:window", "log:list", "log:sources", "operation:list"]
    {
        shop.cli("viewer", [command, "--format=json"]).succeeds().json();
    }
    // Of backups the agent may take another one in between.
    let both =
        [shop.cli("viewer", ["release", "list"]).succeeds(), shop.cli("viewer", ["release:list"]).succeeds()];
    assert_eq!(both[0].stdout, both[1].stdout, "`topic command` is `topic:command`");
}

#[test]
fn wrong_usage_ends_with_2_and_shows_the_way() {
    let shop = deployed();
    for arguments in
        [&["bakup:list"][..], &["backup:list", "--pgae=2"], &["backup:restore"], &["log:view", "x"]]
    {
        let mut cli = shop.cli("operator", []);
        cli.command.args(arguments);
        let answer = cli.ends_with(2);
        assert!(answer.stdout.is_empty() && !answer.stderr.is_empty(), "{arguments:?}: {answer:#?}");
    }
}
