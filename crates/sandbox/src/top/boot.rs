//! Bringing a sandbox up: files first, then the nodes, then a look at what people would see.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::agent;
use crate::blueprint::Blueprint;
use crate::ca;
use crate::caller::{self, Entrance};
use crate::control::{Action, Order, Report};
use crate::description::Description;
use crate::error::{Context, Error, Result};
use crate::hosts::{HOSTS, HTTP_PORT, Host, SSH_PORT};
use crate::run::{Job, side_by_side};
use crate::{dns, git, haproxy, mail, postfix, postgres, queue, sshd, web};

/// How long the shop's front may take to answer once every node is up.
const FRONT_LIMIT: Duration = Duration::from_secs(10);

/// Brings everything up. `start` starts one node and waits until it is up; `said` is told each part that is done.
pub fn boot(
    blueprint: &Blueprint,
    order: &(dyn Fn(Order) -> Report + Sync),
    said: &(dyn Fn(&str, Duration) + Sync),
) -> Result<()> {
    let timed = |part: &str, work: &(dyn Fn() -> Result<()> + Sync)| {
        let begin = Instant::now();
        work().context(|| part.to_owned())?;
        said(part, begin.elapsed());
        Ok(())
    };
    for host in blueprint.hosts() {
        blueprint.create_node_folders(host)?;
    }
    sshd::prepare_machine(&blueprint.accounts)?;

    // The database needs nothing of the others, and takes longest.
    side_by_side(vec![
        Box::new(|| {
            timed("database cluster, encrypted backup repository", &|| {
                postgres::create(blueprint, postgres::host())
            })
        }),
        Box::new(|| timed("authorities, keys, certificates", &|| ca::create(blueprint))),
        Box::new(|| {
            timed("git repository with the sample application", &|| git::create_repository(blueprint))
        }),
    ])?;
    timed("configuration", &|| configure(blueprint))?;

    let nodes = blueprint.hosts().map(|host| -> Job<'_> {
        Box::new(move || {
            timed(&title(host), &|| {
                let report = order(Order { action: Action::Start, node: Some(host.name.to_owned()) });
                if !report.ok {
                    return Err(Error::new(report.error.unwrap_or_default()));
                }
                if host.has_role("db") { postgres::create_database(blueprint, host) } else { Ok(()) }
            })
        })
    });
    side_by_side(nodes.collect())?;
    timed("the shop answers through the load balancer", &|| wait_for_front(blueprint))?;

    // Written beside and renamed: who finds it finds a whole one, of a sandbox that is up.
    let text = serde_json::to_string_pretty(&Description::of(blueprint)?)?;
    let path = blueprint.layout.description();
    let beside = path.with_extension("new");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, &path))
        .context(|| format!("cannot write {}", path.display()))
}

/// What a node runs, for the progress line.
fn title(host: &Host) -> String {
    let what = match host.roles {
        [] if host.is_mail_server() => "SMTP server",
        [] if host.is_name_server() => "name server",
        ["maint"] => "sshd, agent",
        ["lb"] => "HAProxy, sshd, agent",
        ["db"] => "PostgreSQL, sshd, agent",
        ["job", ..] => "RabbitMQ, services of the application, sshd, agent",
        ["web"] => "nginx, PHP-FPM, sshd, agent",
        ["mail"] => "Postfix, OpenDKIM, sshd, agent",
        _ => "sshd of the git remote",
    };
    format!("{}: {what}", host.name)
}

/// Writes the configuration of every host.
fn configure(blueprint: &Blueprint) -> Result<()> {
    git::write_known_hosts(blueprint)?;
    for host in blueprint.hosts() {
        let (mut services, mut folders) = (Vec::new(), Vec::new());
        if host.is_node() {
            services.push(sshd::node(blueprint, host)?);
            services.push(agent::node(blueprint, host)?);
        } else if host.is_mail_server() {
            services.push(mail::node(blueprint, host)?);
        } else if host.is_name_server() {
            services.push(dns::node(blueprint, host)?);
        } else {
            services.push(sshd::git_server(blueprint, host, &git::repository(blueprint))?);
        }
        if host.has_role("web") {
            let (more, their_folders) = web::node(blueprint, host)?;
            services.extend(more);
            folders.extend(their_folders);
        }
        if host.has_role("job") {
            let (more, their_folders) = queue::node(blueprint, host)?;
            services.extend(more);
            folders.extend(their_folders);
        }
        if host.has_role("db") {
            let (service, its_folders) = postgres::service(blueprint, host)?;
            services.push(service);
            folders.extend(its_folders);
        }
        if host.has_role("lb") {
            let (service, its_folders) = haproxy::node(blueprint, host)?;
            services.push(service);
            folders.extend(its_folders);
        }
        if host.has_role("mail") {
            let (more, folder) = postfix::node(blueprint, host)?;
            services.extend(more);
            folders.push(folder);
        }
        blueprint.write_boot(host, folders, services)?;
    }
    let address = blueprint.addresses.public(&HOSTS[0]).to_string();
    let entrance = Entrance { address: &address, port: SSH_PORT, user: &blueprint.login()? };
    let owner = caller::files_of(&blueprint.layout, "owner");
    caller::write_config(&blueprint.layout, &entrance, &owner, &blueprint.layout.config())
}

/// Until the page that says that nothing is deployed yet comes through HAProxy.
fn wait_for_front(blueprint: &Blueprint) -> Result<()> {
    let address = blueprint.addresses.public_port(&HOSTS[1], HTTP_PORT);
    let end = Instant::now() + FRONT_LIMIT;
    loop {
        let answer = get(&address.to_string());
        match answer {
            Ok(text) if text.contains("Nothing deployed yet") => return Ok(()),
            _ if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
            Ok(text) => return Err(Error::new(format!("it answers something else: {text}"))),
            Err(error) => return Err(error),
        }
    }
}

fn get(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
