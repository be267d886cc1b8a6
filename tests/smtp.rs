//! Mail through a real Postfix to real upstream servers: a relay is tried before anything is switched, the next one takes
//! over, whoever may not be reached is not.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orocloud_sandbox::Options;
use serde_json::Value;

use crate::asking::at_terminal;
use crate::support::{Answer, Shop, wait_for};
use crate::windows::announce;

pub const SENDER: &str = "shop@example.com";

/// `smtp:relay:set` of a relay that is one of the sandbox's servers.
pub struct Server<'a> {
    pub shop: &'a Shop,
    pub server: &'static str,
}

impl Server<'_> {
    pub fn address(&self) -> String {
        self.shop.sandbox.node(self.server).expect("a server").address()
    }

    pub fn password(&self) -> String {
        let file = self.shop.node_dir(self.server).join("etc/password");
        fs::read_to_string(file).expect("a password").trim().to_owned()
    }

    /// What it takes to set it, with its password on standard input.
    pub fn options(&self) -> Vec<String> {
        let authority = self.shop.node_dir(self.server).join("etc/authority.crt");
        vec![
            format!("--host={}", self.address()),
            "--port=2525".to_owned(),
            format!("--ca-file={}", authority.display()),
            "--user=orocloud".to_owned(),
            "--password-stdin".to_owned(),
            format!("--probe-from={SENDER}"),
            "--probe-to=ann@example.com".to_owned(),
        ]
    }

    /// Sets it under this name, with these options and this password.
    #[track_caller]
    pub fn set(&self, name: &str, more: &[&str], password: &str) -> Answer {
        let mut cli = self.shop.cli("operator", ["smtp:relay:set", name, "--format=json"]);
        let port = more.iter().any(|option| option.starts_with("--port"));
        let options = self.options().into_iter().filter(|option| !(port && option.starts_with("--port")));
        cli.command.args(options).args(more).stdin(Stdio::piped());
        let mut child = cli.spawn();
        let mut stdin = child.stdin.take().expect("standard input");
        writeln!(stdin, "{password}").expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("its output");
        let answer = Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(!answer.text().contains(password), "the password is shown: {answer:#?}");
        answer
    }

    /// How much it took for somebody.
    pub fn taken(&self, to: &str) -> usize {
        let is_them = |one: &Value| one.as_str().is_some_and(|one| one.eq_ignore_ascii_case(to));
        let is_theirs = |mail: &Value| mail["to"].as_array().is_some_and(|all| all.iter().any(is_them));
        self.shop.sandbox.mail_of(self.server).iter().filter(|mail| is_theirs(mail)).count()
    }
}

fn relays(shop: &Shop) -> Vec<String> {
    let shown = shop.cli("viewer", ["smtp:show", "--format=json"]).succeeds().json();
    let relays = shown["relays"].as_array().expect("relays").iter();
    relays.map(|relay| format!("{} {}", relay["name"].as_str().expect("a name"), relay["priority"])).collect()
}

/// One message from each of the two web nodes.
pub fn send(shop: &Shop, to: &str) -> Answer {
    shop.cli("developer", ["smtp:test", &format!("--to={to}"), "--format=json"]).run()
}

/// Whether this server took the message of each web node, and how long every hop took is told.
fn went_by(sent: &Answer, server: &Server<'_>) -> bool {
    let sent = sent.json();
    let all = sent["sent"].as_array().expect("messages");
    let nodes: Vec<&str> = all.iter().filter_map(|one| one["node"].as_str()).collect();
    let hops = ["submitted_ms", "queued_ms", "connected_ms", "sent_ms"];
    nodes == ["web1", "web2"]
        && all.iter().map(|one| &one["delivery"]).all(|one| {
            let parts: Option<Vec<u64>> = hops.iter().map(|hop| one["hops"][hop].as_u64()).collect();
            one["relay"].to_string().contains(&server.address())
                && one["mail_node"] == "mail1"
                && one["said"].to_string().contains("250 2.0.0 taken")
                && parts.is_some_and(|parts| one["took_ms"] == parts.iter().sum::<u64>())
        })
}

/// Configurations that are kept on the mail node.
fn configurations(shop: &Shop) -> usize {
    let folder = shop.node_dir("mail1").join("state/postfix");
    let entries = fs::read_dir(folder).expect("configurations").flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
}

/// How often Postfix was told to read its configuration.
fn reloads(shop: &Shop) -> usize {
    let log = fs::read_to_string(shop.node_dir("mail1").join("log/postfix/mail.log")).unwrap_or_default();
    log.lines().filter(|line| line.contains("]: reload ")).count()
}

/// Whether a text stands in any file below a folder.
pub fn stands_in(folder: &Path, text: &str) -> Option<String> {
    let output = Command::new("grep").args(["-rlF", "--", text]).arg(folder).output().expect("grep");
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    (!found.is_empty()).then_some(found)
}

#[test]
fn mail_goes_by_relays_that_were_tried_and_to_whom_it_may() {
    let shop = Shop::start_with(Options { smtp: true, mail: true, ..Options::default() });
    let one = Server { shop: &shop, server: "relay1" };
    let other = Server { shop: &shop, server: "relay2" };

    let arguments = watched_arguments(&shop);

    // Before there is a relay mail waits, and says why.
    shop.cli("viewer", ["smtp:test", "--to=ann@example.com"]).ends_with(4);
    let waits = || {
        let ann = ["smtp:test", "--to=ann@example.com", "--from=shop@example.com"];
        let waits = shop.cli("developer", ann).ends_with(9);
        assert!(waits.stderr.contains("no SMTP relay is set"), "{waits:#?}");
    };
    waits();
    shop.cli("operator", ["smtp:whitelist", "add", "example.com"]).succeeds();
    waits();
    shop.cli("operator", ["smtp:whitelist", "clear"]).succeeds();
    wait_for("all messages to wait", || {
        let queue = shop.cli("viewer", ["smtp:queue", "--format=json"]).succeeds().json();
        queue["total"] == 4 && queue["items"][0]["to"] == "ann@example.com"
    });
    // What passes from queue to queue has no reason yet, or is not listed.
    wait_for("the reason to be shown", || {
        shop.cli("viewer", ["smtp:queue"]).succeeds().stdout.contains("no SMTP relay is set")
    });
    wait_for("those that wait to be counted", || {
        shop.cli("viewer", ["smtp:show"]).succeeds().stdout.contains("4 wait; see why")
    });

    // What cannot be a relay changes nothing, and is named: Postfix does not even hear of it.
    let before = (configurations(&shop), reloads(&shop));
    for (more, password, words) in [
        (
            &["--port=2526"][..],
            one.password(),
            &["fails at TCP", "refused", "smtp:relay:set main --host=", "nothing has changed"][..],
        ),
        (&[], WRONG.to_owned(), &["fails at AUTH", "535"]),
        (&["--tls=none"], one.password(), &["for all to read"]),
    ] {
        let failed = one.set("main", more, &password);
        assert!(matches!(failed.code, 7 | 9), "{failed:#?}");
        assert!(words.iter().all(|word| failed.stderr.contains(word)), "{failed:#?}\n{}", shop.logs());
        assert!(relays(&shop).is_empty(), "{failed:#?}");
        assert_eq!((configurations(&shop), reloads(&shop)), before, "{failed:#?}");
    }

    let set = one.set("main", &[], &one.password());
    assert_eq!(set.code, 0, "{set:#?}\n{}", shop.sandbox.logs_of("mail1"));
    let stages = set.json()["stages"].as_array().expect("stages").len();
    assert_eq!(stages, 7, "{set:#?}");
    wait_for("what waited", || one.taken("ann@example.com") == 4);
    let taken = &shop.sandbox.mail_of("relay1")[0];
    assert_eq!((&taken["tls"], &taken["user"]), (&true.into(), &"orocloud".into()));

    // The next one takes over, and gives back.
    assert_eq!(other.set("spare", &["--priority=20"], &other.password()).code, 0);
    assert_eq!(relays(&shop), ["main 10", "spare 20"]);
    let server = shop.sandbox.node("relay1").expect("a server");
    server.kill().expect("it is killed");
    let sent = send(&shop, "bob@example.com");
    assert!(sent.code == 0 && went_by(&sent, &other), "{sent:#?}");
    let shown = shop.cli("viewer", ["smtp:show"]).succeeds();
    assert!(shown.stdout.contains("refused"), "{shown:#?}");
    wait_for("it to be seen that nobody is there", || {
        let relays = shop.cli("viewer", ["smtp:show", "--json"]).succeeds().json()["relays"].clone();
        relays[0]["seen"]["state"] == "away" && relays[1]["seen"]["state"] == "answers"
    });
    let tried = shop.cli("developer", ["smtp:test", "--relay=main"]).ends_with(9);
    assert!(tried.stderr.contains("fails at TCP"), "{tried:#?}");
    server.start().expect("it starts");
    let sent = send(&shop, "bob@example.com");
    assert!(sent.code == 0 && went_by(&sent, &one), "{sent:#?}");
    assert_eq!((one.taken("bob@example.com"), other.taken("bob@example.com")), (2, 2));
    not_from_everywhere(&shop, &one);
    asked_for_a_password(&shop, &one);

    // A relay that refuses has the last word.
    let refuse = shop.node_dir("relay1").join("mail/refuse");
    fs::write(&refuse, "554 5.7.1 not this one\n").expect("an order to refuse");
    let refused = send(&shop, "bob@example.com");
    assert!(refused.code == 9 && refused.stderr.contains("554 5.7.1 not this one"), "{refused:#?}");
    fs::remove_file(&refuse).expect("no order any more");

    // A configuration that Postfix cannot work by is switched back: what is wrong came by another hand.
    let base = shop.node_dir("mail1").join("etc/postfix/main.cf");
    let good = fs::read_to_string(&base).expect("a configuration");
    fs::write(&base, format!("{good}smtpd_timeout = soon\n")).expect("a bad one");
    let before = reloads(&shop);
    let failed = shop.cli("operator", ["smtp:relay:set", "main", "--priority=30"]).ends_with(1);
    assert!(failed.stderr.contains("fatal") && failed.stderr.contains("smtpd_timeout"), "{failed:#?}");
    wait_for("Postfix to have been told of both", || reloads(&shop) >= before + 2);
    fs::write(&base, good).expect("the good one");
    assert_eq!(relays(&shop), ["main 10", "spare 20"]);
    let sent = send(&shop, "carol@example.com");
    assert!(
        sent.code == 0 && one.taken("carol@example.com") == 2,
        "{sent:#?}\n{}",
        shop.sandbox.logs_of("mail1")
    );

    whitelist(&shop, &one);
    let counts = shop.cli("viewer", ["smtp:show", "--format=json"]).succeeds().json()["counts"].clone();
    for (what, least) in [("sent", 10), ("dropped", 6), ("bounced", 1), ("deferred", 1)] {
        assert!(counts["hour"][what].as_u64().is_some_and(|count| count >= least), "{what}: {counts}");
    }

    shop.cli("operator", ["smtp:relay:remove", "main"]).succeeds();
    shop.cli("operator", ["smtp:relay:remove", "main"]).ends_with(1);
    assert_eq!(relays(&shop), ["spare 20"]);
    assert!(configurations(&shop) <= 2, "what nobody needs is removed");

    // Passwords stand where Postfix and the agent read them, and nowhere else; one that was wrong stands nowhere.
    let maint = shop.node_dir("maint1");
    // The server of the agent's own mail has the same one.
    let own = maint.join("etc/smtp-password");
    assert_eq!(stands_in(&maint, &other.password()), Some(format!("{}\n", own.display())));
    let mail = shop.node_dir("mail1");
    let found = stands_in(&mail, &other.password()).expect("the configuration");
    for file in found.lines() {
        // What the agent is about to rename is gone by now.
        let Ok(metadata) = fs::metadata(file) else { continue };
        assert_eq!(metadata.permissions().mode() & 0o077, 0, "{file}");
        assert!(Path::new(file).starts_with(mail.join("state/postfix")), "{file}");
    }
    for node in [&maint, &mail] {
        assert_eq!(stands_in(node, WRONG), None);
    }
    let told = fs::read_to_string(&arguments).expect("arguments");
    assert!(told.contains("/sasl_passwd\n"), "{told}");
    assert!(!told.contains(&other.password()) && !told.contains(WRONG), "a password is an argument: {told}");
}

/// A password that is not that of any relay.
const WRONG: &str = "not-the-password";

/// Has Postfix's programs note what they are called with; gives the file.
fn watched_arguments(shop: &Shop) -> PathBuf {
    let mail = shop.node_dir("mail1");
    let noted = mail.join("arguments");
    fs::write(&noted, "").expect("a file");
    fs::set_permissions(&noted, Permissions::from_mode(0o666)).expect("open to all");
    let (programs, real) = (mail.join("bin"), mail.join("real"));
    fs::create_dir(&real).expect("a folder");
    for name in ["postconf", "postmap", "postqueue"] {
        fs::rename(programs.join(name), real.join(name)).expect("it is moved");
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\nexec '{}' \"$@\"\n",
            noted.display(),
            real.join(name).display()
        );
        fs::write(programs.join("new"), script).expect("a script");
        fs::set_permissions(programs.join("new"), Permissions::from_mode(0o755)).expect("a program");
        fs::rename(programs.join("new"), programs.join(name)).expect("in its place");
    }
    noted
}

/// A web node whose application cannot send is named, and what became of the other's message is told.
fn not_from_everywhere(shop: &Shop, one: &Server<'_>) {
    let file = shop.node_dir("web2").join("etc/app.env");
    let good = fs::read_to_string(&file).expect("variables");
    let mail1 = shop.sandbox.node("mail1").expect("mail1").address();
    for (dsn, words) in [
        (Some("smtp://127.0.0.1:9"), "web2: 127.0.0.1:9 takes no mail from web2"),
        (Some("sendgrid+api://not-to-be-shown@default"), "ORO_MAILER_DSN is for sendgrid+api"),
        (None, "ORO_MAILER_DSN is not set"),
    ] {
        let line = format!("ORO_MAILER_DSN=smtp://{mail1}:2525");
        assert!(good.contains(&line), "{good}");
        let other = dsn.map_or_else(String::new, |dsn| format!("ORO_MAILER_DSN={dsn}"));
        fs::write(&file, good.replace(&line, &other)).expect("other variables");
        let sent = send(shop, "dave@example.com");
        assert!(sent.code == 9 && sent.stderr.contains(words), "{sent:#?}");
        assert!(!sent.text().contains("not-to-be-shown"), "{sent:#?}");
        let shown = sent.json();
        assert!(shown["sent"][0]["delivery"]["relay"].to_string().contains(&one.address()), "{shown}");
        assert_eq!(
            (&shown["sent"][1]["node"], shown["sent"][1].get("delivery")),
            (&"web2".into(), None),
            "{shown}"
        );
    }
    fs::write(&file, good).expect("the good ones");
    let shown = shop.cli("developer", ["smtp:test", "--to=dave@example.com"]).succeeds();
    assert!(["web1", "web2", "250 2.0.0 taken"].iter().all(|word| shown.stdout.contains(word)), "{shown:#?}");
    assert_eq!(one.taken("dave@example.com"), 5);
}

/// At a terminal a password is asked for; without one nobody is, and a relay that needs one is refused.
fn asked_for_a_password(shop: &Shop, one: &Server<'_>) {
    let mut typed =
        at_terminal(shop, "operator", ["smtp:relay:set", "main", "--user=orocloud", "--priority=10"]);
    typed.wait_for("Password of orocloud at main");
    typed.types_unseen(&format!("{}\r", one.password()));
    typed.wait_for("The same again");
    typed.types_unseen(&format!("{}\r", one.password()));
    typed.wait_for("Mail goes by main");
    assert_eq!(typed.ends(), 0);
    let host = "--host=smtp.example.com";
    let refused = shop.cli("operator", ["smtp:relay:set", "third", host, "--user=orocloud"]).ends_with(7);
    assert!(refused.stderr.contains("--password-stdin"), "{refused:#?}");
}

/// Sends one message: SERVER SENDER RECIPIENT… Recipients stand in the envelope as they are typed here.
const TO_MANY: &str = r#"
import smtplib
import sys

server, sender, *recipients = sys.argv[1:]
with smtplib.SMTP(server, 2525, timeout=60) as smtp:
    smtp.ehlo()
    def said(*command):
        code, words = smtp.docmd(*command)
        assert code in (250, 354), (command, code, words)
    smtp.command_encoding = "utf-8"
    said("MAIL", f"FROM:<{sender}> SMTPUTF8")
    for recipient in recipients:
        said("RCPT", f"TO:<{recipient}>")
    said("DATA")
    head = f"From: {sender}\r\nTo: {recipients[0]}\r\nCc: {recipients[-1]}, {recipients[1]}\r\n"
    smtp.send(f"{head}Subject: to many\r\n\r\nHello\r\n.\r\n".encode())
    code, words = smtp.getreply()
    assert code == 250, (code, words)
"#;

/// Each recipient is judged alone, by any way to write a domain.
fn whitelist(shop: &Shop, one: &Server<'_>) {
    shop.cli("operator", ["smtp:whitelist", "add", "Allowed.example", "bücher.example"]).succeeds();
    let shown = shop.cli("viewer", ["smtp:whitelist", "show"]).succeeds();
    assert!(shown.stdout.contains("only: allowed.example, xn--bcher-kva.example"), "{shown:#?}");
    let dropped = send(shop, "dan@example.com");
    assert!(dropped.code == 9 && dropped.stderr.contains("is dropped"), "{dropped:#?}");
    let reached = [
        "dan@allowed.example",
        "Eva@ALLOWED.example",
        "dan@deep.sub.allowed.example",
        "o'dan+x=1@allowed.example",
        "other.example@allowed.example",
        "dan%other.example@allowed.example",
        "other.example!dan@allowed.example",
        "\"dan@other.example\"@allowed.example",
        "\"odd .. name\"@allowed.example",
        "dan@xn--bcher-kva.example",
        "dan@sub.bücher.example",
    ];
    let not_reached = [
        "dan@other.example",
        "dan@notallowed.example",
        "dan@allowed.example.evil.example",
        "\"dan@allowed.example\"@other.example",
        "dan%allowed.example@other.example",
        "allowed.example!dan@other.example",
        "dan@[127.0.0.1]",
        "dan@andere-bücher.example",
    ];
    let listens = shop.sandbox.node("mail1").expect("mail1").address();
    // One message to all of them; whom its heads name changes nothing, and Bcc: is named by none.
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", TO_MANY, &listens, SENDER]).args(reached).args(not_reached);
    assert!(python.status().expect("python3").success(), "{}", shop.sandbox.logs_of("mail1"));
    for to in reached {
        wait_for(to, || one.taken(to) == 1);
    }
    wait_for("an empty queue", || {
        shop.cli("viewer", ["smtp:queue", "--format=json"]).succeeds().json()["total"] == 0
    });
    for to in not_reached {
        assert_eq!(one.taken(to), 0, "{to}");
    }
    // All of it came by one message, and whoever is not reached was counted.
    let history =
        shop.cli("viewer", ["smtp:queue", "--history", "--per-page=1000", "--json"]).succeeds().json();
    let items = history["items"].as_array().expect("items").iter();
    let id = items.clone().find(|item| item["to"] == reached[0]).expect("the first one")["queue_id"].clone();
    let count =
        |status| items.clone().filter(|item| item["queue_id"] == id && item["status"] == status).count();
    assert_eq!((count("sent"), count("dropped")), (reached.len(), not_reached.len()), "{history}");

    // The agent's own notices go their own way, to whom the list does not name.
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(50);
    let id = announce(shop, &[&format!("--at={at:.0}"), "--for=1h", "--reason=other", "--work=fans"]);
    wait_for("the contacts to be told", || {
        let all = shop.sandbox.mail();
        let about =
            |mail: &&Value| mail["data"].as_str().is_some_and(|data| data.contains(&id.to_lowercase()));
        let to: Vec<Value> = all.iter().filter(about).map(|mail| mail["to"][0].clone()).collect();
        to == ["dora@example.com", "eve@example.com"]
    });
    shop.cli("operator", ["smtp:whitelist", "remove", "nobody.example"]).ends_with(1);
    shop.cli("operator", ["smtp:whitelist", "remove", "allowed.example", "bücher.example"]).succeeds();
    assert_eq!(send(shop, "dan@allowed.example").code, 9, "an empty list is not none");
    let cleared = shop.cli("operator", ["smtp:whitelist", "clear", "--format=json"]).succeeds().json();
    assert!(cleared["relays"][0]["last_taken"].is_string(), "{cleared}");
    assert_eq!(send(shop, "dan@example.com").code, 0);
}
