//! The connection against a real sshd, with a script in place of the agent.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use ssh_key::PublicKey;
use tempfile::TempDir;

use super::host::HostTrust;
use super::*;
use crate::identity::IdentitySource;

/// Answers every call with what the script's environment says; `state` in the folder counts connections.
const AGENT: &str = r#"#!/bin/bash
cd "$(dirname "$0")" || exit 1
echo x >> state
echo '{"jsonrpc":"2.0","method":"hello","params":{"protocols":[1],"version":"0.1.0","environment":"acme-prod1","type":"dev"}}'
while IFS= read -r line; do
    echo "$line" >> received
    case $line in *'"method":"hello"'*) continue ;; esac
    id=${line#*'"id":"'}; id=${id%%'"'*}
    event() { printf '{"jsonrpc":"2.0","method":"event","params":{"call":"%s","seq":%s,"at":"2026-11-24T10:32:00Z","event":"note","level":"info","text":"%s"}}\n' "$id" "$1" "$2"; }
    case $line in
        *'"method":"deploy"'*)
            event 1 one
            if [ "$(wc -l < state)" = 1 ]; then event 2 two; exit 3; fi
            event 2 two
            event 3 three
            printf '{"jsonrpc":"2.0","id":"%s","result":"done"}\n' "$id" ;;
        *'"method":"status"'*) printf '{"jsonrpc":"2.0","id":"%s","result":"fine"}\n' "$id" ;;
        *'"method":"log.tail"'*) event 1 waiting; sleep 600 ;;
        *) printf '{"jsonrpc":"2.0","id":"%s","error":{"code":-32601,"message":"no such method","data":{"kind":"unknown-method"}}}\n' "$id" ;;
    esac
done
"#;

fn run(program: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn keygen(folder: &Path, arguments: &[&str]) {
    run("ssh-keygen", &[&["-q"], arguments].concat(), folder);
}

/// An sshd of our own on loopback.
struct Sshd {
    folder: TempDir,
    child: Child,
    port: u16,
}

impl Sshd {
    /// Starts one; `host_certificate` arguments go to ssh-keygen, and without them it shows its plain key.
    fn start(host_certificate: Option<&[&str]>) -> Self {
        let folder = tempfile::Builder::new().prefix("orocloud-ssh-").tempdir().unwrap();
        let path = folder.path();
        for key in ["user_ca", "host_ca", "other_ca", "host", "id"] {
            keygen(path, &["-t", "ed25519", "-N", "", "-C", key, "-f", key]);
        }
        let principals = "viewer@acme-prod1,developer@acme-stag1";
        keygen(
            path,
            &[
                "-s",
                "user_ca",
                "-I",
                "vera@acme.example",
                "-z",
                "7",
                "-n",
                principals,
                "-V",
                "-1m:+1h",
                "id.pub",
            ],
        );
        let mut config = String::new();
        if let Some(arguments) = host_certificate {
            keygen(path, &[arguments, &["-h", "-I", "maint1", "host.pub"]].concat());
            config.push_str(&format!("HostCertificate {}\n", path.join("host-cert.pub").display()));
        }
        fs::write(path.join("principals"), "viewer@acme-prod1\n").unwrap();
        let agent = path.join("agent");
        fs::write(&agent, AGENT).unwrap();
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
        // As root, sshd wants its folder for separated privileges.
        let _ = fs::create_dir_all("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = |name: &str| path.join(name).display().to_string();
        config.push_str(&format!(
            "Port {port}\nListenAddress 127.0.0.1\nUsePAM no\nStrictModes no\nPidFile none\nHostKey {}\n\
             TrustedUserCAKeys {}\nAuthorizedPrincipalsFile {}\nAuthorizedKeysFile none\nPermitRootLogin yes\n\
             AuthenticationMethods publickey\nForceCommand {}\nSubsystem orocloud {}\nLogLevel VERBOSE\n",
            at("host"), at("user_ca.pub"), at("principals"), at("agent"), at("agent")
        ));
        fs::write(path.join("sshd_config"), config).unwrap();
        let log = fs::File::create(path.join("log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(path.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the tests need Debian's package openssh-server");
        let this = Self { folder, child, port };
        let limit = Instant::now() + Duration::from_secs(10);
        while !this.log().contains("Server listening") {
            assert!(Instant::now() < limit, "sshd did not start: {}", this.log());
            std::thread::yield_now();
        }
        this
    }

    fn trusted() -> Self {
        Self::start(Some(&["-s", "host_ca", "-n", "acme-prod1-maint1"]))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn log(&self) -> String {
        self.read("log")
    }

    fn key(&self, name: &str) -> PublicKey {
        PublicKey::from_openssh(&self.read(&format!("{name}.pub"))).unwrap()
    }

    fn route(&self) -> SshRoute {
        SshRoute {
            address: "127.0.0.1".into(),
            port: self.port,
            user: whoami(),
            trust: HostTrust::Authority {
                authorities: vec![self.key("host_ca")],
                name: "acme-prod1-maint1".into(),
            },
            identity: IdentitySource { key: Some(self.path("id")), ..IdentitySource::default() },
        }
    }

    fn client(&self, adapt: impl FnOnce(&mut SshRoute)) -> Client {
        let mut route = self.route();
        adapt(&mut route);
        Client::new(Destination {
            name: Some("acme-prod1".parse().unwrap()),
            route: Route::Ssh(Box::new(route)),
            reconnect_for: Duration::from_secs(5),
        })
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Writes down what it is told.
#[derive(Default)]
struct Recorder {
    told: Vec<String>,
    passphrases: Vec<&'static str>,
}

impl Watcher for Recorder {
    fn event(&mut self, event: &Event) -> io::Result<Flow> {
        let EventBody::Note { text, .. } = &event.body else { panic!() };
        self.told.push(text.clone());
        Ok(if text == "waiting" { Flow::Leave } else { Flow::Continue })
    }

    fn lost(&mut self, why: &str, _: Duration) -> io::Result<()> {
        self.told.push(format!("lost: {why}"));
        Ok(())
    }

    fn regained(&mut self, _: Duration) -> io::Result<()> {
        self.told.push("regained".into());
        Ok(())
    }

    fn interrupted(&mut self, _: usize, _: Option<&Hello>) -> io::Result<Flow> {
        Ok(Flow::Leave)
    }

    fn unlock(&mut self, _: &Path, attempt: u32) -> Option<String> {
        self.passphrases.get(attempt as usize - 1).map(|word| (*word).to_owned())
    }
}

fn outgoing(method: &'static str, kind: Kind) -> Outgoing {
    Outgoing {
        id: "01JDFZ8T6G0000000000000000".parse().unwrap(),
        method,
        params: json!({}),
        kind,
        resume: Resume::Repeat,
        deadline: None,
        seen: 0,
    }
}

fn status(client: &mut Client, recorder: &mut Recorder) -> Result<Ending, CallError> {
    client.call(&mut outgoing("status", Kind::Query), recorder, None).map_err(|failure| match failure {
        CallFailure::Call(error) => error,
        CallFailure::Output(error) => panic!("{error}"),
    })
}

fn fine() -> Result<Ending, CallError> {
    Ok(Ending::Answer(json!("fine")))
}

#[test]
fn one_connection_carries_calls_after_one_another() {
    let sshd = Sshd::trusted();
    let mut client = sshd.client(|_| {});
    let mut recorder = Recorder::default();
    for _ in 0..3 {
        assert_eq!(status(&mut client, &mut recorder), fine());
    }
    assert_eq!(sshd.read("state").lines().count(), 1);
    assert_eq!(client.hello().unwrap().environment.as_ref().unwrap().as_str(), "acme-prod1");
    let unknown = client.call(&mut outgoing("sparkle", Kind::Query), &mut recorder, None).unwrap_err();
    assert!(matches!(unknown, CallFailure::Call(error) if error.kind == ErrorKind::UnknownMethod));
}

#[test]
fn every_kind_of_key_signs_in() {
    let sshd = Sshd::trusted();
    let principals = "viewer@acme-prod1";
    for (name, kind) in [("ecdsa", ["-t", "ecdsa"]), ("rsa", ["-t", "rsa"])] {
        keygen(sshd.folder.path(), &[kind[0], kind[1], "-N", "", "-f", name]);
        keygen(sshd.folder.path(), &["-s", "user_ca", "-I", name, "-n", principals, &format!("{name}.pub")]);
        let mut client = sshd.client(|route| route.identity.key = Some(sshd.path(name)));
        assert_eq!(status(&mut client, &mut Recorder::default()), fine(), "{name}");
    }
}

#[test]
fn a_passphrase_is_asked_for_again_when_it_was_wrong() {
    let sshd = Sshd::trusted();
    keygen(sshd.folder.path(), &["-p", "-P", "", "-N", "secret", "-f", "id"]);
    let mut recorder = Recorder { passphrases: vec!["wrong", "secret"], ..Recorder::default() };
    assert_eq!(status(&mut sshd.client(|_| {}), &mut recorder), fine());

    let mut recorder = Recorder { passphrases: vec!["a", "b", "c"], ..Recorder::default() };
    let error = status(&mut sshd.client(|_| {}), &mut recorder).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSignedIn);
    assert!(error.to_string().contains("the passphrase is wrong"), "{error}");

    let error = status(&mut sshd.client(|_| {}), &mut Recorder::default()).unwrap_err();
    assert!(error.to_string().contains("nobody is there to type it"), "{error}");
}

/// An ssh-agent of our own.
struct SshAgent(Child, PathBuf);

impl SshAgent {
    fn start(folder: &Path, keys: &[&str]) -> Self {
        let socket = folder.join("agent.sock");
        let child =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let limit = Instant::now() + Duration::from_secs(10);
        while !socket.exists() {
            assert!(Instant::now() < limit, "the ssh-agent did not start");
            std::thread::yield_now();
        }
        let this = Self(child, socket);
        for key in keys {
            let added = Command::new("ssh-add")
                .arg("-q")
                .arg(folder.join(key))
                .env("SSH_AUTH_SOCK", &this.1)
                .output()
                .unwrap();
            assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        }
        this
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_ssh_agent_signs_with_the_certificate_it_has() {
    let sshd = Sshd::trusted();
    keygen(sshd.folder.path(), &["-t", "ed25519", "-N", "", "-f", "plain"]);
    let agent = SshAgent::start(sshd.folder.path(), &["plain", "id"]);
    let source = |certificate: Option<&str>| IdentitySource {
        certificate: certificate.map(|name| sshd.path(name)),
        agent_socket: Some(agent.1.clone()),
        ..IdentitySource::default()
    };
    for certificate in [None, Some("id-cert.pub")] {
        let mut client = sshd.client(|route| route.identity = source(certificate));
        assert_eq!(status(&mut client, &mut Recorder::default()), fine());
    }
    keygen(sshd.folder.path(), &["-s", "user_ca", "-I", "other", "-n", "viewer@acme-prod1", "plain.pub"]);
    let error = status(
        &mut sshd.client(|route| route.identity = source(Some("plain-cert.pub"))),
        &mut Recorder::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("does not have the certificate \"other\""), "{error}");
}

#[test]
fn a_host_that_cannot_prove_itself_learns_nothing() {
    for (certificate, expected) in [
        (None, "plain key"),
        (Some(&["-s", "other_ca", "-n", "acme-prod1-maint1"][..]), "not the configured host_ca"),
        (Some(&["-s", "host_ca", "-n", "acme-prod1-web1"]), "not for acme-prod1-maint1"),
        (Some(&["-s", "host_ca"]), "no name at all"),
        (Some(&["-s", "host_ca", "-n", "acme-prod1-maint1", "-V", "20200101:20210101"]), "expired"),
    ] {
        let sshd = Sshd::start(certificate);
        let error = status(&mut sshd.client(|_| {}), &mut Recorder::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::HostNotTrusted, "{expected}");
        assert!(error.to_string().contains(expected), "{error}");
        let seen = sshd.key("host").fingerprint(ssh_key::HashAlg::Sha256).to_string();
        assert!(error.to_string().contains(&seen), "{error}");
        assert!(!sshd.log().contains("Accepted") && !sshd.log().contains("ID vera"), "{}", sshd.log());
    }
    let sshd = Sshd::start(None);
    let pinned = |name: &str| HostTrust::Pinned(sshd.key(name));
    assert_eq!(
        status(&mut sshd.client(|route| route.trust = pinned("host")), &mut Recorder::default()),
        fine()
    );
    let error =
        status(&mut sshd.client(|route| route.trust = pinned("id")), &mut Recorder::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::HostNotTrusted);
}

#[test]
fn a_refusal_tells_what_the_certificate_holds() {
    let sshd = Sshd::trusted();
    fs::write(sshd.path("principals"), "owner@acme-prod1\n").unwrap();
    let error = status(&mut sshd.client(|_| {}), &mut Recorder::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSignedIn);
    let text = error.to_string();
    let authority = sshd.key("user_ca").fingerprint(ssh_key::HashAlg::Sha256).to_string();
    for part in [
        "key id \"vera@acme.example\", serial 7",
        "viewer@acme-prod1, developer@acme-stag1",
        "valid from",
        &authority,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn an_operation_survives_its_connection_and_shows_each_event_once() {
    let sshd = Sshd::trusted();
    let mut recorder = Recorder::default();
    let mut operation = outgoing("deploy", Kind::Operation);
    let ending = sshd.client(|_| {}).call(&mut operation, &mut recorder, None).unwrap();
    assert_eq!(ending, Ending::Answer(json!("done")));
    // Whether the exit code has come by then is a matter of luck: it may follow the end of the data.
    let lost = recorder.told.remove(2);
    assert!(lost.starts_with("lost: the other side ended the connection"), "{lost}");
    assert_eq!(recorder.told, ["one", "two", "regained", "three"]);
    assert!(sshd.read("received").contains("\"after_seq\":2"));
}

#[test]
fn a_connection_that_does_not_come_back_says_whether_something_still_runs() {
    let mut sshd = Sshd::trusted();
    let mut client = sshd.client(|_| {});
    assert_eq!(status(&mut client, &mut Recorder::default()), fine());
    client.disconnect();
    sshd.child.kill().unwrap();
    sshd.child.wait().unwrap();
    let error = status(&mut client, &mut Recorder::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.to_string().contains("cannot connect to 127.0.0.1"), "{error}");

    let lost = Lost("reset".into());
    let away = CallError::new(ErrorKind::Unreachable, "cannot connect");
    assert_eq!(lost_for_good(&outgoing("status", Kind::Query), away.clone(), &lost).kind.exit_code(), 5);
    let still = lost_for_good(&outgoing("deploy", Kind::Operation), away, &lost);
    assert_eq!(still.kind.exit_code(), 8);
    assert!(still.hints[0].ends_with("log:view --follow 01JDFZ8T6G0000000000000000"));
}

#[test]
fn an_old_or_wrong_agent_is_named() {
    let meant: EnvironmentName = "acme-prod1".parse().unwrap();
    let old = Hello { protocols: vec![0], ..Hello::ours() };
    assert_eq!(greet(&old, None).unwrap_err().kind, ErrorKind::ProtocolMismatch);
    let other =
        Hello::ours().of_environment("acme-stag1".parse().unwrap(), orocloud_protocol::EnvironmentType::Stag);
    assert_eq!(greet(&other, Some(&meant)).unwrap_err().kind, ErrorKind::HostNotTrusted);
    greet(&other, None).unwrap();
}

#[test]
fn a_watcher_can_leave_a_stream() {
    let sshd = Sshd::trusted();
    let mut recorder = Recorder::default();
    let ending =
        sshd.client(|_| {}).call(&mut outgoing("log.tail", Kind::Stream), &mut recorder, None).unwrap();
    assert_eq!(ending, Ending::Left);
}
