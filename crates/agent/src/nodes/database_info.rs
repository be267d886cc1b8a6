//! The answer to `node.database-info`: what the database node knows of its timelines, backups and archive.

use orocloud_protocol::CallError;
use orocloud_protocol::node::{ArchivedRun, DatabaseInfoAnswer};

use super::NodeRef;
use crate::engines::pgbackrest::PgBackRest;
use crate::engines::postgres::{Room, Server, count_tables, last_commit};
use crate::environment::Database;
use crate::keeper::Keeper;
use crate::process::Account;
use crate::rules::wal::{DEFAULT_SEGMENT_SIZE, Segment};

/// How many segments are searched for the last commit: an idle server closes one a minute.
const SEARCHED: u64 = 64;

/// Asks the keeper, the backup engine and the file system.
pub async fn answer(node: &NodeRef) -> Result<DatabaseInfoAnswer, CallError> {
    let keeper = Keeper::of(node)?;
    let config: &Database = node
        .config
        .database
        .as_ref()
        .ok_or_else(|| CallError::failed(format!("node {} keeps no database", node.config.node)))?;
    let engine = PgBackRest::new(&node.processes, config);
    let (health, sets, archive, room, kept, copies) = tokio::join!(
        keeper.health(),
        engine.backups(),
        engine.archive(),
        Room::measure(&node.processes, &config.data),
        keeper.kept(),
        keeper.copies(),
    );
    let (health, mut archive) = (health?, archive?);
    note_holes(node, config, &engine, &mut archive.runs).await;
    // A data folder that is gone is one of the reasons to restore; the restore itself says what it misses.
    let room = room.unwrap_or_else(|error| Room {
        data_bytes: 0,
        free_bytes: 0,
        obstacles: vec![error.to_string()],
    });
    let newest = health.timeline.and_then(|timeline| {
        archive.runs.iter().filter(|run| run.timeline == timeline).max_by_key(|run| run.last.clone())
    });
    let sets = sets?;
    // Where the control file cannot be read, the timeline of the newest backup is the best there is.
    let presumed = health.timeline.or_else(|| sets.last().map(|set| set.backup.timeline));
    let searched =
        archive.runs.iter().filter(|run| Some(run.timeline) == presumed).max_by_key(|run| run.last.clone());
    let last_commit_at = match (health.running, searched) {
        (false, Some(run)) => last_archived_commit(node, config, &engine, run).await.unwrap_or(None),
        _ => None,
    };
    Ok(DatabaseInfoAnswer {
        running: health.running,
        timeline: health.timeline,
        last_archived: newest.map(|run| run.last.clone()),
        last_archived_at: newest.and_then(|run| run.last_at),
        last_commit_at,
        tables: tables(config, health.running).await,
        backups: sets.into_iter().map(|set| set.backup).collect(),
        obstacles: room.obstacles,
        free_bytes: room.free_bytes,
        data_bytes: room.data_bytes,
        kept: kept?,
        copies: copies?,
        histories: archive.histories,
        archived: archive.runs,
    })
}

async fn tables(config: &Database, running: bool) -> u64 {
    if !running {
        return 0;
    }
    let server = Server {
        socket_dir: config.socket_dir.clone(),
        port: config.port,
        superuser: config.superuser.clone(),
    };
    // The application's database may not be there yet.
    match server.connect(&config.name).await {
        Ok(client) => count_tables(&client).await.unwrap_or(0),
        Err(_) => 0,
    }
}

/// Looks up the last commit in front of each hole in the archive. There is hardly ever one.
async fn note_holes(node: &NodeRef, config: &Database, engine: &PgBackRest<'_>, runs: &mut [ArchivedRun]) {
    for index in 0..runs.len() {
        let run = &runs[index];
        if runs.iter().any(|other| other.timeline == run.timeline && other.first > run.last) {
            // What cannot be read is as good as missing; then the time of the file has to do.
            let commit = last_archived_commit(node, config, engine, run).await.unwrap_or(None);
            runs[index].last_commit_at = commit;
        }
    }
}

/// Fetches segments of an unbroken run, from its newest on, until one holds a commit.
async fn last_archived_commit(
    node: &NodeRef,
    config: &Database,
    engine: &PgBackRest<'_>,
    run: &ArchivedRun,
) -> Result<Option<jiff::Timestamp>, CallError> {
    let Some(mut segment) = Segment::parse(&run.last, DEFAULT_SEGMENT_SIZE) else { return Ok(None) };
    // Whoever else asks meanwhile would use the same folder.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = TURN.lock().await;
    let files = node.processes.files(Account::Database);
    let mut folder = config.data.file_name().unwrap_or_default().to_owned();
    folder.push(".last-commit");
    let folder = config.data.with_file_name(folder);
    files.make_dir(&folder, 0o700).await?;
    let mut found = Ok(None);
    for _ in 0..SEARCHED {
        let name = segment.name(DEFAULT_SEGMENT_SIZE);
        let path = folder.join(&name);
        found = match engine.fetch(&name, &path).await {
            Ok(true) => last_commit(&node.processes, config, &path).await,
            Ok(false) => break,
            Err(error) => Err(error),
        };
        if !matches!(found, Ok(None)) || name <= run.first {
            break;
        }
        segment.number -= 1;
    }
    files.remove_tree(&folder).await?;
    found
}
