//! Steps that run programs of the application: one that prints nothing for long may hang, so that is said, with the way
//! to end it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orocloud_protocol::node::{Phase, StepAnswer};
use orocloud_protocol::{CallError, EventBody, NoteLevel};
use tokio::time::{Instant, sleep_until};

use super::{Action, ActionContext, carry_out};
use crate::operations::EventSink;

/// After so long without output it is said for the first time; then after twice as long, and so on.
const SILENT: Duration = Duration::from_secs(5 * 60);

/// One phase of such a step.
pub async fn carry_out_aloud<A: Action>(
    action: &A,
    phase: Phase,
    context: &ActionContext<'_>,
) -> Result<StepAnswer, CallError> {
    let heard = Heard::now();
    let (step, operation) = (context.step, context.operation);
    let say = |silent: Duration| {
        let text = format!(
            "{step} has printed nothing for {} min; it may take long. If it hangs, end it: orocloud-cli operation:cancel {operation}",
            silent.as_secs() / 60
        );
        context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
    };
    let inner = ActionContext {
        events: heard.listening(&context.events),
        cancel: context.cancel.clone(),
        ..*context
    };
    unless_silent(&heard, say, carry_out(action, phase, &inner)).await
}

/// When something was heard last.
#[derive(Clone)]
struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on what it hears.
    fn listening(&self, to: &EventSink) -> EventSink {
        let (heard, to) = (self.clone(), to.clone());
        EventSink::new(move |body| {
            *heard.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            to.emit(body);
        })
    }
}

async fn unless_silent<T>(heard: &Heard, say: impl Fn(Duration), running: impl Future<Output = T>) -> T {
    tokio::pin!(running);
    let (mut last, mut silent) = (heard.last(), SILENT);
    loop {
        tokio::select! {
            outcome = &mut running => return outcome,
            () = sleep_until((last + silent).min(Instant::now() + SILENT)) => {
                if heard.last() != last {
                    (last, silent) = (heard.last(), SILENT);
                } else if last.elapsed() >= silent {
                    say(silent);
                    silent *= 2;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_silent_for_long_is_told_of_now_and_then() {
        let minutes = |minutes: u64| tokio::time::sleep(Duration::from_secs(minutes * 60));
        let (heard, told) = (Heard::now(), RefCell::new(Vec::new()));
        let events = heard.listening(&EventSink::none());
        let speak = || events.emit(EventBody::Note { level: NoteLevel::Info, text: String::new() });
        let running = async {
            for _ in 0..3 {
                minutes(4).await;
                speak();
            }
            minutes(22).await;
            speak();
            minutes(6).await;
            7
        };
        let say = |silent: Duration| told.borrow_mut().push(silent.as_secs() / 60);
        assert_eq!(unless_silent(&heard, say, running).await, 7);
        assert_eq!(told.into_inner(), [5, 10, 20, 5]);
    }
}
