//! `maintenance.windows`: planned and announced windows, and what ran in those that were.

use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::operation::{OperationState, OperationSummary};
use orocloud_protocol::window::{ListAnswer, ListParams, RanInWindow, Window};
use orocloud_protocol::{CallError, Lock, LockMode, Page, Resource};

use super::Context;
use crate::rules::windows::runs_into;
use crate::windows;

/// Without an end, so much is shown.
const SPAN: SignedDuration = SignedDuration::from_hours(8 * 7 * 24);
/// No more windows are answered at once.
const MOST: usize = 1000;

/// `maintenance.windows`
pub async fn list(context: &Context, params: ListParams) -> Result<ListAnswer, CallError> {
    let now = Timestamp::now();
    let from = params.from.unwrap_or(now);
    let until = params.until.unwrap_or_else(|| from.checked_add(SPAN).unwrap_or(Timestamp::MAX));
    if until <= from {
        return Err(CallError::usage(format!("the end {until} is not after the begin {from}"))
            .hint("give an earlier --from or a later --until: orocloud-cli maintenance:windows --help"));
    }
    let daemon = context.daemon.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut items = windows::between(&daemon.node.config, from, until)?;
        if items.len() > MOST {
            return Err(CallError::usage(format!(
                "there are {} windows in this stretch, more than {MOST}",
                items.len()
            ))
            .hint("ask for less at once: --from=TIME --until=TIME"));
        }
        if items.iter().any(|window| window.starts_at < now) {
            history(&mut items, &|page| daemon.operations.page(page))?;
        }
        Ok(items)
    });
    let items = reading
        .await
        .map_err(|error| CallError::internal("listing windows ended early").because(error))??;
    Ok(ListAnswer { now, from, until, items })
}

type Pages<'a> = &'a dyn Fn(Page) -> Result<(Vec<OperationSummary>, u64), CallError>;

/// Puts down what ran in each window; operations come newest first.
fn history(windows: &mut [Window], operations: Pages<'_>) -> Result<(), CallError> {
    let Some(earliest) = windows.iter().map(|window| window.starts_at).min() else { return Ok(()) };
    for page in 1.. {
        let (items, _) = operations(Page { page, per_page: 200 })?;
        let Some(oldest) = items.last().map(|operation| operation.started_at) else { return Ok(()) };
        // Of one whose journal cannot be read nobody knows how long it ran.
        for operation in items.iter().filter(|operation| operation.state != OperationState::Unknown) {
            for window in windows.iter_mut().filter(|window| !window.cancelled) {
                let ended = operation.ended_at.unwrap_or(Timestamp::MAX);
                if operation.started_at < window.ends_at && ended > window.starts_at {
                    window
                        .operations
                        .push(RanInWindow { id: operation.id, command: operation.command.clone() });
                }
            }
        }
        // What began a day earlier has ended, as far as windows care.
        if oldest < earliest.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN) {
            return Ok(());
        }
    }
    Ok(())
}

/// Refuses an operation that would run into a window, by how long its like usually took. What changes neither code,
/// data nor backups may always begin.
pub(super) async fn guard(context: &Context, method: &'static str, locks: &[Lock]) -> Result<(), CallError> {
    let changes = |lock: &Lock| {
        lock.mode == LockMode::Exclusive
            && matches!(lock.resource, Resource::Code | Resource::Data | Resource::Backups)
    };
    // Whoever comes back to an operation starts nothing.
    if !locks.iter().any(changes) || context.daemon.operations.summary(context.call).is_ok() {
        return Ok(());
    }
    let daemon = context.daemon.clone();
    let now = Timestamp::now();
    let looking = tokio::task::spawn_blocking(move || {
        let near = daemon.windows.all(&daemon.node.config, now)?;
        if near.iter().all(|window| window.cancelled) {
            return Ok::<_, CallError>(None);
        }
        let usual = daemon.operations.usual_length(method);
        let usual = usual.map(|usual| SignedDuration::try_from(usual).unwrap_or(SignedDuration::MAX));
        Ok(runs_into(&near, now, usual.unwrap_or_default()).map(|window| (window.clone(), usual)))
    });
    let found = looking.await.map_err(|error| {
        CallError::internal("looking for maintenance windows ended early").because(error)
    })??;
    match found {
        None => Ok(()),
        Some((window, usual)) => Err(refusal(&window, now, usual)),
    }
}

fn refusal(window: &Window, now: Timestamp, usual: Option<SignedDuration>) -> CallError {
    let message = if window.holds(now) {
        format!("a maintenance window is open until {:.0}", window.ends_at)
    } else {
        format!("a maintenance window begins at {:.0}, before this would have ended", window.starts_at)
    };
    let mut error = CallError::refused(message).because(format!(
        "{} ({}): {}",
        window.kind.as_str(),
        if window.interrupts { "the shop is interrupted" } else { "the shop stays up" },
        window.work
    ));
    if let Some(usual) = usual {
        error = error
            .because(format!("usually it takes {:#}", SignedDuration::from_secs(usual.as_secs().max(1))));
    }
    error
        .hint("see when there is time: orocloud-cli maintenance:windows")
        .hint("or start it all the same: repeat the command with --ignore-window")
        .with_details(serde_json::json!({ "window": window }))
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::operation::OperationState;

    use super::*;

    fn operation(started: &str, seconds: i64, state: OperationState) -> OperationSummary {
        let started_at: Timestamp = started.parse().unwrap();
        OperationSummary {
            id: orocloud_protocol::CallId::from_parts(1, 1),
            method: "upgrade".into(),
            command: "upgrade".into(),
            caller: "dora".into(),
            state,
            started_at,
            ended_at: started_at.checked_add(SignedDuration::from_secs(seconds)).ok(),
            step: None,
            waiting_for: None,
            stuck: Vec::new(),
            result: None,
            error: None,
        }
    }

    fn window(starts_at: &str, ends_at: &str) -> Window {
        Window {
            uid: "w".into(),
            sequence: 0,
            kind: orocloud_protocol::window::WindowKind::Planned,
            starts_at: starts_at.parse().unwrap(),
            ends_at: ends_at.parse().unwrap(),
            work: "updates".into(),
            interrupts: true,
            cancelled: false,
            changed_at: None,
            operations: Vec::new(),
        }
    }

    #[test]
    fn what_ran_in_a_window_is_put_down_page_by_page() {
        let mut windows = [
            window("2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"),
            window("2026-11-24T12:00:00Z", "2026-11-24T13:00:00Z"),
        ];
        let all = [
            operation("2026-11-24T11:30:00Z", 60, OperationState::Succeeded),
            operation("2026-11-24T10:59:00Z", 7200, OperationState::Failed),
            operation("2026-11-24T09:30:00Z", 60, OperationState::Succeeded),
        ];
        let pages = |page: Page| {
            let one = all.get(page.page as usize - 1).cloned();
            Ok((one.into_iter().collect::<Vec<_>>(), 3))
        };
        history(&mut windows, &pages).unwrap();
        assert_eq!(windows.each_ref().map(|window| window.operations.len()), [1, 1]);
    }

    #[test]
    fn a_refusal_says_when_why_and_what_to_type() {
        let window = window("2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z");
        let before =
            refusal(&window, "2026-11-24T09:59:00Z".parse().unwrap(), Some(SignedDuration::from_secs(90)));
        assert_eq!(before.kind.exit_code(), 7);
        assert!(before.to_string().contains("begins at 2026-11-24T10:00:00Z"), "{before}");
        assert!(before.causes[1].contains("takes 1m 30s") && before.hints[1].contains("--ignore-window"));
        let inside = refusal(&window, "2026-11-24T10:30:00Z".parse().unwrap(), None);
        assert!(inside.to_string().contains("open until 2026-11-24T11:00:00Z"), "{inside}");
    }
}
