//! Applications that misbehave while they are built and updated.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Cli, Shop, wait_for};

/// Makes a branch, or moves it: the version 1.0.0 with other files.
pub fn branch(shop: &Shop, name: &str, files: &[(&str, &str)]) {
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
    version_that(shop, name, "upgrade_commands: ['oro:hostile']", php);
}

/// The same with this in the `deployment` part of orocloud.yaml.
pub fn version_that(shop: &Shop, name: &str, deployment: &str, php: &str) {
    let command = format!(
        "<?php\nnamespace Acme\\Shop\\Console;\n\
         use Symfony\\Component\\Console\\Input\\InputInterface;\n\
         use Symfony\\Component\\Console\\Output\\OutputInterface;\n\
         final class HostileCommand extends ShopCommand {{\n\
         protected static $defaultName = 'oro:hostile';\n\
         protected function execute(InputInterface $input, OutputInterface $output): int {{ {php} return 0; }}\n}}\n"
    );
    let configuration = format!("orocloud_options:\n  deployment:\n    {deployment}\n");
    branch(
        shop,
        name,
        &[("VERSION", name), ("orocloud.yaml", &configuration), ("src/Console/HostileCommand.php", &command)],
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

/// PHP that hangs and has left a process behind, which is told in a file.
pub const HANG: &str = "$forked = trim(shell_exec('sleep 1000 > /dev/null 2>&1 & echo $!'));\
    @mkdir($this->settings->cacheFolder, 0777, true);\
    file_put_contents($this->settings->cacheFolder . '/.forked', $forked);\
    rename($this->settings->cacheFolder . '/.forked', $this->settings->cacheFolder . '/forked');\
    while (true) { sleep(1000); }";

/// An operation that runs [`HANG`] in this step. Once it is cancelled, that and what it left behind are gone.
pub fn hangs_until_it_is_cancelled(shop: &Shop, step: &str, cli: Cli<'_>, meanwhile: impl FnOnce()) {
    let mut hanging = cli.spawn();
    wait_for(step, || in_cache(shop, "forked").is_some());
    let forked = fs::read_to_string(in_cache(shop, "forked").expect("its file")).expect("a process id");
    assert!(fs::exists(format!("/proc/{forked}")).expect("/proc"), "{forked} runs");
    meanwhile();
    let running = shop.cli("viewer", ["operation:list", "--format=json"]).succeeds().json();
    assert!(running["items"][0]["step"].as_str().is_some_and(|at| at.contains(step)), "{running}");
    let id = running["items"][0]["id"].as_str().expect("an operation").to_owned();
    shop.cli("developer", ["operation:cancel", &id, "-n"]).succeeds();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(150);
    while hanging.try_wait().expect("its state").is_none() {
        assert!(std::time::Instant::now() < end, "{step} does not end: {}", shop.logs());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let hung = hanging.wait_with_output().expect("its end");
    assert_eq!(hung.status.code(), Some(7), "{}", String::from_utf8_lossy(&hung.stderr));
    wait_for("the end of what it left behind", || !fs::exists(format!("/proc/{forked}")).expect("/proc"));
}

#[test]
fn updates_that_hang_die_or_talk_without_end() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    let upgrade = |name: &str| {
        shop.cli("developer", ["upgrade", &format!("--reference={name}"), "--skip-backup", "-n"])
    };

    update_that(&shop, "hangs", HANG);
    let mut hanging = upgrade("hangs");
    hanging.command.args(["--downtime-duration=30m", "--downtime-comment=new prices"]);
    hangs_until_it_is_cancelled(&shop, "application:upgrade", hanging, || {
        assert_eq!(shop.page().0, 503);
        let told = shop.cli("viewer", ["maintenance:status"]).succeeds();
        assert!(told.stdout.contains(": new prices") && told.stdout.contains("until "), "{told:#?}");
    });
    as_before(&shop, "an update that hangs");

    // Meanwhile the end of a table is given back, as autovacuum does at any time: that is a transaction, and no change.
    shop.sql(
        "create table junk as select generate_series(1, 100000); delete from junk; \
         do $$ begin execute format('alter table junk owner to %I', \
         (select tableowner from pg_tables where tablename = 'orders')); end $$",
    );
    update_that(&shop, "dies", "$this->database()->exec('vacuum junk'); posix_kill(getmypid(), SIGKILL);");
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
    let kept = journal_size(&shop, &talked);
    assert!(kept < 30_000_000, "{kept} bytes are kept");
    let view = shop.cli("viewer", ["log:view", &talked, "-v"]).succeeds();
    assert!(
        view.text().contains("it begins") && view.text().contains("it ends"),
        "beginning and end are kept"
    );
}

#[test]
fn an_upgrade_is_cancelled_in_each_kind_of_step() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("open to all");
    let at = |name: &str| folder.path().join(name);
    let script = format!("touch {}; sleep 1000", at("builds").display());
    branch(&shop, "builds", &[("composer.json", &composer(&script))]);
    let php = |name: &str| {
        let (begun, go) = (at(name).display().to_string(), at("go").display().to_string());
        format!("touch('{begun}'); while (!file_exists('{go}')) {{ usleep(50000); }}")
    };
    for name in ["pre_upgrade", "pre_maintenance", "post_upgrade"] {
        version_that(&shop, name, &format!("{name}_commands: ['oro:hostile']"), &php(name));
    }
    let cancel = |id: &str| shop.cli("developer", ["operation:cancel", id, "-n"]);
    let running = || {
        let list = shop.cli("viewer", ["operation:list", "--format=json"]).succeeds().json();
        list["items"][0]["id"].as_str().expect("an operation").to_owned()
    };
    let begin = |name: &str| {
        let reference = format!("--reference={name}");
        let upgrade = shop.cli("developer", ["upgrade", &reference, "--skip-backup", "-n"]).spawn();
        wait_for(name, || at(name).exists());
        upgrade
    };
    for name in ["builds", "pre_upgrade", "pre_maintenance"] {
        let upgrade = begin(name);
        cancel(&running()).succeeds();
        let output = upgrade.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(7), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        as_before(&shop, name);
        wait_for("the end of what ran", || {
            let running = Command::new("pgrep").args(["-f", &at(name).display().to_string()]).output();
            running.expect("pgrep").stdout.is_empty()
        });
    }
    // Visitors see the new version: it is told that it is too late, and nothing changes.
    let upgrade = begin("post_upgrade");
    let late = cancel(&running()).ends_with(7);
    assert!(late.stderr.contains("too late to cancel"), "{late:#?}");
    fs::write(at("go"), "").expect("the word");
    let output = upgrade.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shop.version_on("web2"), "post_upgrade");
}

/// The most memory that a node's agent has ever had, in megabytes.
fn peak(shop: &Shop, node: &str) -> u64 {
    let pid = shop.sandbox.node(node).expect("a node").service("agent").expect("its agent").pid;
    let status = fs::read_to_string(format!("/proc/{}/status", pid.expect("a process"))).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn an_installation_that_prints_a_gigabyte() {
    let shop = Shop::start();
    version_that(
        &shop,
        "talks",
        "install_commands: ['oro:install', 'oro:hostile']",
        "$block = str_repeat(str_repeat('x', 1023) . \"\\n\", 1024); fwrite(STDOUT, \"it begins\\n\");\
         for ($i = 0; $i < 1024; ++$i) { fwrite(STDOUT, $block); } fwrite(STDOUT, \"it ends\\n\");",
    );
    let before = ["maint1", "web1"].map(|node| peak(&shop, node));
    let begun = std::time::Instant::now();
    let deploy = shop.cli("developer", ["deploy", "--reference=talks", "-n", "--detach"]).succeeds();
    let id = deploy.text().split_whitespace().find(|word| word.len() == 26).expect("its id").to_owned();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(600);
    while shop.release_on("web1").is_none() {
        assert!(std::time::Instant::now() < end, "it prints without end: {}", shop.logs());
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    shop.cli("viewer", ["operation:wait", &id]).succeeds();
    let after = ["maint1", "web1"].map(|node| peak(&shop, node));
    eprintln!("{:?}, from {before:?} to {after:?} MB", begun.elapsed());
    for (before, after) in before.into_iter().zip(after) {
        assert!(after < before + 150, "from {before} to {after} MB");
    }
    let kept = journal_size(&shop, &id);
    assert!(kept < 30_000_000, "{kept} bytes are kept");
    let view = shop.cli("viewer", ["log:view", &id, "-v"]).succeeds();
    assert!(view.text().contains("it begins") && view.text().contains("it ends"), "both ends are kept");
}

fn journal_size(shop: &Shop, id: &str) -> u64 {
    let month = shop.sql("select to_char(now() at time zone 'UTC', 'YYYY-MM')");
    let file = shop.sandbox.journal_dir().join(month).join(id).join("events.ndjson");
    fs::metadata(file).map_or(0, |file| file.len())
}

#[test]
fn extensions_that_a_release_asks_for_come_with_it_and_go_with_its_failure() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    let extensions = || shop.sql("select count(*) from pg_extension where extname in ('pgcrypto', 'hstore')");
    let asks = "db_extensions: ['pgcrypto', 'hstore']";
    version_that(&shop, "fails", &format!("{asks}\n    upgrade_commands: ['oro:hostile']"), "return 1;");
    let failed = shop.cli("developer", ["upgrade", "--reference=fails", "--skip-backup", "-n"]).ends_with(1);
    assert!(failed.stderr.contains("has the extension pgcrypto now"), "{failed:#?}");
    as_before(&shop, "an update that fails");
    assert_eq!(extensions(), "0", "as it was");

    version_that(&shop, "asks", asks, "");
    shop.cli("developer", ["upgrade:source", "--reference=asks", "--dry-run", "-n"]).succeeds();
    shop.cli("developer", ["upgrade:rolling", "--reference=asks", "--skip-backup", "-n"]).succeeds();
    assert_eq!(shop.version_on("web1"), "asks");
    assert_eq!(extensions(), "2");
}

/// A composer.json whose installation runs this.
fn composer(script: &str) -> String {
    format!(
        r#"{{"name":"acme/shop","type":"project","repositories":[{{"packagist.org":false}}],"require":{{"php":">=8.1","ext-pdo":"*","ext-pdo_pgsql":"*"}},"autoload":{{"psr-4":{{"Acme\\Shop\\":"src/"}}}},"scripts":{{"post-install-cmd":"{script}"}}}}"#
    )
}

#[test]
fn builds_that_fail_and_references_that_move() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    branch(&shop, "fails", &[("composer.json", &composer("echo no such license >&2; exit 3"))]);
    let failed = shop.cli("developer", ["upgrade:source", "--reference=fails", "-n"]).ends_with(1);
    assert!(
        failed.stderr.contains("source:build") && failed.stderr.contains("no such license"),
        "{failed:#?}"
    );
    as_before(&shop, "a build that fails");

    // Composer's scripts build the assets, and every node gets them; they are told when nobody wants them built.
    let builds = composer(
        "mkdir public/build; echo assets: ${OROCLOUD_SKIP_ASSETS_BUILD:-built} | tee public/build/app.css",
    );
    branch(&shop, "assets", &[("composer.json", &builds)]);
    let build = ["app:package:build", "assets", "--skip-assets-build", "-n", "-v"];
    let built = shop.cli("developer", build).succeeds();
    assert!(built.stderr.contains("assets: 1"), "{built:#?}");
    for mode in ["upgrade:source", "upgrade:rolling"] {
        shop.cli("developer", [mode, "--reference=assets", "-n"]).succeeds();
        for node in ["web1", "web2"] {
            let asset = shop.release_on(node).expect("a release").join("public/build/app.css");
            assert_eq!(fs::read_to_string(asset).expect("the asset"), "assets: built\n", "{mode}: {node}");
        }
    }

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
