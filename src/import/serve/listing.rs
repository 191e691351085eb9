//! Lists in pages: tags, repositories, referrers.

use std::collections::BTreeMap;

use carnet_bundle::Digest;
use form_urlencoded::{byte_serialize, parse};
use serde_json::Value;

/// Largest list of referrers in one answer. Manifests of 4 MiB are what clients take
/// at least; some of them ask for no second page, so there is one only if it must be.
const PAGE: usize = 3 << 20;

/// The query of a request, read as forms are.
pub(crate) struct Query<'a>(&'a str);

/// A page of a list, and the query of the next one.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) next: Option<String>,
}

/// `n` is not a number.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct NotANumber;

impl<'a> Query<'a> {
    pub(crate) fn new(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    fn value(&self, name: &str) -> Option<String> {
        parse(self.0.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The type that referrers are filtered by. A media type has no blank in it: what
    /// is read as one was written as `+`.
    pub(crate) fn artifact_type(&self) -> Option<String> {
        self.value("artifactType").filter(|value| !value.is_empty()).map(|value| value.replace(' ', "+"))
    }

    /// The names behind `last`, at most `n` (distribution-spec, "Listing Tags").
    pub(crate) fn page<'b>(&self, all: impl Iterator<Item = &'b str>) -> Result<Page<&'b str>, NotANumber> {
        let most = match self.value("n") {
            Some(text) => text.parse().map_err(|_| NotANumber)?,
            None => usize::MAX,
        };
        let last = self.value("last").unwrap_or_default();
        let mut behind = all.filter(|name| *name > last.as_str());
        let entries: Vec<_> = behind.by_ref().take(most).collect();
        let end = entries.last().filter(|_| behind.next().is_some());
        let next = end.map(|end| format!("n={most}&last={}", encoded(end)));
        Ok(Page { entries, next })
    }

    /// Referrers of one type or of all, behind the digest `after`.
    pub(crate) fn referrers<'b>(&self, all: &'b BTreeMap<Digest, Value>) -> Page<&'b Value> {
        let wanted = self.artifact_type();
        let after: Option<Digest> = self.value("after").and_then(|text| text.parse().ok());
        let is_wanted =
            |entry: &Value| wanted.as_deref().is_none_or(|wanted| entry.get("artifactType").is_some_and(|t| t == wanted));
        let mut size = 0;
        let mut page = Page { entries: Vec::new(), next: None };
        let mut end = None;
        for (digest, entry) in all.iter().filter(|(digest, _)| after.is_none_or(|after| **digest > after)) {
            if !is_wanted(entry) {
                continue;
            }
            size += entry.to_string().len();
            if let Some(end) = end.filter(|_| size > PAGE) {
                let filter = wanted.as_deref().map(|wanted| format!("&artifactType={}", encoded(wanted))).unwrap_or_default();
                page.next = Some(format!("after={end}{filter}"));
                break;
            }
            page.entries.push(entry);
            end = Some(digest);
        }
        page
    }
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_of_names_end_where_the_next_begins() {
        let page = |query: &'static str| Query::new(Some(query)).page(["a", "b/c", "d"].into_iter());
        let want =
            |entries: &[&'static str], next: Option<&str>| Ok(Page { entries: entries.to_vec(), next: next.map(str::to_owned) });
        assert_eq!(page(""), want(&["a", "b/c", "d"], None));
        assert_eq!(page("n=2"), want(&["a", "b/c"], Some("n=2&last=b%2Fc")));
        assert_eq!(page("n=2&last=b%2Fc"), want(&["d"], None));
        assert_eq!(page("n=3"), want(&["a", "b/c", "d"], None));
        assert_eq!(page("n=0"), want(&[], None));
        assert_eq!(page("last=c"), want(&["d"], None));
        assert_eq!(page("last=z&n=5"), want(&[], None));
        for query in ["n=-1", "n=x", "n=", "n=99999999999999999999999"] {
            assert_eq!(page(query), Err(NotANumber), "{query}");
        }
    }

    #[test]
    fn many_referrers_come_in_pages_and_each_once() {
        let large = "x".repeat(100_000);
        let entry = |n: u8| json!({ "artifactType": if n.is_multiple_of(2) { "a/b+c" } else { "d/e" }, "annotations": large });
        let all: BTreeMap<Digest, Value> = (0..100).map(|n| (Digest::of(&[n]), entry(n))).collect();
        for (first, want) in [("", 100), ("artifactType=a/b%2Bc", 50), ("artifactType=a%2Fb+c", 50), ("artifactType=a", 0)] {
            let (mut query, mut seen, mut pages) = (first.to_owned(), 0, 0);
            loop {
                let page = Query::new(Some(&query)).referrers(&all);
                seen += page.entries.len();
                pages += 1;
                let Some(next) = page.next else { break };
                query = next;
            }
            assert_eq!(seen, want, "{first}");
            assert_eq!(pages, (want * 100_000).div_ceil(PAGE).max(1), "{first}");
        }
    }
}
