//! Upgrades: of an application that does nothing itself, under the page, and node after node.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_sandbox::{Options, SSH_PORT, Sandbox};
use serde_json::Value;

use super::connection::cli;
use super::deployment::{Capistrano, NODES, Stage, TAG};
use super::measure::{in_turns, run};
use super::plain_sshd::real_address;
use super::{Result, Row, Topic};

pub const SOURCE: Topic = Topic { names: &["upgrade-source"], measure: source };
pub const MAINTENANCE: Topic = Topic { names: &["upgrade-maintenance"], measure: maintenance };
pub const ROLLING: Topic = Topic { names: &["rolling-failed", "rolling-per-node"], measure: rolling };

fn source() -> Result<Vec<Row>> {
    let stage = Stage::with_console(0, "#!/usr/bin/env php\n<?php\nexit(0);\n")?;
    stage.deploy()?;
    let capistrano = Capistrano::new(&stage, &stage.bare_repository()?)?;
    let (ours, reference) = in_turns(5, || stage.brings("upgrade:source"), || capistrano.deploy())?;
    Ok(vec![Row {
        name: "upgrade-source",
        unit: "s",
        ours,
        reference,
        goal: 0.5,
        command: "orocloud-cli upgrade:source on two nodes / cap production deploy to the same two; composer about, a console that does nothing".to_owned(),
    }])
}

/// What the update of the database takes.
const UPDATE: u32 = 20;

fn maintenance() -> Result<Vec<Row>> {
    let console = format!(
        "#!/usr/bin/env php\n<?php\nif ($argv[1] === 'oro:platform:update' && in_array('--force', $argv)) {{ sleep({UPDATE}); }}\nexit(0);\n"
    );
    let stage = Stage::with_console(0, &console)?;
    stage.deploy()?;
    let mut command = cli(&stage.sandbox, real_address(&stage.sandbox, "maint1", SSH_PORT)?)?;
    command.args(["upgrade", &format!("--reference={TAG}"), "-n", "--format=json"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let milliseconds = answer["maintenance_ms"].as_u64().ok_or("no maintenance_ms in the answer")?;
    Ok(vec![Row {
        name: "upgrade-maintenance",
        unit: "s",
        ours: Duration::from_millis(milliseconds).as_secs_f64(),
        reference: f64::from(UPDATE),
        goal: 1.15,
        command: format!(
            "seconds under the page, as orocloud-cli upgrade tells / an oro:platform:update of {UPDATE} s"
        ),
    }])
}

fn rolling() -> Result<Vec<Row>> {
    let sandbox = Sandbox::start(Options::default())?;
    let maint = real_address(&sandbox, "maint1", SSH_PORT)?;
    let upgrade = |arguments: &[&str]| -> Result<()> {
        let mut command = cli(&sandbox, maint)?;
        command.args(arguments).args(["-n"]);
        run(&mut command).map(drop)
    };
    upgrade(&["deploy", "--reference=1.0.0"])?;

    let url = sandbox.shop_url().trim_end_matches('/').to_owned();
    let load = |path: &str| {
        let mut command = Command::new("wrk");
        command.args(["-t1", "-c4", "-d600s", "--timeout", "60s", &format!("{url}{path}")]);
        command.stdout(Stdio::piped()).spawn()
    };
    let loads = [load("/")?, load("/slow?ms=300")?];
    thread::sleep(Duration::from_secs(1));
    let upgraded = upgrade(&["upgrade:rolling", "--reference=1.0.1"]);
    let mut failed = 0.0;
    for load in loads {
        run(Command::new("kill").arg("-INT").arg(load.id().to_string()))?;
        let report = load.wait_with_output()?;
        failed += failures(&String::from_utf8_lossy(&report.stdout))?;
    }
    upgraded?;

    // Without load: what it waits for then are its own steps alone.
    upgrade(&["upgrade:rolling", "--reference=1.0.0", "--skip-backup"])?;
    let nodes = f64::from(u32::try_from(NODES.len())?);
    Ok(vec![
        Row {
            name: "rolling-failed",
            unit: "answers",
            ours: failed,
            reference: 1.0,
            goal: 0.0,
            command: "failed answers while orocloud-cli upgrade:rolling runs, of wrk with 4 connections each on / and on an answer of 300 ms".to_owned(),
        },
        Row {
            name: "rolling-per-node",
            unit: "s",
            ours: node_after_node(&sandbox)? / nodes,
            reference: 1.0,
            goal: 1.0,
            command: "of orocloud-cli upgrade:rolling, from the first balancer:drain to the last balancer:return, by nodes; none of the application's commands runs in between".to_owned(),
        },
    ])
}

/// Answers that were none, as wrk reports them.
fn failures(report: &str) -> Result<f64> {
    if !report.contains("requests in") {
        return Err(format!("wrk reports nothing: {report}").into());
    }
    let mut failed = 0.0;
    for line in report.lines().map(str::trim) {
        if let Some(number) = line.strip_prefix("Non-2xx or 3xx responses:") {
            failed += number.trim().parse::<f64>()?;
        }
        if let Some(errors) = line.strip_prefix("Socket errors:") {
            let numbers = errors.split([',', ' ']).filter_map(|word| word.parse::<f64>().ok());
            failed += numbers.sum::<f64>();
        }
    }
    Ok(failed)
}

/// Seconds in which the nodes were switched, in the newest operation.
fn node_after_node(sandbox: &Sandbox) -> Result<f64> {
    let months = fs::read_dir(sandbox.journal_dir())?.flatten();
    let operations = months.filter_map(|month| fs::read_dir(month.path()).ok()).flatten().flatten();
    let events = operations.map(|operation| operation.path().join("events.ndjson"));
    let newest = events.filter(|file| file.exists()).max().ok_or("there is no operation")?;
    let mut times: Vec<Timestamp> = Vec::new();
    for line in fs::read_to_string(newest)?.lines() {
        let event: Value = serde_json::from_str(line)?;
        let step = event["step"].as_str().unwrap_or_default();
        let kind = event["event"].as_str().unwrap_or_default();
        if step.starts_with("balancer:") && kind.starts_with("step-") {
            times.push(event["at"].as_str().ok_or("an event without a time")?.parse()?);
        }
    }
    let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
        return Err("the journal has no step of the load balancer".into());
    };
    Ok(last.duration_since(*first).as_secs_f64())
}
