//! Least privilege, where the sandbox was started as root: who runs what, and what they cannot read.

use std::process::{Command, Stdio};

use crate::support::deployed;

/// Whether an account can read a file.
fn reads(account: &str, path: &std::path::Path) -> bool {
    Command::new("setpriv")
        .args([&format!("--reuid={account}"), &format!("--regid={account}"), "--init-groups", "--", "cat"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("setpriv")
        .success()
}

/// The account of a process.
fn account_of(pid: i32) -> String {
    let output = Command::new("ps").args(["-o", "user:32=", "-p", &pid.to_string()]).output().expect("ps");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn each_part_runs_under_its_own_account_and_reads_no_more_than_it_needs() {
    if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) != 0) {
        eprintln!("started as an ordinary user, everything runs as that user: nothing to look at");
        return;
    }
    let shop = deployed();
    for (node, service, account) in [("maint1", "agent", "orocloud-agent"), ("db1", "postgresql", "postgres")]
    {
        let state = shop.sandbox.node(node).expect("a node").service(service).expect("a service");
        assert_eq!(account_of(state.pid.expect("it runs")), account, "{service} on {node}");
    }

    let maint = shop.node_dir("maint1");
    let deploy_key = shop.sandbox.dir().join("git/deploy_key");
    let coordinator_key = maint.join("etc/coordinator_key");
    let journal = std::fs::read_dir(shop.sandbox.journal_dir())
        .expect("the journal")
        .filter_map(|entry| std::fs::read_dir(entry.expect("a month").path()).ok()?.next())
        .map(|operation| operation.expect("an operation").path().join("operation.json"))
        .next()
        .expect("the deployment");
    let restic_password = maint.join("etc/restic-password");
    for file in [&deploy_key, &coordinator_key, &journal, &restic_password] {
        assert!(file.exists(), "{}", file.display());
        for account in ["orocloud", "orocloud-build", "orocloud-app"] {
            assert!(!reads(account, file), "{account} reads {}", file.display());
        }
    }

    // What the customer's code has made belongs to the account that ran it.
    let release = shop.release_on("web1").expect("a release");
    let cache = std::fs::metadata(release.join("var/cache")).expect("the cache");
    let app = Command::new("id").args(["-u", "orocloud-app"]).output().expect("id");
    let app: u32 = String::from_utf8_lossy(&app.stdout).trim().parse().expect("a number");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&cache), app);
    let code = std::fs::metadata(release.join("public/index.php")).expect("the code");
    assert_ne!(std::os::unix::fs::MetadataExt::uid(&code), app, "the application cannot change its own code");
}
