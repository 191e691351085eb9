//! The proof: keeps to its schema, is the same bytes each time, and gives for each
//! conclusion what it stands on.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "reads bundle-spec")]

use std::{fs, path::Path};

use carnet_bundle::{Archive, Limits};
use carnet_verify::{
    Document, Inputs, TrustInputs, VerifyArgs,
    report::{Format, Need, Report, Target, TextOptions, parse_targets},
    run,
};
use jsonschema::Validator;
use serde_json::{Value, json};

#[path = "spec/example.rs"]
mod example;
#[path = "spec/markdown.rs"]
#[allow(dead_code, reason = "each suite uses a part")]
mod markdown;
#[path = "report/proofs.rs"]
mod proofs;

use proofs::{EVIL, failing, hostile, nothing, passing, proof, render};

#[test]
fn proofs_keep_to_their_schema() {
    let schema = schema();
    for (name, report) in [("passing", passing()), ("failing", failing()), ("hostile", hostile()), ("nothing", nothing())] {
        let proof = proof(&report);
        let errors: Vec<_> = schema.iter_errors(&proof).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

/// What must not be taken for a proof.
#[test]
fn the_schema_refuses() {
    let schema = schema();
    let good = proof(&failing());
    for (pointer, value) in [
        ("/verdict", json!("skipped")),
        ("/schema/major", json!(1)),
        ("/images/0/conclusions/0/step", json!("V17.1")),
        ("/images/0/conclusions/0/trust", json!({"source": "anybody"})),
        ("/images/0/evidence/0/conclusions", json!([])),
        ("/images/0/evidence/2/conclusions", good["images"][0]["evidence"][0]["conclusions"].clone()),
        ("/images/0/evidence/2/subject", good["images"][0]["digest"].clone()),
        ("/images/0/evidence/0/result", json!("not-counted")),
        ("/notCovered", json!([])),
        ("/receipts/0/result", json!("maybe")),
    ] {
        let mut proof = good.clone();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let parent = proof.pointer_mut(parent).unwrap();
        parent[member] = value;
        assert!(!schema.is_valid(&proof), "{pointer}");
    }
}

#[test]
fn the_same_report_gives_the_same_bytes_in_the_same_order() {
    for report in [passing(), failing(), hostile()] {
        let text = render(&report, Format::Proof);
        assert_eq!(text, render(&report.clone(), Format::Proof));
        assert_eq!(text.lines().count(), 1);
        let order: Vec<_> = proof(&report).as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            order,
            [
                "schema",
                "verdict",
                "totals",
                "verifier",
                "time",
                "effectiveTime",
                "bundle",
                "timestamps",
                "trust",
                "policy",
                "images",
                "carried",
                "findings",
                "relaxations",
                "assumptions",
                "notCovered",
                "receipts"
            ]
        );
    }
}

/// Images and their evidence stay together, in whatever order they were judged.
#[test]
fn the_order_of_the_data_does_not_matter() {
    let mut report = passing();
    let mut second = report.components[0].clone();
    second.container_image = second.container_image.replace("/app@", "/other@");
    report.components.push(second);
    report.carnet.ledger.evidence.push(Vec::new());
    let mut turned = report.clone();
    turned.components.reverse();
    turned.carnet.ledger.evidence.reverse();
    for format in [Format::Proof, Format::Html] {
        assert_eq!(render(&report, format), render(&turned, format));
    }
    let proof = proof(&report);
    let evidence = |at: usize| proof["images"][at]["evidence"].as_array().unwrap().len();
    assert_eq!(
        (&proof["images"][0]["reference"], evidence(0), evidence(1)),
        (&json!(report.components[1].container_image), 0, 2)
    );
}

#[test]
fn each_conclusion_says_what_it_stands_on() {
    let proof = proof(&passing());
    let image = &proof["images"][0];
    let of_image = &image["conclusions"][0];
    assert_eq!(of_image["step"], "V14.2");
    assert_eq!(of_image["requirement"], "builtin.image.signature_check");
    assert_eq!(of_image["subject"], image["digest"]);
    // A signature of the image, and not the attestation beside it.
    assert_eq!(of_image["evidence"], json!([image["evidence"][0]["evidence"]]));
    assert_eq!(of_image["trust"]["digest"], proof["policy"]["digest"]);

    let steps = |evidence: usize| -> Vec<&str> {
        let conclusions = image["evidence"][evidence]["conclusions"].as_array().unwrap();
        conclusions.iter().map(|conclusion| conclusion["step"].as_str().unwrap()).collect()
    };
    assert_eq!(steps(0), ["V7.1", "V7.5", "V8.1", "V9.5", "V9.1", "V10.1", "V10.2", "V10.5", "V11.1", "V11.6"]);
    assert_eq!(steps(1), ["V7.3", "V7.5"]);
    for conclusion in image["evidence"][0]["conclusions"].as_array().unwrap() {
        assert_eq!(conclusion["subject"], image["digest"]);
        assert_eq!(conclusion["evidence"], json!([image["evidence"][0]["evidence"]]));
    }
    let logged = &image["evidence"][0]["conclusions"][2];
    assert_eq!(logged["logEntry"]["index"], 123_456_789);
    assert_eq!(
        logged["trust"],
        json!({"from": "trust-root", "source": proof["trust"]["source"], "digest": proof["trust"]["digest"], "ageDays": 96})
    );
    let by_key = &image["evidence"][1]["conclusions"][0];
    assert_eq!((&by_key["signer"]["kind"], &by_key["trust"]["from"]), (&json!("key"), &json!("public-key")));
    assert_eq!(by_key["trust"]["digest"], by_key["signer"]["digest"]);
}

/// What did not verify is named and not repeated.
#[test]
fn refused_evidence_has_reasons_and_no_conclusion() {
    let proof = proof(&failing());
    let refused = &proof["images"][0]["evidence"][2];
    assert_eq!((&refused["result"], &refused["conclusions"]), (&json!("not-counted"), &json!([])));
    assert_eq!(refused["findings"][0]["message"], "value-907");
    assert_eq!(refused.get("subject"), None);
    let codes: Vec<_> = proof["notCovered"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(
        codes,
        ["not-carried", "platform-left-out", "could-not-look", "not-judged", "beyond-the-rules", "build-level", "later-events"]
    );
    assert_eq!((&proof["verdict"], &proof["totals"]["failed"]), (&json!("fail"), &json!(1)));
}

#[test]
fn hostile_text_reads_back_as_it_was() {
    let text = render(&hostile(), Format::Proof);
    assert_eq!(text.chars().find(|c| *c != '\n' && (c.is_control() || "<>&\u{202e}\u{200b}".contains(*c))), None);
    assert_eq!(proof(&hostile())["images"][0]["component"], EVIL);
}

#[test]
fn both_forms_have_the_report_filled_and_room_for_relaxations() {
    for (name, format) in [("proof=a.json", Format::Proof), ("html=a.html", Format::Html)] {
        let targets: Vec<Target> = parse_targets(&[name.to_owned()], None, TextOptions::default()).unwrap();
        assert_eq!((targets[0].format, format.needs(), format.has_room()), (format, Some(Need::Ledger), true));
    }
}

/// The signed and attested image of bundle.md, judged for real.
#[test]
fn a_run_fills_the_proof() {
    let report = judge(&["--accept-bundled-policy"]);
    let proof = proof(&report);
    let errors: Vec<_> = schema().iter_errors(&proof).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(proof["verdict"], "pass", "{proof:#}");
    assert_eq!(proof["bundle"]["id"], example::plan().id().to_string());
    assert_eq!(proof["policy"]["identity"]["issuer"], "https://kubernetes.default.svc.cluster.local");
    assert_eq!(proof["receipts"].as_array().unwrap().len(), 6);
    let evidence = proof["images"][0]["evidence"].as_array().unwrap();
    assert_eq!(evidence.iter().map(|one| one["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["image-signature", "attestation"]);
    for one in evidence {
        assert_eq!(one["subject"], proof["images"][0]["digest"]);
        let step = |step: &str| {
            let conclusions = one["conclusions"].as_array().unwrap();
            conclusions.iter().find(|conclusion| conclusion["step"] == step).unwrap_or_else(|| panic!("no {step}: {one:#}"))
        };
        assert_eq!(step("V7.1")["signer"]["issuer"], "https://kubernetes.default.svc.cluster.local");
        assert_eq!(step("V8.1")["logEntry"]["promise"], true);
        assert_eq!(step("V9.5")["times"][0]["source"], "log-promise");
        assert_eq!(step("V10.1")["trust"]["digest"], proof["trust"]["digest"]);
        assert_eq!(step("V11.1")["trust"]["from"], "policy");
    }
}

/// The same image, asked for by whom did not sign it.
#[test]
fn a_run_that_fails_says_why_nothing_counts() {
    let image = "--image=registry.local:5001/sigstore/testimage:v1";
    let words = [image, "--certificate-identity=somebody@example.com", "--certificate-oidc-issuer=https://issuer.example"];
    let proof = proof(&judge(&words));
    assert!(schema().is_valid(&proof));
    assert_eq!((&proof["verdict"], &proof["images"][0]["conclusions"][0]["result"]), (&json!("fail"), &json!("failed")));
    for one in proof["images"][0]["evidence"].as_array().unwrap() {
        assert_eq!((&one["result"], one.get("kind")), (&json!("not-counted"), None));
        assert_eq!(one["findings"][0]["code"], "identity-mismatch");
    }
    assert!(!proof["images"].to_string().contains("V7.1"));
}

fn judge(words: &[&str]) -> Report {
    let archive = example::archive(&example::plan());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/trust/conforma-testimage/trusted_root.json");
    let trusted_root = Document { name: "trusted_root.json".to_owned(), bytes: fs::read(root).unwrap() };
    let args = ["carnet-verify", "-", "--output=proof"].iter().chain(words).map(Into::into);
    let inputs = Inputs {
        images: Vec::new(),
        policy: None,
        trusted_root: Some(trusted_root),
        trust: TrustInputs::default(),
        policy_lock: None,
        sources: &carnet_verify::disk::sources::Disk,
        read: &|path| fs::read(path),
    };
    let limits = Limits::default();
    let mut container = Archive::new(archive.as_slice(), &limits).unwrap();
    run(&VerifyArgs::read(args).unwrap(), &inputs, &mut container, "2026-11-25T00:00:00Z".parse().unwrap(), 1).unwrap()
}

fn schema() -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bundle-spec/schema/proof.json");
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
    jsonschema::draft202012::new(&schema).unwrap()
}
