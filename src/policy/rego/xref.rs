//! AsciiDoc cross references in annotations, as Conforma writes them out.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Where the pages of Conforma's documentation are.
const DOCS: &str = "https://conforma.dev/docs";

/// Group, file and anchor of a full reference, and the label.
static XREF: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"xref:(?:([^:]+):ROOT:(.+?)\.adoc(#[^\[]+)?|[\w\.\$\#/]+)\[([\w\s/\.]+)\]").ok());

/// Replaces cross references by their labels.
pub(super) fn labels(text: &str) -> String {
    replaced(text, |captures| captures.get(4).map_or("", |label| label.as_str()).to_owned())
}

/// Replaces full cross references by links, others by their labels.
pub(super) fn links(text: &str) -> String {
    let linked = replaced(text, |captures| match (captures.get(1), captures.get(2), captures.get(3)) {
        (Some(group), Some(file), Some(anchor)) => format!("{DOCS}/{}/{}.html{}", group.as_str(), file.as_str(), anchor.as_str()),
        _ => captures[0].to_owned(),
    });
    labels(&linked)
}

fn replaced(text: &str, with: impl Fn(&Captures<'_>) -> String) -> String {
    match XREF.as_ref() {
        Some(regex) if text.contains("xref:") => regex.replace_all(text, |captures: &Captures<'_>| with(captures)).into_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_links_or_labels() {
        let full = "See xref:policy:ROOT:trusting_tasks.adoc#_a[trusting tasks] now.";
        assert_eq!(labels(full), "See trusting tasks now.");
        assert_eq!(links(full), "See https://conforma.dev/docs/policy/trusting_tasks.html#_a now.");
        let bare = "See xref:release_policy.adoc[release policy]";
        assert_eq!(links(bare), "See release policy");
    }
}
