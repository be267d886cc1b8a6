//! `orocloud-agent window`: who runs the environment announces windows, changes them, and calls them off.

use std::ffi::OsString;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp, Zoned};
use orocloud_protocol::CallError;
use orocloud_protocol::window::WindowKind;

use super::outbox::{self, Told};
use super::{Announced, announced, change};
use crate::environment::Agent;

const USAGE: &str = "\
orocloud-agent window: unplanned maintenance windows, on the maintenance node

  orocloud-agent window announce --config=AGENT_TOML --at=TIME --for=DURATION --reason=security|performance|other
                                 --work=TEXT [--interrupts=yes|no]
  orocloud-agent window change   --config=AGENT_TOML --id=ID [--at=…] [--for=…] [--reason=…] [--work=…] [--interrupts=…]
  orocloud-agent window cancel   --config=AGENT_TOML --id=ID
  orocloud-agent window list     --config=AGENT_TOML

TIME has an offset, Z or a zone: 2026-11-24T02:00:00+02:00, 2026-11-24T02:00[Europe/Kyiv]. DURATION: 45m, 1h30m.
";

/// Runs it and gives the exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> i32 {
    match run(arguments) {
        Ok(said) => {
            print!("{}", said.text);
            if let Some(note) = said.note {
                eprintln!("{note}");
            }
            0
        }
        Err(error) => {
            eprintln!("error: {}", error.message);
            for cause in &error.causes {
                eprintln!("  {cause}");
            }
            for hint in &error.hints {
                eprintln!("hint: {hint}");
            }
            i32::from(error.kind.exit_code())
        }
    }
}

/// What was given, each at most once.
#[derive(Debug, Default)]
struct Given {
    config: Option<PathBuf>,
    id: Option<String>,
    at: Option<Timestamp>,
    length: Option<SignedDuration>,
    reason: Option<WindowKind>,
    work: Option<String>,
    interrupts: Option<bool>,
}

fn usage(what: impl Into<String>) -> CallError {
    CallError::usage(what).hint("see how it is called: orocloud-agent window --help")
}

impl Given {
    fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self, CallError> {
        let mut given = Self::default();
        for argument in arguments {
            let text = argument.to_str().ok_or_else(|| usage("an argument is not UTF-8"))?;
            let (name, value) =
                text.split_once('=').ok_or_else(|| usage(format!("{text} is no --name=value")))?;
            let wrong = |expected: &str| usage(format!("{name}={value}: expected {expected}"));
            let twice = match name {
                "--config" => given.config.replace(value.into()).is_some(),
                "--id" => given.id.replace(value.to_owned()).is_some(),
                "--at" => {
                    let moment = value
                        .parse::<Timestamp>()
                        .ok()
                        .or_else(|| value.parse::<Zoned>().ok().map(|zoned| zoned.timestamp()))
                        .ok_or_else(|| wrong("a time with an offset, Z or a zone"))?;
                    given.at.replace(moment).is_some()
                }
                "--for" => {
                    let length = value
                        .parse::<SignedDuration>()
                        .ok()
                        .filter(|length| *length >= SignedDuration::from_mins(1))
                        .filter(|length| *length <= SignedDuration::from_hours(7 * 24))
                        .ok_or_else(|| wrong("a duration from one minute to seven days, like 1h30m"))?;
                    given.length.replace(length).is_some()
                }
                "--reason" => {
                    let reason = WindowKind::ALL
                        .into_iter()
                        .find(|kind| *kind != WindowKind::Planned && kind.as_str() == value)
                        .ok_or_else(|| wrong("security, performance or other"))?;
                    given.reason.replace(reason).is_some()
                }
                "--work" => {
                    let good = !value.trim().is_empty()
                        && value.chars().count() <= 500
                        && !value.chars().any(char::is_control);
                    if !good {
                        return Err(wrong("one line that says what is done"));
                    }
                    given.work.replace(value.to_owned()).is_some()
                }
                "--interrupts" => {
                    let interrupts = match value {
                        "yes" => true,
                        "no" => false,
                        _ => return Err(wrong("yes or no")),
                    };
                    given.interrupts.replace(interrupts).is_some()
                }
                _ => return Err(usage(format!("there is no option {name}"))),
            };
            if twice {
                return Err(usage(format!("{name} is given twice")));
            }
        }
        Ok(given)
    }

    fn config(&self) -> Result<Agent, CallError> {
        let path = self.config.as_ref().ok_or_else(|| usage("--config is missing"))?;
        let config = Agent::load(path).map_err(CallError::failed)?;
        if config.is_coordinator() {
            Ok(config)
        } else {
            Err(CallError::failed(format!("{} is not the maintenance node", config.node))
                .hint("type it on the maintenance node of the environment"))
        }
    }

    /// Only these are taken by this word.
    fn only(&self, id: bool, rest: bool) -> Result<(), CallError> {
        if self.id.is_some() != id {
            return Err(usage(if id { "--id is missing" } else { "--id is not taken here" }));
        }
        let any = self.at.is_some()
            || self.length.is_some()
            || self.reason.is_some()
            || self.work.is_some()
            || self.interrupts.is_some();
        if any && !rest { Err(usage("only --config and --id are taken here")) } else { Ok(()) }
    }
}

/// What is printed.
struct Said {
    /// On standard output.
    text: String,
    /// On standard error.
    note: Option<String>,
}

impl Said {
    fn plain(text: String) -> Self {
        Self { text, note: None }
    }
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<Said, CallError> {
    let word = arguments.next().and_then(|word| word.into_string().ok()).unwrap_or_default();
    let now = Timestamp::now();
    match word.as_str() {
        "--help" | "-h" => Ok(Said::plain(USAGE.to_owned())),
        "list" => {
            let given = Given::read(arguments)?;
            given.only(false, false)?;
            let state = given.config()?.state;
            let told = outbox::told(&state)?;
            let windows = announced(&state)?;
            let lines = windows.iter().map(|window| {
                let mail = told.iter().filter(|told| told.window == window.id).map(mail_line);
                line(window) + &mail.collect::<String>()
            });
            Ok(Said::plain(lines.collect()))
        }
        "announce" => {
            let given = Given::read(arguments)?;
            given.only(false, true)?;
            let window = new(&given, now)?;
            let config = given.config()?;
            let (recipients, note) = recipients(&config);
            let text = change(&config.state, &recipients, |windows| {
                windows.push(window.clone());
                Ok(line(&window))
            })?;
            Ok(Said { text, note: Some(note) })
        }
        "change" => {
            let given = Given::read(arguments)?;
            given.only(true, true)?;
            let config = given.config()?;
            let (recipients, note) = recipients(&config);
            let mut changed = false;
            let text = change(&config.state, &recipients, |windows| {
                let window = find(windows, &given)?;
                changed = altered(window, &given, now)?;
                Ok(line(window))
            })?;
            Ok(Said { text, note: changed.then_some(note) })
        }
        "cancel" => {
            let given = Given::read(arguments)?;
            given.only(true, false)?;
            let config = given.config()?;
            let (recipients, note) = recipients(&config);
            let mut changed = false;
            let text = change(&config.state, &recipients, |windows| {
                let window = find(windows, &given)?;
                if !window.cancelled {
                    window.cancelled = true;
                    window.sequence += 1;
                    window.changed_at = now;
                    changed = true;
                }
                Ok(line(window))
            })?;
            Ok(Said { text, note: changed.then_some(note) })
        }
        "" => Err(usage("it is not said what to do with which window")),
        word => Err(usage(format!("there is no `window {word}`"))),
    }
}

/// Whom mail goes to, and a sentence about that.
fn recipients(config: &Agent) -> (Vec<String>, String) {
    let addresses: Vec<String> =
        config.environment.technical_contacts.iter().map(|contact| contact.mail.clone()).collect();
    if addresses.is_empty() {
        (addresses, "nobody is told by mail: environment.toml has no [[technical_contact]]".to_owned())
    } else if config.mail.is_none() {
        (Vec::new(), "nobody is told by mail: agent.toml has no [mail]".to_owned())
    } else {
        let note = format!("told by mail: {}", addresses.join(", "));
        (addresses, note)
    }
}

fn new(given: &Given, now: Timestamp) -> Result<Announced, CallError> {
    let missing = |name: &str| usage(format!("--{name} is missing"));
    let starts_at = given.at.ok_or_else(|| missing("at"))?;
    let length = given.length.ok_or_else(|| missing("for"))?;
    Ok(Announced {
        id: crate::nodes::transport::new_call_id().to_string(),
        sequence: 0,
        reason: given.reason.ok_or_else(|| missing("reason"))?,
        starts_at,
        ends_at: end(starts_at, length, now)?,
        work: given.work.clone().ok_or_else(|| missing("work"))?,
        interrupts: given.interrupts.unwrap_or(false),
        cancelled: false,
        changed_at: now,
    })
}

/// Whether anything is other than before.
fn altered(window: &mut Announced, given: &Given, now: Timestamp) -> Result<bool, CallError> {
    let before = window.clone();
    if window.cancelled {
        return Err(CallError::refused(format!("the window {} was called off", window.id))
            .hint("announce another one: orocloud-agent window announce --help"));
    }
    let length = given.length.unwrap_or_else(|| window.ends_at.duration_since(window.starts_at));
    window.starts_at = given.at.unwrap_or(window.starts_at);
    window.ends_at = end(window.starts_at, length, now)?;
    window.reason = given.reason.unwrap_or(window.reason);
    window.work = given.work.clone().unwrap_or_else(|| window.work.clone());
    window.interrupts = given.interrupts.unwrap_or(window.interrupts);
    let changed = *window != before;
    if changed {
        window.sequence += 1;
        window.changed_at = now;
    }
    Ok(changed)
}

fn end(starts_at: Timestamp, length: SignedDuration, now: Timestamp) -> Result<Timestamp, CallError> {
    match starts_at.checked_add(length) {
        Ok(end) if end > now => Ok(end),
        Ok(end) => Err(CallError::usage(format!("the window would have ended at {end}, which is past"))
            .hint("give a later begin: --at=TIME")),
        Err(error) => Err(CallError::usage("the window is beyond all calendars").because(error)),
    }
}

fn find<'a>(windows: &'a mut [Announced], given: &Given) -> Result<&'a mut Announced, CallError> {
    let id = given.id.as_deref().unwrap_or_default();
    windows.iter_mut().find(|window| window.id == id).ok_or_else(|| {
        CallError::failed(format!("no window {id} was announced"))
            .hint("see those there are: orocloud-agent window list --config=AGENT_TOML")
    })
}

fn line(window: &Announced) -> String {
    format!(
        "{} {} {} {}{}{} {}\n",
        window.id,
        window.starts_at,
        window.ends_at,
        window.reason.as_str(),
        if window.interrupts { " interrupts" } else { "" },
        if window.cancelled { " cancelled" } else { "" },
        window.work
    )
}

/// How far the mail of one version for one person is.
fn mail_line(told: &Told) -> String {
    let Told { sequence, since, address, mark, .. } = told;
    match (mark.sent_at, &mark.why) {
        (Some(at), _) => format!("  mail {sequence} to {address}: sent at {at:.0}\n"),
        (None, Some(why)) => {
            format!(
                "  mail {sequence} to {address}: waits since {since:.0}, tried {} times, at last: {why}\n",
                mark.failures
            )
        }
        (None, None) => format!("  mail {sequence} to {address}: waits since {since:.0}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &[&str]) -> Result<Given, CallError> {
        Given::read(line.iter().map(OsString::from))
    }

    #[test]
    fn a_window_is_announced_changed_and_wrong_ones_are_refused() {
        let now: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let good =
            ["--at=2026-11-24T02:00[Europe/Kyiv]", "--for=1h30m", "--reason=security", "--work=OpenSSL"];
        let mut window = new(&given(&good).unwrap(), now).unwrap();
        assert_eq!(window.starts_at.to_string(), "2026-11-24T00:00:00Z");
        assert_eq!(window.ends_at.to_string(), "2026-11-24T01:30:00Z");
        altered(&mut window, &given(&["--at=2026-11-25T00:00:00Z"]).unwrap(), now).unwrap();
        assert_eq!((window.sequence, window.ends_at.to_string().as_str()), (1, "2026-11-25T01:30:00Z"));
        altered(&mut window, &given(&["--work=OpenSSL"]).unwrap(), now).unwrap();
        assert_eq!(window.sequence, 1, "the same again is no change");
        for wrong in [
            &["--at=2026-11-24T02:00"][..],
            &["--for=90d"],
            &["--for=-1h"],
            &["--reason=planned"],
            &["--work=a\nb"],
            &["--interrupts=perhaps"],
            &["--at"],
            &["--colour=red"],
            &["--for=1h", "--for=2h"],
        ] {
            assert_eq!(given(wrong).unwrap_err().kind.exit_code(), 2, "{wrong:?}");
        }
        assert!(new(&given(&good[1..]).unwrap(), now).is_err(), "no begin");
        assert!(new(&given(&good).unwrap(), "2027-01-01T00:00:00Z".parse().unwrap()).is_err(), "past");
        window.cancelled = true;
        assert_eq!(
            altered(&mut window, &given(&["--for=2h"]).unwrap(), now).unwrap_err().kind.exit_code(),
            7
        );
    }

    #[test]
    fn what_is_announced_is_kept_and_a_newer_format_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let good = ["--at=2026-11-24T00:00:00Z", "--for=1h", "--reason=other", "--work=disks"];
        let window = new(&given(&good).unwrap(), now).unwrap();
        assert_eq!(announced(folder.path()).unwrap(), []);
        let dora = ["dora@example.com".to_owned()];
        change(folder.path(), &dora, |windows| {
            windows.push(window.clone());
            Ok(())
        })
        .unwrap();
        assert_eq!(announced(folder.path()).unwrap(), [window]);
        change(folder.path(), &dora, |windows| altered(&mut windows[0], &given(&["--for=1h"])?, now))
            .unwrap();
        change(folder.path(), &[], |windows| altered(&mut windows[0], &given(&["--for=2h"])?, now)).unwrap();
        change(folder.path(), &dora, |windows| altered(&mut windows[0], &given(&["--for=3h"])?, now))
            .unwrap();
        let told = outbox::told(folder.path()).unwrap();
        let told: Vec<_> = told.iter().map(|told| (told.sequence, told.address.as_str())).collect();
        assert_eq!(told, [(0, "dora@example.com"), (2, "dora@example.com")], "each version once");
        let older = r#"{"format": 1, "windows": []}"#;
        std::fs::write(folder.path().join("windows.json"), older).unwrap();
        assert_eq!(announced(folder.path()).unwrap(), []);
        let newer = r#"{"format": 3, "windows": []}"#;
        std::fs::write(folder.path().join("windows.json"), newer).unwrap();
        assert!(change(folder.path(), &[], |_| Ok(())).unwrap_err().to_string().contains("format is 3"));
        assert_eq!(std::fs::read_to_string(folder.path().join("windows.json")).unwrap(), newer);
    }
}
