//! Where an application sends its mail, as Symfony's mailer is told it.

/// The application's variable for it.
pub const VARIABLE: &str = "ORO_MAILER_DSN";

/// The server that takes the application's mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Reads `smtp://HOST:PORT`. The error never shows the text, which may hold a password.
pub fn server(dsn: &str) -> Result<Server, String> {
    let strange = || "is nothing like smtp://HOST:PORT".to_owned();
    let (scheme, rest) = dsn.split_once("://").ok_or_else(strange)?;
    if scheme != "smtp" {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let is_plain = !scheme.is_empty() && scheme.len() <= 40 && scheme.chars().all(plain);
        return Err(if is_plain { format!("is for {scheme}, not for smtp") } else { strange() });
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A password may hold anything; behind the last @ is the host.
    let place = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').or(port.is_empty().then_some(""))),
        None => place.split_once(':').map_or((place, Some("")), |(host, port)| (host, Some(port))),
    };
    let port = match port.ok_or_else(strange)? {
        "" => 25,
        port => port.parse().ok().filter(|port| *port != 0).ok_or_else(strange)?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return Err(strange());
    }
    Ok(Server { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_read_and_a_password_is_never_shown() {
        for (dsn, host, port) in [
            ("smtp://mail1:2525", "mail1", 2525),
            ("smtp://127.18.1.8:2525?verify_peer=0", "127.18.1.8", 2525),
            ("smtp://mail1", "mail1", 25),
            ("smtp://mail1/", "mail1", 25),
            ("smtp://user:se@cret@mail1:25", "mail1", 25),
            ("smtp://[::1]:25", "::1", 25),
            ("smtp://[::1]", "::1", 25),
        ] {
            assert_eq!(server(dsn), Ok(Server { host: host.to_owned(), port }), "{dsn}");
        }
        for (dsn, expected) in [
            ("sendgrid+api://secret@default", "sendgrid+api"),
            ("native://default", "native"),
            ("failover(smtp://a:secret@b smtp://c)", "nothing like"),
            ("secret", "nothing like"),
            ("smtp://", "nothing like"),
            ("smtp://user:secret@:25", "nothing like"),
            ("smtp://mail1:secret", "nothing like"),
            ("smtp://mail1:0", "nothing like"),
            ("smtp://[::1]secret", "nothing like"),
            ("smtp://ma il1", "nothing like"),
        ] {
            let error = server(dsn).unwrap_err();
            assert!(error.contains(expected) && !error.contains("secret"), "{dsn}: {error}");
        }
    }
}
