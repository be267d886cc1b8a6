//! OpenDKIM: which key signs for which domain, and how Postfix hands it what to sign.
//!
//! Its two tables lie in the configuration that Postfix runs by, so that one switch is one for both.

use std::path::Path;

use orocloud_protocol::node::SigningKey;

use crate::environment::Signer;

/// What it calls a key, and the three things that it has to know of each.
pub const KEY_TABLE: &str = "key_table";

/// Which senders a key is for.
pub const SIGNING_TABLE: &str = "signing_table";

/// Both tables, by file.
pub fn tables(signer: &Signer, keys: &[SigningKey]) -> [(&'static str, String); 2] {
    let name = |key: &SigningKey| format!("{}._domainkey.{}", key.selector, key.domain);
    let line = |key: &SigningKey| {
        let SigningKey { domain, selector, .. } = key;
        format!("{} {domain}:{selector}:{}\n", name(key), signer.private_key(domain, selector).display())
    };
    let senders = |key: &SigningKey| format!("*@{} {}\n", key.domain, name(key));
    [(KEY_TABLE, keys.iter().map(line).collect()), (SIGNING_TABLE, keys.iter().map(senders).collect())]
}

/// What Postfix is told of it. While it is down mail leaves unsigned: most of it arrives all the same, by SPF, and the
/// application, which would have to try again, is not known to.
pub fn main_cf(socket: &Path, keys: &[SigningKey]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    format!(
        "smtpd_milters = unix:{}\nmilter_default_action = accept\nmilter_protocol = 6\n",
        socket.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_domain_signs_with_its_own_key() {
        let signer = Signer {
            service: "opendkim".parse().unwrap(),
            socket: "/run/signer/socket".into(),
            keys: "/state/dkim".into(),
            rotate_after_days: 180,
        };
        let key = |domain: &str, selector: &str| SigningKey {
            domain: domain.parse().unwrap(),
            selector: selector.parse().unwrap(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        let keys = [key("a.example", "mail1-20261129"), key("b.example", "mail1-20261130")];
        let [(_, table), (_, senders)] = tables(&signer, &keys);
        assert_eq!(
            table.lines().next(),
            Some(
                "mail1-20261129._domainkey.a.example a.example:mail1-20261129:/state/dkim/a.example/mail1-20261129.pem"
            )
        );
        assert_eq!(senders.lines().last(), Some("*@b.example mail1-20261130._domainkey.b.example"));
        assert!(main_cf(&signer.socket, &keys).contains("unix:/run/signer/socket\n"));
        assert_eq!(main_cf(&signer.socket, &[]), "");
    }
}
