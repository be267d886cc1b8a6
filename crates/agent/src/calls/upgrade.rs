//! `upgrade`, `upgrade:rolling` and `upgrade:source`: another version in place of the one that is served.
//!
//! Everything that can be done beside the live release is done before anybody notices: fetching, building, sending,
//! the dry run of the update, the caches.

mod rolling;

use jiff::Timestamp;
use orocloud_protocol::backup::{CodeVersion, RecoveryPoint};
use orocloud_protocol::node::{ConsoleCommands, Hook, ServiceHolder, StepAction};
use orocloud_protocol::upgrade::{Upgrade, UpgradeAnswer, UpgradeParams, UpgradeSource};
use orocloud_protocol::{CallError, OperationOptions, PointName, ReleaseName};

use crate::calls::backup::facts::{Facts, Places};
use crate::calls::backup::point::{PointOrder, step};
use crate::calls::code::{self, CodeOrder};
use crate::calls::deploy::release_name;
use crate::calls::maintenance::{page_down, page_up};
use crate::calls::status::{Answers, ask_all};
use crate::calls::{Context, Done, OperationCall, backup, quoted, service};
use crate::operations::plan::{OperationPlan, Step, output};
use crate::points::Points;
use crate::releases;
use crate::rules::releases::kept;
use crate::server::DaemonRef;

/// The command as a person would type it.
fn command(name: &str, params: &UpgradeParams) -> String {
    let mut command = format!("{name} --reference={}", params.reference);
    for (wanted, option) in [
        (params.skip_check_patches, "skip-check-patches"),
        (params.schedule_search_reindexation, "schedule-search-reindexation"),
        (params.skip_backup, "skip-backup"),
        (params.skip_cache_rebuild, "skip-cache-rebuild"),
    ] {
        if wanted {
            command += &format!(" --{option}");
        }
    }
    if let Some(seconds) = params.downtime_duration {
        command += &format!(" --downtime-duration={seconds}s");
    }
    if let Some(comment) = &params.downtime_comment {
        command += &format!(" --downtime-comment={}", quoted(comment.as_str()));
    }
    command
}

/// What is served, to be upgraded.
fn deployed(recorded: Option<CodeVersion>, params: &UpgradeParams) -> Result<CodeVersion, CallError> {
    recorded.ok_or_else(|| {
        CallError::refused("nothing is deployed yet that could be upgraded")
            .hint(format!("orocloud-cli deploy --reference={}", params.reference))
    })
}

/// What the plan is made from.
struct Ground<'a> {
    order: CodeOrder<'a>,
    /// What is served.
    before: &'a CodeVersion,
    params: &'a UpgradeParams,
    /// Releases that stay afterwards.
    keep: Vec<ReleaseName>,
    /// Web nodes whose page is up already, whoever put it there.
    page_is_up: bool,
}

impl Ground<'_> {
    fn summary(&self, what: &str) -> Vec<String> {
        let order = &self.order;
        let mut lines = vec![format!(
            "{} of {} becomes release {}",
            order.reference, order.environment.repository.url, order.release
        )];
        if let Some(CodeVersion { reference, release, .. }) = order.before {
            lines.extend(order.places.webs.iter().map(|node| {
                format!("{node}: {reference} ({release}) → {} ({})", order.reference, order.release)
            }));
        }
        lines.push(what.to_owned());
        lines
    }

    /// From the source to a release on every web node that nobody asks yet.
    fn prepare(&self, beside_build: Vec<Step>, beside_package: Vec<Step>) -> Vec<Vec<Step>> {
        let order = &self.order;
        let mut build = vec![order.build(false)];
        build.extend(beside_build);
        let mut package = vec![order.package()];
        package.extend(beside_package);
        vec![vec![order.fetch()], build, package, order.send(), order.unpack()]
    }

    fn warm(&self) -> Vec<Step> {
        if self.params.skip_cache_rebuild { Vec::new() } else { self.order.warm() }
    }

    /// What the database lacks that the new release asks for. The dry run of the update may need it.
    fn extensions(&self) -> Step {
        step("database:extensions", &self.order.places.db, StepAction::DatabaseExtensions {})
    }

    fn hook(&self, name: &str, hook: Hook) -> Result<Vec<Step>, CallError> {
        Ok(vec![self.order.console(name, ConsoleCommands::Hook(hook))?])
    }

    fn source(&self) -> Result<OperationPlan, CallError> {
        let order = &self.order;
        let mut groups = self.prepare(Vec::new(), Vec::new());
        groups.push(self.warm());
        groups.extend(order.whitelist(&same_whitelist("upgrade:source")));
        groups.push(vec![order.record()]);
        groups.retain(|group| !group.is_empty());
        let point_of_no_return = groups.len();
        groups.push(order.switch());
        groups.push(order.check_each());
        groups.push(self.check_front());
        groups.retain(|group| !group.is_empty());
        let undone_until = groups.len();
        groups.extend(service::restarting(order.environment));
        groups.extend(order.accept());
        groups.push(order.tidy(&self.keep));
        let summary = self.summary("the database is not touched");
        let plan = OperationPlan::losing_nothing(groups, point_of_no_return, summary);
        Ok(OperationPlan { undone_until, ..plan })
    }

    fn with_maintenance(&self, point: Option<&PointOrder<'_>>) -> Result<OperationPlan, CallError> {
        let order = &self.order;
        let places = order.places;
        // The database is copied while composer works; both are done before anything can be seen.
        let copies = point.map(|point| point.copies(places)).unwrap_or_default();
        let publication = point.map(|point| point.publication(places));
        let mut groups = self.prepare(copies, publication.into_iter().chain([self.extensions()]).collect());
        groups.push(vec![order.console("update:preview", ConsoleCommands::UpdatePreview)?]);
        // Commands of the new release may send mail from here on. Where it cannot be set nobody has noticed anything yet.
        groups.extend(order.whitelist(&same_whitelist("upgrade")));
        groups.push(self.hook("hooks:pre-upgrade", Hook::PreUpgrade)?);
        groups.push(self.warm());
        groups.push(self.hook("hooks:pre-maintenance", Hook::PreMaintenance)?);
        let comment = match &self.params.downtime_comment {
            Some(comment) => comment.to_string(),
            None => format!("the shop is upgraded to {}", order.reference),
        };
        groups.extend(page_up(&places.maint, &places.webs, &comment, self.params.downtime_duration));
        groups.extend(service::stopping(order.environment, ServiceHolder::Operation));
        groups.push(vec![step(
            "database:watch",
            &places.db,
            StepAction::DatabaseWatch { before: self.before.clone(), webs: places.webs.clone(), open: false },
        )]);
        let update = ConsoleCommands::Update {
            schedule_search_reindexation: self.params.schedule_search_reindexation,
            skip_assets: false,
        };
        groups.retain(|group| !group.is_empty());
        // An update that has begun is awaited after a crash, and what it did is finished. Only what fails is undone, as far
        // as the database still is what it was.
        let point_of_no_return = groups.len();
        let cancelled_until = point_of_no_return + 1;
        groups.push(vec![order.console("application:upgrade", update)?]);
        if !self.params.skip_cache_rebuild {
            // What was warmed before knew the database as it was then.
            groups.push(order.clear());
        }
        groups.push(vec![order.record()]);
        groups.push(order.switch());
        // Looked at before visitors see it, and by their way once the page is off.
        groups.push(order.check_each());
        let undone_until = groups.len();
        groups.extend(service::starting(order.environment, ServiceHolder::Operation));
        groups.extend(page_down(&places.maint, &places.webs));
        groups.push(self.check_front());
        groups.extend(order.accept());
        groups.push(self.hook("hooks:post-maintenance", Hook::PostMaintenance)?);
        groups.push(self.hook("hooks:post-upgrade", Hook::PostUpgrade)?);
        groups.push(order.tidy(&self.keep));
        groups.retain(|group| !group.is_empty());
        let mut summary = self.summary(
            "the database gets what upgrade_commands of the new release do, by default oro:platform:update, under the maintenance page",
        );
        summary.push(match point {
            Some(point) => format!("recovery point {} is taken first", point.name),
            None => "no recovery point is taken first".to_owned(),
        });
        let plan = OperationPlan::losing_nothing(groups, point_of_no_return, summary);
        Ok(OperationPlan { undone_until, cancelled_until, ..plan })
    }

    /// Through the load balancer nothing of the release can be seen while somebody's page is up.
    fn check_front(&self) -> Vec<Step> {
        if self.page_is_up { Vec::new() } else { vec![self.order.check_front()] }
    }
}

/// What came of it.
fn answer(daemon: &DaemonRef, done: &Done<'_, UpgradeParams>) -> Result<UpgradeAnswer, CallError> {
    let version: CodeVersion = output(done.outputs, "release:record")?;
    let point: Option<RecoveryPoint> = match done.outputs.contains_key("backup:publish") {
        true => Some(output(done.outputs, "backup:publish")?),
        false => None,
    };
    let at = |step: &str| done.done_at.get(step).copied();
    let maintenance_ms = match (at("maintenance:on"), at("maintenance:off")) {
        (Some(on), Some(off)) => u64::try_from(off.duration_since(on).as_millis()).ok(),
        _ => None,
    };
    Ok(UpgradeAnswer {
        release: version.release,
        reference: version.reference,
        commit: version.commit,
        before: code::release_before(done.plan),
        url: daemon.node.config.environment.url.clone(),
        recovery_point: point.map(|point| point.name),
        maintenance_ms,
    })
}

/// What may be typed instead while a mail node is away that must learn of fewer recipients.
fn same_whitelist(command: &str) -> String {
    format!(
        "or bring a version with the mail.whitelist that is served now: orocloud-cli {command} --reference=…"
    )
}

/// What every kind of upgrade begins with: something is deployed, and every node that serves it is there.
struct Start {
    places: Places,
    before: CodeVersion,
    release: ReleaseName,
    keep: Vec<ReleaseName>,
    webs: Answers,
}

impl Start {
    async fn look(context: &Context, params: &UpgradeParams) -> Result<Self, CallError> {
        let config = context.config();
        let places = Places::of(&config.environment, &config.node)?.without_withheld(&config.state)?;
        let before = deployed(releases::recorded(&config.state)?, params)?;
        let webs = ask_all(context, &places.code, false).await;
        code::all_are_there(&webs, "upgraded")?;
        let release = release_name(Timestamp::now())?;
        let keep = kept(&releases::history(&config.state)?, &release, Some(&before.release));
        Ok(Self { places, before, release, keep, webs })
    }

    fn ground<'a>(&'a self, context: &'a Context, params: &'a UpgradeParams) -> Ground<'a> {
        let order = CodeOrder {
            environment: &context.config().environment,
            places: &self.places,
            release: &self.release,
            reference: &params.reference,
            before: Some(&self.before),
            by: &context.caller.key_id,
        };
        let page_is_up = code::page_is_up(&self.webs);
        Ground { order, before: &self.before, params, keep: self.keep.clone(), page_is_up }
    }
}

impl OperationCall for UpgradeSource {
    fn options(params: &UpgradeParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &UpgradeParams) -> String {
        command("upgrade:source", params)
    }

    async fn plan(context: &Context, params: &UpgradeParams) -> Result<OperationPlan, CallError> {
        let start = Start::look(context, params).await?;
        start.ground(context, params).source()
    }

    fn answer(daemon: &DaemonRef, done: &Done<'_, UpgradeParams>) -> Result<UpgradeAnswer, CallError> {
        answer(daemon, done)
    }
}

impl OperationCall for Upgrade {
    fn options(params: &UpgradeParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &UpgradeParams) -> String {
        command("upgrade", params)
    }

    async fn plan(context: &Context, params: &UpgradeParams) -> Result<OperationPlan, CallError> {
        let start = Start::look(context, params).await?;
        let ground = start.ground(context, params);
        if params.skip_backup {
            return ground.with_maintenance(None);
        }
        let facts: Facts<'_> = backup::gather(context).await?;
        let name: PointName = Points::new(&context.config().state).free_name(facts.now)?;
        let point = PointOrder::new("backup", "before-upgrade", name, &facts);
        ground.with_maintenance(Some(&point))
    }

    fn answer(daemon: &DaemonRef, done: &Done<'_, UpgradeParams>) -> Result<UpgradeAnswer, CallError> {
        answer(daemon, done)
    }
}
