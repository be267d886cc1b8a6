//! What a call costs: cold, in round trips, in processor time, and on a channel that is open already.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use orocloud_protocol::backup;
use orocloud_sandbox::{ENVIRONMENT, Options, SSH_PORT, Sandbox};

use super::channel::Channel;
use super::measure::{in_turns, median, milliseconds, run};
use super::plain_sshd::{Login, PlainSshd, real_address};
use super::{Result, Row, Topic, delay};

pub const TOPIC: Topic =
    Topic { names: &["list-cold", "list-round-trips", "list-cpu", "query-further"], measure };

/// One way of the two networks whose difference tells the number of round trips.
const NEAR: Duration = Duration::from_millis(10);
const FAR: Duration = Duration::from_millis(60);

/// The CLI as `owner`, with maint1 at this address.
pub fn cli(sandbox: &Sandbox, maint: SocketAddr) -> Result<Command> {
    let owner = sandbox.caller("owner");
    let config = std::fs::read_to_string(sandbox.config_for(&owner)?)?;
    let text: String = config
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some(("address", _)) => format!("address = \"{}\"\n", maint.ip()),
            Some(("port", _)) => format!("port = {}\n", maint.port()),
            _ => format!("{line}\n"),
        })
        .collect();
    let file = sandbox.dir().join(format!("bench-{}-{}.toml", maint.ip(), maint.port()));
    // Somebody started before may be reading it.
    if !file.exists() {
        std::fs::write(&file, text)?;
    }
    let mut command = Command::new(sandbox.program("orocloud-cli"));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", sandbox.dir())
        .env("LANG", "C.UTF-8")
        .env("OROCLOUD_CONFIG", file)
        .env("OROCLOUD_ENV", ENVIRONMENT);
    Ok(command)
}

fn measure() -> Result<Vec<Row>> {
    let sandbox = Sandbox::start(Options::default())?;
    let login = Login::new(&sandbox)?;
    let plain = PlainSshd::start(&sandbox, "maint1")?;
    let maint = real_address(&sandbox, "maint1", SSH_PORT)?;
    let list = |address| -> Result<_> {
        let mut command = cli(&sandbox, address)?;
        run(command.arg("backup:list"))
    };
    let reference = || run(login.ssh("maint1", plain.address).arg("true"));

    let mut cpu = (Vec::new(), Vec::new());
    let cold = in_turns(
        60,
        || {
            let took = list(maint)?;
            cpu.0.push(milliseconds(took.cpu));
            Ok(milliseconds(took.wall))
        },
        || {
            let took = reference()?;
            cpu.1.push(milliseconds(took.cpu));
            Ok(milliseconds(took.wall))
        },
    )?;
    let row = |name, unit, (ours, reference), goal, command: &str| Row {
        name,
        unit,
        ours,
        reference,
        goal,
        command: command.to_owned(),
    };
    let against = "orocloud-cli backup:list / ssh maint1 true (curve25519, aes128-gcm, the same sshd)";
    let mut rows = vec![
        row("list-cold", "ms", cold, 0.4, against),
        row(
            "list-round-trips",
            "trips",
            (round_trips(maint, &list)?, 1.0),
            10.0,
            "orocloud-cli backup:list, TCP's handshake included",
        ),
        row("list-cpu", "ms", (median(&mut cpu.0), median(&mut cpu.1)), 0.5, against),
    ];

    let control = sandbox.dir().join("control-master");
    let master = |more: &[&str]| {
        let mut command = Command::new("ssh");
        command.args(login.options("maint1", plain.address.port()));
        command.arg("-S").arg(&control).args(more);
        command.arg(format!("{}@{}", login.user, plain.address.ip()));
        command
    };
    run(&mut master(&["-M", "-N", "-f"]))?;
    let mut channel = Channel::open(login.ssh("maint1", maint))?;
    let further = in_turns(
        200,
        || {
            let begin = Instant::now();
            channel.call::<backup::List>(&backup::ListParams::default())?;
            Ok(milliseconds(begin.elapsed()))
        },
        || Ok(milliseconds(run(master(&[]).arg("true"))?.wall)),
    );
    run(&mut master(&["-O", "exit"]))?;
    rows.push(row(
        "query-further",
        "ms",
        further?,
        0.1,
        "backup.list on an open channel / ssh -S (ControlMaster) maint1 true",
    ));
    Ok(rows)
}

/// How many times a network's delay passes, by what a longer one adds.
fn round_trips(maint: SocketAddr, list: &impl Fn(SocketAddr) -> Result<super::measure::Took>) -> Result<f64> {
    let (near, far) = (delay::relay(maint, NEAR)?, delay::relay(maint, FAR)?);
    let time = |address| Ok(list(address)?.wall.as_secs_f64());
    let (near, far) = in_turns(9, || time(near), || time(far))?;
    Ok((far - near) / (2.0 * (FAR - NEAR).as_secs_f64()))
}
