//! Which entries are wanted.

use jiff::Timestamp;
use orocloud_protocol::CallError;
use orocloud_protocol::log::Level;
use regex::bytes::{Regex, RegexBuilder};

use super::entry::Entry;
use super::level;

/// The conditions of a tail; all must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// This or worse.
    pub level: Option<Level>,
    /// Matches.
    pub grep: Option<Regex>,
}

impl Filter {
    /// Whether the entry, which counts as of `time`, is wanted.
    pub fn wants(&self, entry: &Entry<'_>, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && self.level.is_none_or(|least| {
                let rest = entry.stamp.map_or(0, |stamp| stamp.length).min(entry.text.len());
                level::of(&entry.text[rest..]).is_some_and(|level| level >= least)
            })
            && self.grep.as_ref().is_none_or(|grep| grep.is_match(entry.text))
    }

    /// Whether every entry is wanted.
    pub fn wants_all(&self) -> bool {
        self.since.is_none() && self.until.is_none() && self.level.is_none() && self.grep.is_none()
    }
}

/// Compiles what a caller wrote; neither a long pattern nor one that explodes is taken.
pub fn pattern(option: &str, text: &str) -> Result<Regex, CallError> {
    const LONGEST: usize = 4096;
    if text.len() > LONGEST {
        return Err(CallError::usage(format!(
            "{option} is {} bytes long, {LONGEST} are the most",
            text.len()
        )));
    }
    RegexBuilder::new(text)
        .size_limit(1 << 20)
        // A cache of this size exists per tail.
        .dfa_size_limit(256 << 10)
        // An entry may have many lines.
        .multi_line(true)
        .build()
        .map_err(|error| {
            CallError::usage(format!("{option} is no regular expression that can be used"))
                .because(error)
                .hint("the syntax is that of https://docs.rs/regex; a literal . [ ( * + ? needs \\ before it")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_checked_before_it_is_used() {
        assert!(pattern("--grep", "^GET .*5\\d\\d$").is_ok());
        for bad in ["(", "a{100000}{100000}", &"x".repeat(5000)] {
            let error = pattern("--grep", bad).unwrap_err();
            assert_eq!(error.kind, orocloud_protocol::ErrorKind::Usage);
            assert!(error.message.starts_with("--grep"), "{error}");
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let text = b"[2026-11-24T10:00:00Z] app.ERROR: it broke\n#0 deep.php(7)";
        let stamp =
            super::super::time::Times::new(jiff::tz::TimeZone::UTC, Timestamp::UNIX_EPOCH).stamp(text);
        let entry = Entry { start: 0, end: 0, stamp, text, skipped: 0 };
        let time = stamp.unwrap().time;
        let wants = |filter: Filter| filter.wants(&entry, time);
        let at = |text: &str| Some(text.parse().unwrap());
        assert!(wants(Filter::default()));
        assert!(wants(Filter { since: at("2026-11-24T10:00:00Z"), ..Filter::default() }));
        assert!(!wants(Filter { until: at("2026-11-24T10:00:00Z"), ..Filter::default() }));
        assert!(wants(Filter { level: Some(Level::Error), ..Filter::default() }));
        assert!(!wants(Filter { level: Some(Level::Critical), ..Filter::default() }));
        assert!(wants(Filter { grep: Some(pattern("--grep", "^#0 deep").unwrap()), ..Filter::default() }));
        assert!(!wants(Filter { grep: Some(pattern("--grep", "DEEP").unwrap()), ..Filter::default() }));
    }
}
