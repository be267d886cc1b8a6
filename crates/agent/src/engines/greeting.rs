//! A short look at an upstream SMTP server: whether it greets. It gets a connection and a goodbye, and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use lettre::transport::smtp::client::SmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use orocloud_protocol::smtp::{RelayState, RelayTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::relay::{Target, parameters, plain};

/// So many addresses of a name are looked at.
const ADDRESSES: usize = 3;

/// No greeting is longer, in bytes (RFC 5321 has 512 a line, and some write several).
const LONGEST: u64 = 4096;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// How it is.
    pub state: RelayState,
    /// Its greeting, or what went wrong.
    pub said: String,
}

impl Look {
    fn new(state: RelayState, said: impl std::fmt::Display) -> Self {
        Self { state, said: plain(&said.to_string()) }
    }

    fn silent(what: &str, limit: Duration) -> Self {
        Self::new(RelayState::Silent, format!("no {what} within {} s", limit.as_secs()))
    }
}

/// Looks at it. Each of its addresses has `limit` to take the connection and to greet; one that greets is enough.
pub async fn look(target: &Target, limit: Duration) -> Look {
    let name = (target.host.as_str(), target.port);
    let addresses: Vec<SocketAddr> = match timeout(limit, tokio::net::lookup_host(name)).await {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES).collect(),
        Ok(Err(error)) => {
            return Look::new(RelayState::Unknown, format!("{} has no address: {error}", name.0));
        }
        Err(_) => return Look::new(RelayState::Unknown, format!("the address of {} is not told", name.0)),
    };
    let mut looks = JoinSet::new();
    for address in addresses {
        let target = target.clone();
        looks.spawn(async move {
            match target.tls {
                RelayTls::Implicit => look_in_secret(target, address, limit).await,
                RelayTls::None | RelayTls::Starttls => look_at(address, limit).await,
            }
        });
    }
    let mut worst = Look::new(RelayState::Unknown, format!("{} has no address", name.0));
    while let Some(look) = looks.join_next().await {
        let Ok(look) = look else { continue };
        match look.state {
            RelayState::Answers => return look,
            // Whoever is sent there waits.
            RelayState::Silent => worst = look,
            RelayState::Away if worst.state != RelayState::Silent => worst = look,
            RelayState::Away | RelayState::Unknown => {}
        }
    }
    worst
}

/// Looks at one address, in the clear.
pub async fn look_at(address: SocketAddr, limit: Duration) -> Look {
    let mut stream = match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
            return Look::silent("connection", limit);
        }
        Ok(Err(error)) => return Look::new(RelayState::Away, error),
        Err(_) => return Look::silent("connection", limit),
    };
    let greeting = match timeout(limit, greeting(&mut stream)).await {
        Ok(Ok(greeting)) => greeting,
        Ok(Err(error)) => return Look::new(RelayState::Away, error),
        Err(_) => return Look::silent("greeting", limit),
    };
    // How it takes that changes nothing.
    let _ = timeout(Duration::from_secs(1), async {
        stream.write_all(b"QUIT\r\n").await?;
        stream.read(&mut [0; 64]).await
    })
    .await;
    judged(&greeting)
}

/// Reads a greeting up to its last line.
async fn greeting(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut stream = stream.take(LONGEST);
    let mut buffer = [0; 512];
    loop {
        let length = stream.read(&mut buffer).await?;
        bytes.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&bytes);
        // `220-` goes on, `220 ` ends.
        let is_last = |line: &str| line.ends_with('\n') && line.as_bytes().get(3) != Some(&b'-');
        if length == 0 || text.split_inclusive('\n').any(is_last) {
            return Ok(text.into_owned());
        }
    }
}

fn judged(greeting: &str) -> Look {
    match greeting.trim() {
        "" => Look::new(RelayState::Away, "it ended the connection"),
        text if text.starts_with("220") => Look::new(RelayState::Answers, text),
        text => Look::new(RelayState::Away, text),
    }
}

/// With TLS from the first byte. That its certificate is wrong, say, delays nothing.
async fn look_in_secret(target: Target, address: SocketAddr, limit: Duration) -> Look {
    let looking = tokio::task::spawn_blocking(move || {
        let tls = parameters(&target).map_err(|why| Look::new(RelayState::Away, why))?;
        let hello = ClientId::Domain(target.hello.clone());
        let mut connection = SmtpConnection::connect(address, Some(limit), &hello, Some(&tls), None)
            .map_err(|error| {
                let timed_out = std::iter::successors(
                    std::error::Error::source(&error),
                    |cause: &&(dyn std::error::Error + 'static)| cause.source(),
                )
                .any(|cause| {
                    cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
                        matches!(error.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock)
                    })
                });
                match timed_out {
                    true => Look::silent("greeting", limit),
                    false => Look::new(RelayState::Away, error),
                }
            })?;
        let name = connection.server_info().name().to_owned();
        let _ = connection.set_timeout(Some(Duration::from_secs(1)));
        let _ = connection.quit();
        Ok(Look::new(RelayState::Answers, format!("it calls itself {name}")))
    });
    // The limit is one for each answer, and a server may answer bit by bit.
    match timeout(limit * 3, looking).await {
        Ok(Ok(Ok(look) | Err(look))) => look,
        Ok(Err(error)) => Look::new(RelayState::Unknown, error),
        Err(_) => Look::silent("greeting", limit * 3),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn target(port: u16, tls: RelayTls) -> Target {
        Target {
            host: "127.0.0.1".to_owned(),
            port,
            tls,
            ca: None,
            credentials: None,
            from: None,
            to: None,
            hello: "test.example".to_owned(),
        }
    }

    /// A server that says this to whoever connects, then waits until they leave; gives its port.
    fn server(says: &'static str, leaves: bool) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(says.as_bytes()).unwrap();
            if !leaves {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        port
    }

    #[tokio::test]
    async fn only_a_server_that_lets_others_wait_is_silent() {
        let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
        for (port, tls, limit, state, words) in [
            (server("220 mx ESMTP\r\n", false), RelayTls::Starttls, long, RelayState::Answers, "220 mx"),
            (server("220-mx\r\n220 hello\r\n", true), RelayTls::None, long, RelayState::Answers, "hello"),
            (server("421 not now\r\n", true), RelayTls::Starttls, long, RelayState::Away, "421 not now"),
            (server("", true), RelayTls::Starttls, long, RelayState::Away, "ended"),
            (server("", true), RelayTls::Implicit, long, RelayState::Away, ""),
            (refused, RelayTls::Starttls, long, RelayState::Away, "refused"),
            (server("", false), RelayTls::Starttls, short, RelayState::Silent, "no greeting"),
            (server("220-and so on\r\n", false), RelayTls::None, short, RelayState::Silent, "no greeting"),
            (server("", false), RelayTls::Implicit, short, RelayState::Silent, "no greeting"),
        ] {
            let look = look(&target(port, tls), limit).await;
            assert!(look.state == state && look.said.contains(words), "{tls:?} {words}: {look:?}");
        }
        let nowhere = Target { host: "relay.invalid".to_owned(), ..target(25, RelayTls::None) };
        assert_eq!(look(&nowhere, long).await.state, RelayState::Unknown);
    }
}
