//! Findings of gate 3: components, policy document, built-in checks.

carnet_bundle::codes! {
    DUPLICATE_COMPONENT = "duplicate-component" "V12.1" Warning
        "Two components have the same containerImage; the first one is judged, the source of the other is not looked at."
        "keep one entry per image in images.yaml";
    NO_COMPONENTS = "no-components" "V12.1" Failure
        "The list of images is empty, so nothing was judged; an empty list is never a pass."
        "name the images that you expect under `components`";
    UNKNOWN_IMAGES_KEY = "unknown-images-key" "V12.1" Warning
        "images.yaml has a key that neither Conforma nor carnet reads."
        "remove the key, or correct it if it was meant to be another";
    IMAGE_NOT_ACCESSIBLE = "image-not-accessible" "V14.1" Failure
        "The component could not be judged: its image is not at hand."
        "export the image into the bundle, or correct containerImage";
    IMAGE_SIGNATURE_NOT_VERIFIED = "image-signature-not-verified" "V14.2" Failure
        "No signature of the image itself verifies under the given key or identity; an attestation does not count as one."
        "look at the warnings about its evidence; where there are none, sign the image with the key or identity that the policy names, then export again";
    IMAGE_SIGNERS_TOO_FEW = "image-signers-too-few" "V14.2" Failure
        "Fewer distinct signers signed the image than signatures.threshold of the trust policy asks for."
        "let another identity that the policy names sign the image, then export again";
    ATTESTATION_COUNTED_AS_SIGNATURE = "attestation-counted-as-signature" "V14.2" Warning
        "Nobody signed the image itself; in Conforma's reading an attestation in a bundle was counted as its signature."
        "sign the image, or leave --compat ec out to see it fail";
    NOTATION_SIGNATURE_MISSING = "notation-signature-missing" "V14.2" Failure
        "No Notary Project signature lies beside the image, and attestations.notation of the trust policy requires one."
        "sign the image with notation, then export again; carnet does not verify it";
    NOTATION_SIGNATURE_FORBIDDEN = "notation-signature-forbidden" "V14.2" Failure
        "A Notary Project signature lies beside the image, and attestations.notation of the trust policy forbids it."
        "remove it from the registry, then export again";
    ATTESTATION_NOT_VERIFIED = "attestation-not-verified" "V14.3" Failure
        "No attestation about the image verifies under the given key or identity."
        "look at the warnings about its evidence; where there are none, attest the image with the key or identity that the policy names, then export again";
    ATTESTATION_SIGNERS_TOO_FEW = "attestation-signers-too-few" "V14.3" Failure
        "Fewer distinct signers attested the image than attestations.threshold of the trust policy asks for."
        "let another identity that the policy names attest the image, then export again";
    ATTESTATION_SYNTAX = "attestation-syntax" "V14.4" Failure
        "A verified attestation does not conform to the schema of its predicate type (SLSA provenance v0.2 or v1)."
        "write the predicate with the members that its predicateType requires";
    NO_ATTESTATION = "no-attestation" "V14.4" Failure
        "Signatures verify, but none of them is an attestation about the image."
        "attest the image, for example with SLSA provenance, then export again";
}
