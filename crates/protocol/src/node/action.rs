//! What a step can be.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SigningKey;
use crate::backup::RestoreScope;
use crate::maintenance::{MaintenancePage, PageOrder};
use crate::package::StoredPackage;
use crate::service::{ServiceChange, ServiceKind};
use crate::smtp::{RelayTls, WhitelistChange};
use crate::{
    CallId, ContentHash, Label, MailAddress, MailDomain, MailHost, MailUser, NodeName, PackageTag, PointName,
    Reference, RelayName, ReleaseName, Secret, ServiceName,
};

/// What steps can be. The comment of each says what its output is; none means `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StepAction {
    // --- on maint -------------------------------------------------------------------------------------------
    /// Brings the local mirror up to date, resolves the reference and checks it out for the build. Output:
    /// [`super::SourceFetched`].
    SourceFetch {
        /// What was asked for.
        reference: Reference,
        /// The release it will become.
        release: ReleaseName,
    },
    /// Runs composer in the checkout, as `build`.
    SourceBuild {
        /// The release it will become.
        release: ReleaseName,
        /// The application's scripts are told to build no assets.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        skip_assets: bool,
    },
    /// Makes one file of the built checkout. Output: [`super::PackageBuilt`].
    PackageBuild {
        /// The release it will become.
        release: ReleaseName,
    },
    /// Takes the package that was built into the depot of the project, from the outputs of `source:fetch` and
    /// `package:build`. Output: [`crate::package::StoredPackage`].
    PackagePublish {
        /// The package's name.
        tag: PackageTag,
        /// A person's words.
        label: Option<Label>,
    },
    /// Brings a package of the depot into maint's own store, as the release's; a damaged one is refused. Output:
    /// [`super::PackageTaken`].
    PackageTake {
        /// The release it will become.
        release: ReleaseName,
        /// The package.
        package: Box<StoredPackage>,
    },
    /// Sends the release's package to a node, which checks its hash.
    PackageSend {
        /// The release.
        release: ReleaseName,
        /// The receiver.
        to: NodeName,
    },
    /// Remembers which release every node is to serve; a node that was away is brought to it. Its undo remembers
    /// the one before. Output: [`crate::backup::CodeVersion`].
    ReleaseRecord {
        /// The release.
        release: ReleaseName,
        /// What was asked for.
        reference: Reference,
        /// Key id of whoever brings it.
        #[serde(default)]
        by: String,
    },
    /// Remembers that every node is to serve a release that is there already. Its undo remembers the one before.
    /// Output: [`crate::backup::CodeVersion`].
    ReleaseRecall {
        /// The release.
        version: crate::backup::CodeVersion,
    },
    /// Remembers that a release is good: it was switched to and checked. Only such releases count among those kept. What
    /// `database:schema` answered is remembered with it.
    ReleaseAccept {
        /// The release.
        release: ReleaseName,
    },
    /// Asks for the page until it answers; on maint through the load balancer, on a web node past it, where it
    /// must come from this release. Output: [`super::FrontendChecked`].
    FrontendCheck {
        /// What the page must come from.
        release: ReleaseName,
    },
    /// Takes a snapshot of the media. Output: [`crate::backup::MediaSnapshot`], or `null` where there are none.
    MediaSnapshot {
        /// The recovery point it belongs to.
        point: PointName,
    },
    /// Brings a snapshot of the media back beside them.
    MediaAside {
        /// restic's snapshot id.
        snapshot: String,
    },
    /// Exchanges the media for what [`StepAction::MediaAside`] of the same operation brought back, or for what an
    /// earlier restore replaced. What is replaced is kept beside under the operation's id.
    MediaSwap {
        /// The earlier restore.
        kept: Option<CallId>,
    },
    /// Writes the manifest that makes a recovery point visible, from the outputs of the steps of the same topic
    /// before it (`backup:publish` of `backup:database` and `backup:media`) and the release that is recorded,
    /// then lets go what the rule of retention no longer keeps. Output: [`crate::backup::RecoveryPoint`].
    PointPublish {
        /// Its name.
        point: PointName,
        /// A person's words.
        label: Option<Label>,
        /// Why it is taken.
        reason: String,
        /// Not to be let go before.
        keep_until: Option<Timestamp>,
        /// The media belong to it: without their snapshot it is no recovery point.
        #[serde(default)]
        with_media: bool,
        /// Points let go earlier whose backups are gone from the repository by now: nothing needs to know them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        forget: Vec<PointName>,
    },
    /// Remembers a restore (or undo) that is about to swap, and the code that comes with it. Whatever fails behind the
    /// swap, what the restore replaced is found by this.
    RestoreBegin {
        /// To which moment; absent for an undo.
        to: Option<Timestamp>,
        /// Until when what was replaced is kept.
        undo_until: Timestamp,
        /// The code that ran before, and comes back with an undo.
        code_before: Option<crate::backup::CodeVersion>,
        /// The code that runs now, for every node; absent when it did not change.
        code_now: Option<crate::backup::CodeVersion>,
        /// The media that were there before are kept.
        media: bool,
        /// Parts that were brought back.
        scope: RestoreScope,
    },
    /// Writes down that the restore which [`StepAction::RestoreBegin`] remembered has swapped, for `backup:window` and
    /// `--undo`.
    RestoreRecord {},
    /// Has the mail nodes hold `mail.whitelist` of a release before it is served, beside that of the one before: no mail
    /// of the new one goes where it must not, and none of the old one is lost. Where everybody was reached, mail to others
    /// waits: after the operation it is dropped, after its undo it leaves. Does nothing where both say the same. What the old
    /// one alone named goes once the operation has ended. Its undo gives back what the old one says, or what the mail nodes
    /// held where that cannot be read.
    MailWhitelist {
        /// The release that is going to be served.
        release: ReleaseName,
        /// The one that is served; absent at the first deployment.
        before: Option<ReleaseName>,
        /// Web nodes that have both.
        webs: Vec<NodeName>,
        /// What may be typed in its place, as a hint, while a mail node cannot be told that mail is to reach fewer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead: Option<String>,
    },
    /// Has every mail node follow `mail.whitelist` of the release that is served. None is waited for: one that is away is
    /// named, and the coordinator tells it once it is back. May be repeated, and nothing undoes it. Output:
    /// [`super::MailTold`].
    MailTell {
        /// The only domains; absent without a whitelist there.
        whitelist: Option<Vec<MailDomain>>,
    },

    // --- on lb ----------------------------------------------------------------------------------------------
    /// Looks whether the load balancer can be told about these web nodes, before anything is done that counts on it.
    BalancerCheck {
        /// The web nodes.
        nodes: Vec<NodeName>,
    },
    /// Has the load balancer send no new requests to a web node, and waits until those in flight have ended; does
    /// nothing where no other node takes requests. Its undo lets the node get requests again. Output:
    /// [`super::Drained`].
    BalancerDrain {
        /// The web node.
        node: NodeName,
    },
    /// Has the load balancer send to a web node again, and waits until it does. One that is withheld stays out.
    BalancerReturn {
        /// The web node.
        node: NodeName,
        /// It is what it should be, so it comes back also when it was withheld.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        healed: bool,
    },
    /// Has the load balancer send nothing to a web node, whatever its health check says, also when the load balancer is
    /// started anew. Nothing undoes it but [`StepAction::BalancerReturn`].
    BalancerWithhold {
        /// The web node.
        node: NodeName,
    },

    // --- on web ---------------------------------------------------------------------------------------------
    /// Unpacks the release from the package that was received, beside the current one.
    ReleaseUnpack {
        /// The release.
        release: ReleaseName,
        /// What it is, where no step before it (`source:fetch`) tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<crate::backup::CodeVersion>,
    },
    /// Runs console commands of the release as `app`, once in the whole operation. Output: none.
    ConsoleRun {
        /// The release whose `bin/console` runs.
        release: ReleaseName,
        /// What runs.
        commands: ConsoleCommands,
    },
    /// Warms the caches of a release that is not live yet.
    CacheWarm {
        /// The release.
        release: ReleaseName,
    },
    /// Points `www` at the release and reloads what holds the old code. Its undo points it back.
    ReleaseSwitch {
        /// The release.
        release: ReleaseName,
        /// The one before; absent at the first deployment.
        previous: Option<ReleaseName>,
    },
    /// Makes a web node that was left behind serve this release, whatever it served before, or nothing where nothing is
    /// deployed. Nothing undoes it: the load balancer does not send to the node.
    ReleaseBring {
        /// The release, which is unpacked there.
        release: Option<ReleaseName>,
    },
    /// Removes releases beyond the number kept; never the current or the previous one. On maint: their checkouts.
    ReleasesTidy {
        /// Releases that stay.
        keep: Vec<ReleaseName>,
    },
    /// Puts up the maintenance page for the operation and waits until no request of the application is in flight; on
    /// maint remembers that it is up, for nodes that were away. What an earlier operation left up becomes this one's;
    /// a person's page is left alone. Its undo puts back what was there before. Output:
    /// [`super::MaintenanceBefore`].
    MaintenanceOn {
        /// What is done meanwhile.
        comment: Option<String>,
        /// How many seconds it was announced to take.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<u64>,
    },
    /// Takes down the page that operations have put up; a person's stays.
    MaintenanceRestore {},
    /// Puts up the page that a person ordered, or takes it down; on maint remembers it.
    MaintenanceOrder(PageChange),
    /// Gives a web node the page that holds in the environment, which it may have missed.
    MaintenanceHold {
        /// What holds.
        page: MaintenancePage,
    },

    // --- where the services are -------------------------------------------------------------------------------
    /// Stops the services of a kind and remembers which of them ran. Its undo starts those again.
    ServicesStop {
        /// Which.
        kind: ServiceKind,
        /// Who is going to start them.
        holder: ServiceHolder,
    },
    /// Starts the services of a kind that [`StepAction::ServicesStop`] of the same holder has stopped, and no other.
    ServicesStart {
        /// Which.
        kind: ServiceKind,
        /// Who stopped them.
        holder: ServiceHolder,
    },
    /// Starts, stops or restarts services whatever was before, as a person wants it.
    ServicesChange {
        /// Which.
        units: Vec<ServiceName>,
        /// What becomes of them.
        to: ServiceChange,
    },

    // --- on mail --------------------------------------------------------------------------------------------
    /// Keeps what is to hold, with its secrets, beside what holds: a candidate that further steps of the operation name
    /// by it alone. Its undo removes the candidate.
    MailStage {
        /// What is to become different.
        change: Box<MailChange>,
    },
    /// Tries a relay stage by stage, and sends nothing. Of a candidate a stage that goes wrong fails the step. Output:
    /// [`super::MailChecked`].
    MailTry {
        /// Which.
        relay: RelayName,
        /// Of the operation's candidate; else of what holds.
        candidate: bool,
        /// The sender; by default the one it was tried with when it was set.
        from: Option<MailAddress>,
        /// The recipient; the same.
        to: Option<MailAddress>,
    },
    /// Makes Postfix's configuration of the candidate, beside the one that holds, and checks it.
    MailWrite {},
    /// Lets Postfix work by the candidate's configuration, and watches it. Its undo lets it work by the one before.
    /// Output: [`crate::smtp::ChangedAnswer`].
    MailSwitch {},
    /// Sets which recipients the application's orocloud.yaml names, in one go, and watches Postfix work by it. May be
    /// repeated, and nothing undoes it.
    MailHold {
        /// The only domains; absent without a whitelist there.
        whitelist: Option<Vec<MailDomain>>,
        /// Those that hold already stay beside them, and where everybody is reached mail to others waits until this is
        /// said again without.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        beside: bool,
    },
    /// Notes where Postfix's log ends, before messages are sent that [`Self::MailFollow`] follows. Output:
    /// [`super::MailReady`].
    MailReady {
        /// The sender; by default the one that the best relay was tried with when it was set.
        from: Option<MailAddress>,
    },
    /// On web: sends one message as the application would. Output: [`super::MailSent`].
    MailSend {
        /// Who gets it.
        to: MailAddress,
    },
    /// Follows those of the messages that went by this node to the relays that take them. Output:
    /// [`super::MailFollowed`].
    MailFollow {
        /// The web nodes that were to send one each.
        from: Vec<NodeName>,
    },

    // --- on db ----------------------------------------------------------------------------------------------
    /// Notes what the database holds before an update. Its undo looks whether anything has changed since: if nothing
    /// has, the old release may be served again; otherwise it is refused, with the command that goes back. Output:
    /// [`super::DatabaseWatched`].
    DatabaseWatch {
        /// The code that goes with the database as it was.
        before: crate::backup::CodeVersion,
        /// Web nodes that serve it.
        webs: Vec<NodeName>,
        /// The shop goes on meanwhile, so only another schema keeps the old release from being served.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        open: bool,
    },
    /// Reads which schema the database has. Output: [`super::SchemaSeen`].
    DatabaseSchema {},
    /// Makes sure the application's database is there and empty, for the first deployment. Undo of a failed
    /// first deployment empties it again.
    DatabasePrepare {
        /// Extensions to create.
        extensions: Vec<String>,
    },
    /// Creates the extensions that the release on its way asks for and the database does not have. Its undo drops those
    /// that it created and nothing uses yet.
    DatabaseExtensions {},
    /// Commits a marker transaction, switches the WAL and waits until it is archived. Output: [`super::Marker`].
    DatabaseMarker {},
    /// Takes a database backup. Output: [`crate::backup::DatabaseBackup`].
    DatabaseBackup {
        /// The recovery point it belongs to.
        point: PointName,
        /// `full`, `diff` or `incr`; a full one is taken where none can be built upon.
        kind: String,
    },
    /// Restores a base backup into a folder beside the live one, unless this very copy is there already.
    DatabaseRestoreAside(AsideCopy),
    /// Starts the copy on a private socket and replays to the target. Output: [`super::Replayed`].
    DatabaseReplay(AsideCopy),
    /// Counts rows in the copy and in the live database. Output: [`Vec<crate::backup::TableRows>`].
    DatabaseLook(AsideCopy),
    /// Stops the copy and leaves it for the restore that follows a preview.
    DatabaseRest(AsideCopy),
    /// Ends recovery of the copy on a timeline of its own and stops it, ready to be swapped in. Output:
    /// [`super::Accepted`].
    DatabaseAccept(AsideCopy),
    /// Waits until the live database has archived most of its WAL, and so can be stopped quickly.
    DatabaseArchive {},
    /// Stops the live database, exchanges the two folders, starts. What was live is kept under the operation's
    /// id. Output: [`super::Swapped`].
    DatabaseSwap {
        /// What takes its place.
        copy: AsideCopy,
        /// Until when what was live is kept.
        keep_until: Timestamp,
    },
    /// Removes backups that were let go, and WAL that no promised moment needs.
    DatabaseExpire {
        /// Backup labels of recovery points that were let go. A backup that nobody names stays: that a manifest is
        /// lost is no reason to remove what it was about. So does what a backup that stays builds upon.
        let_go: Vec<String>,
        /// From here on every moment is promised; of older backups only the state itself.
        wal_since: Timestamp,
    },
    /// Removes copies and kept folders that are no longer promised, by their own notes.
    DatabaseTidy {},
}

/// What is to become different about mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum MailChange {
    /// A relay is added, or one that is there changed.
    SetRelay(RelayChange),
    /// A relay is removed.
    RemoveRelay {
        /// Which.
        name: RelayName,
    },
    /// Other recipients are reached.
    Whitelist(WhitelistChange),
    /// Mail of these domains is signed with these keys.
    Sign(Vec<SigningKey>),
}

/// A relay as somebody wants it; what is left out stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayChange {
    /// As in [`crate::smtp::RelaySetParams`].
    pub name: RelayName,
    /// The same.
    pub host: Option<MailHost>,
    /// The same.
    pub port: Option<u16>,
    /// The same.
    pub tls: Option<RelayTls>,
    /// The same.
    pub ca: Option<String>,
    /// The same.
    pub priority: Option<u16>,
    /// The same.
    pub user: Option<MailUser>,
    /// The same.
    pub password: Option<Secret>,
    /// The same.
    pub probe_from: Option<MailAddress>,
    /// The same.
    pub probe_to: Option<MailAddress>,
}

/// On whose behalf services are stopped and started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceHolder {
    /// A person's maintenance mode, which outlives the operation that begins it. It starts all that is stopped.
    Maintenance,
    /// This operation.
    Operation,
}

/// What a person wants of the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PageChange {
    /// Up, and no request of the application in flight.
    Maintenance(PageOrder),
    /// Up.
    Emergency(PageOrder),
    /// Down.
    Down {
        /// Also what operations have put up.
        all: bool,
    },
}

/// A database folder beside the live one, and what it is to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsideCopy {
    /// Names the folder; the digest of base, timeline and target, so that a preview's copy is found again.
    pub name: ContentHash,
    /// Where it comes from.
    pub origin: AsideOrigin,
}

/// Where a folder beside the live one comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AsideOrigin {
    /// From a base backup and WAL.
    Backup {
        /// pgBackRest's backup label.
        set: String,
        /// PostgreSQL's timeline to follow.
        timeline: u32,
        /// Replay up to here.
        target: ReplayTarget,
    },
    /// What an earlier restore replaced, by that operation's id.
    Kept {
        /// The restore.
        operation: CallId,
    },
}

/// Where the replay stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReplayTarget {
    /// After the last transaction committed at or before this moment.
    Time(Timestamp),
    /// As soon as the backup is consistent: the state of a recovery point.
    Immediate,
}

/// Console commands, known before the operation or only once the code is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ConsoleCommands {
    /// `deployment.install_commands` of the release's orocloud.yaml, or `oro:install`, completed with these.
    Install {
        /// `--application-url`
        application_url: String,
        /// `--user-name`
        user_name: Option<String>,
        /// `--user-email`
        user_email: Option<String>,
        /// `--user-password`, given to the program by its environment.
        user_password: Option<Secret>,
    },
    /// `deployment.upgrade_commands` of the release's orocloud.yaml, or `oro:platform:update`, completed with these.
    Update {
        /// Have it schedule the indexing of everything for search; else it leaves the index alone.
        schedule_search_reindexation: bool,
        /// Assets are built already.
        skip_assets: bool,
    },
    /// `oro:platform:update` without `--force`, which only shows what it would do.
    UpdatePreview,
    /// What the release's orocloud.yaml has run at this moment of an upgrade.
    Hook(Hook),
    /// `cache:clear`, after the database under a running release was replaced.
    CacheClear,
}

/// Moments of an upgrade at which the application has commands of its own run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// `deployment.pre_upgrade_commands`
    PreUpgrade,
    /// `deployment.pre_maintenance_commands`
    PreMaintenance,
    /// `deployment.post_maintenance_commands`
    PostMaintenance,
    /// `deployment.post_upgrade_commands`
    PostUpgrade,
}
