//! Bundles on a shelf, and which digests each of their images consists of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use carnet_bundle::{Bundle, Digest, Limits, Reference, open};
use carnet_policy::Component;
use carnet_verify::disk::open_container;
use serde::Serialize;

use crate::error::ClusterError;

/// What files of a directory are taken for archives.
const ENDINGS: [&str; 2] = [".carnet.tar", ".carnet.tar.gz"];
/// A directory that has this member is an unpacked archive.
const LAYOUT: &str = "oci-layout";

/// A bundle on the shelf, every byte of it hashed.
#[derive(Clone, Debug)]
pub(crate) struct Shelved {
    /// Its file or directory.
    pub(crate) path: PathBuf,
    /// Its id.
    pub(crate) id: Digest,
    /// The images that were asked for at export.
    pub(crate) images: Vec<Carried>,
}

/// An image with everything below it.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    /// The reference as requested at export.
    pub(crate) name: String,
    /// The same as a reference.
    pub(crate) reference: Option<Reference>,
    /// Digest of the image or index.
    pub(crate) digest: Digest,
    nodes: BTreeMap<Digest, Node>,
}

/// An index, a manifest or a configuration.
#[derive(Clone, Debug)]
struct Node {
    part: Part,
    /// What it is a part of, itself included.
    within: BTreeSet<Digest>,
}

/// What a digest is the digest of.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// Several platforms.
    Index,
    /// One platform.
    Manifest,
    /// The configuration of one platform.
    Config,
}

/// Finds the bundles that the arguments name: archives, unpacked archives, and
/// directories that hold some.
///
/// # Errors
///
/// Returns a [`ClusterError`] for what is not there and for a directory without any.
pub(crate) fn paths(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, ClusterError> {
    let mut paths = BTreeSet::new();
    for argument in arguments {
        let error = |source| ClusterError::Read { path: argument.clone(), source };
        if !fs::metadata(argument).map_err(error)?.is_dir() || argument.join(LAYOUT).is_file() {
            paths.insert(argument.clone());
            continue;
        }
        let before = paths.len();
        for entry in fs::read_dir(argument).map_err(error)? {
            let path = entry.map_err(error)?.path();
            if is_bundle(&path) {
                paths.insert(path);
            }
        }
        if paths.len() == before {
            return Err(ClusterError::NoBundles(argument.clone()));
        }
    }
    Ok(paths.into_iter().collect())
}

fn is_bundle(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (path.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending))) || path.join(LAYOUT).is_file()
}

impl Shelved {
    /// Opens a bundle. What is wrong with it is said by the program that judges it;
    /// here it is only known what it holds.
    ///
    /// # Errors
    ///
    /// Returns a [`ClusterError`] when it cannot be read. `None`: it is too damaged to
    /// know what it holds.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, ClusterError> {
        let limits = Limits::default();
        let opened = open_container(path, &limits).map_err(Into::into).and_then(|mut found| open(found.as_mut(), &limits));
        let opened = opened.map_err(|source| ClusterError::Bundle { path: path.to_owned(), source })?;
        let Some(bundle) = &opened.bundle else { return Ok(None) };
        let images = bundle.inventory().subjects.iter().map(|subject| Carried::new(bundle, &subject.reference, subject.digest));
        Ok(Some(Self { path: path.to_owned(), id: opened.id, images: images.collect() }))
    }

    /// Whether a component of a list of images is about this bundle.
    pub(crate) fn is_meant_by(&self, component: &Component) -> bool {
        self.images.iter().any(|image| match component.reference.digest() {
            Some(digest) => image.part(digest).is_some_and(|part| part != Part::Config),
            None => image
                .reference
                .as_ref()
                .is_some_and(|own| own.name() == component.reference.name() && own.tag() == component.reference.tag()),
        })
    }
}

impl Carried {
    fn new(bundle: &Bundle, name: &str, digest: Digest) -> Self {
        let mut image = Self { name: name.to_owned(), reference: name.parse().ok(), digest, nodes: BTreeMap::new() };
        image.add(bundle, digest, &BTreeSet::new());
        image
    }

    fn add(&mut self, bundle: &Bundle, digest: Digest, above: &BTreeSet<Digest>) {
        // What stands above itself has been seen.
        if above.contains(&digest) {
            return;
        }
        let Some(manifest) = bundle.manifest(&digest) else { return };
        let within: BTreeSet<_> = above.iter().copied().chain([digest]).collect();
        self.put(digest, if manifest.is_index() { Part::Index } else { Part::Manifest }, &within);
        if let Some(config) = manifest.config() {
            let within: BTreeSet<_> = within.iter().copied().chain([config.digest]).collect();
            self.put(config.digest, Part::Config, &within);
        }
        for child in manifest.children().iter().filter(|child| !child.is_buildkit_attestation()) {
            self.add(bundle, child.digest, &within);
        }
    }

    fn put(&mut self, digest: Digest, part: Part, within: &BTreeSet<Digest>) {
        let node = self.nodes.entry(digest).or_insert_with(|| Node { part, within: BTreeSet::new() });
        node.within.extend(within);
    }

    /// What the digest is in this image; `None` when it is no part of it.
    pub(crate) fn part(&self, digest: &Digest) -> Option<Part> {
        self.nodes.get(digest).map(|node| node.part)
    }

    /// The manifests and indexes that the digest is a part of, or is.
    pub(crate) fn within(&self, digest: &Digest) -> impl Iterator<Item = &Digest> {
        self.nodes.get(digest).into_iter().flat_map(|node| &node.within)
    }

    /// Whether the image has this name: the same repository and tag, or the same
    /// repository where no tag was asked for.
    pub(crate) fn is_called(&self, name: &Reference) -> bool {
        let same = |own: &Reference| own.name() == name.name() && (name.tag().is_none() || own.tag() == name.tag());
        self.reference.as_ref().is_some_and(same)
    }
}
