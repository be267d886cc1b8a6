//! Where calls about recovery points come in: the facts are gathered here, what to do with them is decided elsewhere.

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::backup::{
    Create, CreateParams, ListAnswer, ListParams, RecoveryPoint, Restore, RestoreAnswer, RestoreParams,
    RestoreScope, RestoreTarget, WindowAnswer, WindowParams,
};
use orocloud_protocol::node::{DatabaseInfo, DatabaseInfoAnswer, DatabaseInfoParams, Status, StatusParams};
use orocloud_protocol::{CallError, OperationOptions};

use super::answer;
use super::facts::{Facts, Known, Places};
use super::point::{PointOrder, tidying};
use super::restore::{self, Names, Unpacked};
use crate::calls::operation::run_scheduled;
use crate::calls::{Context, Done, OperationCall, quoted};
use crate::operations::plan::OperationPlan;
use crate::points::Points;
use crate::rules::hourly::{Turn, turn};
use crate::server::DaemonRef;

/// How long the schedule rests after a recovery point, a failure, or while nothing is deployed.
const RETRY: std::time::Duration = std::time::Duration::from_secs(60);

/// `backup.list`
pub async fn list(context: &Context, params: ListParams) -> Result<ListAnswer, CallError> {
    let config = context.config();
    let mut points = Known::read(&config.state)?.listed(&config.environment.backup, Timestamp::now());
    points.reverse();
    Ok(ListAnswer { total: points.len() as u64, items: params.page.of(&points) })
}

/// `backup.window`
pub async fn window(context: &Context, _params: WindowParams) -> Result<WindowAnswer, CallError> {
    facts(context).await.map(|facts| super::window::answer(&facts))
}

/// `node.database-info`
pub async fn database_info(
    context: &Context,
    _params: DatabaseInfoParams,
) -> Result<DatabaseInfoAnswer, CallError> {
    crate::nodes::database_info::answer(&context.daemon.node).await
}

async fn facts(context: &Context) -> Result<Facts<'_>, CallError> {
    let config = context.config();
    let places = Places::of(&config.environment, &config.node)?;
    let info = context.daemon.nodes.call::<DatabaseInfo>(&places.db, &DatabaseInfoParams {}).await?;
    Facts::new(config, info, Timestamp::now())
}

impl OperationCall for Create {
    fn options(params: &CreateParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &CreateParams) -> String {
        let mut command = "backup:create".to_owned();
        if let Some(label) = &params.label {
            command += &format!(" --label={}", quoted(label.as_str()));
        }
        if let Some(seconds) = params.keep_for {
            command += &format!(" --keep-for={seconds}s");
        }
        command
    }

    async fn plan(context: &Context, params: &CreateParams) -> Result<OperationPlan, CallError> {
        let facts = facts(context).await?;
        let name = Points::new(&context.config().state).free_name(facts.now)?;
        let reason =
            if context.caller.kind == crate::server::CallerKind::Agent { "schedule" } else { "command" };
        let keep_until = params.keep_for.map(|seconds| {
            let length = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            facts.now.checked_add(length).unwrap_or(Timestamp::MAX)
        });
        let order = PointOrder {
            label: params.label.clone(),
            keep_until,
            ..PointOrder::new("backup", reason, name.clone(), &facts)
        };
        let mut groups = order.groups(&facts.places);
        // Once it is visible it is there: what is interrupted after that is finished.
        let point_of_no_return = groups.len();
        groups.push(tidying(&facts.places, &facts.known, &facts.environment.backup, facts.now));
        let summary = vec![format!("recovery point {name} of {}", facts.environment.name)];
        let digest = crate::operations::hash(blake3::hash(summary.join("\n").as_bytes()));
        Ok(OperationPlan {
            groups,
            point_of_no_return,
            summary,
            loses: Vec::new(),
            destructive: false,
            digest,
        })
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, CreateParams>) -> Result<RecoveryPoint, CallError> {
        answer::created(done.outputs)
    }
}

impl OperationCall for Restore {
    fn options(params: &RestoreParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &RestoreParams) -> String {
        let target = match &params.target {
            RestoreTarget::Point(point) => point.to_string(),
            RestoreTarget::Time(moment) => format!("--to={moment}"),
            RestoreTarget::Undo(operation) => format!("--undo={operation}"),
        };
        let mut command = format!("backup:restore {target}");
        if let Some(timeline) = params.timeline {
            command += &format!(" --timeline={timeline}");
        }
        command += match params.scope {
            RestoreScope::DatabaseAndCode => "",
            RestoreScope::Database => " --database-only",
            RestoreScope::Code => " --code-only",
        };
        if params.media {
            command += " --media";
        }
        if params.preview {
            command += " --preview";
        }
        if let Some(seconds) = params.keep_old {
            command += &format!(" --keep-old={seconds}s");
        }
        command
    }

    async fn plan(context: &Context, params: &RestoreParams) -> Result<OperationPlan, CallError> {
        let facts = facts(context).await?;
        let points = Points::new(&context.config().state);
        let before = points.free_name(facts.now)?;
        // The next second is another one's, also when both are named by the minute.
        let mut after = points.free_name(facts.now + SignedDuration::from_secs(1))?;
        if after == before {
            let text = (facts.now + SignedDuration::from_secs(1)).strftime("%Y-%m-%d-%H%M%S").to_string();
            after =
                text.parse().map_err(|error| CallError::internal(format!("no name for a point: {error}")))?;
        }
        restore::plan(params, &facts, &unpacked(context, &facts.places).await, &Names { before, after })
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, RestoreParams>) -> Result<RestoreAnswer, CallError> {
        answer::restored(done.operation, &done.params, done.plan, done.outputs, done.done_at)
    }
}

async fn unpacked(context: &Context, places: &Places) -> Unpacked {
    let mut asking = tokio::task::JoinSet::new();
    for web in &places.webs {
        let (nodes, web) = (context.daemon.nodes.clone(), web.clone());
        asking.spawn(async move {
            let answer = nodes.call::<Status>(&web, &StatusParams { software: false }).await;
            answer.ok().map(|status| (web, status.releases))
        });
    }
    Unpacked(asking.join_all().await.into_iter().flatten().collect())
}

/// Takes a recovery point every hour, once an application is deployed.
pub async fn schedule(daemon: DaemonRef) {
    let config = &daemon.node.config;
    if config.environment.backup.schedule != crate::environment::BackupSchedule::Hourly {
        return;
    }
    loop {
        let newest =
            Known::read(&config.state).map(|known| known.points.last().map(|record| record.point.at));
        let deployed = matches!(crate::releases::recorded(&config.state), Ok(Some(_)));
        let pause = match newest {
            Ok(newest) if deployed => match turn(newest, Timestamp::now()) {
                Turn::In(pause) => pause.unsigned_abs(),
                Turn::Now => match run_scheduled::<Create>(&daemon, CreateParams::default()).await {
                    Ok(point) => {
                        crate::log::line(format!("the hourly recovery point {} is taken", point.name));
                        RETRY
                    }
                    Err(error) => {
                        crate::log::line(format!("the hourly recovery point was not taken: {error}"));
                        RETRY
                    }
                },
            },
            Ok(_) => RETRY,
            Err(error) => {
                crate::log::line(format!("no hourly recovery point: {error}"));
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}
