//! Media types and annotation keys that carnet reads or writes.

/// `artifactType` of the bundle index (`bundle-spec/bundle.md` §2).
pub const BUNDLE: &str = "application/vnd.carnet.bundle.v0+json";
/// `artifactType` of the control manifest.
pub const CONTROL: &str = "application/vnd.carnet.control.v0+json";
/// `artifactType` of the policy manifest.
pub const POLICY: &str = "application/vnd.carnet.policy.v0+json";
/// Layer 0 of the control manifest.
pub const INVENTORY: &str = "application/vnd.carnet.inventory.v0+json";
/// Control document: images.yaml as given.
pub const IMAGES_DOCUMENT: &str = "application/vnd.carnet.images.v0+yaml";
/// Control document: policy.yaml as given.
pub const POLICY_DOCUMENT: &str = "application/vnd.carnet.policy-document.v0+yaml";
/// Control document: a copy of a Sigstore trusted_root.json.
pub const TRUSTED_ROOT: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
/// Control document: a copy of a public key in PEM.
pub const PUBLIC_KEY: &str = "application/x-pem-file";
/// Control document: which source of policy.yaml stands for which content.
pub const POLICY_LOCK: &str = "application/vnd.carnet.policy-lock.v0+json";
/// Control document: what the policy asked the registry for, and the answers.
pub const LOOKUPS: &str = "application/vnd.carnet.lookups.v0+json";
/// Control document: when, where and with what the bundle was collected.
pub const COLLECTION_RECORD: &str = "application/vnd.carnet.collection.v0+json";
/// Control document: a loose evidence file whose kind its own content names.
pub const LOOSE_EVIDENCE: &str = "application/vnd.carnet.loose-evidence.v0";
/// Control document: metadata of the TUF repository of a trust root.
pub const TUF_METADATA: &str = "application/vnd.carnet.tuf-metadata.v0+json";
/// Control document: a transparency-log entry fetched at export.
pub const LOG_PROOF: &str = "application/vnd.carnet.log-proof.v0+json";

/// Layer of the policy manifest: git objects in their loose form.
pub const GIT_OBJECTS: &str = "application/vnd.carnet.git-objects.v0";
/// Layer of the policy manifest: bytes as they were served.
pub const OPAQUE: &str = "application/vnd.carnet.opaque.v0";
/// Layer of the policy manifest: a normalised tar of a directory.
pub const FILES_TAR: &str = "application/vnd.carnet.files.v0+tar";

/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Docker schema 2 manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker schema 2 manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The empty config of artifacts.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The two bytes that [`OCI_EMPTY`] descriptors name.
pub const EMPTY_JSON: &[u8] = b"{}";

/// Layer of a legacy cosign signature: the simple-signing payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Layer of a legacy cosign attestation: the DSSE envelope.
pub const DSSE_ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Start of every Sigstore bundle media type.
pub const SIGSTORE_BUNDLE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";
/// A bare in-toto statement (BuildKit), and the DSSE payload type of statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// artifactType of a Notary Project signature.
pub const NOTATION_SIGNATURE: &str = "application/vnd.cncf.notary.signature";

/// Annotation of an index entry: the reference that names it.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation of an index entry that containerd reads as full image name.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Annotation of an index entry that `cosign save` writes and reads.
pub const COSIGN_KIND: &str = "kind";
/// Annotation of BuildKit children: `attestation-manifest`.
pub const DOCKER_REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// Annotation of BuildKit children: digest of the child they speak of.
pub const DOCKER_REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// Whether `media_type` names an index (OCI or Docker).
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Whether `media_type` names an image manifest (OCI or Docker).
pub fn is_image_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether `media_type` names a manifest of either sort.
pub fn is_manifest(media_type: &str) -> bool {
    is_index(media_type) || is_image_manifest(media_type)
}

/// Whether `media_type` names a layer that registries do not have to serve.
pub fn is_nondistributable(media_type: &str) -> bool {
    media_type.contains("nondistributable") || media_type.contains("rootfs.foreign")
}
