//! `orocloud-agent`: parse, run, exit code.

fn main() {
    eprintln!("orocloud-agent: nothing here yet");
    std::process::exit(1);
}
