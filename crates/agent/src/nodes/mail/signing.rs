//! Keys of this mail node: made by the agent, one for each sender domain, and a further one when that is old.
//!
//! A key is `SELECTOR.pem`, which the signer may read, and `SELECTOR.json`, which comes last. Which one signs is no matter of
//! these files: that is part of the configuration that Postfix is switched to. A key that is newer than the one that signs
//! waits for DNS to have it; an older one is kept until no mail that it signed is on its way.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use orocloud_protocol::node::SigningKey;
use orocloud_protocol::{CallError, DkimSelector, MailDomain};
use serde::{Deserialize, Serialize};

use crate::dns::check::{Key, Use};
use crate::engines::openssl;
use crate::environment::Signer;
use crate::nodes::NodeRef;

/// The newest format of what is noted of a key.
const FORMAT: u32 = 1;

/// So long after another key signs, the record of the one before is still asked for: mail may wait for days.
pub const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One at a time makes keys: who asks twice at once gets one.
static MAKING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What is noted of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    format: u32,
    selector: DkimSelector,
    public: String,
    made_at: Timestamp,
}

/// The keys of a domain, the one that signs first; makes those that are missing and removes those that are of no use.
pub async fn keys(
    node: &NodeRef,
    signer: &Signer,
    domain: &MailDomain,
    signing: Option<&SigningKey>,
) -> Result<Vec<Key>, CallError> {
    let _alone = MAKING.lock().await;
    let now = Timestamp::now();
    let mut notes = read(signer, domain)?;
    sweep(&signer.keys_of(domain), &notes, signing)?;
    if is_another_due(&notes, signing, signer.rotate_after(), now) {
        notes.push(make(node, signer, domain, now).await?);
    }
    let mut keys = Vec::new();
    for note in &notes {
        match use_of(note, &notes, signing, now) {
            Some(use_) => {
                let (selector, public) = (note.selector.clone(), note.public.clone());
                keys.push(Key { selector, public, use_ });
            }
            None => remove(signer, domain, &note.selector)?,
        }
    }
    keys.sort_by_key(|key| match key.use_ {
        Use::Signing => 0,
        Use::Next => 1,
        Use::Former { .. } => 2,
    });
    Ok(keys)
}

/// When the key that signs was made; `None` when none does, or nothing is known of it any more.
fn signing_made_at(notes: &[Note], signing: Option<&SigningKey>) -> Option<Timestamp> {
    let signing = signing?;
    notes.iter().find(|note| note.selector == signing.selector).map(|note| note.made_at)
}

/// Whether a key has to be made: there is none, or the one that signs is old and none waits to follow it.
fn is_another_due(
    notes: &[Note],
    signing: Option<&SigningKey>,
    rotate_after: SignedDuration,
    now: Timestamp,
) -> bool {
    match signing_made_at(notes, signing) {
        None => notes.is_empty(),
        Some(made_at) => {
            let has_next = notes.iter().any(|note| note.made_at > made_at);
            !has_next && now.duration_since(made_at) >= rotate_after
        }
    }
}

/// What a key is for; `None` when for nothing any more.
fn use_of(note: &Note, notes: &[Note], signing: Option<&SigningKey>, now: Timestamp) -> Option<Use> {
    let (Some(signing), Some(made_at)) = (signing, signing_made_at(notes, signing)) else {
        return Some(Use::Next);
    };
    if note.selector == signing.selector {
        return Some(Use::Signing);
    }
    if note.made_at > made_at {
        return Some(Use::Next);
    }
    let until = signing.since + KEPT;
    (now < until).then_some(Use::Former { until })
}

fn failed(path: &Path, verb: &str, error: &dyn std::fmt::Display) -> CallError {
    CallError::failed(format!("{} cannot be {verb}", path.display())).because(error)
}

fn read(signer: &Signer, domain: &MailDomain) -> Result<Vec<Note>, CallError> {
    let folder = signer.keys_of(domain);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed(&folder, "listed", &error))?,
    };
    let mut notes: Vec<Note> = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(&folder, "listed", &error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let note: Option<Note> =
                orocloud_durable::read_json(&path).map_err(|error| failed(&path, "read", &error))?;
            match note {
                Some(note) if note.format > FORMAT => {
                    return Err(failed(&path, "read", &format_args!("it has format {}", note.format)));
                }
                note => notes.extend(note),
            }
        }
    }
    notes.sort_by_key(|note| note.made_at);
    Ok(notes)
}

/// Removes what somebody left who died while a key was made or removed. It was never shown, so nobody verifies by it.
fn sweep(folder: &Path, notes: &[Note], signing: Option<&SigningKey>) -> Result<(), CallError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| failed(folder, "listed", &error))?,
    };
    // The one that signs is needed also where nothing is known of it any more.
    let known = notes.iter().map(|note| &note.selector).chain(signing.map(|key| &key.selector));
    let known: Vec<String> = known.map(|selector| format!("{selector}.pem")).collect();
    for entry in entries {
        let entry = entry.map_err(|error| failed(folder, "listed", &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_half = name.starts_with('.') && name.ends_with(".new");
        if is_half || (name.ends_with(".pem") && !known.contains(&name)) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|error| failed(&path, "removed", &error))?;
            crate::log::line(format_args!("{} belonged to no key and is removed", path.display()));
        }
    }
    Ok(())
}

async fn make(
    node: &NodeRef,
    signer: &Signer,
    domain: &MailDomain,
    now: Timestamp,
) -> Result<Note, CallError> {
    let folder = signer.keys_of(domain);
    let today = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d").to_string();
    let base = format!("{}-{today}", node.config.node);
    let (selector, path) = (1..)
        .map(|number| if number == 1 { base.clone() } else { format!("{base}-{number}") })
        .map(|name| (folder.join(format!("{name}.pem")), name))
        .find(|(path, _)| !path.exists())
        .map(|(path, name)| (name, path))
        .ok_or_else(|| CallError::internal("numbers do not end"))?;
    let selector: DkimSelector = selector.parse().map_err(|error| failed(&path, "named", &error))?;
    let pair = openssl::rsa_key(&node.processes).await?;
    let note = Note { format: FORMAT, selector, public: pair.public, made_at: now };
    let write = || {
        // The group is the signer's: that of the folder above.
        DirBuilder::new().recursive(true).mode(0o750).create(&folder)?;
        orocloud_durable::sync_parent(&folder)?;
        orocloud_durable::write(&path, pair.private.expose().as_bytes(), 0o640)?;
        // Without it there is no such key, so it comes last.
        orocloud_durable::write_json(&path.with_extension("json"), &note, 0o600)
    };
    write().map_err(|error| failed(&path, "written", &error))?;
    crate::log::line(format_args!("a new key for signatures of {domain}: {}", note.selector));
    Ok(note)
}

fn remove(signer: &Signer, domain: &MailDomain, selector: &DkimSelector) -> Result<(), CallError> {
    let private: PathBuf = signer.private_key(domain, selector);
    for path in [private.with_extension("json"), private] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&path, "removed", &error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day)
    }

    fn note(selector: &str, day: i64) -> Note {
        Note { format: FORMAT, selector: selector.parse().unwrap(), public: String::new(), made_at: at(day) }
    }

    fn signing(selector: &str, day: i64) -> SigningKey {
        SigningKey {
            domain: "a.example".parse().unwrap(),
            selector: selector.parse().unwrap(),
            since: at(day),
        }
    }

    #[test]
    fn what_belongs_to_no_key_is_removed_and_the_one_that_signs_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for file in
            ["one.pem", "one.json", "half.pem", "lost.pem", ".two.pem.77-0.new", ".two.json.77-1.new", "x"]
        {
            fs::write(path.join(file), "").unwrap();
        }
        let left = || {
            let entries = fs::read_dir(path).unwrap().flatten();
            let mut names: Vec<String> =
                entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        sweep(path, &[note("one", 0)], Some(&signing("lost", 0))).unwrap();
        assert_eq!(left(), ["lost.pem", "one.json", "one.pem", "x"]);
        sweep(path, &[note("one", 0)], None).unwrap();
        assert_eq!(left(), ["one.json", "one.pem", "x"]);
        sweep(&path.join("none"), &[], None).unwrap();
    }

    #[test]
    fn a_key_is_made_when_there_is_none_or_the_one_that_signs_is_old() {
        let due = |notes: &[Note], signing: Option<&SigningKey>, day| {
            is_another_due(notes, signing, SignedDuration::from_hours(24 * 180), at(day))
        };
        assert!(due(&[], None, 0));
        // However long DNS takes, there is one that waits for it.
        assert!(!due(&[note("one", 0)], None, 1000));
        let one = signing("one", 5);
        assert!(!due(&[note("one", 0)], Some(&one), 179));
        assert!(due(&[note("one", 0)], Some(&one), 180));
        assert!(!due(&[note("one", 0), note("two", 180)], Some(&one), 500));
        assert!(due(&[], Some(&one), 6), "the key that signs is lost");
    }

    #[test]
    fn a_key_waits_signs_is_kept_for_mail_on_its_way_and_goes() {
        let notes = [note("one", 0), note("two", 180)];
        let uses = |signing: Option<&SigningKey>, day| {
            [0, 1].map(|index| use_of(&notes[index], &notes, signing, at(day)))
        };
        assert_eq!(uses(None, 181), [Some(Use::Next), Some(Use::Next)]);
        assert_eq!(uses(Some(&signing("one", 1)), 181), [Some(Use::Signing), Some(Use::Next)]);
        let two = signing("two", 200);
        assert_eq!(uses(Some(&two), 206), [Some(Use::Former { until: at(207) }), Some(Use::Signing)]);
        assert_eq!(uses(Some(&two), 207), [None, Some(Use::Signing)]);
    }
}
