//! What is recorded here is what is answered there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use carnet_bundle::{Archive, Bundle, Content, Digest, Limits, Plan, Reference, inventory::Role, media, open};
use carnet_evidence::{Identity, Rules, Signer, TrustRoot, TrustSource};
use carnet_policy::{
    Reading,
    rego::{Registry, SignerOptions},
};
use carnet_registry::{
    Backoff, CredentialFiles, Options,
    testing::{Behaviour, Content as Served, Effect, Fault, Route, TestingRegistry},
};
use carnet_verify::replay::{Answers, Carried, Operator};
use tokio::runtime::Runtime;

use super::{Recorder, parcel::Recorded};
use crate::{
    collect::{Collector, Wanted},
    progress::{Progress, Verbosity},
    source::Sources,
};

const MAIN: &str = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";
const ISSUER: &str = "https://gitlab.local";

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(testdata(path)).unwrap()
}

fn operator(reading: Reading) -> Operator {
    let source = TrustSource::File("trusted_root.json".to_owned());
    let root = TrustRoot::parse(&read("trust/local-sigstore/trusted_root.json"), source).unwrap();
    let nobody = Identity::exact("nobody", "nowhere").unwrap();
    let now = "2026-11-25T00:00:00Z".parse().unwrap();
    Operator { root, rules: Rules::new(Signer::Identities(vec![nobody])), now, reading }
}

fn keyless(identity: &str) -> SignerOptions {
    SignerOptions {
        certificate_identity: identity.to_owned(),
        certificate_oidc_issuer: ISSUER.to_owned(),
        ..SignerOptions::default()
    }
}

/// An export up to the point where the policy runs.
struct Export {
    /// Requests run here for as long as the export lives.
    _runtime: Runtime,
    recorder: Arc<Recorder>,
}

impl Export {
    /// Collects `reference` without its layers.
    fn new(reference: &str, from: &[String]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let fast = Backoff { attempts: 2, first: Duration::from_millis(1), longest: Duration::from_millis(1) };
        let options = Options { credentials: CredentialFiles::none(), backoff: fast, ..Options::default() };
        let from = from.iter().map(|text| text.parse().unwrap()).collect();
        let sources = Arc::new(Sources::open(from, options, None).unwrap());
        let origins = sources.origins(&[reference.parse().unwrap()]).unwrap();
        let progress = Progress::new(Verbosity::Quiet);
        let collection = runtime.block_on(Collector::new(Wanted::default(), &progress).collect(&origins)).unwrap();
        assert!(collection.gaps.is_empty(), "{:?}", collection.gaps);
        let recorder = Recorder::new(sources, &origins, collection.assembly, runtime.handle().clone());
        Self { _runtime: runtime, recorder: Arc::new(recorder) }
    }

    fn answers(&self, reading: Reading) -> Arc<Answers<Arc<Recorder>>> {
        Arc::new(Answers::new(Arc::clone(&self.recorder), operator(reading)))
    }
}

/// Writes what was recorded into an archive and opens it as a verifier does.
fn cross(recorded: &Recorded) -> Bundle {
    let plan = Plan::new(recorded.assembly.clone()).unwrap();
    let mut bytes = Vec::new();
    for member in plan.members() {
        let Content::Bytes(content) = &member.content else { panic!("{} would be streamed", member.name) };
        bytes.extend_from_slice(&member.header());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    let limits = Limits::default();
    let mut archive = Archive::new(bytes.as_slice(), &limits).unwrap();
    let opened = open(&mut archive, &limits).unwrap();
    let unexpected: Vec<_> =
        opened.findings.iter().filter(|finding| finding.is_failure() && finding.code != "layers-not-carried").collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    opened.bundle.unwrap()
}

/// Everything that can be asked about `references`, with the answers in words.
fn everything(registry: &dyn Registry, references: &[Reference], options: &[SignerOptions]) -> BTreeMap<String, String> {
    let mut answers = BTreeMap::new();
    let mut note = |question: String, answer: String| drop(answers.insert(question, answer));
    for reference in references {
        note(format!("head {reference}"), format!("{:?}", registry.head(reference)));
        note(format!("manifest {reference}"), format!("{:?}", registry.manifest(reference)));
        if reference.digest().is_some() {
            note(format!("blob {reference}"), format!("{:?}", registry.blob(reference)));
            note(format!("referrers {reference}"), format!("{:?}", registry.referrers(reference)));
            for options in options {
                let signer = format!("{}{}", options.certificate_identity, options.public_key.len());
                note(format!("image {reference} {signer}"), format!("{:?}", registry.verify_image(reference, options)));
                note(format!("att {reference} {signer}"), format!("{:?}", registry.verify_attestation(reference, options)));
            }
        }
    }
    answers
}

/// Asks while the export runs and again after the crossing.
fn recorded_and_replayed(
    export: Export,
    references: &[Reference],
    options: &[SignerOptions],
) -> (BTreeMap<String, String>, BTreeMap<String, String>, Recorded) {
    let live = export.answers(Reading::Strict);
    let before = everything(&*live, references, options);
    assert_eq!(live.assumptions(), [], "what was heard just now is no assumption");
    let recorded = export.recorder.finish().unwrap();
    let replay = Answers::new(Carried::new(Arc::new(cross(&recorded))).unwrap(), operator(Reading::Strict));
    let after = everything(&replay, references, options);
    (before, after, recorded)
}

fn assert_equal(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    assert_eq!(before.len(), after.len());
    for (question, answer) in before {
        assert_eq!(Some(answer), after.get(question), "{question}");
    }
}

/// `demo/app` is exported; `demo/other` has evidence of its own, `demo/data` a
/// blob and manifests without `mediaType`.
fn serve(app: &str, other: &str, behaviour: Behaviour) -> (TestingRegistry, Vec<Digest>) {
    let mut content = Served::new();
    content.add_layout("demo/app", &testdata("layouts/local-sigstore").join(app)).unwrap();
    content.add_layout("demo/other", &testdata("layouts/local-sigstore").join(other)).unwrap();
    let blob = content.add_blob("demo/data", b"{\"sbom\":true}");
    let nameless =
        format!("{{\"schemaVersion\":2,\"config\":{{\"mediaType\":\"x/y\",\"digest\":\"{blob}\",\"size\":13}},\"layers\":[]}}");
    let nameless = content.add_manifest("demo/data", Some("nameless"), media::OCI_MANIFEST, nameless.as_bytes());
    (TestingRegistry::start(content, behaviour).unwrap(), vec![blob, nameless])
}

fn digests(layout: &str) -> Vec<Digest> {
    let folder = testdata("layouts/local-sigstore").join(layout).join("blobs/sha256");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.map(|hex| Digest::from_hex(&hex).unwrap()).collect()
}

fn tagged(layout: &str) -> Digest {
    find_tagged(layout).unwrap()
}

/// The image under the tag `v1`; what `cosign save` writes has no tags.
fn find_tagged(layout: &str) -> Option<Digest> {
    let index: serde_json::Value = serde_json::from_slice(&read(&format!("layouts/local-sigstore/{layout}/index.json"))).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let v1 = entries.iter().find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == "v1")?;
    v1["digest"].as_str().unwrap().parse().ok()
}

#[test]
fn recorded_and_replayed_answers_are_equal() {
    for (app, other, referrers_api) in
        [("app", "keyless-legacy", true), ("app-fallback", "multi-fallback", false), ("keyless-legacy", "mixed", true)]
    {
        let (registry, data) = serve(app, other, Behaviour { referrers_api, page_size: 1, ..Behaviour::default() });
        registry.inject(Fault::on(Route::Any, Effect::Status(403)).ending("/forbidden"));
        let host = registry.host();
        let name = |path: &str| format!("{host}/{path}").parse::<Reference>().unwrap();
        let mut references = vec![
            name("demo/app:v1"),
            name("demo/other:v1"),
            name("demo/app:v2"),
            name("nothing/here:v1"),
            name("demo/other:forbidden"),
            name("demo/data:nameless"),
            name(&format!("demo/other:sha256-{}.sig", tagged(other).to_hex())),
            name("demo/other:v1").pinned(Digest::of(b"nothing")),
        ];
        references.extend(digests(app).into_iter().map(|digest| name("demo/app").pinned(digest)));
        references.extend(digests(other).into_iter().map(|digest| name("demo/other").pinned(digest)));
        // What one repository holds is asked of another, too.
        references.extend(digests(app).into_iter().map(|digest| name("demo/data").pinned(digest)));
        references.extend(data.iter().map(|digest| name("demo/data").pinned(*digest)));
        let key = SignerOptions {
            public_key: String::from_utf8(read("trust/local-sigstore/demo.pub")).unwrap(),
            ..SignerOptions::default()
        };
        let export = Export::new(&format!("{host}/demo/app:v1"), &[]);
        let (before, after, recorded) = recorded_and_replayed(export, &references, &[keyless(MAIN), key]);
        drop(registry);
        assert_equal(&before, &after);
        assert!(recorded.gaps.is_empty(), "{:?}", recorded.gaps);

        let starts = |question: String, start: &str| {
            let answer = &before[&question];
            assert!(answer.starts_with(start), "{question}: {answer}");
        };
        let app_image = name("demo/app").pinned(tagged(app));
        starts(format!("head {host}/demo/app:v1"), "Ok(Found(Head");
        starts(format!("head {host}/demo/app:v2"), "Ok(NotFound)");
        starts(format!("head {host}/nothing/here:v1"), "Ok(NotFound)");
        starts(format!("head {host}/demo/other:forbidden"), "Ok(Refused(\"HTTP status 403\"))");
        starts(format!("manifest {host}/demo/data:nameless"), "Ok(Found(ManifestBytes");
        starts(format!("blob {}", name("demo/data").pinned(data[0])), "Ok(Found(");
        starts(format!("manifest {}", name("demo/data").pinned(tagged(app))), "Ok(NotFound)");
        let image = format!("image {app_image} {MAIN}0");
        let attestation = format!("att {app_image} {MAIN}0");
        assert!(before[&image].contains("errors: [], signatures: [VerifiedSignature"), "{app}: {}", before[&image]);
        assert!(
            before[&attestation].contains("errors: [], signatures: [], attestations: [Verified"),
            "{app}: {}",
            before[&attestation]
        );
        let is_bundle = app != "keyless-legacy";
        starts(format!("referrers {app_image}"), if is_bundle { "Ok(Found([Referrer" } else { "Ok(NotFound)" });
    }
}

#[test]
fn a_subject_is_not_fetched_again() {
    let (registry, _) = serve("app", "unsigned", Behaviour::default());
    let host = registry.host();
    let image = format!("{host}/demo/app:v1").parse::<Reference>().unwrap().pinned(tagged("app"));
    let export = Export::new(&format!("{host}/demo/app:v1"), &[]);
    let live = export.answers(Reading::Strict);
    let before = registry.served().len();
    live.head(&format!("{host}/demo/app:v1").parse().unwrap()).unwrap();
    live.manifest(&image).unwrap();
    assert_eq!(registry.served().len(), before);
    live.verify_attestation(&image, &keyless(MAIN)).unwrap();
    let asked: Vec<_> = registry.served().into_iter().skip(before).map(|served| served.path).collect();
    let (lists, others): (Vec<_>, Vec<_>) = asked.iter().partition(|path| path.contains("/referrers/"));
    let hex = tagged("app").to_hex();
    assert_eq!(lists.len(), 1);
    let tags: BTreeSet<String> = others.into_iter().cloned().collect();
    let want = ["", ".att"].map(|suffix| format!("/v2/demo/app/manifests/sha256-{hex}{suffix}"));
    assert_eq!(tags, BTreeSet::from(want), "lists and tags only, no manifest and no blob");
}

#[test]
fn what_is_out_of_reach_is_a_gap_and_stays_unknown() {
    let (registry, data) = serve("unsigned", "app", Behaviour::default());
    let host = registry.host();
    let export = Export::new(&format!("{host}/demo/app:v1"), &[]);
    registry.inject(Fault::on(Route::Any, Effect::Status(503)).ending("/broken"));
    registry.inject(Fault::on(Route::Blob, Effect::Corrupt).ending(data[0].to_string()));
    registry.inject(Fault::on(Route::Referrers, Effect::Answer(200, media::OCI_INDEX.to_owned(), b"{}".to_vec())));
    let name = |path: &str| format!("{host}/{path}").parse::<Reference>().unwrap();
    let other = name("demo/other").pinned(tagged("app"));
    let references = [name("demo/other:broken"), name("demo/data").pinned(data[0]), other.clone()];
    let (before, after, recorded) = recorded_and_replayed(export, &references, &[keyless(MAIN)]);
    assert_equal(&before, &after);
    for question in [
        format!("head {host}/demo/other:broken"),
        format!("blob {}", references[1]),
        format!("referrers {other}"),
        format!("image {other} {MAIN}0"),
    ] {
        assert!(before[&question].starts_with("Err(Unreachable"), "{question}: {}", before[&question]);
    }
    let gaps: Vec<_> = recorded.gaps.iter().map(|gap| gap.question.as_str()).collect();
    assert_eq!(gaps.len(), 4, "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap.ends_with(", which the policy asks for")));
}

#[test]
fn a_layer_that_a_rule_reads_is_carried_and_nothing_else() {
    let (registry, _) = serve("app", "unsigned", Behaviour::default());
    let host = registry.host();
    let export = Export::new(&format!("{host}/demo/app:v1"), &[]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&read(&format!("layouts/local-sigstore/app/blobs/sha256/{}", tagged("app").to_hex()))).unwrap();
    let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let reference = format!("{host}/demo/app").parse::<Reference>().unwrap().pinned(layer);
    let (before, after, recorded) = recorded_and_replayed(export, std::slice::from_ref(&reference), &[]);
    assert_equal(&before, &after);
    assert!(before[&format!("blob {reference}")].starts_with("Ok(Found("));
    assert!(!recorded.assembly.absent.iter().any(|absence| absence.digest == layer));
    let absent = recorded.assembly.absent.iter().filter(|absence| absence.role == Role::Layer).count();
    assert_eq!(absent, manifest["layers"].as_array().unwrap().len() - 1);
    let layers: Vec<_> =
        recorded.assembly.policy_layers.iter().map(|layer| (layer.media_type.as_str(), layer.title.clone())).collect();
    assert!(layers.contains(&(media::OPAQUE, reference.to_string())), "{layers:?}");
}

#[test]
fn layouts_answer_like_registries() {
    let from = |layout: &str| testdata("layouts/local-sigstore").join(layout).display().to_string();
    for (app, other) in [("app", "keyless-legacy"), ("multi-fallback", "key-bundle")] {
        let export = Export::new(
            "registry.example/demo/app:v1",
            &[format!("oci:{}", from(app)), format!("registry.example/demo/other=oci:{}", from(other))],
        );
        let name = |path: &str| format!("registry.example/demo/{path}").parse::<Reference>().unwrap();
        let mut references = vec![name("app:v1"), name("app:v2"), name("other:v1"), name("other:none")];
        references.extend(digests(app).into_iter().map(|digest| name("app").pinned(digest)));
        references.extend(digests(other).into_iter().map(|digest| name("other").pinned(digest)));
        let (before, after, recorded) = recorded_and_replayed(export, &references, &[keyless(MAIN)]);
        assert_equal(&before, &after);
        assert!(recorded.gaps.is_empty(), "{:?}", recorded.gaps);
        let image = name("app").pinned(tagged(app));
        assert!(before[&format!("image {image} {MAIN}0")].contains("errors: [], signatures: [VerifiedSignature"), "{app}");
        let listed = &before[&format!("referrers {image}")];
        assert!(listed.contains("artifact_type: \"application/vnd.dev.sigstore.bundle.v0.3+json\""), "{listed}");
    }
}

/// One case of `testdata/layouts/expect.json`.
struct Case {
    name: String,
    reference: Reference,
    options: SignerOptions,
    image: bool,
    attestation: bool,
}

fn cases(host: &str, content: &mut Served) -> Vec<Case> {
    let expect: serde_json::Value = serde_json::from_slice(&read("layouts/expect.json")).unwrap();
    let mut cases = Vec::new();
    for case in expect["cases"].as_array().unwrap() {
        let (Some(layout), Some("local-sigstore/trusted_root.json")) = (case["layout"].as_str(), case["trusted_root"].as_str())
        else {
            continue;
        };
        let Some(layout) = layout.strip_prefix("local-sigstore/") else { continue };
        let Some(image) = find_tagged(layout).filter(|_| case["trust_policy"].is_null()) else { continue };
        let contradicts = case["codes"].as_array().is_some_and(|codes| codes.iter().any(|code| code == "source-contradiction"));
        let text = |name: &str| case["signer"][name].as_str().unwrap_or_default().to_owned();
        let repository = format!("demo/{layout}");
        content.add_layout(&repository, &testdata("layouts/local-sigstore").join(layout)).unwrap();
        let public_key = match text("public_key").as_str() {
            "" => String::new(),
            path => String::from_utf8(read(&format!("trust/{path}"))).unwrap(),
        };
        cases.push(Case {
            name: case["name"].as_str().unwrap().to_owned(),
            reference: format!("{host}/{repository}").parse::<Reference>().unwrap().pinned(image),
            options: SignerOptions {
                certificate_identity: text("identity"),
                certificate_oidc_issuer: text("issuer"),
                public_key,
                ignore_rekor: case["signer"]["ignore_rekor"].as_bool().unwrap_or_default(),
                ..SignerOptions::default()
            },
            image: case["index_or_image"]["image"] == "ok",
            // Conforma counts a signed bundle of any sort as attested, and so do
            // the built-in checks; what it says is for rules to look at.
            attestation: case["index_or_image"]["attestation"] == "ok"
                || case["index_or_image"]["image"] == "ok" && !layout.contains("legacy") && !contradicts,
        });
    }
    cases
}

#[test]
fn signatures_are_verified_from_bytes_on_both_sides() {
    let registry = TestingRegistry::start(Served::new(), Behaviour::default()).unwrap();
    let host = registry.host();
    let mut known = Vec::new();
    registry.change(|content| known = cases(&host, content));
    assert!(known.len() > 40, "{}", known.len());
    let export = Export::new(&format!("{host}/demo/unsigned:v1"), &[]);
    let live = export.answers(Reading::Strict);
    let ask = |registry: &dyn Registry, case: &Case| {
        let image = registry.verify_image(&case.reference, &case.options).unwrap();
        let attestation = registry.verify_attestation(&case.reference, &case.options).unwrap();
        (image, attestation)
    };
    let before: Vec<_> = known.iter().map(|case| ask(&*live, case)).collect();
    for (case, (image, attestation)) in known.iter().zip(&before) {
        assert_eq!(image.errors.is_empty(), case.image, "{}: {:?}", case.name, image.errors);
        assert_eq!(attestation.errors.is_empty(), case.attestation, "{}: {:?}", case.name, attestation.errors);
        assert_eq!(image.signatures.is_empty(), !case.image, "{}", case.name);
        assert_eq!(attestation.attestations.is_empty(), !case.attestation, "{}", case.name);
        assert!(image.attestations.is_empty() && attestation.signatures.is_empty());
    }
    let bundle = Arc::new(cross(&export.recorder.finish().unwrap()));
    drop(registry);
    let replay = Answers::new(Carried::new(Arc::clone(&bundle)).unwrap(), operator(Reading::Strict));
    for (case, before) in known.iter().zip(&before) {
        assert_eq!(ask(&replay, case), *before, "{}", case.name);
    }
    // Another operator, another answer: nothing of it was recorded.
    let public = Operator { root: TrustRoot::public_good().unwrap(), ..operator(Reading::Strict) };
    let replay = Answers::new(Carried::new(bundle).unwrap(), public);
    let case = known.iter().find(|case| case.name == "app: keyless bundles by main").unwrap();
    let (image, attestation) = ask(&replay, case);
    assert!(!image.errors.is_empty() && image.signatures.is_empty(), "{image:?}");
    assert!(!attestation.errors.is_empty() && attestation.attestations.is_empty(), "{attestation:?}");
}

#[test]
fn conforma_looks_at_no_tag_beside_a_bundle_and_counts_any_bundle() {
    let registry = TestingRegistry::start(Served::new(), Behaviour::default()).unwrap();
    let host = registry.host();
    registry.change(|content| {
        for layout in ["unsigned", "mixed", "att-only", "app"] {
            content.add_layout(&format!("demo/{layout}"), &testdata("layouts/local-sigstore").join(layout)).unwrap();
        }
    });
    let export = Export::new(&format!("{host}/demo/unsigned:v1"), &[]);
    let (strict, conforma) = (export.answers(Reading::Strict), export.answers(Reading::Conforma));
    let image = |layout: &str| format!("{host}/demo/{layout}").parse::<Reference>().unwrap().pinned(tagged(layout));
    let ask = |answers: &dyn Registry, layout: &str| answers.verify_image(&image(layout), &keyless(MAIN)).unwrap();

    // Bundles by another identity, tags by this one.
    assert_eq!(ask(&*strict, "mixed").errors, Vec::<String>::new());
    assert!(!ask(&*strict, "mixed").signatures[0].metadata.is_empty());
    assert!(ask(&*conforma, "mixed").errors[0].starts_with("verify image signature: no matching attestations: "));
    // An attestation is no signature of the image.
    let error = "verify image signature: no signatures found: an attestation is not a signature of the image";
    assert_eq!(ask(&*strict, "att-only").errors, [error]);
    assert_eq!(ask(&*conforma, "att-only").errors, Vec::<String>::new());
    assert!(ask(&*conforma, "att-only").signatures.iter().all(|signature| *signature == Default::default()));
    // What a bundle's certificate says is read here, and is not there.
    let attestation = |answers: &dyn Registry| answers.verify_attestation(&image("app"), &keyless(MAIN)).unwrap().attestations;
    assert!(
        attestation(&*strict).iter().all(|attestation| attestation.signatures[0].metadata.contains_key("Fulcio Issuer (V2)"))
    );
    assert!(attestation(&*conforma).iter().all(|attestation| attestation.signatures[0].certificate.is_empty()));
    assert_eq!(attestation(&*strict).len(), attestation(&*conforma).len());

    // One record serves both readings.
    let bundle = Arc::new(cross(&export.recorder.finish().unwrap()));
    for (live, reading) in [(strict, Reading::Strict), (conforma, Reading::Conforma)] {
        let replay = Answers::new(Carried::new(Arc::clone(&bundle)).unwrap(), operator(reading));
        for layout in ["mixed", "att-only"] {
            assert_eq!(ask(&replay, layout), ask(&*live, layout), "{layout}");
        }
        assert_eq!(attestation(&replay), attestation(&*live));
    }
}
