//! Changing the user's configuration: comments and order stay, and a reader sees the old file or the new one.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use orocloud_protocol::{CallError, EnvironmentName};
use toml_edit::{DocumentMut, value};

/// Makes `name` the environment that is used when none is named.
pub fn set_default(path: &Path, name: &EnvironmentName) -> Result<(), CallError> {
    let failed = |error: &dyn std::fmt::Display| {
        CallError::failed(format!("cannot change the configuration {}", path.display()))
            .because(error)
            .hint(format!("see who may write there: ls -ld {}", path.parent().unwrap_or(path).display()))
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(&error)),
    };
    let changed = with_default(&text, name).map_err(|error| failed(&error))?;
    replace(path, &changed).map_err(|error| failed(&error))
}

fn with_default(text: &str, name: &EnvironmentName) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    match document.get_mut("default").and_then(|item| item.as_value_mut()) {
        Some(existing) => {
            let decor = existing.decor().clone();
            *existing = name.as_str().into();
            *existing.decor_mut() = decor;
        }
        None => document["default"] = value(name.as_str()),
    }
    Ok(document.to_string())
}

/// Writes beside the file and renames; a link keeps pointing where it did.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".config.").suffix(".new").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    if let Ok(metadata) = fs::metadata(&target) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_changes() {
        let name: EnvironmentName = "acme-prod1".parse().unwrap();
        for (before, after) in [
            ("", "default = \"acme-prod1\"\n"),
            ("# mine\ndefault = \"old\" # why\n", "# mine\ndefault = \"acme-prod1\" # why\n"),
            (
                "# top\n[environments.a]\naddress = 'h' # there\n",
                "default = \"acme-prod1\"\n# top\n[environments.a]\naddress = 'h' # there\n",
            ),
        ] {
            assert_eq!(with_default(before, &name).unwrap(), after);
        }
        assert!(with_default("default = ", &name).is_err());
    }

    #[test]
    fn the_file_is_made_with_its_folder_and_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b/config.toml");
        let name: EnvironmentName = "acme-prod1".parse().unwrap();
        set_default(&file, &name).unwrap();
        let link = folder.path().join("link.toml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        set_default(&link, &"acme-stag1".parse().unwrap()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "default = \"acme-stag1\"\n");
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 1);
    }
}
