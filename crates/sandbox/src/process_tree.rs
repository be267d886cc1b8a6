//! Finding and signalling everything below a process.
//!
//! Every init process is a subreaper, so whatever a node started stays below it, daemons included.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A process as /proc shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's number.
    pub parent: i32,
    /// `R` running, `S` sleeping, `T` stopped, `Z` ended but not waited for …
    pub state: char,
}

/// Every process of the machine.
fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// The name stands in parentheses and may hold anything, so what follows starts after the last one.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Process { pid, parent, state })
}

/// Everything below `root`, without itself, without what has ended, without `spared` ones and what is below them.
pub fn descendants(root: i32, spared: &[i32]) -> Vec<Process> {
    let all = all();
    let mut parents = vec![root];
    let mut found = Vec::new();
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent && !spared.contains(&process.pid))
        {
            parents.push(process.pid);
            if process.state != 'Z' {
                found.push(*process);
            }
        }
    }
    found
}

/// Whether something below `root` works in this folder.
pub fn works_in(root: i32, folder: &Path) -> bool {
    let here = |process: &Process| {
        fs::read_link(format!("/proc/{}/cwd", process.pid)).is_ok_and(|cwd| cwd == folder)
    };
    descendants(root, &[]).iter().any(here)
}

/// Sends a signal; a process that is gone already needs none.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Kills everything below `root` that is not below one of `spared`, again and again until nothing new was forked.
pub fn kill_descendants(root: i32, spared: &[i32]) {
    until_none(root, spared, |process| {
        signal(process.pid, Signal::KILL);
        true
    });
}

/// Stops everything below `root`, again and again until all of it stands still.
pub fn freeze_descendants(root: i32) {
    until_none(root, &[], |process| {
        // `t`: stopped by a debugger.
        if matches!(process.state, 'T' | 't') {
            return false;
        }
        signal(process.pid, Signal::STOP);
        true
    });
}

/// Lets everything below `root` go on.
pub fn thaw_descendants(root: i32) {
    for process in descendants(root, &[]) {
        signal(process.pid, Signal::CONT);
    }
}

/// A process in an uninterruptible wait can neither be stopped nor killed: then we go on after this time.
const LIMIT: Duration = Duration::from_secs(10);

/// Calls `act` for every process below `root` until it answers `false` for all, or the limit is reached.
fn until_none(root: i32, spared: &[i32], act: impl Fn(&Process) -> bool) {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        let acted = descendants(root, spared).iter().filter(|process| act(process)).count();
        if acted == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_no_trap() {
        let process = parse(7, "7 (a) b (c) S 3 7 7 0 -1").unwrap();
        assert_eq!(process, Process { pid: 7, parent: 3, state: 'S' });
        assert_eq!(parse(7, "nonsense"), None);
    }
}
