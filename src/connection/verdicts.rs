//! What a greeting and a loss mean for a call.

use orocloud_protocol::{CallError, EnvironmentName, ErrorKind, Hello, Kind, agree};

use super::Outgoing;
use super::lines::Lost;

/// Looks at an agent's greeting.
pub(super) fn greet(hello: &Hello, meant: Option<&EnvironmentName>) -> Result<(), CallError> {
    if let Err(mismatch) = agree(hello) {
        let ours = orocloud_protocol::VERSION;
        let (which, hint) = if mismatch.other_is_older {
            (
                "the environment's agent is too old",
                "ask who runs the environment to upgrade its agents; compare: orocloud-cli --version",
            )
        } else {
            (
                "this orocloud-cli is too old",
                "upgrade orocloud-cli on this machine; compare: orocloud-cli --version",
            )
        };
        return Err(CallError::new(
            ErrorKind::ProtocolMismatch,
            format!("{which} to talk to the other side"),
        )
        .because(format!("orocloud-cli is {ours}, the agent is {}", mismatch.other_version))
        .hint(hint));
    }
    match (meant, &hello.environment) {
        (Some(meant), Some(is)) if meant != is => Err(CallError::new(
            ErrorKind::HostNotTrusted,
            format!("the agent belongs to {is}, not to {meant}"),
        )
        .hint("correct the address in the configuration: orocloud-cli env:list -v")),
        _ => Ok(()),
    }
}

/// What a connection that does not come back means.
pub(super) fn lost_for_good(outgoing: &Outgoing, failure: CallError, lost: &Lost) -> CallError {
    if outgoing.kind != Kind::Operation {
        let error =
            failure.context(format!("the connection was lost ({}) and could not be made again", lost.0));
        return if error.hints.is_empty() {
            error.hint("try again, or see how the environment is: orocloud-cli status")
        } else {
            error
        };
    }
    let mut error = CallError::new(
        ErrorKind::StillRunning,
        format!("the connection was lost and the operation may still run: {}", outgoing.id),
    )
    .because(&lost.0)
    .because(&failure.message);
    error.causes.extend(failure.causes);
    error.hint(format!(
        "follow it once the environment can be reached: orocloud-cli log:view --follow {}",
        outgoing.id
    ))
}
