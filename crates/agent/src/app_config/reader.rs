//! Reads typed values out of a tree of YAML. The keys that are asked for are the keys that are known: one that
//! nobody asked for is an error that names the nearest of them.

use std::collections::BTreeMap;

use super::yaml::{Fault, Key, Node, Place, Value};

/// Everything that is wrong.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    fn add(&mut self, place: &Place, text: String) {
        self.0.push(Fault { place: place.clone(), text });
    }
}

/// One hash of the file, being read.
pub struct Section<'a> {
    path: String,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The hash at `node`; nothing where another kind of value stands, which is said.
    pub fn of(path: &str, node: &'a Node, faults: &mut Faults) -> Self {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            value if value.is_null() => &[],
            value => {
                faults.add(&node.place, format!("{path} must be a hash, this is {}", value.kind()));
                &[]
            }
        };
        Self { path: path.to_owned(), entries, known: Vec::new() }
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key.
    pub fn get(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.entries.iter().find(|(found, _)| found.name == key).map(|(_, value)| value)
    }

    /// A hash inside.
    pub fn section<T>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&mut Section<'a>, &mut Faults) -> T,
    ) -> Option<T> {
        let path = self.full(key);
        let mut section = Section::of(&path, self.get(key)?, faults);
        let result = read(&mut section, faults);
        section.end(faults);
        Some(result)
    }

    /// A hash whose keys are names that the file chooses.
    pub fn named<T>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
        mut read: impl FnMut(&str, &'a Key, &'a Node, &mut Faults) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let path = self.full(key);
        let Some(node) = self.get(key) else { return BTreeMap::new() };
        let section = Section::of(&path, node, faults);
        section
            .entries
            .iter()
            .filter_map(|(key, node)| {
                Some((key.name.clone(), read(&format!("{path}.{}", key.name), key, node, faults)?))
            })
            .collect()
    }

    /// A single value.
    pub fn text(&mut self, key: &'static str, faults: &mut Faults) -> Option<String> {
        let path = self.full(key);
        text(&path, self.get(key)?, faults)
    }

    /// A single value that must pass a check, which says what is wrong.
    pub fn checked<T>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let path = self.full(key);
        let node = self.get(key)?;
        let value = text(&path, node, faults)?;
        check(&value).map_err(|wrong| faults.add(&node.place, format!("{path} {wrong}"))).ok()
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str, faults: &mut Faults) -> Option<bool> {
        let path = self.full(key);
        let node = self.get(key)?;
        match &node.value {
            Value::Scalar { text, quoted: false } if text == "true" => Some(true),
            Value::Scalar { text, quoted: false } if text == "false" => Some(false),
            Value::Scalar { text, .. } => {
                faults.add(&node.place, format!("{path} must be true or false, this is {text:?}"));
                None
            }
            value => {
                faults.add(&node.place, format!("{path} must be true or false, this is {}", value.kind()));
                None
            }
        }
    }

    /// A list of single values, each of which must pass a check.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
        mut check: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let path = self.full(key);
        let node = self.get(key)?;
        let Value::List(items) = &node.value else {
            faults.add(&node.place, format!("{path} must be a list, this is {}", node.value.kind()));
            return None;
        };
        let checked = items.iter().enumerate().filter_map(|(index, item)| {
            let path = format!("{path}[{index}]");
            let value = text(&path, item, faults)?;
            check(&value).map_err(|wrong| faults.add(&item.place, format!("{path} {wrong}"))).ok()
        });
        Some(checked.collect())
    }

    /// Says which keys nobody asked for.
    pub fn end(self, faults: &mut Faults) {
        for (key, _) in self.entries {
            if self.known.contains(&key.name.as_str()) {
                continue;
            }
            let full = self.full(&key.name);
            let nearest = nearest(&key.name, self.known.iter().copied());
            let help = match nearest.first() {
                Some(nearest) => format!("did you mean {}", self.full(nearest)),
                None => format!("known here: {}", self.known.join(", ")),
            };
            faults.add(&key.place, format!("unknown key {full}: {help}"));
        }
    }
}

/// A single value that is there.
pub fn text(path: &str, node: &Node, faults: &mut Faults) -> Option<String> {
    match &node.value {
        value if value.is_null() => {
            faults.add(&node.place, format!("{path} is empty: give it a value or leave the key out"));
            None
        }
        Value::Scalar { text, .. } => Some(text.clone()),
        value => {
            faults.add(&node.place, format!("{path} must be a single value, this is {}", value.kind()));
            None
        }
    }
}

/// The candidates that `word` may have been meant for, best first.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = (word.chars().count() / 3).max(2);
    let mut near: Vec<(usize, &str)> = candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort();
    near.into_iter().map(|(_, candidate)| candidate).collect()
}
