//! Plain PostgreSQL: one server, held up by the service manager.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use orocloud_protocol::backup::TableRows;
use orocloud_protocol::node::{
    Accepted, AsideCopy, AsideOrigin, KeptFolder, Marker, Probe, ReplayTarget, Replayed,
};
use orocloud_protocol::{CallError, CallId, ContentHash};
use serde_json::to_value;
use tokio_postgres::Client;

use super::folders::{AsideNote, Beside, Folders, KeptNote, short};
use super::replay::{end_recovery, wait_for_target, without_recovery_settings};
use super::room::{enough_room, room_to_go_on};
use super::rows::compare;
use super::swap::swapped;
use super::{Circumstances, Health};
use crate::engines::pgbackrest::{PgBackRest, RestoreOrder};
use crate::engines::postgres::{
    ClusterState, Control, Copies, Copy, CopyOrder, Identity, Room, Server, archived_marker, count_rows, free,
};
use crate::environment::Database;
use crate::nodes::NodeRef;
use crate::process::Account;

/// One server of this node.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    pub(super) node: &'a NodeRef,
    pub(super) config: &'a Database,
}

impl<'a> Plain<'a> {
    pub(super) fn new(node: &'a NodeRef, config: &'a Database) -> Self {
        Self { node, config }
    }

    pub(super) fn folders(&self) -> Folders<'a> {
        Folders { data: &self.config.data, processes: &self.node.processes }
    }

    fn backrest(&self) -> PgBackRest<'a> {
        PgBackRest::new(&self.node.processes, self.config)
    }

    /// The live server.
    pub(super) fn live(&self) -> Server {
        Server {
            socket_dir: self.config.socket_dir.clone(),
            port: self.config.port,
            superuser: self.config.superuser.clone(),
        }
    }

    pub(super) async fn health(&self) -> Result<Health, CallError> {
        if let Ok(client) = self.live().connect("postgres").await
            && let Ok(timeline) = timeline_of(&client).await
        {
            return Ok(Health { running: true, timeline: Some(timeline) });
        }
        let control = Control::read(&self.node.processes, self.config, &self.config.data).await;
        Ok(Health { running: false, timeline: control.ok().map(|control| control.timeline) })
    }

    pub(super) async fn start(&self) -> Result<(), CallError> {
        self.node.services.start(&self.config.service).await
    }

    pub(super) async fn stop(&self) -> Result<(), CallError> {
        self.node.services.stop(&self.config.service).await
    }

    pub(super) async fn has_room(&self) -> Result<(), CallError> {
        let mut wal = self.config.data.join("pg_wal");
        let free = match free(&self.node.processes, &wal).await {
            Ok(free) => free,
            // Lost with all that was in it: what takes its place will stand there.
            Err(_) => {
                wal = self.config.data.parent().unwrap_or(Path::new("/")).to_owned();
                free(&self.node.processes, &wal).await?
            }
        };
        room_to_go_on(free, &self.node.config.node, &wal)
    }

    pub(super) async fn marker(&self) -> Result<Marker, CallError> {
        match self.live().connect("postgres").await {
            Ok(client) => {
                self.has_room().await?;
                match archived_marker(&client).await {
                    Err(error) => Err(self.backrest().explain_archiving(error).await),
                    marker => marker,
                }
            }
            Err(_) => Ok(Marker { committed: false, lsn: None, segment: None }),
        }
    }

    pub(super) async fn restore_aside(
        &self,
        copy: &AsideCopy,
        around: &Circumstances<'_>,
    ) -> Result<(), CallError> {
        let folders = self.folders();
        let folder = folders.of(copy);
        let AsideOrigin::Backup { set, timeline, target } = &copy.origin else {
            return self.kept_note(&folder).await.map(drop);
        };
        let there: Option<AsideNote> = folders.note(&folder).await?;
        if let Some(mut note) = there.filter(|note| note.copy == *copy) {
            note.used_at = Timestamp::now();
            return folders.write_note(&folder, &note).await;
        }
        let room = Room::measure(&self.node.processes, &self.config.data).await?;
        if !room.obstacles.is_empty() {
            let error = CallError::refused("the database cannot be restored beside the live one");
            return Err(room.obstacles.into_iter().fold(error, CallError::because));
        }
        enough_room(&room, self.config)?;
        // Half of an interrupted restore may lie there.
        self.node.copies.stop(&folder).await;
        folders.remove(&folder).await?;
        self.node.processes.files(Account::Database).make_dir(&folder, 0o700).await?;
        let order =
            RestoreOrder { to: &folder, set, timeline: *timeline, target: target.clone(), delta: false };
        self.backrest().restore(&order, around.events, around.cancel).await?;
        folders.write_note(&folder, &AsideNote::new(copy.clone(), Timestamp::now())).await
    }

    pub(super) async fn probe_aside(&self, copy: &AsideCopy) -> Result<Probe, CallError> {
        let folders = self.folders();
        let folder = folders.of(copy);
        if let AsideOrigin::Kept { .. } = copy.origin {
            let note: Option<KeptNote> = folders.note(&folder).await?;
            return Ok(if note.is_some() { Probe::Done(serde_json::Value::Null) } else { Probe::NotDone });
        }
        let note: Option<AsideNote> = folders.note(&folder).await?;
        Ok(match note {
            Some(note) if note.copy == *copy => Probe::Done(serde_json::Value::Null),
            _ => Probe::Partial,
        })
    }

    pub(super) async fn discard(&self, copy: &AsideCopy) -> Result<(), CallError> {
        if let AsideOrigin::Kept { .. } = copy.origin {
            return Ok(());
        }
        let folder = self.folders().of(copy);
        self.node.copies.stop(&folder).await;
        self.folders().remove(&folder).await
    }

    pub(super) async fn replay(
        &self,
        copy: &AsideCopy,
        until: Option<&str>,
        around: &Circumstances<'_>,
    ) -> Result<Replayed, CallError> {
        let (folder, mut note) = self.aside_note(copy).await?;
        let AsideOrigin::Backup { timeline, target, .. } = &copy.origin else {
            return Err(CallError::internal("what is kept is not replayed"));
        };
        if let (Some(_), Some(replayed)) = (note.accepted, &note.replayed) {
            return Ok(replayed.clone());
        }
        let running = self.start_copy(copy, &folder, None).await?;
        let replayed = match wait_for_target(&running, *timeline, until, around).await {
            Ok(replayed) => replayed,
            Err(error) => {
                let ReplayTarget::Time(moment) = target else { return Err(error) };
                let Some(end) = running.end_of_archive_at(*moment) else { return Err(error) };
                let running = self.start_copy(copy, &folder, Some(&end)).await?;
                wait_for_target(&running, *timeline, until, around).await?
            }
        };
        note.replayed = Some(replayed.clone());
        note.used_at = Timestamp::now();
        self.folders().write_note(&folder, &note).await?;
        Ok(replayed)
    }

    /// `end` stops the replay behind the record at this location, whatever the copy was restored for.
    async fn start_copy(
        &self,
        copy: &AsideCopy,
        folder: &Path,
        end: Option<&str>,
    ) -> Result<Arc<Copy>, CallError> {
        let AsideOrigin::Backup { timeline, .. } = &copy.origin else {
            return Err(CallError::internal("what is kept is not started aside"));
        };
        let mut settings = vec![
            // Never the newest one, which PostgreSQL would follow.
            ("recovery_target_timeline", timeline.to_string()),
            ("hot_standby", "on".to_owned()),
            // In recovery nothing is archived yet; but the timeline that the acceptance makes must leave its marks,
            // which the live server then archives. Without a command nothing is tried before.
            ("archive_mode", "on".to_owned()),
            ("archive_command", String::new()),
        ];
        if let Some(end) = end {
            settings.push(("recovery_target_time", String::new()));
            settings.push(("recovery_target_lsn", end.to_owned()));
        }
        let order = CopyOrder { data: folder, name: &short(copy)[..8], settings: &settings };
        Copies::start(self.node, self.config, &order).await
    }

    pub(super) async fn probe_replay(&self, copy: &AsideCopy) -> Result<Probe, CallError> {
        let folder = self.folders().of(copy);
        let note: Option<AsideNote> = self.folders().note(&folder).await?;
        let Some(note) = note.filter(|note| note.copy == *copy) else { return Ok(Probe::NotDone) };
        match note.replayed {
            Some(replayed) if note.accepted.is_some() || self.node.copies.get(&folder).is_some() => {
                Ok(Probe::Done(value(&replayed)?))
            }
            // A copy ends with the agent; it is started again and is soon where it was.
            _ => Ok(Probe::Partial),
        }
    }

    pub(super) async fn look(
        &self,
        copy: &AsideCopy,
        around: &Circumstances<'_>,
    ) -> Result<Vec<TableRows>, CallError> {
        let (folder, note) = self.aside_note(copy).await?;
        if note.accepted.is_some() {
            return Err(CallError::internal("the copy is accepted already and cannot be looked into"));
        }
        let running = match self.node.copies.get(&folder) {
            Some(running) => running,
            None => {
                self.replay(copy, None, around).await?;
                self.node.copies.get(&folder).ok_or_else(|| CallError::failed("the copy ended at once"))?
            }
        };
        let live = self.live();
        let (then, now) = tokio::join!(
            count_rows(&running.server, &self.config.name),
            count_rows(&live, &self.config.name)
        );
        let then = then.map_err(|error| error.context("the copy cannot be looked into"))?;
        // A live database that does not answer is one of the reasons to restore.
        Ok(compare(&then, now.ok().as_ref()))
    }

    pub(super) async fn rest(&self, copy: &AsideCopy) -> Result<(), CallError> {
        self.node.copies.stop(&self.folders().of(copy)).await;
        Ok(())
    }

    pub(super) async fn accept(
        &self,
        copy: &AsideCopy,
        around: &Circumstances<'_>,
    ) -> Result<Accepted, CallError> {
        if let AsideOrigin::Kept { .. } = copy.origin {
            return Err(CallError::internal("what is kept is accepted as it is swapped in"));
        }
        let (folder, mut note) = self.aside_note(copy).await?;
        if let Some(timeline) = note.accepted {
            return Ok(Accepted { timeline });
        }
        let files = self.node.processes.files(Account::Database);
        let recovering = files.read(&folder.join("recovery.signal")).await?.is_some();
        let client = if recovering {
            // Stands at its target, or, after a crash of the agent, gets there again.
            self.replay(copy, None, around).await?;
            let running = self.start_copy(copy, &folder, None).await?;
            let client = running.ready(around.cancel).await?;
            end_recovery(&running, &client).await?;
            client
        } else {
            // An earlier attempt came to the promotion, and no further.
            self.start_copy(copy, &folder, None).await?.ready(around.cancel).await?
        };
        let timeline = timeline_of(&client)
            .await
            .map_err(|error| CallError::failed("the copy does not tell its timeline").because(error))?;
        drop(client);
        self.node.copies.stop(&folder).await;
        let control = Control::read(&self.node.processes, self.config, &folder).await?;
        if control.state != ClusterState::ShutDown || control.timeline != timeline {
            return Err(CallError::failed(format!(
                "the copy was not stopped well: its control file says {:?} on timeline {}, expected timeline {timeline}",
                control.state, control.timeline
            )));
        }
        let settings = folder.join("postgresql.auto.conf");
        let text = files.read(&settings).await?.unwrap_or_default();
        let cleaned = without_recovery_settings(&String::from_utf8_lossy(&text));
        files.write(&settings, cleaned.as_bytes(), 0o600).await?;
        note.accepted = Some(timeline);
        self.folders().write_note(&folder, &note).await?;
        Ok(Accepted { timeline })
    }

    pub(super) async fn probe_accept(&self, copy: &AsideCopy) -> Result<Probe, CallError> {
        let folder = self.folders().of(copy);
        let note: Option<AsideNote> = self.folders().note(&folder).await?;
        match note.filter(|note| note.copy == *copy).map(|note| note.accepted) {
            Some(Some(timeline)) => Ok(Probe::Done(value(&Accepted { timeline })?)),
            Some(None) => Ok(Probe::Partial),
            None => Ok(Probe::NotDone),
        }
    }

    pub(super) async fn kept(&self) -> Result<Vec<KeptFolder>, CallError> {
        let mut kept = Vec::new();
        for beside in self.folders().list().await? {
            if let Beside::Kept(operation) = beside
                && let Ok(note) = self.kept_note(&self.folders().kept(operation)).await
                && let Some(done) = &note.done
            {
                kept.push(KeptFolder { operation, swapped: swapped(&note, done) });
            }
        }
        Ok(kept)
    }

    pub(super) async fn copies(&self) -> Result<Vec<ContentHash>, CallError> {
        let mut copies = Vec::new();
        for beside in self.folders().list().await? {
            if let Beside::Aside(name) = beside {
                let note: Option<AsideNote> =
                    self.folders().note(&self.folders().beside(&format!("aside-{name}"))).await?;
                copies.extend(note.map(|note| note.copy.name));
            }
        }
        Ok(copies)
    }

    pub(super) async fn tidy(
        &self,
        own: CallId,
        now: Timestamp,
        copies_before: Timestamp,
    ) -> Result<(), CallError> {
        let folders = self.folders();
        for beside in folders.list().await? {
            let folder = match beside {
                Beside::Kept(operation) if operation == own => continue,
                Beside::Kept(operation) => {
                    let folder = folders.kept(operation);
                    let note: Option<KeptNote> = folders.note(&folder).await?;
                    match note {
                        Some(note) if note.done.is_some() && note.keep_until > now => continue,
                        // A swap that failed both ways: all it left stays until a person has looked at it, and so
                        // does the note by which what was live is found.
                        Some(note)
                            if note.done.is_none()
                                && Identity::of(&self.node.processes, &self.config.data).await?
                                    != Some(note.live) =>
                        {
                            continue;
                        }
                        _ => folder,
                    }
                }
                Beside::Aside(name) => {
                    let folder = folders.beside(&format!("aside-{name}"));
                    let note: Option<AsideNote> = folders.note(&folder).await?;
                    if self.node.copies.get(&folder).is_some()
                        || note.is_some_and(|note| note.used_at >= copies_before)
                    {
                        continue;
                    }
                    folder
                }
            };
            // Such a swap may have left it under the name of its copy.
            if !folders.holds_live(&folder).await? {
                folders.remove(&folder).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn aside_note(&self, copy: &AsideCopy) -> Result<(PathBuf, AsideNote), CallError> {
        let folder = self.folders().of(copy);
        let note: Option<AsideNote> = self.folders().note(&folder).await?;
        match note.filter(|note| note.copy == *copy) {
            Some(note) => Ok((folder, note)),
            None => Err(CallError::failed(format!("{} holds no complete copy", folder.display()))),
        }
    }

    /// What an operation that is over has left.
    pub(super) async fn kept_note(&self, folder: &Path) -> Result<KeptNote, CallError> {
        let note: Option<KeptNote> = self.folders().note(folder).await?;
        match note {
            Some(note) if note.done.is_some() => Ok(note),
            _ => Err(CallError::failed(format!("{} is not there any more", folder.display()))
                .hint("see what can be restored: orocloud-cli backup:window")),
        }
    }
}

/// The timeline that a server writes on.
pub(super) async fn timeline_of(client: &Client) -> Result<u32, String> {
    let row = client
        .query_one("select substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)", &[])
        .await
        .map_err(|error| error.to_string())?;
    let hex: String = row.get(0);
    u32::from_str_radix(&hex, 16).map_err(|error| error.to_string())
}

fn value<T: serde::Serialize>(of: &T) -> Result<serde_json::Value, CallError> {
    to_value(of).map_err(|error| CallError::internal(error.to_string()))
}
