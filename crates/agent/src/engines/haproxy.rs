//! HAProxy's runtime API: which servers it sends to, and how it is told.

use std::path::Path;
use std::time::Duration;

use orocloud_protocol::{CallError, NodeName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use crate::environment::LoadBalancer;

/// One server of the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name, which is the node's.
    pub name: String,
    /// As HAProxy writes it: `UP`, `DOWN`, `DRAIN`, `MAINT`, `UP 1/3`, `no check`.
    pub status: String,
    /// Sessions at this moment.
    pub sessions: u64,
    /// What the last health check said, like `L7OK`.
    pub check: String,
}

impl Server {
    /// Whether requests are sent to it.
    pub fn takes_requests(&self) -> bool {
        self.status.starts_with("UP") || self.status == "no check"
    }

    /// Whether it was ordered to get no new requests, by [`Order::Drain`].
    pub fn is_drained(&self) -> bool {
        self.status.starts_with("DRAIN")
    }

    /// Whether it was ordered to get none at all, by [`Order::Withhold`].
    pub fn is_withheld(&self) -> bool {
        self.status.starts_with("MAINT")
    }
}

/// What a server is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Requests, once it passes its health check.
    Return,
    /// No new requests; those in flight end.
    Drain,
    /// Nothing, whatever its health check says.
    Withhold,
}

impl Order {
    const fn word(self) -> &'static str {
        match self {
            Self::Return => "ready",
            Self::Drain => "drain",
            Self::Withhold => "maint",
        }
    }
}

/// Gives a server an order, and keeps all orders for a HAProxy that is started anew.
pub async fn order(config: &LoadBalancer, server: &NodeName, order: Order) -> Result<(), CallError> {
    // Two at once would each write the file without what the other one ordered.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let _turn = ONE_AT_A_TIME.lock().await;
    let LoadBalancer { admin_socket, backend, state_file, .. } = config;
    let answer = ask(admin_socket, &format!("set server {backend}/{server} state {}", order.word())).await?;
    if !answer.trim().is_empty() {
        return Err(CallError::failed(format!("HAProxy does not take {server} to `{}`", order.word()))
            .because(first_line(&answer)));
    }
    let Some(file) = state_file else { return Ok(()) };
    let answer = ask(admin_socket, &format!("show servers state {backend}")).await?;
    let orders = orders(&answer).ok_or_else(|| {
        CallError::failed("HAProxy's orders for its servers cannot be read").because(first_line(&answer))
    })?;
    // HAProxy reads it before it gives up being root, or as the account that it runs as.
    orocloud_durable::write(file, orders.as_bytes(), 0o644)
        .map_err(|error| CallError::failed(format!("{} cannot be written", file.display())).because(error))
}

/// What `show servers state` says of servers that somebody gave an order: in the form in which HAProxy reads it from its
/// `server-state-file`. How the others are their health checks tell.
fn orders(text: &str) -> Option<String> {
    /// Forced into maintenance, or to drain, by the runtime API.
    const ORDERED: u32 = 0x01 | 0x08;
    let mut lines = text.strip_suffix("\n\n")?.lines();
    let version = lines.next().filter(|line| *line == "1")?;
    let header = lines.next()?;
    let column = header.strip_prefix("# ")?.split(' ').position(|column| column == "srv_admin_state")?;
    let mut kept = format!("{version}\n{header}\n");
    for line in lines {
        let state: u32 = line.split(' ').nth(column)?.parse().ok()?;
        if state & ORDERED != 0 {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    Some(kept)
}

/// The servers of a backend.
pub async fn servers(socket: &Path, backend: &str) -> Result<Vec<Server>, CallError> {
    let answer = ask(socket, "show stat -1 4 -1").await?;
    parse(&answer, backend)
        .ok_or_else(|| CallError::failed("HAProxy's statistics cannot be read").because(first_line(&answer)))
}

async fn ask(socket: &Path, command: &str) -> Result<String, CallError> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.take(4 * 1024 * 1024).read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let cannot = |why: &dyn std::fmt::Display| {
        CallError::failed(format!("HAProxy at {} does not answer", socket.display())).because(why)
    };
    match tokio::time::timeout(Duration::from_secs(5), exchange).await {
        Ok(answer) => answer.map_err(|error| cannot(&error)),
        Err(_) => Err(cannot(&"no answer within 5 s")),
    }
}

/// `show stat` is CSV with its header in the first line, behind `# `; an empty line ends it.
fn parse(text: &str, backend: &str) -> Option<Vec<Server>> {
    let mut lines = text.strip_suffix("\n\n")?.lines();
    let header: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(',').collect();
    let column = |name: &str| header.iter().position(|column| *column == name);
    let (proxy, server, sessions) = (column("pxname")?, column("svname")?, column("scur")?);
    let (status, check) = (column("status")?, column("check_status")?);
    let mut servers = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        if *fields.get(proxy)? != backend {
            continue;
        }
        servers.push(Server {
            name: (*fields.get(server)?).to_owned(),
            status: (*fields.get(status)?).to_owned(),
            sessions: fields.get(sessions)?.parse().ok()?,
            check: (*fields.get(check)?).trim_start_matches("* ").to_owned(),
        });
    }
    Some(servers)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("it answered nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,\n\
        web,web1,0,0,2,3,,120,1,2,,0,,0,0,0,0,UP,1,1,0,0,0,33,0,,1,3,1,,120,,2,0,,4,L7OK,200,\n\
        web,web2,0,0,0,3,,120,1,2,,0,,0,0,0,0,DOWN,1,1,0,2,1,3,3,,1,3,2,,120,,2,0,,4,* L4CON,,\n\
        other,web3,0,0,0,3,,120,1,2,,0,,0,0,0,0,MAINT,1,1,0,0,0,33,0,,1,4,1,,120,,2,0,,4,,,\n\n";

    #[test]
    fn orders_are_kept_and_nothing_else() {
        let header = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port";
        let withheld = "3 web 1 web1 127.99.1.2 0 1 1 1 1 15 3 0 14 0 0 0 - 8081 - 0 0 - - 0";
        let drained = "3 web 2 web2 127.99.1.3 2 8 1 1 0 15 3 2 6 0 0 0 - 8081 - 0 0 - - 0";
        let free = "3 web 3 web3 127.99.1.4 2 0 1 1 3 15 3 2 6 0 0 0 - 8081 - 0 0 - - 0";
        // In maintenance by the configuration: that is there anyway.
        let configured = "3 web 4 web4 127.99.1.5 0 4 1 1 3 15 3 2 6 0 0 0 - 8081 - 0 0 - - 0";
        let captured = format!("1\n{header}\n{withheld}\n{drained}\n{free}\n{configured}\n\n");
        assert_eq!(orders(&captured), Some(format!("1\n{header}\n{withheld}\n{drained}\n")));
        assert_eq!(orders(&format!("1\n{header}\n\n")), Some(format!("1\n{header}\n")));
        for broken in ["", "2\n# a\n\n", "1\n", "Can't find backend.\n", &captured[..captured.len() - 60]] {
            assert_eq!(orders(broken), None, "{broken}");
        }
    }

    #[test]
    fn statistics_are_read() {
        let servers = parse(CAPTURED, "web").unwrap();
        assert_eq!(servers.len(), 2);
        assert!(servers[0].takes_requests() && !servers[1].takes_requests());
        assert_eq!((servers[0].sessions, servers[1].check.as_str()), (2, "L4CON"));
        assert_eq!(parse("Permission denied\n", "web"), None);
        assert_eq!(parse("", "web"), None);
        let cut = &CAPTURED[..CAPTURED.len() - 170];
        assert_eq!(parse(cut, "web"), None);
    }
}
