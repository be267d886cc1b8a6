//! PHP-FPM: its status page, which tells what each of its processes runs, and from which file.

use std::time::Duration;

use orocloud_protocol::CallError;
use serde::Deserialize;

use super::http;

/// The pool of the application.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pool {
    /// When it was started or last reloaded, in seconds since 1970.
    #[serde(rename = "start time")]
    pub started_at: i64,
    /// Requests that wait for a process.
    #[serde(rename = "listen queue")]
    pub waiting: u64,
    /// How many processes there are.
    #[serde(rename = "total processes")]
    pub total: u64,
    /// Each process.
    pub processes: Vec<Worker>,
}

/// One process of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Worker {
    /// `Idle`, `Running`, `Reading headers`, `Finishing`, …
    state: String,
    /// What it runs, or ran last.
    #[serde(rename = "request uri")]
    pub uri: String,
    /// The file it was told to run.
    pub script: String,
}

impl Pool {
    /// Requests of the application that have not been answered yet, but for the one that asks.
    pub fn in_flight(&self) -> u64 {
        let busy = self
            .processes
            .iter()
            .filter(|worker| worker.state != "Idle" && !worker.script.ends_with("-status"));
        self.waiting + busy.count() as u64
    }
}

/// Asks for the pool and its processes.
pub async fn pool(status_url: &str) -> Result<Pool, CallError> {
    let url = format!("{status_url}{}full", if status_url.contains('?') { '&' } else { '?' });
    let page = http::get(&url, None, Duration::from_secs(5)).await?;
    let wrong = |why: &dyn std::fmt::Display| {
        CallError::failed(format!("{url} is not the status page of PHP-FPM as JSON")).because(why)
    };
    if page.status != 200 {
        return Err(wrong(&format!("HTTP {}", page.status)));
    }
    serde_json::from_str(&page.body).map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = r#"{"pool":"www","process manager":"dynamic","start time":1795541492,"start since":1,"accepted conn":2,"listen queue":1,"max listen queue":0,"listen queue len":0,"idle processes":1,"active processes":1,"total processes":3,"max active processes":1,"max children reached":0,"slow requests":0, "processes":[{"pid":22438,"state":"Running","start time":1795541492,"start since":1,"requests":1,"request duration":299201,"request method":"GET","request uri":"\/index.php?ms=2000","content length":0,"user":"-","script":"\/opt\/deploy\/1\/public\/index.php","last request cpu":0.00,"last request memory":0},{"pid":22439,"state":"Idle","start time":1795541492,"start since":1,"requests":1,"request duration":591,"request method":"GET","request uri":"\/index.php?tok=abc","content length":0,"user":"-","script":"\/opt\/deploy\/1\/public\/index.php","last request cpu":0.00,"last request memory":2097152},{"pid":22440,"state":"Running","start time":1795541492,"start since":1,"requests":1,"request duration":40,"request method":"GET","request uri":"\/fpm-status?json&full","content length":0,"user":"-","script":"\/fpm-status","last request cpu":0.00,"last request memory":0}]}"#;

    #[test]
    fn the_status_page_is_read() {
        let pool: Pool = serde_json::from_str(CAPTURED).unwrap();
        assert_eq!((pool.started_at, pool.total), (1_795_541_492, 3));
        // One waits, one runs; the process that answers the status page does not count.
        assert_eq!(pool.in_flight(), 2);
        assert_eq!(pool.processes[1].script, "/opt/deploy/1/public/index.php");
        assert!(serde_json::from_str::<Pool>(&CAPTURED[..CAPTURED.len() / 2]).is_err());
        assert!(serde_json::from_str::<Pool>("{}").is_err());
    }
}
