use std::time::Instant;

use super::*;

fn shell(script: &str) -> Program {
    Program::new("/bin/sh").arg("-c").arg(script)
}

fn alive(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_program_gets_what_it_is_given_and_nothing_else() {
    let processes = Processes::new(None);
    let program = shell("cat; echo \"$A|$HOME|$PWD\"; ulimit -n; env | wc -l; grep -c SigBlk:.0000000000000000 /proc/self/status; echo bad >&2")
        .env("A", "b c")
        .env("HOME", "/nowhere")
        .folder("/tmp")
        .open_files(77)
        .input("secret\n");
    let finished = processes.output(program).await.unwrap();
    let text = String::from_utf8(finished.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["secret", "b c|/nowhere|/tmp", "77"]);
    // PATH, LANG, TZ, HOME, USER, LOGNAME, A, and what the shell adds: PWD, perhaps SHLVL and _.
    assert!(lines[3].parse::<u32>().unwrap() <= 10, "{text}");
    assert_eq!(lines[4], "1", "signals are not blocked");
    assert_eq!(finished.stderr_tail, "bad");
}

#[tokio::test]
async fn failures_are_told_apart() {
    let processes = Processes::new(None);
    let fault = |program| async { processes.output(program).await.unwrap_err() };
    assert!(
        matches!(fault(Program::new("/no/such")).await.fault, Fault::Start(error) if error.kind() == std::io::ErrorKind::NotFound)
    );
    let error = fault(shell("true").folder("/no/such")).await;
    assert!(error.to_string().contains("/no/such"), "{error}");
    let error = fault(shell("echo one; echo two >&2; exit 7")).await;
    assert!(matches!(error.fault, Fault::Status(status) if status.code() == Some(7)));
    assert_eq!(error.tail, "two");
    let finished = processes.output(shell("echo one; exit 7").accept(7)).await.unwrap();
    assert_eq!((finished.status.code(), finished.stdout.as_slice()), (Some(7), &b"one\n"[..]));
    let error = fault(shell("exit 8").accept(7)).await;
    assert!(matches!(error.fault, Fault::Status(status) if status.code() == Some(8)));
    use std::os::unix::process::ExitStatusExt;
    assert!(
        matches!(fault(shell("kill -9 $$")).await.fault, Fault::Status(status) if status.signal() == Some(9))
    );
    assert!(matches!(
        fault(shell("sleep 60").limit(Duration::from_millis(50))).await.fault,
        Fault::TimedOut(_)
    ));
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_ended_with_it() {
    let started = Instant::now();
    let finished = Processes::new(None)
        .output(shell("setsid sleep 600 & sh -c 'trap \"\" TERM; sleep 601' & echo $!; sleep 0.1; exit 0"))
        .await
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(8));
    let pid: u32 = String::from_utf8(finished.stdout).unwrap().trim().parse().unwrap();
    assert!(!alive(pid));
}

#[tokio::test]
async fn cancelling_is_polite_first_and_then_not() {
    let processes = Processes::new(None);
    let cancel = CancellationToken::new();
    let mut seen = String::new();
    let program = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done");
    let error = processes
        .run(program, &cancel, |stream, bytes| {
            if stream == OutputStream::Stdout {
                seen.push_str(&String::from_utf8_lossy(bytes));
            }
            cancel.cancel();
        })
        .await
        .unwrap_err();
    assert!(matches!(error.fault, Fault::Cancelled));
    assert_eq!(seen, "up\nbye\n");
    let cancel = CancellationToken::new();
    let program =
        shell("trap '' TERM; echo up; while :; do sleep 0.01; done").grace(Duration::from_millis(50));
    let error = processes.run(program, &cancel, |_, _| cancel.cancel()).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Cancelled));
}

#[tokio::test]
async fn a_program_that_stays_ends_by_its_signal_or_with_its_handle() {
    let processes = Processes::new(None);
    let running = processes.spawn(shell("trap 'exit 3' INT; while :; do sleep 0.01; done")).await.unwrap();
    assert!(alive(running.pid()) && running.status().is_none());
    // Until the shell has set its trap the signal would end it otherwise.
    let status = loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let caught = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let caught = caught.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap().to_owned();
        if u64::from_str_radix(&caught, 16).unwrap() & 0b10 != 0 {
            break running.stop(libc::SIGINT, Duration::from_secs(10)).await;
        }
    };
    assert_eq!(status.code(), Some(3));
    let running = processes.spawn(shell("sleep 600")).await.unwrap();
    let pid = running.pid();
    drop(running);
    until("the program ends with its handle", || !alive(pid)).await;
    assert!(processes.spawn(Program::new("/no/such")).await.is_err());
}

#[tokio::test]
async fn the_lock_is_held_until_everything_is_gone() {
    use std::os::fd::AsFd;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let file = File::create(&path).unwrap();
    rustix::fs::flock(file.as_fd(), rustix::fs::FlockOperation::LockExclusive).unwrap();
    let processes = Processes::new(None).holding(file.into());
    let running = processes
        .spawn(shell("trap '' TERM; while :; do sleep 0.01; done").grace(Duration::from_millis(300)))
        .await
        .unwrap();
    let pid = running.pid();
    drop(processes);
    let free = || {
        let file = File::open(&path).unwrap();
        rustix::fs::flock(file.as_fd(), rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
    };
    assert!(!free());
    drop(running);
    until("the lock is free", free).await;
    assert!(!alive(pid));
}

#[tokio::test]
async fn files_take_the_place_of_pipes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in"), "from a file").unwrap();
    let processes = Processes::new(None);
    let program = Program::new("/bin/cat")
        .input_file(File::open(folder.path().join("in")).unwrap())
        .output_file(File::create(folder.path().join("out")).unwrap());
    processes.output(program).await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("out")).unwrap(), "from a file");
}

#[tokio::test]
async fn another_account_gets_no_rights_along() {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not root: an ordinary user cannot become another account, so this is not looked at");
        return;
    }
    let name = || "nobody".to_owned();
    let processes =
        Processes::new(Some(AccountNames { build: name(), app: name(), database: name(), mail: None }));
    let script = "id -un; id -G | wc -w; echo $HOME; grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs)' /proc/self/status; cat /etc/shadow >/dev/null 2>&1 || echo closed";
    let finished = processes.output(shell(script).account(Account::Build)).await.unwrap();
    let text = String::from_utf8(finished.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["nobody", "1"], "{text}");
    assert_ne!(lines[2], "/root");
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(text.contains(&format!("{name}:\t0000000000000000")), "{text}");
    }
    assert!(text.contains("NoNewPrivs:\t1"), "{text}");
    assert_eq!(lines.last(), Some(&"closed"));
    // A folder that only that account may enter is entered as that account.
    let error = processes.output(shell("true").account(Account::Build).folder("/root")).await.unwrap_err();
    assert!(error.to_string().contains("/root"), "{error}");
    let missing = AccountNames { build: "no-such-account".into(), app: name(), database: name(), mail: None };
    let error =
        Processes::new(Some(missing)).output(shell("true").account(Account::Build)).await.unwrap_err();
    assert!(error.to_string().contains("no account no-such-account"), "{error}");
}
