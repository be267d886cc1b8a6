//! The hourly recovery point, taken by the agent itself.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::CallError;
use orocloud_protocol::backup::{Create, CreateParams};

use crate::calls::operation::run_scheduled;
use crate::environment::BackupSchedule;
use crate::points::Points;
use crate::releases;
use crate::rules::hourly::{Turn, turn};
use crate::server::DaemonRef;

/// How long after a failure the next attempt follows.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// How often somebody looks whether an application is there by now.
const UNDEPLOYED: SignedDuration = SignedDuration::from_secs(60);

/// Takes a recovery point every hour, from the first deployment on. Waits for locks rather than being refused them.
pub async fn run(daemon: DaemonRef) {
    if daemon.node.config.environment.backup.schedule == BackupSchedule::Off
        || daemon.node.config.maint.is_none()
    {
        return;
    }
    loop {
        let pause = match look(&daemon) {
            Ok(Some(Turn::Now)) => match run_scheduled::<Create>(&daemon, CreateParams::default()).await {
                Ok(_) => continue,
                Err(error) => {
                    crate::log::line(format_args!("the hourly recovery point failed: {error}"));
                    AGAIN
                }
            },
            Ok(Some(Turn::In(pause))) => pause,
            Ok(None) => UNDEPLOYED,
            Err(error) => {
                crate::log::line(format_args!("the hourly recovery point cannot be planned: {error}"));
                AGAIN
            }
        };
        tokio::time::sleep(Duration::try_from(pause).unwrap_or(Duration::from_secs(60))).await;
    }
}

/// Whose turn it is; `None` before the first deployment.
fn look(daemon: &DaemonRef) -> Result<Option<Turn>, CallError> {
    let state = &daemon.node.config.state;
    if releases::recorded(state)?.is_none() {
        return Ok(None);
    }
    let newest = Points::new(state).all()?.last().map(|record| record.point.at);
    Ok(Some(turn(newest, Timestamp::now())))
}
