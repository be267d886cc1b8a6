//! `smtp:*`: what holds about mail is kept on the mail nodes, each of which makes its own configuration of it.

pub mod dns;
pub mod following;
mod sending;
pub mod signing;

use std::collections::HashSet;

use orocloud_protocol::node::{MailChange, MailChecked, RelayChange, StepAction};
use orocloud_protocol::smtp::{
    ChangedAnswer, HistoryAnswer, HistoryParams, PutBack, QueueAnswer, QueueParams, RelayRemove,
    RelayRemoveParams, RelaySet, RelaySetAnswer, RelaySetParams, ShowAnswer, ShowParams, Whitelist,
    WhitelistChange, WhitelistParams,
};
use orocloud_protocol::{CallError, MailDomain, NodeName, NodeRole, OperationOptions, Page, node};

use super::{Context, Done, OperationCall, quoted};
use crate::mail_settings::no_relay;
use crate::operations::plan::{OperationPlan, Step, output};
use crate::server::DaemonRef;

/// The mail nodes; none is an error.
fn mail_nodes(context: &Context) -> Result<Vec<NodeName>, CallError> {
    let environment = &context.config().environment;
    let nodes: Vec<NodeName> = environment.with_role(NodeRole::Mail).map(|node| node.name.clone()).collect();
    if nodes.is_empty() {
        return Err(CallError::failed(format!("no node of {} has the role mail", environment.name))
            .hint("see the nodes: orocloud-cli env:info"));
    }
    Ok(nodes)
}

/// `smtp.show`: all mail nodes have the same relays, and each tells of its own mail.
pub async fn show(context: &Context, _params: ShowParams) -> Result<ShowAnswer, CallError> {
    let mut answers = Vec::new();
    for name in mail_nodes(context)? {
        let answer = context.daemon.nodes.call::<node::Mail>(&name, &node::MailParams {}).await;
        answers.push((name, answer));
    }
    let (mut shown, others, silent) = heard(answers)?;
    others.iter().for_each(|other| add(&mut shown, other));
    Ok(ShowAnswer { silent, ..shown })
}

/// What the first node tells that tells something, what the others do, and which ones do not; nothing but the first fault
/// where nobody does.
fn heard<T>(answers: Vec<(NodeName, Result<T, CallError>)>) -> Result<(T, Vec<T>, Vec<NodeName>), CallError> {
    let (mut told, mut silent, mut fault) = (Vec::new(), Vec::new(), None);
    for (name, answer) in answers {
        match answer {
            Ok(answer) => told.push(answer),
            Err(error) => {
                silent.push(name);
                fault.get_or_insert(error);
            }
        }
    }
    if told.is_empty() {
        return Err(fault.unwrap_or_else(|| CallError::internal("there is a mail node")));
    }
    let others = told.split_off(1);
    let first = told.pop().ok_or_else(|| CallError::internal("there is a mail node"))?;
    Ok((first, others, silent))
}

/// Adds what another mail node tells.
fn add(shown: &mut ShowAnswer, other: &ShowAnswer) {
    shown.recipients.on_the_way |= other.recipients.on_the_way;
    shown.unsigned = both(shown.unsigned.take(), other.unsigned.as_deref());
    shown.waiting = shown.waiting.zip(other.waiting).map(|(one, other)| one + other);
    if let (Some(counts), Some(more)) = (&mut shown.counts, &other.counts) {
        counts.hour += more.hour;
        counts.day += more.day;
    }
    for relay in &mut shown.relays {
        let Some(same) = other.relays.iter().find(|same| same.name == relay.name) else { continue };
        relay.last_taken = relay.last_taken.max(same.last_taken);
        relay.trouble = both(relay.trouble.take(), same.trouble.as_deref());
        relay.put_back = match (relay.put_back.take(), &same.put_back) {
            (Some(one), Some(other)) => both(Some(one.why), Some(&other.why)).map(|why| PutBack {
                since: one.since.min(other.since),
                not_before: one.not_before.max(other.not_before),
                why,
            }),
            (one, other) => one.or_else(|| other.clone()),
        };
    }
}

/// What two nodes say; once where they say the same.
fn both(one: Option<String>, other: Option<&str>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) if !one.split("; ").any(|said| said == other) => {
            Some(format!("{one}; {other}"))
        }
        (one, other) => one.or_else(|| other.map(str::to_owned)),
    }
}

/// So many of a list are needed to show a page of it. Nodes tell them in parts that fit into a line.
fn up_to(page: Page) -> u64 {
    u64::from(page.page.max(1)).saturating_mul(u64::from(page.per_page.clamp(1, 1000)))
}

/// `smtp.queue`: what waits on any of the mail nodes, the oldest first.
pub async fn queue(context: &Context, params: QueueParams) -> Result<QueueAnswer, CallError> {
    let mut answers = Vec::new();
    for name in mail_nodes(context)? {
        let answer = queue_of(context, &name, up_to(params.page)).await;
        answers.push((name, answer));
    }
    let (mut all, others, silent) = heard(answers)?;
    for other in others {
        all.total += other.total;
        all.items.extend(other.items);
    }
    all.items.sort_by(|one, other| (one.since, &one.queue_id).cmp(&(other.since, &other.queue_id)));
    all.items = params.page.of(&all.items);
    Ok(QueueAnswer { silent, ..all })
}

async fn queue_of(context: &Context, name: &NodeName, wanted: u64) -> Result<QueueAnswer, CallError> {
    let mut all = QueueAnswer::default();
    loop {
        let skip = all.items.len() as u64;
        let part = node::MailQueueParams { skip, take: wanted - skip };
        let answer = context.daemon.nodes.call::<node::MailQueue>(name, &part).await?;
        let is_last = answer.items.is_empty();
        all.items.extend(answer.items);
        all.total = answer.total;
        if is_last || all.items.len() as u64 >= all.total.min(wanted) {
            return Ok(all);
        }
    }
}

/// `smtp.history`: what became of messages on all of the mail nodes, the newest first.
pub async fn history(context: &Context, params: HistoryParams) -> Result<HistoryAnswer, CallError> {
    let HistoryParams { doubtful, page } = params;
    let mut answers = Vec::new();
    for name in mail_nodes(context)? {
        let answer = history_of(context, &name, doubtful, up_to(page)).await;
        answers.push((name, answer));
    }
    let (mut all, others, silent) = heard(answers)?;
    for other in others {
        all.total += other.total;
        all.doubtful += other.doubtful;
        all.items.extend(other.items);
    }
    // What was told while this was asked for moves the rest along.
    let mut seen = HashSet::new();
    all.items.retain(|message| seen.insert((message.queue_id.clone(), message.to.clone(), message.at)));
    all.items.sort_by_key(|message| std::cmp::Reverse(message.at));
    all.items = page.of(&all.items);
    Ok(HistoryAnswer { silent, ..all })
}

async fn history_of(
    context: &Context,
    name: &NodeName,
    doubtful: bool,
    wanted: u64,
) -> Result<HistoryAnswer, CallError> {
    let mut all = HistoryAnswer::default();
    loop {
        let skip = all.items.len() as u64;
        let part = node::MailHistoryParams { doubtful, skip, take: wanted - skip };
        let answer = context.daemon.nodes.call::<node::MailHistory>(name, &part).await?;
        let is_last = answer.items.is_empty();
        all.items.extend(answer.items);
        (all.total, all.doubtful) = (answer.total, answer.doubtful);
        if is_last || all.items.len() as u64 >= all.total.min(wanted) {
            return Ok(all);
        }
    }
}

/// A change on every mail node: kept beside, tried, written and checked beside, and only then switched to. All of it is
/// undone when something goes wrong.
pub fn changing(
    nodes: &[NodeName],
    change: &MailChange,
    tried: Option<StepAction>,
    summary: String,
) -> OperationPlan {
    let everywhere = |name: &str, action: &StepAction| -> Vec<Step> {
        nodes.iter().map(|node| Step::new(name, node, action.clone())).collect()
    };
    let mut groups =
        vec![everywhere("mail:stage", &StepAction::MailStage { change: Box::new(change.clone()) })];
    groups.extend(tried.map(|action| everywhere("mail:try", &action)));
    groups.push(everywhere("mail:write", &StepAction::MailWrite {}));
    groups.push(everywhere("mail:switch", &StepAction::MailSwitch {}));
    let end = groups.len();
    OperationPlan::losing_nothing(groups, end, vec![summary])
}

/// What holds after the switch.
fn changed<P>(done: &Done<'_, P>) -> Result<ChangedAnswer, CallError> {
    output(done.outputs, "mail:switch")
}

impl OperationCall for RelaySet {
    fn options(params: &RelaySetParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &RelaySetParams) -> String {
        let mut typed = format!("smtp:relay:set {}", params.name);
        let mut add = |option: &str, value: Option<String>| {
            if let Some(value) = value {
                typed.push_str(&format!(" --{option}={}", quoted(&value)));
            }
        };
        add("host", params.host.as_ref().map(ToString::to_string));
        add("port", params.port.map(|port| port.to_string()));
        add("tls", params.tls.map(|tls| tls.as_str().to_owned()));
        add("ca-file", params.ca.as_ref().map(|_| "…".to_owned()));
        add("priority", params.priority.map(|priority| priority.to_string()));
        add("user", params.user.as_ref().map(ToString::to_string));
        add("probe-from", params.probe_from.as_ref().map(ToString::to_string));
        add("probe-to", params.probe_to.as_ref().map(ToString::to_string));
        if params.password.is_some() {
            typed.push_str(" --password-stdin");
        }
        typed
    }

    async fn plan(context: &Context, params: &RelaySetParams) -> Result<OperationPlan, CallError> {
        let nodes = mail_nodes(context)?;
        let name = &params.name;
        let holds = show(context, ShowParams {}).await?;
        let before = holds.relays.iter().find(|relay| relay.name == *name);
        let host = match (before, &params.host) {
            (_, Some(host)) => host,
            (Some(before), None) => &before.host,
            (None, None) => {
                return Err(CallError::usage(format!(
                    "there is no relay {name} yet, and a new one needs a host"
                ))
                .hint(format!("orocloud-cli smtp:relay:set {name} --host=smtp.example.com")));
            }
        };
        let change = MailChange::SetRelay(RelayChange {
            name: name.clone(),
            host: params.host.clone(),
            port: params.port,
            tls: params.tls,
            ca: params.ca.clone(),
            priority: params.priority,
            user: params.user.clone(),
            password: params.password.clone(),
            probe_from: params.probe_from.clone(),
            probe_to: params.probe_to.clone(),
        });
        let tried = StepAction::MailTry { relay: name.clone(), candidate: true, from: None, to: None };
        let verb = if before.is_some() { "is changed" } else { "is added" };
        Ok(changing(&nodes, &change, Some(tried), format!("relay {name} ({host}) {verb}, if it takes mail")))
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, RelaySetParams>) -> Result<RelaySetAnswer, CallError> {
        let tried: MailChecked = output(done.outputs, "mail:try")?;
        let name = &done.params.name;
        let relay = changed(done)?.relays.into_iter().find(|relay| relay.name == *name);
        let relay =
            relay.ok_or_else(|| CallError::internal(format!("relay {name} is not there after all")))?;
        Ok(RelaySetAnswer { relay, stages: tried.tried })
    }
}

impl OperationCall for RelayRemove {
    fn options(params: &RelayRemoveParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &RelayRemoveParams) -> String {
        format!("smtp:relay:remove {}", params.name)
    }

    async fn plan(context: &Context, params: &RelayRemoveParams) -> Result<OperationPlan, CallError> {
        let nodes = mail_nodes(context)?;
        let name = &params.name;
        let ShowAnswer { relays, recipients, .. } = show(context, ShowParams {}).await?;
        let relay = relays.iter().find(|relay| relay.name == *name).ok_or_else(|| no_relay(name))?;
        let mut summary = format!("relay {name} ({}) is removed", relay.host);
        if let ([_], Some(mail)) = (&relays[..], recipients.mail_that_waits()) {
            summary.push_str(&format!("; {mail} waits until there is another"));
        }
        let change = MailChange::RemoveRelay { name: name.clone() };
        Ok(changing(&nodes, &change, None, summary))
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, RelayRemoveParams>) -> Result<ChangedAnswer, CallError> {
        changed(done)
    }
}

impl OperationCall for Whitelist {
    fn options(params: &WhitelistParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &WhitelistParams) -> String {
        match &params.change {
            WhitelistChange::Add(domains) => format!("smtp:whitelist add {}", list(domains, " ")),
            WhitelistChange::Remove(domains) => format!("smtp:whitelist remove {}", list(domains, " ")),
            WhitelistChange::Clear => "smtp:whitelist clear".to_owned(),
            WhitelistChange::Follow => "smtp:whitelist follow".to_owned(),
        }
    }

    async fn plan(context: &Context, params: &WhitelistParams) -> Result<OperationPlan, CallError> {
        let summary = match &params.change {
            WhitelistChange::Add(domains) | WhitelistChange::Remove(domains) if domains.is_empty() => {
                return Err(CallError::usage("no domain is given")
                    .hint("name some: orocloud-cli smtp:whitelist add example.com"));
            }
            WhitelistChange::Add(domains) => format!("mail reaches {} too", list(domains, ", ")),
            WhitelistChange::Remove(domains) => format!("mail reaches {} no more", list(domains, ", ")),
            WhitelistChange::Clear => "there is no whitelist any more by smtp:whitelist".to_owned(),
            WhitelistChange::Follow => "mail.whitelist of the application's orocloud.yaml holds".to_owned(),
        };
        let nodes = mail_nodes(context)?;
        Ok(match &params.change {
            WhitelistChange::Follow => following::plan(context, summary).await?,
            change => changing(&nodes, &MailChange::Whitelist(change.clone()), None, summary),
        })
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, WhitelistParams>) -> Result<ChangedAnswer, CallError> {
        match done.params.change {
            WhitelistChange::Follow => following::answer(output(done.outputs, following::TELL)?),
            _ => changed(done),
        }
    }
}

fn list(domains: &[MailDomain], between: &str) -> String {
    domains.iter().map(|domain| quoted(domain.as_str())).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::smtp::{Counts, Outcomes, Recipients, RelayInfo, RelayTls};

    use super::*;

    #[test]
    fn a_silent_node_is_named_and_keeps_nobody_from_being_heard() {
        for (answers, expected) in [
            (&[Ok(1), Ok(2), Ok(3)][..], Ok("1 [2, 3] ")),
            (&[Err("away"), Ok(2), Err("lost"), Ok(4)], Ok("2 [4] mail1 mail3")),
            (&[Err("away"), Err("lost")], Err("away")),
        ] {
            let asked = answers.iter().enumerate().map(|(at, answer)| {
                let name = format!("mail{}", at + 1).parse().unwrap();
                (name, answer.map_err(CallError::failed))
            });
            let found = heard(asked.collect()).map(|(first, others, silent)| {
                let silent: Vec<&str> = silent.iter().map(NodeName::as_str).collect();
                format!("{first} {others:?} {}", silent.join(" "))
            });
            assert_eq!(
                found.map_err(|error| error.message),
                expected.map(str::to_owned).map_err(str::to_owned)
            );
        }
    }

    #[test]
    fn what_every_mail_node_says_is_shown() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let told = |unsigned: &str, trouble: &str, back: Option<(i64, &str)>, number| {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let relay = RelayInfo {
                name: "main".parse().unwrap(),
                host: "smtp.example.com".parse().unwrap(),
                port: 587,
                tls: RelayTls::Starttls,
                own_authority: false,
                priority: 10,
                user: None,
                last_taken: Some(at(number)),
                trouble: text(trouble),
                seen: None,
                put_back: back.map(|(since, why)| PutBack {
                    since: at(since),
                    why: why.to_owned(),
                    not_before: None,
                }),
            };
            let number = number.unsigned_abs();
            let outcomes = Outcomes { sent: number, dropped: 2 * number, ..Outcomes::default() };
            ShowAnswer {
                relays: vec![relay],
                recipients: Recipients { whitelist: None, application: None, all: true, on_the_way: false },
                sender_domains: Vec::new(),
                unsigned: text(unsigned),
                waiting: Some(number),
                counts: Some(Counts { hour: outcomes, day: outcomes }),
                silent: Vec::new(),
            }
        };
        let mut shown = told("", "refused", None, 3);
        add(&mut shown, &told("down on mail2", "refused", Some((9, "no greeting")), 4));
        add(&mut shown, &told("down on mail3", "451 later", Some((7, "no connection")), 1));
        add(&mut shown, &told("down on mail3", "refused", Some((8, "no greeting")), 1));
        assert_eq!(shown.unsigned.as_deref(), Some("down on mail2; down on mail3"));
        let relay = &shown.relays[0];
        assert_eq!((relay.trouble.as_deref(), relay.last_taken), (Some("refused; 451 later"), Some(at(4))));
        let back = relay.put_back.as_ref().unwrap();
        assert_eq!((back.since, back.why.as_str()), (at(7), "no greeting; no connection"));
        let counts = shown.counts.unwrap();
        assert_eq!((shown.waiting, counts.hour.sent, counts.day.dropped), (Some(9), 9, 18));
    }
}
