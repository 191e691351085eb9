//! What the files of a source say about their rules, as `ec inspect policy` of
//! Conforma 0.9 lists it.
//!
//! Each file is read on its own and nothing is compiled, so a source can be
//! looked at without the libraries that it needs.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value as Json, json};

use super::{
    annotations::{self, Annotations, Chains, FileAnnotations, Scope},
    builtins,
    error::{LoadError, Location},
    inspect::{self, RuleInfo, RuleKind},
    print::is_identifier,
    program::{File, is_test},
    syntax::{self, Parsed},
};

/// Where Conforma's documentation has a page for each package.
const DOCS: &str = "https://conforma.dev/docs/policy/packages";

/// A `# METADATA` block and what it is about, or a `deny` or `warn` without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Full path of the rule or package, without `data`.
    pub path: Vec<String>,
    /// Where the rule or package stands.
    pub at: Location,
    /// The block, as OPA shows it; `None` when there is none.
    pub annotations: Option<Map<String, Json>>,
    /// What the block says about the rule; `None` for packages and without a block.
    pub rule: Option<RuleInfo>,
}

/// What each source says about its rules, by the source's name.
pub type Listing = BTreeMap<String, Vec<Listed>>;

/// Lists the rules of a source, files in their order, tests left out.
///
/// # Errors
///
/// Returns a [`LoadError`] for a file that cannot be read, for rules whose
/// elements cannot be messages, and when there is no file at all.
pub fn list(files: &[File<'_>]) -> Result<Vec<Listed>, LoadError> {
    let mut listed = Vec::new();
    let mut rules = files.iter().filter(|file| !is_test(file.path)).peekable();
    if rules.peek().is_none() {
        return Err(LoadError::NoRules);
    }
    for file in rules {
        let parsed = syntax::parse(file.path, file.bytes)?;
        let found = annotations::read(&parsed)?;
        of_file(&parsed, &found, &mut listed)?;
    }
    Ok(listed)
}

fn of_file(parsed: &Parsed<'_>, found: &FileAnnotations, listed: &mut Vec<Listed>) -> Result<(), LoadError> {
    let chains = Chains::of(std::slice::from_ref(parsed), std::slice::from_ref(found));
    for (number, rule) in parsed.module.policy.iter().enumerate() {
        let path = annotations::rule_path(parsed, number);
        let span = rule.span();
        let at = Location { file: parsed.file.clone(), line: span.line, column: span.col };
        let (own, around): (Vec<_>, Vec<_>) =
            chains.blocks(0, number, &path).into_iter().partition(|block| block.scope == Scope::Rule);
        let name = path.get(parsed.package.len()..).unwrap_or_default().join(".");
        let is_entry = inspect::kind(&name) != RuleKind::Other;
        if is_entry || !own.is_empty() || around.iter().any(|block| block.scope == Scope::Document) {
            inspect::supported(rule, &at)?;
        }
        if own.is_empty() && is_entry {
            listed.push(Listed { path: path.clone(), at: at.clone(), annotations: None, rule: None });
        }
        // The block that stands nearest comes first.
        for block in own.into_iter().rev() {
            let info = inspect::info(&path, parsed.package.len(), block, &at);
            listed.push(Listed { path: path.clone(), at: at.clone(), annotations: Some(sorted(block)), rule: Some(info) });
        }
        for block in around {
            let (path, at) = match block.scope {
                Scope::Rule | Scope::Document => (path.clone(), at.clone()),
                Scope::Package | Scope::Subpackages => {
                    let span = &parsed.module.package.span;
                    let at = Location { file: parsed.file.clone(), line: span.line, column: span.col };
                    (parsed.package.clone(), at)
                }
            };
            listed.push(Listed { path, at, annotations: Some(sorted(block)), rule: None });
        }
    }
    Ok(())
}

fn sorted(block: &Annotations) -> Map<String, Json> {
    let mut members = (*block.value).clone();
    // Authors are of a type of their own, with its own order.
    members.iter_mut().filter(|(name, _)| *name != "authors").for_each(|(_, value)| sort(value));
    members.sort_keys();
    members
}

fn sort(value: &mut Json) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(sort),
        Json::Object(members) => {
            members.values_mut().for_each(sort);
            members.sort_keys();
        }
        _ => {}
    }
}

impl Listed {
    /// Whether a rule criterion of `ec inspect policy` names this rule: its code or
    /// its short name.
    pub fn is_rule(&self, name: &str) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.code == name || rule.short_name == name)
    }

    /// Whether the rule belongs to a collection.
    pub fn is_in_collection(&self, name: &str) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.collections.iter().any(|collection| collection == name))
    }

    /// Package with dots, without `data`.
    pub fn package(&self) -> String {
        match &self.rule {
            Some(rule) => rule.package.clone(),
            None if self.annotations.is_some() => self.path.join("."),
            None => self.path.split_last().map(|(_, package)| package.join(".")).unwrap_or_default(),
        }
    }

    /// The path as OPA prints a reference.
    fn reference(&self) -> String {
        let mut text = String::from("data");
        for name in &self.path {
            if is_identifier(name) {
                let _ = write!(text, ".{name}");
            } else {
                let _ = write!(text, "[{}]", Json::from(name.as_str()));
            }
        }
        text
    }

    fn text(&self, rule: &RuleInfo) -> String {
        let kind = match self.path.last().map(String::as_str) {
            Some("deny") => "deny",
            Some("warn") => "warn",
            _ => "other",
        };
        let mut text = format!("{} ({kind})\n", rule.code);
        let reference = self.reference();
        let mut words = reference.rsplit('.').skip(1);
        if let Some(page) = words.next().filter(|page| !page.is_empty() && !rule.short_name.is_empty())
            && words.next().is_some()
        {
            let _ = writeln!(text, "{DOCS}/release_{page}.html#{page}__{}", rule.short_name);
        }
        let _ = write!(text, "{}\n{}", rule.title, rule.description);
        if !rule.collections.is_empty() {
            let _ = write!(text, "\n[{}]", rule.collections.join(" "));
        }
        text.push_str("\n--\n");
        text
    }
}

/// The listing for people: `ec inspect policy`.
pub fn text(listing: &Listing) -> String {
    let mut out = String::new();
    for (source, rules) in listing {
        let _ = write!(out, "# Source: {source}\n\n");
        lines(rules, Listed::text, &mut out);
    }
    out
}

/// The codes of the rules, one a line: `-o names` and `-o short-names`.
pub fn names(listing: &Listing) -> String {
    let mut out = String::new();
    for rules in listing.values() {
        lines(rules, |_, rule| format!("{}\n", rule.code), &mut out);
    }
    out
}

fn lines(rules: &[Listed], print: impl Fn(&Listed, &RuleInfo) -> String, out: &mut String) {
    for listed in rules {
        match (&listed.rule, &listed.annotations) {
            (Some(rule), _) => out.push_str(&print(listed, rule)),
            // Blocks about packages and documents are not printed.
            (None, Some(_)) => {}
            (None, None) => {
                let reference = listed.reference();
                let path = reference.split_once('.').map_or("", |(_, path)| path);
                let _ = write!(out, "{path}\n(No annotations found)\n--\n");
            }
        }
    }
}

/// The whole listing as a document: every block as OPA has it, with place and path.
pub fn document(listing: &Listing) -> Json {
    let entry = |listed: &Listed| {
        let first = json!({"type": "var", "value": "data"});
        let rest = listed.path.iter().map(|name| json!({"type": "string", "value": name}));
        let path: Vec<Json> = [first].into_iter().chain(rest).collect();
        let mut entry = Map::new();
        if let Some(annotations) = &listed.annotations {
            entry.insert("annotations".to_owned(), Json::Object(annotations.clone()));
        }
        let at = &listed.at;
        entry.insert("location".to_owned(), json!({"file": &*at.file, "row": at.line, "col": at.column}));
        entry.insert("path".to_owned(), Json::Array(path));
        Json::Object(entry)
    };
    listing.iter().map(|(source, rules)| (source.clone(), rules.iter().map(entry).collect())).collect::<Map<_, Json>>().into()
}

/// [`document`] as one line of JSON, escaped as Go escapes it.
pub fn json(listing: &Listing) -> String {
    format!("{}\n", builtins::go_json(&document(listing).to_string()))
}
