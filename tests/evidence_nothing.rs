//! Nothing is not a pass: no list of images, no evidence about one, whatever the
//! flags and the trust policy leave out. Below the command line.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

use carnet_bundle::{
    Archive, Assembly, Content, Descriptor, Digest, Limits, Manifest, Plan,
    container::{BLOCK, header},
    inventory::{LookResult, Method, Receipt, Subject},
    media,
};
use carnet_verify::{
    Document, Inputs, TrustInputs, VerifyArgs,
    report::{Report, Verdict},
    run,
};
use serde_json::{Value, json};

const REPOSITORY: &str = "registry.example/team/app";
/// What asks for less of an image and of what stands behind a signature.
const LOOSE: &str = "
apiVersion: carnet/v0
kind: TrustPolicy
trustRoot: {digest: \"sha256:PIN\"}
signatures: {scope: root}
attestations: {buildkit: accept-when-index-signed, slsaSchema: warn, sourceContradiction: warn}
log: {threshold: 0}
";

/// An archive of one image about which everything was looked for and nothing found.
fn archive() -> Vec<u8> {
    let config = descriptor(media::OCI_CONFIG, b"{}");
    let image = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [] });
    let image = image.to_string().into_bytes();
    let parsed = Manifest::parse(&image, media::OCI_MANIFEST).unwrap();
    let receipt = |method| Receipt {
        subject: Digest::of(&image),
        repository: REPOSITORY.to_owned(),
        method,
        result: LookResult::None,
        found: 0,
        status: Some(404),
        answer: None,
        note: String::new(),
    };
    let assembly = Assembly {
        subjects: vec![Subject::new(format!("{REPOSITORY}:v1"), &root(&image), &parsed, |_| true)],
        receipts: Method::PROFILE.map(receipt).to_vec(),
        blobs: [image.clone(), b"{}".to_vec()].into_iter().map(|bytes| (Digest::of(&bytes), bytes)).collect(),
        ..Assembly::default()
    };
    let mut archive = Vec::new();
    for member in Plan::new(assembly).unwrap().members() {
        let Content::Bytes(bytes) = &member.content else { panic!("{} is streamed", member.name) };
        archive.extend_from_slice(&header(&member.name, u64::try_from(bytes.len()).unwrap()));
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn root(bytes: &[u8]) -> Descriptor {
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(media::OCI_MANIFEST, bytes)] }).to_string();
    Manifest::parse(index.as_bytes(), media::OCI_INDEX).unwrap().children()[0].clone()
}

fn judge(words: &[&str], images: &str, is_loose: bool) -> Report {
    let fixed = ["carnet-verify", "-", "--layers=none", "--images", "images.yaml"];
    let args = VerifyArgs::read(fixed.iter().chain(words).map(Into::into)).unwrap();
    let document = |name: &str, bytes: Vec<u8>| Document { name: name.to_owned(), bytes };
    let root = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/forge/trusted_root.json")).unwrap();
    let policy = LOOSE.replace("sha256:PIN", &Digest::of(&root).to_string()).into_bytes();
    let inputs = Inputs {
        images: vec![document("images.yaml", images.as_bytes().to_vec())],
        policy: None,
        trusted_root: Some(document("trusted_root.json", root)),
        trust: TrustInputs { policy: is_loose.then(|| document("trust.yaml", policy)), ..TrustInputs::default() },
        policy_lock: None,
        sources: &carnet_verify::disk::sources::Disk,
        read: &|path| std::fs::read(path),
    };
    let archive = archive();
    let mut container = Archive::new(archive.as_slice(), &Limits::default()).unwrap();
    run(&args, &inputs, &mut container, "2026-04-01T00:00:00Z".parse().unwrap(), 2).unwrap()
}

fn codes(report: &Report) -> Vec<&str> {
    report.carnet.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn an_image_without_evidence_fails_whatever_is_left_out() {
    let images = format!("components: [{{name: app, containerImage: \"{REPOSITORY}:v1\"}}]\n");
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/trust/local-sigstore/demo.pub");
    let signers: [&[&str]; 2] =
        [&["--public-key", key], &["--certificate-identity=a@example.com", "--certificate-oidc-issuer=https://issuer.example"]];
    let flags = ["--skip-image-sig-check", "--ignore-rekor", "--compat=ec", "--allow-unexpected-images", "--info"];
    for signer in signers {
        for left_out in 0..1 << flags.len() {
            let chosen = flags.iter().enumerate().filter(|(at, _)| left_out & (1 << at) != 0).map(|(_, flag)| *flag);
            let words: Vec<_> = signer.iter().copied().chain(chosen).collect();
            for is_loose in [false, true] {
                let report = judge(&words, &images, is_loose);
                assert_eq!(report.verdict(), Verdict::Fail, "{words:?} {is_loose}");
                assert!(codes(&report).contains(&"attestation-not-verified"), "{words:?}: {:?}", codes(&report));
                let [component] = report.components.as_slice() else { panic!("{:?}", report.components) };
                assert!(!component.success() && component.attestations.is_empty(), "{words:?}: {component:?}");
            }
        }
    }
}

#[test]
fn an_empty_list_of_images_fails() {
    let signer = ["--certificate-identity=a@example.com", "--certificate-oidc-issuer=https://issuer.example"];
    for flags in [&[][..], &["--allow-unexpected-images"], &["--skip-image-sig-check", "--allow-unexpected-images"]] {
        let words = [&signer[..], flags].concat();
        let report = judge(&words, "components: []\n", false);
        assert_eq!(report.verdict(), Verdict::Fail, "{words:?}");
        assert!(codes(&report).contains(&"no-components") && report.components.is_empty(), "{:?}", codes(&report));
    }
}
