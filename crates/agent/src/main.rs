//! `orocloud-agent`: parse, run, exit code.

const USAGE: &str = "\
orocloud-agent, the agent on every node of an OroCloud environment

  orocloud-agent serve --config AGENT_TOML    the daemon, in the foreground
  orocloud-agent session --socket SOCKET      sshd's subsystem: copies between a caller and the daemon
  orocloud-agent window --help                unplanned maintenance windows
  orocloud-agent --version
";

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let code = match command.to_str() {
        Some("child") => orocloud_agent::child::main(arguments),
        Some("file") => orocloud_agent::files::main(arguments),
        Some("session") => orocloud_agent::session::main(arguments),
        Some("window") => orocloud_agent::windows::main(arguments),
        Some("serve") => serve(arguments.collect()),
        Some("--version" | "-V") => {
            println!("orocloud-agent {}", orocloud_protocol::VERSION);
            0
        }
        Some("--help" | "-h") => {
            print!("{USAGE}");
            0
        }
        _ => {
            eprint!("{USAGE}");
            2
        }
    };
    std::process::exit(code);
}

fn serve(arguments: Vec<std::ffi::OsString>) -> i32 {
    let [option, config] = arguments.as_slice() else {
        eprint!("{USAGE}");
        return 2;
    };
    if option != "--config" {
        eprint!("{USAGE}");
        return 2;
    }
    match orocloud_agent::server::serve(std::path::Path::new(config)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("orocloud-agent: {error}");
            1
        }
    }
}
