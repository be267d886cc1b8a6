//! The processes of a sandbox: `run` is the top one, `init` one node's. `hold` starts a sandbox and keeps it as long
//! as standard input is open. People use `cargo xtask sandbox`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use orocloud_sandbox::{Options, Parts, Sandbox, fake_systemctl, init, top};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((verb, [boot_file])) if verb == "init" => init::run(Path::new(boot_file)),
        Some((verb, rest)) if verb == "run" => match parse_run(rest) {
            Some(run) => top::run(run),
            None => usage(),
        },
        Some((verb, [socket, rest @ ..])) if verb == "fake-systemctl" => {
            fake_systemctl::run(Path::new(socket), rest)
        }
        Some((verb, rest)) if verb == "hold" => hold(rest.first().map(PathBuf::from)),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: orocloud-sandbox run --dir DIR [--type TYPE] [--queue] [--mail] [--smtp] [--environment-toml LINES] [--agent-env=NAME=VALUE]… [--detached]\n       orocloud-sandbox init BOOT_FILE\n       orocloud-sandbox fake-systemctl SOCKET ARGUMENT…\n       orocloud-sandbox hold [DIR]"
    );
    ExitCode::from(2)
}

fn parse_run(arguments: &[String]) -> Option<top::Run> {
    let mut run = top::Run {
        folder: PathBuf::new(),
        detached: false,
        environment_type: "prod".to_owned(),
        parts: Parts::default(),
        environment_toml: String::new(),
        agent_environment: Vec::new(),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if let Some(variable) = argument.strip_prefix("--agent-env=") {
            let (name, value) = variable.split_once('=')?;
            run.agent_environment.push((name.to_owned(), value.to_owned()));
            continue;
        }
        match argument.as_str() {
            "--dir" => run.folder = PathBuf::from(arguments.next()?),
            "--type" => run.environment_type = arguments.next()?.clone(),
            "--queue" => run.parts.queue = true,
            "--mail" => run.parts.mail = true,
            "--smtp" => run.parts.smtp = true,
            "--environment-toml" => run.environment_toml = arguments.next()?.clone(),
            "--detached" => run.detached = true,
            _ => return None,
        }
    }
    (!run.folder.as_os_str().is_empty()).then_some(run)
}

/// Owns a sandbox until standard input ends.
fn hold(dir: Option<PathBuf>) -> ExitCode {
    match Sandbox::start(Options { dir, progress: true, ..Options::default() }) {
        Ok(sandbox) => {
            println!("{}", sandbox.dir().display());
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
