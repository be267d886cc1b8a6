//! `maintenance:on|off|status`, `emergency:on|off`.

use std::time::Duration;

use clap::{Args, Parser};
use jiff::tz::TimeZone;
use orocloud_protocol::maintenance::{self, MaintenancePage, ModeAnswer, NodePage, StatusAnswer};
use orocloud_protocol::{Call, Label};

use super::call::{Finished, show_dry_run};
use super::{Context, Outcome, Run};
use crate::cli::{FormatArgs, OperationArgs, duration, moment};
use crate::output::{Format, Ui, escape};

/// How long it is going to last, and why.
#[derive(Args, Clone, Debug, Default)]
pub struct DowntimeArgs {
    /// How long it is going to last, 1h without a value; the page does not go down by itself
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1h",
        value_parser = duration::parse,
        requires = "downtime_comment"
    )]
    downtime_duration: Option<Duration>,
    /// Why: one line, shown by maintenance:status and status
    #[arg(long, value_name = "TEXT")]
    downtime_comment: Option<Label>,
}

impl DowntimeArgs {
    fn params(self, operation: &OperationArgs) -> maintenance::OnParams {
        maintenance::OnParams {
            duration: self.downtime_duration.map(|duration| duration.as_secs()),
            comment: self.downtime_comment,
            options: operation.options(),
        }
    }
}

/// Put up the maintenance page and stop the services
///
/// Returns when every web node serves the page and answers no request of the application any more, and when
/// consumers, cron and websocket have ended. Upgrades and restores leave it as it is; maintenance:off ends it.
///
/// Example: orocloud-cli maintenance:on --downtime-duration=1h30m --downtime-comment="new hardware"
#[derive(Debug, Parser)]
pub struct On {
    #[command(flatten)]
    downtime: DowntimeArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for On {
    fn run(self, context: &mut Context) -> Outcome {
        let params = self.downtime.params(&self.change.operation);
        self.change.run::<maintenance::On>(context, &params, "Show the maintenance page to every visitor?")
    }
}

/// Take down the maintenance page and start the services that ran before
///
/// Returns when every web node serves the application. Also ends the page that a failed upgrade has left up.
#[derive(Debug, Parser)]
pub struct Off {
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for Off {
    fn run(self, context: &mut Context) -> Outcome {
        let params = maintenance::OffParams { options: self.change.operation.options() };
        self.change.run::<maintenance::Off>(context, &params, "Show the application to every visitor?")
    }
}

/// Put up the maintenance page at once, and touch nothing else
///
/// Works while an upgrade or a restore is stuck. The services go on, requests that run are not waited for.
#[derive(Debug, Parser)]
pub struct EmergencyOn {
    #[command(flatten)]
    downtime: DowntimeArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for EmergencyOn {
    fn run(self, context: &mut Context) -> Outcome {
        let params = self.downtime.params(&self.change.operation);
        self.change.run::<maintenance::EmergencyOn>(
            context,
            &params,
            "Show the maintenance page to every visitor?",
        )
    }
}

/// Take down the maintenance page, and touch nothing else
///
/// Services that maintenance:on has stopped stay stopped. Refused while an operation runs that needs the page; --force
/// takes that down too.
#[derive(Debug, Parser)]
pub struct EmergencyOff {
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for EmergencyOff {
    fn run(self, context: &mut Context) -> Outcome {
        let params = maintenance::EmergencyOffParams {
            force: self.change.force,
            options: self.change.operation.options(),
        };
        self.change.run::<maintenance::EmergencyOff>(
            context,
            &params,
            "Show the application to every visitor?",
        )
    }
}

/// What every command takes that puts the page up or down.
#[derive(Args, Debug)]
struct ChangeArgs {
    /// Ask nothing
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl ChangeArgs {
    fn run<C: Call<Answer = ModeAnswer>>(
        &self,
        context: &mut Context,
        params: &C::Params,
        question: &str,
    ) -> Outcome {
        context.ui.format = self.format.chosen();
        if self.operation.dry_run {
            return show_dry_run::<C>(context, params);
        }
        context.ui.agree(question, self.force)?;
        match context.operation::<C>(params, &self.operation)? {
            Finished::Detached => Ok(0),
            Finished::Answer(answer, took) => {
                if context.ui.format == Format::Json {
                    context.ui.json(&answer)?;
                } else {
                    show_page(&mut context.ui, answer.on, &answer.page)?;
                }
                Ok(context.succeeded(took))
            }
        }
    }
}

/// Tell whether the maintenance page is up, who wants it, why, and until when
///
/// The first line is `on` or `off`. Web nodes that show something else are named.
#[derive(Debug, Parser)]
pub struct Status {
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Status {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let answer = context.query::<maintenance::Status>(&maintenance::StatusParams {})?;
        if context.ui.format == Format::Json {
            context.ui.json(&answer)?;
            return Ok(0);
        }
        context.ui.line(if answer.on { "on" } else { "off" })?;
        for line in who(&answer.page) {
            context.ui.line(&line)?;
        }
        for line in odd(&answer) {
            context.ui.line(&line)?;
        }
        Ok(0)
    }
}

fn show_page(ui: &mut Ui, on: bool, page: &MaintenancePage) -> std::io::Result<()> {
    ui.line(if on { "The maintenance page is up" } else { "The maintenance page is down" })?;
    who(page).iter().try_for_each(|line| ui.line(line))
}

/// Who wants the page.
fn who(page: &MaintenancePage) -> Vec<String> {
    let local = TimeZone::system();
    let mut lines = Vec::new();
    if let Some(order) = &page.ordered {
        let kind = if order.emergency { " (emergency: the services go on)" } else { "" };
        lines.push(format!("by {}{kind}", escape::strip(&order.by)));
        lines.push(format!("since {}", moment::in_words(order.since, &local)));
        lines.extend(order.until.map(|until| format!("until {}", moment::in_words(until, &local))));
        lines.extend(order.comment.as_ref().map(|comment| format!("because: {}", escape::strip(comment))));
    }
    if let Some(need) = &page.needed {
        let comment =
            need.comment.as_ref().map_or_else(String::new, |text| format!(": {}", escape::strip(text)));
        lines.push(format!("for the operation {}{comment}", need.operation));
        lines.push(format!("since {}", moment::in_words(need.since, &local)));
        lines.extend(need.until.map(|until| format!("until {}", moment::in_words(until, &local))));
    }
    lines
}

/// Nodes that do not show what holds.
fn odd(answer: &StatusAnswer) -> Vec<String> {
    answer
        .nodes
        .iter()
        .filter_map(|NodePage { node, on }| match on {
            Some(on) if *on == answer.on => None,
            Some(true) => Some(format!("but {node} shows the page")),
            Some(false) => Some(format!("but {node} shows the application")),
            None => Some(format!("{node} does not answer")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::maintenance::PageOrder;

    use super::*;

    #[test]
    fn who_wants_the_page_is_told_line_by_line() {
        let at = |text: &str| text.parse().unwrap();
        let order = PageOrder {
            by: "otto@acme.example (operator)".into(),
            operation: None,
            since: at("2026-11-24T10:00:00Z"),
            until: Some(at("2026-11-24T11:00:00Z")),
            comment: Some("new\u{1b}[31m disks".into()),
            emergency: false,
        };
        let page = MaintenancePage { ordered: Some(order), needed: None };
        let lines = who(&page);
        assert_eq!(lines[0], "by otto@acme.example (operator)");
        assert!(lines[1].starts_with("since 2026-11-24") && lines[2].starts_with("until 2026-11-24"));
        assert!(lines[3].starts_with("because: new") && !lines[3].contains('\u{1b}'), "{lines:?}");
        let nodes = [("web1", Some(true)), ("web2", Some(false)), ("web3", None)]
            .map(|(node, on)| NodePage { node: node.parse().unwrap(), on });
        let answer = StatusAnswer { on: true, page, nodes: nodes.into() };
        assert_eq!(odd(&answer), ["but web2 shows the application", "web3 does not answer"]);
    }

    #[test]
    fn a_duration_needs_a_comment_and_may_lack_its_value() {
        let parse = |line: &str| On::try_parse_from(line.split(' '));
        assert!(parse("on --downtime-duration=1d3h15m").is_err());
        let on = parse("on --downtime-duration --downtime-comment=why").unwrap();
        assert_eq!(on.downtime.downtime_duration, Some(Duration::from_secs(3600)));
        let on = parse("on --downtime-duration=1d3h15m --downtime-comment why").unwrap();
        assert_eq!(on.downtime.downtime_duration, Some(Duration::from_secs(98_100)));
        assert!(parse("on").unwrap().downtime.downtime_comment.is_none());
    }
}
