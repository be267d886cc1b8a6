//! `sandbox.json`: what somebody who finds a running sandbox has to know. Written last.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::blueprint::Blueprint;
use crate::error::{Context, Error, Result};
use crate::hosts::{Addresses, ENVIRONMENT};
use crate::layout::Layout;

/// The format of the file.
const FORMAT: u32 = 1;

/// What stands in `sandbox.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// The file's format.
    pub format: u32,
    /// Name of the environment.
    pub environment: String,
    /// The top process.
    pub pid: u32,
    /// Where its hosts are.
    pub addresses: Addresses,
    /// Account to sign in to.
    pub login: String,
    /// The shop through the load balancer.
    pub shop_url: String,
    /// The shop's database, with the application's account.
    pub database_url: String,
    /// Every host.
    pub hosts: Vec<HostDescription>,
}

/// One host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostDescription {
    /// Short name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its ports.
    pub ports: Vec<u16>,
}

impl Description {
    /// Describes the sandbox of this process.
    pub fn of(blueprint: &Blueprint) -> Result<Self> {
        Ok(Self {
            format: FORMAT,
            environment: ENVIRONMENT.to_owned(),
            pid: std::process::id(),
            addresses: blueprint.addresses,
            login: blueprint.login()?,
            shop_url: blueprint.shop_url(),
            database_url: blueprint.database_url(),
            hosts: blueprint
                .hosts()
                .map(|host| HostDescription {
                    name: host.name.to_owned(),
                    address: blueprint.addresses.public(host).to_string(),
                    ports: host.ports.to_vec(),
                })
                .collect(),
        })
    }

    /// Reads the description of a sandbox that has come up.
    pub fn read(layout: &Layout) -> Result<Self> {
        let path = layout.description();
        let text = fs::read_to_string(&path).map_err(|error| {
            Error::new(format!(
                "no sandbox runs in {} ({error})\nHint: cargo xtask sandbox up --dir {0}",
                layout.root.display()
            ))
        })?;
        let description: Self =
            serde_json::from_str(&text).context(|| format!("cannot read {}", path.display()))?;
        if description.format != FORMAT {
            return Err(Error::new(format!(
                "{} has format {}, this program reads {FORMAT}",
                path.display(),
                description.format
            )));
        }
        Ok(description)
    }
}
