//! Postfix: configurations made whole and checked beside the one that holds, its queue, its log.

pub mod configuration;
pub mod line;
pub mod log;
pub mod submission;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::CallError;
use orocloud_protocol::smtp::QueuedMessage;
use serde::Deserialize;

use crate::environment::Postfix;
use crate::process::{Account, Processes, Program};
use configuration::Map;

const LIMIT: Duration = Duration::from_secs(60);

/// Reads a configuration as Postfix will. Of its values it sees only the syntax: what Postfix makes of them is known once
/// it runs by them. (`postfix check` sees no more, and wants to be root.)
pub async fn check(processes: &Processes, postfix: &Postfix, folder: &Path) -> Result<(), CallError> {
    for what in ["-n", "-M"] {
        let ours = warnings(processes, postfix, folder, what).await?;
        if ours.is_empty() {
            continue;
        }
        // What it warns of in the administrator's own lines is nothing new.
        let theirs = warnings(processes, postfix, &postfix.base, what).await?;
        if let Some(line) = ours.iter().find(|line| !theirs.contains(line)) {
            return Err(CallError::failed("Postfix does not understand all of its new configuration")
                .because(line)
                .hint(format!("it begins with main.cf and master.cf in {}", postfix.base.display())));
        }
    }
    Ok(())
}

/// What Postfix's reader warns of, without the places of files and lines.
async fn warnings(
    processes: &Processes,
    postfix: &Postfix,
    folder: &Path,
    what: &str,
) -> Result<Vec<String>, CallError> {
    let program = program(postfix, "postconf").arg("-c").arg(folder).arg(what).limit(LIMIT);
    let finished = processes.output(program).await.map_err(|error| {
        CallError::from(error).context(format!("Postfix cannot read {}", folder.display()))
    })?;
    Ok(finished.stderr_tail.lines().filter_map(|line| warning(line, folder)).collect())
}

fn warning(line: &str, folder: &Path) -> Option<String> {
    // A value has its name before it.
    let (_, said) = line.split_once("postconf: warning: ")?;
    let said = said.trim().replace(&format!("{}/", folder.display()), "");
    match said.split_once(", line ").and_then(|(file, rest)| Some((file, rest.split_once(": ")?.1))) {
        Some((file, rest)) => Some(format!("{file}: {rest}")),
        None => Some(said),
    }
}

/// Asks a map for every key that was written into it. Keys and values pass by standard input and output alone.
pub async fn check_map(
    processes: &Processes,
    postfix: &Postfix,
    folder: &Path,
    map: &Map,
) -> Result<(), CallError> {
    let file = folder.join(map.file);
    let program = asking(postfix, folder, map);
    let broken = |why: &dyn std::fmt::Display| {
        CallError::failed(format!("Postfix reads {} otherwise than it was meant", file.display()))
            .because(why)
    };
    let finished = processes.output(program).await.map_err(|error| broken(&error))?;
    let answers = String::from_utf8_lossy(&finished.stdout).into_owned();
    for (key, value) in &map.entries {
        if !answers.lines().any(|line| line.split_once('\t') == Some((key, value))) {
            return Err(broken(&format!("{key} is not found as it was written")));
        }
    }
    Ok(())
}

fn asking(postfix: &Postfix, folder: &Path, map: &Map) -> Program {
    let keys: String = map.entries.iter().map(|(key, _)| format!("{key}\n")).collect();
    program(postfix, "postmap")
        .arg("-c")
        .arg(folder)
        .args(["-q", "-"])
        .arg(format!("texthash:{}", folder.join(map.file).display()))
        .input(keys)
        // Not every key is found: which one is seen in what it answers.
        .accept(1)
        .limit(LIMIT)
}

/// Has Postfix try again at once whatever waits.
pub async fn flush(processes: &Processes, postfix: &Postfix) -> Result<(), CallError> {
    processes.output(queue_program(postfix).arg("-f")).await.map(drop).map_err(Into::into)
}

/// What waits, the oldest first.
pub async fn queue(processes: &Processes, postfix: &Postfix) -> Result<Vec<QueuedMessage>, CallError> {
    let finished = processes
        .output(queue_program(postfix).arg("-j"))
        .await
        .map_err(|error| CallError::from(error).context("Postfix does not tell what waits"))?;
    parse_queue(&String::from_utf8_lossy(&finished.stdout))
}

fn program(postfix: &Postfix, name: &str) -> Program {
    Program::new(postfix.programs.join(name))
}

/// As Postfix's own account, which its queue belongs to.
fn queue_program(postfix: &Postfix) -> Program {
    program(postfix, "postqueue").arg("-c").arg(postfix.config()).account(Account::Mail).limit(LIMIT)
}

/// A line of `postqueue -j`.
#[derive(Deserialize)]
struct Told {
    queue_name: String,
    queue_id: String,
    arrival_time: i64,
    message_size: u64,
    sender: String,
    recipients: Vec<ToldRecipient>,
}

#[derive(Deserialize)]
struct ToldRecipient {
    address: String,
    delay_reason: Option<String>,
}

fn parse_queue(text: &str) -> Result<Vec<QueuedMessage>, CallError> {
    let mut messages = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let told: Told = serde_json::from_str(line).map_err(|error| {
            CallError::failed("Postfix's list of what waits cannot be read").because(error)
        })?;
        let since = Timestamp::from_second(told.arrival_time).unwrap_or(Timestamp::UNIX_EPOCH);
        messages.extend(told.recipients.into_iter().map(|recipient| QueuedMessage {
            queue_id: told.queue_id.clone(),
            queue: told.queue_name.clone(),
            since,
            size: told.message_size,
            from: told.sender.clone(),
            to: recipient.address,
            reason: recipient.delay_reason,
        }));
    }
    messages.sort_by(|one, other| (one.since, &one.queue_id).cmp(&(other.since, &other.queue_id)));
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_map_is_asked_without_what_it_says_in_an_argument_vector_or_an_error() {
        let programs = tempfile::tempdir().unwrap();
        // It answers nothing.
        std::os::unix::fs::symlink("/bin/true", programs.path().join("postmap")).unwrap();
        let postfix = Postfix {
            service: "postfix".into(),
            base: "/etc/postfix".into(),
            configurations: "/state/postfix".into(),
            programs: programs.path().into(),
            log: "/var/log/mail.log".into(),
            listens: "127.0.0.1:25".parse().unwrap(),
            name_server: None,
            look_every: std::num::NonZeroU16::MIN,
        };
        let entries = vec![("[mx.example]:25".to_owned(), "user:hunter2".to_owned())];
        let map = Map { file: "sasl_passwd", secret: true, entries };
        let program = format!("{:?}", asking(&postfix, Path::new("/state/postfix/01J"), &map));
        assert!(program.contains("texthash:/state/postfix/01J/sasl_passwd"), "{program}");
        assert!(!program.contains("hunter2"), "{program}");
        let processes = Processes::new(None);
        let outcome = check_map(&processes, &postfix, Path::new("/state/postfix/01J"), &map).await;
        let failed = outcome.unwrap_err().to_string();
        assert!(failed.contains("[mx.example]:25 is not found") && !failed.contains("hunter2"), "{failed}");
    }

    #[test]
    fn warnings_are_compared_without_their_places() {
        let folder = Path::new("/state/01J");
        for (line, expected) in [
            (
                "postconf: warning: /state/01J/main.cf: unused parameter: foo=bar",
                Some("main.cf: unused parameter: foo=bar"),
            ),
            (
                "/bin/postconf: warning: /state/01J/main.cf, line 17: overriding earlier entry: foo=a: b",
                Some("main.cf: overriding earlier entry: foo=a: b"),
            ),
            ("relayhost = postconf", None),
        ] {
            assert_eq!(warning(line, folder).as_deref(), expected, "{line}");
        }
    }

    const CAPTURED: &str = r#"{"queue_name": "deferred", "queue_id": "4cPq2k0Yx1z1", "arrival_time": 1764364860, "message_size": 412, "forced_expire": false, "sender": "shop@example.com", "recipients": [{"address": "ann@example.com", "delay_reason": "connect to 127.18.1.10[127.18.1.10]:2525: Connection refused"}, {"address": "eve@example.com", "delay_reason": "451 not now"}]}
{"queue_name": "active", "queue_id": "4cPq2j4QFBz1", "arrival_time": 1764364859, "message_size": 400, "forced_expire": false, "sender": "", "recipients": [{"address": "bob@example.com"}]}
"#;

    #[test]
    fn the_queue_is_read_with_a_line_for_each_recipient() {
        let messages = parse_queue(CAPTURED).unwrap();
        let to: Vec<&str> = messages.iter().map(|message| message.to.as_str()).collect();
        assert_eq!(to, ["bob@example.com", "ann@example.com", "eve@example.com"]);
        assert_eq!((messages[0].reason.as_ref(), messages[0].queue.as_str()), (None, "active"));
        assert!(messages[1].reason.as_ref().is_some_and(|reason| reason.ends_with("refused")));
        assert!(parse_queue("").unwrap().is_empty());
        assert!(parse_queue(&CAPTURED[..60]).is_err());
    }
}
