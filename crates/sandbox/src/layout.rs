//! Where everything lies in the folder of a sandbox.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The folder of a sandbox.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The folder itself.
    pub root: PathBuf,
}

/// Unix sockets have names of at most 107 bytes; the longest one here (HAProxy's, with the suffix it appends while
/// it binds) needs this much beside the folder's own name.
const LONGEST_FOLDER: usize = 60;

impl Layout {
    /// The folder's name ends up unquoted in many programs' configuration, so only plain characters are taken.
    pub fn new(root: &Path) -> Result<Self> {
        let text = root.to_str().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
        if !root.is_absolute() || text.is_empty() || !text.chars().all(plain) {
            return Err(Error::new(format!(
                "a sandbox folder must be an absolute path of letters, digits and / . _ - +, not {}",
                root.display()
            )));
        }
        if text.len() > LONGEST_FOLDER {
            return Err(Error::new(format!(
                "the path of a sandbox folder may have {LONGEST_FOLDER} characters (names of sockets are limited), this one has {}: {text}",
                text.len()
            )));
        }
        Ok(Self { root: root.to_owned() })
    }

    /// A program of ours, copied here because other accounts cannot enter everybody's build folder.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// Authorities and host keys.
    pub fn ca(&self) -> PathBuf {
        self.root.join("ca")
    }

    /// Keys and certificates of callers.
    pub fn callers(&self) -> PathBuf {
        self.root.join("callers")
    }

    /// The configuration of the jump host.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The git remote, its deploy key and known hosts.
    pub fn git(&self) -> PathBuf {
        self.root.join("git")
    }

    /// Backup repositories.
    pub fn repository(&self, name: &str) -> PathBuf {
        self.root.join("repository").join(name)
    }

    /// The clustered file system.
    pub fn media(&self) -> PathBuf {
        self.root.join("media")
    }

    /// Written last, when everything runs.
    pub fn description(&self) -> PathBuf {
        self.root.join("sandbox.json")
    }

    /// Written first: whoever removes the folder looks for it.
    pub fn marker(&self) -> PathBuf {
        self.root.join(".orocloud-sandbox")
    }

    /// Where the top process takes orders such as `kill web1`.
    pub fn control_socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// What the top process has to say once nobody reads its output any more.
    pub fn log(&self) -> PathBuf {
        self.root.join("sandbox.log")
    }

    /// The folder of one host.
    pub fn node(&self, name: &str) -> NodeLayout {
        NodeLayout { root: self.root.join("nodes").join(name) }
    }
}

/// The folder of one host.
#[derive(Debug, Clone)]
pub struct NodeLayout {
    /// The folder itself.
    pub root: PathBuf,
}

impl NodeLayout {
    /// Configuration.
    pub fn etc(&self, file: &str) -> PathBuf {
        self.root.join("etc").join(file)
    }

    /// Sockets and pid files; emptied at every boot of the node.
    pub fn run(&self, file: &str) -> PathBuf {
        self.root.join("run").join(file)
    }

    /// Logs.
    pub fn log(&self, file: &str) -> PathBuf {
        self.root.join("log").join(file)
    }

    /// The agent's own state.
    pub fn state(&self, file: &str) -> PathBuf {
        self.root.join("state").join(file)
    }

    /// What the node's init process is to run.
    pub fn boot(&self) -> PathBuf {
        self.etc("boot.json")
    }

    /// The service manager's socket.
    pub fn supervisor_socket(&self) -> PathBuf {
        self.run("supervisor.sock")
    }

    /// The agent's socket for sshd's bridge.
    pub fn session_socket(&self) -> PathBuf {
        self.run("session.sock")
    }

    /// `app_root` of a web node.
    pub fn application(&self, file: &str) -> PathBuf {
        if file.is_empty() { self.root.join("app") } else { self.root.join("app").join(file) }
    }

    /// The database cluster of a db node.
    pub fn cluster(&self) -> PathBuf {
        self.root.join("lib/postgresql/15/main")
    }
}
