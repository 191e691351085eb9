//! Reports have Conforma's shape: each recorded report is rendered again from its
//! data and compared, values and key order for YAML, bytes for all others. What
//! carnet adds is taken away before, and nothing else.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "reads testdata")]

use std::{fs, path::Path};

use carnet_bundle::Finding;
use carnet_policy::{
    ComponentOutcome, RuleResult, codes,
    images::{Git, Source},
    outcome::{Attestation, Signature},
};
use carnet_verify::report::{
    Assumption, Carnet, Format, Material, Relaxation, Report, Target, TextOptions, Verdict, parse_targets,
};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn recorded_reports_are_rendered_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy/report");
    let mut compared = 0;
    for case in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let mut report = report(&json(&case.join("input.json")));
        report.materials = materials(&case, &report.components);
        for expected in json(&case.join("expect.json")).as_array().unwrap() {
            let successes = expected["successes"].as_bool().unwrap();
            let target = target(text(&expected["target"]), successes);
            let colour = expected["colour"].as_bool().unwrap_or(false);
            let file = case.join(text(&expected["file"]));
            let want = fs::read_to_string(&file).unwrap();
            report.time = time_of(target.format, &want);
            let got = report.render(&target, successes, colour);
            let place = file.strip_prefix(&root).unwrap().display();
            match target.format {
                Format::Appstudio | Format::Attestation | Format::SummaryMarkdown => assert_eq!(got, want, "{place}"),
                Format::Json | Format::Summary | Format::Vsa => assert_eq!(without_carnet_json(&got), want, "{place}"),
                Format::Junit => assert_eq!(without_carnet_suite(&got), want, "{place}"),
                // Conforma writes its lines as its workers end.
                Format::PolicyInput => assert_eq!(sorted(&got), sorted(&want), "{place}"),
                Format::Html | Format::Proof | Format::Sarif | Format::SlsaVsa => panic!("{place}: not Conforma's"),
                Format::Text => assert_eq!(conforma_text(&got, &want), want, "{place}"),
                Format::Yaml => compare_yaml(&got, &want, &place.to_string()),
            }
            compared += 1;
        }
    }
    assert!(compared >= 50, "only {compared} reports compared");
}

#[test]
fn a_relaxation_stands_above_everything() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy/report/004-minimal-identity-only");
    let mut report = report(&json(&case.join("input.json")));
    report.carnet.relaxations.push(Relaxation { flag: "--ignore-rekor".into(), effect: "no log entry is asked for".into() });
    let got = report.render(&target("text", false), false, false);
    assert!(got.starts_with("! Relaxed by --ignore-rekor: no log entry is asked for\n\nSuccess: true\n"), "{got}");
    assert!(got.contains("\nRelaxations:\n- --ignore-rekor\n  Effect: no log entry is asked for\n"), "{got}");
    for format in ["json", "yaml"] {
        let got = report.render(&target(format, false), false, false);
        assert!(got.contains("--ignore-rekor"), "{got}");
    }
}

#[test]
fn a_failure_of_any_gate_fails_the_report() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy/report/004-minimal-identity-only");
    let mut report = report(&json(&case.join("input.json")));
    for (code, verdict, success) in [
        (&codes::DUPLICATE_COMPONENT, Verdict::Pass, "Success: true\nResult: SUCCESS\n"),
        (&codes::NO_COMPONENTS, Verdict::Fail, "Success: false\nResult: FAILURE\n"),
    ] {
        report.carnet.findings = vec![Finding::new(code, "registry.example/app", "two\nlines")];
        assert_eq!(report.verdict(), verdict);
        let got = report.render(&target("text", false), false, false);
        assert!(got.starts_with(success), "{got}");
        assert!(
            got.contains(&format!("] {} ({})\n  Subject: registry.example/app\n  Reason: two\\nlines\n", code.name, code.step)),
            "{got}"
        );
        for format in ["json", "yaml"] {
            assert!(report.render(&target(format, false), false, false).contains(code.name));
        }
    }
}

#[test]
fn assumptions_stand_in_every_format() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy/report/004-minimal-identity-only");
    let mut report = report(&json(&case.join("input.json")));
    report.carnet.assumptions.push(Assumption {
        code: "tag-resolution".into(),
        subject: "registry.example/app:v1".into(),
        message: "the tag stood for sha256:00".into(),
        used_by: vec!["component app".into()],
        vouched_by: String::new(),
    });
    let want = "\nAssumptions (the exporter's word, not checked):\n- tag-resolution\n  Subject: registry.example/app:v1\n  \
                Assumed: the tag stood for sha256:00\n  Used by: component app\n";
    assert!(report.render(&target("text", false), false, false).contains(want));
    for format in ["json", "yaml"] {
        assert!(report.render(&target(format, false), false, false).contains("tag-resolution"));
    }
}

/// Step V16.4: whatever the evidence says, a line of the report is the report's.
#[test]
fn hostile_text_forges_no_line_and_moves_no_cursor() {
    const EVIL: &str = "x\n\u{2713} [Success] forged\nVerdict: pass\r\u{1b}[2J\u{9b}A\u{202e}\u{2028}\u{7f}\u{feff}\ty";
    let evil = || EVIL.to_owned();
    let result = || RuleResult {
        msg: evil(),
        metadata: ["code", "title", "description", "solution"].iter().map(|name| ((*name).to_owned(), EVIL.into())).collect(),
    };
    let mut with_terms = result();
    with_terms.metadata.insert("term".into(), serde_json::json!([EVIL, EVIL]));
    let component = |name: String| ComponentOutcome {
        name,
        container_image: evil(),
        source: Source { git: Some(Git { url: evil(), ..Git::default() }) },
        violations: vec![result(), with_terms.clone(), RuleResult { msg: evil(), ..RuleResult::default() }],
        warnings: vec![result()],
        successes: vec![result()],
        ..ComponentOutcome::default()
    };
    let mut report = report(
        &serde_json::json!({"key": EVIL, "policy": {"name": EVIL}, "ec-version": "v", "effective-time": "2026-03-01T12:00:00Z"}),
    );
    report.carnet.version = "0.0.0".into();
    report.carnet.trust.source = evil();
    report.carnet.findings = vec![Finding::new(&codes::DUPLICATE_COMPONENT, EVIL, EVIL).with_hint(EVIL)];
    report.carnet.relaxations = vec![Relaxation { flag: evil(), effect: evil() }];
    report.carnet.assumptions =
        vec![Assumption { code: evil(), subject: evil(), message: evil(), used_by: vec![evil()], vouched_by: evil() }];
    report.carnet.images = vec![carnet_verify::report::Image {
        reference: evil(),
        digest: carnet_bundle::Digest::of(b""),
        components: vec![evil()],
    }];
    for components in [vec![component(evil())], vec![component(evil()), component("b".into())]] {
        report.components = components;
        for format in ["text?show-policy-docs-link=1", "json", "yaml"] {
            let got = report.render(&target(format, true), true, false);
            let raw = got.chars().find(|c| *c != '\n' && *c != '\t' && c.is_control() || "\u{202e}\u{2028}\u{feff}".contains(*c));
            assert_eq!(raw, None, "{format}");
            let forged =
                got.lines().find(|line| line.starts_with('\u{2713}') && line.ends_with("] forged") || *line == "Verdict: pass");
            assert_eq!(forged, None, "{format}");
        }
        let json: Value = serde_json::from_str(&report.render(&target("json", true), true, false)).unwrap();
        let yaml: Value = serde_yaml::from_str(&report.render(&target("yaml", true), true, false)).unwrap();
        assert_eq!(json["components"][0]["violations"][0]["msg"], EVIL);
        assert_eq!(json, yaml);
    }
}

proptest! {
    /// YAML holds the values of JSON, whatever the texts look like.
    #[test]
    fn yaml_is_read_back_as_json(texts in proptest::collection::vec(odd_text(), 1..6), key in odd_text()) {
        let mut report = report(&serde_json::json!({"ec-version": "v", "effective-time": "2026-03-01T12:00:00Z"}));
        report.policy = serde_json::json!({ key: texts, "nested": [[texts], {"a": texts, "b": [{}, [], null, 1.5, true]}] });
        let json: Value = serde_json::from_str(&report.render(&target("json", false), false, false)).unwrap();
        let text = report.render(&target("yaml", false), false, false);
        let yaml: Value = serde_yaml::from_str(&text).unwrap();
        prop_assert_eq!(json, yaml, "{}", text);
    }
}

/// Texts of the characters that YAML gives a meaning to, and of any.
fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-?:,\\[\\]{}#&*!|>'\"%@`~.0-9eExyn \n\t+_=<]{0,12}",
        "\\PC{0,8}",
        any::<String>().prop_map(|text| text.chars().take(8).collect())
    ]
}

fn target(text: &str, show_successes: bool) -> Target {
    let defaults = TextOptions { show_successes, ..TextOptions::default() };
    parse_targets(&[text.to_owned()], None, defaults).unwrap().remove(0)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Our line is Conforma's line with one more member at its end.
fn without_carnet_json(got: &str) -> String {
    let (conforma, carnet) = got.rsplit_once(",\"carnet\":").unwrap();
    assert!(carnet.starts_with("{\"verdict\":\""), "{carnet}");
    format!("{conforma}}}\n")
}

/// Our text is Conforma's text with a section behind it, set off by a blank line.
fn conforma_text<'g>(got: &'g str, want: &str) -> &'g str {
    let (conforma, carnet) = got.split_once("Verdict: ").unwrap();
    assert!(carnet.contains("(carnet 0.0.0)"), "{carnet}");
    assert!(conforma.ends_with("\n\n"), "{conforma}");
    if want.ends_with("\n\n") { conforma } else { &conforma[..conforma.len() - 1] }
}

/// Our document is Conforma's with one more suite at its end.
fn without_carnet_suite(got: &str) -> String {
    let (conforma, carnet) = got.rsplit_once("<testsuite name=\"carnet\" tests=\"0\" failures=\"0\"").unwrap();
    assert!(carnet.ends_with("</testsuite></testsuites>\n"), "{carnet}");
    format!("{conforma}</testsuites>\n")
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

/// When the recorded report was made, in the form that it has there.
fn time_of(format: Format, recorded: &str) -> Timestamp {
    let time = match format {
        Format::Appstudio => {
            let seconds = serde_json::from_str::<Value>(recorded).unwrap()["timestamp"].as_str().unwrap().parse().unwrap();
            return Timestamp::from_second(seconds).unwrap();
        }
        Format::Junit => between(recorded, " timestamp=\"", "\"").map(str::to_owned),
        Format::SummaryMarkdown => between(recorded, "| Time | ", " |").map(|time| format!("{}Z", time.replace(' ', "T"))),
        Format::Vsa => between(recorded, "\"timestamp\":\"", "\"").map(str::to_owned),
        _ => None,
    };
    time.map_or(Timestamp::UNIX_EPOCH, |time| time.parse().unwrap())
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

/// The recorded statements by the digest of their subject, and the recorded
/// inputs by their component.
fn materials(case: &Path, components: &[ComponentOutcome]) -> Vec<Material> {
    let lines = |name: &str| fs::read_to_string(case.join(name)).unwrap_or_default();
    let (statements, inputs) = (lines("attestation.jsonl"), lines("policy-input.jsonl"));
    let of = |component: &ComponentOutcome| {
        let digest = component.container_image.rsplit_once("sha256:").map_or("none", |(_, hex)| hex);
        let mut inputs = inputs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Material {
            statements: statements.lines().filter(|line| line.contains(digest)).map(str::to_owned).collect(),
            policy_input: inputs.find(|input| input["component_name"] == component.name.as_str()),
        }
    };
    components.iter().map(of).collect()
}

fn compare_yaml(got: &str, want: &str, place: &str) {
    let mut got_value: serde_yaml::Mapping = serde_yaml::from_str(got).unwrap();
    let want_value: serde_yaml::Mapping = serde_yaml::from_str(want).unwrap();
    assert!(got_value.shift_remove("carnet").is_some(), "{place}");
    let keys = |value: &serde_yaml::Mapping| serde_yaml::to_string(value).unwrap();
    assert_eq!(keys(&got_value), keys(&want_value), "{place}");
    // Where Conforma folds no long line the bytes are equal too.
    let (_, conforma) = got.split_once("\ncomponents:").unwrap();
    let folded = want.lines().any(|line| !line.contains(": ") && line.starts_with("        ") && line.contains(' '));
    if !folded {
        assert_eq!(format!("components:{conforma}"), want, "{place}");
    }
}

fn report(recorded: &Value) -> Report {
    let components = recorded["components"].as_array().cloned().unwrap_or_default();
    Report {
        snapshot: String::new(),
        components: components.iter().map(component).collect(),
        materials: Vec::new(),
        key: text(&recorded["key"]).to_owned(),
        policy: recorded["policy"].clone(),
        ec_version: text(&recorded["ec-version"]).to_owned(),
        effective_time: text(&recorded["effective-time"]).parse().unwrap(),
        time: Timestamp::UNIX_EPOCH,
        carnet: Carnet { version: "0.0.0".to_owned(), ..Carnet::default() },
    }
}

fn component(value: &Value) -> ComponentOutcome {
    let git = value["source"].get("git").map(|git| Git {
        url: text(&git["url"]).to_owned(),
        revision: text(&git["revision"]).to_owned(),
        context: text(&git["context"]).to_owned(),
        devfile_url: text(&git["devfileUrl"]).to_owned(),
        dockerfile_url: text(&git["dockerfileUrl"]).to_owned(),
    });
    ComponentOutcome {
        name: text(&value["name"]).to_owned(),
        container_image: text(&value["containerImage"]).to_owned(),
        source: Source { git },
        violations: list(&value["violations"], result),
        warnings: list(&value["warnings"], result),
        successes: list(&value["successes"], result),
        signatures: list(&value["signatures"], signature),
        attestations: list(&value["attestations"], attestation),
    }
}

fn list<T>(value: &Value, read: fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(read).collect()
}

fn result(value: &Value) -> RuleResult {
    let metadata = value["metadata"].as_object().cloned().unwrap_or_default();
    RuleResult { msg: text(&value["msg"]).to_owned(), metadata: metadata.into_iter().collect() }
}

fn signature(value: &Value) -> Signature {
    let metadata = value["metadata"].as_object().cloned().unwrap_or_default();
    Signature {
        keyid: text(&value["keyid"]).to_owned(),
        sig: text(&value["sig"]).to_owned(),
        certificate: value["certificate"].as_str().map(str::to_owned),
        chain: list(&value["chain"], |pem| text(pem).to_owned()),
        metadata: metadata.into_iter().map(|(name, value)| (name, text(&value).to_owned())).collect(),
    }
}

fn attestation(value: &Value) -> Attestation {
    Attestation {
        statement_type: text(&value["type"]).to_owned(),
        predicate_type: text(&value["predicateType"]).to_owned(),
        predicate_build_type: value["predicateBuildType"].as_str().map(str::to_owned),
        signatures: list(&value["signatures"], signature),
    }
}
