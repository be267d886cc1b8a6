//! Mail: what our configuration of Postfix costs, and what a preferred relay costs that says nothing.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use orocloud_sandbox::{Options, SSH_PORT, Sandbox};
use serde_json::Value;

use super::connection::cli;
use super::measure::{in_turns, run};
use super::plain_sshd::real_address;
use super::{Result, Row, Topic};

pub const OWN: Topic = Topic { names: &["smtp-1000"], measure: own };
pub const SILENT: Topic = Topic { names: &["smtp-silent", "smtp-silent-noticed"], measure: silent };

const MESSAGES: usize = 1000;

const ROUNDS: usize = 3;

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(900);

/// An environment whose mail goes by relay1, and by relay2 when that does not take it.
struct Mail {
    sandbox: Sandbox,
    /// Messages so far.
    number: usize,
}

impl Mail {
    fn new() -> Result<Self> {
        Ok(Self { sandbox: Sandbox::start(Options { smtp: true, ..Options::default() })?, number: 0 })
    }

    fn set_relays(&self) -> Result<()> {
        for (server, name, priority) in [("relay1", "main", 10), ("relay2", "spare", 20)] {
            let node = self.sandbox.node(server)?;
            let mut command = self.cli()?;
            command
                .args(["smtp:relay:set", name, "--port=2525", "--user=orocloud", "--password-stdin", "-n"])
                .arg(format!("--host={}", node.address()))
                .arg(format!("--priority={priority}"))
                .arg(format!("--ca-file={}", node.dir().join("etc/authority.crt").display()))
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut child = command.spawn()?;
            let mut stdin = child.stdin.take().ok_or("no standard input")?;
            stdin.write_all(&fs::read(node.dir().join("etc/password"))?)?;
            drop(stdin);
            if !child.wait()?.success() {
                return Err(format!("relay {name} could not be set").into());
            }
        }
        Ok(())
    }

    /// Changes the lines of a file on mail1.
    fn edit(&self, file: &str, line: impl Fn(&str) -> String) -> Result<()> {
        let file = self.sandbox.node("mail1")?.dir().join(file);
        let changed: Vec<String> = fs::read_to_string(&file)?.lines().map(line).collect();
        Ok(fs::write(&file, changed.join("\n") + "\n")?)
    }

    fn cli(&self) -> Result<Command> {
        cli(&self.sandbox, real_address(&self.sandbox, "maint1", SSH_PORT)?)
    }

    fn received(&self, relay: &str) -> Result<PathBuf> {
        Ok(self.sandbox.node(relay)?.dir().join("mail/received"))
    }

    /// Seconds until this relay has taken all messages.
    fn send(&mut self, relay: &str) -> Result<f64> {
        let first = self.number;
        self.number += MESSAGES;
        let ids: Vec<String> = (first..self.number).map(|number| format!("{number}@bench")).collect();
        let folder = self.received(relay)?;
        fs::remove_dir_all(&folder)?;
        fs::create_dir(&folder)?;
        let owner = fs::metadata(folder.parent().ok_or("no folder")?)?;
        chown(&folder, Some(owner.uid()), Some(owner.gid()))?;
        let begin = Instant::now();
        self.sandbox.submit("shop@example.com", "ann@example.com", &ids)?;
        let has_all = || {
            let names = fs::read_dir(&folder)?.flatten().map(|entry| entry.file_name());
            let is_whole = |name: &OsString| name.as_encoded_bytes().ends_with(b".json");
            Ok(names.filter(is_whole).count() == MESSAGES)
        };
        wait("messages to be taken", has_all)?;
        Ok(begin.elapsed().as_secs_f64())
    }

    /// Lets Postfix work by this configuration.
    fn switch_to(&self, name: &str) -> Result<()> {
        let node = self.sandbox.node("mail1")?.dir();
        let (link, beside) = (node.join("state/postfix/config"), node.join("state/postfix/beside"));
        symlink(name, &beside)?;
        fs::rename(&beside, &link)?;
        let log = node.join("log/postfix/mail.log");
        let place = fs::read_to_string(&log)?.len();
        let pid = fs::read_to_string(node.join("spool/pid/master.pid"))?;
        run(Command::new("kill").args(["-HUP", pid.trim()]))?;
        wait("Postfix to read it", || Ok(fs::read_to_string(&log)?[place..].contains("]: reload ")))
    }

    /// The relay alone, as somebody would write it down who has only that one.
    fn bare(&self) -> Result<()> {
        let (mail, relay) = (self.sandbox.node("mail1")?.dir(), self.sandbox.node("relay1")?);
        let folder = mail.join("state/postfix/bare");
        fs::create_dir(&folder)?;
        let (server, map) = (format!("[{}]:2525", relay.address()), folder.join("sasl_passwd"));
        let password = fs::read_to_string(relay.dir().join("etc/password"))?;
        fs::write(&map, format!("{server} orocloud:{}\n", password.trim()))?;
        let base = fs::read_to_string(mail.join("etc/postfix/main.cf"))?;
        let own = format!(
            "relayhost = {server}\nsmtp_tls_security_level = encrypt\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = texthash:{}\nsmtp_sasl_security_options = noanonymous\n",
            map.display()
        );
        fs::write(folder.join("main.cf"), base + &own)?;
        fs::copy(mail.join("etc/postfix/master.cf"), folder.join("master.cf"))?;
        Ok(())
    }

    /// Whether the first relay is put back or has its place, and Postfix knows: it reads an order a moment after that holds.
    fn is_put_back(&self, back: bool) -> Result<bool> {
        let output = self.cli()?.args(["smtp:show", "--format=json"]).output()?;
        let shown: Value = serde_json::from_slice(&output.stdout)?;
        let unread = self.sandbox.node("mail1")?.dir().join("state/postfix/config/unread");
        Ok(shown["relays"][0]["put_back"].is_object() == back && !unread.exists())
    }
}

fn wait(what: &str, until: impl Fn() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !until()? {
        if begin.elapsed() > LIMIT {
            return Err(format!("waited in vain for {what}").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn own() -> Result<Vec<Row>> {
    let mail = Mail::new()?;
    mail.set_relays()?;
    mail.bare()?;
    let own = fs::read_link(mail.sandbox.node("mail1")?.dir().join("state/postfix/config"))?;
    let own = own.to_str().ok_or("a configuration without a name")?.to_owned();
    let mail = RefCell::new(mail);
    let by = |name: &str| {
        let mut mail = mail.borrow_mut();
        mail.switch_to(name)?;
        mail.send("relay1")
    };
    let (ours, reference) = in_turns(ROUNDS, || by(&own), || by("bare"))?;
    Ok(vec![Row {
        name: "smtp-1000",
        unit: "s",
        ours,
        reference,
        goal: 1.05,
        command: "1,000 messages until the relay has them, by the agent's configuration with two relays / by a relayhost, TLS and a password alone, the same Postfix and relay".to_owned(),
    }])
}

/// Seconds between two looks at the relays.
const LOOKED_AT: u32 = 2;

fn silent() -> Result<Vec<Row>> {
    let mail = Mail::new()?;
    let instead = |begin: &'static str, other: String| {
        move |line: &str| if line.starts_with(begin) { other.clone() } else { line.to_owned() }
    };
    mail.edit("etc/agent.toml", instead("look_every = ", format!("look_every = {LOOKED_AT}")))?;
    // How long a relay has to greet is the agent's to say then.
    mail.edit("etc/postfix/main.cf", instead("smtp_helo_timeout = ", String::new()))?;
    mail.sandbox.node("mail1")?.restart_service("agent")?;
    mail.set_relays()?;
    let mail = RefCell::new(mail);
    let without = |is_silent: bool, is_noticed: bool| {
        let mut mail = mail.borrow_mut();
        wait("the relay to be brought forward", || mail.is_put_back(false))?;
        let relay = mail.sandbox.node("relay1")?;
        if is_silent { relay.freeze() } else { relay.kill() }?;
        if is_noticed {
            wait("the relay to be put back", || mail.is_put_back(true))?;
        }
        let took = mail.send("relay2")?;
        mail.sandbox.node("relay1")?.start()?;
        Ok(took)
    };
    let dead = || without(false, false);
    let row = |name, is_noticed: bool, command: String| -> Result<Row> {
        let (ours, reference) = in_turns(ROUNDS, || without(true, is_noticed), dead)?;
        Ok(Row { name, unit: "s", ours, reference, goal: 1.5, command })
    };
    let at_once = format!(
        "1,000 messages until the second relay has them, sent in the moment in which the preferred one falls silent / dies; looked at every {LOOKED_AT} s, and so much sooner while mail moves"
    );
    let later = "the same, sent once it is put back / when it dies";
    Ok(vec![row("smtp-silent", false, at_once)?, row("smtp-silent-noticed", true, later.to_owned())?])
}
