//! What can go wrong, as both sides and every script know it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kinds of failure. Each has one exit code and one number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operation ran and failed.
    Failed,
    /// The command line or the parameters are wrong.
    Usage,
    /// The thing that was named does not exist.
    NotFound,
    /// The other side does not know this method.
    UnknownMethod,
    /// No certificate, or one that is expired, not yet valid, revoked or from an unknown CA.
    NotSignedIn,
    /// The role of the caller does not suffice.
    NotPermitted,
    /// No connection, or the connection was lost and not regained.
    Unreachable,
    /// The host could not prove that it is the environment.
    HostNotTrusted,
    /// The two sides have no protocol version in common.
    ProtocolMismatch,
    /// Another operation holds a lock.
    Locked,
    /// A guard said no, or a confirmation was not given.
    Refused,
    /// Somebody cancelled it.
    Cancelled,
    /// Nobody watches any more, but the operation still runs.
    StillRunning,
    /// A check found problems.
    CheckFailed,
    /// A fault of the program itself.
    Internal,
    /// A kind that this version does not know; sent by a newer agent.
    #[serde(other)]
    Unknown,
}

impl ErrorKind {
    /// The exit code of `orocloud-cli` for this kind, as documented by `orocloud-cli help exit-codes`.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::NotFound | Self::Internal | Self::Unknown => 1,
            Self::Usage | Self::UnknownMethod => 2,
            Self::NotSignedIn => 3,
            Self::NotPermitted => 4,
            Self::Unreachable | Self::HostNotTrusted | Self::ProtocolMismatch => 5,
            Self::Locked => 6,
            Self::Refused | Self::Cancelled => 7,
            Self::StillRunning => 8,
            Self::CheckFailed => 9,
        }
    }

    /// The number in a JSON-RPC error object. `-32602` and `-32601` are JSON-RPC's own.
    pub const fn code(self) -> i32 {
        match self {
            Self::Usage => -32602,
            Self::UnknownMethod => -32601,
            Self::Internal | Self::Unknown => -32603,
            Self::Failed => -32001,
            Self::NotFound => -32002,
            Self::NotSignedIn => -32003,
            Self::NotPermitted => -32004,
            Self::Unreachable => -32005,
            Self::HostNotTrusted => -32006,
            Self::ProtocolMismatch => -32007,
            Self::Locked => -32010,
            Self::Refused => -32011,
            Self::Cancelled => -32012,
            Self::StillRunning => -32013,
            Self::CheckFailed => -32014,
        }
    }
}

/// A failure as it travels: what happened, why, and what to type next.
#[derive(Clone, Debug, PartialEq)]
pub struct CallError {
    /// Decides the exit code.
    pub kind: ErrorKind,
    /// One lowercase sentence without a full stop that names the thing and the value.
    pub message: String,
    /// The causes beneath, outermost first.
    pub causes: Vec<String>,
    /// One way out each, ending in a command to type.
    pub hints: Vec<String>,
    /// Further facts for programs: who holds the lock, which step failed.
    pub details: Option<Value>,
}

impl CallError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new(), details: None }
    }

    /// The operation failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// A fault of the program itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The input is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A guard said no.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// Adds a cause beneath those there are.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Puts a sentence in front: the message so far becomes the first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }

    /// Attaches facts for programs.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl std::error::Error for CallError {}

/// JSON-RPC's form of an error.
#[derive(Serialize, Deserialize)]
struct WireError {
    code: i32,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<WireData>,
}

#[derive(Serialize, Deserialize)]
struct WireData {
    kind: ErrorKind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

impl Serialize for CallError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WireError {
            code: self.kind.code(),
            message: self.message.clone(),
            data: Some(WireData {
                kind: self.kind,
                causes: self.causes.clone(),
                hints: self.hints.clone(),
                details: self.details.clone(),
            }),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CallError {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireError::deserialize(deserializer)?;
        Ok(match wire.data {
            Some(data) => Self {
                kind: data.kind,
                message: wire.message,
                causes: data.causes,
                hints: data.hints,
                details: data.details,
            },
            None => Self::new(ErrorKind::Unknown, wire.message),
        })
    }
}
