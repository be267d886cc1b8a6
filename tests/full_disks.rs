//! No space left, on the nodes whose disks a deployment writes to: found, named with node and path, the live shop as it
//! was, nobody's lock left, and with space again the next run works.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Answer, Shop, wait_for};

/// A folder on a small file system of its own, until this is dropped.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// `None` where nothing can be mounted: as an ordinary user, or without the right to.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        if !folder.exists() {
            std::fs::create_dir(folder).expect("the folder");
            let parent = folder.parent().expect("a parent").as_os_str();
            run("chown", &["--reference".as_ref(), parent, folder.as_os_str()]);
        }
        let beside = folder.with_extension("moved");
        run("cp", &["-a".as_ref(), folder.as_os_str(), beside.as_os_str()]);
        let mount = ["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(folder).output().expect("mount");
        let disk = mounted.status.success().then(|| {
            let disk = Self { folder: folder.to_owned() };
            run("cp", &["-aT".as_ref(), beside.as_os_str(), folder.as_os_str()]);
            disk
        });
        run("rm", &["-r".as_ref(), beside.as_os_str()]);
        if disk.is_none() {
            eprintln!("no small disk can be mounted here: nothing to look at");
        }
        disk
    }

    /// Leaves so many bytes free there.
    fn fill(&self, free: u64) {
        let room = rustix::fs::statvfs(&self.folder).expect("its room");
        let file = File::create(self.filler()).expect("a file that takes the room");
        let taken = (room.f_bavail * room.f_frsize).saturating_sub(free);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, taken).expect("room to take");
    }

    /// There is space again.
    fn free(&self) {
        std::fs::remove_file(self.filler()).expect("what took the room");
    }

    fn filler(&self) -> PathBuf {
        self.folder.join(".filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Says all of this; nothing holds a lock.
fn names(shop: &Shop, answer: &Answer, words: &[&str]) {
    for word in words {
        assert!(answer.stderr.contains(word), "`{word}` in {answer:#?}");
    }
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
        (maint.join("state/build"), "64k", "source:fetch failed on maint1", "Out of diskspace"),
        (maint.join("state/packages"), "4k", "package:build failed on maint1", "state/packages"),
        (web.join("state/packages"), "4k", "package:send:web1 failed on maint1", "state/packages"),
        (web.join("app/deploy"), "64k", "release:unpack failed on web1", "app/deploy"),
    ] {
        let Some(_disk) = Disk::mount(&folder, size) else { return };
        let answer = shop.cli("developer", ["deploy", "--reference=1.0.0", "-n"]).ends_with(1);
        names(&shop, &answer, &[failed, path, "space"]);
        tables(failed);
    }
    // The database's own disk: the console of the application is told so.
    let service = shop.sandbox.node("db1").expect("db1");
    service.stop_service("postgresql").expect("stopped");
    let Some(disk) = Disk::mount(&db.join("lib/postgresql"), "300m") else { return };
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
