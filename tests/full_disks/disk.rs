//! Small disks.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use orocloud_sandbox::NodeHandle;

/// A folder on a file system of its own, until this is dropped.
pub struct Disk {
    folder: PathBuf,
    size: u64,
}

impl Disk {
    /// `None` where nothing can be mounted: as an ordinary user, or without the right to.
    pub fn mount(folder: &Path, size: u64) -> Option<Self> {
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
            let disk = Self { folder: folder.to_owned(), size };
            run("cp", &["-aT".as_ref(), beside.as_os_str(), folder.as_os_str()]);
            disk
        });
        run("rm", &["-r".as_ref(), beside.as_os_str()]);
        if disk.is_none() {
            eprintln!("no small disk can be mounted here: nothing to look at");
        }
        disk
    }

    /// All files of a node.
    pub fn of_node(node: NodeHandle<'_>, size: u64) -> Option<Self> {
        node.kill().expect("killed");
        let disk = Self::mount(&node.dir(), size);
        node.start().expect("it starts again");
        disk
    }

    /// Leaves so many bytes free there.
    pub fn fill(&self, free: u64) {
        // What is there may grow while it is counted: less than what is there is no size.
        for _ in 0..100 {
            let room = rustix::fs::statvfs(&self.folder).expect("its room");
            if self.resize((room.f_blocks - room.f_bfree) * room.f_frsize + free) {
                return;
            }
        }
        panic!("{} grows too fast to be filled", self.folder.display());
    }

    /// There is space again.
    pub fn free(&self) {
        assert!(self.resize(self.size), "{} stays full", self.folder.display());
    }

    fn resize(&self, size: u64) -> bool {
        // A size of nothing is no limit.
        let options = format!("remount,size={}", size.max(4096));
        Command::new("mount")
            .args(["-o", &options])
            .arg(&self.folder)
            .output()
            .expect("mount")
            .status
            .success()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

fn run(program: &str, arguments: &[&OsStr]) {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
