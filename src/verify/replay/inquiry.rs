//! The transport of an answer, and what of it is the exporter's word.

use std::{collections::BTreeSet, sync::Arc};

use carnet_bundle::Reference;
use carnet_policy::rego::{Answer, Head, LookupError, ManifestBytes, Referrer};

/// Says what a registry says. Nothing in it is computed from content.
///
/// References with a digest have no tag. The same question has the same answer
/// for as long as a transport lives.
pub trait Transport: Send + Sync {
    /// What a tag stands for.
    ///
    /// # Errors
    ///
    /// Returns a [`LookupError`] when there is no answer to be trusted.
    fn resolve(&self, tag: &Reference) -> Result<Told<Head>, LookupError>;

    /// The manifest of a digest.
    ///
    /// # Errors
    ///
    /// As [`Transport::resolve`].
    fn manifest(&self, pinned: &Reference) -> Result<Told<ManifestBytes>, LookupError>;

    /// The blob of a digest.
    ///
    /// # Errors
    ///
    /// As [`Transport::resolve`].
    fn blob(&self, pinned: &Reference) -> Result<Told<Vec<u8>>, LookupError>;

    /// The manifests about a digest, sorted by digest.
    ///
    /// # Errors
    ///
    /// As [`Transport::resolve`].
    fn referrers(&self, pinned: &Reference) -> Result<Told<Vec<Referrer>>, LookupError>;
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn resolve(&self, tag: &Reference) -> Result<Told<Head>, LookupError> {
        (**self).resolve(tag)
    }

    fn manifest(&self, pinned: &Reference) -> Result<Told<ManifestBytes>, LookupError> {
        (**self).manifest(pinned)
    }

    fn blob(&self, pinned: &Reference) -> Result<Told<Vec<u8>>, LookupError> {
        (**self).blob(pinned)
    }

    fn referrers(&self, pinned: &Reference) -> Result<Told<Vec<Referrer>>, LookupError> {
        (**self).referrers(pinned)
    }
}

/// An answer, and what is assumed by whoever relies on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Told<T> {
    /// The answer.
    pub answer: Answer<T>,
    /// `None` for an answer that proves itself or that was heard just now.
    pub assumed: Option<Assumed>,
}

/// What was taken on somebody's word.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Assumed {
    /// Stable kebab-case name of the kind.
    pub code: &'static str,
    /// What it is about.
    pub subject: String,
    /// What is assumed.
    pub message: String,
}

impl<T> Told<T> {
    /// An answer that nobody has to be believed for.
    pub fn proven(answer: Answer<T>) -> Self {
        Self { answer, assumed: None }
    }
}

/// Questions to a transport that belong together, and what was assumed in them.
pub(super) struct Inquiry<'t, T> {
    transport: &'t T,
    pub(super) assumed: BTreeSet<Assumed>,
}

impl<'t, T: Transport> Inquiry<'t, T> {
    pub(super) fn new(transport: &'t T) -> Self {
        Self { transport, assumed: BTreeSet::new() }
    }

    pub(super) fn resolve(&mut self, tag: &Reference) -> Result<Answer<Head>, LookupError> {
        let told = self.transport.resolve(tag)?;
        Ok(self.take(told))
    }

    pub(super) fn manifest(&mut self, pinned: &Reference) -> Result<Answer<ManifestBytes>, LookupError> {
        let told = self.transport.manifest(pinned)?;
        Ok(self.take(told))
    }

    pub(super) fn blob(&mut self, pinned: &Reference) -> Result<Answer<Vec<u8>>, LookupError> {
        let told = self.transport.blob(pinned)?;
        Ok(self.take(told))
    }

    pub(super) fn referrers(&mut self, pinned: &Reference) -> Result<Answer<Vec<Referrer>>, LookupError> {
        let told = self.transport.referrers(pinned)?;
        Ok(self.take(told))
    }

    fn take<A>(&mut self, told: Told<A>) -> Answer<A> {
        self.assumed.extend(told.assumed);
        told.answer
    }
}
