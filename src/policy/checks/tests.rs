//! The checks against what `ec` printed for the same evidence
//! (testdata/policy/NOTICE), and where carnet reads it otherwise.

use serde_json::json;

use super::*;

const IMAGE: &str = "registry.example/golden/app:v1";
const ATT: &str = "builtin.attestation.signature_check";
const SYNTAX: &str = "builtin.attestation.syntax_check";
const SIG: &str = "builtin.image.signature_check";
const KEY_SIGNATURES: &str = "No image signatures found matching the given public key. Verify the correct public key was provided, and a signature was created. Error: no matching signatures: ";
const KEY_ATTESTATIONS: &str = "No image attestations found matching the given public key. Verify the correct public key was provided, and one or more attestations were created. Error: no matching attestations: ";
const ENVELOPE: &str = "accepted signatures do not match threshold, Found: 0, Expected 1";

fn signature(store: Store) -> Item {
    let signature = Signature { sig: "MEUC".into(), ..Signature::default() };
    Item {
        store,
        kind: ClaimKind::ImageSignature,
        predicate_type: String::new(),
        provenance: None,
        signature,
        signer: Some("key".into()),
        evidence: "evidence".into(),
        compared: None,
        docker_reference: None,
    }
}

fn attestation(store: Store, statement: Value) -> Item {
    let predicate_type = statement["predicateType"].as_str().unwrap().to_owned();
    let provenance = Provenance::of(&predicate_type).map(|of| (of, statement));
    Item { kind: ClaimKind::Attestation, predicate_type, provenance, ..signature(store) }
}

fn refused(form: EvidenceKind, code: &'static Code, message: &str) -> Refused {
    Refused { form, findings: vec![Finding::new(code, "x", message)] }
}

fn slsa1(builder: Value, parameters: bool) -> Value {
    let mut statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "subject": [{"name": "app", "digest": {"sha256": "00ff"}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {"buildType": "https://docs.gitlab.com/x", "externalParameters": {}},
            "runDetails": {"builder": {"id": builder}},
        },
    });
    if !parameters {
        statement["predicate"]["buildDefinition"].as_object_mut().unwrap().shift_remove("externalParameters");
    }
    statement
}

fn good(store: Store) -> Item {
    attestation(store, slsa1(json!("https://gitlab.example/runner/1"), true))
}

fn run(items: &[Item], refused: &[Refused], options: Options) -> Judged {
    let component = Component::from_reference(IMAGE).unwrap();
    judge(&component, &Digest::of(b"image"), items, refused, &options)
}

fn key_mode() -> Options {
    Options { key_mode: true, ..Options::default() }
}

fn conforma(options: Options) -> Options {
    Options { reading: Reading::Conforma, ..options }
}

/// `code: message` of every violation, then `+code` of every success.
fn lines(judged: &Judged) -> Vec<String> {
    let violation = |r: &RuleResult| format!("{}: {}", r.code().unwrap_or_default(), r.msg);
    let success = |r: &RuleResult| format!("+{}", r.code().unwrap_or_default());
    judged.outcome.violations.iter().map(violation).chain(judged.outcome.successes.iter().map(success)).collect()
}

fn codes(judged: &Judged) -> Vec<&'static str> {
    judged.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn signature_and_attestation_of_either_store_pass() {
    for (signed, attested) in [(Store::Legacy, Store::Legacy), (Store::Bundle, Store::Bundle), (Store::Legacy, Store::Bundle)] {
        let judged = run(&[signature(signed), good(attested)], &[], key_mode());
        assert_eq!(lines(&judged), [format!("+{ATT}"), format!("+{SYNTAX}"), format!("+{SIG}")]);
        assert!(judged.goes_on && judged.findings.is_empty());
        let digest = Digest::of(b"image");
        assert_eq!(judged.outcome.container_image, format!("registry.example/golden/app@{digest}"));
        assert_eq!((judged.outcome.signatures.len(), judged.outcome.attestations.len()), (1, 1));
        // Only legacy stores show the build type.
        let build_type = judged.outcome.attestations[0].predicate_build_type.is_some();
        assert_eq!(build_type, attested == Store::Legacy);
    }
}

/// Recorded: 008-unsigned, 009-signature-only.
#[test]
fn nothing_there_is_worded_as_in_ec() {
    let judged = run(&[], &[], key_mode());
    assert_eq!(
        lines(&judged),
        [format!("{ATT}: {KEY_ATTESTATIONS}"), format!("{SIG}: Image signature check failed: no signatures found")]
    );
    assert_eq!(codes(&judged), ["image-signature-not-verified", "attestation-not-verified"]);
    let judged = run(&[signature(Store::Legacy)], &[], key_mode());
    assert_eq!(lines(&judged), [format!("{ATT}: {KEY_ATTESTATIONS}"), format!("+{SIG}")]);
    assert!(judged.outcome.signatures.is_empty() && !judged.goes_on);
    let judged = run(&[], &[], Options::default());
    assert_eq!(lines(&judged)[0], format!("{ATT}: Image attestation check failed: no matching attestations: "));
}

/// Recorded: 006, 007, 010, 011, 019, 020, 025.
#[test]
fn refusals_are_worded_as_in_ec() {
    use EvidenceKind::{Dsse, SigstoreBundle, Simplesigning};
    use carnet_evidence::codes::{KEY_MISMATCH, NO_LOG_ENTRY, NO_VERIFIED_TIME, SUBJECT_MISMATCH};

    let wrong_key = |form| refused(form, &KEY_MISMATCH, "the signature was not made by this key");
    let judged = run(&[], &[wrong_key(Simplesigning), wrong_key(Dsse)], key_mode());
    assert_eq!(
        lines(&judged),
        [
            format!("{ATT}: {KEY_ATTESTATIONS}{ENVELOPE}"),
            format!("{SIG}: {KEY_SIGNATURES}invalid signature when validating ASN.1 encoded signature"),
        ]
    );

    let judged = run(&[], &[wrong_key(SigstoreBundle), wrong_key(SigstoreBundle)], key_mode());
    let one = format!("failed to verify signature: could not verify envelope: {ENVELOPE}");
    let both = format!("{KEY_ATTESTATIONS}{one}\n{one}");
    assert_eq!(lines(&judged), [format!("{ATT}: {both}"), format!("{SIG}: {both}")]);

    let other = Digest::of(b"other");
    let message = format!("subject mismatch: it speaks of {other}, this is {}", Digest::of(b"image"));
    let moved = |form| refused(form, &SUBJECT_MISMATCH, &message);
    let judged = run(&[], &[moved(Simplesigning), moved(Dsse)], key_mode());
    assert_eq!(
        lines(&judged),
        [
            format!("{ATT}: {KEY_ATTESTATIONS}no matching subject digest found"),
            format!("{SIG}: {KEY_SIGNATURES}invalid or missing digest in claim: {other}"),
        ]
    );

    let judged = run(&[], &[refused(Simplesigning, &NO_LOG_ENTRY, "0 logs"), refused(Dsse, &NO_LOG_ENTRY, "0 logs")], key_mode());
    let online = "rekor client not provided for online verification";
    assert_eq!(lines(&judged), [format!("{ATT}: {KEY_ATTESTATIONS}{online}"), format!("{SIG}: {KEY_SIGNATURES}{online}")]);

    let keys = |form| refused(form, &carnet_evidence::codes::SIGNER_KIND_MISMATCH, "no certificate: signed with a key");
    let judged = run(&[], &[keys(Simplesigning), keys(Dsse)], Options::default());
    assert_eq!(
        lines(&judged),
        [
            format!("{ATT}: Image attestation check failed: no matching attestations: {online}"),
            format!("{SIG}: Image signature check failed: no matching signatures: {online}"),
        ]
    );

    let judged = run(&[], &[refused(Simplesigning, &NO_VERIFIED_TIME, "0 sources")], Options::default());
    let expired = "expected a signed timestamp to verify an expired certificate";
    assert_eq!(lines(&judged)[1], format!("{SIG}: Image signature check failed: no matching signatures: {expired}"));
}

/// Recorded: 015-bundle-signature-only.
#[test]
fn a_bundle_signature_alone_has_no_attestation_data() {
    let judged = run(&[signature(Store::Bundle)], &[], key_mode());
    let none = "No attestations contain a subject that match the given image.";
    assert_eq!(
        lines(&judged),
        [
            format!(": {none}"),
            format!("{SYNTAX}: Attestation syntax check failed: no attestation data"),
            format!("+{ATT}"),
            format!("+{SIG}"),
        ]
    );
    assert_eq!((codes(&judged), judged.goes_on), (vec!["no-attestation"], false));
    assert_eq!(judged.outcome.signatures.len(), 1);
}

/// Recorded: 014-bundle-provenance-only, where ec passes.
#[test]
fn provenance_does_not_pass_for_a_signature() {
    let judged = run(&[good(Store::Bundle)], &[], key_mode());
    assert_eq!(codes(&judged), ["image-signature-not-verified"]);
    assert!(judged.goes_on && !judged.outcome.success());
    let judged = run(&[good(Store::Bundle)], &[], conforma(key_mode()));
    assert_eq!(lines(&judged), [format!("+{ATT}"), format!("+{SYNTAX}"), format!("+{SIG}")]);
    assert!(judged.outcome.signatures.is_empty());
}

/// Recorded: 016-referrer-bundle-hides-tags, where ec fails.
#[test]
fn a_foreign_bundle_does_not_hide_the_tags() {
    let foreign = refused(EvidenceKind::SigstoreBundle, &carnet_evidence::codes::KEY_MISMATCH, "another key");
    let items = [signature(Store::Legacy), good(Store::Legacy)];
    assert!(run(&items, std::slice::from_ref(&foreign), key_mode()).outcome.success());
    let judged = run(&items, &[foreign], conforma(key_mode()));
    let one = format!("{KEY_ATTESTATIONS}failed to verify signature: could not verify envelope: {ENVELOPE}");
    assert_eq!(lines(&judged), [format!("{ATT}: {one}"), format!("{SIG}: {one}")]);
}

/// Recorded: 012 and 013, the predicate that a shell script writes. ec names one
/// of the two mistakes at random.
#[test]
fn a_predicate_outside_its_schema_fails_and_both_mistakes_are_named() {
    let parameters = "jsonschema: '/predicate/buildDefinition' does not validate with https://slsa.dev/provenance/v1#/properties/predicate/properties/buildDefinition/required: missing properties: 'externalParameters'";
    let builder = "jsonschema: '/predicate/runDetails/builder/id' does not validate with https://slsa.dev/provenance/v1#/properties/predicate/properties/runDetails/properties/builder/properties/id/";

    let judged = run(&[signature(Store::Legacy), attestation(Store::Legacy, slsa1(json!("12270807"), false))], &[], key_mode());
    let prefix = "Image attestation check failed: unable to parse as SLSA v1: attestation does not conform to SLSA v1.0 schema: ";
    assert_eq!(
        lines(&judged),
        [format!("{ATT}: {prefix}{parameters}\n{builder}format: '12270807' is not valid 'uri'"), format!("+{SIG}")]
    );
    assert!(!judged.goes_on && judged.outcome.attestations.is_empty());

    let judged = run(&[signature(Store::Bundle), attestation(Store::Bundle, slsa1(json!(12_270_807), false))], &[], key_mode());
    let prefix = "Attestation syntax check failed: attestation syntax validation failed: ";
    assert_eq!(
        lines(&judged),
        [
            format!("{SYNTAX}: {prefix}{parameters}\n{builder}type: expected string, but got number"),
            format!("+{ATT}"),
            format!("+{SIG}"),
        ]
    );
    assert!(judged.goes_on);
    assert_eq!(judged.findings[0].code, "attestation-syntax");
    let hint = &judged.findings[0].hint;
    assert!(hint.contains("predicate.runDetails.builder.id (an absolute URI)"), "{hint}");
    assert!(hint.contains("predicate.buildDefinition.externalParameters (an object)"), "{hint}");
}

/// Recorded: 022-skip-image-sig.
#[test]
fn a_skipped_check_is_in_neither_list() {
    let options = Options { skip_image_signature: true, ..key_mode() };
    let judged = run(&[good(Store::Legacy)], &[], options);
    assert_eq!(lines(&judged), [format!("+{ATT}"), format!("+{SYNTAX}")]);
    assert!(judged.outcome.signatures.is_empty());
}

/// Recorded: 021-image-not-found.
#[test]
fn a_missing_image_ends_its_component() {
    let component = Component::from_reference(IMAGE).unwrap();
    let judged = not_carried(&component, "the bundle does not carry it", &Options { info: true, ..Options::default() });
    assert_eq!(lines(&judged), ["builtin.image.accessible: Image URL is not accessible: the bundle does not carry it"]);
    assert_eq!((judged.outcome.container_image.as_str(), codes(&judged)), (IMAGE, vec!["image-not-accessible"]));
    let metadata = &judged.outcome.violations[0].metadata;
    assert_eq!(metadata["title"], "Image URL is accessible");
    assert_eq!(metadata["description"], "The image URL is available and accessible.");
    assert!(!judged.goes_on);
}

#[test]
fn titles_are_shown_on_request_only() {
    let items = [signature(Store::Legacy), good(Store::Legacy)];
    let members = |info| {
        let judged = run(&items, &[], Options { info, ..Options::default() });
        judged.outcome.successes[0].metadata.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(members(false), ["code"]);
    assert_eq!(members(true), ["code", "description", "title"]);
}

#[test]
fn a_stranger_is_named_in_cosigns_words() {
    let said = "none of the expected identities matched what was in the certificate, got subjects [https://kubernetes.io/namespaces/default/serviceaccounts/default] with issuer https://kubernetes.default.svc.cluster.local";
    let message = format!("{said}; want subject \"https://kubernetes.io/release\"");
    let code = &carnet_evidence::codes::IDENTITY_MISMATCH;
    let refused = [refused(EvidenceKind::Dsse, code, &message), refused(EvidenceKind::Simplesigning, code, &message)];
    let judged = run(&[], &refused, Options::default());
    let want = [
        format!("{ATT}: Image attestation check failed: no matching attestations: {said}"),
        format!("{SIG}: Image signature check failed: no matching signatures: {said}"),
    ];
    let mut got = lines(&judged);
    got.sort();
    assert_eq!(got, want);
}
