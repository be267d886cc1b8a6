//! What a copy's server writes to its log, as far as it matters to us.

use std::collections::VecDeque;

use jiff::Timestamp;

/// The log of one copy, while it runs.
#[derive(Debug, Default)]
pub struct CopyLog {
    line: Vec<u8>,
    last: VecDeque<String>,
    /// The line `recovery stopping before|after …`.
    pub stopping: Option<String>,
    /// The time of the last commit, told where the replay ends.
    pub last_commit: Option<Timestamp>,
    /// Where the replay ended.
    pub redo_done: Option<String>,
    /// The line of the first fatal error that is not a refused client's.
    pub fatal: Option<String>,
}

impl CopyLog {
    /// Lines that are kept for an error.
    const KEPT: usize = 20;
    const MAX_LINE: usize = 8 * 1024;

    /// Takes in what the server wrote.
    pub fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() < Self::MAX_LINE {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take_line(String::from_utf8_lossy(&line).trim_end());
            }
        }
    }

    fn take_line(&mut self, line: &str) {
        if line.contains("recovery stopping before") || line.contains("recovery stopping after") {
            self.stopping = Some(line.to_owned());
        }
        if let Some((_, time)) = line.split_once("last completed transaction was at log time ") {
            // `log_timezone` of a copy is UTC: `2026-11-24 15:10:21.123456+00`.
            let time = time.trim().trim_end_matches("+00").replace(' ', "T");
            self.last_commit = format!("{time}Z").parse().ok();
        }
        if let Some((_, rest)) = line.split_once("redo done at ") {
            self.redo_done = rest.split_ascii_whitespace().next().map(str::to_owned);
        }
        let refused_client = line.contains("the database system is");
        if (line.contains("FATAL:") || line.contains("PANIC:")) && !refused_client && self.fatal.is_none() {
            self.fatal = Some(line.to_owned());
        }
        if !refused_client {
            self.last.push_back(line.to_owned());
            if self.last.len() > Self::KEPT {
                self.last.pop_front();
            }
        }
    }

    /// Whether it ended because nothing behind its target is archived.
    pub fn ended_before_target(&self) -> bool {
        self.fatal
            .as_deref()
            .is_some_and(|line| line.contains("recovery ended before configured recovery target was reached"))
    }

    /// The last lines.
    pub fn tail(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stop_and_the_first_fatal_line_are_found() {
        let mut log = CopyLog::default();
        let text = "2026-11-24 15:10:22 UTC [7] LOG:  starting archive recovery\n\
            2026-11-24 15:10:22 UTC [9] FATAL:  the database system is starting up\n\
            2026-11-24 15:10:23 UTC [7] LOG:  recovery stopping before commit of transaction 742, time 2026-11-24 15:10:21+00\n\
            2026-11-24 15:10:23 UTC [7] LOG:  redo done at 0/5000110 system usage: CPU: user: 0.00 s\n\
            2026-11-24 15:10:23 UTC [7] LOG:  last completed transaction was at log time 2026-11-24 15:10:20.5+00\n\
            2026-11-24 15:10:23 UTC [7] FATAL:  recovery ended before configured recovery target was reached\n";
        text.as_bytes().chunks(11).for_each(|piece| log.take(piece));
        assert!(log.stopping.as_deref().unwrap().contains("742"));
        assert!(log.fatal.as_deref().unwrap().contains("recovery ended before"));
        assert_eq!(log.last_commit, "2026-11-24T15:10:20.5Z".parse().ok());
        assert_eq!(log.redo_done.as_deref(), Some("0/5000110"));
        assert!(log.ended_before_target());
        assert_eq!(log.tail().count(), 5);
        let mut log = CopyLog::default();
        log.take(b"LOG:  recovery stopping befo");
        assert_eq!(log.stopping, None);
    }
}
