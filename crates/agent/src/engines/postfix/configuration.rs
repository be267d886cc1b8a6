//! What Postfix is told, from what is to hold: the end of `main.cf` and the maps that it names.
//!
//! Every map is a plain file in the folder of its configuration, named by its whole path, so that no process of Postfix
//! ever reads half of one configuration and half of another.

use std::path::Path;
use std::time::Duration;

use orocloud_protocol::EnvironmentType;
use orocloud_protocol::smtp::RelayTls;

use crate::mail_settings::{Desired, Relay};

/// Where mail waits that may leave and cannot yet.
const NO_RELAY: &str = "retry:no SMTP relay is set";

/// Where mail waits that a whitelist drops once it is sure to stay, and that leaves if it does not.
const ON_THE_WAY: &str = "retry:mail.whitelist of a release on its way";

/// A map that Postfix looks keys up in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Its file in the folder of the configuration.
    pub file: &'static str,
    /// Whether nobody but the agent and root may read it.
    pub secret: bool,
    /// Keys and values.
    pub entries: Vec<(String, String)>,
}

impl Map {
    /// The file's content.
    pub fn content(&self) -> String {
        self.entries.iter().map(|(key, value)| format!("{key} {value}\n")).collect()
    }
}

/// The file with the authorities of a relay.
pub fn authority_file(relay: &Relay) -> String {
    format!("ca-{}.pem", relay.name)
}

/// All maps; `folder` is where they will lie.
pub fn maps(desired: &Desired, folder: &Path) -> Vec<Map> {
    let relays = desired.in_order();
    let policy = |relay: &&Relay| {
        let value = match (relay.tls, &relay.ca) {
            (RelayTls::None, _) => "none".to_owned(),
            (_, None) => format!("secure match={}", relay.host),
            (_, Some(_)) => {
                format!("secure match={} tafile={}", relay.host, folder.join(authority_file(relay)).display())
            }
        };
        (destination(relay), value)
    };
    let password = |relay: &&Relay| {
        let (user, password) = (relay.user.as_ref()?, relay.password.as_ref()?);
        Some((destination(relay), format!("{user}:{}", password.expose())))
    };
    let mut transport = Vec::new();
    let value = match relays.is_empty() {
        true => NO_RELAY.to_owned(),
        false => format!("smtp:{}", destinations(&relays)),
    };
    for domain in desired.listed().iter().flatten() {
        for form in forms(domain.as_str()) {
            transport.push((form.clone(), value.clone()));
            transport.push((format!(".{form}"), value.clone()));
        }
    }
    vec![
        Map { file: "tls_policy", secret: false, entries: relays.iter().map(policy).collect() },
        Map { file: "sasl_passwd", secret: true, entries: relays.iter().filter_map(password).collect() },
        Map { file: "transport", secret: false, entries: transport },
    ]
}

/// A domain as DNS has it and as people write it; both come in addresses.
fn forms(domain: &str) -> Vec<String> {
    let ascii = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_ascii_lowercase());
    let (unicode, _) = idna::domain_to_unicode(&ascii);
    if unicode == ascii { vec![ascii] } else { vec![ascii, unicode] }
}

fn destination(relay: &Relay) -> String {
    format!("[{}]:{}", relay.host, relay.port)
}

fn destinations(relays: &[&Relay]) -> String {
    relays.iter().map(|relay| destination(relay)).collect::<Vec<_>>().join(", ")
}

/// What a process greets with that works by the configuration of this folder.
pub fn mark(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The file of [`REPLIES`].
pub const REPLIES_FILE: &str = "replies";

/// Refusals for good that say nothing of the message but that a relay does not know us (RFC 4954, RFC 3207): one that offers no
/// AUTH for once answers so at MAIL, and Postfix would give all messages back instead of asking the next relay.
pub const REPLIES: &str = "/^5(3[048])([ -].*)$/ 4$1$2 (softened from 5$1)\n";

/// What precedes `main.cf` as the machine's administrator wrote it: it holds unless they say otherwise. Where another relay
/// is there to go to, one has as long as `patience` to greet.
pub fn before_main_cf(base: &str, desired: &Desired, patience: Duration, folder: &Path) -> String {
    let mut ours = vec![
        // Postfix gives a TLS handshake as long as RFC 5321 gives the answer to a command, which may hang on other servers:
        // 300 s. A handshake hangs on nobody, and a message whose relay is stuck in one goes to the next so much sooner.
        ("smtp_starttls_timeout", "30s".to_owned()),
        ("smtp_reply_filter", format!("regexp:{}", folder.join(REPLIES_FILE).display())),
    ];
    // 300 s by itself (RFC 5321, 4.5.3.2.1). What is on its way when a relay falls silent would wait for so long, though the
    // agent has long put the relay back. One that is alone keeps them: there, late is better than never.
    if desired.has_another() {
        ours.push(("smtp_helo_timeout", format!("{}s", patience.as_secs())));
    }
    let is_said = |name: &str| {
        base.lines().any(|line| line.split_once('=').is_some_and(|(said, _)| said.trim_end() == name))
    };
    let unsaid = ours.iter().filter(|(name, _)| !is_said(name));
    unsaid.map(|(name, value)| format!("{name} = {value}\n")).collect()
}

/// `main.cf` as the machine's administrator wrote it, without what we say behind it: of a name that stands there twice Postfix
/// warns whenever it reads it. A logical line goes on in lines that begin with white space, comments between them are
/// none of it (postconf(5)).
pub fn without_ours(base: &str, ours: &str) -> String {
    let name = |line: &str| Some(line.split_once('=')?.0.trim().to_owned());
    let ours: Vec<String> = ours.lines().filter(|line| !line.starts_with('#')).filter_map(name).collect();
    let mut is_ours = false;
    let mut kept = String::new();
    for line in base.lines() {
        let is_text = !matches!(line.trim_start().chars().next(), None | Some('#'));
        if is_text && !line.starts_with(char::is_whitespace) {
            is_ours = name(line).is_some_and(|name| ours.contains(&name));
        }
        kept.push_str(if is_text && is_ours { "# see below: " } else { "" });
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Whether `master.cf` has the client of relays see nothing but Postfix's queue directory (master(5)).
pub fn is_client_in_chroot(master: &str) -> bool {
    let mut fields = master.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    fields.any(|fields| matches!(fields[..], ["smtp", "unix", _, _, "y", ..]))
}

/// The authorities that a relay's certificate may come from when it names none.
pub const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What follows `main.cf` as the machine's administrator wrote it.
pub fn main_cf(desired: &Desired, kind: EnvironmentType, folder: &Path) -> String {
    let relays = desired.in_order();
    let at = |file: &str| format!("texthash:{}", folder.join(file).display());
    let all = desired.recipients(kind).all;
    let (default, relayhost) = match (relays.is_empty(), all) {
        (true, true) => (NO_RELAY, String::new()),
        (false, true) => ("smtp", destinations(&relays)),
        (_, false) if desired.on_the_way => (ON_THE_WAY, String::new()),
        (_, false) => ("discard:outside-whitelist", String::new()),
    };
    let implicit = relays.iter().any(|relay| relay.tls == RelayTls::Implicit);
    let mut lines = vec![
        "# From here on by orocloud-agent; see orocloud-cli smtp:show".to_owned(),
        format!("default_transport = {default}"),
        format!("relayhost = {relayhost}"),
        // Nobody's own rule leads around the relays and the whitelist.
        "sender_dependent_default_transport_maps =".to_owned(),
        "sender_dependent_relayhost_maps =".to_owned(),
        "smtp_fallback_relay =".to_owned(),
        // Without a relay mail waits here: the application is not told to try again.
        "smtpd_reject_unlisted_recipient = no".to_owned(),
        format!("transport_maps = {}", at("transport")),
        format!("smtp_tls_policy_maps = {}", at("tls_policy")),
        // Each relay has a policy. A server without one is that of another configuration, which a process still knows
        // while Postfix is told of this one: nothing goes there in the clear.
        "smtp_tls_security_level = secure".to_owned(),
        format!("smtp_tls_wrappermode = {}", if implicit { "yes" } else { "no" }),
        "smtp_sasl_auth_enable = yes".to_owned(),
        format!("smtp_sasl_password_maps = {}", at("sasl_passwd")),
        "smtp_sasl_security_options = noanonymous".to_owned(),
        "smtp_sasl_tls_security_options = noanonymous".to_owned(),
        // Else all mail stays with the second relay when the first is back.
        "smtp_connection_cache_on_demand = no".to_owned(),
        "smtp_tls_connection_reuse = no".to_owned(),
        // Told to read its configuration anew, Postfix goes on for a moment by processes that know the old one.
        format!("smtpd_banner = $myhostname ESMTP {}", mark(folder)),
    ];
    for transport in ["relay_transport", "local_transport", "virtual_transport"] {
        lines.push(format!("{transport} = $default_transport"));
    }
    if relays.iter().any(|relay| relay.tls != RelayTls::None && relay.ca.is_none()) {
        lines.push(format!("smtp_tls_CAfile = {AUTHORITIES}"));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(name: &str, host: &str, priority: u16, tls: RelayTls) -> Relay {
        Relay {
            name: name.parse().unwrap(),
            host: host.parse().unwrap(),
            port: tls.port(),
            tls,
            ca: None,
            priority,
            user: None,
            password: None,
            probe_from: None,
            probe_to: None,
            counted_since: None,
        }
    }

    fn value<'a>(text: &'a str, name: &str) -> &'a str {
        let found: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix(&format!("{name} = "))).collect();
        assert_eq!(found.len(), 1, "{name} once in {text}");
        found[0]
    }

    #[test]
    fn where_mail_goes_follows_from_relays_whitelist_and_type() {
        let folder = Path::new("/x");
        let two = vec![
            relay("second", "b.example", 20, RelayTls::Starttls),
            relay("first", "a.example", 10, RelayTls::None),
        ];
        let with = |relays: &[Relay], whitelist: Option<Vec<&str>>| Desired {
            relays: relays.to_vec(),
            whitelist: whitelist.map(|list| list.iter().map(|text| text.parse().unwrap()).collect()),
            ..Desired::default()
        };
        let on_the_way = |relays: &[Relay], domain: &str| Desired {
            application: Some(vec![domain.parse().unwrap()]),
            on_the_way: true,
            ..with(relays, None)
        };
        let hosts = "[a.example]:25, [b.example]:587";
        for (desired, kind, default, relayhost, keys) in [
            (with(&[], None), EnvironmentType::Prod, NO_RELAY, "", 0),
            (
                with(&[], Some(vec!["shop.example"])),
                EnvironmentType::Prod,
                "discard:outside-whitelist",
                "",
                2,
            ),
            (with(&two, None), EnvironmentType::Prod, "smtp", hosts, 0),
            (with(&two, None), EnvironmentType::Stag, "discard:outside-whitelist", "", 0),
            (
                with(&two, Some(vec!["Shop.example"])),
                EnvironmentType::Prod,
                "discard:outside-whitelist",
                "",
                2,
            ),
            (
                with(&two, Some(vec!["bücher.example"])),
                EnvironmentType::Dev,
                "discard:outside-whitelist",
                "",
                4,
            ),
            (with(&two, Some(vec![])), EnvironmentType::Prod, "discard:outside-whitelist", "", 0),
            (on_the_way(&two, "shop.example"), EnvironmentType::Prod, ON_THE_WAY, "", 2),
            (on_the_way(&[], "shop.example"), EnvironmentType::Prod, ON_THE_WAY, "", 2),
        ] {
            let text = main_cf(&desired, kind, folder);
            assert_eq!((value(&text, "default_transport"), value(&text, "relayhost")), (default, relayhost));
            assert_eq!(value(&text, "smtp_tls_security_level"), "secure");
            for kept in ["smtp_connection_cache_on_demand", "smtp_tls_connection_reuse"] {
                assert_eq!(value(&text, kept), "no", "mail would stay with a relay that is not the best one");
            }
            assert!(value(&text, "smtpd_banner").ends_with(&mark(folder)), "{text}");
            let maps = maps(&desired, folder);
            let transport = &maps[2].entries;
            assert_eq!(transport.len(), keys, "{transport:?}");
            let way = if desired.relays.is_empty() { NO_RELAY.to_owned() } else { format!("smtp:{hosts}") };
            assert!(transport.iter().all(|(_, value)| *value == way), "{transport:?}");
        }
        let desired = with(&two, Some(vec!["BÜCHER.example"]));
        let keys: Vec<String> =
            maps(&desired, folder)[2].entries.iter().map(|(key, _)| key.clone()).collect();
        let ascii = "xn--bcher-kva.example";
        assert_eq!(keys, [ascii, ".xn--bcher-kva.example", "bücher.example", ".bücher.example"]);
    }

    #[test]
    fn what_the_administrator_says_is_not_said_by_us() {
        let limit = "smtp_starttls_timeout = 30s\n";
        let filter = "smtp_reply_filter = regexp:/x/replies\n";
        let both = format!("{limit}{filter}");
        let patience = Duration::from_secs(30);
        let alone = Desired::default();
        for (base, expected) in [
            ("", both.as_str()),
            ("myhostname = mail1.example\n", &both),
            ("# smtp_starttls_timeout = 5s\n", &both),
            ("smtp_starttls_timeout = 5s\n", filter),
            ("smtp_starttls_timeout=5s", filter),
            ("smtp_reply_filter =\n", limit),
        ] {
            assert_eq!(before_main_cf(base, &alone, patience, Path::new("/x")), expected, "{base}");
        }
    }

    #[test]
    fn a_relay_has_a_short_time_to_greet_where_mail_can_go_elsewhere() {
        for (relays, patient, base, is_short) in [
            ("", false, "", false),
            ("a", false, "", false),
            ("ab", false, "", true),
            ("ab", true, "", false),
            ("ab", false, "smtp_helo_timeout = 100s\n", false),
        ] {
            let server =
                |name: char| relay(&name.to_string(), &format!("{name}.example"), 10, RelayTls::None);
            let desired =
                Desired { relays: relays.chars().map(server).collect(), patient, ..Desired::default() };
            let text = before_main_cf(base, &desired, Duration::from_secs(30), Path::new("/x"));
            assert_eq!(text.contains("smtp_helo_timeout = 30s\n"), is_short, "{relays} {patient} {base}");
        }
    }

    #[test]
    fn what_we_say_behind_the_administrators_lines_is_not_said_by_them_too() {
        let ours = "# relayhosts = x\nrelayhost = [a]:25\nsmtp_tls_security_level = secure\n";
        for (base, expected) in [
            ("", ""),
            ("myhostname = mail1\n# relayhost = x\n", "myhostname = mail1\n# relayhost = x\n"),
            ("relayhost =\nbiff = no", "# see below: relayhost =\nbiff = no\n"),
            (
                "relayhost=[x]:25,\n\n  # which is\n  [y]:25\n\tz\nbiff = no\n  yes\n",
                "# see below: relayhost=[x]:25,\n\n  # which is\n# see below:   [y]:25\n# see below: \tz\nbiff = no\n  yes\n",
            ),
            ("relayhosts = a\nrelayhost_x = b\n", "relayhosts = a\nrelayhost_x = b\n"),
        ] {
            assert_eq!(without_ours(base, ours), expected, "{base}");
        }
    }

    #[test]
    fn whether_the_client_runs_in_a_chroot_is_seen_in_master_cf() {
        for (master, expected) in [
            ("smtp      inet  n       -       y       -       -       smtpd\n", false),
            ("smtp      unix  -       -       y       -       -       smtp\n", true),
            ("smtp      unix  -       -       n       -       -       smtp\n", false),
            ("smtp      unix  -       -       -       -       -       smtp\n", false),
            ("#smtp      unix  -       -       y       -       -       smtp\n", false),
            ("relay     unix  -       -       y       -       -       smtp\n", false),
        ] {
            assert_eq!(is_client_in_chroot(master), expected, "{master}");
        }
    }

    #[test]
    fn a_relay_is_believed_by_its_own_authority_and_its_password_stands_in_one_secret_file() {
        let mut one = relay("main", "smtp.example.com", 10, RelayTls::Starttls);
        one.ca = Some("-----BEGIN CERTIFICATE-----".into());
        one.user = Some("apikey".parse().unwrap());
        one.password = Some(orocloud_protocol::Secret::new("a b:c#".into()));
        let desired = Desired { relays: vec![one], ..Desired::default() };
        let folder = Path::new("/state/postfix/01J");
        let maps = maps(&desired, folder);
        let policy =
            "[smtp.example.com]:587 secure match=smtp.example.com tafile=/state/postfix/01J/ca-main.pem\n";
        assert_eq!(maps[0].content(), policy);
        assert_eq!(maps[1].content(), "[smtp.example.com]:587 apikey:a b:c#\n");
        assert!(maps.iter().all(|map| map.secret == map.content().contains("a b:c#")));
        assert!(!main_cf(&desired, EnvironmentType::Prod, folder).contains("CAfile"));
    }
}
