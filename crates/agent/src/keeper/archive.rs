//! How much WAL is left to be archived. A server that is stopped archives all of it first, and a shop shows the
//! maintenance page so long.

use std::time::Duration;

use orocloud_protocol::{CallError, EventBody, NoteLevel};
use tokio::time::Instant;

use super::Circumstances;
use super::plain::Plain;
use super::replay::POLL;

/// Segments that a stop archives in no time.
const FEW: i64 = 2;

/// How long their number may stay the same: an archive that is stuck, or a database that writes as fast as it archives,
/// must not keep a restore waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// Segments that were closed and not archived yet (PostgreSQL manual, `pg_ls_archive_statusdir`).
const WAITING: &str = "select count(*) from pg_ls_archive_statusdir() where name like '%.ready'";

impl Plain<'_> {
    /// Waits until the live database can be stopped quickly; says so and goes on where that does not come.
    pub(super) async fn archive(&self, around: &Circumstances<'_>) -> Result<(), CallError> {
        // A dead one archives nothing, and what cannot be asked is not worth a restore that fails.
        let Ok(client) = self.live().connect("postgres").await else { return Ok(()) };
        let waiting = async || client.query_one(WAITING, &[]).await.and_then(|row| row.try_get(0));
        let mut fewest = i64::MAX;
        let mut since = Instant::now();
        while let Ok(number) = waiting().await
            && number > FEW
        {
            if around.cancel.is_cancelled() {
                return Err(crate::engines::postgres::cancelled());
            }
            let first = fewest == i64::MAX;
            if number < fewest {
                (fewest, since) = (number, Instant::now());
            }
            if first {
                let text = format!("the page waits until {number} segments of WAL are archived");
                around.events.emit(EventBody::Note { level: NoteLevel::Info, text });
            }
            if since.elapsed() > PATIENCE {
                let text = format!(
                    "{number} segments of WAL wait to be archived and do not become fewer: the database may stop slowly"
                );
                around.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}
