//! The id of a call: a ULID, made by the caller, which is also its idempotency key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

/// Identifies one call; the same id again attaches to the same operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(Ulid);

impl CallId {
    /// An id from a moment in milliseconds since the epoch and 80 random bits (the upper 48 are ignored).
    pub fn from_parts(milliseconds: u64, random: u128) -> Self {
        Self(Ulid::from_parts(milliseconds, random))
    }

    /// When the caller made this id, in milliseconds since the epoch by the caller's clock.
    pub fn milliseconds(self) -> u64 {
        self.0.timestamp_ms()
    }

    /// The moment in [`CallId::milliseconds`] as a timestamp; an id from beyond the calendar counts as its end.
    pub fn timestamp(self) -> jiff::Timestamp {
        i64::try_from(self.milliseconds())
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .unwrap_or(jiff::Timestamp::MAX)
    }

    /// The random part, from which ids of dependent calls are derived.
    pub fn random(self) -> u128 {
        self.0.random()
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CallId {
    type Err = String;

    /// Reads the 26 characters of a ULID, in either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ulid::from_string(text)
            .map(Self)
            .map_err(|_| format!("`{text}` is no operation id (26 characters of a ULID)"))
    }
}

impl Serialize for CallId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CallId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
