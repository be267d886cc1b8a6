//! Who may do what: roles of callers, the principals that carry them, roles of nodes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::{EnvironmentName, InvalidName};

/// What a caller may do; each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees.
    Viewer,
    /// Deploys, upgrades, backs up.
    Developer,
    /// Restores, switches maintenance mode, sets up mail.
    Operator,
    /// Secrets, credentials, disaster recovery.
    Owner,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Developer, Self::Operator, Self::Owner];

    /// The word in principals and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| InvalidName::new("role", text, "viewer, developer, operator or owner"))
    }
}

/// Which environments a principal or an authority speaks of: `acme-prod1`, `acme-*` or `*`; no other glob,
/// because sshd compares principals literally.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One environment.
    Environment(EnvironmentName),
    /// Every environment of a project.
    Project(String),
    /// Every environment.
    Everything,
}

impl Scope {
    /// Whether `environment` of `project` lies inside.
    pub fn covers(&self, environment: &EnvironmentName, project: &str) -> bool {
        match self {
            Self::Environment(name) => name == environment,
            Self::Project(name) => name == project,
            Self::Everything => true,
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        match text.strip_suffix("-*") {
            Some(project) => {
                EnvironmentName::from_str(project)?;
                Ok(Self::Project(project.to_owned()))
            }
            None => text.parse().map(Self::Environment),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => name.fmt(f),
            Self::Project(project) => write!(f, "{project}-*"),
            Self::Everything => f.write_str("*"),
        }
    }
}

/// `role@scope` in a user certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// What its holder may do …
    pub role: Role,
    /// … and where.
    pub scope: Scope,
}

impl FromStr for Principal {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (role, scope) = text
            .split_once('@')
            .ok_or_else(|| InvalidName::new("principal", text, "of the form role@environment"))?;
        Ok(Self { role: role.parse()?, scope: scope.parse()? })
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.role, self.scope)
    }
}

/// What a node of an environment is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the glossary of docs/architecture.md explains them")]
pub enum NodeRole {
    Maint,
    Web,
    Job,
    Db,
    Search,
    Queue,
    Cache,
    Mail,
    File,
    Lb,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_have_three_forms_and_no_other() {
        for (text, environment, covered) in [
            ("viewer@acme-prod1", "acme-prod1", true),
            ("viewer@acme-prod1", "acme-prod2", false),
            ("viewer@acme-*", "acme-prod2", true),
            ("viewer@acme-*", "acmex-prod2", false),
            ("owner@*", "other-stag1", true),
        ] {
            let principal: Principal = text.parse().unwrap();
            let environment: EnvironmentName = environment.parse().unwrap();
            assert_eq!(
                principal.scope.covers(&environment, environment.project()),
                covered,
                "{text} {environment}"
            );
            assert_eq!(principal.to_string(), text);
        }
        for text in
            ["viewer", "root@acme-prod1", "viewer@", "viewer@acme-p*", "viewer@*-prod1", "viewer@a b", "@*"]
        {
            assert!(text.parse::<Principal>().is_err(), "{text}");
        }
    }
}
