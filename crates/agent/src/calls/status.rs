//! `status`: one board of what is there, what is not, and the next command.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::node::DatabaseInfoAnswer;
use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::status::{Health, StatusRow};
use orocloud_protocol::window::{Window, WindowKind};
use orocloud_protocol::{CallError, NodeName, NodeRole, ReleaseName, node, status};

use crate::calls::Context;
use crate::calls::backup::facts::Known;
use crate::environment::{BackupSchedule, Environment};
use crate::server::DaemonRef;
use crate::windows::outbox::{self, Told};
use crate::withheld::{Withheld, Withholding};

/// A recovery point every hour, and some patience.
const POINT_AGE: SignedDuration = SignedDuration::from_mins(130);

/// What each node answered, in the order of environment.toml.
pub type Answers = Vec<(NodeName, Result<node::StatusAnswer, CallError>)>;

/// What the board is made from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The agent's clock.
    pub now: Timestamp,
    /// The nodes.
    pub nodes: Answers,
    /// What the database node knows of its archive; `None` where there is no such node.
    pub database: Option<Result<DatabaseInfoAnswer, CallError>>,
    /// What maint knows.
    pub known: Known,
    /// Operations that have not ended.
    pub operations: Vec<OperationSummary>,
    /// Web nodes that are kept out of the load balancer.
    pub withheld: BTreeMap<NodeName, Withholding>,
    /// Web nodes that are let back as soon as their load balancers can be told.
    pub late: BTreeMap<NodeName, Withholding>,
    /// Maintenance windows that are open or near.
    pub windows: Vec<Window>,
    /// Mail about windows, and who has it.
    pub mail: Vec<Told>,
}

/// How long a node may take to tell how it is.
const NODE_LIMIT: std::time::Duration = std::time::Duration::from_secs(15);

/// `node.status`
pub async fn of_node(context: &Context, params: node::StatusParams) -> Result<node::StatusAnswer, CallError> {
    Ok(crate::nodes::status::answer(&context.daemon.node, &params).await)
}

/// `status`
pub async fn status(
    context: &Context,
    _params: status::StatusParams,
) -> Result<status::StatusAnswer, CallError> {
    let config = context.config();
    let environment = &config.environment;
    let names = context.daemon.nodes.names();
    let db = environment.with_role(NodeRole::Db).next().map(|node| node.name.clone());
    let (nodes, database) = tokio::join!(ask_all(context, &names, false), async {
        let call =
            context.daemon.nodes.call::<node::DatabaseInfo>(db.as_ref()?, &node::DatabaseInfoParams {});
        Some(match tokio::time::timeout(NODE_LIMIT, call).await {
            Ok(answer) => answer,
            Err(_) => Err(silent(db.as_ref()?)),
        })
    });
    let now = Timestamp::now();
    Ok(board(&Facts {
        environment,
        now,
        nodes,
        database,
        known: Known::read(&config.state)?,
        operations: context.daemon.operations.unended(),
        withheld: Withheld::new(&config.state).all()?,
        late: Withheld::new(&config.state).late()?,
        windows: context.daemon.windows.all(config, now)?,
        mail: outbox::told(&config.state)?,
    }))
}

/// Asks nodes side by side how they are; gives their answers in the same order.
pub async fn ask_all(context: &Context, names: &[NodeName], software: bool) -> Answers {
    ask(&context.daemon, names, software).await
}

/// The same, for work of the agent's own.
pub async fn ask(daemon: &DaemonRef, names: &[NodeName], software: bool) -> Answers {
    let mut asking = tokio::task::JoinSet::new();
    for (at, name) in names.iter().cloned().enumerate() {
        let nodes = daemon.nodes.clone();
        asking.spawn(async move {
            let params = node::StatusParams { software };
            let call = nodes.call::<node::Status>(&name, &params);
            let answer = match tokio::time::timeout(NODE_LIMIT, call).await {
                Ok(answer) => answer,
                Err(_) => Err(silent(&name)),
            };
            (at, name, answer)
        });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(at, _, _)| *at);
    answers.into_iter().map(|(_, name, answer)| (name, answer)).collect()
}

fn silent(name: &NodeName) -> CallError {
    let text = format!("{name} did not answer within {} s", NODE_LIMIT.as_secs());
    CallError::new(orocloud_protocol::ErrorKind::Unreachable, text)
}

/// Puts everything on one board, the worst first.
pub fn board(facts: &Facts<'_>) -> status::StatusAnswer {
    let environment = facts.environment;
    let mut rows = Vec::new();
    for (name, answer) in &facts.nodes {
        match answer {
            Ok(answer) => rows.extend(answer.rows.iter().cloned()),
            Err(error) => rows.push(away(name, error)),
        }
    }
    rows.extend(facts.withheld.iter().map(|(name, withholding)| withheld(name, withholding)));
    rows.extend(facts.late.iter().map(|(name, withholding)| late(name, withholding)));
    rows.push(application(facts.known.code.as_ref(), &serving(environment, &facts.nodes)));
    rows.extend(maintenance_differs(&facts.nodes));
    rows.push(backups(facts));
    rows.extend(facts.operations.iter().map(operation));
    rows.extend(facts.windows.iter().find(|window| !window.cancelled).map(|near| window(near, facts.now)));
    rows.extend(mail(&facts.mail));
    // Stable: what is equally bad stays in the order of the nodes.
    rows.sort_by_key(|row| std::cmp::Reverse(row.health));
    status::StatusAnswer {
        environment: environment.name.clone(),
        kind: environment.kind,
        health: rows.first().map_or(Health::Ok, |row| row.health),
        rows,
    }
}

fn row(part: &str, health: Health, detail: impl Into<String>, next: Option<String>) -> StatusRow {
    StatusRow { part: part.to_owned(), node: None, health, detail: detail.into(), next }
}

fn away(name: &NodeName, error: &CallError) -> StatusRow {
    // The message names the node once more; the causes tell why.
    let detail = match error.causes.is_empty() {
        true => error.message.clone(),
        false => format!("cannot be reached: {}", error.causes.join(": ")),
    };
    StatusRow {
        node: Some(name.clone()),
        ..row("node", Health::Down, detail, Some("orocloud-cli env:info".into()))
    }
}

/// A node that gets no requests until it is what it should be; that is the agent's work, and what is in its way is told
/// by the node's other rows.
fn withheld(name: &NodeName, Withholding { since, operation, why }: &Withholding) -> StatusRow {
    let next = operation.map(|operation| format!("orocloud-cli log:view {operation}"));
    let detail =
        format!("kept out of the load balancer since {since:.0}, until it serves what it should: {why}");
    StatusRow { node: Some(name.clone()), ..row("load balancer", Health::Warning, detail, next) }
}

/// A node that is what it should be, and that a load balancer does not know of.
fn late(name: &NodeName, Withholding { since, operation, why }: &Withholding) -> StatusRow {
    let next = operation.map(|operation| format!("orocloud-cli log:view {operation}"));
    let detail = format!("gets no requests since {since:.0}, until the load balancer can be told: {why}");
    StatusRow { node: Some(name.clone()), ..row("load balancer", Health::Warning, detail, next) }
}

/// The web nodes that answered, each with what it serves.
fn serving<'a>(
    environment: &Environment,
    nodes: &'a Answers,
) -> Vec<(&'a NodeName, Option<&'a ReleaseName>)> {
    let is_web =
        |name: &NodeName| environment.node(name).is_some_and(|node| node.roles.contains(&NodeRole::Web));
    nodes
        .iter()
        .filter(|(name, _)| is_web(name))
        .filter_map(|(name, answer)| Some((name, answer.as_ref().ok()?.release.as_ref())))
        .collect()
}

/// What is to be served against what is.
fn application(recorded: Option<&CodeVersion>, serving: &[(&NodeName, Option<&ReleaseName>)]) -> StatusRow {
    let Some(version) = recorded else {
        let served: Vec<String> = serving
            .iter()
            .filter_map(|(node, release)| Some(format!("{node} serves release {}", (*release)?)))
            .collect();
        return match served.is_empty() {
            true => row(
                "application",
                Health::Absent,
                "nothing is deployed yet",
                Some("orocloud-cli deploy --reference=…".to_owned()),
            ),
            false => row(
                "application",
                Health::Warning,
                format!("no release is recorded, but {}", served.join(", ")),
                Some("orocloud-cli log:list".to_owned()),
            ),
        };
    };
    let CodeVersion { release, reference, commit, .. } = version;
    let short = commit.get(..10).unwrap_or(commit);
    let detail = format!("{reference} (release {release}, commit {short})");
    let other: Vec<String> = serving
        .iter()
        .filter(|(_, served)| *served != Some(release))
        .map(|(node, served)| match served {
            Some(served) => format!("{node} serves release {served}"),
            None => format!("{node} serves nothing"),
        })
        .collect();
    if other.is_empty() {
        let nodes: Vec<&str> = serving.iter().map(|(node, _)| node.as_str()).collect();
        return row("application", Health::Ok, format!("{detail} on {}", nodes.join(", ")), None);
    }
    row(
        "application",
        Health::Down,
        format!("{detail} is recorded, but {}", other.join(", ")),
        Some("orocloud-cli operation:list".to_owned()),
    )
}

/// A page that is up on some web nodes alone is a fault, whoever is to blame.
fn maintenance_differs(nodes: &Answers) -> Option<StatusRow> {
    let mut by_state: BTreeMap<bool, Vec<&str>> = BTreeMap::new();
    for (name, answer) in nodes {
        if let Some(on) = answer.as_ref().ok().and_then(|answer| answer.maintenance) {
            by_state.entry(on).or_default().push(name.as_str());
        }
    }
    let (on, off) = (by_state.get(&true)?, by_state.get(&false)?);
    let detail = format!("the page is up on {} but not on {}", on.join(", "), off.join(", "));
    Some(row("maintenance", Health::Warning, detail, Some("orocloud-cli operation:list".to_owned())))
}

/// How old the newest moment is that can be restored.
fn backups(facts: &Facts<'_>) -> StatusRow {
    let points = &facts.known.points;
    let Some(newest) = points.last().map(|record| &record.point) else {
        let deployed = facts.known.code.is_some();
        let next = deployed.then(|| "orocloud-cli backup:create".to_owned());
        let health = if deployed { Health::Warning } else { Health::Absent };
        return row("backups", health, "no recovery point yet", next);
    };
    let now = facts.now;
    let mut detail = match points.len() {
        1 => format!("one recovery point, {}", newest.name),
        number => format!("{number} recovery points, the newest {}", newest.name),
    };
    let mut health = Health::Ok;
    let scheduled = facts.environment.backup.schedule == BackupSchedule::Hourly;
    if scheduled && now.duration_since(newest.at) > POINT_AGE {
        detail += &format!(" is {} old", age(now.duration_since(newest.at)));
        health = Health::Warning;
    }
    match &facts.database {
        Some(Ok(info)) => match info.last_archived_at {
            Some(at) => {
                // However old: a database that nobody writes to archives nothing. Whether archiving works is told by
                // the database's own row.
                detail += &format!("; newest archived moment {at:.0}, {} ago", age(now.duration_since(at)));
            }
            None => {
                detail += "; nothing is archived on the live timeline";
                health = Health::Warning;
            }
        },
        Some(Err(error)) => {
            detail += &format!("; the newest moment is not known: {error}");
            health = Health::Warning;
        }
        None => {}
    }
    let next = if health == Health::Ok { "orocloud-cli backup:window" } else { "orocloud-cli log:list" };
    row("backups", health, detail, Some(next.to_owned()))
}

fn operation(summary: &OperationSummary) -> StatusRow {
    let OperationSummary { id, command, caller, state, step, waiting_for, stuck, .. } = summary;
    if *state == OperationState::Unknown {
        // Asked to cancel it, the agent says what is wrong and how it is let go.
        let why = stuck.first().map_or("", String::as_str);
        let next = format!("orocloud-cli operation:cancel {id}");
        return row("operation", Health::Warning, format!("{id} holds everything: {why}"), Some(next));
    }
    let mut detail = format!("{command} by {caller}");
    if let Some(step) = step {
        detail += &format!(", at {step}");
    }
    let health = match (state, waiting_for) {
        (_, Some(node)) => {
            detail += &format!(", waits for {node}");
            Health::Warning
        }
        (OperationState::Recovering | OperationState::Cancelling, None) => {
            detail.extend(stuck.first().map(|why| format!(": {why}")));
            Health::Warning
        }
        _ => Health::Ok,
    };
    row("operation", health, detail, Some(format!("orocloud-cli log:view {id} --follow")))
}

/// A window that is open is to be heeded; one that is near is told.
fn window(window: &Window, now: Timestamp) -> StatusRow {
    let kind = match window.kind {
        WindowKind::Planned => "planned",
        WindowKind::Security | WindowKind::Performance | WindowKind::Other => "unplanned",
    };
    let shop = if window.interrupts { ", the shop is interrupted" } else { "" };
    let (health, when) = match window.holds(now) {
        true => (Health::Warning, format!("open until {:.0}", window.ends_at)),
        false => (Health::Ok, format!("the next one begins at {:.0}", window.starts_at)),
    };
    let detail = format!("{kind}, {when}{shop}: {}", window.work);
    row("maintenance window", health, detail, Some("orocloud-cli maintenance:windows".to_owned()))
}

/// Mail that nobody takes is told; what goes out at once is not.
fn mail(all: &[Told]) -> Option<StatusRow> {
    let stuck: Vec<&Told> =
        all.iter().filter(|told| told.mark.sent_at.is_none() && told.mark.failures > 0).collect();
    let first = stuck.iter().min_by_key(|told| told.since)?;
    let why = first.mark.why.as_deref().unwrap_or("nobody knows why");
    let more = if stuck.len() > 1 { format!(" and {} more", stuck.len() - 1) } else { String::new() };
    let detail = format!(
        "about a maintenance window to {}{more} waits since {:.0}, tried {} times: {why}",
        first.address, first.since, first.mark.failures
    );
    Some(row("mail", Health::Warning, detail, Some("orocloud-cli maintenance:windows".to_owned())))
}

/// The largest unit that says enough.
fn age(duration: SignedDuration) -> String {
    match duration.as_secs() {
        ..120 => format!("{} s", duration.as_secs().max(0)),
        120..7200 => format!("{} min", duration.as_mins()),
        7200..172_800 => format!("{} h", duration.as_hours()),
        _ => format!("{} days", duration.as_hours() / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_is_what_the_nodes_serve() {
        let version = CodeVersion {
            release: "20261124103200".parse().unwrap(),
            reference: "1.0.0".parse().unwrap(),
            commit: "0123456789abcdef".to_owned(),
            package: "a".repeat(64).parse().unwrap(),
        };
        let (web1, web2): (NodeName, NodeName) = ("web1".parse().unwrap(), "web2".parse().unwrap());
        let other: ReleaseName = "20261123000000".parse().unwrap();
        let release = &version.release;
        let cases = [
            (None, vec![(&web1, None)], Health::Absent, "nothing is deployed yet"),
            (
                None,
                vec![(&web1, Some(&other))],
                Health::Warning,
                "no release is recorded, but web1 serves release 20261123000000",
            ),
            (
                Some(&version),
                vec![(&web1, Some(release)), (&web2, Some(release))],
                Health::Ok,
                "1.0.0 (release 20261124103200, commit 0123456789) on web1, web2",
            ),
            (
                Some(&version),
                vec![(&web1, Some(release)), (&web2, Some(&other))],
                Health::Down,
                "1.0.0 (release 20261124103200, commit 0123456789) is recorded, but web2 serves release 20261123000000",
            ),
            (
                Some(&version),
                vec![(&web1, None)],
                Health::Down,
                "1.0.0 (release 20261124103200, commit 0123456789) is recorded, but web1 serves nothing",
            ),
        ];
        for (recorded, serving, health, detail) in cases {
            let row = application(recorded, &serving);
            assert_eq!((row.health, row.detail.as_str()), (health, detail));
        }
    }

    #[test]
    fn ages_are_short() {
        for (seconds, text) in
            [(-3, "0 s"), (61, "61 s"), (600, "10 min"), (7200, "2 h"), (200_000, "2 days")]
        {
            assert_eq!(age(SignedDuration::from_secs(seconds)), text);
        }
    }
}
