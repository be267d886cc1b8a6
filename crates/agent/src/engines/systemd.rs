//! systemd, by `systemctl`. The agent's account needs the right to manage the units (a polkit rule).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orocloud_protocol::{CallError, ErrorKind};

use crate::process::{Processes, Program};
use crate::service_manager::{Activity, ServiceState};

/// Longer than any unit takes to start or stop; systemd has its own limits.
const LIMIT: Duration = Duration::from_secs(180);

/// The node's systemd.
#[derive(Debug)]
pub struct Systemd {
    processes: Processes,
    systemctl: PathBuf,
}

impl Systemd {
    /// By this `systemctl`.
    pub fn new(processes: &Processes, systemctl: impl AsRef<Path>) -> Self {
        Self { processes: processes.clone(), systemctl: systemctl.as_ref().to_owned() }
    }

    /// See [`crate::service_manager::ServiceManager::start`].
    pub async fn start(&self, service: &str) -> Result<(), CallError> {
        self.run("start", service).await
    }

    /// See [`crate::service_manager::ServiceManager::stop`].
    pub async fn stop(&self, service: &str) -> Result<(), CallError> {
        self.run("stop", service).await
    }

    /// See [`crate::service_manager::ServiceManager::reload`].
    pub async fn reload(&self, service: &str) -> Result<(), CallError> {
        self.run("reload", service).await
    }

    /// See [`crate::service_manager::ServiceManager::state`].
    pub async fn state(&self, service: &str) -> Result<ServiceState, CallError> {
        // `show` ends well for units that do not exist; LoadState tells.
        let program = self
            .program("show")
            .arg("--property=LoadState,ActiveState,SubState,MainPID,Result")
            .arg("--")
            .arg(service);
        let finished = self.processes.output(program).await.map_err(CallError::from)?;
        parse(service, &String::from_utf8_lossy(&finished.stdout))
    }

    async fn run(&self, action: &str, service: &str) -> Result<(), CallError> {
        let program = self.program(action).arg("--").arg(service);
        let Err(error) = self.processes.output(program).await else { return Ok(()) };
        let failed = CallError::from(error).context(format!("the service {service} could not {action}"));
        // systemctl only points at other commands; the state says more.
        Err(match self.state(service).await {
            Ok(ServiceState { detail: Some(detail), .. }) => failed.because(detail),
            Ok(_) => failed,
            Err(error) if error.kind == ErrorKind::NotFound => error,
            Err(_) => failed,
        })
    }

    fn program(&self, action: &str) -> Program {
        Program::new(&self.systemctl).arg("--no-ask-password").arg("--no-pager").arg(action).limit(LIMIT)
    }
}

/// Reads `systemctl show`.
fn parse(service: &str, output: &str) -> Result<ServiceState, CallError> {
    let properties: HashMap<&str, &str> = output.lines().filter_map(|line| line.split_once('=')).collect();
    let property = |name: &str| {
        properties
            .get(name)
            .copied()
            .ok_or_else(|| CallError::failed(format!("systemctl told no {name} of the service {service}")))
    };
    match property("LoadState")? {
        "loaded" => {}
        "not-found" => {
            return Err(CallError::new(
                ErrorKind::NotFound,
                format!("there is no service {service} on this node"),
            ));
        }
        other => return Err(CallError::failed(format!("the service {service} is {other}"))),
    }
    let sub = property("SubState")?;
    let result = property("Result")?;
    let (activity, detail) = match property("ActiveState")? {
        "active" | "reloading" => (Activity::Running, (sub == "exited").then(|| "exited".to_owned())),
        "activating" => (Activity::Starting, Some(sub.to_owned())),
        "deactivating" => (Activity::Running, Some(sub.to_owned())),
        "inactive" => (Activity::Stopped, None),
        "failed" => (Activity::Failed, Some(result.to_owned())),
        other => return Err(CallError::failed(format!("the service {service} is {other}"))),
    };
    let pid = property("MainPID")?.parse().ok().filter(|pid| *pid != 0);
    Ok(ServiceState { name: service.to_owned(), activity, pid, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(load: &str, active: &str, sub: &str, pid: &str, result: &str) -> String {
        format!("MainPID={pid}\nResult={result}\nLoadState={load}\nActiveState={active}\nSubState={sub}\n")
    }

    #[test]
    fn what_systemctl_shows_is_read() {
        for (output, activity, pid, detail) in [
            (show("loaded", "active", "running", "812", "success"), Activity::Running, Some(812), None),
            (show("loaded", "reloading", "reload", "812", "success"), Activity::Running, Some(812), None),
            (
                show("loaded", "activating", "auto-restart", "0", "exit-code"),
                Activity::Starting,
                None,
                Some("auto-restart"),
            ),
            (
                show("loaded", "deactivating", "stop-sigterm", "812", "success"),
                Activity::Running,
                Some(812),
                Some("stop-sigterm"),
            ),
            (show("loaded", "inactive", "dead", "0", "success"), Activity::Stopped, None, None),
            (show("loaded", "failed", "failed", "0", "exit-code"), Activity::Failed, None, Some("exit-code")),
        ] {
            let state = parse("nginx", &output).unwrap();
            assert_eq!(
                (state.activity, state.pid, state.detail.as_deref()),
                (activity, pid, detail),
                "{output}"
            );
        }
        let error = parse("nginx", &show("not-found", "inactive", "dead", "0", "success")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        for output in
            ["", "LoadState=loaded\nActiveState=act", &show("masked", "inactive", "dead", "0", "success")]
        {
            assert!(parse("nginx", output).is_err(), "{output}");
        }
    }
}
