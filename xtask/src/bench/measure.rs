//! Time, processor time, medians.

use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Result;

/// What one run of a program took.
pub struct Took {
    pub wall: Duration,
    /// Of the program and of those it waited for.
    pub cpu: Duration,
}

/// Runs a program whose output nobody reads; that it succeeds is part of it.
pub fn run(command: &mut Command) -> Result<Took> {
    // A file rather than a pipe: what stays in the background would hold that open.
    let mut said = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    let (cpu, begin) = (cpu_of_children(), Instant::now());
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let took = Took { wall: begin.elapsed(), cpu: cpu_of_children().saturating_sub(cpu) };
    if !status.success() {
        let mut text = String::new();
        said.rewind()?;
        said.read_to_string(&mut text)?;
        return Err(format!("{command:?} failed ({status})\n{text}").into());
    }
    Ok(took)
}

fn cpu_of_children() -> Duration {
    // SAFETY: the kernel fills the structure in; zeroes are valid for it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let part = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    part(usage.ru_utime) + part(usage.ru_stime)
}

/// Measures both in turns, after one of each that does not count, and gives the medians.
pub fn in_turns(
    rounds: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut reference: impl FnMut() -> Result<f64>,
) -> Result<(f64, f64)> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        // Neither is always the one that comes after the other.
        let (one, two) = if round % 2 == 0 {
            let one = ours()?;
            (one, reference()?)
        } else {
            let two = reference()?;
            (ours()?, two)
        };
        if round > 0 {
            first.push(one);
            second.push(two);
        }
    }
    Ok((median(&mut first), median(&mut second)))
}

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this part of all lies.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let place = (values.len().saturating_sub(1) as f64 * part).round() as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}

/// In milliseconds.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
