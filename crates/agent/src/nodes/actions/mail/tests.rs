//! Configurations of mail switched to and left again, with a service manager and a greeting of the test's own: what each of
//! them was told, and what lies in files meanwhile.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use orocloud_protocol::node::{MailChange, RelayChange};
use orocloud_protocol::smtp::WhitelistChange;
use orocloud_protocol::{EventBody, Secret};

use super::fakes::named;
use crate::environment::{Agent, Postfix};
use crate::mail_settings::Desired;
use crate::nodes::Node;
use crate::nodes::actions::*;
use crate::nodes::mail::switch::TURN;
use crate::nodes::mail::{Configurations, how_they_fare};
use crate::process::Processes;

/// A change of mail, and a release on its way that brings its list.
const CHANGE: &str = "01JDFZ8T6G0000000000000000";
const RELEASE: &str = "01JDFZ8T6G0000000000000001";

/// What Postfix does not start by.
const BAD: &str = "smtpd_timeout = soon\n";

struct Rig {
    folder: tempfile::TempDir,
    node: NodeRef,
    /// Who was told to read its configuration anew.
    told: Arc<Mutex<Vec<String>>>,
    /// Postfix does not say that it has read its configuration.
    is_mute: Arc<AtomicBool>,
    is_stopped: Arc<AtomicBool>,
    /// What steps said besides.
    notes: Arc<Mutex<Vec<String>>>,
    cancel: CancellationToken,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["state", "log", "base", "programs", "keys", "postfix/first"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        symlink("first", root.join("postfix/config")).unwrap();
        // It takes whatever it is asked to check: these maps have no entries.
        for name in ["postconf", "postmap", "postqueue"] {
            symlink("/bin/true", root.join("programs").join(name)).unwrap();
        }
        for file in ["base/main.cf", "base/master.cf", "postfix/first/main.cf"] {
            fs::write(root.join(file), "myhostname = mail1.example.com\n").unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listens = listener.local_addr().unwrap();
        greet(listener, root.join("postfix/config"));
        let (told, is_mute, is_stopped) = (Arc::default(), Arc::default(), Arc::default());
        let supervisor = UnixListener::bind(root.join("supervisor")).unwrap();
        let postfix = (Arc::clone(&is_mute), Arc::clone(&is_stopped));
        supervise(supervisor, root.to_owned(), Arc::clone(&told), postfix);
        let at = |name: &str| root.join(name).display().to_string();
        let environment = "format = 1\nname = \"acme-prod1\"\nproject = \"acme\"\ntype = \"prod\"\nurl = \"http://127.0.0.1:1/\"\n\
             keeper = \"postgresql\"\n\
             [[node]]\nname = \"maint1\"\nroles = [\"maint\", \"web\"]\nzone = \"a\"\naddress = \"127.0.0.1\"\n\
             [[node]]\nname = \"mail1\"\nroles = [\"mail\"]\nzone = \"a\"\naddress = \"127.0.0.2\"\n\
             [application]\ndocument_root = \"public\"\n[repository]\nurl = \"/none\"\n[backup]\n";
        fs::write(root.join("environment.toml"), environment).unwrap();
        let agent = format!(
            "format = 1\nnode = \"mail1\"\nenvironment_file = \"{}\"\nstate = \"{}\"\nrun = \"/run\"\nlog = \"{}\"\n\
             [service_manager]\nkind = \"supervisor\"\nsocket = \"{}\"\n\
             [postfix]\nservice = \"postfix\"\nbase = \"{}\"\nconfigurations = \"{}\"\nprograms = \"{}\"\n\
             log = \"{}\"\nlistens = \"{listens}\"\n\
             [signer]\nservice = \"opendkim\"\nkeys = \"{}\"\nsocket = \"/run/opendkim\"\n",
            at("environment.toml"),
            at("state"),
            at("log"),
            at("supervisor"),
            at("base"),
            at("postfix"),
            at("programs"),
            at("log/mail.log"),
            at("keys"),
        );
        fs::write(root.join("agent.toml"), agent).unwrap();
        let config = Agent::load(&root.join("agent.toml")).unwrap();
        let node = Node::new(config, Processes::new(None));
        Self {
            is_stopped,
            folder,
            node,
            told,
            is_mute,
            notes: Arc::default(),
            cancel: CancellationToken::new(),
        }
    }

    fn postfix(&self) -> &Postfix {
        self.node.config.postfix.as_ref().unwrap()
    }

    fn configurations(&self) -> Configurations<'_> {
        Configurations::new(self.postfix())
    }

    fn current(&self) -> String {
        self.configurations().current().unwrap()
    }

    /// What steps have said besides that has this in it. Tests wait for each other, which is said too.
    fn notes(&self, part: &str) -> Vec<String> {
        let notes = self.notes.lock().unwrap();
        notes.iter().filter(|note| note.contains(part)).cloned().collect()
    }

    async fn run(&self, operation: &str, phase: Phase, action: StepAction) -> Result<StepAnswer, CallError> {
        let context = ActionContext {
            node: &self.node,
            coordinator: None,
            operation: operation.parse().unwrap(),
            step: "mail",
            outputs: &Outputs::new(),
            events: EventSink::new({
                let notes = Arc::clone(&self.notes);
                move |event| {
                    if let EventBody::Note { text, .. } = event {
                        notes.lock().unwrap().push(text);
                    }
                }
            }),
            cancel: self.cancel.clone(),
        };
        run(&context, phase, &action).await
    }

    /// A change up to its switch, which it gives the outcome of: from no whitelist to one on which nobody is.
    async fn change(&self) -> Result<StepAnswer, CallError> {
        let change = MailChange::Whitelist(WhitelistChange::Add(Vec::new()));
        for action in [StepAction::MailStage { change: Box::new(change) }, StepAction::MailWrite {}] {
            self.run(CHANGE, Phase::Act, action).await.unwrap();
        }
        self.told();
        self.run(CHANGE, Phase::Act, StepAction::MailSwitch {}).await
    }

    /// A release on its way brings a list on which nobody is.
    async fn list_comes(&self) -> Result<StepAnswer, CallError> {
        self.hold("").await
    }

    async fn hold(&self, list: &str) -> Result<StepAnswer, CallError> {
        let action = StepAction::MailHold { whitelist: named(list), beside: false };
        self.run(RELEASE, Phase::Act, action).await
    }

    /// Dies in the middle of it: Postfix was told, and has not said yet that it has read its configuration.
    async fn dies(&self, doing: impl Future) {
        self.told();
        self.is_mute.store(true, Ordering::SeqCst);
        let is_told = async {
            while !self.told.lock().unwrap().iter().any(|told| told == "postfix") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = doing => panic!("it ends although Postfix says nothing"),
            () = is_told => {}
        }
        self.is_mute.store(false, Ordering::SeqCst);
        self.told();
    }

    async fn undo(&self) {
        let undone = self.run(CHANGE, Phase::Undo, StepAction::MailSwitch {}).await.unwrap();
        assert_eq!(undone, StepAnswer::Undone);
    }

    /// Who was told since this was asked, in their order.
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn spoil(&self) {
        fs::write(self.folder.path().join("base/main.cf"), BAD).unwrap();
    }

    fn mark(&self) -> Option<String> {
        fs::read_to_string(self.configurations().folder(&self.current()).join("unread")).ok()
    }
}

/// Greets by the configuration that holds, and takes everything.
fn greet(listener: TcpListener, config: PathBuf) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let config = config.clone();
            thread::spawn(move || {
                let name = fs::read_link(config).unwrap_or_default();
                let _ = write!(&stream, "220 mail1.example.com ESMTP {}\r\n", name.display());
                for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                    let _ = write!(&stream, "{}\r\n", if line == "QUIT" { "221 bye" } else { "250 ok" });
                }
            });
        }
    });
}

/// The service manager, and Postfix's log of what it does when it is told to read its configuration.
fn supervise(
    listener: UnixListener,
    root: PathBuf,
    told: Arc<Mutex<Vec<String>>>,
    (is_mute, is_stopped): (Arc<AtomicBool>, Arc<AtomicBool>),
) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let request: Value = serde_json::from_str(&line).unwrap_or_default();
            let service = request["service"].as_str().unwrap_or_default();
            let is_stopped = service == "postfix" && is_stopped.load(Ordering::SeqCst);
            if request["do"] == "reload" {
                told.lock().unwrap().push(service.to_owned());
                if service == "postfix" && !is_mute.load(Ordering::SeqCst) {
                    append_to_log(&root);
                }
            }
            let (state, pid) = if is_stopped { ("stopped", None) } else { ("running", Some(7)) };
            let state = serde_json::json!({ "name": service, "state": state, "pid": pid });
            let ok = !is_stopped || request["do"] != "reload";
            let _ = writeln!(&stream, "{}", serde_json::json!({ "ok": ok, "services": [state] }));
        }
    });
}

fn append_to_log(root: &Path) {
    let head = "Nov 29 12:00:00 acme-prod1-mail1 postfix";
    let mut text = format!("{head}/master[7]: reload -- version 3.7.11\n");
    let main = fs::read_to_string(root.join("postfix/config/main.cf")).unwrap_or_default();
    if main.contains(BAD) {
        text.push_str(&format!("{head}/smtpd[8]: fatal: bad time: smtpd_timeout = soon\n"));
    }
    let log = fs::OpenOptions::new().append(true).create(true).open(root.join("log/mail.log"));
    log.and_then(|mut log| log.write_all(text.as_bytes())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postfix_cannot_work_by_is_left_and_all_are_told() {
    let rig = Rig::new();
    rig.spoil();
    let failed = rig.change().await.unwrap_err();
    assert!(failed.to_string().contains("smtpd_timeout"), "{failed}");
    assert!(failed.hints[0].contains("log:tail postfix --node=mail1"), "{failed:?}");
    assert_eq!((rig.current().as_str(), rig.told()), (CHANGE, vec!["postfix".into(), "opendkim".into()]));
    rig.undo().await;
    assert_eq!((rig.current().as_str(), rig.told()), ("first", vec!["postfix".into(), "opendkim".into()]));
    // Whoever dies in the middle of it is asked again: nobody knows whether Postfix was told.
    rig.undo().await;
    assert_eq!((rig.current().as_str(), rig.told()), ("first", vec!["postfix".into(), "opendkim".into()]));

    // What the agent does by itself is left the same way.
    let failed = rig.list_comes().await.unwrap_err();
    assert!(failed.to_string().contains("smtpd_timeout"), "{failed}");
    assert_eq!(failed.causes.last().map(String::as_str), Some("what held before holds again"));
    assert_eq!(rig.current(), "first");
    assert_eq!(rig.told(), ["postfix", "postfix"], "it reads the bad one, and the good one again");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_before_postfix_has_read_a_configuration_still_goes_back() {
    let rig = Rig::new();
    rig.dies(rig.list_comes()).await;
    let list = rig.current();
    assert_eq!((list == "first", rig.mark().as_deref()), (false, Some("first")));
    rig.list_comes().await.unwrap();
    assert_eq!((rig.current(), rig.mark()), (list, None), "it can work by it");

    // Asked again, asked for something else, or changed by somebody, which is undone.
    for next in ["again", "else", "change"] {
        let rig = Rig::new();
        rig.spoil();
        rig.dies(rig.list_comes()).await;
        assert_ne!(rig.current(), "first", "{next}");
        let outcome = match next {
            "again" => rig.list_comes().await,
            "else" => rig.hold("-").await,
            _ => rig.change().await,
        };
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("smtpd_timeout") && !error.contains("nor is it sure"), "{next}: {error}");
        if next == "change" {
            rig.undo().await;
        }
        assert_eq!((rig.current().as_str(), rig.mark()), ("first", None), "{next}");
    }

    // What could not even be written is not left either: nobody knows that it is bad.
    let rig = Rig::new();
    rig.dies(rig.list_comes()).await;
    let list = rig.current();
    fs::remove_file(rig.folder.path().join("programs/postconf")).unwrap();
    rig.hold("-").await.unwrap_err();
    assert_eq!((rig.current(), rig.mark().as_deref()), (list, Some("first")));

    // A former agent did not note what to go back to.
    let rig = Rig::new();
    rig.spoil();
    rig.dies(rig.list_comes()).await;
    let list = rig.current();
    fs::write(rig.configurations().folder(&list).join("unread"), "").unwrap();
    rig.list_comes().await.unwrap_err();
    assert_eq!((rig.current(), rig.mark().as_deref()), (list, Some("")));
}

#[tokio::test(flavor = "multi_thread")]
async fn until_postfix_works_by_what_held_before_it_is_told_so() {
    let rig = Rig::new();
    rig.change().await.unwrap();
    rig.dies(rig.undo()).await;
    assert_eq!((rig.current().as_str(), rig.mark().as_deref()), ("first", Some("first")));
    rig.undo().await;
    assert_eq!((rig.told(), rig.mark()), (vec!["postfix".into(), "opendkim".into()], None));
    assert_eq!(rig.notes("it is not sure"), [""; 0]);

    let rig = Rig::new();
    rig.change().await.unwrap();
    fs::write(rig.configurations().folder("first").join("main.cf"), BAD).unwrap();
    rig.told();
    rig.undo().await;
    assert_eq!((rig.current().as_str(), rig.mark().as_deref()), ("first", Some("first")));
    assert_eq!(rig.told(), ["postfix", "opendkim"]);
    let notes = rig.notes("it is not sure");
    assert!(
        notes.len() == 1 && notes[0].contains("mail1") && notes[0].contains("smtpd_timeout"),
        "{notes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_undone_leaves_the_list_that_came_meanwhile() {
    let rig = Rig::new();
    rig.change().await.unwrap();
    assert_eq!(rig.current(), CHANGE);
    rig.list_comes().await.unwrap();
    rig.told();
    rig.undo().await;
    let holds = rig.configurations().desired().unwrap();
    assert_eq!((holds.whitelist, holds.application), (None, named("")));
    assert_eq!(rig.told(), ["postfix", "opendkim"]);

    // Where that cannot be, what worked before does without it.
    let rig = Rig::new();
    rig.change().await.unwrap();
    rig.list_comes().await.unwrap();
    rig.told();
    fs::remove_file(rig.folder.path().join("programs/postconf")).unwrap();
    rig.undo().await;
    assert_eq!((rig.current().as_str(), rig.told()), ("first", vec!["postfix".into(), "opendkim".into()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_of_the_day_before_keeps_nobody_from_a_change() {
    let rig = Rig::new();
    fs::write(rig.folder.path().join("log/mail.log.1.gz"), "nothing that is packed").unwrap();
    let relays = how_they_fare(&rig.node, rig.postfix(), &Desired::default(), |_| ()).await;
    assert!(relays.is_ok(), "{relays:?}");
    rig.change().await.unwrap();
    assert_eq!(rig.current(), CHANGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postfix_that_does_not_run_keeps_nobody_from_a_change() {
    let rig = Rig::new();
    rig.is_stopped.store(true, Ordering::SeqCst);
    rig.change().await.unwrap();
    assert_eq!((rig.current().as_str(), rig.told()), (CHANGE, vec!["opendkim".into()]));
    assert_eq!(rig.notes("Postfix does not run on mail1").len(), 1);
    rig.undo().await;
    assert_eq!((rig.current().as_str(), rig.told()), ("first", vec!["opendkim".into()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_another_change_says_so_and_can_be_cancelled() {
    let rig = Rig::new();
    let turn = TURN.lock().await;
    let is_said = async {
        while rig.notes("another change of mail on mail1 is waited for").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        rig.cancel.cancel();
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(Duration::from_secs(60), rig.list_comes()) => outcome.unwrap(),
        () = is_said => unreachable!("it never ends"),
    };
    assert_eq!((outcome.unwrap_err().kind, rig.current().as_str()), (ErrorKind::Cancelled, "first"));
    drop(turn);
}

#[tokio::test]
async fn only_the_agent_and_postfix_read_files_with_a_password() {
    let rig = Rig::new();
    let change = RelayChange {
        name: "main".parse().unwrap(),
        host: Some("smtp.example.com".parse().unwrap()),
        port: None,
        tls: None,
        ca: None,
        priority: None,
        user: Some("apikey".parse().unwrap()),
        password: Some(Secret::new("hunter2".into())),
        probe_from: None,
        probe_to: None,
    };
    let action = StepAction::MailStage { change: Box::new(MailChange::SetRelay(change)) };
    rig.run(CHANGE, Phase::Act, action).await.unwrap();
    let configurations = rig.configurations();
    let secret = |known: &[&str]| {
        let entries = fs::read_dir(configurations.folder(CHANGE)).unwrap().flatten();
        let mut found: Vec<String> = entries
            .filter(|entry| fs::read_to_string(entry.path()).unwrap().contains("hunter2"))
            .map(|entry| {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                format!("{} {mode:o}", entry.file_name().display())
            })
            .collect();
        found.sort();
        assert_eq!(found, known);
    };
    secret(&["settings.json 600"]);
    // Postfix's own program is asked, and here finds nothing in the maps.
    let failed = rig.run(CHANGE, Phase::Act, StepAction::MailWrite {}).await.unwrap_err().to_string();
    assert!(failed.contains("is not found") && !failed.contains("hunter2"), "{failed}");
    secret(&["sasl_passwd 600", "settings.json 600"]);
    // What the agent notes by itself replaces the document.
    configurations.switch_to(CHANGE).unwrap();
    configurations.note(&configurations.desired().unwrap()).unwrap();
    secret(&["sasl_passwd 600", "settings.json 600"]);
    // What the node remembers of the operation has it nowhere.
    let marks = fs::read_dir(rig.folder.path().join("state/marks").join(CHANGE)).unwrap().flatten();
    let marks: Vec<String> = marks.map(|mark| fs::read_to_string(mark.path()).unwrap()).collect();
    assert!(!marks.is_empty() && marks.iter().all(|mark| !mark.contains("hunter2")), "{marks:?}");
}
