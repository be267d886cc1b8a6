//! Connections over a server's socket, as the administrator.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::CallError;
use tokio_postgres::{Client, NoTls};

use crate::environment::Database;

/// A server that listens on a socket of this node.
#[derive(Clone, Debug)]
pub struct Server {
    /// Folder of its socket.
    pub socket_dir: PathBuf,
    /// Names the socket in it.
    pub port: u16,
    /// The administrator's role.
    pub superuser: String,
}

impl Server {
    /// The live server of a database node.
    pub fn of(config: &Database) -> Self {
        Self { socket_dir: config.socket_dir.clone(), port: config.port, superuser: config.superuser.clone() }
    }

    /// Connects to one database. Sessions never wait long for a lock: a copy that stopped before a COMMIT holds the
    /// locks of that transaction for ever.
    pub async fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::Config::new()
            .host_path(&self.socket_dir)
            .port(self.port)
            .user(&self.superuser)
            .dbname(database)
            .application_name("orocloud-agent")
            .connect_timeout(Duration::from_secs(5))
            .options("-c lock_timeout=2000 -c idle_in_transaction_session_timeout=60000")
            .connect(NoTls)
            .await?;
        // Ends with the client; what goes wrong in it, the client's queries say too.
        tokio::spawn(connection);
        Ok(client)
    }

    /// [`Server::connect`], with an error that says where to.
    pub async fn must_connect(&self, database: &str) -> Result<Client, CallError> {
        self.connect(database).await.map_err(|error| {
            let why = explained(&error);
            // All that a server says to a new session on a disk without a single free block.
            let full = why.contains("could not write init file");
            let error = CallError::failed(format!(
                "the database {database} cannot be connected to at {}",
                self.socket_dir.display()
            ))
            .because(why);
            match full {
                true => error
                    .because("No space left on device, most likely: a session begins with a small file")
                    .hint("see how full the disks are: orocloud-cli status"),
                false => error,
            }
        })
    }
}

/// The server's own message where there is one: the library's says "db error".
pub(crate) fn explained(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => db.message().to_owned(),
        None => {
            use std::error::Error;
            error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        }
    }
}

/// A query's failure as an error of the call.
pub(crate) fn failed(what: &str) -> impl Fn(tokio_postgres::Error) -> CallError + '_ {
    move |error| CallError::failed(format!("{what} failed")).because(explained(&error))
}

/// A timestamp that was selected as microseconds since the epoch.
pub fn timestamp_of(microseconds: Option<i64>) -> Option<Timestamp> {
    microseconds.and_then(|us| Timestamp::from_microsecond(us).ok())
}
