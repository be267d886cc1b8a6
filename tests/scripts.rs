//! Scripts: no terminal, closed pipes, stable answers.

use std::process::Stdio;

use crate::support::deployed;

/// Commands that a viewer may call at any time.
const READS: &[&[&str]] = &[
    &[],
    &["--version"],
    &["help", "exit-codes"],
    &["status"],
    &["env:list"],
    &["env:info"],
    &["backup:list"],
    &["backup:window"],
    &["log:list"],
    &["log:sources"],
    &["log:tail", "--no-follow", "--lines=5"],
    &["operation:list"],
    &["completion", "bash"],
    &["completion", "zsh"],
    &["completion", "fish"],
];

#[test]
fn every_read_works_without_a_terminal_and_into_a_closed_pipe() {
    let shop = deployed();
    for arguments in READS {
        let mut cli = shop.cli("viewer", []);
        cli.command.args(*arguments);
        let answer = cli.succeeds();
        assert!(!answer.text().contains('\u{1b}'), "no escape codes: {arguments:?} {answer:#?}");

        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut cli = shop.cli("viewer", []);
        cli.command.args(*arguments).stdout(writer).stderr(Stdio::null());
        assert_eq!(
            cli.command.status().expect("it ends").code(),
            Some(0),
            "{arguments:?} into a closed pipe"
        );
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
    let both =
        [shop.cli("viewer", ["backup", "list"]).succeeds(), shop.cli("viewer", ["backup:list"]).succeeds()];
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
