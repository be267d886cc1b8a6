//! A fake of `systemctl`: the few commands that the agent uses, as systemctl(1) documents them, over the sandbox's own
//! service manager. With it one suite tests the agent against both.

use std::path::Path;
use std::process::ExitCode;

use crate::supervisor::{self, Action, Request, ServiceState};

/// What systemctl(1) documents: the unit is not there, or is not loaded.
const NOT_INSTALLED: u8 = 5;

/// Runs `[OPTIONS] start|stop|reload|show [--property=NAMES] -- UNIT`.
pub fn run(socket: &Path, arguments: &[String]) -> ExitCode {
    let (options, units) = match arguments.iter().position(|argument| argument == "--") {
        Some(position) => (&arguments[..position], &arguments[position + 1..]),
        None => (arguments, &[][..]),
    };
    let properties: Vec<&str> = options
        .iter()
        .filter_map(|option| option.strip_prefix("--property="))
        .flat_map(|names| names.split(','))
        .collect();
    let known = |option: &&String| {
        option.starts_with("--property=") || ["--no-ask-password", "--no-pager"].contains(&option.as_str())
    };
    if let Some(option) = options.iter().find(|option| option.starts_with('-') && !known(option)) {
        eprintln!("systemctl: unrecognized option '{option}'");
        return ExitCode::FAILURE;
    }
    let verbs: Vec<&String> = options.iter().filter(|option| !option.starts_with('-')).collect();
    let ([verb], [unit]) = (verbs.as_slice(), units) else {
        eprintln!("Too few arguments.");
        return ExitCode::FAILURE;
    };
    match verb.as_str() {
        "show" => show(socket, unit, &properties),
        "start" => change(socket, unit, Action::Start, "start"),
        "stop" => change(socket, unit, Action::Stop, "stop"),
        "reload" => change(socket, unit, Action::Reload, "reload"),
        other => {
            eprintln!("Unknown command verb {other}.");
            ExitCode::FAILURE
        }
    }
}

fn ask(socket: &Path, action: Action, service: &str) -> crate::Result<Vec<ServiceState>> {
    supervisor::ask(socket, &Request { action, service: Some(service.to_owned()) })
}

fn show(socket: &Path, unit: &str, properties: &[&str]) -> ExitCode {
    let state = ask(socket, Action::State, unit).ok().and_then(|services| services.into_iter().next());
    let pid = state.as_ref().and_then(|state| state.pid).unwrap_or_default().to_string();
    let (load, active, sub, result) = match state.as_ref().map(|state| state.state.as_str()) {
        None => ("not-found", "inactive", "dead", "success"),
        Some("running") => ("loaded", "active", "running", "success"),
        Some("starting") => ("loaded", "activating", "start", "success"),
        Some("failed") => ("loaded", "failed", "failed", "exit-code"),
        Some(_) => ("loaded", "inactive", "dead", "success"),
    };
    // As the real one it prints in an order of its own.
    for (name, value) in [
        ("MainPID", pid.as_str()),
        ("Result", result),
        ("LoadState", load),
        ("ActiveState", active),
        ("SubState", sub),
    ] {
        if properties.contains(&name) {
            println!("{name}={value}");
        }
    }
    ExitCode::SUCCESS
}

fn change(socket: &Path, unit: &str, action: Action, verb: &str) -> ExitCode {
    if ask(socket, Action::State, unit).is_err() {
        eprintln!("Failed to {verb} {unit}.service: Unit {unit}.service not found.");
        return ExitCode::from(NOT_INSTALLED);
    }
    if ask(socket, action, unit).is_ok() {
        return ExitCode::SUCCESS;
    }
    if action == Action::Reload {
        eprintln!("{unit}.service is not active, cannot reload.");
    } else {
        eprintln!(
            "Job for {unit}.service failed because the control process exited with error code.\n\
             See \"systemctl status {unit}.service\" and \"journalctl -xeu {unit}.service\" for details."
        );
    }
    ExitCode::FAILURE
}
