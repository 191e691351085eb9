//! Builds the tree from the parser's events, within limits.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::{Key, MAX_DEPTH, MAX_NODES, Node, Place, Reading, Scalar, Value, YamlError};

/// Reads the one document of `text`.
pub(super) fn read(text: &str, file: &Arc<str>, reading: Reading) -> Result<Node, YamlError> {
    let mut builder = Builder { reading, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, root: None };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|e| YamlError::Syntax { place: place(file, e.marker()), reason: e.info().to_owned() })?;
        if matches!(event, Event::DocumentStart(_)) && builder.root.is_some() {
            match reading {
                Reading::Conforma => break,
                Reading::Strict => return Err(YamlError::SeveralDocuments { place: place(file, &span.start) }),
            }
        }
        builder.take(event, place(file, &span.start))?;
    }
    match builder.root {
        Some(node) if !is_nothing(&node) => Ok(node),
        _ => Err(YamlError::Empty { file: file.clone() }),
    }
}

/// The parser counts columns from 0.
fn place(file: &Arc<str>, marker: &Marker) -> Place {
    Place { file: file.clone(), line: marker.line(), column: marker.col() + 1 }
}

fn is_nothing(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(scalar) if scalar.plain && scalar.text.is_empty())
}

/// A list or mapping whose end has not been read.
struct Open {
    place: Place,
    anchor: usize,
    body: Body,
}

enum Body {
    Sequence(Vec<Node>),
    Mapping(Box<Fields>),
}

/// A mapping that grows: its entries, where each key stands among them, what
/// `<<` brings, and the key that waits for its value.
#[derive(Default)]
struct Fields {
    entries: Vec<(Key, Node)>,
    known: HashMap<String, usize>,
    merged: Vec<(Key, Node)>,
    key: Option<(Key, bool)>,
}

struct Builder {
    reading: Reading,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = is_tagged(tag.as_deref(), "str", &place)?;
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain && !tagged };
                self.count(1, &place)?;
                self.finish(Node { place, value: Value::Scalar(scalar) }, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                is_tagged(tag.as_deref(), "seq", &place)?;
                self.begin(place, anchor, Body::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                is_tagged(tag.as_deref(), "map", &place)?;
                self.begin(place, anchor, Body::Mapping(Box::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(YamlError::Syntax { place, reason: "alias of a value that contains it".to_owned() });
                };
                self.count(size, &place)?;
                if self.open.len() + depth(&node) > MAX_DEPTH {
                    return Err(YamlError::LimitExceeded { place, what: "levels of nesting", limit: MAX_DEPTH });
                }
                self.finish(Node { place, ..node }, 0, size)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => Ok(()),
        }
    }

    fn count(&mut self, more: usize, place: &Place) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MAX_NODES {
            return Err(YamlError::LimitExceeded { place: place.clone(), what: "values", limit: MAX_NODES });
        }
        Ok(())
    }

    fn begin(&mut self, place: Place, anchor: usize, body: Body) -> Result<(), YamlError> {
        self.count(1, &place)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError::LimitExceeded { place, what: "levels of nesting", limit: MAX_DEPTH });
        }
        self.open.push(Open { place, anchor, body });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        let Some(Open { place, anchor, body }) = self.open.pop() else { return Ok(()) };
        let value = match body {
            Body::Sequence(items) => Value::Sequence(items),
            Body::Mapping(fields) => Value::Mapping(fields.close()),
        };
        let node = Node { place, value };
        let size = if anchor == 0 { 0 } else { size(&node) };
        self.finish(node, anchor, size)
    }

    /// Puts a complete value where it belongs.
    fn finish(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let reading = self.reading;
        match self.open.last_mut().map(|open| &mut open.body) {
            None => self.root = Some(node),
            Some(Body::Sequence(items)) => items.push(node),
            Some(Body::Mapping(fields)) => match fields.key.take() {
                None => fields.key = Some(as_key(node)?),
                Some((_, true)) => fields.merge(node)?,
                Some((key, false)) => fields.insert(key, node, reading)?,
            },
        }
        Ok(())
    }
}

/// The key, and whether it is the merge key `<<`.
fn as_key(node: Node) -> Result<(Key, bool), YamlError> {
    match node.value {
        Value::Scalar(scalar) => {
            let merges = scalar.plain && scalar.text == "<<";
            Ok((Key { place: node.place, text: scalar.text }, merges))
        }
        _ => Err(YamlError::KeyNotText { place: node.place }),
    }
}

impl Fields {
    fn insert(&mut self, key: Key, node: Node, reading: Reading) -> Result<(), YamlError> {
        match self.known.get(&key.text).and_then(|at| self.entries.get_mut(*at)) {
            None => self.push(key, node),
            Some((_, value)) if reading == Reading::Conforma => *value = node,
            Some((first, _)) => {
                return Err(YamlError::DuplicateKey { first: first.place.line, place: key.place, key: key.text });
            }
        }
        Ok(())
    }

    fn push(&mut self, key: Key, node: Node) {
        self.known.insert(key.text.clone(), self.entries.len());
        self.entries.push((key, node));
    }

    fn merge(&mut self, node: Node) -> Result<(), YamlError> {
        let sources = match node.value {
            Value::Sequence(items) => items,
            _ => vec![node],
        };
        for source in sources {
            let wrong = source.wrong_type("<<", "a mapping or a list of mappings");
            match source.value {
                Value::Mapping(entries) => self.merged.extend(entries),
                _ => return Err(wrong),
            }
        }
        Ok(())
    }

    /// A key of the mapping itself beats a merged one, an earlier merged one
    /// beats a later one (YAML 1.1, merge type).
    fn close(mut self) -> Vec<(Key, Node)> {
        for (key, node) in std::mem::take(&mut self.merged) {
            if !self.known.contains_key(&key.text) {
                self.push(key, node);
            }
        }
        self.entries
    }
}

/// Whether the value carries the core tag `name`; any other tag is refused, for
/// it would change what the value is.
fn is_tagged(tag: Option<&Tag>, name: &str, place: &Place) -> Result<bool, YamlError> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == name => Ok(true),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(true),
        Some(tag) => Err(YamlError::Tag { place: place.clone(), tag: tag.to_string() }),
    }
}

/// Values in a tree. The tree is at most [`MAX_DEPTH`] deep.
fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar(_) => 0,
        Value::Sequence(items) => items.iter().map(size).sum(),
        Value::Mapping(entries) => entries.iter().map(|(_, node)| 1 + size(node)).sum(),
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 0,
        Value::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Mapping(entries) => 1 + entries.iter().map(|(_, node)| depth(node)).max().unwrap_or(0),
    }
}
