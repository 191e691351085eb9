//! Real evidence in real layouts: who verifies what, and with what reason the
//! others do not.
//!
//! `testdata/evidence/layouts.tsv` holds a row per layout, subject and rules. The
//! private stack's own programs gave the verdicts it follows; where carnet is
//! stricter or knows more, the row says so in its last column.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

#[path = "evidence/layout.rs"]
mod layout;

use carnet_evidence::{Claim, ClaimKind, Rules, SignedBy, Signer, TimeSource, TrustRoot};
use layout::{Layout, Outcome, identity, key, read, trust_root, verifier};

const MAIN: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";
const DEV: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/dev";
const GITLAB: &str = "https://gitlab.local";
const CLUSTER: &str = "https://kubernetes.io/namespaces/default/serviceaccounts/default";
const GITHUB: &str = "https://token.actions.githubusercontent.com";
const LOGIN: &str = "https://github.com/login/oauth";
const SLSA: &str =
    "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/";

/// The rules that rows name.
fn rules(name: &str) -> Rules {
    let local = |name: &str| key(&format!("trust/local-sigstore/{name}.pub"));
    let signer = match name.split('+').next().unwrap() {
        "main" => identity(MAIN, GITLAB),
        "dev" => identity(DEV, GITLAB),
        "issuer" => identity(MAIN, "https://gitlab.example"),
        "demo" => local("demo"),
        "other" => local("other"),
        "p384" => local("key-p384"),
        "rsa" => local("key-rsa"),
        "key-only" => key("layouts/keys/key-only.pub"),
        "key-other" => key("layouts/keys/other.pub"),
        "slsa-v1.4.0" => identity(&format!("{SLSA}v1.4.0"), GITHUB),
        "slsa-v1.10.0" => identity(&format!("{SLSA}v1.10.0"), GITHUB),
        "slsa-v2.1.0" => identity(&format!("{SLSA}v2.1.0"), GITHUB),
        "slsa-issuer" => identity(&format!("{SLSA}v2.1.0"), LOGIN),
        "mitr" => identity("mitr@redhat.com", LOGIN),
        "cody" => identity("cody@soyland.com", LOGIN),
        "cluster" => identity(CLUSTER, "https://kubernetes.default.svc.cluster.local"),
        other => panic!("unknown rules {other}"),
    };
    let rules = Rules::new(signer);
    match name.split_once('+').map(|(_, relaxed)| relaxed) {
        None => rules,
        Some("ignore-rekor") => rules.ignore_rekor(),
        Some("ignore-sct") => rules.ignore_sct(),
        Some(other) => panic!("unknown relaxation {other}"),
    }
}

/// `S` for each image signature, `A` for each attestation, sorted.
fn verified(outcomes: &[Outcome]) -> String {
    let mut letters: Vec<_> = outcomes.iter().flatten().map(|claim| letter(claim)).collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

fn letter(claim: &Claim) -> char {
    match claim.kind {
        ClaimKind::ImageSignature => 'S',
        _ => 'A',
    }
}

#[test]
fn every_row_of_the_table_comes_out_as_written() {
    let table = String::from_utf8(read("evidence/layouts.tsv")).unwrap();
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let [layout, root, subject, name, good, refused, ..] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let open = Layout::open(&format!("layouts/{layout}"));
        let image = open.image();
        let subject = match subject {
            "image" => image,
            child => open.children(&image)[child.parse::<usize>().unwrap()],
        };
        let outcomes = open.judge(&subject, &verifier(&trust_root(root), rules(name)));
        let (got_good, got_refused) = (verified(&outcomes), layout::codes(&outcomes).join(","));
        if (got_good.as_str(), got_refused.as_str()) != (good, refused) {
            wrong.push(format!("{line}\n  got {got_good}\t{got_refused}"));
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 150, "{rows} rows");
}

/// What a claim shows of an image that was signed in every way at once.
fn claims(path: &str, root: &str, name: &str) -> Vec<Claim> {
    let open = Layout::open(&format!("layouts/{path}"));
    let outcomes = open.judge(&open.image(), &verifier(&trust_root(root), rules(name)));
    outcomes.into_iter().map(|outcome| (*outcome.unwrap()).clone()).collect()
}

/// The words up to the semicolon are those that cosign printed for this evidence.
#[test]
fn a_stranger_is_named_with_issuer_and_with_who_was_wanted() {
    let outcome = |name: &str| {
        let open = Layout::open("layouts/conforma-acceptance/layout");
        let rules = match name {
            "subject" => Rules::new(identity("https://kubernetes.io/release", "https://kubernetes.default.svc.cluster.local")),
            _ => Rules::new(identity(CLUSTER, "https://issuer.example")),
        };
        let outcomes = open.judge(&open.image(), &verifier(&trust_root("conforma-testimage/trusted_root.json"), rules));
        outcomes.into_iter().next().unwrap().unwrap_err().remove(0)
    };
    let got = "none of the expected identities matched what was in the certificate, got subjects [https://kubernetes.io/namespaces/default/serviceaccounts/default] with issuer https://kubernetes.default.svc.cluster.local";
    for (name, code, wanted) in [
        ("subject", "identity-mismatch", "want subject \"https://kubernetes.io/release\""),
        ("issuer", "issuer-mismatch", "want issuer \"https://issuer.example\""),
    ] {
        let finding = outcome(name);
        assert_eq!((finding.code, finding.message.as_str()), (code, format!("{got}; {wanted}").as_str()));
    }
}

#[test]
fn a_claim_says_who_signed_when_and_where_it_was_logged() {
    let claims = claims("local-sigstore/keyless-legacy", "local-sigstore/trusted_root.json", "main");
    for claim in &claims {
        let SignedBy::Certificate(facts) = &claim.signed_by else { panic!("{:?}", claim.signed_by) };
        assert_eq!((facts.subject.as_str(), facts.issuer.as_str()), (MAIN, GITLAB));
        assert_eq!(facts.authority, "https://fulcio.local");
        let [time] = claim.times.as_slice() else { panic!("{:?}", claim.times) };
        assert!(facts.not_before <= time.time && time.time <= facts.not_after);
        assert!(matches!(&time.source, TimeSource::IntegratedTime(log) if log.starts_with("https://rekor-v1.local")));
        let [record] = claim.log_records.as_slice() else { panic!("{:?}", claim.log_records) };
        assert!(record.has_promise && !record.has_proof);
        assert_eq!(claim.certificate_logs.len(), 1);
        assert!(claim.signature.certificate.as_ref().unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
    }
    let formats: Vec<_> = claims.iter().map(|claim| claim.log_records[0].format.as_str()).collect();
    assert_eq!(formats, ["hashedrekord/0.0.1", "dsse/0.0.1", "dsse/0.0.1"]);
}

#[test]
fn rekor_v2_gives_a_proof_and_the_authority_the_time() {
    for claim in claims("local-sigstore/app", "local-sigstore/trusted_root.json", "main") {
        let [record] = claim.log_records.as_slice() else { panic!("{:?}", claim.log_records) };
        assert!(record.has_proof && !record.has_promise);
        let [time] = claim.times.as_slice() else { panic!("{:?}", claim.times) };
        assert!(matches!(&time.source, TimeSource::Timestamp(authority) if authority.contains("tsa.local")));
    }
}

/// The annotation beside it says what it likes; so does no alias.
#[test]
fn the_predicate_type_is_that_of_the_statement() {
    for claim in claims("local-sigstore/keyless-legacy", "local-sigstore/trusted_root.json", "main") {
        let statement = claim.statement();
        let inside = statement.as_ref().and_then(|statement| statement["predicateType"].as_str());
        assert_eq!(claim.predicate_type.as_deref(), inside);
    }
}

#[test]
fn a_statement_keeps_the_order_of_its_members() {
    let claims = claims("conforma-testimage", "conforma-testimage/trusted_root.json", "cluster");
    let attestation = claims.iter().find(|claim| claim.kind == ClaimKind::Attestation).unwrap();
    let statement = attestation.statement().unwrap();
    let written = serde_json::to_string(&statement).unwrap();
    let stored = String::from_utf8(attestation.payload.clone()).unwrap();
    let key_order = |text: &str| {
        let mut keys: Vec<_> =
            ["\"_type\"", "\"predicateType\"", "\"subject\"", "\"predicate\""].map(|key| text.find(key).unwrap()).to_vec();
        let plain = keys.clone();
        keys.sort_unstable();
        plain.iter().map(|place| keys.iter().position(|other| other == place).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(key_order(&written), key_order(&stored));
    let signature = claims.iter().find(|claim| claim.kind == ClaimKind::ImageSignature).unwrap();
    assert_eq!(signature.statement(), None);
    assert!(signature.docker_reference.is_some());
}

/// The names and values that Conforma itself prints for this image.
#[test]
fn certificate_metadata_is_what_conforma_prints() {
    let claims = claims("conforma-testimage", "conforma-testimage/trusted_root.json", "cluster");
    let signature = claims.iter().find(|claim| claim.kind == ClaimKind::ImageSignature).unwrap();
    let want = [
        ("Subject Alternative Name", "URIs:https://kubernetes.io/namespaces/default/serviceaccounts/default"),
        ("Issuer", "O=Linux Foundation,POSTALCODE=57274,STREET=548 Market St,L=San Francisco,ST=California,C=USA"),
        ("Serial Number", "5cf59a716dae4ee39e363fe78516320a80c0107d"),
        ("Not Before", "2026-05-06T15:34:17Z"),
        ("Not After", "2026-05-06T15:44:17Z"),
        ("Fulcio Issuer", "https://kubernetes.default.svc.cluster.local"),
        ("Fulcio Issuer (V2)", "https://kubernetes.default.svc.cluster.local"),
    ];
    let want: Vec<_> = want.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(signature.signature.metadata, want);
    assert_eq!(signature.signature.keyid, "b7a2806f8f4307fcb5cd5c8bfde43e5c7a2b9ef2");
    assert_eq!(signature.signature.chain.len(), 1);
}

#[test]
fn a_certificate_is_judged_at_a_signed_time_and_never_at_the_time_of_the_clock() {
    let open = Layout::open("layouts/local-sigstore/keyless-legacy");
    let root = trust_root("local-sigstore/trusted_root.json");
    let judge = |root: &TrustRoot, signer: Signer, now: &str| {
        let verifier = carnet_evidence::Verifier::new(root.clone(), Rules::new(signer), now.parse().unwrap()).unwrap();
        verified(&open.judge(&open.image(), &verifier))
    };
    for now in ["2026-11-24T03:13:00Z", "2036-01-01T00:00:00Z", "1971-01-01T00:00:00Z"] {
        assert_eq!(judge(&root, identity(MAIN, GITLAB), now), "AAS", "{now}");
    }
}
