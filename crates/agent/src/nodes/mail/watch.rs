//! Relays that are silent, noticed and moved back. Postfix asks them in one order for every message and remembers nothing
//! of them: one that takes connections and says nothing delays every message by minutes. So the agent of the mail node
//! looks at them, and lets Postfix ask a silent one last until it greets again.

mod silence;
mod stalls;

use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::smtp::RelayState;
use orocloud_protocol::{CallError, MailAddress, RelayName};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub use self::silence::Relays;
use self::stalls::Circumstances;
use super::Configurations;
use super::switch::{TURN, put, settle};
use crate::engines::greeting::{self, Look};
use crate::engines::postfix::log;
use crate::engines::relay;
use crate::environment::Postfix;
use crate::mail_settings::{Desired, Relay};
use crate::nodes::NodeRef;
use crate::service_manager::Activity;

/// After an order that Postfix could not work by.
const PAUSE: Duration = Duration::from_secs(300);

/// Looks at the relays for as long as the agent runs.
pub async fn watch(node: NodeRef) {
    let Some(postfix) = &node.config.postfix else { return };
    let every = Duration::from_secs(u64::from(postfix.look_every.get()));
    let mut told = String::new();
    let mut not_before = Instant::now();
    loop {
        let place = log::end(&postfix.log);
        let outcome = round(&node, postfix, &mut not_before).await;
        let said = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        if said != told && !said.is_empty() {
            crate::log::line(format!("the relays cannot be watched: {said}"));
        }
        told = said;
        let until = Instant::now() + every;
        loop {
            sleep(every / 5).await;
            // While mail moves it is soon known that it does not.
            let is_moving = || log::since(&postfix.log, place).is_ok_and(|said| log::does_mail_move(&said));
            if Instant::now() >= until || node.relays.is_unsettled() || is_moving() {
                break;
            }
        }
    }
}

async fn round(node: &NodeRef, postfix: &Postfix, not_before: &mut Instant) -> Result<(), CallError> {
    let configurations = Configurations::new(postfix);
    let desired = configurations.desired()?;
    node.relays.follow(&desired);
    look(node, &desired, postfix.look_limit()).await;
    // What Postfix wrote is read while it is there.
    let relays = desired.infos();
    let patience = node.mail_log.read(&postfix.log, move |ledger| ledger.patience(&relays)).await?;
    // One that has its turn by then has been tried.
    let now = Timestamp::now();
    let still = still_stalled(node, &desired, now).await;
    let silent = node.relays.silent();
    // A step of an operation has the word; the next round does what is still to be done.
    let Ok(_turn) = TURN.try_lock() else { return Ok(()) };
    let desired = configurations.desired()?;
    let circumstances = Circumstances {
        patience: &patience,
        still: &still,
        now,
        // Seconds: some looks may go wrong meanwhile.
        shortest: u32::from(postfix.look_every.get()) * 2,
    };
    let judged = stalls::judged(&desired, &circumstances);
    let patient = !silent.is_empty() && !node.relays.does_one_greet();
    let wanted = Desired { silent, patient, ..judged.clone() };
    let is_told = told(&wanted) == told(&desired);
    if is_told && judged != desired {
        configurations.note(&Desired { silent: desired.silent.clone(), ..judged })?;
    }
    if (is_told && !configurations.is_unread()?) || Instant::now() < *not_before {
        return Ok(());
    }
    // One that does not run reads what holds when it is started.
    if node.services.state(&postfix.service).await?.activity != Activity::Running {
        return Ok(());
    }
    if is_told {
        let outcome = settle(node, postfix).await;
        if outcome.is_err() {
            *not_before = Instant::now() + PAUSE;
        }
        return outcome;
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
async fn still_stalled(node: &NodeRef, desired: &Desired, now: Timestamp) -> Vec<RelayName> {
    let mut tries = JoinSet::new();
    for relay in &desired.relays {
        if desired.stall_of(&relay.name).is_none_or(|stalled| stalled.until() > now) {
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

/// What Postfix is told that may change with what is believed of relays.
fn told(desired: &Desired) -> (Vec<&RelayName>, bool) {
    (desired.in_order().into_iter().map(|relay| &relay.name).collect(), desired.has_another())
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::smtp::RelayTls;

    use super::*;

    pub(super) fn look(word: char) -> Look {
        let state = match word {
            'g' => RelayState::Answers,
            's' => RelayState::Silent,
            'a' => RelayState::Away,
            _ => RelayState::Unknown,
        };
        Look { state, said: word.to_string() }
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
}
