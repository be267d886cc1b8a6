//! What Rust's test harness prints, as far as it must be understood.

use std::time::Duration;

/// The numbers of a harness's last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
    pub measured: u64,
    pub filtered: u64,
}

impl Counts {
    /// Reads `1 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.00s`.
    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split("; ").map(|part| part.split(' ').next()?.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            passed: next()?,
            failed: next()?,
            ignored: next()?,
            measured: next()?,
            filtered: next()?,
        })
    }

    /// Adds another program's.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.measured += other.measured;
        self.filtered += other.filtered;
    }

    /// The harness's last line for these.
    pub fn line(&self, verdict: &str, took: Duration) -> String {
        format!(
            "test result: {verdict}. {} passed; {} failed; {} ignored; {} measured; {} filtered out; finished in {:.2}s",
            self.passed,
            self.failed,
            self.ignored,
            self.measured,
            self.filtered,
            took.as_secs_f64()
        )
    }
}

/// One program's run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub counts: Counts,
    /// The names of the tests that failed.
    pub failed: Vec<String>,
}

impl Report {
    /// Takes the next line of the output.
    pub fn line(&mut self, line: &str) {
        if line == "failures:" {
            // Comes twice: before what the tests printed, and before the names.
            self.failed.clear();
        } else if let Some((_, numbers)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        {
            // What a test printed may look like this too; the true one comes last.
            self.counts = Counts::read(numbers).unwrap_or(self.counts);
        } else if let Some(name) = line.strip_prefix("    ") {
            self.failed.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Report {
        let mut report = Report::default();
        text.lines().for_each(|line| report.line(line));
        report
    }

    #[test]
    fn names_of_failed_tests_are_those_after_what_they_printed() {
        let text = "
running 4 tests
test crash::a ... ok
test crash::b ... FAILED
test story::c ... FAILED
test story::d ... ignored, slow: cargo xtask test --all

failures:

---- crash::b stdout ----
a sandbox said:
    failures:
    not::a::name
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s

---- story::c stdout ----
failures:
    neither


failures:
    crash::b
    story::c

test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 12.34s

";
        let report = report(text);
        assert_eq!(report.failed, ["crash::b", "story::c"]);
        assert_eq!(report.counts, Counts { passed: 1, failed: 2, ignored: 1, measured: 0, filtered: 7 });
    }

    #[test]
    fn a_run_that_passed_names_nobody_and_its_line_reads_back() {
        let line =
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.50s";
        let report = report(&format!("\nrunning 3 tests\ntest a ... ok\n\n{line}\n\n"));
        assert!(report.failed.is_empty());
        assert_eq!(report.counts.line("ok", Duration::from_millis(500)), line);
    }

    #[test]
    fn a_run_that_was_cut_short_has_no_counts() {
        assert_eq!(report("\nrunning 3 tests\ntest a ... ok\n").counts, Counts::default());
    }
}
