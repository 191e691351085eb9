//! Flags are read as `ec` reads them, and none is silently without effect.

use carnet_policy::{EffectiveTime, Reading};

use super::*;
use crate::report::{Format, TargetError};

fn read(words: &[&str]) -> Result<VerifyArgs, clap::Error> {
    let words = ["carnet-verify", "a.carnet.tar"].iter().chain(words).map(|word| std::ffi::OsString::from(*word));
    VerifyArgs::read(words.collect::<Vec<_>>())
}

fn args(words: &[&str]) -> VerifyArgs {
    read(words).unwrap_or_else(|e| panic!("{words:?}: {e}"))
}

#[test]
fn the_definition_is_sound() {
    VerifyArgs::definition().debug_assert();
}

#[test]
fn every_flag_says_what_it_is_for() {
    for arg in VerifyArgs::definition().get_arguments() {
        let help = arg.get_help().unwrap_or_else(|| panic!("{}", arg.get_id())).to_string();
        assert!(!help.contains('\n') && !help.ends_with('.'), "{}: {help}", arg.get_id());
    }
}

#[test]
fn switches_stand_alone_or_with_a_value() {
    for (words, info, strict) in [
        (&[][..], false, true),
        (&["--info"], true, true),
        (&["--info=true", "--strict=false"], true, false),
        (&["--info=0", "-s=F"], false, false),
        (&["-s"], false, true),
        (&["--strict=false", "--strict"], false, true),
        (&["--info", "--strict=TRUE"], true, true),
    ] {
        let args = args(words);
        assert_eq!((args.info.0, args.strict.0), (info, strict), "{words:?}");
    }
    assert!(read(&["--info=maybe"]).is_err());
    // A switch takes no value from the next word, so this is a second archive.
    assert!(read(&["--info", "true"]).is_err());
}

#[test]
fn short_forms_are_those_of_ec() {
    let args = args(&[
        "-p",
        "policy.yaml",
        "-i",
        "r.example/a:1",
        "-k",
        "cosign.pub",
        "-r",
        "https://rekor.example",
        "-f",
        "images.yaml",
        "-j",
        "{}",
        "-o",
        "out.json",
        "-s=false",
    ]);
    assert_eq!(args.archive.to_str(), Some("a.carnet.tar"));
    assert_eq!(args.policy.as_deref(), Some("policy.yaml"));
    assert_eq!(args.image.as_deref(), Some("r.example/a:1"));
    assert_eq!(args.overrides().public_key, "cosign.pub");
    assert_eq!(args.overrides().rekor_url, "https://rekor.example");
    assert_eq!(args.file_path.as_deref().and_then(|p| p.to_str()), Some("images.yaml"));
    assert_eq!(args.json_input.as_deref(), Some("{}"));
    let targets = args.targets().unwrap();
    assert_eq!((targets.len(), targets[0].format), (1, Format::Json));
    assert!(!args.strict.0);
    assert_eq!(super::tests::args(&["--key", "k.pub"]).overrides().public_key, "k.pub");
}

/// What the Tekton task of Conforma passes.
#[test]
fn the_command_line_of_the_tekton_task_is_read() {
    let args = args(&[
        "--images=images.json",
        "--policy=policy.yaml",
        "--public-key=cosign.pub",
        "--ignore-rekor=true",
        "--workers",
        "4",
        "--info=true",
        "--timeout=0",
        "--strict=false",
        "--show-successes=true",
        "--show-policy-docs-link=true",
        "--effective-time=now",
        "--extra-rule-data=a=b",
        "--retry-max-wait",
        "3s",
        "--retry-max-retry",
        "3",
        "--retry-duration",
        "1s",
        "--retry-factor",
        "2",
        "--retry-jitter",
        "0.1",
        "--output",
        "text=report.txt?show-successes=false",
        "--output",
        "json=report.json",
    ]);
    assert_eq!(args.validate(), Ok(()));
    let targets = args.targets().unwrap();
    assert!(!targets[0].options.show_successes && targets[1].options.show_successes);
    assert!(targets.iter().all(|target| target.options.show_policy_docs_link));
    assert_eq!((args.workers, args.ignore_rekor.0), (4, true));
}

#[test]
fn what_cannot_be_honoured_is_refused_before_the_run() {
    for (words, flag) in [
        (&["--skip-att-sig-check"][..], "--skip-att-sig-check"),
        (&["--snapshot", "ns/name"], "--snapshot"),
        (&["--policy", "git::https://x.example/p"], "--policy with an URL"),
        (&["--policy", "k8s://ns/name"], "--policy with an URL"),
    ] {
        match args(words).validate() {
            Err(FlagError::Refused { flag: got, .. }) => assert_eq!(got, flag),
            other => panic!("{words:?}: {other:?}"),
        }
    }
    for word in [
        "--vsa",
        "--attestation-format=dsse",
        "--attestation-output-dir=d",
        "--vsa-expiration=1h",
        "--vsa-public-key=k",
        "--vsa-signing-key=k",
        "--vsa-upload=r",
    ] {
        match args(&[word]).validate() {
            Err(FlagError::Later { flag }) => assert!(word.starts_with(flag), "{word} {flag}"),
            other => panic!("{word}: {other:?}"),
        }
    }
    assert!(args(&["--skip-att-sig-check=false", "--vsa=false"]).validate().is_ok());
    let pdf = args(&["--output", "json", "--output", "pdf"]).validate();
    assert_eq!(pdf, Err(FlagError::Target(TargetError::Unknown { format: "pdf".into() })));
}

#[test]
fn values_outside_their_type_are_usage_errors() {
    for words in [
        &["--workers", "0"][..],
        &["--workers", "-1"],
        &["--workers=-1"],
        &["--filter-type", "other"],
        &["--compat", "conftest"],
        &["--layers", "some"],
        &["--bundle-id", "sha256:12"],
        &["--trusted-root-digest", "md5:00"],
        &["--at", "yesterday"],
        &["--platform", "linux"],
        &["--platform", "linux/"],
        &["--platform", "a/b/c/d"],
        &["--no-such-flag"],
    ] {
        assert_eq!(read(words).unwrap_err().exit_code(), 2, "{words:?}");
    }
    assert_eq!(VerifyArgs::read(["carnet-verify".into()]).unwrap_err().exit_code(), 2);
}

#[test]
fn extra_rule_data_is_split_at_commas_and_the_first_equals_sign() {
    let pairs = args(&["--extra-rule-data", "a=b=c,d=", "--extra-rule-data", "\"e=f,g\""]).extra_rule_data().unwrap();
    let want = [("a", "b=c"), ("d", ""), ("e", "f,g")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(pairs, want);
    let error = args(&["--extra-rule-data", "a=b,c"]).validate().unwrap_err();
    assert_eq!(error.to_string(), "incorrect syntax for --extra-rule-data 1: want key=value, got \"c\"");
}

#[test]
fn every_flag_that_lowers_safety_is_a_relaxation() {
    assert_eq!(args(&[]).relaxations(), []);
    let words = [
        "--ignore-rekor",
        "--skip-image-sig-check",
        "--allow-past-effective-time",
        "--effective-time=attestation",
        "--allow-incomplete",
        "--allow-unexpected-images",
        "--accept-bundled-policy",
        "--layers=none",
        "--platform=linux/amd64",
        "--compat=ec",
        "--strict=false",
    ];
    for word in words {
        let relaxations = args(&[word]).relaxations();
        assert_eq!(relaxations.iter().map(|r| r.flag.as_str()).collect::<Vec<_>>(), [word]);
    }
    assert_eq!(args(&words).relaxations().len(), words.len());
    // No such flag may be added without an entry in the list above.
    for arg in VerifyArgs::definition().get_arguments() {
        let name = format!("--{}", arg.get_long().unwrap_or_default());
        let lowers = ["--allow-", "--accept-", "--skip-", "--ignore-", "--insecure-"].iter().any(|start| name.starts_with(start));
        let refused = ["--skip-att-sig-check", "--accept-bundled-sources"].contains(&name.as_str());
        assert!(!lowers || refused || words.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn flags_become_the_types_of_the_other_rooms() {
    let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let args =
        args(&["--effective-time", "2026-01-01", "--allow-past-effective-time", "--compat", "ec", "--platform", "linux/arm/v7"]);
    let midnight = "2026-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(args.effective_time(now), Ok(EffectiveTime::Instant(midnight)));
    assert_eq!(args.reading(), Reading::Conforma);
    assert_eq!(args.platform[0].to_string(), "linux/arm/v7");
    let identity = super::tests::args(&[
        "--certificate-identity",
        "s",
        "--certificate-identity-regexp",
        "sr",
        "--certificate-oidc-issuer",
        "i",
        "--certificate-oidc-issuer-regexp",
        "ir",
    ]);
    let identity = identity.overrides().identity;
    assert_eq!(
        (
            identity.subject.as_str(),
            identity.subject_reg_exp.as_str(),
            identity.issuer.as_str(),
            identity.issuer_reg_exp.as_str()
        ),
        ("s", "sr", "i", "ir")
    );
}

#[test]
fn a_wish_for_no_colour_wins() {
    for (words, set, terminal, want) in [
        (&[][..], &[][..], true, true),
        (&[], &[], false, false),
        (&["--color"], &[], false, true),
        (&["--no-color"], &[], true, false),
        (&["--color", "--no-color"], &[], true, false),
        (&["--color"], &["NO_COLOUR"], true, false),
        (&[], &["FORCE_COLOR"], false, true),
        (&[], &["EC_FORCE_COLOUR", "EC_NO_COLOR"], true, false),
    ] {
        assert_eq!(args(words).colour(|name| set.contains(&name), terminal), want, "{words:?} {set:?}");
    }
}
