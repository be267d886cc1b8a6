//! How long it takes to start.

use std::path::PathBuf;
use std::process::Command;

use super::measure::{in_turns, milliseconds, run};
use super::{Result, Row, Topic};

pub const TOPIC: Topic = Topic { names: &["version", "help"], measure };

/// The program beside this one.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().ok_or("this program has no folder")?.join(name))
}

fn measure() -> Result<Vec<Row>> {
    let cli = program("orocloud-cli")?;
    let mut rows = Vec::new();
    for (name, arguments) in [("version", &["--version"][..]), ("help", &["backup:list", "--help"][..])] {
        let start = |program: &std::ffi::OsStr, arguments: &[&str]| {
            // Without a configuration, as the other program has none.
            let mut command = Command::new(program);
            command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
            run(&mut command).map(|took| milliseconds(took.wall))
        };
        let (ours, reference) =
            in_turns(400, || start(cli.as_os_str(), arguments), || start("rg".as_ref(), &["--version"]))?;
        rows.push(Row {
            name,
            unit: "ms",
            ours,
            reference,
            goal: 1.0,
            command: format!("orocloud-cli {} / rg --version", arguments.join(" ")),
        });
    }
    Ok(rows)
}
