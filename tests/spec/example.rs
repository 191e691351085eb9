//! The bundle on the first screen of `bundle-spec/bundle.md`, built for real: a
//! signed and attested image as it lies in a registry, with the files at the top
//! of `images.md` and `policy.md` and the trust root of its Sigstore instance.

use std::path::{Path, PathBuf};

use carnet_bundle::{
    Assembly, Content, Descriptor, Digest, Document, Manifest, Plan,
    container::BLOCK,
    inventory::{EvidenceEntry, EvidenceKind, LookResult, Method, Place, Receipt, Subject},
    media,
};

use crate::markdown::page;

const REFERENCE: &str = "registry.local:5001/sigstore/testimage:v1";
const REPOSITORY: &str = "registry.local:5001/sigstore/testimage";
const IMAGE: &str = "bb2863eb5a15ce3551748cd6aecd40db02c96c0276ae062354b415ad37330fee";
const SIGNATURE: &str = "4912946aa9657bed0670396e6b0862038a1294225fac21be92a3938e0c62abe4";
const ATTESTATION: &str = "8bd6efa7b156bb334427c63b32d6a484288a205e8cdc468c882275d046f059df";

/// The plan of the example.
pub(crate) fn plan() -> Plan {
    Plan::new(assembly()).unwrap()
}

/// The bytes of the archive.
pub(crate) fn archive(plan: &Plan) -> Vec<u8> {
    let mut archive = Vec::new();
    for member in plan.members() {
        archive.extend(member.header());
        match &member.content {
            Content::Bytes(bytes) => archive.extend(bytes.as_ref()),
            Content::Stream(layer) => archive.extend(blob(&layer.digest)),
        }
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn blob(digest: &Digest) -> Vec<u8> {
    std::fs::read(testdata().join("layouts/conforma-acceptance/layout/blobs/sha256").join(digest.to_hex())).unwrap()
}

fn assembly() -> Assembly {
    let (image, manifest) = manifest(IMAGE);
    let mut assembly = Assembly {
        subjects: vec![Subject::new(REFERENCE.to_owned(), &image, &manifest, |_| true)],
        receipts: receipts(image.digest),
        documents: documents(),
        ..Assembly::default()
    };
    let config = manifest.config().unwrap().digest;
    hold(&mut assembly, [image.digest, config]);
    evidence(&mut assembly, SIGNATURE, EvidenceKind::Simplesigning, Method::CosignSig, "sig");
    evidence(&mut assembly, ATTESTATION, EvidenceKind::Dsse, Method::CosignAtt, "att");
    assembly
}

fn evidence(assembly: &mut Assembly, hex: &str, kind: EvidenceKind, method: Method, suffix: &str) {
    let (descriptor, manifest) = manifest(hex);
    let tag = format!("sha256-{IMAGE}.{suffix}");
    assembly.evidence.push(EvidenceEntry {
        digest: descriptor.digest,
        subject: digest(IMAGE),
        kind,
        predicate_type: String::new(),
        found_in: vec![Place { repository: REPOSITORY.to_owned(), method, tag }],
    });
    let payloads: Vec<Digest> = manifest.config().into_iter().chain(manifest.layers()).map(|blob| blob.digest).collect();
    hold(assembly, payloads);
    hold(assembly, [descriptor.digest]);
    assembly.evidence_manifests.push(descriptor);
}

fn hold(assembly: &mut Assembly, digests: impl IntoIterator<Item = Digest>) {
    assembly.blobs.extend(digests.into_iter().map(|digest| (digest, blob(&digest))));
}

/// What a registry without referrers API answered.
fn receipts(subject: Digest) -> Vec<Receipt> {
    Method::PROFILE
        .into_iter()
        .map(|method| {
            let found = u64::from(matches!(method, Method::CosignAtt | Method::CosignSig));
            let answer = match method {
                Method::CosignAtt => Some(digest(ATTESTATION)),
                Method::CosignSig => Some(digest(SIGNATURE)),
                _ => None,
            };
            let status = if found == 1 { 200 } else { 404 };
            Receipt {
                subject,
                repository: REPOSITORY.to_owned(),
                method,
                result: if found == 1 { LookResult::Found } else { LookResult::None },
                found,
                status: (method != Method::IndexChildren).then_some(status),
                answer,
                note: String::new(),
            }
        })
        .collect()
}

fn documents() -> Vec<Document> {
    let first = |name: &str| {
        let fences = page(name).fences();
        let example = fences.into_iter().find(|fence| fence.info.starts_with("yaml")).unwrap();
        format!("{}\n", example.body).into_bytes()
    };
    let document =
        |media_type: &str, title: &str, bytes| Document { media_type: media_type.to_owned(), title: title.to_owned(), bytes };
    let trusted_root = std::fs::read(testdata().join("trust/conforma-testimage/trusted_root.json")).unwrap();
    vec![
        document(media::IMAGES_DOCUMENT, "images.yaml", first("images.md")),
        document(media::POLICY_DOCUMENT, "policy.yaml", first("policy.md")),
        document(media::TRUSTED_ROOT, "trusted_root.json", trusted_root),
    ]
}

fn manifest(hex: &str) -> (Descriptor, Manifest) {
    let bytes = blob(&digest(hex));
    let manifest = Manifest::parse(&bytes, media::OCI_MANIFEST).unwrap();
    (Descriptor::of(media::OCI_MANIFEST, &bytes), manifest)
}

fn digest(hex: &str) -> Digest {
    Digest::from_hex(hex).unwrap()
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}
