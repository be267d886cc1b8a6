//! JSON-RPC 2.0 as NDJSON: the lines, their limit, and the greeting.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::window::Window;
use crate::{CallError, CallId, EnvironmentName, EnvironmentType, Event, VERSION};

/// The longest line either side accepts, in bytes, its newline included.
pub const MAX_LINE: usize = 1024 * 1024;

/// While a call runs an agent writes a blank line so often, when there is nothing else to write: a sign of life. The
/// SSH connection is held up by programs that do not hang with the agent, so its keepalives say nothing about that.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Whoever called and hears nothing for so long has lost the agent.
pub const SILENCE: Duration = Duration::from_secs(25);

/// Protocol versions this build speaks, newest first.
pub const PROTOCOLS: &[u32] = &[1];

/// A call on its way to an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    jsonrpc: Version,
    /// Idempotency key, made by the caller.
    pub id: CallId,
    /// For instance `backup.restore`.
    pub method: String,
    /// An object; its form depends on the method.
    #[serde(default)]
    pub params: Value,
    /// When the call is already known: replay only its events after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seq: Option<u64>,
}

impl Request {
    /// A request with these parameters.
    pub fn new(id: CallId, method: &str, params: Value) -> Self {
        Self { jsonrpc: Version, id, method: method.to_owned(), params, after_seq: None }
    }
}

/// What travels without an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "kebab-case")]
pub enum Notification {
    /// The greeting, sent by both sides without waiting.
    Hello(Hello),
    /// Something happened in a call.
    Event(Event),
    /// The client wants no more of this stream.
    End {
        /// The stream to end.
        call: CallId,
    },
}

/// Which protocols and which version a side has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol versions it speaks.
    pub protocols: Vec<u32>,
    /// Version of the program.
    pub version: String,
    /// The environment, told by an agent, so that a client sees whether it reached the one it meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Its type, told by an agent: a client asks for more before it destroys something in `prod`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub environment_type: Option<EnvironmentType>,
}

impl Hello {
    /// This build's greeting.
    pub fn ours() -> Self {
        Self {
            protocols: PROTOCOLS.to_vec(),
            version: VERSION.to_owned(),
            environment: None,
            environment_type: None,
        }
    }

    /// The same greeting from an agent of this environment.
    #[must_use]
    pub fn of_environment(mut self, name: EnvironmentName, kind: EnvironmentType) -> Self {
        self.environment = Some(name);
        self.environment_type = Some(kind);
        self
    }
}

/// No protocol version in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolMismatch {
    /// Whether the other side is the older one.
    pub other_is_older: bool,
    /// Version of the other side.
    pub other_version: String,
}

/// The newest protocol that both sides speak.
pub fn agree(other: &Hello) -> Result<u32, ProtocolMismatch> {
    PROTOCOLS.iter().copied().find(|version| other.protocols.contains(version)).ok_or_else(|| {
        ProtocolMismatch {
            other_is_older: other.protocols.iter().max() < PROTOCOLS.iter().max(),
            other_version: other.version.clone(),
        }
    })
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    jsonrpc: Version,
    /// The call that ends; absent when its line could not be read.
    pub id: Option<CallId>,
    /// The answer …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// … or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
    /// Maintenance windows that are open meanwhile, whatever was called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_windows: Vec<Window>,
}

impl Response {
    /// Ends a call with its outcome.
    pub fn new(id: Option<CallId>, outcome: Result<Value, CallError>) -> Self {
        let (result, error) = match outcome {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        Self { jsonrpc: Version, id, result, error, open_windows: Vec::new() }
    }

    /// The same while these maintenance windows are open.
    #[must_use]
    pub fn within(mut self, open_windows: Vec<Window>) -> Self {
        self.open_windows = open_windows;
        self
    }

    /// The outcome; a response without either counts as `null`.
    pub fn outcome(self) -> Result<Value, CallError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.result.unwrap_or(Value::Null)),
        }
    }
}

/// Any line, as either side may find it.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A call.
    Request(Request),
    /// A notification.
    Notification(Notification),
    /// A notification of a kind that this version does not know; to be ignored.
    Unknown,
    /// The end of a call.
    Response(Response),
}

/// One message as a line with its newline.
pub fn encode<M: Message>(message: &M) -> Vec<u8> {
    let mut line = message.to_line();
    line.push(b'\n');
    line
}

/// What [`encode`] takes.
pub trait Message {
    /// JSON without the newline.
    fn to_line(&self) -> Vec<u8>;
}

impl Message for Request {
    fn to_line(&self) -> Vec<u8> {
        to_vec(self)
    }
}

impl Message for Response {
    fn to_line(&self) -> Vec<u8> {
        to_vec(self)
    }
}

impl Message for Notification {
    fn to_line(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Line<'a> {
            jsonrpc: Version,
            #[serde(flatten)]
            notification: &'a Notification,
        }
        to_vec(&Line { jsonrpc: Version, notification: self })
    }
}

fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    // Our own types have string keys and no fallible Serialize, so this cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Reads one line, without its newline or with it.
pub fn decode(line: &[u8]) -> Result<Incoming, String> {
    if line.len() > MAX_LINE {
        return Err(format!("a line of {} bytes is longer than {MAX_LINE}", line.len()));
    }
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    if value.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err("not JSON-RPC 2.0".to_owned());
    }
    let wrong = |error: serde_json::Error| error.to_string();
    match (value.get("method").and_then(Value::as_str), value.get("id")) {
        (Some(_), Some(_)) => Request::deserialize(value).map(Incoming::Request).map_err(wrong),
        (Some("hello" | "event" | "end"), None) => {
            Notification::deserialize(value).map(Incoming::Notification).map_err(wrong)
        }
        (Some(_), None) => Ok(Incoming::Unknown),
        (None, _) => Response::deserialize(value).map(Incoming::Response).map_err(wrong),
    }
}

/// The constant `"2.0"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version;

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("2.0")
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "2.0" => Ok(Self),
            other => Err(serde::de::Error::custom(format!("jsonrpc is {other:?}, not \"2.0\""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, EventBody};

    fn id() -> CallId {
        "01JDFZ8T6G0000000000000000".parse().unwrap()
    }

    #[test]
    fn lines_keep_their_documented_form() {
        let hello = Hello { version: "0.1.0".into(), ..Hello::ours() };
        let hello = encode(&Notification::Hello(hello));
        assert_eq!(
            String::from_utf8(hello).unwrap(),
            "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"protocols\":[1],\"version\":\"0.1.0\"}}\n"
        );
        let event = Notification::Event(Event {
            call: id(),
            seq: 9,
            at: "2026-11-24T10:32:00Z".parse().unwrap(),
            body: EventBody::Progress {
                done: 310,
                total: Some(1024),
                unit: crate::Unit::Bytes,
                step: None,
                node: None,
            },
        });
        assert_eq!(
            String::from_utf8(encode(&event)).unwrap(),
            "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"call\":\"01JDFZ8T6G0000000000000000\",\"seq\":9,\
             \"at\":\"2026-11-24T10:32:00Z\",\"event\":\"progress\",\"done\":310,\"total\":1024,\"unit\":\"bytes\"}}\n"
        );
        assert_eq!(decode(&encode(&event)).unwrap(), Incoming::Notification(event));
        let response = Response::new(Some(id()), Err(CallError::new(ErrorKind::Locked, "busy").hint("wait")));
        assert_eq!(decode(&encode(&response)).unwrap(), Incoming::Response(response));
    }

    #[test]
    fn what_is_newer_is_ignored_and_what_is_wrong_is_said() {
        assert_eq!(
            decode(br#"{"jsonrpc":"2.0","method":"sparkle","params":{}}"#).unwrap(),
            Incoming::Unknown
        );
        let event = r#"{"jsonrpc":"2.0","method":"event","params":{"call":"01JDFZ8T6G0000000000000000","seq":1,"at":"2026-11-24T10:32:00Z","event":"sparkle","colour":3}}"#;
        let Incoming::Notification(Notification::Event(event)) = decode(event.as_bytes()).unwrap() else {
            panic!()
        };
        assert_eq!(event.body, EventBody::Unknown);
        for bad in [
            &b"{"[..],
            b"[]",
            b"null",
            b"{\"jsonrpc\":\"1.0\",\"method\":\"x\",\"id\":\"01JDFZ8T6G0000000000000000\"}",
            b"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":7}",
            b"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":\"01JDFZ8T6G0000000000000000\",\"dryrun\":1}",
            b"\xff\xfe",
        ] {
            assert!(decode(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(decode(&vec![b' '; MAX_LINE + 1]).is_err());
    }

    #[test]
    fn a_mismatch_says_which_side_is_older() {
        let hello =
            |protocols: &[u32]| Hello { protocols: protocols.to_vec(), version: "9".into(), ..Hello::ours() };
        assert_eq!(agree(&hello(&[2, 1])), Ok(1));
        assert!(!agree(&hello(&[3, 2])).unwrap_err().other_is_older);
        assert!(agree(&hello(&[0])).unwrap_err().other_is_older);
    }
}
