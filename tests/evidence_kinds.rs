//! What sort of evidence a manifest is, and what becomes of its layers.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

#[path = "evidence/layout.rs"]
mod layout;

use carnet_bundle::{Digest, Manifest, inventory::EvidenceKind, media};
use carnet_evidence::{Claim, LooseError, Rules, TrustParts, TrustRoot, Verified, classify, from_loose_file, from_manifest};
use layout::{Layout, identity, key, read, trust_root, verifier};
use serde_json::{Value, json};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A manifest of these layers: media type and annotations.
fn manifest(artifact_type: Option<&str>, config: &str, layers: &[(&str, Value)]) -> Manifest {
    let layer = |(media_type, annotations): &(&str, Value)| json!({"mediaType": media_type, "digest": Digest::of(b"payload"), "size": 7, "annotations": annotations});
    let mut value = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": config, "digest": Digest::of(media::EMPTY_JSON), "size": 2},
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    });
    if let Some(artifact_type) = artifact_type {
        value["artifactType"] = json!(artifact_type);
    }
    Manifest::parse(value.to_string().as_bytes(), media::OCI_MANIFEST).unwrap()
}

#[test]
fn a_manifest_is_told_by_itself() {
    let none = || json!({});
    let signature = || json!({"dev.cosignproject.cosign/signature": "MEUC"});
    let buildkit = || json!({"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"});
    for (manifest, kind) in [
        (manifest(Some(BUNDLE), media::OCI_EMPTY, &[(BUNDLE, none())]), EvidenceKind::SigstoreBundle),
        // Older clients leave the empty config's type where the artifact's should be.
        (manifest(None, media::OCI_EMPTY, &[(BUNDLE, none())]), EvidenceKind::SigstoreBundle),
        (
            manifest(None, media::OCI_EMPTY, &[("application/vnd.dev.sigstore.bundle+json;version=0.1", none())]),
            EvidenceKind::SigstoreBundle,
        ),
        (manifest(Some(BUNDLE), media::OCI_EMPTY, &[(BUNDLE, none()), (BUNDLE, none())]), EvidenceKind::Other),
        (manifest(None, media::OCI_CONFIG, &[(media::SIMPLE_SIGNING, signature())]), EvidenceKind::Simplesigning),
        (manifest(None, media::OCI_CONFIG, &[("application/octet-stream", signature())]), EvidenceKind::Simplesigning),
        (
            manifest(None, media::OCI_CONFIG, &[(media::DSSE_ENVELOPE, json!({"dev.cosignproject.cosign/signature": ""}))]),
            EvidenceKind::Dsse,
        ),
        (manifest(None, media::OCI_CONFIG, &[(media::DSSE_ENVELOPE, signature())]), EvidenceKind::Dsse),
        (manifest(None, media::OCI_CONFIG, &[(media::IN_TOTO, buildkit())]), EvidenceKind::BuildkitAttestation),
        (
            manifest(
                Some("application/vnd.docker.attestation.manifest.v1+json"),
                media::OCI_EMPTY,
                &[(media::IN_TOTO, buildkit())],
            ),
            EvidenceKind::BuildkitAttestation,
        ),
        (manifest(Some(media::IN_TOTO), media::OCI_EMPTY, &[(media::IN_TOTO, none())]), EvidenceKind::InToto),
        (
            manifest(Some(media::NOTATION_SIGNATURE), media::OCI_EMPTY, &[("application/jose+json", none())]),
            EvidenceKind::Notation,
        ),
        (manifest(None, media::NOTATION_SIGNATURE, &[("application/cose", none())]), EvidenceKind::Notation),
        (manifest(Some("application/spdx+json"), media::OCI_EMPTY, &[("application/spdx+json", none())]), EvidenceKind::Sbom),
        (manifest(None, media::OCI_CONFIG, &[("application/vnd.cyclonedx+json", none())]), EvidenceKind::Sbom),
        (manifest(Some("application/sarif+json"), media::OCI_EMPTY, &[("application/sarif+json", none())]), EvidenceKind::Other),
        (manifest(None, media::OCI_EMPTY, &[]), EvidenceKind::Other),
    ] {
        assert_eq!(classify(&manifest).kind, kind, "{manifest:?}");
    }
}

#[test]
fn a_predicate_type_is_hinted_at_only_when_all_layers_agree() {
    let layer = |hint: &str| (media::DSSE_ENVELOPE, json!({"predicateType": hint}));
    let hint = |layers: &[(&str, Value)]| classify(&manifest(None, media::OCI_CONFIG, layers)).predicate_type;
    assert_eq!(hint(&[layer("a"), layer("a")]), "a");
    assert_eq!(hint(&[layer("a"), layer("b")]), "");
    assert_eq!(hint(&[layer("a"), (media::DSSE_ENVELOPE, json!({}))]), "");
}

#[test]
fn more_layers_than_one_manifest_may_have_are_not_read() {
    let layers = vec![(media::DSSE_ENVELOPE, json!({})); 1_001];
    let manifest = manifest(None, media::OCI_CONFIG, &layers);
    let (items, findings) = from_manifest(&Digest::of(b"s"), &Digest::of(b"m"), &manifest, &|_| Some(b"{}"));
    assert_eq!(items.len(), 1_000);
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["evidence-limit-exceeded"]);
}

#[test]
fn a_layer_that_is_not_there_is_said() {
    let manifest = manifest(None, media::OCI_CONFIG, &[(media::DSSE_ENVELOPE, json!({}))]);
    let (items, findings) = from_manifest(&Digest::of(b"s"), &Digest::of(b"m"), &manifest, &|_| None);
    assert!(items.is_empty());
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["payload-not-carried"]);
}

#[test]
fn what_is_carried_only_never_becomes_a_claim() {
    let judge = verifier(&TrustRoot::none(), Rules::new(key("trust/local-sigstore/demo.pub")));
    let subject = Digest::of(b"s");
    for (manifest, code) in [
        (
            manifest(Some(media::NOTATION_SIGNATURE), media::OCI_EMPTY, &[("application/jose+json", json!({}))]),
            "not-verified-kind",
        ),
        (manifest(Some("application/spdx+json"), media::OCI_EMPTY, &[("application/spdx+json", json!({}))]), "not-verified-kind"),
        (manifest(None, media::OCI_EMPTY, &[("x/y", json!({}))]), "not-verified-kind"),
        (manifest(None, media::OCI_CONFIG, &[(media::IN_TOTO, json!({}))]), "unsigned-statement"),
    ] {
        let (items, _) = from_manifest(&subject, &Digest::of(b"m"), &manifest, &|_| Some(b"payload"));
        let [item] = items.as_slice() else { panic!("{items:?}") };
        assert_eq!(judge.verify(item, subject).unwrap_err()[0].code, code);
    }
}

#[test]
fn loose_files_are_told_by_their_content() {
    let subject = Digest::of(b"s");
    let kind = |text: &str| from_loose_file(&subject, text.as_bytes()).map(|item| item.kind());
    assert_eq!(kind(r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.9+json"}"#), Ok(EvidenceKind::SigstoreBundle));
    assert_eq!(kind(r#"{"verificationMaterial":{}}"#), Ok(EvidenceKind::SigstoreBundle));
    assert_eq!(kind(r#"{"payload":"","signatures":[]}"#), Ok(EvidenceKind::Dsse));
    assert_eq!(kind(r#"{"some":"thing"}"#), Err(LooseError::Unknown));
    assert!(matches!(kind(r#"{"payload":1,"payload":2}"#), Err(LooseError::Malformed(_))));
    assert!(matches!(kind("text"), Err(LooseError::Malformed(_))));
}

/// A DSSE envelope without anything beside it: good by a key where no log is asked
/// for, and only there.
#[test]
fn a_bare_envelope_rests_on_the_key_alone() {
    let open = Layout::open("layouts/local-sigstore/key-legacy");
    let image = open.image();
    let layers = open.evidence(&image);
    let envelope = layers.iter().find(|item| item.kind() == EvidenceKind::Dsse).unwrap();
    let bytes = open.blob(envelope.payload()).unwrap();
    let item = from_loose_file(&image, bytes).unwrap();
    let rules = || Rules::new(key("trust/local-sigstore/demo.pub"));
    let claim: Verified<Claim> = verifier(&TrustRoot::none(), rules().ignore_rekor()).verify(&item, image).unwrap();
    assert!(claim.times.is_empty() && claim.log_records.is_empty());
    assert_eq!(verifier(&TrustRoot::none(), rules()).verify(&item, image).unwrap_err()[0].code, "no-log-entry");
    let other = Rules::new(key("trust/local-sigstore/other.pub")).ignore_rekor();
    assert_eq!(verifier(&TrustRoot::none(), other).verify(&item, image).unwrap_err()[0].code, "key-mismatch");
}

/// The same image, with the trust root and with the four files that
/// `SIGSTORE_ROOT_FILE` and its kin name.
#[test]
fn single_keys_and_certificates_make_a_trust_root() {
    let folder = "trust/conforma-testimage";
    let file = |name: &str| Some(read(&format!("{folder}/{name}")));
    let tsa = ["tsa_leaf.crt.pem", "tsa_intermediate_0.crt.pem", "tsa_root.crt.pem"]
        .iter()
        .flat_map(|name| [file(name).unwrap(), b"\n".to_vec()].concat());
    let parts = TrustParts {
        certificate_authority: file("fulcio_v1.crt.pem"),
        log_keys: file("rekor.pub"),
        ct_log_keys: file("ctfe.pub"),
        timestamp_authority: Some(tsa.collect()),
    };
    let signer = || {
        identity(
            "https://kubernetes.io/namespaces/default/serviceaccounts/default",
            "https://kubernetes.default.svc.cluster.local",
        )
    };
    let open = Layout::open("layouts/conforma-testimage");
    let judge = |root: &TrustRoot| open.judge(&open.image(), &verifier(root, Rules::new(signer())));
    let root = TrustRoot::from_parts(&parts, "four files").unwrap();
    assert!(judge(&root).iter().all(Result::is_ok));
    assert!(judge(&trust_root("conforma-testimage/trusted_root.json")).iter().all(Result::is_ok));
    assert_eq!(root.newest_entry(), None, "files without windows say nothing of their age");

    let without_log = TrustRoot::from_parts(&TrustParts { log_keys: None, ..parts.clone() }, "three").unwrap();
    assert_eq!(layout::codes(&judge(&without_log)), ["log-not-trusted"]);
    let without_ct = TrustRoot::from_parts(&TrustParts { ct_log_keys: None, ..parts.clone() }, "three").unwrap();
    assert_eq!(layout::codes(&judge(&without_ct)), ["sct-log-unknown"]);
    let swapped = TrustParts { certificate_authority: parts.log_keys.clone(), ..parts };
    assert!(TrustRoot::from_parts(&swapped, "swapped").is_err());
}
