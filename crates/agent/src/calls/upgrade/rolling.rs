//! `upgrade:rolling`: node after node, each taken out of the load balancer while it is switched, so that nobody notices.
//!
//! The database is updated while the old release is still served, which the application has to be able to stand.

use orocloud_protocol::node::{ConsoleCommands, Hook, StepAction};
use orocloud_protocol::upgrade::{UpgradeAnswer, UpgradeParams, UpgradeRolling};
use orocloud_protocol::{CallError, OperationOptions, PointName};

use super::{Ground, Start, answer, command, same_whitelist};
use crate::calls::backup::facts::Facts;
use crate::calls::backup::point::{PointOrder, step};
use crate::calls::{Context, Done, OperationCall, backup, service};
use crate::operations::plan::{OperationPlan, Step};
use crate::points::Points;
use crate::server::DaemonRef;

impl Ground<'_> {
    fn rolling(&self, point: Option<&PointOrder<'_>>) -> Result<OperationPlan, CallError> {
        let order = &self.order;
        let copies = point.map(|point| point.copies(order.places)).unwrap_or_default();
        let publication = point.map(|point| point.publication(order.places));
        let mut groups = self.prepare(copies, publication.into_iter().chain([self.extensions()]).collect());
        groups.push(vec![order.console("update:preview", ConsoleCommands::UpdatePreview)?]);
        // Commands of the new release may send mail from here on.
        groups.extend(order.whitelist(&same_whitelist("upgrade:rolling")));
        groups.push(self.hook("hooks:pre-upgrade", Hook::PreUpgrade)?);
        groups.push(self.warm());
        let (before, webs) = (self.before.clone(), order.places.webs.clone());
        let watch = StepAction::DatabaseWatch { before, webs, open: true };
        let mut last = order.check_balancers();
        last.push(step("database:watch", &order.places.db, watch));
        groups.push(last);
        groups.retain(|group| !group.is_empty());
        // As with the page: an update that has begun is finished after a crash, and what fails is undone.
        let point_of_no_return = groups.len();
        let cancelled_until = point_of_no_return + 1;
        let update = ConsoleCommands::Update {
            schedule_search_reindexation: self.params.schedule_search_reindexation,
            skip_assets: true,
        };
        groups.push(vec![order.console("application:upgrade", update)?]);
        if !self.params.skip_cache_rebuild {
            // What was warmed before knew the database as it was then.
            groups.push(order.clear());
        }
        groups.push(vec![order.record()]);
        let mut undone_until = groups.len();
        for (number, node) in order.places.webs.iter().enumerate() {
            let on_node = |steps: Vec<Step>| steps.into_iter().filter(|step| step.node == *node).collect();
            groups.push(order.drain(node));
            groups.push(on_node(order.switch()));
            groups.push(on_node(order.check_each()));
            groups.retain(|group| !group.is_empty());
            if number == 0 {
                // What the first node does not stand, the others never see.
                undone_until = groups.len();
            }
            groups.push(order.give_back(node));
        }
        let serves = |step: &Step| order.places.webs.contains(&step.node);
        groups.push(order.switch().into_iter().filter(|step| !serves(step)).collect());
        groups.extend(service::restarting(order.environment));
        groups.push(self.check_front());
        groups.extend(order.accept());
        groups.push(self.hook("hooks:post-upgrade", Hook::PostUpgrade)?);
        groups.push(order.tidy(&self.keep));
        groups.retain(|group| !group.is_empty());
        let mut summary = self.summary(
            "the database gets what upgrade_commands of the new release do, by default oro:platform:update, while the old release is served",
        );
        summary.push(
            "the nodes are switched one after another, each while the load balancer sends nothing to it"
                .to_owned(),
        );
        summary.push(match point {
            Some(point) => format!("recovery point {} is taken first", point.name),
            None => "no recovery point is taken first".to_owned(),
        });
        let plan = OperationPlan::losing_nothing(groups, point_of_no_return, summary);
        Ok(OperationPlan { undone_until, cancelled_until, ..plan })
    }
}

impl OperationCall for UpgradeRolling {
    fn options(params: &UpgradeParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &UpgradeParams) -> String {
        command("upgrade:rolling", params)
    }

    async fn plan(context: &Context, params: &UpgradeParams) -> Result<OperationPlan, CallError> {
        let start = Start::look(context, params).await?;
        let ground = start.ground(context, params);
        if params.skip_backup {
            return ground.rolling(None);
        }
        let facts: Facts<'_> = backup::gather(context).await?;
        let name: PointName = Points::new(&context.config().state).free_name(facts.now)?;
        let point = PointOrder::new("backup", "before-upgrade", name, &facts);
        ground.rolling(Some(&point))
    }

    fn answer(daemon: &DaemonRef, done: &Done<'_, UpgradeParams>) -> Result<UpgradeAnswer, CallError> {
        answer(daemon, done)
    }
}
