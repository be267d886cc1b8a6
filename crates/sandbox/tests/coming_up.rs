//! A new sandbox has everything, and nothing of it in the wrong hands.

use std::fs;
use std::process::Command;

use crate::support::{everything, get, is_root, run_as, start, text};

#[test]
fn a_new_environment_is_complete() {
    let sandbox = start();

    let page = get(sandbox.shop_url(), "/").unwrap();
    assert_eq!(page.status, 503);
    assert!(page.body.contains("Nothing deployed yet"), "{page:?}");
    let node = page.header("X-Node").unwrap().to_owned();
    assert!(["web1", "web2"].contains(&node.as_str()), "{node}");
    for node in ["web1", "web2"] {
        let url = sandbox.node_url(node).unwrap();
        assert_eq!(get(&url, "/").unwrap().header("X-Node"), Some(node));
        assert!(get(&url, "/nginx-status").unwrap().body.contains("Active connections"));
        assert!(get(&url, "/fpm-status?json").unwrap().body.contains("\"active processes\""));
    }
    assert_eq!(
        get(sandbox.shop_url(), "/nginx-status").unwrap().status,
        404,
        "the status is not for the public"
    );

    assert_eq!(sandbox.psql("select current_user, current_database()").unwrap(), "postgres|shop");
    assert_eq!(sandbox.psql("show archive_mode").unwrap(), "on");
    sandbox.pgbackrest(&["check"]).unwrap();
    let info = sandbox.pgbackrest(&["info", "--output=json"]).unwrap();
    assert!(info.contains("\"cipher\":\"aes-256-cbc\""), "{info}");

    for (name, value) in sandbox.env() {
        if name == "DATABASE_URL" {
            let rows =
                text(&Command::new("psql").args([&value, "-Atc", "select current_user"]).output().unwrap());
            assert_eq!(rows.trim(), "app");
            let denied = value.replace("app:", "app:wrong");
            assert!(
                !Command::new("psql").args([&denied, "-c", "select 1"]).output().unwrap().status.success()
            );
        }
    }
    if is_root() {
        nothing_of_an_engine_runs_as_root(&sandbox.dir().display().to_string());
    }
    the_git_remote_can_be_read_and_not_written(&sandbox);
}

/// Masters of nginx, PHP-FPM, HAProxy and sshd have to be root; what they start to work for others must not.
fn nothing_of_an_engine_runs_as_root(dir: &str) {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let Ok(status) = fs::read_to_string(path.join("status")) else { continue };
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let user = status.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap_or_default();
        let root = user.split('\t').next() == Some("0");
        if line.starts_with("nginx: worker")
            || line.starts_with("php-fpm: pool")
            || line.starts_with("postgres:")
        {
            assert!(!root, "{line}");
            found.push(line.split(' ').next().unwrap().to_owned());
        }
        if line.starts_with("/usr/lib/postgresql") && line.contains(dir) {
            assert!(!root, "{line}");
        }
    }
    for engine in ["nginx:", "php-fpm:", "postgres:"] {
        assert!(found.iter().any(|name| name == engine), "{engine} was not found in {found:?}");
    }
}

fn the_git_remote_can_be_read_and_not_written(sandbox: &orocloud_sandbox::Sandbox) {
    let environment =
        fs::read_to_string(sandbox.node("maint1").unwrap().dir().join("etc/environment.toml")).unwrap();
    let url =
        environment.lines().find_map(|line| line.strip_prefix("url = \"ssh:")).unwrap().trim_end_matches('"');
    let url = format!("ssh:{url}");
    let git = sandbox.dir().join("git");
    let ssh = format!(
        "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i {0}/deploy_key -o UserKnownHostsFile={0}/known_hosts",
        git.display()
    );
    let git = |arguments: &[&str]| {
        let mut command = vec!["git"];
        command.extend(arguments);
        run_as(
            "orocloud-agent",
            sandbox.dir(),
            &[("GIT_SSH_COMMAND", &ssh), ("HOME", "/nonexistent")],
            &command,
            "",
        )
    };
    let refs = text(&git(&["ls-remote", &url]));
    for name in ["1.0.0", "1.0.1", "1.0.2-badconfig", "1.1.0", "2.0.0-broken"] {
        assert!(refs.contains(&format!("refs/tags/{name}^{{}}\n")), "{refs}");
    }
    // Fixed dates make fixed commit ids: whoever changes the sample application sees it here.
    assert!(refs.contains("refs/heads/main\n"), "{refs}");

    let bare = sandbox.git_repository();
    let push = git(&[
        "-C",
        &bare.display().to_string(),
        "-c",
        "safe.directory=*",
        "push",
        &url,
        "1.0.0:refs/heads/x",
    ]);
    assert!(!push.status.success(), "{}", everything(&push));
    let refused = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "{ssh} -p 2222 {} echo hello",
            url.trim_start_matches("ssh://").split(':').next().unwrap()
        ))
        .output()
        .unwrap();
    assert!(!everything(&refused).contains("hello"), "{}", everything(&refused));
}
