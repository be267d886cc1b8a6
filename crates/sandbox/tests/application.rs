//! The sample application, put in place by hand: git, composer, console, both web nodes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use orocloud_sandbox::Sandbox;

use crate::support::{everything, get, request, run_as, start, text};

/// Checks a version out and lets composer build it, as the build account.
fn build(sandbox: &Sandbox, version: &str) -> PathBuf {
    let home = sandbox.node("maint1").unwrap().dir().join("state/composer");
    let home = home.display().to_string();
    let folder = sandbox.node("maint1").unwrap().dir().join("state/build").join(version);
    let repository = sandbox.git_repository().display().to_string();
    let run = |directory: &Path, command: &[&str]| {
        let environment = [("HOME", home.as_str()), ("COMPOSER_HOME", &home)];
        text(&run_as("orocloud-build", directory, &environment, command, ""))
    };
    let target = folder.display().to_string();
    // Another account's repository: allowed for this one clone.
    let safe = ["-c", "safe.directory=*", "-c", "advice.detachedHead=false"];
    let clone = ["git", safe[0], safe[1], safe[2], safe[3], "clone", "--quiet", "--no-local"];
    let mut clone = clone.to_vec();
    let upload = "--upload-pack=git -c safe.directory=* upload-pack";
    clone.extend([upload, "--branch", version, &repository, &target]);
    run(Path::new("/"), &clone);
    run(
        &folder,
        &["composer", "install", "--no-dev", "--optimize-autoloader", "--no-interaction", "--no-progress"],
    );
    folder
}

/// Copies a build to a web node; the application may write its `var`.
fn unpack(sandbox: &Sandbox, build: &Path, node: &str) -> PathBuf {
    let version = build.file_name().unwrap();
    let release = sandbox.node(node).unwrap().dir().join("app/deploy").join(version);
    assert!(Command::new("cp").arg("-r").arg(build).arg(&release).status().unwrap().success());
    fs::create_dir(release.join("var")).unwrap();
    fs::set_permissions(release.join("var"), fs::Permissions::from_mode(0o777)).unwrap();
    release
}

fn switch(release: &Path) {
    let www = release.parent().unwrap().parent().unwrap().join("www");
    let _ = fs::remove_file(&www);
    symlink(release, &www).unwrap();
}

fn console(
    sandbox: &Sandbox,
    node: &str,
    release: &Path,
    arguments: &[&str],
    input: &str,
) -> std::process::Output {
    let file = fs::read_to_string(sandbox.node(node).unwrap().dir().join("etc/app.env")).unwrap();
    let environment: Vec<(&str, &str)> = file.lines().filter_map(|line| line.split_once('=')).collect();
    let mut command = vec!["/usr/bin/php8.2", "bin/console"];
    command.extend(arguments);
    run_as("orocloud-app", release, &environment, &command, input)
}

#[test]
fn the_sample_application_works() {
    let sandbox = start();
    let build_1_0_0 = build(&sandbox, "1.0.0");
    let releases: Vec<PathBuf> = ["web1", "web2"].map(|node| unpack(&sandbox, &build_1_0_0, node)).to_vec();
    let on_web1 = |release: &Path, arguments: &[&str], input: &str| {
        console(&sandbox, "web1", release, arguments, input)
    };

    // Installation, with the password on standard input and nowhere else.
    let refused = on_web1(&releases[0], &["oro:install", "--user-password=secret"], "");
    assert!(!refused.status.success() && everything(&refused).contains("must not be an argument"));
    let install = [
        "oro:install",
        "--env=prod",
        "--user-name=ann",
        "--user-email=ann@acme.example",
        "--user-password=-",
    ];
    let said = text(&on_web1(&releases[0], &install, "geheim7\n"));
    assert!(said.contains("The application is installed.") && !said.contains("geheim7"), "{said}");
    assert!(!on_web1(&releases[0], &install, "geheim7\n").status.success(), "a second installation");
    assert_eq!(sandbox.psql("select username, role from oro_user").unwrap(), "ann|ROLE_ADMINISTRATOR");
    assert_eq!(sandbox.psql("select max(version) from schema_version").unwrap(), "1");
    sandbox.psql("insert into orders default values").unwrap();
    let orders = sandbox.psql("select count(*) from orders").unwrap();
    assert_eq!(orders, "26");

    for (release, node) in releases.iter().zip(["web1", "web2"]) {
        text(&console(&sandbox, node, release, &["cache:warmup"], ""));
        assert!(release.join("var/cache/prod/templates/home.html.php").exists());
        switch(release);
        let page = get(&sandbox.node_url(node).unwrap(), "/").unwrap();
        assert_eq!(page.status, 200, "{page:?}\n{}", sandbox.logs_of(node));
        assert_eq!((page.header("X-Shop-Version"), page.header("X-Shop-Node")), (Some("1.0.0"), Some(node)));
        for fact in
            [r#"id="version">1.0.0<"#, r#"id="orders">26<"#, r#"id="schema">1<"#, r#"id="maintenance">off<"#]
        {
            assert!(page.body.contains(fact), "{fact} in {}", page.body);
        }
    }
    assert!(get(sandbox.shop_url(), "/css/shop-1.css").unwrap().body.contains("color: #222"));
    assert_eq!(request("POST", sandbox.shop_url(), "/order").unwrap().status, 201);
    assert_eq!(sandbox.psql("select count(*) from orders").unwrap(), "27");
    assert!(get(sandbox.shop_url(), "/slow?ms=50").unwrap().body.contains("after 50 ms"));
    assert!(get(sandbox.shop_url(), "/health").unwrap().body.contains(r#""status":"ok""#));
    let users = text(&on_web1(&releases[0], &["oro:user:list", "--roles=ROLE_ADMINISTRATOR"], ""));
    assert!(users.contains("ann@acme.example"), "{users}");
    assert!(text(&on_web1(&releases[0], &["about"], "")).contains("27"));
    text(&on_web1(&releases[0], &["cache:clear"], ""));

    the_logs_have_their_form(&sandbox);
    the_maintenance_page_comes_through(&sandbox);
    migrations_are_all_or_nothing(&sandbox);
}

fn the_logs_have_their_form(sandbox: &Sandbox) {
    let url = sandbox.node_url("web1").unwrap();
    assert_eq!(get(&url, "/error").unwrap().status, 500);
    let web1 = sandbox.node("web1").unwrap().dir();
    let log = fs::read_to_string(web1.join("app/shared/log/prod.log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let error =
        lines.iter().position(|line| line.contains("request.CRITICAL: Uncaught PHP Exception")).unwrap();
    assert!(lines[error].starts_with("[20") && lines[error].contains("+00:00] "), "{}", lines[error]);
    assert_eq!(lines[error + 1], "[stacktrace]");
    assert!(lines[error + 2].starts_with("#0 "), "{}", lines[error + 2]);
    assert!(log.contains(
        r#"app.INFO: Request answered. {"method":"GET","path":"/","status":200,"node":"web1"} []"#
    ));
    let access = fs::read_to_string(web1.join("log/access.log")).unwrap();
    let first = access.lines().next().unwrap();
    let time = first.split(' ').next().unwrap();
    assert!(time.len() == "2026-11-24T10:32:00.123+00:00".len() && time.ends_with("+00:00"), "{first}");
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{first}");
}

/// The page comes through the load balancer, which must not take nodes in maintenance for broken ones.
fn the_maintenance_page_comes_through(sandbox: &Sandbox) {
    let files = ["web1", "web2"].map(|node| sandbox.node(node).unwrap().dir().join("app/shared/maintenance"));
    for file in &files {
        fs::write(file, "").unwrap();
    }
    let node = sandbox.node_url("web1").unwrap();
    assert_eq!(get(&node, "/health").unwrap().status, 200);
    for _ in 0..4 {
        let page = get(sandbox.shop_url(), "/").unwrap();
        assert_eq!((page.status, page.header("Retry-After")), (503, Some("60")));
        assert!(page.body.contains("in maintenance") && page.header("X-Node").is_some(), "{page:?}");
    }
    for file in &files {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(get(sandbox.shop_url(), "/").unwrap().status, 200);
}

fn migrations_are_all_or_nothing(sandbox: &Sandbox) {
    let schema = || sandbox.psql("select max(version) from schema_version").unwrap();
    let newer = unpack(sandbox, &build(sandbox, "1.1.0"), "web1");
    let dry = text(&console(sandbox, "web1", &newer, &["oro:platform:update"], ""));
    assert!(dry.contains("alter table orders add column coupon") && dry.contains("--force"), "{dry}");
    assert_eq!(schema(), "1");
    text(&console(sandbox, "web1", &newer, &["oro:platform:update", "--force", "--skip-assets"], ""));
    assert_eq!(schema(), "2");
    assert!(text(&console(sandbox, "web1", &newer, &["oro:order:statistics"], "")).contains("27 orders"));

    let broken = unpack(sandbox, &build(sandbox, "2.0.0-broken"), "web1");
    let failed = console(sandbox, "web1", &broken, &["oro:platform:update", "--force"], "");
    let said = everything(&failed);
    assert!(!failed.status.success() && said.contains("> migration 3: carts"), "{said}");
    assert!(said.contains("shopping_lists"), "{said}");
    assert_eq!(schema(), "2");
    assert_eq!(sandbox.psql("select to_regclass('carts') is null").unwrap(), "t");

    sandbox.psql("drop schema public cascade; create schema public authorization pg_database_owner").unwrap();
    let failed = console(sandbox, "web1", &broken, &["oro:install", "--user-password=-"], "geheim7\n");
    assert!(
        !failed.status.success() && everything(&failed).contains("> migration 1"),
        "{}",
        everything(&failed)
    );
    assert_eq!(sandbox.psql("select count(*) from pg_tables where schemaname = 'public'").unwrap(), "0");
}
