//! Whom the operator trusts, end to end: trust policy, the sources of a trust root,
//! single keys and certificates, times without a log.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the stage of two suites")]
#[path = "evidence/stage.rs"]
mod stage;

use std::process::Command;

use stage::{LOCAL_ROOT, MAIN, Stage, digest, testdata, text};

const CLUSTER: [&str; 2] =
    ["https://kubernetes.io/namespaces/default/serviceaccounts/default", "https://kubernetes.default.svc.cluster.local"];
const TUF_ROOT: &str = "tuf/root.json";

#[test]
fn without_a_log_only_a_timestamp_says_when_a_certificate_signed() {
    for (layout, status, code) in [
        ("local-sigstore/keyless-legacy", 1, "no-verified-time"),
        ("local-sigstore/keyless-rekor1", 1, "no-verified-time"),
        ("local-sigstore/app", 0, ""),
        ("local-sigstore/multi", 0, ""),
    ] {
        let ended = Stage::of(layout, MAIN).root(LOCAL_ROOT).word("--ignore-rekor").judge();
        ended.assert(status, code);
        assert_eq!(ended.codes.iter().any(|code| code == "no-verified-time"), status == 1, "{layout}");
        Stage::of(layout, MAIN).root(LOCAL_ROOT).judge().assert(0, "");
    }
}

#[test]
fn a_trust_policy_asks_for_more() {
    let legacy = || Stage::of("local-sigstore/keyless-legacy", MAIN).root(LOCAL_ROOT);
    legacy().policy("").judge().assert(0, "");
    for (members, code) in [
        ("log: {proof: inclusion}\n", "log-evidence-missing"),
        ("log: {threshold: 2}\n", "no-log-entry"),
        ("time: {sources: [timestamp-authority]}\n", "no-verified-time"),
        ("certificates: {extensions: {sourceRepositoryURI: https://gitlab.local/other/app}}\n", "certificate-extension-mismatch"),
        ("signatures: {repositoryMatch: exact}\n", "repository-mismatch"),
        ("trustRoot: {maxAge: {warn: 1h, fail: 2h}}\n", "trust-root-aged"),
    ] {
        let ended = legacy().policy(members).word("--at=2027-06-01T00:00:00Z").judge();
        ended.assert(1, code);
        assert!(ended.relaxations().is_empty(), "{:?}", ended.relaxations());
    }
}

/// A key has no certificate: what is asked of one must not be met by its absence.
#[test]
fn a_key_does_not_pass_where_a_trust_policy_asks_for_a_certificate() {
    let by_key = || Stage::of_key("local-sigstore/key-legacy-tlog", "trust/local-sigstore/demo.pub").root(LOCAL_ROOT);
    let unused = "certificate-rules-unused";
    let plain = by_key().policy("certificates: {sctThreshold: 1}\n").judge();
    plain.assert(0, "");
    assert!(!plain.has(unused));
    for (members, key) in [
        ("certificates: {extensions: {sourceRepositoryURI: https://gitlab.local/demo/app}}\n", "certificates.extensions"),
        ("certificates: {sctThreshold: 2}\n", "certificates.sctThreshold"),
    ] {
        let ended = by_key().policy(members).judge();
        ended.assert(2, "");
        assert!(ended.said.contains(key) && ended.said.contains("the signer is a key"), "{}", ended.said);
    }
    let pin = digest(LOCAL_ROOT);
    let members = format!("trustRoot: {{digest: {pin}}}\ncertificates: {{sctThreshold: 0, regExp: anchored}}\n");
    let ended = by_key().policy(&members).judge();
    ended.assert(0, unused);
    let said = ended.report["carnet"]["findings"].to_string();
    assert!(said.contains("certificates.sctThreshold, certificates.regExp: no effect"), "{said}");
    // With an identity they have.
    let keyless = Stage::of("local-sigstore/keyless-legacy", MAIN).root(LOCAL_ROOT).policy(&members).judge();
    assert!(!keyless.has(unused), "{:?}", keyless.codes);
}

#[test]
fn a_repository_is_compared_as_the_trust_policy_says() {
    for (members, status) in [
        ("signatures: {repositoryMatch: prefix, repositoryPrefix: \"127.0.0.1:5156/demo\"}\n", 0),
        ("signatures: {repositoryMatch: prefix, repositoryPrefix: \"127.0.0.1:5156/dem\"}\n", 1),
        (
            "signatures:\n  repositoryMatch: remap\n  repositoryRemap:\n  - {from: registry.example/org/app, to: \"127.0.0.1:5156/demo/keyless-legacy\"}\n",
            0,
        ),
        ("signatures: {repositoryMatch: remap, repositoryRemap: [{from: registry.example/org, to: elsewhere.example}]}\n", 1),
    ] {
        let ended = Stage::of("local-sigstore/keyless-legacy", MAIN).root(LOCAL_ROOT).policy(members).judge();
        ended.assert(status, if status == 1 { "repository-mismatch" } else { "" });
    }
}

#[test]
fn what_a_trust_policy_relaxes_stands_in_the_report() {
    let pin = digest(LOCAL_ROOT);
    let members = format!("trustRoot: {{digest: {pin}}}\nlog: {{threshold: 0}}\n");
    let ended = Stage::of("local-sigstore/app", MAIN).root(LOCAL_ROOT).policy(&members).judge();
    ended.assert(0, "");
    assert_eq!(ended.relaxations(), ["log.threshold: 0: no log entry is asked for"]);
    // The time of a log that is not asked for does not count, here as with the flag.
    let legacy = Stage::of("local-sigstore/keyless-legacy", MAIN).root(LOCAL_ROOT).policy(&members);
    legacy.judge().assert(1, "no-verified-time");
}

#[test]
fn a_pin_selects_the_carried_trust_root_and_no_other() {
    let pinned = |pin: &str| Stage::of("local-sigstore/app", MAIN).policy(&format!("trustRoot: {{digest: \"{pin}\"}}\n"));
    let ended = pinned(&digest(LOCAL_ROOT)).judge();
    ended.assert(0, "");
    assert!(
        ended.report["carnet"]["trust"]["source"].as_str().unwrap().contains("pinned"),
        "{}",
        ended.report["carnet"]["trust"]
    );
    let other = digest("trust/conforma-testimage/trusted_root.json");
    for stage in [pinned(&other), pinned(&other).root(LOCAL_ROOT)] {
        let ended = stage.judge();
        ended.assert(2, "");
        assert!(ended.said.contains("trust root mismatch"), "{}", ended.said);
    }
}

#[test]
fn a_wrong_trust_policy_is_named_with_its_place() {
    for (members, reason) in [
        ("log: {treshold: 1}\n", "trust.yaml:3:7: trust policy: log.treshold: unknown field"),
        ("logs: {}\n", "trust.yaml:3:1: trust policy: logs: the value is empty"),
        ("log: {threshold: \"1\"}\n", "trust.yaml:3:7: trust policy: log.threshold: invalid type"),
        ("log: {threshold: 1}\nlog: {threshold: 1}\n", "trust.yaml:4:1: duplicate key"),
        ("log: {threshold: 0}\n", "need trustRoot.digest"),
    ] {
        let ended = Stage::of("local-sigstore/app", MAIN).root(LOCAL_ROOT).policy(members).judge();
        ended.assert(2, "");
        assert!(ended.said.contains(reason), "{members}: {}", ended.said);
    }
}

#[test]
fn single_keys_and_certificates_of_the_environment_are_a_trust_root() {
    const TRUST: &str = "trust/conforma-testimage";
    let variables = [
        ("SIGSTORE_ROOT_FILE", "fulcio_v1.crt.pem"),
        ("SIGSTORE_REKOR_PUBLIC_KEY", "rekor.pub"),
        ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "ctfe.pub"),
    ];
    let stage = |names: &[&str]| {
        let mut stage = Stage::of("conforma-acceptance/layout", CLUSTER).word("--layers=none");
        for (name, file) in variables.iter().filter(|(name, _)| names.contains(name)) {
            stage = stage.variable(name, &format!("{TRUST}/{file}"));
        }
        stage
    };
    let all = variables.map(|(name, _)| name);
    let ended = stage(&all).judge();
    ended.assert(0, "");
    let source = ended.report["carnet"]["trust"]["source"].as_str().unwrap();
    assert!(all.iter().all(|name| source.contains(name)), "{source}");
    // What is not named is trusted for nothing.
    stage(&all[..2]).judge().assert(1, "sct-log-unknown");
    stage(&[all[0], all[2]]).judge().assert(1, "log-not-trusted");
    stage(&all[1..]).judge().assert(1, "certificate-chain-untrusted");
    // The flag wins, and nothing is read then.
    let flag = stage(&[]).variable("SIGSTORE_ROOT_FILE", "absent.pem").root(&format!("{TRUST}/trusted_root.json")).judge();
    flag.assert(0, "");
    assert!(!flag.report["carnet"]["trust"]["source"].as_str().unwrap().contains("SIGSTORE"));
    let absent = stage(&[]).variable("SIGSTORE_ROOT_FILE", "absent.pem").judge();
    absent.assert(2, "");
    assert!(absent.said.contains("absent.pem"), "{}", absent.said);
}

#[test]
fn the_certificates_of_a_timestamp_authority_are_one_of_the_variables() {
    let variables = [
        ("SIGSTORE_ROOT_FILE", "fulcio-chain.pem"),
        ("SIGSTORE_REKOR_PUBLIC_KEY", "rekor-v1.pub"),
        ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "ctfe.pub"),
        ("SIGSTORE_TSA_CERTIFICATE_FILE", "tsa-chain.pem"),
    ];
    let stage = |without: &str| {
        let mut stage = Stage::of("local-sigstore/rekor1-tsa", MAIN).policy("time: {sources: [timestamp-authority]}\n");
        for (name, file) in variables.iter().filter(|(name, _)| *name != without) {
            stage = stage.variable(name, &format!("trust/local-sigstore/{file}"));
        }
        stage
    };
    let ended = stage("").judge();
    ended.assert(0, "");
    assert!(ended.trust()["source"].as_str().unwrap().contains("SIGSTORE_TSA_CERTIFICATE_FILE="), "{}", ended.trust());
    for (without, code) in [
        ("SIGSTORE_ROOT_FILE", "certificate-chain-untrusted"),
        ("SIGSTORE_REKOR_PUBLIC_KEY", "log-not-trusted"),
        ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "sct-log-unknown"),
        ("SIGSTORE_TSA_CERTIFICATE_FILE", "timestamp-not-trusted"),
    ] {
        stage(without).judge().assert(1, code);
    }
    // Another authority's chain, and what is no chain at all.
    let other = stage("SIGSTORE_TSA_CERTIFICATE_FILE");
    other
        .variable("SIGSTORE_TSA_CERTIFICATE_FILE", "trust/local-sigstore/fulcio-chain.pem")
        .judge()
        .assert(1, "timestamp-not-trusted");
    let broken =
        stage("SIGSTORE_TSA_CERTIFICATE_FILE").variable("SIGSTORE_TSA_CERTIFICATE_FILE", "trust/local-sigstore/ctfe.pub");
    broken.judge().assert(2, "");
}

#[test]
fn variables_of_cosign_and_ec_that_give_no_trust_change_nothing() {
    // Tokens, caches and TUF mirrors: a verdict asks for none of them.
    let stage = || Stage::of("local-sigstore/app", MAIN).root(LOCAL_ROOT).word("--at=2026-11-25T00:00:00Z");
    let plain = stage().word("--effective-time=2126-01-01").judge();
    plain.assert(0, "");
    let mut stage = stage().word("--effective-time=2126-01-01");
    for name in ["SIGSTORE_ID_TOKEN", "SIGSTORE_NO_CACHE", "TUF_ROOT", "TUF_MIRROR", "TUF_ROOT_JSON", "COSIGN_REPOSITORY"] {
        stage = stage.variable(name, "absent");
    }
    let ended = stage.judge();
    ended.assert(0, "");
    assert_eq!((&ended.report, &ended.said), (&plain.report, &plain.said));
}

/// An archive that carries the TUF chain of the local Sigstore.
fn with_chain() -> Stage {
    Stage::with("local-sigstore/app", MAIN, &["--tuf-chain", testdata("tuf").to_str().unwrap()])
}

#[test]
fn a_carried_tuf_chain_is_verified_from_the_root_that_the_operator_holds() {
    let ended = with_chain().file("--tuf-root", TUF_ROOT).word("--at=2026-11-25T00:00:00Z").judge();
    ended.assert(0, "");
    let trust = ended.trust();
    assert_eq!(trust["digest"], digest(LOCAL_ROOT));
    assert_eq!(trust["tuf"]["root"], digest(TUF_ROOT));
    let links = trust["tuf"]["links"].as_array().unwrap();
    let roles: Vec<_> = links.iter().map(|link| (link["role"].as_str().unwrap(), link["version"].as_u64().unwrap())).collect();
    assert_eq!(roles, [("root", 1), ("timestamp", 1), ("snapshot", 1), ("targets", 1)]);
    assert!(links.iter().all(|link| link["expires"] == "2036-11-21T03:20:07Z"), "{links:?}");
    let source = format!("TUF, carried in the bundle, verified from root.json {} of version 1: root 1,", digest(TUF_ROOT));
    assert!(ended.lines("Trust: ")[0].starts_with(&source), "{}", ended.shown);
    // The digest of a root that the operator knows will do, and both have to agree.
    let pin = |path: &str| format!("trustRoot: {{tuf: {{root: \"{}\"}}}}\n", digest(path));
    with_chain().policy(&pin("tuf/1.root.json")).judge().assert(0, "");
    with_chain().policy(&pin(TUF_ROOT)).file("--tuf-root", TUF_ROOT).judge().assert(0, "");
    let ended = with_chain().policy(&pin("tuf/1.root.json")).file("--tuf-root", TUF_ROOT).judge();
    ended.assert(2, "");
    assert!(ended.said.contains("TUF root mismatch"), "{}", ended.said);
}

#[test]
fn a_chain_that_the_operator_cannot_begin_gives_no_trust() {
    // The archive's chain and the root that it delivers are nobody's authority.
    with_chain().judge().assert(1, "log-not-trusted");
    let foreign = "trust/conforma-testimage/tuf/1.root.json";
    let pin = |path: &str| format!("trustRoot: {{tuf: {{root: \"{}\"}}}}\n", digest(path));
    let floor = format!("trustRoot: {{tuf: {{root: \"{}\", minVersion: {{targets: 2}}}}}}\n", digest("tuf/1.root.json"));
    for (stage, reason) in [
        (with_chain().file("--tuf-root", foreign), "tuf-threshold-not-met: TUF chain of the bundle: timestamp.json: 0 of"),
        (with_chain().policy(&pin(foreign)), "carries no TUF root.json with digest"),
        (with_chain().policy(&floor), "tuf-rollback: TUF chain of the bundle: targets.json: version 1 is older than 2"),
        (with_chain().file("--tuf-root", LOCAL_ROOT), "tuf-metadata-malformed: "),
        (Stage::of("local-sigstore/app", MAIN).file("--tuf-root", TUF_ROOT), "tuf-metadata-missing: "),
        (with_chain().policy(&pin("tuf/1.root.json")).root(LOCAL_ROOT), "the trust root comes from elsewhere (file "),
        (with_chain().file("--tuf-root", TUF_ROOT).root(LOCAL_ROOT), "cannot be used with"),
    ] {
        let ended = stage.judge();
        ended.assert(2, "");
        assert!(ended.said.contains(reason) && ended.said.contains("\nhint: "), "{reason}: {}", ended.said);
    }
}

#[test]
fn an_expired_chain_is_weighed_by_the_trust_policy() {
    let pin = digest("tuf/1.root.json");
    let expired = |rule: &str| {
        let policy = format!("trustRoot: {{tuf: {{root: \"{pin}\"{rule}}}}}\n");
        with_chain().policy(&policy).word("--at=2036-12-21T03:20:07Z").judge()
    };
    expired("").assert(1, "tuf-metadata-expired");
    expired(", expiredMetadata: 29d").assert(1, "tuf-metadata-expired");
    for rule in [", expiredMetadata: 30d", ", expiredMetadata: warn"] {
        let ended = expired(rule);
        ended.assert(0, "tuf-metadata-expired");
        assert_eq!(ended.relaxations(), ["trustRoot.tuf.expiredMetadata"]);
    }
    // A flag alone has the default of the policy.
    with_chain().file("--tuf-root", TUF_ROOT).word("--at=2037-01-01T00:00:00Z").judge().assert(1, "tuf-metadata-expired");
}

#[test]
fn a_carried_chain_is_listed_as_trust_material() {
    let stage = with_chain();
    let output = Command::new(env!("CARGO_BIN_EXE_carnet")).arg("inspect").arg(stage.archive()).output().unwrap();
    let shown = text(&output.stdout);
    let (_, trust) = shown.split_once("trust material (no authority by being here):").unwrap();
    for title in ["tuf/1.root.json", "tuf/timestamp.json", "tuf/1.snapshot.json", "tuf/1.targets.json", "trusted_root.json"] {
        assert!(trust.contains(&format!("  {title} (")), "{shown}");
    }
}

#[test]
fn every_verdict_says_source_digest_and_age_of_the_trust() {
    let local = digest(LOCAL_ROOT);
    let compiled_in = digest("trust/public-good/trusted_root.json");
    let app = || Stage::of("local-sigstore/app", MAIN).word("--at=2026-12-05T00:00:00Z");
    let pem = |stage: Stage| stage.variable("SIGSTORE_ROOT_FILE", "trust/local-sigstore/fulcio-chain.pem");
    for (stage, source, want, age) in [
        (app().root(LOCAL_ROOT), "file /", Some(&local), "10 days old"),
        (
            app().word("--trusted-root-digest").word(&local),
            "carried in the bundle, pinned as sha256:",
            Some(&local),
            "10 days old",
        ),
        (
            with_chain().file("--tuf-root", TUF_ROOT).word("--at=2026-12-05T00:00:00Z"),
            "TUF, carried in the bundle, verified from root.json sha256:",
            Some(&local),
            "10 days old",
        ),
        (app(), "compiled in, of 2026-08-21", Some(&compiled_in), "438 days old"),
        (pem(app()), "single keys and certificates: SIGSTORE_ROOT_FILE=", None, "of unknown age"),
    ] {
        let ended = stage.judge();
        let trust = ended.trust();
        assert!(trust["source"].as_str().unwrap().starts_with(source), "{trust}");
        let digest = trust["digest"].as_str().unwrap();
        assert!(want.is_none_or(|want| want == digest), "{trust}");
        assert_eq!(trust["asOf"], "2026-12-05T00:00:00Z");
        assert_eq!(trust["ageDays"].as_i64().map(|days| format!("{days} days old")).unwrap_or("of unknown age".to_owned()), age);
        let shown = ended.lines("Trust: ");
        let parts = [source, age, digest];
        assert!(shown.len() == 1 && parts.iter().all(|part| shown[0].contains(part)), "{parts:?} {shown:?}");
        assert_eq!(ended.lines("As of: "), ["2026-12-05T00:00:00Z"]);
    }
}

#[test]
fn the_report_says_what_of_the_trust_ends_when() {
    let stage = || Stage::of("local-sigstore/app", MAIN).root(LOCAL_ROOT).word("--at=2026-11-25T12:00:00Z");
    let ended = stage().policy("trustRoot: {maxAge: {warn: 30d, fail: 60d}}\n").judge();
    let forecast = ended.trust()["forecast"].as_array().unwrap();
    let times: Vec<_> = forecast.iter().map(|ending| ending["until"].as_str().unwrap()).collect();
    assert!(times.len() > 3 && times.is_sorted(), "{forecast:?}");
    // The text has the first three, and how many there are.
    let lines = ended.lines("Ends: ");
    assert_eq!(
        lines[..2],
        [
            "2026-12-24T03:00:51Z, age that the trust root may have (warning)",
            "2027-01-23T03:00:51Z, age that the trust root may have (failure)",
        ]
    );
    assert!(lines.len() == 3 && lines[2].ends_with(&format!(" (and {} later)", times.len() - 3)), "{lines:?}");
    // What has ended is no forecast.
    let later = stage().word("--at=2040-01-01T00:00:00Z").judge();
    assert!(later.trust()["forecast"].is_null() && later.lines("Ends: ").is_empty(), "{}", later.trust());
    // The files of a TUF chain end as well.
    let ended = with_chain().file("--tuf-root", TUF_ROOT).judge();
    let forecast = ended.trust()["forecast"].as_array().unwrap();
    assert!(forecast.iter().any(|ending| ending["what"] == "TUF timestamp 1"), "{forecast:?}");
}

#[test]
fn what_trust_fetch_keeps_is_what_export_carries() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("root_history")).unwrap();
    for (kept, served) in [
        ("root_history/1.root.json", "root.json"),
        ("root.json", "root.json"),
        ("timestamp.json", "timestamp.json"),
        ("snapshot.json", "1.snapshot.json"),
        ("targets.json", "1.targets.json"),
    ] {
        std::fs::copy(testdata("tuf").join(served), folder.path().join(kept)).unwrap();
    }
    let chain = folder.path().to_str().unwrap();
    let root = testdata(LOCAL_ROOT);
    let flags = ["--trusted-root", root.to_str().unwrap(), "--tuf-chain", chain];
    let ended = Stage::with("local-sigstore/app", MAIN, &flags).file("--tuf-root", TUF_ROOT).judge();
    ended.assert(0, "");
    // The fetched root lies beside the folder; without it the chain leads nowhere.
    let mut export = Command::new(env!("CARGO_BIN_EXE_carnet"));
    let layout = format!("oci:{}", testdata("layouts/local-sigstore/app").display());
    let archive = folder.path().join("app.carnet.tar");
    let words = ["export", "registry.example/org/app:v1", "--from", &layout, "--tuf-chain", chain, "-o"];
    let output = export.args(words).arg(&archive).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("trusted_root.json is not carried"), "{said}");
    assert!(!archive.exists());
}

#[test]
fn the_public_chain_is_followed_to_its_end_and_found_expired() {
    let folder = testdata("trust/public-good");
    let (chain, root) = (folder.join("tuf"), folder.join("trusted_root.json"));
    let flags = ["--tuf-chain", chain.to_str().unwrap(), "--trusted-root", root.to_str().unwrap()];
    let at = |time: &str| {
        let stage = Stage::with("local-sigstore/app", MAIN, &flags).file("--tuf-root", "trust/public-good/tuf/5.root.json");
        stage.word("--at").word(time).judge()
    };
    let ended = at("2026-08-25T00:00:00Z");
    let links = ended.trust()["tuf"]["links"].as_array().unwrap();
    let versions: Vec<_> = links.iter().map(|link| link["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [15, 762, 165, 14]);
    assert_eq!(ended.trust()["digest"], digest("trust/public-good/trusted_root.json"));
    // Another instance signed the image.
    assert!(ended.has("log-not-trusted") && !ended.has("tuf-metadata-expired"), "{:?}", ended.codes);
    assert!(at("2026-11-25T00:00:00Z").has("tuf-metadata-expired"));
}
