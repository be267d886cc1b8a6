//! `orocloud-cli`: hands the command line over and gives the exit code back.

fn main() -> std::process::ExitCode {
    orocloud_cli::run(std::env::args_os().collect()).into()
}
