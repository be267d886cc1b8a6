//! Programs that die, files that are damaged: found, named, and the live shop as it was.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Answer, Shop, end, order, wait_for};

fn points(shop: &Shop) -> Vec<Value> {
    let list = shop.cli("viewer", ["backup:list", "--format=json"]).succeeds().json();
    list["items"].as_array().expect("items").clone()
}

fn set_of(point: &Value) -> &str {
    point["database"]["set"].as_str().expect("a backup")
}

/// Says which step failed, on which node and why; nothing holds a lock.
fn names(shop: &Shop, answer: &Answer, step: &str, node: &str, why: &str) {
    let failed = format!("{step} failed on {node}");
    assert!(answer.stderr.contains(&failed), "`{failed}` in {answer:#?}");
    assert!(answer.stderr.contains(why), "`{why}` in {answer:#?}");
    let running = shop.cli("viewer", ["operation:list", "--format=json"]).succeeds().json();
    assert_eq!(running["items"].as_array().map(Vec::len), Some(0), "{running}");
}

/// Changes one byte in the middle of a file.
fn damage(file: &Path) {
    let mut content = std::fs::read(file).expect("a file");
    let middle = content.len() / 2;
    content[middle] ^= 0xff;
    std::fs::write(file, content).expect("a file");
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The main process of a backup that pgBackRest takes in this sandbox.
fn backup_process(shop: &Shop) -> Option<String> {
    let config = format!("--config={}", shop.node_dir("db1").join("etc/pgbackrest.conf").display());
    std::fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).into_owned();
        let words: Vec<&str> = command.split('\0').collect();
        let is = words[0].ends_with("/pgbackrest")
            && words.contains(&config.as_str())
            && words.contains(&"backup");
        is.then(|| entry.file_name().to_string_lossy().into_owned())
    })
}

#[test]
fn a_dead_engine_a_copy_that_does_not_come_up_and_a_damaged_backup_are_named() {
    let shop = Shop::start();
    shop.deploy("1.0.0");
    order(&shop, 3);

    // The engine dies while it works, if it could be caught.
    let killed = (0..20).find_map(|_| {
        let known = points(&shop);
        let mut backup = shop.cli("developer", ["backup:create", "-n"]).spawn();
        while backup.try_wait().expect("its state").is_none() {
            let Some(process) = backup_process(&shop) else { continue };
            let killed = Command::new("kill").args(["-KILL", &process]).status().expect("kill").success();
            if killed {
                let answer = end(backup, "CONT");
                return (answer.code != 0).then_some((answer, known));
            }
        }
        None
    });
    let (killed, known) = killed.expect("a backup that was killed");
    names(&shop, &killed, "backup:database", "db1", "pgbackrest");
    assert_eq!(points(&shop), known);
    shop.cli("developer", ["backup:create", "-n"]).succeeds();

    let mut picture = vec![0; 200_000];
    getrandom::fill(&mut picture).expect("noise");
    std::fs::write(shop.sandbox.dir().join("media/picture"), picture).expect("an upload");
    // A copy that runs well in private, and cannot in the place of the live one.
    let config = shop.node_dir("db1").join("lib/postgresql/15/main/postgresql.auto.conf");
    let good = std::fs::read(&config).expect("settings");
    shop.sql("alter system set listen_addresses = '192.0.2.1'");
    shop.cli("developer", ["backup:create", "--label=bad", "-n"]).succeeds();
    std::fs::write(&config, &good).expect("settings");
    order(&shop, 2);
    let (orders, bad) = (shop.orders(), points(&shop)[0].clone());
    let point = bad["name"].as_str().expect("a name").to_owned();
    let restore = ["backup:restore", &point, "--force", "--confirm=acme-prod1", "-n"];
    let failed = shop.cli("operator", restore).ends_with(1);
    names(&shop, &failed, "database:swap", "db1", "the live one is back");
    assert_eq!(shop.orders(), orders, "{failed:#?}");
    wait_for("the shop", || shop.page().0 == 200);
    let begun = shop.sql("select pg_postmaster_start_time()");
    let untouched = |what: &str, told: &Answer| {
        let seen = (shop.page().0, shop.orders(), shop.sql("select pg_postmaster_start_time()"));
        assert_eq!(seen, (200, orders, begun.clone()), "{what}: {told:#?}");
    };

    // One that does not even run in private.
    shop.sql("alter system set shared_preload_libraries = 'nobody_has_it'");
    shop.cli("developer", ["backup:create", "--label=worse", "-n"]).succeeds();
    std::fs::write(&config, good).expect("settings");
    let worse = points(&shop)[0]["name"].as_str().expect("a name").to_owned();
    let failed = shop.cli("operator", ["backup:restore", &worse, "--preview", "-n"]).ends_with(1);
    names(&shop, &failed, "database:replay", "db1", "nobody_has_it");
    untouched("a copy that does not run", &failed);

    // The media's repository has a wrong byte where that picture is.
    let mut packs = files(&shop.sandbox.dir().join("repository/restic/data"));
    packs.sort_by_key(|file| std::fs::metadata(file).expect("a file").len());
    damage(packs.last().expect("a pack"));
    let with_media = ["backup:restore", &point, "--media", "--force", "--confirm=acme-prod1", "-n"];
    let failed = shop.cli("operator", with_media).ends_with(1);
    names(&shop, &failed, "media:restore", "maint1", "restic check");
    untouched("damaged media", &failed);

    // A file of the backup has a wrong byte.
    let set = shop.sandbox.dir().join("repository/pgbackrest/backup/acme-prod1").join(set_of(&bad));
    for file in files(&set).iter().filter(|file| !file.to_string_lossy().contains("backup.manifest")) {
        damage(file);
    }
    let preview = ["backup:restore", &point, "--preview", "-n"];
    let failed = shop.cli("operator", preview).ends_with(1);
    names(&shop, &failed, "database:restore", "db1", "pgbackrest restore failed");
    untouched("a damaged backup", &failed);
}
