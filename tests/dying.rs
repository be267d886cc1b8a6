//! What a customer's command leaves running is gone before the next operation begins, however its operation ended.

use std::io::Write;
use std::process::{Command, Stdio};

use orocloud_protocol::CallId;

use crate::support::{Shop, wait_for};

/// A version of the shop whose installation starts a program that wants to stay, and hangs.
fn tag_that_hangs(shop: &Shop, lasts: &str) {
    let path = "src/Console/InstallCommand.php";
    let root = env!("CARGO_MANIFEST_DIR");
    let source =
        std::fs::read_to_string(format!("{root}/crates/sandbox/shop/1.0.0/{path}")).expect("a command");
    let (before, after) = source.split_once("OutputInterface $output): int\n    {\n").expect("its beginning");
    let content = format!(
        "{before}OutputInterface $output): int\n    {{\n        exec('setsid sleep {lasts} > /dev/null 2>&1 &');\n        sleep(86400);\n{after}"
    );
    let who = "Ann Author <ann@acme.example> 1767603600 +0000";
    let stream = format!(
        "commit refs/heads/hanging\nmark :1\nauthor {who}\ncommitter {who}\ndata 4\nhang\nfrom refs/tags/1.0.0^0\n\
         M 100644 inline {path}\ndata {}\n{content}\nreset refs/tags/hangs\nfrom :1\n\ndone\n",
        content.len()
    );
    let mut git = Command::new("git")
        .args(["-c", "safe.directory=*", "-C"])
        .arg(shop.sandbox.git_repository())
        .args(["fast-import", "--done", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("git");
    git.stdin.take().expect("its input").write_all(stream.as_bytes()).expect("written");
    assert!(git.wait().expect("its end").success());
}

/// Whether such a program runs anywhere on this machine.
fn stays(lasts: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| line == format!("sleep\0{lasts}\0").as_bytes())
}

#[test]
fn what_forks_and_stays_is_gone_when_its_operation_was_cancelled_or_its_agent_died() {
    let shop = Shop::start();
    let lasts = format!("7{:07}", std::process::id());
    tag_that_hangs(&shop, &lasts);
    let nothing_is_there = |what: &str| {
        assert!(!stays(&lasts), "{what}\n{}", shop.logs());
        assert_eq!((shop.release_on("web1"), shop.release_on("web2")), (None, None), "{what}");
        let tables = shop.sql("select count(*) from pg_tables where schemaname = 'public'");
        assert_eq!(tables, "0", "{what}");
    };

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    let id = CallId::from_parts(u64::try_from(now.as_millis()).expect("a time"), 1).to_string();
    let deploy = ["deploy", "--reference=hangs", "-n"];
    let hanging = shop.cli("developer", ["deploy", "--reference=hangs", "-n", "--operation-id", &id]).spawn();
    wait_for("a program that stays", || stays(&lasts));
    shop.cli("developer", ["operation:cancel", &id]).succeeds();
    let output = hanging.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    nothing_is_there("cancelled");

    let web1 = shop.sandbox.node("web1").expect("web1");
    let hanging = shop.cli("developer", deploy).spawn();
    wait_for("a program that stays", || stays(&lasts));
    web1.kill_service("agent").expect("killed");
    wait_for("its end with the agent", || !stays(&lasts));
    web1.start_service("agent").expect("it starts again");
    let output = hanging.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(1), "{}\n{}", String::from_utf8_lossy(&output.stderr), shop.logs());
    nothing_is_there("the agent of web1 died");

    shop.deploy("1.0.0");
    assert_eq!(shop.page().0, 200);
}
