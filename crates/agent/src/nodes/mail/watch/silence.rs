//! Relays that let whoever connects wait, by looks at them: what is believed of each, and how that outlives the agent.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use orocloud_protocol::smtp::{RelayInfo, RelaySeen, RelayState, RelayTls};
use orocloud_protocol::{MailHost, RelayName};

use crate::engines::greeting::Look;
use crate::mail_settings::{Desired, Relay, SilentRelay};

/// So many looks that say the same in a row are believed.
const BELIEVED: u8 = 2;

/// How the relays were when they were last looked at.
#[derive(Debug, Default)]
pub struct Relays(Mutex<HashMap<RelayName, Watched>>);

impl Relays {
    /// Fills in what was seen.
    pub fn tell(&self, relays: &mut [RelayInfo]) {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for relay in relays {
            let same = |watched: &&Watched| watched.server == (relay.host.clone(), relay.port, relay.tls);
            relay.seen = watched.get(&relay.name).filter(same).and_then(|watched| watched.seen.clone());
        }
    }

    /// Forgets relays that are gone, or another server by now, and takes over what the document says of the others.
    pub(super) fn follow(&self, desired: &Desired) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|name, watched| {
            desired.relays.iter().any(|relay| relay.name == *name && watched.server == server(relay))
        });
        for relay in &desired.relays {
            let one = watched.entry(relay.name.clone()).or_insert_with(|| Watched::new(server(relay)));
            one.take_over(desired.silent.iter().find(|silent| silent.name == relay.name));
        }
    }

    /// Takes in a look.
    pub(super) fn heard(&self, relay: &Relay, look: Look, now: Timestamp) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = watched.get_mut(&relay.name) {
            watched.heard(look, now);
        }
    }

    /// Those that are believed to be silent.
    pub(super) fn silent(&self) -> Vec<SilentRelay> {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut silent: Vec<SilentRelay> = watched
            .iter()
            .filter_map(|(name, watched)| {
                let (since, why) = watched.silent.clone()?;
                Some(SilentRelay { name: name.clone(), since, why })
            })
            .collect();
        silent.sort_by(|one, other| one.name.cmp(&other.name));
        silent
    }

    /// Whether the last look at one of them found it greeting.
    pub(super) fn does_one_greet(&self) -> bool {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let greets = |seen: &RelaySeen| seen.state == RelayState::Answers;
        watched.values().any(|watched| watched.seen.as_ref().is_some_and(greets))
    }

    /// Whether another look would settle something.
    pub(super) fn is_unsettled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().any(Watched::is_unsettled)
    }
}

type Server = (MailHost, u16, RelayTls);

fn server(relay: &Relay) -> Server {
    (relay.host.clone(), relay.port, relay.tls)
}

/// What is known of one relay.
#[derive(Debug)]
struct Watched {
    server: Server,
    seen: Option<RelaySeen>,
    /// The first of the looks in a row that found it silent, and how many they are.
    waited: Option<(Timestamp, u8)>,
    /// Looks in a row that found it greeting.
    greeted: u8,
    /// Since when it is believed to be silent, and why.
    silent: Option<(Timestamp, String)>,
    /// Whether the document said that it is silent.
    is_written: bool,
}

impl Watched {
    fn new(server: Server) -> Self {
        Self { server, seen: None, waited: None, greeted: 0, silent: None, is_written: false }
    }

    fn take_over(&mut self, written: Option<&SilentRelay>) {
        match written {
            Some(written) if !self.is_written => {
                self.silent.get_or_insert_with(|| (written.since, written.why.clone()));
                self.is_written = true;
            }
            // Somebody set it, and has tried it.
            None if self.is_written => {
                *self = Self { seen: self.seen.take(), ..Self::new(self.server.clone()) }
            }
            _ => {}
        }
    }

    fn heard(&mut self, look: Look, now: Timestamp) {
        match look.state {
            RelayState::Answers => {
                self.waited = None;
                self.greeted = self.greeted.saturating_add(1);
                if self.greeted >= BELIEVED {
                    self.silent = None;
                }
            }
            RelayState::Silent => {
                self.greeted = 0;
                let (since, times) = self.waited.unwrap_or((now, 0));
                let times = times.saturating_add(1);
                self.waited = Some((since, times));
                if times >= BELIEVED {
                    self.silent.get_or_insert_with(|| (since, look.said.clone()));
                }
            }
            // It delays nothing where it is, but does not greet either.
            RelayState::Away => (self.waited, self.greeted) = (None, 0),
            RelayState::Unknown => {}
        }
        self.seen = Some(RelaySeen { state: look.state, at: now, said: look.said });
    }

    fn is_unsettled(&self) -> bool {
        match &self.silent {
            Some(_) => self.greeted > 0,
            None => self.waited.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::look;
    use super::*;

    fn relay() -> Watched {
        Watched::new(("mx.example".parse().unwrap(), 25, RelayTls::None))
    }

    #[test]
    fn a_relay_is_silent_after_two_looks_and_greets_after_two() {
        for (looks, silent, unsettled) in [
            ("", false, false),
            ("gggg", false, false),
            ("s", false, true),
            ("ss", true, false),
            ("sgs", false, true),
            ("sas", false, true),
            ("sus", true, false),
            ("aaaa", false, false),
            ("uuuu", false, false),
            ("ssg", true, true),
            ("ssgs", true, false),
            ("ssgag", true, true),
            ("ssgg", false, false),
            ("ssgug", false, false),
            ("ssaaaa", true, false),
            ("ssggs", false, true),
        ] {
            let mut watched = relay();
            for (at, word) in looks.chars().enumerate() {
                let now = Timestamp::from_second(i64::try_from(at).unwrap()).unwrap();
                watched.heard(look(word), now);
            }
            assert_eq!((watched.silent.is_some(), watched.is_unsettled()), (silent, unsettled), "{looks}");
        }
        let mut watched = relay();
        for (second, word) in [(3, 's'), (5, 's'), (7, 's')] {
            watched.heard(look(word), Timestamp::from_second(second).unwrap());
        }
        assert_eq!(watched.silent, Some((Timestamp::from_second(3).unwrap(), "s".to_owned())));
    }

    #[test]
    fn what_was_written_outlives_the_agent_and_what_somebody_set_begins_anew() {
        let written =
            SilentRelay { name: "main".parse().unwrap(), since: Timestamp::UNIX_EPOCH, why: "w".into() };
        let mut watched = relay();
        watched.take_over(Some(&written));
        watched.heard(look('g'), Timestamp::now());
        watched.take_over(Some(&written));
        assert_eq!(watched.silent, Some((Timestamp::UNIX_EPOCH, "w".to_owned())));
        watched.heard(look('g'), Timestamp::now());
        assert_eq!(watched.silent, None);
        watched.take_over(Some(&written));
        assert_eq!(watched.silent, None, "the document follows what was seen");

        let mut watched = relay();
        watched.heard(look('s'), Timestamp::now());
        watched.heard(look('s'), Timestamp::now());
        watched.take_over(None);
        assert!(watched.silent.is_some(), "it is not written yet");
        watched.take_over(Some(&written));
        watched.take_over(None);
        assert!(watched.silent.is_none() && watched.seen.is_some() && !watched.is_unsettled());
    }
}
