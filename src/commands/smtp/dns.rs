//! `smtp:dns`.

use clap::Parser;
use orocloud_protocol::smtp::dns::{self, DnsParams, DnsRecord, DnsRecordKind};

use super::super::{Context, Outcome, Run};
use crate::cli::FormatArgs;
use crate::output::table::column;
use crate::output::{Format, escape};

/// DNS keeps a text in strings of at most so many bytes.
const LONGEST_STRING: usize = 255;

/// Show which SPF, DKIM and DMARC records the sender domains must publish
///
/// Beside each record stands what DNS answers today, with what differs in »…«, and under the table the records that are
/// missing or wrong as lines to paste. Sender domains are those of the senders that relays are tried with (smtp:relay:set
/// --probe-from), and those that the environment states. Exit code 9 if mail would be rejected.
#[derive(Debug, Parser)]
pub struct Dns {
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Dns {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let answer = context.query::<dns::Dns>(&DnsParams {})?;
        let ui = &mut context.ui;
        ui.list(
            &answer,
            &answer.items,
            &[
                column("RECORD", "name", |row: &DnsRecord| format!("{} {}", row.kind.as_str(), row.name)),
                column("EXPECTED", "expected", |row: &DnsRecord| row.expected.clone()),
                column("FOUND", "found", found),
                column("VERDICT", "verdict", |row: &DnsRecord| row.verdict.as_str().to_owned()),
            ],
        )?;
        if ui.format == Format::Table {
            for record in &answer.items {
                for note in &record.notes {
                    let (kind, domain) = (record.kind.as_str(), &record.domain);
                    ui.line(&escape::strip(&format!("{kind} of {domain}: {note}")))?;
                }
            }
            let wanted: Vec<&DnsRecord> =
                answer.items.iter().filter(|record| !record.found.contains(&record.expected)).collect();
            if !wanted.is_empty() {
                ui.line("\nTo publish:")?;
            }
            for record in wanted {
                ui.line(&escape::strip(&zone_line(record)))?;
            }
            if answer.rejects() {
                let by = format!("mail would be rejected, by what {} answers", answer.name_server);
                ui.warn(&escape::strip(&by));
            }
        }
        Ok(if answer.rejects() { 9 } else { 0 })
    }
}

/// What is there, with what differs marked.
fn found(record: &DnsRecord) -> String {
    let mark = |text: &String| {
        let (between, joint) = match record.kind {
            DnsRecordKind::Spf => (' ', " "),
            _ => (';', "; "),
        };
        let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let differs = |part: &str| record.differs.iter().any(|term| *term == plain(part));
        let parts = text.split(between).map(str::trim).filter(|part| !part.is_empty());
        let marked = parts.map(|part| if differs(part) { format!("»{part}«") } else { part.to_owned() });
        marked.collect::<Vec<_>>().join(joint)
    };
    record.found.iter().map(mark).collect::<Vec<_>>().join(" | ")
}

/// The record as a line of a zone file.
fn zone_line(record: &DnsRecord) -> String {
    let bytes = record.expected.as_bytes();
    let strings = bytes.chunks(LONGEST_STRING).map(|part| format!("\"{}\"", String::from_utf8_lossy(part)));
    format!("{}. IN TXT {}", record.name, strings.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use orocloud_protocol::smtp::dns::DnsVerdict;

    fn record(kind: DnsRecordKind, expected: &str, found: &str, differs: &[&str]) -> DnsRecord {
        DnsRecord {
            domain: "shop.example".parse().unwrap(),
            kind,
            name: "shop.example".to_owned(),
            expected: expected.to_owned(),
            found: vec![found.to_owned()],
            differs: differs.iter().map(|term| (*term).to_owned()).collect(),
            verdict: DnsVerdict::Wrong,
            notes: Vec::new(),
            key: None,
            rejects: false,
        }
    }

    #[test]
    fn what_differs_is_marked() {
        let spf = record(DnsRecordKind::Spf, "", "v=spf1  mx -all", &["-all"]);
        assert_eq!(found(&spf), "v=spf1 mx »-all«");
        let dkim = record(DnsRecordKind::Dkim, "", "v=DKIM1;k=rsa; p=AB CD", &["p=ABCD"]);
        assert_eq!(found(&dkim), "v=DKIM1; k=rsa; »p=AB CD«");
    }

    #[test]
    fn a_long_record_is_a_line_of_strings_that_dns_can_keep() {
        let line = zone_line(&record(DnsRecordKind::Dkim, &"x".repeat(400), "", &[]));
        let strings: Vec<usize> = line.split('"').skip(1).step_by(2).map(str::len).collect();
        assert_eq!(strings, [255, 145]);
        assert!(line.starts_with("shop.example. IN TXT \"x"), "{line}");
    }
}
