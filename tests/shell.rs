//! `shell`: one connection for many commands, scripts by a pipe, a prompt at a terminal.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use orocloud_sandbox::CallerSpec;

use crate::support::terminal::Terminal;
use crate::support::{Answer, Shop, deployed};

/// Runs a script as a caller of its own, so that the connections made for it can be counted.
fn script(shop: &Shop, caller: &str, role: &str, text: &str) -> (Answer, usize) {
    let files = shop.issue(CallerSpec::new(caller, &format!("{role}@acme-prod1")));
    let mut cli = shop.cli_as(&files, ["shell"]);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(text.as_bytes()).expect("less than a pipe holds");
    drop(writer);
    cli.command.stdin(Stdio::from(reader));
    (cli.run(), connections(shop, caller))
}

/// How often this caller signed in at maint1.
fn connections(shop: &Shop, caller: &str) -> usize {
    let log = shop.sandbox.node("maint1").expect("maint1").dir().join("log/sshd.log");
    let log = fs::read(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    let id = format!("{caller}@acme.example");
    String::from_utf8_lossy(&log)
        .lines()
        .filter(|line| line.contains("Accepted publickey") && line.contains(&id))
        .count()
}

#[test]
fn a_script_runs_line_by_line_over_one_connection() {
    let shop = deployed();
    let text = "# what there is\n\nstatus --format=json\nbackup list\norocloud-cli log:list --per-page=1\n\
                log:tail nginx --no-follow --lines=1\nlog:list --log='a file' >\n";
    let (answer, made) = script(shop, "shell-reads", "viewer", text);
    assert_eq!(answer.code, 2, "the last line has one word too many: {answer:#?}");
    assert!(answer.stdout.starts_with('{'), "{answer:#?}");
    assert!(answer.stdout.contains("| DATE"), "{answer:#?}");
    assert!(answer.stderr.contains("Stopped at line 7 of the input, exit code 2: log:list"), "{answer:#?}");
    assert_eq!(made, 1, "{answer:#?}");
}

#[test]
fn a_script_ends_at_the_first_failure_with_its_code() {
    let shop = deployed();
    for (caller, line, code) in [
        ("shell-usage", "backup:lst", 2),
        ("shell-quote", "backup:create --label='x", 2),
        ("shell-role", "backup:create", 4),
        ("shell-inside", "shell", 2),
        ("shell-elsewhere", "-E acme-stag1 status", 2),
    ] {
        let text = format!("operation:list\n{line}\nenv:info\n");
        let (answer, _) = script(shop, caller, "viewer", &text);
        assert_eq!(answer.code, code, "{line}: {answer:#?}");
        assert!(answer.stderr.contains("error:") && answer.stderr.contains("line 2"), "{line}: {answer:#?}");
        assert!(!answer.stdout.contains("web1"), "nothing runs behind it: {line}: {answer:#?}");
    }
    let (answer, _) = script(shop, "shell-exit", "viewer", "operation:list\nexit\nbackup:lst\n");
    assert_eq!(answer.code, 0, "{answer:#?}");
}

#[test]
fn a_prompt_names_production_in_red_completes_and_remembers() {
    let shop = deployed();
    let point = shop.cli("viewer", ["backup:list", "--json"]).succeeds().json();
    let point = point["items"][0]["name"].as_str().expect("a recovery point").to_owned();
    let state = tempfile::tempdir().expect("a folder");
    let begin = || {
        let mut cli = shop.cli("viewer", ["shell"]);
        cli.command.env("XDG_STATE_HOME", state.path()).env("TERM", "xterm");
        Terminal::start(cli.command)
    };
    const PROMPT: &str = "acme-prod1 (prod)\u{1b}[0m> ";

    let mut shell = begin();
    shell.wait_for(&format!("\u{1b}[1;31m{PROMPT}"));
    shell.types("backup:li\t");
    shell.wait_for("backup:list ");
    shell.types("--per-page=1\r");
    shell.wait_for("| DATE");
    shell.wait_for(PROMPT);
    // Another one may have been made within the same ten minutes: then they are listed.
    shell.types(&format!("backup:restore {}\t\t", &point[..point.len() - 1]));
    shell.wait_for(&point);
    // A line that is given up, a mistake that does not end the shell, and one that is to be forgotten.
    shell.types("\u{3}");
    // A list is followed by the prompt of the same line.
    const END_OF_LINE: &str = "\u{1b}[?2004l";
    shell.wait_for(END_OF_LINE);
    shell.wait_for(PROMPT);
    shell.types("frobnicate\r");
    shell.wait_for("there is no command `frobnicate`");
    shell.wait_for(PROMPT);
    shell.types(" env:info\r");
    shell.wait_for("web2");
    shell.wait_for(PROMPT);
    // Ctrl-C ends what runs, not the shell.
    shop.page_of("web1");
    shell.types("log:tail nginx\r");
    shell.wait_for("GET /");
    shell.types("\u{3}");
    shell.wait_for(PROMPT);
    shell.types("exit\r");
    assert_eq!(shell.ends(), 0);

    let history = fs::read_to_string(state.path().join("orocloud/history")).expect("a history");
    assert!(history.contains("backup:list --per-page=1") && !history.contains("env:info"), "{history}");
    let mut shell = begin();
    shell.wait_for(PROMPT);
    // The line before the last one.
    shell.types("\u{1b}[A\u{1b}[A\r");
    shell.wait_for("GET /");
    shell.types("\u{3}");
    shell.wait_for(PROMPT);
    shell.types("\u{4}");
    assert_eq!(shell.ends(), 0);
}
