//! `audit.log`: one line a call, whoever made it and whatever came of it.

use std::path::Path;

use jiff::Timestamp;
use orocloud_protocol::{CallError, Request, Role};
use serde::Serialize;
use serde_json::Value;

use crate::operations::redact::redacted;

/// One call.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    at: Timestamp,
    id: String,
    caller: String,
    role: Option<Role>,
    method: String,
    params: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Done,
    Error { kind: orocloud_protocol::ErrorKind, message: String },
}

impl Entry {
    pub(super) fn new(request: &Request, (caller, role): (String, Option<Role>)) -> Self {
        Self {
            at: Timestamp::now(),
            id: request.id.to_string(),
            caller,
            role,
            method: request.method.chars().take(80).collect(),
            params: redacted(request.params.clone()),
            outcome: None,
            took_ms: None,
        }
    }

    pub(super) fn write(mut self, folder: &Path, outcome: &Result<Value, CallError>) {
        self.took_ms = Some(Timestamp::now().as_millisecond() - self.at.as_millisecond());
        self.outcome = Some(match outcome {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Error { kind: error.kind, message: error.message.clone() },
        });
        let mut line = serde_json::to_string(&self).unwrap_or_default();
        line.push('\n');
        if let Err(error) = crate::log::append(&folder.join("audit.log"), &line) {
            crate::log::line(format!("audit.log cannot be written ({error}): {}", line.trim_end()));
        }
    }
}
