//! The specification and the program say the same: every example is extracted,
//! validated against its schema and read by the program's own parser; steps,
//! finding codes, limits and the example bundle are compared with the code.

#![allow(clippy::disallowed_methods, reason = "reads bundle-spec, testdata and the lists of finding codes")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::BTreeMap, fs, path::Path};

use carnet_bundle::{Archive, Content, Digest, Finding, Inventory, Limits, Lookups, Manifest, codes, json, media, open};
use jsonschema::Validator;
use serde_json::Value;

#[path = "spec/example.rs"]
mod example;
#[path = "spec/markdown.rs"]
mod markdown;

use markdown::{Fence, folder, page, pages};

/// What the program's parser makes of an example, as canonical bytes.
type Parser = fn(&[u8]) -> Result<(), String>;

/// A kind of example: what the info string says, its schema, its parser.
struct Kind {
    info: &'static str,
    schema: Option<&'static str>,
    parser: Parser,
}

const fn kind(info: &'static str, schema: Option<&'static str>, parser: Parser) -> Kind {
    Kind { info, schema, parser }
}

const KINDS: &[Kind] = &[
    kind(media::BUNDLE, Some("bundle-index"), index),
    kind(media::CONTROL, Some("control-manifest"), manifest),
    kind(media::POLICY, Some("policy-manifest"), manifest),
    kind(media::INVENTORY, Some("inventory"), inventory),
    kind(media::COLLECTION_RECORD, Some("collection"), strict),
    kind(media::POLICY_LOCK, Some("policy-lock"), strict),
    kind(media::LOOKUPS, Some("lookups"), lookups),
    kind(media::OCI_INDEX, None, index),
    kind(media::OCI_MANIFEST, None, manifest),
    kind(media::SIMPLE_SIGNING, None, strict),
    kind(media::IN_TOTO, None, strict),
    kind("images", Some("images"), yaml),
    kind("policy", Some("policy"), yaml),
    kind("trust-policy", Some("trust-policy"), yaml),
    kind("finding", Some("finding"), strict),
    kind("proof", Some("proof"), strict),
    kind("import-receipt", Some("import-receipt"), strict),
];

fn strict(bytes: &[u8]) -> Result<(), String> {
    json::parse(bytes).map(drop).map_err(|e| e.to_string())
}

fn inventory(bytes: &[u8]) -> Result<(), String> {
    let parsed: Inventory = json::parse_as(bytes).map_err(|e| e.to_string())?;
    same(json::canonical(&parsed), bytes)?;
    let mut sorted = parsed.clone();
    sorted.sort();
    if sorted == parsed { Ok(()) } else { Err("a list is not sorted".to_owned()) }
}

fn lookups(bytes: &[u8]) -> Result<(), String> {
    let stored = json::parse(bytes).and_then(|value| json::canonical(&value)).map_err(|e| e.to_string())?;
    same(Lookups::read(&stored).map_err(|e| e.to_string())?.write(), bytes)
}

fn index(bytes: &[u8]) -> Result<(), String> {
    Manifest::parse(bytes, media::OCI_INDEX).map(drop).map_err(|e| e.to_string())
}

fn manifest(bytes: &[u8]) -> Result<(), String> {
    Manifest::parse(bytes, media::OCI_MANIFEST).map(drop).map_err(|e| e.to_string())
}

fn yaml(bytes: &[u8]) -> Result<(), String> {
    serde_yaml::from_slice::<Value>(bytes).map(drop).map_err(|e| e.to_string())
}

/// The parser kept every member: nothing in the example is unknown to it.
fn same(again: Result<Vec<u8>, json::JsonError>, bytes: &[u8]) -> Result<(), String> {
    let original = json::parse(bytes).and_then(|value| json::canonical(&value));
    match (again, original) {
        (Ok(again), Ok(original)) if again == original => Ok(()),
        _ => Err("the parser does not give back the example".to_owned()),
    }
}

/// The kind that the info string names: `json,mediatype=…`, `json,artifacttype=…`
/// or `yaml,schema=…`.
fn kind_of(fence: &Fence) -> &'static Kind {
    let named = ["json,mediatype=", "json,artifacttype=", "json,schema=", "yaml,schema="]
        .iter()
        .find_map(|prefix| fence.info.strip_prefix(prefix))
        .unwrap_or_else(|| panic!("{}: {:?} names no kind", fence.place, fence.info));
    KINDS.iter().find(|kind| kind.info == named).unwrap_or_else(|| panic!("{}: unknown kind {named}", fence.place))
}

fn examples() -> Vec<Fence> {
    let fences = pages().into_iter().flat_map(|page| page.fences());
    fences.filter(|fence| !matches!(fence.info.as_str(), "text" | "console")).collect()
}

fn value(fence: &Fence) -> Value {
    if fence.info.starts_with("json") {
        json::parse(fence.body.as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", fence.place))
    } else {
        serde_yaml::from_str(&fence.body).unwrap_or_else(|e| panic!("{}: {e}", fence.place))
    }
}

fn schema(name: &str) -> Validator {
    let text = fs::read(folder().join("schema").join(format!("{name}.json"))).unwrap();
    let schema: Value = json::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|e| panic!("{name}: {e}"));
    jsonschema::draft202012::new(&schema).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_example_is_valid() {
    for fence in examples() {
        let kind = kind_of(&fence);
        let value = value(&fence);
        if let Some(name) = kind.schema {
            let errors: Vec<String> = schema(name).iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(errors.is_empty(), "{}: schema {name}: {errors:#?}", fence.place);
        }
        (kind.parser)(fence.body.as_bytes()).unwrap_or_else(|e| panic!("{}: parser: {e}", fence.place));
    }
}

#[test]
fn every_schema_has_an_example_and_a_row_in_the_readme() {
    let readme = page("README.md").text;
    let kinds: Vec<&Kind> = examples().iter().map(kind_of).collect();
    for entry in fs::read_dir(folder().join("schema")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let name = file.strip_suffix(".json").unwrap();
        assert!(kinds.iter().any(|kind| kind.schema == Some(name)), "{name} has no example");
        assert!(readme.contains(&format!("(schema/{file})")), "{name} is not in README.md");
    }
}

#[test]
fn every_media_type_has_a_row_in_the_readme() {
    let program = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("media.rs")).unwrap();
    let readme = page("README.md").text;
    for text in pages().into_iter().map(|page| page.text).chain([program]) {
        let named = text.split("application/vnd.carnet.").skip(1);
        for rest in named.filter_map(|rest| rest.split(['"', '`', ',', '\n']).next()) {
            let row = format!("| `application/vnd.carnet.{rest}`");
            assert!(readme.contains(&row), "application/vnd.carnet.{rest} has no row in README.md");
        }
    }
}

/// What the text refuses and a schema can say, each tried on the document's first
/// valid example.
const REFUSED: &[(&str, &str, &str)] = &[
    ("bundle-index", "/manifests/0/artifactType", r#""application/vnd.carnet.control.v1+json""#),
    ("bundle-index", "/manifests/1/annotations", "{}"),
    ("bundle-index", "/manifests/2/digest", r#""sha512:00""#),
    ("bundle-index", "/annotations", r#"{"a":"b"}"#),
    ("control-manifest", "/layers/0/mediaType", r#""application/json""#),
    ("control-manifest", "/layers/1/annotations", "{}"),
    ("control-manifest", "/config/size", "3"),
    ("policy-manifest", "/layers/0/mediaType", r#""application/vnd.oci.image.manifest.v1+json""#),
    ("inventory", "/schema/major", "1"),
    ("inventory", "/mode", r#""partial""#),
    ("inventory", "/subjects/0/size", "1.5"),
    ("inventory", "/subjects/0/digest", r#""sha256:BB""#),
    ("inventory", "/evidence/0/kind", r#""signature""#),
    ("inventory", "/evidence/0/found_in", "[]"),
    ("inventory", "/looked_for/0/result", r#""none""#),
    ("inventory", "/looked_for/1/result", r#""found""#),
    ("inventory", "/looked_for/0/found", "0"),
    ("collection", "/collected", r#""2026-11-25T13:30:00+01:00""#),
    ("policy-lock", "/sources/1/commit", r#""7211d03""#),
    ("policy-lock", "/sources/1/path", r#""policy/../../etc""#),
    ("policy-lock", "/sources/3/pinned", r#""oci::quay.io/org/data:latest""#),
    ("lookups", "/lookups/0/reference", r#""quay.io/org/sbom:latest""#),
    ("lookups", "/lookups/1/digest", r#""sha256:0000000000000000000000000000000000000000000000000000000000000000""#),
    ("lookups", "/lookups/2/result", r#""undefined""#),
    ("finding", "/step", r#""V17.1""#),
    ("finding", "/severity", r#""error""#),
    ("proof", "/verdict", r#""skipped""#),
    ("proof", "/images/0/evidence/0/result", r#""not-counted""#),
    ("proof", "/images/0/evidence/0/conclusions/0/trust", r#"{"source":"anybody"}"#),
    ("import-receipt", "/verdict", r#""none""#),
    ("import-receipt", "/bundle_id", "null"),
    ("import-receipt", "/error", r#""interrupted""#),
    ("import-receipt", "/images/0/passed", "false"),
    ("import-receipt", "/images/1/passed", "true"),
    ("import-receipt", "/written/0/how", r#""planned""#),
    ("images", "/components/0/containerImage", "7"),
    ("policy", "/identities", "{}"),
    ("policy", "/identity/subjectRegexp", r#""x""#),
    ("trust-policy", "/apiVersion", r#""carnet/v1""#),
    ("trust-policy", "/trustRoots", "{}"),
    ("trust-policy", "/trustRoot/maxAge/warn", r#""0d""#),
    ("trust-policy", "/trustRoot/tuf", r#"{"root":"sha256:6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66"}"#),
    ("trust-policy", "/signatures/threshold", "0"),
    ("trust-policy", "/signatures/repositoryMatch", r#""prefix""#),
    ("trust-policy", "/log/proof", r#""none""#),
    ("trust-policy", "/certificates", r#"{"extensions":{"issuer":"x"}}"#),
];

#[test]
fn schemas_refuse_what_the_text_refuses() {
    let examples = examples();
    for (name, pointer, replacement) in REFUSED {
        let fence = examples.iter().find(|fence| kind_of(fence).schema == Some(name)).unwrap();
        let mut value = value(fence);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = value.pointer_mut(parent).unwrap_or_else(|| panic!("{name}{pointer}"));
        parent[key] = serde_json::from_str(replacement).unwrap();
        assert!(!schema(name).is_valid(&value), "{name}: {pointer} = {replacement} was accepted");
    }
}

#[test]
fn exceptions_of_a_private_instance_are_bound_to_its_trust_root() {
    let validator = schema("trust-policy");
    for rule in [
        "log: {threshold: 0}",
        "certificates: {sctThreshold: 0}",
        "certificates: {issuerWhereAbsent: \"https://fulcio.example\"}",
    ] {
        let text = format!("apiVersion: carnet/v0\nkind: TrustPolicy\n{rule}\n");
        let value: Value = serde_yaml::from_str(&text).unwrap();
        assert!(!validator.is_valid(&value), "{rule} without a pinned trust root was accepted");
    }
}

#[test]
fn prose_is_wrapped_at_80_columns() {
    for page in pages() {
        for (number, line) in page.prose() {
            let exempt = line.starts_with('|') || line.starts_with('#') || !line.trim().contains(' ');
            assert!(exempt || line.chars().count() <= 80, "{}:{number} has {} columns", page.name, line.chars().count());
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let anchors: BTreeMap<String, Vec<String>> = pages().into_iter().map(|page| (page.name.clone(), page.anchors())).collect();
    for page in pages() {
        for link in page.links().into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let file = if file.is_empty() { page.name.as_str() } else { file };
            assert!(folder().join(file).exists(), "{}: {link}: no such file", page.name);
            let known = anchors.get(file).is_none_or(|anchors| anchors.iter().any(|a| a == anchor));
            assert!(anchor.is_empty() || known, "{}: {link}: no such heading", page.name);
        }
    }
}

/// A finding code: step, name, severity.
type DeclaredCode = (String, String, String);

/// Finding codes as the rooms' `codes.rs` declare them with `codes!`: the name is
/// the string literal before the step, and the severity follows it.
fn declared_codes() -> Vec<DeclaredCode> {
    let mut codes = Vec::new();
    for place in ["bundle", "evidence", "policy", "policy/sources", "policy/rego", "verify"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(place).join("codes.rs");
        let text = fs::read_to_string(path).unwrap();
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = code.join("\n");
        let parts: Vec<&str> = code.split('"').collect();
        // Literals stand at the odd places, so a step is the third of four parts.
        let declarations = parts.windows(4).filter(|window| is_step(window[2]));
        codes.extend(declarations.map(|window| {
            let severity = ["Failure", "Warning", "Note"].into_iter().find(|word| window[3].contains(word)).unwrap_or_default();
            (window[2].to_owned(), window[0].to_owned(), severity.to_lowercase())
        }));
    }
    codes.sort();
    codes
}

fn is_step(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    text.strip_prefix('V').and_then(|rest| rest.split_once('.')).is_some_and(|(gate, step)| number(gate) && number(step))
}

/// Finding codes as `verify.md` lists them: in the paragraph that starts with the
/// step, after the word "Findings:".
fn documented_codes() -> Vec<DeclaredCode> {
    let text = page("verify.md").text;
    let mut codes = Vec::new();
    for paragraph in text.split("\n\n") {
        let Some((step, rest)) = paragraph.strip_prefix("**").and_then(|rest| rest.split_once(' ')) else { continue };
        let Some((_, list)) = rest.split_once("Findings:").filter(|_| is_step(step)) else { continue };
        let parts: Vec<&str> = list.split('`').collect();
        codes.extend(parts.chunks_exact(2).zip(parts.iter().skip(2).step_by(2)).map(|(pair, after)| {
            let severity = after.trim_start().trim_start_matches('(').split(')').next().unwrap_or_default();
            (step.to_owned(), pair[1].to_owned(), severity.to_owned())
        }));
    }
    codes.sort();
    codes
}

#[test]
fn steps_and_finding_codes_are_those_of_the_program() {
    let (declared, documented) = (declared_codes(), documented_codes());
    let missing: Vec<_> = declared.iter().filter(|code| !documented.contains(code)).collect();
    let unknown: Vec<_> = documented.iter().filter(|code| !declared.contains(code)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not in verify.md: {missing:#?}\nonly in verify.md: {unknown:#?}");
}

#[test]
fn steps_are_numbered_without_gaps() {
    let text = page("verify.md").text;
    let marks = text.lines().filter_map(|line| line.strip_prefix("**V").or_else(|| line.strip_prefix("## V")));
    let numbers: Vec<&str> = marks.filter_map(|rest| rest.split(' ').next()).collect();
    let mut expected = (0, 0);
    for number in numbers {
        let next = match number.contains('.') {
            true => (expected.0, expected.1 + 1),
            false => (expected.0 + 1, 0),
        };
        let want = if next.1 == 0 { next.0.to_string() } else { format!("{}.{}", next.0, next.1) };
        assert_eq!(number, want, "steps of verify.md");
        expected = next;
    }
    assert_eq!(expected.0, 16, "gates of verify.md");
}

#[test]
fn the_finding_shown_is_what_the_program_says() {
    let fences = page("verify.md").fences();
    let shown = value(fences.iter().find(|fence| fence.info.ends_with("=finding")).unwrap());
    let text = |key: &str| shown[key].as_str().unwrap().to_owned();
    let said = Finding::new(&codes::BLOB_DIGEST_MISMATCH, text("subject"), text("message"));
    assert_eq!(serde_json::to_value(said).unwrap(), shown);
}

#[test]
fn limits_are_those_of_the_program() {
    let text = page("considerations.md").text;
    let table: BTreeMap<&str, u64> = text.lines().filter_map(limit_row).collect();
    let limits = format!("{:?}", Limits::default());
    let fields = limits.trim_start_matches("Limits { ").trim_end_matches(" }");
    let program: BTreeMap<&str, u64> =
        fields.split(", ").map(|field| field.split_once(": ").unwrap()).map(|(name, n)| (name, n.parse().unwrap())).collect();
    assert_eq!(table, program);
}

fn limit_row(line: &str) -> Option<(&str, u64)> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    let name = cells.next()?.strip_suffix('`')?;
    Some((name, cells.next()?.parse().ok()?))
}

#[test]
fn the_example_bundle_is_real() {
    let plan = example::plan();
    let text = page("bundle.md").text;
    let says = |what: &str| assert!(text.contains(what), "bundle.md does not say:\n{what}");
    let listing: Vec<&str> = plan.members().iter().map(|member| member.name.as_str()).collect();
    says(&format!("$ tar tf testimage.carnet.tar\n{}\n```", listing.join("\n")));
    says(&format!("`{}`", plan.id()));
    says(&format!("`{}`", plan.content_id()));

    let archive = example::archive(&plan);
    says(&format!("{} bytes", archive.len()));
    says(&format!("`{}`", Digest::of(&archive)));
    let limits = Limits::default();
    let opened = open(&mut Archive::new(archive.as_slice(), &limits).unwrap(), &limits).unwrap();
    assert_eq!(opened.findings, []);
    assert_eq!(opened.id, plan.id());
}

#[test]
fn the_documents_of_the_example_bundle_are_shown() {
    let fences = page("bundle.md").fences();
    let examples = fences.iter().filter(|fence| fence.info.starts_with("json"));
    let shown: Vec<Digest> = examples.map(|fence| Digest::of(&json::canonical(&value(fence)).unwrap())).collect();
    let plan = example::plan();
    let own = plan.members().iter().filter(|member| member.name == "index.json" || own_document(&member.content));
    let hidden: Vec<String> = own.filter(|m| !shown.contains(&m.digest)).map(|m| pretty(&m.content)).collect();
    assert!(hidden.is_empty(), "not in bundle.md:\n{}", hidden.join("\n"));
}

/// Whether a member is a document that carnet itself composed.
fn own_document(content: &Content) -> bool {
    let Content::Bytes(bytes) = content else { return false };
    let Ok(value) = json::parse(bytes) else { return false };
    let named = |key: &str, want: &str| value.pointer(key).and_then(Value::as_str).is_some_and(|got| got.starts_with(want));
    named("/artifactType", "application/vnd.carnet.") || named("/schema/name", "carnet-")
}

fn pretty(content: &Content) -> String {
    match content {
        Content::Bytes(bytes) => serde_json::to_string_pretty(&json::parse(bytes).unwrap()).unwrap(),
        Content::Stream(layer) => layer.digest.to_string(),
    }
}
