//! nginx and PHP-FPM of the web nodes.

use std::fs;
use std::path::Path;

use crate::accounts::{Accounts, Duty};
use crate::blueprint::Blueprint;
use crate::error::{Context, Result};
use crate::hosts::{CHECK_PORT, HTTP_PORT, Host};
use crate::service::{Folder, Ready, Service, signal};

/// Writes what a web node needs and gives its services and its folders under /run.
pub fn node(blueprint: &Blueprint, host: &Host) -> Result<(Vec<Service>, Vec<Folder>)> {
    let layout = blueprint.node(host);
    application(blueprint, host)?;

    fs::create_dir_all(layout.etc("pages"))?;
    for (name, title, text) in PAGES {
        write(&layout.etc("pages").join(format!("{name}.html")), &page(title, text))?;
    }
    write(&layout.etc("nginx.conf"), &nginx_conf(blueprint, host))?;
    write(&layout.etc("php-fpm.conf"), &fpm_conf(blueprint, host)?)?;
    // PHP-FPM makes its log readable by nobody else; one that is there keeps its mode, and the agent shows it.
    blueprint.accounts.file(&layout.log("php-fpm.log"), Duty::Agent, 0o640, "")?;

    let mut fpm = Accounts::bare_prefix();
    fpm.extend(["/usr/sbin/php-fpm8.2", "--nodaemonize", "--fpm-config"].map(str::to_owned));
    fpm.push(layout.etc("php-fpm.conf").to_string_lossy().into_owned());
    let mut fpm = blueprint.service(host, "php-fpm", fpm, Ready::Socket(layout.run("php/fpm.sock")));
    fpm.log = layout.log("php-fpm.out");
    fpm.reload_signal = Some(signal::USR2);

    let mut nginx = Accounts::bare_prefix();
    nginx.extend(["/usr/sbin/nginx", "-c"].map(str::to_owned));
    nginx.push(layout.etc("nginx.conf").to_string_lossy().into_owned());
    // The error log until the configuration is read.
    nginx.extend(["-e".to_owned(), layout.log("error.log").to_string_lossy().into_owned()]);
    let ready = Ready::Port(blueprint.addresses.real_port(host, HTTP_PORT));
    let mut nginx = blueprint.service(host, "nginx", nginx, ready);
    nginx.log = layout.log("nginx.out");

    let folders = vec![
        blueprint.run_folder(&layout.run("php"), Duty::Web, 0o755)?,
        blueprint.run_folder(&layout.run("nginx"), Duty::Web, 0o755)?,
    ];
    Ok((vec![fpm, nginx], folders))
}

/// The folders and the variables of the application on a node.
pub fn application(blueprint: &Blueprint, host: &Host) -> Result<()> {
    let layout = blueprint.node(host);
    let accounts = &blueprint.accounts;
    // The agent puts releases there and switches `www`; the application writes its log and finds the maintenance file.
    accounts.folder(&layout.application(""), Duty::Agent, 0o755)?;
    accounts.folder(&layout.application("deploy"), Duty::Agent, 0o755)?;
    accounts.folder(&layout.application("shared"), Duty::Agent, 0o755)?;
    accounts.folder(&layout.application("shared/log"), Duty::Application, 0o2775)?;
    accounts.file(&layout.etc("app.env"), Duty::Application, 0o640, &environment_file(blueprint, host))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("cannot write {}", path.display()))
}

/// Where the websocket server listens.
const WEBSOCKET_PORT: u16 = 8089;

/// The application's variables, as `KEY=VALUE` lines.
pub fn environment(blueprint: &Blueprint, host: &Host) -> Vec<(&'static str, String)> {
    let layout = blueprint.node(host);
    let mut variables = vec![
        ("APP_ENV", "prod".to_owned()),
        ("ORO_NODE", host.name.to_owned()),
        ("ORO_DB_URL", blueprint.database_url()),
        ("ORO_MAINTENANCE_FILE", layout.application("shared/maintenance").display().to_string()),
        ("LOG_FILE", layout.application("shared/log/prod.log").display().to_string()),
    ];
    variables.extend(blueprint.queue_url().map(|url| ("ORO_MQ_URL", url)));
    variables.extend(blueprint.mailer_dsn().map(|dsn| ("ORO_MAILER_DSN", dsn)));
    if host.has_role("job") {
        let bind = format!("{}:{WEBSOCKET_PORT}", blueprint.addresses.real(host));
        variables.push(("ORO_WEBSOCKET_BIND", bind));
    }
    variables
}

fn environment_file(blueprint: &Blueprint, host: &Host) -> String {
    environment(blueprint, host).iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// Pages that nginx itself answers with status 503: the value of `$page`, title, text.
const PAGES: [(&str, &str, &str); 2] = [
    (
        "nothing-deployed-yet",
        "Nothing deployed yet",
        "Nothing deployed yet: this environment waits for its application.",
    ),
    ("maintenance", "Maintenance", "The shop is in maintenance. Please come back in a few minutes."),
];

fn page(title: &str, text: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body><h1>{title}</h1><p>{text}</p></body>\n</html>\n"
    )
}

fn nginx_conf(blueprint: &Blueprint, host: &Host) -> String {
    let layout = blueprint.node(host);
    let user = if blueprint.accounts.separate { "user www-data;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {};\n", layout.run("nginx").join(kind).display()))
        .concat();
    format!(
        r#"# nginx of {name}
daemon off;
{user}worker_processes 1;
pid {pid};
error_log {error} notice;

events {{
    worker_connections 1024;
}}

http {{
    include /etc/nginx/mime.types;
    default_type text/html;
    server_tokens off;
    sendfile on;
{temporary}
    # $time_iso8601 has no milliseconds, $msec has nothing but seconds: take both, they are of one moment.
    map "$time_iso8601|$msec" $time_with_milliseconds {{
        "~^(?<day_and_time>.+)(?<zone>[+-]\d\d:\d\d)\|\d+\.(?<milliseconds>\d+)$" "$day_and_time.$milliseconds$zone";
    }}
    log_format timed '$time_with_milliseconds $remote_addr "$request" $status $body_bytes_sent $request_time "$http_user_agent"';
    access_log {access} timed;

    # The release that an answer comes from, by its folder.
    map $resolved $release {{
        default "";
        "~/deploy/(?<folder>[^/]+)/" $folder;
    }}

    upstream php {{
        server unix:{fpm};
    }}

    server {{
        listen {address};
        listen {check};
        root {www}/public;
        # Looked up once a request: one that runs while `www` is switched stays in its release, and says so.
        set $resolved "";
        if (-f {www}/public/index.php) {{
            set $resolved $realpath_root;
        }}
        add_header X-Node {short} always;
        add_header X-Release $release always;

        # What nginx answers itself, and why.
        set $page "";
        if (!-f {www}/public/index.php) {{
            set $page nothing-deployed-yet;
        }}
        if (-f {maintenance}) {{
            set $page maintenance;
        }}
        # The agent looks at a release before visitors do.
        if ($server_port = {check_port}) {{
            set $page "";
        }}
        error_page 503 @page;
        location @page {{
            root {pages};
            add_header X-Node {short} always;
            add_header Retry-After 60 always;
            add_header Cache-Control no-store always;
            rewrite ^ /$page.html break;
        }}

        location / {{
            if ($page) {{
                return 503;
            }}
            try_files $uri @other_release;
        }}

        # While nodes are switched a page of one may name assets that another has in the release before or after.
        location @other_release {{
            root {root};
            try_files /next/public$uri /previous/public$uri /index.php$is_args$args;
        }}

        location = /index.php {{
            if ($page) {{
                return 503;
            }}
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $resolved/index.php;
            fastcgi_param DOCUMENT_ROOT $resolved;
            fastcgi_read_timeout 120s;
            fastcgi_pass php;
        }}

        # The load balancer's check. A node that shows a page is up: the page has to reach people.
        location = /health {{
            default_type text/plain;
            access_log off;
            if ($page) {{
                return 200 "$page\n";
            }}
            try_files /dev/null /index.php$is_args$args;
        }}

        location = /nginx-status {{
            access_log off;
            stub_status;
        }}
        location = /fpm-status {{
            access_log off;
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_NAME /fpm-status;
            fastcgi_param SCRIPT_FILENAME /fpm-status;
            fastcgi_pass unix:{status};
        }}
    }}
}}
"#,
        name = host.full_name(),
        short = host.name,
        pid = layout.run("nginx.pid").display(),
        error = layout.log("error.log").display(),
        access = layout.log("access.log").display(),
        fpm = layout.run("php/fpm.sock").display(),
        status = layout.run("php/status.sock").display(),
        address = blueprint.addresses.real_port(host, HTTP_PORT),
        check = blueprint.addresses.real_port(host, CHECK_PORT),
        check_port = CHECK_PORT,
        root = layout.application("").display(),
        www = layout.application("www").display(),
        maintenance = layout.application("shared/maintenance").display(),
        pages = layout.etc("pages").display(),
    )
}

fn fpm_conf(blueprint: &Blueprint, host: &Host) -> Result<String> {
    let layout = blueprint.node(host);
    let accounts = if blueprint.accounts.separate {
        let app = blueprint.accounts.of(Duty::Application)?.name;
        let web = blueprint.accounts.of(Duty::Web)?.name;
        format!("user = {app}\ngroup = {app}\nlisten.owner = {web}\nlisten.group = {web}\n")
    } else {
        String::new()
    };
    let variables: String = environment(blueprint, host)
        .iter()
        .map(|(name, value)| format!("env[{name}] = \"{value}\"\n"))
        .collect();
    Ok(format!(
        "; PHP-FPM of {name}
[global]
pid = {pid}
error_log = {log}
; A reload lets requests in flight finish.
process_control_timeout = 30s

[shop]
{accounts}listen = {socket}
listen.mode = 0660
pm = dynamic
pm.max_children = 8
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 4
pm.status_path = /fpm-status
; A socket of its own: the status is answered even when every child is busy.
pm.status_listen = {status}
catch_workers_output = yes
decorate_workers_output = no
{variables}",
        name = host.full_name(),
        pid = layout.run("php-fpm.pid").display(),
        log = layout.log("php-fpm.log").display(),
        socket = layout.run("php/fpm.sock").display(),
        status = layout.run("php/status.sock").display(),
    ))
}
