//! The sample application's versions, and the stream that makes git commits of them.

use std::fmt::Write;

/// The files of one version: path in the repository, content.
type Files = &'static [(&'static str, &'static str)];

/// Lists files of a folder under `shop/` with their content.
macro_rules! files {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../shop/", $folder, "/", $path)))),+]
    };
}

const V1_0_0: Files = files!("1.0.0":
    "bin/console",
    "composer.json",
    "composer.lock",
    "gitignore",
    "orocloud.yaml",
    "public/css/shop-1.css",
    "public/index.php",
    "src/Cache.php",
    "src/Console/AboutCommand.php",
    "src/Console/CacheClearCommand.php",
    "src/Console/CacheWarmupCommand.php",
    "src/Console/ConsumeCommand.php",
    "src/Console/CronCommand.php",
    "src/Console/InstallCommand.php",
    "src/Console/Lasting.php",
    "src/Console/PlatformUpdateCommand.php",
    "src/Console/ShopCommand.php",
    "src/Console/UserListCommand.php",
    "src/Console/WebsocketCommand.php",
    "src/Database.php",
    "src/Log.php",
    "src/Mailer.php",
    "src/MessageQueue.php",
    "src/SampleData.php",
    "src/Schema/Migration.php",
    "src/Schema/Migrator.php",
    "src/Schema/Version1.php",
    "src/Settings.php",
    "src/Web/FrontController.php",
    "templates/home.html",
);
const V1_0_1: Files = files!("1.0.1": "public/css/shop-2.css", "templates/home.html");
const V1_0_2_BADCONFIG: Files = files!("1.0.2-badconfig": "orocloud.yaml");
const V1_1_0: Files = files!("1.1.0": "src/Console/OrderStatisticsCommand.php", "src/Schema/Version2.php");
const V1_2_0_HALFWAY: Files = files!("1.2.0-halfway":
    "orocloud.yaml",
    "src/Console/ReviewImportCommand.php",
    "src/Schema/Version3.php",
);
const V2_0_0_BROKEN: Files = files!("2.0.0-broken": "src/Schema/Version3.php");
const MAIN: Files = files!("main": "NOTES.md");

/// One commit.
struct Commit {
    /// Its tag, or `main` for the branch's last commit, which has none.
    version: &'static str,
    /// The version it builds on.
    parent: Option<&'static str>,
    /// The branch it is on. Never named like a tag: that would make both names ambiguous.
    branch: &'static str,
    message: &'static str,
    files: Files,
    /// Files of its parent that it no longer has.
    removed: &'static [&'static str],
}

const COMMITS: [Commit; 7] = [
    Commit { version: "1.0.0", parent: None, branch: "main", message: "A shop", files: V1_0_0, removed: &[] },
    Commit {
        version: "1.0.1",
        parent: Some("1.0.0"),
        branch: "main",
        message: "A friendlier page",
        files: V1_0_1,
        removed: &["public/css/shop-1.css"],
    },
    Commit {
        version: "1.0.2-badconfig",
        parent: Some("1.0.1"),
        branch: "configuration",
        message: "Damage orocloud.yaml",
        files: V1_0_2_BADCONFIG,
        removed: &[],
    },
    Commit {
        version: "1.1.0",
        parent: Some("1.0.1"),
        branch: "main",
        message: "Coupons",
        files: V1_1_0,
        removed: &[],
    },
    Commit {
        version: "1.2.0-halfway",
        parent: Some("1.1.0"),
        branch: "reviews",
        message: "Reviews, imported from a service that is gone",
        files: V1_2_0_HALFWAY,
        removed: &[],
    },
    Commit {
        version: "2.0.0-broken",
        parent: Some("1.1.0"),
        branch: "carts",
        message: "Carts, with a mistake in the migration",
        files: V2_0_0_BROKEN,
        removed: &[],
    },
    Commit {
        version: "main",
        parent: Some("1.1.0"),
        branch: "main",
        message: "Take notes",
        files: MAIN,
        removed: &[],
    },
];

/// 2026-01-05 09:00 UTC, a day between two commits: fixed dates make fixed commit ids.
const FIRST_COMMIT_SECONDS: i64 = 1_767_603_600;
const AUTHOR: &str = "Ann Author <ann@acme.example>";

/// The whole repository as input for `git fast-import`.
pub fn fast_import_stream() -> String {
    let mut stream = String::new();
    for (index, commit) in COMMITS.iter().enumerate() {
        let mark = index + 1;
        let when = FIRST_COMMIT_SECONDS + 86_400 * index as i64;
        let _ = write!(
            stream,
            "commit refs/heads/{branch}\nmark :{mark}\nauthor {AUTHOR} {when} +0000\ncommitter {AUTHOR} {when} +0000\n",
            branch = commit.branch,
        );
        data(&mut stream, commit.message);
        if let Some(parent) = commit.parent {
            let parent =
                COMMITS.iter().position(|other| other.version == parent).map_or(0, |place| place + 1);
            let _ = writeln!(stream, "from :{parent}");
        }
        if commit.version != "main" {
            file(&mut stream, "VERSION", &format!("{}\n", commit.version));
        }
        for path in commit.removed {
            let _ = writeln!(stream, "D {path}");
        }
        for (path, content) in commit.files {
            file(&mut stream, if *path == "gitignore" { ".gitignore" } else { path }, content);
        }
        stream.push('\n');
        if commit.version != "main" {
            let _ = write!(stream, "tag {}\nfrom :{mark}\ntagger {AUTHOR} {when} +0000\n", commit.version);
            data(&mut stream, &format!("Acme Shop {}", commit.version));
        }
    }
    stream.push_str("done\n");
    stream
}

fn file(stream: &mut String, path: &str, content: &str) {
    let mode = if path.starts_with("bin/") { "100755" } else { "100644" };
    let _ = writeln!(stream, "M {mode} inline {path}");
    data(stream, content);
}

fn data(stream: &mut String, content: &str) {
    let _ = writeln!(stream, "data {}\n{content}", content.len());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    /// A file that nobody lists would silently be missing from the repository.
    #[test]
    fn every_file_of_the_shop_is_listed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("shop");
        let mut found = BTreeSet::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path: PathBuf = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.remove("README.md");
        let listed: BTreeSet<String> = COMMITS
            .iter()
            .flat_map(|commit| commit.files.iter().map(|(path, _)| format!("{}/{path}", commit.version)))
            .collect();
        assert_eq!(found, listed);
    }
}
