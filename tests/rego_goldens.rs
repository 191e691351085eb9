//! What the rules make of the recorded cases, against what the real `ec` printed
//! (testdata/rego/goldens/NOTICE.md).
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "reads testdata, and says when a checkout is missing"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use carnet_bundle::{Digest, Reference, Severity};
use carnet_policy::{
    Policy, Reading,
    outcome::RuleResult,
    rego::{
        Answer, Configuration, Data, File, Filter, Group, GroupOutcome, Head, Limits, LookupError, ManifestBytes, Referrer,
        Registry, Settings, SignerOptions, Target, Verified,
    },
};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rego/goldens")
}

/// Answers from the OCI layouts of the recordings.
struct Layouts {
    repositories: BTreeMap<String, Layout>,
}

struct Layout {
    folder: PathBuf,
    tags: BTreeMap<String, String>,
    manifests: BTreeMap<String, (String, u64)>,
}

impl Layouts {
    fn open() -> Self {
        let refs: Value = serde_json::from_slice(&fs::read(root().join("images/refs.json")).unwrap()).unwrap();
        let mut repositories = BTreeMap::new();
        for (name, entry) in refs["repositories"].as_object().unwrap() {
            let folder = root().join(entry["layout"].as_str().unwrap());
            let Ok(index) = fs::read(folder.join("index.json")) else { continue };
            let index: Value = serde_json::from_slice(&index).unwrap();
            let mut layout = Layout { folder, tags: BTreeMap::new(), manifests: BTreeMap::new() };
            for manifest in index["manifests"].as_array().unwrap() {
                let digest = manifest["digest"].as_str().unwrap().to_owned();
                if let Some(tag) = manifest["annotations"]["org.opencontainers.image.ref.name"].as_str() {
                    layout.tags.insert(tag.to_owned(), digest.clone());
                }
                layout.add(&digest, manifest["mediaType"].as_str().unwrap());
            }
            repositories.insert(name.clone(), layout);
        }
        Self { repositories }
    }

    fn find(&self, reference: &Reference) -> Option<(&Layout, String)> {
        let layout = self.repositories.get(&reference.name())?;
        let digest = match reference.digest() {
            Some(digest) => digest.to_string(),
            None => layout.tags.get(reference.tag()?)?.clone(),
        };
        layout.manifests.contains_key(&digest).then_some((layout, digest))
    }
}

impl Layout {
    fn add(&mut self, digest: &str, media_type: &str) {
        let bytes = self.blob(digest).unwrap();
        self.manifests.insert(digest.to_owned(), (media_type.to_owned(), bytes.len().try_into().unwrap()));
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        for child in document["manifests"].as_array().into_iter().flatten() {
            let digest = child["digest"].as_str().unwrap();
            if self.blob(digest).is_some() {
                self.add(digest, child["mediaType"].as_str().unwrap());
            }
        }
    }

    fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join("blobs").join(digest.replace(':', "/"))).ok()
    }
}

impl Registry for Layouts {
    fn head(&self, reference: &Reference) -> Result<Answer<Head>, LookupError> {
        Ok(self.find(reference).map_or(Answer::NotFound, |(layout, digest)| {
            let (media_type, size) = layout.manifests[&digest].clone();
            Answer::Found(Head { media_type, size, digest: digest.parse().unwrap() })
        }))
    }

    fn manifest(&self, reference: &Reference) -> Result<Answer<ManifestBytes>, LookupError> {
        Ok(self.find(reference).map_or(Answer::NotFound, |(layout, digest)| {
            let media_type = layout.manifests[&digest].0.clone();
            Answer::Found(ManifestBytes { media_type, bytes: layout.blob(&digest).unwrap() })
        }))
    }

    fn blob(&self, reference: &Reference) -> Result<Answer<Vec<u8>>, LookupError> {
        // The registry of the recordings serves no manifest as a blob.
        let digest = reference.digest().unwrap().to_string();
        let layout = self.repositories.get(&reference.name()).filter(|layout| !layout.manifests.contains_key(&digest));
        let bytes = layout.and_then(|layout| layout.blob(&reference.digest().unwrap().to_string()));
        Ok(bytes.map_or(Answer::NotFound, Answer::Found))
    }

    fn referrers(&self, reference: &Reference) -> Result<Answer<Vec<Referrer>>, LookupError> {
        let tag = reference.tagged(format!("sha256-{}", reference.digest().unwrap().to_hex()));
        let Answer::Found(index) = self.manifest(&tag)? else { return Ok(Answer::NotFound) };
        let index: Value = serde_json::from_slice(&index.bytes).unwrap();
        let referrers: Vec<Referrer> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                // Through the fallback tag Conforma sees no annotations.
                let referrer: Referrer = serde_json::from_value(entry.clone()).unwrap();
                Referrer { annotations: BTreeMap::new(), ..referrer }
            })
            .collect();
        Ok(Answer::Found(referrers))
    }

    fn verify_image(&self, _: &Reference, _: &SignerOptions) -> Result<Verified, LookupError> {
        Ok(Verified { errors: vec!["not part of this test".to_owned()], ..Verified::default() })
    }

    fn verify_attestation(&self, _: &Reference, _: &SignerOptions) -> Result<Verified, LookupError> {
        Ok(Verified { errors: vec!["not part of this test".to_owned()], ..Verified::default() })
    }
}

/// A case as recorded.
struct Case {
    folder: PathBuf,
    args: Vec<String>,
    /// Where its sources are.
    sources: PathBuf,
    /// The policy input, when it is not made here.
    input: Option<Value>,
}

impl Case {
    fn open(name: &str) -> Self {
        let folder = root().join(name);
        let command: Value = serde_json::from_slice(&fs::read(folder.join("cmd.json")).unwrap()).unwrap();
        let args = command["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap().to_owned()).collect();
        Self { sources: folder.clone(), folder, args, input: None }
    }

    /// A case with Conforma's release rules, which are in a checkout.
    fn release(name: &str, checkout: &Path) -> Self {
        let input = serde_json::from_slice(&fs::read(root().join("release/input.json")).unwrap()).unwrap();
        let case = Self::open(&format!("release/{name}"));
        Self { sources: checkout.to_owned(), input: Some(input), ..case }
    }

    fn values(&self, flag: &str) -> Vec<&str> {
        let pairs = self.args.windows(2);
        pairs.filter(|pair| pair[0] == flag).map(|pair| pair[1].as_str()).collect()
    }

    fn has(&self, flag: &str) -> bool {
        self.args.iter().any(|arg| arg == flag)
    }

    /// What `ec` reported per component, built-in checks apart.
    fn expected(&self, evaluator: &str) -> Option<BTreeMap<String, Value>> {
        let text = fs::read(self.folder.join("expect").join(evaluator).join("stdout")).unwrap();
        let report: Value = serde_json::from_slice(&text).ok()?;
        let components = report["components"].as_array().unwrap().iter();
        Some(components.map(|component| (component["name"].as_str().unwrap().to_owned(), lists(component))).collect())
    }

    fn components(&self) -> Vec<(String, Reference)> {
        if let Some(file) = self.values("--images").first() {
            let yaml = fs::read(self.folder.join(file)).unwrap();
            let images =
                carnet_policy::images::read(&[carnet_policy::images::Document { file, bytes: &yaml }], None, Reading::Conforma)
                    .unwrap();
            return images.components.iter().map(|c| (c.name.clone(), c.reference.clone())).collect();
        }
        let image = self.values("--image")[0];
        vec![("Unnamed".to_owned(), image.parse().unwrap())]
    }

    /// Outcomes of all groups for each component, or why there is none.
    fn run(&self, reading: Reading) -> Result<BTreeMap<String, GroupOutcome>, String> {
        let registry: Arc<Layouts> = Arc::new(Layouts::open());
        let policy = Policy::parse(&fs::read(self.folder.join("policy.yaml")).unwrap(), "policy.yaml").unwrap();
        let when = match self.values("--effective-time")[0] {
            date if date.len() == 10 => format!("{date}T00:00:00Z"),
            time => time.to_owned(),
        };
        let mut outcomes: BTreeMap<String, GroupOutcome> = BTreeMap::new();
        for source in &policy.sources {
            let mut rules = Vec::new();
            for url in &source.policy {
                self.collect(url, &[".rego"], &mut rules);
            }
            let mut data = Vec::new();
            for url in &source.data {
                self.collect(url, &[".json", ".yaml", ".yml"], &mut data);
            }
            let signer = SignerOptions {
                ignore_rekor: self.has("--ignore-rekor"),
                public_key: fs::read_to_string(root().join("keys/release.pub")).unwrap(),
                ..SignerOptions::default()
            };
            let configuration =
                Configuration { when: when.parse().unwrap(), signer, rule_data: self.rule_data(source.rule_data.clone()) };
            let data = Data::merge(&files(&data), Some(&configuration)).map_err(|e| e.to_string())?;
            let filter = if self.values("--filter-type") == ["ec-policy"] { Filter::EcPolicy } else { Filter::IncludeExclude };
            let settings = Settings {
                source,
                configuration: policy.configuration.as_ref(),
                effective_time: when.parse().unwrap(),
                now: when.parse().unwrap(),
                reading,
                filter,
                limits: Limits::default(),
            };
            let group = Group::load(&files(&rules), &data, &settings).map_err(|e| e.to_string())?;
            for (name, reference) in self.components() {
                let Answer::Found(head) = registry.head(&reference).unwrap() else {
                    // Images that are not part of this copy.
                    let pinned = reference.pinned(known(&name));
                    self.judge(&group, &name, &pinned, &registry, &mut outcomes)?;
                    continue;
                };
                self.judge(&group, &name, &reference.pinned(head.digest), &registry, &mut outcomes)?;
            }
        }
        Ok(outcomes)
    }

    fn judge(
        &self,
        group: &Group,
        name: &str,
        image: &Reference,
        registry: &Arc<Layouts>,
        outcomes: &mut BTreeMap<String, GroupOutcome>,
    ) -> Result<(), String> {
        let made = || {
            json!({
                "attestations": [],
                "image": {"ref": image.to_string(), "signatures": [], "source": {}},
                "snapshot": {"application": "", "components": []},
            })
        };
        let mut input = self.input.clone().unwrap_or_else(made);
        if image.repository() == "golden/bundle" {
            input["image"]["files"] = json!({"manifests/crd.json": {}, "manifests/golden.clusterserviceversion.yaml": {}});
        }
        let target = Target { image, component: name };
        let outcome = group.evaluate(target, &input, registry.clone()).map_err(|e| e.to_string())?;
        let all = outcomes.entry(name.to_owned()).or_default();
        all.violations.extend(outcome.violations);
        all.warnings.extend(outcome.warnings);
        all.successes.extend(outcome.successes);
        all.findings.extend(outcome.findings);
        Ok(())
    }

    fn collect(&self, url: &str, extensions: &[&str], found: &mut Vec<(String, Vec<u8>)>) {
        let url = url.trim_start_matches("file::").trim_start_matches("./conforma-policy/");
        walk(&self.sources.join(url), &self.sources, extensions, found);
    }

    fn rule_data(&self, data: Option<Value>) -> Option<Value> {
        let mut data = data;
        for pair in self.values("--extra-rule-data").iter().flat_map(|value| value.split(',')) {
            let (key, value) = pair.split_once('=').unwrap();
            let is_file = value.ends_with(".yaml");
            let value = if is_file { fs::read_to_string(self.folder.join(value)).unwrap() } else { value.to_owned() };
            data.get_or_insert_with(|| json!({}))[key] = value.into();
        }
        data
    }
}

/// Digests of components whose images are not part of this copy.
fn known(component: &str) -> Digest {
    let refs: Value = serde_json::from_slice(&fs::read(root().join("images/refs.json")).unwrap()).unwrap();
    let name = match component {
        "worker" => "registry.localhost:5055/golden/worker",
        "appb" => "registry.localhost:5055/golden/appb",
        other => panic!("{other}"),
    };
    refs["repositories"][name]["tags"]["v1"].as_str().unwrap().parse().unwrap()
}

fn walk(path: &Path, base: &Path, extensions: &[&str], found: &mut Vec<(String, Vec<u8>)>) {
    let mut entries: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        let name = entry.strip_prefix(base).unwrap().to_string_lossy().into_owned();
        if entry.is_dir() {
            walk(&entry, base, extensions, found);
        } else if extensions.iter().any(|extension| name.ends_with(extension)) {
            found.push((name, fs::read(&entry).unwrap()));
        }
    }
}

fn files(files: &[(String, Vec<u8>)]) -> Vec<File<'_>> {
    files.iter().map(|(path, bytes)| File { path, bytes }).collect()
}

/// The three lists without the built-in checks, sorted.
fn lists(component: &Value) -> Value {
    let list = |name: &str| -> Value {
        let mut items: Vec<Value> = component[name].as_array().cloned().unwrap_or_default();
        items.retain(|item| !item["metadata"]["code"].as_str().unwrap_or_default().starts_with("builtin."));
        items.sort_by_cached_key(ToString::to_string);
        items.into()
    };
    json!({"violations": list("violations"), "warnings": list("warnings"), "successes": list("successes")})
}

fn found(outcome: &GroupOutcome, info: bool) -> Value {
    let list = |results: &[RuleResult]| -> Value {
        let mut results = results.to_vec();
        if !info {
            for result in &mut results {
                result.metadata.retain(|name, _| matches!(name.as_str(), "code" | "effective_on" | "term"));
            }
        }
        serde_json::to_value(results).unwrap()
    };
    lists(&json!({
        "violations": list(&outcome.violations),
        "warnings": list(&outcome.warnings),
        "successes": list(&outcome.successes),
    }))
}

/// Names of failing findings, sorted, each once.
fn failures(outcome: &GroupOutcome) -> Vec<&'static str> {
    let mut names: Vec<_> = outcome.findings.iter().filter(|f| f.severity == Severity::Failure).map(|f| f.code).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What only one of the two has.
fn difference(got: &Value, want: &Value) -> String {
    let only = |some: &Value, others: &Value| -> Vec<String> {
        let lists = some.as_object().unwrap().iter();
        let extra = lists.flat_map(|(name, list)| {
            let others = others[name].as_array().cloned().unwrap_or_default();
            let extra = list.as_array().cloned().unwrap_or_default().into_iter().filter(move |item| !others.contains(item));
            extra.map(move |item| format!("{name}: {item}"))
        });
        extra.collect()
    };
    format!("  only carnet: {:#?}\n  only ec: {:#?}", only(got, want), only(want, got))
}

fn compare(name: &str, reading: Reading, evaluator: &str) -> Result<(), String> {
    compare_case(&Case::open(name), name, reading, evaluator)
}

fn compare_case(case: &Case, name: &str, reading: Reading, evaluator: &str) -> Result<(), String> {
    let expected = case.expected(evaluator);
    match (case.run(reading), expected) {
        (Ok(outcomes), Some(expected)) => {
            for (component, want) in expected {
                let outcome = outcomes.get(&component).ok_or(format!("{name}: no outcome for {component}"))?;
                let mut got = found(outcome, case.has("--info"));
                let mut want = want;
                if !case.has("--show-successes") {
                    got["successes"].take();
                    want["successes"].take();
                }
                if got != want {
                    return Err(format!("{name} {component}:\n{}", difference(&got, &want)));
                }
            }
            Ok(())
        }
        (Err(_), None) => Ok(()),
        (Ok(_), None) => Err(format!("{name}: ec ends without a report, carnet has one")),
        (Err(error), Some(_)) => Err(format!("{name}: {error}")),
    }
}

/// `ec.oci.blob` of a packed layer is undefined, but not in Conforma once another
/// function has read the same layer: its answer depends on the order of rules.
const ORDER: &str = "112-builtin-oci-blob";

/// Cases whose result needs verification of evidence (`ec.sigstore.*`), or which
/// are about sources rather than rules.
const ELSEWHERE: &[&str] = &["091-single-file-data", "114-builtin-sigstore", "117-builtin-sigstore-opts-empty"];

fn cases() -> Vec<String> {
    let names = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(|c: char| c.is_ascii_digit())).collect();
    names.retain(|name| !ELSEWHERE.contains(&name.as_str()));
    names.sort();
    names
}

#[test]
fn conformas_reading_gives_conformas_results() {
    let names = cases();
    assert!(names.len() > 50, "{}", names.len());
    let wrong: Vec<String> =
        names.iter().filter(|name| *name != ORDER).filter_map(|name| compare(name, Reading::Conforma, "").err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), names.len(), wrong.join("\n\n"));
    let one = r#"  only carnet: [
    "violations: {\"msg\":\"blob tar layer gz is undefined\",\"metadata\":{\"code\":\"probe.undefined\",\"term\":\"blob tar layer gz\"}}",
]
  only ec: []"#;
    assert_eq!(compare(ORDER, Reading::Conforma, "").unwrap_err(), format!("{ORDER} Unnamed:\n{one}"));
}

/// Where carnet's own reading has other results, and why.
const SAFER: &[&str] = &[
    // A package that Conforma never evaluates.
    "059-filter-term-include-beside-other",
    "064-filter-pkg-colon-term",
    "072-filter-multi-segment-silent",
    "073-filter-multi-segment-alone",
    "074-filter-multi-segment-address",
    "094-volatile-include",
    // A computed element that is no message vanishes in the first evaluator.
    "109-rego-dynamic-boolean",
    ORDER,
];

#[test]
fn carnets_reading_differs_only_where_conforma_is_unsafe() {
    let wrong: Vec<String> = cases()
        .iter()
        .filter_map(|name| {
            let result = compare(name, Reading::Strict, "");
            match (SAFER.contains(&name.as_str()), result) {
                (false, Err(error)) => Some(error),
                (true, Ok(())) => Some(format!("{name}: no difference")),
                _ => None,
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n\n"));
    compare("109-rego-dynamic-boolean", Reading::Strict, "use-opa").unwrap();
}

#[test]
fn unsafe_readings_are_named() {
    for (name, want) in [
        ("053-filter-default", vec![]),
        ("067-filter-missing-includes", vec!["include-matches-nothing"]),
        ("070-filter-odd-spellings", vec!["include-matches-nothing"]),
        ("083-same-code-warn-and-deny", vec!["code-in-deny-and-warn"]),
        ("097-rego-empty-message", vec!["empty-message"]),
    ] {
        let outcomes = Case::open(name).run(Reading::Strict).unwrap();
        assert_eq!(failures(&outcomes["Unnamed"]), want, "{name}");
        let outcomes = Case::open(name).run(Reading::Conforma).unwrap();
        assert_eq!(failures(&outcomes["Unnamed"]), Vec::<&str>::new(), "{name}");
    }
    let outcomes = Case::open("058-filter-all-terms-excluded").run(Reading::Strict).unwrap();
    assert!(outcomes["Unnamed"].findings.iter().any(|f| f.code == "pass-by-exclusion" && f.subject == "net.open_port"));
    let outcomes = Case::open("072-filter-multi-segment-silent").run(Reading::Strict).unwrap();
    assert!(outcomes["Unnamed"].findings.iter().any(|f| f.code == "package-skipped-by-conforma"));
    assert!(outcomes["Unnamed"].violations.iter().any(|r| r.code().is_some_and(|code| code.starts_with("corp.security.net"))));
}

#[test]
fn swallowed_errors_are_recorded_with_rule_and_function() {
    let outcomes = Case::open("104-rego-builtin-error-is-undefined").run(Reading::Strict).unwrap();
    let mut got: Vec<_> =
        outcomes["Unnamed"].findings.iter().filter(|f| f.code == "function-undefined").map(|f| f.message.clone()).collect();
    got.sort();
    assert_eq!(got, ["to_number at policy/m.rego:19 is undefined: invalid syntax"]);
}

#[test]
fn what_must_not_be_evaluated_is_refused_with_the_place() {
    for (name, want) in [
        ("084-rego-data-iteration", "rego_recursion_error: rule data.rec.warn is recursive: data.rec.warn -> data.rec.warn"),
        ("088-data-clash", "merge error"),
        ("098-rego-boolean-deny-refused", "returns an unsupported value, at policy/m.rego:5"),
        ("099-rego-boolean-deny-annotated", "returns an unsupported value, at policy/m.rego:"),
        ("100-rego-http-send", "rego_type_error: undefined function http.send"),
        ("101-rego-v0-syntax", "policy/m.rego:"),
        ("102-rego-missing-contains", "policy/m.rego:3"),
        ("103-rego-runtime-conflict", "policy/m.rego:"),
        ("105-rego-duplicate-code", "found a second rule with the same code: `"),
        ("106-rego-msg-not-a-string", "unexpected policy result"),
        ("116-builtin-array-literal-type", "rego_type_error: ec.oci.blob_files: invalid argument(s)"),
        ("110-rego-dynamic-array", "returns an unsupported value, at policy/m.rego:10"),
    ] {
        let error = Case::open(name).run(Reading::Strict).unwrap_err();
        assert!(error.contains(want), "{name}: {error}");
    }
}

/// Conforma's own release rules, when a checkout of conforma/policy is at hand.
#[test]
fn conformas_release_rules_give_the_recorded_verdicts() {
    let Some(checkout) = std::env::var_os("CARNET_CONFORMA_POLICY").map(PathBuf::from) else {
        eprintln!("SKIPPED: set CARNET_CONFORMA_POLICY to a checkout of conforma/policy");
        return;
    };
    // The older collection of rules is laid out differently.
    if !checkout.join("policy/lib/metadata/metadata.rego").exists() {
        eprintln!("SKIPPED: {} is not conforma/policy", checkout.display());
        return;
    }
    for name in ["01-default-app", "02-slsa3-app", "03-chosen-pass-app"] {
        let case = Case::release(name, &checkout);
        compare_case(&case, name, Reading::Conforma, "").unwrap();
    }
    let outcomes = Case::release("01-default-app", &checkout).run(Reading::Strict).unwrap();
    let skipped: Vec<_> =
        outcomes["Unnamed"].findings.iter().filter(|f| f.code == "package-skipped-by-conforma").map(|f| &f.subject).collect();
    assert_eq!(skipped, ["release.maven_repos"]);
}
