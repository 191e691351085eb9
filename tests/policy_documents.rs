//! The two files of the operator: every shape that is read, every mistake that is
//! refused, with line and column. One file per case under `testdata/policy`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "reads testdata")]

use std::{fs, path::Path};

use carnet_policy::{
    Images, Policy, PolicyError, Reading,
    document::{Authority, Identity, KeySource, Overrides},
    images::{self, Document},
};
use serde_json::{Value, json};

#[test]
fn images_documents_are_read_or_refused_as_expected() {
    let mut differences = Vec::new();
    for (case, bytes, expect) in cases("images", 25) {
        let document = Document { file: &format!("{case}.yaml"), bytes: &bytes };
        for (name, reading) in [("strict", Reading::Strict), ("conforma", Reading::Conforma)] {
            if let Some(expect) = expect.get(name) {
                let got = images::read(&[document], None, reading).map(|images| shown(&images)).map_err(|e| e.to_string());
                differences.extend(difference(&format!("{case}, {name}"), got, expect, expect));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn policy_documents_are_read_or_refused_as_expected() {
    let mut differences = Vec::new();
    for (case, bytes, expect) in cases("documents", 25) {
        let got = Policy::parse(&bytes, &format!("{case}.yaml"));
        let got = got.map(|policy| serde_json::to_value(policy).unwrap()).map_err(|e| e.to_string());
        differences.extend(difference(&case, got, &expect["policy"], &expect));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn inputs_merge_in_the_order_of_the_flags() {
    let a = Document { file: "a", bytes: b"{application: one, components: [{containerImage: r.example/a:1}]}" };
    let b = Document {
        file: "b",
        bytes: b"{application: two, displayName: B, components: [{name: x, containerImage: r.example/a:1}]}",
    };
    let got = images::read(&[a, b], Some("r.example/b:1"), Reading::Strict).unwrap();
    assert_eq!((got.application.as_str(), got.display_name.as_str()), ("one", "B"));
    let names: Vec<_> = got.components.iter().map(|c| (c.name.as_str(), c.container_image.as_str())).collect();
    assert_eq!(names, [("x", "r.example/a:1"), ("Unnamed", "r.example/b:1")]);
    let none = images::read(&[], None, Reading::Strict).unwrap_err();
    assert_eq!(none.to_string(), "neither Snapshot nor image reference provided to validate");
    let bad = images::read(&[], Some("r.example/B"), Reading::Strict).unwrap_err();
    assert!(
        bad.to_string().starts_with("--image: error validating image r.example/B of component Unnamed: could not parse"),
        "{bad}"
    );
}

#[test]
fn key_and_identity_are_settled_by_precedence() {
    let file = "{publicKey: file.pub, rekorUrl: https://r, identity: {issuer: I, subject: S}}";
    let keyless = "identity: {issuer: I, subject: S}";
    let flags = |key: &str, issuer: &str, subject: &str| Overrides {
        public_key: key.into(),
        rekor_url: String::new(),
        identity: Identity { issuer: issuer.into(), subject: subject.into(), ..Identity::default() },
    };
    let key = |path: &str| Authority::Key(KeySource::File(path.into()));
    let identity = |issuer: &str, subject: &str| {
        Authority::Identity(Identity { issuer: issuer.into(), subject: subject.into(), ..Identity::default() })
    };
    for (policy, flags, authority, shown) in [
        (
            file,
            flags("", "", ""),
            key("file.pub"),
            json!({"rekorUrl": "https://r", "publicKey": "file.pub", "identity": {"subject": "S", "issuer": "I"}}),
        ),
        (
            file,
            flags("flag.pub", "", ""),
            key("flag.pub"),
            json!({"rekorUrl": "https://r", "publicKey": "flag.pub", "identity": {"subject": "S", "issuer": "I"}}),
        ),
        (
            file,
            flags("flag.pub", "i", "s"),
            key("flag.pub"),
            json!({"rekorUrl": "https://r", "publicKey": "flag.pub", "identity": {"subject": "S", "issuer": "I"}}),
        ),
        (
            file,
            flags("", "i", "s"),
            identity("i", "s"),
            json!({"rekorUrl": "https://r", "identity": {"subject": "S", "issuer": "I"}}),
        ),
        (keyless, flags("", "", ""), identity("I", "S"), json!({"identity": {"subject": "S", "issuer": "I"}})),
        ("name: x", flags("k.pub", "", ""), key("k.pub"), json!({"name": "x", "publicKey": "k.pub"})),
    ] {
        let got = Policy::parse(policy.as_bytes(), "p").unwrap().settle(&flags).unwrap();
        assert_eq!(got.authority, authority, "{policy} {flags:?}");
        assert_eq!(serde_json::to_value(&got.policy).unwrap(), shown, "{policy} {flags:?}");
    }
    let pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    let got = Policy::default().settle(&flags(pem, "", "")).unwrap();
    assert_eq!(got.authority, Authority::Key(KeySource::Inline(pem.into())));
}

#[test]
fn without_a_signer_there_is_no_verdict() {
    let settle = |policy: &str, flags: Overrides| Policy::parse(policy.as_bytes(), "p").unwrap().settle(&flags).unwrap_err();
    let both = "certificate OIDC issuer must be provided for keyless workflow\ncertificate identity must be provided for keyless workflow";
    assert_eq!(settle("name: x", Overrides::default()).to_string(), both);
    // The identity of the flags replaces the policy's as a whole.
    let subject = Overrides { identity: Identity { subject: "s".into(), ..Identity::default() }, ..Overrides::default() };
    let error = settle("{publicKey: k, identity: {issuer: i, subject: s}}", subject);
    assert_eq!(error.to_string(), "certificate OIDC issuer must be provided for keyless workflow");
    for key in ["k8s://ns/name", "awskms:///alias/x", "hashivault://k", "env://KEY", "https://x.example/k.pub", "pkcs11:token=x"]
    {
        let error = settle(&format!("publicKey: {key:?}"), Overrides::default());
        assert_eq!(error, PolicyError::KeyNotAtHand { reference: key.into() });
    }
    let error = settle("identity: {issuer: i, subjectRegExp: \"a(\"}", Overrides::default());
    assert!(matches!(error, PolicyError::Identity(_)), "{error}");
}

#[test]
fn inline_texts_are_told_from_file_names() {
    for (value, inline) in [
        ("images.yaml", false),
        ("./a b/images.yaml", false),
        ("C:\\images.yaml", false),
        ("{\"components\":[]}", true),
        (" {components: []}", true),
        ("components:\n- x", true),
        ("components: []", true),
    ] {
        assert_eq!(images::is_inline(value), inline, "{value}");
    }
}

/// Name, bytes and expectation of every case in a folder of `testdata/policy`.
fn cases(folder: &str, least: usize) -> Vec<(String, Vec<u8>, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy").join(folder);
    let mut cases = Vec::new();
    for path in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_yaml(path)) {
        let expect = serde_json::from_slice(&fs::read(path.with_extension("expect.json")).unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        cases.push((name, fs::read(&path).unwrap(), expect));
    }
    assert!(cases.len() >= least, "only {} cases in {folder}", cases.len());
    cases
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml")
}

fn shown(images: &Images) -> Value {
    let component =
        |c: &carnet_policy::Component| json!({"name": c.name, "containerImage": c.container_image, "source": c.source});
    json!({
        "components": images.components.iter().map(component).collect::<Vec<_>>(),
        "findings": images.findings.iter().map(|f| f.code).collect::<Vec<_>>(),
    })
}

/// What is wrong with the result of a case. Values are compared as text, so that
/// member order counts too.
fn difference(case: &str, got: Result<Value, String>, value: &Value, expect: &Value) -> Option<String> {
    let got = got.map(|value| value.to_string());
    let (want, same) = match (expect.get("error"), expect.get("error_prefix")) {
        (Some(error), _) => (error.to_string(), got.as_ref().err().map(String::as_str) == error.as_str()),
        (_, Some(prefix)) => {
            let begins = |error: &String| error.starts_with(prefix.as_str().unwrap());
            (prefix.to_string(), got.as_ref().err().is_some_and(begins))
        }
        _ => (value.to_string(), got.as_ref().ok() == Some(&value.to_string())),
    };
    (!same).then(|| format!("{case}\n   got {got:?}\n  want {want}"))
}
