//! `[[authority]]` of `agent.toml`: whose certificates are believed, where, and for how much.

use std::path::{Path, PathBuf};

use orocloud_protocol::{Role, Scope};
use serde::{Deserialize, Deserializer};
use ssh_key::PublicKey;
use toml::Spanned;

/// Whose certificates are believed, where, and for how much.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Whether it signs people or nodes.
    pub kind: AuthorityKind,
    /// One line of OpenSSH's public key format.
    #[serde(deserialize_with = "public_key")]
    public_key: Spanned<PublicKey>,
    /// The environments it may vouch for.
    #[serde(deserialize_with = "scopes")]
    pub environments: Vec<Scope>,
    /// The highest role it may vouch for.
    #[serde(default = "Authority::every_role")]
    pub highest_role: Role,
    /// Serial numbers, key ids or `SHA256:` fingerprints that are believed no longer, one a line.
    pub revoked_keys_file: Option<PathBuf>,
}

impl Authority {
    /// The key with which it signs.
    pub fn key(&self) -> &PublicKey {
        self.public_key.get_ref()
    }

    fn every_role() -> Role {
        Role::Owner
    }
}

/// Whom an authority signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorityKind {
    /// People and pipelines.
    User,
    /// The coordinator and the hosts.
    Node,
}

/// Refuses a key that has two sections: which of them holds, what it may vouch for, and whose list of revoked
/// certificates counts would depend on their order.
pub(super) fn are_distinct(authorities: &[Authority], path: &Path, text: &str) -> Result<(), String> {
    let line_of = |authority: &Authority| {
        let start = authority.public_key.span().start.min(text.len());
        text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1
    };
    for (index, second) in authorities.iter().enumerate() {
        let first =
            authorities[..index].iter().find(|first| first.key().key_data() == second.key().key_data());
        if let Some(first) = first {
            return Err(format!(
                "{}: lines {} and {}: two [[authority]] sections have the same public_key; make one of them, with the environments of both",
                path.display(),
                line_of(first),
                line_of(second),
            ));
        }
    }
    Ok(())
}

fn public_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<PublicKey>, D::Error> {
    let text = Spanned::<String>::deserialize(deserializer)?;
    let key = PublicKey::from_openssh(text.get_ref()).map_err(|error| {
        serde::de::Error::custom(format!("expected a public key like `ssh-ed25519 AAAA…`: {error}"))
    })?;
    Ok(Spanned::new(text.span(), key))
}

fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        authority: Vec<Authority>,
    }

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn section(key: &str, environment: &str) -> String {
        format!(
            "[[authority]]\nkind = \"user\"\npublic_key = \"{key}\"\nenvironments = [\"{environment}\"]\n\n"
        )
    }

    #[test]
    fn a_key_has_one_section() {
        let check = |text: &str| {
            let file: File = toml::from_str(text).unwrap();
            are_distinct(&file.authority, Path::new("/etc/orocloud/agent.toml"), text)
        };
        check(&format!("{}{}", section(ONE, "acme-*"), section(TWO, "acme-*"))).unwrap();
        // A comment makes no other key of it.
        let twice =
            [section(ONE, "acme-*"), section(TWO, "acme-*"), section(&format!("{ONE} ann"), "other-*")];
        let error = check(&twice.concat()).unwrap_err();
        assert!(error.starts_with("/etc/orocloud/agent.toml: lines 3 and 13: two [[authority]]"), "{error}");
    }

    #[test]
    fn what_is_no_key_is_named_with_its_line() {
        let text = format!("{}{}", section(ONE, "acme-*"), section("ssh-ed25519 AAAA", "acme-*"));
        let error = toml::from_str::<File>(&text).unwrap_err().to_string();
        assert!(error.contains("line 8") && error.contains("expected a public key"), "{error}");
    }
}
