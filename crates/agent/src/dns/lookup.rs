//! Asking a name server, within a time that is known beforehand.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{TokioResolver, system_conf};
use orocloud_protocol::CallError;
use tokio::time::{Instant, timeout_at};

/// So long all questions of one call may take together.
const LIMIT: Duration = Duration::from_secs(12);

/// So long one try of one question may take.
const ONE_TRY: Duration = Duration::from_secs(2);

/// DNS does not tell: why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer(pub String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is asked. What does not exist is an empty answer.
pub trait Lookup: Sync {
    /// Texts at a name, each with its strings put together.
    fn texts(&self, name: &str) -> impl Future<Output = Result<Vec<String>, NoAnswer>> + Send;
    /// Addresses of both families.
    fn addresses(&self, name: &str) -> impl Future<Output = Result<Vec<IpAddr>, NoAnswer>> + Send;
    /// Hosts that take mail for a domain.
    fn exchangers(&self, name: &str) -> impl Future<Output = Result<Vec<String>, NoAnswer>> + Send;
}

/// A name server.
pub struct NameServer {
    resolver: TokioResolver,
    named: String,
    until: Instant,
}

impl NameServer {
    /// The one that was chosen, else the system's.
    pub fn new(chosen: Option<SocketAddr>) -> Result<Self, CallError> {
        let cannot = |error: &dyn fmt::Display| CallError::failed("DNS cannot be asked").because(error);
        let config = match chosen {
            Some(server) => {
                let mut one = NameServerConfig::udp_and_tcp(server.ip());
                for connection in &mut one.connections {
                    connection.port = server.port();
                }
                ResolverConfig::from_name_servers(vec![one])
            }
            None => system_conf::read_system_conf().map_err(|error| cannot(&error))?.0,
        };
        let all = config.name_servers().iter();
        let named = all.flat_map(|server| {
            let port = server.connections.first().map_or(53, |connection| connection.port);
            Some(SocketAddr::new(server.ip, port).to_string())
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.timeout = ONE_TRY;
        options.attempts = 2;
        // What a receiver sees, not what this machine calls things.
        options.use_hosts_file = ResolveHosts::Never;
        let resolver = builder.build().map_err(|error| cannot(&error))?;
        Ok(Self { resolver, named, until: Instant::now() + LIMIT })
    }

    /// `ADDRESS:PORT`
    pub fn named(&self) -> &str {
        &self.named
    }

    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, NoAnswer> {
        // Without the final dot the machine's own search list would be tried as well.
        let asked = timeout_at(self.until, self.resolver.lookup(format!("{name}."), kind)).await;
        match asked {
            Ok(Ok(answer)) => Ok(answer.answers().iter().filter_map(|record| read(&record.data)).collect()),
            Ok(Err(error)) if error.is_no_records_found() => Ok(Vec::new()),
            Ok(Err(NetError::Timeout)) | Err(_) => {
                Err(NoAnswer(format!("the name server {} says nothing about {name}", self.named)))
            }
            Ok(Err(error)) => {
                Err(NoAnswer(format!("the name server {} does not tell {name}: {error}", self.named)))
            }
        }
    }
}

impl Lookup for NameServer {
    async fn texts(&self, name: &str) -> Result<Vec<String>, NoAnswer> {
        self.ask(name, RecordType::TXT, |data| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        })
        .await
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
        let read = |data: &RData| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        let mut all = self.ask(name, RecordType::A, read).await?;
        all.extend(self.ask(name, RecordType::AAAA, read).await?);
        Ok(all)
    }

    async fn exchangers(&self, name: &str) -> Result<Vec<String>, NoAnswer> {
        self.ask(name, RecordType::MX, |data| match data {
            RData::MX(exchanger) => Some(exchanger.exchange.to_ascii().trim_end_matches('.').to_owned()),
            _ => None,
        })
        .await
    }
}

/// DNS as a table, for tests of what asks it.
#[cfg(test)]
#[derive(Default)]
pub struct Table(std::collections::HashMap<(String, &'static str), Vec<String>>);

#[cfg(test)]
impl Table {
    /// Lines like `a.example TXT v=spf1 -all`, `a.example A 192.0.2.1`, `a.example MX mail.example`, `a.example SILENT`.
    pub fn new(lines: &str) -> Self {
        let mut table = Self::default();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, rest) = line.split_once(' ').unwrap();
            let (kind, value) = rest.split_once(' ').unwrap_or((rest, ""));
            let kind = ["TXT", "A", "MX", "SILENT"].into_iter().find(|known| *known == kind).unwrap();
            table.0.entry((name.to_owned(), kind)).or_default().push(value.to_owned());
        }
        table
    }

    fn ask(&self, name: &str, kind: &'static str) -> Result<Vec<String>, NoAnswer> {
        if self.0.contains_key(&(name.to_owned(), "SILENT")) {
            return Err(NoAnswer(format!("nothing is said about {name}")));
        }
        Ok(self.0.get(&(name.to_owned(), kind)).cloned().unwrap_or_default())
    }
}

#[cfg(test)]
impl Lookup for Table {
    async fn texts(&self, name: &str) -> Result<Vec<String>, NoAnswer> {
        self.ask(name, "TXT")
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
        Ok(self.ask(name, "A")?.iter().map(|text| text.parse().unwrap()).collect())
    }

    async fn exchangers(&self, name: &str) -> Result<Vec<String>, NoAnswer> {
        self.ask(name, "MX")
    }
}
