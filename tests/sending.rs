//! Whom mail reaches outside production: nobody without a whitelist, then those on it, each recipient of a message alone.
//! The application's own mail is among it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use orocloud_sandbox::Options;
use serde_json::Value;

use crate::hostile::branch;
use crate::smtp::Server;
use crate::support::{Shop, wait_for};

/// Somebody places an order and gets mail about it.
fn order(shop: &Shop, buyer: &str) {
    let url = format!("{}order?mail={buyer}", shop.sandbox.shop_url());
    let post = ["--silent", "--fail", "--max-time", "60", "--request", "POST", &url];
    let output = Command::new("curl").args(post).output().expect("curl");
    assert!(output.status.success(), "{output:?}\n{}", shop.logs());
}

/// What Postfix says.
fn mail_log(shop: &Shop) -> String {
    fs::read_to_string(shop.node_dir("mail1").join("log/postfix/mail.log")).expect("a log")
}

/// Whether Postfix has dropped mail to somebody.
fn is_dropped(shop: &Shop, to: &str) -> bool {
    mail_log(shop)
        .lines()
        .any(|line| line.contains(&format!("to=<{to}>")) && line.contains("(outside-whitelist)"))
}

/// Whether Postfix lets mail to somebody wait until it is settled which release is served.
fn waits_for_a_list(shop: &Shop, to: &str) -> bool {
    mail_log(shop).lines().any(|line| {
        line.contains(&format!("to=<{to}>")) && line.contains("(mail.whitelist of a release on its way)")
    })
}

fn nothing_waits(shop: &Shop) {
    wait_for("an empty queue", || {
        shop.cli("viewer", ["smtp:queue", "--format=json"]).succeeds().json()["total"] == 0
    });
}

/// A conversation with mail1, as any application has it.
struct Submission {
    stream: BufReader<TcpStream>,
}

impl Submission {
    fn begin(shop: &Shop) -> Self {
        let mail1 = shop.sandbox.node("mail1").expect("mail1").address();
        let stream = TcpStream::connect(format!("{mail1}:2525")).expect("mail1 listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        let mut begun = Self { stream: BufReader::new(stream) };
        assert_eq!(begun.answer(), 220);
        assert_eq!(begun.command("EHLO test.example.com"), 250);
        begun
    }

    fn command(&mut self, line: &str) -> u16 {
        write!(self.stream.get_mut(), "{line}\r\n").expect("it reads");
        self.answer()
    }

    fn answer(&mut self) -> u16 {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("an answer");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line[..3].parse().expect("a code");
            }
        }
    }

    /// One message, known by its subject; recipients that are refused at once are left out.
    fn send(&mut self, subject: &str, headers: &str, recipients: &[&str]) {
        assert_eq!(self.command("MAIL FROM:<shop@example.com> SMTPUTF8"), 250);
        let taken = recipients.iter().filter(|to| self.command(&format!("RCPT TO:<{to}>")) == 250).count();
        if taken == 0 {
            assert_eq!(self.command("RSET"), 250);
            return;
        }
        assert_eq!(self.command("DATA"), 354);
        assert_eq!(self.command(&format!("Subject: {subject}\r\n{headers}\r\nHello\r\n.")), 250);
    }
}

/// Recipients of the message with this subject, as the relay was given them.
fn reached(server: &Server<'_>, subject: &str) -> Vec<String> {
    let has_subject = |mail: &Value| {
        mail["data"]
            .as_str()
            .is_some_and(|data| data.lines().any(|line| line == format!("Subject: {subject}")))
    };
    let mails = server.shop.sandbox.mail_of(server.server);
    let mut to: Vec<String> = mails
        .iter()
        .filter(|mail| has_subject(mail))
        .flat_map(|mail| mail["to"].as_array().cloned().unwrap_or_default())
        .filter_map(|to| to.as_str().map(str::to_owned))
        .collect();
    to.sort();
    to
}

/// Recipients, with the whitelist `allowed.example` and `bücher.example`, and whether they are reached.
const RECIPIENTS: [(&str, bool); 38] = [
    ("dan@allowed.example", true),
    ("Dan@ALLOWED.Example", true),
    ("dan@sub.allowed.example", true),
    ("dan@very.deep.sub.Allowed.example", true),
    ("dan@notallowed.example", false),
    ("dan@not-allowed.example", false),
    ("dan@allowed.example.evil.example", false),
    ("dan@allowed.example-evil.example", false),
    ("dan@allowed", false),
    ("dan@example", false),
    ("dan@other.example", false),
    ("dan", false),
    ("dan@[127.0.0.1]", false),
    // A domain as DNS has it and as people write it.
    ("dan@xn--bcher-kva.example", true),
    ("dan@XN--BCHER-KVA.example", true),
    ("dan@deep.xn--bcher-kva.example", true),
    ("dan@bücher.example", true),
    ("dan@BÜCHER.example", true),
    ("dan@deep.bücher.example", true),
    ("dan@bucher.example", false),
    ("dan@xn--bcher-kva.other.example", false),
    // What stands before the @ decides nothing, however it is written.
    ("dan+allowed.example@other.example", false),
    ("dan+other.example@allowed.example", true),
    ("o'dan=x/y@allowed.example", true),
    ("\"dan\"@allowed.example", true),
    ("\"dan with blanks\"@allowed.example", true),
    ("\"dan@allowed.example\"@other.example", false),
    ("\"dan@other.example\"@allowed.example", true),
    ("\"allowed.example!dan\"@other.example", false),
    ("dan%allowed.example@other.example", false),
    ("dan%other.example@allowed.example", true),
    ("allowed.example!dan@other.example", false),
    ("other.example!dan@allowed.example", true),
    // Older ways to name the way; what remains of them is judged.
    ("@allowed.example:dan@other.example", false),
    ("@other.example:dan@allowed.example", true),
    ("dan@allowed.example@other.example", false),
    ("dan%other.example", false),
    ("other.example!dan", false),
];

/// Recipients in To, Cc and Bcc (which no header shows), and those that are reached.
const MIXED: [(&[&str], &[&str]); 4] = [
    (
        &["ann@allowed.example", "bob@other.example", "carol@allowed.example"],
        &["ann@allowed.example", "carol@allowed.example"],
    ),
    (&["ann@other.example", "bob@allowed.example", "carol@other.example"], &["bob@allowed.example"]),
    (&["ann@other.example", "bob@other.example", "carol@allowed.example"], &["carol@allowed.example"]),
    (&["ann@other.example", "bob@other.example", "carol@other.example"], &[]),
];

#[test]
fn outside_production_mail_reaches_those_on_the_whitelist_each_recipient_alone() {
    let options = Options { smtp: true, environment_type: "stag".to_owned(), ..Options::default() };
    let shop = Shop::start_with(options);
    let one = Server { shop: &shop, server: "relay1" };
    shop.deploy("1.0.0");
    let set = one.set("main", &[], &one.password());
    assert_eq!(set.code, 0, "{set:#?}\n{}", mail_log(&shop));

    order(&shop, "ann@allowed.example");
    wait_for("mail about an order", || is_dropped(&shop, "ann@allowed.example"));
    assert!(shop.sandbox.mail_of("relay1").is_empty(), "{}", mail_log(&shop));

    // One domain is named by the application, the other one by a person.
    version_with_whitelist(&shop, "listed", "Allowed.example");
    shop.cli("developer", ["upgrade:source", "--reference=listed", "-n"]).succeeds();
    let whitelist = || shop.cli("viewer", ["smtp:whitelist", "show"]).succeeds().stdout;
    let shown = whitelist();
    assert!(shown.contains("only: allowed.example"), "{shown}");
    shop.cli("operator", ["smtp:whitelist", "add", "bücher.example"]).succeeds();
    let shown = whitelist();
    assert!(shown.contains("allowed.example, xn--bcher-kva.example (by the application's"), "{shown}");
    let kept = shop.cli("operator", ["smtp:whitelist", "remove", "allowed.example"]).ends_with(7);
    assert!(kept.stderr.contains("mail.whitelist of the application's orocloud.yaml"), "{kept:#?}");

    order(&shop, "eve@other.example");
    order(&shop, "ann@allowed.example");
    wait_for("mail about an order", || one.taken("ann@allowed.example") == 1);
    wait_for("mail that is dropped", || is_dropped(&shop, "eve@other.example"));
    let mail = &shop.sandbox.mail_of("relay1")[0];
    let text = mail["data"].as_str().expect("a text");
    let subject = format!("Subject: Order {}", shop.sql("select max(id) from orders"));
    assert!(text.contains(&subject) && text.contains("To: ann@allowed.example"), "{mail}");

    let mut submission = Submission::begin(&shop);
    for (number, (to, _)) in RECIPIENTS.iter().enumerate() {
        submission.send(&format!("alone {number}"), "", &[to]);
    }
    for (number, (to, _)) in MIXED.iter().enumerate() {
        submission.send(&format!("mixed {number}"), &format!("To: {}\r\nCc: {}\r\n", to[0], to[1]), to);
    }
    assert_eq!(submission.command("QUIT"), 221);
    nothing_waits(&shop);
    // What passes from queue to queue may not be listed.
    for (number, (to, expected)) in MIXED.iter().enumerate() {
        wait_for(&format!("mail to {to:?}"), || reached(&one, &format!("mixed {number}")) == *expected);
    }
    for (number, (to, expected)) in RECIPIENTS.iter().enumerate() {
        let subject = format!("alone {number}");
        if *expected {
            wait_for(&format!("mail to {to}"), || !reached(&one, &subject).is_empty());
        }
        let got = reached(&one, &subject);
        assert_eq!(!got.is_empty(), *expected, "{to}: {got:?}\n{}", mail_log(&shop));
    }
    assert!(shop.sandbox.mail_of("relay2").is_empty());
}

/// The only domains whose mail goes to a relay, by the map that Postfix reads; none without a whitelist.
pub fn listed(shop: &Shop) -> Vec<String> {
    let map = shop.node_dir("mail1").join("state/postfix/config/transport");
    let map = fs::read_to_string(map).expect("a map");
    map.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// A version with a whitelist of its own.
pub fn version_with_whitelist(shop: &Shop, name: &str, domain: &str) {
    let yaml = include_str!("../crates/sandbox/shop/1.0.0/orocloud.yaml");
    let yaml = format!("{yaml}  mail:\n    whitelist: ['{domain}']\n");
    branch(shop, name, &[("orocloud.yaml", &yaml)]);
}

#[test]
fn in_production_a_first_whitelist_holds_before_its_release_is_served() {
    let options = Options { smtp: true, ..Options::default() };
    let (shop, failpoint, _folder) = Shop::start_mortal_with(options);
    let one = Server { shop: &shop, server: "relay1" };
    shop.deploy("1.0.0");
    let set = one.set("main", &[], &one.password());
    assert_eq!(set.code, 0, "{set:#?}\n{}", mail_log(&shop));
    order(&shop, "ann@other.example");
    wait_for("mail about an order", || one.taken("ann@other.example") == 1);

    // Nobody is served by the new release yet.
    version_with_whitelist(&shop, "listed", "allowed.example");
    let both = ["allowed.example", ".allowed.example"];
    fs::write(&failpoint, "release:record/intent wait").expect("a failpoint");
    let waits = failpoint.with_extension("waits");
    let upgrade = shop.cli("developer", ["upgrade:source", "--reference=listed", "-n"]).spawn();
    wait_for("the release to be about to be served", || waits.exists());
    assert_eq!(
        (shop.version_on("web1").as_str(), listed(&shop)),
        ("1.0.0", both.map(str::to_owned).to_vec())
    );
    // It may still be undone: what the old release sends to others waits.
    let mut submission = Submission::begin(&shop);
    submission.send("held", "", &["eve@other.example", "ann@allowed.example"]);
    wait_for("mail to others to wait", || waits_for_a_list(&shop, "eve@other.example"));
    let shown = shop.cli("viewer", ["smtp:whitelist", "show"]).succeeds().stdout;
    assert!(shown.contains("only: allowed.example") && shown.contains("waits until"), "{shown}");
    assert!(!is_dropped(&shop, "eve@other.example"));
    let _ = fs::remove_file(&waits);
    let upgraded = upgrade.wait_with_output().expect("its end");
    let told = String::from_utf8_lossy(&upgraded.stderr).into_owned();
    assert!(upgraded.status.success() && told.contains("mail.whitelist of release"), "{told}");
    // By now it is sure to stay.
    wait_for("mail to others to be dropped", || is_dropped(&shop, "eve@other.example"));
    assert_eq!(reached(&one, "held"), ["ann@allowed.example"], "{}", mail_log(&shop));

    // Without it everybody is reached again, once the release without it is sure to stay.
    let release = shop.release_on("web1").expect("a release");
    let release = release.file_name().and_then(|name| name.to_str()).expect("its name").to_owned();
    let back = ["release:rollback", "-n", "--wait-lock=2m"];
    shop.cli("developer", back).succeeds();
    wait_for("the whitelist to be gone", || listed(&shop).is_empty());

    // What is undone takes its list back before it says so, and what waited leaves.
    fs::write(&failpoint, "release:record/intent").expect("a failpoint");
    let forth = ["release:rollback", &release, "-n", "--wait-lock=2m"];
    let rollback = shop.cli("developer", forth).spawn();
    let maint1 = shop.sandbox.node("maint1").expect("maint1");
    wait_for("the end of an agent", || maint1.service("agent").is_ok_and(|agent| agent.pid.is_none()));
    assert_eq!(listed(&shop), both);
    let mut submission = Submission::begin(&shop);
    submission.send("undone", "", &["bob@other.example", "ann@allowed.example"]);
    wait_for("mail to others to wait", || waits_for_a_list(&shop, "bob@other.example"));
    maint1.start_service("agent").expect("it starts again");
    let undone = rollback.wait_with_output().expect("its end");
    assert_eq!(undone.status.code(), Some(1), "{undone:?}");
    assert!(listed(&shop).is_empty());
    wait_for("what waited", || reached(&one, "undone") == ["ann@allowed.example", "bob@other.example"]);

    // A change of a relay that was made ready before does not bring the list of then back.
    fs::write(&failpoint, "mail:switch/node-intent wait").expect("a failpoint");
    let set =
        shop.cli("operator", ["smtp:relay:set", "main", "--priority=5", "-n", "--wait-lock=2m"]).spawn();
    wait_for("a relay about to be switched", || waits.exists());
    // Nobody else changes relays meanwhile.
    let refused = shop.cli("operator", ["smtp:relay:set", "main", "--priority=7", "-n"]).ends_with(6);
    assert!(refused.stderr.contains("smtp:relay:set main --priority=5"), "{refused:#?}");
    shop.cli("developer", forth).succeeds();
    let _ = fs::remove_file(&waits);
    let set = set.wait_with_output().expect("its end");
    assert!(set.status.success(), "{set:?}");
    assert_eq!(listed(&shop), both);
    // What is wrong with the release that is served keeps no other away.
    let wrong = ["web1", "web2"].map(|web| shop.release_on(web).expect("a release").join("orocloud.yaml"));
    let right = wrong.each_ref().map(|path| fs::read(path).expect("it is read"));
    for path in &wrong {
        fs::write(path, "orocloud_options: [").expect("it is written");
    }
    shop.cli("developer", back).succeeds();
    for (path, content) in wrong.iter().zip(right) {
        fs::write(path, content).expect("it is written");
    }
    wait_for("the whitelist to be gone", || listed(&shop).is_empty());

    // Where Postfix cannot work by a list it works by what was before, once that is said.
    let base = shop.node_dir("mail1").join("etc/postfix/main.cf");
    let good = fs::read_to_string(&base).expect("a configuration");
    fs::write(&base, format!("{good}smtpd_timeout = soon\n")).expect("a bad one");
    let failed = shop.cli("developer", forth).ends_with(1);
    assert!(
        failed.stderr.contains("mail1 cannot be told") && failed.stderr.contains("smtpd_timeout"),
        "{failed:#?}"
    );
    assert!(listed(&shop).is_empty());
    Submission::begin(&shop);
    fs::write(&base, good).expect("the good one");

    // Nobody waits for a mail node that is lost while it is told what is served, and nobody says that it knows.
    shop.cli("developer", forth).succeeds();
    shop.cli("developer", ["backup:create", "--label=with-list", "-n", "--wait-lock=2m"]).succeeds();
    fs::write(&failpoint, "mail:hold/node-running").expect("a failpoint");
    let lost = shop.cli("operator", ["smtp:whitelist", "follow", "--wait-lock=2m"]).ends_with(1);
    for said in ["mail1 may not know yet", "the agent tells mail1 as soon as it can", "orocloud-cli status"] {
        assert!(lost.stderr.contains(said), "{lost:#?}");
    }
    shop.cli("developer", back).succeeds();
    assert_eq!(listed(&shop), both);

    // Nothing is narrowed behind the back of a mail node that is away; what changes nothing needs no mail node.
    let points = shop.cli("viewer", ["backup:list", "--format=json"]).succeeds().json();
    let is_it = |point: &&Value| point["label"] == "with-list";
    let point = points["items"].as_array().and_then(|points| points.iter().find(is_it)).expect("the point");
    let restore = ["backup:restore", point["name"].as_str().expect("its name"), "--dry-run"];
    for (caller, command, instead) in [
        ("developer", &forth[..], "orocloud-cli release:list"),
        ("operator", &restore[..], "--database-only"),
    ] {
        let mut cli = shop.cli(caller, []);
        cli.command.args(command);
        let refused = cli.ends_with(1);
        for said in ["mail1 cannot be told", "orocloud-cli status", instead] {
            assert!(refused.stderr.contains(said), "{refused:#?}");
        }
        assert!(!refused.stderr.contains("Executing task"), "{refused:#?}");
    }
    assert_eq!(shop.version_on("web1"), "1.0.0");
    shop.cli("developer", ["upgrade:source", "--reference=1.0.1", "-n", "--wait-lock=2m"]).succeeds();
    // It is told once it is back, and then it holds at once where somebody wants it.
    shop.sandbox.node("mail1").expect("mail1").start_service("agent").expect("it starts again");
    wait_for("the whitelist to be gone", || listed(&shop).is_empty());
    shop.cli("operator", ["smtp:whitelist", "follow", "--wait-lock=2m"]).succeeds();
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn every_way_to_bring_a_release_brings_its_whitelist_before() {
    let options = Options { smtp: true, ..Options::default() };
    let (shop, failpoint, _folder) = Shop::start_mortal_with(options);
    let one = Server { shop: &shop, server: "relay1" };
    assert_eq!(one.set("main", &[], &one.password()).code, 0);
    for name in ["one", "two"] {
        version_with_whitelist(&shop, name, &format!("{name}.example"));
    }
    let only = |name: &str| [format!("{name}.example"), format!(".{name}.example")].to_vec();
    // A first deployment that is undone while the mail node is away leaves nothing there once it is back.
    fs::write(&failpoint, "application:install/intent").expect("a failpoint");
    let deploy = shop.cli("developer", ["deploy", "--reference=one", "-n"]).spawn();
    let [maint1, mail1] = ["maint1", "mail1"].map(|name| shop.sandbox.node(name).expect("a node"));
    wait_for("the end of an agent", || maint1.service("agent").is_ok_and(|agent| agent.pid.is_none()));
    mail1.kill_service("agent").expect("it is killed");
    maint1.start_service("agent").expect("it starts again");
    let undone = deploy.wait_with_output().expect("its end");
    let told = String::from_utf8_lossy(&undone.stderr);
    assert!(undone.status.code() == Some(1) && told.contains("mail1 cannot be told"), "{undone:?}");
    assert_eq!(listed(&shop), only("one"));
    mail1.start_service("agent").expect("it starts again");
    wait_for("the list to be gone", || listed(&shop).is_empty());
    let shown = shop.cli("viewer", ["smtp:whitelist", "show"]).succeeds().stdout;
    assert!(shown.contains("reaches everybody") && !shown.contains("waits until"), "{shown}");
    shop.deploy("one");
    assert_eq!(listed(&shop), only("one"));
    let waits = failpoint.with_extension("waits");
    for (command, to, hold) in [
        ("upgrade", "--reference=two", "application:upgrade/intent wait"),
        ("upgrade:rolling", "--reference=one", "application:upgrade/intent wait"),
        ("upgrade:source", "--reference=two", "release:record/intent wait"),
    ] {
        fs::write(&failpoint, hold).expect("a failpoint");
        let upgrade = shop.cli("developer", [command, to, "-n", "--wait-lock=2m"]).spawn();
        wait_for("the release to be about to be served", || waits.exists());
        assert_eq!(listed(&shop), [only("one"), only("two")].concat(), "{command}");
        let _ = fs::remove_file(&waits);
        let upgraded = upgrade.wait_with_output().expect("its end");
        assert!(upgraded.status.success(), "{command}: {upgraded:?}");
        let now = to.trim_start_matches("--reference=");
        wait_for("the other list to be gone", || listed(&shop) == only(now));
    }
}
