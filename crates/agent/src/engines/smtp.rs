//! The SMTP server that takes the agent's own mail: one message for one recipient a conversation, so that what the server
//! said is true of that recipient.

use std::time::Duration;

use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, CertificateStore, SmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use crate::environment::{MailServer, MailTls};

/// So long each answer may take, the connection too.
const ANSWER: Duration = Duration::from_secs(30);

/// So long the server may think about a message that it has: who leaves earlier sends it twice (RFC 5321, 4.5.3.2.6).
const TAKING: Duration = Duration::from_secs(600);

/// No longer texts of a server are kept.
const LONGEST: usize = 300;

/// Sends a message, and returns when the server has taken it. `hello` is this node's name. The error never holds the
/// password. Blocks.
pub fn send(
    server: &MailServer,
    hello: &str,
    from: &Address,
    to: &Address,
    message: &[u8],
) -> Result<(), String> {
    let credentials = server.credentials()?;
    let tls = match server.tls {
        MailTls::None => None,
        MailTls::Starttls | MailTls::Implicit => Some(tls(server)?),
    };
    let hello = ClientId::Domain(hello.to_owned());
    let (host, port) = (server.host.as_str(), server.port());
    let at = |what: &str, error: Error| format!("{host}:{port}: {what}{}", said(&error));
    let implicit = tls.as_ref().filter(|_| server.tls == MailTls::Implicit);
    let mut connection = SmtpConnection::connect((host, port), Some(ANSWER), &hello, implicit, None)
        .map_err(|error| at("", error))?;
    if let Some(tls) = tls.as_ref().filter(|_| server.tls == MailTls::Starttls) {
        if !connection.can_starttls() {
            connection.abort();
            return Err(format!("{host}:{port}: the server offers no STARTTLS"));
        }
        connection.starttls(tls, &hello).map_err(|error| at("STARTTLS: ", error))?;
    }
    if let Some((user, password)) = credentials {
        let credentials = Credentials::new(user.to_owned(), password);
        // A server could repeat what it was told, so only its code is kept.
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).map_err(|error| {
            let code = error.status().map_or_else(String::new, |code| format!(" ({code})"));
            format!("{host}:{port}: signing in as {user:?} failed{code}")
        })?;
    }
    connection.set_timeout(Some(TAKING)).map_err(|error| format!("{host}:{port}: {error}"))?;
    let envelope = Envelope::new(Some(from.clone()), vec![to.clone()]).map_err(|error| error.to_string())?;
    connection.send(&envelope, message).map_err(|error| at("", error))?;
    // It is taken; how the server says goodbye changes nothing.
    let _ = connection.set_timeout(Some(Duration::from_secs(5)));
    let _ = connection.quit();
    Ok(())
}

fn tls(server: &MailServer) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(server.host.clone());
    if let Some(path) = &server.ca_file {
        let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
        let authority = Certificate::from_pem(&pem).map_err(|error| wrong(&error))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    builder.build().map_err(|error| format!("no TLS to {}: {}", server.host, said(&error)))
}

/// The error and what it comes from, as one line.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}
