//! Values that are offered while somebody types, asked for on the shell's open connection and kept for a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use orocloud_protocol::{Page, backup, environment, log, package, queue, release, smtp};

use super::complete::Source;
use crate::commands::Context;

/// So old a value may be.
const AGE: Duration = Duration::from_secs(15);

/// Values by where they come from.
#[derive(Debug, Default)]
pub struct Values(HashMap<Source, (Instant, Vec<String>)>);

impl Values {
    /// Forgets all of them: a command may have changed them.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// The values; what cannot be asked for at once is offered by nobody.
    pub fn of(&mut self, source: Source, context: &mut Context) -> Vec<String> {
        if let Some((asked, values)) = self.0.get(&source)
            && asked.elapsed() < AGE
        {
            return values.clone();
        }
        let values = ask(source, context).unwrap_or_default();
        self.0.insert(source, (Instant::now(), values.clone()));
        values
    }
}

fn ask(source: Source, context: &mut Context) -> Option<Vec<String>> {
    let page = Page { page: 1, per_page: 100 };
    Some(match source {
        Source::Environments => {
            let config = context.config().ok()?;
            config.environments.iter().map(|entry| entry.name.to_string()).collect()
        }
        Source::Logs => texts(context.peek::<log::Sources>(&log::SourcesParams {})?.items, |log| log.source),
        Source::Nodes => {
            texts(context.peek::<environment::Info>(&environment::InfoParams {})?.nodes, |node| node.name)
        }
        Source::Operations => {
            texts(context.peek::<log::List>(&log::ListParams { page })?.items, |operation| operation.id)
        }
        Source::Packages => {
            texts(context.peek::<package::List>(&package::ListParams { page })?.items, |item| item.tag)
        }
        Source::Queues => texts(context.peek::<queue::List>(&queues(page))?.items, |queue| queue.name),
        Source::VirtualHosts => texts(context.peek::<queue::List>(&queues(page))?.items, |queue| queue.vhost),
        Source::Relays => texts(context.peek::<smtp::Show>(&smtp::ShowParams {})?.relays, |relay| relay.name),
        Source::Releases => {
            texts(context.peek::<release::List>(&release::ListParams { page })?.items, |item| item.release)
        }
        Source::Points => {
            texts(context.peek::<backup::List>(&backup::ListParams { page })?.items, |point| point.name)
        }
    })
}

fn queues(page: Page) -> queue::ListParams {
    queue::ListParams { page, ..queue::ListParams::default() }
}

fn texts<T, N: ToString>(items: Vec<T>, name: impl Fn(T) -> N) -> Vec<String> {
    items.into_iter().map(|item| name(item).to_string()).collect()
}
