//! The write-ahead log: marks in it, and what an archived part of it tells.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::CallError;
use orocloud_protocol::node::Marker;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::connection::failed;
use crate::environment::Database;
use crate::process::{Account, Processes, Program};

/// How long a segment may take to the archive.
const ARCHIVE_LIMIT: Duration = Duration::from_secs(120);

/// Commits a transaction that changes nothing, closes the segment and waits until it is archived. A replay to a
/// moment before then finds a commit behind its target, also in an idle minute.
pub async fn archived_marker(client: &Client) -> Result<Marker, CallError> {
    client
        .query_one("select pg_current_xact_id()::text", &[])
        .await
        .map_err(failed("the marker transaction"))?;
    let row = client
        .query_one("select lsn::text, pg_walfile_name(lsn) from pg_switch_wal() lsn", &[])
        .await
        .map_err(failed("closing the WAL segment"))?;
    let (lsn, segment): (String, String) = (row.get(0), row.get(1));
    let begun = Instant::now();
    loop {
        let row = client
            .query_one(
                "select exists (select 1 from pg_ls_archive_statusdir() where name = $1 || '.ready'), \
                 last_failed_wal from pg_stat_archiver",
                &[&segment],
            )
            .await
            .map_err(failed("looking at the archiver"))?;
        if !row.get::<_, bool>(0) {
            return Ok(Marker { committed: true, lsn: Some(lsn), segment: Some(segment) });
        }
        if begun.elapsed() > ARCHIVE_LIMIT {
            let failed: Option<String> = row.get(1);
            let error = CallError::failed(format!(
                "WAL segment {segment} was not archived within {} s",
                ARCHIVE_LIMIT.as_secs()
            ));
            return Err(match failed {
                Some(failed) => error.because(format!("the archiver failed on {failed}")),
                None => error,
            }
            .hint("see PostgreSQL's log: orocloud-cli log:tail postgresql --no-follow"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The time of the last commit in one segment file.
pub async fn last_commit(
    processes: &Processes,
    config: &Database,
    file: &Path,
) -> Result<Option<Timestamp>, CallError> {
    // It ends with 1 where the records end, which is where we want it to end.
    let program = Program::new(config.bin.join("pg_waldump"))
        .args(["--rmgr=Transaction", "--"])
        .arg(file)
        .accept(1)
        .account(Account::Database);
    let finished = processes.output(program).await?;
    Ok(parse_last_commit(&String::from_utf8_lossy(&finished.stdout)))
}

/// `… desc: COMMIT 2026-11-24 16:40:47.123456 UTC; …`
fn parse_last_commit(text: &str) -> Option<Timestamp> {
    text.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("desc: COMMIT ")?;
        let mut fields = rest.split([' ', ';']);
        let (date, time, zone) = (fields.next()?, fields.next()?, fields.next()?);
        if zone != "UTC" {
            return None;
        }
        format!("{date}T{time}Z").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_commit_is_found_also_before_half_a_line() {
        let text = "rmgr: Transaction len (rec/tot):     34/    34, tx:        735, lsn: 0/04000028, prev 0/03FFFFC0, desc: COMMIT 2026-11-24 16:40:46.120000 UTC\n\
            rmgr: Transaction len (rec/tot):    130/   130, tx:        736, lsn: 0/04000128, prev 0/040000C0, desc: COMMIT 2026-11-24 16:40:47.123456 UTC; inval msgs: catcache 51\n\
            rmgr: Transaction len (rec/tot):     34/    34, tx:        737, lsn: 0/04000228, prev 0/040001C0, desc: ABORT 2026-11-24 16:40:48.000000 UTC\n\
            rmgr: Transaction len (rec/tot):     34/    34, tx:        738, lsn: 0/04000328, desc: COMMIT 2026-11";
        assert_eq!(parse_last_commit(text), "2026-11-24T16:40:47.123456Z".parse().ok());
        assert_eq!(parse_last_commit(""), None);
    }
}
