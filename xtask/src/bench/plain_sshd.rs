//! A node's sshd once more, but one that runs what it is asked to: for what ours is compared with.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orocloud_sandbox::{ENVIRONMENT, Sandbox};
use tempfile::TempDir;

use super::Result;

/// The port it listens on, at the node's own address.
const PORT: u16 = 2223;

/// Options of an OpenSSH client that is as fast as it gets.
const TUNED: &[&str] = &[
    "KexAlgorithms=curve25519-sha256",
    "Ciphers=aes128-gcm@openssh.com",
    "PreferredAuthentications=publickey",
];

/// A node's address behind its relay.
pub fn real_address(sandbox: &Sandbox, node: &str, port: u16) -> Result<SocketAddr> {
    let public: std::net::Ipv4Addr = sandbox.node(node)?.address().parse()?;
    let [a, b, c, d] = public.octets();
    Ok(SocketAddr::from(([a, b, c, d + 100], port)))
}

/// Who signs in, with a key that the accounts of the nodes may read too.
pub struct Login {
    folder: TempDir,
    pub user: String,
}

impl Login {
    /// The caller `owner`, as the account of all calls.
    pub fn new(sandbox: &Sandbox) -> Result<Self> {
        let owner = sandbox.caller("owner");
        let config = fs::read_to_string(sandbox.config_for(&owner)?)?;
        let user =
            config.lines().find_map(|line| line.strip_prefix("user = ")).ok_or("no user is configured")?;
        let user = user.trim_matches('"').to_owned();
        let folder = tempfile::Builder::new().prefix("orocloud-bench-").tempdir_in("/tmp")?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        fs::copy(&owner.key, folder.path().join("key"))?;
        let certificate = owner.certificate.ok_or("owner has no certificate")?;
        fs::copy(certificate, folder.path().join("key-cert.pub"))?;
        fs::set_permissions(folder.path().join("key"), Permissions::from_mode(0o600))?;
        let known = fs::read_to_string(sandbox.node("maint1")?.dir().join("etc/known_hosts"))?;
        fs::write(folder.path().join("known_hosts"), known)?;
        if rustix::process::geteuid().is_root() {
            let id = |what: &str| -> Result<u32> {
                let output = Command::new("id").args([what, &user]).output()?;
                Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
            };
            let (uid, gid) = (id("-u")?, id("-g")?);
            chown(folder.path().join("key"), Some(uid), Some(gid))?;
        }
        Ok(Self { folder, user })
    }

    /// The private key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// Options with which any OpenSSH client reaches a node, in the order in which they are typed.
    pub fn options(&self, node: &str, port: u16) -> Vec<String> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let mut options: Vec<String> = ["-F", "none", "-T", "-i"].map(str::to_owned).to_vec();
        options.extend([file("key"), "-p".to_owned(), port.to_string()]);
        let own = [
            "BatchMode=yes".to_owned(),
            "LogLevel=ERROR".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            format!("CertificateFile={}", file("key-cert.pub")),
            format!("UserKnownHostsFile={}", file("known_hosts")),
            "GlobalKnownHostsFile=none".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            format!("HostKeyAlias={ENVIRONMENT}-{node}"),
        ];
        for option in own.into_iter().chain(TUNED.iter().map(|option| (*option).to_owned())) {
            options.extend(["-o".to_owned(), option]);
        }
        options
    }

    /// A client to an address.
    pub fn ssh(&self, node: &str, address: SocketAddr) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.options(node, address.port())).arg(format!("{}@{}", self.user, address.ip()));
        command
    }
}

/// It runs until this is dropped.
pub struct PlainSshd {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: TempDir,
}

impl PlainSshd {
    /// A copy of the node's sshd, configured alike but for the one forced command. Whoever may call may sign in,
    /// on every node.
    pub fn start(sandbox: &Sandbox, node: &str) -> Result<Self> {
        Self::start_by(&["/usr/sbin/sshd"], sandbox, node)
    }

    /// One for whose sessions `own` lies at `common`, as if the node had a file system of its own; that takes root.
    pub fn start_with_folder(sandbox: &Sandbox, node: &str, own: &Path, common: &Path) -> Result<Self> {
        const MOUNT: &str = "mount --bind \"$1\" \"$2\" && shift 2 && exec /usr/sbin/sshd \"$@\"";
        let (own, common) = (own.to_string_lossy(), common.to_string_lossy());
        let command = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", MOUNT, "sh", &own, &common];
        Self::start_by(&command, sandbox, node)
    }

    fn start_by(command: &[&str], sandbox: &Sandbox, node: &str) -> Result<Self> {
        let config = fs::read_to_string(sandbox.node(node)?.dir().join("etc/sshd_config"))?;
        let maint = sandbox.node("maint1")?.dir();
        let address = real_address(sandbox, node, PORT)?;
        let folder = tempfile::Builder::new().prefix("orocloud-bench-").tempdir_in("/tmp")?;
        // sshd reads it as the account that signs in.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let keys = folder.path().join("authorized_keys");
        fs::copy(sandbox.caller("owner").public_key, &keys)?;
        fs::set_permissions(&keys, Permissions::from_mode(0o644))?;
        let replaced = [
            "ListenAddress",
            "PidFile",
            "ForceCommand",
            "Subsystem",
            "TrustedUserCAKeys",
            "AuthorizedPrincipalsFile",
            "AuthorizedKeysFile",
            "LogLevel",
        ];
        let mut text: String = config
            .lines()
            .filter(|line| !replaced.iter().any(|word| line.starts_with(word)))
            .flat_map(|line| [line, "\n"])
            .collect();
        text.push_str(&format!(
            "ListenAddress {address}\nPidFile {}\nTrustedUserCAKeys {}\nAuthorizedPrincipalsFile {}\nAuthorizedKeysFile {}\nLogLevel ERROR\n",
            folder.path().join("pid").display(),
            maint.join("etc/trusted_user_ca").display(),
            maint.join("etc/principals").display(),
            // For clients that know no certificates.
            keys.display(),
        ));
        let file = folder.path().join("sshd_config");
        fs::write(&file, text)?;
        let child = Command::new(command[0])
            .args(&command[1..])
            .args(["-D", "-e", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It tells of the connection that only looks whether it listens.
            .stderr(Stdio::null())
            .spawn()?;
        let sshd = Self { child, address, _folder: folder };
        let limit = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > limit {
                return Err(format!("sshd does not listen on {address}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(sshd)
    }
}

impl Drop for PlainSshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets every account read a file and enter the folders above it, up to the sandbox's own.
pub fn let_all_read(sandbox: &Sandbox, file: &Path) -> Result<()> {
    fs::set_permissions(file, Permissions::from_mode(0o644))?;
    for folder in file.ancestors().skip(1).take_while(|folder| folder.starts_with(sandbox.dir())) {
        let mode = fs::metadata(folder)?.permissions().mode();
        fs::set_permissions(folder, Permissions::from_mode(mode | 0o011))?;
    }
    Ok(())
}
