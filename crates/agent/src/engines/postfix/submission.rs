//! Postfix's own ear: the port on which it takes the application's mail.

use std::net::ToSocketAddrs;
use std::time::Duration;

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::transport::smtp::client::SmtpConnection;
use lettre::transport::smtp::commands::{Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;

/// So long each answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// A message for a test.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it is known by: the operation.
    pub id: String,
    /// The node that sends it.
    pub node: String,
    /// The environment's name.
    pub environment: String,
    /// Who sends it.
    pub from: Address,
    /// Who gets it.
    pub to: Address,
}

/// Whether a message would be taken, as far as its recipient: that needs the parts that look up where it goes.
pub async fn look(listens: impl ToSocketAddrs + Send + 'static, hello: &str) -> Result<(), String> {
    blocking(listens, hello, |mut connection| {
        // A reserved name (RFC 2606): nobody gets anything.
        let nobody: Address = "postmaster@orocloud.invalid".parse().map_err(text)?;
        connection.command(Mail::new(None, Vec::new())).map_err(text)?;
        connection.command(Rcpt::new(nobody, Vec::new())).map_err(text)?;
        connection.command(Rset).map_err(text)?;
        let _ = connection.quit();
        Ok(())
    })
    .await
}

/// Sends a message; gives Postfix's id of it.
pub async fn send(
    listens: impl ToSocketAddrs + Send + 'static,
    hello: &str,
    message: Message,
) -> Result<String, String> {
    blocking(listens, hello, move |mut connection| {
        let Message { id, node, environment, from, to } = message;
        let envelope = Envelope::new(Some(from.clone()), vec![to.clone()]).map_err(text)?;
        let mail = lettre::Message::builder()
            .from(Mailbox::new(None, from))
            .to(Mailbox::new(None, to))
            .message_id(Some(format!("<{}.{node}@{environment}.orocloud>", id.to_lowercase())))
            .subject(format!("Test of mail from {environment}, {node}"))
            .body(format!("Somebody asked {node} for this message with orocloud-cli smtp:test ({id}).\n"))
            .map_err(text)?;
        let answer = connection.send(&envelope, &mail.formatted()).map_err(text)?;
        let _ = connection.quit();
        let said = answer.message().collect::<Vec<_>>().join(" ");
        queue_id(&said).ok_or_else(|| format!("it names no id: {said}"))
    })
    .await
}

/// `2.0.0 Ok: queued as 4cPq2k0Yx1z1`
fn queue_id(said: &str) -> Option<String> {
    let id = said.split_once("queued as ")?.1.trim();
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| id.to_owned())
}

async fn blocking<T: Send + 'static>(
    listens: impl ToSocketAddrs + Send + 'static,
    hello: &str,
    deed: impl FnOnce(SmtpConnection) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let hello = ClientId::Domain(hello.to_owned());
    let task = tokio::task::spawn_blocking(move || {
        let connection = SmtpConnection::connect(listens, Some(ANSWER), &hello, None, None).map_err(text)?;
        deed(connection)
    });
    task.await.map_err(text)?
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_read_from_the_answer() {
        assert_eq!(queue_id("2.0.0 Ok: queued as 4cPq2k0Yx1z1").as_deref(), Some("4cPq2k0Yx1z1"));
        assert_eq!(queue_id("2.0.0 Ok: queued as "), None);
        assert_eq!(queue_id("2.0.0 taken"), None);
    }
}
