//! Applications that misbehave while they are built and updated.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Shop, wait_for};

/// Makes a branch, or moves it: the version 1.0.0 with other files.
fn branch(shop: &Shop, name: &str, files: &[(&str, &str)]) {
    let mut stream = format!(
        "commit refs/heads/{name}\ncommitter Ann <ann@acme.example> 1768000000 +0000\ndata 1\nx\nfrom refs/tags/1.0.0^0\n"
    );
    for (path, content) in files {
        stream += &format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len());
    }
    let mut git = Command::new("git")
        .args(["-c", "safe.directory=*", "-C"])
        .arg(shop.sandbox.git_repository())
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("git");
    git.stdin.take().expect("its input").write_all(stream.as_bytes()).expect("the commit");
    assert!(git.wait().expect("its end").success());
}

/// A console command `oro:hostile` that does this, and a configuration whose upgrade runs it.
fn update_that(shop: &Shop, name: &str, php: &str) {
    let command = format!(
        "<?php\nnamespace Acme\\Shop\\Console;\n\
         use Symfony\\Component\\Console\\Input\\InputInterface;\n\
         use Symfony\\Component\\Console\\Output\\OutputInterface;\n\
         final class HostileCommand extends ShopCommand {{\n\
         protected static $defaultName = 'oro:hostile';\n\
         protected function execute(InputInterface $input, OutputInterface $output): int {{ {php} return 0; }}\n}}\n"
    );
    let configuration = "orocloud_options:\n  deployment:\n    upgrade_commands:\n      - 'oro:hostile'\n";
    branch(
        shop,
        name,
        &[("VERSION", name), ("orocloud.yaml", configuration), ("src/Console/HostileCommand.php", &command)],
    );
}

fn as_before(shop: &Shop, what: &str) {
    for node in ["web1", "web2"] {
        assert_eq!(shop.page_of(node).0, 200, "{what}: {node}");
        assert_eq!(shop.version_on(node), "1.0.0", "{what}");
    }
}

/// The file of this name in the cache of whichever release has it.
fn in_cache(shop: &Shop, name: &str) -> Option<PathBuf> {
    let releases = fs::read_dir(shop.node_dir("web1").join("app/deploy")).ok()?;
    releases
        .flatten()
        .map(|release| release.path().join("var/cache/prod").join(name))
        .find(|file| file.exists())
}

#[test]
fn updates_that_hang_die_or_talk_without_end() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    let upgrade = |name: &str| {
        shop.cli("developer", ["upgrade", &format!("--reference={name}"), "--skip-backup", "-n"])
    };

    // It hangs, and has left a process behind: both are gone once it is cancelled, and the shop is as before.
    update_that(
        &shop,
        "hangs",
        "$forked = trim(shell_exec('sleep 1000 > /dev/null 2>&1 & echo $!'));\
         file_put_contents($this->settings->cacheFolder . '/.forked', $forked);\
         rename($this->settings->cacheFolder . '/.forked', $this->settings->cacheFolder . '/forked');\
         while (true) { sleep(1000); }",
    );
    let hanging = upgrade("hangs").spawn();
    wait_for("the update", || in_cache(&shop, "forked").is_some());
    let forked = fs::read_to_string(in_cache(&shop, "forked").expect("its file")).expect("a process id");
    assert!(fs::exists(format!("/proc/{forked}")).expect("/proc"), "{forked} runs");
    assert_eq!(shop.page().0, 503);
    let running = shop.cli("viewer", ["operation:list", "--format=json"]).succeeds().json();
    let id = running["items"][0]["id"].as_str().expect("an operation").to_owned();
    shop.cli("developer", ["operation:cancel", &id, "-n"]).succeeds();
    let hung = hanging.wait_with_output().expect("its end");
    assert_eq!(hung.status.code(), Some(7), "{}", String::from_utf8_lossy(&hung.stderr));
    wait_for("the end of what it left behind", || !fs::exists(format!("/proc/{forked}")).expect("/proc"));
    as_before(&shop, "an update that hangs");

    update_that(&shop, "dies", "posix_kill(getmypid(), SIGKILL);");
    let died = upgrade("dies").ends_with(1);
    assert!(died.stderr.contains("oro:hostile"), "{died:#?}");
    as_before(&shop, "an update that dies");

    // More than is kept; the beginning and the end are.
    update_that(
        &shop,
        "talks",
        "$output->writeln('it begins'); for ($i = 0; $i < 40; ++$i) { $output->writeln(str_repeat(str_repeat('x', 1023) . \"\\n\", 1024)); }\
         $output->writeln('it ends');",
    );
    upgrade("talks").succeeds();
    let list = shop.cli("viewer", ["log:list", "--format=json"]).succeeds().json();
    let talked = list["items"][0]["id"].as_str().expect("an operation").to_owned();
    let journal =
        shop.sandbox.journal_dir().join(shop.sql("select to_char(now() at time zone 'UTC', 'YYYY-MM')"));
    let kept = fs::metadata(journal.join(&talked).join("events.ndjson")).map_or(0, |file| file.len());
    assert!(kept < 30_000_000, "{kept} bytes are kept");
    let view = shop.cli("viewer", ["log:view", &talked, "-v"]).succeeds();
    assert!(
        view.text().contains("it begins") && view.text().contains("it ends"),
        "beginning and end are kept"
    );
}

#[test]
fn builds_that_fail_and_references_that_move() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    let composer = |script: &str| {
        format!(
            r#"{{"name":"acme/shop","type":"project","repositories":[{{"packagist.org":false}}],"require":{{"php":">=8.1","ext-pdo":"*","ext-pdo_pgsql":"*"}},"autoload":{{"psr-4":{{"Acme\\Shop\\":"src/"}}}},"scripts":{{"post-install-cmd":"{script}"}}}}"#
        )
    };
    branch(&shop, "fails", &[("composer.json", &composer("echo no such license >&2; exit 3"))]);
    let failed = shop.cli("developer", ["upgrade:source", "--reference=fails", "-n"]).ends_with(1);
    assert!(
        failed.stderr.contains("source:build") && failed.stderr.contains("no such license"),
        "{failed:#?}"
    );
    as_before(&shop, "a build that fails");

    // What was fetched is what is built and served, wherever the branch goes meanwhile.
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("open to all");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let waits = format!("touch {}; while [ ! -e {} ]; do sleep 0.1; done", at("built"), at("go"));
    branch(&shop, "moves", &[("composer.json", &composer(&waits)), ("VERSION", "first\n")]);
    let upgrade = shop.cli("developer", ["upgrade:source", "--reference=moves", "-n"]).spawn();
    wait_for("composer", || folder.path().join("built").exists());
    branch(&shop, "moves", &[("VERSION", "second\n")]);
    fs::write(folder.path().join("go"), "").expect("the word");
    let output = upgrade.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for node in ["web1", "web2"] {
        assert_eq!(shop.version_on(node), "first");
    }
    shop.cli("developer", ["upgrade:source", "--reference=moves", "-n"]).succeeds();
    assert_eq!(shop.version_on("web1"), "second");
}
