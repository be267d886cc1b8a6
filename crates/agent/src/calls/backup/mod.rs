//! Recovery points: taking them, listing them, what can be restored, restoring.

pub mod answer;
mod create;
pub mod facts;
pub mod point;
pub mod restore;
mod restoring;
mod schedule;
pub mod window;

use jiff::Timestamp;
use orocloud_protocol::CallError;
use orocloud_protocol::backup::{ListAnswer, ListParams, WindowAnswer, WindowParams};
use orocloud_protocol::node::{DatabaseInfo, DatabaseInfoAnswer, DatabaseInfoParams};

use crate::calls::Context;
use facts::{Facts, Known, Places};

pub use schedule::run as schedule;

/// What plans are made from: maint's own manifests, and what the database node tells.
pub async fn gather(context: &Context) -> Result<Facts<'_>, CallError> {
    let config = context.config();
    let places = Places::of(&config.environment, &config.node)?;
    let info = context.daemon.nodes.call::<DatabaseInfo>(&places.db, &DatabaseInfoParams {}).await?;
    Facts::new(config, info, Timestamp::now())
}

/// `backup.list`: from maint's manifests alone, so also while the database node is away.
pub async fn list(context: &Context, params: ListParams) -> Result<ListAnswer, CallError> {
    let config = context.config();
    let mut items = Known::read(&config.state)?.listed(&config.environment.backup, Timestamp::now());
    items.reverse();
    Ok(ListAnswer { total: items.len() as u64, items: params.page.of(&items) })
}

/// `backup.window`
pub async fn restorable(context: &Context, _params: WindowParams) -> Result<WindowAnswer, CallError> {
    Ok(window::answer(&gather(context).await?))
}

/// `node.database-info`
pub async fn database_info(
    context: &Context,
    _params: DatabaseInfoParams,
) -> Result<DatabaseInfoAnswer, CallError> {
    crate::nodes::database_info::answer(&context.daemon.node).await
}

#[cfg(test)]
mod walk_tests;
