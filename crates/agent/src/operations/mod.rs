//! Operations: plans, the runner, locks, the journal, recovery after a crash.

pub mod plan;

use std::sync::Arc;

use orocloud_protocol::EventBody;

/// Where a step's output, progress and notes go. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(EventBody) + Send + Sync>);

impl EventSink {
    /// A sink that hands each event on.
    pub fn new(to: impl Fn(EventBody) + Send + Sync + 'static) -> Self {
        Self(Arc::new(to))
    }

    /// A sink that forgets.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Sends one event.
    pub fn emit(&self, event: EventBody) {
        (self.0)(event);
    }
}

impl std::fmt::Debug for EventSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventSink")
    }
}
