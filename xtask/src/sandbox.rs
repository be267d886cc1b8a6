//! `cargo xtask sandbox …`: a sandbox that stays, to work with by hand.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use orocloud_sandbox::{Options, Sandbox};

use crate::{Outcome, build, setup};

/// What to do with which sandbox.
#[derive(Parser)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The sandbox's folder; default: one of your own under /tmp
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Start one and leave it running
    Up,
    /// Print the shell lines with which orocloud-cli works against it: eval "$(cargo xtask sandbox env)"
    Env,
    /// Kill, freeze, cut off or heal one node
    Node {
        /// maint1, lb1, db1, web1, web2, job1, mail1, git, mail, relay1, or relay2
        node: String,
        /// What to do to it
        #[arg(value_enum)]
        deed: Deed,
    },
    /// Show every node and its services
    Status,
    /// End it and remove its folder
    Down,
}

#[derive(Clone, Copy, ValueEnum)]
enum Deed {
    /// SIGKILL to all its processes; its ports refuse
    Kill,
    /// SIGSTOP to all its processes; its ports accept and nothing answers
    Freeze,
    /// No byte passes its ports, without a reset
    Cut,
    /// Undo any of these
    Start,
}

/// Does it.
pub fn run(arguments: Arguments) -> Outcome {
    let dir = match arguments.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => PathBuf::from(format!("/tmp/orocloud-sandbox-{}", rustix::process::geteuid().as_raw())),
    };
    match arguments.verb {
        Verb::Up => up(&dir),
        Verb::Env => {
            for (name, value) in Sandbox::attach(&dir)?.env() {
                println!("export {name}='{value}'");
            }
            Ok(())
        }
        Verb::Node { node, deed } => {
            let sandbox = Sandbox::attach(&dir)?;
            let node = sandbox.node(&node)?;
            match deed {
                Deed::Kill => node.kill(),
                Deed::Freeze => node.freeze(),
                Deed::Cut => node.cut(),
                Deed::Start => node.start(),
            }
            .map_err(Into::into)
        }
        Verb::Status => status(&Sandbox::attach(&dir)?),
        Verb::Down => Ok(Sandbox::attach(&dir)?.down()?),
    }
}

fn up(dir: &Path) -> Outcome {
    setup::everyday()?;
    build::programs()?;
    let begin = Instant::now();
    let options = Options {
        dir: Some(dir.to_owned()),
        progress: true,
        queue: true,
        mail: true,
        smtp: true,
        ..Options::default()
    };
    let sandbox = Sandbox::start_detached(options)?;
    let name = orocloud_sandbox::ENVIRONMENT;
    eprintln!("{name} is up after {:.1} s in {}", begin.elapsed().as_secs_f64(), dir.display());
    eprintln!("  shop      {}", sandbox.shop_url());
    eprintln!("  commands  eval \"$(cargo xtask sandbox env --dir {})\"", dir.display());
    eprintln!("  end       cargo xtask sandbox down --dir {}", dir.display());
    Ok(())
}

fn status(sandbox: &Sandbox) -> Outcome {
    for status in sandbox.status()? {
        let cut = if status.cut { ", cut off" } else { "" };
        println!("{:<8} {}{cut} {}", status.name, status.state, status.detail.unwrap_or_default());
        // A frozen service manager would not answer.
        if status.state == "up" {
            for service in sandbox.node(&status.name)?.services()? {
                let pid = service.pid.map_or_else(String::new, |pid| pid.to_string());
                println!(
                    "  {:<12} {:<8} {pid:<8} {}",
                    service.name,
                    service.state,
                    service.detail.unwrap_or_default()
                );
            }
        }
    }
    Ok(())
}
