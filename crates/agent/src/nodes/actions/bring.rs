//! A web node that was left behind is brought to a release, from whatever it serves.

use orocloud_protocol::node::Probe;
use orocloud_protocol::{CallError, ReleaseName};
use serde_json::Value;

use super::{Action, ActionContext, release};
use crate::releases;

/// [`orocloud_protocol::node::StepAction::ReleaseBring`]
pub struct Bring<'a> {
    /// The release; none where nothing is deployed.
    pub release: Option<&'a ReleaseName>,
}

impl Action for Bring<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let app = context.app()?;
        match self.release {
            Some(wanted) if releases::described(app, wanted)?.is_none() => {
                return Err(CallError::failed(format!("release {wanted} is not on this node, or not whole")));
            }
            Some(wanted) => release::point(context, app, wanted)?,
            None => release::point_nowhere(context, app)?,
        }
        // Also when the link is right already: what PHP-FPM holds cannot be known.
        release::reload(context).await?;
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(Probe::NotDone)
    }
}
