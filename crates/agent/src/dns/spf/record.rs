//! One SPF record: its terms.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Outcome;

/// A record that was understood.
#[derive(Debug)]
pub struct Record {
    /// What may decide, in order.
    pub terms: Vec<Term>,
    /// Whose record counts when nothing has decided.
    pub redirect: Option<String>,
}

/// A term that may decide.
#[derive(Debug)]
pub struct Term {
    /// As it is written.
    pub text: String,
    /// What comes of it when it fits.
    pub result: Outcome,
    /// Whom it fits.
    pub mechanism: Mechanism,
}

/// Whom a term fits.
#[derive(Debug)]
pub enum Mechanism {
    /// Everybody.
    All,
    /// Whom another domain's record lets pass.
    Include(String),
    /// Addresses of a host; by default the domain's own.
    Address(Option<String>, Spans),
    /// Addresses of the hosts that take mail for a domain.
    Exchangers(Option<String>, Spans),
    /// Whose name is within a domain.
    Pointer,
    /// Addresses.
    Network(IpNet),
    /// Everybody if a name exists.
    Exists(String),
}

/// How wide an address is taken, in bits.
#[derive(Clone, Copy, Debug)]
pub struct Spans {
    four: u8,
    six: u8,
}

impl Default for Spans {
    fn default() -> Self {
        Self { four: 32, six: 128 }
    }
}

impl Spans {
    /// The networks around addresses.
    pub fn around(self, addresses: &[IpAddr]) -> Vec<IpNet> {
        let around = |address: &IpAddr| {
            let bits = if address.is_ipv4() { self.four } else { self.six };
            IpNet::new(*address, bits).ok()
        };
        addresses.iter().filter_map(around).collect()
    }

    /// The networks that everybody is in.
    pub fn everybody(self) -> Vec<IpNet> {
        let none = Self { four: 0, six: 0 };
        none.around(&[Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()])
    }
}

impl Mechanism {
    /// Whether it is one of those that a receiver counts.
    pub fn needs_lookup(&self) -> bool {
        !matches!(self, Self::All | Self::Network(_))
    }

    /// Whether what it names depends on the message.
    pub fn has_macro(&self) -> bool {
        match self {
            Self::Include(name) | Self::Exists(name) => name.contains('%'),
            Self::Address(name, _) | Self::Exchangers(name, _) => {
                name.as_ref().is_some_and(|name| name.contains('%'))
            }
            Self::All | Self::Pointer | Self::Network(_) => false,
        }
    }
}

/// Whether a text in DNS means to be an SPF record.
pub fn is_record(text: &str) -> bool {
    let version = text.split(' ').next().unwrap_or_default();
    version.eq_ignore_ascii_case("v=spf1")
}

impl Record {
    /// Reads one, or says which term is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut record = Self { terms: Vec::new(), redirect: None };
        for word in text.split(' ').skip(1).filter(|word| !word.is_empty()) {
            let name_end = word.find(['=', ':', '/']).unwrap_or(word.len());
            if word[name_end..].starts_with('=') {
                let (name, value) = (&word[..name_end], &word[name_end + 1..]);
                if name.eq_ignore_ascii_case("redirect") {
                    domain(value).map_err(|why| format!("{word}: {why}"))?;
                    if record.redirect.replace(value.to_owned()).is_some() {
                        return Err("there are two redirect=".to_owned());
                    }
                }
                let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
                if !is_name {
                    return Err(format!("{word} is no term of SPF"));
                }
                // Others are to be ignored.
                continue;
            }
            let (result, rest) = match word.split_at_checked(1) {
                Some(("+", rest)) => (Outcome::Pass, rest),
                Some(("-", rest)) => (Outcome::Fail, rest),
                Some(("~", rest)) => (Outcome::SoftFail, rest),
                Some(("?", rest)) => (Outcome::Neutral, rest),
                _ => (Outcome::Pass, word),
            };
            let mechanism = mechanism(rest).map_err(|why| format!("{word}: {why}"))?;
            record.terms.push(Term { text: word.to_owned(), result, mechanism });
        }
        Ok(record)
    }
}

fn mechanism(text: &str) -> Result<Mechanism, String> {
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (name, rest) = (text[..end].to_ascii_lowercase(), &text[end..]);
    let value = rest.strip_prefix(':');
    let needed = || match value {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err("what is meant is missing after it".to_owned()),
    };
    match name.as_str() {
        "all" if rest.is_empty() => Ok(Mechanism::All),
        "include" => domain(needed()?).map(Mechanism::Include),
        "exists" => domain(needed()?).map(Mechanism::Exists),
        "ptr" => value.map(domain).transpose().map(|_| Mechanism::Pointer),
        "ip4" => network(needed()?, true),
        "ip6" => network(needed()?, false),
        "a" => hosts(rest).map(|(name, spans)| Mechanism::Address(name, spans)),
        "mx" => hosts(rest).map(|(name, spans)| Mechanism::Exchangers(name, spans)),
        _ => Err("SPF knows no such term".to_owned()),
    }
}

/// A name in DNS; what it has of macros is not looked into.
fn domain(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_graphic() && !"/:".contains(c);
    if text.contains('%') {
        return Ok(text.to_owned());
    }
    let text = text.trim_end_matches('.');
    let labels = || text.split('.').all(|label| (1..=63).contains(&label.len()));
    match text.len() <= 253 && text.chars().all(plain) && text.contains('.') && labels() {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("this is no name in DNS".to_owned()),
    }
}

/// `:NAME/BITS//BITS`, each part of which may be left out.
fn hosts(rest: &str) -> Result<(Option<String>, Spans), String> {
    let (rest, six) = match rest.split_once("//") {
        Some((rest, bits)) => (rest, Some(bits)),
        None => (rest, None),
    };
    // A macro may have slashes of its own, in braces.
    let at = rest.rfind('/').filter(|at| !rest[*at..].contains('}'));
    let (name, four) = match at {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let bits = |text: Option<&str>, most: u8| match text {
        None => Ok(most),
        Some(text) => text.parse().ok().filter(|bits| *bits <= most).ok_or("the number of bits cannot be"),
    };
    let spans = Spans { four: bits(four, 32)?, six: bits(six, 128)? };
    match name.strip_prefix(':') {
        Some(name) => Ok((Some(domain(name)?), spans)),
        None => Ok((None, spans)),
    }
}

fn network(text: &str, four: bool) -> Result<Mechanism, String> {
    let whole =
        if text.contains('/') { text.to_owned() } else { format!("{text}/{}", if four { 32 } else { 128 }) };
    let parsed = match four {
        true => whole.parse::<Ipv4Net>().ok().map(IpNet::V4),
        false => whole.parse::<Ipv6Net>().ok().map(IpNet::V6),
    };
    parsed.map(Mechanism::Network).ok_or_else(|| "these are no addresses".to_owned())
}
