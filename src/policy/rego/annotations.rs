//! `# METADATA` blocks: what they say, and to which rule they belong, as OPA
//! has it.
//!
//! The parser drops comments, so the blocks are found by the scanner and put to
//! the statement that follows them.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value as Json};

use super::{
    error::{LoadError, Location},
    syntax::Parsed,
};
use crate::yaml::{self, Node, Reading, Value, YamlError};

/// Fields that OPA knows; any other is an error there, too.
const FIELDS: &[&str] = &[
    "authors",
    "compile",
    "custom",
    "description",
    "entrypoint",
    "labels",
    "organizations",
    "related_resources",
    "schemas",
    "scope",
    "title",
];

/// What a block is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Scope {
    Rule,
    Document,
    Package,
    Subpackages,
}

/// One block.
#[derive(Clone, Debug)]
pub(super) struct Annotations {
    pub(super) scope: Scope,
    /// The members, as OPA shows them in `rego.metadata.chain()`.
    pub(super) value: Arc<Map<String, Json>>,
}

/// The blocks of one file.
#[derive(Debug, Default)]
pub(super) struct FileAnnotations {
    /// Blocks about the package.
    pub(super) package: Vec<Annotations>,
    /// Blocks about each rule, by its position in the file.
    pub(super) rules: BTreeMap<usize, Vec<Annotations>>,
}

/// Reads the blocks of a file.
pub(super) fn read(parsed: &Parsed<'_>) -> Result<FileAnnotations, LoadError> {
    let mut found = FileAnnotations::default();
    for block in blocks(parsed) {
        attach(parsed, &block, &mut found)?;
    }
    Ok(found)
}

struct Block {
    line: u32,
    /// Last line of the block.
    end: u32,
    text: String,
}

/// Comments in column 1 that follow each other, from `# METADATA` on.
fn blocks(parsed: &Parsed<'_>) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for comment in &parsed.comments {
        let follows = found.last().is_some_and(|block| comment.line == block.end + 1 && comment.column == 1);
        if open && follows {
            if let Some(block) = found.last_mut() {
                block.end = comment.line;
                block.text.push_str(comment.text.strip_prefix(' ').unwrap_or(comment.text));
                block.text.push('\n');
            }
        } else if comment.text.trim() == "METADATA" && comment.column == 1 {
            open = true;
            found.push(Block { line: comment.line, end: comment.line, text: String::new() });
        } else {
            open = false;
        }
    }
    found
}

/// What stands first behind a line.
enum Next {
    Package,
    Import,
    Rule(usize),
    Nothing,
}

fn next(parsed: &Parsed<'_>, line: u32) -> Next {
    let module = &parsed.module;
    let mut best = (u32::MAX, Next::Nothing);
    let mut consider = |at: u32, next: Next| {
        if at > line && at < best.0 {
            best = (at, next);
        }
    };
    consider(module.package.span.line, Next::Package);
    module.imports.iter().for_each(|import| consider(import.span.line, Next::Import));
    for (number, rule) in module.policy.iter().enumerate() {
        consider(rule.span().line, Next::Rule(number));
    }
    best.1
}

fn attach(parsed: &Parsed<'_>, block: &Block, found: &mut FileAnnotations) -> Result<(), LoadError> {
    let error =
        |line: u32, reason: String| LoadError::Annotation { at: Location { file: parsed.file.clone(), line, column: 0 }, reason };
    let next = next(parsed, block.line);
    let value = parse(block).map_err(|(line, reason)| error(line, reason))?;
    let given = match value.get("scope").and_then(Json::as_str) {
        None if value.contains_key("scope") => return Err(error(block.line, "scope must be a text".to_owned())),
        None => None,
        Some("rule") => Some(Scope::Rule),
        Some("document") => Some(Scope::Document),
        Some("package") => Some(Scope::Package),
        Some("subpackages") => Some(Scope::Subpackages),
        Some(other) => return Err(error(block.line, format!("unknown annotation scope '{other}'"))),
    };
    let mut value = value;
    let mut keep = |scope: Scope, name: &str| {
        value.insert("scope".to_owned(), name.into());
        Annotations { scope, value: Arc::new(std::mem::take(&mut value)) }
    };
    match (next, given) {
        (Next::Package, None | Some(Scope::Package)) => found.package.push(keep(Scope::Package, "package")),
        (Next::Package, Some(Scope::Subpackages)) => found.package.push(keep(Scope::Subpackages, "subpackages")),
        (Next::Rule(number), None | Some(Scope::Rule)) => found.rules.entry(number).or_default().push(keep(Scope::Rule, "rule")),
        (Next::Rule(number), Some(Scope::Document)) => {
            found.rules.entry(number).or_default().push(keep(Scope::Document, "document"))
        }
        (Next::Package, Some(_)) => return Err(error(block.line, "annotation scope must be applied to a rule".to_owned())),
        (Next::Rule(_), Some(_)) => return Err(error(block.line, "annotation scope must be applied to a package".to_owned())),
        // OPA lets a block stand before an import, and keeps it for nothing.
        (Next::Import, _) => {}
        (Next::Nothing, _) => return Err(error(block.line, "nothing follows to which the block could belong".to_owned())),
    }
    Ok(())
}

fn parse(block: &Block) -> Result<Map<String, Json>, (u32, String)> {
    if block.text.trim().is_empty() {
        return Err((block.line, "expected METADATA block, found whitespace".to_owned()));
    }
    let line = |place: &yaml::Place| block.line.saturating_add(u32::try_from(place.line).unwrap_or(0));
    let failed = |e: YamlError| match place_of(&e) {
        Some(place) => (line(place), reason_of(&e, place)),
        None => (block.line, e.to_string()),
    };
    let node = yaml::parse(block.text.as_bytes(), "", Reading::Strict).map_err(failed)?;
    let Value::Mapping(entries) = &node.value else {
        return Err((block.line, "METADATA must be a mapping".to_owned()));
    };
    for (key, _) in entries {
        if !FIELDS.contains(&key.text.as_str()) {
            return Err((line(&key.place), format!("unknown field {:?}", key.text)));
        }
    }
    match json(&node) {
        Json::Object(mut members) => {
            written_out(&mut members, "authors", author);
            written_out(&mut members, "related_resources", |text| Map::from_iter([("ref".to_owned(), text.into())]));
            Ok(members)
        }
        _ => Err((block.line, "METADATA must be a mapping".to_owned())),
    }
}

/// Puts objects for the texts of a list that stand for one.
fn written_out(members: &mut Map<String, Json>, name: &str, object: impl Fn(&str) -> Map<String, Json>) {
    let items = members.get_mut(name).and_then(Json::as_array_mut).into_iter().flatten();
    for item in items {
        if let Json::String(text) = item {
            *item = Json::Object(object(text));
        }
    }
}

/// `Jane Doe <jane@example.com>`.
fn author(text: &str) -> Map<String, Json> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let email = words.pop_if(|last| last.starts_with('<') && last.ends_with('>'));
    let email = email.map(|email| email.trim_start_matches('<').trim_end_matches('>'));
    let name = (!words.is_empty()).then(|| words.join(" "));
    let parts = [("name", name), ("email", email.map(str::to_owned))];
    parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect()
}

fn place_of(error: &YamlError) -> Option<&yaml::Place> {
    match error {
        YamlError::DuplicateKey { place, .. }
        | YamlError::KeyNotText { place }
        | YamlError::LimitExceeded { place, .. }
        | YamlError::NotUtf8 { place }
        | YamlError::SeveralDocuments { place }
        | YamlError::Syntax { place, .. }
        | YamlError::Tag { place, .. } => Some(place),
        _ => None,
    }
}

fn reason_of(error: &YamlError, place: &yaml::Place) -> String {
    let text = error.to_string();
    text.strip_prefix(&format!("{place}: ")).unwrap_or(&text).to_owned()
}

/// A value as go-yaml v3 reads it into an untyped variable and Go writes it as
/// JSON: `yes` is a text, `2025-07-01` a time.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Sequence(items) => items.iter().map(json).collect(),
        Value::Mapping(entries) => Json::Object(entries.iter().map(|(key, value)| (key.text.clone(), json(value))).collect()),
        Value::Scalar(scalar) if scalar.plain => super::plain::version_3(&scalar.text),
        Value::Scalar(scalar) => scalar.text.as_str().into(),
    }
}

/// The rules in the chain of a rule: itself, its document, its package, and the
/// packages above it that speak for their subpackages; every entry with the path
/// it is about.
pub(super) struct Chains<'a> {
    files: &'a [FileAnnotations],
    packages: Vec<&'a [String]>,
    /// Blocks with scope `document`, by path of the rule.
    documents: BTreeMap<Vec<String>, Vec<&'a Annotations>>,
}

impl<'a> Chains<'a> {
    pub(super) fn of(parsed: &'a [Parsed<'_>], files: &'a [FileAnnotations]) -> Self {
        let mut documents: BTreeMap<Vec<String>, Vec<&Annotations>> = BTreeMap::new();
        for (parsed, file) in parsed.iter().zip(files) {
            for (number, blocks) in &file.rules {
                let path = rule_path(parsed, *number);
                let blocks = blocks.iter().filter(|block| block.scope == Scope::Document);
                documents.entry(path).or_default().extend(blocks);
            }
        }
        Self { files, packages: parsed.iter().map(|parsed| parsed.package.as_slice()).collect(), documents }
    }

    /// `rego.metadata.chain()` in a rule with this full path.
    pub(super) fn chain(&self, file: usize, rule: usize, path: &[String]) -> Json {
        let own = self.rule_blocks(file, rule).next();
        let mut chain = vec![entry(path, own)];
        chain.extend(self.documents.get(path).into_iter().flatten().map(|block| entry(path, Some(block))));
        let package = self.packages[file];
        chain.extend(self.package_blocks(package, Scope::Package).map(|block| entry(package, Some(block))));
        for length in (0..=package.len()).rev() {
            let above = &package[..length];
            chain.extend(self.package_blocks(above, Scope::Subpackages).map(|block| entry(above, Some(block))));
        }
        Json::Array(chain)
    }

    /// `rego.metadata.rule()` in a rule.
    pub(super) fn rule(&self, file: usize, rule: usize) -> Json {
        self.rule_blocks(file, rule).next().map_or_else(|| Json::Object(Map::new()), |block| Json::Object((*block.value).clone()))
    }

    fn rule_blocks(&self, file: usize, rule: usize) -> impl Iterator<Item = &'a Annotations> {
        self.files[file].rules.get(&rule).into_iter().flatten().filter(|block| block.scope == Scope::Rule)
    }

    fn package_blocks(&self, package: &'a [String], scope: Scope) -> impl Iterator<Item = &'a Annotations> {
        let files = self.packages.iter().zip(self.files).filter(move |(path, _)| **path == package);
        files.flat_map(move |(_, file)| file.package.iter().filter(move |block| block.scope == scope))
    }

    /// All blocks that speak for a rule, nearest first.
    pub(super) fn blocks(&self, file: usize, rule: usize, path: &[String]) -> Vec<&'a Annotations> {
        let mut found: Vec<&Annotations> = self.rule_blocks(file, rule).collect();
        found.extend(self.documents.get(path).into_iter().flatten().copied());
        // As in Conforma, packages are those of the file alone.
        let package = &self.files[file].package;
        found.extend(package.iter().filter(|block| block.scope == Scope::Package));
        found.extend(package.iter().filter(|block| block.scope == Scope::Subpackages));
        found
    }
}

pub(super) fn rule_path(parsed: &Parsed<'_>, number: usize) -> Vec<String> {
    let refr = parsed.module.policy.get(number).map(|rule| super::lower::constant_path(rule));
    parsed.package.iter().cloned().chain(refr.into_iter().flatten()).collect()
}

fn entry(path: &[String], block: Option<&Annotations>) -> Json {
    let mut entry = Map::new();
    if let Some(block) = block {
        entry.insert("annotations".to_owned(), Json::Object((*block.value).clone()));
    }
    entry.insert("path".to_owned(), path.iter().map(String::as_str).collect());
    Json::Object(entry)
}
