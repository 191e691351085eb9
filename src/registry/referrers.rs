//! The referrers API: every manifest that says it is about a subject.
//!
//! All pages are read; a page that fails leaves the whole list unknown. Nothing
//! is filtered by descriptor fields, because registries leave them out or get
//! them wrong (`bundle-spec/evidence.md`, "Referrers").

use std::collections::HashSet;

use carnet_bundle::{Descriptor, Digest, Digester, Limits, Manifest, Reference, json, media};
use serde_json::Value;

use crate::{
    answer::Answer,
    transport::{Query, Registry, Reply},
};

/// Pages that one list may have; at one entry a page that is twice what one
/// subject may have in evidence.
const PAGES: usize = 2_000;

/// The list of referrers of one subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Referrers {
    /// What is listed, each once, in the order of the registry. Only media type,
    /// digest and size may be relied on, and those only to fetch.
    pub manifests: Vec<Descriptor>,
    /// Digest of the bytes of all pages in order, if a registry served them.
    pub answer: Option<Digest>,
    /// HTTP status, if a registry served the list.
    pub status: Option<u16>,
}

impl Registry {
    /// Lists the referrers of `subject` in the repository of `reference`.
    ///
    /// 404 is [`Answer::None`]: either the API is missing or nobody pushed there;
    /// the fallback tag knows more. 400, 405, 406 and a page that is no JSON are
    /// [`Answer::NotOffered`].
    pub async fn referrers(&self, reference: &Reference, subject: &Digest) -> Answer<Referrers> {
        let mut url = self.url(reference, &format!("referrers/{subject}"));
        let mut asked = HashSet::new();
        let mut list = List::default();
        loop {
            if !asked.insert(url.clone()) || asked.len() > PAGES {
                break;
            }
            let limit = Limits::default().manifest_size;
            let query = Query { reference: Some(reference), url, accept: media::OCI_INDEX, read: Some(limit), from: 0 };
            let reply = match self.get(&query).await {
                Ok(reply) => reply,
                Err(obstacle) => return Answer::CouldNotLook(obstacle),
            };
            match list.add(&reply, asked.len() == 1) {
                Answer::Found(()) => {}
                other => return other.map(|()| list.finish(&reply)),
            }
            match next_page(&reply) {
                // As much as nobody may have about one subject; whoever can push could
                // add pages until memory ends.
                Ok(Some(_)) if list.manifests.len() > Limits::default().evidence_per_subject => {
                    let reason = format!("the list goes on after {} manifests", list.manifests.len());
                    return Answer::CouldNotLook(reply.malformed(reason));
                }
                Ok(Some(next)) => url = next,
                Ok(None) => return Answer::Found(list.finish(&reply)),
                Err(reason) => return Answer::CouldNotLook(reply.malformed(reason)),
            }
        }
        let place = self.url(reference, &format!("referrers/{subject}"));
        let reason = "the pages of the list do not come to an end";
        Answer::CouldNotLook(crate::Obstacle::new(crate::ObstacleKind::Malformed, None, place, reason))
    }
}

#[derive(Default)]
struct List {
    manifests: Vec<Descriptor>,
    seen: HashSet<Digest>,
    digester: Digester,
}

impl List {
    fn add(&mut self, reply: &Reply, first: bool) -> Answer<()> {
        let status = Some(reply.status.as_u16());
        match reply.status.as_u16() {
            200 => {}
            404 if first => return Answer::None { status },
            400 | 405 | 406 if first => return Answer::NotOffered { status },
            _ => return Answer::CouldNotLook(reply.refusal()),
        }
        // A login page or a front end that answers everything with a page.
        let Ok(document) = json::parse(reply.bytes()) else {
            let is_index = reply.content_type() == media::OCI_INDEX;
            return match first && !is_index {
                true => Answer::NotOffered { status },
                false => Answer::CouldNotLook(reply.malformed("the answer is not an index")),
            };
        };
        let own = document.get("mediaType").and_then(Value::as_str).unwrap_or(media::OCI_INDEX);
        match Manifest::parse(reply.bytes(), own) {
            Ok(index) if index.is_index() => {
                self.digester.update(reply.bytes());
                self.manifests.extend(index.children().iter().filter(|d| self.seen.insert(d.digest)).cloned());
                Answer::Found(())
            }
            Ok(_) => Answer::CouldNotLook(reply.malformed("the answer is an image manifest, want an index")),
            Err(error) => Answer::CouldNotLook(reply.malformed(format!("the answer is not an index: {error}"))),
        }
    }

    fn finish(&mut self, reply: &Reply) -> Referrers {
        Referrers {
            manifests: std::mem::take(&mut self.manifests),
            answer: Some(std::mem::take(&mut self.digester).finish()),
            status: Some(reply.status.as_u16()),
        }
    }
}

/// The target of `Link: <…>; rel="next"`, which must be on the same host. Of two, one
/// would be left out.
fn next_page(reply: &Reply) -> Result<Option<String>, String> {
    let links = reply.headers.get_all(reqwest::header::LINK).iter().filter_map(|value| value.to_str().ok());
    let mut targets = links.flat_map(|value| value.split(',')).filter_map(next_target);
    let Some(target) = targets.next() else { return Ok(None) };
    if let Some(other) = targets.find(|other| *other != target) {
        return Err(format!("two next pages: {target} and {other}"));
    }
    let next = reply.url.join(target).map_err(|_| format!("the next page has no valid URL: {target}"))?;
    if next.origin() != reply.url.origin() {
        return Err(format!("the next page is on another host: {}", crate::transport::place(&next)));
    }
    Ok(Some(next.to_string()))
}

fn next_target(link: &str) -> Option<&str> {
    let (target, params) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |param: &str| {
        param.trim().split_once('=').is_some_and(|(key, value)| {
            key.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        })
    };
    params.split(';').any(is_next).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_links_are_read_in_their_written_forms() {
        for (link, want) in [
            (r#"</v2/a/referrers/x?last=1>; rel="next""#, Some("/v2/a/referrers/x?last=1")),
            ("<?p=2>;rel=next", Some("?p=2")),
            (r#"<http://h/x>; title="a"; REL="Next""#, Some("http://h/x")),
            (r#"</x>; rel="prev""#, None),
            ("/x; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_target(link), want, "{link}");
        }
    }
}
