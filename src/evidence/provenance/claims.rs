//! What SLSA provenance claims of source, builder and run, wherever a builder
//! writes it (`slsa.dev/spec/v1.0/provenance`, v0.2, and what GitHub, GitLab and
//! scripts make of them).

use serde_json::Value;

use super::source_url::SourceUrl;
use crate::fields::member_at;

/// Claims of one predicate.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) sources: Vec<Source>,
    pub(super) builder: Option<String>,
    pub(super) run: Option<String>,
}

/// One place that names a source.
#[derive(Debug)]
pub(super) struct Source {
    /// Where in the predicate.
    pub(super) place: String,
    /// It names the source of the build itself, rather than one of its materials.
    pub(super) is_primary: bool,
    pub(super) text: Option<String>,
    pub(super) url: Option<SourceUrl>,
    pub(super) commits: Vec<String>,
    pub(super) references: Vec<String>,
}

impl Claims {
    /// Reads a predicate of version `v0.2` or `v1`; `None` for another.
    pub(super) fn read(version: &str, predicate: &Value) -> Option<Self> {
        let mut claims = Self::default();
        match version {
            "v0.2" => {
                claims.first("invocation.configSource", member_at(predicate, "/invocation/configSource"), None);
                claims.list("materials", predicate.get("materials"));
                claims.builder = text(member_at(predicate, "/builder/id"));
                let metadata = predicate.get("metadata");
                claims.run = either(metadata, ["buildInvocationID", "buildInvocationId"]);
            }
            "v1" => {
                let parameters = member_at(predicate, "/buildDefinition/externalParameters");
                let parameter = |name: &str| parameters.and_then(|parameters| parameters.get(name));
                for name in ["workflow", "source", "buildConfigSource", "configSource"] {
                    // A script writes the ref beside the source.
                    let beside = parameter("ref").filter(|_| name == "source");
                    claims.first(&format!("externalParameters.{name}"), parameter(name), beside);
                }
                claims.list("resolvedDependencies", member_at(predicate, "/buildDefinition/resolvedDependencies"));
                claims.builder = text(member_at(predicate, "/runDetails/builder/id"));
                claims.run = either(member_at(predicate, "/runDetails/metadata"), ["invocationId", "invocationID"]);
            }
            _ => return None,
        }
        Some(claims)
    }

    /// Takes what names the source of the build: an address, or an object with one.
    fn first(&mut self, place: &str, value: Option<&Value>, beside: Option<&Value>) {
        let Some(value) = value else { return };
        let address = ["uri", "repository", "url"].iter().find_map(|name| text(value.get(name)));
        let mut source = Source::new(place.to_owned(), true, text(Some(value)).or(address), value.get("digest"));
        if let Some(reference) = text(value.get("ref")).or_else(|| text(beside)) {
            source.take_revision(reference);
        }
        if source.text.is_some() || !source.commits.is_empty() || !source.references.is_empty() {
            self.sources.push(source);
        }
    }

    /// Takes the entries of a list that are git repositories: a list names base
    /// images and archives too.
    fn list(&mut self, place: &str, value: Option<&Value>) {
        for (at, entry) in value.and_then(Value::as_array).into_iter().flatten().enumerate() {
            let uri = text(entry.get("uri"));
            let source = Source::new(format!("{place}[{at}]"), false, uri, entry.get("digest"));
            let is_git = source.text.as_deref().is_some_and(|uri| uri.starts_with("git+") || uri.starts_with("git@"));
            if source.url.is_some() && (is_git || !source.commits.is_empty()) {
                self.sources.push(source);
            }
        }
    }
}

impl Source {
    fn new(place: String, is_primary: bool, text: Option<String>, digest: Option<&Value>) -> Self {
        let url = text.as_deref().and_then(SourceUrl::parse);
        let is_git = text.as_deref().is_some_and(|text| text.starts_with("git+"));
        let mut source = Self { place, is_primary, text, url, commits: commits(digest, is_git), references: Vec::new() };
        if let Some(revision) = source.url.as_ref().and_then(|url| url.revision.clone()) {
            source.take_revision(revision);
        }
        source
    }

    /// A revision is a commit or a ref.
    fn take_revision(&mut self, revision: String) {
        let is_commit = matches!(revision.len(), 40 | 64) && revision.bytes().all(|b| b.is_ascii_hexdigit());
        let list = if is_commit { &mut self.commits } else { &mut self.references };
        if !list.contains(&revision) {
            list.push(revision);
        }
    }
}

/// Ids of commits. GitLab's runner writes them as `sha256`, whatever they are; of an
/// archive that name means its bytes.
fn commits(digest: Option<&Value>, is_git: bool) -> Vec<String> {
    let members = digest.and_then(Value::as_object).into_iter().flatten();
    let mut found: Vec<String> = members
        .filter_map(|(algorithm, value)| {
            let value = value.as_str()?;
            let is_commit = match algorithm.as_str() {
                "sha1" | "gitCommit" => true,
                "sha256" => is_git || value.len() == 40,
                _ => false,
            };
            is_commit.then(|| value.to_owned())
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn either(object: Option<&Value>, names: [&str; 2]) -> Option<String> {
    names.iter().find_map(|name| text(object?.get(name)))
}

/// A text that is not empty; scripts write ids as numbers.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
