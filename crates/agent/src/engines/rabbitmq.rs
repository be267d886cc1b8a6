//! RabbitMQ: what its management interface tells over HTTP.

use std::path::Path;
use std::time::Duration;

use orocloud_protocol::CallError;
use orocloud_protocol::queue::QueueInfo;
use serde::Deserialize;

use super::http;
use crate::environment::Queue;

/// What is asked for of each queue: all there is would be some kilobytes a queue.
const COLUMNS: &str = "vhost,name,messages,messages_ready,consumers,memory";

const LIMIT: Duration = Duration::from_secs(10);

/// As it is told; counts are missing for some seconds after a queue was made.
#[derive(Debug, Deserialize)]
struct Told {
    vhost: String,
    name: String,
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    messages_ready: u64,
    #[serde(default)]
    consumers: u64,
    #[serde(default)]
    memory: u64,
}

/// All queues, by virtual host and name.
pub async fn queues(config: &Queue) -> Result<Vec<QueueInfo>, CallError> {
    let password = password(&config.password_file)?;
    let url = format!("{}/api/queues?columns={COLUMNS}", config.url.trim_end_matches('/'));
    let page = http::get_as(&url, &config.user, &password, LIMIT).await?;
    match page.status {
        200 => parse(&page.body),
        401 => Err(CallError::failed(format!("RabbitMQ at {} does not let {} in", config.url, config.user))
            .hint(format!("compare the password in {}", config.password_file.display()))),
        status => Err(CallError::failed(format!("RabbitMQ at {} answers HTTP {status}", config.url))),
    }
}

fn password(file: &Path) -> Result<String, CallError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CallError::failed(format!("{} cannot be read", file.display())).because(error))?;
    Ok(text.trim_end_matches('\n').to_owned())
}

fn parse(body: &str) -> Result<Vec<QueueInfo>, CallError> {
    let told: Vec<Told> = serde_json::from_str(body)
        .map_err(|error| CallError::failed("RabbitMQ's list of queues cannot be read").because(error))?;
    let mut queues: Vec<QueueInfo> = told
        .into_iter()
        .map(|told| QueueInfo {
            vhost: told.vhost,
            name: told.name,
            messages: told.messages,
            ready: told.messages_ready,
            consumers: told.consumers,
            memory: told.memory,
        })
        .collect();
    queues.sort_by(|one, other| (&one.vhost, &one.name).cmp(&(&other.vhost, &other.name)));
    Ok(queues)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = r#"[{"consumers":1,"memory":41176,"messages":3,"messages_ready":2,"messages_unacknowledged":1,"name":"oro.mail","state":"running","vhost":"oro"},{"name":"oro.default","vhost":"oro"}]"#;

    #[test]
    fn the_list_of_queues_is_read() {
        let queues = parse(CAPTURED).unwrap();
        assert_eq!((queues[0].name.as_str(), queues[0].messages), ("oro.default", 0));
        let mail = &queues[1];
        assert_eq!((mail.messages, mail.ready, mail.consumers, mail.memory), (3, 2, 1, 41176));
        for end in [0, 40, CAPTURED.len() - 1] {
            assert!(parse(&CAPTURED[..end]).is_err(), "{}", &CAPTURED[..end]);
        }
        assert!(parse(r#"{"error":"not_authorised"}"#).is_err());
    }
}
