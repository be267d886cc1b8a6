//! `app:package:build`, `:list`, `:deploy` and `:upgrade`.

use clap::{Args, Parser};
use orocloud_protocol::package::{self, DeployMode, StoredPackage};
use orocloud_protocol::{Label, PackageTag, Reference};

use super::call::carry_out;
use super::deploy::ask_for_reference;
use super::{Context, Outcome, Run, upgrade};
use crate::cli::{FormatArgs, ListArgs, OperationArgs, moment};
use crate::output::progress::bytes;
use crate::output::table::{Column, column};
use crate::output::{Failure, Format};

/// What is built, and what it is called.
#[derive(Args, Debug)]
struct BuildArgs {
    /// Tag, branch or commit to build; asked for when it is missing
    #[arg(value_name = "REFERENCE")]
    reference: Option<Reference>,
    /// Name of the package; by default the reference. An older package of that name gives it up
    #[arg(value_name = "TAG")]
    tag: Option<PackageTag>,
    /// Words to find it again by: one line of at most 200 characters
    #[arg(long, value_name = "TEXT")]
    label: Option<Label>,
}

impl BuildArgs {
    /// What is built; asked for when it was not given.
    fn reference(&mut self, context: &mut Context, command: &str) -> Result<Reference, Failure> {
        match self.reference.take() {
            Some(reference) => Ok(reference),
            None => ask_for_reference(context, command, "1.0.0"),
        }
    }
}

/// Build the application as a package that any environment of the project can deploy
///
/// Fetches the source, runs composer and keeps all of it (code, vendor, assets) as one file that is named by its content.
/// Nothing is deployed.
///
/// Example: orocloud-cli app:package:build 1.1.0 --label="release of May"
#[derive(Debug, Parser)]
pub struct Build {
    #[command(flatten)]
    build: BuildArgs,
    /// Tell composer's scripts, which build the assets, to leave that: they see OROCLOUD_SKIP_ASSETS_BUILD=1
    #[arg(long)]
    skip_assets_build: bool,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Build {
    fn run(mut self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let reference = self.build.reference(context, "app:package:build")?;
        let BuildArgs { tag, label, .. } = self.build;
        let skip_assets_build = self.skip_assets_build;
        let params = package::BuildParams {
            reference,
            tag,
            label,
            skip_assets_build,
            options: self.operation.options(),
        };
        carry_out::<package::Build>(context, &params, &self.operation, |ui, built| {
            ui.line(&format!("Application package {} is ready.", built.tag))
        })
    }
}

/// List the packages of the project, newest first
#[derive(Debug, Parser)]
pub struct List {
    #[command(flatten)]
    list: ListArgs,
}

impl Run for List {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.list.chosen();
        let answer = context.query::<package::List>(&package::ListParams { page: self.list.page() })?;
        let long = context.ui.verbosity() > 0 || context.ui.format == Format::Csv;
        context.ui.list(&answer, &answer.items, &columns(long))?;
        context.list_footer(answer.total, self.list);
        Ok(0)
    }
}

fn columns<'a>(long: bool) -> Vec<Column<'a, StoredPackage>> {
    let mut columns = vec![
        column("Created At", "built_at", |row: &StoredPackage| moment::short(row.built_at)),
        column("Environment", "environment", |row: &StoredPackage| row.environment.to_string()),
        column("Package", "tag", |row: &StoredPackage| row.tag.to_string()),
        column("Label", "label", |row: &StoredPackage| match &row.label {
            Some(label) => label.to_string(),
            None => format!("Reference: {}", row.reference),
        }),
    ];
    if long {
        columns.extend([
            column("Reference", "reference", |row: &StoredPackage| row.reference.to_string()),
            column("Commit", "commit", |row: &StoredPackage| row.commit.clone()),
            column("Size", "size", |row: &StoredPackage| bytes(row.size)),
            column("Content", "package", |row: &StoredPackage| row.package.to_string()),
        ]);
    }
    columns
}

/// How a package takes the place of what is served.
#[derive(Args, Debug)]
struct ModeArgs {
    /// Node after node, without maintenance mode; the database is updated while the old release is served
    #[arg(long, conflicts_with = "source")]
    rolling: bool,
    /// The code alone, without maintenance mode; the database is not touched
    #[arg(long)]
    source: bool,
}

impl ModeArgs {
    fn mode(&self) -> DeployMode {
        match (self.rolling, self.source) {
            (true, _) => DeployMode::Rolling,
            (_, true) => DeployMode::Source,
            _ => DeployMode::Maintenance,
        }
    }
}

/// Deploy a package that was built before, here or in another environment of the project
///
/// Nothing is built: the package is sent to the web nodes and takes the place of what is served, as with upgrade, with
/// upgrade:rolling when --rolling is given, or with upgrade:source when --source is. A package that is not what it was when it was built is refused.
///
/// Example: orocloud-cli app:package:deploy 1.1.0 --source
#[derive(Debug, Parser)]
pub struct Deploy {
    /// Package, as app:package:list shows it, or the hash of its content
    #[arg(value_name = "PACKAGE")]
    package: PackageTag,
    #[command(flatten)]
    mode: ModeArgs,
    /// Do not check patches; none are kept so far, so there is nothing to check either way
    #[arg(long)]
    skip_check_patches: bool,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Deploy {
    fn run(self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let params = package::DeployParams {
            package: self.package,
            mode: self.mode.mode(),
            skip_check_patches: self.skip_check_patches,
            options: self.operation.options(),
        };
        upgrade::run::<package::Deploy>(context, &params, &self.operation)
    }
}

/// Build a package and deploy it
///
/// As app:package:build and app:package:deploy one after the other: what is built is also kept as a package, for the
/// other environments of the project.
///
/// Example: orocloud-cli app:package:upgrade 1.1.0
#[derive(Debug, Parser)]
pub struct Upgrade {
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    operation: OperationArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl Run for Upgrade {
    fn run(mut self, context: &mut Context) -> Outcome {
        context.ui.format = self.format.chosen();
        let reference = self.build.reference(context, "app:package:upgrade")?;
        let BuildArgs { tag, label, .. } = self.build;
        let mode = self.mode.mode();
        let params =
            package::UpgradeParams { reference, tag, label, mode, options: self.operation.options() };
        upgrade::run::<package::Upgrade>(context, &params, &self.operation)
    }
}
