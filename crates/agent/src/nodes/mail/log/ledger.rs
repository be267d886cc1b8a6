//! What Postfix's log has told so far, as much of it as is asked for: counts by the minute for a day, the last messages,
//! and how each relay fares. However long the log is, this stays small.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::Timestamp;
use orocloud_protocol::RelayName;
use orocloud_protocol::smtp::{Counts, HistoryAnswer, MailStatus, Outcomes, PastMessage, RelayInfo};

use crate::engines::postfix::line::{Line, is_late, may_have_taken, read, waited_for};
use crate::engines::postfix::log::{Attempt, Status};
use crate::nodes::logs::time::Times;

/// So many messages are remembered, each for one recipient.
const MESSAGES: usize = 10_000;

/// So many relays that Postfix names are remembered.
const RELAYS: usize = 200;

/// No longer texts are kept, in characters.
const LONGEST: usize = 300;

/// So many of the last times that a relay let Postfix wait are remembered.
const STALLS: usize = 2;

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// What was told.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By the minute since 1970.
    minutes: BTreeMap<i64, Outcomes>,
    /// By the order in which they were told, the newest last.
    messages: BTreeMap<u64, PastMessage>,
    /// By Postfix's id.
    envelopes: HashMap<String, Envelope>,
    /// Postfix's ids in the order in which they came.
    came: VecDeque<String>,
    /// By what Postfix calls them: `HOST[ADDRESS]:PORT`, and `HOST[ADDRESS]` where it leaves the port out.
    relays: HashMap<String, Fare>,
    /// Of the newest line.
    number: u64,
}

/// What is known of a message whoever it is for.
#[derive(Debug, Default)]
struct Envelope {
    message_id: Option<String>,
    from: Option<String>,
    maybe_taken_by: Vec<String>,
    /// Those in `messages` that belong to it.
    numbers: Vec<u64>,
}

/// How a relay fares. The numbers are those of lines.
#[derive(Debug, Default)]
struct Fare {
    taken: Option<(u64, Timestamp)>,
    trouble: Option<(u64, String)>,
    /// The last ones, the oldest first.
    stalls: VecDeque<(u64, Stall)>,
    /// The attempt that the last of them ended, where Postfix says so for each recipient.
    deferred: Option<(String, Timestamp)>,
}

/// One time that a relay, having greeted, let Postfix wait until its patience was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When it was over.
    pub at: Timestamp,
    /// What was waited for.
    pub what: String,
}

/// Whether a relay lets messages wait, as far as the log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// When it last took a message.
    pub taken: Option<Timestamp>,
    /// The last times it let one wait since then, the oldest first.
    pub stalls: Vec<Stall>,
}

impl Ledger {
    /// Takes in a line; one that tells nothing changes nothing.
    pub fn line(&mut self, line: &str, times: &mut Times) {
        let Some(told) = read(line) else { return };
        let Some(at) = times.stamp(line.as_bytes()).map(|stamp| stamp.time) else { return };
        self.number += 1;
        match told {
            Line::Came { queue_id, message_id } => {
                // An id may be used again: what follows is about another message.
                self.envelopes.remove(queue_id);
                self.envelope(queue_id).message_id = Some(short(message_id));
            }
            Line::Began { queue_id, from } => self.envelope(queue_id).from = Some(short(from)),
            Line::Ended(attempt) => self.ended(&attempt, at),
            Line::Passed { queue_id, host, why } => {
                if let Some(relay) = may_have_taken(why) {
                    self.doubt(queue_id, relay);
                }
                self.trouble(host, why);
                if let Some(what) = waited_for(why) {
                    self.stall(host, at, what);
                }
            }
            Line::NoHandshake { relay, why } => {
                self.trouble(relay, &format!("the TLS handshake failed: {why}"));
                if is_late(why) {
                    self.stall(relay, at, "performing the TLS handshake");
                }
            }
            Line::NotReached { relay, why } => self.trouble(relay, why),
            Line::Expired { queue_id } => self.expired(queue_id, at),
        }
    }

    fn ended(&mut self, attempt: &Attempt<'_>, at: Timestamp) {
        let Attempt { queue_id, to, relay, status, said } = *attempt;
        let relay = Some(relay).filter(|relay| *relay != "none");
        let status = match (status, relay) {
            // Postfix's own transport for what is dropped says that it "sent" it.
            (Status::Sent, None) => MailStatus::Dropped,
            (Status::Sent, Some(_)) => MailStatus::Sent,
            (Status::Deferred, _) => MailStatus::Deferred,
            (Status::Bounced, _) => MailStatus::Bounced,
        };
        self.count(status, at);
        if let Some(relay) = relay {
            match status {
                MailStatus::Sent => {
                    let number = self.number;
                    self.fare(relay).taken = Some((number, at));
                }
                MailStatus::Deferred => {
                    self.trouble(relay, said);
                    let this = (queue_id.to_owned(), at);
                    if let Some(what) = waited_for(said)
                        && self.fare(relay).deferred.as_ref() != Some(&this)
                    {
                        self.stall(relay, at, what);
                        self.fare(relay).deferred = Some(this);
                    }
                }
                _ => {}
            }
        }
        if let Some(relay) = may_have_taken(said) {
            self.doubt(queue_id, relay);
        }
        let number = self.number;
        let envelope = self.envelopes.get(queue_id);
        let earlier = envelope.and_then(|envelope| {
            let is_it = |number: &&u64| self.messages.get(number).is_some_and(|message| message.to == to);
            envelope.numbers.iter().find(is_it).copied()
        });
        let earlier =
            earlier.and_then(|number| self.messages.remove(&number).map(|message| (number, message)));
        let envelope = self.envelope(queue_id);
        if let Some((earlier, _)) = &earlier {
            envelope.numbers.retain(|number| number != earlier);
        }
        envelope.numbers.push(number);
        let message = PastMessage {
            queue_id: queue_id.to_owned(),
            message_id: envelope.message_id.clone(),
            from: envelope.from.clone(),
            to: short(to),
            relay: relay.map(short),
            status,
            at,
            said: short(said),
            attempts: earlier.map_or(0, |(_, message)| message.attempts) + 1,
            maybe_taken_by: envelope.maybe_taken_by.clone(),
        };
        self.messages.insert(number, message);
        if self.messages.len() > MESSAGES
            && let Some((number, message)) = self.messages.pop_first()
            && let Some(envelope) = self.envelopes.get_mut(&message.queue_id)
        {
            envelope.numbers.retain(|other| *other != number);
        }
    }

    /// Notes that a relay may have taken a message, also of recipients whose attempt was told before.
    fn doubt(&mut self, queue_id: &str, relay: &str) {
        let relay = short(relay);
        let envelope = self.envelope(queue_id);
        if !envelope.maybe_taken_by.contains(&relay) && envelope.maybe_taken_by.len() < 8 {
            envelope.maybe_taken_by.push(relay);
        }
        let (all, numbers) = (envelope.maybe_taken_by.clone(), envelope.numbers.clone());
        for number in numbers {
            if let Some(message) = self.messages.get_mut(&number)
                && matches!(message.status, MailStatus::Deferred)
            {
                message.maybe_taken_by.clone_from(&all);
            }
        }
    }

    fn expired(&mut self, queue_id: &str, at: Timestamp) {
        let numbers = self.envelopes.get(queue_id).map(|envelope| envelope.numbers.clone());
        let mut bounced = 0;
        for number in numbers.unwrap_or_default() {
            if let Some(message) = self.messages.get_mut(&number)
                && message.status == MailStatus::Deferred
            {
                (message.status, message.at) = (MailStatus::Bounced, at);
                bounced += 1;
            }
        }
        // Whoever waited longer than is remembered.
        for _ in 0..bounced.max(1) {
            self.count(MailStatus::Bounced, at);
        }
    }

    fn count(&mut self, status: MailStatus, at: Timestamp) {
        let minute = at.as_second().div_euclid(60);
        let outcomes = self.minutes.entry(minute).or_default();
        let counter = match status {
            MailStatus::Sent => &mut outcomes.sent,
            MailStatus::Dropped => &mut outcomes.dropped,
            MailStatus::Bounced => &mut outcomes.bounced,
            MailStatus::Deferred => &mut outcomes.deferred,
            MailStatus::Unknown => return,
        };
        *counter += 1;
        let newest = self.minutes.last_key_value().map_or(minute, |(newest, _)| *newest);
        while self.minutes.first_key_value().is_some_and(|(oldest, _)| *oldest < newest - DAY) {
            self.minutes.pop_first();
        }
    }

    fn trouble(&mut self, whom: &str, why: &str) {
        let (number, why) = (self.number, short(why));
        self.fare(whom).trouble = Some((number, why));
    }

    fn stall(&mut self, whom: &str, at: Timestamp, what: &str) {
        let stall = (self.number, Stall { at, what: short(what) });
        let stalls = &mut self.fare(whom).stalls;
        stalls.push_back(stall);
        while stalls.len() > STALLS {
            stalls.pop_front();
        }
    }

    fn fare(&mut self, whom: &str) -> &mut Fare {
        if self.relays.len() >= RELAYS && !self.relays.contains_key(whom) {
            // Names that change with every line: none of them is worth more than another.
            self.relays.clear();
        }
        self.relays.entry(short(whom)).or_default()
    }

    fn envelope(&mut self, queue_id: &str) -> &mut Envelope {
        if !self.envelopes.contains_key(queue_id) {
            self.came.push_back(queue_id.to_owned());
            while self.came.len() > 2 * MESSAGES {
                let Some(oldest) = self.came.pop_front() else { break };
                self.envelopes.remove(&oldest);
            }
        }
        self.envelopes.entry(queue_id.to_owned()).or_default()
    }

    /// What became of messages in the hour and in the day before `now`.
    pub fn counts(&self, now: Timestamp) -> Counts {
        let minute = now.as_second().div_euclid(60);
        let mut counts = Counts::default();
        for (at, outcomes) in self.minutes.range(minute - DAY + 1..) {
            counts.day += *outcomes;
            if *at > minute - HOUR {
                counts.hour += *outcomes;
            }
        }
        counts
    }

    /// Messages behind the first `skip`, the newest first.
    pub fn history(&self, doubtful: bool, skip: usize, take: usize) -> HistoryAnswer {
        let is_doubtful = |message: &&PastMessage| !message.maybe_taken_by.is_empty();
        let in_doubt = self.messages.values().filter(is_doubtful).count();
        let wanted = |message: &&PastMessage| !doubtful || is_doubtful(message);
        let items = self.messages.values().rev().filter(wanted).skip(skip).take(take).cloned().collect();
        let total = if doubtful { in_doubt } else { self.messages.len() };
        HistoryAnswer { items, total: total as u64, doubtful: in_doubt as u64, silent: Vec::new() }
    }

    /// Fills in when each relay last took a message, and what went wrong with it since.
    pub fn fares(&self, relays: &mut [RelayInfo]) {
        for at in 0..relays.len() {
            let fares = self.fares_of(&relays[at], relays);
            let taken = fares.iter().filter_map(|fare| fare.taken).max();
            let trouble = fares.iter().filter_map(|fare| fare.trouble.as_ref()).max();
            let since = taken.map_or(0, |(number, _)| number);
            relays[at].last_taken = taken.map(|(_, at)| at);
            relays[at].trouble = trouble.filter(|(number, _)| *number > since).map(|(_, why)| why.clone());
        }
    }

    /// Which of the relays let messages wait.
    pub fn patience(&self, relays: &[RelayInfo]) -> HashMap<RelayName, Patience> {
        let of = |relay: &RelayInfo| {
            let fares = self.fares_of(relay, relays);
            let taken = fares.iter().filter_map(|fare| fare.taken).max();
            let since = taken.map_or(0, |(number, _)| number);
            let all = fares.iter().flat_map(|fare| &fare.stalls);
            let mut stalls: Vec<&(u64, Stall)> = all.filter(|(number, _)| *number > since).collect();
            stalls.sort_by_key(|(number, _)| *number);
            let stalls = stalls.into_iter().map(|(_, stall)| stall.clone()).collect();
            (relay.name.clone(), Patience { taken: taken.map(|(_, at)| at), stalls })
        };
        relays.iter().map(of).collect()
    }

    /// What was told of one of these relays.
    fn fares_of(&self, relay: &RelayInfo, relays: &[RelayInfo]) -> Vec<&Fare> {
        let alone = relays.iter().filter(|other| other.host == relay.host).count() == 1;
        let is_it = |whom: &str| {
            let rest = whom.strip_prefix(relay.host.as_str()).filter(|rest| rest.starts_with('['));
            // Where the port is left out, only one relay may be meant.
            rest.is_some_and(|rest| {
                rest.ends_with(&format!("]:{}", relay.port)) || (alone && rest.ends_with(']'))
            })
        };
        self.relays.iter().filter(|(whom, _)| is_it(whom)).map(|(_, fare)| fare).collect()
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use orocloud_protocol::smtp::RelayTls;

    use super::*;

    fn told(lines: &[String]) -> Ledger {
        let now: Timestamp = "2026-11-28T22:00:00Z".parse().unwrap();
        let mut times = Times::new(TimeZone::UTC, now);
        let mut ledger = Ledger::default();
        for line in lines {
            ledger.line(line, &mut times);
        }
        ledger
    }

    fn line(time: &str, program: &str, text: &str) -> String {
        format!("Nov 28 {time} acme-prod1-mail1 postfix/{program}[7]: {text}")
    }

    const RELAY: &str = "127.18.1.10[127.18.1.10]:2525";

    fn ended(time: &str, id: &str, to: &str, relay: &str, status: &str, said: &str) -> String {
        let text = format!(
            "{id}: to=<{to}>, relay={relay}, delay=1, delays=0/0/0/1, dsn=2.0.0, status={status} ({said})"
        );
        line(time, if relay == "none" { "discard" } else { "smtp" }, &text)
    }

    #[test]
    fn what_became_of_messages_is_counted_by_hour_and_day() {
        let ledger = told(&[
            line("00:00:01", "master", "daemon started"),
            ended("20:59:00", "A1", "a@x.example", RELAY, "sent", "250 ok"),
            ended("21:00:00", "A2", "a@x.example", RELAY, "sent", "250 ok"),
            ended("21:30:00", "A3", "b@x.example", "none", "sent", "outside-whitelist"),
            ended("21:31:00", "A4", "b@x.example", RELAY, "bounced", "550 no"),
            ended("21:32:00", "A5", "b@x.example", RELAY, "deferred", "451 later"),
            ended("21:33:00", "A5", "b@x.example", RELAY, "deferred", "451 later"),
            "Nov 28 21:40:00 acme-prod1-mail1 postfix/smtp[7]: A6: to=<".to_owned(),
            "\u{fffd}\u{fffd}".to_owned(),
        ]);
        let now = "2026-11-28T22:00:00Z".parse().unwrap();
        let hour = Outcomes { sent: 0, dropped: 1, bounced: 1, deferred: 2 };
        let day = Outcomes { sent: 2, ..hour };
        assert_eq!(ledger.counts(now), Counts { hour, day });
        let tomorrow = "2026-11-29T21:31:59Z".parse().unwrap();
        let rest = Outcomes { sent: 0, dropped: 0, bounced: 0, deferred: 2 };
        assert_eq!(ledger.counts(tomorrow), Counts { hour: Outcomes::default(), day: rest });
        let history = ledger.history(false, 0, 10);
        let seen: Vec<_> =
            history.items.iter().map(|one| (one.queue_id.as_str(), one.status, one.attempts)).collect();
        assert_eq!(
            seen,
            [
                ("A5", MailStatus::Deferred, 2),
                ("A4", MailStatus::Bounced, 1),
                ("A3", MailStatus::Dropped, 1),
                ("A2", MailStatus::Sent, 1),
                ("A1", MailStatus::Sent, 1)
            ]
        );
        assert_eq!(ledger.history(false, 1, 1).items[0].queue_id, "A4");
        assert_eq!((history.total, history.doubtful), (5, 0));
    }

    #[test]
    fn messages_that_somebody_may_have_got_twice_are_named() {
        let lost = "lost connection with 127.18.1.10[127.18.1.10] while sending end of data -- message may be sent more than once";
        let ledger = told(&[
            line("21:00:00", "cleanup", "A1: message-id=<one@shop>"),
            line("21:00:00", "qmgr", "A1: from=<shop@x.example>, size=4, nrcpt=2 (queue active)"),
            ended("21:00:00", "A1", "first@x.example", RELAY, "sent", "250 ok"),
            line("21:00:01", "smtp", &format!("A1: {lost}")),
            ended("21:00:02", "A1", "second@x.example", "mx[127.18.1.11]:25", "sent", "250 ok"),
            line("21:00:02", "cleanup", "A2: message-id=<two@shop>"),
            ended("21:00:03", "A2", "a@x.example", RELAY, "deferred", lost),
            ended("21:00:04", "A2", "a@x.example", RELAY, "sent", "250 ok"),
            ended("21:00:05", "A3", "a@x.example", RELAY, "sent", "250 ok"),
            // The id is used again.
            line("21:00:06", "cleanup", "A2: message-id=<three@shop>"),
            ended("21:00:07", "A2", "a@x.example", RELAY, "sent", "250 ok"),
        ]);
        let doubtful = ledger.history(true, 0, 10);
        let seen: Vec<_> = doubtful
            .items
            .iter()
            .map(|one| (one.message_id.as_deref(), one.to.as_str(), one.attempts))
            .collect();
        assert_eq!(seen, [(Some("two@shop"), "a@x.example", 2), (Some("one@shop"), "second@x.example", 1)]);
        assert_eq!(doubtful.items[1].maybe_taken_by, ["127.18.1.10[127.18.1.10]"]);
        assert_eq!(doubtful.items[1].from.as_deref(), Some("shop@x.example"));
        assert_eq!((doubtful.total, doubtful.doubtful), (2, 2));
        assert_eq!(ledger.history(false, 0, 10).total, 5);
    }

    #[test]
    fn a_message_that_waited_too_long_has_bounced() {
        let ledger = told(&[
            ended("21:00:00", "A1", "a@x.example", RELAY, "sent", "250 ok"),
            ended("21:00:00", "A1", "b@x.example", RELAY, "deferred", "451 later"),
            line("21:50:00", "qmgr", "A1: from=<a@b.c>, status=expired, returned to sender"),
        ]);
        let statuses: Vec<_> = ledger.history(false, 0, 9).items.iter().map(|one| one.status).collect();
        assert_eq!(statuses, [MailStatus::Bounced, MailStatus::Sent]);
        assert_eq!(ledger.counts("2026-11-28T22:00:00Z".parse().unwrap()).hour.bounced, 1);
    }

    #[test]
    fn memory_does_not_grow_with_the_log() {
        let now: Timestamp = "2026-11-28T22:00:00Z".parse().unwrap();
        let mut times = Times::new(TimeZone::UTC, now);
        let mut ledger = Ledger::default();
        for number in 0..3 * MESSAGES {
            let id = format!("A{number}");
            ledger.line(&line("21:00:00", "cleanup", &format!("{id}: message-id=<{id}@shop>")), &mut times);
            let relay = format!("mx{number}[10.0.0.1]:25");
            ledger.line(&ended("21:00:00", &id, "a@b.c", &relay, "sent", "250 ok"), &mut times);
        }
        assert_eq!(ledger.messages.len(), MESSAGES);
        assert!(ledger.envelopes.len() <= 2 * MESSAGES && ledger.came.len() <= 2 * MESSAGES);
        assert!(ledger.relays.len() <= RELAYS && ledger.minutes.len() == 1);
        assert_eq!(ledger.counts(now).day.sent, 3 * MESSAGES as u64);
    }

    fn relay(name: &str, host: &str, port: u16) -> RelayInfo {
        RelayInfo {
            name: name.parse().unwrap(),
            host: host.parse().unwrap(),
            port,
            tls: RelayTls::None,
            own_authority: false,
            priority: 10,
            user: None,
            last_taken: None,
            trouble: None,
            seen: None,
            put_back: None,
        }
    }

    #[test]
    fn the_last_word_about_a_relay_counts() {
        let mut relays = [
            relay("one", "127.18.1.10", 2525),
            relay("other", "127.18.1.10", 25),
            relay("third", "127.18.1.11", 25),
        ];
        let sent = |time| ended(time, "A1", "a@b.c", RELAY, "sent", "250 ok");
        let refused = |time| line(time, "smtp", &format!("connect to {RELAY}: Connection refused"));
        let later =
            |time| line(time, "smtp", "A1: host 127.18.1.11[127.18.1.11] said: 451 later (in reply to DATA)");
        told(&[sent("21:20:01"), refused("21:20:02"), later("21:20:02")]).fares(&mut relays);
        let taken: Timestamp = "2026-11-28T21:20:01Z".parse().unwrap();
        assert_eq!(
            (relays[0].last_taken, relays[0].trouble.as_deref()),
            (Some(taken), Some("Connection refused"))
        );
        assert_eq!((relays[1].last_taken, &relays[1].trouble), (None, &None));
        assert!(relays[2].trouble.as_ref().is_some_and(|why| why.contains("451 later")));
        told(&[refused("21:20:02"), sent("21:20:02")]).fares(&mut relays);
        assert_eq!(relays[0].trouble, None, "it takes messages again");
    }

    #[test]
    fn what_a_relay_lets_wait_counts_until_it_takes_a_message() {
        let relays = [relay("one", "127.18.1.10", 2525), relay("other", "127.18.1.11", 2525)];
        let late = "conversation with 127.18.1.10[127.18.1.10] timed out while sending MAIL FROM";
        let passed = |time| line(time, "smtp", &format!("A1: {late}"));
        let last = |time, to| ended(time, "A1", to, RELAY, "deferred", late);
        let sent = |time| ended(time, "A1", "a@b.c", RELAY, "sent", "250 ok");
        let handshake =
            |time| line(time, "smtp", &format!("SSL_connect error to {RELAY}: Connection timed out"));
        for (lines, stalls) in [
            (vec![], 0),
            (vec![passed("21:00:01")], 1),
            (vec![passed("21:00:01"), passed("21:00:02")], 2),
            (vec![passed("21:00:01"), handshake("21:00:02"), last("21:00:03", "a@b.c")], 2),
            (vec![passed("21:00:01"), sent("21:00:01")], 0),
            (vec![passed("21:00:01"), sent("21:00:01"), handshake("21:00:02")], 1),
            // One attempt, told for each recipient; then another one.
            (vec![last("21:00:01", "a@b.c"), last("21:00:01", "b@b.c")], 1),
            (vec![last("21:00:01", "a@b.c"), last("21:00:09", "a@b.c")], 2),
            // It refuses, or ends the connection: the next one is asked at once.
            (vec![ended("21:00:01", "A1", "a@b.c", RELAY, "deferred", "451 later")], 0),
            (vec![line("21:00:01", "smtp", &format!("SSL_connect error to {RELAY}: lost connection"))], 0),
        ] {
            let patience = told(&lines).patience(&relays);
            let of = |name: &str| patience[&name.parse::<RelayName>().unwrap()].stalls.len();
            let fares = told(&lines).relays.values().map(|fare| fare.stalls.len()).max().unwrap_or(0);
            assert!(fares <= STALLS);
            assert_eq!((of("one").min(2), of("other")), (stalls, 0), "{lines:#?}");
        }
    }
}
