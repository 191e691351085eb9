//! images.yaml: which images are expected, under which name, from which source.
//!
//! Input is what the operator gave with `--images`, `--file-path`, `--json-input`
//! and `--image`; output is the list of [`Component`]s in the order in which they
//! were written. The shapes are those of Conforma (`bundle-spec/images.md`); the
//! reading is strict: a typo must not drop an image, and an unquoted revision
//! stays the text that was written.

mod document;
mod expansion;

use carnet_bundle::{Finding, Reference, ReferenceError};
use serde::Serialize;

use crate::{
    codes,
    yaml::{Place, Reading, YamlError},
};

pub use expansion::{expand, full_name, pinned_name};

/// Name of the component that `--image` makes.
pub const UNNAMED: &str = "Unnamed";

/// One document with a list of images.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Name for errors: a path, or the flag that held the text.
    pub file: &'a str,
    /// The bytes: YAML or JSON.
    pub bytes: &'a [u8],
}

/// All expected images, and what was odd about the documents.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Images {
    /// `application` of the snapshot; empty when absent.
    pub application: String,
    /// `displayName` of the snapshot; empty when absent.
    pub display_name: String,
    /// `displayDescription` of the snapshot; empty when absent.
    pub display_description: String,
    /// The components, each `containerImage` once.
    pub components: Vec<Component>,
    /// Duplicates, unknown keys, an empty list.
    pub findings: Vec<Finding>,
}

/// One expected image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Component {
    /// Its name; empty when the document gives none.
    pub name: String,
    /// The reference exactly as written.
    pub container_image: String,
    /// The same, parsed.
    pub reference: Reference,
    /// Where it was built from.
    pub source: Source,
}

/// Where an image was built from; `{}` when nothing is said.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Source {
    /// A git repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
}

/// A git repository as source.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Git {
    /// URL of the repository.
    pub url: String,
    /// Commit, tag or branch, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Directory inside the repository.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// Place of the devfile.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub devfile_url: String,
    /// Place of the Dockerfile.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dockerfile_url: String,
}

/// Why there is no list of images, hence no verdict.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// Components stand beside `spec`: one of the two would be ignored.
    #[error("{place}: {key:?} beside \"spec\": only one of the two would be read")]
    BothShapes {
        /// Where the key stands.
        place: Place,
        /// The key beside `spec`.
        key: String,
    },
    /// Neither a document nor `--image`.
    #[error("neither Snapshot nor image reference provided to validate")]
    NoInput,
    /// A component without `containerImage`.
    #[error("{place}: component {name:?} has no containerImage")]
    NoContainerImage {
        /// Where the component begins.
        place: Place,
        /// Its name; may be empty.
        name: String,
    },
    /// A `containerImage` outside the grammar.
    #[error("{place}: error validating image {image} of component {name}: {source}")]
    Reference {
        /// Where it stands: a place in a document, or `--image`.
        place: String,
        /// The reference as written.
        image: String,
        /// Name of the component; may be empty.
        name: String,
        /// What the grammar says.
        source: Box<ReferenceError>,
    },
    /// The document cannot be read.
    #[error(transparent)]
    Yaml(#[from] YamlError),
}

/// Reads all documents in order, then `image`, and merges them as Conforma does
/// (step V12.1): the first component with a `containerImage` stays.
///
/// # Errors
///
/// Returns an [`ImagesError`] when there is no input at all, when a document
/// cannot be read, has a misspelt key or a value of the wrong type, and when one
/// reference cannot be parsed.
pub fn read(documents: &[Document<'_>], image: Option<&str>, reading: Reading) -> Result<Images, ImagesError> {
    if documents.is_empty() && image.is_none() {
        return Err(ImagesError::NoInput);
    }
    let mut images = Images::default();
    for document in documents {
        document::read(document, reading, &mut images)?;
    }
    if let Some(image) = image {
        images.add(Component::from_reference(image)?);
    }
    if images.components.is_empty() {
        let finding = Finding::new(&codes::NO_COMPONENTS, "", "the list of images is empty");
        images.findings.push(match reading {
            Reading::Strict => finding,
            // Conforma calls an empty list a success.
            Reading::Conforma => finding.with_severity(carnet_bundle::Severity::Warning),
        });
    }
    Ok(images)
}

/// Whether the value of `--images` is the document itself rather than the name
/// of a file; a file of that name is to be tried first.
pub fn is_inline(value: &str) -> bool {
    let value = value.trim_start();
    value.starts_with('{') || value.contains('\n') || value.contains(": ")
}

impl Component {
    /// The component that `--image` stands for.
    ///
    /// # Errors
    ///
    /// Returns [`ImagesError::Reference`] when `image` is outside the grammar.
    pub fn from_reference(image: &str) -> Result<Self, ImagesError> {
        let reference = image.parse().map_err(|e| ImagesError::Reference {
            place: "--image".to_owned(),
            image: image.to_owned(),
            name: UNNAMED.to_owned(),
            source: Box::new(e),
        })?;
        Ok(Self { name: UNNAMED.to_owned(), container_image: image.to_owned(), reference, source: Source::default() })
    }
}

impl Images {
    /// Adds a component, unless one with the same literal `containerImage` is
    /// there; then only a missing name is taken over.
    fn add(&mut self, component: Component) {
        let same = |known: &&mut Component| known.container_image == component.container_image;
        let Some(known) = self.components.iter_mut().find(same) else {
            self.components.push(component);
            return;
        };
        let ignored = if known.source == component.source { "" } else { ", with another source, which is ignored" };
        let message = format!("component {:?} names the same image as component {:?}{ignored}", component.name, known.name);
        self.findings.push(Finding::new(&codes::DUPLICATE_COMPONENT, &component.container_image, message));
        if known.name.is_empty() || known.name == UNNAMED {
            known.name = component.name;
        }
    }
}
