//! A name server beside the environment, which knows what a test tells it and nothing else.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use crate::accounts::Duty;
use crate::blueprint::Blueprint;
use crate::error::{Context, Result};
use crate::hosts::{self, DNS_PORT, Host};
use crate::layout::NodeLayout;
use crate::service::{Ready, Service};

/// The service.
pub const SERVICE: &str = "dnsmasq";

/// DNS keeps a text in strings of at most so many bytes.
const LONGEST_STRING: usize = 255;

/// What a name has in DNS.
#[derive(Debug, Clone)]
pub enum DnsData {
    /// A text, of any length.
    Text(String),
    /// An address.
    Address(Ipv4Addr),
    /// A host that takes its mail.
    Exchanger(String),
}

/// Where the name server of a sandbox is asked.
pub fn address(blueprint: &Blueprint) -> Option<SocketAddrV4> {
    let host = blueprint.hosts().find(|host| host.name == hosts::DNS)?;
    Some(blueprint.addresses.real_port(host, DNS_PORT))
}

/// Writes what it needs and gives the service.
pub fn node(blueprint: &Blueprint, host: &Host) -> Result<Service> {
    let layout = blueprint.node(host);
    let listens = blueprint.addresses.real_port(host, DNS_PORT);
    write_records(&layout, &[])?;
    let configuration = format!(
        "port={port}\nlisten-address={address}\nbind-interfaces\nno-resolv\nno-hosts\n\
         # What it is not told of does not exist.\naddress=/#/\n\
         conf-file={records}\n",
        port = listens.port(),
        address = listens.ip(),
        records = records(&layout).display(),
    );
    let path = layout.etc("dnsmasq.conf");
    fs::write(&path, configuration).context(|| format!("cannot write {}", path.display()))?;
    let mut command = blueprint.accounts.prefix(Duty::Mail, &[]);
    command.extend([
        "/usr/sbin/dnsmasq".to_owned(),
        "--keep-in-foreground".to_owned(),
        "--log-facility=-".to_owned(),
        "--pid-file".to_owned(),
        format!("--conf-file={}", path.display()),
    ]);
    let mut service = blueprint.service(host, SERVICE, command, Ready::Port(listens));
    service.reload_signal = None;
    Ok(service)
}

fn records(layout: &NodeLayout) -> PathBuf {
    layout.etc("records.conf")
}

/// Writes all that the name server is to know; it reads it when it is started.
pub fn write_records(layout: &NodeLayout, all: &[(&str, DnsData)]) -> Result<()> {
    let mut text = String::new();
    for (name, data) in all {
        let _ = match data {
            DnsData::Address(address) => writeln!(text, "host-record={name},{address}"),
            DnsData::Exchanger(host) => writeln!(text, "mx-host={name},{host},10"),
            DnsData::Text(value) => {
                let strings = value.as_bytes().chunks(LONGEST_STRING);
                let strings: String =
                    strings.map(|part| format!(",\"{}\"", String::from_utf8_lossy(part))).collect();
                writeln!(text, "txt-record={name}{strings}")
            }
        };
    }
    let path = records(layout);
    write(&path, &text)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("cannot write {}", path.display()))
}
