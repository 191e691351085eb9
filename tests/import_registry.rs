//! What an import writes to a registry, in which order, and what it does when the
//! registry does not take it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Digest, media};
use carnet_import::{ImportError, Judged, Shipment};
use carnet_registry::{
    Backoff, Options, PushError,
    testing::{Behaviour, Effect, Fault, Route, TestingRegistry},
};
use serde_json::{Value, json};

#[path = "support/import.rs"]
mod support;

use support::{
    REPOSITORY, args, count, exported, exported_from, has_blob, image_layout, import, judged, layout, opened, options, passed,
    registry, tagged, testdata, write, writes,
};

fn without_api() -> Behaviour {
    Behaviour { referrers_api: false, complete_only: true, ..Behaviour::default() }
}

fn to(registry: &TestingRegistry) -> String {
    format!("{}/{REPOSITORY}", registry.host())
}

/// Position of the one write that `is` one, or of the last.
fn last(writes: &[String], is: impl Fn(&str) -> bool) -> usize {
    writes.iter().rposition(|write| is(write)).unwrap_or_else(|| panic!("{writes:#?}"))
}

fn first(writes: &[String], is: impl Fn(&str) -> bool) -> usize {
    writes.iter().position(|write| is(write)).unwrap_or_else(|| panic!("{writes:#?}"))
}

#[test]
fn the_tag_of_the_image_is_the_last_thing_that_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for (set, behaviour) in [("key-legacy", Behaviour::default()), ("multi", without_api()), ("multi-legacy", without_api())] {
        let archive = exported(dir.path(), set);
        let registry = registry(behaviour);
        let args = args(&[archive.to_str().unwrap(), "--to", &to(&registry), "--tag", "latest"]);
        let (outcome, receipt) = import(&args, passed(&archive));
        outcome.unwrap();
        assert_eq!(receipt["complete"], true, "{set}");

        let bundle = opened(&archive);
        let root = bundle.inventory().subjects[0].digest;
        let writes = writes(&registry);
        let is_put = |digest: Digest| move |write: &str| write.contains(&format!("/manifests/{digest}"));
        let blobs = last(&writes, |write| write.contains("/blobs/uploads/"));
        let image = first(&writes, is_put(root));
        for child in bundle.manifest(&root).unwrap().children() {
            let child = first(&writes, is_put(child.digest));
            assert!(blobs < child && child < image, "{set}: {writes:#?}");
        }
        for entry in bundle.inventory().evidence.iter().filter(|entry| !bundle.tree().buildkit().contains_key(&entry.digest)) {
            assert!(image < first(&writes, is_put(entry.digest)), "{set}: {writes:#?}");
        }
        let tag = first(&writes, |write| write.contains("/manifests/latest"));
        assert_eq!(tag, writes.len() - 1, "{set}: {writes:#?}");
        assert_eq!(tagged(&registry, "latest"), Some(root), "{set}");
    }
}

#[test]
fn every_byte_arrives_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "multi");
    let registry = registry(Behaviour::default());
    let (outcome, _) = import(&args(&[archive.to_str().unwrap(), "--to", &to(&registry)]), passed(&archive));
    outcome.unwrap();
    let bundle = opened(&archive);
    for (digest, manifest) in bundle.tree().manifests() {
        let own = [media::CONTROL, media::POLICY, media::BUNDLE].map(Some).contains(&manifest.artifact_type.as_deref());
        let mut stored = None;
        registry.change(|content| stored = content.manifest(REPOSITORY, &digest.to_string()));
        assert_eq!(stored.map(|(_, bytes)| bytes.to_vec()), (!own).then(|| bundle.blob(digest).unwrap().to_vec()), "{digest}");
    }
    for layer in bundle.tree().layers() {
        assert!(has_blob(&registry, &layer.digest), "{}", layer.digest);
    }
}

#[test]
fn a_second_import_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for behaviour in [Behaviour::default(), without_api()] {
        let archive = exported(dir.path(), "multi-legacy");
        let registry = registry(behaviour);
        let args = args(&[archive.to_str().unwrap(), "--to", &to(&registry)]);
        import(&args, passed(&archive)).0.unwrap();
        let before = writes(&registry);
        let (outcome, receipt) = import(&args, passed(&archive));
        outcome.unwrap();
        assert_eq!(writes(&registry), before);
        assert!(count(&receipt, "present") > 10 && count(&receipt, "sent") == 0, "{receipt}");
    }
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_would_be() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "multi");
    let registry = registry(without_api());
    let words = [archive.to_str().unwrap(), "--to", &to(&registry)];
    let (outcome, planned) = import(&args(&[&words[..], &["--dry-run"]].concat()), passed(&archive));
    outcome.unwrap();
    assert_eq!(writes(&registry), Vec::<String>::new());
    let (outcome, written) = import(&args(&words), passed(&archive));
    outcome.unwrap();
    assert_eq!(planned["written"], json!(written["written"].as_array().unwrap().iter().map(planned_for).collect::<Vec<_>>()));
}

fn planned_for(written: &Value) -> Value {
    let mut planned = written.clone();
    planned["how"] = "planned".into();
    planned
}

#[test]
fn the_fallback_tag_keeps_what_others_listed() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "app");
    let registry = registry(without_api());
    let root = opened(&archive).inventory().subjects[0].digest;
    let tag = format!("sha256-{}", root.to_hex());
    let foreign =
        json!({ "mediaType": media::OCI_MANIFEST, "digest": Digest::of(b"foreign"), "size": 7, "artifactType": "application/x" });
    let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [foreign], "annotations": { "a": "b" } });
    registry.change(|content| {
        content.add_manifest(REPOSITORY, None, media::OCI_MANIFEST, b"foreign");
        content.add_manifest(REPOSITORY, Some(&tag), media::OCI_INDEX, index.to_string().as_bytes());
    });
    import(&args(&[archive.to_str().unwrap(), "--to", &to(&registry)]), passed(&archive)).0.unwrap();

    let mut stored = None;
    registry.change(|content| stored = content.manifest(REPOSITORY, &tag));
    let stored: Value = serde_json::from_slice(&stored.unwrap().1).unwrap();
    let digests: BTreeSet<&str> = stored["manifests"].as_array().unwrap().iter().map(|d| d["digest"].as_str().unwrap()).collect();
    let bundle = opened(&archive);
    let mut want: BTreeSet<String> = bundle.tree().referrers(&root).map(|(digest, _)| digest.to_string()).collect();
    assert!(want.len() > 1);
    want.insert(Digest::of(b"foreign").to_string());
    assert_eq!(digests, want.iter().map(String::as_str).collect());
    assert_eq!((&stored["annotations"]["a"], stored["manifests"].as_array().unwrap().contains(&foreign)), (&json!("b"), true));
}

/// Some registries answer the fallback tag with the image itself.
#[test]
fn a_fallback_tag_that_is_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "app");
    let registry = registry(without_api());
    let bundle = opened(&archive);
    let root = bundle.inventory().subjects[0].digest;
    let tag = format!("sha256-{}", root.to_hex());
    registry.change(|content| {
        content.add_manifest(REPOSITORY, Some(&tag), media::OCI_MANIFEST, bundle.blob(&root).unwrap());
    });
    let (outcome, _) = import(&args(&[archive.to_str().unwrap(), "--to", &to(&registry)]), passed(&archive));
    assert!(matches!(outcome, Err(ImportError::Fallback { subject, .. }) if subject == root), "{outcome:?}");
    assert_eq!((tagged(&registry, &tag), tagged(&registry, "v1")), (Some(root), None));
}

#[test]
fn a_tag_that_stands_for_something_else_is_moved_by_force_only() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-legacy");
    let root = opened(&archive).inventory().subjects[0].digest;
    for tag in ["v1".to_owned(), format!("sha256-{}.sig", root.to_hex())] {
        let registry = registry(Behaviour::default());
        let manifest = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [] }).to_string();
        registry.change(|content| {
            content.add_manifest(REPOSITORY, Some(&tag), media::OCI_INDEX, manifest.as_bytes());
        });
        let words = [archive.to_str().unwrap(), "--to", &to(&registry)];
        let (outcome, _) = import(&args(&words), passed(&archive));
        assert!(
            matches!(outcome, Err(ImportError::TagTaken { got, .. }) if got == Digest::of(manifest.as_bytes())),
            "{outcome:?}"
        );
        assert_eq!(writes(&registry), Vec::<String>::new());
        import(&args(&[&words[..], &["--force"]].concat()), passed(&archive)).0.unwrap();
        assert_eq!(tagged(&registry, "v1"), Some(root));
        assert_ne!(tagged(&registry, &tag), Some(Digest::of(manifest.as_bytes())));
    }
}

#[test]
fn what_a_registry_refuses_ends_the_import_before_any_tag() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let refusal = |code: &str| {
        Effect::Answer(
            403,
            "application/json".to_owned(),
            format!(r#"{{"errors":[{{"code":"DENIED","message":"{code}"}}]}}"#).into_bytes(),
        )
    };
    for (name, route, effect, status, says) in [
        ("no right to write", Route::Upload, Effect::Status(403), 403, "may not write"),
        ("no right to write manifests", Route::PutManifest, Effect::Status(403), 403, "may not write"),
        ("not logged in", Route::Upload, Effect::Status(401), 401, "log in"),
        ("quota", Route::Upload, refusal("quota exceeded"), 403, "quota"),
        ("too large", Route::Upload, Effect::Status(413), 413, "takes no upload of that size"),
        ("manifest too large", Route::PutManifest, Effect::Status(413), 413, "takes no upload of that size"),
        ("no space", Route::Upload, Effect::Status(507), 507, "no space left"),
        ("its own problem", Route::Upload, Effect::Status(500), 500, "problem of its own"),
        ("its own problem with manifests", Route::PutManifest, Effect::Status(503), 503, "problem of its own"),
        ("too many requests", Route::PutManifest, Effect::TooManyRequests(Duration::ZERO), 429, "limits how often"),
        ("a kind it does not take", Route::PutManifest, Effect::Status(400), 400, "does not take this kind"),
        ("missing children", Route::PutManifest, Effect::Status(404), 404, "lacks the repository"),
    ] {
        let registry = registry(Behaviour::default());
        registry.inject(Fault::on(route, effect));
        let (outcome, receipt) = import(&args(&[archive.to_str().unwrap(), "--to", &to(&registry)]), passed(&archive));
        let Err(error) = outcome else { panic!("{name}") };
        let ImportError::Write { source: PushError::Refused(obstacle), .. } = &error else { panic!("{name}: {error:?}") };
        assert_eq!(obstacle.status, Some(status), "{name}");
        assert!(error.hint().contains(says), "{name}: {}", error.hint());
        assert_eq!(receipt["complete"], false, "{name}");
        let mut tags = Vec::new();
        registry.change(|content| tags = content.tags(REPOSITORY));
        assert_eq!(tags, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_failure_that_passes_is_not_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    for effect in [Effect::Status(503), Effect::TooManyRequests(Duration::ZERO)] {
        let registry = registry(Behaviour::default());
        registry.inject(Fault::on(Route::Any, effect).every(4));
        let args = args(&[archive.to_str().unwrap(), "--to", &to(&registry)]);
        let shipment = Shipment::open(&args, passed(&archive)).unwrap();
        let patient = Options { backoff: Backoff { attempts: 20, ..options().backoff }, ..options() };
        write(&args, &shipment, patient).0.unwrap();
        assert!(tagged(&registry, "v1").is_some());
    }
}

/// What is read back and is not there fails the import, although every write was
/// taken.
#[test]
fn what_cannot_be_read_back_gets_no_tag() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    let bundle = opened(&archive);
    let root = bundle.inventory().subjects[0].digest;
    let layer = bundle.tree().layers()[0].digest;
    for (route, ending) in [(Route::Manifest, root), (Route::Blob, layer)] {
        let registry = registry(Behaviour::default());
        // The first look comes before the write.
        registry.inject(Fault::on(route, Effect::Status(404)).ending(ending.to_string()).after(1));
        let (outcome, _) = import(&args(&[archive.to_str().unwrap(), "--to", &to(&registry)]), passed(&archive));
        assert!(matches!(outcome, Err(ImportError::Recheck(_))), "{outcome:?}");
        assert_eq!(tagged(&registry, "v1"), None);
    }
}

#[test]
fn a_blob_that_is_too_large_in_one_piece_goes_in_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let layer: Vec<u8> = (0..12_000_000_u32).map(|n| n.to_le_bytes()[usize::try_from(n % 3).unwrap()]).collect();
    image_layout(&dir.path().join("layout"), &layer);
    let archive = exported_from(dir.path(), &[("large", &dir.path().join("layout"))], &[]);
    for (lost, least) in [(None, false), (Some(Effect::Status(502)), false), (None, true)] {
        let registry = registry(Behaviour { largest_upload: 6 << 20, ..Behaviour::default() });
        if let Some(effect) = lost {
            registry.inject(Fault::on(Route::Upload, effect).after(6).times(1));
        }
        if least {
            registry.inject(Fault::on(Route::Upload, Effect::Header("oci-chunk-min-length", (6 << 20).to_string())));
        }
        import(&args(&[archive.to_str().unwrap(), "--to", &to(&registry)]), passed(&archive)).0.unwrap();
        assert!(has_blob(&registry, &Digest::of(&layer)));
        let patches = writes(&registry).iter().filter(|write| write.starts_with("PATCH")).count();
        assert!((2..=4).contains(&patches), "{:#?}", writes(&registry));
    }
}

#[test]
fn an_image_that_is_not_carried_in_full_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for flags in [&["--platform", "linux/amd64"][..], &["--layers", "none"]] {
        let archive = exported_from(dir.path(), &[("multi", &layout("multi"))], flags);
        let registry = registry(Behaviour::default());
        let words = [archive.to_str().unwrap(), "--to", &to(&registry)];
        let (outcome, _) = import(&args(&words), passed(&archive));
        assert!(matches!(outcome, Err(ImportError::Absent { .. })), "{outcome:?}");
        assert_eq!(writes(&registry), Vec::<String>::new());
        // A registry that has the rest takes it.
        registry.change(|content| content.add_layout(REPOSITORY, &layout("multi")).unwrap());
        import(&args(&[&words[..], &["--force"]].concat()), passed(&archive)).0.unwrap();
    }
}

#[test]
fn of_three_images_the_bad_one_stays_outside() {
    let dir = tempfile::tempdir().unwrap();
    let sets = ["key-bundle", "unsigned", "key-legacy"];
    let layouts: Vec<_> = sets.iter().map(|set| (*set, layout(set))).collect();
    let images: Vec<_> = layouts.iter().map(|(set, path)| (*set, path.as_path())).collect();
    let archive = exported_from(dir.path(), &images, &[]);
    let verdict = judged(&archive, &sets);
    assert!(!verdict.passes());

    let registry = registry(Behaviour::default());
    let map = format!("registry.example/org={}/mirror", registry.host());
    let words = [archive.to_str().unwrap(), "--map", &map];
    let shipment = Shipment::open(&args(&words), verdict.clone()).unwrap();
    assert!(!shipment.has_passed());
    let (outcome, receipt) = write(&args(&words), &shipment, options());
    outcome.unwrap();
    assert_eq!((writes(&registry).len(), &receipt["verdict"]), (0, &json!("fail")));

    let (outcome, receipt) = import(&args(&[&words[..], &["--only-passed"]].concat()), verdict);
    outcome.unwrap();
    let passed: Vec<_> = receipt["images"].as_array().unwrap().iter().map(|image| image["passed"].as_bool().unwrap()).collect();
    assert_eq!(passed, [true, false, true]);
    registry.change(|content| {
        let tags = sets.map(|set| content.tags(&format!("mirror/{set}")).contains(&"v1".to_owned()));
        assert_eq!(tags, [true, false, true]);
    });
    let bad = opened(&archive).inventory().subjects[1].digest;
    assert!(!writes(&registry).iter().any(|write| write.contains(&bad.to_string()) || write.contains("mirror/unsigned")));
}

/// A damaged layer is a failure of its own image, and of every image that shares it.
#[test]
fn a_damaged_blob_refuses_the_images_that_need_it() {
    let dir = tempfile::tempdir().unwrap();
    let sets = ["key-bundle", "key-legacy"];
    let layouts: Vec<_> = sets.iter().map(|set| (*set, layout(set))).collect();
    let images: Vec<_> = layouts.iter().map(|(set, path)| (*set, path.as_path())).collect();
    let archive = exported_from(dir.path(), &images, &[]);
    let bundle = opened(&archive);
    let layers = |at: usize| -> BTreeSet<Digest> {
        bundle.manifest(&bundle.inventory().subjects[at].digest).unwrap().layers().iter().map(|layer| layer.digest).collect()
    };
    let own: Vec<Digest> = layers(1).difference(&layers(0)).copied().collect();
    support::flip(&archive, own.first().unwrap());
    let verdict = judged(&archive, &sets);
    assert!(!verdict.passes());
    let registry = registry(Behaviour::default());
    let map = format!("registry.example/org={}/mirror", registry.host());
    let (outcome, receipt) = import(&args(&[archive.to_str().unwrap(), "--map", &map, "--only-passed"]), verdict);
    outcome.unwrap();
    let passed: Vec<_> = receipt["images"].as_array().unwrap().iter().map(|image| image["passed"].as_bool().unwrap()).collect();
    assert_eq!(passed, [true, false]);
    assert!(receipt["images"][1]["reason"].as_str().unwrap().starts_with("blob-digest-mismatch"), "{receipt}");
}

/// An image that no component expects was not judged.
#[test]
fn what_nobody_expected_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (layout("key-bundle"), layout("key-legacy"));
    let archive = exported_from(dir.path(), &[("key-bundle", &one), ("key-legacy", &other)], &[]);
    let verdict = judged(&archive, &["key-bundle"]);
    let registry = registry(Behaviour::default());
    let map = format!("registry.example/org={}/mirror", registry.host());
    let (outcome, receipt) = import(&args(&[archive.to_str().unwrap(), "--map", &map, "--only-passed"]), verdict);
    outcome.unwrap();
    // The unexpected image fails the whole bundle's verdict, not the other image.
    let passed: Vec<_> = receipt["images"].as_array().unwrap().iter().map(|image| image["passed"].as_bool().unwrap()).collect();
    assert_eq!(passed, [true, false], "{receipt}");
}

/// Where the trust policy lets the platforms speak for an index, they are judged in
/// place of it.
#[test]
fn an_index_passes_by_its_platforms_where_the_operator_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "multi");
    let root = opened(&archive).inventory().subjects[0].digest;
    let policy = dir.path().join("trust.yaml");
    std::fs::write(&policy, "apiVersion: carnet/v0\nkind: TrustPolicy\nsignatures: {scope: every-platform}\n").unwrap();
    let images = json!({ "components": [{ "name": "m", "containerImage": format!("registry.example/org/multi@{root}") }] });
    let (trust, images) = (testdata("trust/local-sigstore/trusted_root.json").display().to_string(), images.to_string());
    let identity = "https://gitlab.local/demo/app//.gitlab-ci.yml@refs/heads/main";
    let flags = ["--images", &images, "--trust-policy", policy.to_str().unwrap(), "--trusted-root", &trust];
    let signer = ["--certificate-identity", identity, "--certificate-oidc-issuer", "https://gitlab.local"];
    let report: Value = serde_json::from_slice(&support::report(&archive, &[&flags[..], &signer].concat()).0).unwrap();
    assert_eq!(report["carnet"]["images"][0]["components"], json!([]));
    let imported = |report: &Value| {
        let registry = registry(Behaviour::default());
        let verdict = Judged::from_report(report.to_string().as_bytes(), b"").unwrap();
        let (outcome, receipt) = import(&args(&[archive.to_str().unwrap(), "--to", &to(&registry), "--only-passed"]), verdict);
        outcome.unwrap();
        (tagged(&registry, "v1"), writes(&registry).len(), receipt["images"][0]["reason"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(imported(&report).0, Some(root));

    // One that was not judged, one that failed, and an index that nobody named.
    let mut unjudged = report.clone();
    unjudged["components"].as_array_mut().unwrap().pop();
    let mut failed = report.clone();
    failed["components"][1]["success"] = false.into();
    let mut unnamed = report.clone();
    unnamed["carnet"]["findings"] = json!([{ "code": "image-not-expected", "severity": "warning", "subject": root }]);
    for (report, reason) in [(unjudged, "no component expects it"), (failed, " failed"), (unnamed, "no component expects it")] {
        let (tag, writes, said) = imported(&report);
        assert_eq!((tag, writes), (None, 0), "{reason}");
        assert!(said.contains(reason), "{said}");
    }
}

/// What is said of a component whose image did not come is not of another image.
#[test]
fn a_component_that_did_not_come_fails_no_other_image() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-bundle");
    for absent in [support::reference("gone"), format!("registry.example/org/gone@{}", Digest::of(b"gone"))] {
        let verdict = support::judged_as(&archive, &[("good", support::reference("key-bundle")), ("gone", absent.clone())]);
        assert!(!verdict.passes());
        let registry = registry(Behaviour::default());
        let words = [archive.to_str().unwrap(), "--to", &to(&registry)];
        let (_, receipt) = import(&args(&words), verdict.clone());
        assert_eq!((receipt["images"][0]["passed"].as_bool(), writes(&registry).len()), (Some(false), 0), "{absent}");
        let (outcome, receipt) = import(&args(&[&words[..], &["--only-passed"]].concat()), verdict);
        outcome.unwrap();
        assert_eq!(receipt["images"][0]["passed"], true, "{absent}: {receipt}");
    }
}

#[test]
fn images_of_several_repositories_need_a_place_each() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (layout("app"), layout("multi"));
    let archive = exported_from(dir.path(), &[("a", &one), ("b", &other)], &[]);
    let registry = registry(Behaviour::default());
    let place = to(&registry);
    let (outcome, _) = import(&args(&[archive.to_str().unwrap(), "--to", &place]), passed(&archive));
    assert!(matches!(outcome, Err(ImportError::SeveralSources { ref sources, .. }) if sources.len() == 2), "{outcome:?}");
    let only_a = format!("registry.example/org/a={}/mirror/a", registry.host());
    let (outcome, _) = import(&args(&[archive.to_str().unwrap(), "--map", &only_a]), passed(&archive));
    assert!(matches!(outcome, Err(ImportError::NoDestination(ref name)) if name == "registry.example/org/b"), "{outcome:?}");
    let both = [archive.to_str().unwrap(), "--map", &format!("registry.example/org={place}")];
    let clash = [
        archive.to_str().unwrap(),
        "--map",
        &format!("registry.example/org/a={place}"),
        "--map",
        &format!("registry.example/org/b={place}"),
    ];
    let (outcome, _) = import(&args(&clash), passed(&archive));
    assert!(matches!(outcome, Err(ImportError::TagTwice { .. })), "{outcome:?}");
    assert_eq!(writes(&registry), Vec::<String>::new());
    let (outcome, receipt) = import(&args(&both), passed(&archive));
    outcome.unwrap();
    // What both images have is sent once.
    assert!(count(&receipt, "mounted") > 0, "{receipt}");
    let (outcome, _) = import(&args(&[archive.to_str().unwrap(), "--to", &place, "--map", &only_a]), passed(&archive));
    outcome.unwrap();
}

#[test]
fn the_verdict_is_attached_as_a_signed_summary() {
    let dir = tempfile::tempdir().unwrap();
    let archive = exported(dir.path(), "key-legacy");
    let pkcs8 = ring::signature::EcdsaKeyPair::generate_pkcs8(
        &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        &ring::rand::SystemRandom::new(),
    )
    .unwrap();
    let key = dir.path().join("key.pem");
    std::fs::write(
        &key,
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8.as_ref())),
    )
    .unwrap();
    for behaviour in [Behaviour::default(), without_api()] {
        let api = behaviour.referrers_api;
        let registry = registry(behaviour);
        let words = [archive.to_str().unwrap(), "--to", &to(&registry), "--attach-vsa", "--vsa-key", key.to_str().unwrap()];
        let (outcome, receipt) = import(&args(&words), judged(&archive, &["key-legacy"]));
        outcome.unwrap();
        let written = receipt["written"].as_array().unwrap();
        let summary = written.iter().find(|written| written["what"] == "summary").unwrap()["digest"].as_str().unwrap().to_owned();
        let root = opened(&archive).inventory().subjects[0].digest;
        registry.change(|content| {
            let manifest: Value = serde_json::from_slice(&content.manifest(REPOSITORY, &summary).unwrap().1).unwrap();
            assert_eq!(manifest["subject"]["digest"], root.to_string());
            let listed = content.manifest(REPOSITORY, &format!("sha256-{}", root.to_hex()));
            assert_eq!(listed.is_some(), !api);
            assert!(listed.is_none_or(|(_, bytes)| String::from_utf8(bytes.to_vec()).unwrap().contains(&summary)));
            let digest: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
            assert!(content.has_blob(REPOSITORY, &digest));
        });
        verify_summary(&registry, &summary, pkcs8.as_ref(), &root);
    }
    let words = [archive.to_str().unwrap(), "--to", "r.example/a", "--attach-vsa", "--vsa-key"];
    let cosign = testdata("trust/local-sigstore/demo.pub");
    let shipment =
        Shipment::open(&args(&[&words[..], &[cosign.to_str().unwrap()]].concat()), judged(&archive, &["key-legacy"])).unwrap();
    let (outcome, _) = write(&args(&[&words[..], &[cosign.to_str().unwrap()]].concat()), &shipment, options());
    assert!(matches!(outcome, Err(ImportError::Key { .. })), "{outcome:?}");
}

/// Verifies the envelope as DSSE says, with another implementation of the key.
fn verify_summary(registry: &TestingRegistry, summary: &str, pkcs8: &[u8], root: &Digest) {
    use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
    let url = |path: &str| format!("http://{}/v2/{REPOSITORY}/{path}", registry.host());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let get = |path: String| -> Value {
        runtime
            .block_on(async { serde_json::from_slice(&reqwest::get(url(&path)).await.unwrap().bytes().await.unwrap()).unwrap() })
    };
    let manifest = get(format!("manifests/{summary}"));
    let envelope = get(format!("blobs/{}", manifest["layers"][0]["digest"].as_str().unwrap()));
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let signature = STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
    let kind = "application/vnd.in-toto+json";
    let signed = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), &payload].concat();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &ring::rand::SystemRandom::new()).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref()).verify(&signed, &signature).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["predicate"]["verificationResult"], "PASSED");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], root.to_hex());
}
