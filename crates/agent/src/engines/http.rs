//! Pages, asked for over HTTP.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orocloud_protocol::CallError;

/// How much of a page is read, in bytes.
const MAX_BODY: u64 = 1024 * 1024;

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// Its headers, by names in small letters.
    pub headers: Vec<(String, String)>,
    /// The first megabyte.
    pub body: String,
}

impl Page {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Asks for a page once; every status is an answer, a redirection is not followed. `host` replaces the host that the
/// URL names, for a node that serves another name than its own.
pub async fn get(url: &str, host: Option<&str>, limit: Duration) -> Result<Page, CallError> {
    let shown = url.to_owned();
    send(Request { url: url.to_owned(), host: host.map(str::to_owned), authorization: None, limit }, shown)
        .await
}

/// The same as somebody with a password.
pub async fn get_as(url: &str, user: &str, password: &str, limit: Duration) -> Result<Page, CallError> {
    let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let request = Request { url: url.to_owned(), host: None, authorization: Some(authorization), limit };
    send(request, url.to_owned()).await
}

async fn send(request: Request, shown: String) -> Result<Page, CallError> {
    let answered = tokio::task::spawn_blocking(move || request.send()).await;
    answered
        .map_err(|error| error.to_string())
        .and_then(|answer| answer.map_err(|error| error.to_string()))
        .map_err(|error| CallError::failed(format!("{shown} does not answer")).because(error))
}

/// The host and port that a URL names.
pub fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    Some(rest.split(['/', '?', '#']).next().unwrap_or(rest)).filter(|host| !host.is_empty())
}

struct Request {
    url: String,
    host: Option<String>,
    authorization: Option<String>,
    limit: Duration,
}

impl Request {
    fn send(self) -> Result<Page, ureq::Error> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(self.limit))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent("orocloud-agent")
            .build()
            .into();
        let mut request = agent.get(&self.url);
        if let Some(host) = &self.host {
            request = request.header("Host", host);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = request.call()?;
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let mut reader = std::io::Read::take(response.body_mut().as_reader(), MAX_BODY);
        std::io::Read::read_to_end(&mut reader, &mut body)?;
        Ok(Page { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_urls() {
        for (url, host) in [
            ("http://127.18.1.4:8080/", Some("127.18.1.4:8080")),
            ("https://shop.example?x=1", Some("shop.example")),
            ("https://shop.example", Some("shop.example")),
            ("shop.example", None),
            ("http:///x", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }
}
