//! `smtp:dns`: every mail node asks for itself, for each has keys of its own.

use orocloud_protocol::smtp::dns::{DnsAnswer, DnsParams};
use orocloud_protocol::{CallError, node};

use super::mail_nodes;
use crate::calls::Context;

/// `smtp.dns`
pub async fn dns(context: &Context, _params: DnsParams) -> Result<DnsAnswer, CallError> {
    let mut whole: Option<DnsAnswer> = None;
    for name in mail_nodes(context)? {
        let found = context.daemon.nodes.call::<node::MailDns>(&name, &node::MailDnsParams {}).await?;
        if !found.ready.is_empty() {
            context.daemon.signing.ring();
        }
        let answer = found.dns;
        match &mut whole {
            None => whole = Some(answer),
            Some(whole) => {
                let more: Vec<_> =
                    answer.items.into_iter().filter(|record| !whole.items.contains(record)).collect();
                whole.items.extend(more);
            }
        }
    }
    let mut whole = whole.unwrap_or_default();
    if whole.items.is_empty() {
        return Err(CallError::failed("no domain is known that mail is sent from")
            .hint("say by a relay's sender which one: orocloud-cli smtp:relay:set RELAY --probe-from=ADDRESS")
            .hint("or in environment.toml: [mail] sender_domains = [\"example.com\"]"));
    }
    // Those of one domain beside each other, in the order that each node gave.
    whole.items.sort_by(|one, other| (&one.domain, one.kind as u8).cmp(&(&other.domain, other.kind as u8)));
    Ok(whole)
}
