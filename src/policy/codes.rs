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

/// Fewer signers of the image than the trust policy asks for.
pub static IMAGE_SIGNERS_TOO_FEW: Code = Code {
    name: "image-signers-too-few",
    step: "V14.2",
    severity: Severity::Failure,
    summary: "fewer distinct signers signed the image than signatures.threshold of the trust policy asks for",
    hint: "let another identity that the policy names sign the image, then export again",
};

/// `--compat ec`: an attestation passed for a signature of the image.
pub static ATTESTATION_COUNTED_AS_SIGNATURE: Code = Code {
    name: "attestation-counted-as-signature",
    step: "V14.2",
    severity: Severity::Warning,
    summary: "nobody signed the image itself; in Conforma's reading an attestation in a bundle was counted as its signature",
    hint: "sign the image, or leave --compat ec out to see it fail",
};

/// A Notary Project signature is wanted and not there.
pub static NOTATION_SIGNATURE_MISSING: Code = Code {
    name: "notation-signature-missing",
    step: "V14.2",
    severity: Severity::Failure,
    summary: "no Notary Project signature lies beside the image, and attestations.notation of the trust policy requires one",
    hint: "sign the image with notation, then export again; carnet does not verify it",
};

/// A Notary Project signature is there and not wanted.
pub static NOTATION_SIGNATURE_FORBIDDEN: Code = Code {
    name: "notation-signature-forbidden",
    step: "V14.2",
    severity: Severity::Failure,
    summary: "a Notary Project signature lies beside the image, and attestations.notation of the trust policy forbids it",
    hint: "remove it from the registry, then export again",
};

/// No attestation verifies.
pub static ATTESTATION_NOT_VERIFIED: Code = Code {
    name: "attestation-not-verified",
    step: "V14.3",
    severity: Severity::Failure,
    summary: "no attestation about the image verifies under the given key or identity",
    hint: "attest the image with the key or identity that the policy names, then export again",
};

/// Fewer signers of attestations than the trust policy asks for.
pub static ATTESTATION_SIGNERS_TOO_FEW: Code = Code {
    name: "attestation-signers-too-few",
    step: "V14.3",
    severity: Severity::Failure,
    summary: "fewer distinct signers attested the image than attestations.threshold of the trust policy asks for",
    hint: "let another identity that the policy names attest the image, then export again",
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
    &IMAGE_SIGNERS_TOO_FEW,
    &ATTESTATION_COUNTED_AS_SIGNATURE,
    &NOTATION_SIGNATURE_MISSING,
    &NOTATION_SIGNATURE_FORBIDDEN,
    &ATTESTATION_NOT_VERIFIED,
    &ATTESTATION_SIGNERS_TOO_FEW,
    &ATTESTATION_SYNTAX,
    &NO_ATTESTATION,
];
