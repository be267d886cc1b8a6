//! `cargo xtask setup`: what the sandbox needs and the machine does not have yet.
//!
//! Looking costs a few milliseconds (one file per package), so every task can begin with it.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser;

use crate::{Outcome, accounts};

/// A Debian package, and the file that shows that it (or another package that does the same) is installed.
struct Package {
    name: &'static str,
    proof: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { name: "openssh-server", proof: "/usr/sbin/sshd" },
    Package { name: "openssh-client", proof: "/usr/bin/ssh" },
    Package { name: "postgresql-15", proof: "/usr/lib/postgresql/15/bin/postgres" },
    Package { name: "postgresql-client-15", proof: "/usr/lib/postgresql/15/bin/psql" },
    Package { name: "pgbackrest", proof: "/usr/bin/pgbackrest" },
    Package { name: "restic", proof: "/usr/bin/restic" },
    Package { name: "nginx-light", proof: "/usr/sbin/nginx" },
    Package { name: "php8.2-fpm", proof: "/usr/sbin/php-fpm8.2" },
    Package { name: "php8.2-cli", proof: "/usr/bin/php8.2" },
    Package { name: "php8.2-pgsql", proof: "/usr/lib/php/20220829/pdo_pgsql.so" },
    Package { name: "php-symfony-console", proof: "/usr/share/php/Symfony/Component/Console/autoload.php" },
    Package { name: "composer", proof: "/usr/bin/composer" },
    Package { name: "php8.2-amqp", proof: "/usr/lib/php/20220829/amqp.so" },
    Package { name: "rabbitmq-server", proof: "/usr/lib/rabbitmq/bin/rabbitmq-server" },
    Package { name: "haproxy", proof: "/usr/sbin/haproxy" },
    Package { name: "git", proof: "/usr/bin/git" },
    Package { name: "curl", proof: "/usr/bin/curl" },
    Package { name: "zstd", proof: "/usr/bin/zstd" },
    Package { name: "wrk", proof: "/usr/bin/wrk" },
    Package { name: "openssl", proof: "/usr/bin/openssl" },
    Package { name: "python3-aiosmtpd", proof: "/usr/lib/python3/dist-packages/aiosmtpd/smtp.py" },
    Package { name: "postfix", proof: "/usr/lib/postfix/sbin/master" },
    // With which Postfix signs in.
    Package { name: "libsasl2-modules", proof: "/usr/share/doc/libsasl2-modules/copyright" },
    Package { name: "dnsmasq-base", proof: "/usr/sbin/dnsmasq" },
    Package { name: "opendkim", proof: "/usr/sbin/opendkim" },
    // Which verifies what OpenDKIM has signed, for a test.
    Package { name: "python3-dkim", proof: "/usr/lib/python3/dist-packages/dkim/__init__.py" },
    // For Postfix in the sandbox of an ordinary user.
    Package { name: "fakeroot", proof: "/usr/bin/fakeroot" },
    // Two readers of calendars, for the tests.
    Package { name: "python3-icalendar", proof: "/usr/lib/python3/dist-packages/icalendar/cal.py" },
    Package { name: "python3-vobject", proof: "/usr/lib/python3/dist-packages/vobject/icalendar.py" },
    Package { name: "util-linux", proof: "/usr/bin/setpriv" },
];

/// What `cargo xtask bench` compares with, and nothing else needs.
const REFERENCES: &[Package] = &[
    Package { name: "capistrano", proof: "/usr/bin/cap" },
    Package { name: "ripgrep", proof: "/usr/bin/rg" },
    Package { name: "rsync", proof: "/usr/bin/rsync" },
];

/// What setup is for.
#[derive(Parser)]
pub struct Arguments {
    /// Also what `cargo xtask bench` compares with
    #[arg(long)]
    bench: bool,
}

/// Installs what is missing, as root or through `sudo -n`; without either says what to type.
pub fn run(arguments: Arguments) -> Outcome {
    if arguments.bench { for_bench() } else { everyday() }
}

/// What the sandbox and the tests need.
pub fn everyday() -> Outcome {
    complete(PACKAGES.iter(), &["setup"])
}

/// That, and what the figures are compared with.
pub fn for_bench() -> Outcome {
    complete(PACKAGES.iter().chain(REFERENCES), &["setup", "--bench"])
}

fn complete<'a>(wanted: impl Iterator<Item = &'a Package>, task: &[&str]) -> Outcome {
    let packages: Vec<&str> =
        wanted.filter(|package| !Path::new(package.proof).exists()).map(|package| package.name).collect();
    let root = rustix::process::geteuid().is_root();
    // An ordinary user's sandbox runs everything as that user and needs no accounts.
    let accounts = if root { accounts::missing()? } else { Vec::new() };
    if packages.is_empty() && accounts.is_empty() {
        return Ok(());
    }
    if !root {
        return run_through_sudo(&packages, task);
    }
    if !packages.is_empty() {
        install(&packages)?;
    }
    accounts::create(&accounts)
}

/// Runs this same task of this program as root when sudo asks for no password.
fn run_through_sudo(packages: &[&str], task: &[&str]) -> Outcome {
    let program = env::current_exe()?;
    let asked = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !asked.as_ref().is_ok_and(|status| status.success()) {
        let line = format!("{} {}", program.display(), task.join(" "));
        // It asks for a password, or is not there.
        let line = if asked.is_ok() { format!("sudo {line}") } else { format!("su -c \"{line}\"") };
        return Err(format!(
            "these Debian packages are missing: {}\nHint: install them with this line, then try again:\n  {line}",
            packages.join(" "),
        )
        .into());
    }
    let status = Command::new("sudo").arg("-n").arg(&program).args(task).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`sudo {} {}` failed ({status})", program.display(), task.join(" ")).into())
    }
}

/// Installs Debian packages without letting their scripts start a service or create a database cluster.
fn install(packages: &[&str]) -> Outcome {
    println!("installing {}", packages.join(" "));
    keep_debian_from_creating_a_cluster()?;
    let _policy = NoServices::begin()?;
    apt(&["update", "--quiet"])?;
    let mut arguments = vec!["install", "--quiet", "--yes", "--no-install-recommends"];
    arguments.extend([
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
        "--",
    ]);
    arguments.extend(packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Outcome {
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Package scripts look at the run level: in 1, single user, they start nothing.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("apt-get cannot be run: {error}\nHint: the sandbox needs Debian 12"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`apt-get {}` failed ({status})\nHint: the sandbox needs Debian 12", arguments.join(" "))
        .into())
}

/// Debian's postgresql-15 creates and starts a cluster of its own unless told not to. A file that exists is left alone.
fn keep_debian_from_creating_a_cluster() -> Outcome {
    let folder = Path::new("/etc/postgresql-common");
    let file = folder.join("createcluster.conf");
    if !file.exists() {
        fs::create_dir_all(folder)?;
        fs::write(file, "# The sandbox makes clusters of its own.\ncreate_main_cluster = false\n")?;
    }
    Ok(())
}

/// While it lives, Debian's package scripts may not start services. A policy that exists already is left alone.
struct NoServices {
    written: bool,
}

impl NoServices {
    const FILE: &'static str = "/usr/sbin/policy-rc.d";

    fn begin() -> Result<Self, std::io::Error> {
        if Path::new(Self::FILE).exists() {
            return Ok(Self { written: false });
        }
        fs::write(Self::FILE, "#!/bin/sh\n# 101: forbidden by policy\nexit 101\n")?;
        fs::set_permissions(Self::FILE, Permissions::from_mode(0o755))?;
        Ok(Self { written: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.written {
            let _ = fs::remove_file(Self::FILE);
        }
    }
}
