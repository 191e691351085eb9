//! Real Sigstore bundles from other places than container registries.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test reads its data, and says so when it is not there"
)]

#[path = "evidence/layout.rs"]
mod layout;

use carnet_bundle::Digest;
use carnet_evidence::{
    Claim, Identity, Rules, SignedBy, Signer, Subject, TrustRoot, TrustSource, Verifier, VerifierError, claimed_subjects,
    from_loose_file,
};
use layout::{NOW, identity, read, testdata, trust_root, verifier};

const GITHUB_RELEASES: &str = "https://dotcom.releases.github.com";

fn verify(file: &str, subject: impl Into<Subject<'static>>, verifier: &Verifier) -> Result<Claim, Vec<&'static str>> {
    let bytes = read(&format!("evidence/bundles/{file}"));
    let subject = subject.into();
    let evidence = from_loose_file(subject.digest(), &bytes).unwrap();
    let outcome = verifier.verify(&evidence, subject);
    outcome.map(|claim| (*claim).clone()).map_err(|findings| findings.iter().map(|finding| finding.code).collect())
}

#[test]
fn gitlab_pipeline_on_the_public_instance() {
    let file = "gitlab-pypi/gitlab_oidc_project-0.0.3.tar.gz.publish.attestation.sigstore.json";
    let digest = Digest::of(&read("evidence/bundles/gitlab-pypi/gitlab_oidc_project-0.0.3.tar.gz"));
    let subject = "https://gitlab.com/facutuesca/gitlab-oidc-project//.gitlab-ci.yml@refs/heads/main";
    let root = trust_root("public-good/trusted_root.json");
    let claim = verify(file, digest, &verifier(&root, Rules::new(identity(subject, "https://gitlab.com")))).unwrap();
    let SignedBy::Certificate(facts) = &claim.signed_by else { panic!("{:?}", claim.signed_by) };
    assert_eq!(facts.extensions.get(&14).map(String::as_str), Some("refs/heads/main"));
    assert_eq!(facts.extensions.get(&12).map(String::as_str), Some("https://gitlab.com/facutuesca/gitlab-oidc-project"));
    assert!(claim.log_records[0].has_promise && claim.log_records[0].has_proof);

    let other = identity(subject, "https://gitlab.example");
    assert_eq!(verify(file, digest, &verifier(&root, Rules::new(other))).unwrap_err(), ["issuer-mismatch"]);
    let other = identity("https://gitlab.com/facutuesca/other", "https://gitlab.com");
    assert_eq!(verify(file, digest, &verifier(&root, Rules::new(other))).unwrap_err(), ["identity-mismatch"]);
    let right = || Rules::new(identity(subject, "https://gitlab.com"));
    assert_eq!(verify(file, Digest::of(b"x"), &verifier(&root, right())).unwrap_err(), ["subject-mismatch"]);
    let staging = trust_root("staging/trusted_root.json");
    assert_eq!(verify(file, digest, &verifier(&staging, right())).unwrap_err()[0], "log-not-trusted");
}

/// Fixtures of sigstore-js: signed and logged by the public instance, but neither
/// is evidence about an image.
#[test]
fn rekor_v2_of_the_public_instance() {
    let root = trust_root("public-good/trusted_root.json");
    let judge = verifier(&root, Rules::new(identity("brian@dehamer.com", "https://github.com/login/oauth")));
    let artifact: &'static [u8] = read("evidence/bundles/rekor-v2-prod/sigstore-js_artifact.txt").leak();

    // It signs a text and no statement; signature, dsse/0.0.2 entry, time,
    // certificate and identity are good, or there were more codes.
    let text = "rekor-v2-prod/sigstore-js_V3.DSSE.WITH_SIGNING_CERT.TLOG_DSSEV002.sigstore.json";
    assert_eq!(verify(text, Digest::of(artifact), &judge).unwrap_err(), ["unsupported-statement-type"]);

    // The log holds the bare key, the bundle a certificate: which certificate the
    // signer used was not logged.
    let message = "rekor-v2-prod/sigstore-js_V3.MESSAGE_SIGNATURE.TLOG_HASHEDREKORDV002.sigstore.json";
    assert_eq!(verify(message, Subject::of_bytes(artifact), &judge).unwrap_err(), ["log-entry-mismatch"]);
    assert_eq!(verify(message, Digest::of(artifact), &judge).unwrap_err(), ["log-entry-mismatch"]);
}

/// No log, no CT log: a profile of its own, and only for roots that have none.
#[test]
fn github_private_instance_by_its_timestamps() {
    let root = trust_root("github/trusted_root.json");
    let mut verified = 0;
    for entry in std::fs::read_dir(testdata().join("evidence/bundles/github-private")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let file = format!("github-private/{name}");
        let [subject, ..] = claimed_subjects(&read(&format!("evidence/bundles/{file}")))[..] else {
            assert_eq!(name, "carabiner-github-release.sigstore.json", "its one subject has a sha1 only");
            continue;
        };
        // Its certificates name no issuer.
        let signer = || Signer::Identities(vec![Identity::exact_without_issuer(GITHUB_RELEASES).unwrap()]);
        let rules = || Rules::new(signer());
        let claim = verify(&file, subject, &verifier(&root, rules().timestamps_only()));
        let claim = claim.unwrap_or_else(|codes| panic!("{name}: {codes:?}"));
        assert!(claim.log_records.is_empty() && claim.certificate_logs.is_empty() && claim.times.len() == 1, "{name}");
        // Under the ordinary rules it is not enough.
        assert_eq!(verify(&file, subject, &verifier(&root, rules())).unwrap_err()[0], "no-log-entry", "{name}");
        // Another root does not help.
        let issuer = Rules::new(identity(GITHUB_RELEASES, "https://token.actions.githubusercontent.com")).timestamps_only();
        assert_eq!(verify(&file, subject, &verifier(&root, issuer)).unwrap_err(), ["issuer-mismatch"], "{name}");
        let public = trust_root("public-good/trusted_root.json");
        assert_eq!(verify(&file, subject, &verifier(&public, rules())).unwrap_err()[0], "no-log-entry", "{name}");
        verified += 1;
    }
    assert_eq!(verified, 2);
}

#[test]
fn the_profile_without_logs_does_not_fit_a_root_with_logs() {
    let rules = Rules::new(identity(GITHUB_RELEASES, "x")).timestamps_only();
    let public = TrustRoot::public_good().unwrap();
    assert_eq!(Verifier::new(public, rules, NOW.parse().unwrap()).unwrap_err(), VerifierError::ProfileWithLogs);
}

#[test]
fn every_trust_root_of_the_test_data_is_sound() {
    for path in ["public-good", "staging", "github", "conforma-testimage", "ec-cli-testimage", "local-sigstore"] {
        let root = trust_root(&format!("{path}/trusted_root.json"));
        assert!(root.skipped().is_empty(), "{path}: {:?}", root.skipped());
        assert!(root.newest_entry().is_some(), "{path}");
    }
    let compiled_in = TrustRoot::public_good().unwrap();
    assert_eq!(compiled_in.digest(), &Digest::of(&read("trust/public-good/trusted_root.json")));
    assert_eq!(compiled_in.source(), &TrustSource::CompiledIn("2026-08-21".to_owned()));
}

#[test]
fn a_trust_root_says_what_ends_when() {
    let ends = TrustRoot::public_good().unwrap().ends();
    assert!(ends.is_sorted_by_key(|(_, end)| *end));
    let of = |name: &str| ends.iter().filter(|(what, _)| what.contains(name)).map(|(_, end)| end.to_string()).collect::<Vec<_>>();
    // The first authority was closed before its certificate ended; the log never ends.
    assert_eq!(of("authority https://fulcio.sigstore.dev"), ["2022-12-31T23:59:59.999Z", "2031-10-05T13:56:58Z"]);
    assert!(of("log https://rekor.sigstore.dev").is_empty());
}
