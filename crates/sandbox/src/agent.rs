//! The agent of every node: `agent.toml`, `environment.toml` and the service.

use std::fmt::Write;
use std::fs;

use crate::accounts::Duty;
use crate::blueprint::Blueprint;
use crate::ca::{self, Authority};
use crate::error::{Context, Result};
use crate::hosts::{CHECK_PORT, ENVIRONMENT, Host, POSTGRESQL_PORT, QUEUE_HTTP_PORT, SMTP_PORT, SSH_PORT};
use crate::mail;
use crate::opendkim;
use crate::postfix;
use crate::postgres::BIN;
use crate::queue::SERVICES;
use crate::service::{Ready, Service};

/// What the agent may do as an account of its own: become the accounts of the others, and end what they run.
const CAPABILITIES: [&str; 5] = ["setuid", "setgid", "kill", "chown", "fowner"];

/// Writes the node's configuration and gives the service.
pub fn node(blueprint: &Blueprint, host: &Host) -> Result<Service> {
    let layout = blueprint.node(host);
    create_folders(blueprint, host)?;
    for (file, text) in
        [("agent.toml", agent_toml(blueprint, host)?), ("environment.toml", environment_toml(blueprint)?)]
    {
        let path = layout.etc(file);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))?;
    }
    let mut command = blueprint.accounts.prefix(Duty::Agent, &CAPABILITIES);
    command.extend([
        blueprint.layout.program("orocloud-agent").to_string_lossy().into_owned(),
        "serve".to_owned(),
        "--config".to_owned(),
        layout.etc("agent.toml").to_string_lossy().into_owned(),
    ]);
    let mut service = blueprint.service(host, "agent", command, Ready::Socket(layout.session_socket()));
    service.environment.extend(blueprint.agent_environment.iter().cloned());
    // The agent drains: it finishes what runs.
    service.stop_seconds = 120;
    // Its recovery of an interrupted operation comes before it listens.
    service.ready_seconds = 120;
    service.required = true;
    Ok(service)
}

/// The folders named in `agent.toml`.
fn create_folders(blueprint: &Blueprint, host: &Host) -> Result<()> {
    let layout = blueprint.node(host);
    let accounts = &blueprint.accounts;
    if host.has_role("maint") {
        accounts.folder(&layout.state("build"), Duty::Build, 0o755)?;
        accounts.folder(&layout.state("composer"), Duty::Build, 0o755)?;
        accounts.folder(&blueprint.layout.media(), Duty::Application, 0o2775)?;
        accounts.folder(&blueprint.layout.repository("restic"), Duty::Agent, 0o700)?;
        accounts.file(&layout.etc("restic-password"), Duty::Agent, 0o600, &blueprint.secrets.restic)?;
        accounts.file(&layout.etc("revoked"), Duty::Agent, 0o644, "")?;
        let authority = ca::read_public_key(&Authority::Node.key(&blueprint.layout.ca()))?;
        if blueprint.parts.mail {
            accounts.file(&layout.etc("smtp-password"), Duty::Agent, 0o600, &blueprint.secrets.mail)?;
        }
        let line = format!("@cert-authority {ENVIRONMENT}-* {authority}\n");
        accounts.file(&layout.etc("known_hosts"), Duty::Agent, 0o644, &line)?;
    }
    Ok(())
}

/// What this node is.
fn agent_toml(blueprint: &Blueprint, host: &Host) -> Result<String> {
    let node = blueprint.node(host);
    let mut text = format!(
        r#"format = 1
node = "{name}"
environment_file = "{environment}"
state = "{state}"
run = "{run}"
log = "{log}"
host_certificate = "{certificate}"

[service_manager]
kind = "supervisor"
socket = "{supervisor}"
"#,
        name = host.name,
        environment = node.etc("environment.toml").display(),
        state = node.root.join("state").display(),
        run = node.root.join("run").display(),
        log = node.root.join("log").display(),
        certificate = ca::certificate(&node.etc("ssh_host_ed25519_key")).display(),
        supervisor = node.supervisor_socket().display(),
    );
    if blueprint.accounts.separate {
        let name = |duty| blueprint.accounts.of(duty).map(|account| account.name);
        add(
            &mut text,
            format!(
                r#"
[accounts]
session = "{}"
build = "{}"
app = "{}"
database = "{}"
"#,
                name(Duty::Session)?,
                name(Duty::Build)?,
                name(Duty::Application)?,
                name(Duty::Database)?
            ),
        );
        if host.has_role("mail") {
            add(&mut text, format!("mail = \"{}\"\n", name(Duty::Postfix)?));
        }
    }
    add(&mut text, authority(blueprint, host)?);
    for role in host.roles {
        add(
            &mut text,
            match *role {
                "maint" => maint(blueprint, host)? + &mail_server(blueprint, host),
                "web" => application(blueprint, host) + &web(blueprint, host),
                "job" => application(blueprint, host),
                "queue" => queue(blueprint, host),
                "db" => database(blueprint, host),
                "lb" => balancer(blueprint, host),
                "mail" => postfix::agent_toml(blueprint, host) + &opendkim::agent_toml(blueprint, host),
                _ => String::new(),
            },
        );
    }
    Ok(text)
}

fn add(text: &mut String, more: String) {
    let _ = text.write_str(&more);
}

fn authority(blueprint: &Blueprint, host: &Host) -> Result<String> {
    let folder = blueprint.layout.ca();
    if !host.has_role("maint") {
        let key = ca::read_public_key(&Authority::Node.key(&folder))?;
        return Ok(format!(
            r#"
[[authority]]
kind = "node"
public_key = "{key}"
environments = ["{ENVIRONMENT}"]
highest_role = "owner"
"#
        ));
    }
    let key = ca::read_public_key(&Authority::User.key(&folder))?;
    Ok(format!(
        r#"
[[authority]]
kind = "user"
public_key = "{key}"
environments = ["acme-*"]
highest_role = "owner"
revoked_keys_file = "{revoked}"
"#,
        revoked = blueprint.node(host).etc("revoked").display(),
    ))
}

fn maint(blueprint: &Blueprint, host: &Host) -> Result<String> {
    let node = blueprint.node(host);
    let local = blueprint.accounts.of(Duty::Application)?.name;
    Ok(format!(
        r#"
[local.{local}]
role = "developer"

[coordinator]
key = "{key}"
known_hosts = "{known_hosts}"
user = "{user}"

[maint]
git_mirror = "{mirror}"
build = "{build}"
composer_home = "{composer}"
media = "{media}"
restic_repository = "{restic}"
restic_password_file = "{password}"
"#,
        key = node.etc("coordinator_key").display(),
        known_hosts = node.etc("known_hosts").display(),
        user = blueprint.login()?,
        mirror = node.state("mirror.git").display(),
        build = node.state("build").display(),
        composer = node.state("composer").display(),
        media = blueprint.layout.media().display(),
        restic = blueprint.layout.repository("restic").display(),
        password = node.etc("restic-password").display(),
    ))
}

/// Where maint's own mail goes.
fn mail_server(blueprint: &Blueprint, host: &Host) -> String {
    let Some(mail) = blueprint.mail_host() else { return String::new() };
    format!(
        r#"
[mail]
host = "{address}"
port = {SMTP_PORT}
tls = "starttls"
ca_file = "{authority}"
user = "{user}"
password_file = "{password}"
from = "OroCloud maintenance <maintenance@example.com>"
"#,
        address = blueprint.addresses.public(mail),
        authority = mail::authority(blueprint, mail).display(),
        user = mail::USER,
        password = blueprint.node(host).etc("smtp-password").display(),
    )
}

fn application(blueprint: &Blueprint, host: &Host) -> String {
    let node = blueprint.node(host);
    format!(
        r#"
[app]
app_root = "{root}"
environment_file = "{environment}"
php = "/usr/bin/php8.2"

[logs.app]
files = ["{app}"]
"#,
        root = node.application("").display(),
        environment = node.etc("app.env").display(),
        app = node.application("shared/log/prod.log").display(),
    )
}

fn queue(blueprint: &Blueprint, host: &Host) -> String {
    let node = blueprint.node(host);
    format!(
        r#"
[queue]
url = "http://{address}/"
user = "app"
password_file = "{password}"

[logs.rabbitmq]
files = ["{log}"]
"#,
        address = blueprint.addresses.real_port(host, QUEUE_HTTP_PORT),
        password = node.etc("rabbitmq-password").display(),
        log = node.log("rabbitmq.log").display(),
    )
}

fn web(blueprint: &Blueprint, host: &Host) -> String {
    let node = blueprint.node(host);
    let url = blueprint.node_url(host);
    format!(
        r#"
[web]
maintenance_file = "{maintenance}"
fpm_service = "php-fpm"
web_service = "nginx"
url = "{url}"
check_url = "http://{check}/"
status_url = "{url}nginx-status"
fpm_status_url = "{url}fpm-status?json"

[logs.nginx]
files = ["{access}", "{error}"]
[logs.php-fpm]
files = ["{fpm}"]
"#,
        maintenance = node.application("shared/maintenance").display(),
        check = blueprint.addresses.real_port(host, CHECK_PORT),
        access = node.log("access.log").display(),
        error = node.log("error.log").display(),
        fpm = node.log("php-fpm.log").display(),
    )
}

fn database(blueprint: &Blueprint, host: &Host) -> String {
    let node = blueprint.node(host);
    format!(
        r#"
[database]
service = "postgresql"
data = "{data}"
bin = "{BIN}"
socket_dir = "{socket}"
port = {POSTGRESQL_PORT}
superuser = "postgres"
name = "shop"
pgbackrest_config = "{config}"
stanza = "{ENVIRONMENT}"
process_max = 2

[logs.postgresql]
files = ["{log}"]
"#,
        data = node.cluster().display(),
        socket = node.run("postgresql").display(),
        config = node.etc("pgbackrest.conf").display(),
        log = node.log("postgresql.log").display(),
    )
}

fn balancer(blueprint: &Blueprint, host: &Host) -> String {
    let node = blueprint.node(host);
    format!(
        r#"
[lb]
service = "haproxy"
admin_socket = "{socket}"
backend = "web"
state_file = "{state}"

[logs.haproxy]
files = ["{log}"]
"#,
        socket = node.run("haproxy/admin.sock").display(),
        state = node.state("haproxy-servers").display(),
        log = node.log("haproxy.log").display(),
    )
}

/// The whole environment; the same on every node.
fn environment_toml(blueprint: &Blueprint) -> Result<String> {
    let mut text = format!(
        r#"format = 1
name = "{ENVIRONMENT}"
project = "acme"
type = "{kind}"
url = "{url}"
keeper = "postgresql"
"#,
        kind = blueprint.environment_type,
        url = blueprint.shop_url(),
    );
    for host in blueprint.hosts().filter(|host| host.is_node()) {
        add(
            &mut text,
            format!(
                r#"
[[node]]
name = "{}"
roles = {:?}
zone = "{}"
address = "{}"
ssh_port = {SSH_PORT}
"#,
                host.name,
                host.roles,
                host.zone,
                blueprint.addresses.public(host)
            ),
        );
    }
    if blueprint.parts.mail {
        for mail in mail::CONTACTS {
            add(&mut text, format!("\n[[technical_contact]]\nmail = \"{mail}\"\n"));
        }
    }
    add(&mut text, format!("\n{}\n", blueprint.environment_toml));
    let git = blueprint.layout.git();
    add(
        &mut text,
        format!(
            r#"
[application]
document_root = "public"
release_header = "X-Release"

[repository]
url = "{url}"
deploy_key = "{key}"
known_hosts = "{known_hosts}"

[backup]
# Not by itself: at the full hour it would hold the locks that a test or a demo is about to take.
schedule = "off"
keep = {{ hourly_days = 7, weekly_weeks = 4, monthly_months = 12 }}
keep_old_hours = 48
"#,
            url = crate::git::url(blueprint)?,
            key = git.join("deploy_key").display(),
            known_hosts = git.join("known_hosts").display(),
        ),
    );
    for host in blueprint.hosts().filter(|host| host.has_role("job")) {
        for (unit, kind, queue, _) in SERVICES {
            let queue = queue.map(|queue| format!("queue = \"{queue}\"\n")).unwrap_or_default();
            let node = host.name;
            let head = format!("\n[[service]]\nkind = \"{kind}\"\nunit = \"{unit}\"\n");
            add(&mut text, format!("{head}{queue}nodes = [\"{node}\"]\n"));
        }
    }
    Ok(text)
}
