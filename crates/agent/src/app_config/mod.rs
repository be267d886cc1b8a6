//! `orocloud.yaml`: what the application says about its deployment. Three layers, the later over the earlier: the
//! node's own file, the repository's `orocloud.yaml`, the repository's file for the type of environment.
//!
//! Hashes are merged key by key; lists and single values are replaced whole, so that a layer can also shorten a list.

mod command;
mod reader;
mod schema;
mod yaml;

use std::path::Path;
use std::sync::Arc;

use orocloud_protocol::{CallError, EnvironmentType};

pub use command::{ComposerCommand, composer, console, is_variable, split};
pub use reader::nearest;
pub use schema::{AppConfig, Application, Deployment, ErrorPage, Mail, Sanitize, Task};
pub use yaml::{Fault, Place};

/// The largest file that is read, in bytes.
const MAX_SIZE: u64 = 1024 * 1024;

/// One layer: its name as it is shown, and its text.
#[derive(Clone, Debug)]
pub struct Layer {
    /// For instance `orocloud_prod.yaml`.
    pub name: String,
    /// YAML.
    pub text: String,
}

/// Merges and checks. All faults of all layers come back, in the order of the layers.
pub fn read(layers: &[Layer]) -> Result<AppConfig, Vec<Fault>> {
    let mut faults = reader::Faults::default();
    let mut merged = None;
    for layer in layers {
        let file: Arc<str> = layer.name.as_str().into();
        match yaml::parse(&file, &layer.text) {
            Ok(None) => {}
            Ok(Some(node)) => {
                schema::read(&node, false, &mut faults);
                merged = Some(match merged {
                    None => node,
                    Some(below) => yaml::merge(below, node),
                });
            }
            Err(fault) => faults.0.push(fault),
        }
    }
    if !faults.0.is_empty() {
        return Err(faults.0);
    }
    let Some(merged) = merged else { return Ok(AppConfig::default()) };
    let config = schema::read(&merged, true, &mut faults);
    if faults.0.is_empty() { Ok(config) } else { Err(faults.0) }
}

/// Reads the layers that are there: the node's own file and those in the folder of a checkout or release.
pub fn load(node: Option<&Path>, folder: &Path, kind: EnvironmentType) -> Result<AppConfig, CallError> {
    let mut layers = Vec::new();
    if let Some(path) = node {
        layers.extend(layer(path, path.display().to_string())?);
    }
    for name in ["orocloud.yaml".to_owned(), format!("orocloud_{}.yaml", kind.as_str())] {
        layers.extend(layer(&folder.join(&name), name)?);
    }
    read(&layers).map_err(|faults| {
        let error = CallError::failed(match faults.len() {
            1 => format!("orocloud.yaml is wrong at {}", faults[0].place),
            number => format!("orocloud.yaml has {number} faults, the first at {}", faults[0].place),
        });
        let error = faults.iter().fold(error, |error, fault| error.because(fault));
        error.hint(
            "mend the file in the application's repository, then give the new tag or branch with --reference",
        )
    })
}

fn layer(path: &Path, name: String) -> Result<Option<Layer>, CallError> {
    let cannot =
        |error: &dyn std::fmt::Display| CallError::failed(format!("{name} cannot be read")).because(error);
    // A link could lead out of the checkout to a file that only the agent may read.
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(&error)),
    };
    if !metadata.is_file() {
        return Err(cannot(&"it is not a plain file"));
    }
    if metadata.len() > MAX_SIZE {
        return Err(cannot(&format!("it has {} bytes, at most {MAX_SIZE} are read", metadata.len())));
    }
    let bytes = std::fs::read(path).map_err(|error| cannot(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        cannot(&format!("line {line} is not UTF-8"))
    })?;
    Ok(Some(Layer { name, text }))
}

#[cfg(test)]
mod tests;
