//! `release:list` and `release:rollback`.

use std::collections::BTreeMap;

use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::node::{SchemaSeen, StepAction};
use orocloud_protocol::release::{
    ListAnswer, ListParams, Release, ReleaseState, Rollback, RollbackAnswer, RollbackParams,
};
use orocloud_protocol::{CallError, ContentHash, ErrorKind, NodeName, OperationOptions, ReleaseName};

use crate::calls::backup::facts::{Known, Places};
use crate::calls::code::{self, CodeOrder};
use crate::calls::status::{Answers, ask_all};
use crate::calls::{Context, Done, OperationCall, service};
use crate::nodes::executor::act;
use crate::operations::plan::{OperationPlan, output};
use crate::releases::{self, Entry};
use crate::rules::releases::last_good;
use crate::server::DaemonRef;

/// How long the database may take to tell its schema.
const SCHEMA_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// `release.list`
pub async fn list(context: &Context, params: ListParams) -> Result<ListAnswer, CallError> {
    let config = context.config();
    let places = Places::of(&config.environment, &config.node)?;
    let webs = ask_all(context, &places.code, false).await;
    let mut items =
        items(&releases::history(&config.state)?, releases::recorded(&config.state)?.as_ref(), &webs);
    items.reverse();
    let silent = webs.iter().filter(|(_, answer)| answer.is_err()).map(|(node, _)| node.clone()).collect();
    Ok(ListAnswer { total: items.len() as u64, items: params.page.of(&items), silent })
}

/// All releases, oldest first. A web node that does not answer keeps nobody from being called kept.
fn items(history: &[Entry], current: Option<&CodeVersion>, webs: &Answers) -> Vec<Release> {
    let answered: Vec<_> =
        webs.iter().filter_map(|(node, answer)| Some((node, &answer.as_ref().ok()?.releases))).collect();
    let nodes_with = |release: &ReleaseName| -> Vec<NodeName> {
        let keeps = answered.iter().filter(|(_, releases)| releases.contains(release));
        keeps.map(|(node, _)| (*node).clone()).collect()
    };
    let is_current = |release: &ReleaseName| current.is_some_and(|current| current.release == *release);
    let mut items: BTreeMap<ReleaseName, Release> = BTreeMap::new();
    for release in answered.iter().flat_map(|(_, releases)| releases.iter()) {
        items.entry(release.clone()).or_insert_with(|| Release {
            release: release.clone(),
            reference: None,
            commit: None,
            at: None,
            by: None,
            operation: None,
            accepted_at: None,
            state: ReleaseState::Failed,
            nodes: nodes_with(release),
        });
    }
    for entry in history {
        let CodeVersion { release, reference, commit, .. } = &entry.version;
        let nodes = nodes_with(release);
        let state = match entry.accepted_at {
            None => ReleaseState::Failed,
            Some(_) if nodes.len() == answered.len() => ReleaseState::Kept,
            Some(_) => ReleaseState::Gone,
        };
        let item = Release {
            release: release.clone(),
            reference: Some(reference.clone()),
            commit: Some(commit.clone()),
            at: Some(entry.at),
            by: Some(entry.by.clone()),
            operation: Some(entry.operation),
            accepted_at: entry.accepted_at,
            state,
            nodes,
        };
        items.insert(release.clone(), item);
    }
    if let Some(CodeVersion { release, reference, commit, .. }) = current {
        let item = items.entry(release.clone()).or_insert_with(|| Release {
            release: release.clone(),
            reference: None,
            commit: None,
            at: None,
            by: None,
            operation: None,
            accepted_at: None,
            state: ReleaseState::Current,
            nodes: Vec::new(),
        });
        item.reference.get_or_insert_with(|| reference.clone());
        item.commit.get_or_insert_with(|| commit.clone());
    }
    for item in items.values_mut().filter(|item| is_current(&item.release)) {
        item.state = ReleaseState::Current;
    }
    items.into_values().collect()
}

/// Where a rollback goes.
fn target<'a>(
    history: &'a [Entry],
    current: &CodeVersion,
    wanted: Option<&ReleaseName>,
) -> Result<&'a Entry, CallError> {
    let look = "see what there is: orocloud-cli release:list";
    let Some(wanted) = wanted else {
        return last_good(history, &current.release).ok_or_else(|| {
            CallError::refused(format!(
                "no release but {} ({}) has proved good: there is nothing to go back to",
                current.release, current.reference
            ))
            .hint(look)
        });
    };
    if *wanted == current.release {
        return Err(CallError::refused(format!("release {wanted} is the one that is served")).hint(look));
    }
    let entry = history.iter().find(|entry| entry.version.release == *wanted).ok_or_else(|| {
        CallError::new(ErrorKind::NotFound, format!("no release is named {wanted}")).hint(look)
    })?;
    match entry.accepted_at {
        Some(_) => Ok(entry),
        None => Err(CallError::refused(format!("release {wanted} failed when it was brought")).hint(look)),
    }
}

/// Refuses to put code before a database that it may not know, and says what goes back instead.
fn check_schema(entry: &Entry, schema: &ContentHash, known: &Known) -> Result<(), CallError> {
    let CodeVersion { release, reference, .. } = &entry.version;
    let why = match &entry.schema {
        Some(then) if then == schema => return Ok(()),
        Some(_) => format!("the schema of the database is another one than when {reference} was served"),
        None => format!("it is not known which schema {reference} works with"),
    };
    let point = known
        .points
        .iter()
        .rev()
        .find(|record| record.point.code.as_ref().is_some_and(|code| code.release == *release));
    let error = CallError::refused(format!("{why}, so its code alone is not brought back"));
    Err(match point {
        Some(record) => error.hint(format!(
            "go back with code and database, losing what came after: orocloud-cli backup:restore {}",
            record.point.name
        )),
        None => error
            .because("no recovery point has that release")
            .hint("see what can be restored: orocloud-cli backup:list -v"),
    })
}

/// Every web node must have the release.
fn check_nodes(version: &CodeVersion, webs: &Answers) -> Result<(), CallError> {
    code::all_are_there(webs, "rolled back")?;
    for (node, answer) in webs {
        if answer.as_ref().is_ok_and(|answer| !answer.releases.contains(&version.release)) {
            return Err(CallError::refused(format!(
                "release {} ({}) is not on {node} any more",
                version.release, version.reference
            ))
            .hint(format!("build it anew: orocloud-cli upgrade:source --reference={}", version.reference)));
        }
    }
    Ok(())
}

fn plan(
    order: &CodeOrder<'_>,
    version: &CodeVersion,
    before: &CodeVersion,
    page_is_up: bool,
) -> OperationPlan {
    let recall = StepAction::ReleaseRecall { version: version.clone() };
    let instead =
        "or go back to a release with the mail.whitelist that is served now: orocloud-cli release:list";
    let mut groups: Vec<_> = order.whitelist(instead).into_iter().collect();
    groups.push(vec![order.maint("release:record", recall)]);
    let point_of_no_return = groups.len();
    groups.push(order.switch());
    groups.push(order.check_each());
    if !page_is_up {
        groups.push(vec![order.check_front()]);
    }
    let undone_until = groups.len();
    groups.extend(service::restarting(order.environment));
    groups.extend(order.accept());
    let change =
        format!("{} ({}) → {} ({})", before.reference, before.release, version.reference, version.release);
    let mut summary: Vec<String> = order.places.webs.iter().map(|node| format!("{node}: {change}")).collect();
    summary.push(
        "the code alone: the schema of the database is the one that this release works with".to_owned(),
    );
    let plan = OperationPlan::losing_nothing(groups, point_of_no_return, summary);
    OperationPlan { undone_until, ..plan }
}

impl OperationCall for Rollback {
    fn options(params: &RollbackParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &RollbackParams) -> String {
        match &params.release {
            Some(release) => format!("release:rollback {release}"),
            None => "release:rollback".to_owned(),
        }
    }

    async fn plan(context: &Context, params: &RollbackParams) -> Result<OperationPlan, CallError> {
        let config = context.config();
        let places = Places::of(&config.environment, &config.node)?.without_withheld(&config.state)?;
        let before = releases::recorded(&config.state)?
            .ok_or_else(|| CallError::refused("nothing is deployed yet that could be rolled back"))?;
        let history = releases::history(&config.state)?;
        let entry = target(&history, &before, params.release.as_ref())?;
        let webs = ask_all(context, &places.code, false).await;
        check_nodes(&entry.version, &webs)?;
        let look = StepAction::DatabaseSchema {};
        let seen = act(&context.daemon.nodes, &places.db, "database:schema", look, SCHEMA_LIMIT).await?;
        let seen: SchemaSeen = serde_json::from_value(seen)
            .map_err(|error| CallError::internal("the schema that was seen cannot be read").because(error))?;
        check_schema(entry, &seen.schema, &Known::read(&config.state)?)?;
        let order = CodeOrder {
            environment: &config.environment,
            places: &places,
            release: &entry.version.release,
            reference: &entry.version.reference,
            before: Some(&before),
            by: &context.caller.key_id,
        };
        let plan = plan(&order, &entry.version, &before, code::page_is_up(&webs));
        code::can_be_told(context, plan).await
    }

    fn answer(daemon: &DaemonRef, done: &Done<'_, RollbackParams>) -> Result<RollbackAnswer, CallError> {
        let version: CodeVersion = output(done.outputs, "release:record")?;
        Ok(RollbackAnswer {
            release: version.release,
            reference: version.reference,
            commit: version.commit,
            url: daemon.node.config.environment.url.clone(),
            undo: code::release_before(done.plan)
                .map(|release| format!("orocloud-cli release:rollback {release}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use orocloud_protocol::{CallId, node};

    use super::*;

    fn version(release: &str) -> CodeVersion {
        CodeVersion {
            release: release.parse().unwrap(),
            reference: "1.0.0".parse().unwrap(),
            commit: "c".repeat(40),
            package: "a".repeat(64).parse().unwrap(),
        }
    }

    fn entry(release: &str, accepted: Option<&str>) -> Entry {
        let mut entry =
            Entry::new(version(release), CallId::from_parts(1, 1), "dora (developer)", Timestamp::UNIX_EPOCH);
        entry.accepted_at = accepted.map(|at| at.parse().unwrap());
        entry
    }

    const ONE: &str = "20261124103200";
    const TWO: &str = "20261124113200";
    const THREE: &str = "20261124123200";
    const FOUR: &str = "20261124133200";
    const DAY: &str = "2026-11-25T00:00:00Z";

    #[test]
    fn a_release_is_kept_where_all_that_answer_have_it() {
        let status = |releases: &[&str]| {
            Ok(node::StatusAnswer {
                agent_version: "0".into(),
                rows: Vec::new(),
                release: None,
                releases: releases.iter().map(|release| release.parse().unwrap()).collect(),
                maintenance: None,
                services: Vec::new(),
                software: Vec::new(),
            })
        };
        let webs: Answers = vec![
            ("web1".parse().unwrap(), status(&[ONE, TWO, FOUR])),
            ("web2".parse().unwrap(), status(&[TWO])),
            ("web3".parse().unwrap(), Err(CallError::failed("away"))),
        ];
        let history = [entry(ONE, Some(DAY)), entry(TWO, Some(DAY)), entry(THREE, None)];
        let states: Vec<_> = items(&history, Some(&version(THREE)), &webs)
            .into_iter()
            .map(|item| (item.release.to_string(), item.state, item.nodes.len()))
            .collect();
        let expected = [
            (ONE, ReleaseState::Gone, 1),
            (TWO, ReleaseState::Kept, 2),
            (THREE, ReleaseState::Current, 0),
            (FOUR, ReleaseState::Failed, 1),
        ];
        assert_eq!(states, expected.map(|(release, state, nodes)| (release.to_owned(), state, nodes)));
    }

    #[test]
    fn a_rollback_goes_to_good_releases_alone() {
        let history = [entry(ONE, Some(DAY)), entry(TWO, None)];
        let to = |current: &str, wanted: Option<&str>| {
            let wanted = wanted.map(|wanted| wanted.parse().unwrap());
            target(&history, &version(current), wanted.as_ref())
                .map(|entry| entry.version.release.to_string())
                .map_err(|error| error.message)
        };
        assert_eq!(to(TWO, None).unwrap(), ONE);
        assert_eq!(to(TWO, Some(ONE)).unwrap(), ONE);
        assert!(to(ONE, None).unwrap_err().contains("nothing to go back to"));
        assert!(to(ONE, Some(ONE)).unwrap_err().contains("is the one that is served"));
        assert!(to(ONE, Some(TWO)).unwrap_err().contains("failed when it was brought"));
        assert!(to(ONE, Some(THREE)).unwrap_err().contains("no release is named"));
    }

    #[test]
    fn code_alone_goes_back_where_the_schema_is_the_same() {
        let known =
            Known { points: Vec::new(), restores: Vec::new(), code: None, let_go: Default::default() };
        let hash = |letter: &str| -> ContentHash { letter.repeat(64).parse().unwrap() };
        let check = |then: Option<ContentHash>, now: &ContentHash| {
            let entry = Entry { schema: then, ..entry(ONE, Some(DAY)) };
            check_schema(&entry, now, &known).map_err(|error| error.message)
        };
        check(Some(hash("a")), &hash("a")).unwrap();
        let error = check(Some(hash("a")), &hash("b")).unwrap_err();
        assert!(error.contains("another one than when 1.0.0 was served"), "{error}");
        let error = check(None, &hash("b")).unwrap_err();
        assert!(error.contains("it is not known which schema 1.0.0 works with"), "{error}");
    }
}
