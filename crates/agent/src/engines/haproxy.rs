//! HAProxy's runtime API: which servers it sends to.

use std::path::Path;
use std::time::Duration;

use orocloud_protocol::CallError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

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
