//! The trust policy: what it reads, what it refuses, what it asks for.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

use carnet_evidence::{
    Identity, KeyScheme, PublicKey, RepositoryRule, Requirements, Signer, TrustPolicy, TrustPolicyError, TrustRoot, TrustSource,
    Verifier, VerifierError,
    trust_policy::{Age, Buildkit, Notation, Scope, Weight},
};
use serde_json::{Value, json};

const DIGEST: &str = "sha256:6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66";

fn document(members: &Value) -> Value {
    let mut value = json!({"apiVersion": "carnet/v0", "kind": "TrustPolicy"});
    for (key, member) in members.as_object().unwrap() {
        value[key] = member.clone();
    }
    value
}

fn parse(members: &Value) -> Result<TrustPolicy, TrustPolicyError> {
    TrustPolicy::from_value(document(members))
}

fn signer() -> Signer {
    Signer::Identities(vec![Identity::new(None, Some("main"), Some("https://issuer.example"), None).unwrap()])
}

#[test]
fn an_empty_policy_is_the_strict_default() {
    let policy = parse(&json!({})).unwrap();
    assert_eq!(policy.trust_root.max_age.warn, Age::Hours(180 * 24));
    assert_eq!(policy.trust_root.max_age.fail, Age::Never);
    assert_eq!(policy.signatures.scope, Scope::AsConforma);
    assert_eq!(policy.attestations.buildkit, Buildkit::Refuse);
    assert_eq!(policy.attestations.builder_contradiction, Weight::Note);
    assert!(policy.relaxations().is_empty());
    let rules = policy.rules(signer()).unwrap();
    assert_eq!((rules.log_threshold, rules.time_threshold, rules.sct_threshold), (1, 1, 1));
    assert!(!rules.require_inclusion_proof && rules.extensions.is_empty() && rules.witness_threshold == 0);
    assert_eq!(rules.repository, RepositoryRule::Ignore);
}

#[test]
fn rules_that_are_written_are_asked_for() {
    let policy = parse(&json!({
        "trustRoot": {"digest": DIGEST, "maxAge": {"warn": "90d", "fail": "730d"}},
        "signatures": {"repositoryMatch": "prefix", "repositoryPrefix": "registry.example/team"},
        "log": {"threshold": 0, "proof": "inclusion"},
        "time": {"threshold": 2, "sources": ["timestamp-authority"]},
        "certificates": {"sctThreshold": 0, "regExp": "anchored", "extensions": {"sourceRepositoryURI": "https://github.com/org/app"}},
    }))
    .unwrap();
    let rules = policy.rules(signer()).unwrap();
    assert_eq!((rules.log_threshold, rules.time_threshold, rules.sct_threshold), (0, 2, 0));
    assert!(rules.require_inclusion_proof && !rules.time_sources.log && rules.time_sources.timestamp_authority);
    assert_eq!(rules.extensions.get(&12).map(String::as_str), Some("https://github.com/org/app"));
    assert_eq!(rules.repository, RepositoryRule::Prefix("registry.example/team".to_owned()));
    let Signer::Identities(identities) = &rules.signer else { panic!() };
    assert!(format!("{identities:?}").contains("^(?:main)$"));
    assert_eq!(policy.relaxations().len(), 2, "{:?}", policy.relaxations());
}

#[test]
fn what_is_asked_of_an_image_as_a_whole_is_handed_on() {
    assert_eq!(parse(&json!({})).unwrap().rules_of_all().unwrap().requirements, Requirements::default());
    let policy = parse(&json!({
        "trustRoot": {"digest": DIGEST},
        "signatures": {"scope": "root", "threshold": 2},
        "attestations": {
            "threshold": 3, "subjectName": "match", "slsaSchema": "warn", "sourceContradiction": "warn",
            "builderContradiction": "fail", "notation": "require",
        },
        "certificates": {"issuerWhereAbsent": "https://fulcio.example"},
    }))
    .unwrap();
    let rules = policy.rules(signer()).unwrap();
    let asked = rules.requirements;
    assert_eq!((asked.scope, asked.signers, asked.attesters), (Scope::Root, 2, 3));
    assert_eq!((asked.slsa_schema, asked.source_contradiction), (Weight::Warn, Weight::Warn));
    assert_eq!((asked.builder_contradiction, asked.notation), (Weight::Fail, Notation::Require));
    assert!(rules.compare_subject_name);
    assert_eq!(rules.issuer_where_absent.as_deref(), Some("https://fulcio.example"));
    let relaxed = policy.relaxations();
    for looser in
        ["signatures.scope", "attestations.slsaSchema", "attestations.sourceContradiction", "certificates.issuerWhereAbsent"]
    {
        assert!(relaxed.iter().any(|text| text.starts_with(looser)), "{looser}: {relaxed:?}");
    }
    assert_eq!(relaxed.len(), 4, "what is stricter is no relaxation: {relaxed:?}");
}

#[test]
fn a_key_has_rules_of_its_own() {
    let pem = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/trust/local-sigstore/demo.pub")).unwrap();
    let key = PublicKey::from_pem(&pem).unwrap();
    let policy = parse(&json!({"keys": [{
        "digest": key.fingerprint(), "logThreshold": 0, "algorithm": "ecdsa-p256-sha256",
        "validFor": {"start": "2025-01-01T00:00:00Z", "end": "2026-12-31T23:59:59Z"},
    }]}))
    .unwrap();
    let rules = policy.rules(Signer::Key(key)).unwrap();
    assert_eq!((rules.log_threshold, rules.key_scheme), (0, Some(KeyScheme::EcdsaP256Sha256)));
    assert_eq!(rules.key_window.to_string(), "from 2025-01-01T00:00:00Z to 2026-12-31T23:59:59Z");
    // Another signer is not touched by it.
    assert_eq!(policy.rules(signer()).unwrap().log_threshold, 1);
}

#[test]
fn a_key_is_no_answer_to_what_is_asked_of_certificates() {
    let pem = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/trust/local-sigstore/demo.pub")).unwrap();
    let key = Signer::Key(PublicKey::from_pem(&pem).unwrap());
    let verifier = |members: &Value, signer: &Signer| {
        let rules = parse(members).unwrap().rules(signer.clone()).unwrap();
        Verifier::new(TrustRoot::public_good().unwrap(), rules, "2026-11-25T12:00:00Z".parse().unwrap()).map(|_| ())
    };
    for (members, name) in [
        (json!({"certificates": {"extensions": {"buildTrigger": "push"}}}), "certificates.extensions"),
        (json!({"certificates": {"sctThreshold": 2}}), "certificates.sctThreshold"),
    ] {
        assert_eq!(verifier(&members, &key), Err(VerifierError::NotOfAKey(name)), "{members}");
        assert_eq!(verifier(&members, &signer()), Ok(()), "{members}");
    }
    let members = json!({
        "trustRoot": {"digest": DIGEST},
        "certificates": {"regExp": "anchored", "sctThreshold": 0, "issuerWhereAbsent": "https://fulcio.example"},
    });
    assert_eq!(verifier(&members, &key), Ok(()));
    let policy = parse(&members).unwrap();
    let unused = ["certificates.sctThreshold", "certificates.regExp", "certificates.issuerWhereAbsent"];
    assert_eq!(policy.without_effect(&key), unused);
    assert!(policy.without_effect(&signer()).is_empty() && parse(&json!({})).unwrap().without_effect(&key).is_empty());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (members, reason) in [
        (json!({"unknown": 1}), "unknown field"),
        (json!({"log": {"treshold": 1}}), "unknown field"),
        (json!({"Log": {"threshold": 1}}), "unknown field"),
        (json!({"log": null}), "empty"),
        (json!({"log": {}}), "empty"),
        (json!({"keys": []}), "empty"),
        (json!({"log": {"threshold": "1"}}), "invalid type"),
        (json!({"log": {"threshold": -1}}), "invalid value"),
        (json!({"log": {"threshold": 33}}), "at most 32"),
        (json!({"log": {"threshold": 0}}), "need trustRoot.digest"),
        (json!({"certificates": {"sctThreshold": 0}}), "need trustRoot.digest"),
        (json!({"certificates": {"issuerWhereAbsent": "https://fulcio.example"}}), "needs trustRoot.digest"),
        (json!({"certificates": {"issuerWhereAbsent": ""}}), "empty"),
        (json!({"signatures": {"scope": "children"}}), "unknown variant"),
        (json!({"attestations": {"threshold": 0}}), "want 1 to 32"),
        (json!({"attestations": {"slsaSchema": "note"}}), "want \"fail\" or \"warn\""),
        (json!({"attestations": {"sourceContradiction": "note"}}), "want \"fail\" or \"warn\""),
        (json!({"attestations": {"builderContradiction": "ignore"}}), "unknown variant"),
        (json!({"attestations": {"subjectName": "exact"}}), "unknown variant"),
        (json!({"attestations": {"notation": "verify"}}), "unknown variant"),
        (json!({"keys": [{"digest": DIGEST, "algorithm": "ed25519ph"}]}), "unknown variant"),
        (json!({"signatures": {"threshold": 0}}), "want 1 to 32"),
        (json!({"time": {"threshold": 0}}), "want 1 to 32"),
        (json!({"time": {"sources": []}}), "empty"),
        (json!({"time": {"sources": ["clock"]}}), "unknown variant"),
        (json!({"signatures": {"repositoryMatch": "prefix"}}), "repositoryPrefix"),
        (json!({"signatures": {"repositoryPrefix": "a"}}), "repositoryPrefix"),
        (json!({"signatures": {"repositoryMatch": "remap"}}), "repositoryRemap"),
        (json!({"trustRoot": {"digest": DIGEST, "tuf": {"root": DIGEST}}}), "exclude each other"),
        (json!({"trustRoot": {"digest": "sha256:ABC"}}), "not a sha256 digest"),
        (json!({"trustRoot": {"maxAge": {"warn": "090d"}}}), "no duration"),
        (json!({"trustRoot": {"maxAge": {"warn": "90"}}}), "no duration"),
        (json!({"certificates": {"extensions": {"sourceRepositoryUri": "x"}}}), "unknown certificate extension"),
        (
            json!({"keys": [{"digest": DIGEST, "validFor": {"start": "2026-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}}]}),
            "ends before",
        ),
        (json!({"keys": [{"digest": DIGEST, "validFor": {"start": "2026-01-01"}}]}), "no time"),
        (json!({"keys": [{"digest": DIGEST, "algorithm": "ecdsa-p521-sha512"}]}), "unknown variant"),
        (json!({"log": {"witnesses": {"threshold": 1, "keys": ["w+00000000+AAAA"]}}}), "not the Ed25519 key"),
        (json!({"log": {"witnesses": {"threshold": 2, "keys": ["w+00000000+AAAA"]}}}), "number of keys"),
    ] {
        let error = parse(&members).map(|_| "accepted").unwrap_err().to_string();
        assert!(error.contains(reason), "{members}: {error}");
    }
    for (members, at) in [
        (json!({"unknown": 1}), "unknown"),
        (json!({"log": {"witnesses": {"treshold": 1}}}), "log.witnesses.treshold"),
        (json!({"keys": [{"digest": DIGEST, "logThreshold": "1"}]}), "keys[0].logThreshold"),
        (json!({"time": {"sources": [""]}}), "time.sources[0]"),
        (json!({"attestations": {"slsaSchema": "note"}}), "attestations.slsaSchema"),
        (json!({"signatures": {"treshold": 2}}), "signatures.treshold"),
    ] {
        assert_eq!(parse(&members).map(|_| "accepted").unwrap_err().at(), at, "{members}");
    }
    for header in [
        json!({}),
        json!({"apiVersion": "carnet/v1", "kind": "TrustPolicy"}),
        json!({"apiVersion": "carnet/v0", "kind": "Policy"}),
    ] {
        assert!(matches!(TrustPolicy::from_value(header), Err(TrustPolicyError::Header(_))));
    }
}

#[test]
fn an_authority_without_a_start_needs_the_operators_word() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/trust/local-sigstore/trusted_root.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    value["certificateAuthorities"][0].as_object_mut().unwrap().remove("validFor");
    let bytes = value.to_string();
    let error = TrustRoot::parse(bytes.as_bytes(), TrustSource::None).unwrap_err().to_string();
    assert!(error.contains("from when it is valid"), "{error}");
    assert!(TrustRoot::parse_accepting_open_windows(bytes.as_bytes(), TrustSource::None).is_ok());
}
