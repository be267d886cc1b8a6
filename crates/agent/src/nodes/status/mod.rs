//! The answer to `node.status`: rows of the board for what this node is there for.

mod disks;
mod software;

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orocloud_certificate::Certificate;
use orocloud_protocol::node::{StatusAnswer, StatusParams};
use orocloud_protocol::service::{ServiceInfo, ServiceState};
use orocloud_protocol::smtp::PutBack;
use orocloud_protocol::status::{Health, StatusRow};
use orocloud_protocol::{CallError, NodeName};

use super::NodeRef;
use super::actions::maintenance;
use super::mail::{self, Configurations};
use super::services;
use crate::engines::postgres::Server;
use crate::engines::{haproxy, nginx, php_fpm, postfix};
use crate::environment::{Database, LoadBalancer, Postfix, Web};
use crate::keeper::Keeper;
use crate::maintenance_mode::{PageFile, words};
use crate::releases;
use crate::service_manager::Activity;

/// How long one part may take to answer; the whole board is asked for in the time of the slowest.
const LIMIT: Duration = Duration::from_secs(3);

/// A certificate that ends within this time is a warning.
const CERTIFICATE_WARNING: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Looks at everything side by side. A part that cannot be looked at is a row that says so, never an error.
pub async fn answer(node: &NodeRef, params: &StatusParams) -> StatusAnswer {
    let config = &node.config;
    let board = Board { node, name: config.node.clone() };
    let (web, database, balancer, mail, services, software) = tokio::join!(
        async {
            match &config.web {
                Some(web) => board.web(web).await,
                None => Vec::new(),
            }
        },
        async {
            match &config.database {
                Some(database) => board.database(database).await,
                None => Vec::new(),
            }
        },
        async {
            match &config.lb {
                Some(balancer) => board.balancer(balancer).await,
                None => Vec::new(),
            }
        },
        async {
            match &config.postfix {
                Some(postfix) => board.mail(postfix).await,
                None => Vec::new(),
            }
        },
        services::states(node),
        async { if params.software { software::installed(node).await } else { Vec::new() } },
    );
    let mut rows = [web, database, balancer, mail].concat();
    rows.extend(services.iter().filter_map(|service| board.service(service)));
    rows.extend(board.certificates());
    rows.extend(disks::rows(config));
    StatusAnswer {
        agent_version: orocloud_protocol::VERSION.to_owned(),
        rows,
        release: config.app.as_ref().and_then(releases::live),
        releases: config.app.as_ref().and_then(|app| releases::unpacked(app).ok()).unwrap_or_default(),
        maintenance: config.web.as_ref().and_then(|web| maintenance::is_on(web).ok()),
        services,
        software,
    }
}

struct Board<'a> {
    node: &'a NodeRef,
    name: NodeName,
}

impl Board<'_> {
    fn row(&self, part: &str, health: Health, detail: impl Into<String>, next: Option<String>) -> StatusRow {
        StatusRow {
            part: part.to_owned(),
            node: Some(self.name.clone()),
            health,
            detail: detail.into(),
            next,
        }
    }

    fn logs(&self, sources: &str) -> Option<String> {
        Some(format!("orocloud-cli log:tail {sources} --node={} --lines=50 --no-follow", self.name))
    }

    /// What is wrong with a service; `None` when it runs.
    async fn trouble(&self, service: &str) -> Option<String> {
        match within(self.node.services.state(service)).await {
            Err(error) => Some(error.to_string()),
            Ok(state) => {
                let word = match state.activity {
                    Activity::Running => return None,
                    Activity::Starting => "is starting",
                    Activity::Stopped => "is stopped",
                    Activity::Failed => "has failed",
                };
                let detail = state.detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
                Some(format!("{service} {word}{detail}"))
            }
        }
    }

    async fn web(&self, web: &Web) -> Vec<StatusRow> {
        let (server, runtime) = tokio::join!(self.trouble(&web.web_service), self.trouble(&web.fpm_service));
        let mut rows = vec![match (server, runtime) {
            (None, None) => self.serving(web).await,
            (server, runtime) => {
                let detail: Vec<String> = [server, runtime].into_iter().flatten().collect();
                self.row("web", Health::Down, detail.join("; "), self.logs("nginx"))
            }
        }];
        match maintenance::is_on(web) {
            Ok(true) => rows.push(self.row(
                "maintenance",
                Health::Warning,
                notice(web).unwrap_or_else(|| "the page is up".to_owned()),
                Some("orocloud-cli maintenance:status".to_owned()),
            )),
            Ok(false) => {}
            Err(error) => rows.push(self.row("maintenance", Health::Warning, error.to_string(), None)),
        }
        rows
    }

    async fn serving(&self, web: &Web) -> StatusRow {
        let app = self.node.config.app.as_ref();
        let release = app.and_then(releases::live);
        let requests = async {
            let (pool, connections) =
                tokio::try_join!(php_fpm::pool(&web.fpm_status_url), nginx::connections(&web.status_url))?;
            Ok::<_, CallError>((pool, connections))
        };
        let (pool, connections) = match within(requests).await {
            Ok(found) => found,
            Err(error) => return self.row("web", Health::Warning, error.to_string(), self.logs("nginx")),
        };
        let load = format!(
            "nginx and PHP-FPM run, {} requests in flight, {} connections",
            pool.in_flight(),
            connections.active
        );
        match release {
            None => self.row("web", Health::Absent, format!("{load}, no release yet"), None),
            Some(release) => match app.map(|app| releases::described(app, &release)) {
                Some(Ok(Some(version))) => self.row(
                    "web",
                    Health::Ok,
                    format!("{load}, serves {} (release {release})", version.reference),
                    None,
                ),
                _ => {
                    self.row("web", Health::Down, format!("{load}, but release {release} is not whole"), None)
                }
            },
        }
    }

    async fn database(&self, config: &Database) -> Vec<StatusRow> {
        let logs = || self.logs("postgresql");
        if let Some(trouble) = self.trouble(&config.service).await {
            return vec![self.row("database", Health::Down, trouble, logs())];
        }
        let health = match Keeper::of(self.node) {
            Ok(keeper) => within(keeper.health()).await.map(|health| health.timeline),
            Err(error) => Err(error),
        };
        let asked = within(archiving(config)).await;
        vec![match (health, asked) {
            (Err(error), _) | (_, Err(error)) => {
                self.row("database", Health::Down, error.to_string(), logs())
            }
            (Ok(timeline), Ok(Archiving { version, failing })) => {
                let timeline = timeline.map(|timeline| format!(", timeline {timeline}")).unwrap_or_default();
                let detail = format!("PostgreSQL {version} answers{timeline}");
                match failing {
                    None => self.row("database", Health::Ok, detail, None),
                    Some(segment) => self.row(
                        "database",
                        Health::Warning,
                        format!("{detail}, but {segment} cannot be archived: nothing newer can be restored"),
                        logs(),
                    ),
                }
            }
        }]
    }

    async fn balancer(&self, config: &LoadBalancer) -> Vec<StatusRow> {
        let logs = || self.logs("haproxy");
        if let Some(trouble) = self.trouble(&config.service).await {
            return vec![self.row("load balancer", Health::Down, trouble, logs())];
        }
        let servers = match within(haproxy::servers(&config.admin_socket, &config.backend)).await {
            Ok(servers) => servers,
            Err(error) => return vec![self.row("load balancer", Health::Warning, error.to_string(), logs())],
        };
        let away: Vec<String> = servers
            .iter()
            .filter(|server| !server.takes_requests())
            .map(|server| {
                format!("{} is {} {}", server.name, server.status, server.check).trim_end().to_owned()
            })
            .collect();
        let sessions: u64 = servers.iter().map(|server| server.sessions).sum();
        let taking = servers.len() - away.len();
        let detail =
            format!("{taking} of {} web nodes take requests, {sessions} at the moment", servers.len());
        let health = match taking {
            0 => Health::Down,
            _ if away.is_empty() => return vec![self.row("load balancer", Health::Ok, detail, None)],
            _ => Health::Warning,
        };
        vec![self.row("load balancer", health, format!("{detail}; {}", away.join(", ")), logs())]
    }

    async fn mail(&self, config: &Postfix) -> Vec<StatusRow> {
        let (mut rows, unsigned) = tokio::join!(self.relays(config), mail::dns::unsigned(self.node));
        rows.extend(unsigned.map(|trouble| {
            // Who starts it has an account on the node; here it can be seen what it comes to.
            self.row("signer", Health::Warning, trouble, Some("orocloud-cli smtp:dns".to_owned()))
        }));
        rows
    }

    async fn relays(&self, config: &Postfix) -> Vec<StatusRow> {
        if let Some(trouble) = self.trouble(&config.service).await {
            return vec![self.row("mail", Health::Down, trouble, self.logs("postfix"))];
        }
        let relays = Configurations::new(config).desired().map(|desired| desired.infos());
        let waiting = within(postfix::queue(&self.node.processes, config)).await.map(|queue| queue.len());
        let (relays, waiting) = match (relays, waiting) {
            (Ok(relays), Ok(waiting)) => (relays, waiting),
            (Err(error), _) | (_, Err(error)) => {
                return vec![self.row("mail", Health::Warning, error.to_string(), self.logs("postfix"))];
            }
        };
        let waits = match waiting {
            0 => "nothing waits".to_owned(),
            1 => "1 message waits".to_owned(),
            more => format!("{more} messages wait"),
        };
        if relays.is_empty() {
            let next = Some("orocloud-cli smtp:relay:set --help".to_owned());
            let detail = format!("Postfix runs, without a relay; {waits}");
            return vec![self.row("mail", Health::Absent, detail, next)];
        }
        let count = if relays.len() == 1 { "1 relay".to_owned() } else { format!("{} relays", relays.len()) };
        let mut detail = format!("Postfix runs, {count}, {waits}");
        let mut is_back = false;
        for relay in &relays {
            if let Some(PutBack { since, why, .. }) = &relay.put_back {
                is_back = true;
                let since = since.strftime("%Y-%m-%d %H:%M UTC");
                detail.push_str(&format!("; {} is put back since {since}: {why}", relay.name));
            }
        }
        let (health, next) = match (is_back, waiting) {
            (true, _) => (Health::Warning, Some("orocloud-cli smtp:show".to_owned())),
            (false, 0) => (Health::Ok, None),
            (false, _) => (Health::Warning, Some("orocloud-cli smtp:queue".to_owned())),
        };
        vec![self.row("mail", health, detail, next)]
    }

    /// A service that is not as it is to be; what runs is no news.
    fn service(&self, service: &ServiceInfo) -> Option<StatusRow> {
        let detail = service.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let health = match service.state {
            ServiceState::Running => return None,
            ServiceState::Starting | ServiceState::Stopped => Health::Warning,
            ServiceState::Failed | ServiceState::Unknown => Health::Down,
        };
        // Before the first deployment there is nothing it could run.
        let deployed = self.node.config.app.as_ref().and_then(releases::live).is_some();
        let health = if deployed { health } else { Health::Absent };
        Some(self.row(
            "service",
            health,
            format!("{} is {}{detail}", service.unit, service.state.as_str()),
            Some("orocloud-cli service:status".to_owned()),
        ))
    }

    /// Certificates of this node that have ended or soon will.
    fn certificates(&self) -> Vec<StatusRow> {
        let config = &self.node.config;
        let mut files = Vec::new();
        if let Some(file) = &config.host_certificate {
            files.push(("host certificate", file.clone()));
        }
        if let Some(coordinator) = &config.coordinator {
            let mut file = coordinator.key.clone().into_os_string();
            file.push("-cert.pub");
            files.push(("coordinator certificate", file.into()));
        }
        let now = Timestamp::now();
        files
            .into_iter()
            .filter_map(|(part, file)| {
                let (health, detail) = match valid_before(&file) {
                    Err(error) => (Health::Warning, format!("{}: {error}", file.display())),
                    Ok(None) => return None,
                    Ok(Some(until)) if until <= now => (Health::Down, format!("ended at {until:.0}")),
                    Ok(Some(until)) if until.duration_since(now) < CERTIFICATE_WARNING => {
                        (Health::Warning, format!("ends at {until:.0}"))
                    }
                    Ok(Some(_)) => return None,
                };
                Some(self.row(part, health, detail, None))
            })
            .collect()
    }
}

/// The words of whoever put the page up.
fn notice(web: &Web) -> Option<String> {
    let page = PageFile::of_node(web).read().ok()?;
    Some(format!("the page is up {}", words(&page)?))
}

struct Archiving {
    version: String,
    /// The segment whose archiving failed last, if none succeeded since.
    failing: Option<String>,
}

async fn archiving(config: &Database) -> Result<Archiving, CallError> {
    let server = Server {
        socket_dir: config.socket_dir.clone(),
        port: config.port,
        superuser: config.superuser.clone(),
    };
    let client = server.must_connect("postgres").await?;
    let row = client
        .query_one(
            "select current_setting('server_version'), case when last_failed_time > coalesce(last_archived_time, '-infinity') \
             then last_failed_wal end from pg_stat_archiver",
            &[],
        )
        .await
        .map_err(|error| CallError::failed("PostgreSQL did not tell its state").because(error))?;
    let version: String = row.get(0);
    // `15.14 (Debian 15.14-0+deb12u1)`
    let version = version.split(' ').next().unwrap_or_default().to_owned();
    Ok(Archiving { version, failing: row.get(1) })
}

/// The end of a certificate; `None` when it has none.
fn valid_before(file: &Path) -> Result<Option<Timestamp>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Ok(Certificate::from_text(&text).map_err(|error| error.to_string())?.valid_until())
}

async fn within<T>(part: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    match tokio::time::timeout(LIMIT, part).await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::failed(format!("no answer within {} s", LIMIT.as_secs()))),
    }
}
