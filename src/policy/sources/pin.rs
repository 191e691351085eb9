//! policy.yaml with its sources pinned, otherwise as it was written.

use crate::{
    document::{Policy, PolicyError},
    yaml::{self, Node, Reading, Value},
};

/// Why a policy cannot be rewritten.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// A source that is written in a way that cannot be replaced in place.
    #[error("{place}: write the URL of the source in one piece, without escapes or aliases: {url}")]
    NotInPlace {
        /// Where it stands.
        place: yaml::Place,
        /// The URL.
        url: String,
    },
    /// The policy, before or after.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The document read again does not say what it should.
    #[error("{0}: the rewritten document would name other sources")]
    Verify(String),
}

/// Replaces each source URL by what `pinned` gives for it; comments, order and
/// layout stay. `file` names the document in errors.
///
/// # Errors
///
/// Returns a [`PinError`] when the document is no policy, or writes a URL in a way
/// that cannot be replaced in place.
pub fn rewrite(bytes: &[u8], file: &str, pinned: impl Fn(&str) -> Option<String>) -> Result<Vec<u8>, PinError> {
    let mut want = Policy::parse(bytes, file)?;
    let replace = |url: &mut String| {
        if let Some(line) = pinned(url) {
            *url = line;
        }
    };
    want.sources.iter_mut().for_each(|group| group.policy.iter_mut().chain(&mut group.data).for_each(replace));
    let text = std::str::from_utf8(bytes).map_err(|_| PinError::Verify(file.to_owned()))?;
    let root = yaml::parse(bytes, file, Reading::Strict).map_err(PolicyError::from)?;
    let mut edits = Vec::new();
    for node in urls(&root) {
        let Value::Scalar(scalar) = &node.value else { continue };
        let Some(line) = pinned(&scalar.text) else { continue };
        let refused = || PinError::NotInPlace { place: node.place.clone(), url: scalar.text.clone() };
        let at = offset(text, &node.place).ok_or_else(refused)?;
        let rest = text.get(at..).unwrap_or_default();
        let quote = usize::from(rest.starts_with(['"', '\'']));
        if !rest.get(quote..).is_some_and(|rest| rest.starts_with(&scalar.text)) {
            return Err(refused());
        }
        edits.push((at + quote, scalar.text.len(), line));
    }
    edits.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    let mut out = text.to_owned();
    edits.into_iter().for_each(|(at, length, line)| out.replace_range(at..at + length, &line));
    match Policy::parse(out.as_bytes(), file) {
        Ok(policy) if policy == want => Ok(out.into_bytes()),
        _ => Err(PinError::Verify(file.to_owned())),
    }
}

/// The URLs of all source groups; the document has been read as a policy.
fn urls(root: &Node) -> Vec<&Node> {
    let spec = member(root, "spec").unwrap_or(root);
    let groups = member(spec, "sources").map(items).unwrap_or_default();
    let of_group = |group| ["policy", "data"].into_iter().filter_map(move |key| member(group, key)).flat_map(items);
    groups.iter().flat_map(of_group).collect()
}

fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::Mapping(entries) = &node.value else { return None };
    entries.iter().find(|(key, _)| key.text == name).map(|(_, value)| value)
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::Sequence(items) => items,
        _ => &[],
    }
}

/// Byte offset of a place; columns count characters.
fn offset(text: &str, place: &yaml::Place) -> Option<usize> {
    let line_start = text.split_inclusive('\n').take(place.line.checked_sub(1)?).map(str::len).sum::<usize>();
    let line = text.get(line_start..)?;
    let (in_line, _) = line.char_indices().nth(place.column.checked_sub(1)?)?;
    Some(line_start + in_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(text: &str) -> Result<String, PinError> {
        let pinned = |url: &str| (url != "./local").then(|| format!("git::{url}?ref=0123"));
        rewrite(text.as_bytes(), "policy.yaml", pinned).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn comments_and_layout_stay() {
        let text = "# who\npublicKey: a.pub\nsources:\n  - policy: # rules\n      - github.com/o/r//p  # the rules\n      - \"h.example/ä.git\"\n    data: ['h.example/d.git', ./local]\n    config: {include: ['@a']}\n";
        assert_eq!(
            pin(text).unwrap(),
            "# who\npublicKey: a.pub\nsources:\n  - policy: # rules\n      - git::github.com/o/r//p?ref=0123  # the rules\n      - \"git::h.example/ä.git?ref=0123\"\n    data: ['git::h.example/d.git?ref=0123', ./local]\n    config: {include: ['@a']}\n"
        );
    }

    #[test]
    fn wrapped_and_json_policies_are_rewritten_too() {
        assert_eq!(
            pin(r#"{"apiVersion":"v1","spec":{"sources":[{"policy":["a.example/r.git"]}]}}"#).unwrap(),
            r#"{"apiVersion":"v1","spec":{"sources":[{"policy":["git::a.example/r.git?ref=0123"]}]}}"#
        );
    }

    #[test]
    fn urls_that_are_not_written_in_one_piece_are_refused() {
        for text in [
            "sources:\n- policy:\n  - \"a.example\\x2fr.git\"\n",
            "sources:\n- policy: [&a a.example/r.git]\n  data: [*a]\n",
            "sources:\n- policy:\n  - 'a.example/it''s.git'\n",
        ] {
            assert!(matches!(pin(text), Err(PinError::NotInPlace { .. } | PinError::Verify(_))), "{text}: {:?}", pin(text));
        }
    }
}
