//! Identities: whose certificate is good enough.
//!
//! Patterns follow cosign and Conforma: RE2 syntax, **not anchored**. carnet keeps
//! that for policies that exist and points out patterns that match more than
//! they seem to (V11.3, V11.4). Where an exact text and a pattern are both
//! given, both must match (Conforma's legacy path lets the pattern win; asking
//! for both can only refuse more).

use carnet_bundle::Finding;
use regex::{Regex, RegexBuilder};

use crate::{budget, codes};

/// What a certificate must say: its subject and who vouched for it.
#[derive(Clone, Debug)]
pub struct Identity {
    subject: Matcher,
    issuer: Matcher,
}

/// What a text must be. With neither member it must be absent.
#[derive(Clone, Debug)]
struct Matcher {
    exact: Option<String>,
    pattern: Option<Regex>,
}

/// Why an identity is no rule.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// An empty text is not a wildcard (CVE-2025-29778).
    #[error("{0} is empty: it would match nothing, and it is no wildcard")]
    Empty(&'static str),
    /// No issuer, neither exact nor as a pattern.
    #[error("certificate OIDC issuer must be provided for keyless workflow")]
    NoIssuer,
    /// No subject, neither exact nor as a pattern.
    #[error("certificate identity must be provided for keyless workflow")]
    NoSubject,
    /// The text is not a regular expression of RE2's syntax.
    #[error("{field} {pattern:?} is not a regular expression: {reason}")]
    Pattern {
        /// Which field.
        field: &'static str,
        /// The text.
        pattern: String,
        /// What the parser says.
        reason: String,
    },
}

impl Identity {
    /// Makes an identity of exact texts.
    ///
    /// # Errors
    ///
    /// Returns [`IdentityError::Empty`] when one is empty.
    pub fn exact(subject: &str, issuer: &str) -> Result<Self, IdentityError> {
        Self::new(Some(subject), None, Some(issuer), None)
    }

    /// Makes an identity whose certificate names no issuer, as those of GitHub's
    /// release attestations: the authority alone vouches for the subject. A
    /// certificate that does name one is refused.
    ///
    /// # Errors
    ///
    /// Returns [`IdentityError::Empty`] when the subject is empty.
    pub fn exact_without_issuer(subject: &str) -> Result<Self, IdentityError> {
        let subject = Matcher::new(Some(subject), "subject", None, "subjectRegExp")?;
        Ok(Self { subject, issuer: Matcher { exact: None, pattern: None } })
    }

    /// Makes an identity of the four fields that cosign and Conforma have.
    ///
    /// # Errors
    ///
    /// Returns an [`IdentityError`] when subject or issuer is missing, a text is
    /// empty or a pattern cannot be read.
    pub fn new(
        subject: Option<&str>,
        subject_regexp: Option<&str>,
        issuer: Option<&str>,
        issuer_regexp: Option<&str>,
    ) -> Result<Self, IdentityError> {
        if subject.is_none() && subject_regexp.is_none() {
            return Err(IdentityError::NoSubject);
        }
        if issuer.is_none() && issuer_regexp.is_none() {
            return Err(IdentityError::NoIssuer);
        }
        Ok(Self {
            subject: Matcher::new(subject, "subject", subject_regexp, "subjectRegExp")?,
            issuer: Matcher::new(issuer, "issuer", issuer_regexp, "issuerRegExp")?,
        })
    }

    /// The same identity with its patterns read as if they began with `^` and ended
    /// with `$`.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn anchored(&self) -> Result<Self, IdentityError> {
        let anchor = |matcher: &Matcher, field| {
            let pattern = matcher.pattern.as_ref().map(|pattern| compile(field, &format!("^(?:{})$", pattern.as_str())));
            Ok::<_, IdentityError>(Matcher { exact: matcher.exact.clone(), pattern: pattern.transpose()? })
        };
        Ok(Self { subject: anchor(&self.subject, "subjectRegExp")?, issuer: anchor(&self.issuer, "issuerRegExp")? })
    }

    /// Whether the subject of a certificate is the one asked for.
    pub(crate) fn accepts_subject(&self, subject: &str) -> bool {
        self.subject.accepts(subject)
    }

    /// Whether the issuer of an identity is the one asked for.
    pub(crate) fn accepts_issuer(&self, issuer: &str) -> bool {
        self.issuer.accepts(issuer)
    }

    /// What is asked for, for messages.
    pub(crate) fn wanted_subject(&self) -> String {
        self.subject.wanted()
    }

    /// What is asked for, for messages.
    pub(crate) fn wanted_issuer(&self) -> String {
        self.issuer.wanted()
    }

    /// Points out patterns that match more than they seem to.
    pub fn lint(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (field, matcher) in [("subjectRegExp", &self.subject), ("issuerRegExp", &self.issuer)] {
            let Some(pattern) = matcher.pattern.as_ref().map(Regex::as_str) else { continue };
            if matcher.exact.is_some() {
                continue;
            }
            if matches_everything(pattern) {
                let message = format!("{field} {pattern:?} accepts every text");
                findings.push(Finding::new(&codes::IDENTITY_PATTERN_BROAD, field, message));
                continue;
            }
            if !is_anchored(pattern) {
                let message = format!("{field} {pattern:?} also matches longer texts that contain a match");
                findings.push(Finding::new(&codes::IDENTITY_PATTERN_UNANCHORED, field, message));
            }
            if has_open_host(pattern) {
                let message = format!("{field} {pattern:?} has an unescaped dot in a host name, which stands for any character");
                findings.push(Finding::new(&codes::IDENTITY_PATTERN_BROAD, field, message));
            }
        }
        findings
    }
}

impl Matcher {
    fn new(
        exact: Option<&str>,
        exact_name: &'static str,
        pattern: Option<&str>,
        pattern_name: &'static str,
    ) -> Result<Self, IdentityError> {
        if exact == Some("") {
            return Err(IdentityError::Empty(exact_name));
        }
        if pattern == Some("") {
            return Err(IdentityError::Empty(pattern_name));
        }
        let pattern = pattern.map(|text| compile(pattern_name, text)).transpose()?;
        Ok(Self { exact: exact.map(str::to_owned), pattern })
    }

    fn accepts(&self, text: &str) -> bool {
        if self.exact.is_none() && self.pattern.is_none() {
            return text.is_empty();
        }
        let exact = self.exact.as_ref().is_none_or(|exact| exact == text);
        let pattern = self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        !text.is_empty() && exact && pattern
    }

    fn wanted(&self) -> String {
        match (&self.exact, &self.pattern) {
            (Some(exact), None) => format!("{exact:?}"),
            (None, Some(pattern)) => format!("a match of {:?}", pattern.as_str()),
            (Some(exact), Some(pattern)) => format!("{exact:?} and a match of {:?}", pattern.as_str()),
            (None, None) => "none at all".to_owned(),
        }
    }
}

fn compile(field: &'static str, text: &str) -> Result<Regex, IdentityError> {
    RegexBuilder::new(&ascii_classes(text)).size_limit(budget::PATTERN).build().map_err(|e| IdentityError::Pattern {
        field,
        pattern: text.to_owned(),
        reason: e.to_string(),
    })
}

/// Perl's classes are those of ASCII in RE2; here they would be Unicode's, and a
/// pattern for `admin` would accept letters that only look like it.
fn ascii_classes(pattern: &str) -> String {
    let (mut out, mut letters) = (String::with_capacity(pattern.len()), pattern.chars());
    while let Some(c) = letters.next() {
        match if c == '\\' { letters.next() } else { None } {
            None => out.push(c),
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('s') => out.push_str(r"[\t\n\f\r ]"),
            Some('S') => out.push_str(r"[^\t\n\f\r ]"),
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('b') => out.push_str(r"(?-u:\b)"),
            Some(other) => out.extend(['\\', other]),
        }
    }
    out
}

fn matches_everything(pattern: &str) -> bool {
    let core = pattern.trim_start_matches('^').trim_end_matches('$');
    matches!(core, "" | ".*" | ".+" | "(.*)" | "(.+)")
}

fn is_anchored(pattern: &str) -> bool {
    let start = pattern.starts_with('^') || pattern.starts_with(r"\A");
    let end = (pattern.ends_with('$') && !pattern.ends_with(r"\$")) || pattern.ends_with(r"\z");
    // `^a|b$` anchors each alternative on one side only.
    start && end && !has_top_level_alternative(pattern)
}

fn has_top_level_alternative(pattern: &str) -> bool {
    let (mut depth, mut class, mut escaped) = (0_usize, false, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' if !class => class = true,
            ']' if class => class = false,
            '(' if !class => depth += 1,
            ')' if !class => depth = depth.saturating_sub(1),
            '|' if !class && depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// Whether the host part after `https://` has a dot that is not escaped.
fn has_open_host(pattern: &str) -> bool {
    let Some((_, rest)) = pattern.split_once("://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    let mut before = ' ';
    let mut letters = host.chars().peekable();
    while let Some(c) = letters.next() {
        let repeated = matches!(letters.peek(), Some('*' | '+' | '?'));
        if c == '.' && before != '\\' && !repeated {
            return true;
        }
        before = c;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://issuer.example";

    fn subject(exact: Option<&str>, pattern: Option<&str>) -> Identity {
        Identity::new(exact, pattern, Some(ISSUER), None).unwrap()
    }

    #[test]
    fn patterns_match_as_in_go_without_anchors() {
        let open = subject(None, Some("https://github.com/org/"));
        assert!(open.accepts_subject("https://evil.example/?x=https://github.com/org/"));
        let anchored = subject(None, Some(r"^https://github\.com/org/.*$"));
        assert!(anchored.accepts_subject("https://github.com/org/repo"));
        assert!(!anchored.accepts_subject("https://evil.example/?x=https://github.com/org/"));
    }

    #[test]
    fn classes_are_those_of_ascii_as_in_go() {
        for (pattern, good, bad) in [
            (r"^\w+@example\.com$", "admin@example.com", "\u{430}dmin@example.com"),
            (r"^[\w.-]+@example\.com$", "a.b-c@example.com", "\u{430}@example.com"),
            (r"^v\d$", "v1", "v\u{661}"),
            (r"^a\sb$", "a b", "a\u{a0}b"),
            (r"^\W\D\S$", "\u{430}\u{661}\u{a0}", "\u{430}1x"),
            (r"^x\\d$", r"x\d", "x1"),
        ] {
            let identity = subject(None, Some(pattern));
            assert!(identity.accepts_subject(good) && !identity.accepts_subject(bad), "{pattern}");
            let anchored = identity.anchored().unwrap();
            assert!(anchored.accepts_subject(good) && !anchored.accepts_subject(bad), "{pattern}");
        }
    }

    #[test]
    fn anchored_patterns_match_whole_texts() {
        let open = subject(None, Some("a|b"));
        assert!(open.accepts_subject("xbx"));
        let anchored = open.anchored().unwrap();
        assert!(anchored.accepts_subject("b") && !anchored.accepts_subject("xbx"));
        assert!(anchored.lint().is_empty());
    }

    #[test]
    fn exact_text_and_pattern_must_both_match() {
        let both = subject(Some("a@example.com"), Some("example"));
        assert!(both.accepts_subject("a@example.com"));
        assert!(!both.accepts_subject("b@example.com"));
        let contradiction = subject(Some("a@example.com"), Some("^b"));
        assert!(!contradiction.accepts_subject("a@example.com"));
        assert!(!contradiction.accepts_subject("b@example.com"));
    }

    #[test]
    fn an_identity_has_subject_and_issuer_and_no_empty_text() {
        let make = |s, sr, i, ir| Identity::new(s, sr, i, ir).err();
        assert_eq!(make(None, None, Some("i"), None), Some(IdentityError::NoSubject));
        assert_eq!(make(Some("s"), None, None, None), Some(IdentityError::NoIssuer));
        assert_eq!(make(Some(""), None, Some("i"), None), Some(IdentityError::Empty("subject")));
        assert_eq!(make(Some("s"), None, None, Some("")), Some(IdentityError::Empty("issuerRegExp")));
        assert!(matches!(make(None, Some("("), Some("i"), None), Some(IdentityError::Pattern { field: "subjectRegExp", .. })));
        assert!(matches!(make(None, Some("(?=a)"), Some("i"), None), Some(IdentityError::Pattern { .. })));
    }

    #[test]
    fn no_identity_accepts_an_absent_value() {
        assert!(!subject(None, Some(".*")).accepts_subject(""));
    }

    #[test]
    fn patterns_that_match_too_much_are_pointed_out() {
        for (pattern, codes) in [
            (r"^https://github\.com/org/.*$", &[][..]),
            (r"https://github\.com/org/", &["identity-pattern-unanchored"]),
            (r"^https://github\.com/a|https://github\.com/b$", &["identity-pattern-unanchored"]),
            (r"^(https://github\.com/a|https://github\.com/b)$", &[]),
            (r"^https://github.com/org/.*$", &["identity-pattern-broad"]),
            (r".*", &["identity-pattern-broad"]),
            (r"^.+$", &["identity-pattern-broad"]),
            (r"^https://[a-z]+\.example\.com/.*$", &[]),
        ] {
            let found: Vec<_> = subject(None, Some(pattern)).lint().iter().map(|finding| finding.code).collect();
            assert_eq!(found, codes, "{pattern}");
        }
    }
}
