//! What the trust policy asks of all evidence about one image together: how many
//! signers, provenance that agrees with its certificate, schemas, Notary Project
//! signatures. Each rule with what meets it and what does not.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

use std::path::Path;

use carnet_bundle::{Digest, Manifest, Severity, inventory::EvidenceKind, media};
use carnet_evidence::{
    Claim, Identity, PublicKey, Requirements, Rules, Signer, Subject, TrustPolicy, TrustRoot, TrustSource, Verified, Verifier,
    from_loose_file, from_manifest,
};
use carnet_policy::{
    Component, Reading,
    checks::{Evidence, Judged, Options, Refused, attestation_error, evaluate},
};
use serde_json::{Value, json};

const IMAGE: &[u8] = br#"{"schemaVersion":2}"#;
const NOW: &str = "2026-11-25T12:00:00Z";
const SOURCE: &str = "builtin.attestation.source_check";
const SIGNED: &str = "builtin.image.signature_check";
const ATTESTED: &str = "builtin.attestation.signature_check";
const SYNTAX: &str = "builtin.attestation.syntax_check";

fn read(path: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path);
    std::fs::read(&file).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn verifier(root: &str, signer: Signer) -> Verifier {
    let root = TrustRoot::parse(&read(root), TrustSource::File(root.to_owned())).unwrap();
    Verifier::new(root, Rules::new(signer), NOW.parse().unwrap()).unwrap()
}

/// The claim of a bundle of the forge, by the identity that its rules name.
fn forged(folder: &str) -> Verified<Claim> {
    let expect: Value = serde_json::from_slice(&read(&format!("forge/{folder}/expect.json"))).unwrap();
    let identity = &expect["rules"]["identity"];
    let identity = Identity::exact(identity["subject"].as_str().unwrap(), identity["issuer"].as_str().unwrap()).unwrap();
    let bundle = read(&format!("forge/{folder}/bundle.sigstore.json"));
    let digest = Digest::of(IMAGE);
    let item = from_loose_file(&digest, &bundle).unwrap();
    let verifier = verifier("forge/trusted_root.json", Signer::Identities(vec![identity]));
    verifier.verify(&item, Subject::of_bytes(IMAGE)).unwrap_or_else(|findings| panic!("{folder}: {findings:?}"))
}

/// The requirements of a trust policy with these members.
fn requirements(members: &Value) -> Requirements {
    let mut document = json!({"apiVersion": "carnet/v0", "kind": "TrustPolicy"});
    for (key, member) in members.as_object().unwrap() {
        document[key] = member.clone();
    }
    TrustPolicy::from_value(document).unwrap().rules_of_all().unwrap().requirements
}

fn judge(folders: &[&str], policy: &Value, reading: Reading) -> Judged {
    judge_beside(folders, &[], policy, reading)
}

fn judge_beside(folders: &[&str], refused: &[Refused], policy: &Value, reading: Reading) -> Judged {
    let claims: Vec<_> = folders.iter().map(|folder| forged(folder)).collect();
    let component = Component::from_reference("registry.example/team/app:v1").unwrap();
    let options = Options { requirements: requirements(policy), reading, ..Options::default() };
    evaluate(&component, &Digest::of(IMAGE), Evidence { verified: &claims, refused }, &options)
}

fn results(results: &[carnet_policy::RuleResult]) -> Vec<&str> {
    results.iter().map(|result| result.code().unwrap_or_default()).collect()
}

/// Codes of the findings with a letter for their weight, the notes left out.
fn findings(judged: &Judged) -> Vec<String> {
    let weighty = judged.findings.iter().filter(|finding| finding.severity > Severity::Note);
    weighty.map(|finding| format!("{:?} {}", finding.severity, finding.code)).collect()
}

fn notes(judged: &Judged) -> Vec<&str> {
    judged.findings.iter().filter(|finding| finding.severity == Severity::Note).map(|finding| finding.code).collect()
}

const SIGNATURE: &str = "rekor-v2-image-signature";

#[test]
fn a_provenance_that_its_certificate_contradicts_fails_the_image() {
    for name in [
        "provenance-of-another-repository",
        "provenance-of-another-commit",
        "provenance-of-another-ref",
        "provenance-0.2-of-another-commit",
        "provenance-0.2-of-another-repository",
        "provenance-by-a-script-of-another-commit",
        "provenance-by-a-script-of-another-repository",
        "provenance-with-two-commits-of-one-repository",
    ] {
        for reading in [Reading::Strict, Reading::Conforma] {
            let judged = judge(&[SIGNATURE, name], &json!({}), reading);
            assert!(results(&judged.outcome.violations).contains(&SOURCE), "{name}: {judged:?}");
            assert!(findings(&judged).contains(&"Failure source-contradiction".to_owned()), "{name}: {judged:?}");
        }
        let warned = json!({"attestations": {"sourceContradiction": "warn"}});
        let judged = judge(&[SIGNATURE, name], &warned, Reading::Strict);
        assert!(!results(&judged.outcome.violations).contains(&SOURCE), "{name}: {judged:?}");
        assert!(results(&judged.outcome.warnings).contains(&SOURCE), "{name}: {judged:?}");
        assert!(findings(&judged).contains(&"Warning source-contradiction".to_owned()), "{name}: {judged:?}");
    }
}

/// A good provenance beside it does not help: the same signer said both.
#[test]
fn another_provenance_does_not_excuse_the_contradiction() {
    let judged =
        judge(&[SIGNATURE, "provenance-of-its-certificate", "provenance-of-another-commit"], &json!({}), Reading::Strict);
    assert_eq!(results(&judged.outcome.violations), [SOURCE]);
}

/// Rules that ask for attestations get none either.
#[test]
fn rules_get_no_attestation_that_its_certificate_contradicts() {
    let error = |folder: &str, policy: &Value| {
        let claims = [forged(folder)];
        let options = Options { requirements: requirements(policy), ..Options::default() };
        attestation_error(Evidence { verified: &claims, refused: &[] }, &options)
    };
    assert_eq!(error("provenance-of-its-certificate", &json!({})), None);
    let contradicted = error("provenance-of-another-commit", &json!({})).unwrap();
    assert!(contradicted.starts_with("source commit mismatch: the certificate states \"3f9f7ea2"), "{contradicted}");
    assert_eq!(error("provenance-of-another-commit", &json!({"attestations": {"sourceContradiction": "warn"}})), None);
}

#[test]
fn a_provenance_that_agrees_passes_and_what_cannot_be_compared_is_said() {
    let judged = judge(&[SIGNATURE, "provenance-of-its-certificate"], &json!({}), Reading::Strict);
    assert!(results(&judged.outcome.violations).is_empty() && judged.findings.is_empty(), "{judged:?}");
    for (name, open) in [
        ("provenance-by-a-script", "source ref not comparable: the predicate names no source ref"),
        ("provenance-that-names-no-source", "source repository not comparable: the predicate names no source repository"),
        ("provenance-under-a-certificate-without-facts", "the certificate names no source commit"),
    ] {
        let judged = judge(&[SIGNATURE, name], &json!({}), Reading::Strict);
        assert!(!results(&judged.outcome.violations).contains(&SOURCE), "{name}: {judged:?}");
        assert_eq!(notes(&judged), ["source-not-comparable"], "{name}");
        let note = judged.findings.iter().find(|finding| finding.code == "source-not-comparable").unwrap();
        assert!(note.message.contains(open), "{name}: {note:?}");
    }
}

#[test]
fn another_builder_is_noted_and_weighs_what_the_operator_says() {
    let name = "provenance-of-another-builder";
    let with =
        |weight: &str| judge(&[SIGNATURE, name], &json!({"attestations": {"builderContradiction": weight}}), Reading::Strict);
    let default = judge(&[SIGNATURE, name], &json!({}), Reading::Strict);
    assert_eq!(notes(&default), ["builder-contradiction"]);
    assert!(results(&default.outcome.violations).is_empty());
    assert_eq!(findings(&with("warn")), ["Warning builder-contradiction"]);
    assert_eq!(results(&with("warn").outcome.warnings), [SOURCE]);
    assert_eq!(findings(&with("fail")), ["Failure builder-contradiction"]);
    assert_eq!(results(&with("fail").outcome.violations), [SOURCE]);
}

#[test]
fn signers_of_the_image_are_counted_by_their_names() {
    let two = json!({"signatures": {"threshold": 2}});
    // One identity, twice.
    let once = judge(&[SIGNATURE, SIGNATURE, "provenance-of-its-certificate"], &two, Reading::Strict);
    assert_eq!(findings(&once), ["Failure image-signers-too-few"]);
    assert_eq!(results(&once.outcome.violations), [SIGNED]);
    assert!(once.outcome.violations[0].msg.contains("1 distinct signers, 2 wanted"), "{once:?}");
    let twice = judge(&[SIGNATURE, "signature-by-e-mail", "provenance-of-its-certificate"], &two, Reading::Strict);
    assert!(results(&twice.outcome.violations).is_empty(), "{twice:?}");
    // An attestation by someone else is no second signature.
    let attested = judge(&[SIGNATURE, "e-mail-identity"], &two, Reading::Strict);
    assert!(findings(&attested).contains(&"Failure image-signers-too-few".to_owned()));
}

#[test]
fn signers_of_attestations_are_counted_by_their_names() {
    let two = json!({"attestations": {"threshold": 2}});
    let once = judge(&[SIGNATURE, "provenance-of-its-certificate", "subject-named-as-asked"], &two, Reading::Strict);
    assert_eq!(findings(&once), ["Failure attestation-signers-too-few"]);
    assert!(results(&once.outcome.violations) == [ATTESTED] && !once.goes_on, "{once:?}");
    let twice = judge(&[SIGNATURE, "provenance-of-its-certificate", "attestation-by-e-mail"], &two, Reading::Strict);
    assert!(results(&twice.outcome.violations).is_empty(), "{twice:?}");
    let three = judge(
        &[SIGNATURE, "provenance-of-its-certificate", "attestation-by-e-mail"],
        &json!({"attestations": {"threshold": 3}}),
        Reading::Strict,
    );
    assert_eq!(findings(&three), ["Failure attestation-signers-too-few"]);
}

#[test]
fn a_violation_of_the_schema_weighs_what_the_operator_says() {
    let name = "provenance-that-names-no-source";
    let strict = judge(&[SIGNATURE, name], &json!({}), Reading::Strict);
    assert_eq!(results(&strict.outcome.violations), [SYNTAX]);
    assert_eq!(findings(&strict), ["Failure attestation-syntax"]);
    let warned = judge(&[SIGNATURE, name], &json!({"attestations": {"slsaSchema": "warn"}}), Reading::Strict);
    assert!(results(&warned.outcome.violations).is_empty() && warned.goes_on, "{warned:?}");
    assert_eq!(results(&warned.outcome.warnings), [SYNTAX]);
    assert_eq!(findings(&warned), ["Warning attestation-syntax"]);
    assert!(warned.findings.iter().any(|finding| finding.hint.contains("predicate.runDetails")), "{warned:?}");
    // Nothing is lowered where nothing is wrong.
    let good =
        judge(&[SIGNATURE, "provenance-of-its-certificate"], &json!({"attestations": {"slsaSchema": "warn"}}), Reading::Strict);
    assert!(results(&good.outcome.successes).contains(&SYNTAX) && good.outcome.warnings.is_empty(), "{good:?}");
}

#[test]
fn a_notary_project_signature_is_required_or_forbidden_by_its_presence() {
    let notation = [Refused { form: EvidenceKind::Notation, findings: Vec::new() }];
    let run = |refused: &[Refused], rule: &str| {
        let policy = json!({"attestations": {"notation": rule}});
        findings(&judge_beside(&[SIGNATURE, "provenance-of-its-certificate"], refused, &policy, Reading::Strict))
    };
    assert_eq!(run(&[], "require"), ["Failure notation-signature-missing"]);
    assert!(run(&notation, "require").is_empty());
    assert_eq!(run(&notation, "forbid"), ["Failure notation-signature-forbidden"]);
    assert!(run(&[], "forbid").is_empty());
    assert!(run(&notation, "ignore").is_empty() && run(&[], "ignore").is_empty());
    // It does not stand for a signature of the image.
    let alone = judge_beside(
        &["provenance-of-its-certificate"],
        &notation,
        &json!({"attestations": {"notation": "require"}}),
        Reading::Strict,
    );
    assert_eq!(results(&alone.outcome.violations), [SIGNED]);
}

/// Conforma takes any bundle for a signature; the report says that it did.
#[test]
fn an_attestation_that_counts_as_a_signature_is_said() {
    let name = "provenance-of-its-certificate";
    let strict = judge(&[name], &json!({}), Reading::Strict);
    assert_eq!(findings(&strict), ["Failure image-signature-not-verified"]);
    let conforma = judge(&[name], &json!({}), Reading::Conforma);
    assert!(results(&conforma.outcome.violations).is_empty(), "{conforma:?}");
    assert_eq!(findings(&conforma), ["Warning attestation-counted-as-signature"]);
    assert!(findings(&judge(&[SIGNATURE, name], &json!({}), Reading::Conforma)).is_empty());
}

/// Whoever signed the image called it `registry.example/team/app`.
#[test]
fn another_name_in_a_signature_is_said() {
    let folder = "forge/legacy-signature";
    let layer: Value = serde_json::from_slice(&read(&format!("{folder}/layer.json"))).unwrap();
    let blob = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, layer["blob"].as_str().unwrap()).unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "digest": Digest::of(b"{}"), "size": 2},
        "layers": [{"mediaType": layer["mediaType"], "digest": Digest::of(&blob), "size": blob.len(), "annotations": layer["annotations"]}],
    });
    let manifest = Manifest::parse(manifest.to_string().as_bytes(), media::OCI_MANIFEST).unwrap();
    let (items, _) = from_manifest(&Digest::of(IMAGE), &Digest::of(b"manifest"), &manifest, &|_| Some(&blob));
    let identity =
        Identity::exact("https://gitlab.example/team/app//.gitlab-ci.yml@refs/heads/main", "https://gitlab.example").unwrap();
    let verifier = verifier("forge/trusted_root.json", Signer::Identities(vec![identity]));
    let claims = [verifier.verify(&items[0], Subject::of_bytes(IMAGE)).unwrap()];
    for (asked, said) in [("registry.example/team/app:v7", false), ("registry.example/prod/app:v7", true)] {
        let component = Component::from_reference(asked).unwrap();
        let evidence = Evidence { verified: &claims, refused: &[] };
        let judged = evaluate(&component, &Digest::of(IMAGE), evidence, &Options::default());
        assert_eq!(notes(&judged).contains(&"signed-under-another-name"), said, "{asked}: {judged:?}");
        assert!(results(&judged.outcome.successes).contains(&SIGNED), "{asked}");
    }
}

/// Every layout of real evidence whose provenance a certificate signed.
#[test]
fn provenance_of_real_builders_agrees_with_its_certificate() {
    const SLSA: &str =
        "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/";
    const GITHUB: &str = "https://token.actions.githubusercontent.com";
    const MAIN: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";
    const DEV: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/dev";
    let (public, local) = ("trust/public-good/trusted_root.json", "trust/local-sigstore/trusted_root.json");
    for (layout, root, subject, issuer, want) in [
        // Its certificate is from before Fulcio named build signer and run.
        ("ghgen-v1.4.0", public, format!("{SLSA}v1.4.0"), GITHUB, "===??"),
        ("ghgen-v1.10.0", public, format!("{SLSA}v1.10.0"), GITHUB, "====="),
        ("ghgen-v2.1.0", public, format!("{SLSA}v2.1.0"), GITHUB, "====="),
        ("local-sigstore/app", local, MAIN.to_owned(), "https://gitlab.local", "===?="),
        ("local-sigstore/keyless-legacy", local, MAIN.to_owned(), "https://gitlab.local", "===?="),
        ("local-sigstore/keyless-rekor1", local, MAIN.to_owned(), "https://gitlab.local", "===?="),
        ("local-sigstore/mixed", local, MAIN.to_owned(), "https://gitlab.local", "===?="),
        // Its script was run on another branch than it says.
        ("local-sigstore/mixed", local, DEV.to_owned(), "https://gitlab.local", "=!!?="),
    ] {
        let identity = Identity::exact(&subject, issuer).unwrap();
        let compared = compared(layout, &verifier(root, Signer::Identities(vec![identity])));
        assert_eq!(compared, [want], "{layout} {subject}");
    }
    // A key states nothing: there is nothing to compare.
    let key = PublicKey::from_pem(&read("trust/local-sigstore/demo.pub")).unwrap();
    assert!(compared("local-sigstore/key-legacy-tlog", &verifier(local, Signer::Key(key))).is_empty());
}

/// The distinct comparisons of everything in a layout that verifies.
fn compared(layout: &str, verifier: &Verifier) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/layouts").join(layout).join("blobs/sha256");
    let blobs: std::collections::BTreeMap<Digest, Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .map(|bytes| (Digest::of(&bytes), bytes))
        .collect();
    let index: Value = serde_json::from_slice(&read(&format!("layouts/{layout}/index.json"))).unwrap();
    let mut found = Vec::new();
    let mut verified = 0;
    for (digest, bytes) in &blobs {
        let Ok(manifest) = Manifest::parse(bytes, media::OCI_MANIFEST) else { continue };
        let subjects = manifest.subject.iter().map(|subject| subject.digest);
        let images = index["manifests"].as_array().unwrap().iter().filter_map(|entry| entry["digest"].as_str()?.parse().ok());
        for subject in subjects.chain(images) {
            let (items, _) = from_manifest(&subject, digest, &manifest, &|digest| blobs.get(digest).map(Vec::as_slice));
            for claim in items.iter().filter_map(|item| verifier.verify(item, subject).ok()) {
                verified += 1;
                found.extend(claim.provenance.as_ref().map(|provenance| {
                    let rows = provenance.source().into_iter().chain(provenance.build());
                    rows.map(|(_, comparison)| match comparison {
                        carnet_evidence::Comparison::Consistent => '=',
                        carnet_evidence::Comparison::Contradicts(_) => '!',
                        carnet_evidence::Comparison::NotComparable(_) => '?',
                    })
                    .collect::<String>()
                }));
            }
        }
    }
    assert!(verified > 0, "{layout}: nothing verifies");
    found.sort();
    found.dedup();
    found
}
