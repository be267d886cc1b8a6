//! HAProxy of lb1.

use std::fs;

use crate::accounts::{Accounts, Duty};
use crate::blueprint::Blueprint;
use crate::error::{Context, Result};
use crate::hosts::{HOSTS, HTTP_PORT, Host};
use crate::service::{Folder, Ready, Service, signal};

/// Writes HAProxy's configuration and gives the service and its folders under /run.
pub fn node(blueprint: &Blueprint, host: &Host) -> Result<(Service, Vec<Folder>)> {
    let layout = blueprint.node(host);
    let error_page = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Unavailable</title></head>\n<body><h1>Unavailable</h1><p>No web node is available.</p></body>\n</html>\n";
    for (file, text) in
        [("503.http", error_page.to_owned()), ("haproxy.cfg", configuration(blueprint, host)?)]
    {
        let path = layout.etc(file);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))?;
    }
    let mut command = Accounts::bare_prefix();
    // -W: a master that reloads without dropping connections; -db: in the foreground.
    command.extend(["/usr/sbin/haproxy", "-W", "-db", "-f"].map(str::to_owned));
    command.push(layout.etc("haproxy.cfg").to_string_lossy().into_owned());
    let ready = Ready::Port(blueprint.addresses.real_port(host, HTTP_PORT));
    let mut service = blueprint.service(host, "haproxy", command, ready);
    service.reload_signal = Some(signal::USR2);
    Ok((service, vec![blueprint.run_folder(&layout.run("haproxy"), Duty::Agent, 0o755)?]))
}

fn configuration(blueprint: &Blueprint, host: &Host) -> Result<String> {
    let layout = blueprint.node(host);
    let (accounts, socket_owner) = if blueprint.accounts.separate {
        let agent = blueprint.accounts.of(Duty::Agent)?.name;
        ("    user haproxy\n    group haproxy\n", format!(" user {agent} group {agent}"))
    } else {
        ("", String::new())
    };
    let servers: String = HOSTS
        .iter()
        .filter(|host| host.has_role("web"))
        .map(|web| {
            let address = blueprint.addresses.public_port(web, HTTP_PORT);
            format!("    server {} {address} check\n", web.name)
        })
        .collect();
    Ok(format!(
        "# HAProxy of {name}
global
    log stdout format iso local0
    maxconn 1000
    stats socket {socket} mode 660 level admin expose-fd listeners{socket_owner}
    server-state-file {state}
{accounts}
defaults
    mode http
    log global
    option httplog
    option dontlognull
    timeout connect 2s
    timeout client 60s
    timeout server 120s
    timeout queue 10s
    timeout check 1s
    retries 3
    option redispatch 1
    load-server-state-from-file global
    errorfile 503 {error}

frontend shop
    bind {address}
    option forwardfor
    http-request deny deny_status 404 if {{ path /nginx-status /fpm-status }}
    default_backend web

backend web
    balance roundrobin
    option httpchk
    http-check send meth GET uri /health ver HTTP/1.1 hdr Host shop
    http-check expect status 200
    default-server inter 500ms fall 2 rise 1
{servers}",
        name = host.full_name(),
        socket = layout.run("haproxy/admin.sock").display(),
        state = layout.state("haproxy-servers").display(),
        error = layout.etc("503.http").display(),
        address = blueprint.addresses.real_port(host, HTTP_PORT),
    ))
}
