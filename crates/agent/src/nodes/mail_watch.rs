//! Relays that are silent, noticed and moved back. Postfix asks them in one order for every message and remembers nothing
//! of them: one that takes connections and says nothing delays every message by minutes. So the agent of the mail node
//! looks at them, and lets Postfix ask a silent one last until it greets again.

mod stalls;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::smtp::{RelayInfo, RelaySeen, RelayState, RelayTls};
use orocloud_protocol::{CallError, MailAddress, MailHost, RelayName};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::stalls::Circumstances;
use super::NodeRef;
use super::actions::mail::{hurry, watch as follow};
use super::mail::Configurations;
use super::transport::new_call_id;
use crate::engines::greeting::{self, Look};
use crate::engines::postfix::{self, configuration, log};
use crate::engines::relay;
use crate::environment::Postfix;
use crate::mail_settings::{Desired, Relay, SilentRelay};
use crate::service_manager::Activity;

/// Held by whoever changes the configurations of mail on this node: a step of an operation, or the watch.
pub(super) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// So many looks that say the same in a row are believed.
const BELIEVED: u8 = 2;

/// No relay has longer to greet.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// After an order that Postfix could not work by.
const PAUSE: Duration = Duration::from_secs(300);

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
    fn follow(&self, desired: &Desired) {
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
    fn heard(&self, relay: &Relay, look: Look, now: Timestamp) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = watched.get_mut(&relay.name) {
            watched.heard(look, now);
        }
    }

    /// Those that are believed to be silent.
    fn silent(&self) -> Vec<SilentRelay> {
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

    /// Whether another look would settle something.
    fn is_unsettled(&self) -> bool {
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

/// Looks at the relays for as long as the agent runs.
pub async fn watch(node: NodeRef) {
    let Some(postfix) = &node.config.postfix else { return };
    let every = Duration::from_secs(u64::from(postfix.look_every.get()));
    let mut told = String::new();
    let mut not_before = Instant::now();
    loop {
        let outcome = round(&node, postfix, every.min(LONGEST_LOOK), &mut not_before).await;
        let said = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        if said != told && !said.is_empty() {
            crate::log::line(format!("the relays cannot be watched: {said}"));
        }
        told = said;
        sleep(if node.relays.is_unsettled() { every / 5 } else { every }).await;
    }
}

async fn round(
    node: &NodeRef,
    postfix: &Postfix,
    limit: Duration,
    not_before: &mut Instant,
) -> Result<(), CallError> {
    let configurations = Configurations::new(postfix);
    let desired = configurations.desired()?;
    node.relays.follow(&desired);
    look(node, &desired, limit).await;
    // What Postfix wrote is read while it is there.
    let relays = desired.infos();
    let patience = node.mail_log.read(&postfix.log, move |ledger| ledger.patience(&relays)).await?;
    let still = still_stalled(node, &desired).await;
    let silent = node.relays.silent();
    // A step of an operation has the word; the next round does what is still to be done.
    let Ok(_turn) = TURN.try_lock() else { return Ok(()) };
    let desired = configurations.desired()?;
    let circumstances = Circumstances {
        patience: &patience,
        still: &still,
        now: Timestamp::now(),
        // Seconds: some looks may go wrong meanwhile.
        shortest: u32::from(postfix.look_every.get()) * 2,
    };
    let judged = stalls::judged(&desired, &circumstances);
    let wanted = Desired { silent, ..judged.clone() };
    let has_order = order(&wanted) == order(&desired);
    if has_order && judged != desired {
        configurations.note(&Desired { silent: desired.silent.clone(), ..judged })?;
    }
    if (has_order && !configurations.is_unread()?) || Instant::now() < *not_before {
        return Ok(());
    }
    // One that does not run reads what holds when it is started.
    if node.services.state(&postfix.service).await?.activity != Activity::Running {
        return Ok(());
    }
    if has_order {
        let current = configurations.current()?;
        return read_anew(node, postfix, &configurations, &current).await;
    }
    for relay in &wanted.relays {
        let is = |desired: &Desired| desired.silent.iter().find(|silent| silent.name == relay.name).cloned();
        match (is(&desired), is(&wanted)) {
            (None, Some(silent)) => {
                crate::log::line(format!("relay {} is silent: {}", relay.name, silent.why));
            }
            (Some(_), None) => crate::log::line(format!("relay {} greets again", relay.name)),
            _ => {}
        }
        let is = |desired: &Desired| desired.stall_of(&relay.name).cloned();
        match (is(&desired), is(&wanted)) {
            (None, Some(stalled)) => crate::log::line(format!(
                "relay {} lets messages wait until {} has timed out: it comes last until {:.0}",
                relay.name,
                stalled.what,
                stalled.until()
            )),
            (Some(_), None) => crate::log::line(format!("relay {} has its turn again", relay.name)),
            _ => {}
        }
    }
    let outcome = put(node, postfix, &wanted).await;
    if outcome.is_err() {
        *not_before = Instant::now() + PAUSE;
    }
    outcome
}

/// A relay as it is looked at.
fn target(node: &NodeRef, relay: &Relay) -> relay::Target {
    relay::Target {
        host: relay.host.as_str().to_owned(),
        port: relay.port,
        tls: relay.tls,
        ca: relay.ca.clone(),
        credentials: None,
        from: None,
        to: None,
        hello: node.config.environment.full_name(&node.config.node),
    }
}

/// Those whose pause is over and that let us wait at a stage that can be tried without a message.
async fn still_stalled(node: &NodeRef, desired: &Desired) -> Vec<RelayName> {
    let mut tries = JoinSet::new();
    for relay in &desired.relays {
        if desired.stall_of(&relay.name).is_none_or(|stalled| stalled.until() > Timestamp::now()) {
            continue;
        }
        let credentials = relay.user.as_ref().zip(relay.password.as_ref());
        let address = |probe: &Option<MailAddress>| probe.as_ref()?.as_str().parse().ok();
        let target = relay::Target {
            credentials: credentials.map(|(user, password)| (user.as_str().to_owned(), password.clone())),
            from: address(&relay.probe_from),
            to: address(&relay.probe_to),
            ..target(node, relay)
        };
        let name = relay.name.clone();
        tries.spawn(async move {
            let failed = relay::try_stages(target, relay::LIMIT).await.err()?;
            // One that refuses lets nobody wait.
            failed.is_silence().then_some(name)
        });
    }
    let mut still = Vec::new();
    while let Some(tried) = tries.join_next().await {
        still.extend(tried.ok().flatten());
    }
    still
}

/// Looks at all of them side by side.
async fn look(node: &NodeRef, desired: &Desired, limit: Duration) {
    let mut looks = JoinSet::new();
    for relay in desired.relays.clone() {
        let target = target(node, &relay);
        looks.spawn(async move {
            let looked = twice(limit, || greeting::look(&target, limit)).await;
            (relay, looked)
        });
    }
    while let Some(looked) = looks.join_next().await {
        if let Ok((relay, looked)) = looked {
            for look in looked {
                node.relays.heard(&relay, look, Timestamp::now());
            }
        }
    }
}

/// Looks once; at one that keeps us waiting a second time meanwhile, so that it is soon known whether it lets everybody wait.
async fn twice<F: Future<Output = Look>>(limit: Duration, look: impl Fn() -> F) -> Vec<Look> {
    let first = look();
    tokio::pin!(first);
    tokio::select! {
        look = &mut first => return vec![look],
        () = sleep(limit / 4) => {}
    }
    let second = look();
    tokio::pin!(second);
    tokio::select! {
        look = &mut first => match look.state {
            RelayState::Silent => vec![look, second.await],
            _ => vec![look],
        },
        look = &mut second => match look.state {
            RelayState::Silent => vec![first.await, look],
            _ => vec![look],
        },
    }
}

fn order(desired: &Desired) -> Vec<&RelayName> {
    desired.in_order().into_iter().map(|relay| &relay.name).collect()
}

/// The way of an operation, in the hand of whoever has the [`TURN`]: written and checked beside, switched to, watched; and
/// back, when Postfix cannot work by it.
pub(super) async fn put(node: &NodeRef, postfix: &Postfix, wanted: &Desired) -> Result<(), CallError> {
    let configurations = Configurations::new(postfix);
    let before = configurations.current()?;
    let outcome = switch(node, postfix, &configurations, wanted).await;
    if outcome.is_err() && configurations.current()? != before {
        configurations.switch_to(&before)?;
        if runs(node, postfix).await? {
            node.services.reload(&postfix.service).await?;
        }
    }
    outcome
}

/// One that does not run reads what holds when it is started.
async fn runs(node: &NodeRef, postfix: &Postfix) -> Result<bool, CallError> {
    let state = node.services.state(&postfix.service).await?;
    Ok(matches!(state.activity, Activity::Running | Activity::Starting))
}

async fn switch(
    node: &NodeRef,
    postfix: &Postfix,
    configurations: &Configurations<'_>,
    wanted: &Desired,
) -> Result<(), CallError> {
    let id = new_call_id();
    let name = id.to_string();
    configurations.stage(id, wanted)?;
    let (folder, _) = configurations.write(id, node.config.environment.kind, node.config.signer.as_ref())?;
    postfix::check(&node.processes, postfix, &folder).await?;
    for map in configuration::maps(wanted, &folder) {
        postfix::check_map(&node.processes, postfix, &folder, &map).await?;
    }
    configurations.set_unread(&name, true)?;
    configurations.switch_to(&name)?;
    read_anew(node, postfix, configurations, &name).await?;
    configurations.tidy_old()
}

/// Has Postfix read what it may not have read; until that is sure the watch of relays sees to it.
pub(super) async fn read_anew(
    node: &NodeRef,
    postfix: &Postfix,
    configurations: &Configurations<'_>,
    name: &str,
) -> Result<(), CallError> {
    if !runs(node, postfix).await? {
        return configurations.set_unread(name, false);
    }
    let place = log::end(&postfix.log);
    node.services.reload(&postfix.service).await?;
    follow(node, &CancellationToken::new(), postfix, place).await?;
    hurry(node, postfix).await;
    configurations.set_unread(name, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(word: char) -> Look {
        let state = match word {
            'g' => RelayState::Answers,
            's' => RelayState::Silent,
            'a' => RelayState::Away,
            _ => RelayState::Unknown,
        };
        Look { state, said: word.to_string() }
    }

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

    #[tokio::test]
    async fn one_that_keeps_us_waiting_is_looked_at_twice_and_another_once() {
        use std::net::TcpListener;
        let target = |port: u16| relay::Target {
            host: "127.0.0.1".to_owned(),
            port,
            tls: RelayTls::None,
            ca: None,
            credentials: None,
            from: None,
            to: None,
            hello: "test.example".to_owned(),
        };
        let states = |looks: Vec<Look>| looks.into_iter().map(|look| look.state).collect::<Vec<_>>();
        // The kernel takes connections for one that never asks for them.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let twice = async |port, limit| {
            let target = target(port);
            super::twice(limit, || greeting::look(&target, limit)).await
        };
        let looked = twice(port, Duration::from_secs(1)).await;
        assert_eq!(states(looked), [RelayState::Silent; 2]);
        drop(silent);
        let looked = twice(port, Duration::from_secs(60)).await;
        assert_eq!(states(looked), [RelayState::Away]);
    }

    #[tokio::test(start_paused = true)]
    async fn whichever_of_two_looks_answers_says_how_it_is() {
        // What each look finds, and after how many seconds; the second one begins after two.
        for (first, second, expected) in [
            (('g', 1), None, "g"),
            (('a', 1), None, "a"),
            (('g', 3), Some(('s', 8)), "g"),
            (('a', 7), Some(('s', 8)), "a"),
            (('s', 8), Some(('g', 1)), "g"),
            (('s', 8), Some(('a', 1)), "a"),
            (('s', 8), Some(('s', 8)), "ss"),
            (('s', 8), Some(('g', 7)), "sg"),
            (('g', 5), Some(('s', 1)), "gs"),
        ] {
            let begun = std::cell::Cell::new(0);
            let seen = twice(Duration::from_secs(8), || {
                let (word, seconds) = if begun.get() == 0 { first } else { second.unwrap() };
                begun.set(begun.get() + 1);
                async move {
                    sleep(Duration::from_secs(seconds)).await;
                    look(word)
                }
            })
            .await;
            let seen: String = seen.iter().map(|look| look.said.as_str()).collect();
            let wanted = 1 + usize::from(second.is_some());
            assert_eq!((seen.as_str(), begun.get()), (expected, wanted), "{first:?} {second:?}");
        }
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
