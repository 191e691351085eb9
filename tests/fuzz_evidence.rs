//! Fuzz targets of the evidence room: no reader panics, limits hold, and a refusal has
//! a code. A module of the room, for most readers are its own affair.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a test reads its data, and says so when it is not there"
)]

use std::{collections::BTreeMap, sync::LazyLock};

use carnet_bundle::{Digest, json};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    Identity, LogProofs, PublicKey, Rules, Signer, TrustPolicy, TrustRoot, TrustSource, Verifier, Witness, budget,
    certificate::Certificate,
    checkpoint::Checkpoint,
    claimed_subjects, codes,
    der::{self, Reader},
    encoding, entry_body, envelope, from_loose_file, legacy, sct, sigbundle,
    signed::{Refusal, Signed},
    simple_signing, statement,
    target::target,
    timestamp,
    trust_policy::TufVersions,
    tuf::Repository,
};

/// The trust root of the forge.
static ROOT: LazyLock<TrustRoot> =
    LazyLock::new(|| TrustRoot::parse(include_bytes!("../testdata/forge/trusted_root.json"), TrustSource::None).unwrap());

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Every refusal says why, by a code that is documented.
fn has_code<T>(result: Result<T, Refusal>) -> Option<T> {
    result.map_err(|refusal| assert!(codes::ALL.iter().any(|code| code.name == refusal.code.name))).ok()
}

fn within_limits(signed: &Signed<'_>) {
    assert!(signed.entries.len() <= budget::LOG_ENTRIES && signed.timestamps.len() <= budget::TIMESTAMPS);
    assert!(
        signed.signatures().all(|signature| signature.bytes.len() <= budget::SIGNATURE)
            && signed.further.len() < budget::SIGNATURES
    );
    assert!(signed.timestamps.iter().all(|token| token.len() <= budget::TOKEN));
    for entry in &signed.entries {
        assert!(entry.body.len() <= budget::ENTRY_BODY);
        assert!(entry.proof.as_ref().is_none_or(|proof| proof.hashes.len() <= budget::PROOF_HASHES));
    }
}

target!(sigstore_bundle, |bytes| {
    if let Some(signed) = has_code(sigbundle::parse(bytes)) {
        within_limits(&signed);
    }
});

// As a whole: whatever is accepted is the word of the one identity that was asked for.
target!(judged_bundle, |bytes| {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
        let identity =
            Identity::exact("https://gitlab.example/team/app//.gitlab-ci.yml@refs/heads/main", "https://gitlab.example");
        let rules = Rules::new(Signer::Identities(vec![identity.unwrap()]));
        Verifier::new(ROOT.clone(), rules, Timestamp::from_second(1_795_600_000).unwrap()).unwrap()
    });
    let subject = Digest::of(br#"{"schemaVersion":2}"#);
    let Ok(evidence) = from_loose_file(&subject, bytes) else { return };
    match VERIFIER.verify(&evidence, subject) {
        Ok(claim) => assert_eq!((claim.subject, claim.times.is_empty()), (subject, false)),
        Err(findings) => assert!(findings.iter().all(|finding| codes::ALL.iter().any(|code| code.name == finding.code))),
    }
});

target!(loose_file, |bytes| {
    let subjects = claimed_subjects(bytes);
    assert!(subjects.len() <= budget::SUBJECTS * budget::SUBJECT_DIGESTS);
    if let Ok(evidence) = from_loose_file(&Digest::of(b""), bytes) {
        assert!(!evidence.describe().is_empty());
    }
});

target!(dsse_envelope, |bytes| {
    if let Some(envelope) = has_code(envelope::parse(bytes)) {
        let encoding = envelope::pre_authentication_encoding(&envelope.payload_type, &envelope.payload);
        assert!(encoding.starts_with(b"DSSEv1 ") && encoding.ends_with(&envelope.payload));
    }
});

// A layer in the form of `testdata/forge/*/layer.json`.
target!(legacy_layer, |bytes| {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let annotations: Result<BTreeMap<String, String>, _> = serde_json::from_value(value["annotations"].clone());
    let (Ok(annotations), Some(blob)) = (annotations, value["blob"].as_str().and_then(encoding::base64_standard)) else { return };
    for signed in [legacy::read_signature(&blob, &annotations), legacy::read_attestation(&blob, &annotations)] {
        has_code(signed).iter().for_each(within_limits);
    }
});

target!(simple_signing, |bytes| {
    if let Some(payload) = has_code(simple_signing::parse(bytes)) {
        assert!(json::parse(bytes).unwrap().to_string().contains(&payload.digest.to_string()));
    }
});

// The quick reader of statements sees what the full one sees.
target!(statement, |bytes| {
    let Some(statement) = has_code(statement::parse(bytes)) else { return };
    let value = json::parse(bytes).unwrap();
    assert_eq!(value["predicateType"], statement.predicate_type.as_str());
    assert_eq!(value["_type"], statement.statement_type.as_str());
    assert!(value["subject"].as_array().unwrap().len() <= budget::SUBJECTS);
});

target!(log_entry_body, |bytes| {
    let (kind, version) = entry_body::kind_of(bytes);
    has_code(entry_body::parse(bytes, &kind, &version));
    for (kind, version) in
        [("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2"), ("dsse", "0.0.1"), ("intoto", "0.0.1"), ("intoto", "0.0.2")]
    {
        has_code(entry_body::parse(bytes, kind, version));
    }
});

target!(log_proof, |bytes| {
    if let Err(error) = LogProofs::default().add(bytes) {
        assert!(!error.to_string().is_empty());
    }
});

target!(checkpoint, |bytes| {
    let Some(checkpoint) = has_code(Checkpoint::parse(text(bytes))) else { return };
    assert!(text(bytes).len() <= budget::CHECKPOINT);
    for log in ROOT.logs() {
        has_code(checkpoint.verify(log));
    }
    assert_eq!(checkpoint.witnessed_by(&[]), 0);
});

target!(witness_key, |bytes| {
    let Some(witness) = Witness::parse(text(bytes)) else { return };
    assert_eq!(Witness::parse(text(bytes)), Some(witness));
});

target!(elements, |bytes| {
    let mut reader = Reader::new(bytes);
    let mut written = Vec::new();
    while let Some(element) = reader.next() {
        assert_eq!(der::write(element.tag, element.content), element.whole, "a second way to write it was read");
        written.extend_from_slice(element.whole);
    }
    assert!(bytes.starts_with(&written));
});

target!(certificate, |bytes| {
    let Ok(certificate) = Certificate::parse(bytes) else { return };
    assert_eq!(certificate.as_der(), bytes);
    assert_eq!(encoding::pem_single(certificate.to_pem().as_bytes()), Some((encoding::PemKind::Certificate, bytes.to_vec())));
    let _ = (certificate.metadata(), certificate.oidc_issuer(), certificate.extended_key_usage(), certificate.serial());
    assert!(!(certificate.is_authority() && certificate.is_signer()));
    certificate.is_issued_by(&certificate);
    has_code(sct::verify(&certificate, certificate.key().as_der(), ROOT.ct_logs(), 1));
});

target!(timestamp_token, |bytes| {
    has_code(timestamp::verify(bytes, b"message", ROOT.timestamp_authorities()));
});

target!(trusted_root, |bytes| {
    let Ok(root) = TrustRoot::parse(bytes, TrustSource::None) else { return };
    assert!(root.ends().is_sorted_by_key(|(_, end)| *end));
    let _ = (root.newest_entry(), root.skipped(), root.is_without_logs());
});

target!(public_key, |bytes| {
    if let Ok(key) = PublicKey::from_pem(bytes) {
        assert_eq!(PublicKey::from_pem(key.to_pem().as_bytes()).unwrap(), key);
    }
    if let Ok(key) = PublicKey::from_der(bytes) {
        assert_eq!(key.as_der(), bytes);
    }
    let _ = encoding::pem_sections(bytes);
});

target!(tuf_metadata, |bytes| {
    let mut repository = Repository::default();
    match repository.add_metadata(bytes) {
        Ok(name) => {
            assert!(name.ends_with(".json") && !name.contains('/'));
            // The same file twice is one file.
            assert_eq!(repository.add_metadata(bytes), Ok(name));
            assert!(!repository.is_empty());
        }
        Err(error) => assert!(codes::ALL.iter().any(|code| code.name == error.code().name)),
    }
});

// As a whole: a chain one of whose files is another one leads to its one target, or nowhere.
target!(tuf_chain, |bytes| {
    macro_rules! public_good {
        ($file:literal) => {
            include_bytes!(concat!("../testdata/trust/public-good/", $file)).as_slice()
        };
    }
    let held = public_good!("tuf/14.root.json");
    let target = public_good!("trusted_root.json");
    let mut repository = Repository::default();
    let changed = repository.add_metadata(bytes);
    for file in [
        public_good!("tuf/15.root.json"),
        public_good!("tuf/timestamp.json"),
        public_good!("tuf/165.snapshot.json"),
        public_good!("tuf/14.targets.json"),
    ] {
        // Not where the changed one has its place.
        let added = repository.add_metadata(file);
        assert!(added.is_ok() || changed.is_ok());
    }
    repository.add_target(bytes);
    repository.add_target(target);
    match repository.deliver(held, &TufVersions::default()) {
        Ok((chain, delivered)) => assert_eq!((delivered, chain.links().len()), (target, 4)),
        Err(error) => assert!(codes::ALL.iter().any(|code| code.name == error.code().name)),
    }
});

target!(trust_policy, |bytes| {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    match TrustPolicy::from_value(value) {
        Ok(policy) => drop((policy.rules_of_all(), policy.relaxations())),
        Err(error) => assert!(!error.to_string().is_empty() || !error.at().is_empty()),
    }
});

target!(identity_pattern, |bytes| {
    let Ok(identity) = Identity::new(None, Some(text(bytes)), Some("https://issuer.example"), None) else { return };
    let _ = (identity.lint(), identity.anchored(), identity.accepts_subject("https://issuer.example/a"));
});

target!(base64, |bytes| {
    if let Some(decoded) = encoding::base64_standard(text(bytes)) {
        assert_eq!(encoding::to_base64(&decoded), text(bytes), "a second way to write it was read");
    }
    if let Some(decoded) = encoding::base64_protojson(text(bytes)) {
        let padded = encoding::to_base64(&decoded);
        assert_eq!(padded.trim_end_matches('='), text(bytes).trim_end_matches('=').replace('-', "+").replace('_', "/"));
    }
});
