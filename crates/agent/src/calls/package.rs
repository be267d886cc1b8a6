//! `app:package:*`: packages of the project's depot, built here, deployed here or in another environment.
//!
//! A deployment is the upgrade of the same kind, but for where its package comes from: the steps that fetch and build give
//! way to one that takes the package out of the depot.

use jiff::Timestamp;
use orocloud_protocol::node::StepAction;
use orocloud_protocol::package::{
    Build, BuildParams, Deploy, DeployMode, DeployParams, ListAnswer, ListParams, StoredPackage, Upgrade,
    UpgradeParams,
};
use orocloud_protocol::upgrade::{self, UpgradeAnswer, UpgradeRolling, UpgradeSource};
use orocloud_protocol::{CallError, Label, OperationOptions, PackageTag, Reference, ReleaseName};

use crate::calls::backup::facts::Places;
use crate::calls::backup::point::step;
use crate::calls::code::CodeOrder;
use crate::calls::deploy::release_name;
use crate::calls::{Context, Done, OperationCall, quoted};
use crate::operations::plan::{OperationPlan, Step, output};
use crate::package::Depot;
use crate::server::DaemonRef;

/// The depot of this environment's project.
fn depot(context: &Context) -> Result<Depot, CallError> {
    let config = context.config();
    let maint = config.maint.as_ref().ok_or_else(|| {
        CallError::failed(format!("node {} keeps no packages", config.node))
            .hint("give it a section [maint] in agent.toml")
    })?;
    Depot::open(&maint.depot(&config.state))
}

/// `package.list`
pub async fn list(context: &Context, params: ListParams) -> Result<ListAnswer, CallError> {
    let items = depot(context)?.all()?;
    Ok(ListAnswer { total: items.len() as u64, items: params.page.of(&items) })
}

/// `REF TAG --label=…` behind a command.
fn named(command: &str, reference: &Reference, tag: Option<&PackageTag>, label: Option<&Label>) -> String {
    let mut text = format!("{command} {reference}");
    if let Some(tag) = tag {
        text += &format!(" {tag}");
    }
    if let Some(label) = label {
        text += &format!(" --label={}", quoted(label.as_str()));
    }
    text
}

fn mode_option(mode: DeployMode) -> &'static str {
    match mode {
        DeployMode::Maintenance => "",
        DeployMode::Rolling => " --rolling",
        DeployMode::Source => " --source",
    }
}

impl OperationCall for Build {
    fn options(params: &BuildParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &BuildParams) -> String {
        let skip = if params.skip_assets_build { " --skip-assets-build" } else { "" };
        named("app:package:build", &params.reference, params.tag.as_ref(), params.label.as_ref()) + skip
    }

    async fn plan(context: &Context, params: &BuildParams) -> Result<OperationPlan, CallError> {
        let config = context.config();
        let places = Places::of(&config.environment, &config.node)?;
        let release = release_name(Timestamp::now())?;
        let order = CodeOrder {
            environment: &config.environment,
            places: &places,
            release: &release,
            reference: &params.reference,
            before: None,
            by: &context.caller.key_id,
        };
        let tag = params.tag.clone().unwrap_or_else(|| PackageTag::of(&params.reference));
        let mut tidy = order.maint("releases:tidy", StepAction::ReleasesTidy { keep: Vec::new() });
        tidy = tidy.soft();
        let groups = vec![
            vec![order.fetch()],
            vec![order.build(params.skip_assets_build)],
            vec![order.package()],
            vec![publication(&places, &tag, params.label.as_ref())],
            vec![tidy],
        ];
        let mut summary = vec![format!(
            "{} of {} becomes package {tag}",
            params.reference, config.environment.repository.url
        )];
        if let Some(older) = depot(context)?.named(&tag)? {
            summary.push(format!(
                "the package of {}, built at {}, gives up that name",
                older.reference, older.built_at
            ));
        }
        // Once it has its name it is there; tidying up is all that is left.
        let point_of_no_return = groups.len() - 1;
        Ok(OperationPlan::losing_nothing(groups, point_of_no_return, summary))
    }

    fn answer(_daemon: &DaemonRef, done: &Done<'_, BuildParams>) -> Result<StoredPackage, CallError> {
        output(done.outputs, "package:publish")
    }
}

fn publication(places: &Places, tag: &PackageTag, label: Option<&Label>) -> Step {
    let action = StepAction::PackagePublish { tag: tag.clone(), label: label.cloned() };
    step("package:publish", &places.maint, action)
}

/// The upgrade of the same kind.
async fn upgrade_of(
    context: &Context,
    mode: DeployMode,
    params: &upgrade::UpgradeParams,
) -> Result<OperationPlan, CallError> {
    match mode {
        DeployMode::Maintenance => upgrade::Upgrade::plan(context, params).await,
        DeployMode::Rolling => UpgradeRolling::plan(context, params).await,
        DeployMode::Source => UpgradeSource::plan(context, params).await,
    }
}

fn upgrade_params(
    reference: &Reference,
    skip_check_patches: bool,
    options: &OperationOptions,
) -> upgrade::UpgradeParams {
    upgrade::UpgradeParams {
        reference: reference.clone(),
        skip_check_patches,
        schedule_search_reindexation: false,
        skip_backup: false,
        skip_cache_rebuild: false,
        downtime_duration: None,
        downtime_comment: None,
        options: options.clone(),
    }
}

fn answer_of<P>(
    daemon: &DaemonRef,
    done: &Done<'_, P>,
    params: upgrade::UpgradeParams,
) -> Result<UpgradeAnswer, CallError> {
    let Done { operation, plan, outputs, done_at, .. } = *done;
    // All kinds of upgrade answer alike.
    UpgradeSource::answer(daemon, &Done { operation, params, plan, outputs, done_at })
}

/// The name that the plan gives to the release, and the group in which its source is fetched.
fn release_of(plan: &OperationPlan) -> Result<(usize, ReleaseName), CallError> {
    let found = plan.groups.iter().enumerate().find_map(|(index, group)| {
        group.iter().find_map(|step| match &step.action {
            StepAction::SourceFetch { release, .. } => Some((index, release.clone())),
            _ => None,
        })
    });
    found.ok_or_else(|| CallError::internal("an upgrade that fetches nothing"))
}

/// Takes a package of the depot in place of fetching and building.
fn from_depot(
    mut plan: OperationPlan,
    package: &StoredPackage,
    places: &Places,
) -> Result<OperationPlan, CallError> {
    let (index, release) = release_of(&plan)?;
    let take = StepAction::PackageTake { release, package: Box::new(package.clone()) };
    for group in &mut plan.groups {
        group.retain(|step| {
            !matches!(
                step.action,
                StepAction::SourceFetch { .. }
                    | StepAction::SourceBuild { .. }
                    | StepAction::PackageBuild { .. }
            )
        });
    }
    plan.groups[index].push(step("package:take", &places.maint, take));
    let emptied = |until: usize| plan.groups.iter().take(until).filter(|group| group.is_empty()).count();
    let [returned, undone, cancelled] = [plan.point_of_no_return, plan.undone_until, plan.cancelled_until]
        .map(|index| index - emptied(index));
    (plan.point_of_no_return, plan.undone_until, plan.cancelled_until) = (returned, undone, cancelled);
    plan.groups.retain(|group| !group.is_empty());
    let StoredPackage { tag, built_at, environment, .. } = package;
    plan.summary
        .insert(0, format!("package {tag}, built at {built_at} in {environment}, nothing is built here"));
    Ok(plan)
}

impl OperationCall for Deploy {
    fn options(params: &DeployParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &DeployParams) -> String {
        let skip = if params.skip_check_patches { " --skip-check-patches" } else { "" };
        format!("app:package:deploy {}{}{skip}", params.package, mode_option(params.mode))
    }

    async fn plan(context: &Context, params: &DeployParams) -> Result<OperationPlan, CallError> {
        let config = context.config();
        let package = depot(context)?.find(&params.package)?;
        let like = upgrade_params(&package.reference, params.skip_check_patches, &params.options);
        let plan = upgrade_of(context, params.mode, &like).await?;
        from_depot(plan, &package, &Places::of(&config.environment, &config.node)?)
    }

    fn answer(daemon: &DaemonRef, done: &Done<'_, DeployParams>) -> Result<UpgradeAnswer, CallError> {
        let package = done.plan.groups.iter().flatten().find_map(|step| match &step.action {
            StepAction::PackageTake { package, .. } => Some(package),
            _ => None,
        });
        let package = package.ok_or_else(|| CallError::internal("no package was taken"))?;
        let like = upgrade_params(&package.reference, done.params.skip_check_patches, &done.params.options);
        answer_of(daemon, done, like)
    }
}

impl OperationCall for Upgrade {
    fn options(params: &UpgradeParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &UpgradeParams) -> String {
        let command =
            named("app:package:upgrade", &params.reference, params.tag.as_ref(), params.label.as_ref());
        command + mode_option(params.mode)
    }

    async fn plan(context: &Context, params: &UpgradeParams) -> Result<OperationPlan, CallError> {
        let config = context.config();
        let like = upgrade_params(&params.reference, false, &params.options);
        let mut plan = upgrade_of(context, params.mode, &like).await?;
        let tag = params.tag.clone().unwrap_or_else(|| PackageTag::of(&params.reference));
        let places = Places::of(&config.environment, &config.node)?;
        // While it is sent to the nodes.
        let sending = plan
            .groups
            .iter_mut()
            .find(|group| group.iter().any(|step| matches!(step.action, StepAction::PackageSend { .. })));
        sending.ok_or_else(|| CallError::internal("an upgrade that sends nothing"))?.push(publication(
            &places,
            &tag,
            params.label.as_ref(),
        ));
        plan.summary.push(format!("what is built becomes package {tag}"));
        Ok(plan)
    }

    fn answer(daemon: &DaemonRef, done: &Done<'_, UpgradeParams>) -> Result<UpgradeAnswer, CallError> {
        let like = upgrade_params(&done.params.reference, false, &done.params.options);
        answer_of(daemon, done, like)
    }
}
