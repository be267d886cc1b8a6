//! `--version`: this program's, and the agents' as of the last calls. Never connects.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use orocloud_protocol::{EnvironmentName, Hello, VERSION};

use crate::cli::duration;

/// A version is written down again after this time, so that its age means something.
const REFRESH: Duration = Duration::from_secs(600);

fn folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("orocloud/versions"))
}

/// Writes down what an agent said of itself. A cache: what cannot be written is not missed.
pub fn remember(environment: Option<&EnvironmentName>, hello: &Hello) {
    let (Some(environment), Some(folder)) = (environment, folder()) else { return };
    let path = folder.join(environment.as_str());
    let is_fresh = fs::metadata(&path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < REFRESH));
    if is_fresh && fs::read_to_string(&path).is_ok_and(|known| known.trim() == hello.version) {
        return;
    }
    let _ = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, format!("{}\n", hello.version)));
}

/// What `--version` prints.
pub fn text() -> String {
    let mut lines = vec![format!("orocloud-cli {VERSION}")];
    let mut known: Vec<(String, String, Option<Duration>)> = folder()
        .and_then(|folder| fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.parse::<EnvironmentName>().ok()?;
            let version = fs::read_to_string(entry.path()).ok()?;
            let version: String = version.trim().chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
            let age = entry.metadata().ok()?.modified().ok();
            Some((name, version, age.and_then(|time| SystemTime::now().duration_since(time).ok())))
        })
        .collect();
    known.sort();
    for (name, version, age) in known {
        let age = age
            .map_or_else(|| "just now".to_owned(), |age| format!("{} ago", duration::about(age.as_secs())));
        lines.push(format!("{name}: agent {version}, seen {age}"));
    }
    lines.join("\n")
}
