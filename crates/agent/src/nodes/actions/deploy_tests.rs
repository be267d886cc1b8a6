//! The steps of a deployment against real git, composer and PHP, in one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use orocloud_protocol::node::{ConsoleCommands, PackageBuilt, PackageReceiveParams, SourceFetched};
use orocloud_protocol::{EventBody, Secret};
use serde_json::json;

use super::*;
use crate::environment::Agent;
use crate::nodes::Node;
use crate::process::Processes;
use crate::releases;

const RELEASE: &str = "20261124103200";

/// A node that is maint and web at once, and a repository with one application.
struct Rig {
    folder: tempfile::TempDir,
    node: NodeRef,
    outputs: Outputs,
    written: Arc<Mutex<String>>,
    cancel: CancellationToken,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["state", "build", "app/deploy", "app/shared", "origin"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("app.env"), "ORO_NODE=web1\nGREETING='hello there'\n").unwrap();
        fs::write(
            at("environment.toml"),
            format!(
                "format = 1\nname = \"acme-prod1\"\nproject = \"acme\"\ntype = \"prod\"\nurl = \"http://127.0.0.1:1/\"\nkeeper = \"postgresql\"\n\
                 [[node]]\nname = \"web1\"\nroles = [\"maint\", \"web\"]\nzone = \"a\"\naddress = \"127.0.0.1\"\n\
                 [application]\ndocument_root = \"public\"\n[repository]\nurl = \"{}\"\n[backup]\n",
                at("origin")
            ),
        )
        .unwrap();
        fs::write(
            at("agent.toml"),
            format!(
                "format = 1\nnode = \"web1\"\nenvironment_file = \"{}\"\nstate = \"{}\"\nrun = \"/run\"\nlog = \"/tmp\"\n\
                 [service_manager]\nkind = \"systemd\"\n\
                 [maint]\ngit_mirror = \"{}\"\nbuild = \"{}\"\ncomposer_home = \"{}\"\nmedia = \"/m\"\nrestic_repository = \"/r\"\nrestic_password_file = \"/p\"\n\
                 [app]\napp_root = \"{}\"\nenvironment_file = \"{}\"\nphp = \"/usr/bin/php\"\n[web]\nmaintenance_file = \"{}\"\nfpm_service = \"php-fpm\"\nweb_service = \"nginx\"\n\
                 url = \"http://127.0.0.1:1/\"\nstatus_url = \"http://127.0.0.1:1/s\"\nfpm_status_url = \"http://127.0.0.1:1/f?json\"\n",
                at("environment.toml"), at("state"), at("mirror.git"), at("build"), at("composer"),
                at("app"), at("app.env"), at("app/shared/maintenance"),
            ),
        )
        .unwrap();
        let config = Agent::load(Path::new(&at("agent.toml"))).unwrap();
        let processes = Processes::new(None);
        let node = Node::new(config, processes);
        let rig = Self {
            folder,
            node,
            outputs: Outputs::new(),
            written: Arc::default(),
            cancel: CancellationToken::new(),
        };
        rig.git(&["init", "-q", "-b", "main"]);
        rig.application();
        rig
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ann", "-c", "user.email=ann@acme.example"])
            .args(arguments)
            .current_dir(self.at("origin"))
            .envs([("GIT_COMMITTER_DATE", "2026-01-05T09:00:00Z"), ("GIT_CONFIG_GLOBAL", "/dev/null")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, files: &[(&str, &str)], tag: &str) {
        for (path, content) in files {
            let path = self.at("origin").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", tag]);
        self.git(&["tag", tag]);
    }

    fn application(&self) {
        self.commit(
            &[
                ("composer.json", r#"{"name":"acme/shop","repositories":[{"packagist.org":false}],"autoload":{"psr-4":{"A\\":"src/"}},"scripts":{"post-autoload-dump":"echo built > built.txt"}}"#),
                ("src/B.php", "<?php namespace A; class B { const X = 'from the autoloader'; }\n"),
                ("public/index.php", "<?php echo 'shop';\n"),
                (
                    "bin/console",
                    "<?php require __DIR__.'/../vendor/autoload.php'; array_shift($argv);\n\
                     echo implode('|', $argv), ' ', A\\B::X, ' ', getenv('GREETING'), ' ', getenv('STORE'), \"\\n\";\n\
                     file_put_contents(dirname(__DIR__).'/var/cache/ran', implode(' ', $argv).' '.strlen((string) getenv('ORO_USER_PASSWORD')).\"\\n\", FILE_APPEND);\n\
                     if (in_array('fail', $argv)) { fwrite(STDERR, \"first\\nthe last line\\n\"); exit(3); }\n",
                ),
                (
                    "orocloud.yaml",
                    "orocloud_options:\n  deployment:\n    db_extensions: ['pgcrypto']\n    install_commands: ['oro:install --env=prod', 'other Oro\\Bundle']\n  \
                     application: {env_vars: {STORE: 'repository'}}\n",
                ),
                ("orocloud_prod.yaml", "orocloud_options:\n  application: {env_vars: {STORE: 'prod'}}\n"),
                (".gitignore", "/vendor/\n"),
            ],
            "1.0.0",
        );
    }

    async fn run(&self, step: &str, phase: Phase, action: StepAction) -> Result<StepAnswer, CallError> {
        let written = self.written.clone();
        let context = ActionContext {
            node: &self.node,
            coordinator: None,
            operation: "01JDFZ8T6G0000000000000000".parse().unwrap(),
            step,
            outputs: &self.outputs,
            events: EventSink::new(move |event| {
                if let EventBody::Output { text, .. } = event {
                    written.lock().unwrap().push_str(&text);
                }
            }),
            cancel: self.cancel.clone(),
        };
        run(&context, phase, &action).await
    }

    async fn act(&mut self, step: &str, action: StepAction) -> Result<Value, CallError> {
        match self.run(step, Phase::Act, action).await? {
            StepAnswer::Done(value) => {
                self.outputs.insert(step.to_owned(), value.clone());
                Ok(value)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn probe(&self, step: &str, action: StepAction) -> Probe {
        match self.run(step, Phase::Probe, action).await.unwrap() {
            StepAnswer::Probed(probe) => probe,
            other => panic!("{other:?}"),
        }
    }

    async fn undo(&self, step: &str, action: StepAction) {
        assert_eq!(self.run(step, Phase::Undo, action).await.unwrap(), StepAnswer::Undone);
    }

    fn written(&self) -> String {
        self.written.lock().unwrap().clone()
    }
}

fn release() -> orocloud_protocol::ReleaseName {
    RELEASE.parse().unwrap()
}

fn fetch(reference: &str) -> StepAction {
    StepAction::SourceFetch { reference: reference.parse().unwrap(), release: release() }
}

fn install(password: &str) -> StepAction {
    StepAction::ConsoleRun {
        release: release(),
        commands: ConsoleCommands::Install {
            application_url: "http://shop/".into(),
            user_name: None,
            user_email: Some("--no-such-option x".into()),
            user_password: Some(Secret::new(password.into())),
        },
    }
}

#[tokio::test]
async fn a_reference_becomes_a_release_whose_console_runs() {
    let mut rig = Rig::new();
    let (build, pack) = (
        StepAction::SourceBuild { release: release(), skip_assets: false },
        StepAction::PackageBuild { release: release() },
    );
    let unpack = StepAction::ReleaseUnpack { release: release(), version: None };

    assert_eq!(rig.probe("source:fetch", fetch("1.0.0")).await, Probe::NotDone);
    let value = rig.act("source:fetch", fetch("1.0.0")).await.unwrap();
    let fetched: SourceFetched = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(fetched.commit, rig.git(&["rev-parse", "HEAD"]));
    assert_eq!(fetched.database_extensions, ["pgcrypto"]);
    assert_eq!(rig.probe("source:fetch", fetch("1.0.0")).await, Probe::Done(value));

    assert_eq!(rig.probe("source:build", build.clone()).await, Probe::Partial);
    rig.act("source:build", build.clone()).await.unwrap();
    assert_eq!(rig.probe("source:build", build).await, Probe::Done(Value::Null));
    assert!(rig.at("build").join(RELEASE).join("built.txt").exists(), "{}", rig.written());

    let built: PackageBuilt =
        serde_json::from_value(rig.act("package:build", pack.clone()).await.unwrap()).unwrap();
    assert_eq!(rig.probe("package:build", pack).await, Probe::Done(json!(built)));

    assert_eq!(rig.probe("release:unpack", unpack.clone()).await, Probe::NotDone);
    rig.act("release:unpack", unpack.clone()).await.unwrap();
    let place = rig.at("app/deploy").join(RELEASE);
    assert!(place.join("vendor/autoload.php").exists() && !place.join(".git").exists());
    assert_eq!(fs::read_link(place.join("var/logs")).unwrap(), rig.at("app/shared/log"));
    assert_eq!(fs::read_link(place.join("public/media")).unwrap(), rig.at("app/shared/media"));
    let app = rig.node.config.app.as_ref().unwrap();
    let described = releases::described(app, &release()).unwrap().unwrap();
    assert_eq!((described.commit, described.package), (fetched.commit, built.package.clone()));
    assert_eq!(rig.probe("release:unpack", unpack.clone()).await, Probe::Done(Value::Null));

    assert_eq!(rig.probe("application:install", install("hunter2")).await, Probe::NotDone);
    rig.act("application:install", install("hunter2")).await.unwrap();
    assert_eq!(rig.probe("application:install", install("hunter2")).await, Probe::Done(Value::Null));
    let written = rig.written();
    assert!(
        written.contains("oro:install|--env=prod|--application-url=http://shop/|--user-email=--no-such-option x from the autoloader hello there prod\n"),
        "{written}"
    );
    assert!(written.contains("other|Oro\\Bundle from") && !written.contains("hunter2"), "{written}");
    assert!(fs::read_to_string(place.join("var/cache/ran")).unwrap().contains(" 7\n"));

    let record = StepAction::ReleaseRecord {
        release: release(),
        reference: "1.0.0".parse().unwrap(),
        by: "dora".into(),
    };
    rig.act("release:record", record.clone()).await.unwrap();
    assert_eq!(releases::recorded(&rig.node.config.state).unwrap().unwrap().package, built.package);

    // The same commit, built anew, is the same package.
    for (step, action) in [
        ("source:fetch", fetch("1.0.0")),
        ("source:build", StepAction::SourceBuild { release: release(), skip_assets: false }),
        ("package:build", StepAction::PackageBuild { release: release() }),
    ] {
        rig.act(step, action).await.unwrap();
    }
    assert_eq!(rig.outputs["package:build"], json!(built));

    // Everything back, twice.
    for _ in 0..2 {
        rig.undo("release:record", record.clone()).await;
        rig.undo("application:install", install("")).await;
        rig.undo("release:unpack", unpack.clone()).await;
        rig.undo("package:build", StepAction::PackageBuild { release: release() }).await;
        rig.undo("source:build", StepAction::SourceBuild { release: release(), skip_assets: false }).await;
        rig.undo("source:fetch", fetch("1.0.0")).await;
    }
    assert_eq!(releases::recorded(&rig.node.config.state).unwrap(), None);
    for folder in ["app/deploy", "build", "state/packages"] {
        assert_eq!(fs::read_dir(rig.at(folder)).unwrap().count(), 0, "{folder}");
    }
    assert_eq!(rig.probe("application:install", install("")).await, Probe::NotDone);
    assert_eq!(rig.probe("release:unpack", unpack).await, Probe::NotDone);
}

#[tokio::test]
async fn references_mean_what_git_says_and_unknown_ones_are_named_with_the_nearest() {
    let mut rig = Rig::new();
    let first = rig.git(&["rev-parse", "HEAD"]);
    rig.git(&["branch", "1.0.0"]);
    rig.commit(&[("x", "x")], "1.1.0");
    let second = rig.git(&["rev-parse", "HEAD"]);
    rig.git(&["branch", "-f", "1.0.0", "HEAD"]);
    rig.git(&["tag", "-a", "-m", "annotated", "2.0.0"]);
    for (reference, commit) in [
        ("1.0.0", &first),
        ("main", &second),
        ("2.0.0", &second),
        ("refs/tags/1.1.0", &second),
        (&second[..9], &second),
        (second.as_str(), &second),
    ] {
        let value = rig.act("source:fetch", fetch(reference)).await.unwrap();
        assert_eq!(value["commit"], **commit, "{reference}");
    }
    // A tag that moved, and one that is gone.
    rig.git(&["tag", "-f", "1.0.0", &second]);
    rig.git(&["tag", "-d", "1.1.0"]);
    assert_eq!(rig.act("source:fetch", fetch("1.0.0")).await.unwrap()["commit"], second);
    let error = rig.act("source:fetch", fetch("1.1.0")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.starts_with("1.1.0 is no tag, branch or commit of "), "{error}");
    assert!(error.causes[0].contains("1.0.0"), "{error}");
    assert!(error.hints[0].starts_with("orocloud-cli deploy --reference="), "{error:?}");
    let error = rig.act("source:fetch", fetch("something-else")).await.unwrap_err();
    assert!(error.causes[0].starts_with("the newest are: "), "{error}");
    fs::rename(rig.at("origin"), rig.at("elsewhere")).unwrap();
    let error = rig.act("source:fetch", fetch("1.0.0")).await.unwrap_err();
    assert!(error.message.contains("cannot be fetched") && !error.causes.is_empty(), "{error}");
}

#[tokio::test]
async fn what_is_wrong_with_the_application_is_named_before_it_is_built() {
    let mut rig = Rig::new();
    rig.commit(
        &[("orocloud.yaml", "orocloud_options:\n  deployment:\n    instal_commands: ['a']\n")],
        "badkey",
    );
    let error = rig.act("source:fetch", fetch("badkey")).await.unwrap_err();
    assert_eq!(error.message, "orocloud.yaml is wrong at orocloud.yaml:3:5");
    assert!(error.causes[0].contains("did you mean orocloud_options.deployment.install_commands"), "{error}");
    rig.commit(
        &[
            ("orocloud.yaml", "orocloud_options:\n  deployment:\n    install_commands: ['oro:install fail --user-password=hunter2']\n"),
            ("composer.json", "{ this is no JSON"),
        ],
        "badcode",
    );
    rig.act("source:fetch", fetch("badcode")).await.unwrap();
    let error = rig
        .act("source:build", StepAction::SourceBuild { release: release(), skip_assets: false })
        .await
        .unwrap_err();
    assert!(
        error.message.starts_with("composer install") && error.to_string().contains("composer.json"),
        "{error}"
    );
    // The console needs an autoloader, whoever makes it.
    fs::remove_file(rig.at("build").join(RELEASE).join("composer.json")).unwrap();
    rig.act("source:build", StepAction::SourceBuild { release: release(), skip_assets: false })
        .await
        .unwrap();
    let checkout = rig.at("build").join(RELEASE);
    fs::create_dir_all(checkout.join("vendor")).unwrap();
    fs::write(checkout.join("vendor/autoload.php"), "<?php require __DIR__.'/../src/B.php';").unwrap();
    rig.act("package:build", StepAction::PackageBuild { release: release() }).await.unwrap();
    rig.act("release:unpack", StepAction::ReleaseUnpack { release: release(), version: None }).await.unwrap();
    let error = rig.act("application:install", install("secret")).await.unwrap_err();
    assert_eq!(
        error.message,
        "the console command oro:install fail --user-password=*** --application-url=http://shop/ '--user-email=--no-such-option x' failed"
    );
    assert_eq!(error.causes.last().unwrap(), "the last line", "{error:?}");
    assert_eq!(rig.probe("application:install", install("secret")).await, Probe::Partial);
}

#[tokio::test]
async fn tidying_removes_what_nothing_needs_and_never_the_live_release() {
    let mut rig = Rig::new();
    let deploy = rig.at("app/deploy");
    for name in
        ["20261120000000", "20261121000000", "20261122000000", ".20261123000000.new", ".20261119000000.old"]
    {
        fs::create_dir_all(deploy.join(name).join("var/cache/deep")).unwrap();
        fs::write(deploy.join(name).join("var/cache/deep/file"), "").unwrap();
    }
    fs::create_dir_all(rig.at("build/20261120000000/x")).unwrap();
    std::os::unix::fs::symlink("deploy/20261121000000", rig.at("app/www")).unwrap();
    let store = crate::package::Store::open(&rig.at("state")).unwrap();
    for (release, hash) in [("20261120000000", "a"), ("20261122000000", "b")] {
        let package = PackageReceiveParams {
            release: release.parse().unwrap(),
            package: hash.repeat(64).parse().unwrap(),
            size: 1,
            files: 1,
        };
        fs::write(store.file(&package.package), "x").unwrap();
        store.assign(&package).unwrap();
    }
    let keep = vec!["20261122000000".parse().unwrap()];
    rig.act("releases:tidy", StepAction::ReleasesTidy { keep }).await.unwrap();
    let mut left: Vec<_> = fs::read_dir(&deploy).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["20261121000000", "20261122000000"]);
    assert_eq!(fs::read_dir(rig.at("state/packages")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(rig.at("build")).unwrap().count(), 0);
    let live = StepAction::ReleaseUnpack { release: "20261121000000".parse().unwrap(), version: None };
    assert!(rig.run("release:unpack", Phase::Undo, live).await.unwrap_err().message.contains("served"));
}

#[tokio::test]
async fn a_cancelled_build_ends_at_once() {
    let mut rig = Rig::new();
    rig.commit(
        &[(
            "orocloud.yaml",
            "orocloud_options: {deployment: {after_composer_install_commands: ['sleep 600']}}",
        )],
        "slow",
    );
    rig.act("source:fetch", fetch("slow")).await.unwrap();
    let cancel = rig.cancel.clone();
    let written = rig.written.clone();
    tokio::spawn(async move {
        while !written.lock().unwrap().contains("$ sleep 600") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        cancel.cancel();
    });
    let error = rig
        .act("source:build", StepAction::SourceBuild { release: release(), skip_assets: false })
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled, "{error}");
}
