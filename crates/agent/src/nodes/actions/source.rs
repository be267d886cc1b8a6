//! The application's source: fetched, checked out and built on maint, as `build`.

use std::fs;
use std::path::{Path, PathBuf};

use orocloud_protocol::node::{Probe, SourceFetched};
use orocloud_protocol::{CallError, ErrorKind, EventBody, NoteLevel, Reference, ReleaseName};
use serde_json::Value;

use super::{Action, ActionContext};
use crate::app_config::{self, AppConfig};
use crate::engines::composer::Composer;
use crate::engines::git::{Git, Resolved};
use crate::files::AccountFiles;
use crate::nodes::output::Output;
use crate::operations::plan;
use crate::process::Account;

const FETCHED: &str = "source-fetched";
const BUILT: &str = "source-built";

/// How many references an error lists.
const LISTED: usize = 5;

/// [`orocloud_protocol::node::StepAction::SourceFetch`]
pub struct Fetch<'a> {
    pub reference: &'a Reference,
    pub release: &'a ReleaseName,
}

impl Action for Fetch<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let maint = context.maint()?;
        let checkout = maint.checkout(self.release);
        let repository = &context.node.config.environment.repository;
        let git = Git {
            processes: &context.node.processes,
            repository,
            mirror: &maint.git_mirror,
            cancel: &context.cancel,
        };
        let mut output = Output::new(&context.events);
        remove_checkout(context, self.release).await?;
        git.fetch(|stream, bytes| output.write(stream, bytes)).await?;
        let (commit, also) = match git.resolve(self.reference).await? {
            Resolved::Found { commit, also } => (commit, also),
            Resolved::Unknown => return Err(unknown(self.reference, &repository.url, &git.names().await?)),
        };
        if let Some(also) = also {
            let text = format!(
                "{} is a tag and a branch; the tag is taken, the branch is at {also}",
                self.reference
            );
            context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
        }
        output.line(&format!("{} is commit {}", self.reference, commit.id));
        git.checkout(&commit.id, &checkout, |stream, bytes| output.write(stream, bytes)).await?;
        // Found here, a mistake costs nobody the time of a build.
        let config = config_of_checkout(context, self.release)?;
        if config.deployment.git_clone_recursive {
            git.submodules(&checkout, |stream, bytes| output.write(stream, bytes)).await?;
        }
        let fetched = SourceFetched {
            reference: self.reference.clone(),
            commit: commit.id,
            committed_at: commit.committed_at,
            database_extensions: config.deployment.db_extensions,
        };
        context.marks().set(FETCHED, &fetched)?;
        context.output(&fetched)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        context.marks().clear(FETCHED)?;
        remove_checkout(context, self.release).await
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let there = context.maint()?.checkout(self.release).exists();
        Ok(match context.marks().get::<SourceFetched>(FETCHED)? {
            Some(fetched) if there => Probe::Done(context.output(&fetched)?),
            _ if there => Probe::Partial,
            _ => Probe::NotDone,
        })
    }
}

/// [`orocloud_protocol::node::StepAction::SourceBuild`]
pub struct Build<'a> {
    pub release: &'a ReleaseName,
    pub skip_assets: bool,
}

impl Action for Build<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let maint = context.maint()?;
        let config = config_of_checkout(context, self.release)?;
        let checkout = maint.checkout(self.release);
        let composer = Composer {
            processes: &context.node.processes,
            home: &maint.composer_home,
            folder: &checkout,
            variables: &config.application.env_vars,
            skip_assets: self.skip_assets,
            cancel: &context.cancel,
        };
        let mut output = Output::new(&context.events);
        if checkout.join("composer.json").exists() {
            let command = &config.deployment.composer_command;
            let name = NamedAutoloader::prepare(context, &checkout).await?;
            composer.run(command, |stream, bytes| output.write(stream, bytes)).await?;
            name.clear().await?;
        } else {
            output.line("the application has no composer.json: nothing to install");
        }
        for line in &config.deployment.after_composer_install_commands {
            output.line(&format!("$ {line}"));
            composer.shell(line, |stream, bytes| output.write(stream, bytes)).await?;
        }
        context.marks().set(BUILT, &true)?;
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        // What was built lies in the checkout, which goes with the undo of the step before.
        context.marks().clear(BUILT)
    }

    async fn probe(&self, context: &ActionContext<'_>) -> Result<Probe, CallError> {
        let there = context.maint()?.checkout(self.release).exists();
        Ok(match context.marks().get::<bool>(BUILT)? {
            Some(true) if there => Probe::Done(Value::Null),
            // composer goes on where it was interrupted.
            _ => Probe::Partial,
        })
    }
}

/// Older composers name the autoloader's classes at random, so that no two builds were equal. They keep the name that
/// they find in `vendor/autoload.php`: one made of the commit is put there.
struct NamedAutoloader<'a> {
    files: AccountFiles<'a>,
    /// The file and what was put there; `None` where there was one already.
    placed: Option<(PathBuf, String)>,
}

impl<'a> NamedAutoloader<'a> {
    async fn prepare(context: &ActionContext<'a>, checkout: &Path) -> Result<Self, CallError> {
        let files = context.node.processes.files(Account::Build);
        let fetched: SourceFetched = plan::output(context.outputs, "source:fetch")?;
        let vendor = checkout.join("vendor");
        let file = vendor.join("autoload.php");
        if fs::symlink_metadata(&file).is_ok() {
            return Ok(Self { files, placed: None });
        }
        let content = format!("<?php // ComposerAutoloaderInit{}::\n", fetched.commit);
        files.make_dir(&vendor, 0o755).await?;
        files.write(&file, content.as_bytes(), 0o644).await?;
        Ok(Self { files, placed: Some((file, content)) })
    }

    /// Takes it away again where composer did not replace it.
    async fn clear(self) -> Result<(), CallError> {
        let Some((file, content)) = self.placed else { return Ok(()) };
        match self.files.read(&file).await? {
            Some(found) if found == content.as_bytes() => self.files.remove(&file).await,
            _ => Ok(()),
        }
    }
}

/// Removes what `build` made for a release; nothing is followed out of it.
pub async fn remove_checkout(context: &ActionContext<'_>, release: &ReleaseName) -> Result<(), CallError> {
    let checkout = context.maint()?.checkout(release);
    context.node.processes.files(Account::Build).remove_tree(&checkout).await
}

fn config_of_checkout(context: &ActionContext<'_>, release: &ReleaseName) -> Result<AppConfig, CallError> {
    let maint = context.maint()?;
    let kind = context.node.config.environment.kind;
    app_config::load(maint.orocloud_yaml.as_deref(), &maint.checkout(release), kind)
}

fn unknown(reference: &Reference, url: &str, names: &[String]) -> CallError {
    let error =
        CallError::new(ErrorKind::NotFound, format!("{reference} is no tag, branch or commit of {url}"));
    let near = app_config::nearest(reference.as_str(), names.iter().map(String::as_str));
    let (word, listed): (_, Vec<&str>) = match near.is_empty() {
        true => ("newest", names.iter().map(String::as_str).take(LISTED).collect()),
        false => ("nearest", near.into_iter().take(LISTED).collect()),
    };
    match listed.first() {
        None => error.because("the repository has no tag and no branch"),
        Some(first) => error
            .because(format!("the {word} are: {}", listed.join(", ")))
            .hint(format!("orocloud-cli deploy --reference={first}")),
    }
}
