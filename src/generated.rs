//! Files of the repository that are made from the tree of commands: completion scripts and man pages.

use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;

use crate::cli;
use crate::commands::help;
use crate::commands::{For, script};

/// The completion scripts, by their path in the repository.
pub fn completions() -> Vec<(PathBuf, String)> {
    [
        ("completions/orocloud-cli.bash", For::Bash),
        ("completions/_orocloud-cli", For::Zsh),
        ("completions/orocloud-cli.fish", For::Fish),
    ]
    .into_iter()
    .map(|(path, shell)| (path.into(), script(shell)))
    .collect()
}

/// The man pages, by their path in the repository: one of the program and one a command.
pub fn man_pages() -> Vec<(PathBuf, String)> {
    let mut tree = cli::command();
    tree.build();
    let mut pages = vec![("man/orocloud-cli.1".into(), page(&tree, Some(PAGES)))];
    for command in tree.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = format!("orocloud-cli-{}", command.get_name().replace(':', "-"));
        pages.push((format!("man/{name}.1").into(), page(command, None)));
    }
    pages
}

/// Texts that belong to no command.
const PAGES: &[(&str, &str)] =
    &[("CONFIGURATION", help::CONFIG), ("TIMES", help::TIMES), ("EXIT STATUS", help::EXIT_CODES)];

fn page(command: &Command, extra: Option<&[(&str, &str)]>) -> String {
    let man = Man::new(command.clone());
    let mut bytes = Vec::new();
    // Writing into memory does not fail.
    let _ = man.render(&mut bytes);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    for entry in crate::commands::COMMANDS {
        // Files are named without colons, so their names in other pages are too.
        let written = |name: &str| format!("orocloud\\-cli\\-{}", name.replace('-', "\\-"));
        text = text.replace(&written(entry.name), &written(&entry.name.replace(':', "-")));
    }
    for (heading, body) in extra.unwrap_or_default() {
        text.push_str(&format!(".SH \"{heading}\"\n.nf\n"));
        for line in body.lines() {
            let line = line.replace('\\', "\\\\").replace('-', "\\-");
            // A line that begins with a dot or an apostrophe would be a request.
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            text.push_str(&format!("{guard}{line}\n"));
        }
        text.push_str(".fi\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn committed_files_are_fresh() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (files, task, folder) in [
            (completions(), "cargo xtask completions", "completions"),
            (man_pages(), "cargo xtask man", "man"),
        ] {
            for (path, text) in &files {
                let committed = fs::read_to_string(root.join(path)).unwrap_or_default();
                assert!(committed == *text, "{} is stale: run `{task}`", path.display());
            }
            for entry in fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                assert!(
                    files.iter().any(|(known, _)| root.join(known) == path),
                    "{} belongs to no command: run `{task}`",
                    path.display()
                );
            }
        }
    }
}
