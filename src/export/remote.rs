//! Registries as a source: mirrors for what a digest proves, a cache for blobs, and
//! layers that lie elsewhere when they are wanted.

use std::{
    collections::BTreeSet,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use carnet_bundle::{Descriptor, Digest, Reference, inventory::Method};
use carnet_registry::{Answer, BlobStream, Chunks, Referrers, Registry, RemoteManifest};
use futures_util::{FutureExt, future::BoxFuture};

use crate::{
    cache::Cache,
    error::ExportError,
    source::{Kind, Source, legacy_tag},
};

/// All registries, through one client.
pub(crate) struct Remote {
    registry: Registry,
    cache: Option<Cache>,
    mirrors: Vec<Mirror>,
    foreign: bool,
    /// Blobs whose bytes were wrong; no mirror is asked for them again.
    wrong: Mutex<BTreeSet<Digest>>,
}

/// A place that is asked before another one (`--mirror`), for what is asked by
/// digest only: nobody has to believe it. What a tag or a list says is asked of the
/// registry itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mirror {
    from: String,
    to: String,
}

impl FromStr for Mirror {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        let invalid = || ExportError::Mirror(text.to_owned());
        let (from, to) = text.split_once('=').ok_or_else(invalid)?;
        // Any repository in there must be one.
        let is_place = |place: &str| {
            let reference = format!("{place}/x/y").parse::<Reference>();
            reference.is_ok_and(|reference| reference.name() == format!("{place}/x/y"))
        };
        if is_place(from) && is_place(to) { Ok(Self { from: from.to_owned(), to: to.to_owned() }) } else { Err(invalid()) }
    }
}

impl Mirror {
    /// Where the mirror keeps the repository of `reference`, if it keeps it.
    fn place(&self, reference: &Reference) -> Option<Reference> {
        let name = reference.name();
        let below = name.strip_prefix(&self.from)?;
        if !(below.is_empty() || below.starts_with('/')) {
            return None;
        }
        let place: Reference = format!("{}{below}", self.to).parse().ok()?;
        Some(reference.digest().map_or(place.clone(), |digest| place.pinned(*digest)))
    }
}

impl Remote {
    /// With `foreign`, layers that registries need not serve are fetched from their
    /// `urls`.
    pub(crate) fn new(registry: Registry, cache: Option<Cache>, mirrors: Vec<Mirror>, foreign: bool) -> Self {
        Self { registry, cache, mirrors, foreign, wrong: Mutex::default() }
    }

    fn wrong(&self) -> std::sync::MutexGuard<'_, BTreeSet<Digest>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self, reference: &Reference) -> impl Iterator<Item = Reference> {
        self.mirrors.iter().filter_map(|mirror| mirror.place(reference))
    }

    /// Opens a blob at byte `from`: at a mirror that has it, else at the registry,
    /// else where its descriptor says.
    async fn blob_from(&self, reference: &Reference, descriptor: &Descriptor, from: u64) -> Answer<Chunks> {
        let is_wrong = self.wrong().contains(&descriptor.digest);
        for place in self.places(reference).filter(|_| !is_wrong) {
            if let found @ Answer::Found(_) = self.registry.blob_from(&place, descriptor, from).await {
                return found;
            }
        }
        let answer = self.registry.blob_from(reference, descriptor, from).await;
        match answer {
            Answer::Found(_) => answer,
            _ if !self.foreign || descriptor.urls.is_empty() => answer,
            _ => self.registry.foreign_blob_from(descriptor, from).await,
        }
    }
}

impl Source for Remote {
    fn kind(&self) -> Kind {
        Kind::Registry
    }

    fn name(&self) -> String {
        Kind::Registry.to_string()
    }

    fn resolve<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>> {
        self.manifest(reference)
    }

    fn manifest<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>> {
        async move {
            if reference.digest().is_some() {
                for place in self.places(reference) {
                    if let found @ Answer::Found(_) = self.registry.manifest(&place).await {
                        return found;
                    }
                }
            }
            self.registry.manifest(reference).await
        }
        .boxed()
    }

    fn legacy<'a>(
        &'a self,
        reference: &'a Reference,
        subject: &'a Digest,
        method: Method,
        prefix: &'a str,
    ) -> BoxFuture<'a, Answer<Vec<RemoteManifest>>> {
        async move {
            match legacy_tag(subject, method) {
                Some(tag) => {
                    self.registry.manifest(&reference.tagged(format!("{prefix}{tag}"))).await.map(|manifest| vec![manifest])
                }
                None => Answer::NotOffered { status: None },
            }
        }
        .boxed()
    }

    fn referrers<'a>(&'a self, reference: &'a Reference, subject: &'a Digest) -> BoxFuture<'a, Answer<Referrers>> {
        self.registry.referrers(reference, subject).boxed()
    }

    fn blob<'a>(&'a self, reference: &'a Reference, descriptor: &'a Descriptor) -> BoxFuture<'a, Answer<BlobStream>> {
        async move {
            let Some(entry) = self.cache.as_ref().and_then(|cache| cache.entry(descriptor)) else {
                return self.blob_from(reference, descriptor, 0).await.map(|chunks| BlobStream::new(descriptor, chunks));
            };
            if entry.length == descriptor.size {
                return Answer::Found(BlobStream::new(descriptor, entry.then(None)));
            }
            let rest = self.blob_from(reference, descriptor, entry.length).await;
            rest.map(|rest| BlobStream::new(descriptor, entry.then(Some(rest))))
        }
        .boxed()
    }

    fn forget(&self, digest: &Digest) -> bool {
        let is_cached = self.cache.as_ref().is_some_and(|cache| cache.forget(digest));
        is_cached || (!self.mirrors.is_empty() && self.wrong().insert(*digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_stands_for_a_registry_or_a_part_of_it() {
        let place = |mirror: &str, reference: &str| {
            let reference: Reference = reference.parse().unwrap();
            mirror.parse::<Mirror>().unwrap().place(&reference).map(|place| place.name())
        };
        let hub = "docker.io=mirror.example/hub";
        assert_eq!(place(hub, "alpine").as_deref(), Some("mirror.example/hub/library/alpine"));
        assert_eq!(place(hub, "ghcr.io/org/app"), None);
        let org = "ghcr.io/org=localhost:5000";
        assert_eq!(place(org, "ghcr.io/org/app").as_deref(), Some("localhost:5000/app"));
        assert_eq!(place(org, "ghcr.io/organisation/app"), None);
        for text in ["docker.io", "a b=c.example", "ghcr.io=mirror.example:", "ghcr.io/a:v1=b.example", "=", "x=y"] {
            assert!(text.parse::<Mirror>().is_err(), "{text}");
        }
    }
}
