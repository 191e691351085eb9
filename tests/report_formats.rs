//! Every form of the report: parses, holds hostile text, says what was relaxed
//! and what failed, and does not depend on the order of its data.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "reads testdata")]

use std::{fs, path::Path};

use carnet_bundle::{Digest, Finding, codes as bundle_codes};
use carnet_evidence::codes as evidence_codes;
use carnet_policy::{ComponentOutcome, RuleResult, codes, outcome::Signature};
use carnet_verify::report::{
    Assumption, Bundle, BundleTimestamp, Carnet, Format, Material, Need, Relaxation, Report, Target, TextOptions, Trust, Verdict,
};
use jiff::Timestamp;
use proptest::prelude::*;
use quick_xml::{Reader, XmlVersion, events::Event};
use serde_json::{Value, json};

const EVIL: &str = "x\n\u{2713} [Success] forged\r\u{1b}[2J\u{9b}A\u{202e}\u{2028}\u{7f}\u{feff}\u{e0041}\t\
                    ]]></failure><!-- ' \" & | `` :white_check_mark: [a](http://evil.example) {0}\u{ffff}\u{0}";

#[test]
fn hostile_text_forges_no_line_and_moves_no_cursor() {
    let report = hostile();
    for (name, format) in Format::ALL {
        let got = render(&report, format);
        let raw = got.chars().find(|c| *c != '\n' && c.is_control() || "\u{202e}\u{2028}\u{feff}\u{e0041}".contains(*c));
        // Text indents what evidence breaks into lines, and keeps its tabs.
        let raw = raw.filter(|c| format != Format::Text || *c != '\t');
        assert_eq!(raw, None, "{name}: {got}");
        let forged = got.lines().find(|line| line.starts_with('\u{2713}') && line.ends_with("] forged"));
        assert_eq!(forged, None, "{name}");
        if !matches!(format, Format::Html | Format::Text | Format::Yaml) {
            let lines = match format {
                Format::Attestation | Format::PolicyInput | Format::SlsaVsa => 2,
                Format::SummaryMarkdown => 7 + 4,
                _ => 1,
            };
            assert_eq!(got.lines().count(), lines, "{name}: {got}");
        }
    }
}

/// What is the same but for its subject stands once in text; the forms for programs
/// keep every finding.
#[test]
fn text_says_the_same_of_many_once() {
    let mut report = sample();
    let digest = |n: u32| Digest::of(&n.to_be_bytes()).to_string();
    let twenty = (0..20).map(|n| Finding::new(&evidence_codes::NOT_VERIFIED_KIND, digest(n), "kind raw"));
    report.carnet.findings = twenty.collect();
    report.carnet.findings.push(Finding::new(&evidence_codes::NOT_VERIFIED_KIND, digest(20), "kind notation"));
    let text = render(&report, Format::Text);
    let count = |what: &str| text.matches(what).count();
    assert_eq!((count("[Note] not-verified-kind"), count("Reason: kind raw"), count("Subjects: 20\n")), (2, 1, 1), "{text}");
    assert!((0..21).all(|n| count(&digest(n)) == 1), "{text}");
    assert!(text.contains(&format!("  Subject: {}\n  Reason: kind notation", digest(20))), "{text}");
    assert_eq!(parsed(&report, Format::Json)["carnet"]["findings"].as_array().unwrap().len(), 21);
}

/// Codes before details, by step; what a violation says is not said again; and what to
/// do is about the evidence where the evidence is what lacks.
#[test]
fn a_failure_says_why_and_what_to_do() {
    let mut report = sample();
    assert!(!render(&report, Format::Text).contains("Because:") && report.remedies().is_empty());
    let message = "Image signature check failed: it is long";
    let image = report.components[0].container_image.clone();
    report.components[0].violations = vec![result("builtin.image.signature_check", message)];
    let unsigned = Finding::new(&codes::IMAGE_SIGNATURE_NOT_VERIFIED, &image, message);
    report.carnet.findings = vec![unsigned.clone()];
    let text = render(&report, Format::Text);
    assert_eq!(text.matches(message).count(), 1, "{text}");
    assert!(text.contains("\nBecause: image-signature-not-verified\n") && text.contains("see the violation above"), "{text}");
    assert_eq!(report.remedies(), [format!("image-signature-not-verified: {}", codes::IMAGE_SIGNATURE_NOT_VERIFIED.hint)]);

    let other = |n: &str| Finding::new(&evidence_codes::IDENTITY_MISMATCH, n, "another identity");
    let damaged = Finding::new(&bundle_codes::BLOB_DIGEST_MISMATCH, "x", "changed");
    report.carnet.findings = vec![unsigned, other("a"), other("b"), damaged.clone(), damaged];
    let text = render(&report, Format::Text);
    assert!(text.contains("\nBecause: blob-digest-mismatch (2 times), image-signature-not-verified\n"), "{text}");
    let [changed, identity] = [bundle_codes::BLOB_DIGEST_MISMATCH.hint, evidence_codes::IDENTITY_MISMATCH.hint];
    assert_eq!(report.remedies(), [format!("blob-digest-mismatch: {changed}"), format!("identity-mismatch: {identity}")]);
    // What a rule has against an image is no finding.
    report.components[1].violations = vec![result("release.builder_known", "the builder is unknown")];
    assert!(render(&report, Format::Text).contains("image-signature-not-verified, release.builder_known\n"));
    assert!(report.remedies()[2].contains("--info"), "{:?}", report.remedies());
    report.components.iter_mut().for_each(|component| component.violations.clear());
    // A bad piece beside good ones is no reason.
    report.carnet.findings.retain(|finding| finding.code != "image-signature-not-verified");
    assert_eq!(report.remedies(), [format!("blob-digest-mismatch: {changed}")]);
}

#[test]
fn every_form_parses() {
    for report in [hostile(), sample(), empty()] {
        for (name, format) in Format::ALL {
            let got = render(&report, format);
            assert!(got.ends_with('\n'), "{name}");
            match format {
                // tests/report_html.rs reads pages.
                Format::Html | Format::Text => {}
                Format::Yaml => drop(serde_yaml::from_str::<serde_yaml::Value>(&got).unwrap()),
                Format::Junit => drop(xml(&got)),
                Format::SummaryMarkdown => markdown(&got),
                _ => {
                    for line in got.lines().filter(|line| !line.is_empty()) {
                        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{name}: {e}: {line}"));
                        assert!(value.is_object(), "{name}");
                    }
                }
            }
        }
    }
}

#[test]
fn evidence_reads_back_as_it_was() {
    let report = hostile();
    let summary = parsed(&report, Format::Summary);
    assert_eq!(summary["components"][0]["violations"][EVIL][0], EVIL);
    assert_eq!(parsed(&report, Format::Vsa)["summary"]["component_details"][0]["name"], EVIL);
    let input: Value = serde_json::from_str(render(&report, Format::PolicyInput).lines().next().unwrap()).unwrap();
    assert_eq!(input, json!({ EVIL: EVIL }));
    let statement: Value = serde_json::from_str(render(&report, Format::Attestation).lines().next().unwrap()).unwrap();
    assert_eq!(statement, json!({ EVIL: EVIL }));
    // XML has no form for some of the characters; they are spelled out.
    let elements = xml(&render(&report, Format::Junit));
    let failure = elements.iter().find(|(name, ..)| name == "failure").unwrap();
    assert!(failure.2.starts_with("x\n\u{2713} [Success] forged\\r\\u{1b}[2J\\u{9b}A\\u{202e}"), "{failure:?}");
    assert!(failure.2.contains("\t]]></failure><!-- ' \" & | ``"), "{failure:?}");
    assert!(failure.1.iter().any(|(name, value)| name == "message" && *value == failure.2), "{failure:?}");
}

#[test]
fn relaxations_stand_in_every_form() {
    let mut report = sample();
    report.carnet.relaxations = vec![Relaxation { flag: "--ignore-rekor".into(), effect: "no log entry is asked for".into() }];
    assert_eq!(report.verdict(), Verdict::Pass);
    for (name, format) in Format::ALL {
        let got = render(&report, format);
        let remarks = report.remarks(&[target(Format::Json), target(format)]);
        if format.has_room() {
            assert!(got.contains("--ignore-rekor"), "{name}: {got}");
            assert!(remarks.is_empty(), "{name}");
        } else {
            assert!(!got.contains("--ignore-rekor"), "{name}: {got}");
            assert_eq!(remarks, ["relaxed by --ignore-rekor: no log entry is asked for"], "{name}");
        }
    }
    let appstudio = parsed(&report, Format::Appstudio);
    assert_eq!((&appstudio["result"], &appstudio["note"]), (&json!("SUCCESS"), &json!("relaxed by --ignore-rekor")));
}

/// A bundle that was tampered with has no violation, yet no form may look well.
#[test]
fn a_finding_without_a_violation_fails_every_form() {
    let mut report = sample();
    report.carnet.findings = vec![Finding::new(&codes::NO_COMPONENTS, "r.example/other:v1", "nobody expects it")];
    assert_eq!(report.verdict(), Verdict::Fail);
    for (name, format) in Format::ALL {
        let got = render(&report, format);
        if format.has_room() && format != Format::SlsaVsa {
            assert!(got.contains("no-components"), "{name}: {got}");
        }
    }
    let appstudio = parsed(&report, Format::Appstudio);
    assert_eq!((&appstudio["result"], &appstudio["failures"]), (&json!("FAILURE"), &json!(1)));
    assert_eq!(parsed(&report, Format::Summary)["carnet"]["verdict"], "fail");
    let vsa = parsed(&report, Format::Vsa);
    assert_eq!((&vsa["status"], &vsa["summary"]["Violations"]), (&json!("failed"), &json!(1)));
    for line in render(&report, Format::SlsaVsa).lines() {
        let statement: Value = serde_json::from_str(line).unwrap();
        assert_eq!(statement["predicate"]["verificationResult"], "FAILED");
        assert_eq!(statement["predicate"]["verifiedLevels"], json!(["FAILED"]));
    }
    let markdown = render(&report, Format::SummaryMarkdown);
    assert!(markdown.contains("| Result |  | :x: |\n| Finding | ` no-components: nobody expects it ` | :x: |\n"), "{markdown}");
    assert!(markdown.contains("| Failures | 1 | :x: |"), "{markdown}");
    let elements = xml(&render(&report, Format::Junit));
    assert_eq!(attribute(&elements, "testsuites", "failures"), "1");
    assert!(elements.iter().any(|(name, _, text)| name == "failure" && text == "nobody expects it"));
}

/// A failed check makes a violation and a finding of the same message.
#[test]
fn what_a_violation_says_is_not_said_twice() {
    let mut report = sample();
    report.components[0].violations = vec![result("builtin.image.signature_check", "no signatures found")];
    let image = report.components[0].container_image.clone();
    report.carnet.findings = vec![Finding::new(&codes::IMAGE_SIGNATURE_NOT_VERIFIED, image, "no signatures found")];
    assert_eq!(parsed(&report, Format::Appstudio)["failures"], 1);
    assert_eq!(attribute(&xml(&render(&report, Format::Junit)), "testsuites", "failures"), "1");
    let sarif = parsed(&report, Format::Sarif);
    let errors = sarif["runs"][0]["results"].as_array().unwrap().iter().filter(|result| result["level"] == "error");
    assert_eq!(errors.count(), 1);
}

/// The same words about another image must not make a failed one look well.
#[test]
fn what_a_violation_says_of_another_image_is_not_said_of_this_one() {
    let mut report = sample();
    report.components[0].violations = vec![result("a.b", "not allowed")];
    report.carnet.findings = vec![Finding::new(&codes::NO_COMPONENTS, "c.d", "not allowed")];
    for line in render(&report, Format::SlsaVsa).lines() {
        let statement: Value = serde_json::from_str(line).unwrap();
        assert_eq!(statement["predicate"]["verificationResult"], "FAILED", "{line}");
    }
    assert_eq!(parsed(&report, Format::Appstudio)["failures"], 2);
}

#[test]
fn sarif_keeps_to_its_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy/report-schema/sarif.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).unwrap();
    for report in [hostile(), sample(), empty()] {
        let sarif = parsed(&report, Format::Sarif);
        let errors: Vec<_> = schema.iter_errors(&sarif).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let run = &sarif["runs"][0];
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        }
    }
    let mut broken = parsed(&sample(), Format::Sarif);
    broken["runs"][0]["results"][0]["level"] = "error".into();
    broken["runs"][0]["results"][0]["kind"] = "pass".into();
    assert!(!schema.is_valid(&broken));
}

#[test]
fn a_summary_for_slsa_is_a_statement_per_image() {
    let mut report = sample();
    report.components[0].violations = vec![result("a.b", "bad")];
    report.components.push(ComponentOutcome { container_image: "r.example/not-found:v1".into(), ..ComponentOutcome::default() });
    let got = render(&report, Format::SlsaVsa);
    let statements: Vec<Value> = got.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let digest = Digest::of(b"b").to_hex();
    let predicate = &statements[0]["predicate"];
    assert_eq!(statements.len(), 2, "{got}");
    assert_eq!(statements[0]["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statements[0]["predicateType"], "https://slsa.dev/verification_summary/v1");
    assert_eq!(statements[0]["subject"], json!([{"name": "r.example/b", "digest": {"sha256": digest}}]));
    assert_eq!(predicate["verificationResult"], "PASSED");
    assert_eq!(predicate["verifiedLevels"], json!(["SLSA_BUILD_LEVEL_UNEVALUATED"]));
    assert_eq!(predicate["timeVerified"], "2026-03-01T12:00:00Z");
    assert_eq!(predicate["resourceUri"], format!("pkg:oci/b@sha256%3A{digest}?repository_url=r.example/b"));
    let policy = Digest::of(br#"{"name":"p","publicKey":"k"}"#).to_hex();
    assert_eq!(predicate["policy"], json!({"uri": format!("nih:sha-256;{policy}"), "digest": {"sha256": policy}}));
    assert_eq!(predicate["inputAttestations"][0]["digest"]["sha256"], Digest::of(b"bundle").to_hex());
    assert_eq!(statements[1]["subject"][0]["name"], "r.example/a");
    assert_eq!(statements[1]["predicate"]["verificationResult"], "FAILED");
}

#[test]
fn an_index_has_not_passed_when_a_child_has_not() {
    let result_of = |child_fails: bool| {
        let mut report = sample();
        let image = |name: &str, bytes: &[u8]| ComponentOutcome {
            name: name.to_owned(),
            container_image: format!("r.example/i@{}", Digest::of(bytes)),
            ..ComponentOutcome::default()
        };
        let mut child = image(&format!("i-{}-arm64", Digest::of(b"child")), b"child");
        child.violations.extend(child_fails.then(|| result("a.b", "bad")));
        report.components = vec![image("i", b"index"), child, image("other", b"other")];
        let lines = render(&report, Format::SlsaVsa);
        let statements = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let passed = statements.filter(|statement| statement["predicate"]["verificationResult"] == "PASSED");
        passed.map(|statement| statement["subject"][0]["digest"]["sha256"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(result_of(false).len(), 3);
    assert_eq!(result_of(true), [Digest::of(b"other").to_hex()]);
}

#[test]
fn the_order_of_the_data_does_not_matter() {
    let report = sample();
    let mut turned = report.clone();
    turned.components.reverse();
    turned.materials.reverse();
    for (name, format) in Format::ALL {
        assert_eq!(render(&report, format), render(&turned, format), "{name}");
    }
}

#[test]
fn few_forms_need_the_report_to_be_filled() {
    let needs: Vec<_> = Format::ALL.iter().filter_map(|(name, format)| Some((*name, format.needs()?))).collect();
    assert_eq!(
        needs,
        [("attestation", Need::Statements), ("html", Need::Ledger), ("policy-input", Need::PolicyInput), ("proof", Need::Ledger)]
    );
    let mut report = sample();
    report.materials.clear();
    for format in [Format::Attestation, Format::PolicyInput] {
        assert_eq!(render(&report, format).trim(), "");
    }
}

proptest! {
    /// Whatever a message is, the documents are well-formed and say it.
    #[test]
    fn any_text_can_be_said(msg in any::<String>(), code in "\\PC{1,12}", name in any::<String>()) {
        let mut report = sample();
        report.components[0].name = name.clone();
        report.components[0].violations = vec![result(&code, &msg)];
        let sarif = parsed(&report, Format::Sarif);
        prop_assert!(sarif["runs"][0]["results"].as_array().unwrap().iter().any(|result| result["ruleId"] == code.as_str()));
        prop_assert_eq!(&parsed(&report, Format::Summary)["components"][1]["violations"][code.as_str()][0], &json!(msg));
        prop_assert_eq!(&parsed(&report, Format::Vsa)["summary"]["component_details"][1]["name"], &json!(name));
        let elements = xml(&render(&report, Format::Junit));
        let (_, attributes, text) = elements.iter().find(|(name, ..)| name == "failure").unwrap();
        prop_assert_eq!(&attributes[0].1, text);
        if !msg.chars().any(|c| c.is_control() || carnet_verify::report::escape_line(&msg) != msg) {
            prop_assert_eq!(text, &msg.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"));
        }
        markdown(&render(&report, Format::SummaryMarkdown));
    }
}

fn render(report: &Report, format: Format) -> String {
    report.render(&target(format), true, false)
}

fn target(format: Format) -> Target {
    Target { format, path: None, options: TextOptions { show_successes: true, ..TextOptions::default() } }
}

fn parsed(report: &Report, format: Format) -> Value {
    serde_json::from_str(&render(report, format)).unwrap()
}

fn empty() -> Report {
    Report {
        snapshot: String::new(),
        components: Vec::new(),
        materials: Vec::new(),
        key: String::new(),
        policy: json!({"publicKey": "k", "name": "p"}),
        ec_version: "v".into(),
        effective_time: "2026-03-01T12:00:00Z".parse().unwrap(),
        time: "2026-03-01T12:00:00.5Z".parse().unwrap(),
        carnet: Carnet { version: "0.0.0".into(), ..Carnet::default() },
    }
}

/// Two good images, `b` before `a` in every form.
fn sample() -> Report {
    let component = |name: &str| ComponentOutcome {
        name: name.into(),
        container_image: format!("r.example/{name}@{}", Digest::of(name.as_bytes())),
        successes: vec![result("builtin.image.signature_check", "Pass")],
        ..ComponentOutcome::default()
    };
    let material = |name: &str| Material {
        statements: vec![format!("{{\"subject\": \"{name}\"}}")],
        policy_input: Some(json!({ "component_name": name })),
    };
    let mut report = empty();
    report.components = vec![component("a"), component("b")];
    report.materials = vec![material("a"), material("b")];
    report.carnet.bundle = Bundle { id: Some(Digest::of(b"bundle")), content_id: Some(Digest::of(b"content")) };
    report
}

fn hostile() -> Report {
    let evil = || EVIL.to_owned();
    let names = ["code", "title", "description", "solution", "other"];
    let all = || RuleResult { msg: evil(), metadata: names.iter().map(|name| ((*name).to_owned(), EVIL.into())).collect() };
    let mut with_terms = all();
    with_terms.metadata.insert("term".into(), json!([EVIL, { EVIL: EVIL }]));
    let component = |digest: &str| ComponentOutcome {
        name: evil(),
        container_image: format!("{EVIL}@{}", Digest::of(digest.as_bytes())),
        violations: vec![all(), with_terms.clone(), RuleResult { msg: evil(), ..RuleResult::default() }],
        warnings: vec![all()],
        successes: vec![all()],
        signatures: vec![Signature { keyid: evil(), sig: evil(), metadata: [(evil(), evil())].into(), ..Signature::default() }],
        ..ComponentOutcome::default()
    };
    let statement = json!({ EVIL: EVIL });
    let material = || Material {
        statements: vec![format!("{{\r\n\t{}\n\n", &statement.to_string()[1..])],
        policy_input: Some(statement.clone()),
    };
    let mut report = empty();
    report.snapshot = evil();
    report.components = vec![component("a"), component("b")];
    report.materials = vec![material(), material()];
    report.key = evil();
    report.policy = statement.clone();
    report.ec_version = evil();
    report.carnet.trust = Trust { source: evil(), ..Trust::default() };
    report.carnet.findings = vec![Finding::new(&codes::DUPLICATE_COMPONENT, EVIL, EVIL).with_hint(EVIL)];
    report.carnet.relaxations = vec![Relaxation { flag: evil(), effect: evil() }];
    let attachment = Digest::of(b"attachment");
    report.carnet.timestamps = vec![BundleTimestamp { time: report.time, authority: evil(), through: evil(), attachment }];
    report.carnet.assumptions =
        vec![Assumption { code: evil(), subject: evil(), message: evil(), used_by: vec![evil()], vouched_by: evil() }];
    report
}

fn result(code: &str, msg: &str) -> RuleResult {
    RuleResult { msg: msg.into(), metadata: [("code".to_owned(), code.into())].into() }
}

/// Name, attributes and own text of an element.
type Element = (String, Vec<(String, String)>, String);

/// All elements in document order; fails on what is not well-formed.
fn xml(text: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let (mut elements, mut open): (Vec<Element>, Vec<usize>) = (Vec::new(), Vec::new());
    loop {
        let event = reader.read_event().unwrap();
        let last = open.last().copied();
        match event {
            Event::Start(start) => {
                let attribute = |a: quick_xml::events::attributes::Attribute<'_>| {
                    (a.key.as_ref().to_owned(), a.normalized_value(XmlVersion::Implicit1_0).unwrap().into_owned())
                };
                let attributes = start.attributes().map(|a| attribute(a.unwrap())).collect();
                open.push(elements.len());
                elements.push((start.name().as_ref().to_owned(), attributes, String::new()));
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(text) => elements[last.unwrap_or_default()].2.push_str(&text),
            Event::CData(text) => elements[last.unwrap_or_default()].2.push_str(&text),
            Event::GeneralRef(reference) => {
                let c = reference.resolve_char_ref().unwrap();
                let named = quick_xml::escape::resolve_xml_entity(&reference).map(str::to_owned);
                elements[last.unwrap_or_default()].2.push_str(&c.map(String::from).or(named).unwrap());
            }
            Event::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(open.is_empty());
    assert!(elements.iter().all(|(name, ..)| {
        ["testsuites", "testsuite", "properties", "property", "testcase", "failure", "skipped"].contains(&name.as_str())
    }));
    elements
}

fn attribute<'e>(elements: &'e [Element], element: &str, name: &str) -> &'e str {
    let (_, attributes, _) = elements.iter().find(|(of, ..)| of == element).unwrap();
    attributes.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
}

/// Every line is a row of three cells.
fn markdown(text: &str) {
    for line in text.lines() {
        assert!(line.starts_with('|') && line.ends_with('|') && line.matches('|').count() == 4, "{line}");
    }
}

#[test]
fn times_are_those_of_the_run() {
    let mut report = sample();
    report.time = Timestamp::from_second(1_795_491_918).unwrap();
    assert_eq!(parsed(&report, Format::Appstudio)["timestamp"], "1795491918");
    assert_eq!(parsed(&report, Format::Vsa)["timestamp"], "2026-11-24T03:45:18Z");
    assert!(render(&report, Format::SummaryMarkdown).contains("| Time | 2026-11-24 03:45:18 |  |\n"));
    assert_eq!(attribute(&xml(&render(&report, Format::Junit)), "testsuite", "timestamp"), "2026-11-24T03:45:18Z");
}
