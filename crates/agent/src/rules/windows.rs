//! When maintenance windows are: recurrence rules (RFC 5545) in a time zone.
//!
//! The rule is followed on the wall clock, as people read it; each begin is then placed in the zone. A begin that the
//! clocks skip is as much later as they skip, one that they repeat is the first of the two, as RFC 5545 (3.3.5) has it.
//! A window lasts as long as it lasts: its end is reckoned in time that passes, not on the wall clock.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use orocloud_protocol::window::{Window, WindowKind};
use rrule::RRuleSet;
use serde::Deserialize;

/// So many begins of one rule are looked at, at most: more than fifty years of days.
const MOST: usize = 20_000;

/// A planned window, as `[[window]]` of environment.toml has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedWindow {
    /// Lowercase letters, digits and hyphens; part of the id of each of its windows.
    pub name: String,
    /// An RFC 5545 recurrence rule, like `FREQ=WEEKLY;BYDAY=SU`.
    pub rule: String,
    /// The first begin on the wall clock, like `2026-01-04T02:00`.
    pub first: DateTime,
    /// An IANA time zone, like `Europe/Kyiv`.
    pub zone: String,
    /// How long each lasts.
    pub minutes: u32,
    /// What is done.
    pub work: String,
    /// Whether the shop is interrupted.
    #[serde(default)]
    pub interrupts: bool,
}

impl PlannedWindow {
    /// Its windows that end after `from` and begin before `until`, the earliest first. The error says what is wrong with
    /// it.
    pub fn between(
        &self,
        environment: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Window>, String> {
        let zone = self.zone()?;
        let rule = self.rule()?;
        let length = SignedDuration::from_mins(i64::from(self.minutes));
        // With the day of a change of clocks to spare.
        let last = until.to_zoned(zone.clone()).datetime().saturating_add(1.day());
        let mut windows = Vec::new();
        for wall in rule.begins().take(MOST).take_while(|wall| *wall <= last) {
            let Ok(starts_at) = zone.to_ambiguous_zoned(wall).compatible().map(|zoned| zoned.timestamp())
            else {
                continue;
            };
            if rule.is_over(wall, starts_at) {
                break;
            }
            let Ok(ends_at) = starts_at.checked_add(length) else { continue };
            if ends_at > from && starts_at < until {
                windows.push(Window {
                    uid: format!("{}-{}@{environment}", self.name, wall.strftime("%Y%m%dT%H%M%S")),
                    sequence: 0,
                    kind: WindowKind::Planned,
                    starts_at,
                    ends_at,
                    work: self.work.clone(),
                    interrupts: self.interrupts,
                    cancelled: false,
                    changed_at: None,
                    operations: Vec::new(),
                });
            }
        }
        Ok(windows)
    }

    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 63 || !self.name.chars().all(plain) {
            return Err(self.wrong("name must be lowercase letters, digits and hyphens"));
        }
        if self.minutes == 0 || self.minutes > 7 * 24 * 60 {
            return Err(self.wrong("minutes must be from 1 to 10080"));
        }
        if self.work.trim().is_empty() || self.work.chars().any(char::is_control) {
            return Err(self.wrong("work must be one line that says what is done"));
        }
        self.zone()?;
        self.rule().map(drop)
    }

    fn wrong(&self, what: impl std::fmt::Display) -> String {
        format!("[[window]] {:?}: {what}", self.name)
    }

    fn zone(&self) -> Result<TimeZone, String> {
        TimeZone::get(&self.zone).map_err(|_| {
            self.wrong(format_args!("zone {:?} is no IANA time zone, like Europe/Kyiv", self.zone))
        })
    }

    fn rule(&self) -> Result<Rule, String> {
        let wrong = |what: String| self.wrong(format_args!("rule {:?} {what}", self.rule));
        if self.rule.chars().any(char::is_whitespace) {
            return Err(wrong("has blanks".to_owned()));
        }
        let (mut until, mut rest) = (None, Vec::new());
        for part in self.rule.split(';') {
            match part.split_once('=').map(|(key, value)| (key.to_ascii_uppercase(), value)) {
                // With a Z it is a moment, which only the zone can place.
                Some((key, value)) if key == "UNTIL" => {
                    let end = End::read(value);
                    until = Some(end.ok_or_else(|| wrong(format!("ends at {value:?}, which is no time")))?);
                }
                Some((key, value)) if key == "FREQ" => {
                    let known = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"];
                    if !known.contains(&value.to_ascii_uppercase().as_str()) {
                        return Err(wrong(format!(
                            "has FREQ={value}, which is none of {}",
                            known.join(", ")
                        )));
                    }
                    rest.push(part);
                }
                _ => rest.push(part),
            }
        }
        // The wall clock has no changes: as if it were UTC.
        let text = format!("DTSTART:{}Z\nRRULE:{}", self.first.strftime("%Y%m%dT%H%M%S"), rest.join(";"));
        let set: RRuleSet =
            text.parse().map_err(|error: rrule::RRuleError| wrong(format!("is not valid: {error}")))?;
        Ok(Rule { set, until })
    }
}

/// When a rule ends, itself included.
enum End {
    /// A moment.
    Moment(Timestamp),
    /// On the wall clock.
    Wall(DateTime),
}

impl End {
    fn read(text: &str) -> Option<Self> {
        let wall = |text: &str| DateTime::strptime("%Y%m%dT%H%M%S", text).ok();
        match text.strip_suffix('Z') {
            Some(utc) => wall(utc)?.to_zoned(TimeZone::UTC).ok().map(|zoned| Self::Moment(zoned.timestamp())),
            None if text.len() == 8 => wall(&format!("{text}T235959")).map(Self::Wall),
            None => wall(text).map(Self::Wall),
        }
    }
}

struct Rule {
    set: RRuleSet,
    until: Option<End>,
}

impl Rule {
    /// Begins on the wall clock, the earliest first.
    fn begins(&self) -> impl Iterator<Item = DateTime> {
        self.set
            .into_iter()
            .filter_map(|begin| Timestamp::from_second(begin.timestamp()).ok())
            .map(|begin| begin.to_zoned(TimeZone::UTC).datetime())
    }

    fn is_over(&self, wall: DateTime, moment: Timestamp) -> bool {
        match &self.until {
            None => false,
            Some(End::Moment(end)) => moment > *end,
            Some(End::Wall(end)) => wall > *end,
        }
    }
}

/// The window that something begun now, of this usual length, would run into; one that has begun counts.
pub fn runs_into(windows: &[Window], now: Timestamp, usual: SignedDuration) -> Option<&Window> {
    let end = now.checked_add(usual).unwrap_or(Timestamp::MAX);
    windows
        .iter()
        .filter(|window| !window.cancelled && window.ends_at > now && window.starts_at <= end)
        .min_by_key(|window| window.starts_at)
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
