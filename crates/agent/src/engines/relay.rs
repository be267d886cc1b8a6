//! An upstream SMTP server tried stage by stage, as Postfix would talk to it, without sending anything: the first stage
//! that goes wrong is named, in the server's own words.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, CertificateStore, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use orocloud_protocol::smtp::{RelayTls, Stage, TriedStage};

/// So long all stages together may take; a person waits.
pub const LIMIT: Duration = Duration::from_secs(12);

const NO_ANSWER: &str = "no answer within";

/// No longer texts of a server are kept.
const LONGEST: usize = 300;

/// Who is tried, and with what.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name or address; with TLS its certificate must be for this.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: RelayTls,
    /// The only authorities that are believed, in PEM; without any those that browsers believe.
    pub ca: Option<String>,
    /// User and password.
    pub credentials: Option<(String, orocloud_protocol::Secret)>,
    /// The sender; without one it is tried no further than signing in.
    pub from: Option<Address>,
    /// The recipient; without one it is tried no further than the sender.
    pub to: Option<Address>,
    /// Who we say we are.
    pub hello: String,
}

/// The stage that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which.
    pub stage: Stage,
    /// Why.
    pub said: String,
}

impl Failed {
    /// Whether it let us wait.
    pub fn is_silence(&self) -> bool {
        self.said.contains(NO_ANSWER)
    }
}

/// Tries it, for at most `limit`.
pub async fn try_stages(target: Target, limit: Duration) -> Result<Vec<TriedStage>, Failed> {
    let stage = Arc::new(Mutex::new(Stage::Dns));
    let seen = Arc::clone(&stage);
    let trying = tokio::task::spawn_blocking(move || {
        let (began, until) = (Instant::now(), Instant::now() + limit);
        Trial { target: &target, stage: &seen, stages: Vec::new(), began, until }.run()
    });
    let at = |said: String| {
        let stage = *stage.lock().unwrap_or_else(PoisonError::into_inner);
        Failed { stage, said }
    };
    // The system's resolver knows no limit of ours, and a server may answer bit by bit.
    match tokio::time::timeout(limit + Duration::from_secs(1), trying).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(at(format!("a fault of the agent: {error}"))),
        Err(_) => Err(at(no_answer(limit))),
    }
}

fn no_answer(limit: Duration) -> String {
    format!("{NO_ANSWER} {} s", limit.as_secs())
}

struct Trial<'a> {
    target: &'a Target,
    stage: &'a Mutex<Stage>,
    stages: Vec<TriedStage>,
    began: Instant,
    until: Instant,
}

impl Trial<'_> {
    fn run(mut self) -> Result<Vec<TriedStage>, Failed> {
        let target = self.target;
        let addresses = self.dns()?;
        let address = self.tcp(&addresses)?;
        let tls = match target.tls {
            RelayTls::None => None,
            RelayTls::Starttls | RelayTls::Implicit => {
                Some(parameters(target).map_err(|said| Failed { stage: Stage::Tls, said })?)
            }
        };
        let mut connection = self.greeting(address, tls.as_ref())?;
        if let Some(tls) = tls.as_ref().filter(|_| target.tls == RelayTls::Starttls) {
            self.starttls(&mut connection, tls)?;
        }
        if let Some((user, password)) = &target.credentials {
            self.auth(&mut connection, user, password.expose())?;
        }
        if let Some(from) = &target.from {
            let answer = self.command(Stage::Mail, &mut connection, |connection| {
                connection.command(Mail::new(Some(from.clone()), Vec::new()))
            })?;
            self.went_well(Stage::Mail, words(&answer));
            if let Some(to) = &target.to {
                let answer = self.command(Stage::Rcpt, &mut connection, |connection| {
                    connection.command(Rcpt::new(to.clone(), Vec::new()))
                })?;
                self.went_well(Stage::Rcpt, words(&answer));
            }
            // Nothing was sent; how the server takes that changes nothing.
            let _ = connection.set_timeout(Some(Duration::from_secs(1)));
            let _ = connection.command(Rset);
        }
        let _ = connection.set_timeout(Some(Duration::from_secs(1)));
        let _ = connection.quit();
        Ok(self.stages)
    }

    fn enter(&mut self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        self.began = Instant::now();
    }

    fn went_well(&mut self, stage: Stage, said: String) {
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.stages.push(TriedStage { stage, said, took_ms });
    }

    /// What is left of the time; never nothing, which would mean without limit.
    fn rest(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    fn dns(&mut self) -> Result<Vec<SocketAddr>, Failed> {
        self.enter(Stage::Dns);
        let Target { host, port, .. } = self.target;
        let failed = |said: String| Failed { stage: Stage::Dns, said };
        let addresses: Vec<SocketAddr> = (host.as_str(), *port)
            .to_socket_addrs()
            .map_err(|error| failed(format!("{host} has no address: {error}")))?
            .collect();
        let texts: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        if texts.is_empty() {
            return Err(failed(format!("{host} has no address")));
        }
        self.went_well(Stage::Dns, texts.join(", "));
        Ok(addresses)
    }

    /// A connection of its own: of one that lettre makes nobody can tell whether it or the greeting failed.
    /// Gives the first address that takes one.
    fn tcp(&mut self, addresses: &[SocketAddr]) -> Result<SocketAddr, Failed> {
        self.enter(Stage::Tcp);
        let mut said = String::new();
        for (at, address) in addresses.iter().enumerate() {
            // One that takes no connection leaves time for the others.
            let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            match TcpStream::connect_timeout(address, self.rest() / left) {
                Ok(_) => {
                    self.went_well(Stage::Tcp, format!("{address} takes connections"));
                    return Ok(*address);
                }
                Err(error) if is_timeout(&error) => said = format!("{address}: {}", self.silence()),
                Err(error) => said = format!("{address}: {error}"),
            }
        }
        Err(Failed { stage: Stage::Tcp, said })
    }

    fn greeting(
        &mut self,
        address: SocketAddr,
        tls: Option<&TlsParameters>,
    ) -> Result<SmtpConnection, Failed> {
        let implicit = tls.filter(|_| self.target.tls == RelayTls::Implicit);
        // The greeting comes in the first secret bytes.
        let stage = if implicit.is_some() { Stage::Tls } else { Stage::Greeting };
        self.enter(stage);
        let hello = ClientId::Domain(self.target.hello.clone());
        let connection = SmtpConnection::connect(address, Some(self.rest()), &hello, implicit, None)
            .map_err(|error| self.failed(stage, &error))?;
        if implicit.is_some() {
            self.went_well(Stage::Tls, format!("its certificate is that of {}", self.target.host));
        }
        let name = connection.server_info().name().to_owned();
        self.went_well(Stage::Greeting, format!("it calls itself {}", plain(&name)));
        Ok(connection)
    }

    fn starttls(&mut self, connection: &mut SmtpConnection, tls: &TlsParameters) -> Result<(), Failed> {
        if !connection.can_starttls() {
            connection.abort();
            return Err(Failed { stage: Stage::Tls, said: "it offers no STARTTLS".to_owned() });
        }
        let hello = ClientId::Domain(self.target.hello.clone());
        self.command(Stage::Tls, connection, |connection| connection.starttls(tls, &hello))?;
        self.went_well(Stage::Tls, format!("its certificate is that of {}", self.target.host));
        Ok(())
    }

    fn auth(&mut self, connection: &mut SmtpConnection, user: &str, password: &str) -> Result<(), Failed> {
        let offered = [Mechanism::Plain, Mechanism::Login];
        let is_offered = |mechanism: &Mechanism| connection.server_info().supports_auth_mechanism(*mechanism);
        if !offered.iter().any(is_offered) {
            connection.abort();
            return Err(Failed {
                stage: Stage::Auth,
                said: "it offers neither AUTH PLAIN nor LOGIN".to_owned(),
            });
        }
        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        let answer = self
            .command(Stage::Auth, connection, |connection| connection.auth(&offered, &credentials))
            .map_err(|failed| Failed { said: without_secret(&failed.said, user, password), ..failed })?;
        self.went_well(Stage::Auth, without_secret(&words(&answer), user, password));
        Ok(())
    }

    fn command<T>(
        &mut self,
        stage: Stage,
        connection: &mut SmtpConnection,
        deed: impl FnOnce(&mut SmtpConnection) -> Result<T, lettre::transport::smtp::Error>,
    ) -> Result<T, Failed> {
        self.enter(stage);
        connection
            .set_timeout(Some(self.rest()))
            .map_err(|error| Failed { stage, said: plain(&error.to_string()) })?;
        deed(connection).map_err(|error| self.failed(stage, &error))
    }

    fn silence(&self) -> String {
        no_answer(self.began.elapsed())
    }

    fn failed(&self, stage: Stage, error: &lettre::transport::smtp::Error) -> Failed {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            if inner.downcast_ref::<std::io::Error>().is_some_and(is_timeout) {
                return Failed { stage, said: self.silence() };
            }
            text = inner.to_string();
            cause = inner.source();
        }
        // The words of the server, without what lettre puts before them, but with their code.
        let said = match error.status() {
            Some(code) => format!("{code} {text}"),
            None if text.contains("incomplete response") => "it ended the connection".to_owned(),
            None => text,
        };
        Failed { stage, said: certificate_in_words(&plain(&said)) }
    }
}

/// On a socket with a limit for answers, "would block" says that the limit is over.
fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock)
}

/// What rustls says by the names of its values.
fn certificate_in_words(text: &str) -> String {
    for (name, words) in [
        (
            "UnknownIssuer",
            "its certificate comes from an authority that is not believed (--ca-file names one)",
        ),
        ("CaUsedAsEndEntity", "its certificate is signed by itself"),
        ("NotValidForName", "its certificate is for another name"),
        ("not valid for", "its certificate is for another name"),
        ("Expired", "its certificate has expired"),
        ("certificate expired", "its certificate has expired"),
        ("NotValidYet", "its certificate is not valid yet"),
        ("not valid yet", "its certificate is not valid yet"),
        ("InvalidContentType", "it does not speak TLS on this port"),
    ] {
        if text.contains(name) {
            return format!("{words}: {text}");
        }
    }
    text.to_owned()
}

pub(super) fn parameters(target: &Target) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(target.host.clone());
    if let Some(pem) = &target.ca {
        let authority = Certificate::from_pem(pem.as_bytes())
            .map_err(|error| format!("its authority cannot be read: {error}"))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    builder.build().map_err(|error| error.to_string())
}

/// Whether authorities can be read from this.
pub fn is_readable(pem: &str) -> bool {
    pem.contains("-----BEGIN CERTIFICATE-----") && Certificate::from_pem(pem.as_bytes()).is_ok()
}

/// A server could repeat what it was told.
fn without_secret(text: &str, user: &str, password: &str) -> String {
    let plain = STANDARD.encode(format!("\0{user}\0{password}"));
    [plain.as_str(), &STANDARD.encode(password), password]
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

fn words(response: &Response) -> String {
    plain(&format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" ")))
}

pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect::<String>()
        .trim()
        .to_owned()
}
