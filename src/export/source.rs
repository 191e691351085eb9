//! Where things come from: a registry, or an OCI layout that answers instead.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use carnet_bundle::{Descriptor, Digest, Reference, inventory::Method};
use carnet_registry::{Answer, BlobStream, Options, Referrers, Registry, RemoteManifest};
use futures_util::future::BoxFuture;

use crate::{
    cache::Cache,
    docker_archive::DockerArchive,
    error::ExportError,
    layout::{Form, From, Layout},
    remote::{Mirror, Remote},
};

/// One place that answers for a repository. `reference` says which repository;
/// its tag or digest matters only where a manifest is asked for.
pub(crate) trait Source: Send + Sync {
    /// What it is.
    fn kind(&self) -> Kind;

    /// What to call it before the operator: `registry`, or the layout with its path.
    /// Not for the archive: paths of this machine are nobody else's business, and
    /// differ where the content does not.
    fn name(&self) -> String;

    /// What the operator has to know about things that come from here.
    fn remark(&self) -> Option<&'static str> {
        None
    }

    /// The manifest of the image that the operator asked for.
    fn resolve<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>>;

    /// The manifest of that digest or tag.
    fn manifest<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>>;

    /// What cosign's legacy tag of `subject` names, with `prefix` before it.
    fn legacy<'a>(
        &'a self,
        reference: &'a Reference,
        subject: &'a Digest,
        method: Method,
        prefix: &'a str,
    ) -> BoxFuture<'a, Answer<Vec<RemoteManifest>>>;

    /// Manifests that say they are about `subject`.
    fn referrers<'a>(&'a self, reference: &'a Reference, subject: &'a Digest) -> BoxFuture<'a, Answer<Referrers>>;

    /// The bytes of a blob, checked on the way.
    fn blob<'a>(&'a self, reference: &'a Reference, descriptor: &'a Descriptor) -> BoxFuture<'a, Answer<BlobStream>>;

    /// Whether it is known without asking that the blob is not there.
    fn lacks(&self, _descriptor: &Descriptor) -> bool {
        false
    }

    /// Forgets bytes of a blob that turned out wrong. Says whether asking for the
    /// blob again may help.
    fn forget(&self, _digest: &Digest) -> bool {
        false
    }
}

/// Sorts of sources, as the collection record has them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// What `docker save` writes.
    DockerArchive,
    /// An OCI layout, as directory or as tar.
    Layout,
    /// A registry.
    Registry,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DockerArchive => "docker-archive",
            Self::Layout => "oci-layout",
            Self::Registry => "registry",
        })
    }
}

/// A source on disk, which may hold several images.
pub(crate) trait Local: Source {
    /// Whether it holds what `reference` asks for.
    fn answers(&self, reference: &Reference) -> bool;

    /// Whether nothing in it has a name, as in a `cosign save` directory.
    fn is_nameless(&self) -> bool;
}

/// A repository and who answers for it.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) reference: Reference,
}

/// All sources of one export.
pub(crate) struct Sources {
    layouts: Vec<(From, Arc<dyn Local>)>,
    options: Options,
    cache: Option<Cache>,
    mirrors: Vec<Mirror>,
    foreign: bool,
    /// One client for all, and none where layouts answer everything: it would want
    /// root certificates.
    registry: OnceLock<Arc<dyn Source>>,
}

impl Sources {
    /// Opens the layouts. Registries are asked with `options`.
    pub(crate) fn open(from: Vec<From>, options: Options, cache: Option<Cache>) -> Result<Self, ExportError> {
        let open = |from: From| {
            let local: Arc<dyn Local> = match from.form {
                Form::DockerArchive => Arc::new(DockerArchive::open(&from.path)?),
                Form::Layout => Arc::new(Layout::open(&from.path)?),
            };
            Ok((from, local))
        };
        let layouts = from.into_iter().map(open).collect::<Result<_, ExportError>>()?;
        Ok(Self { layouts, options, cache, mirrors: Vec::new(), foreign: false, registry: OnceLock::new() })
    }

    /// Asks these mirrors first.
    pub(crate) fn with_mirrors(mut self, mirrors: Vec<Mirror>) -> Self {
        self.mirrors = mirrors;
        self
    }

    /// Whether layers that registries need not serve are fetched from where their
    /// descriptors say.
    pub(crate) fn with_foreign(mut self, foreign: bool) -> Self {
        self.foreign = foreign;
        self
    }

    /// Says who answers for each reference: the layout named for its repository,
    /// else the first layout that holds it, else the registry.
    pub(crate) fn origins(&self, references: &[Reference]) -> Result<Vec<Origin>, ExportError> {
        let mut origins = Vec::new();
        for reference in references {
            let source = match self.layout(reference, references.len())? {
                Some(layout) => layout,
                None => self.registry()?,
            };
            origins.push(Origin { source, reference: reference.clone() });
        }
        Ok(origins)
    }

    /// Says who answers for a repository that nobody asked to export: the layout
    /// named for it, else the registry. What a layout without that name calls by a
    /// tag is another image.
    pub(crate) fn elsewhere(&self, reference: &Reference) -> Result<Arc<dyn Source>, ExportError> {
        let named = self.layouts.iter().find(|(from, _)| from.repository.as_deref() == Some(reference.name().as_str()));
        match named {
            Some((_, layout)) => Ok(layout.clone()),
            None => self.registry(),
        }
    }

    fn registry(&self) -> Result<Arc<dyn Source>, ExportError> {
        if let Some(registry) = self.registry.get() {
            return Ok(Arc::clone(registry));
        }
        let registry = Registry::new(self.options.clone())?;
        let (cache, mirrors) = (self.cache.clone(), self.mirrors.clone());
        let source: Arc<dyn Source> = Arc::new(Remote::new(registry, cache, mirrors, self.foreign));
        Ok(Arc::clone(self.registry.get_or_init(|| source)))
    }

    fn layout(&self, reference: &Reference, count: usize) -> Result<Option<Arc<dyn Source>>, ExportError> {
        let named = self.layouts.iter().find(|(from, _)| from.repository.as_deref() == Some(reference.name().as_str()));
        let answering = || self.layouts.iter().find(|(from, layout)| from.repository.is_none() && layout.answers(reference));
        let Some((from, layout)) = named.or_else(answering) else { return Ok(None) };
        if from.repository.is_none() && layout.is_nameless() && count > 1 {
            return Err(ExportError::LayoutAmbiguous { layout: layout.name(), count });
        }
        Ok(Some(Arc::<dyn Local>::clone(layout)))
    }
}

/// Suffix of the legacy tag that a method reads.
pub(crate) fn legacy_tag(subject: &Digest, method: Method) -> Option<String> {
    let suffix = match method {
        Method::CosignAtt => "att",
        Method::CosignSbom => "sbom",
        Method::CosignSig => "sig",
        Method::FallbackTag | Method::IndexChildren | Method::LogProof | Method::LooseFile | Method::ReferrersApi => return None,
    };
    Some(format!("sha256-{}.{suffix}", subject.to_hex()))
}

/// Tag of the OCI referrers tag schema.
pub(crate) fn fallback_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.to_hex())
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
