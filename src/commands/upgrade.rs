//! `upgrade`, `upgrade:rolling` and `upgrade:source`.

use std::time::Duration;

use clap::{Args, Parser};
use orocloud_protocol::upgrade::{self, UpgradeAnswer, UpgradeParams};
use orocloud_protocol::{Call, Label, Reference};

use super::call::carry_out;
use super::deploy::ask_reference;
use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, OperationArgs, duration};
use crate::output::{Ui, escape};

/// What every kind of upgrade takes.
#[derive(Args, Debug)]
struct UpgradeArgs {
    /// Tag, branch or commit to upgrade to; asked for when it is missing
    #[arg(long, value_name = "REFERENCE", visible_alias = "tag")]
    reference: Option<Reference>,
    /// Do not check patches; none are kept so far, so there is nothing to check either way
    #[arg(long)]
    skip_check_patches: bool,
    /// Leave the search index alone; this is the default
    #[arg(long, conflicts_with = "schedule_search_reindexation")]
    skip_search_reindexation: bool,
    /// Have oro:platform:update schedule the indexing of everything
    #[arg(long)]
    schedule_search_reindexation: bool,
    /// Take no recovery point first
    #[arg(long)]
    skip_backup: bool,
    /// Leave the caches of the new release to its first requests
    #[arg(long)]
    skip_cache_rebuild: bool,
    /// How long the maintenance is announced to take
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "downtime_comment")]
    downtime_duration: Option<Duration>,
    /// Why, for whoever asks during the maintenance
    #[arg(long, value_name = "TEXT")]
    downtime_comment: Option<Label>,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Upgrade code and database, with maintenance mode
///
/// Fetches, builds and sends the new release, shows what the update would do, and takes a recovery point while the shop
/// goes on; then the maintenance page goes up, the database is updated, and all web nodes are switched and checked. What
/// fails before the database has changed goes back by itself.
///
/// Example: orocloud-cli upgrade --reference=1.1.0
#[derive(Debug, Parser)]
pub struct Upgrade {
    #[command(flatten)]
    upgrade: UpgradeArgs,
}

/// Upgrade the code alone, without maintenance mode
///
/// Fetches, builds and sends the new release, warms its caches, and switches all web nodes at once. The database is not
/// touched: upgrade_commands do not run.
///
/// Example: orocloud-cli upgrade:source --reference=1.0.1
#[derive(Debug, Parser)]
pub struct Source {
    #[command(flatten)]
    upgrade: UpgradeArgs,
}

/// Upgrade code and database without maintenance mode, node after node
///
/// Fetches, builds and sends the new release, takes a recovery point, and updates the database while the old release is
/// served, which the release has to be made for. Then each web node is taken out of the load balancer, switched, checked
/// and let back, so that no request fails. What the first node does not stand, the others never see.
///
/// Example: orocloud-cli upgrade:rolling --reference=1.0.1
#[derive(Debug, Parser)]
pub struct Rolling {
    #[command(flatten)]
    upgrade: UpgradeArgs,
}

impl Run for Upgrade {
    fn run(self, context: &mut Context) -> Outcome {
        self.upgrade.run::<upgrade::Upgrade>(context, "upgrade")
    }
}

impl Run for Rolling {
    fn run(self, context: &mut Context) -> Outcome {
        self.upgrade.run::<upgrade::UpgradeRolling>(context, "upgrade:rolling")
    }
}

impl Run for Source {
    fn run(self, context: &mut Context) -> Outcome {
        self.upgrade.run::<upgrade::UpgradeSource>(context, "upgrade:source")
    }
}

impl UpgradeArgs {
    fn run<C>(self, context: &mut Context, command: &str) -> Outcome
    where
        C: Call<Params = UpgradeParams, Answer = UpgradeAnswer>,
    {
        context.ui.format = self.format.chosen();
        let reference = match self.reference {
            Some(reference) => reference,
            None => ask_reference(context, command)?,
        };
        let params = UpgradeParams {
            reference,
            skip_check_patches: self.skip_check_patches,
            schedule_search_reindexation: self.schedule_search_reindexation,
            skip_backup: self.skip_backup,
            skip_cache_rebuild: self.skip_cache_rebuild,
            downtime_duration: self.downtime_duration.map(|duration| duration.as_secs()),
            downtime_comment: self.downtime_comment,
            options: self.operation.options(),
        };
        run::<C>(context, &params, &self.operation)
    }
}

/// Makes the call of any kind of upgrade, and shows what came of it.
pub(super) fn run<C: Call<Answer = UpgradeAnswer>>(
    context: &mut Context,
    params: &C::Params,
    operation: &OperationArgs,
) -> Outcome {
    carry_out::<C>(context, params, operation, show)
}

fn show(ui: &mut Ui, answer: &UpgradeAnswer) -> std::io::Result<()> {
    let commit: String = answer.commit.chars().take(12).collect();
    let url = escape::strip(&answer.url);
    ui.line(&format!("Upgraded to {} ({commit}) as release {}: {url}", answer.reference, answer.release))?;
    if let Some(point) = &answer.recovery_point {
        ui.line(&format!("Recovery point from before: {point}"))?;
    }
    if let Some(milliseconds) = answer.maintenance_ms {
        ui.line(&format!("Maintenance took {}", duration::took(milliseconds)))?;
    }
    Ok(())
}
