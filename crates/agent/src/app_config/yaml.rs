//! YAML as a tree in which every key and every value knows where it stands.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// Where something stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As it is shown, like `orocloud_prod.yaml`.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// One sentence that names the key.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    pub place: Place,
    pub name: String,
}

/// The three kinds of values.
#[derive(Clone, Debug)]
pub enum Value {
    /// `quoted` tells `'true'` from `true`.
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Value {
    /// For messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scalar { text, quoted: false } if is_null(text) => "nothing",
            Self::Scalar { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a hash",
        }
    }

    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Scalar { text, quoted: false } if is_null(text))
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// How deep a file may be nested; deeper than any that means something.
const MAX_DEPTH: usize = 32;

/// How many values a file may have once aliases are replaced by what they stand for.
const MAX_NODES: usize = 100_000;

/// Reads one document; `None` when the file holds nothing.
pub fn parse(file: &Arc<str>, text: &str) -> Result<Option<Node>, Fault> {
    let mut reader = Reader { file, parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut document = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(document),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if document.is_some() => {
                return Err(reader.fault(span, "a second document begins here; only one is read"));
            }
            event => document = Some(reader.node(event, span, 0)?),
        }
    }
}

struct Reader<'a> {
    file: &'a Arc<str>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(self.broken(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn place(&self, span: Span) -> Place {
        Place { file: self.file.clone(), line: span.start.line(), column: span.start.col() + 1 }
    }

    fn fault(&self, span: Span, text: impl Into<String>) -> Fault {
        Fault { place: self.place(span), text: text.into() }
    }

    fn broken(&self, error: &ScanError) -> Fault {
        let marker = error.marker();
        let place = Place { file: self.file.clone(), line: marker.line(), column: marker.col() + 1 };
        Fault { place, text: format!("this is not YAML: {}", error.info()) }
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Fault> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            return Err(self.fault(span, format!("the file holds more than {MAX_NODES} values")));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(self.fault(span, format!("values are nested more than {MAX_DEPTH} deep")));
        }
        self.count(1, span)?;
        let place = self.place(span);
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let quoted = style != ScalarStyle::Plain;
                (Value::Scalar { text: text.into_owned(), quoted }, anchor)
            }
            Event::SequenceStart(anchor, _) => (Value::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.fault(span, "this alias names nothing that stands before it"));
                };
                self.count(size(&node), span)?;
                return Ok(node);
            }
            _ => return Err(self.fault(span, "a value is expected here")),
        };
        let node = Node { place, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Fault> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, span, depth + 1)?;
            let Value::Scalar { text: name, .. } = key.value else {
                return Err(self.fault(span, "a key must be a single value"));
            };
            if let Some((first, _)) = entries.iter().find(|(key, _)| key.name == name) {
                let text = format!(
                    "the key {name} stands here a second time; the first is in line {}",
                    first.place.line
                );
                return Err(Fault { place: key.place, text });
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push((Key { place: key.place, name }, value));
        }
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar { .. } => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
    }
}

/// One layer over another: hashes are merged key by key, everything else is replaced whole.
pub fn merge(below: Node, above: Node) -> Node {
    match (below.value, above.value) {
        (Value::Map(mut entries), Value::Map(over)) => {
            for (key, value) in over {
                match entries.iter_mut().find(|(known, _)| known.name == key.name) {
                    Some(entry) => {
                        let old = std::mem::replace(
                            &mut entry.1,
                            Node { place: key.place.clone(), value: Value::List(Vec::new()) },
                        );
                        *entry = (key, merge(old, value));
                    }
                    None => entries.push((key, value)),
                }
            }
            Node { place: above.place, value: Value::Map(entries) }
        }
        (_, value) => Node { place: above.place, value },
    }
}
