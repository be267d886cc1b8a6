//! Writes the files that are made from the tree of commands; `cargo xtask completions` and `cargo xtask man` run it.

use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for what in std::env::args().skip(1) {
        let (folder, files): (&str, Vec<(PathBuf, String)>) = match what.as_str() {
            "completions" => ("completions", orocloud_cli::generated::completions()),
            "man" => ("man", orocloud_cli::generated::man_pages()),
            other => return Err(format!("there is nothing named {other:?} to generate").into()),
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join(folder);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        for (path, text) in files {
            std::fs::write(root.join(path), text)?;
        }
    }
    Ok(())
}
