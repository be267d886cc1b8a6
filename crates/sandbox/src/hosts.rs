//! The hosts of the environment and the addresses they have on loopback.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The name of the environment that every sandbox runs.
pub const ENVIRONMENT: &str = "acme-prod1";

/// Port of every sshd.
pub const SSH_PORT: u16 = 2222;
/// Port of nginx and of HAProxy.
pub const HTTP_PORT: u16 = 8080;
/// Where nginx of a web node answers its own agent past the maintenance page; no relay leads there.
pub const CHECK_PORT: u16 = 8081;
/// Port of RabbitMQ.
pub const AMQP_PORT: u16 = 5672;
/// Port of RabbitMQ's management interface.
pub const QUEUE_HTTP_PORT: u16 = 15672;
/// Port of the SMTP server.
pub const SMTP_PORT: u16 = 2525;
/// Port of the name server.
pub const DNS_PORT: u16 = 5353;
/// Port of PostgreSQL.
pub const POSTGRESQL_PORT: u16 = 5432;

/// Nobody listens here for service; who binds it on an environment's first address has claimed that environment.
const CLAIM_PORT: u16 = 2200;

/// One host: a node of the environment, or the git server or an SMTP server beside it.
#[derive(Debug)]
pub struct Host {
    /// Short name, such as `web1`.
    pub name: &'static str,
    /// The last part of its address.
    pub number: u8,
    /// Roles in `environment.toml`; none for a host that is no node of the environment.
    pub roles: &'static [&'static str],
    /// Availability zone.
    pub zone: &'static str,
    /// Ports that a relay stands in front of.
    pub ports: &'static [u16],
}

impl Host {
    /// Whether the host is a node of the environment; the git server and the SMTP servers are none.
    pub fn is_node(&self) -> bool {
        !self.roles.is_empty()
    }

    /// Whether the node has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it is an SMTP server beside the environment.
    pub fn is_mail_server(&self) -> bool {
        self.name == MAIL || RELAYS.contains(&self.name)
    }

    /// Whether it is the name server beside the environment.
    pub fn is_name_server(&self) -> bool {
        self.name == DNS
    }

    /// The node's full name, such as `acme-prod1-web1`.
    pub fn full_name(&self) -> String {
        format!("{ENVIRONMENT}-{}", self.name)
    }
}

/// Every host that there can be, in the order in which they are shown.
pub const HOSTS: [Host; 12] = [
    Host { name: "maint1", number: 1, roles: &["maint"], zone: "a", ports: &[SSH_PORT] },
    Host { name: "lb1", number: 2, roles: &["lb"], zone: "a", ports: &[SSH_PORT, HTTP_PORT] },
    Host { name: "db1", number: 3, roles: &["db"], zone: "a", ports: &[SSH_PORT, POSTGRESQL_PORT] },
    Host { name: "web1", number: 4, roles: &["web"], zone: "a", ports: &[SSH_PORT, HTTP_PORT] },
    Host { name: "web2", number: 5, roles: &["web"], zone: "b", ports: &[SSH_PORT, HTTP_PORT] },
    Host { name: "git", number: 9, roles: &[], zone: "a", ports: &[SSH_PORT] },
    Host {
        name: "job1",
        number: 6,
        roles: &["job", "queue"],
        zone: "b",
        ports: &[SSH_PORT, AMQP_PORT, QUEUE_HTTP_PORT],
    },
    Host { name: MAIL, number: 7, roles: &[], zone: "b", ports: &[SMTP_PORT] },
    Host { name: "mail1", number: 8, roles: &["mail"], zone: "b", ports: &[SSH_PORT, SMTP_PORT] },
    Host { name: RELAYS[0], number: 10, roles: &[], zone: "a", ports: &[SMTP_PORT] },
    Host { name: RELAYS[1], number: 11, roles: &[], zone: "b", ports: &[SMTP_PORT] },
    // It is asked where it listens: a relay passes no UDP.
    Host { name: DNS, number: 12, roles: &[], zone: "a", ports: &[] },
];

/// The short name of the SMTP server that takes the agent's own mail.
pub const MAIL: &str = "mail";

/// The short name of the name server.
pub const DNS: &str = "dns";

/// The short names of the SMTP servers that mail1 may send to.
pub const RELAYS: [&str; 2] = ["relay1", "relay2"];

/// What a sandbox has besides what every one has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parts {
    /// The queue, and what takes from it.
    pub queue: bool,
    /// An SMTP server for the agent's own mail.
    pub mail: bool,
    /// mail1, the SMTP servers that it may send to, and a name server.
    pub smtp: bool,
}

impl Parts {
    /// The hosts of a sandbox with these parts.
    pub fn hosts(self) -> impl Iterator<Item = &'static Host> {
        const ALL: &[Host] = &HOSTS;
        ALL.iter().filter(move |host| match host.name {
            "job1" => self.queue,
            MAIL => self.mail,
            "mail1" | DNS => self.smtp,
            name => self.smtp || !RELAYS.contains(&name),
        })
    }
}

/// The host of that name, or an error that lists the names.
pub fn host(name: &str) -> Result<&'static Host> {
    HOSTS.iter().find(|host| host.name == name).ok_or_else(|| {
        let names: Vec<&str> = HOSTS.iter().map(|host| host.name).collect();
        Error::new(format!("there is no node {name}: the nodes are {}", names.join(", ")))
    })
}

/// `127.<project>.<environment>.x`: the addresses of one sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Second part.
    pub project: u8,
    /// Third part.
    pub environment: u8,
}

impl Addresses {
    /// Takes the first environment that nobody else has claimed. The claim lasts as long as the listener.
    pub fn claim() -> Result<(Self, TcpListener)> {
        for project in 18..=31 {
            for environment in 1..=250 {
                let addresses = Self { project, environment };
                if let Ok(claim) = TcpListener::bind((addresses.at(1), CLAIM_PORT)) {
                    return Ok((addresses, claim));
                }
            }
        }
        Err(Error::new(
            "no free addresses: every environment from 127.18.1.1 to 127.31.250.1 is claimed by another sandbox",
        ))
    }

    /// A port that no other sandbox uses, for what listens on addresses that everybody has.
    pub fn own_port(self, which: u16) -> u16 {
        20_000 + (u16::from(self.project) - 18) * 512 + u16::from(self.environment) * 2 + which
    }

    fn at(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.project, self.environment, number)
    }

    /// Where the host is reached: its relay listens there.
    pub fn public(self, host: &Host) -> Ipv4Addr {
        self.at(host.number)
    }

    /// Where the host's programs listen, behind the relay.
    pub fn real(self, host: &Host) -> Ipv4Addr {
        self.at(100 + host.number)
    }

    /// The relay's address for one port.
    pub fn public_port(self, host: &Host, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.public(host), port)
    }

    /// The program's address for one port.
    pub fn real_port(self, host: &Host, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.real(host), port)
    }
}
