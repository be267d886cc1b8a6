//! The page itself, asked for as a visitor would.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orocloud_protocol::node::{FrontendChecked, Probe};
use orocloud_protocol::{CallError, ErrorKind, EventBody, NodeRole, NoteLevel, ReleaseName};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::release::RELOADED;
use super::{Action, ActionContext};
use crate::engines::{http, php_fpm};
use crate::environment::Web;
use crate::operations::plan::tried_enough;

/// How long the front may take to answer at all: a cold application is slow, a load balancer waits for its checks.
const LIMIT: Duration = Duration::from_secs(180);

/// How long an answer may stay wrong that comes from the application itself.
const WRONG_LIMIT: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(50);

/// [`orocloud_protocol::node::StepAction::FrontendCheck`]
pub struct Check<'a> {
    pub release: &'a ReleaseName,
}

impl Action for Check<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let began = Instant::now();
        let environment = &context.node.config.environment;
        let status = match &context.node.config.web {
            Some(web) => {
                let host = http::host_of(&environment.url);
                match (web.maintenance_file.exists(), &web.check_url) {
                    (false, _) => self.until_good(context, &web.url, host, Some(web)).await?,
                    (true, Some(past_the_page)) => {
                        self.until_good(context, past_the_page, host, Some(web)).await?
                    }
                    (true, None) => {
                        let text = "the maintenance page is up, and agent.toml has no check_url to look past it: the release is not looked at";
                        let text = text.to_owned();
                        context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
                        503
                    }
                }
            }
            None => {
                // One answer a node and one more: every node that the load balancer sends to should be among them.
                let rounds = environment.with_role(NodeRole::Web).count() + 1;
                let mut status = 0;
                for _ in 0..rounds {
                    status = self.until_good(context, &environment.url, None, None).await?;
                }
                status
            }
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        context.output(&FrontendChecked { status, took_ms })
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Looking again is all there is to it.
        Ok(Probe::NotDone)
    }
}

impl Check<'_> {
    async fn until_good(
        &self,
        context: &ActionContext<'_>,
        url: &str,
        host: Option<&str>,
        web: Option<&Web>,
    ) -> Result<u16, CallError> {
        let began = Instant::now();
        let mut wrong_since = None;
        loop {
            let (seen, from_application) = match self.look(context, url, host, web).await {
                Look::Good(status) => return Ok(status),
                Look::Wrong { seen, from_application } => (seen, from_application),
            };
            let wrong = match from_application {
                true => wrong_since.get_or_insert_with(Instant::now).elapsed() > WRONG_LIMIT,
                false => {
                    wrong_since = None;
                    false
                }
            };
            if wrong || began.elapsed() > LIMIT {
                let node = web.map(|_| format!(" --node={}", context.node.config.node)).unwrap_or_default();
                let error = CallError::failed(format!("{url} is not served by release {}", self.release))
                    .because(seen)
                    .hint(format!("orocloud-cli log:tail app nginx{node} --lines=50 --no-follow"));
                return Err(tried_enough(error));
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = context.cancel.cancelled() => {
                    return Err(CallError::new(ErrorKind::Cancelled, "the frontend check was cancelled"));
                }
            }
        }
    }

    async fn look(
        &self,
        context: &ActionContext<'_>,
        url: &str,
        host: Option<&str>,
        web: Option<&Web>,
    ) -> Look {
        // Found again in PHP-FPM's status; it also keeps caches out.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let token = format!("orocloud-check={}-{number}", context.operation);
        let asked = format!("{url}{}{token}", if url.contains('?') { '&' } else { '?' });
        let page = match http::get(&asked, host, Duration::from_secs(60)).await {
            Ok(page) => page,
            Err(error) => return Look::Wrong { seen: error.to_string(), from_application: false },
        };
        let status = page.status;
        // A front page may lead visitors on, to a language or to a login.
        if !matches!(status, 200 | 301..=303 | 307 | 308) {
            // 502 to 504 also come from servers before the application, which may only have to wait.
            return Look::Wrong {
                seen: format!("HTTP {status}"),
                from_application: !matches!(status, 502..=504),
            };
        }
        let told = match &context.node.config.environment.application.release_header {
            Some(header) => self.told(header, &page),
            None => Ok(()),
        };
        let served = match (told, web) {
            (Ok(()), Some(web)) => self.served_by(context, web, &token).await,
            (told, _) => told,
        };
        match served {
            Ok(()) => Look::Good(status),
            Err(seen) => Look::Wrong { seen, from_application: true },
        }
    }

    /// Whether the answer says that it comes from this release; the load balancer may have asked any node.
    fn told(&self, header: &str, page: &http::Page) -> Result<(), String> {
        match page.header(header) {
            Some(release) if release == self.release.as_str() => Ok(()),
            Some(release) => Err(format!("the answer came from release {release}")),
            None => Err(format!("the answer has no header {header}, which would name its release")),
        }
    }

    /// Whether PHP-FPM runs this release and nothing else.
    async fn served_by(&self, context: &ActionContext<'_>, web: &Web, token: &str) -> Result<(), String> {
        let pool = php_fpm::pool(&web.fpm_status_url).await.map_err(|error| error.to_string())?;
        let asked = context.marks().get::<i64>(RELOADED).map_err(|error| error.to_string())?;
        if asked.is_some_and(|asked| pool.started_at < asked) {
            return Err("PHP-FPM still runs as it did before it was told to begin anew".to_owned());
        }
        let app = context.app().map_err(|error| error.to_string())?;
        let folder = app.release(self.release);
        let folder = folder.canonicalize().unwrap_or(folder);
        ran(&pool, token, &folder, &app.releases())
    }
}

/// Whether the request with this token was run from `folder`: PHP-FPM tells the file that each of its processes runs, or
/// ran last. On a busy node a request is shown for a moment only; there all processes of a pool that was begun anew
/// must run files of that folder.
fn ran(pool: &php_fpm::Pool, token: &str, folder: &Path, releases: &Path) -> Result<(), String> {
    let instead =
        |script: &str| Err(format!("PHP-FPM ran {script} instead of a file in {}", folder.display()));
    let releases = releases.canonicalize().unwrap_or_else(|_| releases.to_owned());
    let inside = |script: &str, folder: &Path| Path::new(script).starts_with(folder);
    if let Some(worker) = pool.processes.iter().find(|worker| worker.uri.contains(token)) {
        return if inside(&worker.script, folder) { Ok(()) } else { instead(&worker.script) };
    }
    let mut scripts =
        pool.processes.iter().map(|worker| worker.script.as_str()).filter(|script| inside(script, &releases));
    let mut seen = false;
    match scripts.find(|script| {
        seen = true;
        !inside(script, folder)
    }) {
        Some(other) => instead(other),
        None if seen => Ok(()),
        None => Err("PHP-FPM does not show the request".to_owned()),
    }
}

enum Look {
    Good(u16),
    Wrong { seen: String, from_application: bool },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_what_php_fpm_runs() {
        let pool = |workers: &[(&str, &str)]| -> php_fpm::Pool {
            let processes: Vec<_> = workers
                .iter()
                .map(|(uri, script)| {
                    serde_json::json!({"state": "Idle", "request uri": uri, "script": script})
                })
                .collect();
            serde_json::from_value(serde_json::json!({
                "start time": 1, "listen queue": 0, "total processes": workers.len(), "processes": processes
            }))
            .unwrap()
        };
        let status = ("/fpm-status?json&full", "/fpm-status");
        let (new, old) = ("/none/deploy/2/public/index.php", "/none/deploy/1/public/index.php");
        let ran = |workers: &[(&str, &str)]| {
            ran(&pool(workers), "check=7", Path::new("/none/deploy/2"), Path::new("/none/deploy"))
        };
        ran(&[("/?check=7", new), ("/", old), status]).unwrap();
        ran(&[("/?check=8", new), ("/slow", new), status]).unwrap();
        for wrong in [
            &[("/?check=7", old), ("/", new)][..],
            &[("/", old), ("/", new), status],
            &[("/?check=7", "/none/deploy/22/public/index.php")],
            &[status],
            &[],
        ] {
            ran(wrong).unwrap_err();
        }
    }
}
