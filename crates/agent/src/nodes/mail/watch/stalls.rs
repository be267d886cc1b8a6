//! Relays that greet and then let messages wait, until Postfix's patience with them is over. A look does not show that, and
//! not every stage can be tried without sending something, so Postfix's log is believed: such a relay comes behind all
//! others for a while, then has its turn again, and longer each time that messages wait for it once more.

use std::collections::HashMap;

use jiff::Timestamp;
use orocloud_protocol::RelayName;

use crate::mail_settings::{Desired, Relay, StalledRelay};
use crate::nodes::mail::log::{Patience, Stall};

/// So many messages that waited in vain, and none taken since, are believed.
const BELIEVED: usize = 2;

/// No pause is longer, in seconds.
const LONGEST: u32 = 30 * 60;

/// What else is known when it is judged.
pub struct Circumstances<'a> {
    /// What Postfix's log tells.
    pub patience: &'a HashMap<RelayName, Patience>,
    /// Those that were tried a moment ago and still let us wait.
    pub still: &'a [RelayName],
    /// Now.
    pub now: Timestamp,
    /// The first pause, in seconds.
    pub shortest: u32,
}

/// What is to hold of relays that let messages wait.
pub fn judged(desired: &Desired, circumstances: &Circumstances<'_>) -> Desired {
    let mut judged = desired.clone();
    for relay in &mut judged.relays {
        relay.counted_since.get_or_insert(circumstances.now);
    }
    let before = |relay: &Relay| desired.stalled.iter().find(|stalled| stalled.name == relay.name);
    judged.stalled =
        judged.relays.iter().filter_map(|relay| next(relay, before(relay), circumstances)).collect();
    judged
}

fn next(
    relay: &Relay,
    before: Option<&StalledRelay>,
    circumstances: &Circumstances<'_>,
) -> Option<StalledRelay> {
    let Circumstances { patience, still, now, shortest } = *circumstances;
    let nothing = Patience::default();
    let patience = patience.get(&relay.name).unwrap_or(&nothing);
    // One that has taken a message since begins anew.
    let before = before.filter(|before| patience.taken.is_none_or(|taken| taken < before.at));
    let since = before.map(|before| before.at).max(relay.counted_since);
    let stalls: Vec<&Stall> =
        patience.stalls.iter().filter(|stall| since.is_none_or(|since| since <= stall.at)).collect();
    let enough = if before.is_some() { 1 } else { BELIEVED };
    let (Some(first), Some(last), true) = (stalls.first(), stalls.last(), stalls.len() >= enough) else {
        return before.map(|before| waited(before, still, now));
    };
    let put_back = |since, pause| StalledRelay {
        name: relay.name.clone(),
        since,
        what: last.what.clone(),
        pause,
        at: now,
        is_back: true,
    };
    match before {
        None => Some(put_back(first.at, shortest)),
        // What began before it was put back ends now and then.
        Some(before) if before.is_back => Some(waited(before, still, now)),
        Some(before) => Some(put_back(before.since, before.pause.saturating_mul(2).min(LONGEST))),
    }
}

/// One of which the log tells nothing new.
fn waited(before: &StalledRelay, still: &[RelayName], now: Timestamp) -> StalledRelay {
    match before.is_back && before.until() <= now && !still.contains(&before.name) {
        true => StalledRelay { is_back: false, at: now, ..before.clone() },
        false => before.clone(),
    }
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::node::{MailChange, RelayChange};

    use super::*;
    use crate::mail_settings::relay_change;

    const SHORTEST: u32 = 60;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn with(names: &[&str]) -> Desired {
        names.iter().fold(Desired::default(), |desired, name| {
            let host = Some(format!("{name}.example").parse().unwrap());
            let change = RelayChange { host, ..relay_change(name) };
            desired.with(&MailChange::SetRelay(change)).unwrap()
        })
    }

    fn order(desired: &Desired) -> String {
        desired.in_order().iter().map(|relay| relay.name.as_str()).collect()
    }

    /// What the log tells: of each relay a letter, when it took a message (0: never), and when it let some wait since.
    fn log(told: &[(&str, i64, &[i64])]) -> HashMap<RelayName, Patience> {
        let one = |(name, taken, stalls): &(&str, i64, &[i64])| {
            let stalls = stalls.iter().map(|second| Stall { at: at(*second), what: format!("W{second}") });
            let taken = (*taken > 0).then(|| at(*taken));
            (name.parse().unwrap(), Patience { taken, stalls: stalls.collect() })
        };
        told.iter().map(one).collect()
    }

    #[test]
    fn a_relay_is_put_back_for_longer_each_time_until_it_takes_a_message() {
        // Now, what is told of `a`, whether a try of it failed, the order, and how long the pause is.
        type Round<'a> = (i64, i64, &'a [i64], bool, &'a str, Option<u32>);
        let stories: [&[Round]; 5] = [
            // What was told before it was set does not count, nor does one message.
            &[
                (100, 0, &[8, 9], false, "ab", None),
                (110, 0, &[9, 105], false, "ab", None),
                (120, 0, &[105, 115], false, "ba", Some(60)),
                (179, 0, &[105, 115], false, "ba", Some(60)),
                (180, 0, &[105, 115], false, "ab", Some(60)),
                // It is tried, and lets another one wait.
                (185, 0, &[105, 115], false, "ab", Some(60)),
                (200, 0, &[115, 199], false, "ba", Some(120)),
                // What began before.
                (210, 0, &[199, 209], false, "ba", Some(120)),
                (320, 0, &[199, 209], false, "ab", Some(120)),
                (330, 329, &[], false, "ab", None),
                // From the beginning.
                (340, 329, &[339], false, "ab", None),
                (350, 329, &[339, 349], false, "ba", Some(60)),
            ],
            // It takes a message while it is put back: the others took none.
            &[
                (100, 0, &[], false, "ab", None),
                (120, 0, &[115, 116], false, "ba", Some(60)),
                (130, 119, &[], false, "ba", Some(60)),
                (131, 130, &[], false, "ab", None),
            ],
            // The pause is over, and it still lets us wait: no message has to.
            &[
                (100, 0, &[], false, "ab", None),
                (120, 0, &[115, 116], false, "ba", Some(60)),
                (190, 0, &[115, 116], true, "ba", Some(60)),
                (250, 0, &[115, 116], true, "ba", Some(60)),
                (260, 0, &[115, 116], false, "ab", Some(60)),
            ],
            // The log is gone.
            &[
                (100, 0, &[], false, "ab", None),
                (120, 0, &[115, 116], false, "ba", Some(60)),
                (130, 0, &[], false, "ba", Some(60)),
                (190, 0, &[], false, "ab", Some(60)),
            ],
            // It takes one and lets two wait between two looks.
            &[
                (100, 0, &[], false, "ab", None),
                (120, 110, &[115, 116], false, "ba", Some(60)),
                (130, 121, &[125, 126], false, "ba", Some(60)),
            ],
        ];
        for (number, story) in stories.iter().enumerate() {
            let mut desired = with(&["a", "b"]);
            for (now, taken, stalls, fails, expected, pause) in story.iter().copied() {
                let patience = log(&[("a", taken, stalls)]);
                let still: Vec<RelayName> = fails.then(|| "a".parse().unwrap()).into_iter().collect();
                let circumstances =
                    Circumstances { patience: &patience, still: &still, now: at(now), shortest: SHORTEST };
                desired = judged(&desired, &circumstances);
                let known = desired.stalled.first().map(|stalled| stalled.pause);
                assert_eq!((order(&desired).as_str(), known), (expected, pause), "story {number} at {now}");
                let again = judged(&desired, &circumstances);
                assert_eq!(again, desired, "story {number} at {now}: nothing new, nothing changes");
                let shown = desired.infos()[0].put_back.clone();
                assert_eq!(shown.is_some(), expected == "ba");
                assert!(shown.is_none_or(|shown| shown.not_before == Some(desired.stalled[0].until())));
            }
        }
    }

    #[test]
    fn no_pause_is_longer_than_the_longest() {
        let mut desired = with(&["a", "b"]);
        desired.stalled.push(StalledRelay {
            name: "a".parse().unwrap(),
            since: at(1),
            what: "W".into(),
            pause: LONGEST - 1,
            at: at(10),
            is_back: false,
        });
        let patience = log(&[("a", 0, &[11])]);
        let judged = judged(
            &desired,
            &Circumstances { patience: &patience, still: &[], now: at(12), shortest: SHORTEST },
        );
        // It was set a moment ago.
        assert_eq!(judged.stalled, desired.stalled);
        desired.relays[0].counted_since = Some(at(1));
        let judged = super::judged(
            &desired,
            &Circumstances { patience: &patience, still: &[], now: at(12), shortest: SHORTEST },
        );
        assert_eq!((judged.stalled[0].pause, judged.stalled[0].since), (LONGEST, at(1)));
    }

    #[test]
    fn where_all_let_messages_wait_the_order_stays() {
        for (told, expected) in [
            (log(&[("a", 0, &[11, 12]), ("b", 0, &[11, 12])]), "cab"),
            (log(&[("b", 0, &[11, 12])]), "acb"),
            (log(&[("a", 0, &[11, 12]), ("b", 0, &[11, 12]), ("c", 0, &[11, 12])]), "abc"),
            (log(&[("c", 0, &[11, 12])]), "abc"),
        ] {
            let mut desired = with(&["a", "b", "c"]);
            for relay in &mut desired.relays {
                relay.counted_since = Some(at(10));
            }
            let circumstances =
                Circumstances { patience: &told, still: &[], now: at(13), shortest: SHORTEST };
            let judged = judged(&desired, &circumstances);
            assert_eq!(order(&judged), expected, "{told:?}");
            // Whoever sets one has tried it, and the log of before is about other settings.
            let change = MailChange::RemoveRelay { name: "c".parse().unwrap() };
            assert!(judged.with(&change).unwrap().stalled.iter().all(|stalled| stalled.name.as_str() != "c"));
        }
    }
}
