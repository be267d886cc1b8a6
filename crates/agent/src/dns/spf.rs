//! SPF (RFC 7208): the records that a domain's own leads to, as one tree, and what it says about an address.
//!
//! A receiver stops at the first term that fits. Here the whole tree is read, in the order in which a receiver would, so
//! that it can be told what the whole costs, and for each address how far a receiver comes.

mod record;

use std::net::IpAddr;

use ipnet::IpNet;

use super::lookup::{Lookup, NoAnswer};
use record::{Mechanism, Record, Spans};

pub use record::is_record;

/// More look-ups than that, and a receiver gives up.
pub const MOST_LOOKUPS: usize = 10;

/// More look-ups than that without an answer, and a receiver gives up.
pub const MOST_VOID: usize = 2;

/// Nobody reads on after so many look-ups.
const ENOUGH: usize = 40;

/// No more hosts of one `mx` are looked at.
const MOST_EXCHANGERS: usize = 10;

/// What was spent on look-ups so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Terms that needed one.
    pub lookups: usize,
    /// Those that found nothing.
    pub void: usize,
}

impl Spent {
    /// Whether a receiver has given up by now, and why.
    pub fn is_too_much(self) -> Option<String> {
        match self {
            Self { lookups, .. } if lookups > MOST_LOOKUPS => {
                Some(format!("more than {MOST_LOOKUPS} look-ups (RFC 7208, 4.6.4)"))
            }
            Self { void, .. } if void > MOST_VOID => {
                Some(format!("more than {MOST_VOID} look-ups that find nothing (RFC 7208, 4.6.4)"))
            }
            _ => None,
        }
    }
}

/// The record of one domain, with those that it includes.
#[derive(Debug)]
pub struct Tree {
    /// Whose.
    pub domain: String,
    /// Its records as they stand in DNS; there should be one.
    pub texts: Vec<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    Read {
        steps: Vec<Step>,
        redirect: Option<(String, Box<Tree>)>,
    },
    None,
    Several,
    Broken(String),
    Circle,
    NoAnswer(NoAnswer),
    /// So much was read before that no receiver comes here.
    TooFar,
}

/// A term that may decide.
#[derive(Debug)]
struct Step {
    text: String,
    result: Outcome,
    test: Test,
    /// When it has been looked up.
    spent: Spent,
}

#[derive(Debug)]
enum Test {
    Within(Vec<IpNet>),
    Everybody,
    Included(Box<Tree>),
    /// Known only when a message is there.
    Unknown,
    /// What it names cannot be looked up.
    NoAnswer(NoAnswer),
    Broken(String),
}

/// What a receiver makes of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may send.
    Pass,
    /// It may not.
    Fail,
    /// It may not, but that is no reason to refuse.
    SoftFail,
    /// Nothing is said.
    Neutral,
    /// There is no record.
    None,
    /// The record cannot be made sense of: why.
    PermError(String),
    /// DNS does not tell: why.
    TempError(String),
    /// Known only when a message is there: by which term.
    Undecided(String),
}

/// An outcome, and the term of the domain's own record that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What a receiver makes of it.
    pub outcome: Outcome,
    /// The term; none where it is the record as a whole.
    pub by: Option<String>,
}

/// Reads the record of a domain and all that it leads to.
pub async fn read<L: Lookup>(dns: &L, domain: &str) -> (Tree, Spent) {
    let mut spent = Spent::default();
    let tree = branch(dns, domain, &[], &mut spent).await;
    (tree, spent)
}

async fn branch<L: Lookup>(dns: &L, domain: &str, above: &[String], spent: &mut Spent) -> Tree {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let with = |texts: Vec<String>, state| Tree { domain: domain.clone(), texts, state };
    if above.contains(&domain) {
        return with(Vec::new(), State::Circle);
    }
    if spent.lookups > ENOUGH {
        return with(Vec::new(), State::TooFar);
    }
    let texts = match dns.texts(&domain).await {
        Ok(texts) => texts.into_iter().filter(|text| is_record(text)).collect::<Vec<_>>(),
        Err(why) => return with(Vec::new(), State::NoAnswer(why)),
    };
    let record = match &texts[..] {
        [] => return with(texts, State::None),
        [one] => match Record::parse(one) {
            Ok(record) => record,
            Err(why) => return with(texts, State::Broken(why)),
        },
        _ => return with(texts, State::Several),
    };
    let above: Vec<String> = above.iter().chain([&domain]).cloned().collect();
    let mut steps = Vec::new();
    let mut is_ended = false;
    for term in record.terms {
        if term.mechanism.needs_lookup() {
            spent.lookups += 1;
        }
        let test = test(dns, &domain, &term.mechanism, &above, spent).await;
        is_ended = matches!(test, Test::Everybody);
        steps.push(Step { text: term.text, result: term.result, test, spent: *spent });
        if is_ended {
            // Whatever follows is never looked at, a redirection neither.
            break;
        }
    }
    let redirect = match record.redirect {
        Some(to) if !is_ended => {
            spent.lookups += 1;
            let tree = if to.contains('%') {
                with(Vec::new(), State::TooFar)
            } else {
                Box::pin(branch(dns, &to, &above, spent)).await
            };
            Some((to, Box::new(tree)))
        }
        _ => None,
    };
    with(texts, State::Read { steps, redirect })
}

async fn test<L: Lookup>(
    dns: &L,
    domain: &str,
    mechanism: &Mechanism,
    above: &[String],
    spent: &mut Spent,
) -> Test {
    let named = |name: &Option<String>| name.clone().unwrap_or_else(|| domain.to_owned());
    match mechanism {
        Mechanism::All => Test::Everybody,
        Mechanism::Network(network) => Test::Within(vec![*network]),
        Mechanism::Pointer => Test::Unknown,
        mechanism if mechanism.has_macro() => Test::Unknown,
        Mechanism::Include(name) => {
            let tree = Box::pin(branch(dns, name, above, spent)).await;
            if matches!(tree.state, State::None) {
                spent.void += 1;
            }
            Test::Included(Box::new(tree))
        }
        Mechanism::Address(name, spans) => match dns.addresses(&named(name)).await {
            Ok(addresses) => {
                spent.void += usize::from(addresses.is_empty());
                Test::Within(spans.around(&addresses))
            }
            Err(why) => Test::NoAnswer(why),
        },
        Mechanism::Exists(name) => match dns.addresses(name).await {
            Ok(addresses) if addresses.is_empty() => {
                spent.void += 1;
                Test::Within(Vec::new())
            }
            // Whoever asks: the name has nothing of them in it.
            Ok(_) => Test::Within(Spans::default().everybody()),
            Err(why) => Test::NoAnswer(why),
        },
        Mechanism::Exchangers(name, spans) => exchangers(dns, &named(name), *spans, spent).await,
    }
}

async fn exchangers<L: Lookup>(dns: &L, name: &str, spans: Spans, spent: &mut Spent) -> Test {
    let hosts = match dns.exchangers(name).await {
        Ok(hosts) => hosts,
        Err(why) => return Test::NoAnswer(why),
    };
    spent.void += usize::from(hosts.is_empty());
    if hosts.len() > MOST_EXCHANGERS {
        return Test::Broken(format!(
            "{name} has {} mail hosts, and {MOST_EXCHANGERS} are the most",
            hosts.len()
        ));
    }
    let mut networks = Vec::new();
    for host in &hosts {
        match dns.addresses(host).await {
            Ok(addresses) => networks.extend(spans.around(&addresses)),
            Err(why) => return Test::NoAnswer(why),
        }
    }
    Test::Within(networks)
}

impl Tree {
    /// Whether DNS has no record.
    pub fn is_missing(&self) -> bool {
        matches!(self.state, State::None)
    }

    /// Whether DNS has more records than the one that may be.
    pub fn is_several(&self) -> bool {
        matches!(self.state, State::Several)
    }

    /// Why the domain's own record is not known.
    pub fn no_answer(&self) -> Option<&NoAnswer> {
        match &self.state {
            State::NoAnswer(why) => Some(why),
            _ => None,
        }
    }

    /// Domains whose records this one includes, itself not.
    pub fn included(&self) -> Vec<&str> {
        let State::Read { steps, redirect } = &self.state else { return Vec::new() };
        let mut all = Vec::new();
        let passing = steps.iter().filter(|step| step.result == Outcome::Pass);
        let branches = passing.filter_map(|step| match &step.test {
            Test::Included(tree) => Some(tree),
            _ => None,
        });
        for tree in branches.chain(redirect.iter().map(|(_, tree)| tree)) {
            if matches!(tree.state, State::Read { .. }) {
                all.push(tree.domain.as_str());
                all.extend(tree.included());
            }
        }
        all
    }

    /// What is wrong with the record or one that it leads to, whoever sends: each with the term of this record.
    pub fn faults(&self) -> Vec<(Option<String>, String)> {
        let domain = &self.domain;
        match &self.state {
            State::Read { steps, redirect } => {
                let mut faults = Vec::new();
                for step in steps {
                    let by = Some(step.text.clone());
                    match &step.test {
                        Test::Included(tree) if tree.is_missing() => {
                            faults.push((by, format!("{} has no SPF record", tree.domain)));
                        }
                        Test::Included(tree) => {
                            faults.extend(tree.faults().into_iter().map(|(_, why)| (by.clone(), why)));
                        }
                        Test::Broken(why) => faults.push((by, why.clone())),
                        Test::NoAnswer(why) => faults.push((by, why.to_string())),
                        Test::Within(_) | Test::Everybody | Test::Unknown => {}
                    }
                }
                if let Some((to, tree)) = redirect {
                    let by = Some(format!("redirect={to}"));
                    match tree.is_missing() {
                        true => faults.push((by, format!("{} has no SPF record", tree.domain))),
                        false => faults.extend(tree.faults().into_iter().map(|(_, why)| (by.clone(), why))),
                    }
                }
                faults
            }
            State::None | State::TooFar => Vec::new(),
            State::Several => vec![(None, format!("{domain} has {} SPF records", self.texts.len()))],
            State::Broken(why) => vec![(None, format!("the record of {domain} is no SPF record: {why}"))],
            State::Circle => vec![(None, format!("{domain} leads back to itself"))],
            State::NoAnswer(why) => vec![(None, why.to_string())],
        }
    }

    /// Terms that are known only when a message is there.
    pub fn unknown(&self) -> Vec<&str> {
        let State::Read { steps, redirect } = &self.state else { return Vec::new() };
        let mut all = Vec::new();
        for step in steps {
            match &step.test {
                Test::Unknown => all.push(step.text.as_str()),
                Test::Included(tree) => all.extend(tree.unknown()),
                _ => {}
            }
        }
        if let Some((to, tree)) = redirect {
            if to.contains('%') {
                all.push(to);
            }
            all.extend(tree.unknown());
        }
        all
    }

    /// What a receiver makes of mail that comes from this address.
    pub fn judge(&self, address: IpAddr) -> Judgement {
        let whole = |outcome| Judgement { outcome, by: None };
        let (steps, redirect) = match &self.state {
            State::Read { steps, redirect } => (steps, redirect),
            State::None => return whole(Outcome::None),
            State::Several => {
                return whole(Outcome::PermError(format!("{} has several SPF records", self.domain)));
            }
            State::Broken(why) => {
                return whole(Outcome::PermError(format!("the record of {}: {why}", self.domain)));
            }
            State::Circle => {
                return whole(Outcome::PermError(format!("{} leads back to itself", self.domain)));
            }
            State::TooFar => {
                let spent = Spent { lookups: MOST_LOOKUPS + 1, void: 0 };
                return whole(Outcome::PermError(spent.is_too_much().unwrap_or_default()));
            }
            State::NoAnswer(why) => return whole(Outcome::TempError(why.to_string())),
        };
        let mut unknown = None;
        for step in steps {
            let decided = |outcome| Judgement { outcome, by: Some(step.text.clone()) };
            // An inclusion costs before what it includes does, which is judged by itself.
            if !matches!(step.test, Test::Included(_))
                && let Some(why) = step.spent.is_too_much()
            {
                return decided(Outcome::PermError(why));
            }
            let fits = match &step.test {
                Test::Everybody => true,
                Test::Within(networks) => networks.iter().any(|network| network.contains(&address)),
                Test::Unknown => {
                    unknown.get_or_insert(&step.text);
                    false
                }
                Test::NoAnswer(why) => return decided(Outcome::TempError(why.to_string())),
                Test::Broken(why) => return decided(Outcome::PermError(why.clone())),
                Test::Included(tree) => match tree.judge(address).outcome {
                    Outcome::Pass => true,
                    Outcome::None => {
                        let why = format!("{} has no SPF record", tree.domain);
                        return decided(Outcome::PermError(why));
                    }
                    Outcome::Undecided(_) => {
                        unknown.get_or_insert(&step.text);
                        false
                    }
                    Outcome::Fail | Outcome::SoftFail | Outcome::Neutral => match step.spent.is_too_much() {
                        Some(why) => return decided(Outcome::PermError(why)),
                        None => false,
                    },
                    wrong @ (Outcome::PermError(_) | Outcome::TempError(_)) => return decided(wrong),
                },
            };
            if fits {
                return match unknown {
                    Some(term) if step.result != Outcome::Pass => decided(Outcome::Undecided(term.clone())),
                    _ => decided(step.result.clone()),
                };
            }
        }
        let mut end = match redirect {
            None => whole(Outcome::Neutral),
            Some((to, _)) if to.contains('%') => whole(Outcome::Undecided(format!("redirect={to}"))),
            Some((to, tree)) => {
                let outcome = match tree.judge(address).outcome {
                    Outcome::None => Outcome::PermError(format!("{} has no SPF record", tree.domain)),
                    outcome => outcome,
                };
                Judgement { outcome, by: Some(format!("redirect={to}")) }
            }
        };
        if let (Some(term), Outcome::Fail | Outcome::SoftFail | Outcome::Neutral) = (unknown, &end.outcome) {
            end.outcome = Outcome::Undecided(term.clone());
        }
        end
    }
}

#[cfg(test)]
mod tests;
