//! Finding codes of the verifier itself, and the list of all rooms.

use carnet_bundle::Code;

carnet_bundle::codes! {
    INVENTORY_KIND_MISMATCH = "inventory-kind-mismatch" "V4.6" Warning
        "The inventory calls a piece of evidence another kind than its own manifest does."
        "export the images again with a current carnet";
    IMAGE_NOT_CARRIED = "image-not-carried" "V12.2" Failure
        "A component names an image that the bundle does not carry."
        "export the image into the bundle, or correct containerImage";
    IMAGE_AMBIGUOUS = "image-ambiguous" "V12.2" Failure
        "A component names an image by a tag that stands for two digests in the bundle."
        "name the image by digest";
    IMAGE_NOT_EXPECTED = "image-not-expected" "V12.3" Failure
        "The bundle carries an image that no component expects; people load what they carry."
        "add the image to images.yaml, export without it, or accept it with --allow-unexpected-images";
    IMAGE_UNDER_ANOTHER_NAME = "image-under-another-name" "V12.4" Note
        "A component names by digest an image that was exported from another repository."
        "nothing, if the image is a mirror: the digest decides";
    POLICY_INPUT_INCOMPLETE = "policy-input-incomplete" "V15.3" Failure
        "Rules speak of something that the image has and the bundle does not show; they would take it for absent."
        "export again from where the parent image and all layers can be read";
    LOOKUP_NOT_RECORDED = "lookup-not-recorded" "V15.2" Failure
        "A rule asks a registry what nobody asked when the bundle was made, and unknown is not undefined. No verdict."
        "export again with this policy.yaml and images.yaml, so that what their rules ask is recorded";
    LOOKUP_OUT_OF_REACH = "lookup-out-of-reach" "V15.2" Failure
        "A rule asks a registry what could not be looked at when the bundle was made. No verdict."
        "export again when the registry answers";
    LOOKUP_TAMPERED = "lookup-tampered" "V15.2" Failure
        "A recorded answer of a registry is not what the carried bytes prove, or its bytes are missing."
        "do not trust the archive; export again";
    LOOKUPS_UNREADABLE = "lookups-unreadable" "V15.2" Failure
        "The record of what registries answered is not of the one form that exporters write. No verdict."
        "export again with a current carnet, or use a newer carnet-verify";
    UNSEEN_BY_CONFORMA = "unseen-by-conforma" "V15.4" Failure
        "A rule of a selected package that Conforma silently does not evaluate has a violation; the report of Conforma lacks it."
        "correct what the rule says, or exclude the rule; a package name of one word makes Conforma see it, too";
    ASSUMPTION_NOT_VOUCHED = "assumption-not-vouched" "V16.1" Failure
        "The verdict takes something on the exporter's word, and --no-assumptions forbids that."
        "pin the bundle with --bundle-id, name the exporter with --exporter-identity or --exporter-key, or name images by digest";
    ATTACHMENT_NOT_JUDGED = "attachment-not-judged" "V16.2" Note
        "An attachment of the bundle that this run asks nothing of."
        "name the exporter with --exporter-identity and --exporter-issuer, or --exporter-key, if its word is to count";
    ATTACHMENT_VERIFIED = "attachment-verified" "V16.2" Note
        "An attachment is signed by the exporter that the operator named."
        "nothing: this says who vouches";
    EXPORTER_NOT_VERIFIED = "exporter-not-verified" "V16.2" Failure
        "The operator named an exporter, and no attachment is its word about this bundle."
        "ask the exporter for the attachment, and give it with --attachment; check the identity or key";
    BUNDLE_TIMESTAMP_VERIFIED = "bundle-timestamp-verified" "V16.5" Note
        "An authority that the operator trusts has signed that the bundle existed at a time."
        "nothing: this says since when the bundle exists, and vouches for nothing else";
    BUNDLE_TIMESTAMP_NOT_TRUSTED = "bundle-timestamp-not-trusted" "V16.5" Note
        "An attached timestamp is of an authority that neither the trust root nor a flag names; it shows nothing."
        "give the authority's certificates with --timestamp-certificate-chain, if its word is to count";
    BUNDLE_TIMESTAMP_INVALID = "bundle-timestamp-invalid" "V16.5" Warning
        "An attached timestamp does not verify; it shows nothing about when the bundle existed."
        "do not rely on it; ask the exporter for a new timestamp over the bundle index, and attach that";
    BUNDLE_TIMESTAMP_MISSING = "bundle-timestamp-missing" "V16.5" Failure
        "The operator named a timestamp authority, and no attached timestamp over this bundle verifies by it."
        "ask the exporter for a timestamp by that authority, and give it with --attachment; check the certificates";
}

/// Every code of every room, by room and step.
pub fn all() -> impl Iterator<Item = &'static Code> {
    let policy = [carnet_policy::codes::ALL, carnet_policy::sources::codes::ALL, carnet_policy::rego::codes::ALL];
    let rooms = [carnet_bundle::codes::ALL, carnet_evidence::codes::ALL].into_iter().chain(policy).chain([ALL]);
    rooms.flatten().copied()
}
