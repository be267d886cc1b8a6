//! `smtp:*`: the upstream relays, whom mail reaches, what waits.

mod dns;
mod queue;
mod sending;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use jiff::tz::TimeZone;
use orocloud_protocol::smtp::{
    self, ChangedAnswer, Counts, Outcomes, PutBack, Recipients, RelayInfo, RelayTls, TriedStage,
    WhitelistChange,
};
use orocloud_protocol::{Call, CallError, MailAddress, MailDomain, MailHost, MailUser, NodeName, RelayName};

use super::call::carry_out;
use super::deploy::read_password;
use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, OperationArgs, moment};
use crate::output::table::{column, draw};
use crate::output::{Format, Ui, escape};

pub use dns::Dns;
pub use queue::Queue;
pub use sending::Test;

/// No file of authorities is longer, in bytes.
const LONGEST_AUTHORITY: u64 = 256 * 1024;

/// Show the SMTP relays that mail leaves by, and whom it reaches
///
/// The best relay comes first. When it last took a message, what went wrong since, and how many messages were sent,
/// dropped and bounced, is what the log of the mail node tells. A relay that lets others wait is put back by itself: mail
/// goes by it last until it greets again. Passwords are never shown.
#[derive(Debug, Parser)]
pub struct Show {
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Show {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let answer = context.query::<smtp::Show>(&smtp::ShowParams {})?;
        if context.ui.format == Format::Json {
            context.ui.json(&answer)?;
            tell_silent(&mut context.ui, &answer.silent);
            return Ok(0);
        }
        show_relays(&mut context.ui, &answer.relays, &answer.recipients)?;
        context.ui.line(&reached(&answer.recipients))?;
        if !answer.sender_domains.is_empty() {
            let list: Vec<&str> = answer.sender_domains.iter().map(MailDomain::as_str).collect();
            context.ui.line(&escape::strip(&format!("It is sent from: {}", list.join(", "))))?;
        }
        if let Some(why) = &answer.unsigned {
            context.ui.warn(&escape::strip(&format!("{why}; see: orocloud-cli status")));
        }
        match answer.waiting {
            Some(0) => {}
            Some(waiting) => {
                context.ui.line(&format!("{waiting} wait; see why: orocloud-cli smtp:queue"))?;
            }
            None => context.ui.line("Postfix does not tell what waits; see: orocloud-cli status")?,
        }
        if let Some(counts) = &answer.counts {
            let table = counts_table(counts, context.ui.table_width());
            context.ui.line(&table)?;
        }
        tell_silent(&mut context.ui, &answer.silent);
        Ok(0)
    }
}

/// Add an SMTP relay that mail leaves by, or change one
///
/// The relay is tried first, stage by stage: its name, the connection, the greeting, TLS, the password, and with
/// --probe-from and --probe-to a sender and a recipient, though nothing is sent. Mail goes by it only when all of that is
/// well; otherwise nothing has changed. Of a relay that is there, what is left out stays as it is. The relay with the least
/// priority is tried first, the next one takes over when it does not take mail.
///
/// Example: orocloud-cli smtp:relay:set main --host=smtp.example.com --user=apikey --password-stdin < FILE
#[derive(Debug, Parser)]
pub struct RelaySet {
    /// Its name here, like main
    #[arg(value_name = "RELAY")]
    name: RelayName,
    /// Name or address of its host
    #[arg(long, value_name = "HOST")]
    host: Option<MailHost>,
    /// Its port; default: 587 with starttls, 465 with implicit, 25 with none
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// How the connection is kept secret: starttls (the default), implicit, or none
    #[arg(long, value_name = "MODE", value_parser = tls_mode)]
    tls: Option<RelayTls>,
    /// The only authorities that its certificate may come from, a file in PEM; default: those that everybody believes
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The least one is tried first; default: 10
    #[arg(long, value_name = "NUMBER")]
    priority: Option<u16>,
    /// Whom to sign in as; the password is asked for, or read with --password-stdin
    #[arg(long, value_name = "USER")]
    user: Option<MailUser>,
    /// Read the password from standard input, one line
    #[arg(long)]
    password_stdin: bool,
    /// A sender to try it with
    #[arg(long, value_name = "ADDRESS")]
    probe_from: Option<MailAddress>,
    /// A recipient to try it with, who gets nothing
    #[arg(long, value_name = "ADDRESS")]
    probe_to: Option<MailAddress>,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

fn tls_mode(text: &str) -> Result<RelayTls, String> {
    [RelayTls::Starttls, RelayTls::Implicit, RelayTls::None]
        .into_iter()
        .find(|mode| mode.as_str() == text)
        .ok_or_else(|| "expected starttls, implicit or none".to_owned())
}

impl Run for RelaySet {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let ca = self.ca_file.as_deref().map(read_authority).transpose()?;
        let password = match &self.user {
            _ if self.password_stdin => Some(read_password("smtp:relay:set RELAY --password-stdin …")?),
            Some(user) => {
                let typed = context.ui.new_password(&format!("Password of {user} at {}", self.name));
                typed.map(orocloud_protocol::Secret::new)
            }
            None => None,
        };
        let params = smtp::RelaySetParams {
            name: self.name,
            host: self.host,
            port: self.port,
            tls: self.tls,
            ca,
            priority: self.priority,
            user: self.user,
            password,
            probe_from: self.probe_from,
            probe_to: self.probe_to,
            options: self.operation.options(),
        };
        carry_out::<smtp::RelaySet>(context, &params, &self.operation, |ui, answer| {
            show_stages(ui, &answer.stages)?;
            let RelayInfo { name, host, port, .. } = &answer.relay;
            ui.line(&format!("Mail goes by {name} ({host}:{port}) now"))
        })
    }
}

/// The file as it is; whether it holds what it should is the agent's to say.
fn read_authority(path: &Path) -> Result<String, CallError> {
    let wrong = |why: &dyn std::fmt::Display| {
        CallError::usage(format!("{} cannot be read as authorities", path.display())).because(why)
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(&error))?;
    file.take(LONGEST_AUTHORITY + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    if text.contains("PRIVATE KEY") {
        // It is not even sent.
        return Err(wrong(&"it holds a private key, which nobody may have"));
    }
    if text.len() as u64 > LONGEST_AUTHORITY || !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(wrong(&"it holds no certificate in PEM"));
    }
    Ok(text)
}

/// Remove an SMTP relay
///
/// Mail goes by those that are left; without any, mail to those whom it reaches waits until there is one.
#[derive(Debug, Parser)]
pub struct RelayRemove {
    /// Its name, as smtp:show shows it
    #[arg(value_name = "RELAY")]
    name: RelayName,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for RelayRemove {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let params = smtp::RelayRemoveParams { name: self.name, options: self.operation.options() };
        change::<smtp::RelayRemove>(context, &params, &self.operation)
    }
}

/// What is done with the whitelist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Deed {
    /// Put domains on it
    Add,
    /// Take domains off it
    Remove,
    /// Show it
    Show,
    /// Have none
    Clear,
    /// Take over what the application's orocloud.yaml says
    Follow,
}

/// Say which domains are the only ones that mail may reach
///
/// Mail to any other recipient is dropped, each recipient of a message alone; sub-domains of a domain belong to it. Without
/// a whitelist an environment of type prod reaches everybody, any other nobody; an empty one reaches nobody.
///
/// Domains that the application names in mail.whitelist of its orocloud.yaml are on the list too, before that release is
/// served; those that only the release before named go seconds after the operation. They are taken off it in that file alone.
/// (follow does at once what the agent does by itself.)
///
/// Example: orocloud-cli smtp:whitelist add example.com
#[derive(Debug, Parser)]
pub struct Whitelist {
    /// add, remove, show, clear or follow
    #[arg(value_name = "ACTION", value_enum, hide_possible_values = true)]
    deed: Deed,
    /// Domains to add or to remove
    #[arg(value_name = "DOMAIN")]
    domains: Vec<MailDomain>,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Whitelist {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let takes_domains = matches!(self.deed, Deed::Add | Deed::Remove);
        if takes_domains == self.domains.is_empty() {
            let what = if takes_domains { "no domain is given" } else { "this takes no domains" };
            return Err(CallError::usage(what)
                .hint("put one on the list: orocloud-cli smtp:whitelist add example.com")
                .into());
        }
        let change = match self.deed {
            Deed::Show => {
                let answer = context.query::<smtp::Show>(&smtp::ShowParams {})?;
                if context.ui.format == Format::Json {
                    context.ui.json(&answer.recipients)?;
                } else {
                    context.ui.line(&reached(&answer.recipients))?;
                }
                tell_silent(&mut context.ui, &answer.silent);
                return Ok(0);
            }
            Deed::Add => WhitelistChange::Add(self.domains),
            Deed::Remove => WhitelistChange::Remove(self.domains),
            Deed::Clear => WhitelistChange::Clear,
            Deed::Follow => WhitelistChange::Follow,
        };
        let params = smtp::WhitelistParams { change, options: self.operation.options() };
        self::change::<smtp::Whitelist>(context, &params, &self.operation)
    }
}

fn change<C: Call<Answer = ChangedAnswer>>(
    context: &mut Context,
    params: &C::Params,
    operation: &OperationArgs,
) -> Outcome {
    carry_out::<C>(context, params, operation, |ui, answer| {
        show_relays(ui, &answer.relays, &answer.recipients)?;
        ui.line(&reached(&answer.recipients))
    })
}

/// Of these nothing is shown.
fn tell_silent(ui: &mut Ui, silent: &[NodeName]) {
    for node in silent {
        ui.warn(&format!("{node} does not tell of its mail: orocloud-cli status"));
    }
}

/// What became of messages lately.
fn counts_table(counts: &Counts, width: Option<u16>) -> String {
    let rows = [("last hour", counts.hour), ("last day", counts.day)];
    let columns = [
        column("MESSAGES", "in", |row: &(&str, Outcomes)| row.0.to_owned()),
        column("SENT", "sent", |row: &(&str, Outcomes)| row.1.sent.to_string()),
        column("DROPPED", "dropped", |row: &(&str, Outcomes)| row.1.dropped.to_string()),
        column("BOUNCED", "bounced", |row: &(&str, Outcomes)| row.1.bounced.to_string()),
        column("DEFERRED", "deferred", |row: &(&str, Outcomes)| row.1.deferred.to_string()),
    ];
    draw(&rows, &columns, width)
}

fn show_relays(ui: &mut Ui, relays: &[RelayInfo], recipients: &Recipients) -> std::io::Result<()> {
    if relays.is_empty() {
        return ui.line(&without_relay(recipients));
    }
    let table = relays_table(relays, &TimeZone::system(), ui.table_width());
    ui.line(&table)
}

fn without_relay(recipients: &Recipients) -> String {
    let waiting = recipients.mail_that_waits().map(|mail| format!(": {mail} waits")).unwrap_or_default();
    format!("There is no relay{waiting}. Set one: orocloud-cli smtp:relay:set main --host=smtp.example.com")
}

fn relays_table(relays: &[RelayInfo], local: &TimeZone, width: Option<u16>) -> String {
    let columns = [
        column("RELAY", "name", |row: &RelayInfo| row.name.to_string()),
        column("SERVER", "host", |row: &RelayInfo| format!("{}:{}", row.host, row.port)),
        column("TLS", "tls", |row: &RelayInfo| row.tls.as_str().to_owned()),
        column("PRIORITY", "priority", |row: &RelayInfo| row.priority.to_string()),
        column("USER", "user", |row: &RelayInfo| {
            row.user.as_ref().map(ToString::to_string).unwrap_or_default()
        }),
        column("STATE", "state", |row: &RelayInfo| state_of(row, local)),
        column("LAST TAKEN", "last_taken", |row: &RelayInfo| {
            row.last_taken.map(|at| moment::in_words(at, local)).unwrap_or_default()
        }),
        column("TROUBLE", "trouble", |row: &RelayInfo| row.trouble.clone().unwrap_or_default()),
    ];
    draw(relays, &columns, width)
}

/// How a relay is, and since when it is put back.
fn state_of(relay: &RelayInfo, local: &TimeZone) -> String {
    let state = relay.seen.as_ref().map(|seen| seen.state.as_str()).unwrap_or_default();
    match &relay.put_back {
        Some(PutBack { since, why, not_before: None }) => {
            let since = moment::in_words(*since, local);
            format!("{state}, put back since {since}: {why}").trim_start_matches(", ").to_owned()
        }
        // It greets, which is not what matters here.
        Some(PutBack { since, why, not_before: Some(not_before) }) => {
            let [since, again] = [since, not_before].map(|at| moment::in_words(*at, local));
            format!("stalls, put back since {since}, again from {again}: {why}")
        }
        None => state.to_owned(),
    }
}

fn show_stages(ui: &mut Ui, stages: &[TriedStage]) -> std::io::Result<()> {
    let columns = [
        column("STAGE", "stage", |row: &TriedStage| row.stage.as_str().to_owned()),
        column("MS", "took_ms", |row: &TriedStage| row.took_ms.to_string()),
        column("SAID", "said", |row: &TriedStage| row.said.clone()),
    ];
    let table = draw(stages, &columns, ui.table_width());
    ui.line(&table)
}

/// Whom mail reaches, in a sentence; in two while that is not settled.
fn reached(recipients: &Recipients) -> String {
    let settled = settled(recipients);
    match recipients.on_the_way {
        true => {
            format!("{settled}\nMail to other domains waits until the operation has ended that brings this")
        }
        false => settled,
    }
}

fn settled(recipients: &Recipients) -> String {
    match &recipients.whitelist {
        None if recipients.all => "Mail reaches everybody".to_owned(),
        None => "Mail reaches nobody: there is no whitelist, and this is not of type prod".to_owned(),
        Some(list) if list.is_empty() => "Mail reaches nobody: the whitelist is empty".to_owned(),
        Some(list) => {
            let joined = |list: &[MailDomain]| {
                list.iter().map(|domain| escape::strip(domain.as_str())).collect::<Vec<_>>().join(", ")
            };
            let only = format!("Mail reaches only: {}", joined(list));
            match recipients.application.as_deref() {
                None | Some([]) => only,
                Some(named) => format!("{only} (by the application's orocloud.yaml: {})", joined(named)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::smtp::{RelaySeen, RelayState};

    use super::*;

    /// The cells of each row.
    fn cells(table: &str) -> Vec<Vec<String>> {
        let rows = table.lines().filter(|line| line.contains('|'));
        rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
            .collect()
    }

    #[test]
    fn each_relay_is_shown_with_its_state_its_last_message_and_its_trouble() {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let relay = |name: &str, priority| RelayInfo {
            name: name.parse().unwrap(),
            host: "smtp.example.com".parse().unwrap(),
            port: 587,
            tls: RelayTls::Starttls,
            own_authority: false,
            priority,
            user: Some("apikey".parse().unwrap()),
            last_taken: None,
            trouble: None,
            seen: None,
            put_back: None,
        };
        let (seen, taken) = (at("2026-11-29T09:00:00Z"), at("2026-11-29T08:00:00Z"));
        let silent = RelaySeen { state: RelayState::Silent, at: seen, said: String::new() };
        let relays = [
            RelayInfo {
                seen: Some(silent),
                put_back: Some(PutBack { since: seen, why: "no greeting".into(), not_before: None }),
                trouble: Some("451 later".into()),
                ..relay("main", 10)
            },
            RelayInfo { last_taken: Some(taken), user: None, ..relay("spare", 20) },
        ];
        let [seen, taken] = [seen, taken].map(|at| moment::in_words(at, &TimeZone::UTC));
        let back = format!("silent, put back since {seen}: no greeting");
        assert_eq!(
            cells(&relays_table(&relays, &TimeZone::UTC, None)),
            [
                ["RELAY", "SERVER", "TLS", "PRIORITY", "USER", "STATE", "LAST TAKEN", "TROUBLE"],
                ["main", "smtp.example.com:587", "starttls", "10", "apikey", &back, "-", "451 later"],
                ["spare", "smtp.example.com:587", "starttls", "20", "-", "-", &taken, "-"],
            ]
        );
    }

    #[test]
    fn what_became_of_messages_is_shown_by_hour_and_day() {
        let hour = Outcomes { sent: 1, dropped: 2, bounced: 3, deferred: 4 };
        let day = Outcomes { sent: 5, dropped: 6, bounced: 7, deferred: 8 };
        assert_eq!(
            cells(&counts_table(&Counts { hour, day }, None)),
            [
                ["MESSAGES", "SENT", "DROPPED", "BOUNCED", "DEFERRED"],
                ["last hour", "1", "2", "3", "4"],
                ["last day", "5", "6", "7", "8"],
            ]
        );
    }

    #[test]
    fn a_file_of_authorities_is_sent_only_if_it_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
        for (content, expected) in [
            (certificate.to_owned(), None),
            (format!("{certificate}{key}"), Some("private key")),
            ("nonsense".to_owned(), Some("no certificate")),
            (format!("{certificate}{}", " ".repeat(300 * 1024)), Some("no certificate")),
        ] {
            std::fs::write(&path, content).unwrap();
            match (read_authority(&path), expected) {
                (Ok(_), None) => {}
                (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (outcome, _) => panic!("{outcome:?}"),
            }
        }
        assert!(read_authority(&folder.path().join("none")).is_err());
    }

    #[test]
    fn whom_mail_reaches_is_a_sentence() {
        let list = |domains: &[&str]| Some(domains.iter().map(|text| text.parse().unwrap()).collect());
        let of_it = "only: a.example, b.example";
        for (whitelist, all, expected, waits) in [
            (None, true, "everybody", ": mail waits"),
            (None, false, "no whitelist", ""),
            (list(&[]), false, "is empty", ""),
            (list(&["a.example", "b.example"]), false, of_it, ": mail to domains of the whitelist waits"),
        ] {
            let recipients = Recipients { whitelist, application: None, all, on_the_way: false };
            let text = reached(&recipients);
            assert!(text.contains(expected) && !text.contains("orocloud.yaml"), "{text}");
            let text = without_relay(&recipients);
            assert!(text.starts_with(&format!("There is no relay{waits}. Set one: ")), "{text}");
        }
        let application = list(&["b.example"]);
        let recipients = Recipients {
            whitelist: list(&["a.example", "b.example"]),
            application,
            all: false,
            on_the_way: false,
        };
        let text = reached(&recipients);
        assert!(
            text.ends_with("a.example, b.example (by the application's orocloud.yaml: b.example)"),
            "{text}"
        );
        let coming = reached(&Recipients { on_the_way: true, ..recipients });
        assert!(coming.starts_with(&text) && coming.contains("\nMail to other domains waits"), "{coming}");
    }
}
