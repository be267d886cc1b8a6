//! What the lines of Postfix's log tell of messages and relays.

use super::log::{Attempt, attempt};

/// With these words Postfix says that a relay had all of a message and did not say whether it took it (RFC 1047).
const MAYBE_TWICE: &str = "message may be sent more than once";

/// A line that tells something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A message came.
    Came {
        /// Postfix's id of it.
        queue_id: &'a str,
        /// The `Message-ID` that its sender gave it.
        message_id: &'a str,
    },
    /// A message begins to be sent.
    Began {
        /// Postfix's id of it.
        queue_id: &'a str,
        /// Who sent it.
        from: &'a str,
    },
    /// An attempt ended, for one recipient.
    Ended(Attempt<'a>),
    /// A relay did not take a message, and the next one is asked.
    Passed {
        /// Postfix's id of it.
        queue_id: &'a str,
        /// The relay, `HOST[ADDRESS]`.
        host: &'a str,
        /// Why.
        why: &'a str,
    },
    /// A relay could not be reached.
    NotReached {
        /// The relay, `HOST[ADDRESS]:PORT`.
        relay: &'a str,
        /// Why.
        why: &'a str,
    },
    /// A relay agreed to speak TLS, and then the handshake failed.
    NoHandshake {
        /// The relay, `HOST[ADDRESS]:PORT`.
        relay: &'a str,
        /// Why.
        why: &'a str,
    },
    /// A message waited as long as Postfix lets any wait, and went back.
    Expired {
        /// Postfix's id of it.
        queue_id: &'a str,
    },
}

/// Reads a line; one that tells nothing of this is `None`.
pub fn read(line: &str) -> Option<Line<'_>> {
    if let Some(attempt) = attempt(line) {
        return Some(Line::Ended(attempt));
    }
    let (_, rest) = line.split_once(" postfix/")?;
    let (program, rest) = rest.split_once("]: ")?;
    let program = program.split_once('[')?.0;
    let is_client = program.rsplit('/').next() == Some("smtp");
    if is_client
        && let Some(rest) = rest.strip_prefix("connect to ")
        && let Some((relay, why)) = rest.split_once(": ")
    {
        return Some(Line::NotReached { relay, why });
    }
    if is_client
        && let Some(rest) = rest.strip_prefix("SSL_connect error to ")
        && let Some((relay, why)) = rest.split_once(": ")
    {
        return Some(Line::NoHandshake { relay, why });
    }
    let (queue_id, rest) = rest.split_once(": ")?;
    if queue_id.is_empty() || !queue_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    match program {
        "cleanup" => {
            let message_id = rest.strip_prefix("message-id=")?.trim();
            Some(Line::Came { queue_id, message_id: inside(message_id).unwrap_or(message_id) })
        }
        "qmgr" => {
            let (from, rest) = rest.strip_prefix("from=<")?.split_once(">, ")?;
            match rest.starts_with("status=expired") {
                true => Some(Line::Expired { queue_id }),
                false => Some(Line::Began { queue_id, from }),
            }
        }
        _ if is_client => Some(Line::Passed { queue_id, host: host(rest)?, why: rest }),
        _ => None,
    }
}

fn inside(text: &str) -> Option<&str> {
    text.strip_prefix('<')?.strip_suffix('>')
}

/// The first `HOST[ADDRESS]` in a text.
fn host(text: &str) -> Option<&str> {
    text.split(' ')
        .map(|word| word.trim_end_matches([':', ',', ';']))
        .find(|word| word.ends_with(']') && word.find('[').is_some_and(|at| at > 0 && at + 2 < word.len()))
}

/// The relay, `HOST[ADDRESS]`, that may have taken a message of which this is said.
pub fn may_have_taken(said: &str) -> Option<&str> {
    said.contains(MAYBE_TWICE).then(|| host(said)).flatten()
}

/// What Postfix waited for in vain of a relay that had greeted. One that does not even greet is seen by looks at it.
pub fn waited_for(said: &str) -> Option<&str> {
    let (_, what) = said.strip_prefix("conversation with ")?.split_once(" timed out while ")?;
    let what = what.split(" -- ").next()?;
    (what != "receiving the initial server greeting").then_some(what)
}

/// Whether a handshake failed because the relay let Postfix wait.
pub fn is_late(why: &str) -> bool {
    why.ends_with("timed out")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Nov 28 21:20:01 acme-prod1-mail1 postfix/";

    #[test]
    fn what_tells_something_is_read_and_the_rest_is_not() {
        let host = "127.18.1.10[127.18.1.10]";
        for (text, expected) in [
            (
                "cleanup[7]: 4cPq2k0Yx1z1: message-id=<a.b@c>",
                Some(Line::Came { queue_id: "4cPq2k0Yx1z1", message_id: "a.b@c" }),
            ),
            (
                "qmgr[7]: 4cPq2k0Yx1z1: from=<shop@example.com>, size=400, nrcpt=1 (queue active)",
                Some(Line::Began { queue_id: "4cPq2k0Yx1z1", from: "shop@example.com" }),
            ),
            (
                "qmgr[7]: 4cPq2k0Yx1z1: from=<>, size=400, nrcpt=1 (queue active)",
                Some(Line::Began { queue_id: "4cPq2k0Yx1z1", from: "" }),
            ),
            (
                "qmgr[7]: 4cPq2k0Yx1z1: from=<a@b.c>, status=expired, returned to sender",
                Some(Line::Expired { queue_id: "4cPq2k0Yx1z1" }),
            ),
            (
                "smtp[7]: connect to 127.18.1.10[127.18.1.10]:2525: Connection refused",
                Some(Line::NotReached { relay: "127.18.1.10[127.18.1.10]:2525", why: "Connection refused" }),
            ),
            (
                "smtp[7]: 4cPq2k0Yx1z1: host 127.18.1.10[127.18.1.10] refused to talk to me: 421 not now",
                Some(Line::Passed {
                    queue_id: "4cPq2k0Yx1z1",
                    host,
                    why: "host 127.18.1.10[127.18.1.10] refused to talk to me: 421 not now",
                }),
            ),
            (
                "smtp[7]: SSL_connect error to 127.18.1.10[127.18.1.10]:2525: Connection timed out",
                Some(Line::NoHandshake {
                    relay: "127.18.1.10[127.18.1.10]:2525",
                    why: "Connection timed out",
                }),
            ),
            ("smtp[7]: 4cPq2k0Yx1z1: Cannot start TLS: handshake failure", None),
            ("qmgr[7]: 4cPq2k0Yx1z1: removed", None),
            ("smtpd[7]: 4cPq2k0Yx1z1: client=x[127.0.0.1]", None),
            ("smtpd[7]: connect from x[127.0.0.1]", None),
            ("smtp[7]: Untrusted TLS connection established to x[127.0.0.1]:25: TLSv1.3", None),
            ("smtp[7]: 4cPq2k0Yx1z1: enabling PIX workarounds", None),
            ("cleanup[7]: ", None),
            ("smtp", None),
        ] {
            assert_eq!(read(&format!("{HEAD}{text}")), expected, "{text}");
        }
        assert_eq!(read(""), None);
        assert_eq!(read("4cPq2k0Yx1z1: message-id=<a.b@c>"), None);
    }

    #[test]
    fn only_a_relay_that_has_greeted_is_waited_for() {
        for (said, what) in [
            ("conversation with a[::1] timed out while sending MAIL FROM", Some("sending MAIL FROM")),
            (
                "conversation with a[::1] timed out while performing the EHLO handshake",
                Some("performing the EHLO handshake"),
            ),
            (
                "conversation with a[::1] timed out while sending end of data -- message may be sent more than once",
                Some("sending end of data"),
            ),
            ("conversation with a[::1] timed out while receiving the initial server greeting", None),
            ("lost connection with a[::1] while sending MAIL FROM", None),
            ("host a[::1] said: 451 conversation with b timed out while sending MAIL FROM", None),
            ("", None),
        ] {
            assert_eq!(waited_for(said), what, "{said}");
        }
        for (why, late) in [("Connection timed out", true), ("lost connection", false), ("-1", false)] {
            assert_eq!(is_late(why), late, "{why}");
        }
    }

    #[test]
    fn who_may_have_taken_a_message_without_a_word_is_named() {
        let lost = format!("lost connection with mx[10.0.0.1] while sending end of data -- {MAYBE_TWICE}");
        let late = format!("conversation with mx[::1] timed out while sending end of data -- {MAYBE_TWICE}");
        assert_eq!(may_have_taken(&lost), Some("mx[10.0.0.1]"));
        assert_eq!(may_have_taken(&late), Some("mx[::1]"));
        assert_eq!(may_have_taken("lost connection with mx[10.0.0.1] while sending message body"), None);
        let line = format!("{HEAD}smtp[7]: 4cPq2k0Yx1z1: {lost}");
        let Some(Line::Passed { queue_id, host, why }) = read(&line) else { panic!("{line}") };
        assert_eq!((queue_id, host, may_have_taken(why)), ("4cPq2k0Yx1z1", "mx[10.0.0.1]", Some(host)));
    }
}
