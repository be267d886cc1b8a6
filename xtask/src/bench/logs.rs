//! Logs: a large one fetched whole, and what two busy nodes write, followed.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use orocloud_sandbox::{Options, SSH_PORT, Sandbox};

use super::connection::cli;
use super::measure::{in_turns, quantile, run};
use super::plain_sshd::{Login, PlainSshd, let_all_read, real_address};
use super::{Result, Row, Topic};

pub const WHOLE: Topic = Topic { names: &["log-tail-500mb"], measure: whole };
pub const FOLLOWED: Topic = Topic { names: &["log-follow-lag", "log-follow-lost"], measure: followed };

const SIZE: u64 = 500_000_000;

/// The application's log on a web node.
pub fn log_of(sandbox: &Sandbox, node: &str) -> Result<PathBuf> {
    let shared = sandbox.node(node)?.dir().join("app/shared/log");
    std::fs::create_dir_all(&shared)?;
    Ok(shared.join("prod.log"))
}

/// Entries as Symfony's logger writes them, with numbers that differ as they do in life.
fn fill(file: &PathBuf, size: u64) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    let (mut written, mut entry, mut random) = (0, 0_u64, 88_172_645_463_325_252_u64);
    let begin = 1_788_220_800; // 2026-09-01
    while written < size {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (seconds, micros) = (begin + i64::try_from(entry / 200)?, entry % 200 * 5000 + random % 5000);
        let line = format!(
            "[{}.{micros:06}+00:00] request.INFO: Matched route \"oro_product_frontend_product_view\". {{\"route\":\"oro_product_frontend_product_view\",\"id\":{},\"token\":\"{random:016x}\",\"request_uri\":\"https://shop.example/product/{}\",\"method\":\"GET\"}} []\n",
            Timestamp::from_second(seconds)?.strftime("%Y-%m-%dT%H:%M:%S"),
            random % 40_000,
            random % 40_000,
        );
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        entry += 1;
    }
    out.flush()?;
    Ok(())
}

fn whole() -> Result<Vec<Row>> {
    let sandbox = Sandbox::start(Options::default())?;
    let log = log_of(&sandbox, "web1")?;
    fill(&log, SIZE)?;
    let_all_read(&sandbox, &log)?;
    let login = Login::new(&sandbox)?;
    let (maint, web) = (PlainSshd::start(&sandbox, "maint1")?, PlainSshd::start(&sandbox, "web1")?);
    let address = real_address(&sandbox, "maint1", SSH_PORT)?;
    let inner = login.ssh("web1", web.address);
    let mut words = vec!["ssh".to_owned()];
    words.extend(inner.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.extend(["cat".to_owned(), log.display().to_string()]);
    let (ours, reference) = in_turns(
        3,
        || {
            let mut command = cli(&sandbox, address)?;
            command.args(["log:tail", "app", "--node=web1", "--since=2026-09-01T00:00:00Z", "--no-follow"]);
            Ok(run(&mut command)?.wall.as_secs_f64())
        },
        || Ok(run(login.ssh("maint1", maint.address).args(&words))?.wall.as_secs_f64()),
    )?;
    Ok(vec![Row {
        name: "log-tail-500mb",
        unit: "s",
        ours,
        reference,
        goal: 1.0,
        command: "orocloud-cli log:tail app --node=web1 --since=… --no-follow / ssh maint1 ssh web1 cat"
            .to_owned(),
    }])
}

/// Lines a second and node, and for how long.
const RATE: u64 = 5000;
const SECONDS: u64 = 20;

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn followed() -> Result<Vec<Row>> {
    let sandbox = Sandbox::start(Options::default())?;
    let logs = [log_of(&sandbox, "web1")?, log_of(&sandbox, "web2")?];
    for log in &logs {
        fill(log, 10_000)?;
        let_all_read(&sandbox, log)?;
    }
    let mut command = cli(&sandbox, real_address(&sandbox, "maint1", SSH_PORT)?)?;
    command.args(["log:tail", "app", "--lines=1"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(std::io::Result::ok) {
            if send.send((now(), line)).is_err() {
                break;
            }
        }
    });
    // It follows once it has shown what there was.
    receive.recv_timeout(Duration::from_secs(60)).map_err(|_| "log:tail shows nothing")?;
    thread::sleep(Duration::from_secs(1));
    let writers = logs.each_ref().map(|log| {
        let log = log.clone();
        thread::spawn(move || write_at_rate(&log))
    });
    let mut seen: HashMap<(String, u64), u32> = HashMap::new();
    let mut lags = Vec::new();
    let total = usize::try_from(2 * RATE * SECONDS)?;
    let limit = Instant::now() + Duration::from_secs(SECONDS + 60);
    while seen.len() < total && Instant::now() < limit {
        let Ok((read, line)) = receive.recv_timeout(Duration::from_secs(5)) else { break };
        let mut words = line.split(' ');
        let (node, rest) = (words.nth(2).unwrap_or_default(), words.collect::<Vec<_>>());
        let Some(number) = rest.iter().find_map(|word| word.strip_prefix("number=")?.parse().ok()) else {
            continue;
        };
        let Some(written) = rest.iter().find_map(|word| word.strip_prefix("written=")?.parse::<u64>().ok())
        else {
            continue;
        };
        *seen.entry((node.to_owned(), number)).or_default() += 1;
        #[allow(clippy::cast_precision_loss)]
        lags.push(read.saturating_sub(written) as f64 / 1e6);
    }
    for writer in writers {
        writer.join().map_err(|_| "a writer panicked")??;
    }
    // A doubled line would come late.
    while let Ok((_, line)) = receive.recv_timeout(Duration::from_secs(2)) {
        if line.contains("number=") {
            lags.push(f64::NAN);
        }
    }
    let doubled = lags.len() - seen.len();
    lags.retain(|lag| !lag.is_nan());
    let _ = child.kill();
    let _ = child.wait();
    let lost = total - seen.len();
    let command = format!(
        "orocloud-cli log:tail app, web1 and web2 writing {RATE} lines a second each for {SECONDS} s"
    );
    #[allow(clippy::cast_precision_loss)]
    let wrong = (lost + doubled) as f64;
    Ok(vec![
        Row {
            name: "log-follow-lag",
            unit: "ms (p99)",
            ours: quantile(&mut lags, 0.99),
            reference: 1.0,
            goal: 50.0,
            command: command.clone(),
        },
        Row { name: "log-follow-lost", unit: "lines", ours: wrong, reference: 1.0, goal: 0.0, command },
    ])
}

fn write_at_rate(log: &PathBuf) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(log)?;
    let begin = Instant::now();
    for number in 0..RATE * SECONDS {
        let due = begin + Duration::from_nanos(1_000_000_000 / RATE * number);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let line = format!("[{:.6}] request.INFO: number={number} written={} []\n", Timestamp::now(), now(),);
        file.write_all(line.as_bytes())?;
    }
    Ok(())
}
