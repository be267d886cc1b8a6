//! No space left, on maint1, web1, db1 and in the repositories of backups: found, named with node and path, the live shop
//! as it was, nobody's lock left, and with space again the next run works.

mod disk;
mod walk;

use std::path::PathBuf;

use crate::support::{Answer, Shop, first_backup_is_past, moment, order, wait_for};
use disk::Disk;

const MB: u64 = 1 << 20;

/// Says all of this; nothing holds a lock.
#[track_caller]
fn names(shop: &Shop, answer: &Answer, words: &[&str]) {
    for word in words {
        assert!(answer.stderr.contains(word), "`{word}` in {answer:#?}");
    }
    assert!(answer.stderr.contains("hint: make room"), "it says what to do next: {answer:#?}");
    let running = shop.cli("viewer", ["operation:list", "--format=json"]).succeeds().json();
    assert_eq!(running["items"].as_array().map(Vec::len), Some(0), "{running}");
}

#[test]
fn a_deployment_without_space() {
    let shop = Shop::start();
    let (maint, web, db) = (shop.node_dir("maint1"), shop.node_dir("web1"), shop.node_dir("db1"));
    let tables = |case: &str| {
        let tables = shop.sql("select count(*) from pg_tables where schemaname = 'public'");
        assert_eq!(tables, "0", "{case}");
        assert_eq!((shop.release_on("web1"), shop.release_on("web2")), (None, None), "{case}");
    };
    for (folder, size, failed, path) in [
        // Git has its own words, and composer's cache its own place.
        (maint.join("state/build"), 64 << 10, "source:fetch failed on maint1", "Out of diskspace"),
        (maint.join("state/packages"), 4 << 10, "package:build failed on maint1", "state/packages"),
        (web.join("state/packages"), 4 << 10, "package:send:web1 failed on maint1", "state/packages"),
        (web.join("app/deploy"), 64 << 10, "release:unpack failed on web1", "app/deploy"),
    ] {
        let Some(_disk) = Disk::mount(&folder, size) else { return };
        let answer = shop.cli("developer", ["deploy", "--reference=1.0.0", "-n"]).ends_with(1);
        names(&shop, &answer, &[failed, path, "space"]);
        tables(failed);
    }
    // The database's own disk: the console of the application is told so.
    let service = shop.sandbox.node("db1").expect("db1");
    service.stop_service("postgresql").expect("stopped");
    let Some(disk) = Disk::mount(&db.join("lib/postgresql"), 300 * MB) else { return };
    service.start_service("postgresql").expect("started");
    wait_for("the database", || shop.sandbox.psql("select 1").is_ok());
    disk.fill(0);
    let answer = shop.cli("developer", ["deploy", "--reference=1.0.0", "-n"]).ends_with(1);
    names(&shop, &answer, &["db1", "No space left on device"]);
    disk.free();
    tables("application:install");
    // With room again, it comes up.
    shop.deploy("1.0.0");
    assert_eq!(shop.page().0, 200);
}

/// Somebody uploads a file that no backup has yet.
fn upload(shop: &Shop, name: &str) {
    let mut content = vec![0; 256 * 1024];
    getrandom::fill(&mut content).expect("noise");
    let name = name.replace(['/', ' '], "-");
    std::fs::write(shop.sandbox.dir().join("media").join(name), content).expect("an upload");
}

/// A shop that was backed up, with media.
fn with_a_past(shop: &Shop) {
    // The first backup comes with the deployment.
    upload(shop, "first");
    shop.deploy("1.0.0");
    first_backup_is_past(shop);
}

/// A shop with a past, whose database, repositories and journals have disks of their own.
struct Small<'a> {
    shop: &'a Shop,
    /// The option that goes back, and the orders there.
    to: String,
    past: u64,
    /// When the live server began.
    since: String,
    data: Disk,
    pgbackrest: Disk,
    restic: Disk,
    points: Disk,
    journals: Disk,
}

impl<'a> Small<'a> {
    fn begin(shop: &'a Shop) -> Option<Self> {
        with_a_past(shop);
        let (past, to) = (shop.orders(), format!("--to={}", moment(shop)));
        order(shop, 2);
        let (maint, db) = (shop.node_dir("maint1"), shop.node_dir("db1"));
        let service = shop.sandbox.node("db1").expect("db1");
        service.stop_service("postgresql").expect("stopped");
        let data = Disk::mount(&db.join("lib/postgresql"), 700 * MB)?;
        service.start_service("postgresql").expect("started");
        let disk = |folder: PathBuf, size| Disk::mount(&folder, size).expect("a small disk");
        let repository = shop.sandbox.dir().join("repository");
        let [pgbackrest, restic] = ["pgbackrest", "restic"].map(|name| disk(repository.join(name), 128 * MB));
        let [points, journals] = [("points", MB), ("operations", 32 * MB)]
            .map(|(name, size)| disk(maint.join("state").join(name), size));
        wait_for("the database", || shop.sandbox.psql("select 1").is_ok());
        let since = shop.sql("select pg_postmaster_start_time()");
        Some(Self { shop, to, past, since, data, pgbackrest, restic, points, journals })
    }

    fn points(&self) -> u64 {
        let list = self.shop.cli("viewer", ["backup:list", "--format=json"]).succeeds().json();
        list["total"].as_u64().expect("a number")
    }

    #[track_caller]
    fn is_unharmed(&self, case: &str) {
        let begun = self.shop.sql("select pg_postmaster_start_time()");
        let seen = (self.shop.page().0, self.shop.orders(), begun);
        assert_eq!(seen, (200, self.past + 2, self.since.clone()), "{case}");
    }

    /// A backup without space there, and one with space again.
    fn backup(&self, disk: &Disk, words: &[&str]) {
        let create = || self.shop.cli("developer", ["backup:create", "-n"]);
        let before = self.points();
        upload(self.shop, words[0]);
        disk.fill(0);
        let answer = create().ends_with(1);
        names(self.shop, &answer, words);
        self.is_unharmed(words[0]);
        disk.free();
        assert_eq!(self.points(), before, "{words:?}");
        create().succeeds();
        assert_eq!(self.points(), before + 1, "{words:?}");
    }

    /// A restore without space there.
    fn restore(&self, disk: &Disk, free: u64, words: &[&str]) {
        upload(self.shop, &format!("restore-{}", words[0]));
        disk.fill(free);
        let restore = ["backup:restore", &self.to, "--media", "--force", "--confirm=acme-prod1", "-n"];
        let answer = self.shop.cli("operator", restore).run();
        assert!([1, 7].contains(&answer.code), "{words:?}: {answer:#?}");
        names(self.shop, &answer, words);
        self.is_unharmed(words[0]);
        disk.free();
    }

    fn restores_at_last(&self) {
        let restore = ["backup:restore", &self.to, "--media", "--force", "--confirm=acme-prod1", "-n"];
        self.shop.cli("operator", restore).succeeds();
        assert_eq!((self.shop.page().0, self.shop.orders()), (200, self.past));
    }
}

#[test]
fn a_backup_and_a_restore_without_space() {
    let shop = Shop::start();
    let Some(small) = Small::begin(&shop) else { return };
    small.backup(&small.restic, &["backup:media failed on maint1", "repository/restic", "no space left"]);
    // Found before anything stops: a copy of the data has no room, though the live database has some.
    small.restore(&small.data, 64 * MB, &["a copy of the database needs", "db1 has"]);
    small.restores_at_last();
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn repositories_points_and_journals_without_space() {
    let shop = Shop::start();
    let Some(small) = Small::begin(&shop) else { return };
    let Small { pgbackrest, restic, points, journals, .. } = &small;
    small.backup(points, &["backup:publish failed on maint1", "state/points", "No space left"]);
    small.backup(journals, &["maint1", "state/operations", "No space left"]);
    small.backup(pgbackrest, &["backup:database failed on db1", "repository/pgbackrest", "No space left"]);
    small.restore(restic, 0, &["failed on maint1", "repository/restic", "no space left"]);
    small.restore(points, 0, &["failed on maint1", "state/points", "No space left"]);
    small.restore(journals, 0, &["maint1", "state/operations", "No space left"]);
    small.restore(pgbackrest, 0, &["failed on db1", "repository/pgbackrest", "No space left"]);
    small.restores_at_last();
}
