//! Lines of Postfix's log.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

/// What became of a message for one recipient, for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// Postfix's id of the message.
    pub queue_id: &'a str,
    /// For whom.
    pub to: &'a str,
    /// Who was asked last, `HOST[ADDRESS]:PORT`; `none` when nobody was.
    pub relay: &'a str,
    /// How it ended.
    pub status: Status,
    /// The last answer.
    pub said: &'a str,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Somebody took it.
    Sent,
    /// It is tried again later.
    Deferred,
    /// It was refused for good.
    Bounced,
}

/// Reads the line of an attempt; any other is `None`.
pub fn attempt(line: &str) -> Option<Attempt<'_>> {
    let (_, rest) = line.split_once(" postfix/")?;
    let (_, rest) = rest.split_once("]: ")?;
    let (queue_id, rest) = rest.split_once(": to=<")?;
    if queue_id.is_empty() || !queue_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (to, rest) = rest.split_once(">, ")?;
    let (_, rest) = rest.split_once("relay=")?;
    let (relay, rest) = rest.split_once(", ")?;
    let (_, rest) = rest.split_once("status=")?;
    let (word, said) = rest.split_once(" (")?;
    let status = match word {
        "sent" => Status::Sent,
        "deferred" => Status::Deferred,
        "bounced" => Status::Bounced,
        _ => return None,
    };
    Some(Attempt { queue_id, to, relay, status, said: said.trim_end().strip_suffix(')')? })
}

/// The first line that says that Postfix cannot work by its configuration. What a relay said to it stands in other lines.
pub fn complaint(text: &str) -> Option<&str> {
    let is_one = |line: &&str| {
        let said = line.split_once(" postfix/").and_then(|(_, rest)| rest.split_once("]: "));
        said.is_some_and(|(_, said)| {
            let is_throttled =
                || said.starts_with("warning: ") && said.trim_end().ends_with(" -- throttling");
            said.starts_with("fatal: ") || said.starts_with("panic: ") || is_throttled()
        })
    };
    text.lines().find(is_one).map(|line| line.split_once(" postfix/").map_or(line, |(_, rest)| rest))
}

/// Whether Postfix says that it has read its configuration anew.
pub fn is_reloaded(text: &str) -> bool {
    text.lines().any(|line| line.contains("/master[") && line.contains("]: reload "))
}

/// Whether a message has come, or was tried once more.
pub fn does_mail_move(text: &str) -> bool {
    text.lines().any(|line| line.contains("/qmgr["))
}

/// Where a log ends; 0 when there is none yet.
pub fn end(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Whole lines behind a place. After a rotation it begins anew.
pub fn since(path: &Path, place: u64) -> io::Result<String> {
    piece(path, place).map(|(text, _)| text)
}

/// The same, and the place behind them, where it goes on.
pub fn piece(path: &Path, place: u64) -> io::Result<(String, u64)> {
    /// More than Postfix writes while something is waited for.
    const MOST: u64 = 4 * 1024 * 1024;
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((String::new(), 0)),
        opened => opened?,
    };
    let begin = if file.metadata()?.len() < place { 0 } else { place };
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok((String::from_utf8_lossy(&bytes[..whole]).into_owned(), begin + whole as u64))
}

/// The message that a line is about.
pub fn queue_id(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(" postfix/")?;
    let (_, rest) = rest.split_once("]: ")?;
    let (id, _) = rest.split_once(": ")?;
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(id)
}

/// The times of an attempt (`delays=a/b/c/d`) in milliseconds: before the queue manager had the message, while that had
/// it, until the connection was ready, until the message was sent.
pub fn delays(line: &str) -> Option<[u64; 4]> {
    let (_, rest) = line.split_once(", delays=")?;
    let (all, _) = rest.split_once(", ")?;
    let mut parts = all.split('/').map(|part| {
        let seconds: f64 = part.parse().ok()?;
        u64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_millis()).ok()
    });
    let all = [parts.next()??, parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Nov 28 21:20:01 acme-prod1-mail1 postfix/";

    #[test]
    fn attempts_are_read_and_nothing_else_is_taken_for_one() {
        let sent = format!(
            "{HEAD}smtp[77]: 4cPq2k0Yx1z1: to=<ann@example.com>, relay=127.18.1.10[127.18.1.10]:2525, delay=0.1, delays=0.01/0.02/0.03/0.04, dsn=2.0.0, status=sent (250 2.0.0 taken (really))"
        );
        let read = attempt(&sent).unwrap();
        assert_eq!((read.queue_id, read.to), ("4cPq2k0Yx1z1", "ann@example.com"));
        assert_eq!((read.relay, read.status), ("127.18.1.10[127.18.1.10]:2525", Status::Sent));
        assert_eq!(read.said, "250 2.0.0 taken (really)");
        assert_eq!((queue_id(&sent), delays(&sent)), (Some("4cPq2k0Yx1z1"), Some([10, 20, 30, 40])));
        let none = format!(
            "{HEAD}error[8]: 4cPq2k0Yx1z1: to=<a@b.c>, relay=none, delay=0, delays=0/0/0/0, dsn=4.3.0, status=deferred (no SMTP relay is set)"
        );
        assert_eq!(attempt(&none).map(|read| (read.relay, read.status)), Some(("none", Status::Deferred)));
        for other in [
            format!("{HEAD}qmgr[5]: 4cPq2k0Yx1z1: removed"),
            format!("{HEAD}smtp[77]: connect to 127.18.1.10[127.18.1.10]:2525: Connection refused"),
            sent[..120].to_owned(),
            String::new(),
        ] {
            assert_eq!(attempt(&other), None, "{other}");
        }
        assert_eq!(queue_id(&format!("{HEAD}qmgr[5]: 4cPq2k0Yx1z1: removed")), Some("4cPq2k0Yx1z1"));
        assert_eq!(queue_id(&format!("{HEAD}smtp[77]: connect to a[b]:2525: Connection refused")), None);
        for other in ["0.1/0.2/0.3", "0.1/0.2/0.3/0.4/0.5", "a/b/c/d", "-1/0/0/0", "NaN/0/0/0"] {
            assert_eq!(delays(&format!("x, delays={other}, dsn=2.0.0")), None, "{other}");
        }
    }

    #[test]
    fn complaints_are_found() {
        let fine = format!("{HEAD}master[4]: reload -- version 3.7.11, configuration /x\n");
        assert!(is_reloaded(&fine) && complaint(&fine).is_none());
        for other in [
            "smtp[7]: 4cPq2k0Yx1z1: to=<a@b.c>, relay=mx[::1]:25, delay=1, delays=0/0/0/1, dsn=4.7.1, status=deferred (host mx[::1] said: 451 fatal: panic: too fast -- throttling)",
            "smtp[7]: 4cPq2k0Yx1z1: host mx[::1] said: 421 fatal: throttling",
            "cleanup[8]: 4cPq2k0Yx1z1: message-id=<fatal:panic:throttling@shop>",
            "smtpd[9]: warning: run-time library vs. compile-time header version mismatch",
        ] {
            assert_eq!(complaint(&format!("{fine}{HEAD}{other}\n")), None, "{other}");
        }
        for bad in [
            "smtpd[9]: fatal: bad numerical configuration: smtpd_timeout = soon",
            "master[4]: warning: /usr/lib/postfix/sbin/smtpd: bad command startup -- throttling",
        ] {
            let text = format!("{fine}{HEAD}{bad}\n");
            assert_eq!(complaint(&text), Some(bad));
        }
    }

    #[test]
    fn a_log_is_read_by_whole_lines_also_after_it_was_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        assert_eq!((end(&path), since(&path, 0).unwrap().as_str()), (0, ""));
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        assert_eq!(since(&path, 4).unwrap(), "two\n");
        std::fs::write(&path, "a\n").unwrap();
        assert_eq!(since(&path, 11).unwrap(), "a\n");
    }
}
