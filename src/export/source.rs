//! Where things come from: a registry, or an OCI layout that answers instead.

use std::sync::Arc;

use carnet_bundle::{Descriptor, Digest, Reference, inventory::Method};
use carnet_registry::{Answer, BlobStream, Options, Referrers, Registry, RemoteManifest};
use futures_util::{FutureExt, future::BoxFuture};

use crate::{
    error::ExportError,
    layout::{From, Layout},
};

/// One place that answers for a repository. `reference` says which repository;
/// its tag or digest matters only where a manifest is asked for.
pub(crate) trait Source: Send + Sync {
    /// What to call it: `registry`, or the layout.
    fn name(&self) -> String;

    /// The manifest of the image that the operator asked for.
    fn resolve<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>>;

    /// The manifest of that digest or tag.
    fn manifest<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>>;

    /// What cosign's legacy tag of `subject` names.
    fn legacy<'a>(
        &'a self,
        reference: &'a Reference,
        subject: &'a Digest,
        method: Method,
    ) -> BoxFuture<'a, Answer<Vec<RemoteManifest>>>;

    /// Manifests that say they are about `subject`.
    fn referrers<'a>(&'a self, reference: &'a Reference, subject: &'a Digest) -> BoxFuture<'a, Answer<Referrers>>;

    /// The bytes of a blob, checked on the way.
    fn blob<'a>(&'a self, reference: &'a Reference, descriptor: &'a Descriptor) -> BoxFuture<'a, Answer<BlobStream>>;

    /// Whether it is known without asking that the blob is not there.
    fn lacks(&self, descriptor: &Descriptor) -> bool;
}

/// A repository and who answers for it.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) reference: Reference,
}

/// All sources of one export.
pub(crate) struct Sources {
    layouts: Vec<(From, Arc<Layout>)>,
    options: Options,
}

impl Sources {
    /// Opens the layouts. Registries are asked with `options`.
    pub(crate) fn open(from: Vec<From>, options: Options) -> Result<Self, ExportError> {
        let open = |from: From| Ok((from.clone(), Arc::new(Layout::open(&from.path)?)));
        let layouts = from.into_iter().map(open).collect::<Result<_, ExportError>>()?;
        Ok(Self { layouts, options })
    }

    /// Says who answers for each reference: the layout named for its repository,
    /// else the first layout that holds it, else the registry.
    pub(crate) fn origins(&self, references: &[Reference]) -> Result<Vec<Origin>, ExportError> {
        // One client for all, and none where layouts answer everything: it would
        // want root certificates.
        let mut registry: Option<Arc<dyn Source>> = None;
        let mut origins = Vec::new();
        for reference in references {
            let source = match (self.layout(reference, references.len())?, &registry) {
                (Some(layout), _) => layout,
                (None, Some(registry)) => Arc::clone(registry),
                (None, None) => Arc::clone(registry.insert(Arc::new(Registry::new(self.options.clone())?))),
            };
            origins.push(Origin { source, reference: reference.clone() });
        }
        Ok(origins)
    }

    fn layout(&self, reference: &Reference, count: usize) -> Result<Option<Arc<dyn Source>>, ExportError> {
        let named = self.layouts.iter().find(|(from, _)| from.repository.as_deref() == Some(reference.name().as_str()));
        let answering = || self.layouts.iter().find(|(from, layout)| from.repository.is_none() && layout.answers(reference));
        let Some((from, layout)) = named.or_else(answering) else { return Ok(None) };
        if from.repository.is_none() && layout.is_nameless() && count > 1 {
            return Err(ExportError::LayoutAmbiguous { layout: layout.name(), count });
        }
        Ok(Some(layout.clone()))
    }
}

/// Suffix of the legacy tag that a method reads.
pub(crate) fn legacy_tag(subject: &Digest, method: Method) -> Option<String> {
    let suffix = match method {
        Method::CosignAtt => "att",
        Method::CosignSbom => "sbom",
        Method::CosignSig => "sig",
        Method::FallbackTag | Method::IndexChildren | Method::LooseFile | Method::ReferrersApi => return None,
    };
    Some(format!("sha256-{}.{suffix}", subject.to_hex()))
}

/// Tag of the OCI referrers tag schema.
pub(crate) fn fallback_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.to_hex())
}

impl Source for Registry {
    fn name(&self) -> String {
        "registry".to_owned()
    }

    fn resolve<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>> {
        self.manifest(reference).boxed()
    }

    fn manifest<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>> {
        self.manifest(reference).boxed()
    }

    fn legacy<'a>(
        &'a self,
        reference: &'a Reference,
        subject: &'a Digest,
        method: Method,
    ) -> BoxFuture<'a, Answer<Vec<RemoteManifest>>> {
        async move {
            match legacy_tag(subject, method) {
                Some(tag) => self.manifest(&reference.tagged(tag)).await.map(|manifest| vec![manifest]),
                None => Answer::NotOffered { status: None },
            }
        }
        .boxed()
    }

    fn referrers<'a>(&'a self, reference: &'a Reference, subject: &'a Digest) -> BoxFuture<'a, Answer<Referrers>> {
        self.referrers(reference, subject).boxed()
    }

    fn blob<'a>(&'a self, reference: &'a Reference, descriptor: &'a Descriptor) -> BoxFuture<'a, Answer<BlobStream>> {
        self.blob(reference, descriptor).boxed()
    }

    fn lacks(&self, _descriptor: &Descriptor) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fallback_and_legacy_tags_follow_the_digest() {
        let digest = Digest::of(b"");
        assert_eq!(fallback_tag(&digest), format!("sha256-{}", digest.to_hex()));
        assert_eq!(legacy_tag(&digest, Method::CosignSig), Some(format!("sha256-{}.sig", digest.to_hex())));
        assert_eq!(legacy_tag(&digest, Method::ReferrersApi), None);
    }
}
