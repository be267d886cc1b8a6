//! RabbitMQ, and the application's services beside it, on job1.

use std::fs;

use crate::accounts::Duty;
use crate::blueprint::Blueprint;
use crate::error::Result;
use crate::hosts::{AMQP_PORT, Host, QUEUE_HTTP_PORT};
use crate::service::{Folder, Ready, Service, signal};
use crate::web;

/// The application's virtual host.
pub const VHOST: &str = "oro";

/// The services of the application on a job node: unit, kind, queue, console command.
pub const SERVICES: [(&str, &str, Option<&str>, &[&str]); 4] = [
    ("consumer-default", "consumer", Some("oro.default"), &["oro:message-queue:consume", "oro.default"]),
    ("consumer-mail", "consumer", Some("oro.mail"), &["oro:message-queue:consume", "oro.mail"]),
    ("cron", "cron", None, &["oro:cron"]),
    ("websocket", "websocket", None, &["gos:websocket:server"]),
];

/// Writes what a job node needs and gives its services and its folders under /run.
pub fn node(blueprint: &Blueprint, host: &Host) -> Result<(Vec<Service>, Vec<Folder>)> {
    web::application(blueprint, host)?;
    let mut services = vec![rabbitmq(blueprint, host)?];
    let layout = blueprint.node(host);
    let console = layout.application("www/bin/console");
    for (unit, _, _, command) in SERVICES {
        let mut vector = blueprint.accounts.prefix(Duty::Application, &[]);
        vector.push("/usr/bin/php8.2".to_owned());
        vector.push(console.to_string_lossy().into_owned());
        vector.extend(command.iter().map(|&word| word.to_owned()));
        let mut service = blueprint.service(host, unit, vector, Ready::Alive);
        service.environment.extend(
            web::environment(blueprint, host).into_iter().map(|(name, value)| (name.to_owned(), value)),
        );
        service.only_with = Some(console.clone());
        service.reload_signal = None;
        service.required = false;
        services.push(service);
    }
    Ok((services, Vec::new()))
}

fn rabbitmq(blueprint: &Blueprint, host: &Host) -> Result<Service> {
    let layout = blueprint.node(host);
    let accounts = &blueprint.accounts;
    let (home, data) = (layout.root.join("lib/rabbitmq"), layout.root.join("lib/rabbitmq/mnesia"));
    fs::create_dir_all(layout.root.join("lib"))?;
    accounts.folder(&home, Duty::Queue, 0o700)?;
    accounts.folder(&data, Duty::Queue, 0o700)?;
    accounts.folder(&layout.log("rabbitmq"), Duty::Queue, 0o755)?;
    accounts.file(&home.join(".erlang.cookie"), Duty::Queue, 0o400, &blueprint.secrets.cookie)?;
    let config = layout.etc("rabbitmq.conf");
    accounts.file(&config, Duty::Queue, 0o600, &configuration(blueprint, host))?;
    let plugins = layout.etc("rabbitmq-plugins");
    accounts.file(&plugins, Duty::Queue, 0o644, "[rabbitmq_management].\n")?;
    accounts.file(&layout.etc("rabbitmq-password"), Duty::Agent, 0o600, &blueprint.secrets.queue)?;

    let mut command = accounts.prefix(Duty::Queue, &[]);
    command.push("/usr/lib/rabbitmq/bin/rabbitmq-server".to_owned());
    let ready = Ready::Port(blueprint.addresses.real_port(host, QUEUE_HTTP_PORT));
    let mut service = blueprint.service(host, "rabbitmq", command, ready);
    let address = blueprint.addresses.real(host);
    let [a, b, c, d] = address.octets();
    for (name, value) in [
        ("HOME", home.display().to_string()),
        // Its own, so that two sandboxes never meet: it also listens on the address that everybody has.
        ("ERL_EPMD_ADDRESS", address.to_string()),
        ("ERL_EPMD_PORT", blueprint.addresses.own_port(0).to_string()),
        ("RABBITMQ_DIST_PORT", blueprint.addresses.own_port(1).to_string()),
        ("RABBITMQ_NODENAME", "rabbit@localhost".to_owned()),
        ("RABBITMQ_MNESIA_BASE", data.display().to_string()),
        ("RABBITMQ_LOG_BASE", layout.log("rabbitmq").display().to_string()),
        ("RABBITMQ_LOGS", "-".to_owned()),
        ("RABBITMQ_CONFIG_FILE", config.display().to_string()),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", plugins.display().to_string()),
        // Not the machine's.
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
        ("RABBITMQ_PID_FILE", home.join("pid").display().to_string()),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            format!("-kernel inet_dist_use_interface {{{a},{b},{c},{d}}} +sbwt none"),
        ),
    ] {
        service.environment.insert(name.to_owned(), value);
    }
    // Twelve seconds on a quiet machine; one that builds at the same time takes many times that.
    service.ready_seconds = 600;
    service.stop_signal = signal::TERM;
    service.reload_signal = None;
    Ok(service)
}

fn configuration(blueprint: &Blueprint, host: &Host) -> String {
    let address = blueprint.addresses.real(host);
    format!(
        "listeners.tcp.1 = {address}:{AMQP_PORT}
management.tcp.ip = {address}
management.tcp.port = {QUEUE_HTTP_PORT}
default_vhost = {VHOST}
default_user = app
default_pass = {password}
loopback_users = none
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 50MB
# How old the counts may be that are shown.
collect_statistics_interval = 1000
",
        password = blueprint.secrets.queue,
    )
}
