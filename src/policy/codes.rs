//! Findings of gate 3: components, policy document, built-in checks.

use carnet_bundle::{Code, Severity};

/// One `containerImage` stands twice in images.yaml.
pub static DUPLICATE_COMPONENT: Code = Code {
    name: "duplicate-component",
    step: "V12.1",
    severity: Severity::Warning,
    summary: "two components have the same containerImage; the first one is judged, the source of the other is not looked at",
    hint: "keep one entry per image in images.yaml",
};

/// images.yaml names no component at all.
pub static NO_COMPONENTS: Code = Code {
    name: "no-components",
    step: "V12.1",
    severity: Severity::Failure,
    summary: "the list of images is empty, so nothing was judged; an empty list is never a pass",
    hint: "name the images that you expect under `components`",
};

/// A key of images.yaml that nothing reads.
pub static UNKNOWN_IMAGES_KEY: Code = Code {
    name: "unknown-images-key",
    step: "V12.1",
    severity: Severity::Warning,
    summary: "images.yaml has a key that neither Conforma nor carnet reads",
    hint: "remove the key, or correct it if it was meant to be another",
};

/// The image is in the list, but not in the bundle.
pub static IMAGE_NOT_ACCESSIBLE: Code = Code {
    name: "image-not-accessible",
    step: "V14.1",
    severity: Severity::Failure,
    summary: "the component could not be judged: its image is not at hand",
    hint: "export the image into the bundle, or correct containerImage",
};

/// No image signature verifies.
pub static IMAGE_SIGNATURE_NOT_VERIFIED: Code = Code {
    name: "image-signature-not-verified",
    step: "V14.2",
    severity: Severity::Failure,
    summary: "no signature of the image itself verifies under the given key or identity; an attestation does not count as one",
    hint: "sign the image with the key or identity that the policy names, then export again",
};

/// No attestation verifies.
pub static ATTESTATION_NOT_VERIFIED: Code = Code {
    name: "attestation-not-verified",
    step: "V14.3",
    severity: Severity::Failure,
    summary: "no attestation about the image verifies under the given key or identity",
    hint: "attest the image with the key or identity that the policy names, then export again",
};

/// A verified attestation has not the form that its predicate type promises.
pub static ATTESTATION_SYNTAX: Code = Code {
    name: "attestation-syntax",
    step: "V14.4",
    severity: Severity::Failure,
    summary: "a verified attestation does not conform to the schema of its predicate type (SLSA provenance v0.2 or v1)",
    hint: "write the predicate with the members that its predicateType requires",
};

/// No attestation is left to judge.
pub static NO_ATTESTATION: Code = Code {
    name: "no-attestation",
    step: "V14.4",
    severity: Severity::Failure,
    summary: "signatures verify, but none of them is an attestation about the image",
    hint: "attest the image, for example with SLSA provenance, then export again",
};

/// All codes of this room.
pub static ALL: &[&Code] = &[
    &DUPLICATE_COMPONENT,
    &NO_COMPONENTS,
    &UNKNOWN_IMAGES_KEY,
    &IMAGE_NOT_ACCESSIBLE,
    &IMAGE_SIGNATURE_NOT_VERIFIED,
    &ATTESTATION_NOT_VERIFIED,
    &ATTESTATION_SYNTAX,
    &NO_ATTESTATION,
];
