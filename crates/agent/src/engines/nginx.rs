//! nginx: its own count of requests (`stub_status`).

use std::time::Duration;

use orocloud_protocol::CallError;

use super::http;

/// Connections as nginx sees them at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// All of them, idle ones too.
    pub active: u64,
    /// A request is being read or answered; the request that asks for this is one of them.
    pub busy: u64,
}

/// Asks for the connections.
pub async fn connections(status_url: &str) -> Result<Connections, CallError> {
    let page = http::get(status_url, None, Duration::from_secs(5)).await?;
    parse(&page.body).filter(|_| page.status == 200).ok_or_else(|| {
        CallError::failed(format!("{status_url} is not the status page of nginx: HTTP {}", page.status))
    })
}

fn parse(text: &str) -> Option<Connections> {
    let number = |name: &str| {
        let rest = text.split_once(name)?.1.trim_start();
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    let busy = number("Reading:")? + number("Writing:")?;
    Some(Connections { active: number("Active connections:")?, busy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_page_is_read() {
        let captured = "Active connections: 12 \nserver accepts handled requests\n 4 4 4 \nReading: 1 Writing: 2 Waiting: 9 \n";
        assert_eq!(parse(captured), Some(Connections { active: 12, busy: 3 }));
        for end in [0, 18, captured.len() - 26] {
            assert_eq!(parse(&captured[..end]), None, "{}", &captured[..end]);
        }
        assert_eq!(parse("<html>not found</html>"), None);
    }
}
