//! Names and values that cross the wire, checked where they come in, so that none can be read as an option, a
//! path or a command further inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is not of the form its type asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    what: &'static str,
    value: String,
    expected: &'static str,
}

impl InvalidName {
    pub(crate) fn new(what: &'static str, value: &str, expected: &'static str) -> Self {
        let mut shown: String = value.chars().take(80).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self { what, value: shown, expected }
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a valid {}: expected {}", self.value, self.what, self.expected)
    }
}

impl std::error::Error for InvalidName {}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The text as it was checked.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(InvalidName::new($what, text, $expected)) }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

fn is_host_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

name!(
    /// An environment, like `acme-prod1`.
    EnvironmentName,
    "environment name",
    "lowercase letters, digits and hyphens, like acme-prod1",
    is_host_label
);

impl EnvironmentName {
    /// The project: what stands before the last hyphen.
    pub fn project(&self) -> &str {
        self.0.rsplit_once('-').map_or(&self.0, |(project, _)| project)
    }
}

name!(
    /// A node's short name, like `web1`.
    NodeName,
    "node name",
    "lowercase letters and digits, like web1",
    |text| is_host_label(text) && !text.contains('-')
);

name!(
    /// The name of a log source, like `nginx`.
    SourceName,
    "log source",
    "lowercase letters, digits and hyphens, like nginx",
    is_host_label
);

name!(
    /// A service's name for what holds it up, like `consumer-default` or `oro-consumer@1.service`.
    ServiceName,
    "service name",
    "letters, digits and . _ : @ -, not beginning with a hyphen",
    |text| (1..=200).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:@-".contains(&b))
        && !text.starts_with('-')
);

name!(
    /// A queue of messages, like `oro.default`.
    QueueName,
    "queue name",
    "at most 255 characters without control characters, not beginning with a hyphen",
    |text| (1..=255).contains(&text.len()) && !text.starts_with('-') && !text.chars().any(char::is_control)
);

name!(
    /// A person's words on a recovery point or package: one line of at most 200 characters.
    Label,
    "label",
    "one line of at most 200 characters that does not begin with a hyphen",
    |text| (1..=200).contains(&text.chars().count())
        && !text.starts_with('-')
        && !text.chars().any(char::is_control)
        && text.trim() == text
);

name!(
    /// A tag, branch or commit of the application's repository (git-check-ref-format(1), and stricter).
    Reference,
    "reference",
    "a tag, branch or commit of the repository",
    |text| (1..=200).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic())
        && !text.bytes().any(|b| b"~^:?*[\\\"'`$;&|<>(){}!".contains(&b))
        && !text.starts_with(['-', '/', '.', '@'])
        && !text.ends_with(['/', '.'])
        && !text.ends_with(".lock")
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("@{")
);

name!(
    /// An upstream SMTP server's name here, like `main`.
    RelayName,
    "relay name",
    "lowercase letters, digits and hyphens, like main",
    is_host_label
);

name!(
    /// Name or IPv4 address of a host that takes mail.
    MailHost,
    "mail host",
    "a host name like smtp.example.com, or an IPv4 address",
    |text| (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
);

name!(
    /// Whom to sign in as at a mail server.
    MailUser,
    "mail user",
    "at most 255 characters without blanks, control characters and colons",
    |text| (1..=255).contains(&text.len())
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == ':')
);

name!(
    /// An address of mail, like `ann@example.com`.
    MailAddress,
    "mail address",
    "an address like ann@example.com",
    |text| text.len() <= 254
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "<>\"\\,;".contains(c))
        && text.rsplit_once('@').is_some_and(|(local, domain)| {
            (1..=64).contains(&local.len()) && !local.contains('@') && is_mail_domain(domain)
        })
);

name!(
    /// A domain of recipients, like `example.com` or `bücher.example`.
    MailDomain,
    "mail domain",
    "a domain like example.com, without @ and without a final dot",
    is_mail_domain
);

/// Letters of any script: what they are in DNS is for who knows the rules (IDNA).
fn is_mail_domain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| {
                    c.is_alphanumeric() || c == '-' || !(c.is_ascii() || c.is_control() || c.is_whitespace())
                })
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

name!(
    /// What a key of signatures is found by in DNS, like `mail1-20261129`.
    DkimSelector,
    "selector",
    "at most 63 small letters, digits and - that begin and end with a letter or digit",
    |text| (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
);

name!(
    /// A package: its tag, or the hash of its content.
    PackageTag,
    "package",
    "at most 128 letters, digits and . _ - that begin with a letter, a digit or _, as app:package:list shows it",
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !text.starts_with(['.', '-'])
);

impl PackageTag {
    /// The tag of a package whose builder gave it none: the reference, as far as it may stand in a tag.
    pub fn of(reference: &Reference) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        // A reference begins with none of what a tag may not begin with.
        Self(reference.as_str().chars().map(plain).take(128).collect())
    }
}

name!(
    /// A recovery point: `YYYY-MM-DD-HHMM`, or with seconds `YYYY-MM-DD-HHMMSS`, in UTC.
    PointName,
    "recovery point",
    "YYYY-MM-DD-HHMM as backup:list shows it",
    |text| {
        let parts: Vec<&str> = text.split('-').collect();
        matches!(parts[..], [y, m, d, t] if y.len() == 4 && m.len() == 2 && d.len() == 2 && (t.len() == 4 || t.len() == 6))
            && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
    }
);

name!(
    /// A release on the nodes: the moment it was made, `YYYYMMDDHHMMSS` in UTC.
    ReleaseName,
    "release",
    "14 digits, YYYYMMDDHHMMSS",
    |text| text.len() == 14 && text.bytes().all(|b| b.is_ascii_digit())
);

name!(
    /// The BLAKE3 hash of some content, as 64 hexadecimal digits.
    ContentHash,
    "content hash",
    "64 lowercase hexadecimal digits",
    |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);

/// What kind of environment it is; guards are strictest in `prod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum EnvironmentType {
    Prod,
    Stag,
    Uat,
    Dev,
}

impl EnvironmentType {
    /// The word in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prod => "prod",
            Self::Stag => "stag",
            Self::Uat => "uat",
            Self::Dev => "dev",
        }
    }
}

/// A value that is never shown, logged or journaled. It travels as plain text inside the encrypted channel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a value out of sight.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for the program that needs it: by standard input or a 0600 file, never as an argument.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_could_be_options_paths_or_commands_are_refused() {
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a\nb",
            "/etc/passwd",
            "a;b",
            "$(id)",
            "x.lock",
            "a@{1}",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
        for good in ["1.0.0", "main", "feature/BB-123_x", "4f2a1c9", "v1.2-rc.1", "2.0.0-broken"] {
            assert!(good.parse::<Reference>().is_ok(), "{good:?}");
        }
        for bad in ["", "-n", "two\nlines", " padded", &"x".repeat(201), "\u{1b}[31m"] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
        for bad in ["web-1", "Web1", "../web1", "*", ""] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
        for (text, good) in [
            ("2026-11-24-1025", true),
            ("2026-11-24-102537", true),
            ("2026-11-24", false),
            ("..-11-24-1025", false),
        ] {
            assert_eq!(text.parse::<PointName>().is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn names_of_mail_hold_nothing_that_a_table_of_postfix_could_read_otherwise() {
        for (text, good) in [
            ("smtp.example.com", true),
            ("127.0.0.1", true),
            ("smtp.example.com.", false),
            ("[smtp.example.com]", false),
            ("a b", false),
            ("-a", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<MailHost>().is_ok(), good, "{text:?}");
        }
        for (text, good) in [
            ("ann@example.com", true),
            ("o'neil+shop=1@bücher.example", true),
            ("ann", false),
            ("@example.com", false),
            ("a@b@example.com", false),
            ("ann@example.com>", false),
            ("ann@exa mple.com", false),
            ("ann@example.com\nRCPT TO:<eve@example.com>", false),
        ] {
            assert_eq!(text.parse::<MailAddress>().is_ok(), good, "{text:?}");
        }
        for (text, good) in [
            ("Example.COM", true),
            ("bücher.example", true),
            (".example.com", false),
            ("a@b", false),
            ("*", false),
        ] {
            assert_eq!(text.parse::<MailDomain>().is_ok(), good, "{text:?}");
        }
        for (text, good) in [("apikey", true), ("ann@example.com", true), ("a:b", false), ("a b", false)] {
            assert_eq!(text.parse::<MailUser>().is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "Secret(***)");
    }
}
